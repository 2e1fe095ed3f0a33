/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* What the parts of this program share. */
#ifndef CHECK_H
#define CHECK_H

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <ukl.h>

/* One part: its name for tests=NAME,... and what it does. */
struct part {
	const char *name;
	void (*run)(void);
	bool alone;	/* only where tests= names it */
};

/* Says what was expected and found, and counts it; the first of a part is enough to understand it. */
void unexpected(const char *file, int line, const char *what, long expected, long found);

#define SAME(what, expected, found) do {						\
	long expected_ = (long)(expected), found_ = (long)(found);			\
	if (expected_ != found_)							\
		unexpected(__FILE_NAME__, __LINE__, what, expected_, found_);		\
} while (0)

#define HOLDS(what, condition) SAME(what, 1, !!(condition))

/* As SAME, for what cannot go on after it. */
#define NEEDS(what, condition) do {							\
	if (!(condition)) {								\
		unexpected(__FILE_NAME__, __LINE__, what, 1, 0);				\
		return;									\
	}										\
} while (0)

/* A call that must fail with one errno. */
#define FAILS(what, error, call) do {							\
	errno = 0;									\
	long result_ = (long)(call);							\
	SAME(what ": result", -1, result_);						\
	SAME(what ": errno", error, errno);						\
} while (0)

/* Runs a function in a forked child; its wait status. The child's exit status is what the function gives. */
int in_child(int (*run)(void *), void *argument);
#define EXITED(code) ((code) << 8)

void sleep_ms(long ms);
long now_ms(void);

/* Stacks and mappings are populated and locked (ukl.fault=populate): what relies on demand paging is left out. */
bool populated(void);

/* The parts. */
extern const struct part threads_part, locks_part, cancel_part, processes_part, exec_part, faults_part, stack_part, signals_part, timers_part,
	frames_part, state_part, network_part, clocks_part, bypass_part, again_part, exit_part, ticking_part,
	wild_part, double_fault_part, overflow_part;

/* What the ring-3 helper does: this program as /app.linux NAME. */
int helper(int argc, char **argv, char **envp);

#endif
