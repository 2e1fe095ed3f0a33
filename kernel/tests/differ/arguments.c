// SPDX-License-Identifier: MIT OR Apache-2.0
/* Arguments by chance, most of them plausible: what each letter of a call's list stands for. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <limits.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>
#include "differ.h"

static uint64_t state;

/* splitmix64. */
uint64_t chance(void)
{
	uint64_t z = state += 0x9e3779b97f4a7c15;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
	z = (z ^ z >> 27) * 0x94d049bb133111eb;
	return z ^ z >> 31;
}

void seed_chance(uint64_t seed, uint64_t tuple)
{
	state = seed * 0x2545f4914f6cdd1d + tuple * 0x9e3779b97f4a7c15;
	chance();
}

#define ONE_OF(array) ((array)[below(sizeof(array) / sizeof *(array))])

static long descriptor(void)
{
	static const long odd[] = { -1, -100, WORLD_END, 1000, INT_MAX, INT_MIN, 0x10000000a };

	return below(12) ? NULL_FD + below(WORLD_END - NULL_FD) : ONE_OF(odd);
}

static long length(void)
{
	static const long odd[] = { 0, 1, 4095, PAGE, PAGE + 1, REGION, INT_MAX, 1L << 31, 1L << 32, LONG_MAX, LONG_MIN, -1 };

	return below(3) ? below(200) : below(3) ? below(70000) : ONE_OF(odd);
}

static long small_length(void)
{
	static const long odd[] = { 0, 1, 3, 4, 7, 8, 12, 16, 24, 28, 100, 128, 1024, -1, LONG_MIN, 0x100000008 };

	return below(2) ? below(64) : ONE_OF(odd);
}

static long flags(void)
{
	long value = 0;

	switch (below(6)) {
	case 0: case 1: return 0;
	case 2: return chance();
	case 3: return -1;
	default:
		for (long bits = 1 + below(3); bits; bits--)
			value |= 1L << below(below(4) ? 12 : 32);
		return value;
	}
}

static long small_integer(void)
{
	static const long odd[] = { -1, -2, INT_MAX, INT_MIN, LONG_MAX, LONG_MIN, 0x100000000 };

	return below(6) ? below(below(2) ? 8 : 70) : ONE_OF(odd);
}

static long offset(void)
{
	static const long odd[] = { -1, 1L << 31, 1L << 40, LONG_MAX, LONG_MIN, PAGE };

	return below(3) ? below(100) : ONE_OF(odd);
}

static long process(void)
{
	static const long odd[] = { 0, -2, INT_MAX, INT_MIN, 0x3fffff, -0x3fffff };

	return below(2) ? getpid() : ONE_OF(odd);
}

static void timespec_at(struct timespec *time)
{
	static const long seconds[] = { 0, 0, 0, -1, LONG_MAX, 5 }, nanoseconds[] = { 0, 1, 1000000, 2000000, -1, 1000000000, LONG_MIN };

	*time = (struct timespec){ ONE_OF(seconds), ONE_OF(nanoseconds) };
}

static void path_at(char *at)
{
	static const char *const names[] = { "file", "file", "folder", "link", "loop", "missing", "folder/new", "", ".", "folder/../file",
					     "file/below", "missing/below", "/", "/none", "folder/", "new" };

	if (below(20)) {
		strcpy(at, ONE_OF(names));
	} else {
		memset(at, 'n', 4094);
		at[below(2) ? 255 : 4094] = 0;
	}
}

static void address_at(char *at)
{
	struct sockaddr_in *address = (void *)at;
	static const int families[] = { AF_INET, AF_INET, AF_INET, AF_UNIX, AF_UNSPEC, 99 };
	static const int ports[] = { 5000, 5001, 5002, 5003, 0 };

	memset(at, 0, 128);
	address->sin_family = ONE_OF(families);
	if (address->sin_family == AF_UNIX) {
		strcpy(at + 2, below(2) ? "socket" : "file");
		return;
	}
	address->sin_port = htons(ONE_OF(ports));
	address->sin_addr.s_addr = htonl(below(4) ? INADDR_LOOPBACK : below(2) ? INADDR_ANY : 0x7f000005);
}

static char *address_of_any_kind(long room);

