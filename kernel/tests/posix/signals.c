// SPDX-License-Identifier: MIT OR Apache-2.0
/* Signals: when they come, on which stack, in which order, and what they interrupt. */
#define _GNU_SOURCE
#include <poll.h>
#include <pthread.h>
#include <semaphore.h>
#include <setjmp.h>
#include <signal.h>
#include <stdint.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/select.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include "check.h"

enum { PAGE = 4096 };

static volatile int count, deepest, depth;
static int order[64];
static siginfo_t infos[64];
static char *volatile handler_stack;

static void on_signal(int signal, siginfo_t *info, void *context)
{
	char here;

	handler_stack = &here;
	if (count < 64) {
		order[count] = signal;
		infos[count] = *info;
	}
	count++;
}

static void handle(int signal, void (*handler)(int, siginfo_t *, void *), int flags)
{
	struct sigaction action = { .sa_sigaction = handler, .sa_flags = SA_SIGINFO | flags };

	sigaction(signal, &action, NULL);
	count = depth = deepest = 0;
}

static void block(int how, int signal)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, signal);
	pthread_sigmask(how, &set, NULL);
}

/* Whatever the way back from the call: the handler has run before it returns, and its result is right. */
static void at_return(void)
{
	handle(SIGUSR1, on_signal, 0);
	for (int i = 1; i <= 200; i++) {
		SAME("kill", 0, kill(getpid(), SIGUSR1));
		SAME("the handler ran before kill returned", i, count);
	}
	SAME("its sender", getpid(), infos[0].si_pid);
	SAME("its code", SI_USER, infos[0].si_code);
	handle(SIGUSR1, on_signal, 0);
	pthread_kill(pthread_self(), SIGUSR1);
	SAME("the code of pthread_kill", SI_TKILL, infos[0].si_code);
	/* It waits while blocked, and comes with the call that unblocks it. */
	handle(SIGUSR1, on_signal, 0);
	block(SIG_BLOCK, SIGUSR1);
	for (int i = 0; i < 5; i++)
		raise(SIGUSR1);
	SAME("blocked", 0, count);
	block(SIG_UNBLOCK, SIGUSR1);
	SAME("five of a standard signal are one", 1, count);
}

static void queued(void)
{
	enum { N = 10 };
	union sigval value;

	for (int i = 0; i < 3; i++)
		handle(SIGRTMIN + 2 - i, on_signal, 0);
	for (int i = 0; i < 3; i++)
		block(SIG_BLOCK, SIGRTMIN + i);
	for (int i = 0; i < N; i++) {
		value.sival_int = 100 + i;
		SAME("sigqueue", 0, sigqueue(getpid(), SIGRTMIN + 2 - i % 3, value));
	}
	sigset_t set;
	sigemptyset(&set);
	for (int i = 0; i < 3; i++)
		sigaddset(&set, SIGRTMIN + i);
	/* All at once; each handler starts with the frames of the ones before it not yet run, so the last made runs first. */
	sigprocmask(SIG_UNBLOCK, &set, NULL);
	SAME("all of them came", N, count);
	for (int signal = 0, i = 0; signal < 3; signal++) {
		int previous = -1;
		for (i = 0; i < N; i++) {
			if (order[i] != SIGRTMIN + signal)
				continue;
			HOLDS("values of one signal arrive as sent, or in reverse where frames pile up",
			      infos[i].si_code == SI_QUEUE && infos[i].si_pid == getpid() && infos[i].si_value.sival_int != previous);
			previous = infos[i].si_value.sival_int;
		}
	}
	/* Taken one at a time, the order is told: the lowest number first, and each in turn. */
	for (int i = 0; i < 3; i++)
		block(SIG_BLOCK, SIGRTMIN + i);
	for (int i = 0; i < N; i++) {
		value.sival_int = 100 + i;
		sigqueue(getpid(), SIGRTMIN + i % 3, value);
	}
	static const int expected[N] = { 100, 103, 106, 109, 101, 104, 107, 102, 105, 108 };
	for (int i = 0; i < N; i++) {
		siginfo_t info;
		SAME("sigwaitinfo", SIGRTMIN + (i < 4 ? 0 : i < 7 ? 1 : 2), sigwaitinfo(&set, &info));
		SAME("its value", expected[i], info.si_value.sival_int);
	}
	FAILS("sigtimedwait with nothing left", EAGAIN, sigtimedwait(&set, NULL, &(struct timespec){ 0, 5000000 }));
	sigprocmask(SIG_UNBLOCK, &set, NULL);
}

