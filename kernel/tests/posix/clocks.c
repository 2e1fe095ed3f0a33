// SPDX-License-Identifier: MIT OR Apache-2.0
/* The C library's clocks, which the vDSO may answer, against the system calls. */
#define _GNU_SOURCE
#include <sched.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include "check.h"

static long ns(const struct timespec *time)
{
	return time->tv_sec * 1000000000 + time->tv_nsec;
}

/* The C library's answer lies between two of the kernel's; the coarse clocks stand still between two ticks. */
static void agree(clockid_t clock)
{
	for (int i = 0; i < 300; i++) {
		struct timespec before, between, after;
		long results = syscall(SYS_clock_gettime, clock, &before);
		results += clock_gettime(clock, &between);
		results += syscall(SYS_clock_gettime, clock, &after);
		SAME("results", 0, results);
		HOLDS("nanoseconds in range", between.tv_nsec >= 0 && between.tv_nsec < 1000000000);
		if (ns(&before) > ns(&between) || ns(&between) > ns(&after))
			unexpected(__FILE_NAME__, __LINE__, "clock, between the kernel's answers", clock, ns(&between) - ns(&before));
	}
}

static void steady(void)
{
	struct timespec last = { 0 }, now;
	long backwards = 0;

	for (int i = 0; i < 20000; i++) {
		clock_gettime(CLOCK_MONOTONIC, &now);
		backwards += ns(&now) < ns(&last);
		last = now;
	}
	SAME("steps back of the monotonic clock", 0, backwards);
}

static void others(void)
{
	struct timespec resolution, asked;
	struct timeval before, between, after;

	SAME("clock_getres", 0, clock_getres(CLOCK_MONOTONIC, &resolution));
	syscall(SYS_clock_getres, CLOCK_MONOTONIC, &asked);
	SAME("resolution", ns(&asked), ns(&resolution));
	syscall(SYS_gettimeofday, &before, NULL);
	SAME("gettimeofday", 0, gettimeofday(&between, NULL));
	syscall(SYS_gettimeofday, &after, NULL);
	HOLDS("gettimeofday between the kernel's answers",
	      !timercmp(&before, &between, >) && !timercmp(&between, &after, >));
	long first = syscall(SYS_time, NULL), second = time(NULL), third = syscall(SYS_time, NULL);
	/* The call gives the second of the last tick, the C library that of now: a new second may have begun between them. */
	HOLDS("time between the kernel's answers", first <= second && second <= third + 1);
	FAILS("a clock that there is not", EINVAL, clock_gettime(99, &resolution));
	FAILS("resolution of a clock that there is not", EINVAL, clock_getres(99, &resolution));
	SAME("gettimeofday of nothing", 0, gettimeofday(NULL, NULL));

	cpu_set_t set, all;
	sched_getaffinity(0, sizeof all, &all);
	for (int cpu = 0; cpu < 8; cpu++) {
		if (!CPU_ISSET(cpu, &all))
			continue;
		CPU_ZERO(&set);
		CPU_SET(cpu, &set);
		SAME("sched_setaffinity", 0, sched_setaffinity(0, sizeof set, &set));
		SAME("getcpu", cpu, sched_getcpu());
		steady();
	}
	sched_setaffinity(0, sizeof all, &all);
}

static void run(void)
{
	static const clockid_t clocks[] = { CLOCK_REALTIME, CLOCK_MONOTONIC, CLOCK_PROCESS_CPUTIME_ID, CLOCK_THREAD_CPUTIME_ID,
					    CLOCK_MONOTONIC_RAW, CLOCK_REALTIME_COARSE, CLOCK_MONOTONIC_COARSE, CLOCK_BOOTTIME,
					    CLOCK_TAI };

	for (size_t i = 0; i < sizeof clocks / sizeof *clocks; i++)
		agree(clocks[i]);
	steady();
	others();
}

const struct part clocks_part = { "clocks", run };

/* Calls of the C library's clocks alone, ticking=N of each: what a tracer counts of them entered the kernel. */
static void run_ticking(void)
{
	struct timespec now;
	struct timeval then;
	long rounds = getenv("ticking") ? atol(getenv("ticking")) : 1000;
	unsigned cpus = 0;

	for (long i = 0; i < rounds; i++) {
		clock_gettime(CLOCK_MONOTONIC, &now);
		clock_gettime(CLOCK_REALTIME, &now);
		gettimeofday(&then, NULL);
		time(NULL);
		cpus += sched_getcpu();
	}
	printf("ticking: on processors of sum %u\n", cpus);
}

const struct part ticking_part = { "ticking", run_ticking, .alone = true };
