/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "symbols/debug_folder.h"

static const struct identity wanted = {
	.kind = IDENTITY_GNU_BUILD_ID,
	.size = 4,
	.bytes = { 0x0a, 0xbc, 0xde, 0xf1 },
};

struct world {
	char root[64];
	char folders[256];
};

static void path_in(const struct world *world, const char *name, char path[static 256])
{
	snprintf(path, 256, "%s%s", world->root, name);
}

static void make_folder(const struct world *world, const char *name)
{
	char path[256];

	path_in(world, name, path);
	assert_int_equal(mkdir(path, 0700), 0);
}

static void write_file(const struct world *world, const char *name, const char *text)
{
	char path[256];

	path_in(world, name, path);

	autoclose int fd = open(path, O_WRONLY | O_CREAT, 0600);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
}

static int set_up(void **state)
{
	struct world *world = calloc(1, sizeof(*world));

	snprintf(world->root, sizeof(world->root), "/tmp/hearth-test-XXXXXX");
	if (!mkdtemp(world->root))
		return -1;
	snprintf(world->folders, sizeof(world->folders), "::%s/none:%s/first:%s/second",
		 world->root, world->root, world->root);
	for (int i = 0; i < 2; i++) {
		const char *const names[] = {
			"/first",  "/first/.build-id",	"/first/.build-id/0a",
			"/second", "/second/.build-id", "/second/.build-id/0a"
		};

		for (size_t k = 0; k < 3; k++)
			make_folder(world, names[3 * i + (int)k]);
	}
	*state = world;
	return 0;
}

static int tear_down(void **state)
{
	struct world *world = *state;
	char command[128];

	snprintf(command, sizeof(command), "rm -rf %s", world->root);
	int code = system(command);

	free(world);
	return code;
}

static void expect_text(const struct world *world, const char *expected)
{
	char text[16] = "";
	autoclose int fd = -1;

	assert_int_equal(debug_folder_open(world->folders, &wanted, &fd), 0);
	assert_int_equal(read(fd, text, sizeof(text) - 1), strlen(expected));
	assert_string_equal(text, expected);
}

static void finds_the_first(void **state)
{
	const struct world *world = *state;
	int fd = -7;

	assert_int_equal(debug_folder_open(world->folders, &wanted, &fd), -ENOENT);
	assert_int_equal(fd, -7);
	write_file(world, "/second/.build-id/0a/bcdef1.debug", "second");
	expect_text(world, "second");
	write_file(world, "/first/.build-id/0a/bcdef1.debug", "first");
	expect_text(world, "first");
}

static void follows_links_but_opens_regular_files_only(void **state)
{
	const struct world *world = *state;
	char path[256];
	char target[256];
	int fd = -7;

	write_file(world, "/elsewhere", "linked");
	path_in(world, "/second/.build-id/0a/bcdef1.debug", path);
	path_in(world, "/elsewhere", target);
	assert_int_equal(symlink(target, path), 0);
	expect_text(world, "linked");

	/* A pipe would wait for a writer for ever. */
	path_in(world, "/first/.build-id/0a/bcdef1.debug", path);
	assert_int_equal(mkfifo(path, 0600), 0);
	expect_text(world, "linked");
	path_in(world, "/second/.build-id/0a/bcdef1.debug", path);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(mkdir(path, 0700), 0);
	assert_int_equal(debug_folder_open(world->folders, &wanted, &fd), -ENOENT);
	assert_int_equal(fd, -7);
}

/* Places of a .dwo file until there are no more: which of them hold one. */
static unsigned split_places(const struct world *world, int program, const char *path)
{
	unsigned found = 0;
	int err = 0;

	for (uint32_t place = 0; err != -ERANGE; place++) {
		autoclose int fd = -1;

		err = debug_folder_open_split(world->folders, program, str_from(path), place, &fd);
		assert_true(err == 0 || err == -ENOENT || err == -ERANGE);
		assert_true((err == 0) == (fd >= 0));
		found |= (err == 0) << place;
	}
	return found;
}

