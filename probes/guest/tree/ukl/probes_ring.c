// SPDX-License-Identifier: GPL-2.0
/*
 * Records of eight bytes into a ring in memory, which a debugger on the host
 * maps and reads meanwhile. The layout is uklscope_wire.h's: per CPU a line of
 * counters and a ring of chunks. A record's function is an offset from _text.
 *
 * The clock is RDTSC, without an instruction that serialises: the CPU may read
 * it some instructions early. TSCs of all CPUs are taken to agree.
 *
 * Only tasks of the application make records. Before its first one a task is
 * told of: a switch to it, its start if it was never told of, and that the
 * application's code is running.
 *
 * A full ring makes the probe wait: whatever locks are held, the reader is
 * outside and needs none of them. After PATIENCE ticks it is taken for dead and
 * the ring is closed. With the policy "flight" the oldest chunk makes room;
 * without a reader and in a closed ring records are dropped. What is lost is
 * counted.
 */
#include <linux/hardirq.h>
#include <linux/irqflags.h>
#include <linux/jump_label.h>
#include <linux/kernel.h>
#include <linux/percpu.h>
#include <linux/sched.h>
#include <linux/sched/task.h>
#include <linux/ukl.h>
#include <linux/ukl_probes.h>
#include <asm/barrier.h>
#include <asm/cpu.h>
#include <asm/msr.h>
#include <asm/ptrace.h>
#include <asm/sections.h>
#include <asm/syscall.h>
#include <asm/tsc.h>

#include "probes.h"

#define PATIENCE	(1ULL << 33)

DEFINE_STATIC_KEY_FALSE(ukl_probes_key);
unsigned int ukl_probes_start;
struct uklscope_header *ukl_probes_header;
static DEFINE_PER_CPU(struct ukl_ring, ukl_ring);
static atomic64_t ukl_switches;

extern char ukl_entry_SYSCALL_64[], ukl_bypass_syscall[];

static __always_inline struct uklscope_chunk *chunk_at(struct ukl_ring *ring, u64 head)
{
	u64 bytes = sizeof(struct uklscope_chunk) + 8ULL * ukl_probes_header->chunk_records;

	return ring->chunks + head % ukl_probes_header->chunks * bytes;
}

static __always_inline u64 taken(struct ukl_ring *ring)
{
	return smp_load_acquire(&ring->control->tail);
}

static __always_inline bool full(struct ukl_ring *ring, u64 tail)
{
	return ring->control->head - UKLSCOPE_TAKEN_CHUNKS(tail) >= ukl_probes_header->chunks;
}

/* Drops the oldest chunk where there is no room; the reader may be as quick. */
static noinstr void make_room(struct ukl_ring *ring)
{
	struct uklscope_control *control = ring->control;
	u64 tail;

	while (tail = taken(ring), full(ring, tail)) {
		u64 oldest = UKLSCOPE_TAKEN_CHUNKS(tail);
		u64 left = chunk_at(ring, oldest)->used - (tail & 0xffffff);

		if (arch_cmpxchg(&control->tail, tail, (oldest + 1) << 24) == tail)
			WRITE_ONCE(control->lost, control->lost + left);
	}
}

static noinstr bool wait_for_room(struct ukl_ring *ring)
{
	struct uklscope_header *header = ukl_probes_header;
	u64 began, ticks;

	if (!full(ring, taken(ring)))
		return true;
	if (!READ_ONCE(header->reader))
		return false;
	if (READ_ONCE(header->policy) == UKLSCOPE_POLICY_FLIGHT) {
		make_room(ring);
		return true;
	}
	began = rdtsc();
	while (full(ring, taken(ring))) {
		if (READ_ONCE(header->closed))
			return false;
		if (rdtsc() - began > PATIENCE) {
			WRITE_ONCE(header->closed, 1);
			return false;
		}
		cpu_relax();
	}
	ticks = rdtsc() - began;
	ring->control->waits++;
	if (tsc_khz)
		ring->control->waited_ns += ticks * 1000 / max(tsc_khz / 1000, 1U);
	return true;
}

/* Lets the reader have what there is of the chunk. */
static __always_inline void publish(struct ukl_ring *ring)
{
	struct uklscope_chunk *chunk;

	if (ring->next) {
		chunk = chunk_at(ring, ring->control->head);
		smp_store_release(&chunk->used, (u32)(ring->next - (u64 *)chunk->records));
	}
}

