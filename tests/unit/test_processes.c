/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/parse.h"
#include "collector/mappings.h"
#include "collector/processes.h"
#include "collector/sideband.h"

/* Beyond any pid_max, so that /proc knows nothing of them. */
enum { PARENT = 0x40000001, CHILD = 0x40000002 };

#define SECOND ((uint64_t)CLOCK_NS_PER_S)

static const struct identity program = { .kind = IDENTITY_GNU_BUILD_ID,
					 .size = 4,
					 .bytes = "prog" };

static int set_up(void **state)
{
	return processes_new(NULL, (struct processes **)state);
}

static int tear_down(void **state)
{
	processes_free(*state);
	return 0;
}

static void note(struct processes *processes, uint32_t kind, uint32_t pid, uint64_t boot_ns,
		 const char *text)
{
	struct sideband_record record = { .kind = kind,
					  .pid = pid,
					  .tid = pid,
					  .parent_pid = PARENT,
					  .boot_ns = boot_ns,
					  .text = str_from(text) };

	if (kind == SIDEBAND_MAPPED) {
		record.start = 0x1000;
		record.end = 0x2000;
		record.identity = program;
	}
	processes_note(processes, &record);
}

static struct process *resolve(struct processes *processes, uint32_t pid, uint32_t generation,
			       uint64_t start_boot_ns, uint64_t boot_ns)
{
	struct process_key key = { .pid = pid,
				   .exec_generation = generation,
				   .start_boot_ns = start_boot_ns };

	return processes_resolve(processes, &key, boot_ns);
}

static void knows_a_process_that_is_gone_before_anybody_looked(void **state)
{
	note(*state, SIDEBAND_FORKED, CHILD, 10, NULL);
	note(*state, SIDEBAND_EXEC, CHILD, 20, "short-comm");
	note(*state, SIDEBAND_MAPPED, CHILD, 21, "/usr/bin/short-lived");
	note(*state, SIDEBAND_EXITED, CHILD, 50, NULL);

	struct process *process = resolve(*state, CHILD, 3, 10, 30);

	assert_non_null(process);
	assert_string_equal(process->texts->name, "short-lived");
	assert_string_equal(process->texts->comm, "short-comm");
	assert_string_equal(process->texts->executable, "/usr/bin/short-lived");
	assert_int_equal(process->exit_boot_ns, 50);
	assert_non_null(mappings_find(process->mappings, 0x1800));
}

static void gives_a_fork_what_its_parent_maps(void **state)
{
	note(*state, SIDEBAND_EXEC, PARENT, 5, "parent");
	note(*state, SIDEBAND_MAPPED, PARENT, 6, "/usr/bin/parent");
	note(*state, SIDEBAND_FORKED, CHILD, 10, NULL);

	struct process *child = resolve(*state, CHILD, 1, 10, 11);

	assert_non_null(mappings_find(child->mappings, 0x1800));
	assert_string_equal(child->texts->name, "parent");
}

static void takes_an_exec_for_another_process(void **state)
{
	note(*state, SIDEBAND_FORKED, CHILD, 10, NULL);

	struct process *before = resolve(*state, CHILD, 1, 10, 11);

	note(*state, SIDEBAND_EXEC, CHILD, 20, "after");

	struct process *after = resolve(*state, CHILD, 2, 10, 21);

	assert_ptr_not_equal(before, after);
	assert_int_equal(before->end_boot_ns, 20);
	assert_int_equal(after->end_boot_ns, 0);
	assert_string_equal(after->texts->name, "after");
	/* A late sample still finds its own. */
	assert_ptr_equal(resolve(*state, CHILD, 1, 10, 19), before);
}

/* Samples are looked up after the records of the same tenth of a second were read. */
static void tells_a_sample_from_before_an_exec_from_the_new_program(void **state)
{
	note(*state, SIDEBAND_EXEC, CHILD, 20, "after");

	struct process *before = resolve(*state, CHILD, 1, 10, 15);

	assert_int_equal(before->end_boot_ns, 20);
	assert_null(before->texts);

	/* Records go on to reach the program that runs. */
	note(*state, SIDEBAND_MAPPED, CHILD, 21, "/usr/bin/after");
	note(*state, SIDEBAND_EXITED, CHILD, 30, NULL);

	struct process *after = resolve(*state, CHILD, 2, 10, 25);

	assert_ptr_not_equal(before, after);
	assert_string_equal(after->texts->executable, "/usr/bin/after");
	assert_int_equal(after->exit_boot_ns, 30);
	assert_null(before->mappings);
}

