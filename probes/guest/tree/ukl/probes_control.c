// SPDX-License-Identifier: GPL-2.0
/*
 * Who asks for records, and for which: a debugger on the host, by words in
 * ukl_probes_page, which it finds by the kernel's symbols. The guest looks at
 * them twenty times a second.
 *
 * ukl.probes=on makes the ring and looks; ukl.probes=wait also holds the
 * application's first start until the debugger has asked, for ten seconds.
 * ukl.probes=start records from that start on, asked or not: the first of it is
 * in the ring.
 */
#include <linux/binfmts.h>
#include <linux/ftrace.h>
#include <linux/init.h>
#include <linux/memblock.h>
#include <linux/mutex.h>
#include <linux/reboot.h>
#include <linux/sched.h>
#include <linux/slab.h>
#include <linux/smp.h>
#include <linux/sort.h>
#include <linux/string.h>
#include <linux/ukl_probes.h>
#include <linux/workqueue.h>
#include <asm/msr.h>
#include <asm/tsc.h>

#include "probes.h"

#define CHUNKS		64
#define CHUNK_RECORDS	8184
#define CALIBRATIONS	257
#define LOOK_EVERY	(HZ / 20)

struct uklscope_probes ukl_probes_page __aligned(PAGE_SIZE);
static bool ukl_probes_wait, ukl_probes_unasked;
static DEFINE_MUTEX(ukl_probes_mutex);
static unsigned int ukl_probes_are;

static int ukl_graph_entry(struct ftrace_graph_ent *trace)
{
	if (in_nmi() || !current->ukl_told || current->ukl_told != ukl_probes_start)
		return 0;
	ukl_probe_record(UKLSCOPE_KIND_ENTRY, trace->func);
	return 1;
}

static void ukl_graph_return(struct ftrace_graph_ret *trace)
{
	if (current->ukl_told == ukl_probes_start)
		ukl_probe_record(UKLSCOPE_KIND_RETURN, trace->func);
}

static struct fgraph_ops ukl_graph_ops = {
	.entryfunc	= ukl_graph_entry,
	.retfunc	= ukl_graph_return,
};

/* What a traced function costs that does nothing. */
static noinline void ukl_probes_nothing(void)
{
	asm volatile("");
}

static int compare(const void *a, const void *b)
{
	return *(const u32 *)a < *(const u32 *)b ? -1 : *(const u32 *)a > *(const u32 *)b;
}

/* The median of the ticks between records @first, @first + @step, ... and the ones after them. */
static u32 median(const u64 *records, u32 *ticks, unsigned int first, unsigned int step, unsigned int n)
{
	unsigned int i;

	for (i = 0; i < n; i++)
		ticks[i] = (u32)records[first + i * step + 1] - (u32)records[first + i * step];
	sort(ticks, n, sizeof(*ticks), compare, NULL);
	return ticks[n / 2];
}

/*
 * Ticks between two records with nothing between them: of static probes, of a
 * function's entry and return, of that return and the next entry.
 */
static int calibrate(bool functions)
{
	struct uklscope_probes *page = &ukl_probes_page;
	unsigned int i, told = current->ukl_told;
	struct ukl_ring ring;
	unsigned long flags;
	u64 *records;
	u32 *ticks;

	records = kcalloc(2 * CALIBRATIONS, sizeof(*records), GFP_KERNEL);
	ticks = kcalloc(CALIBRATIONS, sizeof(*ticks), GFP_KERNEL);
	if (!records || !ticks) {
		kfree(records);
		kfree(ticks);
		return -ENOMEM;
	}
	local_irq_save(flags);
	current->ukl_told = ukl_probes_start;
	ring = ukl_probes_divert(records, 2 * CALIBRATIONS);
	for (i = 0; i < CALIBRATIONS; i++)
		ukl_probe_exit_worked(NULL);
	ukl_probes_restore(&ring);
	local_irq_restore(flags);
	page->cost_probe = median(records, ticks, 0, 1, CALIBRATIONS - 1);
	page->cost_inside = page->cost_between = 0;
	if (functions) {
		local_irq_save(flags);
		ring = ukl_probes_divert(records, 2 * CALIBRATIONS);
		for (i = 0; i < CALIBRATIONS; i++)
			ukl_probes_nothing();
		ukl_probes_restore(&ring);
		local_irq_restore(flags);
		page->cost_inside = median(records, ticks, 0, 2, CALIBRATIONS - 1);
		page->cost_between = median(records, ticks, 1, 2, CALIBRATIONS - 1);
	}
	current->ukl_told = told;
	kfree(records);
	kfree(ticks);
	return 0;
}

