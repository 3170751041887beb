/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "store/observations.h"
#include "store/reader.h"

/* Profile types, label names, label values and sets of these: what occurs in a range. */

enum {
	TEXT_COUNT_MAX = 1 << 20,
	SET_SIZE_MAX = 1 << 20, /* all values of one */
};

enum wanted {
	WANTED_TYPES,
	WANTED_NAMES,
	WANTED_SERIES_NAMES,
	WANTED_VALUES,
	WANTED_SETS,
};

struct labels_question {
	enum wanted wanted;
	const struct str *names; /* WANTED_VALUES: one; WANTED_SETS */
	size_t name_count;
	struct pool texts; /* of sets their values, one after the other */
	struct buf set;
	struct pairs pairs;

	/*
	 * Of the span that is read, if its words stand still: most of its pairs are one series with
	 * many labels of processes, of which nothing is asked for.
	 */
	bool is_still, has_ordinal;
	uint32_t ordinal;
	ARRAY(uint32_t) own;   /* names that are asked for, as texts */
	ARRAY(uint8_t) series; /* by number: 1 when its own labels were taken */
};

static int add_text(struct labels_question *question, struct str text)
{
	int64_t number = text.size ? pool_add(&question->texts, text.text, text.size) : 0;

	return number < 0 ? (int)number : 0;
}

/* Ids, a value for each of many samples: there is nothing to choose from. */
static bool is_hidden(struct str name)
{
	return str_equal(name, STR(OBSERVED_SPAN_ID)) || str_equal(name, STR(OBSERVED_TRACE_ID));
}

static int add_names_of(struct labels_question *question, const struct catalog *catalog,
			uint32_t labels)
{
	struct str item = pool_get(&catalog->pools[CATALOG_LABELS], labels);
	const uint32_t *pairs = (const void *)item.text;
	int err = 0;

	for (size_t i = 0; !err && i < item.size / (2 * sizeof(pairs[0])); i++) {
		struct str name = catalog_text(catalog, pairs[2 * i]);

		if (!is_hidden(name))
			err = add_text(question, name);
	}
	return err;
}

static int add_names(struct labels_question *question, const struct catalog_sample *sample)
{
	static const char *const generated[] = { "__name__",	    "__profile_type__",
						 "__type__",	    "__unit__",
						 "__period_type__", "__period_unit__",
						 "__service_name__" };
	struct catalog_series series = catalog_series(sample->catalog, sample->series);
	int err = add_names_of(question, sample->catalog, series.labels);

	if (!err && question->wanted == WANTED_NAMES)
		err = add_names_of(question, sample->catalog, sample->labels);
	for (size_t i = 0; !err && i < sizeof(generated) / sizeof(generated[0]); i++)
		if (catalog_lookup(sample, str_from(generated[i])).size)
			err = add_text(question, str_from(generated[i]));
	return err;
}

static int add_set(struct labels_question *question, const struct catalog_sample *sample)
{
	struct buf *set = &question->set;

	buf_clear(set);
	for (size_t i = 0; i < question->name_count; i++)
		buf_add_sized(set, catalog_lookup(sample, question->names[i]));
	return set->error ? set->error
			  : add_text(question, (struct str){ (char *)set->bytes, set->size });
}

/* ---- what was taken -------------------------------------------------------------------------- */

static int note_name(struct labels_question *question, const struct catalog *catalog,
		     struct str name)
{
	uint32_t text = name.size ? pool_find(&catalog->pools[CATALOG_TEXT], name.text, name.size)
				  : TABLE_NONE;

	if (text == TABLE_NONE)
		return 0;
	if (array_reserve(&question->own, 1) < 0)
		return -ENOMEM;
	question->own.items[question->own.count++] = text;
	return 0;
}

/* Before anything is taken of a span. */
static int start_span(struct labels_question *question, const struct reader *reader)
{
	uint32_t count;
	int err = 0;

	if (question->has_ordinal && question->ordinal == reader->ordinal)
		return 0;
	question->has_ordinal = true;
	question->ordinal = reader->ordinal;
	question->is_still = !reader->live && question->wanted != WANTED_NAMES;
	question->own.count = question->series.count = 0;
	if (!question->is_still)
		return 0;
	for (size_t i = 0; !err && i < question->name_count; i++) {
		err = note_name(question, reader->catalog, question->names[i]);
		if (!err)
			err = note_name(question, reader->catalog,
					catalog_synonym(question->names[i]));
	}
	count = catalog_count(reader->catalog, CATALOG_SERIES);
	if (!err)
		err = array_reserve(&question->series, count);
	if (err)
		return err;
	memset(question->series.items, 0, count);
	question->series.count = count;
	return 0;
}

