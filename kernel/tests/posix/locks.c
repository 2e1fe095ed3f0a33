// SPDX-License-Identifier: MIT OR Apache-2.0
/* What threads and processes wait for each other with: mutexes of all kinds, conditions, futexes; and cancellation. */
#define _GNU_SOURCE
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include "check.h"

/* linux/futex.h, which the C library does not carry. */
enum { FUTEX_WAIT, FUTEX_WAKE, FUTEX_REQUEUE = 3, FUTEX_PRIVATE = 128 };

static long futex(int *word, int operation, int value, const struct timespec *timeout)
{
	return syscall(SYS_futex, word, operation, value, timeout, NULL, 0);
}

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static int queue[8], filled;
static long taken;

static void *produce(void *argument)
{
	for (int i = 1; i <= 2000; i++) {
		pthread_mutex_lock(&mutex);
		while (filled == 8)
			pthread_cond_wait(&changed, &mutex);
		queue[filled++] = i;
		pthread_cond_broadcast(&changed);
		pthread_mutex_unlock(&mutex);
	}
	return NULL;
}

static void *consume(void *argument)
{
	for (int i = 1; i <= 2000; i++) {
		pthread_mutex_lock(&mutex);
		while (!filled)
			pthread_cond_wait(&changed, &mutex);
		taken += queue[--filled];
		pthread_cond_broadcast(&changed);
		pthread_mutex_unlock(&mutex);
	}
	return NULL;
}

static void conditions(void)
{
	pthread_t threads[4];

	filled = taken = 0;
	for (int i = 0; i < 4; i++)
		pthread_create(&threads[i], NULL, i % 2 ? produce : consume, NULL);
	for (int i = 0; i < 4; i++)
		pthread_join(threads[i], NULL);
	SAME("what passed through the queue", 2L * 2000 * 2001 / 2, taken);
}

static long guarded;

static void *count(void *mutex)
{
	for (int i = 0; i < 3000; i++) {
		pthread_mutex_lock(mutex);
		long before = guarded;
		if (i % 64 == 0)
			sched_yield();
		guarded = before + 1;
		pthread_mutex_unlock(mutex);
	}
	return NULL;
}

static void contended(const char *what, int type, int protocol)
{
	pthread_mutexattr_t attributes;
	pthread_mutex_t mutex;
	pthread_t threads[4];

	guarded = 0;
	pthread_mutexattr_init(&attributes);
	pthread_mutexattr_settype(&attributes, type);
	pthread_mutexattr_setprotocol(&attributes, protocol);
	pthread_mutex_init(&mutex, &attributes);
	for (int i = 0; i < 4; i++)
		pthread_create(&threads[i], NULL, count, &mutex);
	for (int i = 0; i < 4; i++)
		pthread_join(threads[i], NULL);
	SAME(what, 4 * 3000, guarded);
}

static void *lock_and_end(void *mutex)
{
	pthread_mutex_lock(mutex);
	return NULL;
}

static int lock_and_exit(void *mutex)
{
	return pthread_mutex_lock(mutex) ? 1 : 0;
}

static void robust(void)
{
	pthread_mutexattr_t attributes;
	pthread_mutex_t *shared = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	static pthread_mutex_t own;
	pthread_t thread;

	pthread_mutexattr_init(&attributes);
	SAME("pthread_mutexattr_setrobust", 0, pthread_mutexattr_setrobust(&attributes, PTHREAD_MUTEX_ROBUST));
	pthread_mutex_init(&own, &attributes);
	pthread_create(&thread, NULL, lock_and_end, &own);
	pthread_join(thread, NULL);
	SAME("a mutex whose thread ended", EOWNERDEAD, pthread_mutex_lock(&own));
	SAME("pthread_mutex_consistent", 0, pthread_mutex_consistent(&own));
	SAME("unlock it", 0, pthread_mutex_unlock(&own));
	SAME("lock it again", 0, pthread_mutex_lock(&own));
	pthread_mutex_unlock(&own);
	/* The kernel walks the list of a process that exits. */
	pthread_mutexattr_setpshared(&attributes, PTHREAD_PROCESS_SHARED);
	pthread_mutex_init(shared, &attributes);
	SAME("a child that locks and exits", EXITED(0), in_child(lock_and_exit, shared));
	SAME("a mutex whose process exited", EOWNERDEAD, pthread_mutex_lock(shared));
	SAME("unlock it as it is", 0, pthread_mutex_unlock(shared));
	SAME("it cannot be recovered", ENOTRECOVERABLE, pthread_mutex_lock(shared));
	munmap(shared, 4096);
}

