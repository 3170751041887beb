/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "store/settle.h"
#include "store/store_private.h"

/*
 * What a span writes: a row of window for each commit, and trees and blocks when a segment ends.
 * Each is one transaction; after an error it is as if it had not been tried, and may be tried
 * again.
 */

static int begin(struct span *span)
{
	/* One that could not be taken back for want of memory is open still. */
	int err = sqlite3_get_autocommit(span->writer) ? 0
						       : database_execute(span->writer, "ROLLBACK");

	return err ? err : database_execute(span->writer, "BEGIN IMMEDIATE");
}

/* Commits, or takes everything back when err is set already. */
static int end(struct span *span, int err)
{
	if (!err)
		err = database_execute(span->writer, "COMMIT");
	if (err && !sqlite3_get_autocommit(span->writer)) {
		/* It fails when SQLite has rolled back by itself, which is as good. */
		(void)database_execute(span->writer, "ROLLBACK");
	}
	return err;
}

/* Packed blobs live here until the row is written. */
struct blobs {
	struct buf runs;
	struct buf entries;
	struct buf nodes;
	struct buf locations;
	struct buf cells;
};

static void blobs_cleanup(struct blobs *blobs)
{
	buf_done(&blobs->runs);
	buf_done(&blobs->entries);
	buf_done(&blobs->nodes);
	buf_done(&blobs->locations);
	buf_done(&blobs->cells);
}

static void bind_blob(sqlite3_stmt *statement, int place, const struct buf *blob)
{
	database_bind_bytes(statement, place, blob->bytes, blob->size);
}

static int write_window(struct span *span)
{
	autoclean(blobs) struct blobs blobs = {
		.runs = BUF(COLUMNS_PLAIN_SIZE_MAX),
		.entries = BUF(COLUMNS_PLAIN_SIZE_MAX),
		.nodes = BUF(COLUMNS_PLAIN_SIZE_MAX),
		.locations = BUF(COLUMNS_PLAIN_SIZE_MAX),
		.cells = BUF(COLUMNS_PLAIN_SIZE_MAX),
	};
	struct live *live = span->live;
	struct window_columns *columns = &live->columns;
	const struct segment *segment = &live->segment;
	struct codec *codec = span->codec;
	sqlite3_stmt *insert = span->insert_window;
	int err = live_lay_out(live, columns);

	if (!err)
		err = codec_pack_runs(codec, &columns->runs, &blobs.runs);
	if (!err)
		err = codec_pack_entries(codec, &columns->entries, &blobs.entries);
	if (!err)
		err = codec_pack_nodes(codec, &segment->tree, segment->nodes_written, &blobs.nodes);
	if (!err)
		err = codec_pack_locations(codec, &segment->tree, segment->locations_written,
					   &blobs.locations);
	if (!err && columns->cells.error)
		err = columns->cells.error;
	if (!err && columns->cells.size)
		err = codec_pack_bytes(codec, columns->cells.bytes, columns->cells.size,
				       &blobs.cells);
	if (err)
		return err;

	sqlite3_bind_int64(insert, 1, live->window_count + 1);
	sqlite3_bind_int64(insert, 2, segment->number);
	sqlite3_bind_int64(insert, 3, columns->first_ms);
	sqlite3_bind_int64(insert, 4, columns->last_ms);
	sqlite3_bind_int64(insert, 5, columns->end_ms);
	sqlite3_bind_int64(insert, 6, (int64_t)columns->samples);
	bind_blob(insert, 7, &blobs.runs);
	bind_blob(insert, 8, &blobs.entries);
	bind_blob(insert, 9, &blobs.nodes);
	bind_blob(insert, 10, &blobs.locations);
	if (columns->cells.size)
		bind_blob(insert, 11, &blobs.cells);
	return database_run(insert);
}

static int write_sources(struct span *span, const struct sources *sources)
{
	autoclean(statement) sqlite3_stmt *insert = NULL;
	int err = 0;

	for (uint32_t i = 0; !err && i < sources->sources.count; i++) {
		const struct source *source = &sources->sources.items[i];

		if (source->appended <= source->committed || source->is_passing)
			continue;
		if (!insert)
			err = database_prepare(span->writer,
					       "INSERT OR REPLACE INTO source VALUES (?, ?)",
					       &insert);
		if (err)
			break;
		sqlite3_bind_int64(insert, 1, (int64_t)source->source);
		sqlite3_bind_int64(insert, 2, (int64_t)source->appended);
		err = database_run(insert);
	}
	return err;
}

static int write_gaps(struct span *span)
{
	autoclean(statement) sqlite3_stmt *insert = NULL;
	int err = 0;

	if (span->gaps_written == span->gaps.gaps.count)
		return 0;
	err = database_prepare(
		span->writer, "INSERT INTO gap (from_ms, to_ms, reason) VALUES (?, ?, ?)", &insert);
	for (uint32_t i = span->gaps_written; !err && i < span->gaps.gaps.count; i++) {
		const struct store_gap *gap = &span->gaps.gaps.items[i];

		sqlite3_bind_int64(insert, 1, gap->from_unix_ms);
		sqlite3_bind_int64(insert, 2, gap->to_unix_ms);
		sqlite3_bind_int64(insert, 3, gap->reason);
		err = database_run(insert);
	}
	return err;
}

