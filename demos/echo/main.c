/*
 * A TCP echo server and its client over loopback, each a thread that blocks while it waits for the other.
 * In mode shortcut both call the kernel's tcp_sendmsg and tcp_recvmsg paths directly.
 * n=NUMBER on the kernel's command line: that many messages each way.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <net/if.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <ukl.h>

enum { MESSAGE = 64 };

static void die(const char *what)
{
	printf("echo: FAILED: %s: %s\n", what, strerror(errno));
	exit(1);
}

__attribute__((noinline, noclone)) static long echo_send(int fd, const void *message, size_t length)
{
	if (ukl_mode() == UKL_SHORTCUT)
		return ukl_tcp_sendmsg(fd, message, length, 0);
	return send(fd, message, length, 0);
}

__attribute__((noinline, noclone)) static long echo_recv(int fd, void *message, size_t length)
{
	long r;

	if (ukl_mode() != UKL_SHORTCUT)
		return recv(fd, message, length, 0);
	/* A shortcut is no system call: nobody restarts it after a signal. */
	do r = ukl_tcp_recvmsg(fd, message, length, 0); while (r == -EINTR);
	return r;
}

/* A request is a message; demo.toml names this function. */
__attribute__((noinline, noclone)) static int answer(int fd, const char *message)
{
	return echo_send(fd, message, MESSAGE) == MESSAGE;
}

/* Sends back what comes, until the client is done. */
static void *serve(void *argument)
{
	int fd = (int)(long)argument;
	char message[MESSAGE];

	while (echo_recv(fd, message, MESSAGE) == MESSAGE)
		if (!answer(fd, message))
			break;
	return 0;
}

/* Gives the number of messages that came back wrong. */
static long ask(int fd, long n)
{
	char out[MESSAGE], in[MESSAGE];
	long bad = 0;

	for (long i = 0; i < n; i++) {
		memset(out, i, MESSAGE);
		bad += echo_send(fd, out, MESSAGE) != MESSAGE || echo_recv(fd, in, MESSAGE) != MESSAGE ||
		       memcmp(in, out, MESSAGE) != 0;
	}
	return bad;
}

static int loopback(struct sockaddr_in *address)
{
	socklen_t length = sizeof *address;
	struct ifreq request = { .ifr_name = "lo" };
	int listener = socket(AF_INET, SOCK_STREAM, 0);

	memcpy(&request.ifr_addr, address, sizeof *address);
	if (ioctl(listener, SIOCSIFADDR, &request)) die("SIOCSIFADDR");
	request.ifr_flags = IFF_UP | IFF_RUNNING;
	if (ioctl(listener, SIOCSIFFLAGS, &request)) die("SIOCSIFFLAGS");
	if (bind(listener, (void *)address, length) || listen(listener, 1) ||
	    getsockname(listener, (void *)address, &length)) die("listen");
	return listener;
}

int main(void)
{
	struct sockaddr_in address = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int listener = loopback(&address), client = socket(AF_INET, SOCK_STREAM, 0), server, one = 1;
	char *asked = getenv("n");
	long n = asked ? atol(asked) : 1000, bad;
	pthread_t thread;

	if (connect(client, (void *)&address, sizeof address)) die("connect");
	if ((server = accept(listener, 0, 0)) < 0) die("accept");
	setsockopt(client, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
	setsockopt(server, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
	if (pthread_create(&thread, 0, serve, (void *)(long)server)) die("pthread_create");
	bad = ask(client, n);
	shutdown(client, SHUT_WR);
	pthread_join(thread, 0);
	printf("echo: mode %s, %ld messages, %ld wrong, %s\n", ukl_mode_name(), n, bad, bad ? "FAILED" : "ok");
	return bad != 0;
}
