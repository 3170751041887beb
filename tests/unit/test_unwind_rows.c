/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/unwind_table.h"
#include "symbols/unwind_rows.h"

/* Code of 6 pages, that begin in the middle of one of the file's and lie elsewhere in memory. */
enum { OFFSET = 0x1f000, VADDR = 0x431000, SIZE = 6 << 16, FILE_SIZE = OFFSET + SIZE + (1 << 16) };

static const struct elf_segment segment = { .offset = OFFSET, .vaddr = VADDR, .size = SIZE };

static uint64_t seed;

static uint64_t next_random(void)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return seed;
}

static uint64_t some_rule(uint32_t number)
{
	return number ? unwind_rule(UNWIND_CFA_SP, 0, 0, 0, 0, (int32_t)number) : 0;
}

static const struct unwind_table_header about = {
	.identity = { .kind = IDENTITY_GNU_BUILD_ID, .size = 2, .bytes = { 0xab, 0xcd } },
	.machine = 62,
	.sources = UNWIND_FROM_EH_FRAME,
};

static void build(struct unwind_rows *rows, struct buf *buf, struct unwind_table *ret)
{
	assert_int_equal(unwind_rows_build(rows, &about, buf), 0);
	assert_int_equal(unwind_table_check(buf->bytes, buf->size, ret), 0);
	assert_int_equal(ret->header->checksum, unwind_table_checksum(buf->bytes, buf->size));
	assert_int_equal(unwind_table_size(ret->header), buf->size);
}

static void add(struct unwind_rows *rows, uint64_t vaddr, uint64_t word)
{
	assert_int_equal(unwind_rows_add(rows, vaddr, word), 0);
}

/* As a walk that checks the others does. */
static uint64_t find_plainly(const struct unwind_table *table, uint64_t offset)
{
	uint64_t page = (offset >> UNWIND_PAGE_SHIFT) - table->header->page_first;

	if (page >= table->header->page_count || table->pages[page] == 0)
		return 0;
	return table
		->rules[unwind_find_plainly(table->lines, UINT32_MAX, table->pages[page], offset)];
}

static void a_rule_holds_up_to_the_next(void **state)
{
	autoclean(unwind_rows) struct unwind_rows rows;
	autoclean(buf) struct buf buf = BUF(1 << 20);
	struct unwind_table table;

	(void)state;
	unwind_rows_init(&rows, &segment, 1);
	assert_int_equal(unwind_rows_begin(&rows, VADDR + 0x100, 0x40), 0);
	add(&rows, VADDR + 0x100, some_rule(8));
	add(&rows, VADDR + 0x101, some_rule(16));
	add(&rows, VADDR + 0x104, some_rule(24));
	add(&rows, VADDR + 0x104, some_rule(32)); /* in place of the one before */
	add(&rows, VADDR + 0x140, some_rule(99)); /* beyond the end */
	assert_int_equal(unwind_rows_add(&rows, VADDR + 0x103, some_rule(8)), -EBADMSG);
	/* 15 bytes of padding. */
	assert_int_equal(unwind_rows_begin(&rows, VADDR + 0x14f, 0x11), 0);
	add(&rows, VADDR + 0x14f, some_rule(8));
	/* A hole of 16. */
	assert_int_equal(unwind_rows_begin(&rows, VADDR + 0x170, 1), 0);
	add(&rows, VADDR + 0x170, some_rule(8));
	build(&rows, &buf, &table);

	assert_int_equal(unwind_table_find(&table, OFFSET + 0xff), 0);
	assert_int_equal(unwind_table_find(&table, OFFSET + 0x100), some_rule(8));
	assert_int_equal(unwind_table_find(&table, OFFSET + 0x103), some_rule(16));
	assert_int_equal(unwind_table_find(&table, OFFSET + 0x104), some_rule(32));
	assert_int_equal(unwind_table_find(&table, OFFSET + 0x13f), some_rule(32));
	assert_int_equal(unwind_table_find(&table, OFFSET + 0x14e), some_rule(32));
	assert_int_equal(unwind_table_find(&table, OFFSET + 0x14f), some_rule(8));
	assert_int_equal(unwind_table_find(&table, OFFSET + 0x15f), some_rule(8));
	assert_int_equal(unwind_table_find(&table, OFFSET + 0x160), 0);
	assert_int_equal(unwind_table_find(&table, OFFSET + 0x170), some_rule(8));
	assert_int_equal(unwind_table_find(&table, OFFSET + 0x171), 0);
	assert_int_equal(unwind_table_find(&table, UINT64_MAX), 0);
	assert_int_equal(unwind_table_find(&table, 0), 0);

	assert_int_equal(table.header->function_count, 3);
	assert_int_equal(table.functions[1].start, OFFSET + 0x14f);
	assert_int_equal(table.functions[1].size, 0x11);
	/* One line holds it all: no index. */
	assert_int_equal(table.header->line_count, 1);
	assert_int_equal(table.header->rule_count, 5); /* with one that was replaced, and none */
	assert_int_equal(unwind_table_block_line_count(&table, 0), 1);
}

