// SPDX-License-Identifier: MIT OR Apache-2.0
/* A child that is the program itself: what it has of its own, what it shares, how it ends. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include "check.h"

static int in_data = 11, in_bss;
static const char in_rodata[] = "constant";
static __thread int in_tls = 12;
static char large[64 * 4096];

struct places { int *heap, *mapped, *shared, *stack; };

static int write_all(void *argument)
{
	struct places *places = argument;

	HOLDS("a child finds its parent's values", in_data == 11 && !in_bss && in_tls == 12 && *places->heap == 13 &&
	      *places->mapped == 14 && *places->stack == 15 && *places->shared == 16 && large[5 * 4096] == 17 &&
	      !strcmp(in_rodata, "constant"));
	in_data = 21;
	in_bss = 20;
	in_tls = 22;
	*places->heap = 23;
	*places->mapped = 24;
	*places->stack = 25;
	memset(large, 27, sizeof large);
	*places->shared = 26;
	/* The parent writes meanwhile. */
	for (int i = 0; i < 2000 && *(volatile int *)places->shared != 36; i++)
		usleep(1000);
	SAME("the parent's write to shared memory", 36, *places->shared);
	HOLDS("a child keeps its own values", in_data == 21 && in_bss == 20 && in_tls == 22 && *places->heap == 23 &&
	      *places->mapped == 24 && *places->stack == 25 && large[9 * 4096] == 27);
	char *more = malloc(300000);
	memset(more, 1, 300000);
	free(more);
	return 3;
}

static void copies(void)
{
	int stack = 15, status = -1;
	struct places places = {
		.heap = malloc(sizeof(int)),
		.mapped = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0),
		.shared = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0),
		.stack = &stack,
	};
	pid_t pid;

	in_data = 11, in_bss = 0, in_tls = 12;
	*places.heap = 13, *places.mapped = 14, *places.shared = 16;
	memset(large, 17, sizeof large);
	pid = fork();
	if (!pid)
		_exit(write_all(&places));
	for (int i = 0; i < 2000 && *(volatile int *)places.shared != 26; i++)
		usleep(1000);
	SAME("the child's write to shared memory", 26, *places.shared);
	HOLDS("a parent keeps its own values", in_data == 11 && !in_bss && in_tls == 12 && *places.heap == 13 &&
	      *places.mapped == 14 && stack == 15 && large[9 * 4096] == 17);
	in_data = 31, in_bss = 30, in_tls = 32, *places.heap = 33, *places.mapped = 34, stack = 35;
	memset(large, 37, sizeof large);
	*places.shared = 36;
	SAME("waitpid", pid, waitpid(pid, &status, 0));
	SAME("the child's status", EXITED(3), status);
	HOLDS("a parent keeps what it wrote", in_data == 31 && in_bss == 30 && in_tls == 32 && *places.heap == 33 &&
	      *places.mapped == 34 && stack == 35 && large[0] == 37);
	free(places.heap);
	munmap(places.mapped, 4096);
	munmap(places.shared, 4096);
}

static int exit_with(void *code) { return (long)code; }
static int die_of(void *signal) { kill(getpid(), (long)signal); pause(); return 1; }
static int abort_it(void *unused) { abort(); }
static int touch_nothing(void *unused) { signal(SIGSEGV, SIG_DFL); *(volatile int *)unused = 1; return 1; }

static void statuses(void)
{
	siginfo_t info = { 0 };
	struct rusage usage;
	int status;
	pid_t pid;

	for (long code = 0; code < 256; code += 51)
		SAME("exit status", EXITED(code), in_child(exit_with, (void *)code));
	SAME("killed by SIGKILL", SIGKILL, in_child(die_of, (void *)SIGKILL));
	SAME("killed by SIGTERM", SIGTERM, in_child(die_of, (void *)SIGTERM));
	SAME("killed by SIGRTMIN", SIGRTMIN, in_child(die_of, (void *)(long)SIGRTMIN));
	SAME("abort", SIGABRT, in_child(abort_it, NULL) & 0x7f);
	SAME("a store to nowhere", SIGSEGV, in_child(touch_nothing, (void *)8) & 0x7f);

	pid = fork();
	if (!pid)
		_exit(9);
	SAME("waitid that leaves it", 0, waitid(P_PID, pid, &info, WEXITED | WNOWAIT));
	HOLDS("waitid's answer", info.si_pid == pid && info.si_code == CLD_EXITED && info.si_status == 9 &&
	      info.si_signo == SIGCHLD);
	SAME("wait4", pid, wait4(pid, &status, 0, &usage));
	SAME("its status", EXITED(9), status);
	FAILS("waiting for nobody", ECHILD, waitpid(pid, &status, 0));

	pid = fork();
	if (!pid)
		for (;;)
			pause();
	SAME("nothing yet", 0, waitpid(pid, &status, WNOHANG));
	kill(pid, SIGSTOP);
	SAME("a stop", pid, waitpid(pid, &status, WUNTRACED));
	HOLDS("its signal", WIFSTOPPED(status) && WSTOPSIG(status) == SIGSTOP);
	kill(pid, SIGCONT);
	SAME("its continuation", pid, waitpid(pid, &status, WCONTINUED));
	HOLDS("continued", WIFCONTINUED(status));
	kill(pid, SIGINT);
	SAME("its end", pid, waitpid(pid, &status, 0));
	SAME("by SIGINT", SIGINT, status);
}

