/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "web/otlp_wire.h"

enum { LENGTH_MAX = 10 };

/* As protobuf has it, in this many bytes, which may be more than it needs. */
static void put(uint64_t value, size_t length, uint8_t bytes[static LENGTH_MAX])
{
	for (size_t i = 0; i < length; i++)
		bytes[i] = (uint8_t)(value >> (7 * i) & 0x7f) | (i + 1 < length ? 0x80 : 0);
}

/* Reads it from memory of just this size, so that nobody looks behind it unnoticed. */
static bool get(const uint8_t *bytes, size_t size, uint64_t *ret, size_t *ret_used)
{
	autofree uint8_t *copy = malloc(size ? size : 1);
	struct otlp_wire wire;

	assert_non_null(copy);
	memcpy(copy, bytes, size);
	wire = (struct otlp_wire){ copy, copy + size };
	if (!otlp_wire_varint(&wire, ret))
		return false;
	*ret_used = (size_t)(wire.next - copy);
	return true;
}

static void numbers_of_each_length_are_read_wherever_they_end(void **state)
{
	(void)state;
	for (size_t length = 1; length <= LENGTH_MAX; length++) {
		/* Bits that differ in each byte; of the tenth there is but one. */
		uint64_t value = UINT64_C(0xd5aa956a5a968d4b);

		if (length < LENGTH_MAX)
			value &= (UINT64_C(1) << (7 * length)) - 1;
		for (size_t behind = 0; behind <= 9; behind++) {
			uint8_t bytes[2 * LENGTH_MAX];
			uint64_t number = 0;
			size_t used = 0;

			memset(bytes, 0xff, sizeof(bytes));
			put(value, length, bytes);
			assert_true(get(bytes, length + behind, &number, &used));
			assert_int_equal(number, value);
			assert_int_equal(used, length);
		}
	}
}

static void what_is_cut_short_or_too_long_is_no_number(void **state)
{
	uint8_t bytes[2 * LENGTH_MAX];
	uint64_t number = 0;
	size_t used = 0;

	(void)state;
	for (size_t size = 0; size < LENGTH_MAX; size++) {
		put(UINT64_MAX, LENGTH_MAX, bytes);
		assert_false(get(bytes, size, &number, &used));
	}
	/* The tenth byte has one bit left of 64. */
	put(UINT64_MAX, LENGTH_MAX, bytes);
	bytes[LENGTH_MAX - 1] = 2;
	assert_false(get(bytes, LENGTH_MAX, &number, &used));
	memset(bytes, 0x80, sizeof(bytes));
	assert_false(get(bytes, sizeof(bytes), &number, &used));
	/* 0 in nine bytes is unusual, and right. */
	put(0, 9, bytes);
	assert_true(get(bytes, 9, &number, &used));
	assert_int_equal(number, 0);
	assert_int_equal(used, 9);
}

static void only_fields_of_one_tag_follow_one_another(void **state)
{
	static const uint8_t bytes[] = { 0x12, 1, 'a', 0x12, 0, 0x1a, 1, 'b', 0x12, 2, 'c' };
	static const uint8_t nothing[] = { 0, 1, 'a' };
	struct otlp_wire wire = { bytes, bytes + sizeof(bytes) };
	struct str found = { 0 };

	(void)state;
	assert_true(otlp_wire_same(&wire, 0x12, &found));
	assert_true(str_equal(found, STR("a")));
	assert_true(otlp_wire_same(&wire, 0x12, &found));
	assert_int_equal(found.size, 0);
	assert_false(otlp_wire_same(&wire, 0x12, &found));
	assert_ptr_equal(wire.next, bytes + 5);
	/* The last one says two bytes, and has one. */
	wire.next = bytes + 8;
	assert_false(otlp_wire_same(&wire, 0x12, &found));
	assert_ptr_equal(wire.next, bytes + 8);
	/* No field has number 0: it must be refused, and not be stepped over. */
	wire = (struct otlp_wire){ nothing, nothing + sizeof(nothing) };
	assert_false(otlp_wire_same(&wire, 0, &found));
	assert_ptr_equal(wire.next, nothing);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(numbers_of_each_length_are_read_wherever_they_end),
		cmocka_unit_test(what_is_cut_short_or_too_long_is_no_number),
		cmocka_unit_test(only_fields_of_one_tag_follow_one_another),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