static void looks_for_the_other_half_in_each_place(void **state)
{
	const struct world *world = *state;
	char path[256];
	char below[512];

	path_in(world, "/build.dwo", path);
	write_file(world, "/program", "program");

	autoclose int program = open("/dev/null", O_RDONLY | O_CLOEXEC);
	char at[256];

	path_in(world, "/program", at);
	assert_int_equal(dup3(open(at, O_RDONLY | O_CLOEXEC), program, O_CLOEXEC), program);
	assert_int_equal(split_places(world, program, path), 0);
	write_file(world, "/build.dwo", "built here");
	assert_int_equal(split_places(world, -1, path), 2);
	/* It lies beside the program as well. */
	assert_int_equal(split_places(world, program, path), 6);
	assert_int_equal(split_places(world, program, "/elsewhere/build.dwo"), 4);
	write_file(world, "/program.dwp", "all of them");
	assert_int_equal(split_places(world, program, "/elsewhere/build.dwo"), 5);
	/* The folders: two of no name, one that is not there, "first", "second". */
	snprintf(below, sizeof(below), "mkdir -p %s/second/src && echo > %s/second/src/a.dwo",
		 world->root, world->root);
	assert_int_equal(system(below), 0);
	assert_int_equal(split_places(world, program, "/src/a.dwo"), 1 | 1 << 7);
	assert_int_equal(split_places(world, program, "src/a.dwo"), 0);
	assert_int_equal(split_places(world, program, ""), 0);
}

/* Wherever something is looked for there is a pipe, which would wait for a writer for ever. */
static void waits_for_no_pipes(void **state)
{
	const struct world *world = *state;
	char command[1024];
	char path[256];
	int fd = -7;

	snprintf(command, sizeof(command),
		 "cd %s && mkdir -p first/.dwz/arch .debug second/%s && mkfifo "
		 "first/.build-id/0a/bcdef1.debug second/.build-id/0a/bcdef1.debug "
		 "first/.dwz/x.debug first/.dwz/arch/x.debug x.debug .debug/x.debug a.dwo "
		 "second/%s/x.debug second/%s/a.dwo && echo > program",
		 world->root, world->root, world->root, world->root);
	assert_int_equal(system(command), 0);
	path_in(world, "/program", path);

	autoclose int program = open(path, O_RDONLY | O_CLOEXEC);

	assert_true(program >= 0);
	assert_int_equal(debug_folder_open(world->folders, &wanted, &fd), -ENOENT);
	assert_int_equal(debug_folder_open_shared(world->folders, &wanted, STR("x.debug"), &fd),
			 -ENOENT);
	for (uint32_t place = 0; place < 7; place++)
		assert_int_equal(debug_folder_open_linked(world->folders, program, STR("x.debug"),
							  place, &fd),
				 -ENOENT);
	assert_int_equal(debug_folder_open_linked(world->folders, program, STR("x.debug"), 7, &fd),
			 -ERANGE);
	path_in(world, "/a.dwo", path);
	assert_int_equal(split_places(world, program, path), 0);
	assert_int_equal(fd, -7);
}

static void asks_for_build_ids_only(void **state)
{
	const struct world *world = *state;
	struct identity other = wanted;
	int fd = -7;

	write_file(world, "/first/.build-id/0a/bcdef1.debug", "first");
	other.kind = IDENTITY_INODE;
	assert_int_equal(debug_folder_open(world->folders, &other, &fd), -ENOENT);
	other.kind = IDENTITY_GNU_BUILD_ID;
	other.size = 1;
	assert_int_equal(debug_folder_open(world->folders, &other, &fd), -ENOENT);
	assert_int_equal(debug_folder_open("", &wanted, &fd), -ENOENT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(finds_the_first, set_up, tear_down),
		cmocka_unit_test_setup_teardown(follows_links_but_opens_regular_files_only, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(looks_for_the_other_half_in_each_place, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(waits_for_no_pipes, set_up, tear_down),
		cmocka_unit_test_setup_teardown(asks_for_build_ids_only, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
