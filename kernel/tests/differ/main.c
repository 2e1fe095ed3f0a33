// SPDX-License-Identifier: MIT OR Apache-2.0
/*
 * Random calls with random arguments, each in a child of its own that finds the same world: seed=N tuples=N, and first=N to
 * begin at a later one. A line a call: its number, name, arguments, then result or error, then a digest of all memory that
 * it may have written to. The judge is the same program in mode linux: every line must be the same.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>
#include <ukl.h>
#include "differ.h"

struct outcome { long result, error; uint64_t digest; int done; };

static void nothing(int signal) { }

static void arm(long us)
{
	struct itimerval timer = { { 0, us }, { 0, us } };

	setitimer(ITIMER_REAL, &timer, NULL);
}

static void try(long tuple, const struct call *call, const long arguments[6], struct outcome *outcome)
{
	struct sigaction action = { .sa_handler = nothing };

	mprotect(READ_ONLY, REGION, PROT_READ);
	sigaction(SIGALRM, &action, NULL);
	if (call->flags & BLOCKS)
		arm(15000);
	errno = 0;
	outcome->result = syscall(call->number, arguments[0], arguments[1], arguments[2], arguments[3], arguments[4], arguments[5]);
	outcome->error = errno;
	if (call->flags & BLOCKS)
		arm(0);
	if (!(call->flags & TIMED)) {
		/* The call itself may have taken the memory away. */
		if (mprotect(WRITABLE, REGION, PROT_READ | PROT_WRITE) == 0)
			outcome->digest = digest();
		else
			outcome->digest = 1;
	}
	if (call->flags & PROCESS) {
		if (outcome->result == getpid())
			outcome->result = 1111111;
		else if (outcome->result == getppid())
			outcome->result = 2222222;
	}
	if (call->flags & ADDRESS && outcome->result != -1) {
		char *at = (char *)outcome->result;
		if (at != WRITABLE + 8 * PAGE && at != WRITABLE + 12 * PAGE && at != READ_ONLY && at != FORBIDDEN && at != UNMAPPED)
			outcome->result = 3333333;
	}
	if (call->flags & SIGN && outcome->result >= 0)
		outcome->result = 4444444;
	outcome->done = 1;
}

static void tell(long tuple, const struct call *call, const long arguments[6], const struct outcome *outcome, int status)
{
	char line[256];
	int at = snprintf(line, sizeof line, "%ld %s(", tuple, call->name);

	for (int i = 0; call->arguments[i]; i++)
		at += snprintf(line + at, sizeof line - at, "%s%lx", i ? "," : "", arguments[i]);
	if (outcome->done && !status) {
		at += snprintf(line + at, sizeof line - at, ")=");
		if (outcome->result == -1)
			at += snprintf(line + at, sizeof line - at, "e%ld", outcome->error);
		else
			at += snprintf(line + at, sizeof line - at, "%lx", outcome->result);
		at += snprintf(line + at, sizeof line - at, " %08x\n", (unsigned)outcome->digest);
	} else if (WIFSTOPPED(status)) {
		at += snprintf(line + at, sizeof line - at, ") stopped\n");
	} else {
		at += snprintf(line + at, sizeof line - at, ") ended %x\n", status);
	}
	write(1, line, at);
}

static bool is_excluded(const struct call *call)
{
	for (size_t i = 0; i < excluded_count; i++)
		if (excluded[i].number == call->number)
			return true;
	return false;
}

/* The arguments name the child's process id by 'self' where it is one. */
static void hide_process(const struct call *call, long arguments[6], pid_t child)
{
	for (int i = 0; call->arguments[i]; i++)
		if (call->arguments[i] == 'p' && arguments[i] == child)
			arguments[i] = 0x5e1f;
}

static long number(const char *name, long otherwise)
{
	return getenv(name) ? atol(getenv(name)) : otherwise;
}

int main(void)
{
	struct outcome *outcome = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	long *shared_arguments = (long *)(outcome + 1);
	uint64_t seed = number("seed", 1);
	long first = number("first", 0), last = first + number("tuples", 1000);

	setvbuf(stdout, NULL, _IOLBF, 0);
	printf("differ: mode %s, seed %lu, tuples %ld to %ld of %zu calls\n", ukl_mode_name(), seed, first, last, call_count);
	for (size_t i = 0; i < call_count; i++)
		if (is_excluded(&calls[i]))
			return printf("differ: FAILED: %s is excluded\n", calls[i].name), 1;
	mount("tmpfs", "/tmp", "tmpfs", 0, NULL);
	map_regions();
	for (long tuple = first; tuple < last; tuple++) {
		int status = 0;

		memset(outcome, 0, sizeof *outcome);
		seed_chance(seed, tuple);
		const struct call *call = &calls[below(call_count)];
		pid_t pid = fork();
		if (!pid) {
			/* A group of its own, which kill(0) may reach. */
			setpgid(0, 0);
			make_world(tuple);
			make_arguments(call, shared_arguments);
			try(tuple, call, shared_arguments, outcome);
			_exit(0);
		}
		if (pid < 0 || waitpid(pid, &status, WUNTRACED) != pid)
			return printf("differ: FAILED: fork or waitpid: errno %d\n", errno), 1;
		if (WIFSTOPPED(status)) {
			kill(pid, SIGKILL);
			waitpid(pid, NULL, 0);
		}
		hide_process(call, shared_arguments, pid);
		tell(tuple, call, shared_arguments, outcome, status);
	}
	printf("differ: ok\n");
	if (getpid() == 1)
		ukl_power_off();
	return 0;
}