struct shared {
	pthread_mutex_t mutex;
	pthread_cond_t changed;
	sem_t ping, pong;
	int turn, word;
	long sum;
};

static int take_turns(void *argument)
{
	struct shared *shared = argument;

	for (int i = 0; i < 300; i++) {
		pthread_mutex_lock(&shared->mutex);
		while (shared->turn != 1)
			pthread_cond_wait(&shared->changed, &shared->mutex);
		shared->sum += i;
		shared->turn = 0;
		pthread_cond_signal(&shared->changed);
		pthread_mutex_unlock(&shared->mutex);
		sem_wait(&shared->ping);
		sem_post(&shared->pong);
	}
	while (!__atomic_load_n(&shared->word, __ATOMIC_ACQUIRE))
		futex(&shared->word, FUTEX_WAIT, 0, NULL);
	return 5;
}

static void across_processes(void)
{
	struct shared *shared = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	pthread_mutexattr_t mutex_shared;
	pthread_condattr_t condition_shared;
	int status = -1;
	pid_t pid;

	pthread_mutexattr_init(&mutex_shared);
	pthread_mutexattr_setpshared(&mutex_shared, PTHREAD_PROCESS_SHARED);
	pthread_mutex_init(&shared->mutex, &mutex_shared);
	pthread_condattr_init(&condition_shared);
	pthread_condattr_setpshared(&condition_shared, PTHREAD_PROCESS_SHARED);
	pthread_cond_init(&shared->changed, &condition_shared);
	sem_init(&shared->ping, 1, 0);
	sem_init(&shared->pong, 1, 0);
	pid = fork();
	if (!pid)
		_exit(take_turns(shared));
	for (int i = 0; i < 300; i++) {
		pthread_mutex_lock(&shared->mutex);
		shared->turn = 1;
		pthread_cond_signal(&shared->changed);
		while (shared->turn != 0)
			pthread_cond_wait(&shared->changed, &shared->mutex);
		pthread_mutex_unlock(&shared->mutex);
		sem_post(&shared->ping);
		sem_wait(&shared->pong);
	}
	SAME("300 turns of a child", 299 * 300 / 2, shared->sum);
	usleep(20000);
	__atomic_store_n(&shared->word, 1, __ATOMIC_RELEASE);
	futex(&shared->word, FUTEX_WAKE, 1, NULL);
	SAME("waiting for the child", pid, waitpid(pid, &status, 0));
	SAME("its status", EXITED(5), status);
	munmap(shared, 4096);
}

static int gate;
static int in_data = 5;

static void *wait_at_gate(void *argument)
{
	int operation = FUTEX_WAIT | (argument ? FUTEX_PRIVATE : 0);

	while (!__atomic_load_n(&gate, __ATOMIC_ACQUIRE))
		futex(&gate, operation, 0, NULL);
	return NULL;
}

/* Words in .data, .bss, on the stack and the heap; private and shared keys. */
static void futexes(void)
{
	struct timespec soon = { 0, 20000000 };
	int on_stack = 5, *on_heap = malloc(sizeof *on_heap);
	int *words[] = { &in_data, &on_stack, on_heap };
	pthread_t threads[6];

	*on_heap = 5;
	for (int private = 0; private <= FUTEX_PRIVATE; private += FUTEX_PRIVATE) {
		for (int i = 0; i < 3; i++) {
			FAILS("futex of another value", EAGAIN, futex(words[i], FUTEX_WAIT | private, 4, NULL));
			FAILS("futex with a timeout", ETIMEDOUT, futex(words[i], FUTEX_WAIT | private, 5, &soon));
			SAME("futex wake of nobody", 0, futex(words[i], FUTEX_WAKE | private, 9, NULL));
		}
		gate = 0;
		for (long i = 0; i < 6; i++)
			pthread_create(&threads[i], NULL, wait_at_gate, (void *)(long)private);
		usleep(50000);
		__atomic_store_n(&gate, 1, __ATOMIC_RELEASE);
		futex(&gate, FUTEX_WAKE | private, 100, NULL);
		for (int i = 0; i < 6; i++)
			pthread_join(threads[i], NULL);
	}
	FAILS("futex of an odd address", EINVAL, futex((int *)((char *)&gate + 1), FUTEX_WAIT, 0, NULL));
	FAILS("futex of an unmapped address", EFAULT, futex((int *)64, FUTEX_WAIT, 0, NULL));
	free(on_heap);
}

