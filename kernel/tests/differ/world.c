// SPDX-License-Identifier: MIT OR Apache-2.0
/* What every call finds: the same memory, files and descriptors each time. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/timerfd.h>
#include <unistd.h>
#include "differ.h"

static void need(bool condition, const char *what)
{
	if (condition)
		return;
	perror(what);
	_exit(90);
}

void map_regions(void)
{
	static const struct { char *at; int protection; } regions[] = {
		{ WRITABLE, PROT_READ | PROT_WRITE }, { READ_ONLY, PROT_READ | PROT_WRITE }, { FORBIDDEN, PROT_NONE },
	};

	for (size_t i = 0; i < sizeof regions / sizeof *regions; i++)
		need(mmap(regions[i].at, REGION, regions[i].protection, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) ==
		     regions[i].at, "mmap");
}

static void place(int from, int to)
{
	need(from >= 0, "a descriptor");
	need(dup2(from, to) == to, "dup2");
	close(from);
}

static void tcp(void)
{
	struct sockaddr_in address = { .sin_family = AF_INET, .sin_port = htons(5000), .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int listener = socket(AF_INET, SOCK_STREAM, 0), one = 1;
	struct linger at_once = { 1, 0 };

	setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
	need(!bind(listener, (void *)&address, sizeof address) && !listen(listener, 4), "listen");
	place(listener, LISTENER_FD);
	place(socket(AF_INET, SOCK_STREAM, 0), TCP_ONE);
	/* A port of the system's choice is not told. */
	address.sin_port = htons(5001);
	setsockopt(TCP_ONE, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
	need(!bind(TCP_ONE, (void *)&address, sizeof address), "bind");
	address.sin_port = htons(5000);
	need(!connect(TCP_ONE, (void *)&address, sizeof address), "connect");
	place(accept(LISTENER_FD, NULL, NULL), TCP_TWO);
	/* No TIME_WAIT is left to the next tuple. */
	setsockopt(TCP_ONE, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
	setsockopt(TCP_TWO, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
	need(send(TCP_TWO, "from tcp two", 12, 0) == 12, "send");
}

/* A folder of its own for each tuple, in which it may do what it likes. */
static void files(long tuple)
{
	char name[32];
	int fd;

	snprintf(name, sizeof name, "/tmp/%ld", tuple);
	need(!mkdir(name, 0755) && !chdir(name), name);
	fd = open("file", O_RDWR | O_CREAT, 0644);
	need(write(fd, "0123456789abcdefghijklmnopqrstuvwxyz\n", 37) == 37 && !lseek(fd, 0, SEEK_SET), "file");
	place(fd, FILE_FD);
	need(!mkdir("folder", 0755) && !symlink("file", "link") && !symlink("loop", "loop"), "folder");
	place(open("folder", O_RDONLY | O_DIRECTORY), FOLDER_FD);
	place(open("file", O_RDONLY), READ_ONLY_FD);
	place(open("file", O_WRONLY | O_APPEND), APPEND_FD);
}

void make_world(long tuple)
{
	int two[2];
	sigset_t set;

	for (int i = 0; i < REGION; i += 8) {
		*(uint64_t *)(WRITABLE + i) = 0x0101010101010101 * (i >> 8 & 0x7f);
		*(uint64_t *)(READ_ONLY + i) = 0x0101010101010101 * (i >> 8 & 0x7f);
	}
	umask(022);
	files(tuple);
	place(open("/dev/null", O_RDWR), NULL_FD);
	place(open("/dev/zero", O_RDWR), ZERO_FD);
	need(!pipe2(two, O_NONBLOCK), "pipe");
	place(two[0], PIPE_READ);
	place(two[1], PIPE_WRITE);
	need(write(PIPE_WRITE, "in the pipe", 11) == 11, "pipe");
	need(!socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, two), "socketpair");
	place(two[0], PAIR_ONE);
	place(two[1], PAIR_TWO);
	need(write(PAIR_TWO, "in the pair", 11) == 11, "socketpair");
	place(eventfd(3, EFD_NONBLOCK), EVENT_FD);
	place(timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK), TIMER_FD);
	place(epoll_create1(0), EPOLL_FD);
	struct epoll_event event = { .events = EPOLLIN, .data.u64 = 77 };
	need(!epoll_ctl(EPOLL_FD, EPOLL_CTL_ADD, PIPE_READ, &event), "epoll_ctl");
	tcp();
	place(socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0), UDP_FD);
	for (int fd = LISTENER_FD; fd <= TCP_TWO; fd++)
		fcntl(fd, F_SETFL, O_NONBLOCK);
	sigemptyset(&set);
	sigaddset(&set, SIGUSR2);
	place(signalfd(-1, &set, SFD_NONBLOCK), SIGNAL_FD);
}

/* Over all that a call may have written to. */
uint64_t digest(void)
{
	uint64_t hash = 14695981039346656037UL;

	for (int i = 0; i < REGION; i += 8) {
		hash ^= *(volatile uint64_t *)(WRITABLE + i);
		hash *= 1099511628211UL;
		hash ^= hash >> 29;
	}
	return hash;
}
