/* SPDX-License-Identifier: Apache-2.0 */
/*
 * jit SECONDS map|dump: makes code at one address that spins, and after SECONDS of CPU time other
 * code at the same address, for as long; says what it is in /tmp/perf-PID.map or in jit-PID.dump of
 * the working folder. Prints the unix time in ms of the start, the change and the end.
 */
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

enum { PAGE = 4096 };

static double cpu_seconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
	return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

static long unix_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static uint64_t monotonic_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

/* push %rbp; mov %rsp,%rbp; mov $n,%rcx; 1: dec %rcx; jnz 1b; pop %rbp; ret, padded in front */
static void make_code(uint8_t *page, unsigned padding)
{
	static const uint8_t code[] = { 0x55, 0x48, 0x89, 0xe5, 0x48, 0xc7, 0xc1, 0x40, 0x42,
					0x0f, 0x00, 0x48, 0xff, 0xc9, 0x75, 0xfb, 0x5d, 0xc3 };

	memset(page, 0x90, PAGE);
	memcpy(page + padding, code, sizeof(code));
}

static void say_map(int fd, const uint8_t *code, const char *name)
{
	dprintf(fd, "%lx %x %s\n", (unsigned long)(uintptr_t)code, PAGE, name);
}

static void say_dump(int fd, const uint8_t *code, const char *name)
{
	struct {
		uint32_t id, size;
		uint64_t time;
		uint32_t pid, tid;
		uint64_t address, code_address, code_size, number;
	} record = { .size = (uint32_t)(sizeof(record) + strlen(name) + 1 + PAGE),
		     .time = monotonic_ns(),
		     .pid = (uint32_t)getpid(),
		     .tid = (uint32_t)getpid(),
		     .address = (uintptr_t)code,
		     .code_address = (uintptr_t)code,
		     .code_size = PAGE };

	if (write(fd, &record, sizeof(record)) < 0 || write(fd, name, strlen(name) + 1) < 0 ||
	    write(fd, code, PAGE) < 0)
		abort();
}

static int open_dump(void)
{
	const uint32_t header[10] = { 0x4a695444, 1, 40, 62, 0, (uint32_t)getpid() };
	char path[64];

	snprintf(path, sizeof(path), "jit-%d.dump", (int)getpid());

	int fd = open(path, O_RDWR | O_CREAT | O_TRUNC, 0644);

	/* This is how a profiler finds it. */
	if (fd < 0 || write(fd, header, sizeof(header)) != (ssize_t)sizeof(header) ||
	    mmap(NULL, PAGE, PROT_READ | PROT_EXEC, MAP_PRIVATE, fd, 0) == MAP_FAILED)
		abort();
	return fd;
}

static int open_map(void)
{
	char path[64];

	snprintf(path, sizeof(path), "/tmp/perf-%d.map", (int)getpid());

	int fd = open(path, O_RDWR | O_CREAT | O_TRUNC, 0644);

	if (fd < 0)
		abort();
	return fd;
}

int main(int argc, char **argv)
{
	double seconds = argc > 1 ? strtod(argv[1], NULL) : 1;
	int is_dump = argc > 2 && strcmp(argv[2], "dump") == 0;
	int fd = is_dump ? open_dump() : open_map();
	uint8_t *code = mmap(NULL, PAGE, PROT_READ | PROT_WRITE | PROT_EXEC,
			     MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (code == MAP_FAILED)
		abort();
	for (unsigned i = 0; i < 2; i++) {
		const char *name = i ? "second_work" : "first_work";
		double end = cpu_seconds() + seconds;

		printf("%ld\n", unix_ms());
		make_code(code, i * 64);
		if (is_dump)
			say_dump(fd, code, name);
		else
			say_map(fd, code, name);
		while (cpu_seconds() < end)
			((void (*)(void))(code + i * 64))();
	}
	printf("%ld\n", unix_ms());
	return 0;
}
