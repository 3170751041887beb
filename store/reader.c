/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>

#include "store/reader.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "store/selector.h"

enum { PAIR_COUNT_MAX = 8 << 20 };

/* ---- which spans ----------------------------------------------------------------------------- */

struct view_span {
	struct span *span;
	struct live *live;
};

struct view {
	ARRAY(struct view_span) spans;
};

static bool overlaps(const struct span *span, const struct store_question *asked)
{
	return span->live || (span->end_ms != 0 && span->first_ms <= asked->to_unix_ms &&
			      span->last_ms >= asked->from_unix_ms);
}

/* References to everything that may hold an answer, as of one moment. */
static int view_open(struct store *store, const struct store_question *asked, struct view *view)
{
	int err = 0;

	pthread_mutex_lock(&store->lock);
	if (array_reserve(&view->spans, store->spans.spans.count) < 0)
		err = -ENOMEM;
	for (uint32_t i = 0; !err && i < store->spans.spans.count; i++) {
		struct span *span = store->spans.spans.items[i];

		if (span->is_damaged || !overlaps(span, asked))
			continue;
		store_span_hold(span);
		if (span->live)
			span->live->references++;
		view->spans.items[view->spans.count++] = (struct view_span){ span, span->live };
	}
	pthread_mutex_unlock(&store->lock);
	return err;
}

static void view_close(struct store *store, struct view *view)
{
	for (uint32_t i = 0; i < view->spans.count; i++) {
		struct view_span *seen = &view->spans.items[i];
		bool is_last = false;

		pthread_mutex_lock(&store->lock);
		if (seen->live)
			is_last = --seen->live->references == 0;
		pthread_mutex_unlock(&store->lock);
		if (is_last)
			live_free(seen->live);
		store_span_release(store, seen->span);
	}
	array_done(&view->spans);
}

/* ---- locks, time, verdicts ------------------------------------------------------------------- */

int reader_check_time(const struct reader *reader)
{
	uint64_t deadline_ns = reader->question->asked->deadline_monotonic_ns;

	return deadline_ns && clock_monotonic_ns() > deadline_ns ? -ETIMEDOUT : 0;
}

bool reader_lock(struct reader *reader)
{
	if (!reader->live || reader->is_locked)
		return false;
	pthread_rwlock_rdlock(&reader->live->lock);
	reader->is_locked = true;
	return true;
}

void reader_unlock(struct reader *reader, bool was_taken)
{
	if (!was_taken)
		return;
	assert(reader->is_locked);
	reader->is_locked = false;
	pthread_rwlock_unlock(&reader->live->lock);
}

static int64_t judge_new(struct reader *reader, struct pair pair, struct verdict *ret)
{
	const struct catalog *catalog = reader->catalog;
	const struct store_question *asked = reader->question->asked;

	if (pair.series >= catalog_count(catalog, CATALOG_SERIES) || pair.series == 0 ||
	    pair.labels >= catalog_count(catalog, CATALOG_LABELS))
		return -EBADMSG;

	struct catalog_sample sample = { catalog, pair.series, pair.labels };
	struct catalog_series series = catalog_series(catalog, pair.series);
	int64_t group = 0;

	ret->period = series.period;
	ret->matches =
		(asked->type.size == 0 ||
		 str_equal(asked->type, catalog_text(catalog, series.type))) &&
		(!asked->selector || selector_matches(asked->selector, catalog_lookup, &sample));
	if (ret->matches && reader->question->group)
		group = reader->question->group(reader->question->context, &sample);
	ret->group = (uint32_t)group;
	return group < 0 ? group : 0;
}

int reader_judge(struct reader *reader, struct pair pair, struct verdict *ret)
{
	int64_t number = pool_add(&reader->pairs, &pair, sizeof(pair));

	if (number < 0)
		return (int)number;
	if (number == reader->verdicts.count) {
		struct verdict verdict = { 0 };
		bool was_taken = reader_lock(reader);
		int64_t err = judge_new(reader, pair, &verdict);

		reader_unlock(reader, was_taken);
		if (err)
			return (int)err;
		if (array_reserve(&reader->verdicts, 1) < 0)
			return -ENOMEM;
		reader->verdicts.items[reader->verdicts.count++] = verdict;
	}
	*ret = reader->verdicts.items[number];
	return 0;
}

