/* SPDX-License-Identifier: Apache-2.0 */
#include "web/otlp_owners.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/table.h"
#include "store/array.h"
#include "store/pool.h"

enum {
	CACHE_SIZE = 512, /* label sets of one profile: its threads, mostly */
	KEY_COUNT = 16,	  /* of samples' attributes that are known at once */
	/* Series of a batch that are found by their labels' texts, all at once; of a busy host they
	 * are some hundred, of 100 bytes. Those beyond it are looked for text by text. */
	TOLD_COUNT_MAX = 4096,
	TOLD_SIZE_MAX = 1 << 20,
	/* Programs, of which most processes of a host are one of several: as many, and as large. */
	PROGRAM_COUNT_MAX = 4096,
	PROGRAM_SIZE_MAX = 1 << 20,
	SERIES_NONE = UINT32_MAX,
};

/* What samples with these attributes came to. */
struct cached {
	uint64_t profile; /* its number among all taken, from 1 */
	struct otlp_range attributes;
	struct otlp_owner owner;
};

/* What an attribute of the table comes to as a label of samples: texts of the batch. */
struct known_attribute {
	enum otlp_attribute_use use;
	struct batch_label label;
};

/* What all attributes of a key come to. */
struct known_key {
	struct str key;
	enum otlp_attribute_use use;
	uint32_t name; /* text of the batch */
};

/* What profiles came to whose resources are alike but for the number of the process. */
struct program {
	uint32_t series;   /* SERIES_NONE: is not remembered */
	uint32_t pid_name; /* text of the batch, if it has such a number */
};

struct otlp_owners {
	struct batch *batch;
	struct otlp_labels labels;
	const struct otlp_profile *profile;
	uint64_t profile_number; /* never the same again: what is cached of others is not this one's
				  */
	struct str type;
	uint64_t period;

	uint64_t tables_serial;
	ARRAY(struct known_attribute) attributes;
	struct known_key keys[KEY_COUNT]; /* texts of the tables */
	size_t key_count;

	/* Of the profile, and of its samples without attributes of their own. */
	bool has_profile;
	uint32_t series;
	struct batch_label profile_labels[OTLP_SAMPLE_LABEL_COUNT_MAX];
	size_t profile_label_count;

	struct cached cache[CACHE_SIZE];
	uint64_t left_out;

	/* Labels, type and period of series, in one piece each, and their numbers in the batch:
	 * most processes of a program make the same one. */
	struct pool told;
	size_t told_room;
	ARRAY(uint32_t) told_series;

	/* The same of resources, before their labels are made. */
	struct pool programs;
	size_t program_room;
	ARRAY(struct program) program_items;

	struct buf telling;
};

int otlp_owners_new(struct batch *batch, struct otlp_owners **ret)
{
	struct otlp_owners *owners = calloc(1, sizeof(*owners));

	if (!owners)
		return -ENOMEM;
	owners->batch = batch;
	owners->told_room = TOLD_SIZE_MAX;
	owners->telling = BUF(TOLD_SIZE_MAX);
	pool_init(&owners->told, TOLD_COUNT_MAX, &owners->told_room);
	owners->program_room = PROGRAM_SIZE_MAX;
	pool_init(&owners->programs, PROGRAM_COUNT_MAX, &owners->program_room);
	otlp_labels_init(&owners->labels);
	*ret = owners;
	return 0;
}

void otlp_owners_start(struct otlp_owners *owners, const char *host_name, bool is_local,
		       int64_t now_ms)
{
	otlp_labels_begin(&owners->labels, host_name, is_local, now_ms);
	owners->left_out = 0;
}

struct otlp_owners *otlp_owners_free(struct otlp_owners *owners)
{
	if (!owners)
		return NULL;
	otlp_labels_done(&owners->labels);
	array_done(&owners->attributes);
	pool_done(&owners->told);
	array_done(&owners->told_series);
	pool_done(&owners->programs);
	array_done(&owners->program_items);
	buf_done(&owners->telling);
	free(owners);
	return NULL;
}

