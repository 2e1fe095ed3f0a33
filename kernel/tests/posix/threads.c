// SPDX-License-Identifier: MIT OR Apache-2.0
/* Threads: creation, end, stacks, thread-local data. */
#define _GNU_SOURCE
#include <dirent.h>
#include <elf.h>
#include <link.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdint.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include "check.h"

enum { PAGE = 4096, MAGIC = 0x1badcafe };

static __thread long initialised = MAGIC;
static __thread long zero;
static __thread char aligned[256] __attribute__((aligned(64))) = "thread-local";
static __thread char large[20000];

static void *own_copy(void *argument)
{
	long me = (long)argument;

	HOLDS("a thread finds the initial values",
	      initialised == MAGIC && !zero && !strcmp(aligned, "thread-local") && !large[0] && !large[19999]);
	SAME("alignment of thread-local data", 0, (uintptr_t)aligned % 64);
	for (int i = 0; i < 2000; i++) {
		initialised += me;
		zero++;
		large[i * 9] = me;
		if (i % 200 == 0)
			usleep(1);
	}
	SAME("a thread's own sum", MAGIC + 2000 * me, initialised);
	SAME("a thread's own count", 2000, zero);
	SAME("a thread's own bytes", (char)me, large[9 * 1999]);
	return (void *)(me * 3);
}

static void create_and_join(void)
{
	enum { N = 16 };
	pthread_t threads[N];

	for (long i = 0; i < N; i++)
		SAME("pthread_create", 0, pthread_create(&threads[i], NULL, own_copy, (void *)i));
	for (long i = 0; i < N; i++) {
		void *result = NULL;
		SAME("pthread_join", 0, pthread_join(threads[i], &result));
		SAME("what a thread returned", i * 3, result);
	}
	SAME("the first thread's copy", MAGIC, initialised);
}

static int tasks(void)
{
	DIR *folder = opendir("/proc/self/task");
	int count = 0;

	if (!folder)
		return -1;
	for (struct dirent *entry; (entry = readdir(folder));)
		count += entry->d_name[0] != '.';
	closedir(folder);
	return count;
}

static int ended;

static void *end_detached(void *argument)
{
	if (argument)
		pthread_detach(pthread_self());
	__atomic_add_fetch(&ended, 1, __ATOMIC_RELEASE);
	pthread_exit(NULL);
}

static void detached(void)
{
	enum { N = 150 };
	pthread_attr_t attributes;
	pthread_t thread;

	ended = 0;
	pthread_attr_init(&attributes);
	pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
	for (long i = 0; i < N; i++)
		SAME("creating a detached thread", 0,
		     pthread_create(&thread, i % 2 ? &attributes : NULL, end_detached, (void *)((i + 1) % 2)));
	for (int i = 0; i < 2000 && tasks() != 1; i++)
		usleep(5000);
	SAME("detached threads that ran", N, __atomic_load_n(&ended, __ATOMIC_ACQUIRE));
	SAME("tasks that are left", 1, tasks());
}

static pthread_barrier_t all_here;

static void *wait_for_all(void *argument)
{
	pthread_barrier_wait(&all_here);
	return argument;
}

static void many_at_once(void)
{
	enum { N = 120 };
	static pthread_t threads[N];
	pthread_attr_t attributes;
	long sum = 0;

	pthread_attr_init(&attributes);
	pthread_attr_setstacksize(&attributes, 65536);
	pthread_barrier_init(&all_here, NULL, N + 1);
	for (long i = 0; i < N; i++)
		NEEDS("creating 120 threads", !pthread_create(&threads[i], &attributes, wait_for_all, (void *)i));
	SAME("tasks at once", N + 1, tasks());
	pthread_barrier_wait(&all_here);
	for (int i = 0; i < N; i++) {
		void *result;
		pthread_join(threads[i], &result);
		sum += (long)result;
	}
	SAME("sum of 120 results", N * (N - 1) / 2, sum);
}

static __thread sigjmp_buf escape;
static __thread siginfo_t seen;

static void on_fault(int signal, siginfo_t *info, void *context)
{
	seen = *info;
	siglongjmp(escape, 1);
}

/* Touches one page more a level; ends at the depth in bytes. */
__attribute__((noinline)) static long descend(char *top, long depth)
{
	volatile char frame[PAGE];

	frame[0] = 1;
	frame[PAGE - 1] = 2;
	if (top - (char *)frame >= depth)
		return frame[0] + frame[PAGE - 1];
	return descend(top, depth) + frame[0];
}