/* Whether one of a sample's own labels is asked for. */
static bool has_own(const struct labels_question *question, const struct catalog_sample *sample)
{
	struct str item = pool_get(&sample->catalog->pools[CATALOG_LABELS], sample->labels);
	const uint32_t *pairs = (const void *)item.text;

	for (size_t i = 0; i < item.size / (2 * sizeof(pairs[0])); i++)
		for (uint32_t k = 0; k < question->own.count; k++)
			if (pairs[2 * i] == question->own.items[k])
				return true;
	return false;
}

static bool was_taken(struct labels_question *question, const struct catalog_sample *sample)
{
	uint8_t *was;

	if (!question->is_still || has_own(question, sample))
		return false;
	was = &question->series.items[sample->series];
	if (*was)
		return true;
	*was = 1;
	return false;
}

/* Called once for each series and sample labels that occur together in a span. */
static int64_t take(void *context, const struct catalog_sample *sample)
{
	struct labels_question *question = context;

	if (was_taken(question, sample))
		return 0;
	switch (question->wanted) {
	case WANTED_TYPES:
		return add_text(question, catalog_lookup(sample, STR("__profile_type__")));
	case WANTED_NAMES:
	case WANTED_SERIES_NAMES:
		return add_names(question, sample);
	case WANTED_SETS:
		return add_set(question, sample);
	default:
		return add_text(question, catalog_lookup(sample, question->names[0]));
	}
}

/* Whole segments have a list; of others the runs are read. */
/* Some of its times were deleted: which of its runs are left is looked at. */
static bool is_partly_hidden(const struct reader *reader)
{
	return hiding_all_of(&reader->hiding, reader->hiding.mask, reader->span->first_ms,
			     reader->span->last_ms) != reader->hiding.mask;
}

static int take_segment(void *context, struct reader *reader, const struct reading *reading)
{
	struct labels_question *question = context;
	struct verdict verdict;
	int err = start_span(question, reader);

	if (err || !reading->is_inside || is_partly_hidden(reader))
		return err;
	if (reading->open) {
		const struct pool *pairs = &reading->open->pairs;

		for (uint32_t i = 0; !err && i < pool_count(pairs); i++) {
			struct pair pair;

			memcpy(&pair, pool_get(pairs, i).text, sizeof(pair));
			err = reader_judge(reader, pair, &verdict);
		}
		return err ? err : 1;
	}
	if (!reading->row->is_whole)
		return 0;
	err = reader_pairs(reader, reading->row, &question->pairs);
	for (uint32_t i = 0; !err && i < question->pairs.pairs.count; i++)
		err = reader_judge(reader, question->pairs.pairs.items[i], &verdict);
	return err ? err : 1;
}

/* All of a piece lies in the range. */
static int take_pieces(void *context, struct reader *reader, const struct pick *picks,
		       uint32_t count)
{
	struct labels_question *question = context;
	struct verdict verdict;
	int err = start_span(question, reader);

	for (uint32_t i = 0; !err && i < count; i++) {
		err = reader_piece_pairs(reader, picks[i].piece.number, &question->pairs);
		for (uint32_t k = 0; !err && k < question->pairs.pairs.count; k++) {
			const struct slice all = { picks[i].piece.first_ms,
						   picks[i].piece.last_ms };

			err = reader_judge(reader, question->pairs.pairs.items[k], &verdict);
			if (!err)
				err = reader_sees(reader, &all, &verdict);
			err = err < 0 ? err : 0;
		}
		if (!err)
			err = reader_check_time(reader);
	}
	return err;
}

/* Judging it was all. */
static int take_run(void *context, struct reader *reader, const struct slice *slice,
		    const struct run *run, const struct verdict *verdict,
		    struct entry_reader *entries)
{
	(void)context;
	(void)reader;
	(void)slice;
	(void)run;
	(void)verdict;
	(void)entries;
	return 0;
}

static int take_entry(void *context, struct reader *reader, const struct slice *slice,
		      const struct running_entry *entry, const struct verdict *verdict)
{
	(void)context;
	(void)reader;
	(void)slice;
	(void)entry;
	(void)verdict;
	return 0;
}

static int compare_texts(const void *a, const void *b)
{
	return str_compare(*(const struct str *)a, *(const struct str *)b);
}

