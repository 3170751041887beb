/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "web/fifo.h"

enum { SIZE = 3000 };

/* The next of a sequence that never repeats within a piece. */
static uint8_t next_byte(uint32_t *state)
{
	*state = *state * 1103515245 + 12345;
	return (uint8_t)(*state >> 16);
}

static void bytes_come_out_in_their_order(void **state)
{
	struct fifo fifo = { .memory = NULL };
	uint32_t added = 1, taken = 1;
	uint8_t bytes[SIZE];

	(void)state;
	for (size_t i = 0; i < 200; i++) {
		size_t count = i * 37 % SIZE;

		for (size_t k = 0; k < count; k++)
			bytes[k] = next_byte(&added);
		assert_int_equal(fifo_add(&fifo, bytes, count), 0);
		/* Nearly as much as there is, or all of it. */
		count = i % 3 ? fifo.size - fifo.size / 8 : fifo.size;
		for (size_t k = 0; k < count; k++)
			assert_int_equal(fifo_bytes(&fifo)[k], next_byte(&taken));
		(i % 2 ? fifo_take : fifo_drop)(&fifo, count);
	}
	fifo_done(&fifo);
}

static void memory_stays_for_what_follows_unless_it_is_dropped(void **state)
{
	struct fifo fifo = { .memory = NULL };
	uint8_t bytes[SIZE] = { 7 };
	size_t capacity;

	(void)state;
	assert_int_equal(fifo_add(&fifo, bytes, SIZE), 0);
	capacity = fifo.capacity;
	assert_true(capacity >= SIZE);
	fifo_take(&fifo, SIZE);
	assert_int_equal(fifo.size, 0);
	assert_non_null(fifo.memory);
	/* From its beginning again: it does not grow. */
	for (int i = 0; i < 5; i++) {
		assert_int_equal(fifo_add(&fifo, bytes, SIZE), 0);
		fifo_take(&fifo, SIZE);
	}
	assert_int_equal(fifo.capacity, capacity);
	assert_int_equal(fifo_add(&fifo, bytes, 2), 0);
	fifo_drop(&fifo, 1);
	assert_non_null(fifo.memory);
	fifo_drop(&fifo, 1);
	assert_null(fifo.memory);
	assert_int_equal(fifo.capacity, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(bytes_come_out_in_their_order),
		cmocka_unit_test(memory_stays_for_what_follows_unless_it_is_dropped),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