/* ---- one span -------------------------------------------------------------------------------- */

static int load_catalog(struct reader *reader)
{
	struct cache_key key = { .span = reader->span->id };

	reader->cached = cache_find(reader->store->cache, key);
	if (!reader->cached) {
		autoclean(cached) struct cached *cached = cached_new();

		if (!cached)
			return -ENOMEM;

		int err = catalog_init(&cached->catalog);

		if (!err)
			err = catalog_read(&cached->catalog, reader->database);
		if (err)
			return err;
		cached->size = catalog_memory(&cached->catalog);
		cache_add(reader->store->cache, key, cached);
		reader->cached = TAKE(cached);
	}
	reader->catalog = &reader->cached->catalog;
	return 0;
}

static int reader_open(struct reader *reader)
{
	int err = span_acquire(reader->span, &reader->database);

	pool_init(&reader->pairs, PAIR_COUNT_MAX, NULL);
	if (err)
		return err;
	if (!reader->live)
		return load_catalog(reader);
	reader->catalog = &reader->live->catalog;
	return 0;
}

static void reader_close(struct reader *reader)
{
	assert(!reader->is_locked);
	span_release(reader->span, reader->database);
	cached_release(reader->cached);
	pool_done(&reader->pairs);
	array_done(&reader->verdicts);
	runs_done(&reader->runs);
}

static bool in_range(const struct reader *reader, int64_t start_ms)
{
	const struct store_question *asked = reader->question->asked;

	return start_ms >= asked->from_unix_ms && start_ms <= asked->to_unix_ms;
}

static int visit_run(struct reader *reader, const struct run *run, struct entry_reader *entries)
{
	const struct reader_question *question = reader->question;
	const struct slice *slice = &reader->runs.slices.items[run->slice];
	struct verdict verdict = { 0 };
	bool is_wanted = in_range(reader, slice->start_ms);
	int err = 0;

	if (is_wanted) {
		err = reader_judge(reader, (struct pair){ run->series, run->labels }, &verdict);
		if (err)
			return err;
	}
	if (entries)
		entry_reader_start_list(entries);
	if (!is_wanted || !verdict.matches)
		return entries ? entry_reader_skip(entries, run->entry_count, run->valued) : 0;
	return question->run(question->context, reader, slice, run, &verdict, entries);
}

static int visit_row(struct reader *reader, sqlite3_stmt *row)
{
	struct str runs = database_column(row, 0);
	struct entry_reader entries;
	int err = codec_unpack_runs(reader->codec, runs.text, runs.size, &reader->runs);

	if (!err && reader->question->wants_entries) {
		struct str blob = database_column(row, 1);

		err = codec_unpack_entries(reader->codec, blob.text, blob.size, &entries);
	}
	for (uint32_t i = 0; !err && i < reader->runs.runs.count; i++)
		err = visit_run(reader, &reader->runs.runs.items[i],
				reader->question->wants_entries ? &entries : NULL);
	return err;
}

static int visit_windows(struct reader *reader, int64_t first, int64_t last)
{
	autoclean(statement) sqlite3_stmt *row = NULL;
	int err = database_prepare(
		reader->database,
		reader->question->wants_entries
			? "SELECT runs, entries FROM window WHERE id BETWEEN ? AND ? "
			  "AND first_ms <= ? AND last_ms >= ?"
			: "SELECT runs FROM window WHERE id BETWEEN ? AND ? "
			  "AND first_ms <= ? AND last_ms >= ?",
		&row);

	if (err)
		return err;
	sqlite3_bind_int64(row, 1, first);
	sqlite3_bind_int64(row, 2, last);
	sqlite3_bind_int64(row, 3, reader->question->asked->to_unix_ms);
	sqlite3_bind_int64(row, 4, reader->question->asked->from_unix_ms);
	while ((err = database_step(row)) > 0) {
		err = visit_row(reader, row);
		if (!err)
			err = reader_check_time(reader);
		if (err)
			return err;
	}
	return err;
}

