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
#include <unistd.h>

#include "base/table.h"
#include "symbols/line_table.h"
#include "symbols/symbol_file.h"
#include "symbols/symbols.h"
#include "tests/support/elf_maker.h"

static const struct elf_segment some_segments[] = {
	{ .offset = 0x1000, .vaddr = 0x401000, .size = 0x2000 },
	{ .offset = 0x5000, .vaddr = 0x408000, .size = 0x1000 },
};

/* "outer" with a call inlined in its middle, and that "zero" was asked for. */
static void add_lines(struct line_table *table)
{
	line_table_init(table);

	int64_t file = line_table_text(table, STR("/src/outer.c"));
	int64_t called = line_table_text(table, STR("_ZN6calledEv"));

	assert_true(file > 0 && called > 0);

	int64_t scope = line_table_scope(table, &(struct line_scope){ .parent = LINE_SCOPE_NONE,
								      .function = (uint32_t)called,
								      .call_file = (uint32_t)file,
								      .call_line = 12 });
	struct line_row row = { .scope = LINE_SCOPE_NONE, .file = (uint32_t)file, .line = 10 };

	assert_int_equal(scope, 0);
	assert_int_equal(line_table_add(table, 0x401100, 0x20, &row), 0);
	row.line = 14;
	assert_int_equal(line_table_add(table, 0x401130, 0xd0, &row), 0);
	row = (struct line_row){ .scope = 0, .file = (uint32_t)file, .line = 3 };
	assert_int_equal(line_table_add(table, 0x401120, 0x10, &row), 0);
	assert_int_equal(line_table_cover(table, 0x401000, 0x200), 0);
	assert_int_equal(line_table_build(table), 0);
}

/* Five functions, of which one lies in another, in a file that is gone but for the descriptor. */
static int some_file(void)
{
	static const struct {
		const char *name;
		uint64_t start;
		uint64_t size;
	} functions[] = {
		{ "zero", 0x401000, 0x10 },	 { "outer", 0x401100, 0x100 },
		{ "inner", 0x401180, 0x10 },	 { "_ZN4lastEv", 0x402ff0, 0x10 },
		{ "elsewhere", 0x408010, 0x20 },
	};
	autoclean(symbol_table) struct symbol_table table;
	autoclean(line_table) struct line_table line_table;

	add_lines(&line_table);

	struct line_rows lines = line_table_rows(&line_table);
	char path[] = "/tmp/test_symbol_file.XXXXXX";
	uint64_t size = 0;
	struct symbol_file_contents contents = {
		.identity = { .kind = IDENTITY_GNU_BUILD_ID, .size = 3, .bytes = { 1, 2, 3 } },
		.sources = SYMBOL_FILE_FROM_ELF,
		.segments = some_segments,
		.segment_count = 2,
		.table = &table,
		.lines = &lines,
	};

	symbol_table_init(&table);
	for (size_t i = 0; i < sizeof(functions) / sizeof(functions[0]); i++) {
		struct symbol symbol = {
			.start = functions[i].start,
			.size = functions[i].size,
			.end_max = functions[i].start + functions[i].size,
			.name = functions[i].name,
			.name_size_max = (uint32_t)strlen(functions[i].name),
		};

		assert_int_equal(symbol_table_add(&table, &symbol), 0);
	}
	assert_int_equal(symbol_table_build(&table), 0);

	autoclose int unused = mkstemp(path);

	assert_true(unused >= 0);
	assert_int_equal(symbol_file_write(path, &contents, &size), 0);

	int fd = open(path, O_RDONLY | O_CLOEXEC);

	assert_int_equal(lseek(fd, 0, SEEK_END), size);
	assert_int_equal(unlink(path), 0);
	return fd;
}

static void assert_named(const struct symbol_file *file, uint64_t offset, const char *name)
{
	uint32_t function = symbol_file_find(file, offset);

	if (!name) {
		assert_int_equal(function, SYMBOL_NONE);
		return;
	}
	assert_int_not_equal(function, SYMBOL_NONE);
	assert_true(str_equal(symbol_file_name(file, function), str_from(name)));
}

