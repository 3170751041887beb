/* SPDX-License-Identifier: Apache-2.0 */
#include "store/relabel.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "store/batch_private.h"

static_assert((int)RELABEL_COUNT_MAX == (int)BATCH_LABEL_COUNT_MAX, "what a batch takes");

enum {
	TEXTS_SIZE_MAX = 4 * RELABEL_COUNT_MAX * 65536,
	MORE_MEMORY = 1 << 20,
	PAIR_COUNT_MAX = 1 << 24
};

/* A series and a label set that samples have together, and what they become. */
struct pair {
	uint32_t series, labels;
	uint32_t new_series, new_labels;
	uint32_t thinning; /* index, or NOT_THINNED */
	bool is_dropped;
	uint64_t samples;
	uint64_t one_of;
};

/* Samples of one series of which one of n stays. */
struct thinning {
	uint32_t series;
	uint64_t one_of;
	uint64_t samples, value; /* of all; value UINT64_MAX: more than can be counted, all stay */
	uint64_t kept;		 /* how many stay */
	uint64_t walked;	 /* what came before, of the value */
};

enum { NOT_THINNED = UINT32_MAX };

struct work {
	struct batch *batch;
	struct table pair_table;
	ARRAY(struct pair) pairs;
	struct table thinning_table;
	ARRAY(struct thinning) thinnings;
	uint32_t *pair_of; /* by item */
	struct buf texts;  /* of the labels that are asked about: the batch's own move */
	uint32_t phase;
};

static void work_done(struct work *work)
{
	table_done(&work->pair_table);
	array_done(&work->pairs);
	table_done(&work->thinning_table);
	array_done(&work->thinnings);
	buf_done(&work->texts);
	free(work->pair_of);
}

/* ---- who has which labels ---------------------------------------------------------------------
 */

static uint64_t hash_numbers(uint64_t a, uint64_t b)
{
	uint64_t numbers[2] = { a, b };

	return table_hash_bytes(numbers, sizeof(numbers), 0);
}

static bool pair_equals(const void *context, uint32_t number, const void *key)
{
	const struct pair *known = &((const struct pair *)context)[number];
	const struct batch_item *wanted = key;

	return known->series == wanted->series && known->labels == wanted->labels;
}

static int64_t find_pair(struct work *work, const struct batch_item *item)
{
	uint64_t hash = hash_numbers(item->series, item->labels);
	uint32_t known = table_find(&work->pair_table, hash, item, pair_equals, work->pairs.items);
	int err;

	if (known != TABLE_NONE)
		return known;
	if (array_reserve(&work->pairs, 1) < 0)
		return -ENOMEM;
	err = table_add(&work->pair_table, hash);
	if (err)
		return err;
	work->pairs.items[work->pairs.count] = (struct pair){
		.series = item->series, .labels = item->labels, .thinning = NOT_THINNED, .one_of = 1
	};
	return work->pairs.count++;
}

static int find_pairs(struct work *work)
{
	struct batch *batch = work->batch;

	work->pair_of = calloc((size_t)batch->items.count + 1, sizeof(work->pair_of[0]));
	if (!work->pair_of)
		return -ENOMEM;
	for (uint32_t i = 0; i < batch->items.count; i++) {
		const struct batch_item *item = &batch->items.items[i];
		int64_t pair = find_pair(work, item);

		if (pair < 0)
			return (int)pair;
		work->pair_of[i] = (uint32_t)pair;
		work->pairs.items[pair].samples += item->count;
	}
	return 0;
}

/* ---- what they become -------------------------------------------------------------------------
 */

static size_t read_labels(struct work *work, uint32_t set, struct label *labels)
{
	struct str pairs = pool_get(&work->batch->label_sets, set);
	const uint32_t *texts = (const void *)pairs.text;
	size_t count = pairs.size / (2 * sizeof(texts[0]));

	for (size_t i = 0; i < count; i++)
		labels[i] = (struct label){ pool_get(&work->batch->texts, texts[2 * i]),
					    pool_get(&work->batch->texts, texts[2 * i + 1]) };
	return count;
}

/* Those of the pool move when another is added. */
static void copy_text(struct buf *texts, struct str *text)
{
	struct str copy = { (const char *)texts->bytes + texts->size, text->size };

	buf_add_str(texts, *text);
	*text = copy;
}

