/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include <errno.h>
#include <string.h>

#include "base/unwind_table.h"
#include "symbols/go_pclntab.h"

/* Little tables of our own, laid out as each version of Go does. */
enum { TEXT = 0x401000, NAMES = 0x100, DEPTHS = 0x300, FUNCTIONS = 0x400, SIZE = 0x800 };

enum version { V_1_2, V_1_16, V_1_18, V_1_20, V_1_26, VERSION_COUNT };

struct maker {
	uint8_t bytes[SIZE];
	enum version version;
	unsigned count, name_size, depth_size;
	unsigned functions, data, names, depths; /* what offsets count from */
};

static const struct elf_segment segment = { .offset = 0x1000, .vaddr = TEXT, .size = 0x10000 };

static void put(struct maker *maker, size_t offset, uint64_t value, size_t size)
{
	assert_true(offset + size <= SIZE);
	memcpy(maker->bytes + offset, &value, size);
}

static void begin(struct maker *maker, enum version version, uint64_t function_count)
{
	static const uint32_t magics[] = { 0xfffffffb, 0xfffffffa, 0xfffffff0, 0xfffffff1,
					   0xfffffff1 };
	unsigned field = 24;

	*maker = (struct maker){ .version = version };
	put(maker, 0, magics[version], 4);
	put(maker, 4, 0x08010000, 4);
	put(maker, 8, function_count, 8);
	/* All lies where it lies; the list of functions comes first. */
	if (version == V_1_2) {
		maker->functions = 16;
		maker->names = NAMES;
		maker->depths = DEPTHS;
		return;
	}
	maker->functions = maker->data = FUNCTIONS;
	if (version != V_1_16) {
		put(maker, field, version == V_1_26 ? 0 : TEXT, 8);
		field += 8;
	}
	put(maker, field, NAMES, 8);
	put(maker, field + 24, DEPTHS, 8);
	put(maker, field + 32, FUNCTIONS, 8);
}

/* Of the entry that ends the list, too, with a name of NULL. */
static void add(struct maker *maker, uint32_t start, const char *name, const char *depths)
{
	bool has_addresses = maker->version <= V_1_16;
	size_t width = has_addresses ? 8 : 4;
	uint64_t entry = has_addresses ? TEXT + start : start;
	size_t data = FUNCTIONS + 0x100 + maker->count * 0x30;

	put(maker, maker->functions + maker->count * 2 * width, entry, width);
	if (!name)
		return;
	put(maker, maker->functions + (maker->count * 2 + 1) * width, data - maker->data, width);
	put(maker, data, entry, width);
	put(maker, data + width, maker->names + maker->name_size, 4);
	put(maker, data + width + 12, maker->depths + maker->depth_size, 4);
	memcpy(maker->bytes + NAMES + maker->name_size, name, strlen(name) + 1);
	memcpy(maker->bytes + DEPTHS + maker->depth_size, depths, strlen(depths) + 1);
	maker->name_size += strlen(name) + 1;
	maker->depth_size += strlen(depths) + 1;
	maker->count++;
}

/* A change of n is 2n, of −n it is 2n − 1; the first counts from −1. Then so many bytes. */
#define GROWS_AND_SHRINKS "\x02\x04\x10\x01\x40\x20\x4f\x10"

static void make(struct maker *maker, enum version version)
{
	begin(maker, version, 4);
	add(maker, 0x000, "main.work", GROWS_AND_SHRINKS);
	add(maker, 0x100, "runtime.systemstack.abi0", "\x02\x01\x10\x20\x0f\x1f");
	add(maker, 0x140, "runtime.goexit", "\x02\x40");
	add(maker, 0x180, "runtime.sigreturn__sigaction", "\x02\x20");
	add(maker, 0x1a0, NULL, NULL);
}

static int read_table(const struct maker *maker, struct unwind_rows *rows)
{
	const struct go_pclntab table = { .bytes = maker->bytes, .size = SIZE, .text = TEXT };

	unwind_rows_init(rows, &segment, 1);
	return go_pclntab_add(&table, rows);
}