static void gives_back_what_was_written(void **state)
{
	autoclean(symbol_file) struct symbol_file *file = NULL;
	autoclose int fd = some_file();

	(void)state;
	assert_int_equal(symbol_file_open(fd, &file), 0);

	const struct symbol_file_header *header = symbol_file_header(file);

	assert_int_equal(header->identity.kind, IDENTITY_GNU_BUILD_ID);
	assert_int_equal(header->identity.size, 3);
	assert_int_equal(header->function_count, 5);
	assert_int_equal(header->sources, SYMBOL_FILE_FROM_ELF);
	assert_named(file, 0xfff, NULL);
	assert_named(file, 0x1000, "zero");
	assert_named(file, 0x100f, "zero");
	assert_named(file, 0x1010, NULL);
	assert_named(file, 0x1100, "outer");
	assert_named(file, 0x117f, "outer");
	assert_named(file, 0x1180, "inner");
	assert_named(file, 0x118f, "inner");
	assert_named(file, 0x1190, "outer");
	assert_named(file, 0x11ff, "outer");
	assert_named(file, 0x1200, NULL);
	assert_named(file, 0x2fff, "_ZN4lastEv");
	assert_named(file, 0x3000, NULL);
	assert_named(file, 0x5010, "elsewhere");
	assert_named(file, 0x6000, NULL);
	assert_named(file, UINT64_MAX, NULL);
	assert_int_equal(symbol_file_start(file, symbol_file_find(file, 0x1190)), 0x1100);
	assert_int_equal(symbol_file_start(file, symbol_file_find(file, 0x5020)), 0x5010);
}

static void knows_lines_and_inlined_calls(void **state)
{
	autoclean(symbol_file) struct symbol_file *file = NULL;
	autoclose int fd = some_file();
	struct line_row row;
	uint64_t vaddr;

	(void)state;
	assert_int_equal(symbol_file_open(fd, &file), 0);

	const struct line_rows *lines = symbol_file_lines(file);

	assert_true(symbol_file_vaddr(file, 0x1125, &vaddr));
	assert_int_equal(vaddr, 0x401125);
	assert_false(symbol_file_vaddr(file, 0xfff, &vaddr));
	assert_false(line_rows_find(lines, 0x4010ff, &row));
	assert_true(line_rows_find(lines, 0x40111f, &row));
	assert_int_equal(row.line, 10);
	assert_int_equal(row.scope, LINE_SCOPE_NONE);
	assert_true(line_rows_find(lines, 0x401120, &row));
	assert_int_equal(row.line, 3);
	assert_int_equal(row.scope, 0);
	assert_true(
		str_equal(line_rows_text(lines, lines->scopes[0].function), STR("_ZN6calledEv")));
	assert_int_equal(lines->scopes[0].call_line, 12);
	assert_true(line_rows_find(lines, 0x4011ff, &row));
	assert_true(str_equal(line_rows_text(lines, row.file), STR("/src/outer.c")));
	assert_int_equal(row.line, 14);
	assert_false(line_rows_find(lines, 0x401200, &row));
	assert_true(line_rows_cover(lines, 0x401000) && line_rows_cover(lines, 0x4011ff));
	assert_false(line_rows_cover(lines, 0x400fff) || line_rows_cover(lines, 0x401200));
}

static void refuses_a_file_with_any_byte_changed(void **state)
{
	autoclose int fd = some_file();
	uint8_t bytes[4096];
	ssize_t size = pread(fd, bytes, sizeof(bytes), 0);
	const struct symbol_file_header *header = (const void *)bytes;

	(void)state;
	assert_true(size > (ssize_t)sizeof(*header) && size < (ssize_t)sizeof(bytes));
	for (ssize_t i = 0; i < size; i++) {
		autoclean(symbol_file) struct symbol_file *file = NULL;
		bool covered = i < (ssize_t)sizeof(*header);

		/* Padding between sections belongs to none. */
		for (size_t n = 0; n < SYMBOL_FILE_SECTION_COUNT_MAX; n++)
			covered |=
				(uint64_t)i >= header->sections[n].offset &&
				(uint64_t)i < header->sections[n].offset + header->sections[n].size;
		bytes[i] ^= 0x40;

		autoclose int damaged = elf_maker_memfd(bytes, (size_t)size);

		assert_int_equal(symbol_file_open(damaged, &file), covered ? -EBADMSG : 0);
		bytes[i] ^= 0x40;
	}
}

static void refuses_a_file_cut_anywhere(void **state)
{
	autoclose int fd = some_file();
	uint8_t bytes[4096];
	ssize_t size = pread(fd, bytes, sizeof(bytes), 0);

	(void)state;
	for (ssize_t i = 0; i < size; i++) {
		autoclean(symbol_file) struct symbol_file *file = NULL;
		autoclose int cut = elf_maker_memfd(bytes, (size_t)i);

		assert_int_equal(symbol_file_open(cut, &file), -EBADMSG);
	}
}

