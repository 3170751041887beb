/* SPDX-License-Identifier: Apache-2.0 */
/*
 * changes PROGRAM SECONDS: burns in before_exec() and, in a fork, in forked_child(); with two named
 * threads besides; calls a function of a library that it opens; then becomes PROGRAM SECONDS.
 */
#include <dlfcn.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static volatile unsigned long sink;

static double cpu_seconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
	return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

#define BURN(seconds)                                                                              \
	do {                                                                                       \
		double end_ = cpu_seconds() + (seconds);                                           \
		while (cpu_seconds() < end_)                                                       \
			for (unsigned long i = 0; i < 20000; i++)                                  \
				sink = sink * 31 + i;                                              \
	} while (0)

__attribute__((noinline)) static void before_exec(void)
{
	BURN(1.0);
}

__attribute__((noinline)) static void forked_child(void)
{
	BURN(1.0);
}

__attribute__((noinline)) static void in_thread(void)
{
	BURN(1.0);
}

static void *run_thread(void *name)
{
	pthread_setname_np(pthread_self(), name);
	in_thread();
	return NULL;
}

/* zlib's crc32(), in a library that nobody linked. */
__attribute__((noinline)) static int through_library(void)
{
	static unsigned char bytes[1 << 16];
	void *library = dlopen("libz.so.1", RTLD_NOW);
	unsigned long (*adler)(unsigned long, const unsigned char *, unsigned) = NULL;

	if (library)
		*(void **)&adler = dlsym(library, "adler32");
	if (!adler)
		return 1;

	double end = cpu_seconds() + 1.0;

	while (cpu_seconds() < end)
		sink += adler(1, bytes, sizeof(bytes));
	return 0;
}

int main(int argument_count, char **arguments)
{
	pthread_t threads[2];
	pid_t child = fork();

	if (argument_count < 3 || child < 0)
		return 1;
	if (child == 0) {
		forked_child();
		_exit(0);
	}
	before_exec();
	if (pthread_create(&threads[0], NULL, run_thread, "first-worker") ||
	    pthread_create(&threads[1], NULL, run_thread, "second-worker"))
		return 1;
	pthread_join(threads[0], NULL);
	pthread_join(threads[1], NULL);
	if (through_library())
		return 1;
	waitpid(child, NULL, 0);
	execl(arguments[1], arguments[1], arguments[2], (char *)NULL);
	return 1;
}
