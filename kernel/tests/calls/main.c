/* The awkward calls, from the application: signals, faults, processes. Each line says what was seen. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <ukl.h>

static volatile int got, failed;
static sigjmp_buf env;
static int p[2];

static void on_alarm(int s) { got++; }
static void on_segv(int s, siginfo_t *si, void *u) { got = 1000 + si->si_code; siglongjmp(env, 1); }
/* Again and again: on a slow machine the first alarm may come before the call that it is to interrupt. 0: no more. */
static void arm(int flags, int us)
{
	struct sigaction sa = { .sa_handler = on_alarm, .sa_flags = flags };
	struct itimerval it = { { 0, us }, { 0, us } };
	got = 0;
	sigaction(SIGALRM, &sa, 0);
	setitimer(ITIMER_REAL, &it, 0);
}
static void check(const char *what, int ok)
{
	printf("  %-44s %s\n", what, ok ? "yes" : "NO: FAILED");
	fflush(stdout);
	failed += !ok;
}
static void *late_writer(void *a) { usleep(60000); write(p[1], "z", 1); return 0; }
static volatile int *volatile nowhere;

/* Calls a page of the user half that may be executed: it returns, or SMEP refuses it and the handler runs; it must not hang. */
static int call_user_page(void)
{
	unsigned char *page = mmap(0, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	page[0] = 0xc3;	/* ret */
	got = 0;
	if (sigsetjmp(env, 1)) return got == 1000 + SEGV_ACCERR || got == 1000 + SEGV_MAPERR;
	((void (*)(void))page)();
	return 1;
}

int main(int argc, char **argv)
{
	struct timespec ts = { 0, 300000000 }, rem = { 9, 9 };
	struct pollfd pf;
	struct sigaction sa = { 0 };
	pthread_t t;
	sigset_t none, block;
	char c = 0;
	int st, r;
	pid_t pid;

	if (argc > 1 && !strcmp(argv[1], "child")) _exit(7);
	printf("calls: mode %s\n", ukl_mode_name());
	pipe(p);
	arm(0, 20000);
	check("read, signal without SA_RESTART: EINTR", read(p[0], &c, 1) == -1 && errno == EINTR && got >= 1);
	arm(SA_RESTART, 20000);
	pthread_create(&t, 0, late_writer, 0);
	check("read, signal with SA_RESTART: restarted", read(p[0], &c, 1) == 1 && c == 'z' && got >= 1);
	arm(0, 0);
	pthread_join(t, 0);
	arm(SA_RESTART, 10000);
	check("nanosleep, signal: EINTR and remainder", nanosleep(&ts, &rem) == -1 && errno == EINTR && rem.tv_nsec < ts.tv_nsec && got >= 1);
	pf = (struct pollfd){ .fd = p[0], .events = POLLIN };
	arm(SA_RESTART, 10000);
	check("poll, signal: EINTR", poll(&pf, 1, 1000) == -1 && errno == EINTR && got >= 1);
	sigemptyset(&none); sigemptyset(&block); sigaddset(&block, SIGALRM);
	sigprocmask(SIG_BLOCK, &block, 0);
	arm(0, 10000);
	check("sigsuspend", sigsuspend(&none) == -1 && errno == EINTR && got >= 1);
	arm(0, 0);
	sigprocmask(SIG_UNBLOCK, &block, 0);
	sa.sa_sigaction = on_segv; sa.sa_flags = SA_SIGINFO;
	sigaction(SIGSEGV, &sa, 0);
	got = 0;
	if (!sigsetjmp(env, 1)) *nowhere = 1;
	check("null store: SIGSEGV handler", got == 1000 + SEGV_MAPERR);
	got = 0;
	if (!sigsetjmp(env, 1)) { char *ro = mmap(0, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0); *ro = 1; }
	check("store to a read-only page: SIGSEGV handler", got == 1000 + SEGV_ACCERR);
	check("code in the user half: runs, or SIGSEGV", call_user_page());
	check("bad pointer to a call: EFAULT", read(p[0], (void *)8, 0) <= 0 && write(p[1], (void *)8, 1) == -1 && errno == EFAULT);
	check("unknown call: ENOSYS", syscall(999) == -1 && errno == ENOSYS && syscall(-1) == -1 && errno == ENOSYS);
	r = posix_spawn(&pid, "/app.linux", 0, 0, (char *[]){ "app", "child", 0 }, (char *[]){ 0 });
	check("posix_spawn of a ring-3 program", !r && waitpid(pid, &st, 0) == pid && WIFEXITED(st) && WEXITSTATUS(st) == 7);
	pid = vfork();
	if (!pid) { execl("/app.linux", "app", "child", (char *)0); _exit(1); }
	check("vfork, execve", waitpid(pid, &st, 0) == pid && WIFEXITED(st) && WEXITSTATUS(st) == 7);
	pid = vfork();
	if (!pid) { execl("/none", "app", "child", (char *)0); _exit(9); }
	check("vfork, failing execve", waitpid(pid, &st, 0) == pid && WIFEXITED(st) && WEXITSTATUS(st) == 9);
	if (ukl_mode()) {
		errno = 0;
		pid = vfork();
		if (!pid) { execl("/ukl", "ukl", (char *)0); _exit(errno == EBUSY ? 3 : 4); }
		check("a second run of the application: refused", waitpid(pid, &st, 0) == pid && WIFEXITED(st) && WEXITSTATUS(st) == 3);
	}
	pid = fork();
	if (!pid) { char buf[4096]; memset(buf, 1, sizeof buf); execl("/app.linux", "app", "child", (char *)0); _exit(1); }
	{ char buf[4096]; memset(buf, 2, sizeof buf); }
	check("fork, execve", waitpid(pid, &st, 0) == pid && WIFEXITED(st) && WEXITSTATUS(st) == 7);
	pid = fork();
	if (!pid) { pid = fork(); if (!pid) _exit(5); waitpid(pid, &st, 0); _exit(WEXITSTATUS(st) + 1); }
	check("fork in a fork", waitpid(pid, &st, 0) == pid && WIFEXITED(st) && WEXITSTATUS(st) == 6);
	printf("calls: %s\n", failed ? "FAILED" : "ok");
	ukl_power_off();
}