static int visit_running(struct reader *reader)
{
	const struct reader_question *question = reader->question;
	const struct live *live = reader->live;

	assert(reader->is_locked);
	for (uint32_t i = 0; i < live->entries.count; i++) {
		const struct running_entry *entry = &live->entries.items[i];
		const struct slice *slice = &live->slices.items[entry->slice];
		struct verdict verdict;

		if (!in_range(reader, slice->start_ms))
			continue;

		int err = reader_judge(reader, (struct pair){ entry->series, entry->labels },
				       &verdict);

		if (!err && verdict.matches)
			err = question->entry(question->context, reader, slice, entry, &verdict);
		if (err)
			return err;
	}
	return 0;
}

/* The open segment: its windows on disk, and what runs. The lock is held all the way. */
static int visit_open_segment(struct reader *reader)
{
	const struct reader_question *question = reader->question;
	const struct live *live = reader->live;
	const struct segment *segment = &live->segment;
	struct reading reading = { .number = segment->number, .open = segment };

	if (segment->number == 0 || segment->end_ms == 0 ||
	    segment->first_ms > question->asked->to_unix_ms ||
	    segment->last_ms < question->asked->from_unix_ms)
		return 0;
	reading.is_inside =
		in_range(reader, segment->first_ms) && in_range(reader, segment->last_ms);

	int err = question->segment(question->context, reader, &reading);

	if (err == 0 && live->window_count >= segment->first_window)
		err = visit_windows(reader, segment->first_window, live->window_count);
	if (err == 0)
		err = visit_running(reader);
	if (err >= 0 && question->segment_end)
		err = question->segment_end(question->context, reader, &reading);
	return err < 0 ? err : 0;
}

static int visit_segment(struct reader *reader, const struct segment_row *row)
{
	const struct reader_question *question = reader->question;
	struct reading reading = { .number = row->number, .row = row };

	if (row->first_ms > question->asked->to_unix_ms ||
	    row->last_ms < question->asked->from_unix_ms)
		return 0;
	reading.is_inside = in_range(reader, row->first_ms) && in_range(reader, row->last_ms);

	int err = question->segment(question->context, reader, &reading);

	if (err == 0)
		err = visit_windows(reader, row->first_window, row->last_window);
	if (err >= 0 && question->segment_end)
		err = question->segment_end(question->context, reader, &reading);
	return err < 0 ? err : 0;
}

static int copy_segments(const struct segment_rows *from, struct segment_rows *to)
{
	if (array_reserve(&to->rows, from->rows.count) < 0)
		return -ENOMEM;
	if (from->rows.count)
		memcpy(to->rows.items, from->rows.items,
		       from->rows.count * sizeof(from->rows.items[0]));
	to->rows.count = from->rows.count;
	return 0;
}

static int visit_span(struct reader *reader)
{
	struct segment_rows segments = { 0 };
	int err = reader_open(reader);

	if (!err && reader->live) {
		/* The list, the open segment and the running window are of one moment. */
		bool was_taken = reader_lock(reader);

		err = copy_segments(&reader->live->segments, &segments);
		if (!err)
			err = visit_open_segment(reader);
		reader_unlock(reader, was_taken);
	} else if (!err) {
		err = copy_segments(&reader->span->segments, &segments);
	}
	for (uint32_t i = 0; !err && i < segments.rows.count; i++) {
		err = visit_segment(reader, &segments.rows.items[i]);
		if (!err)
			err = reader_check_time(reader);
	}
	array_done(&segments.rows);
	reader_close(reader);
	return err;
}

/* What an error in one span means for the question. */
static int settle(struct store *store, struct span *span, int err)
{
	if (error_is_damage(err)) {
		pthread_mutex_lock(&store->lock);
		span->is_damaged = true;
		pthread_mutex_unlock(&store->lock);
		return 0;
	}
	/* Dropped by retention while we asked. */
	return err == -ENOENT ? 0 : err;
}

int reader_ask(struct store *store, const struct reader_question *question)
{
	struct view view = { 0 };
	autoclean(codec) struct codec *codec = NULL;
	int err = codec_new(&codec);

	if (!err)
		err = view_open(store, question->asked, &view);
	for (uint32_t i = 0; !err && i < view.spans.count; i++) {
		struct reader reader = { .store = store,
					 .question = question,
					 .codec = codec,
					 .span = view.spans.items[i].span,
					 .live = view.spans.items[i].live,
					 .ordinal = i };

		err = settle(store, reader.span, visit_span(&reader));
	}
	view_close(store, &view);
	return err;
}

