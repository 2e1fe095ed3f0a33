/* The application beside a ring-3 process: works for a while, so that the two switch, and ends with a known status. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <time.h>
#include <ukl.h>

int main(void)
{
	int zero = open("/dev/zero", O_RDONLY), bad = 0;
	static char in_the_kernel_half;
	struct timespec start, now;
	long reads = 0;

	clock_gettime(CLOCK_MONOTONIC, &start);
	do {
		bad += read(zero, &in_the_kernel_half, 1) != 1;
		reads++;
		clock_gettime(CLOCK_MONOTONIC, &now);
	} while (now.tv_sec - start.tv_sec < 2);
	printf("  the application: ring %d, %s, %d of %ld reads failed\n", ukl_ring(), ukl_mode_name(), bad, reads);
	fflush(stdout);
	return bad || ukl_ring() ? 1 : 23;
}
