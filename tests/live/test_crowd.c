/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A host on which more goes on than on most: programs that start and end 500 times a second, ten
 * thousand that live, one that maps a hundred thousand pieces. What that costs is printed; with
 * HEARTH_LONG=1 each is as large as these words say.
 */
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <setjmp.h>
#include <signal.h>
#include <sched.h>
#include <spawn.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "tests/support/hearth.h"
#include "tests/support/tier.h"

/* What 500 programs a second may cost: 15 % of a core. */
#define CPU_SECONDS_PER_PROGRAM (0.15 / 500)

enum {
	PROGRAMS_PER_SECOND = 500,
	ATTACH_SECONDS_MAX = 10,
	MEMORY_KIB_MAX = 400 << 10,
};

struct scene {
	struct hearth hearth;
	pid_t collector;
};

static long memory_kib(pid_t pid)
{
	char path[64], line[256];
	long kib = 0;

	snprintf(path, sizeof(path), "/proc/%d/status", (int)pid);

	FILE *file = fopen(path, "re");

	assert_non_null(file);
	while (fgets(line, sizeof(line), file))
		(void)sscanf(line, "VmRSS: %ld", &kib);
	(void)fclose(file);
	assert_true(kib > 0);
	return kib;
}

static void start(struct scene *scene)
{
	need_bpf();
	hearth_start(&scene->hearth, "run", (const char *const[]){ NULL });
	assert_true(child_says(&scene->hearth.child, "a collector is connected", 60));
	scene->collector = hearth_program(&scene->hearth, "hearth-collect");
	assert_true(scene->collector > 0);
}

/* The same collector as at the start still samples; ends all. */
static void stop(struct scene *scene)
{
	json_t *status = hearth_get(&scene->hearth, "/api/v1/status");
	const char *state =
		json_string_value(json_object_get(json_object_get(status, "collector"), "state"));

	assert_non_null(state);
	assert_string_equal(state, "sampling");
	json_decref(status);
	assert_int_equal(hearth_program(&scene->hearth, "hearth-collect"), scene->collector);
	assert_int_equal(hearth_stop(&scene->hearth), 0);
}

/* ---- programs that start and end --------------------------------------------------------------
 */

/* In a process of its own: so many a second, for so long. How many there were. */
static unsigned start_programs(double seconds)
{
	static const char *const words[] = { "true", NULL };
	double began = now_seconds();
	unsigned count = 0;

	while (now_seconds() < began + seconds) {
		pid_t pid;

		if (posix_spawn(&pid, "/bin/true", NULL, NULL, (char *const *)words, environ) ==
		    0) {
			(void)waitpid(pid, NULL, 0);
			count++;
		}

		double ahead = began + (double)count / PROGRAMS_PER_SECOND - now_seconds();

		if (ahead > 0)
			sleep_seconds(ahead);
	}
	return count;
}

/*
 * Of the stacks of these programs. Each lives for a millisecond: who is sampled is sampled in the
 * dynamic linker or in the kernel, mostly before the walk has heard of its mappings.
 */
static void stacks_are_complete(struct scene *scene)
{
	json_t *answer = hearth_get(&scene->hearth, "/api/v1/stacks?from=now-1h&limit=2000&query="
						    "%%7Bprocess_name%%3D%%22true%%22%%7D");
	json_t *rows = json_object_get(answer, "rows"), *row;
	double total = 0, complete = 0;
	size_t i;

	json_array_foreach(rows, i, row)
	{
		total += json_number_value(json_object_get(row, "total"));
		complete += json_number_value(json_object_get(row, "complete"));
	}
	printf("# of the stacks of %zu programs that were sampled %.2f %% are complete\n",
	       json_array_size(rows), total > 0 ? 100 * complete / total : 0);
	assert_true(json_array_size(rows) > 20);
	assert_true(complete >= 0.97 * total);
	json_decref(answer);
}