void otlp_owners_clear(struct otlp_owners *owners)
{
	owners->tables_serial = 0;
	pool_clear(&owners->told);
	owners->told_series.count = 0;
	pool_clear(&owners->programs);
	owners->program_items.count = 0;
}

size_t otlp_owners_memory(const struct otlp_owners *owners)
{
	return sizeof(*owners) + array_memory(&owners->attributes) + pool_memory(&owners->told) +
	       array_memory(&owners->told_series) + pool_memory(&owners->programs) +
	       array_memory(&owners->program_items) + owners->telling.capacity +
	       owners->labels.texts.capacity + owners->labels.process_texts.capacity;
}

static int use_tables(struct otlp_owners *owners, const struct otlp_tables *tables)
{
	if (owners->tables_serial == tables->serial)
		return 0;
	owners->attributes.count = 0;
	owners->key_count = 0;
	if (array_reserve(&owners->attributes, tables->attributes.count + 1) < 0)
		return -ENOMEM;
	owners->attributes.count = tables->attributes.count;
	for (uint32_t i = 0; i < owners->attributes.count; i++)
		owners->attributes.items[i].use = OTLP_ATTRIBUTE_NOT_KNOWN;
	owners->tables_serial = tables->serial;
	return 0;
}

int otlp_owners_begin(struct otlp_owners *owners, const struct otlp_profile *profile,
		      struct str type, uint64_t period)
{
	owners->profile = profile;
	owners->profile_number++;
	owners->type = type;
	owners->period = period;
	owners->has_profile = false;
	return use_tables(owners, profile->tables);
}

uint64_t otlp_owners_left_out(const struct otlp_owners *owners)
{
	return owners->left_out + owners->labels.left_out;
}

/* ---- any sample -------------------------------------------------------------------------------
 */

static int64_t add_new_series(struct otlp_owners *owners)
{
	int64_t labels =
		batch_add_labels(owners->batch, owners->labels.series, owners->labels.series_count);

	return labels < 0 ? labels
			  : batch_add_series(owners->batch, (uint32_t)labels, owners->type,
					     owners->period);
}

static uint8_t *tell(uint8_t *next, struct str text)
{
	uint32_t size = (uint32_t)text.size;

	memcpy(next, &size, sizeof(size));
	if (size)
		memcpy(next + sizeof(size), text.text, size);
	return next + sizeof(size) + size;
}

/* All that makes the series what it is. Sizes go before texts, so that none reads as another. */
static void tell_series(struct otlp_owners *owners)
{
	const struct label *labels = owners->labels.series;
	size_t size = sizeof(owners->period) + sizeof(uint32_t) + owners->type.size;
	uint8_t *next;

	for (size_t i = 0; i < owners->labels.series_count; i++)
		size += 2 * sizeof(uint32_t) + labels[i].name.size + labels[i].value.size;
	buf_clear(&owners->telling);
	next = buf_grow(&owners->telling, size);
	if (!next)
		return;
	memcpy(next, &owners->period, sizeof(owners->period));
	next = tell(next + sizeof(owners->period), owners->type);
	for (size_t i = 0; i < owners->labels.series_count; i++)
		next = tell(tell(next, labels[i].name), labels[i].value);
	assert(next == owners->telling.bytes + size);
}

static int64_t add_series(struct otlp_owners *owners)
{
	int64_t told = -E2BIG;
	int64_t series;

	tell_series(owners);
	/* Room first, so that what is told always has a place there. */
	if (array_reserve(&owners->told_series, 1) < 0)
		return -ENOMEM;
	if (!owners->telling.error)
		told = pool_add(&owners->told, owners->telling.bytes, owners->telling.size);
	if (told >= 0 && told < owners->told_series.count &&
	    owners->told_series.items[told] != SERIES_NONE)
		return owners->told_series.items[told];
	if (told == owners->told_series.count)
		owners->told_series.items[owners->told_series.count++] = SERIES_NONE;
	series = add_new_series(owners);
	if (told >= 0 && series >= 0)
		owners->told_series.items[told] = (uint32_t)series;
	return series;
}

