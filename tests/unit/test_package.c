/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include <elf.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "symbols/elf_file.h"
#include "symbols/package.h"
#include "tests/support/elf_maker.h"

/* A host with two packages, in a folder. */
struct world {
	char folder[64];
	char library[96];
	struct identity identity;
	struct packages *packages;
};

/* With a look to spare. */
static bool command_of(struct packages *packages, struct str path, const struct identity *identity,
		       char text[static PACKAGE_COMMAND_SIZE])
{
	unsigned looks = 1;

	return packages_command(packages, path, identity, &looks, text);
}

static void write_file(const char *path, const void *bytes, size_t size)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, bytes, size), size);
	close(fd);
}

static int set_up(void **state)
{
	static struct world world;
	static const struct elf_maker_symbol symbols[] = {
		{ "work", 0x100, 0x40, STT_FUNC, STB_GLOBAL },
	};
	autoclean(buf) struct buf file = BUF(1 << 20);
	autoclean(elf_file) struct elf_file *elf = NULL;
	char path[128], text[512];

	world = (struct world){ .folder = "/tmp/hearth-package-XXXXXX" };
	*state = &world;
	assert_non_null(mkdtemp(world.folder));
	snprintf(world.library, sizeof(world.library), "%s/libwork.so.1", world.folder);
	elf_maker_make(&file, symbols, 1);
	write_file(world.library, file.bytes, file.size);

	autoclose int fd = elf_maker_memfd(file.bytes, file.size);

	assert_int_equal(elf_file_open(fd, &elf), 0);
	world.identity = elf_file_build_id(elf);

	snprintf(path, sizeof(path), "%s/info", world.folder);
	assert_int_equal(mkdir(path, 0755), 0);
	snprintf(path, sizeof(path), "%s/info/other.list", world.folder);
	/* A longer name that holds ours, and one that ends with it. */
	snprintf(text, sizeof(text), "/.\n%s.2\n/srv%s\n", world.library, world.library);
	write_file(path, text, strlen(text));
	snprintf(path, sizeof(path), "%s/info/libwork1:amd64.list", world.folder);
	snprintf(text, sizeof(text), "/.\n/tmp\n%s\n", world.library);
	write_file(path, text, strlen(text));
	snprintf(path, sizeof(path), "%s/info", world.folder);
	assert_int_equal(packages_new(path, "/nowhere", &world.packages), 0);
	return 0;
}

static int tear_down(void **state)
{
	struct world *world = *state;
	char command[96];

	packages_free(world->packages);
	snprintf(command, sizeof(command), "rm -rf %s", world->folder);
	return system(command);
}

static void names_the_package_of_a_file(void **state)
{
	struct world *world = *state;
	char text[PACKAGE_COMMAND_SIZE];
	struct identity other = world->identity;

	for (int i = 0; i < 2; i++) {
		assert_true(command_of(world->packages, str_from(world->library), &world->identity,
				       text));
		assert_string_equal(text, "apt install libwork1-dbgsym");
	}
	/* In a container another file may be called so. */
	other.bytes[0] ^= 1;
	for (int i = 0; i < 2; i++)
		assert_false(command_of(world->packages, str_from(world->library), &other, text));
}

static void looks_no_more_often_than_it_may(void **state)
{
	struct world *world = *state;
	char text[PACKAGE_COMMAND_SIZE];
	unsigned looks = 0;

	assert_false(packages_command(world->packages, str_from(world->library), &world->identity,
				      &looks, text));
	looks = 2;
	/* Once, and then it is known. */
	for (int i = 0; i < 3; i++)
		assert_true(packages_command(world->packages, str_from(world->library),
					     &world->identity, &looks, text));
	assert_int_equal(looks, 1);
}

static void says_nothing_of_what_is_no_packages_file(void **state)
{
	struct world *world = *state;
	char text[PACKAGE_COMMAND_SIZE], path[128];

	assert_false(command_of(world->packages, STR(""), &world->identity, text));
	assert_false(command_of(world->packages, STR("libwork.so.1"), &world->identity, text));
	assert_false(command_of(world->packages, STR("/dev/zero"), &world->identity, text));
	snprintf(path, sizeof(path), "%s/fifo", world->folder);
	assert_int_equal(mkfifo(path, 0600), 0);
	assert_false(command_of(world->packages, str_from(path), &world->identity, text));
	snprintf(path, sizeof(path), "%s/copy", world->folder);
	assert_int_equal(link(world->library, path), 0);
	assert_false(command_of(world->packages, str_from(path), &world->identity, text));
}

static void forgets_what_is_too_much(void **state)
{
	struct world *world = *state;
	char text[PACKAGE_COMMAND_SIZE], path[64];

	for (int i = 0; i < PACKAGES_KNOWN_COUNT_MAX + 10; i++) {
		snprintf(path, sizeof(path), "/nowhere/%d", i);
		assert_false(command_of(world->packages, str_from(path), &world->identity, text));
	}
	assert_true(command_of(world->packages, str_from(world->library), &world->identity, text));
}

static void where_packages_are_rpms_the_path_is_enough(void **state)
{
	struct world *world = *state;
	autoclean(packages) struct packages *packages = NULL;
	char text[PACKAGE_COMMAND_SIZE], wanted[PACKAGE_COMMAND_SIZE];

	assert_int_equal(packages_new("/nowhere", "/tmp", &packages), 0);
	assert_true(command_of(packages, str_from(world->library), &world->identity, text));
	snprintf(wanted, sizeof(wanted), "dnf debuginfo-install %s", world->library);
	assert_string_equal(text, wanted);
}

#define WORLD_TEST(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		WORLD_TEST(names_the_package_of_a_file),
		WORLD_TEST(looks_no_more_often_than_it_may),
		WORLD_TEST(says_nothing_of_what_is_no_packages_file),
		WORLD_TEST(forgets_what_is_too_much),
		WORLD_TEST(where_packages_are_rpms_the_path_is_enough),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
