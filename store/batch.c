/* SPDX-License-Identifier: Apache-2.0 */
#include "store/batch.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "store/batch_private.h"
#include "store/named_place.h"

enum {
	/* Of one thing; deep recursions reach hundreds. */
	LINE_COUNT_MAX = NAMED_PLACE_LINE_COUNT_MAX,
	STACK_DEPTH_MAX = 4096,
	TEXT_SIZE_MAX = 65535,
	GAP_COUNT_MAX = 1024,
	ITEM_COUNT_MAX = 1 << 20,
	NUMBER_COUNT_MAX = 1 << 24,
	/* Itself and its share of the slots. */
	LOCATION_COST = sizeof(struct batch_location) + 16,
};

static_assert(sizeof(struct batch_series) == 16, "hashed as bytes: no padding");
static_assert(sizeof(struct batch_build) == 48, "hashed as bytes: no padding");
static_assert(sizeof(struct batch_line) == 12, "hashed as bytes: no padding");

int batch_new(size_t memory_max, struct batch **ret)
{
	struct batch *batch = calloc(1, sizeof(*batch));

	if (!batch)
		return -ENOMEM;

	struct pool *pools[] = { &batch->texts,	 &batch->label_sets, &batch->series,
				 &batch->builds, &batch->names,	     &batch->stacks };

	batch->room = memory_max;
	for (size_t i = 0; i < sizeof(pools) / sizeof(pools[0]); i++)
		pool_init(pools[i], NUMBER_COUNT_MAX, &batch->room);
	table_init(&batch->locations.table, NUMBER_COUNT_MAX);
	*ret = batch;
	return 0;
}

struct batch *batch_free(struct batch *batch)
{
	if (!batch)
		return NULL;
	pool_done(&batch->texts);
	pool_done(&batch->label_sets);
	pool_done(&batch->series);
	pool_done(&batch->builds);
	pool_done(&batch->names);
	table_done(&batch->locations.table);
	array_done(&batch->locations.items);
	pool_done(&batch->stacks);
	array_done(&batch->items);
	array_done(&batch->times);
	array_done(&batch->gaps);
	array_done(&batch->scratch);
	free(batch);
	return NULL;
}

void batch_clear(struct batch *batch)
{
	pool_clear(&batch->texts);
	pool_clear(&batch->label_sets);
	pool_clear(&batch->series);
	pool_clear(&batch->builds);
	pool_clear(&batch->names);
	batch->room += batch->locations.items.count * (size_t)LOCATION_COST;
	table_clear(&batch->locations.table);
	batch->locations.items.count = 0;
	pool_clear(&batch->stacks);
	batch->room += batch->items.count * sizeof(batch->items.items[0]) +
		       batch->times.count * sizeof(batch->times.items[0]);
	batch->room -= batch->lent;
	batch->lent = 0;
	batch->label_order.count = 0;
	batch->items.count = 0;
	batch->samples = 0;
	batch->times.count = 0;
	batch->gaps.count = 0;
	batch->time = (struct batch_time){ 0 };
	batch->source = batch->sequence = 0;
	batch->source_is_passing = false;
}

void batch_set_time(struct batch *batch, struct batch_time time)
{
	batch->time = time;
}

void batch_set_source(struct batch *batch, uint64_t source, uint64_t sequence)
{
	batch->source = source;
	batch->sequence = sequence;
	batch->source_is_passing = false;
}

void batch_set_passing_source(struct batch *batch, uint64_t source, uint64_t sequence)
{
	batch_set_source(batch, source, sequence);
	batch->source_is_passing = true;
}

void batch_add_gap(struct batch *batch, int64_t from_unix_ms, int64_t to_unix_ms, uint8_t reason)
{
	if (from_unix_ms >= to_unix_ms)
		return;
	/* More gaps than this don't fit into the time before one batch: one that holds both is
	 * true. */
	if (batch->gaps.count >= GAP_COUNT_MAX || array_reserve(&batch->gaps, 1) < 0) {
		if (batch->gaps.count > 0) {
			struct batch_gap *last = &batch->gaps.items[batch->gaps.count - 1];

			if (from_unix_ms < last->from_unix_ms)
				last->from_unix_ms = from_unix_ms;
			if (to_unix_ms > last->to_unix_ms)
				last->to_unix_ms = to_unix_ms;
		}
		return;
	}
	batch->gaps.items[batch->gaps.count++] =
		(struct batch_gap){ from_unix_ms, to_unix_ms, reason };
}

int64_t batch_add_text(struct batch *batch, struct str text)
{
	return text.size > TEXT_SIZE_MAX ? -E2BIG : pool_add(&batch->texts, text.text, text.size);
}

