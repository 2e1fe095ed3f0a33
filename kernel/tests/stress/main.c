/*
 * Register state across calls that sleep, with a 1000 Hz signal meanwhile whose handler spoils the SSE registers.
 * Two threads pass a byte to and fro over a socket pair: every read blocks. Then power off.
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <ukl.h>

static volatile long ticks;
static long errors;
static long n = 20000;
static int sv[2];
static pid_t parent;

static void on_alarm(int s)
{
	__atomic_add_fetch(&ticks, 1, __ATOMIC_RELAXED);
	__asm__ volatile ("pcmpeqd %%xmm0,%%xmm0; pxor %%xmm1,%%xmm1; pcmpeqd %%xmm7,%%xmm7; pxor %%xmm8,%%xmm8; pcmpeqd %%xmm15,%%xmm15"
			  ::: "xmm0", "xmm1", "xmm7", "xmm8", "xmm15");
	syscall(SYS_getppid);
}

/* One call with known values in every register that SYSCALL keeps; 0 if all are as before. */
static long checked(long nr, long a, void *b, long c, long *ret)
{
	long seed = random(), bad, out[20], r;
	double in[4] __attribute__((aligned(16))) = { seed, seed + 1, seed + 2, seed + 3 };
	double xo[4] __attribute__((aligned(16)));
	register long r10 __asm__("r10") = seed + 10, r8 __asm__("r8") = seed + 8, r9 __asm__("r9") = seed + 9;
	long di = a, si = (long)b, dx = c;

	__asm__ volatile (
		"push %%rbx; push %%rbp; push %%r12; push %%r13; push %%r14; push %%r15\n"
		"push %[out]; push %[xo]\n"
		"movapd (%[in]), %%xmm1; movapd 16(%[in]), %%xmm15\n"
		"lea 1(%%r8), %%rbx; lea 2(%%r8), %%rbp; lea 3(%%r8), %%r12; lea 4(%%r8), %%r13; lea 5(%%r8), %%r14; lea 6(%%r8), %%r15\n"
#ifdef UKL_LINKED
		"call __ukl_syscall\n"
#else
		"syscall\n"
#endif
		"pop %%rcx; movapd %%xmm1, (%%rcx); movapd %%xmm15, 16(%%rcx)\n"
		"pop %%rcx; mov %%rbx, (%%rcx); mov %%rbp, 8(%%rcx); mov %%r12, 16(%%rcx); mov %%r13, 24(%%rcx); mov %%r14, 32(%%rcx); mov %%r15, 40(%%rcx)\n"
		"pop %%r15; pop %%r14; pop %%r13; pop %%r12; pop %%rbp; pop %%rbx\n"
		: "=a"(r), "+D"(di), "+S"(si), "+d"(dx), "+r"(r10), "+r"(r8), "+r"(r9)
		: "a"(nr), [in] "r"(in), [out] "r"(out), [xo] "r"(xo)
		: "rcx", "r11", "memory", "xmm1", "xmm15");
	*ret = r;
	bad = memcmp(in, xo, sizeof in) != 0;
	for (int i = 0; i < 6; i++)
		bad += out[i] != seed + 8 + 1 + i;
	bad += di != a || si != (long)b || dx != c || r10 != seed + 10 || r8 != seed + 8 || r9 != seed + 9;
	return bad;
}

static void add(long bad)
{
	__atomic_add_fetch(&errors, bad, __ATOMIC_RELAXED);
}

static void *player(void *arg)
{
	int fd = sv[(long)arg];
	char c = 'a';
	long r;

	for (long i = 0; i < n; i++) {
		if ((long)arg == 0) {
			add(checked(SYS_write, fd, &c, 1, &r) || r != 1);
			add(checked(SYS_read, fd, &c, 1, &r) || r != 1);
		} else {
			add(checked(SYS_read, fd, &c, 1, &r) || r != 1);
			c++;
			add(checked(SYS_write, fd, &c, 1, &r) || r != 1);
		}
		add(checked(SYS_getppid, 1, 0, 3, &r) || r != parent);
	}
	return (void *)(long)c;
}

int main(void)
{
	struct sigaction sa = { .sa_handler = on_alarm, .sa_flags = SA_RESTART };
	struct itimerval it = { { 0, 1000 }, { 0, 1000 } };
	pthread_t t[2];
	void *r;
	int right;

	if (getenv("n")) n = atol(getenv("n"));
	parent = getppid();
	socketpair(AF_UNIX, SOCK_STREAM, 0, sv);
	sigaction(SIGALRM, &sa, 0);
	setitimer(ITIMER_REAL, &it, 0);
	for (long i = 0; i < 2; i++)
		pthread_create(&t[i], 0, player, (void *)i);
	for (int i = 0; i < 2; i++)
		pthread_join(t[i], &r);
	right = (char)(long)r == (char)('a' + n);
	printf("stress: mode %s, %ld turns, %ld alarms, %ld errors, last byte %s\n", ukl_mode_name(), n, ticks, errors,
	       right ? "right" : "WRONG");
	printf("stress: %s\n", errors || !right || !ticks ? "FAILED" : "ok");
	ukl_power_off();
}