struct stack { char *low; size_t size; };

static void *use_stack(void *argument)
{
	struct stack *stack = argument;
	char here;
	unsigned char resident[1];
	static __thread char alternate[32768];
	stack_t second = { .ss_sp = alternate, .ss_size = sizeof alternate };

	if (!populated()) {
		SAME("mincore of a thread's stack", 0, mincore(stack->low + 16 * PAGE, PAGE, resident));
		SAME("an untouched page of a thread's stack is resident", 0, resident[0] & 1);
	}
	HOLDS("recursion within a thread's stack", descend(&here, stack->size - 6 * PAGE) > 0);
	if (populated())
		return NULL;
	sigaltstack(&second, NULL);
	if (!sigsetjmp(escape, 1))
		descend(&here, 1L << 30);
	SAME("signal past a thread's stack", SIGSEGV, seen.si_signo);
	SAME("its code", SEGV_ACCERR, seen.si_code);
	HOLDS("its address lies in the guard page",
	      (char *)seen.si_addr >= stack->low - PAGE && (char *)seen.si_addr < stack->low);
	return NULL;
}

/* Stacks of our own, so that their addresses are known: a PROT_NONE page and 512 KiB above it. */
static void stacks(void)
{
	enum { N = 4, SIZE = 512 * 1024 };
	struct sigaction action = { .sa_sigaction = on_fault, .sa_flags = SA_SIGINFO | SA_ONSTACK }, before;
	struct stack stack[N];
	pthread_t threads[N];

	sigaction(SIGSEGV, &action, &before);
	for (int i = 0; i < N; i++) {
		pthread_attr_t attributes;
		char *low = mmap(NULL, PAGE + SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

		NEEDS("mapping a stack", low != MAP_FAILED && !mprotect(low, PAGE, PROT_NONE));
		stack[i] = (struct stack){ low + PAGE, SIZE };
		pthread_attr_init(&attributes);
		pthread_attr_setstack(&attributes, low + PAGE, SIZE);
		NEEDS("pthread_create on it", !pthread_create(&threads[i], &attributes, use_stack, &stack[i]));
	}
	for (int i = 0; i < N; i++) {
		pthread_join(threads[i], NULL);
		munmap(stack[i].low - PAGE, PAGE + SIZE);
	}
	sigaction(SIGSEGV, &before, NULL);
}

static int find_tls(struct dl_phdr_info *info, size_t size, void *data)
{
	for (int i = 0; i < info->dlpi_phnum; i++) {
		const ElfW(Phdr) *segment = &info->dlpi_phdr[i];
		if (segment->p_type != PT_TLS)
			continue;
		const long *words = (const void *)(info->dlpi_addr + segment->p_vaddr);
		bool magic = false;
		for (size_t word = 0; word < segment->p_filesz / sizeof *words; word++)
			magic |= words[word] == MAGIC;
		HOLDS("the TLS segment's image holds the initial value", magic);
		HOLDS("the TLS segment has room for all", segment->p_memsz >= sizeof aligned + sizeof large);
		HOLDS("the TLS segment's alignment", segment->p_align >= 64);
		HOLDS("the TLS module's number", info->dlpi_tls_modid == 1);
		HOLDS("the first thread's block", (char *)&initialised >= (char *)info->dlpi_tls_data &&
		      (char *)&initialised < (char *)info->dlpi_tls_data + segment->p_memsz);
		++*(int *)data;
	}
	return 0;
}

static void headers(void)
{
	int found = 0;

	HOLDS("AT_PHDR", getauxval(AT_PHDR) != 0);
	HOLDS("AT_PHNUM", getauxval(AT_PHNUM) >= 1);
	SAME("AT_PHENT", sizeof(ElfW(Phdr)), getauxval(AT_PHENT));
	SAME("AT_PAGESZ", PAGE, getauxval(AT_PAGESZ));
	HOLDS("AT_RANDOM", getauxval(AT_RANDOM) != 0);
	dl_iterate_phdr(find_tls, &found);
	SAME("TLS segments that dl_iterate_phdr sees", 1, found);
}

static void run(void)
{
	create_and_join();
	detached();
	many_at_once();
	stacks();
	headers();
}

const struct part threads_part = { "threads", run };
