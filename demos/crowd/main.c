/*
 * 300 threads at work at once. First a pipeline: every thread takes a token from its left neighbour under a mutex and a
 * condition variable, adds its number, and passes it on. Then a radix sort in step, by barriers: each thread counts its
 * block in thread-local counters and moves it to where it belongs. n=NUMBER on the kernel's command line: tokens.
 */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <ukl.h>

enum { THREADS = 300, BLOCK = 256, ITEMS = THREADS * BLOCK, DIGITS = 256, PASSES = 4 };

/* Between two threads: room for one token. */
struct slot {
	pthread_mutex_t lock;
	pthread_cond_t changed;
	int full;
	long token;
};

static struct slot slots[THREADS + 1];
static long tokens = 50;

static unsigned int items[2][ITEMS];
static int counts[THREADS][DIGITS];
static pthread_barrier_t step;

/* One of each for every thread. */
static __thread long passed;
static __thread int count[DIGITS];

static pthread_mutex_t total_lock = PTHREAD_MUTEX_INITIALIZER;
static long total;

static void put(struct slot *slot, long token)
{
	pthread_mutex_lock(&slot->lock);
	while (slot->full)
		pthread_cond_wait(&slot->changed, &slot->lock);
	slot->token = token;
	slot->full = 1;
	pthread_cond_broadcast(&slot->changed);
	pthread_mutex_unlock(&slot->lock);
}

static long take(struct slot *slot)
{
	long token;

	pthread_mutex_lock(&slot->lock);
	while (!slot->full)
		pthread_cond_wait(&slot->changed, &slot->lock);
	token = slot->token;
	slot->full = 0;
	pthread_cond_broadcast(&slot->changed);
	pthread_mutex_unlock(&slot->lock);
	return token;
}

__attribute__((noinline)) static void pass_on(int me)
{
	for (long i = 0; i < tokens; i++) {
		put(&slots[me + 1], take(&slots[me]) + me);
		passed++;
	}
}

__attribute__((noinline)) static void sort_block(int me)
{
	for (int pass = 0; pass < PASSES; pass++) {
		const unsigned int *from = items[pass % 2] + me * BLOCK;
		unsigned int *to = items[(pass + 1) % 2];
		int place[DIGITS], before = 0, shift = pass * 8;

		memset(count, 0, sizeof(count));
		for (int i = 0; i < BLOCK; i++)
			count[from[i] >> shift & 255]++;
		memcpy(counts[me], count, sizeof(count));
		pthread_barrier_wait(&step);
		for (int digit = 0; digit < DIGITS; digit++) {
			for (int thread = 0; thread < THREADS; thread++) {
				if (thread == me)
					place[digit] = before;
				before += counts[thread][digit];
			}
		}
		for (int i = 0; i < BLOCK; i++)
			to[place[from[i] >> shift & 255]++] = from[i];
		pthread_barrier_wait(&step);
	}
}

static void *work(void *number)
{
	int me = (long)number;

	pass_on(me);
	sort_block(me);
	pthread_mutex_lock(&total_lock);
	total += passed;
	pthread_mutex_unlock(&total_lock);
	return number;
}

static void *feed(void *first)
{
	for (long i = 0; i < tokens; i++)
		put(first, i);
	return NULL;
}

int main(void)
{
	static pthread_t threads[THREADS], feeder;
	const char *asked = getenv("n");
	unsigned int random = 1, sum = 0, unsorted = 0;
	long wrong = 0;
	void *result;

	if (asked)
		tokens = atol(asked);
	for (int i = 0; i <= THREADS; i++) {
		pthread_mutex_init(&slots[i].lock, NULL);
		pthread_cond_init(&slots[i].changed, NULL);
	}
	pthread_barrier_init(&step, NULL, THREADS);
	for (int i = 0; i < ITEMS; i++) {
		random = random * 1664525 + 1013904223;
		items[0][i] = random;
		sum += random;
	}
	for (long i = 0; i < THREADS; i++) {
		if (pthread_create(&threads[i], NULL, work, (void *)i)) {
			printf("crowd: FAILED: thread %ld could not be made\n", i);
			return 1;
		}
	}
	wrong += pthread_create(&feeder, NULL, feed, &slots[0]) != 0;
	for (long i = 0; i < tokens; i++)
		wrong += take(&slots[THREADS]) != i + (long)THREADS * (THREADS - 1) / 2;
	wrong += pthread_join(feeder, NULL) != 0;
	for (long i = 0; i < THREADS; i++) {
		wrong += pthread_join(threads[i], &result) != 0;
		wrong += result != (void *)i;
	}
	for (int i = 0; i < ITEMS; i++) {
		unsorted += i && items[0][i - 1] > items[0][i];
		sum -= items[0][i];
	}
	wrong += total != THREADS * tokens;
	printf("crowd: mode %s, %d threads, %ld tokens through all of them, %d numbers sorted\n", ukl_mode_name(), THREADS, tokens,
	       ITEMS);
	printf("crowd: %ld wrong results, %u out of order, sum off by %u, %s\n", wrong, unsorted, sum,
	       wrong || unsorted || sum ? "FAILED" : "ok");
	return wrong || unsorted || sum;
}