static int find_owner(struct otlp_owners *owners, const struct otlp_sample *sample,
		      struct otlp_owner *ret)
{
	int64_t series = otlp_labels_find(&owners->labels, owners->profile, sample);
	int64_t labels = 0;

	if (series >= 0)
		series = add_series(owners);
	if (series >= 0)
		labels = batch_add_labels(owners->batch, owners->labels.sample,
					  owners->labels.sample_count);
	if (series < 0 || labels < 0)
		return (int)(series < 0 ? series : labels);
	*ret = (struct otlp_owner){ (uint32_t)series, (uint32_t)labels };
	return 0;
}

/* ---- one whose attributes say nothing of the series -------------------------------------------
 */

static int add_label(struct otlp_owners *owners, const struct label *label, struct batch_label *ret)
{
	int64_t name = batch_add_text(owners->batch, label->name);
	int64_t value = name < 0 ? name : batch_add_text(owners->batch, label->value);

	if (value < 0)
		return (int)value;
	*ret = (struct batch_label){ (uint32_t)name, (uint32_t)value };
	return 0;
}

static int make_profile(struct otlp_owners *owners)
{
	const struct otlp_sample bare = { .link = 0 };
	int64_t series = 0;
	int err = otlp_labels_find(&owners->labels, owners->profile, &bare);

	if (!err)
		series = add_series(owners);
	if (err || series < 0)
		return err ? err : (int)series;
	owners->series = (uint32_t)series;
	owners->profile_label_count = owners->labels.sample_count;
	for (size_t i = 0; !err && i < owners->profile_label_count; i++)
		err = add_label(owners, &owners->labels.sample[i], &owners->profile_labels[i]);
	return err;
}

/* ---- programs ---------------------------------------------------------------------------------
 */

/* Of several of this key the first one counts, for labels as well. */
static bool is_pid(const struct otlp_attribute *attribute)
{
	return str_equal(attribute->key, STR("process.pid"));
}

/*
 * All of a profile that its labels are made of, but for the number of its process, which is told
 * apart: NULL, there is none. False: it has attributes beside those of its resource, or too many.
 */
static bool tell_program(struct otlp_owners *owners, const struct otlp_attribute **ret_pid)
{
	const struct otlp_profile *profile = owners->profile;
	size_t size = sizeof(owners->period) + sizeof(uint32_t) + owners->type.size;
	bool has_pid = false;
	uint8_t *next;

	*ret_pid = NULL;
	if (profile->scope_count + profile->inlined_count + profile->attributes.count > 0)
		return false;
	for (size_t i = 0; i < profile->resource_count; i++) {
		const struct otlp_attribute *attribute = &profile->resource[i];

		size += 2 * sizeof(uint32_t) + attribute->key.size + attribute->value.bytes.size +
			sizeof(attribute->value.kind) + sizeof(attribute->value.integer);
	}
	buf_clear(&owners->telling);
	next = buf_grow(&owners->telling, size);
	if (!next)
		return false;
	memcpy(next, &owners->period, sizeof(owners->period));
	next = tell(next + sizeof(owners->period), owners->type);
	for (size_t i = 0; i < profile->resource_count; i++) {
		const struct otlp_attribute *attribute = &profile->resource[i];
		int64_t number = attribute->value.integer;

		if (!has_pid && is_pid(attribute)) {
			has_pid = true;
			if (attribute->value.kind == OTLP_VALUE_INTEGER) {
				*ret_pid = attribute;
				number = 0;
			}
		}
		next = tell(tell(next, attribute->key), attribute->value.bytes);
		memcpy(next, &attribute->value.kind, sizeof(attribute->value.kind));
		next += sizeof(attribute->value.kind);
		memcpy(next, &number, sizeof(number));
		next += sizeof(number);
	}
	assert(next == owners->telling.bytes + size);
	return true;
}

/* Its place, empty when it is new; NULL: there is no room to remember it. */
static struct program *find_program(struct otlp_owners *owners)
{
	int64_t number;

