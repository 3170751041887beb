/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "base/buf.h"

static void keeps_its_first_error_and_ignores_what_follows(void **state)
{
	autoclean(buf) struct buf buf = BUF(4);

	(void)state;
	buf_add_u32(&buf, 1);
	assert_int_equal(buf.error, 0);
	buf_add_u8(&buf, 2);
	assert_int_equal(buf.error, -EFBIG);
	assert_int_equal(buf.size, 4);
	buf_printf(&buf, "more");
	assert_int_equal(buf.size, 4);
	buf_clear(&buf);
	assert_int_equal(buf.error, 0);
	buf_add_u8(&buf, 7);
	assert_int_equal(buf.size, 1);
	assert_int_equal(buf.bytes[0], 7);
}

static void prints_without_counting_the_end_of_the_text(void **state)
{
	autoclean(buf) struct buf buf = BUF(1 << 20);

	(void)state;
	buf_printf(&buf, "%d-%s", 42, "x");
	assert_int_equal(buf.size, 4);
	assert_memory_equal(buf.bytes, "42-x", 4);
	for (int i = 0; i < 1000; i++)
		buf_printf(&buf, "%04d", i);
	assert_int_equal(buf.error, 0);
	assert_int_equal(buf.size, 4004);
	assert_memory_equal(buf.bytes + 4000, "0999", 4);
}

static void writes_numbers_little_endian(void **state)
{
	static const uint8_t expected[] = { 0x34, 0x12, 0x78, 0x56, 0x34, 0x12, 8,
					    7,	  6,	5,    4,    3,	  2,	1 };
	autoclean(buf) struct buf buf = BUF(64);

	(void)state;
	buf_add_u16(&buf, 0x1234);
	buf_add_u32(&buf, 0x12345678);
	buf_add_u64(&buf, UINT64_C(0x0102030405060708));
	assert_int_equal(buf.size, sizeof(expected));
	assert_memory_equal(buf.bytes, expected, sizeof(expected));
}

static void varints_have_the_bytes_of_leb128(void **state)
{
	static const uint8_t expected[] = { 0, 0x7f, 0x80, 0x01, 0xac, 0x02, 0x01, 0x03 };
	autoclean(buf) struct buf buf = BUF(64);

	(void)state;
	buf_add_varint(&buf, 0);
	buf_add_varint(&buf, 127);
	buf_add_varint(&buf, 128);
	buf_add_varint(&buf, 300);
	buf_add_zigzag(&buf, -1);
	buf_add_zigzag(&buf, -2);
	assert_int_equal(buf.size, sizeof(expected));
	assert_memory_equal(buf.bytes, expected, sizeof(expected));
}

static void reads_back_whatever_was_written(void **state)
{
	unsigned seed = (unsigned)time(NULL);
	uint64_t values[500];

	(void)state;
	print_message("# seed %u\n", seed);
	srandom(seed);

	autoclean(buf) struct buf buf = BUF(1 << 20);

	for (size_t i = 0; i < 500; i++) {
		values[i] = ((uint64_t)random() << 33 ^ (uint64_t)random() << 11 ^
			     (uint64_t)random()) >>
			    (random() % 64);
		buf_add_varint(&buf, values[i]);
		buf_add_zigzag(&buf, (int64_t)values[i] - INT32_MAX);
		buf_add_sized(&buf, (struct str){ (const char *)&values[i], i % 9 });
		buf_add_u16(&buf, (uint16_t)values[i]);
	}
	assert_int_equal(buf.error, 0);

	struct bytes bytes = bytes_from(buf.bytes, buf.size);

	for (size_t i = 0; i < 500; i++) {
		assert_true(bytes_varint(&bytes) == values[i]);
		assert_true(bytes_zigzag(&bytes) == (int64_t)values[i] - INT32_MAX);
		assert_true(str_equal(bytes_sized(&bytes),
				      (struct str){ (const char *)&values[i], i % 9 }));
		assert_int_equal(bytes_u16(&bytes), (uint16_t)values[i]);
	}
	assert_int_equal(bytes.error, 0);
	assert_int_equal(bytes.left, 0);
}

