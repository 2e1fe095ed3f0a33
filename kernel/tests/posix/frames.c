// SPDX-License-Identifier: MIT OR Apache-2.0
/* The frame of a signal's handler: what sigreturn makes of registers that the handler changed, good ones and bad ones. */
#define _GNU_SOURCE
#include <setjmp.h>
#include <signal.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <ucontext.h>
#include "check.h"

static sigjmp_buf escape;
static siginfo_t seen;

static void on_fault(int signal, siginfo_t *info, void *context)
{
	seen = *info;
	siglongjmp(escape, 1);
}

static void handle(int signal, void (*handler)(int, siginfo_t *, void *), int flags)
{
	struct sigaction action = { .sa_sigaction = handler, .sa_flags = SA_SIGINFO | flags };

	sigaction(signal, &action, NULL);
}

/* Every register that a handler may give: what it put there is there. */
static void set_all(int signal, siginfo_t *info, void *context)
{
	greg_t *registers = ((ucontext_t *)context)->uc_mcontext.gregs;
	static const int which[] = { REG_RAX, REG_RBX, REG_RCX, REG_RDX, REG_RSI, REG_RDI, REG_R8, REG_R9, REG_R10, REG_R11,
				     REG_R12, REG_R13, REG_R14, REG_R15 };

	for (size_t i = 0; i < sizeof which / sizeof *which; i++)
		registers[which[i]] = (long)(0x1111111111111111UL * (i + 1));
	registers[REG_EFL] |= 0x8d5;	/* OF SF ZF AF PF CF */
	if (signal == SIGILL)
		registers[REG_RIP] += 2;
}

#define SAVE "push %%rbx; push %%rbp; push %%r12; push %%r13; push %%r14; push %%r15; push %[out]\n"
#define CATCH	/* rax is taken first, the flags at once; [out] lies on the stack */		\
	"pushf; push %%rax; mov 16(%%rsp), %%rax\n"						\
	"mov %%rbx, 8(%%rax); mov %%rcx, 16(%%rax); mov %%rdx, 24(%%rax); mov %%rsi, 32(%%rax)\n"	\
	"mov %%rdi, 40(%%rax); mov %%r8, 48(%%rax); mov %%r9, 56(%%rax); mov %%r10, 64(%%rax)\n"	\
	"mov %%r11, 72(%%rax); mov %%r12, 80(%%rax); mov %%r13, 88(%%rax); mov %%r14, 96(%%rax)\n"	\
	"mov %%r15, 104(%%rax); pop %%rcx; mov %%rcx, (%%rax); pop %%rcx; mov %%rcx, 112(%%rax)\n"	\
	"pop %[out]; pop %%r15; pop %%r14; pop %%r13; pop %%r12; pop %%rbp; pop %%rbx\n"

static void good(void)
{
	unsigned long out[15] = { 0 };
	long pid = getpid(), tid = syscall(SYS_gettid);

	/* After a fault. */
	handle(SIGILL, set_all, 0);
	__asm__ volatile (SAVE "ud2\n" CATCH : : [out] "r"(out)
			  : "rax", "rcx", "rdx", "rsi", "rdi", "r8", "r9", "r10", "r11", "memory", "cc");
	for (int i = 0; i < 14; i++)
		SAME("a register that the handler put, after a fault", (long)(0x1111111111111111UL * (i + 1)), out[i]);
	SAME("the flags", 0x8d5, out[14] & 0x8d5);

	/* After a call: the handler's values, and not the call's. */
	handle(SIGUSR1, set_all, 0);
	for (int round = 0; round < 20; round++) {
		register long di __asm__("rdi") = pid, si __asm__("rsi") = tid, dx __asm__("rdx") = SIGUSR1;
		register void *where __asm__("r8") = out;
		memset(out, 0, sizeof out);
		__asm__ volatile ("push %%rbx; push %%rbp; push %%r12; push %%r13; push %%r14; push %%r15; push %%r8\n"
#ifdef UKL_LINKED
				  "call __ukl_syscall\n"
#else
				  "syscall\n"
#endif
				  "pushf; push %%rax; mov 16(%%rsp), %%rax\n"
				  "mov %%rbx, 8(%%rax); mov %%rcx, 16(%%rax); mov %%rdx, 24(%%rax); mov %%rsi, 32(%%rax)\n"
				  "mov %%rdi, 40(%%rax); mov %%r8, 48(%%rax); mov %%r9, 56(%%rax); mov %%r10, 64(%%rax)\n"
				  "mov %%r11, 72(%%rax); mov %%r12, 80(%%rax); mov %%r13, 88(%%rax); mov %%r14, 96(%%rax)\n"
				  "mov %%r15, 104(%%rax); pop %%rcx; mov %%rcx, (%%rax); pop %%rcx; mov %%rcx, 112(%%rax)\n"
				  "pop %%r8; pop %%r15; pop %%r14; pop %%r13; pop %%r12; pop %%rbp; pop %%rbx\n"
				  : "+r"(di), "+r"(si), "+r"(dx), "+r"(where) : "a"(SYS_tgkill)
				  : "rcx", "r9", "r10", "r11", "memory", "cc");
		for (int i = 0; i < 14; i++)
			SAME("a register that the handler put, after a call", (long)(0x1111111111111111UL * (i + 1)), out[i]);
		SAME("the flags after a call", 0x8d5, out[14] & 0x8d5);
	}
}

