/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A file of each schema that was released (tests/schemas) is opened and answers as it did then; one
 * of a later schema is not imported, for a reason that is said, and is left alone in a data folder.
 * All hold the same: of alpha main;parse;read_file 3, main;parse 2, main;serve;write_socket 5 and
 * init;loop 1, of beta main;compress 7 and main;compress;copy 4.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "store/extract.h"
#include "store/span.h"
#include "store/store.h"

#define FROM_MS INT64_C(1795487940000) /* 24 November 2026, 02:39 */
#define TO_MS	INT64_C(1795488120000)

enum { FILE_SIZE_MAX = 1 << 20, USER_VERSION_OFFSET = 60 };

struct folder {
	char path[64], data[80], file[128];
};

static void remove_folder(const struct folder *folder)
{
	char command[128];

	snprintf(command, sizeof(command), "rm -rf %s", folder->path);
	assert_int_equal(system(command), 0);
}

static void copy_file(const char *from, uint8_t version, const char *to)
{
	static uint8_t bytes[FILE_SIZE_MAX];
	FILE *file = fopen(from, "re");
	size_t size;

	assert_non_null(file);
	size = fread(bytes, 1, sizeof(bytes), file);
	fclose(file);
	assert_in_range(size, 100, sizeof(bytes) - 1);
	if (version)
		bytes[USER_VERSION_OFFSET + 3] = version;
	file = fopen(to, "we");
	assert_non_null(file);
	assert_int_equal(fwrite(bytes, 1, size, file), size);
	assert_int_equal(fclose(file), 0);
}

/* A data folder whose only file is a copy, said to be of another schema unless version is 0. */
static void copy_into_folder(const char *from, uint8_t version, struct folder *folder)
{
	snprintf(folder->path, sizeof(folder->path), "/tmp/hearth-schema-XXXXXX");
	assert_non_null(mkdtemp(folder->path));
	snprintf(folder->data, sizeof(folder->data), "%s/data", folder->path);
	assert_int_equal(mkdir(folder->data, 0700), 0);
	snprintf(folder->file, sizeof(folder->file), "%s/20261124T000000-1.db", folder->data);
	copy_file(from, version, folder->file);
	assert_int_equal(chmod(folder->file, 0440), 0);
}

static uint64_t total_of(const struct flame *flame, const char *name)
{
	uint64_t total = 0;

	for (uint32_t i = 0; i < flame->node_count; i++)
		if (str_equal(flame->names[flame->nodes[i].name], str_from(name)))
			total += flame->nodes[i].total;
	return total;
}

/* What is in it is the same in each of them. */
static void assert_answers(struct store *store)
{
	struct store_question question = { .from_unix_ms = FROM_MS, .to_unix_ms = TO_MS };
	struct flame_options options = { .node_count_max = 100, .rows_by = STR("service_name") };
	struct store_texts services = { 0 };
	struct flame flame = { 0 };

	assert_int_equal(store_label_values(store, &question, STR("service_name"), &services), 0);
	assert_int_equal(services.count, 2);
	assert_true(str_equal(services.texts[0], STR("alpha")));
	assert_true(str_equal(services.texts[1], STR("beta")));
	store_texts_done(&services);
	assert_int_equal(store_flame(store, &question, &options, &flame), 0);

	uint64_t one = flame.nodes[0].total / 22;

	assert_int_equal(flame.nodes[0].total, 22 * one);
	assert_int_equal(total_of(&flame, "alpha"), 11 * one);
	assert_int_equal(total_of(&flame, "beta"), 11 * one);
	assert_int_equal(total_of(&flame, "parse"), 5 * one);
	assert_int_equal(total_of(&flame, "read_file"), 3 * one);
	assert_int_equal(total_of(&flame, "copy"), 4 * one);
	flame_done(&flame);
}

static void assert_read(const char *file)
{
	struct store_options options = { 0 };
	struct store_status status;
	struct store *store = NULL;
	struct folder folder;

	copy_into_folder(file, 0, &folder);
	options.folder = folder.path;
	assert_int_equal(store_open(&options, &store), 0);
	store_status(store, &status);
	assert_int_equal(status.damaged_count, 0);
	assert_int_equal(status.span_count, 1);
	assert_answers(store);
	/* It can be lived with: nothing of it is lost by what is done in the background. */
	for (int i = 0; i < 200; i++) {
		assert_int_equal(store_maintain(store, TO_MS), 0);
		usleep(1000);
	}
	assert_answers(store);
	store_close(store);
	remove_folder(&folder);
}

