/* SPDX-License-Identifier: Apache-2.0 */
#include "store/series_limit.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "store/batch_private.h"

enum { SEEN_COUNT_MAX = 1 << 20 };

void series_limits_init(struct series_limits *limits, uint32_t per_type, uint32_t per_service)
{
	*limits = (struct series_limits){ .per_type = per_type, .per_service = per_service };
	table_init(&limits->seen, SEEN_COUNT_MAX);
	table_init(&limits->group_table, SEEN_COUNT_MAX);
}

void series_limits_done(struct series_limits *limits)
{
	table_done(&limits->seen);
	table_done(&limits->group_table);
	array_done(&limits->hashes);
	array_done(&limits->groups);
}

void series_limits_clear(struct series_limits *limits)
{
	table_clear(&limits->seen);
	table_clear(&limits->group_table);
	limits->hashes.count = 0;
	limits->groups.count = 0;
}

static bool hash_equals(const void *context, uint32_t number, const void *key)
{
	return ((const uint64_t *)context)[number] == *(const uint64_t *)key;
}

static bool group_equals(const void *context, uint32_t number, const void *key)
{
	return ((const struct series_group *)context)[number].key == *(const uint64_t *)key;
}

static int add_seen(struct series_limits *limits, uint64_t hash)
{
	if (array_reserve(&limits->hashes, 1) < 0)
		return -ENOMEM;

	int err = table_add(&limits->seen, hash);

	if (!err)
		limits->hashes.items[limits->hashes.count++] = hash;
	return err;
}

/* A group's number, made when it is not there. */
static int64_t find_group(struct series_limits *limits, uint64_t key)
{
	uint32_t number =
		table_find(&limits->group_table, key, &key, group_equals, limits->groups.items);

	if (number != TABLE_NONE)
		return number;
	if (array_reserve(&limits->groups, 1) < 0)
		return -ENOMEM;

	int err = table_add(&limits->group_table, key);

	if (err)
		return err;
	limits->groups.items[limits->groups.count] = (struct series_group){ .key = key };
	return limits->groups.count++;
}

/* What a series is called, in hashes: batches number the same texts in different ways. */
struct series_name {
	uint64_t type;
	uint64_t service;
	uint64_t all;
	struct str service_text;
	bool is_overflow; /* one of ours, in a batch that comes again */
};

static struct series_name name_series(const struct batch *batch, const struct batch_series *series)
{
	struct str type = pool_get(&batch->texts, series->type);
	struct str item = pool_get(&batch->label_sets, series->labels);
	const uint32_t *pairs = (const void *)item.text;
	struct series_name name = { .type = table_hash_bytes(type.text, type.size, 1),
				    .service_text = STR("") };

	name.all = name.type;
	for (size_t i = 0; i < item.size / (2 * sizeof(pairs[0])); i++) {
		struct str label = pool_get(&batch->texts, pairs[2 * i]);
		struct str value = pool_get(&batch->texts, pairs[2 * i + 1]);

		name.all = table_hash_bytes(label.text, label.size, name.all);
		name.all = table_hash_bytes(value.text, value.size, name.all);
		if (str_equal(label, STR("service_name")))
			name.service_text = value;
		name.is_overflow = name.is_overflow || str_equal(label, STR("series_overflow"));
	}
	name.service =
		table_hash_bytes(name.service_text.text, name.service_text.size, name.type + 1);
	return name;
}

/* The series in the batch that takes what has no place. */
static int64_t add_overflow(struct batch *batch, const struct batch_series *series,
			    struct str service)
{
	/* Texts of the batch move when it grows. */
	struct str type = pool_get(&batch->texts, series->type);
	autofree char *copy = malloc(service.size + type.size + 1);

	if (!copy)
		return -ENOMEM;
	memcpy(copy, service.text, service.size);
	memcpy(copy + service.size, type.text, type.size);

	struct label labels[] = { { STR("series_overflow"), STR("true") },
				  { STR("service_name"), { copy, service.size } } };
	int64_t set = batch_add_labels(batch, labels, sizeof(labels) / sizeof(labels[0]));

	if (set < 0)
		return set;
	return batch_add_series(batch, (uint32_t)set,
				(struct str){ copy + service.size, type.size }, series->period);
}

/* The series that the samples of this one go to: itself, or an overflow series. */
static int64_t place_series(struct series_limits *limits, struct batch *batch, uint32_t number)
{
	struct batch_series series;

	memcpy(&series, pool_get(&batch->series, number).text, sizeof(series));

	struct series_name name = name_series(batch, &series);

	if (name.is_overflow || table_find(&limits->seen, name.all, &name.all, hash_equals,
					   limits->hashes.items) != TABLE_NONE)
		return number;

	int64_t type = find_group(limits, name.type);
	int64_t service = type < 0 ? type : find_group(limits, name.service);

	if (service < 0)
		return service;
	if (limits->groups.items[type].count >= limits->per_type)
		return add_overflow(batch, &series, STR("other"));
	if (limits->groups.items[service].count >= limits->per_service)
		return add_overflow(batch, &series, name.service_text);

	int err = add_seen(limits, name.all);

	if (err)
		return err;
	limits->groups.items[type].count++;
	limits->groups.items[service].count++;
	return number;
}

int series_limits_apply(struct series_limits *limits, struct batch *batch)
{
	uint32_t count = pool_count(&batch->series);
	autofree uint32_t *places = calloc(count + 1, sizeof(places[0]));
	bool overflows = false;

	if (!places)
		return -ENOMEM;
	for (uint32_t i = 0; i < count; i++) {
		int64_t place = place_series(limits, batch, i);

		if (place < 0)
			return (int)place;
		places[i] = (uint32_t)place;
		overflows = overflows || places[i] != i;
	}
	for (uint32_t i = 0; overflows && i < batch->items.count; i++) {
		struct batch_item *item = &batch->items.items[i];

		/* An overflow series stands behind all others. */
		if (item->series >= count || places[item->series] == item->series)
			continue;
		item->series = places[item->series];
		limits->overflowed += item->count;
	}
	return 0;
}