static void raise_again(int signal, siginfo_t *info, void *context)
{
	depth++;
	if (depth > deepest)
		deepest = depth;
	count++;
	if (count < 6)
		raise(signal);
	depth--;
}

static void raise_other(int signal, siginfo_t *info, void *context)
{
	count++;
	raise(SIGUSR2);
	order[0] = count;
}

static void nested(void)
{
	handle(SIGUSR1, raise_again, SA_NODEFER);
	raise(SIGUSR1);
	SAME("with SA_NODEFER: depth", 6, deepest);
	handle(SIGUSR1, raise_again, 0);
	raise(SIGUSR1);
	SAME("without: depth", 1, deepest);
	SAME("without: runs", 6, count);
	handle(SIGUSR2, on_signal, 0);
	handle(SIGUSR1, raise_other, 0);
	raise(SIGUSR1);
	SAME("another signal within a handler", 2, order[0]);
	struct sigaction action = { .sa_sigaction = raise_other, .sa_flags = SA_SIGINFO };
	sigaddset(&action.sa_mask, SIGUSR2);
	sigaction(SIGUSR1, &action, NULL);
	count = 0;
	raise(SIGUSR1);
	SAME("what sa_mask holds back", SIGUSR2, order[1]);
	SAME("it came afterwards", 2, count);
	handle(SIGUSR1, on_signal, SA_RESETHAND);
	raise(SIGUSR1);
	sigaction(SIGUSR1, NULL, &action);
	HOLDS("SA_RESETHAND", action.sa_handler == SIG_DFL && count == 1);
}

static void on_second_stack(int signal, siginfo_t *info, void *context)
{
	stack_t now;
	char here;

	handler_stack = &here;
	sigaltstack(NULL, &now);
	SAME("sigaltstack in the handler says so", SS_ONSTACK, now.ss_flags);
	FAILS("changing it meanwhile", EPERM, sigaltstack(&(stack_t){ .ss_sp = &now, .ss_size = 65536 }, NULL));
	count++;
	if (count < 3)
		raise(signal);
}

static void stacks(void)
{
	static char second[65536];
	stack_t stack = { .ss_sp = second, .ss_size = sizeof second }, now;

	FAILS("a stack that is too small", ENOMEM, sigaltstack(&(stack_t){ .ss_sp = second, .ss_size = 100 }, NULL));
	SAME("sigaltstack", 0, sigaltstack(&stack, NULL));
	handle(SIGUSR1, on_signal, 0);
	raise(SIGUSR1);
	HOLDS("without SA_ONSTACK: the ordinary stack", handler_stack < second || handler_stack >= second + sizeof second);
	handle(SIGUSR1, on_second_stack, SA_ONSTACK | SA_NODEFER);
	raise(SIGUSR1);
	HOLDS("with SA_ONSTACK: the second one", handler_stack >= second && handler_stack < second + sizeof second);
	SAME("nested on it", 3, count);
	sigaltstack(NULL, &now);
	SAME("afterwards", 0, now.ss_flags);
	stack.ss_flags = SS_DISABLE;
	sigaltstack(&stack, NULL);
}

/* Calls that a signal interrupts: all fail with EINTR without SA_RESTART; with it, these do and the others go on. */
static int silent[2], pair[2];
static int poked;	/* enough */

/* Again and again: on a slow machine the first may come before the call that it is to interrupt. */
static void *poke(void *target)
{
	while (!__atomic_load_n(&poked, __ATOMIC_RELAXED)) {
		usleep(10000);
		pthread_kill(*(pthread_t *)target, SIGUSR1);
	}
	return NULL;
}