/* Enters a label where its name belongs; sets are small. -EINVAL when the name is there already. */
static int insert_label(struct batch *batch, uint32_t *pairs, size_t count, uint32_t name,
			uint32_t value)
{
	struct str text = pool_get(&batch->texts, name);
	size_t at = count;

	while (at > 0) {
		int order = str_compare(pool_get(&batch->texts, pairs[2 * (at - 1)]), text);

		if (order == 0)
			return -EINVAL;
		if (order < 0)
			break;
		pairs[2 * at] = pairs[2 * (at - 1)];
		pairs[2 * at + 1] = pairs[2 * (at - 1) + 1];
		at--;
	}
	pairs[2 * at] = name;
	pairs[2 * at + 1] = value;
	return 0;
}

int64_t batch_add_labels(struct batch *batch, const struct label *labels, size_t count)
{
	struct str texts[2 * BATCH_LABEL_COUNT_MAX];
	uint32_t numbers[2 * BATCH_LABEL_COUNT_MAX];
	uint32_t pairs[2 * BATCH_LABEL_COUNT_MAX];
	size_t used = 0;

	assert(labels || count == 0);
	if (count > BATCH_LABEL_COUNT_MAX)
		return -E2BIG;
	for (size_t i = 0; i < count; i++) {
		if (labels[i].name.size == 0)
			return -EINVAL;
		/* A label with an empty value is the same as none, to selectors too. */
		if (labels[i].value.size == 0)
			continue;
		if (labels[i].name.size > TEXT_SIZE_MAX || labels[i].value.size > TEXT_SIZE_MAX)
			return -E2BIG;
		texts[2 * used] = labels[i].name;
		texts[2 * used + 1] = labels[i].value;
		used++;
	}

	int err = used ? pool_add_all(&batch->texts, texts, 2 * used, numbers) : 0;

	for (size_t i = 0; !err && i < used; i++)
		err = insert_label(batch, pairs, i, numbers[2 * i], numbers[2 * i + 1]);
	if (err)
		return err;
	return pool_add(&batch->label_sets, pairs, used * 2 * sizeof(pairs[0]));
}

/* Whether the labels have the names, in their order, that the set before them had. */
static bool is_of_last_names(const struct batch *batch, const struct batch_label *labels,
			     size_t count)
{
	const struct batch_label_order *last = &batch->label_order;

	if (count != last->count)
		return false;
	for (size_t i = 0; i < count; i++)
		if (labels[i].name != last->names[i])
			return false;
	return true;
}

/* Remembers where each name went. */
static void note_order(struct batch *batch, const struct batch_label *labels, size_t count,
		       const uint32_t *pairs)
{
	struct batch_label_order *last = &batch->label_order;

	last->count = 0;
	if (count > BATCH_LABEL_ORDER_MAX)
		return;
	for (size_t i = 0; i < count; i++) {
		last->names[i] = labels[i].name;
		for (size_t k = 0; k < count; k++)
			if (pairs[2 * k] == labels[i].name)
				last->places[i] = (uint8_t)k;
	}
	last->count = (uint32_t)count;
}

int64_t batch_add_label_set(struct batch *batch, const struct batch_label *labels, size_t count)
{
	uint32_t pairs[2 * BATCH_LABEL_COUNT_MAX];
	bool is_known = is_of_last_names(batch, labels, count);
	int err = 0;

	if (count > BATCH_LABEL_COUNT_MAX)
		return -E2BIG;
	for (size_t i = 0; !err && i < count; i++) {
		bool is_there = labels[i].name < pool_count(&batch->texts) &&
				labels[i].value < pool_count(&batch->texts);

		if (!is_there || pool_get(&batch->texts, labels[i].value).size == 0 ||
		    (!is_known && pool_get(&batch->texts, labels[i].name).size == 0))
			return -EINVAL;
		if (is_known) {
			size_t place = batch->label_order.places[i];

			pairs[2 * place] = labels[i].name;
			pairs[2 * place + 1] = labels[i].value;
		} else {
			err = insert_label(batch, pairs, i, labels[i].name, labels[i].value);
		}
	}
	if (err)
		return err;
	if (!is_known)
		note_order(batch, labels, count, pairs);
	return pool_add(&batch->label_sets, pairs, count * 2 * sizeof(pairs[0]));
}

int64_t batch_add_series(struct batch *batch, uint32_t labels, struct str type, uint64_t period)
{
	if (labels >= pool_count(&batch->label_sets) || type.size == 0)
		return -EINVAL;

	int64_t text = batch_add_text(batch, type);

	if (text < 0)
		return text;

	struct batch_series series = { labels, (uint32_t)text, period };

	return pool_add(&batch->series, &series, sizeof(series));
}

int64_t batch_add_build(struct batch *batch, enum build_kind kind, const struct identity *identity,
			struct str path)
{
	if (kind < BUILD_FILE || kind > BUILD_TRUNCATED || identity->size > IDENTITY_SIZE_MAX)
		return -EINVAL;