/* As if it had been written so: the checksums are right, the contents are not. */
static int open_sealed(uint8_t *bytes, size_t size, struct symbol_file **ret)
{
	struct symbol_file_header *header = (void *)bytes;
	size_t offset = offsetof(struct symbol_file_header, version);

	for (size_t i = 0; i < SYMBOL_FILE_SECTION_COUNT_MAX; i++) {
		struct symbol_file_section *section = &header->sections[i];

		if (section->offset <= size && section->size <= size - section->offset)
			section->checksum =
				table_hash_bytes(bytes + section->offset, section->size, 0);
	}
	header->checksum = table_hash_bytes(bytes + offset, sizeof(*header) - offset, 0);

	autoclose int fd = elf_maker_memfd(bytes, size);

	return symbol_file_open(fd, ret);
}

static void survives_damage_behind_right_checksums(void **state)
{
	autoclose int fd = some_file();
	_Alignas(8) uint8_t whole[4096];
	ssize_t size = pread(fd, whole, sizeof(whole), 0);
	unsigned seed = 99;
	unsigned opened = 0;

	(void)state;
	for (int round = 0; round < 5000; round++) {
		autoclean(symbol_file) struct symbol_file *file = NULL;
		_Alignas(8) uint8_t bytes[4096];

		memcpy(bytes, whole, sizeof(bytes));
		for (int i = 0; i <= round % 3; i++)
			bytes[rand_r(&seed) % size] = (uint8_t)rand_r(&seed);
		if (open_sealed(bytes, (size_t)size, &file))
			continue;
		opened++;
		for (uint64_t offset = 0; offset < 0x7000; offset += 5) {
			uint32_t function = symbol_file_find(file, offset);

			if (function == SYMBOL_NONE)
				continue;
			assert_true(symbol_file_name(file, function).size < (size_t)size);
			symbol_file_start(file, function);
		}
		for (uint64_t vaddr = 0x401000; vaddr < 0x402000; vaddr += 7) {
			const struct line_rows *lines = symbol_file_lines(file);
			struct line_row row;

			if (!line_rows_find(lines, vaddr, &row))
				continue;
			assert_true(line_rows_text(lines, row.file).size < (size_t)size);
			assert_true(row.scope == LINE_SCOPE_NONE || row.scope < lines->scope_count);
		}
	}
	assert_true(opened > 100);
}

static void leaves_unknown_sections_alone(void **state)
{
	autoclean(symbol_file) struct symbol_file *file = NULL;
	autoclose int fd = some_file();
	_Alignas(8) uint8_t bytes[4096];
	ssize_t size = pread(fd, bytes, sizeof(bytes), 0);
	struct symbol_file_header *header = (void *)bytes;

	(void)state;
	header->sections[SYMBOL_FILE_SECTION_COUNT_MAX - 1] =
		(struct symbol_file_section){ .kind = 77, .offset = (uint64_t)(size + 7) / 8 * 8 };
	assert_int_equal(open_sealed(bytes, (size_t)(size + 7) / 8 * 8, &file), 0);
	assert_named(file, 0x1000, "zero");
}

static void leaves_nothing_when_it_cannot_write(void **state)
{
	autoclean(symbol_table) struct symbol_table table;
	struct symbol symbol = { .size = 1, .end_max = 1, .name = "f", .name_size_max = 1 };
	struct symbol_file_contents contents = { .segments = some_segments,
						 .segment_count = 2,
						 .table = &table };
	char folder[] = "/tmp/test_symbol_file.XXXXXX";
	char folder_new[64];
	uint64_t size = 7;

	(void)state;
	assert_non_null(mkdtemp(folder));
	snprintf(folder_new, sizeof(folder_new), "%s.new", folder);
	symbol_table_init(&table);
	assert_int_equal(symbol_table_add(&table, &symbol), 0);
	assert_int_equal(symbol_table_build(&table), 0);
	assert_int_equal(symbol_file_write("/nonexistent/file", &contents, &size), -ENOENT);
	/* A folder can't be replaced. */
	assert_true(symbol_file_write(folder, &contents, &size) < 0);
	assert_int_equal(access(folder_new, F_OK), -1);
	assert_int_equal(rmdir(folder), 0);
	assert_int_equal(size, 7);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(gives_back_what_was_written),
		cmocka_unit_test(knows_lines_and_inlined_calls),
		cmocka_unit_test(refuses_a_file_with_any_byte_changed),
		cmocka_unit_test(refuses_a_file_cut_anywhere),
		cmocka_unit_test(survives_damage_behind_right_checksums),
		cmocka_unit_test(leaves_unknown_sections_alone),
		cmocka_unit_test(leaves_nothing_when_it_cannot_write),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
