// SPDX-License-Identifier: MIT OR Apache-2.0
/*
 * The x87, SSE and, where the processor has it, AVX state: kept across calls, switches, faults and handlers that spoil it.
 * A pattern is loaded, one thing happens, and what is there is stored and compared, all in assembler.
 */
#define _GNU_SOURCE
#include <cpuid.h>
#include <fenv.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <ucontext.h>
#include "check.h"

struct fxsave {
	unsigned short control, status;
	unsigned char tags, reserved;
	unsigned short opcode;
	unsigned long ip, dp;
	unsigned int mxcsr, mask;
	unsigned char st[8][16], xmm[16][16], more[96];
} __attribute__((aligned(64)));

struct pattern {
	struct fxsave low;
	unsigned char ymm[16][32];
} __attribute__((aligned(64)));

static bool avx;

static bool have_avx(void)
{
	unsigned a, b, c, d, low, high;

	if (!__get_cpuid(1, &a, &b, &c, &d) || !(c & bit_OSXSAVE) || !(c & bit_AVX))
		return false;
	__asm__ ("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
	return (low & 6) == 6;
}

static void fill(struct pattern *pattern, unsigned seed)
{
	memset(pattern, 0, sizeof *pattern);
	pattern->low.control = seed % 2 ? 0x77f : 0xb7f;
	pattern->low.tags = 0xff;
	pattern->low.mxcsr = seed % 2 ? 0x5f80 : 0x3f80;
	for (int i = 0; i < 8; i++) {
		for (int byte = 0; byte < 8; byte++)
			pattern->low.st[i][byte] = seed * 7 + i * 16 + byte;
		pattern->low.st[i][7] |= 0x80;
		pattern->low.st[i][8] = 0xff - i;
		pattern->low.st[i][9] = 0x3f;
	}
	for (int i = 0; i < 16; i++)
		for (int byte = 0; byte < 32; byte++)
			pattern->ymm[i][byte] = seed * 31 + i * 32 + byte;
	for (int i = 0; i < 16; i++)
		memcpy(pattern->low.xmm[i], pattern->ymm[i], 16);
}

/* What happens between: 0 a call, 1 a loop without one, 2 a store to a fresh page, 3 an instruction that a handler skips. */
enum { CALL, LOOP, TOUCH, SKIP };

#define EACH(I) I(0) I(1) I(2) I(3) I(4) I(5) I(6) I(7) I(8) I(9) I(10) I(11) I(12) I(13) I(14) I(15)
#define LOAD(n) "vmovdqu " #n "*32(%[ymm]), %%ymm" #n "\n"
#define STORE(n) "vmovdqu %%ymm" #n ", " #n "*32(%[ymm])\n"
#define BETWEEN								\
	"cmp $1, %[what]; je 1f; cmp $2, %[what]; je 2f; cmp $3, %[what]; je 3f\n"	\
	CALL_KERNEL "\njmp 9f\n"						\
	"1: dec %%rdi; jnz 1b; jmp 9f\n"				\
	"2: movb $1, (%%rdi); jmp 9f\n"					\
	"3: ud2\n"							\
	"9:\n"
#ifdef UKL_LINKED
#define CALL_KERNEL "call __ukl_syscall"
#else
#define CALL_KERNEL "syscall"
#endif

__attribute__((noinline)) static void happen(const struct pattern *in, struct pattern *out, long what, long number, long a,
					     long b, long c)
{
	long result = number;
	unsigned char (*ymm_in)[32] = (void *)in->ymm, (*ymm_out)[32] = out->ymm;

	if (avx)
		__asm__ volatile ("fxrstor64 %[low]\n" EACH(LOAD) :: [low] "m"(in->low), [ymm] "r"(ymm_in) : "memory");
	else
		__asm__ volatile ("fxrstor64 %[low]" :: [low] "m"(in->low) : "memory");
	__asm__ volatile (BETWEEN : "+a"(result), "+D"(a), "+S"(b), "+d"(c) : [what] "r"(what) : "rcx", "r11", "memory", "cc");
	if (avx)
		__asm__ volatile (EACH(STORE) "fxsave64 %[low]; vzeroupper" : [low] "=m"(out->low) : [ymm] "r"(ymm_out) : "memory");
	else
		__asm__ volatile ("fxsave64 %[low]" : [low] "=m"(out->low) :: "memory");
	__asm__ volatile ("fninit; ldmxcsr %0" :: "m"((const unsigned){ 0x1f80 }));
}

/* 0 where everything is as it was; the first difference otherwise. */
static int compare(const struct pattern *in, const struct pattern *out)
{
	if (in->low.control != out->low.control)
		return 1;
	if ((in->low.mxcsr & ~0x3f) != (out->low.mxcsr & ~0x3f))
		return 2;
	if (out->low.tags != 0xff)
		return 3;
	for (int i = 0; i < 8; i++)
		if (memcmp(in->low.st[i], out->low.st[i], 10))
			return 10 + i;
	for (int i = 0; i < 16; i++)
		if (memcmp(in->low.xmm[i], out->low.xmm[i], 16))
			return 20 + i;
	for (int i = 0; avx && i < 16; i++)
		if (memcmp(in->ymm[i], out->ymm[i], 32))
			return 40 + i;
	return 0;
}

static volatile int handled, stale;

static void spoil(int signal, siginfo_t *info, void *context)
{
	ucontext_t *frame = context;
	unsigned short control;
	unsigned mxcsr;

	__asm__ volatile ("fnstcw %0; stmxcsr %1" : "=m"(control), "=m"(mxcsr));
	stale += control != 0x37f || (mxcsr & ~0x3f) != 0x1f80;
	__asm__ volatile ("fninit; fldpi; fldpi; fldpi");
	if (avx)
		__asm__ volatile ("vpcmpeqd %xmm0, %xmm0, %xmm0; vpcmpeqd %xmm7, %xmm7, %xmm7; vzeroall");
	__asm__ volatile ("pcmpeqd %%xmm0, %%xmm0; pcmpeqd %%xmm5, %%xmm5; pcmpeqd %%xmm15, %%xmm15; pxor %%xmm1, %%xmm1; pxor %%xmm8, %%xmm8"
			  ::: "memory");
	__atomic_add_fetch(&handled, 1, __ATOMIC_RELAXED);
	if (signal == SIGILL)
		frame->uc_mcontext.gregs[REG_RIP] += 2;
}

static void handle(int signal)
{
	struct sigaction action = { .sa_sigaction = spoil, .sa_flags = SA_SIGINFO | SA_RESTART };

	sigaction(signal, &action, NULL);
}

static int ends[2];

static void *player(void *argument)
{
	struct pattern in, out;
	long me = (long)argument, wrong = 0;
	char *page = mmap(NULL, 1 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	fill(&in, me + 1);
	for (int i = 0; i < 250; i++) {
		struct timespec soon = { 0, 1000 };
		happen(&in, &out, CALL, SYS_getppid, 0, 0, 0);
		wrong += compare(&in, &out) != 0;
		happen(&in, &out, CALL, SYS_sched_yield, 0, 0, 0);
		wrong += compare(&in, &out) != 0;
		happen(&in, &out, LOOP, 0, 20000, 0, 0);
		wrong += compare(&in, &out) != 0;
		happen(&in, &out, TOUCH, 0, (long)page + i * 4096, 0, 0);
		wrong += compare(&in, &out) != 0;
		happen(&in, &out, SKIP, 0, 0, 0, 0);
		wrong += compare(&in, &out) != 0;
		if (i % 10 == 0) {
			happen(&in, &out, CALL, SYS_nanosleep, (long)&soon, 0, 0);
			wrong += compare(&in, &out) != 0;
		}
		/* Threads in pairs: one's write wakes the other out of its read. */
		char byte = 0;
		happen(&in, &out, CALL, SYS_write, ends[1], (long)&byte, 1);
		wrong += compare(&in, &out) != 0;
		happen(&in, &out, CALL, SYS_read, ends[0], (long)&byte, 1);
		wrong += compare(&in, &out) != 0;
	}
	munmap(page, 1 << 20);
	return (void *)wrong;
}

static void kept(void)
{
	enum { N = 4 };
	struct itimerval timer = { { 0, 1000 }, { 0, 1000 } }, off = { 0 };
	pthread_t threads[N];
	long wrong = 0;

	pipe(ends);
	handle(SIGALRM);
	handle(SIGILL);
	handled = stale = 0;
	setitimer(ITIMER_REAL, &timer, NULL);
	for (long i = 0; i < N; i++)
		pthread_create(&threads[i], NULL, player, (void *)i);
	for (int i = 0; i < N; i++) {
		void *result;
		pthread_join(threads[i], &result);
		wrong += (long)result;
	}
	setitimer(ITIMER_REAL, &off, NULL);
	SAME(avx ? "x87, SSE and AVX state that changed" : "x87 and SSE state that changed", 0, wrong);
	HOLDS("handlers ran meanwhile", handled > 4 * 250);
	SAME("handlers that began with somebody's state", 0, stale);
	close(ends[0]);
	close(ends[1]);
}

/* What the handler writes to its frame is there after it. */
static void change(int signal, siginfo_t *info, void *context)
{
	ucontext_t *frame = context;

	frame->uc_mcontext.gregs[REG_RIP] += 2;
	memset(&frame->uc_mcontext.fpregs->_xmm[3], 0x5a, 16);
	frame->uc_mcontext.fpregs->cwd = 0x27f;
}

static void changed(void)
{
	struct sigaction action = { .sa_sigaction = change, .sa_flags = SA_SIGINFO };
	struct pattern in, out;

	fill(&in, 9);
	sigaction(SIGILL, &action, NULL);
	happen(&in, &out, SKIP, 0, 0, 0, 0);
	memset(in.low.xmm[3], 0x5a, 16);
	memset(in.ymm[3], 0x5a, 16);
	in.low.control = 0x27f;
	SAME("what a handler changed in its frame", 0, compare(&in, &out));
	signal(SIGILL, SIG_DFL);
	signal(SIGALRM, SIG_DFL);
}

static int rounding(void *unused) { return fegetround() == FE_UPWARD ? 14 : 1; }
static void *rounding_of_thread(void *unused) { return (void *)(long)(fegetround() == FE_UPWARD); }

static void inherited(void)
{
	pthread_t thread;
	void *result;

	fesetround(FE_UPWARD);
	SAME("a child's rounding", EXITED(14), in_child(rounding, NULL));
	pthread_create(&thread, NULL, rounding_of_thread, NULL);
	pthread_join(thread, &result);
	SAME("a thread's rounding", 1, result);
	fesetround(FE_TONEAREST);
}

static void run(void)
{
	avx = have_avx();
	printf("  %s\n", avx ? "x87, SSE, AVX" : "x87, SSE");
	kept();
	changed();
	inherited();
}

const struct part state_part = { "state", run };
