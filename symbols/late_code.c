/* SPDX-License-Identifier: Apache-2.0 */
#include "symbols/late_code.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/table.h"

enum {
	FIRST_CAPACITY = 64,
	TEXTS_SIZE_MAX = LATE_CODE_AWAITED_COUNT_MAX * 128,
};

struct awaited {
	uint64_t address;
	uint64_t first_ns; /* of its samples */
	uint64_t last_ns;
	uint64_t span_ns; /* between them, at most */
	uint32_t generation;
	uint32_t number;
};

struct late_code {
	uint8_t owner[LATE_CODE_OWNER_SIZE];
	struct awaited *items;
	size_t count, capacity;
	struct table by_address; /* the latest of each address; others were replaced by it */
	uint32_t *latest;	 /* of each in by_address: an item */
	size_t latest_capacity;
	uint32_t generation;
	uint32_t next_number;
};

int late_code_new(const uint8_t owner[static LATE_CODE_OWNER_SIZE], struct late_code **ret)
{
	struct late_code *late = calloc(1, sizeof(*late));

	if (!late)
		return -ENOMEM;
	memcpy(late->owner, owner, sizeof(late->owner));
	late->next_number = 1;
	table_init(&late->by_address, LATE_CODE_AWAITED_COUNT_MAX);
	*ret = late;
	return 0;
}

struct late_code *late_code_free(struct late_code *late)
{
	if (!late)
		return NULL;
	table_done(&late->by_address);
	free(late->items);
	free(late->latest);
	free(late);
	return NULL;
}

size_t late_code_count(const struct late_code *late)
{
	return late->count;
}

/* ---- waiting ---- */

static uint64_t hash_of(uint64_t address)
{
	return table_hash_bytes(&address, sizeof(address), 0);
}

static bool address_is(const void *context, uint32_t number, const void *key)
{
	const struct late_code *late = context;

	return late->items[late->latest[number]].address == *(const uint64_t *)key;
}

static int grow(void **items, size_t count, size_t *capacity, size_t item_size)
{
	if (count < *capacity)
		return 0;

	size_t wanted = *capacity ? *capacity * 2 : FIRST_CAPACITY;
	void *grown = reallocarray(*items, wanted, item_size);

	if (!grown)
		return -ENOMEM;
	*items = grown;
	*capacity = wanted;
	return 0;
}

/* The item is the latest of its address. */
static int enter(struct late_code *late, uint32_t item)
{
	uint64_t address = late->items[item].address;
	uint64_t hash = hash_of(address);
	uint32_t number = table_find(&late->by_address, hash, &address, address_is, late);

	if (number == TABLE_NONE) {
		int err = grow((void **)&late->latest, late->by_address.count,
			       &late->latest_capacity, sizeof(late->latest[0]));

		number = late->by_address.count;
		if (!err)
			err = table_add(&late->by_address, hash);
		if (err)
			return err;
	}
	late->latest[number] = item;
	return 0;
}

/* -ENOSPC */
static int add(struct late_code *late, uint64_t address, uint64_t at_ns, uint64_t span_ns)
{
	if (late->count == LATE_CODE_AWAITED_COUNT_MAX)
		return -ENOSPC;

	int err = grow((void **)&late->items, late->count, &late->capacity, sizeof(late->items[0]));

	if (err)
		return err;
	if (late->next_number > LATE_CODE_NUMBER_MAX) {
		late->generation++;
		late->next_number = 1;
	}
	late->items[late->count] = (struct awaited){ .address = address,
						     .first_ns = at_ns,
						     .last_ns = at_ns,
						     .span_ns = span_ns,
						     .generation = late->generation,
						     .number = late->next_number };
	err = enter(late, (uint32_t)late->count);
	if (err)
		return err;
	late->next_number++;
	late->count++;
	return 0;
}

static struct identity identity_of(const struct late_code *late, uint32_t generation)
{
	struct identity identity = { .kind = IDENTITY_PROCESS_CODE,
				     .size = sizeof(late->owner) + sizeof(generation) };