static void programs_come_and_go(void **state)
{
	double seconds = (double)tier_number("HEARTH_CHURN_SECONDS", 8, 60);
	double rest = (double)tier_number("HEARTH_REST_SECONDS", 8, 60);
	struct scene scene = { 0 };

	(void)state;
	start(&scene);
	/* What comes with the first of them stays: files, their tables, room for processes. */
	(void)start_programs(tier_is_long() ? 20 : 4);
	sleep_seconds(rest);

	long before_kib = memory_kib(scene.collector);
	double before = cpu_seconds_of(scene.collector), began = now_seconds();
	unsigned count = start_programs(seconds);
	double cpu = cpu_seconds_of(scene.collector) - before, took = now_seconds() - began;
	long peak_kib = memory_kib(scene.collector);

	sleep_seconds(rest);

	long after_kib = memory_kib(scene.collector);

	printf("# %.0f programs a second for %.0f s: %.1f %% of a core, %.2f ms each; memory %ld, "
	       "%ld and, "
	       "%.0f s after, %ld KiB\n",
	       count / took, took, 100 * cpu / took, 1e3 * cpu / count, before_kib, peak_kib, rest,
	       after_kib);
	assert_true(count > 50 * seconds);
	assert_true(cpu <= CPU_SECONDS_PER_PROGRAM * PROGRAMS_PER_SECOND * took);
	assert_true((double)after_kib <= 1.05 * (double)before_kib);
	stacks_are_complete(&scene);
	stop(&scene);
}

/* ---- processes that live ----------------------------------------------------------------------
 */

/* A process group of its own: its leader, when all are there. */
static pid_t start_crowd(unsigned count)
{
	int ready[2];
	char byte;

	assert_int_equal(pipe2(ready, O_CLOEXEC), 0);

	pid_t leader = fork();

	assert_true(leader >= 0);
	if (leader == 0) {
		(void)setpgid(0, 0);
		for (unsigned i = 0; i < count; i++) {
			pid_t pid = fork();

			if (pid < 0)
				_exit(1);
			if (pid == 0) {
				(void)close(ready[1]);
				for (;;)
					(void)pause();
			}
		}
		if (write(ready[1], "x", 1) != 1)
			_exit(1);
		for (;;)
			(void)pause();
	}
	(void)close(ready[1]);
	assert_int_equal(read(ready[0], &byte, 1), 1);
	(void)close(ready[0]);
	return leader;
}

static void end_crowd(pid_t leader)
{
	(void)kill(-leader, SIGKILL);
	(void)waitpid(leader, NULL, 0);
}

static void burn_is_named(struct scene *scene)
{
	char target[256];
	const char *arguments[] = { build_path("tests/live/targets/burn", target, sizeof(target)),
				    "30", NULL };
	struct child burn;
	double end = now_seconds() + 20, spent = 0;

	child_start(&burn, arguments, 0);
	while (spent <= 0 && now_seconds() < end) {
		json_t *flame = hearth_get(&scene->hearth, "/api/v1/flame?from=now-1h");

		spent = flame_total(flame, "spend_seventy");
		json_decref(flame);
		sleep_seconds(0.2);
	}
	(void)kill(burn.pid, SIGKILL);
	(void)child_wait(&burn, 10);
	assert_true(spent > 0);
}

static void thousands_live(void **state)
{
	unsigned count = (unsigned)tier_number("HEARTH_CROWD", 2000, 10000);
	pid_t crowd = start_crowd(count);
	struct scene scene = { 0 };
	double began = now_seconds();

	(void)state;
	start(&scene);

	double attached = now_seconds() - began;

	burn_is_named(&scene);

	long kib = memory_kib(scene.collector);
	pid_t server = hearth_program(&scene.hearth, "hearth-serve");
	long server_kib = memory_kib(server);
	double before = cpu_seconds_of(scene.collector);

	sleep_seconds(3);

	double cpu = (cpu_seconds_of(scene.collector) - before) / 3;

	printf("# %u processes: attached after %.1f s, %ld KiB in the collector and %ld in the "
	       "server, "
	       "%.1f %% of a core\n",
	       count, attached, kib, server_kib, 100 * cpu);
	end_crowd(crowd);
	assert_true(attached <= ATTACH_SECONDS_MAX);
	assert_true(kib <= MEMORY_KIB_MAX);
	assert_true(cpu <= 0.15);
	stop(&scene);
}

