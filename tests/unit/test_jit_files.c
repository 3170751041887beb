/* SPDX-License-Identifier: Apache-2.0 */
/* What this test itself writes of code that it never made, found by the collector. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "collector/jit_files.h"
#include "collector/processes.h"

struct world {
	struct processes *processes;
	struct process_key key;
	char perf_map[64];
	char dump[64];
};

/* When a process started, as the kernel tells samples: since boot. */
static uint64_t start_boot_ns(void)
{
	char text[1024];
	unsigned long long ticks = 0;
	autoclose int fd = open("/proc/self/stat", O_RDONLY | O_CLOEXEC);
	ssize_t size = read(fd, text, sizeof(text) - 1);

	assert_true(size > 0);
	text[size] = '\0';
	assert_int_equal(sscanf(strrchr(text, ')'),
				") %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d %*d %*d "
				"%*d %*d %*d %llu",
				&ticks),
			 1);
	return ticks * (uint64_t)CLOCK_NS_PER_S / (uint64_t)sysconf(_SC_CLK_TCK);
}

static int set_up(void **state)
{
	static struct world world;

	world = (struct world){ .key = { .pid = (uint32_t)getpid(),
					 .exec_generation = 1,
					 .start_boot_ns = start_boot_ns() } };
	snprintf(world.perf_map, sizeof(world.perf_map), "/tmp/perf-%d.map", (int)getpid());
	snprintf(world.dump, sizeof(world.dump), "/tmp/jit-%d.dump", (int)getpid());
	assert_int_equal(processes_new(NULL, &world.processes), 0);
	*state = &world;
	return 0;
}

static int tear_down(void **state)
{
	struct world *world = *state;

	processes_free(world->processes);
	(void)unlink(world->perf_map);
	(void)unlink(world->dump);
	return 0;
}

static void write_file(const char *path, const char *text)
{
	autoclose int fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
}

/* As for a sample of now. */
static void meet(struct world *world)
{
	struct timespec now;

	clock_gettime(CLOCK_BOOTTIME, &now);
	assert_non_null(processes_resolve(world->processes, &world->key,
					  (uint64_t)now.tv_sec * (uint64_t)CLOCK_NS_PER_S));
}

static int look(struct world *world, uint8_t *kind)
{
	int fd = -1;
	int err = jit_files_open(world->processes, &world->key, kind, &fd);

	assert_int_equal(err == 0, fd >= 0);
	if (fd >= 0)
		close(fd);
	return err;
}

static void finds_the_perf_map_of_a_process(void **state)
{
	struct world *world = *state;
	struct process_key other = world->key;
	uint8_t kind = 0;
	int fd = -1;

	write_file(world->perf_map, "1000 10 name\n");
	/* Nobody met it yet. */
	assert_int_equal(look(world, &kind), -ENOENT);
	meet(world);
	assert_int_equal(look(world, &kind), 0);
	assert_int_equal(kind, JIT_FILES_PERF_MAP);
	other.exec_generation++;
	assert_int_equal(jit_files_open(world->processes, &other, &kind, &fd), -ENOENT);
}

static void what_is_no_perf_map_stays(void **state)
{
	struct world *world = *state;
	uint8_t kind = 0;

	meet(world);
	assert_int_equal(look(world, &kind), -ENOENT);
	write_file(world->perf_map, "root:x:0:0\n");
	assert_int_equal(look(world, &kind), -ENOENT);
	(void)unlink(world->perf_map);
	write_file(world->dump, "1000 10 name\n");
	assert_int_equal(symlink(world->dump, world->perf_map), 0);
	assert_int_equal(look(world, &kind), -ENOENT);
	(void)unlink(world->perf_map);
	assert_int_equal(mkfifo(world->perf_map, 0600), 0);
	assert_int_equal(look(world, &kind), -ENOENT);
	(void)unlink(world->perf_map);
	assert_int_equal(mkdir(world->perf_map, 0700), 0);
	assert_int_equal(look(world, &kind), -ENOENT);
	assert_int_equal(rmdir(world->perf_map), 0);
	/* Somebody else's, put there by a link. */
	if (geteuid() == 0) {
		write_file(world->perf_map, "1000 10 name\n");
		assert_int_equal(chown(world->perf_map, 12345, 12345), 0);
		assert_int_equal(look(world, &kind), -ENOENT);
	}
}

static void a_jitdump_that_is_mapped_goes_first(void **state)
{
	struct world *world = *state;
	uint8_t kind = 0;

	write_file(world->perf_map, "1000 10 name\n");
	write_file(world->dump, "DTiJ and so on");

	autoclose int fd = open(world->dump, O_RDONLY | O_CLOEXEC);
	void *mark = mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE, fd, 0);

	assert_ptr_not_equal(mark, MAP_FAILED);
	meet(world);
	assert_int_equal(look(world, &kind), 0);
	assert_int_equal(kind, geteuid() == 0 ? JIT_FILES_JITDUMP : JIT_FILES_PERF_MAP);
	/* Another file in its clothes. */
	write_file(world->dump, "ELF");
	assert_int_equal(look(world, &kind), 0);
	assert_int_equal(kind, JIT_FILES_PERF_MAP);
	munmap(mark, 4096);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(finds_the_perf_map_of_a_process, set_up, tear_down),
		cmocka_unit_test_setup_teardown(what_is_no_perf_map_stays, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_jitdump_that_is_mapped_goes_first, set_up,
						tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
