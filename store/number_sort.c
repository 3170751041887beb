/* SPDX-License-Identifier: Apache-2.0 */
#include "store/number_sort.h"

#include <string.h>

enum {
	DIGIT_BITS = 8,
	DIGIT_COUNT = 1 << DIGIT_BITS,
	KEY_BITS = 64,
	FEW = 32, /* so few are in order before the digits are counted */
};

static void sort_few(struct keyed *items, uint32_t count)
{
	for (uint32_t i = 1; i < count; i++) {
		struct keyed item = items[i];
		uint32_t place = i;

		for (; place > 0 && items[place - 1].key > item.key; place--)
			items[place] = items[place - 1];
		items[place] = item;
	}
}

static void sort_by_digit(const struct keyed *from, struct keyed *to, uint32_t count,
			  unsigned shift)
{
	uint32_t starts[DIGIT_COUNT + 1] = { 0 };

	for (uint32_t i = 0; i < count; i++)
		starts[(from[i].key >> shift) % DIGIT_COUNT + 1]++;
	for (unsigned i = 1; i <= DIGIT_COUNT; i++)
		starts[i] += starts[i - 1];
	for (uint32_t i = 0; i < count; i++)
		to[starts[(from[i].key >> shift) % DIGIT_COUNT]++] = from[i];
}

/* The bits in which not all keys are alike. */
static uint64_t differences(const struct keyed *items, uint32_t count)
{
	uint64_t different = 0;

	for (uint32_t i = 1; i < count; i++)
		different |= items[i].key ^ items[0].key;
	return different;
}

void number_sort(struct keyed *items, struct keyed *scratch, uint32_t count)
{
	struct keyed *from = items, *to = scratch;
	uint64_t different;

	if (count <= FEW) {
		sort_few(items, count);
		return;
	}
	different = differences(items, count);
	for (unsigned shift = 0; shift < KEY_BITS; shift += DIGIT_BITS) {
		struct keyed *sorted = to;

		if ((different >> shift) % DIGIT_COUNT == 0)
			continue;
		sort_by_digit(from, to, count, shift);
		to = from;
		from = sorted;
	}
	if (from != items)
		memcpy(items, from, count * sizeof(items[0]));
}
