/* Ring 3, as /init: the kernel half must be refused to it, before, beside and after the application. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <sys/prctl.h>
#include <stddef.h>
#include <ucontext.h>
#include <ukl.h>

/* linux/futex.h and asm/prctl.h, which the C library does not carry. */
#define FUTEX_WAIT_PRIVATE 128
#define ARCH_SET_GS 0x1001
#define ARCH_SET_FS 0x1002
#define ARCH_GET_GS 0x1004

static int failed;
static void expect(const char *what, long r, int want)
{
	int ok = r == -1 && errno == want;
	printf("  %-34s %s\n", what, ok ? (want == EFAULT ? "EFAULT" : "refused") : "ALLOWED");
	failed += !ok;
}

static void check(const char *what, int ok)
{
	printf("  %-34s %s\n", what, ok ? "yes" : "NO");
	failed += !ok;
}

/* Ends when its GS base is not what it set. */
static void use_gs(void)
{
	unsigned long gs = 0, x = 0;

	syscall(SYS_arch_prctl, ARCH_SET_GS, &x);
	for (unsigned long i = 0;; i++) {
		if (i % 1000 == 0)
			syscall(SYS_arch_prctl, ARCH_GET_GS, &gs);
		__asm__ volatile ("incq %%gs:0" ::: "memory");
		if (x != i + 1 || gs != (unsigned long)&x)
			_exit(1);
	}
}

static void to_ring0(int sig, siginfo_t *si, void *u)
{
	((ucontext_t *)u)->uc_mcontext.gregs[REG_CSGSFS] =
		(((ucontext_t *)u)->uc_mcontext.gregs[REG_CSGSFS] & ~0xffffL) | 0x13;
}

int main(int argc, char **argv)
{
	char *k = (char *)0xffffffff81000000;	/* the kernel's text */
	int p[2], st, zero = open("/dev/zero", O_RDONLY);

	pipe(p);
	write(p[1], "abc", 3);
	check("it runs in ring 3", ukl_ring() == 3);
	expect("write(pipe, kernel, 8)", write(p[1], k, 8), EFAULT);
	expect("read(/dev/zero, kernel, 8)", read(zero, k, 8), EFAULT);
	expect("open(kernel string)", open(k, O_RDONLY), EFAULT);
	expect("ioctl(FIONREAD, kernel) put_user", ioctl(p[0], FIONREAD, k), EFAULT);
	expect("futex(kernel) get_user", syscall(SYS_futex, k, FUTEX_WAIT_PRIVATE, 0, 0, 0, 0), EFAULT);
	expect("setitimer(kernel)", syscall(SYS_setitimer, 0, k, 0), EFAULT);
	expect("execve(argv in kernel) get_user", syscall(SYS_execve, "/init", k, 0), EFAULT);
	expect("arch_prctl(SET_FS, kernel)", syscall(SYS_arch_prctl, ARCH_SET_FS, k), EPERM);
	fflush(stdout);
	/* The marked selector of the application's frames, put into one's own by two ways. */
	if (!fork()) {
		struct sigaction sa = { .sa_sigaction = to_ring0, .sa_flags = SA_SIGINFO };
		sigaction(SIGUSR1, &sa, 0);
		raise(SIGUSR1);
		_exit(ukl_ring() ? 1 : 42);
	}
	wait(&st);
	printf("  sigreturn with CS 0x13             %s (status %#x)\n",
		WIFEXITED(st) && WEXITSTATUS(st) == 42 ? "RING 0" : WIFSIGNALED(st) ? "killed" : "no effect", st);
	failed += WIFEXITED(st) && WEXITSTATUS(st) == 42;
	pid_t c = fork();
	if (!c) {
		ptrace(PTRACE_TRACEME, 0, 0, 0);
		raise(SIGSTOP);
		_exit(ukl_ring() ? 1 : 42);
	}
	waitpid(c, &st, 0);
	errno = 0;
	long r = ptrace(PTRACE_POKEUSER, c, offsetof(struct user, regs.cs), 0x13);
	ptrace(PTRACE_CONT, c, 0, 0);
	waitpid(c, &st, 0);
	printf("  ptrace with CS 0x13                %s (poke %ld, status %#x)\n",
		WIFEXITED(st) && WEXITSTATUS(st) == 42 ? "RING 0" :
		WIFSTOPPED(st) && WSTOPSIG(st) == SIGSEGV ? "killed" : "no effect", r, st);
	failed += WIFEXITED(st) && WEXITSTATUS(st) == 42;
	/* A ring-3 neighbour that uses GS and keeps switching with the application. */
	pid_t neighbour = fork();
	if (!neighbour)
		use_gs();
	/* The application as a child, and what it left behind. */
	if (!(c = fork())) {
		execl("/ukl", "ukl", (char *)0);
		_exit(99);
	}
	waitpid(c, &st, 0);
	check("the application ended well", WIFEXITED(st) && WEXITSTATUS(st) == 23);
	check("the neighbour's GS was kept", waitpid(neighbour, &st, WNOHANG) == 0);
	expect("afterwards: write(pipe, kernel, 8)", write(p[1], k, 8), EFAULT);
	printf("confined: %s\n", failed ? "FAILED" : "ok");
	ukl_power_off();
}
