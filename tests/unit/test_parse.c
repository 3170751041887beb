/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/parse.h"

static void reads_whole_numbers_and_nothing_else(void **state)
{
	static const char *const bad[] = { "", "-1", "+1", " 1", "1 ", "1x", "0x10", "1.0" };
	uint64_t value = 7;

	(void)state;
	assert_int_equal(parse_u64(STR("18446744073709551615"), &value), 0);
	assert_true(value == UINT64_MAX);
	assert_int_equal(parse_u64(STR("18446744073709551616"), &value), -ERANGE);
	assert_int_equal(parse_u64(STR("99999999999999999999"), &value), -ERANGE);
	assert_true(value == UINT64_MAX);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(parse_u64(str_from(bad[i]), &value), -EINVAL);
}

static void reads_negative_numbers_to_their_end(void **state)
{
	int64_t value;

	(void)state;
	assert_int_equal(parse_i64(STR("-9223372036854775808"), &value), 0);
	assert_true(value == INT64_MIN);
	assert_int_equal(parse_i64(STR("9223372036854775807"), &value), 0);
	assert_true(value == INT64_MAX);
	assert_int_equal(parse_i64(STR("9223372036854775808"), &value), -ERANGE);
	assert_int_equal(parse_i64(STR("-9223372036854775809"), &value), -ERANGE);
	assert_int_equal(parse_i64(STR("-"), &value), -EINVAL);
}

static void reads_hexadecimal_in_both_cases(void **state)
{
	uint64_t value;

	(void)state;
	assert_int_equal(parse_hex(STR("7fFe"), &value), 0);
	assert_int_equal(value, 0x7ffe);
	assert_int_equal(parse_hex(STR("g"), &value), -EINVAL);
	assert_int_equal(parse_hex(STR("10000000000000000"), &value), -ERANGE);
}

static void reads_durations_and_sizes_with_their_units(void **state)
{
	uint64_t value;

	(void)state;
	assert_int_equal(parse_duration_ns(STR("5s"), &value), 0);
	assert_true(value == UINT64_C(5000000000));
	assert_int_equal(parse_duration_ns(STR("14d"), &value), 0);
	assert_true(value == UINT64_C(14) * 86400 * 1000000000);
	assert_int_equal(parse_duration_ns(STR("3ms"), &value), 0);
	assert_true(value == 3000000);
	assert_int_equal(parse_duration_ns(STR("5"), &value), -EINVAL);
	assert_int_equal(parse_duration_ns(STR("5 s"), &value), -EINVAL);
	assert_int_equal(parse_duration_ns(STR("99999999999d"), &value), -ERANGE);
	assert_int_equal(parse_size(STR("512M"), &value), 0);
	assert_true(value == UINT64_C(512) << 20);
	assert_int_equal(parse_size(STR("17"), &value), 0);
	assert_true(value == 17);
	assert_int_equal(parse_size(STR("5MB"), &value), -EINVAL);
}

static void reads_words_for_yes_and_no(void **state)
{
	bool value = false;

	(void)state;
	assert_int_equal(parse_bool(STR("on"), &value), 0);
	assert_true(value);
	assert_int_equal(parse_bool(STR("false"), &value), 0);
	assert_false(value);
	assert_int_equal(parse_bool(STR("Yes"), &value), -EINVAL);
}

static void takes_parts_off_the_front(void **state)
{
	struct str rest = STR("a,,bc"), part;

	(void)state;
	assert_true(parse_next(&rest, ',', &part));
	assert_true(str_equal(part, STR("a")));
	assert_true(parse_next(&rest, ',', &part));
	assert_int_equal(part.size, 0);
	assert_true(parse_next(&rest, ',', &part));
	assert_true(str_equal(part, STR("bc")));
	assert_false(parse_next(&rest, ',', &part));
	rest = (struct str){ 0 };
	assert_false(parse_next(&rest, ',', &part));
}

static void slices_compare_by_bytes(void **state)
{
	(void)state;
	assert_true(str_compare(STR("a"), STR("ab")) < 0);
	assert_true(str_compare(STR("b"), STR("ab")) > 0);
	assert_true(str_compare((struct str){ 0 }, STR("")) == 0);
	assert_true(str_equal(str_base_name(STR("/usr/bin/env")), STR("env")));
	assert_true(str_equal(str_base_name(STR("env")), STR("env")));
	assert_int_equal(str_base_name(STR("/usr/")).size, 0);
	assert_true(str_starts_with(STR("abc"), STR("ab")));
	assert_false(str_starts_with(STR("a"), STR("ab")));
	assert_true(str_ends_with(STR("x.service"), STR(".service")));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(reads_whole_numbers_and_nothing_else),
		cmocka_unit_test(reads_negative_numbers_to_their_end),
		cmocka_unit_test(reads_hexadecimal_in_both_cases),
		cmocka_unit_test(reads_durations_and_sizes_with_their_units),
		cmocka_unit_test(reads_words_for_yes_and_no),
		cmocka_unit_test(takes_parts_off_the_front),
		cmocka_unit_test(slices_compare_by_bytes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
