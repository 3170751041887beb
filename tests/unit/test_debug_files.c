/* SPDX-License-Identifier: Apache-2.0 */
/* Debug files in the root of another process, which stands for a container. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "collector/debug_files.h"
#include "collector/processes.h"
#include "collector/sideband.h"

#define BUILD_ID_FILE "usr/lib/debug/.build-id/ab/cdef01.debug"

static const struct identity program = { .kind = IDENTITY_GNU_BUILD_ID,
					 .size = 4,
					 .bytes = { 0xab, 0xcd, 0xef, 0x01 } };

struct world {
	char folder[64];   /* on which the container's root is mounted, for it alone */
	char outside[128]; /* the same, seen through it */
	pid_t container;
	int end; /* of a pipe: the container ends when it is closed */
	struct processes *processes;
};

/* Never returns. */
static void run_container(const char *folder, int ready, int end)
{
	char byte = 0;

	if ((unshare(CLONE_NEWNS) && unshare(CLONE_NEWUSER | CLONE_NEWNS)) ||
	    mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) ||
	    mount("tmpfs", folder, "tmpfs", 0, NULL) || chroot(folder) || chdir("/"))
		_exit(EXIT_FAILURE);
	if (write(ready, &byte, 1) == 1)
		byte = (char)read(end, &byte, 1);
	_exit(EXIT_SUCCESS);
}

static bool start_container(struct world *world)
{
	int ready[2], end[2];
	char byte;

	assert_int_equal(pipe2(ready, O_CLOEXEC) + pipe2(end, O_CLOEXEC), 0);
	world->container = fork();
	assert_true(world->container >= 0);
	if (world->container == 0) {
		close(end[1]);
		run_container(world->folder, ready[1], end[0]);
	}
	close(ready[1]);
	close(end[0]);
	world->end = end[1];

	bool is_ready = read(ready[0], &byte, 1) == 1;

	close(ready[0]);
	snprintf(world->outside, sizeof(world->outside), "/proc/%d/root", (int)world->container);
	return is_ready;
}

/* A process maps the program at this path, as the kernel would say it. */
static void note_mapping(struct world *world, pid_t pid, const char *path)
{
	struct sideband_record record = { .kind = SIDEBAND_EXEC,
					  .pid = (uint32_t)pid,
					  .tid = (uint32_t)pid,
					  .boot_ns = 1,
					  .text = STR("comm") };

	processes_note(world->processes, &record);
	record.kind = SIDEBAND_MAPPED;
	record.start = 0x1000;
	record.end = 0x2000;
	record.identity = program;
	record.text = str_from(path);
	processes_note(world->processes, &record);
}

static int set_up(void **state)
{
	static struct world world;

	world = (struct world){ .folder = "/tmp/hearth-debug-files-XXXXXX", .end = -1 };
	assert_non_null(mkdtemp(world.folder));
	assert_int_equal(processes_new(NULL, &world.processes), 0);
	*state = &world;
	return 0;
}

static int tear_down(void **state)
{
	struct world *world = *state;

	processes_free(world->processes);
	if (world->end >= 0)
		close(world->end);
	if (world->container > 0)
		assert_int_equal(waitpid(world->container, NULL, 0), world->container);
	assert_int_equal(rmdir(world->folder), 0);
	return 0;
}

static void need_container(struct world *world)
{
	if (start_container(world))
		return;
	print_message("no mount namespace of our own can be had here\n");
	skip();
}

/* With the folders before it. */
static void write_inside(const struct world *world, const char *name, const char *text)
{
	char path[256];

	snprintf(path, sizeof(path), "%s/%s", world->outside, name);
	for (char *slash = path + strlen(world->outside) + 1; (slash = strchr(slash, '/'));
	     slash++) {
		*slash = '\0';
		(void)mkdir(path, 0755);
		*slash = '/';
	}

	autoclose int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
}

static void remove_inside(const struct world *world, const char *name)
{
	char path[256];

	snprintf(path, sizeof(path), "%s/%s", world->outside, name);
	assert_int_equal(unlink(path), 0);
}

/* Finds the file that holds this, or fails with this errno. */
static void assert_wanted(struct world *world, const struct identity *wanted, struct str name,
			  const char *text)
{
	char found[64] = "";
	int fd = -1;

	assert_int_equal(debug_files_open(world->processes, &program, wanted, name, &fd), 0);
	assert_true(fd >= 0);
	assert_int_equal(read(fd, found, sizeof(found) - 1), strlen(text));
	close(fd);
	assert_string_equal(found, text);
}

static void assert_found(struct world *world, struct str name, const char *text)
{
	assert_wanted(world, &program, name, text);
}

