/* SPDX-License-Identifier: Apache-2.0 */
#include "store/scrub.h"

#include <errno.h>
#include <stdio.h>
#include <time.h>

#include "base/clock.h"
#include "store/columns.h"
#include "store/store_private.h"

enum { STEPS_BETWEEN_LOOKS = 10000, TABLE_NAME_SIZE = 64 };

#define SCRUB_EVERY_MS INT64_C(2592000000) /* 30 days */

static int asks_to_stop(void *context)
{
	return *(const _Atomic bool *)context;
}

static int check_pages(sqlite3 *database, char what[static SCRUB_TEXT_SIZE])
{
	autoclean(statement) sqlite3_stmt *check = NULL;
	int err = database_prepare(database, "PRAGMA integrity_check(1)", &check);

	if (!err)
		err = database_step(check);
	if (err < 0)
		return err;

	struct str said = err == 1 ? database_column(check, 0) : STR("nothing");

	if (str_equal(said, STR("ok")))
		return 0;
	snprintf(what, SCRUB_TEXT_SIZE, "%.*s", (int)(said.size < 100 ? said.size : 100),
		 said.text);
	return -EUCLEAN;
}

static int check_row(sqlite3_stmt *row, struct codec *codec, const char *table,
		     char what[static SCRUB_TEXT_SIZE])
{
	for (int i = 0; i < sqlite3_column_count(row); i++) {
		struct str blob;
		int err = 0;

		if (sqlite3_column_type(row, i) != SQLITE_BLOB)
			continue;
		blob = database_column(row, i);
		/* Dictionaries hold plain bytes. */
		if (codec_knows(blob.text, blob.size))
			err = codec_check(codec, blob.text, blob.size);
		if (err == -EBADMSG)
			snprintf(what, SCRUB_TEXT_SIZE, "%s of a row of %s does not unpack",
				 sqlite3_column_name(row, i), table);
		if (err)
			return err;
	}
	return 0;
}

static int check_table(sqlite3 *database, const char *table, struct codec *codec,
		       char what[static SCRUB_TEXT_SIZE])
{
	autoclean(statement) sqlite3_stmt *row = NULL;
	char sql[TABLE_NAME_SIZE + 32];
	int err;

	snprintf(sql, sizeof(sql), "SELECT * FROM \"%s\"", table);
	err = database_prepare(database, sql, &row);
	while (!err && (err = database_step(row)) == 1)
		err = check_row(row, codec, table, what);
	return err;
}

int scrub_file(sqlite3 *database, const _Atomic bool *stop, char what[static SCRUB_TEXT_SIZE])
{
	autoclean(statement) sqlite3_stmt *tables = NULL;
	autoclean(codec) struct codec *codec = NULL;
	int err = codec_new(&codec);

	what[0] = '\0';
	if (stop)
		sqlite3_progress_handler(database, STEPS_BETWEEN_LOOKS, asks_to_stop, (void *)stop);
	if (!err)
		err = check_pages(database, what);
	if (!err)
		err = database_prepare(
			database, "SELECT name FROM sqlite_master WHERE type = 'table'", &tables);
	while (!err && (err = database_step(tables)) == 1) {
		struct str name = database_column(tables, 0);
		char table[TABLE_NAME_SIZE];

		snprintf(table, sizeof(table), "%.*s", STR_PRINT(name));
		err = check_table(database, table, codec, what);
	}
	sqlite3_progress_handler(database, 0, NULL, NULL);
	if (error_is_damage(err) && !what[0])
		snprintf(what, SCRUB_TEXT_SIZE, "%s", store_damage_text(err));
	/* SQLite calls it an interruption, which for a question is a time-out. */
	return err == -ETIMEDOUT ? -ECANCELED : err;
}

static struct span *pick_of(const struct spans *spans, int64_t steady_ms, struct span *found)
{
	for (uint32_t i = 0; i < spans->spans.count; i++) {
		struct span *span = spans->spans.items[i];

		if (span->doubt)
			return span;
		if (span->is_damaged || (!span->is_sealed && !span->wants_check) ||
		    (span->checked_ms && steady_ms - span->checked_ms < SCRUB_EVERY_MS))
			continue;
		/* It goes on being written, and what a crash did to it should be known soon. */
		if (!span->is_sealed)
			return span;
		if (!found || span->checked_ms < found->checked_ms)
			found = span;
	}
	return found;
}

static bool has_doubted(const struct spans *spans)
{
	for (uint32_t i = 0; i < spans->spans.count; i++)
		if (spans->spans.items[i]->doubt)
			return true;
	return false;
}

/* The one whose turn it is, held; NULL when none is due. */
static struct span *pick(struct store *store, int64_t steady_ms)
{
	struct span *found = NULL;

	pthread_mutex_lock(&store->lock);
	found = pick_of(&store->spans, steady_ms, NULL);
	if (!found || !found->doubt)
		found = pick_of(&store->chronicles, steady_ms, found);
	if (found)
		store_span_hold(found);
	pthread_mutex_unlock(&store->lock);
	return found;
}

void store_scrub_rest(struct store *store, unsigned seconds, const _Atomic bool *stop)
{
	struct timespec until;
	int err = 0;

	(void)clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec += seconds;
	pthread_mutex_lock(&store->lock);
	while (!*stop && !store->has_doubts && err != ETIMEDOUT)
		err = pthread_cond_timedwait(&store->doubted, &store->lock, &until);
	store->has_doubts = false;
	pthread_mutex_unlock(&store->lock);
}

void store_wake_scrub(struct store *store)
{
	pthread_mutex_lock(&store->lock);
	pthread_cond_signal(&store->doubted);
	pthread_mutex_unlock(&store->lock);
}

int store_scrub(struct store *store, const _Atomic bool *stop)
{
	int64_t steady_ms = (int64_t)(clock_monotonic_ns() / CLOCK_NS_PER_MS);
	struct span *span = pick(store, steady_ms);
	char what[SCRUB_TEXT_SIZE];
	sqlite3 *database = NULL;
	int err;

	if (!span)
		return 0;
	err = connections_acquire(&span->connections, &database);
	if (!err) {
		err = scrub_file(database, stop, what);
		connections_release(&span->connections, database);
	}
	if (error_is_damage(err))
		store_note_damage(store, span, what);
	pthread_mutex_lock(&store->lock);
	if (err != -ECANCELED) {
		/* What can't be read now is not asked for in a loop. */
		span->checked_ms = steady_ms > 0 ? steady_ms : 1;
		span->wants_check = false;
		store->status.checked_spans += !err;
		if (!err && span->doubt)
			store_believe(span);
	}
	/* One that could not be read waits for its turn. */
	if (!err || error_is_damage(err))
		store->has_doubts = has_doubted(&store->spans) || has_doubted(&store->chronicles);
	pthread_mutex_unlock(&store->lock);
	store_span_release(store, span);
	return err && !error_is_damage(err) ? err : 1;
}
