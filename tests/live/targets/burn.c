/* SPDX-License-Identifier: Apache-2.0 */
/* burn SECONDS [THREADS]: spends 70 % of its CPU time in spend_seventy() and 30 % in
 * spend_thirty(). */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static double seconds_to_burn;

static double cpu_seconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
	return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

static volatile unsigned long sink;

/* The work stands in each of the two functions itself, so that it is their own time. */
#define SPIN(rounds)                                                                               \
	for (unsigned long i = 0; i < (rounds); i++) {                                             \
		sink = sink * 31 + i;                                                              \
	}

__attribute__((noinline)) static void spend_seventy(unsigned long rounds)
{
	SPIN(rounds);
}

__attribute__((noinline)) static void spend_thirty(unsigned long rounds)
{
	SPIN(rounds);
}

__attribute__((noinline)) static void work(void)
{
	/* Short turns, so that any second holds many of both. */
	spend_seventy(700000);
	spend_thirty(300000);
}

static void *burn(void *unused)
{
	double end = cpu_seconds() + seconds_to_burn;

	while (cpu_seconds() < end)
		work();
	return unused;
}

int main(int argument_count, char **arguments)
{
	long threads = argument_count > 2 ? (long)strtod(arguments[2], NULL) : 1;

	seconds_to_burn = argument_count > 1 ? strtod(arguments[1], NULL) : 10;
	for (long i = 1; i < threads; i++) {
		pthread_t thread;

		if (pthread_create(&thread, NULL, burn, NULL))
			return 1;
	}
	burn(NULL);
	return 0;
}
