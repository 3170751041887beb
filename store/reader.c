/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>

#include "store/reader_private.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "store/asking.h"
#include "store/selector.h"
#include "store/view.h"

enum { PAIR_COUNT_MAX = 8 << 20 };

/* ---- locks, time --------------------------------------------------------------------- */

int reader_check_time(const struct reader *reader)
{
	return asking_check(reader->question->asked);
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

/* ---- one span -------------------------------------------------------------------------------- */

/* That of a chronicle grows. */
static int load_generation(struct reader *reader)
{
	struct cache *cache = reader->store->cache;
	struct cache_key key = { .span = reader->span->id, .segment = reader->generation };
	int err = 0;

	reader->cached = cache_find(cache, key);
	if (reader->cached)
		return 0;
	err = cached_read_catalog(reader->database, &reader->cached);
	if (err)
		return err;
	cache_forget_before(cache, key.span, key.segment);
	cache_add(cache, key, reader->cached);
	return 0;
}

static int load_catalog(struct reader *reader)
{
	struct span *span = reader->span;
	int err = span->is_chronicle ? load_generation(reader)
				     : span_words_take(span, reader->store->cache, reader->database,
						       &reader->cached);

	if (!err)
		reader->catalog = &reader->cached->catalog;
	return err;
}

/* A chronicle grows while it is read. */
static int hold_generation(struct reader *reader)
{
	int64_t number = 0;
	int err = database_execute(reader->database, "BEGIN");

	if (!err)
		err = database_number(reader->database, "SELECT coalesce(max(id), 0) FROM piece",
				      &number);
	reader->generation = (uint32_t)number;
	return err;
}

static int reader_open(struct reader *reader)
{
	int err = connections_acquire(&reader->span->connections, &reader->database);

	reader->services = reader_all_services;
	pool_init(&reader->pairs, PAIR_COUNT_MAX, NULL);
	if (!err && reader->span->is_chronicle)
		err = hold_generation(reader);
	if (err)
		return err;
	if (reader->live) {
		/* A deletion closed what was written to then. */
		reader->catalog = &reader->live->catalog;
		return 0;
	}
	err = load_catalog(reader);
	if (err)
		return err;
	pthread_mutex_lock(&reader->store->lock);

	uint64_t clean_until = reader->span->clean_until;
	int64_t first_ms = reader->span->first_ms, last_ms = reader->span->last_ms;

	pthread_mutex_unlock(&reader->store->lock);
	return hiding_find(reader->rules, clean_until, first_ms, last_ms, reader->catalog,
			   &reader->hiding);
}

static void reader_close(struct reader *reader)
{
	assert(!reader->is_locked);
	sqlite3_finalize(TAKE(reader->piece_row));
	if (reader->span->is_chronicle && reader->database)
		(void)database_execute(reader->database, "ROLLBACK");
	connections_release(&reader->span->connections, reader->database);
	reader->cached = reader->span->is_chronicle ? cached_release(reader->cached)
						    : span_words_give(reader->span, reader->cached);
	pool_done(&reader->pairs);
	array_done(&reader->verdicts);
	runs_done(&reader->runs);
	activity_done(&reader->activity);
	array_done(&reader->segment_pairs.pairs);
	array_done(&reader->segment_verdicts);
	detail_reader_done(&reader->detail);
	hiding_done(&reader->hiding);
	reader_forget_nodes(reader);
	array_done(&reader->shared_nodes);
}

/* Whether single profiles are asked for, and this is none of them. */
static bool is_other_profile(const struct reader *reader, const struct slice *slice,
			     const struct verdict *verdict)
{
	const struct store_question *asked = reader->question->asked;

	for (size_t i = 0; i < asked->profile_count; i++)
		if (asked->profiles[i].time_ms == slice->start_ms &&
		    asked->profiles[i].series == verdict->series_hash)
			return false;
	return asked->profile_count > 0;
}

static int visit_run(struct reader *reader, const struct run *run, struct entry_reader *entries)
{
	const struct reader_question *question = reader->question;
	const struct slice *slice = &reader->runs.slices.items[run->slice];
	struct verdict verdict = { 0 };
	bool is_wanted = reader_in_range(reader, slice->start_ms);
	int err = 0;

	if (is_wanted) {
		err = reader_judge(reader, (struct pair){ run->series, run->labels }, &verdict);
		if (err)
			return err;
	}
	if (entries)
		entry_reader_start_list(entries);
	if (!is_wanted || !verdict.matches || is_other_profile(reader, slice, &verdict))
		is_wanted = false;
	else
		err = reader_sees(reader, slice, &verdict);
	if (err < 0)
		return err;
	if (!is_wanted || err == 0)
		return entries ? entry_reader_skip(entries, run->entry_count, run->valued) : 0;
	return question->run(question->context, reader, slice, run, &verdict, entries);
}

static void visit_slices(struct reader *reader, const struct slice *slices, uint32_t count)
{
	const struct reader_question *question = reader->question;

	for (uint32_t i = 0; question->slice && i < count; i++)
		if (reader_in_range(reader, slices[i].start_ms))
			question->slice(question->context, &slices[i]);
}

static int visit_row(struct reader *reader, sqlite3_stmt *row)
{
	struct str runs = database_column(row, 0);
	struct entry_reader entries;
	int err = codec_unpack_runs(reader->codec, runs.text, runs.size, &reader->runs);

	if (!err)
		visit_slices(reader, reader->runs.slices.items, reader->runs.slices.count);
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
	visit_slices(reader, live->slices.items, live->slices.count);
	for (uint32_t i = 0; i < live->entries.count; i++) {
		const struct running_entry *entry = &live->entries.items[i];
		const struct slice *slice = &live->slices.items[entry->slice];
		struct verdict verdict;

		if (!reader_in_range(reader, slice->start_ms))
			continue;

		int err = reader_judge(reader, (struct pair){ entry->series, entry->labels },
				       &verdict);

		if (!err && verdict.matches && !is_other_profile(reader, slice, &verdict))
			err = reader_sees(reader, slice, &verdict);
		if (err > 0)
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
	reading.is_inside = reader_in_range(reader, segment->first_ms) &&
			    reader_in_range(reader, segment->last_ms);

	int err = question->segment(question->context, reader, &reading);

	if (err == 0 && live->window_count >= segment->first_window)
		err = visit_windows(reader, segment->first_window, live->window_count);
	if (err == 0)
		err = visit_running(reader);
	if (err >= 0 && question->segment_end)
		err = question->segment_end(question->context, reader, &reading);
	return err < 0 ? err : 0;
}

static int judge_pairs(struct reader *reader)
{
	struct pairs *pairs = &reader->segment_pairs;
	int err = 0;

	reader->segment_verdicts.count = 0;
	if (!err)
		err = array_reserve(&reader->segment_verdicts, pairs->pairs.count);
	for (uint32_t i = 0; !err && i < pairs->pairs.count; i++) {
		struct verdict *verdict =
			&reader->segment_verdicts.items[reader->segment_verdicts.count++];

		err = reader_judge(reader, pairs->pairs.items[i], verdict);
	}
	return err;
}

static bool speaks_of(const struct reader_question *question, struct str name)
{
	for (size_t i = 0; i < question->name_count; i++)
		if (str_equal(question->names[i], name))
			return true;
	return question->asked->selector && selector_uses(question->asked->selector, name);
}

/* Whether a question speaks of labels that samples have, not series: by the minute then. */
static bool wants_minutes(struct reader *reader)
{
	const struct reader_question *question = reader->question;
	const struct pairs *pairs = &reader->segment_pairs;
	const struct catalog *catalog = reader->catalog;

	if (!reader->span->is_compact || question->wants_entries)
		return false;
	for (uint32_t i = 0; i < pairs->pairs.count && !question->wants_all_labels; i++) {
		/* A compact span is not written to: its catalog stands still. */
		struct str set =
			pool_get(&catalog->pools[CATALOG_LABELS], pairs->pairs.items[i].labels);
		const uint32_t *texts = (const void *)set.text;

		for (size_t k = 0; k + 1 < set.size / sizeof(texts[0]); k += 2)
			if (speaks_of(question, catalog_text(catalog, texts[k])))
				return true;
	}
	return question->wants_all_labels;
}

/*
 * What a settled segment knows without its blocks: its slices, which pairs it has, and which of
 * them had how much when, run by run: there may be a million, of 48 bytes. Valid until the codec is
 * used again.
 */
static int open_activity(struct reader *reader, const struct segment_row *segment,
			 struct activity_reader *ret)
{
	autoclean(statement) sqlite3_stmt *row = NULL;
	int err;

	reader->active_segment = 0;
	err = reader_pairs(reader, segment, &reader->segment_pairs);
	if (!err)
		err = judge_pairs(reader);
	if (!err)
		err = database_prepare(reader->database,
				       wants_minutes(reader)
					       ? "SELECT minutes FROM segment WHERE id = ?"
					       : "SELECT runs FROM segment WHERE id = ?",
				       &row);
	if (err)
		return err;
	sqlite3_bind_int64(row, 1, segment->number);
	err = database_step(row);
	if (err <= 0)
		return err ? err : -EUCLEAN;

	struct str blob = database_column(row, 0);

	err = activity_open(reader->codec, blob.text, blob.size, reader->segment_pairs.pairs.count,
			    &reader->activity, ret);
	if (!err)
		reader->active_segment = segment->number;
	return err;
}

static int visit_active_run(struct reader *reader, const struct slice *slice,
			    const struct activity_run *active, uint64_t *samples)
{
	const struct reader_question *question = reader->question;
	struct verdict *verdict = &reader->segment_verdicts.items[active->pair];
	struct run run = { .samples = active->samples,
			   .kernel_samples = active->kernel_samples,
			   .valued = active->is_valued,
			   .value = active->value,
			   .kernel_value = active->kernel_value };
	int sees;

	if (!verdict->matches || is_other_profile(reader, slice, verdict))
		return 0;
	sees = reader_sees(reader, slice, verdict);
	if (sees <= 0)
		return sees;
	*samples += run.samples;
	return question->run(question->context, reader, slice, &run, verdict, NULL);
}

static int visit_active_runs(struct reader *reader, struct activity_reader *from, uint64_t *samples)
{
	int err = 0;

	while (!err && (err = activity_next(from)) > 0) {
		const struct slice *slice = &reader->activity.slices.items[from->run.slice];

		err = 0;
		if (reader_in_range(reader, slice->start_ms))
			err = visit_active_run(reader, slice, &from->run, samples);
	}
	return err;
}

static int visit_sums(const struct reader *reader, const struct activity_sums *sums,
		      uint64_t *samples)
{
	const struct reader_question *question = reader->question;
	int err = 0;

	for (uint32_t i = 0; !err && i < sums->count; i++) {
		const struct activity_sum *sum = &sums->sums[sums->occurring[i]];
		const struct verdict *verdict = &reader->segment_verdicts.items[sums->occurring[i]];

		if (!verdict->matches)
			continue;
		*samples += sum->samples + sum->valued_samples;
		err = question->active(question->context, reader->activity.slices.items, sum,
				       verdict);
	}
	return err;
}

/* How many slices from this one on are one to the question; those beside the range are, too. */
static uint32_t find_together(const struct reader *reader, uint32_t first, bool is_inside)
{
	const struct reader_question *question = reader->question;
	const struct slice *slices = reader->activity.slices.items;
	uint32_t end = first + 1;

	while (end < reader->activity.slices.count &&
	       reader_in_range(reader, slices[end].start_ms) == is_inside)
		end++;
	return is_inside ? question->together(question->context, slices + first, end - first)
			 : end - first;
}

/* A month has more than a million runs, and points of some slices each: by pair first. */
static int visit_active_sums(struct reader *reader, struct activity_reader *from, uint64_t *samples)
{
	const struct slice *slices = reader->activity.slices.items;
	autoclean(activity_sums) struct activity_sums sums = { 0 };
	int err = activity_sums_init(&sums, reader->segment_pairs.pairs.count);
	uint32_t next = 0;

	/* Without slices there are no runs. */
	if (!err && reader->activity.slices.count == 0)
		err = activity_sum_until(from, 0, &sums);
	for (uint32_t first = 0; !err && first < reader->activity.slices.count; first = next) {
		bool is_inside = reader_in_range(reader, slices[first].start_ms);

		next = first + find_together(reader, first, is_inside);
		err = activity_sum_until(from, next, &sums);
		if (!err && is_inside)
			err = visit_sums(reader, &sums, samples);
		activity_sums_clear(&sums);
	}
	return err;
}

static int visit_active(struct reader *reader, struct activity_reader *from)
{
	const struct reader_question *question = reader->question;
	struct store_asker *asker = reader->span->is_chronicle ? question->asked->asker : NULL;
	uint64_t samples = 0;
	int err;

	visit_slices(reader, reader->activity.slices.items, reader->activity.slices.count);
	if (question->active && !reader_hides(reader) && question->asked->profile_count == 0)
		err = visit_active_sums(reader, from, &samples);
	else
		err = visit_active_runs(reader, from, &samples);
	if (asker)
		asker->rolled += samples;
	return err;
}

static int visit_activity(struct reader *reader, const struct segment_row *segment)
{
	struct activity_reader runs;
	int err = open_activity(reader, segment, &runs);

	return err ? err : visit_active(reader, &runs);
}

/* Those occurrences of an entry that are asked for. */
static int visit_occurrences(struct reader *reader, const struct entry *entry, bool is_valued)
{
	const struct reader_question *question = reader->question;
	struct occurrence occurrence;
	int more = detail_start_entry(&reader->detail, entry);

	while (!more && (more = detail_next(&reader->detail, is_valued, &occurrence)) > 0) {
		struct verdict *verdict = &reader->segment_verdicts.items[occurrence.pair];
		struct running_entry found = { .node = entry->node,
					       .count = occurrence.count,
					       .value = occurrence.value };

		more = 0;
		if (occurrence.slice >= reader->activity.slices.count)
			return -EBADMSG;

		const struct slice *slice = &reader->activity.slices.items[occurrence.slice];

		if (!verdict->matches || !reader_in_range(reader, slice->start_ms) ||
		    is_other_profile(reader, slice, verdict))
			continue;
		if (!is_valued)
			found.value = saturated_product(found.count, verdict->period);
		more = reader_sees(reader, slice, verdict);
		if (more <= 0)
			continue;
		more = question->entry(question->context, reader, slice, &found, verdict);
	}
	return more;
}

static int visit_block_detail(struct reader *reader, sqlite3_stmt *row)
{
	const struct reader_question *question = reader->question;
	bool is_valued = sqlite3_column_int(row, 2) != 0;
	uint32_t entry_count = (uint32_t)sqlite3_column_int64(row, 3);
	struct str entries_blob = database_column(row, 4);
	struct str detail_blob = database_column(row, 5);
	struct entry_reader entries;
	uint32_t service = 0;
	uint32_t type = 0;

	if (!reader_text_column(reader, row, 0, &service) ||
	    !reader_text_column(reader, row, 1, &type))
		return -EBADMSG;

	int err = question->block(question->context, reader, service, type);

	if (err)
		return err < 0 ? err : 0;
	err = codec_unpack_entries(reader->codec, entries_blob.text, entries_blob.size, &entries);
	entries.map = reader_nodes(reader, service);
	if (!err)
		err = detail_unpack(reader->detail_codec, detail_blob.text, detail_blob.size,
				    reader->segment_pairs.pairs.count, &reader->detail);
	for (uint32_t i = 0; !err && i < entry_count; i++) {
		struct entry entry;

		err = entry_reader_next(&entries, is_valued, &entry);
		if (!err)
			err = visit_occurrences(reader, &entry, is_valued);
	}
	return err;
}

int reader_visit_details(struct reader *reader, const struct segment_row *segment)
{
	autoclean(statement) sqlite3_stmt *row = NULL;
	struct activity_reader runs;
	int err = 0;

	/* Of segments that share trees some services come after the others. */
	if (reader->active_segment != segment->number)
		err = open_activity(reader, segment, &runs);
	if (!err)
		err = database_prepare(reader->database,
				       "SELECT service, type, valued, entry_count, entries, detail "
				       "FROM block WHERE segment = ? AND service BETWEEN ? AND ?",
				       &row);
	if (err)
		return err;
	sqlite3_bind_int64(row, 1, segment->number);
	sqlite3_bind_int64(row, 2, reader->services.first);
	sqlite3_bind_int64(row, 3, reader->services.last);
	while ((err = database_step(row)) > 0) {
		err = visit_block_detail(reader, row);
		if (!err)
			err = reader_check_time(reader);
		if (err)
			return err;
	}
	return err;
}

/*
 * A segment that a crash left open may be settled at any moment, and its windows are gone then:
 * until all of it is read, what we see of the file stays as it is.
 */
static int hold_still(struct reader *reader, struct segment_row *segment)
{
	autoclean(statement) sqlite3_stmt *row = NULL;
	int err = database_execute(reader->database, "BEGIN");

	if (!err)
		err = database_prepare(reader->database,
				       "SELECT pairs IS NOT NULL FROM segment WHERE id = ?", &row);
	if (err)
		return err;
	sqlite3_bind_int64(row, 1, segment->number);
	err = database_step(row);
	if (err <= 0)
		return err ? err : -EUCLEAN;
	segment->is_whole = sqlite3_column_int(row, 0) != 0;
	return 0;
}

bool reader_asks(const struct reader *reader, const struct segment_row *row)
{
	return picks_leave_segment(reader->picks, reader->span, row, reader->question->asked);
}

int reader_visit_whole(struct reader *reader, const struct segment_row *row,
		       const struct reading *reading)
{
	const struct reader_question *question = reader->question;
	int err = question->segment(question->context, reader, reading);

	if (err == 0 && !row->is_whole)
		err = visit_windows(reader, row->first_window, row->last_window);
	else if (err == 0)
		err = question->wants_entries ? reader_visit_details(reader, row)
					      : visit_activity(reader, row);
	if (err >= 0 && question->segment_end)
		err = question->segment_end(question->context, reader, reading);
	return err < 0 ? err : 0;
}

static int visit_segment(struct reader *reader, struct segment_row *row)
{
	struct reading reading = { .number = row->number, .row = row };
	bool holds_still = !row->is_whole;
	int err = 0;

	if (!reader_asks(reader, row))
		return 0;
	reading.is_inside =
		reader_in_range(reader, row->first_ms) && reader_in_range(reader, row->last_ms);
	reading.is_lasting = reading.is_inside;
	if (holds_still)
		err = hold_still(reader, row);
	if (!err)
		err = row->is_whole && reader->question->in_parts
			      ? reader_visit_in_parts(reader, row, &reading)
			      : reader_visit_whole(reader, row, &reading);
	if (holds_still)
		(void)database_execute(reader->database, "COMMIT");
	return err;
}

/* Where those that are whole and inside the range begin, and how many follow one another; 0 where
 * others stand in between. */
static uint32_t find_whole(const struct reader *reader, const struct segment_rows *segments,
			   uint32_t *ret_first)
{
	uint32_t count = 0;

	for (uint32_t i = 0; i < segments->rows.count; i++) {
		const struct segment_row *row = &segments->rows.items[i];

		if (!row->is_whole || !reader_asks(reader, row) ||
		    !reader_in_range(reader, row->first_ms) ||
		    !reader_in_range(reader, row->last_ms))
			continue;
		if (count == 0)
			*ret_first = i;
		if (i != *ret_first + count)
			return 0;
		count++;
	}
	return count;
}

static int visit_segments(struct reader *reader, struct segment_rows *segments)
{
	const struct reader_question *question = reader->question;
	uint32_t first = 0;
	uint32_t count = question->span ? find_whole(reader, segments, &first) : 0;
	uint32_t known_count = 0;
	int err = 0;

	if (count > 0) {
		bool is_sealed = !reader->live && count == segments->rows.count;

		err = question->span(question->context, reader, segments->rows.items + first, count,
				     is_sealed);
		known_count = err > 0 ? count : 0;
	}
	for (uint32_t i = 0; err >= 0 && i < segments->rows.count; i++) {
		if (i >= first && i - first < known_count)
			continue;
		err = visit_segment(reader, &segments->rows.items[i]);
		if (!err)
			err = reader_check_time(reader);
	}
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

	reader->is_part = false;
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
	if (!err && reader->span->shares_trees && reader->question->wants_entries) {
		err = reader_visit_shared(reader, &segments);
		segments.rows.count = 0;
	}
	if (!err)
		err = visit_segments(reader, &segments);
	reader->has_failed = err != 0;
	if (reader->catalog && reader->question->span_end) {
		int ended = reader->question->span_end(reader->question->context, reader);

		err = err ? err : ended;
	}
	array_done(&segments.rows);
	reader_close(reader);
	return err;
}

/* ---- chronicles ------------------------------------------------------------------------------ */

static int open_piece_activity(struct reader *reader, const struct piece *piece,
			       struct activity_reader *ret)
{
	sqlite3_stmt *row = NULL;
	int64_t from_ms = reader->question->asked->from_unix_ms;
	int err = reader_piece_row(reader, piece->number,
				   "SELECT pairs, runs FROM piece WHERE id = ?", &row);

	if (err)
		return err;

	struct str pairs = database_column(row, 0);
	struct str runs = database_column(row, 1);

	err = codec_unpack_pairs(reader->codec, pairs.text, pairs.size, &reader->segment_pairs);
	if (!err)
		err = judge_pairs(reader);
	if (!err)
		err = activity_open(reader->codec, runs.text, runs.size,
				    reader->segment_pairs.pairs.count, &reader->activity, ret);
	/* All of the piece lies in the range, though its first slice may begin before. */
	for (uint32_t i = 0; !err && i < reader->activity.slices.count; i++)
		if (reader->activity.slices.items[i].start_ms < from_ms)
			reader->activity.slices.items[i].start_ms = from_ms;
	return err;
}

static int visit_chronicle(struct reader *reader, const struct pick *picks, uint32_t count)
{
	const struct reader_question *question = reader->question;
	int err = reader_open(reader);

	if (!err && question->chronicle)
		err = question->chronicle(question->context, reader, picks, count);
	for (uint32_t i = 0; !err && !question->chronicle && i < count; i++) {
		struct activity_reader runs;

		err = open_piece_activity(reader, &picks[i].piece, &runs);
		if (!err)
			err = visit_active(reader, &runs);
		if (!err)
			err = reader_check_time(reader);
	}
	reader_close(reader);
	return err;
}

/* What an error in one span means for the question. */
static int settle(struct store *store, struct span *span, int err)
{
	if (error_is_damage(err)) {
		store_doubt(store, span, err, SPAN_DOUBT_QUESTION);
		return 0;
	}
	/* Somebody has removed it. */
	return err == -ENOENT ? 0 : err;
}

static void note_figures(const struct reader_question *question, const struct codec *codec,
			 const struct codec *detail_codec, uint32_t span_count)
{
	uint64_t pieces[2];
	uint64_t bytes[2];

	codec_figures(codec, &pieces[0], &bytes[0]);
	codec_figures(detail_codec, &pieces[1], &bytes[1]);
	asking_note(question->asked, span_count, pieces[0] + pieces[1], bytes[0] + bytes[1]);
}

static int ask_spans(struct reader *reader, const struct view *view)
{
	int err = 0;

	for (uint32_t i = 0; !err && i < view->spans.count; i++) {
		struct reader one = *reader;

		one.span = view->spans.items[i].span;
		one.live = view->spans.items[i].live;
		one.ordinal = i;
		err = reader_check_time(&one);
		if (!err)
			err = settle(reader->store, one.span, visit_span(&one));
	}
	return err;
}

static int ask_chronicle(struct reader *reader, const struct pick *picks, uint32_t count)
{
	int err = visit_chronicle(reader, picks, count);
	bool is_lost = error_is_damage(err) || err == -ENOENT;

	err = settle(reader->store, reader->span, err);
	return is_lost && reader->use == CHRONICLE_WHERE_POSSIBLE ? -ESTALE : err;
}

static int ask_chronicles(struct reader *reader, const struct view *view, uint32_t *ret_count)
{
	const struct pick *picks = view->picks.picks.items;
	uint32_t count = view->picks.picks.count;
	int err = 0;

	for (uint32_t first = 0, i = 1; !err && first < count; i++) {
		struct reader one = *reader;

		if (i < count && picks[i].chronicle == picks[first].chronicle)
			continue;
		one.span = picks[first].chronicle;
		one.ordinal = view->spans.count + first;
		(*ret_count)++;
		err = reader_check_time(&one);
		if (!err)
			err = ask_chronicle(&one, picks + first, i - first);
		first = i;
	}
	return err;
}

int reader_ask(struct store *store, const struct reader_question *question)
{
	struct chronicle_wish wish = view_wish(question->asked, question->chronicle_wish);
	struct view view = { 0 };
	autoclean(codec) struct codec *codec = NULL;
	autoclean(codec) struct codec *detail_codec = NULL;
	int err = codec_new(&codec);

	if (!err)
		err = codec_new(&detail_codec);
	if (!err) {
		err = view_open(store, question->asked, wish, &view);

		struct reader reader = { .store = store,
					 .question = question,
					 .codec = codec,
					 .detail_codec = detail_codec,
					 .use = wish.use,
					 .picks = &view.picks,
					 .rules = view.rules };

		uint32_t chronicle_count = 0;

		if (!err)
			err = ask_spans(&reader, &view);
		if (!err)
			err = ask_chronicles(&reader, &view, &chronicle_count);
		note_figures(question, codec, detail_codec, view.spans.count + chronicle_count);
		view_close(store, &view);
	}
	return err;
}