static void a_rule_for_some_bytes_comes_between_others(void **state)
{
	autoclean(unwind_rows) struct unwind_rows rows;
	autoclean(buf) struct buf buf = BUF(1 << 20);
	struct unwind_table table;

	(void)state;
	unwind_rows_init(&rows, &segment, 1);
	assert_int_equal(unwind_rows_begin(&rows, VADDR + 0x100, 0x40), 0);
	add(&rows, VADDR + 0x100, some_rule(8));
	add(&rows, VADDR + 0x110, some_rule(16));
	add(&rows, VADDR + 0x120, some_rule(24));
	assert_int_equal(unwind_rows_begin(&rows, VADDR + 0x140, 0x10), 0);
	add(&rows, VADDR + 0x140, some_rule(32));
	/* In the middle; up to where the next begins; the last byte; all of a function. */
	assert_int_equal(unwind_rows_insert(&rows, 0, OFFSET + 0x108, 1, some_rule(91)), 0);
	assert_int_equal(unwind_rows_insert(&rows, 0, OFFSET + 0x11f, 1, some_rule(92)), 0);
	assert_int_equal(unwind_rows_insert(&rows, 0, OFFSET + 0x13f, 1, some_rule(93)), 0);
	assert_int_equal(unwind_rows_insert(&rows, 1, OFFSET + 0x140, 0x10, some_rule(94)), 0);
	build(&rows, &buf, &table);

	static const struct {
		uint32_t offset, rule;
	} expected[] = {
		{ 0x100, 8 },  { 0x107, 8 },  { 0x108, 91 }, { 0x109, 8 },  { 0x10f, 8 },
		{ 0x110, 16 }, { 0x11e, 16 }, { 0x11f, 92 }, { 0x120, 24 }, { 0x13e, 24 },
		{ 0x13f, 93 }, { 0x140, 94 }, { 0x14f, 94 }, { 0x150, 0 },
	};

	for (size_t i = 0; i < sizeof(expected) / sizeof(expected[0]); i++)
		assert_int_equal(unwind_table_find(&table, OFFSET + expected[i].offset),
				 some_rule(expected[i].rule));
}