static void earlier_schemas_are_read(void **state)
{
	(void)state;
	assert_read("tests/schemas/3.db");
	assert_read("tests/schemas/4.db");
	assert_read("tests/schemas/5.db");
}

static uint64_t ask_total(struct store *store)
{
	struct store_question question = { .from_unix_ms = FROM_MS, .to_unix_ms = TO_MS };
	struct store_grid grid = { TO_MS, TO_MS - FROM_MS, 1 };
	struct store_rows rows = { 0 };
	uint64_t total;

	assert_int_equal(store_series(store, &question, NULL, 0, &grid, &rows), 0);
	assert_int_equal(rows.count, 1);
	total = rows.rows[0].total;
	store_rows_done(&rows);
	return total;
}

/* Sums that an earlier program made, with and without what they are sums of. */
static void assert_sums_are_read(const char *compact, const char *sums)
{
	struct store_options options = { 0 };
	struct store_status status;
	struct store *store = NULL;
	struct folder folder;
	char chronicle[128];
	uint64_t total;

	copy_into_folder(compact, 0, &folder);
	snprintf(chronicle, sizeof(chronicle), "%s/20261101T000000-2r.db", folder.data);
	copy_file(sums, 0, chronicle);
	options.folder = folder.path;
	assert_int_equal(store_open(&options, &store), 0);
	store_status(store, &status);
	assert_int_equal(status.damaged_count, 0);
	assert_int_equal(status.span_count, 1);
	assert_int_equal(status.classes[STORE_ROLLED].span_count, 1);
	assert_int_equal(status.pieces, 2);
	assert_answers(store);
	total = ask_total(store);
	assert_int_equal(total % 22, 0);
	/* It is not written on. */
	for (int i = 0; i < 50; i++)
		assert_int_equal(store_maintain(store, TO_MS), 0);
	assert_answers(store);
	assert_int_equal(ask_total(store), total);
	store_close(store);
	assert_int_equal(access(folder.file, R_OK), 0);
	assert_int_equal(unlink(folder.file), 0);
	assert_int_equal(store_open(&options, &store), 0);
	store_status(store, &status);
	assert_int_equal(status.span_count, 0);
	assert_answers(store);
	assert_int_equal(ask_total(store), total);
	store_close(store);
	remove_folder(&folder);
}

static void sums_of_earlier_schemas_are_read(void **state)
{
	(void)state;
	assert_sums_are_read("tests/schemas/3c.db", "tests/schemas/3r.db");
	assert_sums_are_read("tests/schemas/4c.db", "tests/schemas/4r.db");
	assert_sums_are_read("tests/schemas/5c.db", "tests/schemas/5r.db");
}

static void earlier_schemas_are_imported(void **state)
{
	static const char *const files[] = { "tests/schemas/3.db", "tests/schemas/4.db",
					     "tests/schemas/5.db" };
	char error[STORE_FILE_ERROR_SIZE];
	struct store *store = NULL;
	struct folder folder;

	(void)state;
	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
		copy_into_folder(files[i], 0, &folder);
		assert_int_equal(store_open_file(folder.file, &store, error), 0);
		assert_answers(store);
		store_close(store);
		remove_folder(&folder);
	}
}

static void a_later_schema_is_refused(void **state)
{
	struct store_options options = { 0 };
	struct store_status status;
	char error[STORE_FILE_ERROR_SIZE];
	struct store *store = NULL;
	struct folder folder;

	(void)state;
	copy_into_folder("tests/schemas/3.db", SPAN_VERSION + 1, &folder);
	assert_int_equal(store_open_file(folder.file, &store, error), -EPROTONOSUPPORT);
	assert_non_null(strstr(error, "later version"));
	options.folder = folder.path;
	assert_int_equal(store_open(&options, &store), 0);
	store_status(store, &status);
	assert_int_equal(status.span_count, 0);
	assert_int_equal(status.damaged_count, 0);
	store_close(store);
	/* Nothing was done to it: whoever goes back to that version finds it again. */
	assert_int_equal(access(folder.file, R_OK), 0);
	remove_folder(&folder);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(earlier_schemas_are_read),
		cmocka_unit_test(sums_of_earlier_schemas_are_read),
		cmocka_unit_test(earlier_schemas_are_imported),
		cmocka_unit_test(a_later_schema_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