	/* Room first, as for series. */
	if (array_reserve(&owners->program_items, 1) < 0)
		return NULL;
	number = pool_add(&owners->programs, owners->telling.bytes, owners->telling.size);
	if (number < 0)
		return NULL;
	if (number == owners->program_items.count)
		owners->program_items.items[owners->program_items.count++] =
			(struct program){ .series = SERIES_NONE };
	return &owners->program_items.items[number];
}

static int use_program(struct otlp_owners *owners, const struct program *program,
		       const struct otlp_attribute *pid)
{
	struct str value;
	int64_t number = 0;
	int err = 0;

	owners->series = program->series;
	owners->profile_label_count = 0;
	if (!pid)
		return 0;
	err = otlp_labels_of_pid(&owners->labels, pid->value.integer, &value);
	if (!err)
		number = batch_add_text(owners->batch, value);
	if (err || number < 0)
		return err ? err : (int)number;
	owners->profile_labels[owners->profile_label_count++] =
		(struct batch_label){ program->pid_name, (uint32_t)number };
	return 0;
}

/* Whose labels it has can be said without making them, when nothing was left out and samples have
 * no label of it but the number of the process. */
static void remember_program(struct otlp_owners *owners, struct program *program,
			     const struct otlp_attribute *pid)
{
	/* A process of this host may have come, or be told by what is left of it, since it was
	 * looked for. */
	if (owners->profile_label_count != (pid ? 1 : 0) || owners->labels.process_count > 0)
		return;
	program->pid_name = pid ? owners->profile_labels[0].name : 0;
	program->series = owners->series;
}

/* Most processes of a host are one of several of a program, and none that this host has. */
static int find_profile(struct otlp_owners *owners)
{
	const struct otlp_attribute *pid;
	struct program *program = NULL;
	uint64_t left_out = owners->labels.left_out;
	int err;

	if (tell_program(owners, &pid) &&
	    !(pid && otlp_labels_may_know(&owners->labels, pid->value.integer)))
		program = find_program(owners);
	if (program && program->series != SERIES_NONE) {
		err = use_program(owners, program, pid);
	} else {
		err = make_profile(owners);
		if (!err && program && owners->labels.left_out == left_out)
			remember_program(owners, program, pid);
	}
	owners->has_profile = !err;
	return err;
}

/* Attributes of a key mostly have the same text of the table. */
static int find_key(struct otlp_owners *owners, struct str key, struct known_key *ret)
{
	struct str name;
	int64_t number = 0;
	int err;

	for (size_t i = 0; i < owners->key_count; i++)
		if (owners->keys[i].key.text == key.text && owners->keys[i].key.size == key.size) {
			*ret = owners->keys[i];
			return 0;
		}
	err = otlp_labels_of_key(&owners->labels, key, &ret->use, &name);
	if (!err && ret->use == OTLP_ATTRIBUTE_OF_SAMPLE)
		number = batch_add_text(owners->batch, name);
	if (err || number < 0)
		return err ? err : (int)number;
	ret->key = key;
	ret->name = (uint32_t)number;
	if (owners->key_count < KEY_COUNT)
		owners->keys[owners->key_count++] = *ret;
	return 0;
}

static int find_attribute(struct otlp_owners *owners, uint32_t place, struct known_attribute **ret)
{
	const struct otlp_attribute *attribute = &owners->profile->tables->attributes.items[place];
	struct known_attribute *known = &owners->attributes.items[place];
	struct known_key key;
	struct str value = { 0 };
	int64_t number = 0;
	int err = 0;

	*ret = known;
	if (known->use != OTLP_ATTRIBUTE_NOT_KNOWN)
		return 0;
	err = find_key(owners, attribute->key, &key);
	if (!err && key.use == OTLP_ATTRIBUTE_OF_SAMPLE)
		err = otlp_labels_of_value(&owners->labels, attribute, &value);
	if (!err && value.size > 0)
		number = batch_add_text(owners->batch, value);
	if (err || number < 0)
		return err ? err : (int)number;
	known->use = key.use == OTLP_ATTRIBUTE_OF_SAMPLE && value.size == 0
			     ? OTLP_ATTRIBUTE_OF_NOBODY
			     : key.use;
	known->label = (struct batch_label){ key.name, (uint32_t)number };
	return 0;
}