static void what_starts_later_has_the_bytes(void **state)
{
	autoclean(unwind_rows) struct unwind_rows rows;
	autoclean(buf) struct buf buf = BUF(1 << 20);
	struct unwind_table table;

	(void)state;
	unwind_rows_init(&rows, &segment, 1);
	assert_int_equal(unwind_rows_begin(&rows, VADDR + 0x200, 0x20), 0);
	add(&rows, VADDR + 0x200, some_rule(3));
	assert_int_equal(unwind_rows_begin(&rows, VADDR + 0x100, 0x180), 0);
	add(&rows, VADDR + 0x100, some_rule(1));
	add(&rows, VADDR + 0x210, some_rule(2));
	assert_int_equal(unwind_rows_begin(&rows, VADDR + 0x100, 0x10), 0);
	add(&rows, VADDR + 0x100, some_rule(4));
	assert_true(unwind_rows_hold(&rows, VADDR + 0x27f));
	assert_false(unwind_rows_hold(&rows, VADDR + 0x280));
	assert_false(unwind_rows_hold(&rows, VADDR - 1));
	/* One that turned out to be nonsense. */
	assert_int_equal(unwind_rows_begin(&rows, VADDR + 0x1f0, 0x20), 0);
	add(&rows, VADDR + 0x1f0, some_rule(5));
	unwind_rows_drop(&rows);
	build(&rows, &buf, &table);

	assert_int_equal(unwind_table_find(&table, OFFSET + 0x100), some_rule(1));
	assert_int_equal(unwind_table_find(&table, OFFSET + 0x1ff), some_rule(1));
	assert_int_equal(unwind_table_find(&table, OFFSET + 0x200), some_rule(3));
	assert_int_equal(unwind_table_find(&table, OFFSET + 0x21f), some_rule(3));
	assert_int_equal(unwind_table_find(&table, OFFSET + 0x220), 0);
	assert_int_equal(table.header->overlap_count, 2);
	assert_int_equal(table.header->refused_count, 1);
	assert_int_equal(table.header->function_count, 2);
}

static void functions_outside_the_code_are_refused(void **state)
{
	autoclean(unwind_rows) struct unwind_rows rows;
	autoclean(buf) struct buf buf = BUF(1 << 20);

	(void)state;
	unwind_rows_init(&rows, &segment, 1);
	assert_int_equal(unwind_rows_begin(&rows, VADDR - 1, 2), -ENOENT);
	assert_int_equal(unwind_rows_begin(&rows, VADDR + SIZE - 1, 2), -ENOENT);
	assert_int_equal(unwind_rows_begin(&rows, VADDR, 0), -ENOENT);
	assert_int_equal(unwind_rows_begin(&rows, 0, UINT64_MAX), -ENOENT);
	assert_int_equal(unwind_rows_begin(&rows, UINT64_MAX, UINT64_MAX), -ENOENT);
	assert_int_equal(unwind_rows_build(&rows, &about, &buf), -ENODATA);
}

/* Functions of random lengths with rows every so many bytes, and what that means for each byte. */
static void fill(struct unwind_rows *rows, uint64_t *truth, unsigned density)
{
	for (uint64_t at = next_random() % 1000; at < SIZE;) {
		uint64_t size = 1 + next_random() % 3000;
		uint64_t gap = 16 + next_random() % 100;

		if (next_random() % 50 == 0)
			gap = 0x18000; /* more than a page */
		if (size > SIZE - at)
			size = SIZE - at;
		assert_int_equal(unwind_rows_begin(rows, VADDR + at, size), 0);
		for (uint64_t row = 0; row < size; row += 1 + next_random() % density) {
			uint64_t word = some_rule((uint32_t)(1 + next_random() % 300));

			add(rows, VADDR + at + row, word);
			for (uint64_t i = row; i < size; i++)
				truth[OFFSET + at + i] = word;
		}
		at += size + gap;
	}
}

static void the_search_finds_what_a_linear_one_does(void **state)
{
	static uint64_t truth[FILE_SIZE];

	(void)state;
	for (unsigned round = 0; round < 12; round++) {
		autoclean(unwind_rows) struct unwind_rows rows;
		autoclean(buf) struct buf buf = BUF(8 << 20);
		struct unwind_table table;

		memset(truth, 0, sizeof(truth));
		unwind_rows_init(&rows, &segment, 1);
		/* From a row every 5 bytes, which takes an index of groups of 4 lines, to few. */
		fill(&rows, truth, 9 << round / 2);
		build(&rows, &buf, &table);
		for (uint64_t offset = 0; offset < FILE_SIZE; offset++)
			if (unwind_table_find(&table, offset) != truth[offset] ||
			    find_plainly(&table, offset) != truth[offset]) {
				print_message("round %u, offset %#lx\n", round,
					      (unsigned long)offset);
				fail();
			}
	}
}

