/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#include "store/number_sort.h"

enum { COUNT_MAX = 9000 };

static uint64_t state = 1;

static uint64_t draw(void)
{
	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return state;
}

/* Keys with these bits; ascending, equal ones by number, each number once. */
static void sort_and_check(uint32_t count, uint64_t bits, uint64_t common)
{
	static struct keyed items[COUNT_MAX], scratch[COUNT_MAX];
	static uint64_t keys[COUNT_MAX];
	static bool seen[COUNT_MAX];

	for (uint32_t i = 0; i < count; i++) {
		keys[i] = (draw() & bits) | common;
		items[i] = (struct keyed){ .key = keys[i], .number = i };
		seen[i] = false;
	}
	number_sort(items, scratch, count);
	for (uint32_t i = 0; i < count; i++) {
		assert_true(items[i].number < count && !seen[items[i].number]);
		seen[items[i].number] = true;
		assert_true(items[i].key == keys[items[i].number]);
		if (i > 0)
			assert_true(items[i - 1].key < items[i].key ||
				    (items[i - 1].key == items[i].key &&
				     items[i - 1].number < items[i].number));
	}
}

static void keys_of_any_size(void **unused)
{
	static const uint64_t bits[] = { 0,
					 1,
					 0xff,
					 0x1ff,
					 UINT64_C(0xff00ff),
					 UINT64_C(0xffffffff00),
					 UINT64_C(1) << 63,
					 UINT64_MAX };

	(void)unused;
	for (size_t i = 0; i < sizeof(bits) / sizeof(bits[0]); i++)
		for (uint32_t count = 0; count <= COUNT_MAX; count = count * 2 + 1) {
			sort_and_check(count, bits[i], 0);
			sort_and_check(count, bits[i], UINT64_C(0x5a00000000000011));
		}
}

/* By a part of a key, then by the other: what the first pass did stays. */
static void parts_of_a_key(void **unused)
{
	enum { COUNT = 1000 };
	static struct keyed items[COUNT], scratch[COUNT];
	static uint32_t low[COUNT], high[COUNT];

	(void)unused;
	for (uint32_t i = 0; i < COUNT; i++) {
		low[i] = (uint32_t)draw() % 500;
		high[i] = (uint32_t)draw() % 3;
		items[i] = (struct keyed){ .key = low[i], .number = i };
	}
	number_sort(items, scratch, COUNT);
	for (uint32_t i = 0; i < COUNT; i++)
		items[i].key = high[items[i].number];
	number_sort(items, scratch, COUNT);
	for (uint32_t i = 1; i < COUNT; i++) {
		uint32_t before = items[i - 1].number, here = items[i].number;

		assert_true(high[before] < high[here] ||
			    (high[before] == high[here] && low[before] <= low[here]));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(keys_of_any_size),
		cmocka_unit_test(parts_of_a_key),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
