// SPDX-License-Identifier: MIT OR Apache-2.0
/* TCP over loopback by calls, or in mode shortcut by the shortcuts: what blocks, what a signal interrupts, what fails and how. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <net/if.h>
#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/time.h>
#include "check.h"

static long take(int fd, void *buffer, size_t length, int flags)
{
	long result;

	if (ukl_mode() == UKL_SHORTCUT)
		return ukl_tcp_recvmsg(fd, buffer, length, flags);
	result = recv(fd, buffer, length, flags);
	return result < 0 ? -errno : result;
}

static long give(int fd, const void *buffer, size_t length, int flags)
{
	long result;

	if (ukl_mode() == UKL_SHORTCUT)
		return ukl_tcp_sendmsg(fd, buffer, length, flags);
	result = send(fd, buffer, length, flags);
	return result < 0 ? -errno : result;
}

static bool connected(int end[2])
{
	struct sockaddr_in address = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t length = sizeof address;
	int listener = socket(AF_INET, SOCK_STREAM, 0);

	if (bind(listener, (void *)&address, length) || listen(listener, 1) || getsockname(listener, (void *)&address, &length))
		return false;
	end[0] = socket(AF_INET, SOCK_STREAM, 0);
	if (connect(end[0], (void *)&address, length))
		return false;
	end[1] = accept(listener, NULL, NULL);
	close(listener);
	return end[1] >= 0;
}

/* Where nobody has done it: without it there is no 127.0.0.1. */
static void loopback_up(void)
{
	struct ifreq request = { .ifr_name = "lo" };
	struct sockaddr_in address = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int fd = socket(AF_INET, SOCK_DGRAM, 0);

	memcpy(&request.ifr_addr, &address, sizeof address);
	ioctl(fd, SIOCSIFADDR, &request);
	request.ifr_flags = IFF_UP | IFF_RUNNING;
	ioctl(fd, SIOCSIFFLAGS, &request);
	close(fd);
}

static volatile int count;
static void on_signal(int signal) { __atomic_add_fetch(&count, 1, __ATOMIC_RELAXED); }

static void handle(int signal, int flags)
{
	struct sigaction action = { .sa_handler = on_signal, .sa_flags = flags };

	count = 0;
	sigaction(signal, &action, NULL);
}

static void every(long us)
{
	struct itimerval timer = { { 0, us }, { 0, us } };

	setitimer(ITIMER_REAL, &timer, NULL);
}

static int end[2];

static void *give_later(void *text)
{
	sleep_ms(60);
	give(end[1], text, strlen(text), 0);
	return NULL;
}

