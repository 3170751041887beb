/* SPDX-License-Identifier: Apache-2.0 */
#include "store/pool.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/pages.h"
#include "store/array.h"

enum {
	ALIGNMENT = 4,
	/* Its place in the items and its share of the slots. */
	ITEM_COST = sizeof(struct pool_item) + 8,
	FIRST_CAPACITY = 16,
	FIRST_SIZE = 256,
	/* From here on an array grows by half: what it grew from lies beside it for a moment. */
	LARGE_SIZE_MIN = 1 << 20,
};

/* Items of which so many bytes are in use. */
static void *grow(void *items, size_t used, size_t wanted, size_t size)
{
	size_t total;
	void *grown;

	if (__builtin_mul_overflow(wanted, size, &total))
		return NULL;
	/* What is large already has pages of its own, which move to another address and are not
	 * copied: one of 200 MB would lie there twice for a moment. */
	if (total < PAGES_SIZE_MIN || (items && used >= PAGES_SIZE_MIN))
		return realloc(items, total);
	grown = pages_alloc(total);
	if (grown && items)
		memcpy(grown, items, used);
	if (grown)
		free(items);
	return grown;
}

void *array_reserve_items(void *items, uint32_t *capacity, uint32_t count, size_t more, size_t size)
{
	assert(count <= *capacity && size > 0);

	if (items && more <= *capacity - count)
		return items;
	if (more > UINT32_MAX / 2 - count)
		return NULL;

	size_t wanted = *capacity ? *capacity : FIRST_CAPACITY;

	while (wanted < count + more && wanted * size < LARGE_SIZE_MIN)
		wanted *= 2;
	if (wanted < count + more)
		wanted += wanted / 2;
	if (wanted < count + more)
		wanted = count + more;

	void *grown = grow(items, count * size, wanted, size);

	if (grown)
		*capacity = (uint32_t)wanted;
	return grown;
}

void pool_init(struct pool *pool, uint32_t count_max, size_t *room)
{
	*pool = (struct pool){ .room = room };
	table_init(&pool->table, count_max);
}