/* Sizes in rows and mixed, and wherever the many are asked for in parts. */
static void many_varints_are_those_that_come_one_by_one(void **state)
{
	enum { VALUE_COUNT = 3000, PART_MAX = 40 };
	unsigned seed = (unsigned)time(NULL);
	uint64_t values[VALUE_COUNT], many[PART_MAX];
	autoclean(buf) struct buf buf = BUF(1 << 20);

	(void)state;
	print_message("# seed %u\n", seed);
	srandom(seed);
	for (size_t i = 0; i < VALUE_COUNT; i++) {
		long kind = i < VALUE_COUNT / 3 ? random() % 8 : random() % 64;

		values[i] = ((uint64_t)random() << 33 ^ (uint64_t)random() << 11 ^
			     (uint64_t)random()) >>
			    (i < 2 * VALUE_COUNT / 3 && kind ? 64 - 7 : kind);
		buf_add_varint(&buf, values[i]);
	}

	struct bytes bytes = bytes_from(buf.bytes, buf.size);
	size_t some = 0;

	for (size_t first = 0; first < VALUE_COUNT; first += some) {
		some = (size_t)random() % (PART_MAX + 1);
		if (some > VALUE_COUNT - first)
			some = VALUE_COUNT - first;
		bytes_varints(&bytes, many, some);
		assert_int_equal(bytes.error, 0);
		for (size_t i = 0; i < some; i++)
			assert_true(many[i] == values[first + i]);
	}
	assert_int_equal(bytes.left, 0);
}

static void many_varints_end_with_what_is_none(void **state)
{
	static const uint8_t cases[][20] = {
		/* eleven bytes for a number, and the end within one, near and far from it */
		{ 1, 2, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2, 5, 5, 5, 5, 5, 5 },
		{ 1, 2, 0x80 },
		{ 1, 2, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80 },
	};
	static const size_t sizes[] = { 18, 3, 11 };

	(void)state;
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		struct bytes bytes = bytes_from(cases[i], sizes[i]);
		uint64_t many[20];

		memset(many, 0xff, sizeof(many));
		bytes_varints(&bytes, many, 20);
		assert_int_equal(bytes.error, -EBADMSG);
		assert_true(many[0] == 1 && many[1] == 2);
		for (size_t k = 2; k < 20; k++)
			assert_true(many[k] == 0);
	}
}

static void gives_zeros_after_the_end(void **state)
{
	static const uint8_t three[] = { 1, 2, 3 };
	struct bytes bytes = bytes_from(three, sizeof(three));

	(void)state;
	assert_int_equal(bytes_u8(&bytes), 1);
	assert_int_equal(bytes_u32(&bytes), 0);
	assert_int_equal(bytes.error, -EBADMSG);
	assert_int_equal(bytes_u8(&bytes), 0);
	assert_null(bytes_take(&bytes, 1));
	assert_int_equal(bytes_sized(&bytes).size, 0);
}

static void refuses_numbers_and_counts_that_can_not_be(void **state)
{
	static const uint8_t endless[] = { 0xff, 0xff, 0xff, 0xff, 0xff,
					   0xff, 0xff, 0xff, 0xff, 0x02 };
	static const uint8_t largest[] = { 0xff, 0xff, 0xff, 0xff, 0xff,
					   0xff, 0xff, 0xff, 0xff, 0x01 };
	static const uint8_t count[] = { 100, 0, 0, 0 };
	static const uint8_t text[] = { 5, 'a', 'b' };
	struct bytes bytes = bytes_from(endless, sizeof(endless));

	(void)state;
	assert_int_equal(bytes_varint(&bytes), 0);
	assert_int_equal(bytes.error, -EBADMSG);

	bytes = bytes_from(largest, sizeof(largest));
	assert_true(bytes_varint(&bytes) == UINT64_MAX);
	assert_int_equal(bytes.error, 0);

	bytes = bytes_from(largest, 4);
	assert_int_equal(bytes_varint(&bytes), 0);
	assert_int_equal(bytes.error, -EBADMSG);

	/* 100 things can't lie in three bytes. */
	bytes = bytes_from(count, sizeof(count));
	assert_int_equal(bytes_count(&bytes, 1, 1000), 0);
	assert_int_equal(bytes.error, -EBADMSG);

	bytes = bytes_from(text, sizeof(text));
	assert_int_equal(bytes_sized(&bytes).size, 0);
	assert_int_equal(bytes.error, -EBADMSG);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(keeps_its_first_error_and_ignores_what_follows),
		cmocka_unit_test(prints_without_counting_the_end_of_the_text),
		cmocka_unit_test(writes_numbers_little_endian),
		cmocka_unit_test(varints_have_the_bytes_of_leb128),
		cmocka_unit_test(reads_back_whatever_was_written),
		cmocka_unit_test(many_varints_are_those_that_come_one_by_one),
		cmocka_unit_test(many_varints_end_with_what_is_none),
		cmocka_unit_test(gives_zeros_after_the_end),
		cmocka_unit_test(refuses_numbers_and_counts_that_can_not_be),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