static uint64_t by_sp(int32_t offset)
{
	bool has_fp = offset >= 16;

	return unwind_rule(UNWIND_CFA_SP, 0, has_fp ? UNWIND_FP_SAVED : UNWIND_FP_SAME,
			   UNWIND_RA_SAVED, has_fp ? -16 : 0, offset);
}

static void depths_become_rules(void **state)
{
	(void)state;
	for (enum version version = 0; version < VERSION_COUNT; version++) {
		autoclean(unwind_rows) struct unwind_rows rows;
		autoclean(buf) struct buf buf = BUF(1 << 20);
		const struct unwind_table_header about = { .machine = 62 };
		struct unwind_table table;
		struct maker maker;

		make(&maker, version);
		assert_int_equal(read_table(&maker, &rows), 0);
		assert_int_equal(unwind_rows_build(&rows, &about, &buf), 0);
		assert_int_equal(unwind_table_check(buf.bytes, buf.size, &table), 0);
		assert_int_equal(table.header->function_count, 4);
		assert_int_equal(table.header->refused_count, 0);

		/* 4 bytes at 0, 1 at 8, 32 at 40, 16 at 0, which holds to the end. */
		assert_int_equal(unwind_table_find(&table, 0x1000), by_sp(8));
		assert_int_equal(unwind_table_find(&table, 0x1003), by_sp(8));
		assert_int_equal(unwind_table_find(&table, 0x1004), by_sp(16));
		assert_int_equal(unwind_table_find(&table, 0x1005), by_sp(48));
		assert_int_equal(unwind_table_find(&table, 0x1024), by_sp(48));
		assert_int_equal(unwind_table_find(&table, 0x1025), by_sp(8));
		assert_int_equal(unwind_table_find(&table, 0x10ff), by_sp(8));

		assert_int_equal(unwind_table_find(&table, 0x1100), by_sp(8));
		assert_int_equal(unwind_rule_cfa(unwind_table_find(&table, 0x1101)),
				 UNWIND_CFA_FP_OTHER_STACK);
		assert_int_equal(unwind_table_find(&table, 0x1121), by_sp(8));
		assert_int_equal(unwind_table_find(&table, 0x1140), UNWIND_CFA_STOP);
		assert_int_equal(unwind_table_find(&table, 0x117e), UNWIND_CFA_STOP);
		/* A byte early. */
		assert_int_equal(unwind_table_find(&table, 0x117f), UNWIND_CFA_SIGNAL);
		assert_int_equal(unwind_table_find(&table, 0x119f), UNWIND_CFA_SIGNAL);
		assert_int_equal(unwind_table_find(&table, 0x11a0), 0);
	}
}

static void functions_have_the_names_of_the_table(void **state)
{
	static const struct {
		uint32_t start, size;
		const char *name;
	} wanted[] = {
		{ 0x000, 0x100, "main.work" },
		{ 0x100, 0x40, "runtime.systemstack.abi0" },
		{ 0x140, 0x40, "runtime.goexit" },
		{ 0x180, 0x20, "runtime.sigreturn__sigaction" },
	};
	/* As .symtab has it: instantiated, and as long. It is not exported in either. */
	const struct symbol other = { .start = TEXT,
				      .size = 0x100,
				      .end_max = TEXT + 0x1000,
				      .name = "aaa",
				      .name_size_max = 3 };

	(void)state;
	for (enum version version = 0; version < VERSION_COUNT; version++) {
		autoclean(symbol_table) struct symbol_table symbols;
		struct maker maker;
		const struct go_pclntab table = { .bytes = maker.bytes,
						  .size = SIZE,
						  .text = TEXT };

		make(&maker, version);
		symbol_table_init(&symbols);
		assert_int_equal(symbol_table_add(&symbols, &other), 0);
		assert_int_equal(go_pclntab_add_symbols(&table, &segment, 1, &symbols), 0);
		assert_int_equal(symbol_table_build(&symbols), 0);
		assert_int_equal(symbols.count, 4);
		assert_int_equal(symbols.base, TEXT);
		for (size_t i = 0; i < 4; i++) {
			struct str name = { (const char *)symbols.names.bytes +
						    symbols.name_offsets[i],
					    symbols.name_offsets[i + 1] - symbols.name_offsets[i] };

			assert_int_equal(symbols.starts[i], wanted[i].start);
			assert_int_equal(symbols.sizes[i], wanted[i].size);
			assert_true(str_equal(name, str_from(wanted[i].name)));
		}
	}
}