static size_t cost(size_t size)
{
	return (size + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT + ITEM_COST;
}

void pool_clear(struct pool *pool)
{
	if (pool->room)
		*pool->room += pool->size + (size_t)pool->table.count * ITEM_COST;
	pool->size = 0;
	table_clear(&pool->table);
}

void pool_done(struct pool *pool)
{
	pool_clear(pool);
	table_done(&pool->table);
	free(pool->bytes);
	free(pool->items);
	pool->bytes = NULL;
	pool->items = NULL;
	pool->capacity = pool->item_capacity = 0;
}

static bool equals(const void *context, uint32_t number, const void *key)
{
	struct str item = pool_get(context, number);
	const struct str *wanted = key;

	if (item.size != wanted->size)
		return false;
	/* Numbers in pairs, as most are, without a call. */
	if (item.size == 2 * sizeof(uint32_t))
		return memcmp(item.text, wanted->text, 2 * sizeof(uint32_t)) == 0;
	return memcmp(item.text, wanted->text, item.size) == 0;
}

uint32_t pool_find(const struct pool *pool, const void *bytes, size_t size)
{
	struct str key = { size ? bytes : "", size };

	return table_find(&pool->table, table_hash_bytes(key.text, size, 0), &key, equals, pool);
}

static int make_room(struct pool *pool, size_t size)
{
	size_t needed = cost(size) - ITEM_COST;

	if (pool->table.count >= pool->table.count_max ||
	    (pool->room && *pool->room < cost(size)) || size > UINT32_MAX / 2 ||
	    pool->size + needed > UINT32_MAX / 2)
		return -E2BIG;
	if (pool->size + needed > pool->capacity || !pool->bytes) {
		size_t capacity = pool->capacity ? pool->capacity : FIRST_SIZE;

		while (capacity < pool->size + needed)
			capacity += capacity < LARGE_SIZE_MIN ? capacity : capacity / 2;

		uint8_t *bytes = grow(pool->bytes, pool->size, capacity, 1);

		if (!bytes)
			return -ENOMEM;
		pool->bytes = bytes;
		pool->capacity = capacity;
	}

	if (pool->table.count < pool->item_capacity)
		return 0;

	struct pool_item *items = array_reserve_items(pool->items, &pool->item_capacity,
						      pool->table.count, 1, sizeof(*items));

	if (!items)
		return -ENOMEM;
	pool->items = items;
	return 0;
}

/* There is room for it. */
static void place(struct pool *pool, uint32_t number, struct str item)
{
	pool->items[number] = (struct pool_item){ (uint32_t)pool->size, (uint32_t)item.size };
	memcpy(pool->bytes + pool->size, item.text, item.size);
	pool->size += cost(item.size) - ITEM_COST;
	if (pool->room)
		*pool->room -= cost(item.size);
}

static int64_t add_hashed(struct pool *pool, struct str key, uint64_t hash)
{
	size_t size = key.size;
	uint32_t number = table_find(&pool->table, hash, &key, equals, pool);

	if (number != TABLE_NONE)
		return number;

	int err = make_room(pool, size);

	if (err)
		return err;

	number = pool->table.count;
	err = table_add(&pool->table, hash);
	if (err)
		return err == -ENOSPC ? -E2BIG : err;

	place(pool, number, key);
	return number;
}

int64_t pool_append(struct pool *pool, const void *bytes, size_t size)
{
	struct str item = { size ? bytes : "", size };
	uint32_t number = pool->table.count;
	int err = make_room(pool, size);

	if (err)
		return err;
	table_pass_over(&pool->table);
	place(pool, number, item);
	return number;
}

int64_t pool_add(struct pool *pool, const void *bytes, size_t size)
{
	struct str key = { size ? bytes : "", size };

	return add_hashed(pool, key, table_hash_bytes(key.text, size, 0));
}

int pool_add_all(struct pool *pool, const struct str *items, size_t count, uint32_t *ret_numbers)
{
	for (size_t first = 0; first < count; first += POOL_TOGETHER) {
		size_t some = count - first < POOL_TOGETHER ? count - first : POOL_TOGETHER;
		uint64_t hashes[POOL_TOGETHER];
		uint32_t candidates[POOL_TOGETHER];

		for (size_t i = 0; i < some; i++) {
			const struct str *item = &items[first + i];

			hashes[i] = table_hash_bytes(item->text, item->size, 0);
			table_prefetch(&pool->table, hashes[i]);
		}
		for (size_t i = 0; i < some; i++) {
			candidates[i] = table_candidate(&pool->table, hashes[i]);
			if (candidates[i] != TABLE_NONE)
				__builtin_prefetch(&pool->items[candidates[i]]);
		}
		for (size_t i = 0; i < some; i++)
			if (candidates[i] != TABLE_NONE)
				__builtin_prefetch(pool->bytes + pool->items[candidates[i]].start);
		for (size_t i = 0; i < some; i++) {
			int64_t number = add_hashed(pool, items[first + i], hashes[i]);

			if (number < 0)
				return (int)number;
			ret_numbers[first + i] = (uint32_t)number;
		}
	}
	return 0;
}

void pool_trim(struct pool *pool)
{
	uint32_t count = pool->table.count;
	void *bytes = pool->size ? realloc(pool->bytes, pool->size) : NULL;
	void *items = count ? reallocarray(pool->items, count, sizeof(pool->items[0])) : NULL;

	/* Where there is no memory to do it in it stays as it is. */
	if (bytes) {
		pool->bytes = bytes;
		pool->capacity = pool->size;
	}
	if (items) {
		pool->items = items;
		pool->item_capacity = count;
	}
}

void pool_gather(struct pool *pool, struct gather *gather)
{
	table_gather(&pool->table, gather);
	pool->bytes = gather_move(gather, pool->bytes, pool->size);
	pool->capacity = pool->size;
	pool->items = gather_move(gather, pool->items, pool->table.count * sizeof(pool->items[0]));
	pool->item_capacity = pool->table.count;
}

size_t pool_memory(const struct pool *pool)
{
	return pool->capacity + pool->item_capacity * sizeof(pool->items[0]) +
	       table_memory(&pool->table);
}
