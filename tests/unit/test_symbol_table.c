/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "symbols/symbol_table.h"

enum { SECTION_END = 0x10000 };

static struct symbol symbol(const char *name, uint64_t start, uint64_t size)
{
	return (struct symbol){ .start = start,
				.size = size,
				.end_max = SECTION_END,
				.name = name,
				.name_size_max = (uint32_t)strlen(name) + 1 };
}

static void add(struct symbol_table *table, struct symbol symbol)
{
	assert_int_equal(symbol_table_add(table, &symbol), 0);
}

static void assert_function(const struct symbol_table *table, uint32_t i, const char *name,
			    uint64_t start, uint64_t size, uint32_t parent)
{
	uint32_t name_size = table->name_offsets[i + 1] - table->name_offsets[i];

	assert_true(i < table->count);
	assert_int_equal(name_size, strlen(name));
	assert_memory_equal(table->names.bytes + table->name_offsets[i], name, name_size);
	assert_int_equal(table->base + table->starts[i], start);
	assert_int_equal(table->sizes[i], size);
	assert_int_equal(table->parents[i], parent);
}

static void sorts_functions_and_keeps_gaps(void **state)
{
	autoclean(symbol_table) struct symbol_table table;

	(void)state;
	symbol_table_init(&table);
	add(&table, symbol("b", 0x2000, 0x10));
	add(&table, symbol("a", 0x1000, 0x10));
	assert_int_equal(symbol_table_build(&table), 0);
	assert_int_equal(table.count, 2);
	assert_function(&table, 0, "a", 0x1000, 0x10, SYMBOL_PARENT_NONE);
	assert_function(&table, 1, "b", 0x2000, 0x10, SYMBOL_PARENT_NONE);
}

/* Each pair at an address of its own; the first is the better name. */
static void prefers_the_name_that_people_know(void **state)
{
	const struct symbol pairs[][2] = {
		{ symbol("larger", 0, 0x20), symbol("Smaller", 0, 0x10) },
		{ symbol("__exported", 0, 0x10), symbol("local", 0, 0x10) },
		{ symbol("read", 0, 0x10), symbol("__read", 0, 0x10) },
		{ symbol("_ZN1a1bEv", 0, 0x10), symbol("_plain", 0, 0x10) },
		{ symbol("real", 0, 0x10), symbol("label", 0, 0x10) },
		{ symbol("new", 0, 0x10), symbol("an_old", 0, 0x10) },
		{ symbol("an_old", 0, 0x10), symbol("__new", 0, 0x10) },
		{ symbol("strong", 0, 0x10), symbol("a_weak", 0, 0x10) },
		{ symbol("table", 0, 0x10), symbol("dynamic", 0, 0x10) },
		{ symbol("_ZC1", 0, 0x10), symbol("_ZC2", 0, 0x10) },
	};
	enum { PAIR_COUNT = sizeof(pairs) / sizeof(pairs[0]) };

	(void)state;
	for (int reversed = 0; reversed < 2; reversed++) {
		autoclean(symbol_table) struct symbol_table table;

		symbol_table_init(&table);
		for (size_t i = 0; i < 2 * (size_t)PAIR_COUNT; i++) {
			size_t pair = i / 2;
			bool worse = (i % 2) ^ (size_t)reversed;
			struct symbol one = pairs[pair][worse];

			one.start = 0x100 * (pair + 1);
			one.binding = strcmp(one.name, "local") == 0	? SYMBOL_LOCAL
				      : strcmp(one.name, "a_weak") == 0 ? SYMBOL_WEAK
									: SYMBOL_GLOBAL;
			one.old = strcmp(one.name, "an_old") == 0;
			one.label = strcmp(one.name, "label") == 0;
			one.dynamic = strcmp(one.name, "dynamic") == 0;
			add(&table, one);
		}
		assert_int_equal(symbol_table_build(&table), 0);
		assert_int_equal(table.count, PAIR_COUNT);
		for (uint32_t i = 0; i < PAIR_COUNT; i++)
			assert_function(&table, i, pairs[i][0].name, 0x100 * (i + 1),
					pairs[i][0].size, SYMBOL_PARENT_NONE);
	}
}

