/* SPDX-License-Identifier: Apache-2.0 */
/*
 * stacks MODE SECONDS [N]: makes a stack whose shape is known, and burns so much CPU time at its
 * end. Compiled without frame pointers, in several ways, by tests/live/test_walk.c. Before it burns
 * it writes a line: the return address that recurse() has on the stack N times, in hex.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <ctype.h>
#include <dlfcn.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define KEEP __attribute__((noinline))

static volatile unsigned long sink;
static double seconds;
/* Between two looks at the clock. musl's has no unwind information. */
static unsigned long rounds_at_once = 3000;

static double cpu_seconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
	return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

KEEP static unsigned long leaf(unsigned long rounds)
{
	unsigned long x = rounds;

	for (unsigned long i = 0; i < rounds; i++)
		x = x * 31 + i;
	return x;
}

KEEP static void burn(void)
{
	double end = cpu_seconds() + seconds;

	while (cpu_seconds() < end)
		sink += leaf(rounds_at_once);
}

static void (*at_the_end)(void) = burn;
static void *announced;

KEEP static void announce(void *address)
{
	if (announced)
		return;
	announced = address;
	printf("%lx\n", (unsigned long)(uintptr_t)address);
	(void)fflush(stdout);
}

KEEP static int recurse(int depth)
{
	char bytes[40];

	memset(bytes, depth, sizeof(bytes));
	__asm__ volatile("" : : "r"(bytes) : "memory");
	if (depth == 1) {
		announce(__builtin_return_address(0));
		at_the_end();
	} else {
		sink += (unsigned long)recurse(depth - 1);
	}
	return bytes[depth % 40];
}

KEEP static int recurse_with_alloca(int depth)
{
	char *bytes = __builtin_alloca((size_t)(depth * 37 % 500 + 1));

	bytes[0] = (char)depth;
	__asm__ volatile("" : : "r"(bytes) : "memory");
	if (depth == 1)
		recurse(3);
	else
		sink += (unsigned long)recurse_with_alloca(depth - 1);
	return bytes[0];
}

KEEP static int recurse_with_much(int depth)
{
	char bytes[100 << 10];

	bytes[depth] = bytes[sizeof(bytes) - 1] = (char)depth;
	__asm__ volatile("" : : "r"(bytes) : "memory");
	if (depth == 1)
		recurse(3);
	else
		sink += (unsigned long)recurse_with_much(depth - 1);
	return bytes[depth];
}

/*
 * A frame that lies where rbx says, whatever the stack pointer is: as the dynamic linker's entry
 * for lazy binding, which saves registers of a size that only the machine knows.
 */
void call_with_frame_in_register(int depth);
__asm__(".text\n"
	".type call_with_frame_in_register, @function\n"
	"call_with_frame_in_register:\n"
	".cfi_startproc\n"
	"push %rbx\n"
	".cfi_def_cfa_offset 16\n"
	".cfi_offset 3, -16\n"
	"mov %rsp, %rbx\n"
	".cfi_def_cfa_register 3\n"
	"sub $1000, %rsp\n"
	"and $-64, %rsp\n"
	"call recurse_with_rbx\n"
	"mov %rbx, %rsp\n"
	".cfi_def_cfa_register 7\n"
	"pop %rbx\n"
	".cfi_def_cfa_offset 8\n"
	".cfi_restore 3\n"
	"ret\n"
	".cfi_endproc\n"
	".size call_with_frame_in_register, . - call_with_frame_in_register\n");

/* Keeps depth over a call, in rbx, and more in others. */
KEEP __attribute__((used)) void recurse_with_rbx(int depth)
{
	unsigned long a = sink + 1, b = a * 3;

	sink += (unsigned long)recurse(depth);
	sink += a ^ b * (unsigned long)depth;
}

static void on_signal(int number)
{
	(void)number;
	recurse(5);
}

KEEP static void raise_it(void)
{
	at_the_end = burn;
	announced = NULL;
	/* Not in a library call, but where any instruction may be broken into. */
	(void)syscall(SYS_tgkill, getpid(), (int)syscall(SYS_gettid), SIGUSR1);
}

static void take_signal(int depth, int on_other_stack)
{
	static char other[256 << 10];
	stack_t stack = { .ss_sp = other, .ss_size = sizeof(other) };
	struct sigaction action = { .sa_handler = on_signal,
				    .sa_flags = on_other_stack ? SA_ONSTACK : 0 };

	if (on_other_stack)
		(void)sigaltstack(&stack, NULL);
	(void)sigaction(SIGUSR1, &action, NULL);
	at_the_end = raise_it;
	announced = (void *)&seconds; /* the one below the handler is told */
	recurse(depth);
}

/* A timer breaks in wherever it is, also in the library and its PLT. */
static volatile sig_atomic_t ticks;

static void on_timer(int number)
{
	(void)number;
	ticks++;
	sink += leaf(20000);
}

static void take_timers(void)
{
	struct sigaction action = { .sa_handler = on_timer };
	timer_t timer;
	struct sigevent event = { .sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGUSR2 };
	struct itimerspec times = { { 0, 200000 }, { 0, 200000 } };

	(void)sigaction(SIGUSR2, &action, NULL);
	if (timer_create(CLOCK_THREAD_CPUTIME_ID, &event, &timer) == 0)
		(void)timer_settime(timer, 0, &times, NULL);
	recurse(10);
}

/* Mostly in stubs of the procedure linkage table. */
KEEP static void call_library(void)
{
	double end = cpu_seconds() + seconds;

	while (cpu_seconds() < end)
		for (int i = 0; i < 20000; i++)
			sink += (unsigned long)abs(rand()) + (unsigned long)getppid() * 0 +
				strlen("short") + (unsigned long)toupper(i & 127);
}

