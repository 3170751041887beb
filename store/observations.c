/* SPDX-License-Identifier: Apache-2.0 */
#include "store/observations.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "store/reader.h"

enum {
	/* The series of a file that has as many as it may, or as many spans. */
	OBSERVED_COUNT_MAX = 1 << 18,
	/* Of one segment, ten minutes: 600 s of 3,500 processes. 24 bytes each. */
	OBSERVATION_COUNT_MAX = 2 << 20,
	KEY_SIZE_MAX = 1 << 20,
	LABEL_COUNT_MAX = 256,
	NOBODY = UINT32_MAX, /* the group of what has no span */
};

/* Labels that the store makes; Grafana's users see them in this order, before the others. */
static const char *const generated[] = { "__name__",	     "__period_type__",	 "__period_unit__",
					 "__profile_type__", "__service_name__", "__type__",
					 "__unit__" };

struct cell {
	uint32_t observed;
	int64_t time_ms;
	uint64_t value;
};

struct observations {
	const struct observations_options *options;
	ARRAY(struct observed *) items; /* each with its labels and texts in one piece */
	struct pool keys;		/* series hash, span and trace of each */
	struct buf key;
	struct table table;	  /* of cells, by who and when */
	ARRAY(struct cell) cells; /* of the segment that is read */
};

/* ---- who --------------------------------------------------------------------------------------
 */

static int compare_labels(const void *a, const void *b)
{
	return str_compare(((const struct label *)a)->name, ((const struct label *)b)->name);
}

static size_t gather_labels(const struct catalog_sample *sample,
			    struct label labels[static LABEL_COUNT_MAX])
{
	const struct catalog *catalog = sample->catalog;
	struct str set = pool_get(&catalog->pools[CATALOG_LABELS],
				  catalog_series(catalog, sample->series).labels);
	const uint32_t *texts = (const void *)set.text;
	size_t count = 0;

	for (size_t i = 0; i + 1 < set.size / sizeof(texts[0]) &&
			   count < LABEL_COUNT_MAX - sizeof(generated) / sizeof(generated[0]);
	     i += 2)
		labels[count++] = (struct label){ catalog_text(catalog, texts[i]),
						  catalog_text(catalog, texts[i + 1]) };
	for (size_t i = 0; i < sizeof(generated) / sizeof(generated[0]); i++) {
		struct str name = str_from(generated[i]);
		struct str value = catalog_lookup(sample, name);
		bool is_known = false;

		for (size_t k = 0; k < count; k++)
			is_known |= str_equal(labels[k].name, name);
		if (value.size > 0 && !is_known)
			labels[count++] = (struct label){ name, value };
	}
	qsort(labels, count, sizeof(labels[0]), compare_labels);
	return count;
}

struct str observed_label(const struct observed *observed, struct str name)
{
	for (size_t i = 0; i < observed->label_count; i++)
		if (str_equal(observed->labels[i].name, name))
			return observed->labels[i].value;
	return STR("");
}

static struct str copy_text(char **next, struct str text)
{
	struct str copy = { *next, text.size };

	if (text.size)
		memcpy(*next, text.text, text.size);
	*next += text.size;
	return copy;
}

static int add_observed(struct observations *observations, const struct catalog_sample *sample,
			uint64_t series, struct str span_id, struct str trace_id)
{
	struct label labels[LABEL_COUNT_MAX];
	size_t count = gather_labels(sample, labels);
	size_t size =
		sizeof(struct observed) + count * sizeof(labels[0]) + span_id.size + trace_id.size;

	for (size_t i = 0; i < count; i++)
		size += labels[i].name.size + labels[i].value.size;

	struct observed *observed = malloc(size);

	if (!observed || array_reserve(&observations->items, 1) < 0) {
		free(observed);
		return -ENOMEM;
	}

	struct label *copies = (struct label *)(observed + 1);
	char *next = (char *)(copies + count);

	for (size_t i = 0; i < count; i++)
		copies[i] = (struct label){ .name = copy_text(&next, labels[i].name),
					    .value = copy_text(&next, labels[i].value) };
	*observed = (struct observed){ .labels = copies,
				       .label_count = count,
				       .series = series,
				       .span_id = copy_text(&next, span_id),
				       .trace_id = copy_text(&next, trace_id),
				       .number = observations->items.count };
	observations->items.items[observations->items.count++] = observed;
	return 0;
}

static int64_t find_observed(void *context, const struct catalog_sample *sample)
{
	struct observations *observations = context;
	struct buf *key = &observations->key;
	bool by_span = observations->options->by_span;
	struct str span_id = by_span ? catalog_lookup(sample, STR(OBSERVED_SPAN_ID)) : STR("");
	struct str trace_id = by_span ? catalog_lookup(sample, STR(OBSERVED_TRACE_ID)) : STR("");
	uint64_t series = catalog_series_hash(sample->catalog, sample->series);

	if (by_span && span_id.size == 0)
		return NOBODY;
	buf_clear(key);
	buf_add_u64(key, series);
	buf_add_sized(key, span_id);
	buf_add_sized(key, trace_id);
	if (key->error)
		return key->error;

	int64_t number = pool_add(&observations->keys, key->bytes, key->size);

	if (number == observations->items.count) {
		int err = add_observed(observations, sample, series, span_id, trace_id);

		if (err)
			return err;
	}
	return number;
}