/*
 * Copies the log into the file when it has grown: only the writer does, and not after each commit,
 * since that would sync three times instead of once. What it can't do now it does the next time.
 */
static void tend_log(struct span *span)
{
	if (span->log_page_count < SPAN_LOG_PAGE_COUNT)
		return;
	(void)sqlite3_wal_checkpoint_v2(span->writer, NULL, SQLITE_CHECKPOINT_PASSIVE, NULL, NULL);
}

int span_commit(struct span *span, const struct sources *sources)
{
	assert(span->live && live_is_running(span->live));

	int err = begin(span);

	if (err)
		return err;
	err = catalog_write(&span->live->catalog, span->live->written, span->writer);
	if (!err)
		err = write_window(span);
	if (!err)
		err = write_sources(span, sources);
	if (!err)
		err = write_gaps(span);
	err = end(span, err);
	if (err)
		return err;

	span->gaps_written = span->gaps.gaps.count;
	live_committed(span->live);
	tend_log(span);
	return 0;
}

/* ---- the end of a segment -------------------------------------------------------------------- */

/* What is too large to be settled stays as it is: its windows answer, only more slowly. */
static int keep_unsettled(struct span *span, const struct segment_row *row)
{
	autoclean(statement) sqlite3_stmt *insert = NULL;
	int err = database_prepare(
		span->writer,
		"INSERT OR IGNORE INTO segment (id, first_window, last_window, first_ms, last_ms, "
		"end_ms, samples) VALUES (?, ?, ?, ?, ?, ?, ?)",
		&insert);

	if (err)
		return err;
	sqlite3_bind_int64(insert, 1, row->number);
	sqlite3_bind_int64(insert, 2, row->first_window);
	sqlite3_bind_int64(insert, 3, row->last_window);
	sqlite3_bind_int64(insert, 4, row->first_ms);
	sqlite3_bind_int64(insert, 5, row->last_ms);
	sqlite3_bind_int64(insert, 6, row->end_ms);
	sqlite3_bind_int64(insert, 7, (int64_t)row->samples);
	return database_run(insert);
}

/*
 * One transaction. row->is_whole tells what became of it. The lock is held on return when there is
 * no error: the windows go and the list changes in one moment for whoever asks.
 */
static int settle(struct span *span, struct segment_row *row, const struct segment *live)
{
	uint64_t memory = settle_memory(row, live);
	int err = begin(span);

	if (err)
		return err;
	if (span->gate)
		gate_occupy(span->gate, memory);
	err = settle_segment(span, row, live);
	codec_rest(span->codec);
	if (span->gate)
		gate_vacate(span->gate, memory);
	row->is_whole = !err;
	if (err == -EFBIG) {
		(void)end(span, err);
		err = begin(span);
		if (!err)
			err = keep_unsettled(span, row);
	}
	pthread_rwlock_wrlock(&span->live->lock);
	err = end(span, err);
	if (err)
		pthread_rwlock_unlock(&span->live->lock);
	return err;
}

int span_finish_segment(struct span *span)
{
	struct live *live = span->live;
	struct segment *segment = &live->segment;

	assert(live && !live_is_running(live));
	if (segment->number == 0)
		return 0;

	struct segment_row row = { .number = segment->number,
				   .first_window = segment->first_window,
				   .last_window = live->window_count,
				   .first_ms = segment->first_ms,
				   .last_ms = segment->last_ms,
				   .end_ms = segment->end_ms,
				   .samples = segment->samples };
	bool is_empty = row.last_window < row.first_window;
	int err = 0;

	/* The list may move, and questions copy it. */
	pthread_rwlock_wrlock(&live->lock);
	err = array_reserve(&live->segments.rows, 1);
	pthread_rwlock_unlock(&live->lock);
	if (err)
		return err;
	/* When it can't be settled now, as the disk is full, it is tried again before anything is
	 * appended. */
	segment_end(segment);
	if (is_empty)
		pthread_rwlock_wrlock(&live->lock);
	else
		err = settle(span, &row, segment);
	if (err)
		return err;
	if (!is_empty)
		live->segments.rows.items[live->segments.rows.count++] = row;
	live->expected = segment_size(segment);
	segment_done(segment);
	pthread_rwlock_unlock(&live->lock);
	tend_log(span);
	return 0;
}

int span_settle_left(struct span *span)
{
	struct segment_rows *segments = &span->live->segments;

	for (uint32_t i = 0; i < segments->rows.count; i++) {
		struct segment_row row = segments->rows.items[i];
		int err = 0;

		if (row.is_whole || row.is_too_large)
			continue;
		err = settle(span, &row, NULL);
		if (err)
			return err;
		row.is_too_large = !row.is_whole;
		segments->rows.items[i] = row;
		pthread_rwlock_unlock(&span->live->lock);
		tend_log(span);
		return 1;
	}
	return 0;
}
