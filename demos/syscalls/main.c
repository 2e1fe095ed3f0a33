/*
 * Small system calls in loops, in the manner of LEBench: each bench_*() makes exactly n calls of each system call it is
 * named after. n=NUMBER on the kernel's command line; alarm=MICROSECONDS asks for a SIGALRM so often meanwhile.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <ukl.h>

enum { MESSAGE = 64 };

static long n = 1000;
static volatile long ticks;
static volatile double seen = 1.5;

static void on_alarm(int sig)
{
	ticks++;
	seen = seen * 1.0001 + 0.25;	/* the SSE registers change under the loops */
	if (seen > 1e6)
		seen = 1.5;
}

static void die(const char *what)
{
	printf("syscalls: FAILED: %s: %s\n", what, strerror(errno));
	exit(1);
}

/* Each loop gives the number of calls with a wrong result. */
#define BENCH __attribute__((noinline, noclone)) static long

BENCH bench_getppid(void)
{
	long bad = 0;
	int parent = 1;		/* /init */

	for (long i = 0; i < n; i++)
		bad += getppid() != parent;
	return bad;
}

BENCH bench_read(int zero)
{
	long bad = 0;
	char c;

	for (long i = 0; i < n; i++)
		bad += read(zero, &c, 1) != 1;
	return bad;
}

BENCH bench_write(int null)
{
	long bad = 0;
	char c = 'x';

	for (long i = 0; i < n; i++)
		bad += write(null, &c, 1) != 1;
	return bad;
}

/* AF_UNIX: what is sent is received at once, so that no queue grows. */
BENCH bench_sendto_recvfrom(int from, int to)
{
	long bad = 0;
	char c = 'x', d = 0;

	for (long i = 0; i < n; i++) {
		bad += sendto(from, &c, 1, 0, 0, 0) != 1;
		bad += recvfrom(to, &d, 1, 0, 0, 0) != 1 || d != c;
	}
	return bad;
}

__attribute__((noinline, noclone)) static long tcp_send(int fd, const void *message)
{
	struct iovec iov = { (void *)message, MESSAGE };
	struct msghdr header = { .msg_iov = &iov, .msg_iovlen = 1 };

	if (ukl_mode() == UKL_SHORTCUT)
		return ukl_tcp_sendmsg(fd, message, MESSAGE, 0);
	return sendmsg(fd, &header, 0);
}

__attribute__((noinline, noclone)) static long tcp_recv(int fd, void *message)
{
	struct iovec iov = { message, MESSAGE };
	struct msghdr header = { .msg_iov = &iov, .msg_iovlen = 1 };
	long r;

	if (ukl_mode() != UKL_SHORTCUT)
		return recvmsg(fd, &header, 0);
	do r = ukl_tcp_recvmsg(fd, message, MESSAGE, 0); while (r == -EINTR);
	return r;
}

/* TCP over loopback, to and fro within one thread: sendmsg and recvmsg, or the shortcuts. */
BENCH bench_tcp(const int end[2])
{
	char out[MESSAGE], in[MESSAGE];
	long bad = 0;

	for (long i = 0; i < n; i++) {
		memset(out, i, MESSAGE);
		bad += tcp_send(end[i & 1], out) != MESSAGE;
		bad += tcp_recv(end[~i & 1], in) != MESSAGE;
		bad += memcmp(in, out, MESSAGE) != 0;
	}
	return bad;
}

static void tcp_pair(int end[2])
{
	struct sockaddr_in address = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t length = sizeof address;
	struct ifreq request = { .ifr_name = "lo" };
	int one = 1, listener = socket(AF_INET, SOCK_STREAM, 0);

	memcpy(&request.ifr_addr, &address, sizeof address);
	if (ioctl(listener, SIOCSIFADDR, &request)) die("SIOCSIFADDR");
	request.ifr_flags = IFF_UP | IFF_RUNNING;
	if (ioctl(listener, SIOCSIFFLAGS, &request)) die("SIOCSIFFLAGS");
	if (bind(listener, (void *)&address, length) || listen(listener, 1) ||
	    getsockname(listener, (void *)&address, &length)) die("listen");
	end[0] = socket(AF_INET, SOCK_STREAM, 0);
	if (connect(end[0], (void *)&address, length)) die("connect");
	if ((end[1] = accept(listener, 0, 0)) < 0) die("accept");
	for (int i = 0; i < 2; i++)
		setsockopt(end[i], IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
}

static void arm(long microseconds)
{
	struct sigaction action = { .sa_handler = on_alarm, .sa_flags = SA_RESTART };
	struct itimerval every = { { 0, microseconds }, { 0, microseconds } };

	sigaction(SIGALRM, &action, 0);
	setitimer(ITIMER_REAL, &every, 0);
}

int main(void)
{
	int zero = open("/dev/zero", O_RDONLY), null = open("/dev/null", O_WRONLY), pair[2], tcp[2];
	char *asked;
	long bad = 0;

	if ((asked = getenv("n"))) n = atol(asked);
	if (zero < 0 || null < 0) die("open");
	if (socketpair(AF_UNIX, SOCK_STREAM, 0, pair)) die("socketpair");
	tcp_pair(tcp);
	printf("syscalls: mode %s, ring %d, n %ld\n", ukl_mode_name(), ukl_ring(), n);
	fflush(stdout);
	if ((asked = getenv("alarm"))) arm(atol(asked));
	bad += bench_getppid();
	bad += bench_read(zero);
	bad += bench_write(null);
	bad += bench_sendto_recvfrom(pair[0], pair[1]);
	bad += bench_tcp(tcp);
	if (asked) printf("syscalls: %s\n", ticks ? "alarms came" : "NO ALARM CAME");
	printf("syscalls: %ld wrong results, %s\n", bad, bad ? "FAILED" : "ok");
	return bad != 0;
}