static int nest(void *depth)
{
	long left = (long)depth;

	if (!left)
		return 1;
	in_data += left;
	return 1 + WEXITSTATUS(in_child(nest, (void *)(left - 1)));
}

static void many(void)
{
	pid_t pids[20];
	int status;

	SAME("forks within forks", EXITED(7), in_child(nest, (void *)6));
	for (long i = 0; i < 100; i++)
		SAME("a hundred in a row", EXITED(i), in_child(exit_with, (void *)i));
	for (int i = 0; i < 20; i++) {
		pids[i] = fork();
		if (!pids[i]) {
			char *page = malloc(50000);
			memset(page, i, 50000);
			usleep(1000 * (20 - i));
			_exit(page[49999]);
		}
	}
	for (int i = 0; i < 20; i++) {
		SAME("twenty at once", pids[i], waitpid(pids[i], &status, 0));
		SAME("status of one of twenty", EXITED(i), status);
	}
}

static int prepared, parents, children;
static void prepare(void) { prepared++; }
static void in_parent(void) { parents++; }
static void in_new_child(void) { children++; }

static void *add_one(void *number) { ++*(int *)number; return NULL; }

/* A child of a thread has that thread alone, and may make more. */
static int have_threads(void *unused)
{
	pthread_t threads[3];
	int number = 0;

	SAME("handlers before the fork", 1, prepared);
	SAME("handlers in the child", 1, children);
	SAME("handlers of the parent", 0, parents);
	for (int i = 0; i < 3; i++) {
		SAME("pthread_create in a child", 0, pthread_create(&threads[i], NULL, add_one, &number));
		pthread_join(threads[i], NULL);
	}
	return number;
}

static void *fork_here(void *unused)
{
	return (void *)(long)in_child(have_threads, NULL);
}

static void *keep_busy(void *stop)
{
	while (!__atomic_load_n((int *)stop, __ATOMIC_RELAXED))
		sched_yield();
	return NULL;
}

static void from_a_thread(void)
{
	pthread_t thread, busy;
	void *status;
	int stop = 0;

	pthread_atfork(prepare, in_parent, in_new_child);
	pthread_create(&busy, NULL, keep_busy, &stop);
	pthread_create(&thread, NULL, fork_here, NULL);
	pthread_join(thread, &status);
	SAME("a child of a thread", EXITED(3), status);
	SAME("handlers in the parent", 1, parents);
	__atomic_store_n(&stop, 1, __ATOMIC_RELAXED);
	pthread_join(busy, NULL);
}

static int to_pipe;
static void say_so(void) { write(to_pipe, "end", 3); }

static void pipes(void)
{
	char text[32] = "";
	int ends[2], status;
	pid_t pid;

	pipe(ends);
	fflush(stdout);
	pid = fork();
	if (!pid) {
		to_pipe = ends[1];
		close(ends[0]);
		atexit(say_so);
		write(ends[1], "begin ", 6);
		exit(4);
	}
	close(ends[1]);
	for (ssize_t have = 0, got; (got = read(ends[0], text + have, sizeof text - 1 - have)) > 0; have += got)
		;
	close(ends[0]);
	HOLDS("what the child wrote, atexit included", !strcmp(text, "begin end"));
	SAME("waitpid", pid, waitpid(pid, &status, 0));
	SAME("exit in a child", EXITED(4), status);
}

/* Its parent has exited: init, or whoever stands for it, is its parent now. */
static int leave_orphan(void *argument)
{
	pid_t parent = getpid();
	int *ends = argument;

	if (!fork()) {
		while (getppid() == parent)
			usleep(1000);
		int now = getppid();
		write(ends[1], &now, sizeof now);
		_exit(0);
	}
	return 0;
}

static void families(void)
{
	int ends[2], adopted = -1;

	pipe(ends);
	SAME("a child that leaves an orphan", EXITED(0), in_child(leave_orphan, ends));
	SAME("the orphan's answer", sizeof adopted, read(ends[0], &adopted, sizeof adopted));
	HOLDS("the orphan has another parent", adopted > 0);
	close(ends[0]);
	close(ends[1]);
	if (getpid() == 1)
		wait(NULL);
	pid_t pid = fork();
	if (!pid) {
		pid_t session = setsid();
		_exit(session == getpid() && getsid(0) == session && getpgid(0) == session ? 6 : 1);
	}
	int status;
	waitpid(pid, &status, 0);
	SAME("a session of its own", EXITED(6), status);
}

static void run(void)
{
	copies();
	statuses();
	many();
	from_a_thread();
	pipes();
	families();
}

const struct part processes_part = { "processes", run };
