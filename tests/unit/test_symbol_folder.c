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
#include <time.h>
#include <unistd.h>

#include "base/folder.h"
#include "symbols/symbol_folder.h"

struct context {
	char path[64];
	struct symbol_folder *folder;
};

static int setup(void **state)
{
	struct context *context = calloc(1, sizeof(*context));

	assert_non_null(context);
	snprintf(context->path, sizeof(context->path), "/tmp/test_symbol_folder.XXXXXX");
	assert_non_null(mkdtemp(context->path));
	*state = context;
	return 0;
}

static int teardown(void **state)
{
	struct context *context = *state;

	symbol_folder_close(context->folder);
	folder_remove(context->path);
	free(context);
	return 0;
}

static void open_folder(struct context *context, uint64_t size_max)
{
	context->folder = symbol_folder_close(context->folder);
	assert_int_equal(symbol_folder_open(context->path, size_max, &context->folder), 0);
}

static struct identity build_id(uint8_t number)
{
	return (struct identity){ .kind = IDENTITY_GNU_BUILD_ID,
				  .size = 4,
				  .bytes = { number, 1, 2, 3 } };
}

static struct identity inode(uint8_t number)
{
	return (struct identity){ .kind = IDENTITY_INODE, .size = 40, .bytes = { 1, number } };
}

/* A module whose only function has a name of this size. */
static int write_module(struct context *context, struct identity identity, size_t name_size)
{
	autoclean(symbol_table) struct symbol_table table;
	struct elf_segment segment = { .size = 16 };
	autofree char *name = malloc(name_size);
	struct symbol_file_contents contents = {
		.identity = identity,
		.sources = SYMBOL_FILE_FROM_ELF,
		.segments = &segment,
		.segment_count = 1,
		.table = &table,
	};
	struct symbol symbol = { .size = 16, .end_max = 16, .name = name };

	assert_non_null(name);
	memset(name, 'n', name_size);
	symbol.name_size_max = (uint32_t)name_size;
	symbol_table_init(&table);
	assert_int_equal(symbol_table_add(&table, &symbol), 0);
	assert_int_equal(symbol_table_build(&table), 0);
	return symbol_folder_write(context->folder, &contents);
}

static int read_module(struct context *context, struct identity identity)
{
	autoclean(symbol_file) struct symbol_file *file = NULL;

	return symbol_folder_read(context->folder, &identity, &file);
}

static void counts_what_it_finds(void **state)
{
	struct context *context = *state;
	struct identity one = build_id(1);

	open_folder(context, 1 << 20);
	assert_false(symbol_folder_has(context->folder, &one));
	assert_int_equal(read_module(context, one), -ENOENT);
	assert_int_equal(write_module(context, one, 100), 0);
	assert_int_equal(write_module(context, build_id(2), 100), 0);
	assert_int_equal(write_module(context, one, 1000), 0);
	assert_true(symbol_folder_has(context->folder, &one));
	assert_int_equal(read_module(context, one), 0);

	struct identity_folder_stats before = symbol_folder_stats(context->folder);

	assert_int_equal(before.file_count, 2);
	assert_int_equal(before.evicted, 0);
	open_folder(context, 1 << 20);

	struct identity_folder_stats after = symbol_folder_stats(context->folder);

	assert_memory_equal(&before, &after, sizeof(before));
}

static void removes_what_was_not_written_whole(void **state)
{
	struct context *context = *state;
	char path[128];

	open_folder(context, 1 << 20);
	assert_int_equal(write_module(context, build_id(1), 100), 0);
	snprintf(path, sizeof(path), "%s/01/gnu-01.symbols.new", context->path);

	autoclose int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);

	assert_true(fd >= 0);
	open_folder(context, 1 << 20);
	assert_int_equal(access(path, F_OK), -1);
	assert_int_equal(symbol_folder_stats(context->folder).file_count, 1);
}

/* The clock that stamps files moves by ticks of the kernel. */
static void wait_a_tick(void)
{
	nanosleep(&(struct timespec){ .tv_nsec = 12000000 }, NULL);
}

static void evicts_what_was_not_used_for_longest(void **state)
{
	struct context *context = *state;
	const size_t name_size = 8 << 10;

	open_folder(context, 48 << 10);
	for (uint8_t i = 0; i < 4; i++) {
		assert_int_equal(write_module(context, build_id(i), name_size), 0);
		wait_a_tick();
	}
	assert_int_equal(read_module(context, build_id(0)), 0);
	wait_a_tick();
	assert_int_equal(write_module(context, build_id(4), name_size), 0);
	assert_int_equal(symbol_folder_stats(context->folder).evicted, 0);
	wait_a_tick();
	assert_int_equal(write_module(context, build_id(5), name_size), 0);

	struct identity_folder_stats stats = symbol_folder_stats(context->folder);

	assert_true(stats.evicted > 0);
	assert_true(stats.file_bytes <= 48 << 10);
	assert_int_equal(read_module(context, build_id(0)), 0);
	assert_int_equal(read_module(context, build_id(1)), -ENOENT);
	assert_int_equal(read_module(context, build_id(5)), 0);
}