/* ---- how much, when ---------------------------------------------------------------------------
 */

static bool cell_is(const void *context, uint32_t number, const void *key)
{
	const struct cell *cell = &((const struct observations *)context)->cells.items[number];
	const struct cell *wanted = key;

	return cell->observed == wanted->observed && cell->time_ms == wanted->time_ms;
}

static int add_value(struct observations *observations, uint32_t observed, int64_t time_ms,
		     uint64_t value)
{
	struct cell key = { .observed = observed, .time_ms = time_ms };
	const uint64_t words[] = { observed, (uint64_t)time_ms };
	uint64_t hash = table_hash_bytes(words, sizeof(words), 0);

	if (observed == NOBODY)
		return 0;
	assert(observed < observations->items.count);

	uint32_t found = table_find(&observations->table, hash, &key, cell_is, observations);

	if (found == TABLE_NONE) {
		if (array_reserve(&observations->cells, 1) < 0)
			return -ENOMEM;

		int err = table_add(&observations->table, hash);

		if (err)
			return err == -ENOSPC ? -E2BIG : err;
		found = observations->cells.count;
		observations->cells.items[observations->cells.count++] = key;
	}

	struct cell *cell = &observations->cells.items[found];

	cell->value = saturated_sum(cell->value, value);
	return 0;
}

static int start_segment(void *context, struct reader *reader, const struct reading *reading)
{
	struct observations *observations = context;

	(void)reader;
	(void)reading;
	/* One that was found damaged has no end. */
	observations->cells.count = 0;
	table_clear(&observations->table);
	return 0;
}

static int add_run(void *context, struct reader *reader, const struct slice *slice,
		   const struct run *run, const struct verdict *verdict,
		   struct entry_reader *entries)
{
	(void)reader;
	(void)entries;
	return add_value(context, verdict->group, slice->start_ms,
			 run->valued ? run->value
				     : saturated_product(run->samples, verdict->period));
}

static int add_entry(void *context, struct reader *reader, const struct slice *slice,
		     const struct running_entry *entry, const struct verdict *verdict)
{
	(void)reader;
	return add_value(context, verdict->group, slice->start_ms, entry->value);
}

/* What has one start lies in one segment: what is known of it now is all. */
static int end_segment(void *context, struct reader *reader, const struct reading *reading)
{
	struct observations *observations = context;
	int err = 0;

	(void)reader;
	(void)reading;
	for (uint32_t i = 0; !err && i < observations->cells.count; i++) {
		const struct cell *cell = &observations->cells.items[i];
		struct observation observation = {
			.of = observations->items.items[cell->observed],
			.time_ms = cell->time_ms,
			.value = cell->value,
		};

		if (cell->value > 0)
			err = observations->options->visit(observations->options->context,
							   &observation);
	}
	observations->cells.count = 0;
	table_clear(&observations->table);
	return err;
}

int observations_read(struct store *store, const struct store_question *question,
		      const struct observations_options *options, struct observations **ret)
{
	static const struct str spans[] = { { OBSERVED_SPAN_ID, sizeof(OBSERVED_SPAN_ID) - 1 },
					    { OBSERVED_TRACE_ID, sizeof(OBSERVED_TRACE_ID) - 1 } };
	autoclean(observations) struct observations *observations =
		calloc(1, sizeof(*observations));

	if (!observations)
		return -ENOMEM;
	observations->options = options;
	observations->key = BUF(KEY_SIZE_MAX);
	pool_init(&observations->keys, OBSERVED_COUNT_MAX, NULL);
	table_init(&observations->table, OBSERVATION_COUNT_MAX);

	/* Chronicles have sums over hours, which are no profiles. */
	struct reader_question reader_question = { .context = observations,
						   .asked = question,
						   .names = spans,
						   .name_count = options->by_span ? 2 : 0,
						   .group = find_observed,
						   .segment = start_segment,
						   .run = add_run,
						   .entry = add_entry,
						   .segment_end = end_segment };
	int err = reader_ask(store, &reader_question);

	if (err)
		return err == -EFBIG ? -E2BIG : err;
	observations->options = NULL;
	*ret = TAKE(observations);
	return 0;
}

struct observations *observations_done(struct observations *observations)
{
	if (!observations)
		return NULL;
	for (uint32_t i = 0; i < observations->items.count; i++)
		free(observations->items.items[i]);
	array_done(&observations->items);
	array_done(&observations->cells);
	pool_done(&observations->keys);
	table_done(&observations->table);
	buf_done(&observations->key);
	free(observations);
	return NULL;
}