	int64_t text = batch_add_text(batch, path);

	if (text < 0)
		return text;

	struct batch_build build = { .kind = (uint8_t)kind, .path = (uint32_t)text };

	build.identity.kind = identity->kind;
	build.identity.size = identity->size;
	memcpy(build.identity.bytes, identity->bytes, identity->size);
	return pool_add(&batch->builds, &build, sizeof(build));
}

/* A multiplication and a shift, twice: there are hundreds of thousands a second. */
static uint64_t location_hash(const struct batch_location *location)
{
	uint64_t hash = (location->address ^ location->build * UINT64_C(0x9e3779b97f4a7c15)) *
			UINT64_C(0xbf58476d1ce4e5b9);

	hash ^= hash >> 32;
	hash *= UINT64_C(0x94d049bb133111eb);
	return hash ^ hash >> 29;
}

static bool location_equals(const void *context, uint32_t number, const void *key)
{
	const struct batch_location *known =
		&((const struct batch_locations *)context)->items.items[number];
	const struct batch_location *wanted = key;

	return known->address == wanted->address && known->build == wanted->build;
}

static int64_t add_location(struct batch *batch, const struct batch_location *location,
			    uint64_t hash)
{
	struct batch_locations *locations = &batch->locations;
	uint32_t known = table_find(&locations->table, hash, location, location_equals, locations);

	if (known != TABLE_NONE)
		return known;
	if (batch->room < LOCATION_COST)
		return -E2BIG;
	if (array_reserve(&locations->items, 1) < 0)
		return -ENOMEM;

	int err = table_add(&locations->table, hash);

	if (err)
		return err == -ENOSPC ? -E2BIG : err;
	batch->room -= LOCATION_COST;
	locations->items.items[locations->items.count] = *location;
	return locations->items.count++;
}

int64_t batch_append_location(struct batch *batch, struct batch_place place)
{
	struct batch_locations *locations = &batch->locations;

	if (batch->room < LOCATION_COST || locations->table.count >= locations->table.count_max)
		return -E2BIG;
	if (place.build >= pool_count(&batch->builds))
		return -EINVAL;
	if (array_reserve(&locations->items, 1) < 0)
		return -ENOMEM;
	table_pass_over(&locations->table);
	batch->room -= LOCATION_COST;
	locations->items.items[locations->items.count] =
		(struct batch_location){ .build = place.build, .address = place.address };
	return locations->items.count++;
}

int batch_add_locations(struct batch *batch, const struct batch_place *places, size_t count,
			uint32_t *ret_numbers)
{
	enum { TOGETHER = 32 };
	struct batch_locations *locations = &batch->locations;

	for (size_t first = 0; first < count; first += TOGETHER) {
		struct batch_location wanted[TOGETHER];
		uint64_t hashes[TOGETHER];
		size_t some = count - first < TOGETHER ? count - first : TOGETHER;

		for (size_t i = 0; i < some; i++) {
			wanted[i] = (struct batch_location){ .build = places[first + i].build,
							     .address = places[first + i].address };
			if (wanted[i].build >= pool_count(&batch->builds))
				return -EINVAL;
			hashes[i] = location_hash(&wanted[i]);
			table_prefetch(&locations->table, hashes[i]);
		}
		for (size_t i = 0; i < some; i++) {
			uint32_t number = table_candidate(&locations->table, hashes[i]);

			if (number != TABLE_NONE)
				__builtin_prefetch(&locations->items.items[number]);
		}
		for (size_t i = 0; i < some; i++) {
			int64_t number = add_location(batch, &wanted[i], hashes[i]);

			if (number < 0)
				return (int)number;
			ret_numbers[first + i] = (uint32_t)number;
		}
	}
	return 0;
}

int64_t batch_add_location(struct batch *batch, uint32_t build, uint64_t address)
{
	struct batch_place place = { build, address };
	uint32_t number = 0;
	int err = batch_add_locations(batch, &place, 1, &number);

	return err ? err : (int64_t)number;
}

int64_t batch_add_named_location(struct batch *batch, const struct named_line *lines, size_t count)
{
	struct batch_line texts[LINE_COUNT_MAX];

	if (count == 0)
		return -EINVAL;
	if (count > LINE_COUNT_MAX)
		return -E2BIG;
	for (size_t i = 0; i < count; i++) {
		int64_t function = batch_add_text(batch, lines[i].function);
		int64_t file = function < 0 ? function : batch_add_text(batch, lines[i].file);

		if (file < 0)
			return file;
		texts[i] = (struct batch_line){ (uint32_t)function, (uint32_t)file, lines[i].line };
	}

	int64_t number = pool_add(&batch->names, texts, count * sizeof(texts[0]));

	if (number < 0)
		return number;

	struct batch_location location = { .build = BATCH_NAMED, .address = (uint64_t)number };

	return add_location(batch, &location, location_hash(&location));
}