/* As on a host that builds all day. */
static void holds_its_limit_under_thousands(void **state)
{
	struct context *context = *state;
	const uint64_t limit = 2 << 20;

	open_folder(context, limit);
	for (uint32_t i = 0; i < 5000; i++) {
		struct identity identity = build_id(0);

		memcpy(identity.bytes, &i, sizeof(i));
		assert_int_equal(write_module(context, identity, 2000 + i % 100), 0);
		assert_true(symbol_folder_stats(context->folder).file_bytes <= limit);
	}

	struct identity_folder_stats stats = symbol_folder_stats(context->folder);

	assert_true(stats.evicted > 4000 && stats.file_count > 100);
	assert_int_equal(stats.evicted + stats.file_count, 5000);
	symbol_folder_limit(context->folder, limit / 4);
	assert_int_equal(write_module(context, build_id(9), 100), 0);
	assert_true(symbol_folder_stats(context->folder).file_bytes <= limit / 4);
	/* And so it is on disk. */
	symbol_folder_close(context->folder);
	context->folder = NULL;
	open_folder(context, limit);
	assert_true(symbol_folder_stats(context->folder).file_bytes <= limit / 4);
}

static void keeps_the_newest_even_when_it_is_too_large(void **state)
{
	struct context *context = *state;

	open_folder(context, 4 << 10);
	assert_int_equal(write_module(context, build_id(1), 100), 0);
	assert_int_equal(write_module(context, build_id(2), 16 << 10), 0);
	assert_int_equal(read_module(context, build_id(1)), -ENOENT);
	assert_int_equal(read_module(context, build_id(2)), 0);
}

static void follows_aliases(void **state)
{
	struct context *context = *state;
	autoclean(symbol_file) struct symbol_file *file = NULL;
	struct identity target = build_id(1);
	struct identity alias = inode(1);

	open_folder(context, 1 << 20);
	assert_int_equal(symbol_folder_alias(context->folder, &alias, &target), 0);
	assert_false(symbol_folder_has(context->folder, &alias));
	assert_int_equal(write_module(context, target, 10), 0);
	assert_true(symbol_folder_has(context->folder, &alias));
	assert_int_equal(symbol_folder_read(context->folder, &alias, &file), 0);
	assert_true(identity_equal(&symbol_file_header(file)->identity, &target));
	assert_int_equal(symbol_folder_alias(context->folder, &alias, &target), 0);
	assert_int_equal(symbol_folder_stats(context->folder).alias_count, 1);
}

static void forgets_aliases_of_what_is_gone(void **state)
{
	struct context *context = *state;
	struct identity target = build_id(1);
	struct identity alias = inode(1);

	open_folder(context, 1 << 20);
	assert_int_equal(symbol_folder_alias(context->folder, &alias, &target), 0);
	open_folder(context, 1 << 20);
	assert_int_equal(symbol_folder_stats(context->folder).alias_count, 0);
}

static void removes_a_file_of_another_identity(void **state)
{
	struct context *context = *state;
	char one[128];
	char two[128];

	open_folder(context, 1 << 20);
	assert_int_equal(write_module(context, build_id(1), 10), 0);
	assert_int_equal(write_module(context, build_id(2), 10), 0);
	snprintf(one, sizeof(one), "%s/01/gnu-01010203.symbols", context->path);
	snprintf(two, sizeof(two), "%s/02/gnu-02010203.symbols", context->path);
	assert_int_equal(rename(one, two), 0);
	assert_int_equal(read_module(context, build_id(2)), -EBADMSG);
	assert_int_equal(read_module(context, build_id(2)), -ENOENT);
}

static void removes_a_damaged_file_found_by_its_alias(void **state)
{
	struct context *context = *state;
	struct identity target = build_id(1);
	struct identity alias = inode(1);
	char path[128];

	open_folder(context, 1 << 20);
	assert_int_equal(write_module(context, target, 10), 0);
	assert_int_equal(symbol_folder_alias(context->folder, &alias, &target), 0);
	snprintf(path, sizeof(path), "%s/01/gnu-01010203.symbols", context->path);
	assert_int_equal(truncate(path, 650), 0);
	assert_int_equal(read_module(context, alias), -EBADMSG);
	assert_false(symbol_folder_has(context->folder, &target));
	assert_int_equal(symbol_folder_stats(context->folder).alias_count, 0);
	assert_int_equal(symbol_folder_stats(context->folder).file_count, 0);
}

static void says_when_there_is_no_place(void **state)
{
	struct symbol_folder *folder = NULL;

	(void)state;
	assert_int_equal(symbol_folder_open("/nonexistent/folder", 1, &folder), -ENOENT);
	assert_null(folder);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
		TEST(counts_what_it_finds),
		TEST(removes_what_was_not_written_whole),
		TEST(evicts_what_was_not_used_for_longest),
		TEST(holds_its_limit_under_thousands),
		TEST(keeps_the_newest_even_when_it_is_too_large),
		TEST(follows_aliases),
		TEST(forgets_aliases_of_what_is_gone),
		TEST(removes_a_file_of_another_identity),
		TEST(removes_a_damaged_file_found_by_its_alias),
		TEST(says_when_there_is_no_place),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