/* As otlp_labels_find() has them: the first of a name counts. */
struct sample_labels {
	struct batch_label items[OTLP_SAMPLE_LABEL_COUNT_MAX];
	size_t count;
};

static void keep(struct otlp_owners *owners, struct sample_labels *labels, struct batch_label label)
{
	for (size_t i = 0; i < labels->count; i++)
		if (labels->items[i].name == label.name)
			return;
	if (labels->count == OTLP_SAMPLE_LABEL_COUNT_MAX)
		owners->left_out++;
	else
		labels->items[labels->count++] = label;
}

static int keep_link(struct otlp_owners *owners, struct sample_labels *labels, uint32_t link)
{
	struct label ids[2];
	int err = otlp_labels_of_link(&owners->labels, &owners->profile->tables->links.items[link],
				      ids);

	for (size_t i = 0; !err && i < 2; i++) {
		struct batch_label label = { 0 };

		err = add_label(owners, &ids[i], &label);
		if (!err)
			keep(owners, labels, label);
	}
	return err;
}

/* -EAGAIN: the attributes say something of the series, too. */
static int find_simple(struct otlp_owners *owners, const struct otlp_sample *sample,
		       struct otlp_owner *ret)
{
	struct sample_labels labels = { .count = 0 };
	int64_t number;
	int err = 0;

	if (sample->attributes.count > OTLP_SAMPLE_LABEL_COUNT_MAX)
		return -EAGAIN;
	if (sample->link > 0)
		err = keep_link(owners, &labels, sample->link);
	for (uint32_t i = 0; !err && i < sample->attributes.count; i++) {
		uint32_t place = owners->profile->indices[sample->attributes.first + i];
		struct known_attribute *known;

		assert(place < owners->attributes.count);
		err = find_attribute(owners, place, &known);
		if (err || known->use == OTLP_ATTRIBUTE_OF_SERIES)
			return err ? err : -EAGAIN;
		if (known->use == OTLP_ATTRIBUTE_OF_SAMPLE)
			keep(owners, &labels, known->label);
	}
	if (!err && !owners->has_profile)
		err = find_profile(owners);
	if (err)
		return err;
	for (size_t i = 0; i < owners->profile_label_count; i++)
		keep(owners, &labels, owners->profile_labels[i]);
	number = batch_add_label_set(owners->batch, labels.items, labels.count);
	if (number < 0)
		return (int)number;
	*ret = (struct otlp_owner){ owners->series, (uint32_t)number };
	return 0;
}

/* ---- what came before -------------------------------------------------------------------------
 */

static bool is_cached(const struct otlp_owners *owners, const struct cached *cached,
		      struct otlp_range attributes)
{
	const uint32_t *indices = owners->profile->indices;

	return cached->profile == owners->profile_number &&
	       cached->attributes.count == attributes.count &&
	       (attributes.count == 0 ||
		memcmp(indices + cached->attributes.first, indices + attributes.first,
		       attributes.count * sizeof(indices[0])) == 0);
}

/* Samples of one thread have equal labels, unless they belong to a span. */
int otlp_owners_find(struct otlp_owners *owners, const struct otlp_sample *sample,
		     struct otlp_owner *ret)
{
	const uint32_t *indices = owners->profile->indices;
	struct otlp_range attributes = sample->attributes;
	uint64_t hash = table_hash_bytes(attributes.count ? indices + attributes.first : NULL,
					 attributes.count * sizeof(indices[0]), 0);
	struct cached *cached = &owners->cache[hash % CACHE_SIZE];
	int err;

	if (sample->link == 0 && is_cached(owners, cached, attributes)) {
		*ret = cached->owner;
		return 0;
	}
	err = find_simple(owners, sample, ret);
	if (err == -EAGAIN)
		err = find_owner(owners, sample, ret);
	if (!err && sample->link == 0)
		*cached = (struct cached){ owners->profile_number, attributes, *ret };
	return err;
}
