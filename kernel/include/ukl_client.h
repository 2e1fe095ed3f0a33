/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * A client beside a server, for counting what the server does per request: one connection, one request at a time, every
 * answer compared. n=NUMBER in the environment is how many of each; without it the client does nothing. At its end it
 * ends the server, whose process number is UKL_APPLICATION in the environment.
 */
#ifndef UKL_CLIENT_H
#define UKL_CLIENT_H

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

struct ukl_request {
	const char *name;
	const char *request;
	const char *answer;
};

/* The server may not listen yet. */
static inline int ukl_client_connect(int port)
{
	struct sockaddr_in address = {
		.sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};
	struct timespec nap = { .tv_nsec = 20 * 1000 * 1000 };
	int one = 1;

	for (int tries = 0; tries < 3000; tries++) {
		int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

		if (fd >= 0 && !connect(fd, (void *)&address, sizeof(address))) {
			setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
			return fd;
		}
		close(fd);
		nanosleep(&nap, NULL);
	}
	return -1;
}

/* Whether the answer is the one expected. */
static inline int ukl_client_ask(int fd, const struct ukl_request *ask)
{
	size_t wanted = strlen(ask->answer), have = 0, length = strlen(ask->request);
	char answer[256];

	if (write(fd, ask->request, length) != (ssize_t)length)
		return 0;
	while (have < wanted) {
		ssize_t got = read(fd, answer + have, sizeof(answer) - have);

		if (got <= 0)
			return 0;
		have += got;
	}
	return have == wanted && !memcmp(answer, ask->answer, wanted);
}

static inline int ukl_client(int port, const struct ukl_request *asks, size_t kinds)
{
	const char *n = getenv("n"), *server = getenv("UKL_APPLICATION");
	long wrong = 0, each = n ? atol(n) : 0;
	int fd;

	if (each <= 0)
		return 0;
	fd = ukl_client_connect(port);
	if (fd < 0) {
		printf("client: FAILED: nobody listens at port %d: %s\n", port, strerror(errno));
		wrong = 1;
	}
	for (size_t kind = 0; kind < kinds && fd >= 0; kind++) {
		for (long i = 0; i < each; i++)
			wrong += !ukl_client_ask(fd, &asks[kind]);
		printf("client: %ld %s\n", each, asks[kind].name);
	}
	printf("client: %ld wrong, %s\n", wrong, wrong ? "FAILED" : "ok");
	fflush(stdout);
	if (server)
		kill(atoi(server), SIGTERM);
	return wrong != 0;
}

#endif
