/* SPDX-License-Identifier: Apache-2.0 */
#include "store/number_sort.h"

#include <string.h>

enum {
	/* Long digits are fewer passes, and more places to count; both fit the nearest cache. */
	SHORT_BITS = 8,
	LONG_BITS = 11,
	LONG_MIN = 1 << 12,
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
			  unsigned shift, unsigned bits)
{
	uint32_t starts[(1 << LONG_BITS) + 1];
	uint32_t digit_count = 1u << bits;
	uint64_t mask = digit_count - 1;

	memset(starts, 0, (digit_count + 1) * sizeof(starts[0]));
	for (uint32_t i = 0; i < count; i++)
		starts[((from[i].key >> shift) & mask) + 1]++;
	for (uint32_t i = 1; i <= digit_count; i++)
		starts[i] += starts[i - 1];
	for (uint32_t i = 0; i < count; i++)
		to[starts[(from[i].key >> shift) & mask]++] = from[i];
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
	unsigned bits = count < LONG_MIN ? SHORT_BITS : LONG_BITS;
	uint64_t different;

	if (count <= FEW) {
		sort_few(items, count);
		return;
	}
	different = differences(items, count);
	/* A digit begins where the next bit is in which keys differ. */
	for (unsigned shift = 0; shift < KEY_BITS && different >> shift; shift += bits) {
		struct keyed *sorted = to;

		shift += (unsigned)__builtin_ctzll(different >> shift);
		sort_by_digit(from, to, count, shift, bits);
		to = from;
		from = sorted;
	}
	if (from != items)
		memcpy(items, from, count * sizeof(items[0]));
}