static long interrupted(int call)
{
	struct timespec second = { 5, 0 };
	struct timeval five = { 5, 0 };
	struct epoll_event event;
	struct pollfd poll_fd = { .fd = silent[0], .events = POLLIN };
	sigset_t set;
	fd_set fds;
	sem_t sem;
	char byte;
	int epoll;

	switch (call) {
	case 0: return read(silent[0], &byte, 1);
	case 1: return recv(pair[0], &byte, 1, 0);
	case 2: return nanosleep(&second, &second);
	case 3: return poll(&poll_fd, 1, 5000);
	case 4: FD_ZERO(&fds); FD_SET(silent[0], &fds); return select(silent[0] + 1, &fds, NULL, NULL, &five);
	case 5:
		epoll = epoll_create1(0);
		event.events = EPOLLIN;
		epoll_ctl(epoll, EPOLL_CTL_ADD, silent[0], &event);
		long result = epoll_wait(epoll, &event, 1, 5000);
		int error = errno;
		close(epoll);
		errno = error;
		return result;
	case 6: sigemptyset(&set); return sigsuspend(&set);
	case 7: return pause();
	case 8: sem_init(&sem, 0, 0); return sem_wait(&sem);
	case 9: return waitpid(-1, NULL, 0);
	case 10: sigemptyset(&set); sigaddset(&set, SIGUSR2); return syscall(SYS_rt_sigtimedwait, &set, NULL, NULL, 8);
	}
	return 0;
}

static void eintr(void)
{
	static const char *const names[] = { "read", "recv", "nanosleep", "poll", "select", "epoll_wait", "sigsuspend", "pause",
					     "sem_wait", "waitpid", "sigwaitinfo" };
	pthread_t self = pthread_self(), thread;
	pid_t sleeper = fork();

	if (!sleeper)
		for (;;)
			pause();
	handle(SIGUSR1, on_signal, 0);
	for (int call = 0; call < 11; call++) {
		count = poked = 0;
		pthread_create(&thread, NULL, poke, &self);
		errno = 0;
		long result = interrupted(call);
		__atomic_store_n(&poked, 1, __ATOMIC_RELAXED);
		if (result != -1 || errno != EINTR || !count)
			unexpected(__FILE_NAME__, __LINE__, names[call], -1, result);
		pthread_join(thread, NULL);
	}
	kill(sleeper, SIGKILL);
	waitpid(sleeper, NULL, 0);
}

static void *poke_then_write(void *target)
{
	for (int i = 0; i < 3; i++) {
		usleep(15000);
		pthread_kill(*(pthread_t *)target, SIGUSR1);
	}
	write(silent[1], "x", 1);
	write(pair[1], "y", 1);
	return NULL;
}

static int exit_late(void *unused) { usleep(80000); return 6; }

static void restarted(void)
{
	pthread_t self = pthread_self(), thread;
	char byte = 0;
	int status;
	pid_t pid;

	handle(SIGUSR1, on_signal, SA_RESTART);
	pthread_create(&thread, NULL, poke_then_write, &self);
	SAME("read goes on", 1, read(silent[0], &byte, 1));
	SAME("its byte", 'x', byte);
	SAME("recv goes on", 1, recv(pair[0], &byte, 1, 0));
	SAME("its byte", 'y', byte);
	pthread_join(thread, NULL);
	SAME("signals meanwhile", 3, count);
	pid = fork();
	if (!pid)
		_exit(exit_late(NULL));
	poked = 0;
	pthread_create(&thread, NULL, poke, &self);
	SAME("waitpid goes on", pid, waitpid(pid, &status, 0));
	__atomic_store_n(&poked, 1, __ATOMIC_RELAXED);
	SAME("its status", EXITED(6), status);
	pthread_join(thread, NULL);
}

