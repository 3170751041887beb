/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "symbols/line_table.h"

enum {
	SPAN = 5000, /* addresses of the random tests */
	FILE_COUNT = 7,
	SCOPE_COUNT = 40,
};

static const uint64_t random_base = 0x7fff00001000;

/* What is known of one address. */
struct truth {
	uint32_t scope; /* LINE_SCOPE_NONE and no line: nothing */
	uint32_t file;
	uint32_t line;
	bool covered;
};

static uint32_t text(struct line_table *table, const char *name)
{
	int64_t number = line_table_text(table, str_from(name));

	assert_true(number >= 0);
	return (uint32_t)number;
}

static uint32_t scope(struct line_table *table, uint32_t parent, const char *function,
		      uint32_t line)
{
	struct line_scope call = { .parent = parent,
				   .function = text(table, function),
				   .call_file = text(table, "file0"),
				   .call_line = line };
	int64_t number = line_table_scope(table, &call);

	assert_true(number >= 0);
	return (uint32_t)number;
}

/* Ranges that don't overlap, in random order, and what they say of each address. */
static void add_random(struct line_table *table, unsigned *seed, struct truth *truth)
{
	uint32_t scopes[SCOPE_COUNT];
	char name[32];

	for (uint32_t i = 0; i < SCOPE_COUNT; i++) {
		snprintf(name, sizeof(name), "function%u", i);
		scopes[i] = scope(table,
				  i == 0 || rand_r(seed) % 3 == 0 ? LINE_SCOPE_NONE
								  : scopes[rand_r(seed) % i],
				  name, i);
	}
	for (uint32_t i = 0; i < SPAN; i++)
		truth[i] = (struct truth){ .scope = LINE_SCOPE_NONE };
	for (uint32_t start = 0; start < SPAN;) {
		uint32_t size = 1 + (uint32_t)rand_r(seed) % 20;
		struct line_row row = { .scope = LINE_SCOPE_NONE };

		if (size > SPAN - start)
			size = SPAN - start;
		if (rand_r(seed) % 4 > 0) {
			snprintf(name, sizeof(name), "file%d", rand_r(seed) % FILE_COUNT);
			row.file = text(table, name);
			row.line = 1 + (uint32_t)rand_r(seed) % (rand_r(seed) % 9 ? 50 : INT32_MAX);
			if (rand_r(seed) % 2)
				row.scope = scopes[rand_r(seed) % SCOPE_COUNT];
			assert_int_equal(line_table_add(table, random_base + start, size, &row), 0);
		}
		for (uint32_t i = start; i < start + size; i++)
			truth[i] = (struct truth){ row.scope, row.file, row.line, false };
		if (rand_r(seed) % 3 == 0) {
			assert_int_equal(line_table_cover(table, random_base + start, size), 0);
			for (uint32_t i = start; i < start + size; i++)
				truth[i].covered = true;
		}
		start += size;
	}
}

static void assert_says(const struct line_rows *rows, const struct truth *truth)
{
	assert_true(line_rows_are_sound(rows, rows->text_offsets[rows->text_count]));
	for (uint32_t i = 0; i < SPAN; i++) {
		struct line_row row = { .scope = LINE_SCOPE_NONE };
		bool found = line_rows_find(rows, random_base + i, &row);

		assert_int_equal(found, truth[i].line > 0);
		assert_int_equal(row.scope, truth[i].scope);
		assert_int_equal(row.file, truth[i].file);
		assert_int_equal(row.line, truth[i].line);
		assert_int_equal(line_rows_cover(rows, random_base + i), truth[i].covered);
	}
}

static void says_what_each_range_said(void **state)
{
	unsigned seed = (unsigned)time(NULL);

	(void)state;
	print_message("seed %u\n", seed);
	for (int round = 0; round < 50; round++) {
		static struct truth truth[SPAN];
		autoclean(line_table) struct line_table table;

		line_table_init(&table);
		add_random(&table, &seed, truth);
		assert_int_equal(line_table_build(&table), 0);

		struct line_rows rows = line_table_rows(&table);

		assert_says(&rows, truth);
		assert_false(line_rows_find(&rows, random_base - 1, &(struct line_row){ 0 }));
		assert_false(line_rows_find(&rows, random_base + SPAN, &(struct line_row){ 0 }));
		assert_false(line_rows_find(&rows, UINT64_MAX, &(struct line_row){ 0 }));
	}
}

