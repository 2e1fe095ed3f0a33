/* Four threads, system calls, a mutex, a thread-local variable, a detached thread; then power off. */
#define _GNU_SOURCE
#include <pthread.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <ukl.h>

static __thread long mine = 7;
static __thread long mine_zero;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static volatile long shared;

static void *work(void *arg)
{
	for (int i = 0; i < 10000; i++) {
		syscall(SYS_getppid);
		pthread_mutex_lock(&lock);
		shared++;
		if (i % 100 == 0)
			syscall(SYS_sched_yield);	/* so that the lock is contended */
		pthread_mutex_unlock(&lock);
		mine++;
		mine_zero += (long)arg;
	}
	return (void *)(mine == 10007 && mine_zero == 10000 * (long)arg ? 0 : 1);
}

static void *leave(void *arg)
{
	pthread_detach(pthread_self());
	return 0;
}

int main(void)
{
	pthread_t t[4];
	long bad = 0;
	void *r;

	printf("threads: mode %s, thread-local data at %p\n", ukl_mode_name(), (void *)&mine);
	for (long i = 0; i < 4; i++)
		bad += pthread_create(&t[i], 0, work, (void *)(i + 1)) != 0;
	for (int i = 0; i < 4; i++) {
		bad += pthread_join(t[i], &r) != 0;
		bad += r != 0;
	}
	for (int i = 0; i < 200; i++)
		bad += pthread_create(&t[0], 0, leave, 0) != 0;
	usleep(200000);
	printf("shared %ld, mine %ld, failures %ld\n", shared, mine, bad);
	printf("threads: %s\n", shared == 40000 && mine == 7 && !bad ? "ok" : "FAILED");
	ukl_power_off();
}