static int copy_texts(struct work *work, struct relabelling *samples)
{
	size_t size = samples->type.size;

	for (size_t i = 0; i < samples->series_count; i++)
		size += samples->series[i].name.size + samples->series[i].value.size;
	for (size_t i = 0; i < samples->sample_count; i++)
		size += samples->sample[i].name.size + samples->sample[i].value.size;
	buf_clear(&work->texts);
	if (!buf_grow(&work->texts, size))
		return work->texts.error;
	work->texts.size = 0;
	copy_text(&work->texts, &samples->type);
	for (size_t i = 0; i < samples->series_count; i++) {
		copy_text(&work->texts, &samples->series[i].name);
		copy_text(&work->texts, &samples->series[i].value);
	}
	for (size_t i = 0; i < samples->sample_count; i++) {
		copy_text(&work->texts, &samples->sample[i].name);
		copy_text(&work->texts, &samples->sample[i].value);
	}
	return 0;
}

static bool thinning_equals(const void *context, uint32_t number, const void *key)
{
	const struct thinning *known = &((const struct thinning *)context)[number];
	const struct pair *wanted = key;

	return known->series == wanted->new_series && known->one_of == wanted->one_of;
}

static int64_t find_thinning(struct work *work, const struct pair *pair)
{
	uint64_t hash = hash_numbers(pair->new_series, pair->one_of);
	uint32_t known = table_find(&work->thinning_table, hash, pair, thinning_equals,
				    work->thinnings.items);
	int err;

	if (known != TABLE_NONE)
		return known;
	if (array_reserve(&work->thinnings, 1) < 0)
		return -ENOMEM;
	err = table_add(&work->thinning_table, hash);
	if (err)
		return err;
	work->thinnings.items[work->thinnings.count] =
		(struct thinning){ .series = pair->new_series, .one_of = pair->one_of };
	return work->thinnings.count++;
}

static int enter_labels(struct work *work, struct pair *pair, const struct relabelling *samples,
			uint64_t period)
{
	struct batch *batch = work->batch;
	int64_t set = batch_add_labels(batch, samples->series, samples->series_count);
	int64_t series =
		set < 0 ? set : batch_add_series(batch, (uint32_t)set, samples->type, period);
	int64_t labels = series < 0
				 ? series
				 : batch_add_labels(batch, samples->sample, samples->sample_count);

	if (labels < 0)
		return (int)labels;
	pair->new_series = (uint32_t)series;
	pair->new_labels = (uint32_t)labels;
	return 0;
}

static int change_pair(struct work *work, struct pair *pair, relabel *ask, void *context)
{
	struct batch_series series;
	struct relabelling samples = { .samples = pair->samples, .one_of = 1 };
	int64_t thinning = NOT_THINNED;
	int err;

	memcpy(&series, pool_get(&work->batch->series, pair->series).text, sizeof(series));
	samples.type = pool_get(&work->batch->texts, series.type);
	samples.series_count = read_labels(work, series.labels, samples.series);
	samples.sample_count = read_labels(work, pair->labels, samples.sample);
	err = copy_texts(work, &samples);
	if (err)
		return err;
	ask(context, &samples);
	pair->is_dropped = samples.is_dropped;
	pair->one_of = samples.one_of;
	pair->new_series = pair->series;
	pair->new_labels = pair->labels;
	if (pair->is_dropped)
		return 0;
	err = samples.is_changed ? enter_labels(work, pair, &samples, series.period) : 0;
	if (!err && pair->one_of > 1) {
		thinning = find_thinning(work, pair);
		err = thinning < 0 ? (int)thinning : 0;
	}
	pair->thinning = err ? NOT_THINNED : (uint32_t)thinning;
	return err;
}

/* ---- fewer samples ----------------------------------------------------------------------------
 */

static void weigh(struct work *work)
{
	for (uint32_t i = 0; i < work->batch->items.count; i++) {
		const struct batch_item *item = &work->batch->items.items[i];
		const struct pair *pair = &work->pairs.items[work->pair_of[i]];
		struct thinning *thinning;

		if (pair->thinning == NOT_THINNED)
			continue;
		thinning = &work->thinnings.items[pair->thinning];
		thinning->samples += item->count;
		if (__builtin_add_overflow(thinning->value, item->value, &thinning->value))
			thinning->value = UINT64_MAX;
	}
	for (uint32_t i = 0; i < work->thinnings.count; i++) {
		struct thinning *thinning = &work->thinnings.items[i];

		/* At least one, or what the series is worth would go. */
		thinning->kept = thinning->samples / thinning->one_of;
		if (thinning->kept == 0)
			thinning->kept = 1;
	}
}