/* What a symbol file has and what is new, as when another part was read. */
static void adds_to_what_is_there(void **state)
{
	static struct truth truth[SPAN];
	autoclean(line_table) struct line_table first;
	autoclean(line_table) struct line_table second;
	unsigned seed = (unsigned)time(NULL);

	(void)state;
	print_message("seed %u\n", seed);
	line_table_init(&first);
	add_random(&first, &seed, truth);
	assert_int_equal(line_table_build(&first), 0);

	struct line_rows rows = line_table_rows(&first);

	line_table_init(&second);
	assert_int_equal(line_table_add_rows(&second, &rows), 0);

	struct line_row more = { .scope = LINE_SCOPE_NONE,
				 .file = text(&second, "file0"),
				 .line = 99 };

	assert_int_equal(line_table_add(&second, random_base + SPAN + 100, 10, &more), 0);
	assert_int_equal(line_table_build(&second), 0);
	rows = line_table_rows(&second);
	assert_says(&rows, truth);
	assert_true(line_rows_find(&rows, random_base + SPAN + 109, &more));
	assert_int_equal(more.line, 99);
	assert_false(line_rows_find(&rows, random_base + SPAN + 99, &more));
	assert_false(line_rows_find(&rows, random_base + SPAN + 110, &more));
}

static void equal_calls_are_one(void **state)
{
	autoclean(line_table) struct line_table table;

	(void)state;
	line_table_init(&table);

	uint32_t outer = scope(&table, LINE_SCOPE_NONE, "outer", 1);
	uint32_t inner = scope(&table, outer, "inner", 2);

	assert_int_not_equal(outer, inner);
	assert_int_equal(scope(&table, LINE_SCOPE_NONE, "outer", 1), outer);
	assert_int_equal(scope(&table, outer, "inner", 2), inner);
	assert_int_not_equal(scope(&table, outer, "inner", 3), inner);
	assert_int_not_equal(scope(&table, LINE_SCOPE_NONE, "inner", 2), inner);
	assert_int_equal(text(&table, "inner"), text(&table, "inner"));
	assert_int_equal(text(&table, ""), LINE_TEXT_NONE);
}

static void calls_nest_so_deep_and_no_deeper(void **state)
{
	autoclean(line_table) struct line_table table;
	uint32_t innermost = LINE_SCOPE_NONE;

	(void)state;
	line_table_init(&table);
	for (uint32_t i = 0; i < LINE_DEPTH_MAX; i++)
		innermost = scope(&table, innermost, "again", i);
	assert_int_equal(innermost, LINE_DEPTH_MAX - 1);
	assert_int_equal(scope(&table, innermost, "too deep", 1), innermost);
	/* Of texts the beginning is kept. */
	static char text_long[2 * LINE_TEXT_SIZE_MAX];

	memset(text_long, 'x', sizeof(text_long) - 1);

	uint32_t cut = text(&table, text_long);

	assert_int_equal(line_table_build(&table), 0);

	struct line_rows rows = line_table_rows(&table);

	assert_int_equal(line_rows_text(&rows, cut).size, LINE_TEXT_SIZE_MAX);
}

static void ranges_that_overlap_give_way(void **state)
{
	autoclean(line_table) struct line_table table;
	struct line_row row = { .scope = LINE_SCOPE_NONE };

	(void)state;
	line_table_init(&table);
	row.file = text(&table, "file");
	row.line = 1;
	assert_int_equal(line_table_add(&table, 0x100, 0x10, &row), 0);
	row.line = 2;
	assert_int_equal(line_table_add(&table, 0x100, 0x20, &row), 0);
	row.line = 3;
	assert_int_equal(line_table_add(&table, 0x110, 0x20, &row), 0);
	assert_int_equal(line_table_add(&table, 0x200, 0, &row), 0);
	assert_int_equal(line_table_build(&table), 0);

	struct line_rows rows = line_table_rows(&table);

	assert_true(line_rows_are_sound(&rows, table.texts.size));
	assert_true(line_rows_find(&rows, 0x10f, &row));
	assert_int_equal(row.line, 2);
	assert_true(line_rows_find(&rows, 0x110, &row));
	assert_int_equal(row.line, 3);
	assert_true(line_rows_find(&rows, 0x12f, &row));
	assert_false(line_rows_find(&rows, 0x130, &row));
	assert_false(line_rows_find(&rows, 0x200, &row));
}

static void code_further_apart_than_offsets_reach_is_refused(void **state)
{
	autoclean(line_table) struct line_table table;
	struct line_row row = { .scope = LINE_SCOPE_NONE, .line = 1 };

	(void)state;
	line_table_init(&table);
	assert_int_equal(line_table_add(&table, 0, 1, &row), 0);
	assert_int_equal(line_table_add(&table, UINT64_C(1) << 32, 1, &row), 0);
	assert_int_equal(line_table_build(&table), -EFBIG);
	assert_int_equal(line_table_add(&table, UINT64_MAX, 1, &row), -EFBIG);
	assert_int_equal(line_table_cover(&table, UINT64_MAX, 1), -EFBIG);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(says_what_each_range_said),
		cmocka_unit_test(adds_to_what_is_there),
		cmocka_unit_test(equal_calls_are_one),
		cmocka_unit_test(calls_nest_so_deep_and_no_deeper),
		cmocka_unit_test(ranges_that_overlap_give_way),
		cmocka_unit_test(code_further_apart_than_offsets_reach_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
