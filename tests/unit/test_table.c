/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "base/table.h"

enum { COUNT = 5000 };

static uint64_t values[COUNT];

static bool is_value(const void *context, uint32_t number, const void *key)
{
	return ((const uint64_t *)context)[number] == *(const uint64_t *)key;
}

static uint64_t hash_value(uint64_t value)
{
	return table_hash_bytes(&value, sizeof(value), 0);
}

static void finds_all_that_was_entered_and_nothing_else(void **state)
{
	struct table table;

	(void)state;
	table_init(&table, COUNT);
	for (uint32_t i = 0; i < COUNT; i++) {
		values[i] = (uint64_t)i * 2654435761U;
		assert_int_equal(
			table_find(&table, hash_value(values[i]), &values[i], is_value, values),
			TABLE_NONE);
		assert_int_equal(table_add(&table, hash_value(values[i])), 0);
	}
	assert_int_equal(table.count, COUNT);
	for (uint32_t i = 0; i < COUNT; i++) {
		uint64_t absent = values[i] + 1;

		assert_int_equal(
			table_find(&table, hash_value(values[i]), &values[i], is_value, values), i);
		assert_int_equal(table_find(&table, hash_value(absent), &absent, is_value, values),
				 TABLE_NONE);
	}
	assert_int_equal(table_add(&table, 0), -ENOSPC);
	assert_int_equal(table.count, COUNT);
	table_clear(&table);
	assert_int_equal(table_find(&table, hash_value(values[0]), &values[0], is_value, values),
			 TABLE_NONE);
	table_done(&table);
}

static void tells_things_of_one_hash_apart(void **state)
{
	struct table table;

	(void)state;
	table_init(&table, 100);
	for (uint32_t i = 0; i < 100; i++) {
		values[i] = i;
		assert_int_equal(table_add(&table, 42), 0);
	}
	for (uint32_t i = 0; i < 100; i++)
		assert_int_equal(table_find(&table, 42, &values[i], is_value, values), i);
	table_done(&table);
}

static void finds_nothing_of_what_was_given_new_numbers(void **state)
{
	struct table table;

	(void)state;
	table_init(&table, 100);
	for (uint32_t left = 0; left < 3; left++) {
		for (uint32_t i = 0; i < 100; i++) {
			values[i] = i;
			assert_int_equal(table_find(&table, i, &values[i], is_value, values),
					 TABLE_NONE);
			assert_int_equal(table_add(&table, i), 0);
		}
		table_close_up(&table, left);
		assert_int_equal(table.count, left);
		for (uint32_t i = 0; i < 100; i++)
			assert_int_equal(table_find(&table, i, &values[i], is_value, values),
					 TABLE_NONE);
		table_clear(&table);
		assert_int_equal(table.count, 0);
	}
	table_done(&table);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(finds_all_that_was_entered_and_nothing_else),
		cmocka_unit_test(tells_things_of_one_hash_apart),
		cmocka_unit_test(finds_nothing_of_what_was_given_new_numbers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