/*
 * Each of the names, which may be patterns, must match a function that can be
 * traced. A pattern is cut off at its '*' where it is parsed, so that each
 * parse has a copy of its own. What is tried last stays in @trial until it is
 * reset: ftrace_free_filter() would leave it a filter that is no more.
 */
static int choose(void)
{
	static struct ftrace_ops trial;
	static char copy[sizeof(ukl_probes_page.names)];
	char *names, *rest, *name;
	int ret = 0;

	names = kstrndup(ukl_probes_page.names, sizeof(ukl_probes_page.names) - 1, GFP_KERNEL);
	if (!names)
		return -ENOMEM;
	ftrace_set_global_filter("ukl_probes_nothing", strlen("ukl_probes_nothing"), 1);
	for (rest = names; !ret && (name = strsep(&rest, ","));) {
		if (!*name)
			continue;
		ret = ftrace_set_filter(&trial, copy, strscpy(copy, name, sizeof(copy)), 1);
		if (ret)
			strscpy(ukl_probes_page.refused, name, sizeof(ukl_probes_page.refused));
		else
			ftrace_set_global_filter(copy, strscpy(copy, name, sizeof(copy)), 0);
	}
	/* These have probes of their own. */
	ftrace_set_global_notrace(copy, strscpy(copy, "__x64_sys_*", sizeof(copy)), 1);
	kfree(names);
	return ret;
}

static void stop(void)
{
	if (ukl_probes_are & UKLSCOPE_WANT_FUNCTIONS)
		unregister_ftrace_graph(&ukl_graph_ops);
	if (ukl_probes_are)
		static_branch_disable(&ukl_probes_key);
	ukl_probes_are = 0;
	on_each_cpu(ukl_probes_flush, NULL, 1);
}

static int start(unsigned int want)
{
	bool functions = want & UKLSCOPE_WANT_FUNCTIONS;
	int ret;

	/* Never 0, which no task is told of. */
	ukl_probes_start = ukl_probes_start + 1 ?: 1;
	if (functions) {
		ret = choose();
		if (!ret)
			ret = register_ftrace_graph(&ukl_graph_ops);
		if (ret)
			return ret;
	}
	ret = calibrate(functions);
	if (ret) {
		if (functions)
			unregister_ftrace_graph(&ukl_graph_ops);
		return ret;
	}
	ukl_probes_are = want | UKLSCOPE_WANT_BOUNDARY;
	static_branch_enable(&ukl_probes_key);
	return 0;
}

/* Does what is asked for, where that is new. */
static void look(void)
{
	struct uklscope_probes *page = &ukl_probes_page;
	unsigned int request;

	mutex_lock(&ukl_probes_mutex);
	request = smp_load_acquire(&page->request);
	if (request != page->answer) {
		unsigned int want = READ_ONCE(page->want);

		stop();
		page->tsc_khz = tsc_khz;
		page->refused[0] = '\0';
		page->error = want ? start(want) : 0;
		smp_store_release(&page->answer, request);
	} else if (ukl_probes_are)
		on_each_cpu(ukl_probes_flush, NULL, 1);
	mutex_unlock(&ukl_probes_mutex);
}