int64_t batch_add_named_place(struct batch *batch, const struct named_line *lines,
			      const struct named_function *functions, size_t count,
			      const struct named_binary *binary)
{
	struct named_line coded[NAMED_PLACE_LINE_COUNT_MAX];

	if (count > NAMED_LINE_COUNT_MAX)
		return -E2BIG;
	return batch_add_named_location(batch, coded,
					named_place_code(lines, functions, count, binary, coded));
}

/* Its bytes, in the scratch memory. */
static int lay_out_stack(struct batch *batch, const uint32_t *locations, size_t count,
			 unsigned flags)
{
	assert(locations || count == 0);
	if (count > STACK_DEPTH_MAX)
		return -E2BIG;
	if (flags & ~(unsigned)STACK_TRUNCATED)
		return -EINVAL;
	for (size_t i = 0; i < count; i++)
		if (locations[i] >= batch->locations.items.count)
			return -EINVAL;

	batch->scratch.count = 0;
	if (array_reserve(&batch->scratch, count + 1) < 0)
		return -ENOMEM;
	batch->scratch.items[0] = flags;
	if (count)
		memcpy(batch->scratch.items + 1, locations, count * sizeof(locations[0]));
	return 0;
}

int64_t batch_add_stack(struct batch *batch, const uint32_t *locations, size_t count,
			unsigned flags)
{
	int err = lay_out_stack(batch, locations, count, flags);

	return err ? err
		   : pool_add(&batch->stacks, batch->scratch.items,
			      (count + 1) * sizeof(locations[0]));
}

int64_t batch_append_stack(struct batch *batch, const uint32_t *locations, size_t count,
			   unsigned flags)
{
	int err = lay_out_stack(batch, locations, count, flags);

	return err ? err
		   : pool_append(&batch->stacks, batch->scratch.items,
				 (count + 1) * sizeof(locations[0]));
}

int batch_add_entry(struct batch *batch, const struct batch_entry *entry)
{
	if (entry->series >= pool_count(&batch->series) ||
	    entry->sample_labels >= pool_count(&batch->label_sets) ||
	    entry->stack >= pool_count(&batch->stacks))
		return -EINVAL;

	size_t time_count = entry->times_ms ? entry->count : 0;
	size_t size = sizeof(batch->items.items[0]) + time_count * sizeof(batch->times.items[0]);

	if (batch->items.count >= ITEM_COUNT_MAX || time_count > batch->room || size > batch->room)
		return -E2BIG;
	if (array_reserve(&batch->items, 1) < 0 || array_reserve(&batch->times, time_count) < 0)
		return -ENOMEM;

	struct batch_item item = {
		.series = entry->series,
		.labels = entry->sample_labels,
		.stack = entry->stack,
		.first_time = entry->times_ms ? batch->times.count : BATCH_NO_TIMES,
		.count = entry->count,
		.value = entry->value,
	};

	if (time_count)
		memcpy(batch->times.items + batch->times.count, entry->times_ms,
		       time_count * sizeof(entry->times_ms[0]));
	batch->times.count += (uint32_t)time_count;
	batch->items.items[batch->items.count++] = item;
	batch->samples += item.count;
	batch->room -= size;
	return 0;
}

void batch_shift_times(struct batch *batch, int64_t ms)
{
	assert(ms >= 0);
	for (uint32_t i = 0; i < batch->times.count; i++) {
		int64_t shifted = batch->times.items[i] + ms;

		batch->times.items[i] = shifted < UINT16_MAX ? (uint16_t)shifted : UINT16_MAX;
	}
}

struct batch_totals batch_totals(const struct batch *batch)
{
	return (struct batch_totals){ .time = batch->time,
				      .entries = batch->items.count,
				      .samples = batch->samples };
}

size_t batch_room(const struct batch *batch)
{
	return batch->room;
}

size_t batch_memory(const struct batch *batch)
{
	const struct pool *pools[] = { &batch->texts,  &batch->label_sets, &batch->series,
				       &batch->builds, &batch->names,	   &batch->stacks };
	const struct batch_locations *locations = &batch->locations;
	size_t memory = sizeof(*batch);

	for (size_t i = 0; i < sizeof(pools) / sizeof(pools[0]); i++)
		memory += pool_memory(pools[i]);
	memory += locations->table.slot_count * sizeof(locations->table.slots[0]);
	return memory + array_memory(&locations->items) + array_memory(&batch->items) +
	       array_memory(&batch->times) + array_memory(&batch->gaps) +
	       array_memory(&batch->scratch);
}
