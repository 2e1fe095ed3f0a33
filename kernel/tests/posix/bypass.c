// SPDX-License-Identifier: MIT OR Apache-2.0
/*
 * Which way calls take: by the system call's own entry, RCX holds the address to return to afterwards, which lies in the
 * application's text; a bypassed call leaves something else there. limit=N repeats ukl.bypass_limit=N for the program.
 */
#define _GNU_SOURCE
#include <signal.h>
#include <sys/syscall.h>
#include "check.h"

#ifdef UKL_LINKED
extern char __ukl_text_start[], __ukl_text_end[];

static bool took_the_full_way(long number)
{
	unsigned long left, result = number;

	__asm__ volatile ("call __ukl_syscall" : "+a"(result), "=c"(left) :: "r11", "memory");
	return left >= (unsigned long)__ukl_text_start && left < (unsigned long)__ukl_text_end;
}
#else
static bool took_the_full_way(long number)
{
	syscall(number);
	return true;
}
#endif

static int count;
static void on_signal(int signal) { count++; }

static void run(void)
{
	enum { CALLS = 10000 };
	long limit = getenv("limit") ? atol(getenv("limit")) : 0, full = 0;

	for (int i = 0; i < CALLS; i++)
		full += took_the_full_way(SYS_getppid);
	printf("  %ld of %d calls took the full way\n", full, CALLS);
	if (ukl_mode() < UKL_BYPASS) {
		SAME("all take the full way", CALLS, full);
	} else if (limit) {
		HOLDS("every N-th call, and those with work pending", full >= CALLS / limit && full <= CALLS / limit + 100);
	} else {
		HOLDS("only calls with work pending take the full way", full <= 100);
	}
	/* Work that a call itself makes is done before it returns. */
	signal(SIGUSR1, on_signal);
	for (int i = 0; i < 1000; i++)
		kill(getpid(), SIGUSR1);
	SAME("handlers that ran before kill returned", 1000, count);
	signal(SIGUSR1, SIG_DFL);
}

const struct part bypass_part = { "bypass", run };