/* The kernel tells of an exec some microseconds before it counts it. */
static void knows_a_program_that_was_sampled_before_its_exec_was_counted(void **state)
{
	note(*state, SIDEBAND_FORKED, CHILD, 10, NULL);
	note(*state, SIDEBAND_EXEC, CHILD, 20 * SECOND, "after");

	/* Number 1 is the fork's, which nobody sampled. */
	struct process *early = resolve(*state, CHILD, 1, 10, 20 * SECOND + 5000);
	struct process *after = resolve(*state, CHILD, 2, 10, 21 * SECOND);

	assert_ptr_equal(early, after);
	assert_string_equal(after->texts->name, "after");
	assert_int_equal(after->end_boot_ns, 0);
	assert_int_equal(after->key.exec_generation, 2);
	/* In whatever order they are looked at. */
	assert_ptr_equal(resolve(*state, CHILD, 1, 10, 20 * SECOND + 6000), after);
	/* The fork is still to be had. */
	assert_ptr_not_equal(resolve(*state, CHILD, 1, 10, 15 * SECOND), after);
	/* Much later it is an exec that no record told of. */
	assert_ptr_not_equal(resolve(*state, CHILD, 3, 10, 30 * SECOND), after);
}

static void gives_a_fork_that_is_gone_what_its_parent_maps(void **state)
{
	struct sideband_record record = { .kind = SIDEBAND_FORKED,
					  .pid = CHILD,
					  .tid = CHILD,
					  .parent_pid = (uint32_t)getpid(),
					  .boot_ns = 10 };

	/* Of us nothing is known but that we live. */
	processes_note(*state, &record);
	note(*state, SIDEBAND_EXEC, CHILD, 20, "after");

	struct process *fork = resolve(*state, CHILD, 1, 10, 15);

	assert_int_equal(fork->end_boot_ns, 20);
	assert_non_null(fork->mappings);
	assert_non_null(mappings_find(fork->mappings, (uint64_t)(uintptr_t)getpid));

	/* One who runs another program since maps something else. */
	record.pid = record.tid = CHILD + 1;
	processes_note(*state, &record);
	note(*state, SIDEBAND_EXITED, CHILD + 1, 20, NULL);
	note(*state, SIDEBAND_EXEC, (uint32_t)getpid(), 30, "another");
	fork = resolve(*state, CHILD + 1, 1, 10, 15);
	assert_null(fork->mappings);
}

static void tells_pids_apart_that_come_again(void **state)
{
	note(*state, SIDEBAND_FORKED, CHILD, 10, NULL);

	struct process *first = resolve(*state, CHILD, 1, 10, 11);

	note(*state, SIDEBAND_FORKED, CHILD, 100, NULL);

	struct process *second = resolve(*state, CHILD, 1, 100, 101);

	assert_ptr_not_equal(first, second);
	assert_int_equal(first->exit_boot_ns, 100);
	assert_int_equal(second->exit_boot_ns, 0);
}

static void forgets_the_dead_after_a_while(void **state)
{
	note(*state, SIDEBAND_FORKED, CHILD, SECOND, NULL);
	note(*state, SIDEBAND_EXITED, CHILD, 2 * SECOND, NULL);
	processes_sweep(*state, 3 * SECOND);
	assert_int_equal(processes_count(*state), 1);
	processes_sweep(*state, 20 * SECOND);
	assert_int_equal(processes_count(*state), 0);
}

static void finds_out_about_deaths_that_nobody_told(void **state)
{
	(void)resolve(*state, CHILD, 1, 10, 11);
	for (uint64_t i = 0; i < 80; i++)
		processes_sweep(*state, i * SECOND);
	assert_int_equal(processes_count(*state), 0);
}