/* What a good pointer points to. */
static void contents(char letter, char *at)
{
	switch (letter) {
	case 'P':
		path_at(at);
		break;
	case 'T':
		timespec_at((void *)at);
		timespec_at((void *)(at + sizeof(struct timespec)));
		break;
	case 'V': {
		long *value = (void *)at;
		static const long seconds[] = { 0, 0, 0, -1, 5, LONG_MAX }, us[] = { 0, 1, 2000, 999999, 1000000, -1 };
		for (int i = 0; i < 4; i += 2)
			value[i] = ONE_OF(seconds), value[i + 1] = ONE_OF(us);
		break;
	}
	case 'M':
		*(uint64_t *)at = below(3) ? 1UL << below(64) : chance();
		break;
	case 'A': {
		uint64_t *action = (void *)at;
		action[0] = below(2) ? below(2) : 0x100000000000;
		action[1] = 0x04000000 | (below(2) ? 0 : 1UL << below(32));
		action[2] = 0x100000000100;
		action[3] = chance();
		break;
	}
	case 'E': {
		struct epoll_event *event = (void *)at;
		event->events = below(2) ? EPOLLIN | EPOLLOUT : chance();
		event->data.u64 = 1234;
		break;
	}
	case 'L':
		for (int i = 0; i < 20; i++)
			((struct pollfd *)at)[i] = (struct pollfd){ descriptor(), below(2) ? POLLIN | POLLOUT : chance(), 0 };
		break;
	case 'D':
		memset(at, 0, 128);
		for (int i = 0; i < 4; i++)
			FD_SET(NULL_FD + below(WORLD_END - NULL_FD + 1), (fd_set *)at);
		break;
	case 'v':
		for (int i = 0; i < 8; i++)
			((struct iovec *)at)[i] = (struct iovec){ address_of_any_kind(100), below(8) ? below(100) : length() };
		break;
	case 'm': {
		struct msghdr *message = (void *)at;
		struct iovec *parts = (void *)(at + 1024);
		memset(message, 0, sizeof *message);
		contents('v', (char *)parts);
		message->msg_iov = parts;
		message->msg_iovlen = below(10) ? below(5) : 5000;
		if (below(3) == 0) {
			address_at(at + 512);
			message->msg_name = at + 512;
			message->msg_namelen = below(2) ? 16 : small_length();
		}
		if (below(6) == 0) {
			message->msg_control = address_of_any_kind(64);
			message->msg_controllen = small_length();
		}
		break;
	}
	case 'a':
		address_at(at);
		break;
	case 'l':
		*(unsigned *)at = below(3) ? 16 : small_length();
		break;
	case 'w':
		*(unsigned *)at = below(4);
		break;
	case 'S': {
		stack_t *stack = (void *)at;
		*stack = (stack_t){ .ss_sp = WRITABLE + 8 * PAGE, .ss_flags = below(2) ? 0 : flags(), .ss_size = below(2) ? 3 * PAGE : length() };
		break;
	}
	case 'R': {
		uint64_t *limit = (void *)at;
		static const uint64_t values[] = { -1, 1024, 100000, 1L << 30, 0 };
		limit[0] = ONE_OF(values), limit[1] = ONE_OF(values);
		break;
	}
	case 'Z':
		*(long *)at = offset();
		break;
	}
}

/* Most are good; the others wrong in every way that there is. 'room': what lies before an edge. */
static char *pointer(char *good, long room)
{
	static char *const bad[] = {
		NULL, NULL, (char *)0x18, UNMAPPED, UNMAPPED + 77, FORBIDDEN, FORBIDDEN + 3 * PAGE + 5,
		(char *)0x4141414141414141, (char *)0x800000000000, (char *)0x7ffffffff000, (char *)0x7fffffffeff8,
		(char *)0xffffffff81000000, (char *)0xffffffff82000010, (char *)0xffff888000001000, (char *)0xffff800000000000,
		(char *)0xfffffd0000000000, (char *)-8, (char *)-1,
	};
	long choice = below(20);

	if (choice < 13)
		return good;
	if (choice < 15)
		return good - WRITABLE + READ_ONLY;
	if (choice < 16)	/* it ends within what is asked for */
		return WRITABLE + REGION - 1 - below(room);
	if (choice < 17)
		return good + below(8);
	return ONE_OF(bad);
}

static char *address_of_any_kind(long room)
{
	return pointer(WRITABLE + 9 * PAGE + below(6) * 512, room);
}

static long argument(char letter, int index)
{
	char *good = WRITABLE + index * PAGE;

	switch (letter) {
	case 'f': return descriptor();
	case 'i': return small_integer();
	case 'n': return length();
	case 's': return small_length();
	case 'g': return flags();
	case 'o': return offset();
	case 'p': return process();
	case 'x': return chance();
	case 'z': return 0;
	case '1': return below(4) ? 0 : small_integer();	/* a number that is mostly 0 */
	case 't': return below(2) ? 0 : below(2) ? 5 : -1;	/* a timeout */
	case 'k': return below(16) ? below(4) * PAGE : below(100);	/* a size of memory */
	case 'c': return AT_FDCWD;
	case 'd': return below(3) ? AT_FDCWD : descriptor();
	case 'G': {	/* an address of memory to map or change */
		static char *const places[] = { WRITABLE + 8 * PAGE, READ_ONLY, FORBIDDEN, UNMAPPED, WRITABLE + 12 * PAGE, UNMAPPED + 5 };
		return (long)(below(8) ? ONE_OF(places) : (char *)(below(2) ? 0x4141414141414000 : -PAGE));
	}
	case 'O':	/* a buffer */
		return (long)pointer(WRITABLE + 6 * PAGE + below(16) * 256, 64);
	default:
		contents(letter, good);
		memcpy(good - WRITABLE + READ_ONLY, good, PAGE);
		return (long)pointer(good, 16);
	}
}

void make_arguments(const struct call *call, long arguments[6])
{
	for (int i = 0; i < 6; i++)
		arguments[i] = 0;
	for (int i = 0; call->arguments[i]; i++)
		arguments[i] = argument(call->arguments[i], i);
}