static void blocking(void)
{
	pthread_t thread;
	char text[32] = "";
	struct timeval limit = { 0, 30000 };

	pthread_create(&thread, NULL, give_later, "later");
	SAME("a receive that waits", 5, take(end[0], text, sizeof text, 0));
	HOLDS("what it got", !strcmp(text, "later"));
	pthread_join(thread, NULL);
	SAME("a receive that must not wait", -EAGAIN, take(end[0], text, 1, MSG_DONTWAIT));
	fcntl(end[0], F_SETFL, O_NONBLOCK);
	SAME("a receive from a descriptor that does not block", -EAGAIN, take(end[0], text, 1, 0));
	fcntl(end[0], F_SETFL, 0);
	setsockopt(end[0], SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
	SAME("a receive with a timeout", -EAGAIN, take(end[0], text, 1, 0));
	limit.tv_usec = 0;
	setsockopt(end[0], SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
	static char much[1 << 16];
	int full[2];
	long result;
	NEEDS("another connection", connected(full));
	handle(SIGALRM, 0);
	every(20000);
	SAME("a receive that a signal interrupts", -EINTR, take(end[0], text, 1, 0));
	HOLDS("its handler ran before the return", count >= 1);
	/* With nothing taken away, a connection is full and its sender waits. */
	do result = give(full[1], much, sizeof much, MSG_DONTWAIT); while (result > 0 || result == -EINTR);
	SAME("a send that must not wait", -EAGAIN, result);
	do result = give(full[1], much, sizeof much, 0); while (result > 0);
	SAME("a send that a signal interrupts", -EINTR, result);
	every(0);
	close(full[0]);
	close(full[1]);
	/* Every signal restarts a call; a shortcut is none, and says so. */
	handle(SIGALRM, SA_RESTART);
	every(20000);
	pthread_create(&thread, NULL, give_later, "again");
	do {
		result = take(end[0], text, sizeof text, 0);
		HOLDS("interrupted in a shortcut alone", result != -EINTR || ukl_mode() == UKL_SHORTCUT);
	} while (result == -EINTR);
	every(0);
	SAME("a receive among restarts", 5, result);
	pthread_join(thread, NULL);
}

static void failing(void)
{
	int pair[2], closed[2];
	char byte = 0;

	SAME("no such descriptor", -EBADF, take(999, &byte, 1, 0));
	SAME("no socket", -ENOTSOCK, take(0, &byte, 1, 0));
	SAME("no such descriptor to send to", -EBADF, give(-1, &byte, 1, 0));
	socketpair(AF_UNIX, SOCK_STREAM, 0, pair);
	SAME("not TCP", ukl_mode() == UKL_SHORTCUT ? -EOPNOTSUPP : 1, give(pair[0], &byte, 1, 0));
	SAME("a buffer that is not there", -EFAULT, give(end[0], (void *)0x18, 1, 0));
	give(end[0], "x", 1, 0);
	SAME("nor to receive into", -EFAULT, take(end[1], (void *)0x18, 1, 0));
	SAME("the byte is still there", 1, take(end[1], &byte, 1, 0));
	NEEDS("another connection", connected(closed));
	close(closed[1]);
	SAME("the end of what the peer sent", 0, take(closed[0], &byte, 1, 0));
	handle(SIGPIPE, 0);
	give(closed[0], &byte, 1, 0);
	sleep_ms(20);
	SAME("to a peer that has gone", -EPIPE, give(closed[0], &byte, 1, 0));
	SAME("SIGPIPE", 1, count);
	SAME("without SIGPIPE", -EPIPE, give(closed[0], &byte, 1, MSG_NOSIGNAL));
	SAME("none came", 1, count);
	signal(SIGPIPE, SIG_DFL);
	close(closed[0]);
	close(pair[0]);
	close(pair[1]);
}

enum { TOTAL = 3 << 20 };

static void *give_all(void *unused)
{
	char chunk[5000];
	long at = 0;

	while (at < TOTAL) {
		long want = TOTAL - at < (long)sizeof chunk ? TOTAL - at : (long)sizeof chunk;
		for (long i = 0; i < want; i++)
			chunk[i] = (at + i) * 31 >> 3;
		for (long done = 0; done < want;) {
			long result = give(end[1], chunk + done, want - done, 0);
			if (result == -EINTR)
				continue;
			if (result <= 0)
				return (void *)1;
			done += result;
		}
		at += want;
	}
	return NULL;
}

/* Both sides block in turn, signals meanwhile: every byte in its place. */
static void transfer(void)
{
	static char chunk[7777];
	pthread_t thread;
	void *failed;
	long at = 0, wrong = 0;

	handle(SIGALRM, SA_RESTART);
	every(1000);
	pthread_create(&thread, NULL, give_all, NULL);
	while (at < TOTAL) {
		long result = take(end[0], chunk, sizeof chunk, 0);
		if (result == -EINTR)
			continue;
		if (result <= 0)
			break;
		for (long i = 0; i < result; i++)
			wrong += chunk[i] != (char)((at + i) * 31 >> 3);
		at += result;
	}
	pthread_join(thread, &failed);
	every(0);
	SAME("bytes received", TOTAL, at);
	SAME("wrong bytes", 0, wrong);
	SAME("the sender", 0, failed);
	HOLDS("signals came", count > 0);
	signal(SIGALRM, SIG_DFL);
}

static void run(void)
{
	loopback_up();
	NEEDS("a connection over loopback", connected(end));
	blocking();
	failing();
	transfer();
	close(end[0]);
	close(end[1]);
}

const struct part network_part = { "network", run };
