/* SPDX-License-Identifier: Apache-2.0 */
/* brief: burns for 300 ms of CPU time, then is gone. */
#include <time.h>

static volatile unsigned long sink;

__attribute__((noinline)) static void live_briefly(unsigned long rounds)
{
	for (unsigned long i = 0; i < rounds; i++)
		sink = sink * 31 + i;
}

int main(void)
{
	struct timespec now;

	do {
		live_briefly(10000);
		clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
	} while (now.tv_sec == 0 && now.tv_nsec < 300000000);
	return 0;
}
