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

/*
 * The work stands in each of the two functions itself, so that it is their own time, and is
 * measured by the thread's own clock, so that the shares do not hang on how a loop was compiled.
 */
#define SPIN_FOR(seconds)                                                                          \
	do {                                                                                       \
		double end = cpu_seconds() + (seconds);                                            \
		do {                                                                               \
			for (unsigned long i = 0; i < 20000; i++)                                  \
				sink = sink * 31 + i;                                              \
		} while (cpu_seconds() < end);                                                     \
	} while (0)

__attribute__((noinline)) static void spend_seventy(void)
{
	SPIN_FOR(0.035);
}

__attribute__((noinline)) static void spend_thirty(void)
{
	SPIN_FOR(0.015);
}

__attribute__((noinline)) static void work(void)
{
	/* Short turns, so that any second holds many of both. */
	spend_seventy();
	spend_thirty();
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
