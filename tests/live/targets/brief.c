/* SPDX-License-Identifier: Apache-2.0 */
/* brief: burns for 300 ms of wall-clock time, then is gone. */
#include <time.h>

static volatile unsigned long sink;

__attribute__((noinline)) static void live_briefly(unsigned long rounds)
{
	for (unsigned long i = 0; i < rounds; i++)
		sink = sink * 31 + i;
}

int main(void)
{
	struct timespec start, now;

	clock_gettime(CLOCK_MONOTONIC, &start);
	do {
		live_briefly(10000);
		clock_gettime(CLOCK_MONOTONIC, &now);
	} while ((now.tv_sec - start.tv_sec) * 1000 + (now.tv_nsec - start.tv_nsec) / 1000000 <
		 300);
	return 0;
}