/* Finishes the chunk and begins another; false: there is no room, and records are lost. */
static noinstr bool turn(struct ukl_ring *ring, u64 clock, unsigned int records)
{
	struct uklscope_control *control = ring->control;
	struct uklscope_chunk *chunk;

	if (!control)
		return false;
	if (ring->next) {
		publish(ring);
		ring->next = ring->end = NULL;
		smp_store_release(&control->head, control->head + 1);
	}
	if (READ_ONCE(ukl_probes_header->closed) || !wait_for_room(ring)) {
		WRITE_ONCE(control->lost, control->lost + records);
		return false;
	}
	chunk = chunk_at(ring, control->head);
	WRITE_ONCE(chunk->used, 0);
	chunk->clock = clock;
	chunk->lost = control->lost;
	chunk->vcpu = ring->cpu;
	/* After the count: a reader that finds this number finds this chunk's records. */
	smp_store_release(&chunk->sequence, control->head);
	ring->base = clock;
	ring->next = (u64 *)chunk->records;
	ring->end = ring->next + ukl_probes_header->chunk_records;
	return true;
}

/* Interrupts are off. */
static __always_inline bool room(struct ukl_ring *ring, u64 clock, unsigned int records)
{
	return likely((u64)((void *)ring->end - (void *)ring->next) >= records * 8 &&
		      !((clock - ring->base) >> 32)) ||
	       turn(ring, clock, records);
}

static __always_inline void put(struct ukl_ring *ring, unsigned int kind, unsigned long place, u64 clock)
{
	u32 word = UKLSCOPE_WORD(kind, (u32)(place - (unsigned long)_text) & 0xfffffff);

	*ring->next++ = UKLSCOPE_RECORD(word, clock);
}

noinstr void ukl_probe_record(unsigned int kind, unsigned long place)
{
	unsigned long flags;
	struct ukl_ring *ring;
	u64 clock;

	raw_local_irq_save(flags);
	ring = raw_cpu_ptr(&ukl_ring);
	clock = rdtsc();
	if (room(ring, clock, 1))
		put(ring, kind, place, clock);
	raw_local_irq_restore(flags);
}

/* Both at one moment. */
static noinstr void record_two(unsigned int kind, unsigned long first, unsigned long second)
{
	unsigned long flags;
	struct ukl_ring *ring;
	u64 clock;

	raw_local_irq_save(flags);
	ring = raw_cpu_ptr(&ukl_ring);
	clock = rdtsc();
	if (room(ring, clock, 2)) {
		put(ring, kind, first, clock);
		put(ring, kind, second, clock);
	}
	raw_local_irq_restore(flags);
}

/*
 * What follows a switch are whole numbers: two addresses, and the switch's place
 * among those of all CPUs, taken when there is room for it: nobody waits for room
 * while the reader waits for its number.
 */
static noinstr void record_switch(struct task_struct *prev, struct task_struct *next)
{
	unsigned long flags;
	struct ukl_ring *ring;
	u64 clock;

	raw_local_irq_save(flags);
	ring = raw_cpu_ptr(&ukl_ring);
	clock = rdtsc();
	if (room(ring, clock, 2 + UKLSCOPE_SWITCH_NUMBERS)) {
		if (ring->start != ukl_probes_start) {
			/* What this CPU did meanwhile was not recorded; before the first start nothing was. */
			if (ukl_probes_start > 1)
				*ring->next++ = UKLSCOPE_RECORD(UKLSCOPE_WORD(UKLSCOPE_KIND_RESUME, ukl_probes_start), clock);
			ring->start = ukl_probes_start;
		}
		*ring->next++ = UKLSCOPE_RECORD(UKLSCOPE_WORD(UKLSCOPE_KIND_SWITCH, 0), clock);
		*ring->next++ = prev ? (unsigned long)&prev->thread.sp : 0;
		*ring->next++ = (unsigned long)&next->thread.sp;
		*ring->next++ = arch_atomic64_fetch_inc(&ukl_switches);
		publish(ring);
	}
	raw_local_irq_restore(flags);
}

static __always_inline bool told(struct task_struct *task)
{
	return task->ukl_told && task->ukl_told == ukl_probes_start;
}

/* The application comes in, or, @tell false, the kernel was interrupted. */
static __always_inline bool comes_in(bool tell)
{
	struct task_struct *task = current;

	if (likely(told(task)))
		return true;
	if (!tell || !task->ukl_app || !ukl_probes_start)
		return false;
	record_switch(NULL, task);
	if (!task->ukl_told)
		ukl_probe_record(UKLSCOPE_KIND_TASK_START, (unsigned long)_text);
	ukl_probe_record(UKLSCOPE_KIND_APP_ENTRY, (unsigned long)_text);
	task->ukl_told = ukl_probes_start;
	return true;
}

