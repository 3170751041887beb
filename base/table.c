/* SPDX-License-Identifier: Apache-2.0 */
#include "base/table.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

enum { FIRST_SLOT_COUNT = 64 };

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
	if (table->slots)
		memset(table->slots, 0, table->slot_count * sizeof(table->slots[0]));
	table->count = 0;
}

static void enter(uint32_t *slots, uint32_t mask, uint64_t hash, uint32_t number)
{
	uint32_t i = (uint32_t)hash & mask;

	while (slots[i])
		i = (i + 1) & mask;
	slots[i] = number + 1;
}

static int grow(struct table *table, table_hash *hash_of, const void *context)
{
	uint32_t slot_count = table->slot_count ? table->slot_count * 2 : FIRST_SLOT_COUNT;
	uint32_t *slots = calloc(slot_count, sizeof(slots[0]));

	if (!slots)
		return -ENOMEM;
	for (uint32_t number = 0; number < table->count; number++)
		enter(slots, slot_count - 1, hash_of(context, number), number);
	free(table->slots);
	table->slots = slots;
	table->slot_count = slot_count;
	return 0;
}

int table_add(struct table *table, uint64_t hash, table_hash *hash_of, const void *context)
{
	if (table->count >= table->count_max)
		return -ENOSPC;
	if (table->count + 1 > table->slot_count / 4 * 3) {
		int err = grow(table, hash_of, context);

		if (err)
			return err;
	}
	enter(table->slots, table->slot_count - 1, hash, table->count);
	table->count++;
	return 0;
}

uint64_t table_hash_bytes(const void *bytes, size_t size, uint64_t seed)
{
	return XXH3_64bits_withSeed(bytes, size, seed);
}
