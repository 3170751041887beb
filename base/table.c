/* SPDX-License-Identifier: Apache-2.0 */
#include "base/table.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/gather.h"
#include "base/pages.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

enum {
	FIRST_SLOT_COUNT = 64,
};

void table_init(struct table *table, uint32_t count_max)
{
	assert(count_max < UINT32_MAX / 4);
	*table = (struct table){ .count_max = count_max };
}

void table_done(struct table *table)
{
	free(table->slots);
	*table = (struct table){ .count_max = table->count_max };
}

void table_clear(struct table *table)
{
	if (table->slots && table->count > table->passed)
		memset(table->slots, 0, table->slot_count * sizeof(table->slots[0]));
	table->count = table->passed = 0;
}

void table_close_up(struct table *table, uint32_t count)
{
	assert(count <= table->count);
	table_clear(table);
	table->count = table->passed = count;
}

static inline void enter(uint64_t *slots, uint32_t mask, uint64_t slot)
{
	uint32_t i = (uint32_t)(slot >> 32) & mask;

	while (slots[i])
		i = (i + 1) & mask;
	slots[i] = slot;
}

static int grow(struct table *table, uint32_t count)
{
	uint32_t slot_count = table->slot_count ? table->slot_count : FIRST_SLOT_COUNT;
	uint64_t *slots;

	while (count > slot_count / 4 * 3)
		slot_count *= 2;
	/* All of it will be touched anyway. */
	slots = pages_alloc_zeroed(slot_count, sizeof(slots[0]));
	if (!slots)
		return -ENOMEM;
	for (uint32_t i = 0; i < table->slot_count; i++)
		if (table->slots[i])
			enter(slots, slot_count - 1, table->slots[i]);
	free(table->slots);
	table->slots = slots;
	table->slot_count = slot_count;
	return 0;
}

int table_reserve(struct table *table, uint32_t more)
{
	if (more > table->count_max - table->count)
		return -ENOSPC;
	more += table->count - table->passed;
	return more > table->slot_count / 4 * 3 ? grow(table, more) : 0;
}

int table_add(struct table *table, uint64_t hash)
{
	int err = table_reserve(table, 1);

	if (err)
		return err;
	enter(table->slots, table->slot_count - 1, hash << 32 | (table->count + 1));
	table->count++;
	return 0;
}

void table_gather(struct table *table, struct gather *gather)
{
	table->slots =
		gather_move(gather, table->slots, table->slot_count * sizeof(table->slots[0]));
}

uint64_t table_hash_bytes(const void *bytes, size_t size, uint64_t seed)
{
	return XXH3_64bits_withSeed(bytes, size, seed);
}