noinstr void ukl_probe_vector(struct pt_regs *regs, void *place, unsigned int kind)
{
	if (!in_nmi() && comes_in(user_mode(regs)))
		ukl_probe_record(kind, (unsigned long)place);
}

noinstr void ukl_probe_vector_return(struct pt_regs *regs)
{
	if (!in_nmi() && told(current))
		ukl_probe_record(UKLSCOPE_KIND_IRET, (unsigned long)_text);
}

noinstr void __ukl_probe_syscall(struct pt_regs *regs)
{
	if (comes_in(true))
		ukl_probe_record(UKLSCOPE_KIND_SYSCALL_ENTRY, (unsigned long)
				 (regs->cs == UKL_CS ? (void *)ukl_entry_SYSCALL_64 :
						    (void *)entry_SYSCALL_64));
}

noinstr void __ukl_probe_sysret(struct pt_regs *regs)
{
	if (told(current))
		ukl_probe_record(regs->cs == UKL_CS ? UKLSCOPE_KIND_IRET : UKLSCOPE_KIND_SYSRET,
				 (unsigned long)_text);
}

noinstr void __ukl_probe_number(unsigned int kind, unsigned int nr)
{
	if (told(current))
		ukl_probe_record(kind, (unsigned long)sys_call_table[nr]);
}

/* In by a call: a bypassed system call, or, orig_ax -1, a shortcut. */
noinstr void ukl_probe_call(struct pt_regs *regs, void *place)
{
	if (!comes_in(true))
		return;
	if (place == ukl_bypass_syscall)
		record_two(UKLSCOPE_KIND_ENTRY, (unsigned long)place,
			   (unsigned long)sys_call_table[regs->orig_ax]);
	else
		ukl_probe_record(UKLSCOPE_KIND_ENTRY, (unsigned long)place);
}

noinstr void ukl_probe_call_return(struct pt_regs *regs, void *place)
{
	if (!told(current))
		return;
	if (place == ukl_bypass_syscall)
		record_two(UKLSCOPE_KIND_RETURN, (unsigned long)sys_call_table[regs->orig_ax],
			   (unsigned long)place);
	else
		ukl_probe_record(UKLSCOPE_KIND_RETURN, (unsigned long)place);
}

/* The same, with work to do on the way out. */
noinstr void ukl_probe_exit_work(struct pt_regs *regs)
{
	if ((long)regs->orig_ax >= 0)
		__ukl_probe_number(UKLSCOPE_KIND_RETURN, regs->orig_ax);
}

noinstr void ukl_probe_exit_worked(struct pt_regs *regs)
{
	if (told(current))
		ukl_probe_record(UKLSCOPE_KIND_IRET, (unsigned long)_text);
}

noinstr void __ukl_probe_switch(struct task_struct *prev, struct task_struct *next)
{
	if (told(prev) || told(next))
		record_switch(prev, next);
}

void ukl_probes_flush(void *unused)
{
	unsigned long flags;

	raw_local_irq_save(flags);
	publish(raw_cpu_ptr(&ukl_ring));
	raw_local_irq_restore(flags);
}

void ukl_probes_lay_out(void *memory)
{
	struct uklscope_header *header = memory;
	u64 bytes = sizeof(struct uklscope_chunk) + 8ULL * header->chunk_records;
	void *chunks = memory + header->sites_offset - header->vcpus * header->chunks * bytes;
	int cpu;

	for_each_possible_cpu(cpu) {
		struct ukl_ring *ring = per_cpu_ptr(&ukl_ring, cpu);

		ring->cpu = cpu;
		ring->control = memory + UKLSCOPE_HEADER_BYTES + cpu * UKLSCOPE_CONTROL_BYTES;
		ring->chunks = chunks + cpu * header->chunks * bytes;
	}
	ukl_probes_header = header;
}

struct ukl_ring ukl_probes_divert(u64 *to, unsigned int records)
{
	struct ukl_ring *ring = raw_cpu_ptr(&ukl_ring), was = *ring;

	ring->next = to;
	ring->end = to + records;
	ring->base = rdtsc();
	return was;
}

void ukl_probes_restore(const struct ukl_ring *was)
{
	*raw_cpu_ptr(&ukl_ring) = *was;
}