	static_assert(sizeof(late->owner) + sizeof(generation) <= IDENTITY_SIZE_MAX, "it fits");
	memcpy(identity.bytes, late->owner, sizeof(late->owner));
	memcpy(identity.bytes + sizeof(late->owner), &generation, sizeof(generation));
	return identity;
}

static uint64_t next_span_ns(const struct awaited *before)
{
	const uint64_t longest_ns = (uint64_t)LATE_CODE_LAST_MS * (uint64_t)CLOCK_NS_PER_MS;

	if (!before)
		return (uint64_t)LATE_CODE_FIRST_MS * (uint64_t)CLOCK_NS_PER_MS;
	return before->span_ns * 2 < longest_ns ? before->span_ns * 2 : longest_ns;
}

int late_code_await(struct late_code *late, uint64_t address, uint64_t at_ns,
		    struct identity *ret_identity, uint64_t *ret_place)
{
	uint32_t number =
		table_find(&late->by_address, hash_of(address), &address, address_is, late);
	struct awaited *item = number == TABLE_NONE ? NULL : &late->items[late->latest[number]];

	if (late_code_address(address) != address)
		return -ENOSPC;
	if (!item || at_ns > item->first_ns + item->span_ns ||
	    item->last_ns > at_ns + item->span_ns) {
		int err = add(late, address, at_ns, next_span_ns(item));

		if (err)
			return err;
		item = &late->items[late->count - 1];
	}
	if (at_ns < item->first_ns)
		item->first_ns = at_ns;
	if (at_ns > item->last_ns)
		item->last_ns = at_ns;
	*ret_identity = identity_of(late, item->generation);
	*ret_place = address | (uint64_t)item->number << LATE_CODE_ADDRESS_BITS;
	return 0;
}

/* ---- names ---- */

void late_names_init(struct late_names *names)
{
	*names = (struct late_names){
		.numbers = BUF(sizeof(uint32_t) * LATE_CODE_AWAITED_COUNT_MAX),
		.text_offsets = BUF(sizeof(uint32_t) * (LATE_CODE_AWAITED_COUNT_MAX + 1)),
		.texts = BUF(TEXTS_SIZE_MAX),
	};
	buf_add_u32(&names->text_offsets, 0);
}

void late_names_done(struct late_names *names)
{
	buf_done(&names->numbers);
	buf_done(&names->text_offsets);
	buf_done(&names->texts);
}

static int add_name(struct late_names *names, uint32_t number, struct str text)
{
	buf_add_u32(&names->numbers, number);
	buf_add_str(&names->texts, text);
	buf_add_u32(&names->text_offsets, (uint32_t)names->texts.size);
	names->count++;
	if (names->numbers.error || names->texts.error)
		return names->numbers.error ? names->numbers.error : names->texts.error;
	return names->text_offsets.error;
}

/* Those that wait on move together, and are found again. */
static int keep(struct late_code *late, size_t count)
{
	int err = 0;

	late->count = count;
	table_clear(&late->by_address);
	for (uint32_t i = 0; i < count && !err; i++)
		err = enter(late, i);
	return err;
}

int late_code_settle(struct late_code *late, struct jit_map *map, struct late_names *names)
{
	size_t kept = 0;
	uint32_t generation = 0;
	int err = 0;

	assert(names->count == 0);
	for (size_t i = 0; i < late->count; i++) {
		struct awaited *item = &late->items[i];
		bool is_others = names->count > 0 && item->generation != generation;
		bool is_full = names->texts.size + JIT_NAME_SIZE_MAX > TEXTS_SIZE_MAX;
		enum jit_meaning meaning = JIT_UNKNOWN;
		struct str text;

		if (!err && !is_others && !is_full)
			meaning = jit_map_meaning(map, item->address, item->first_ns, item->last_ns,
						  &text);
		if (meaning == JIT_UNKNOWN) {
			late->items[kept++] = *item;
			continue;
		}
		generation = item->generation;
		if (meaning == JIT_ONE)
			err = add_name(names, item->number, text);
	}
	names->identity = identity_of(late, generation);

	int lost = keep(late, kept);

	return err ? err : lost;
}