/* In units of the clock ticks that /proc has. */
static uint64_t own_start_boot_ns(void)
{
	char text[1024] = "";
	int fd = open("/proc/self/stat", O_RDONLY);
	uint64_t ticks = 0;

	assert_true(read(fd, text, sizeof(text) - 1) > 0);
	close(fd);

	struct str rest = str_from(strrchr(text, ')') + 2), field;

	for (unsigned i = 3; i <= 22; i++)
		assert_true(parse_next(&rest, ' ', &field));
	assert_int_equal(parse_u64(field, &ticks), 0);
	return ticks * (SECOND / (uint64_t)sysconf(_SC_CLK_TCK));
}

static void reads_a_living_process(void **state)
{
	struct process *self = resolve(*state, (uint32_t)getpid(), 1, own_start_boot_ns(), 11);
	uint64_t address = (uint64_t)(uintptr_t)reads_a_living_process;

	assert_string_equal(self->texts->name, "test_processes");
	assert_false(self->texts->is_kernel_thread);
	assert_true(self->namespace_pid > 0);

	const struct mapping *mapping = mappings_find(self->mappings, address);

	assert_non_null(mapping);
	assert_int_equal(mapping->kind, MAPPING_FILE);
	assert_string_equal(mapping->file->path, self->texts->executable);

	int fd = -1;
	struct stat status, expected;

	assert_int_equal(processes_open_file(*state, &mapping->file->identity, &fd), 0);
	assert_int_equal(fstat(fd, &status), 0);
	assert_int_equal(stat("/proc/self/exe", &expected), 0);
	assert_int_equal(status.st_ino, expected.st_ino);
	close(fd);
}

static void reads_nothing_of_a_later_owner_of_the_pid(void **state)
{
	uint64_t start = own_start_boot_ns();
	struct process *other = resolve(*state, (uint32_t)getpid(), 1, start / 2, 11);

	assert_null(other->texts);
	assert_null(other->mappings);
}

static void opens_only_what_somebody_maps(void **state)
{
	int fd = -1;

	assert_true(processes_open_file(*state, &program, &fd) < 0);

	/* A path that does not begin at a root is nobody's file; devices are no files. */
	const char *const paths[] = { "relative", "/dev/null", "/proc", "/nowhere/at/all" };

	for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
		note(*state, SIDEBAND_EXEC, CHILD, 20 + i, "x");
		note(*state, SIDEBAND_MAPPED, CHILD, 21 + i, paths[i]);
		assert_true(processes_open_file(*state, &program, &fd) < 0);
		assert_int_equal(fd, -1);
	}
}

static void opens_the_file_of_a_living_process_rather_than_of_a_dead_one(void **state)
{
	struct process *self = resolve(*state, (uint32_t)getpid(), 1, own_start_boot_ns(), 11);
	const struct mapping *mapping =
		mappings_find(self->mappings, (uint64_t)(uintptr_t)reads_a_living_process);
	struct sideband_record record = { .kind = SIDEBAND_MAPPED,
					  .start = 0x1000,
					  .end = 0x2000,
					  .identity = mapping->file->identity,
					  .text = STR("/etc/passwd") };
	struct stat status, expected;
	int fd = -1;

	/* In every bucket before and behind that of the living one. */
	for (uint32_t i = 0; i < 8192; i += 7) {
		note(*state, SIDEBAND_EXEC, PARENT + i, 20, "dead");
		record.pid = record.tid = PARENT + i;
		processes_note(*state, &record);
	}
	assert_int_equal(processes_open_file(*state, &mapping->file->identity, &fd), 0);
	assert_int_equal(fstat(fd, &status), 0);
	assert_int_equal(stat("/proc/self/exe", &expected), 0);
	assert_int_equal(status.st_ino, expected.st_ino);
	close(fd);
}

/* A process that lives in this folder as its root until it is killed. */
static pid_t live_in(const char *root)
{
	pid_t pid;
	int ready[2];
	char byte;

	assert_int_equal(pipe(ready), 0);
	pid = fork();
	if (pid == 0) {
		if (chroot(root) == 0 && write(ready[1], "", 1) == 1)
			pause();
		_exit(1);
	}
	assert_true(pid > 0);
	close(ready[1]);
	assert_int_equal(read(ready[0], &byte, 1), 1);
	close(ready[0]);
	return pid;
}

