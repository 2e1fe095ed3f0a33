// SPDX-License-Identifier: MIT OR Apache-2.0
/* Runs the parts that tests= names, or all, or with ticking=N that part alone; one line a part, one at the end. */
#define _GNU_SOURCE
#include <sys/mount.h>
#include <sys/wait.h>
#include <time.h>
#include "check.h"

static const struct part *const parts[] = {
	&threads_part, &locks_part, &cancel_part, &processes_part, &exec_part, &faults_part, &stack_part, &signals_part,
	&timers_part, &frames_part, &state_part, &network_part, &clocks_part, &bypass_part,
	&again_part, &exit_part, &ticking_part, &wild_part, &double_fault_part, &overflow_part,
};

static int failures;

void unexpected(const char *file, int line, const char *what, long expected, long found)
{
	int error = errno;

	__atomic_add_fetch(&failures, 1, __ATOMIC_RELAXED);
	printf("  %s:%d: %s: expected %ld (%#lx), found %ld (%#lx), errno %d (%s)\n", file, line, what, expected,
	       expected, found, found, error, strerror(error));
	fflush(stdout);
	errno = error;
}

int in_child(int (*run)(void *), void *argument)
{
	int status = -1;
	pid_t pid;

	fflush(stdout);
	pid = fork();
	if (pid == 0) {
		failures = 0;
		int code = run(argument);
		_exit(failures ? 99 : code);
	}
	if (pid < 0 || waitpid(pid, &status, 0) != pid)
		unexpected(__FILE_NAME__, __LINE__, "fork and waitpid", pid, status);
	return status;
}

void sleep_ms(long ms)
{
	struct timespec left = { ms / 1000, ms % 1000 * 1000000 };

	while (nanosleep(&left, &left) && errno == EINTR)
		;
}

long now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

bool populated(void)
{
	return getenv("populate") != NULL && ukl_mode() != UKL_LINUX;
}

/* Whether a list as in "a,b" has the name; without a list: whether the part belongs to all. */
static bool asked(const char *list, const struct part *part)
{
	size_t length = strlen(part->name);

	if (!list)
		return !part->alone;
	for (const char *at = list; at; at = strchr(at, ','), at += at != NULL)
		if (!strncmp(at, part->name, length) && (at[length] == ',' || !at[length]))
			return true;
	return false;
}

int main(int argc, char **argv, char **envp)
{
	const char *list = getenv("ticking") ? "ticking" : getenv("tests");
	int ran = 0;

	setvbuf(stdout, NULL, _IOLBF, 0);
	if (argc > 1)
		return helper(argc, argv, envp);
	mount("proc", "/proc", "proc", 0, NULL);
	printf("posix: mode %s, ring %d\n", ukl_mode_name(), ukl_ring());
	for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
		if (!asked(list, parts[i]))
			continue;
		int before = failures;
		long start = now_ms();
		parts[i]->run();
		printf("%s: %s (%ld ms)\n", parts[i]->name, failures == before ? "ok" : "FAILED", now_ms() - start);
		ran++;
	}
	printf("posix: %s\n", failures ? "FAILED" : ran ? "ok" : "FAILED: no such test");
	if (getpid() == 1)
		ukl_power_off();
	return failures != 0;
}