static void a_page_with_too_many_rows_has_none(void **state)
{
	autoclean(unwind_rows) struct unwind_rows rows;
	autoclean(buf) struct buf buf = BUF(8 << 20);
	struct unwind_table table;
	uint64_t page = VADDR + 0x1000; /* of the file's third */

	(void)state;
	unwind_rows_init(&rows, &segment, 1);
	assert_int_equal(unwind_rows_begin(&rows, page, 0x20000), 0);
	for (uint64_t at = 0; at < 0x10000; at += 2)
		add(&rows, page + at, some_rule(1 + (at & 2)));
	add(&rows, page + 0x10000, some_rule(7));
	build(&rows, &buf, &table);
	assert_int_equal(unwind_table_find(&table, OFFSET + 0x1000), 0);
	assert_int_equal(unwind_table_find(&table, OFFSET + 0x10fff), 0);
	assert_int_equal(unwind_table_find(&table, OFFSET + 0x11000), some_rule(7));
	assert_int_equal(table.header->refused_count, 1);
}

static void a_damaged_table_is_refused_or_harmless(void **state)
{
	static uint64_t truth[FILE_SIZE];
	autoclean(unwind_rows) struct unwind_rows rows;
	autoclean(buf) struct buf buf = BUF(8 << 20);
	struct unwind_table table;
	unsigned refused_count = 0;

	(void)state;
	unwind_rows_init(&rows, &segment, 1);
	fill(&rows, truth, 40);
	build(&rows, &buf, &table);
	for (unsigned i = 0; i < 4000; i++) {
		/* Of its own size, so that a sanitizer sees what is read behind it. */
		autofree uint8_t *copy = malloc(buf.size);
		/* Half of them where most things are checked: behind the lines. */
		size_t lists = sizeof(*table.header) + table.header->line_count * 64UL;
		size_t from = i % 2 ? lists : 0;
		size_t at = from + next_random() % (buf.size - from);

		assert_non_null(copy);
		memcpy(copy, buf.bytes, buf.size);
		copy[at] ^= (uint8_t)(1 + next_random() % 255);

		struct unwind_table damaged;
		int err = unwind_table_check(copy, buf.size, &damaged);

		refused_count += err != 0;
		for (unsigned n = 0; !err && n < 200; n++)
			(void)unwind_table_find(&damaged, next_random() % FILE_SIZE);
	}
	/* A row's rule may be another known one, and so may be a function's end. */
	assert_true(refused_count > 1000);
	for (size_t size = 0; size < buf.size; size += 1 + size / 8)
		assert_int_equal(unwind_table_check(buf.bytes, size, &table), -EBADMSG);
	buf.bytes[offsetof(struct unwind_table_header, version)]++;
	assert_int_equal(unwind_table_check(buf.bytes, buf.size, &table), -EPROTONOSUPPORT);
}

int main(void)
{
	const char *wanted = getenv("HEARTH_SEED");
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_rule_holds_up_to_the_next),
		cmocka_unit_test(a_rule_for_some_bytes_comes_between_others),
		cmocka_unit_test(what_starts_later_has_the_bytes),
		cmocka_unit_test(functions_outside_the_code_are_refused),
		cmocka_unit_test(the_search_finds_what_a_linear_one_does),
		cmocka_unit_test(a_page_with_too_many_rows_has_none),
		cmocka_unit_test(a_damaged_table_is_refused_or_harmless),
	};

	seed = wanted ? strtoull(wanted, NULL, 0) : (uint64_t)getpid() * 2654435761U + 1;
	print_message("HEARTH_SEED=%lu\n", (unsigned long)seed);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
