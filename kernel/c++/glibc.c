// SPDX-License-Identifier: MIT OR Apache-2.0
/* What the compiler's libstdc++.a and libgcc_eh.a, built for glibc, take from it and musl 1.2.3 does not have. */
#define _GNU_SOURCE
#include <link.h>
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/random.h>

/* 0: reference counts are always changed atomically. */
char __libc_single_threaded;

uint32_t arc4random(void);
uint32_t arc4random(void)
{
	uint32_t value;

	if (getrandom(&value, sizeof(value), 0) != sizeof(value))
		abort();
	return value;
}

/* Where the unwinder looks for the table of an address after what was registered with it, as the linked application's is. */
struct dl_find_object {
	unsigned long long flags;
	void *start, *end;
	void *link_map;
	void *eh_frame;
	unsigned long long reserved[7];
};

static int find_table(struct dl_phdr_info *program, size_t size, void *found)
{
	struct dl_find_object *object = found;

	for (int i = 0; i < program->dlpi_phnum; i++)
		if (program->dlpi_phdr[i].p_type == PT_GNU_EH_FRAME)
			object->eh_frame = (void *)(program->dlpi_addr + program->dlpi_phdr[i].p_vaddr);
	return object->eh_frame != NULL;
}

int _dl_find_object(void *address, struct dl_find_object *found);
int _dl_find_object(void *address, struct dl_find_object *found)
{
	*found = (struct dl_find_object){ .end = (void *)-1UL };
	return dl_iterate_phdr(find_table, found) ? 0 : -1;
}

/* What is to be destroyed at the end of a thread, the last first. */
struct destructor {
	void (*run)(void *object);
	void *object;
	struct destructor *next;
};

static _Thread_local struct destructor *destructors;
static pthread_key_t thread_end;
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void run_destructors(void *unused)
{
	struct destructor *first;

	while ((first = destructors)) {
		destructors = first->next;
		first->run(first->object);
		free(first);
	}
}

/* exit() ends the thread that calls it, without its keys' destructors. */
static void run_at_exit(void)
{
	run_destructors(NULL);
}

static void prepare(void)
{
	if (pthread_key_create(&thread_end, run_destructors) || atexit(run_at_exit))
		abort();
}

int __cxa_thread_atexit_impl(void (*run)(void *), void *object, void *library);
int __cxa_thread_atexit_impl(void (*run)(void *), void *object, void *library)
{
	struct destructor *first = malloc(sizeof(*first));

	if (!first)
		return -1;
	pthread_once(&once, prepare);
	*first = (struct destructor){ run, object, destructors };
	destructors = first;
	return pthread_setspecific(thread_end, first);
}

/* As of a program without shared libraries: in crtbegin.o otherwise. */
void *__dso_handle;