/* ---- what is read of whole segments ---------------------------------------------------------- */

static int read_tree(struct reader *reader, const struct segment_row *segment, struct tree *tree)
{
	autoclean(statement) sqlite3_stmt *row = NULL;
	bool was_taken = reader_lock(reader);
	uint32_t build_count = catalog_count(reader->catalog, CATALOG_BUILD);

	reader_unlock(reader, was_taken);

	int err = database_prepare(reader->database,
				   "SELECT locations, nodes FROM window WHERE id BETWEEN ? AND ?",
				   &row);

	if (err)
		return err;
	sqlite3_bind_int64(row, 1, segment->first_window);
	sqlite3_bind_int64(row, 2, segment->last_window);
	while ((err = database_step(row)) > 0) {
		struct str locations = database_column(row, 0);
		struct str nodes = database_column(row, 1);

		err = codec_unpack_locations(reader->codec, locations.text, locations.size,
					     build_count, tree);
		if (!err)
			err = codec_unpack_nodes(reader->codec, nodes.text, nodes.size, tree);
		if (!err)
			err = reader_check_time(reader);
		if (err)
			return err;
	}
	return err;
}

int reader_tree(struct reader *reader, const struct segment_row *row, bool keep,
		struct cached **ret)
{
	struct cache *cache = reader->store->cache;
	struct cache_key key = { .span = reader->span->id, .segment = row->number };
	autoclean(cached) struct cached *cached = cache_find(cache, key);
	int err = 0;

	if (!cached) {
		cached = cached_new();
		if (!cached)
			return -ENOMEM;
		err = tree_init(&cached->tree);
		if (!err)
			err = read_tree(reader, row, &cached->tree);
		if (err)
			return err;
		tree_trim(&cached->tree);
		cached->size = tree_memory(&cached->tree);
		if (keep)
			cache_add(cache, key, cached);
	}
	*ret = TAKE(cached);
	return 0;
}

int reader_pairs(struct reader *reader, const struct segment_row *row, struct pairs *ret)
{
	autoclean(statement) sqlite3_stmt *statement = NULL;
	int err = database_prepare(reader->database, "SELECT pairs FROM segment WHERE id = ?",
				   &statement);

	assert(row->is_whole);
	if (err)
		return err;
	sqlite3_bind_int64(statement, 1, row->number);
	err = database_step(statement);
	if (err <= 0)
		return err ? err : -EUCLEAN;

	struct str blob = database_column(statement, 0);

	return codec_unpack_pairs(reader->codec, blob.text, blob.size, ret);
}

/* A number of a thing in the catalog. */
static bool column_is_text(struct reader *reader, sqlite3_stmt *row, int column, uint32_t *ret)
{
	int64_t number = sqlite3_column_int64(row, column);
	bool was_taken = reader_lock(reader);
	bool is_text = number >= 0 && number < catalog_count(reader->catalog, CATALOG_TEXT);

	reader_unlock(reader, was_taken);
	*ret = (uint32_t)number;
	return is_text;
}

int reader_blocks(struct reader *reader, const struct segment_row *segment, reader_wants *wants,
		  reader_block *visit)
{
	autoclean(statement) sqlite3_stmt *row = NULL;
	void *context = reader->question->context;
	int err = database_prepare(reader->database,
				   "SELECT service, type, period, valued, entry_count, entries "
				   "FROM block WHERE segment = ?",
				   &row);

	assert(segment->is_whole);
	if (err)
		return err;
	sqlite3_bind_int64(row, 1, segment->number);
	while ((err = database_step(row)) > 0) {
		struct block block = { .period = (uint64_t)sqlite3_column_int64(row, 2),
				       .is_valued = sqlite3_column_int(row, 3) != 0,
				       .entry_count = (uint32_t)sqlite3_column_int64(row, 4) };

		if (!column_is_text(reader, row, 0, &block.service) ||
		    !column_is_text(reader, row, 1, &block.type))
			return -EBADMSG;
		if (!wants(context, reader, block.service, block.type))
			continue;

		struct str blob = database_column(row, 5);

		err = codec_unpack_entries(reader->codec, blob.text, blob.size, &block.entries);
		if (!err)
			err = visit(context, reader, &block);
		if (!err)
			err = reader_check_time(reader);
		if (err)
			return err;
	}
	return err;
}