/* Copies the texts out, sorted, in one piece of memory. */
static int copy_texts(const struct pool *pool, struct store_texts *ret)
{
	uint32_t count = pool_count(pool);
	size_t size = count * sizeof(struct str);

	for (uint32_t i = 0; i < count; i++)
		size += pool_get(pool, i).size;

	struct str *texts = malloc(size + 1);

	if (!texts)
		return -ENOMEM;

	char *next = (char *)(texts + count);

	for (uint32_t i = 0; i < count; i++) {
		struct str text = pool_get(pool, i);

		memcpy(next, text.text, text.size);
		texts[i] = (struct str){ next, text.size };
		next += text.size;
	}
	qsort(texts, count, sizeof(texts[0]), compare_texts);
	*ret = (struct store_texts){ .texts = texts, .count = count, .memory = texts };
	return 0;
}

/* Into the question's texts, which are the caller's to free, in any case. */
static int gather(struct store *store, const struct store_question *asked,
		  struct labels_question *question)
{
	struct reader_question reader_question = {
		.context = question,
		.asked = asked,
		.wants_all_labels = true,
		.group = take,
		.segment = take_segment,
		.run = take_run,
		.entry = take_entry,
		.chronicle_wish = { .use = CHRONICLE_WHERE_POSSIBLE,
				    .activity = true,
				    .names = question->names,
				    .name_count = question->name_count },
		.chronicle = take_pieces
	};

	question->set = BUF(SET_SIZE_MAX);
	pool_init(&question->texts, TEXT_COUNT_MAX, NULL);

	int err = reader_ask(store, &reader_question);

	/* A chronicle was damaged. */
	if (err == -ESTALE) {
		struct store_question samples = *asked;

		samples.is_exact = true;
		reader_question.asked = &samples;
		pool_clear(&question->texts);
		question->has_ordinal = false;
		err = reader_ask(store, &reader_question);
	}
	array_done(&question->pairs.pairs);
	array_done(&question->own);
	array_done(&question->series);
	buf_done(&question->set);
	return err;
}

static int ask(struct store *store, const struct store_question *asked, enum wanted wanted,
	       struct str name, struct store_texts *ret)
{
	struct labels_question question = { .wanted = wanted, .names = &name, .name_count = 1 };
	int err = gather(store, asked, &question);

	if (!err)
		err = copy_texts(&question.texts, ret);
	pool_done(&question.texts);
	return err;
}

/* Their memory becomes the answer's. */
static int split_sets(struct labels_question *question, struct store_label_sets *ret)
{
	uint32_t count = pool_count(&question->texts);
	struct str *values = calloc(count * question->name_count + 1, sizeof(values[0]));

	if (!values)
		return -ENOMEM;
	for (uint32_t i = 0; i < count; i++) {
		struct str set = pool_get(&question->texts, i);
		struct bytes bytes = bytes_from(set.text, set.size);

		for (size_t k = 0; k < question->name_count; k++)
			values[i * question->name_count + k] = bytes_sized(&bytes);
		assert(!bytes.error);
	}
	*ret = (struct store_label_sets){ .values = values,
					  .count = count,
					  .memory = TAKE(question->texts.bytes) };
	return 0;
}

int store_label_sets(struct store *store, const struct store_question *asked,
		     const struct str *names, size_t name_count, struct store_label_sets *ret)
{
	struct labels_question question = { .wanted = WANTED_SETS,
					    .names = names,
					    .name_count = name_count };
	int err = gather(store, asked, &question);

	if (!err)
		err = split_sets(&question, ret);
	pool_done(&question.texts);
	return err == -EFBIG ? -E2BIG : err;
}

void store_label_sets_done(struct store_label_sets *sets)
{
	free(sets->values);
	free(sets->memory);
	*sets = (struct store_label_sets){ 0 };
}

int store_profile_types(struct store *store, const struct store_question *question,
			struct store_texts *ret)
{
	return ask(store, question, WANTED_TYPES, (struct str){ 0 }, ret);
}

int store_label_names(struct store *store, const struct store_question *question,
		      struct store_texts *ret)
{
	return ask(store, question, WANTED_NAMES, (struct str){ 0 }, ret);
}

int store_series_label_names(struct store *store, const struct store_question *question,
			     struct store_texts *ret)
{
	return ask(store, question, WANTED_SERIES_NAMES, (struct str){ 0 }, ret);
}

int store_label_values(struct store *store, const struct store_question *question, struct str name,
		       struct store_texts *ret)
{
	return ask(store, question, WANTED_VALUES, name, ret);
}

void store_texts_done(struct store_texts *texts)
{
	free(texts->memory);
	*texts = (struct store_texts){ 0 };
}
