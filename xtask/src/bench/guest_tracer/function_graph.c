/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * Drives the kernel's own function graph tracer from inside the guest. As the first process it starts the tracer and goes
 * on as /init. Started once more by /init, beside the application, it tells what the rings of all CPUs have counted so far,
 * waits for the application's end, tells it again, and powers off. By the name that ends in "-read" it also takes what is in the rings while the
 * application runs, whole pages at a time, and throws them away.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define TRACING "/tracing"
#define TOOK "/tmp/took"

static void fail(const char *what)
{
	printf("function_graph: FAILED: %s: %s\n", what, strerror(errno));
	fflush(stdout);
	reboot(RB_POWER_OFF);
	_exit(1);
}

static void set(const char *path, const char *value)
{
	int fd = open(path, O_WRONLY);

	if (fd < 0 || write(fd, value, strlen(value)) < 0)
		fail(path);
	close(fd);
}

static glob_t of_each_cpu(const char *file)
{
	char pattern[64];
	glob_t found;

	snprintf(pattern, sizeof(pattern), TRACING "/per_cpu/cpu*/%s", file);
	if (glob(pattern, 0, NULL, &found))
		fail(pattern);
	return found;
}

/* Until it is killed; how many bytes it took is in a file at any time. */
static void take(const char *ring, int number)
{
	int from = open(ring, O_RDONLY), null = open("/dev/null", O_WRONLY), ends[2], count;
	unsigned long long bytes = 0;
	char path[32];
	ssize_t n;

	snprintf(path, sizeof(path), TOOK "%d", number);
	count = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
	if (from < 0 || null < 0 || count < 0 || pipe(ends))
		fail(ring);
	while ((n = splice(from, NULL, ends[1], NULL, 1 << 16, SPLICE_F_MOVE)) >= 0) {
		bytes += n;
		while (n > 0) {
			ssize_t gone = splice(ends[0], NULL, null, NULL, n, SPLICE_F_MOVE);

			if (gone <= 0)
				fail("/dev/null");
			n -= gone;
		}
		if (pwrite(count, &bytes, sizeof(bytes), 0) != sizeof(bytes))
			fail(path);
	}
	fail(ring);
}

static unsigned long long taken(int number)
{
	unsigned long long bytes = 0;
	char path[32];
	int fd;

	snprintf(path, sizeof(path), TOOK "%d", number);
	fd = open(path, O_RDONLY);
	if (fd >= 0 && read(fd, &bytes, sizeof(bytes)) < 0)
		fail(path);
	return bytes;
}

static void tell(const char *when)
{
	unsigned long long entries = 0, overrun = 0, dropped = 0, bytes = 0, were_read = 0, took = 0, value;
	glob_t stats = of_each_cpu("stats");
	char line[128];

	for (size_t i = 0; i < stats.gl_pathc; i++) {
		FILE *file = fopen(stats.gl_pathv[i], "re");

		if (!file)
			fail(stats.gl_pathv[i]);
		while (fgets(line, sizeof(line), file)) {
			if (sscanf(line, "entries: %llu", &value) == 1)
				entries += value;
			else if (sscanf(line, "overrun: %llu", &value) == 1 ||
				 sscanf(line, "commit overrun: %llu", &value) == 1)
				overrun += value;
			else if (sscanf(line, "dropped events: %llu", &value) == 1)
				dropped += value;
			else if (sscanf(line, "bytes: %llu", &value) == 1)
				bytes += value;
			else if (sscanf(line, "read events: %llu", &value) == 1)
				were_read += value;
		}
		fclose(file);
		took += taken(i);
	}
	printf("function_graph: %s: there %llu read %llu lost %llu bytes %llu\n", when, entries, were_read,
	       overrun + dropped, bytes + took);
	fflush(stdout);
}

static void wait_for(pid_t application)
{
	struct pollfd end = { .fd = syscall(SYS_pidfd_open, application, 0), .events = POLLIN };

	if (end.fd < 0 && errno == ESRCH)
		return;
	if (end.fd < 0 || poll(&end, 1, -1) < 0)
		fail("waiting for the application");
}

int main(int, char **argv)
{
	const char *dash = strrchr(argv[0], '-');
	int reads = dash && !strcmp(dash, "-read");
	glob_t rings;

	if (getpid() == 1) {
		mkdir(TRACING, 0700);
		if (mount("tracefs", TRACING, "tracefs", 0, NULL))
			fail("mounting " TRACING);
		set(TRACING "/current_tracer", "function_graph");
		execv("/init", argv);
		fail("/init");
	}
	tell("before");
	rings = of_each_cpu("trace_pipe_raw");
	for (size_t i = 0; reads && i < rings.gl_pathc; i++)
		if (fork() == 0)
			take(rings.gl_pathv[i], i);
	wait_for(atoi(getenv("UKL_APPLICATION")));
	set(TRACING "/tracing_on", "0");
	tell("after");
	reboot(RB_POWER_OFF);
}
