/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>

#include <assert.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "store/store_private.h"

/*
 * What is rolled up when, and where to. The thread that compacts does it (compaction.c): it reads a
 * span and commits one piece into the chronicle that grows of its level, which nobody else writes.
 * What was done is known from the pieces, so that a crash loses at most the one that was not
 * committed, and a chronicle that was damaged is made again of what spans there still are.
 */

static int64_t start_of_month(int64_t unix_ms, int months_on)
{
	time_t seconds = (time_t)(unix_ms / CLOCK_MS_PER_S);
	struct tm tm;

	if (!gmtime_r(&seconds, &tm))
		return unix_ms;
	tm = (struct tm){ .tm_year = tm.tm_year, .tm_mon = tm.tm_mon + months_on, .tm_mday = 1 };
	return (int64_t)timegm(&tm) * CLOCK_MS_PER_S;
}

/* Of what is in it; what has pieces of both, as older programs made it, goes on with spans. */
static uint32_t level_of(const struct span *chronicle)
{
	const struct pieces *pieces = &chronicle->pieces;
	uint32_t level = CHRONICLE_SEGMENT;

	for (uint32_t i = 0; i < pieces->pieces.count; i++)
		if (pieces->pieces.items[i].level > level)
			level = pieces->pieces.items[i].level;
	return level;
}

/* The tree of its segments has as many nodes as anybody should read for one of them. */
static bool has_grown(const struct store *store, const struct span *chronicle)
{
	const struct pieces *pieces = &chronicle->pieces;

	return level_of(chronicle) == CHRONICLE_SEGMENT && pieces->pieces.count > 0 &&
	       pieces->pieces.items[pieces->pieces.count - 1].nodes >= store->nodes_together;
}

int store_resume_chronicles(struct store *store)
{
	struct span *empty = NULL;

	for (uint32_t i = 0; i < store->chronicles.spans.count; i++) {
		struct span *chronicle = store->chronicles.spans.items[i];
		struct span **growing = &store->growing[level_of(chronicle)];

		/* What an earlier program began is sealed, or what a deletion ended; a new one
		   begins. */
		if (chronicle->is_sealed || chronicle->clean_until < store_last_deletion(store) ||
		    chronicle->version != SPAN_VERSION || has_grown(store, chronicle))
			continue;
		if (chronicle->pieces.pieces.count == 0)
			empty = chronicle;
		else if (!*growing || (*growing)->from_ms <= chronicle->from_ms)
			*growing = chronicle;
	}
	/* One that was made and not written to yet may become any. */
	for (uint32_t i = 0; empty && i < CHRONICLE_LEVEL_COUNT; i++)
		if (!store->growing[i]) {
			store->growing[i] = empty;
			empty = NULL;
		}
	return store_find_rolled(store);
}

void store_end_chronicle(struct store *store, const struct span *chronicle)
{
	for (uint32_t i = 0; i < CHRONICLE_LEVEL_COUNT; i++)
		if (store->growing[i] == chronicle)
			store->growing[i] = NULL;
}

static bool is_growing(const struct store *store, const struct span *chronicle)
{
	for (uint32_t i = 0; i < CHRONICLE_LEVEL_COUNT; i++)
		if (store->growing[i] == chronicle)
			return true;
	return false;
}

static bool is_busy(const struct store *store, const struct span *chronicle)
{
	return store->compaction.is_running && store->compaction.chronicle == chronicle;
}

int store_seal_chronicles(struct store *store, bool but_the_growing)
{
	int err = 0;

	for (uint32_t i = 0; !err && i < store->chronicles.spans.count; i++) {
		struct span *chronicle = store->chronicles.spans.items[i];
		uint32_t count = store->chronicles.spans.count;

		if (chronicle->is_sealed || is_busy(store, chronicle) ||
		    (but_the_growing && is_growing(store, chronicle)))
			continue;
		store_end_chronicle(store, chronicle);
		err = store_seal(store, chronicle);
		/* It was set aside. */
		if (store->chronicles.spans.count < count) {
			i--;
			if (!err)
				err = store_find_rolled(store);
		}
	}
	return err;
}

static bool is_damaged(struct store *store, const struct span *span)
{
	pthread_mutex_lock(&store->lock);

	bool is_damaged = span->is_damaged;

	pthread_mutex_unlock(&store->lock);
	return is_damaged;
}

