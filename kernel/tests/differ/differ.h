/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* What the parts of this program share. Nothing printed may depend on time, on process ids or on where the program lies. */
#ifndef DIFFER_H
#define DIFFER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Memory at the same addresses in every mode: 16 pages each, and nothing around them. */
enum { PAGE = 4096, REGION = 16 * PAGE };
#define WRITABLE	((char *)0x100000000000)
#define READ_ONLY	((char *)0x100100000000)
#define FORBIDDEN	((char *)0x100200000000)
#define UNMAPPED	((char *)0x100300000000)

/* Descriptors 10 and up; WORLD_END has been closed. */
enum {
	NULL_FD = 10, ZERO_FD, FILE_FD, PIPE_READ, PIPE_WRITE, PAIR_ONE, PAIR_TWO, EVENT_FD, TIMER_FD, EPOLL_FD, FOLDER_FD,
	LISTENER_FD, TCP_ONE, TCP_TWO, UDP_FD, SIGNAL_FD, READ_ONLY_FD, APPEND_FD, WORLD_END,
};

/* How a call's outcome is told. */
enum {
	PLAIN = 0,
	TIMED = 1,	/* what it writes depends on time or chance: not looked at */
	ADDRESS = 2,	/* the result is an address of the system's choice, or one that was asked for */
	PROCESS = 4,	/* the result is a process id */
	BLOCKS = 8,	/* a timer interrupts it */
	SIGN = 16,	/* of the result only the sign counts, and the error */
};

/* One letter an argument, see arguments.c. */
struct call { long number; const char *name, *arguments; int flags; };
extern const struct call calls[];
extern const size_t call_count;

/* What no tuple may try. */
struct excluded { long number; const char *reason; };
extern const struct excluded excluded[];
extern const size_t excluded_count;

uint64_t chance(void);
void seed_chance(uint64_t seed, uint64_t tuple);
static inline long below(long limit) { return chance() % limit; }

void map_regions(void);
void make_world(long tuple);
void make_arguments(const struct call *call, long arguments[6]);
uint64_t digest(void);

#endif