static void lets_symbols_without_a_size_reach_to_the_next(void **state)
{
	autoclean(symbol_table) struct symbol_table table;
	struct symbol last = symbol("last", 0x9000, 0);

	(void)state;
	symbol_table_init(&table);
	add(&table, symbol("sized", 0x1000, 0x100));
	add(&table, symbol("label_inside", 0x1080, 0));
	add(&table, symbol("assembly", 0x1100, 0));
	add(&table, symbol("next", 0x1180, 0));
	last.end_max = 0x9040;
	add(&table, last);
	assert_int_equal(symbol_table_build(&table), 0);
	assert_int_equal(table.count, 4);
	assert_int_equal(table.dropped, 1);
	assert_function(&table, 1, "assembly", 0x1100, 0x80, SYMBOL_PARENT_NONE);
	assert_function(&table, 2, "next", 0x1180, SYMBOL_UNSIZED_SIZE_MAX, SYMBOL_PARENT_NONE);
	assert_function(&table, 3, "last", 0x9000, 0x40, SYMBOL_PARENT_NONE);
}

static void knows_functions_inside_functions(void **state)
{
	autoclean(symbol_table) struct symbol_table table;

	(void)state;
	symbol_table_init(&table);
	add(&table, symbol("outer", 0x1000, 0x100));
	add(&table, symbol("inner", 0x1010, 0x20));
	add(&table, symbol("innermost", 0x1018, 0x8));
	add(&table, symbol("inner2", 0x1040, 0x20));
	add(&table, symbol("overlapping", 0x10f0, 0x100));
	assert_int_equal(symbol_table_build(&table), 0);
	assert_int_equal(table.nested, 3);
	assert_function(&table, 1, "inner", 0x1010, 0x20, 0);
	assert_function(&table, 2, "innermost", 0x1018, 0x8, 1);
	assert_function(&table, 3, "inner2", 0x1040, 0x20, 0);
	assert_function(&table, 4, "overlapping", 0x10f0, 0x100, SYMBOL_PARENT_NONE);
}

static void bounds_how_deep_functions_lie(void **state)
{
	autoclean(symbol_table) struct symbol_table table;

	(void)state;
	symbol_table_init(&table);
	for (unsigned i = 0; i < 20; i++)
		add(&table, symbol("nested", 0x1000 + i, 0x100 - 2 * i));
	assert_int_equal(symbol_table_build(&table), 0);
	assert_int_equal(table.count, SYMBOL_DEPTH_MAX);
	assert_int_equal(table.dropped, 20 - SYMBOL_DEPTH_MAX);
}

static void leaves_out_what_is_no_function(void **state)
{
	autoclean(symbol_table) struct symbol_table table;
	struct symbol outside = symbol("outside", SECTION_END, 8);
	struct symbol huge = symbol("huge", 0x1000, UINT64_MAX);
	struct symbol stub = symbol("malloc", 0x800, 16);

	(void)state;
	symbol_table_init(&table);
	assert_int_equal(symbol_table_build(&table), -ENODATA);
	add(&table, symbol("", 0x1000, 8));
	add(&table, symbol(".L42", 0x1000, 8));
	add(&table, symbol("$x", 0x1000, 8));
	add(&table, symbol("$d.7", 0x1000, 8));
	add(&table, outside);
	assert_int_equal(table.dropped, 5);
	assert_int_equal(symbol_table_build(&table), -ENODATA);
	add(&table, huge);
	stub.stub = true;
	add(&table, stub);
	assert_int_equal(symbol_table_build(&table), 0);
	assert_int_equal(table.count, 2);
	assert_function(&table, 0, "malloc@plt", 0x800, 16, SYMBOL_PARENT_NONE);
	assert_function(&table, 1, "huge", 0x1000, SECTION_END - 0x1000, SYMBOL_PARENT_NONE);
}

