// SPDX-License-Identifier: MIT OR Apache-2.0
/* Signals that come at any instruction: timers over computation, fresh pages and calls. */
#define _GNU_SOURCE
#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/timerfd.h>
#include <time.h>
#include "check.h"

static volatile long ticks, value_sum;

static void on_tick(int signal, siginfo_t *info, void *context)
{
	__atomic_add_fetch(&ticks, 1, __ATOMIC_RELAXED);
	if (info->si_code == SI_TIMER)
		value_sum += info->si_value.sival_int;
}

static void handle(int signal)
{
	struct sigaction action = { .sa_sigaction = on_tick, .sa_flags = SA_SIGINFO | SA_RESTART };

	ticks = value_sum = 0;
	sigaction(signal, &action, NULL);
}

static void every(int which, long us)
{
	struct itimerval timer = { { 0, us }, { 0, us } };

	SAME("setitimer", 0, setitimer(which, &timer, NULL));
}

/* A sum that a lost register or flag would spoil. It is worked out each time: the compiler must not take it for a pure function. */
__attribute__((noinline)) static unsigned long compute(unsigned long from, int rounds)
{
	unsigned long a = from, b = 88172645463325252UL, c = 0;

	__asm__ volatile ("" : "+r"(b));
	for (int i = 0; i < rounds; i++) {
		b ^= b << 13, b ^= b >> 7, b ^= b << 17;
		a += b;
		c += a < b;
	}
	return a ^ c;
}

static void over_computation(void)
{
	unsigned long right = compute(1, 30000);
	long wrong = 0;

	handle(SIGALRM);
	every(ITIMER_REAL, 1000);
	long end = now_ms() + 10000;
	while (ticks < 150 && now_ms() < end)
		wrong += compute(1, 30000) != right;
	every(ITIMER_REAL, 0);
	SAME("sums that went wrong under a timer", 0, wrong);
	HOLDS("150 ticks came", ticks >= 150);
}

static void over_pages(void)
{
	enum { SIZE = 2 << 20 };
	long wrong = 0;

	handle(SIGALRM);
	every(ITIMER_REAL, 500);
	for (int round = 0; round < 8; round++) {
		char *area = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		for (int i = 0; i < SIZE; i += 4096) {
			wrong += area[i + 1];
			area[i] = 1;
		}
		munmap(area, SIZE);
	}
	every(ITIMER_REAL, 0);
	SAME("fresh pages that were not zero", 0, wrong);
	HOLDS("ticks came", ticks > 0);
}

static void over_calls(void)
{
	int ends[2];
	long wrong = 0;
	char byte;

	pipe(ends);
	handle(SIGALRM);
	every(ITIMER_REAL, 1000);
	long end = now_ms() + 10000;
	for (int i = 0; (i < 3000 || ticks < 20) && now_ms() < end; i++) {
		byte = i;
		wrong += write(ends[1], &byte, 1) != 1;
		byte = 0;
		wrong += read(ends[0], &byte, 1) != 1 || byte != (char)i;
		wrong += syscall(SYS_getpid) != getpid();
		wrong += syscall(SYS_close, -1) != -1 || errno != EBADF;
	}
	every(ITIMER_REAL, 0);
	SAME("results that went wrong under a timer", 0, wrong);
	HOLDS("20 ticks came", ticks >= 20);
	close(ends[0]);
	close(ends[1]);
}

/*
 * Time that the program itself takes is counted to it, whatever ring it runs in. Nothing but the computation between two looks at
 * the ticks: a clock that is a device takes the virtual processor away from the host's, and the timer's interrupt then comes there,
 * in the kernel, tick for tick.
 */
static void of_the_program(void)
{
	static const int which[] = { ITIMER_VIRTUAL, ITIMER_PROF }, signals[] = { SIGVTALRM, SIGPROF };
	unsigned long right = compute(1, 1000000);

	for (int i = 0; i < 2; i++) {
		handle(signals[i]);
		every(which[i], 10000);
		for (int rounds = 0; ticks < 3 && rounds < 300; rounds++)
			SAME("a sum under a timer of the program", right, compute(1, 1000000));
		every(which[i], 0);
		HOLDS(i ? "SIGPROF came" : "SIGVTALRM came", ticks >= 3);
	}
}