static void names_outside_of_the_code_are_left_out(void **state)
{
	const struct elf_segment elsewhere = { .vaddr = TEXT + 0x140, .size = 0x40 };
	autoclean(symbol_table) struct symbol_table symbols;
	struct maker maker;
	const struct go_pclntab table = { .bytes = maker.bytes, .size = SIZE, .text = TEXT };

	(void)state;
	make(&maker, V_1_20);
	symbol_table_init(&symbols);
	assert_int_equal(go_pclntab_add_symbols(&table, &elsewhere, 1, &symbols), 0);
	assert_int_equal(symbol_table_build(&symbols), 0);
	assert_int_equal(symbols.count, 1);
	assert_int_equal(symbols.base, TEXT + 0x140);
	assert_int_equal(symbols.names.size, strlen("runtime.goexit"));
}

static void a_function_that_contradicts_itself_is_left_out(void **state)
{
	autoclean(unwind_rows) struct unwind_rows rows;
	struct maker maker;

	(void)state;
	begin(&maker, V_1_20, 5);
	/* A change that holds for no byte, at once and later on. */
	add(&maker, 0x000, "main.stands", "\x02");
	add(&maker, 0x100, "main.stands_later", "\x02\x10\x80\x01");
	/* Above the return address: a rule that can't be followed. */
	add(&maker, 0x140, "main.above", "\x01\x10");
	add(&maker, 0x200, "main.good", "\x02\x10");
	/* It ends before it begins. */
	add(&maker, 0x300, "main.backward", "\x02\x10");
	add(&maker, 0x2ff, NULL, NULL);
	assert_int_equal(read_table(&maker, &rows), 0);
	assert_int_equal(rows.refused_count, 3);
	assert_int_equal(rows.function_count, 2);
	assert_int_equal(rows.words[rows.rows[0].rule], unwind_rule(UNWIND_CFA_UNSUPPORTED, 0, 0, 0,
								    0, UNWIND_UNSUPPORTED_OFFSET));
	assert_int_equal(rows.words[rows.rows[1].rule], by_sp(8));
}

static void what_is_no_table_is_refused(void **state)
{
	autoclean(unwind_rows) struct unwind_rows rows;
	struct maker maker;
	static const struct {
		size_t offset;
		uint64_t value;
	} damages[] = {
		{ 0, 0xfffffff2 }, { 4, 0x04010000 },	{ 4, 0x08010001 }, { 8, 0 },
		{ 8, 1 << 20 },	   { 8, UINT64_MAX },	{ 32, SIZE },	   { 56, UINT64_MAX },
		{ 64, SIZE },	   { 64, SIZE - 0x20 },
	};

	(void)state;
	unwind_rows_init(&rows, &segment, 1);
	for (size_t i = 0; i < sizeof(damages) / sizeof(damages[0]); i++) {
		make(&maker, V_1_20);
		put(&maker, damages[i].offset, damages[i].value, damages[i].offset < 8 ? 4 : 8);
		unwind_rows_done(&rows);
		assert_int_equal(read_table(&maker, &rows), -EBADMSG);
		assert_int_equal(rows.function_count, 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(depths_become_rules),
		cmocka_unit_test(functions_have_the_names_of_the_table),
		cmocka_unit_test(names_outside_of_the_code_are_left_out),
		cmocka_unit_test(a_function_that_contradicts_itself_is_left_out),
		cmocka_unit_test(what_is_no_table_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