static void look_again(struct work_struct *work);
/* Deferrable: a guest that sleeps is not woken for it. */
static DECLARE_DEFERRABLE_WORK(ukl_probes_work, look_again);

static void look_again(struct work_struct *work)
{
	look();
	schedule_delayed_work(&ukl_probes_work, LOOK_EVERY);
}

void ukl_probes_exec(struct linux_binprm *bprm)
{
	unsigned long until = jiffies + 10 * HZ;

	current->ukl_app = bprm->ukl_app;
	current->ukl_told = 0;
	if (bprm->ukl_app && ukl_probes_unasked) {
		mutex_lock(&ukl_probes_mutex);
		if (!ukl_probes_are)
			start(UKLSCOPE_WANT_BOUNDARY);
		ukl_probes_unasked = false;
		mutex_unlock(&ukl_probes_mutex);
	}
	if (!bprm->ukl_app || !ukl_probes_wait)
		return;
	while (!smp_load_acquire(&ukl_probes_page.request) && time_before(jiffies, until))
		schedule_timeout_uninterruptible(1);
	look();
	ukl_probes_wait = false;
}

static int ukl_probes_reboot(struct notifier_block *block, unsigned long event, void *unused)
{
	mutex_lock(&ukl_probes_mutex);
	stop();
	smp_store_release(&ukl_probes_header->state, UKLSCOPE_STATE_FINISHED);
	mutex_unlock(&ukl_probes_mutex);
	return NOTIFY_DONE;
}

static struct notifier_block ukl_probes_notifier = { .notifier_call = ukl_probes_reboot };

/* While large memory is still to be had. */
static int __init ukl_set_probes(char *s)
{
	u64 chunks = UKLSCOPE_HEADER_BYTES + PAGE_ALIGN(nr_cpu_ids * UKLSCOPE_CONTROL_BYTES);
	u64 bytes = sizeof(struct uklscope_chunk) + 8ULL * CHUNK_RECORDS;
	struct uklscope_header *header;
	u64 size;

	if (strcmp(s, "on") && strcmp(s, "wait") && strcmp(s, "start")) {
		pr_err("ukl: ukl.probes is on, wait or start, not %s\n", s);
		return 1;
	}
	size = PAGE_ALIGN(chunks + nr_cpu_ids * CHUNKS * bytes);
	header = memblock_alloc(size, PAGE_SIZE);
	if (!header) {
		pr_err("ukl: no %llu KiB of memory for the probes\n", size >> 10);
		return 1;
	}
	ukl_probes_wait = !strcmp(s, "wait");
	ukl_probes_unasked = !strcmp(s, "start");
	header->magic = UKLSCOPE_MAGIC;
	header->version = UKLSCOPE_VERSION;
	header->vcpus = nr_cpu_ids;
	header->chunks = CHUNKS;
	header->chunk_records = CHUNK_RECORDS;
	header->policy = UKLSCOPE_POLICY_LOSSLESS;
	header->sites_offset = chunks + nr_cpu_ids * CHUNKS * bytes;
	header->total_bytes = size;
	header->gate = 1;
	header->state = UKLSCOPE_STATE_RUNNING;
	ukl_probes_page.ring = __pa(header);
	ukl_probes_page.ring_bytes = size;
	return 1;
}
__setup("ukl.probes=", ukl_set_probes);

static int __init ukl_probes_init(void)
{
	struct uklscope_probes *page = &ukl_probes_page;

	if (!page->ring)
		return 0;
	ukl_probes_lay_out(__va(page->ring));
	register_reboot_notifier(&ukl_probes_notifier);
	page->version = UKLSCOPE_VERSION;
	smp_store_release(&page->magic, UKLSCOPE_PROBES_MAGIC);
	schedule_delayed_work(&ukl_probes_work, LOOK_EVERY);
	return 0;
}
late_initcall(ukl_probes_init);