/* What a process mapped that its parent started and that has ended; it is what it was then. */
static const struct mapping *note_short_life(struct processes *processes, pid_t parent,
					     uint32_t pid, const char *path,
					     const struct process **ret)
{
	struct sideband_record forked = { .kind = SIDEBAND_FORKED,
					  .pid = pid,
					  .tid = pid,
					  .parent_pid = (uint32_t)parent,
					  .boot_ns = 10 };

	processes_note(processes, &forked);
	note(processes, SIDEBAND_EXEC, pid, 20, "x");
	note(processes, SIDEBAND_MAPPED, pid, 21, path);
	note(processes, SIDEBAND_EXITED, pid, 50, NULL);
	*ret = resolve(processes, pid, 3, 10, 30);
	assert_non_null(*ret);
	return mappings_find((*ret)->mappings, 0x1800);
}

static ino_t inode_of(const char *path)
{
	struct stat status;

	assert_int_equal(stat(path, &status), 0);
	return status.st_ino;
}

static ino_t opened_inode(int fd)
{
	struct stat status;

	assert_int_equal(fstat(fd, &status), 0);
	close(fd);
	return status.st_ino;
}

/* Two copies of one file, in a container and on the host, each mapped by a process that has ended.
 */
static void opens_the_copy_that_a_process_mapped(void **state)
{
	char root[] = "/tmp/hearth-root-XXXXXX", inside[64], outside[64];
	char command[256];
	int fd = -1;

	if (geteuid() != 0) {
		print_message("skipped: only root can have another root\n");
		skip();
	}
	assert_non_null(mkdtemp(root));
	snprintf(inside, sizeof(inside), "%s/copy", root);
	snprintf(outside, sizeof(outside), "%s.host", root);
	snprintf(command, sizeof(command), "cp /proc/self/exe %s && cp %s %s", inside, inside,
		 outside);
	assert_int_equal(system(command), 0);

	pid_t parent = live_in(root);

	const struct process *child, *other;
	const struct mapping *of_child = note_short_life(*state, parent, CHILD, "/copy", &child);
	const struct mapping *of_other =
		note_short_life(*state, getpid(), CHILD + 1, outside, &other);

	assert_int_equal(processes_open_mapped(child, of_child, &fd), 0);
	assert_int_equal(opened_inode(fd), inode_of(inside));
	assert_int_equal(processes_open_mapped(other, of_other, &fd), 0);
	assert_int_equal(opened_inode(fd), inode_of(outside));
	/* Whoever is asked for it by identity alone finds the container's all the same. */
	assert_int_equal(processes_open_file(*state, &program, &fd), 0);
	close(fd);

	kill(parent, SIGKILL);
	assert_int_equal(waitpid(parent, NULL, 0), parent);
	assert_int_equal(processes_open_mapped(child, of_child, &fd), -ENOENT);
	assert_int_equal(unlink(inside), 0);
	assert_int_equal(unlink(outside), 0);
	assert_int_equal(rmdir(root), 0);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		TEST(knows_a_process_that_is_gone_before_anybody_looked),
		TEST(gives_a_fork_what_its_parent_maps),
		TEST(takes_an_exec_for_another_process),
		TEST(tells_a_sample_from_before_an_exec_from_the_new_program),
		TEST(knows_a_program_that_was_sampled_before_its_exec_was_counted),
		TEST(gives_a_fork_that_is_gone_what_its_parent_maps),
		TEST(tells_pids_apart_that_come_again),
		TEST(forgets_the_dead_after_a_while),
		TEST(finds_out_about_deaths_that_nobody_told),
		TEST(reads_a_living_process),
		TEST(reads_nothing_of_a_later_owner_of_the_pid),
		TEST(opens_only_what_somebody_maps),
		TEST(opens_the_file_of_a_living_process_rather_than_of_a_dead_one),
		TEST(opens_the_copy_that_a_process_mapped),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
