/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <assert.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * An index over things that stand elsewhere, in an array of the caller's: it maps a hash to the
 * number of the thing, and asks the caller whether the thing is meant. Eight bytes a slot, half of
 * them the hash: a search that finds nothing stays within a line of the cache or two and never
 * looks at the things. At most three quarters full. Not for several threads at once.
 *
 * The caller numbers its things from 0 without gaps, as an array does, and never removes one but
 * all (table_clear), or is done looking (table_close_up).
 */
struct table {
	uint64_t *slots;     /* the low half of the hash above, number + 1 below; 0: empty */
	uint32_t slot_count; /* a power of two */
	uint32_t count;
	uint32_t passed; /* of these: those that were passed over, and have no slot */
	uint32_t count_max;
};

#define TABLE_NONE UINT32_MAX

static inline size_t table_memory(const struct table *table)
{
	return table->slot_count * sizeof(table->slots[0]);
}

typedef bool table_equal(const void *context, uint32_t number, const void *key);

/* At most count_max things; memory grows with what is in it. */
void table_init(struct table *table, uint32_t count_max);
void table_done(struct table *table);
void table_clear(struct table *table);

/* The caller took things out of its array and gave the rest, so many, new numbers: none of them is
 * found any more. */
void table_close_up(struct table *table, uint32_t count);

/* The thing that equals key and has this hash, or TABLE_NONE. */
static inline uint32_t table_find(const struct table *table, uint64_t hash, const void *key,
				  table_equal *equal, const void *context)
{
	if (!table->slots)
		return TABLE_NONE;

	uint32_t mask = table->slot_count - 1;
	uint32_t wanted = (uint32_t)hash;

	/* Here and not in table.c, so that equal can be inlined: stores do this for every frame. */
	for (uint32_t i = wanted & mask; table->slots[i]; i = (i + 1) & mask)
		if ((uint32_t)(table->slots[i] >> 32) == wanted &&
		    equal(context, (uint32_t)table->slots[i] - 1, key))
			return (uint32_t)table->slots[i] - 1;
	return TABLE_NONE;
}

/*
 * A search in three steps, for those who search for many things: the first brings the slot into the
 * cache, the second, a little later, says which thing may be meant (or TABLE_NONE), so that it can
 * be brought as well, and table_find() then waits for nothing. Large tables are one cache miss a
 * search.
 */
static inline void table_prefetch(const struct table *table, uint64_t hash)
{
	if (table->slots)
		__builtin_prefetch(&table->slots[(uint32_t)hash & (table->slot_count - 1)]);
}

static inline uint32_t table_candidate(const struct table *table, uint64_t hash)
{
	if (!table->slots)
		return TABLE_NONE;

	uint64_t slot = table->slots[(uint32_t)hash & (table->slot_count - 1)];

	return slot && (uint32_t)(slot >> 32) == (uint32_t)hash ? (uint32_t)slot - 1 : TABLE_NONE;
}

/*
 * Enters the thing with the next number (table->count), which must not be in it yet. -ENOSPC at
 * count_max, -ENOMEM; the table is then as it was.
 */
int table_add(struct table *table, uint64_t hash);

/* The next number is a thing's that nobody will look for. */
static inline void table_pass_over(struct table *table)
{
	assert(table->count < table->count_max);
	table->count++;
	table->passed++;
}

/* Makes room for so many more; the same errors. Entering them can't fail then. */
int table_reserve(struct table *table, uint32_t more);

/* Enters the next number's thing, for which there is room. */
static inline void table_enter(struct table *table, uint64_t hash)
{
	uint32_t mask = table->slot_count - 1;
	uint32_t i = (uint32_t)hash & mask;

	assert(table->count - table->passed < table->slot_count / 4 * 3);
	while (table->slots[i])
		i = (i + 1) & mask;
	table->slots[i] = hash << 32 | (table->count + 1);
	table->count++;
}

struct gather;

/* Its memory, into what holds all of a thing that no longer changes (base/gather.h): it can neither
 * grow nor be given back by itself then. */
void table_gather(struct table *table, struct gather *gather);

uint64_t table_hash_bytes(const void *bytes, size_t size, uint64_t seed);