static int set_aside_damaged(struct store *store)
{
	for (uint32_t i = 0; i < store->chronicles.spans.count; i++) {
		struct span *chronicle = store->chronicles.spans.items[i];
		int err;

		if (!store_is_proved_damaged(store, chronicle) || is_busy(store, chronicle))
			continue;
		err = store_set_aside(store, chronicle);
		if (!err)
			err = store_find_rolled(store);
		if (err)
			return err;
		i--;
	}
	return 0;
}

int store_tend_chronicles(struct store *store, int64_t now_unix_ms)
{
	int err = set_aside_damaged(store);

	for (uint32_t i = 0; !err && i < CHRONICLE_LEVEL_COUNT; i++) {
		const struct span *chronicle = store->growing[i];

		if (chronicle && now_unix_ms >= chronicle->until_ms && !is_busy(store, chronicle) &&
		    !store->status.clock_jumped)
			store->growing[i] = NULL;
	}
	return err ? err : store_seal_chronicles(store, true);
}

/* Those of the open span are the writer's own to look at. */
static const struct segment_rows *rows_of(const struct span *span)
{
	return span->live ? &span->live->segments : &span->segments;
}

static bool find_segment(const struct store *store, const struct span *span,
			 struct segment_row *ret_row)
{
	const struct segment_rows *segments = rows_of(span);

	for (uint32_t i = 0; i < segments->rows.count; i++) {
		const struct segment_row *row = &segments->rows.items[i];

		if (row->is_whole && !store_is_rolled(store, span->identity, row->number)) {
			*ret_row = *row;
			return true;
		}
	}
	return false;
}

bool store_find_to_roll(struct store *store, bool segments, struct span **ret,
			struct segment_row *ret_row)
{
	bool found = false;

	*ret_row = (struct segment_row){ 0 };
	pthread_mutex_lock(&store->lock);
	for (uint32_t i = 0; !found && i < store->spans.spans.count; i++) {
		struct span *span = store->spans.spans.items[i];

		/* One that is full and not sealed yet waits for its readers to go. */
		if (span->is_damaged || span->cant_roll || store_may_hide(store, span) ||
		    (!span->live && !span->is_sealed))
			continue;
		if (segments)
			found = find_segment(store, span, ret_row);
		else
			found = span->is_compact && span->end_ms &&
				!store_is_rolled(store, span->identity, 0);
		if (found) {
			store_span_hold(span);
			*ret = span;
		}
	}
	pthread_mutex_unlock(&store->lock);
	return found;
}

int store_need_chronicle(struct store *store, uint32_t level, int64_t now_unix_ms)
{
	struct span_range range = { .from_ms = start_of_month(now_unix_ms, 0),
				    .until_ms = start_of_month(now_unix_ms, 1),
				    .is_chronicle = true,
				    .clean_until = store_last_deletion(store) };
	struct span *chronicle = NULL;
	int err;

	/* What is doubted is not added to. */
	if (store->growing[level] && is_damaged(store, store->growing[level]))
		store_end_chronicle(store, store->growing[level]);
	if (store->growing[level])
		return 0;
	err = span_create(store->folder, range, &store->next_file, &chronicle);
	store_note_write(store, err);
	if (err)
		return err;
	pthread_mutex_lock(&store->lock);
	err = store_list_span(store, chronicle, NULL);
	pthread_mutex_unlock(&store->lock);
	if (err) {
		(void)unlink(chronicle->path);
		span_free(chronicle);
		return err;
	}
	store->growing[level] = chronicle;
	return 0;
}

int store_rolled(struct store *store, struct compaction *done, int err)
{
	struct span *chronicle = done->chronicle;

	assert(chronicle->is_chronicle);
	done->chronicle = NULL;
	if (!err) {
		pthread_mutex_lock(&store->lock);
		err = span_add_piece(chronicle, &done->piece, &done->labels);
		pthread_mutex_unlock(&store->lock);
		if (!err)
			err = store_note_rolled(store, &done->piece);
		if (has_grown(store, chronicle))
			store_end_chronicle(store, chronicle);
		return err;
	}
	if (error_is_damage(err) && done->is_about_chronicle) {
		store_doubt(store, chronicle, err, SPAN_DOUBT_QUESTION);
		return 0;
	}
	if (err == -E2BIG || err == -EFBIG) {
		/* Alone it does not fit either. */
		if (chronicle->pieces.pieces.count == 0)
			done->span->cant_roll = true;
		else
			store_end_chronicle(store, chronicle);
	} else if (err != -ENOSPC && err != -ECANCELED && err != -EBUSY && err != -ENOMEM &&
		   !error_is_damage(err)) {
		done->span->cant_roll = true;
	}
	return err;
}