static void run(void)
{
	conditions();
	contended("a normal mutex", PTHREAD_MUTEX_NORMAL, PTHREAD_PRIO_NONE);
	contended("a recursive mutex", PTHREAD_MUTEX_RECURSIVE, PTHREAD_PRIO_NONE);
	contended("an error-checking mutex", PTHREAD_MUTEX_ERRORCHECK, PTHREAD_PRIO_NONE);
	contended("a mutex that lends priority", PTHREAD_MUTEX_NORMAL, PTHREAD_PRIO_INHERIT);
	robust();
	across_processes();
	futexes();
}

const struct part locks_part = { "locks", run };

static int nothing_comes[2], cleaned;
static sem_t started, never;

static void clean(void *argument) { __atomic_add_fetch(&cleaned, 1, __ATOMIC_RELAXED); }

static void *blocks(void *argument)
{
	char byte;

	pthread_cleanup_push(clean, NULL);
	sem_post(&started);
	switch ((long)argument) {
	case 0: read(nothing_comes[0], &byte, 1); break;
	case 1: sleep(100); break;
	case 2: sem_wait(&never); break;
	case 3: pause(); break;
	case 4: {
		pthread_mutex_lock(&mutex);
		pthread_cond_wait(&changed, &mutex);
		break;
	}
	case 5: wait(NULL); for (;;) pause(); break;
	}
	pthread_cleanup_pop(0);
	return "not cancelled";
}

__attribute__((noreturn)) static void *spins(void *argument)
{
	pthread_setcanceltype(PTHREAD_CANCEL_ASYNCHRONOUS, NULL);
	sem_post(&started);
	for (volatile long i = 0;; i++)
		;
}

static void *refuses(void *argument)
{
	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, NULL);
	sem_post(&started);
	usleep(30000);
	pthread_setcancelstate(PTHREAD_CANCEL_ENABLE, NULL);
	__atomic_store_n(&cleaned, 1, __ATOMIC_RELAXED);
	pthread_testcancel();
	return "not cancelled";
}

static void *cancelled(void *(*run)(void *), long argument, bool at_once)
{
	pthread_t thread;
	void *result = NULL;

	SAME("pthread_create", 0, pthread_create(&thread, NULL, run, (void *)argument));
	sem_wait(&started);
	if (!at_once)
		usleep(20000);	/* it blocks by then */
	SAME("pthread_cancel", 0, pthread_cancel(thread));
	SAME("pthread_join", 0, pthread_join(thread, &result));
	return result;
}

static int full_pipe[2];
static volatile long drained;

static void *takes(void *argument)
{
	char byte;

	sem_post(&started);
	for (;;)
		drained += read(full_pipe[0], &byte, 1) == 1;
	return argument;
}

/* A call is cancelled before it is made or not at all: what it took is never lost. */
static void whole_or_not_at_all(void)
{
	enum { ROUNDS = 200, BYTES = 4096 };
	static char bytes[BYTES];

	pipe(full_pipe);
	for (int round = 0; round < ROUNDS; round++) {
		pthread_t thread;
		int left = 0;

		drained = 0;
		SAME("filling a pipe", BYTES, write(full_pipe[1], bytes, BYTES));
		NEEDS("pthread_create", !pthread_create(&thread, NULL, takes, NULL));
		sem_wait(&started);
		for (volatile int i = 0; i < round * 50; i++)
			;
		pthread_cancel(thread);
		pthread_join(thread, NULL);
		SAME("FIONREAD", 0, ioctl(full_pipe[0], FIONREAD, &left));
		SAME("bytes taken and left", BYTES, drained + left);
		read(full_pipe[0], bytes, left);
	}
	close(full_pipe[0]);
	close(full_pipe[1]);
}

static void run_cancel(void)
{
	pipe(nothing_comes);
	sem_init(&started, 0, 0);
	sem_init(&never, 0, 0);
	for (int way = 0; way < 6; way++) {
		cleaned = 0;
		SAME("cancelled in a call that blocks", PTHREAD_CANCELED, cancelled(blocks, way, false));
		SAME("its cleanup ran", 1, cleaned);
		if (way == 4) {
			/* The thread held the mutex again when it ended. */
			SAME("the mutex of a cancelled wait", EBUSY, pthread_mutex_trylock(&mutex));
			pthread_mutex_init(&mutex, NULL);
		}
	}
	for (int i = 0; i < 60; i++)
		SAME("cancelled on the way to a call", PTHREAD_CANCELED, cancelled(blocks, i % 4, true));
	SAME("cancelled at any instruction", PTHREAD_CANCELED, cancelled(spins, 0, false));
	whole_or_not_at_all();
	cleaned = 0;
	SAME("cancelled once it allows it", PTHREAD_CANCELED, cancelled(refuses, 0, true));
	SAME("and not before", 1, cleaned);
}

const struct part cancel_part = { "cancel", run_cancel };