static int notified;
static void notify(union sigval value) { __atomic_add_fetch(&notified, value.sival_int, __ATOMIC_RELAXED); }

static void posix_timers(void)
{
	struct itimerspec soon = { { 0, 2000000 }, { 0, 2000000 } }, off = { 0 }, now;
	struct sigevent event = { .sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGRTMIN, .sigev_value.sival_int = 3 };
	timer_t timer;

	handle(SIGRTMIN);
	SAME("timer_create", 0, timer_create(CLOCK_MONOTONIC, &event, &timer));
	SAME("timer_settime", 0, timer_settime(timer, 0, &soon, NULL));
	for (int i = 0; i < 2000 && ticks < 10; i++)
		usleep(1000);
	SAME("timer_gettime", 0, timer_gettime(timer, &now));
	HOLDS("its interval", now.it_interval.tv_nsec == 2000000);
	timer_settime(timer, 0, &off, NULL);
	HOLDS("ten of its signals", ticks >= 10);
	SAME("their values", 3 * ticks, value_sum);
	/* What comes while it is blocked is counted, not queued. */
	sigset_t set;
	sigemptyset(&set);
	sigaddset(&set, SIGRTMIN);
	sigprocmask(SIG_BLOCK, &set, NULL);
	timer_settime(timer, 0, &soon, NULL);
	sleep_ms(40);
	siginfo_t info;
	SAME("sigwaitinfo of a timer", SIGRTMIN, sigwaitinfo(&set, &info));
	HOLDS("its overruns", timer_getoverrun(timer) >= 5);
	SAME("timer_delete", 0, timer_delete(timer));
	sigtimedwait(&set, &info, &(struct timespec){ 0, 0 });
	sigprocmask(SIG_UNBLOCK, &set, NULL);

	event = (struct sigevent){ .sigev_notify = SIGEV_THREAD, .sigev_notify_function = notify, .sigev_value.sival_int = 7 };
	SAME("timer_create with a thread", 0, timer_create(CLOCK_REALTIME, &event, &timer));
	soon.it_interval.tv_nsec = 0;
	timer_settime(timer, 0, &soon, NULL);
	for (int i = 0; i < 2000 && !__atomic_load_n(&notified, __ATOMIC_RELAXED); i++)
		usleep(1000);
	SAME("its function ran", 7, notified);
	timer_delete(timer);
	signal(SIGRTMIN, SIG_DFL);
}

static void descriptors(void)
{
	struct itimerspec soon = { { 0, 3000000 }, { 0, 3000000 } };
	int fd = timerfd_create(CLOCK_MONOTONIC, 0);
	unsigned long expirations, sum = 0;

	SAME("timerfd_settime", 0, timerfd_settime(fd, 0, &soon, NULL));
	for (int i = 0; i < 10; i++) {
		SAME("read of a timerfd", 8, read(fd, &expirations, 8));
		sum += expirations;
	}
	HOLDS("it expired ten times or more", sum >= 10);
	close(fd);
}

static void *spin(void *until)
{
	while (!__atomic_load_n((int *)until, __ATOMIC_RELAXED))
		compute(3, 1000);
	return NULL;
}

/* More threads than processors, none of which calls the kernel: the timer alone gives each its turn. */
static void shared_processors(void)
{
	enum { N = 6 };
	pthread_t threads[N];
	int stop = 0;

	for (int i = 0; i < N; i++)
		pthread_create(&threads[i], NULL, spin, &stop);
	sleep_ms(50);
	__atomic_store_n(&stop, 1, __ATOMIC_RELAXED);
	for (int i = 0; i < N; i++)
		SAME("joining a thread that spun", 0, pthread_join(threads[i], NULL));
}

static void run(void)
{
	over_computation();
	over_pages();
	over_calls();
	of_the_program();
	posix_timers();
	descriptors();
	shared_processors();
}

const struct part timers_part = { "timers", run };
