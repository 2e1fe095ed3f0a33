// SPDX-License-Identifier: MIT OR Apache-2.0
/* The first thread's stack: it grows to its limit and not beyond; and what calls do with addresses that are not there. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdint.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <time.h>
#include "check.h"

enum { PAGE = 4096 };

static sigjmp_buf escape;
static siginfo_t seen;
static char *here;

static void on_fault(int signal, siginfo_t *info, void *context)
{
	seen = *info;
	siglongjmp(escape, 1);
}

__attribute__((noinline)) static long descend(long depth)
{
	volatile char frame[PAGE];

	frame[0] = 1;
	if (here - (char *)frame >= depth)
		return 1;
	return descend(depth) + frame[0];
}

/* A call's buffer on pages that nothing has touched yet: the copy itself makes them. */
__attribute__((noinline)) static long read_below(int fd, long depth)
{
	char *buffer = __builtin_alloca(depth);
	long got = read(fd, buffer, 3 * PAGE);

	return got == 3 * PAGE ? buffer[0] + buffer[3 * PAGE - 1] : -1;
}

static int kept;

static int grow_in_child(void *depth)
{
	descend((long)depth);
	return 17;
}

static void growth(void)
{
	static char alternate[65536];
	stack_t second = { .ss_sp = alternate, .ss_size = sizeof alternate };
	struct sigaction action = { .sa_sigaction = on_fault, .sa_flags = SA_SIGINFO | SA_ONSTACK };
	int zero = open("/dev/zero", O_RDONLY);
	struct rlimit limit;
	char top;

	here = &top;
	getrlimit(RLIMIT_STACK, &limit);
	NEEDS("a stack with a limit", limit.rlim_cur != RLIM_INFINITY && limit.rlim_cur >= 1 << 20);
	/* Within what is there already, then ever deeper. */
	HOLDS("half a MiB of stack", descend(512 << 10) > 0);
	if (populated())
		return;
	SAME("a call that reads into a stack not yet there", 0, read_below(zero, 1 << 20));
	SAME("and deeper", 0, read_below(zero, 2 << 20));
	HOLDS("down to the limit, less what lies above", descend(limit.rlim_cur - (512 << 10)) > 0);
	SAME("a child grows its own", EXITED(17), in_child(grow_in_child, (void *)(limit.rlim_cur - (512 << 10))));
	sigaltstack(&second, NULL);
	sigaction(SIGSEGV, &action, NULL);
	for (kept = 0; kept < 3; kept++) {
		memset(&seen, 0, sizeof seen);
		if (!sigsetjmp(escape, 1))
			descend(1L << 40);
		SAME("signal past the limit", SIGSEGV, seen.si_signo);
		SAME("its code", SEGV_MAPERR, seen.si_code);
		long depth = here - (char *)seen.si_addr;
		HOLDS("its address is about the limit away", depth > (long)limit.rlim_cur - (256 << 10) &&
		      depth < (long)limit.rlim_cur + 2 * PAGE);
	}
	/* A lower limit counts at once. */
	struct rlimit lower = { limit.rlim_cur, limit.rlim_max };
	signal(SIGSEGV, SIG_DFL);
	second.ss_flags = SS_DISABLE;
	sigaltstack(&second, NULL);
	SAME("setrlimit", 0, setrlimit(RLIMIT_STACK, &lower));
	close(zero);
}

struct bad { const char *what; char *address; bool readable; };

static void transfers(const struct bad *bad, const int pipe[2], int zero)
{
	struct iovec iov = { bad->address, 64 };
	struct sockaddr *name = (void *)bad->address;
	int pair[2], poll = epoll_create1(0);
	struct stat status;

	socketpair(AF_UNIX, SOCK_STREAM, 0, pair);
	FAILS("read", EFAULT, read(zero, bad->address, 64));
	FAILS("readv", EFAULT, readv(zero, &iov, 1));
	FAILS("stat into it", EFAULT, syscall(SYS_stat, "/", bad->address));
	FAILS("clock_gettime into it", EFAULT, syscall(SYS_clock_gettime, CLOCK_MONOTONIC, bad->address));
	FAILS("pipe into it", EFAULT, syscall(SYS_pipe, bad->address));
	FAILS("getsockname into it", EFAULT, getsockname(pair[0], name, (socklen_t *)bad->address));
	if (!bad->readable) {
		FAILS("write", EFAULT, write(pipe[1], bad->address, 64));
		FAILS("writev", EFAULT, writev(pipe[1], &iov, 1));
		FAILS("send", EFAULT, send(pair[0], bad->address, 64, 0));
		FAILS("open", EFAULT, open(bad->address, O_RDONLY));
		FAILS("epoll_ctl", EFAULT, epoll_ctl(poll, EPOLL_CTL_ADD, pipe[0], (struct epoll_event *)bad->address));
		FAILS("nanosleep", EFAULT, syscall(SYS_nanosleep, bad->address, NULL));
		FAILS("iovec", EFAULT, readv(zero, (struct iovec *)bad->address, 1));
	}
	SAME("a call after them", 0, stat("/", &status));
	close(pair[0]);
	close(pair[1]);
	close(poll);
}

static void bad_addresses(void)
{
	char *none = mmap(NULL, 2 * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	char *read_only = mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	const struct bad bad[] = {
		{ "NULL", NULL }, { "near NULL", (char *)0x40 }, { "PROT_NONE", none }, { "read-only", read_only, true },
		{ "the end of the user half", (char *)0x7ffffffff000 }, { "non-canonical", (char *)0x4141414141414141 },
		{ "the kernel's text", (char *)0xffffffff81000000 }, { "a hole of the kernel half", (char *)0xfffffd0000000000 },
		{ "the last byte", (char *)-1 },
	};
	char *edge = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	int ends[2], zero = open("/dev/zero", O_RDONLY);

	pipe(ends);
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		long before = kept;
		transfers(&bad[i], ends, zero);
		if (kept != before)
			printf("  at %s\n", bad[i].what);
	}
	/* As far as the page goes. */
	munmap(edge + PAGE, PAGE);
	/* In words of eight bytes, as the kernel clears them. */
	long got = read(zero, edge + PAGE - 100, 300);
	HOLDS("read over the edge of a mapping", got > 92 && got <= 100);
	munmap(edge, PAGE);
	munmap(none, 2 * PAGE);
	munmap(read_only, PAGE);
	close(ends[0]);
	close(ends[1]);
	close(zero);
}

static void run(void)
{
	growth();
	bad_addresses();
}

const struct part stack_part = { "stack", run };