static void cuts_names_that_are_too_long(void **state)
{
	autoclean(symbol_table) struct symbol_table table;
	size_t size = 2 * SYMBOL_NAME_SIZE_MAX;
	autofree char *name = malloc(size);
	struct symbol endless = symbol("", 0x1000, 8);

	(void)state;
	assert_non_null(name);
	memset(name, 'n', size);
	endless.name = name;
	endless.name_size_max = (uint32_t)size;
	symbol_table_init(&table);
	add(&table, endless);
	assert_int_equal(symbol_table_build(&table), 0);
	assert_int_equal(table.names.size, SYMBOL_NAME_SIZE_MAX);
}

static void refuses_what_lies_too_far_apart(void **state)
{
	autoclean(symbol_table) struct symbol_table table;
	struct symbol far = symbol("far", UINT64_C(1) << 33, 8);

	(void)state;
	far.end_max = UINT64_MAX;
	symbol_table_init(&table);
	add(&table, symbol("near", 0x1000, 8));
	add(&table, far);
	assert_int_equal(symbol_table_build(&table), -EFBIG);
}

/* The function that holds an address, the slow way: what starts last, and among that the smallest.
 */
static const struct symbol *holder(const struct symbol *symbols, size_t count, uint64_t address)
{
	const struct symbol *best = NULL;

	for (size_t i = 0; i < count; i++) {
		const struct symbol *s = &symbols[i];

		if (address < s->start || address - s->start >= s->size)
			continue;
		if (!best || s->start > best->start ||
		    (s->start == best->start && s->size > best->size))
			best = s;
	}
	return best;
}

static uint32_t lookup(const struct symbol_table *table, uint64_t address)
{
	uint32_t found = SYMBOL_PARENT_NONE;

	for (uint32_t i = 0; i < table->count && table->base + table->starts[i] <= address; i++)
		found = i;
	while (found != SYMBOL_PARENT_NONE &&
	       address - table->base - table->starts[found] >= table->sizes[found])
		found = table->parents[found];
	return found;
}

static void agrees_with_a_slow_search(void **state)
{
	enum { COUNT = 12, SPACE = 64 };
	unsigned seed = 7;

	(void)state;
	for (int round = 0; round < 2000; round++) {
		autoclean(symbol_table) struct symbol_table table;
		struct symbol symbols[COUNT];
		size_t count = 1 + (size_t)rand_r(&seed) % COUNT;
		unsigned round_seed = seed;

		symbol_table_init(&table);
		for (size_t i = 0; i < count; i++) {
			symbols[i] = symbol("f", (uint64_t)rand_r(&seed) % SPACE,
					    1 + (uint64_t)rand_r(&seed) % 24);
			/* Equal starts would drop all but the largest. */
			for (size_t n = 0; n < i; n++)
				if (symbols[n].start == symbols[i].start)
					symbols[i].size = symbols[n].size;
			add(&table, symbols[i]);
		}
		assert_int_equal(symbol_table_build(&table), 0);
		for (uint64_t address = table.base; address < 2 * SPACE; address++) {
			const struct symbol *expected = holder(symbols, count, address);
			uint32_t found = lookup(&table, address);
			bool equal = expected ? found != SYMBOL_PARENT_NONE &&
							table.base + table.starts[found] ==
								expected->start
					      : found == SYMBOL_PARENT_NONE;

			/* Deeper than the limit is given to what holds it. */
			if (!equal && table.dropped == 0)
				fail_msg("seed %u, address %u", round_seed, (unsigned)address);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sorts_functions_and_keeps_gaps),
		cmocka_unit_test(prefers_the_name_that_people_know),
		cmocka_unit_test(lets_symbols_without_a_size_reach_to_the_next),
		cmocka_unit_test(knows_functions_inside_functions),
		cmocka_unit_test(bounds_how_deep_functions_lie),
		cmocka_unit_test(leaves_out_what_is_no_function),
		cmocka_unit_test(cuts_names_that_are_too_long),
		cmocka_unit_test(refuses_what_lies_too_far_apart),
		cmocka_unit_test(agrees_with_a_slow_search),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