/* How many of those that stay lie before this much of the value: the i-th lies at
 * (i + phase) * value / kept. */
static uint64_t kept_before(const struct thinning *thinning, uint64_t walked, uint32_t phase)
{
	unsigned __int128 whole = (unsigned __int128)thinning->value << 32;
	unsigned __int128 reached = ((unsigned __int128)walked * thinning->kept) << 32;
	unsigned __int128 first = (unsigned __int128)thinning->value * phase;

	return reached <= first ? 0 : (uint64_t)((reached - first + whole - 1) / whole);
}

/* What the first so many that stay are worth: all of them, exactly all. */
static uint64_t value_of(const struct thinning *thinning, uint64_t count)
{
	return (uint64_t)((unsigned __int128)thinning->value * count / thinning->kept);
}

/* Of an item with times those at equal distances stay. */
static void keep_times(const struct batch *batch, const struct batch_item *item, uint64_t count)
{
	uint16_t *times = batch->times.items + item->first_time;

	for (uint64_t i = 0; i < count; i++)
		times[i] = times[(unsigned __int128)i * item->count / count];
}

/* False when nothing of it stays. */
static bool thin(struct work *work, struct thinning *thinning, struct batch_item *item)
{
	uint64_t before, after, count;

	/* 32 bits of phase and 64 of value leave 31 for those that stay. */
	if (thinning->value == 0 || thinning->value == UINT64_MAX || thinning->kept > INT32_MAX)
		return true;
	before = kept_before(thinning, thinning->walked, work->phase);
	thinning->walked += item->value;
	after = kept_before(thinning, thinning->walked, work->phase);
	if (after == before)
		return false;
	count = after - before < item->count ? after - before : item->count;
	if (item->first_time != BATCH_NO_TIMES)
		keep_times(work->batch, item, count);
	item->count = count;
	item->value = value_of(thinning, after) - value_of(thinning, before);
	return true;
}

/* ---- all of it --------------------------------------------------------------------------------
 */

/* The rest moves up, and what it took is given back. */
static void rewrite_items(struct work *work)
{
	struct batch *batch = work->batch;
	uint32_t item_count = 0, time_count = 0;

	batch->samples = 0;
	for (uint32_t i = 0; i < batch->items.count; i++) {
		struct batch_item item = batch->items.items[i];
		const struct pair *pair = &work->pairs.items[work->pair_of[i]];

		if (pair->is_dropped ||
		    (pair->thinning != NOT_THINNED &&
		     !thin(work, &work->thinnings.items[pair->thinning], &item)))
			continue;
		item.series = pair->new_series;
		item.labels = pair->new_labels;
		if (item.first_time != BATCH_NO_TIMES) {
			memmove(batch->times.items + time_count,
				batch->times.items + item.first_time,
				item.count * sizeof(batch->times.items[0]));
			item.first_time = time_count;
			time_count += (uint32_t)item.count;
		}
		batch->samples += item.count;
		batch->items.items[item_count++] = item;
	}
	batch->room += (size_t)(batch->items.count - item_count) * sizeof(batch->items.items[0]) +
		       (size_t)(batch->times.count - time_count) * sizeof(batch->times.items[0]);
	batch->items.count = item_count;
	batch->times.count = time_count;
}

/* Changed labels lie beside those that they were, in a batch that may be full: at worst each takes
 * its room again. Given back when the batch is cleared. */
static void lend_room(struct batch *batch)
{
	size_t more = pool_memory(&batch->label_sets) + pool_memory(&batch->texts) +
		      pool_memory(&batch->series) + MORE_MEMORY;

	batch->room += more;
	batch->lent += more;
}

int batch_relabel(struct batch *batch, relabel *ask, void *context, uint32_t phase)
{
	struct work work = { .batch = batch, .texts = BUF(TEXTS_SIZE_MAX), .phase = phase };
	int err;

	if (batch->items.count == 0)
		return 0;
	table_init(&work.pair_table, PAIR_COUNT_MAX);
	table_init(&work.thinning_table, PAIR_COUNT_MAX);
	lend_room(batch);
	err = find_pairs(&work);
	for (uint32_t i = 0; !err && i < work.pairs.count; i++)
		err = change_pair(&work, &work.pairs.items[i], ask, context);
	if (!err) {
		weigh(&work);
		rewrite_items(&work);
	}
	work_done(&work);
	return err;
}
