/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <assert.h>
#include <stddef.h>
#include <stdint.h>

#include "base/gather.h"
#include "base/str.h"
#include "base/table.h"

/*
 * Byte strings, each once, numbered from 0 in the order of their first appearance: texts, and also
 * label sets, stacks and keys, as arrays and structs without padding. What is in it starts at a
 * multiple of four bytes and moves when something is added.
 */
struct pool_item {
	uint32_t start;
	uint32_t size;
};

struct pool {
	struct table table;
	uint8_t *bytes;
	size_t size;
	size_t capacity;
	struct pool_item *items;
	uint32_t item_capacity;
	size_t *room;
};

/* room: bytes left for everything that shares it; or NULL. It must live as long as the pool. */
void pool_init(struct pool *pool, uint32_t count_max, size_t *room);
void pool_done(struct pool *pool);

/* Empties it, keeps the memory, gives the room back. */
void pool_clear(struct pool *pool);

/* Its number, or -E2BIG beyond the count or the room, -ENOMEM. bytes must not lie in this pool. */
int64_t pool_add(struct pool *pool, const void *bytes, size_t size);

/* The same without looking whether it is there; nobody finds it again but by its number. */
int64_t pool_append(struct pool *pool, const void *bytes, size_t size);

/*
 * The same for many, in their order; what was added before a failure stays. In a large pool each
 * search waits for memory three times, and here for that of POOL_TOGETHER at once.
 */
enum { POOL_TOGETHER = 32 };
int pool_add_all(struct pool *pool, const struct str *items, size_t count, uint32_t *ret_numbers);

/* Its number, or TABLE_NONE. */
uint32_t pool_find(const struct pool *pool, const void *bytes, size_t size);

/* Never a NULL text. */
static inline struct str pool_get(const struct pool *pool, uint32_t number)
{
	assert(number < pool->table.count);

	struct pool_item item = pool->items[number];

	return (struct str){ (const char *)pool->bytes + item.start, item.size };
}

static inline uint32_t pool_count(const struct pool *pool)
{
	return pool->table.count;
}

/* Gives back what it has room for and does not hold. It can still grow. */
void pool_trim(struct pool *pool);

/* Its memory, into what holds all of a thing that no longer changes (base/gather.h). */
void pool_gather(struct pool *pool, struct gather *gather);

/* What it takes. */
size_t pool_memory(const struct pool *pool);