static char other_stack[65536] __attribute__((aligned(64)));
static volatile int landed;

static void land(void)
{
	char here;

	landed = &here >= other_stack && &here < other_stack + sizeof other_stack ? 1 : 2;
	siglongjmp(escape, 1);
}

static void go_elsewhere(int signal, siginfo_t *info, void *context)
{
	greg_t *registers = ((ucontext_t *)context)->uc_mcontext.gregs;

	registers[REG_RIP] = (uintptr_t)land;
	registers[REG_RSP] = (uintptr_t)other_stack + sizeof other_stack - 8;
}

static void elsewhere(void)
{
	handle(SIGUSR1, go_elsewhere, 0);
	for (int i = 0; i < 20; i++) {
		landed = 0;
		if (!sigsetjmp(escape, 1))
			raise(SIGUSR1);
		SAME("another function on another stack", 1, landed);
	}
}

static greg_t bad_rip, bad_rsp;
static int which_bad;

static void spoil(int signal, siginfo_t *info, void *context)
{
	ucontext_t *frame = context;
	greg_t *registers = frame->uc_mcontext.gregs;

	if (bad_rip)
		registers[REG_RIP] = bad_rip;
	if (bad_rsp)
		registers[REG_RSP] = bad_rsp;
	if (which_bad == 1)
		frame->uc_mcontext.fpregs = (void *)0x1238;
	if (which_bad == 3)
		frame->uc_mcontext.fpregs = (void *)0x4141414141414141;
}

/* No instruction runs after such a return: a signal instead, whose handler has a stack of its own. */
static void bad(const char *what, greg_t rip, greg_t rsp, int which, bool bus_too)
{
	handle(SIGUSR1, spoil, 0);
	bad_rip = rip, bad_rsp = rsp, which_bad = which;
	memset(&seen, 0, sizeof seen);
	fflush(stdout);
	if (!sigsetjmp(escape, 1))
		raise(SIGUSR1);
	if (seen.si_signo != SIGSEGV && !(bus_too && seen.si_signo == SIGBUS))
		unexpected(__FILE_NAME__, __LINE__, what, SIGSEGV, seen.si_signo);
}

static void bad_frames(void)
{
	static char alternate[65536];
	stack_t second = { .ss_sp = alternate, .ss_size = sizeof alternate };

	sigaltstack(&second, NULL);
	handle(SIGSEGV, on_fault, SA_ONSTACK);
	handle(SIGBUS, on_fault, SA_ONSTACK);
	bad("a non-canonical instruction pointer", 0x4141414141414141, 0, 0, false);
	bad("an instruction pointer near NULL", 0x18, 0, 0, false);
	bad("an unmapped instruction pointer", 0x700000001000, 0, 0, false);
	bad("an instruction pointer into a hole of the kernel half", 0xfffffd0000000000, 0, 0, false);
	bad("an unmapped stack pointer", 0, 0x18, 0, false);
	bad("a non-canonical stack pointer", 0, 0x4141414141414141, 0, true);
	bad("both", 0x4141414141414141, 0x4141414141414141, 0, true);
	bad("a bad pointer to the FP state", 0, 0, 1, false);
	bad("a non-canonical pointer to the FP state", 0, 0, 3, false);
	/* Sigreturn from nowhere: the stack pointer is its frame. */
	memset(&seen, 0, sizeof seen);
	if (!sigsetjmp(escape, 1))
		__asm__ volatile ("mov $0x1000, %%esp; mov $15, %%eax; syscall; ud2" ::: "memory");
	SAME("sigreturn without a frame", SIGSEGV, seen.si_signo);
	signal(SIGSEGV, SIG_DFL);
	signal(SIGBUS, SIG_DFL);
	second.ss_flags = SS_DISABLE;
	sigaltstack(&second, NULL);
}

static int return_badly(void *unused)
{
	handle(SIGUSR1, spoil, 0);
	bad_rip = 0x4141414141414141, bad_rsp = 0, which_bad = 0;
	raise(SIGUSR1);
	return 1;
}

static void run(void)
{
	good();
	elsewhere();
	bad_frames();
	SAME("a bad frame without a handler", SIGSEGV, in_child(return_badly, NULL) & 0x7f);
	signal(SIGUSR1, SIG_DFL);
	signal(SIGILL, SIG_DFL);
}

const struct part frames_part = { "frames", run };