KEEP static void call_opened(void)
{
	static unsigned char bytes[1 << 16];
	void *library = dlopen("libz.so.1", RTLD_NOW);
	unsigned long (*adler)(unsigned long, const unsigned char *, unsigned) = NULL;
	double end;

	if (library)
		*(void **)&adler = dlsym(library, "adler32");
	if (!adler)
		exit(3);
	end = cpu_seconds() + seconds;
	while (cpu_seconds() < end)
		sink += adler(1, bytes, sizeof(bytes));
}

KEEP static int in_clone(void *argument)
{
	(void)argument;
	recurse(8);
	return 0;
}

static void *in_thread(void *argument)
{
	(void)argument;
	recurse(12);
	return NULL;
}

/* Executable mappings of this program's own file, and of memory, in turn, so that none merge. */
static void map_many(int count)
{
	FILE *self = fopen("/proc/self/exe", "r");
	size_t page = (size_t)sysconf(_SC_PAGESIZE);

	for (int i = 0; self && i < count; i++) {
		int is_file = i % 2;

		if (mmap(NULL, page, PROT_READ | PROT_EXEC,
			 MAP_PRIVATE | (is_file ? 0 : MAP_ANONYMOUS), is_file ? fileno(self) : -1,
			 0) == MAP_FAILED)
			exit(4);
	}
	recurse(20);
}

/* Runs a copy of itself that lies in no file system; 200 stands for "the copy". */
static void run_in_memory(char **arguments, int count)
{
	int memory = memfd_create("walked", 0);
	FILE *self = fopen("/proc/self/exe", "r");
	char bytes[1 << 16], path[64];
	size_t size;

	while (self && (size = fread(bytes, 1, sizeof(bytes), self)) > 0)
		if (write(memory, bytes, size) != (ssize_t)size)
			exit(7);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", memory);
	snprintf(bytes, sizeof(bytes), "%d", count);
	execl(path, arguments[0], "deep", arguments[2], bytes, (char *)NULL);
	exit(7);
}

/* Programs that live for so few milliseconds. */
static void run_short(const char *self, int count)
{
	for (int i = 0; i < count; i++) {
		pid_t child = fork();

		if (child == 0) {
			execl(self, self, "deep", "0.012", "30", (char *)NULL);
			_exit(127);
		}
		if (child < 0 || waitpid(child, NULL, 0) != child)
			exit(5);
	}
}

#ifdef WITH_ASSEMBLY
void call_with_frame(void (*function)(void));
void call_without_frame(void (*function)(void));

static void recurse_five(void)
{
	recurse(5);
}

static void go_through_assembly(int has_frame)
{
	if (has_frame)
		call_with_frame(recurse_five);
	else
		call_without_frame(recurse_five);
}
#else
static void go_through_assembly(int has_frame)
{
	(void)has_frame;
	exit(6);
}
#endif

static int other_ways(const char *mode, int n, char **arguments)
{
	static char stack[256 << 10];
	pthread_t thread;
	pid_t child;
	int status = 0;

	if (strcmp(mode, "thread") == 0) {
		if (pthread_create(&thread, NULL, in_thread, NULL))
			return 1;
		pthread_join(thread, NULL);
	} else if (strcmp(mode, "clone") == 0) {
		child = clone(in_clone, stack + sizeof(stack), SIGCHLD, NULL);
		(void)waitpid(child, &status, 0);
	} else if (strcmp(mode, "vfork") == 0) {
		child = vfork();
		if (child == 0) {
			recurse(6);
			_exit(0);
		}
		(void)waitpid(child, &status, 0);
	} else if (strcmp(mode, "many-mappings") == 0) {
		map_many(n);
	} else if (strcmp(mode, "with-frame") == 0) {
		go_through_assembly(1);
	} else if (strcmp(mode, "without-frame") == 0) {
		go_through_assembly(0);
	} else if (strcmp(mode, "memory") == 0) {
		run_in_memory(arguments, n);
	} else if (strcmp(mode, "short") == 0) {
		run_short(arguments[0], n);
	} else {
		return 2;
	}
	return 0;
}

int main(int argument_count, char **arguments)
{
	if (argument_count < 3)
		return 2;

	const char *mode = arguments[1];
	int n = argument_count > 3 ? (int)strtod(arguments[3], NULL) : 10;

	seconds = strtod(arguments[2], NULL);
	if (argument_count > 4)
		rounds_at_once = (unsigned long)strtod(arguments[4], NULL);
	/* What is deleted while it runs, as upgrades do, is opened through /proc/PID/map_files. */
	if (strcmp(mode, "deleted") == 0 && unlink(arguments[0]))
		return 3;
	if (strcmp(mode, "deep") == 0 || strcmp(mode, "deleted") == 0)
		recurse(n);
	else if (strcmp(mode, "signal") == 0)
		take_signal(n, 0);
	else if (strcmp(mode, "other-stack") == 0)
		take_signal(n, 1);
	else if (strcmp(mode, "timer") == 0)
		take_timers();
	else if (strcmp(mode, "alloca") == 0)
		recurse_with_alloca(n);
	else if (strcmp(mode, "large") == 0)
		recurse_with_much(n);
	else if (strcmp(mode, "register") == 0)
		call_with_frame_in_register(n);
	else if (strcmp(mode, "plt") == 0)
		call_library();
	else if (strcmp(mode, "dlopen") == 0)
		call_opened();
	else
		return other_ways(mode, n, arguments);
	return 0;
}