/* ---- a process with very many mappings --------------------------------------------------------
 */

/* The host's limit: raised for the time of the test, then set back. What it was. */
static unsigned set_mappings_max(unsigned count, bool may_lower)
{
	FILE *file = fopen("/proc/sys/vm/max_map_count", "r+e");
	unsigned before = 0;

	assert_non_null(file);
	assert_int_equal(fscanf(file, "%u", &before), 1);
	rewind(file);
	if (may_lower || count > before)
		assert_true(fprintf(file, "%u", count) > 0);
	assert_int_equal(fclose(file), 0);
	return before;
}

static volatile uint64_t turns;

static __attribute__((noinline, noclone)) void turn_in_circles(double seconds)
{
	double end = now_seconds() + seconds;

	while (now_seconds() < end)
		for (int i = 0; i < 1000000; i++)
			turns++;
}

/* Executable pieces of a file, none of which is the next of the one before. */
static void map_many(unsigned count)
{
	long page = sysconf(_SC_PAGESIZE);
	int fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);

	for (unsigned i = 0; i < count; i++)
		if (mmap(NULL, (size_t)page, PROT_READ | PROT_EXEC, MAP_PRIVATE, fd,
			 i % 2 * 2 * page) == MAP_FAILED)
			_exit(1);
	(void)close(fd);
}

static void one_maps_very_much(void **state)
{
	unsigned count = (unsigned)tier_number("HEARTH_MAPPINGS", 60000, 100000);
	double seconds = 10;
	unsigned limit = set_mappings_max(count + 10000, false);
	struct scene scene = { 0 };

	(void)state;
	start(&scene);

	double before = cpu_seconds_of(scene.collector), began = now_seconds();
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid == 0) {
		map_many(count);
		turn_in_circles(seconds);
		_exit(0);
	}

	struct rusage usage = { 0 };
	int status = 0;

	assert_int_equal(wait4(pid, &status, 0, &usage), pid);
	(void)set_mappings_max(limit, true);

	double took = now_seconds() - began, cpu = cpu_seconds_of(scene.collector) - before;

	sleep_seconds(2);

	json_t *flame = hearth_get(&scene.hearth, "/api/v1/flame?from=now-1h");
	double named = flame_total(flame, "turn_in_circles") / 1e9;

	json_decref(flame);
	double spent = (double)usage.ru_utime.tv_sec + (double)usage.ru_utime.tv_usec / 1e6;

	printf("# %u executable mappings in one process: %.1f %% of a core, %ld KiB; %.1f s of "
	       "%.1f are "
	       "named\n",
	       count, 100 * cpu / took, memory_kib(scene.collector), named, spent);
	assert_int_equal(status, 0);
	assert_true(cpu <= 0.15 * took);
	assert_true(memory_kib(scene.collector) <= MEMORY_KIB_MAX);
	assert_true(named > 0.8 * spent);
	stop(&scene);
}

/*
 * In a pid namespace of its own, so that what else runs here is left out of the figures: a child
 * goes on, and its exit code is returned; -1 in that child, and where there are no rights for it.
 */
static int leave_others_out(void)
{
	int status = 0;

	if (unshare(CLONE_NEWPID | CLONE_NEWNS))
		return -1;

	pid_t child = fork();

	if (child == 0) {
		if (mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) ||
		    mount("proc", "/proc", "proc", 0, NULL))
			_exit(1);
		return -1;
	}
	if (child < 0 || waitpid(child, &status, 0) != child)
		return 1;
	return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(programs_come_and_go),
		cmocka_unit_test(thousands_live),
		cmocka_unit_test(one_maps_very_much),
	};

	int code = leave_others_out();

	return code >= 0 ? code : cmocka_run_group_tests(tests, NULL, NULL);
}