static void assert_not_had(struct world *world, const struct identity *wanted, struct str name,
			   int err)
{
	int fd = -1;

	assert_int_equal(debug_files_open(world->processes, &program, wanted, name, &fd), err);
	assert_int_equal(fd, -1);
}

static void assert_none(struct world *world, struct str name, int err)
{
	assert_not_had(world, &program, name, err);
}

static void looks_where_debug_files_lie(void **state)
{
	static const char *const places[] = { "app/bin/prog.debug", "app/bin/.debug/prog.debug",
					      "usr/lib/debug/app/bin/prog.debug" };
	struct world *world = *state;

	need_container(world);
	note_mapping(world, world->container, "/app/bin/prog");
	assert_none(world, STR("prog.debug"), -ENOENT);
	for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
		write_inside(world, places[i], "\177ELF by its name");
		assert_none(world, STR(""), -ENOENT);
		assert_found(world, STR("prog.debug"), "\177ELF by its name");
		remove_inside(world, places[i]);
	}
	write_inside(world, BUILD_ID_FILE, "\177ELF by build id");
	write_inside(world, places[0], "\177ELF by its name");
	assert_found(world, STR("prog.debug"), "\177ELF by build id");
	assert_found(world, STR(""), "\177ELF by build id");
}

/* What dwz moved out of several debug files, which are of the program and of others. */
static void looks_for_what_debug_files_share(void **state)
{
	static const struct identity shared = { .kind = IDENTITY_GNU_BUILD_ID,
						.size = 3,
						.bytes = { 0x12, 0x34, 0x56 } };
	static const char *const places[] = { "usr/lib/debug/.dwz/app.debug",
					      "usr/lib/debug/.dwz/x86_64-linux-gnu/app.debug",
					      "usr/lib/debug/.dwz/aarch64-linux-gnu/app.debug" };
	struct world *world = *state;

	need_container(world);
	note_mapping(world, world->container, "/app/bin/prog");
	/* Those of the program itself are none of it. */
	write_inside(world, BUILD_ID_FILE, "\177ELF its own");
	write_inside(world, "app/bin/app.debug", "\177ELF beside");
	assert_not_had(world, &shared, STR("app.debug"), -ENOENT);
	for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
		write_inside(world, places[i], "\177ELF shared");
		assert_wanted(world, &shared, STR("app.debug"), "\177ELF shared");
		assert_not_had(world, &shared, STR("other.debug"), -ENOENT);
		assert_not_had(world, &shared, STR(""), -ENOENT);
		remove_inside(world, places[i]);
	}
	write_inside(world, places[0], "\177ELF shared");
	write_inside(world, "usr/lib/debug/.build-id/12/3456.debug", "\177ELF by build id");
	assert_wanted(world, &shared, STR("app.debug"), "\177ELF by build id");
}

/* Whoever owns the container may put there what he likes. */
static void nothing_but_files_of_its_own_leaves_it(void **state)
{
	struct world *world = *state;
	char path[256];
	char outside[] = "/tmp/hearth-debug-outside-XXXXXX";
	int fd = mkstemp(outside);

	need_container(world);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, "\177ELF secret", 11), 11);
	close(fd);
	note_mapping(world, world->container, "/app/bin/prog");
	write_inside(world, BUILD_ID_FILE, "root:x:0:0\n");
	assert_none(world, STR(""), -ENOENT);
	snprintf(path, sizeof(path), "%s/" BUILD_ID_FILE, world->outside);
	assert_int_equal(unlink(path) + symlink(outside, path), 0);
	assert_none(world, STR(""), -ENOENT);
	assert_int_equal(unlink(path) + symlink("../../../../../../../../../etc/other", path), 0);
	assert_none(world, STR(""), -ENOENT);
	/* A link leads within the root, as a distribution's do. */
	write_inside(world, "etc/other", "\177ELF inside");
	assert_found(world, STR(""), "\177ELF inside");
	assert_int_equal(unlink(path) + mkfifo(path, 0644), 0);
	assert_none(world, STR(""), -ENOENT);
	assert_int_equal(unlink(path) + mkdir(path, 0755), 0);
	assert_none(world, STR(""), -ENOENT);
	assert_int_equal(unlink(outside), 0);
}

/* The server looks there itself. */
static void leaves_our_own_root_alone(void **state)
{
	struct world *world = *state;

	assert_none(world, STR("prog.debug"), -ENOENT);
	note_mapping(world, getpid(), "/tmp/prog");
	assert_none(world, STR("prog.debug"), -EXDEV);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(looks_where_debug_files_lie, set_up, tear_down),
		cmocka_unit_test_setup_teardown(looks_for_what_debug_files_share, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(nothing_but_files_of_its_own_leaves_it, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(leaves_our_own_root_alone, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
