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
		cmocka_unit_test_setup_teardown(asks_for_build_ids_only, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