/* Stopped and continued, a call with a timeout goes on for what is left (restart_syscall), but epoll_wait and the like. */
static void stopped(void)
{
	struct timespec left = { 0, 150000000 };
	struct pollfd poll_fd = { .fd = silent[0], .events = POLLIN };
	pid_t parent = getpid(), pid;

	if (parent == 1)
		return;	/* init cannot be stopped */
	for (int call = 0; call < 2; call++) {
		long start = now_ms();
		pid = fork();
		if (!pid) {
			usleep(20000);
			kill(parent, SIGSTOP);
			usleep(20000);
			kill(parent, SIGCONT);
			_exit(0);
		}
		if (call)
			SAME("poll, stopped and continued", 0, poll(&poll_fd, 1, 150));
		else
			SAME("nanosleep, stopped and continued", 0, nanosleep(&left, NULL));
		HOLDS("it took its time", now_ms() - start >= 149);
		waitpid(pid, NULL, 0);
	}
}

static void from_others(void)
{
	pid_t parent = getpid(), pid;
	int status;

	handle(SIGUSR2, on_signal, SA_RESTART);
	pid = fork();
	if (!pid)
		_exit(sigqueue(parent, SIGUSR2, (union sigval){ .sival_ptr = (void *)0x123456789 }) ? 1 : 0);
	SAME("the child", pid, waitpid(pid, &status, 0));
	for (int i = 0; i < 400 && !count; i++)
		usleep(1000);
	SAME("a signal from a child", 1, count);
	HOLDS("who sent it, and what", infos[0].si_pid == pid && infos[0].si_code == SI_QUEUE &&
	      infos[0].si_value.sival_ptr == (void *)0x123456789);
	handle(SIGCHLD, on_signal, SA_RESTART);
	SAME("a child that exits", EXITED(6), in_child(exit_late, NULL));
	HOLDS("SIGCHLD", count == 1 && infos[0].si_code == CLD_EXITED && infos[0].si_status == 6);
	handle(SIGPIPE, on_signal, 0);
	int ends[2];
	pipe(ends);
	close(ends[0]);
	FAILS("write to a pipe without a reader", EPIPE, write(ends[1], "x", 1));
	SAME("SIGPIPE", 1, count);
	close(ends[1]);
	signal(SIGPIPE, SIG_DFL);
	signal(SIGCHLD, SIG_DFL);
}

static void by_descriptor(void)
{
	struct signalfd_siginfo info = { 0 };
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGUSR2);
	sigprocmask(SIG_BLOCK, &set, NULL);
	int fd = signalfd(-1, &set, SFD_NONBLOCK);
	FAILS("signalfd with nothing to tell", EAGAIN, read(fd, &info, sizeof info));
	sigqueue(getpid(), SIGUSR2, (union sigval){ .sival_int = 42 });
	SAME("signalfd", sizeof info, read(fd, &info, sizeof info));
	HOLDS("what it told", info.ssi_signo == SIGUSR2 && info.ssi_int == 42 && info.ssi_pid == (unsigned)getpid());
	close(fd);
	sigprocmask(SIG_UNBLOCK, &set, NULL);
}

static int pending_in_child(void *unused)
{
	sigset_t pending;

	sigpending(&pending);
	return sigismember(&pending, SIGUSR2) ? 1 : 18;
}

static void over_fork(void)
{
	handle(SIGUSR2, on_signal, 0);
	block(SIG_BLOCK, SIGUSR2);
	raise(SIGUSR2);
	SAME("a child has nothing pending", EXITED(18), in_child(pending_in_child, NULL));
	block(SIG_UNBLOCK, SIGUSR2);
	SAME("it came to the parent", 1, count);
}

static void run(void)
{
	pipe(silent);
	socketpair(AF_UNIX, SOCK_STREAM, 0, pair);
	at_return();
	queued();
	nested();
	stacks();
	eintr();
	restarted();
	stopped();
	from_others();
	by_descriptor();
	over_fork();
	signal(SIGUSR1, SIG_DFL);
	signal(SIGUSR2, SIG_DFL);
}

const struct part signals_part = { "signals", run };
