/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "store/growth.h"
#include "store/reader.h"

/* What questions read of chronicles. */

static int check_time(void *context)
{
	return reader_check_time(context);
}

int reader_chronicle_tree(struct reader *reader, int64_t scope, struct cached **ret)
{
	/* Not 0, which stands for the words. */
	struct cache_key key = { .span = reader->span->id,
				 .segment = reader->generation,
				 .service = (uint32_t)(scope - CHRONICLE_HOST) + 1 };
	autoclean(cached) struct cached *cached = cache_find(reader->store->cache, key);
	int err = 0;

	assert(reader->span->is_chronicle);
	if (!cached) {
		cached = cached_new();
		if (!cached)
			return -ENOMEM;
		err = tree_init(&cached->tree);
		if (!err)
			err = growth_read_tree(reader->database, reader->codec, scope,
					       catalog_count(reader->catalog, CATALOG_BUILD),
					       &cached->tree, check_time, reader);
		if (err)
			return err;
		tree_trim(&cached->tree);
		cached->size = tree_memory(&cached->tree);
		cache_add(reader->store->cache, key, cached);
	}
	*ret = TAKE(cached);
	return 0;
}

int reader_chronicle_part(struct reader *reader, int64_t scope, struct node_map *marked,
			  struct cached **ret)
{
	autoclean(cached) struct cached *cached = cached_new();
	int err = cached ? tree_init(&cached->tree) : -ENOMEM;

	if (!err)
		err = growth_read_marked(reader->database, reader->codec, scope,
					 catalog_count(reader->catalog, CATALOG_BUILD), marked,
					 &cached->tree, check_time, reader);
	if (err)
		return err;
	*ret = TAKE(cached);
	return 0;
}

int reader_piece_row(struct reader *reader, uint32_t piece, const char *sql, sqlite3_stmt **ret)
{
	int err = 0;

	if (!reader->piece_row)
		err = database_prepare(reader->database, sql, &reader->piece_row);
	if (err)
		return err;
	assert(strcmp(sqlite3_sql(reader->piece_row), sql) == 0);
	sqlite3_reset(reader->piece_row);
	sqlite3_bind_int64(reader->piece_row, 1, piece);
	err = database_step(reader->piece_row);
	if (err <= 0)
		return err ? err : -EUCLEAN;
	*ret = reader->piece_row;
	return 0;
}

int reader_piece_pairs(struct reader *reader, uint32_t piece, struct pairs *ret)
{
	sqlite3_stmt *row = NULL;
	struct str blob;
	int err = reader_piece_row(reader, piece, "SELECT pairs FROM piece WHERE id = ?", &row);

	if (err)
		return err;
	blob = database_column(row, 0);
	return codec_unpack_pairs(reader->codec, blob.text, blob.size, ret);
}

int reader_chronicle_services(struct reader *reader,
			      int (*visit)(void *context, struct reader *reader, uint32_t service))
{
	autoclean(statement) sqlite3_stmt *row = NULL;
	int err = database_prepare(reader->database,
				   "SELECT DISTINCT scope FROM growth WHERE scope >= 0", &row);

	while (!err && (err = database_step(row)) > 0) {
		uint32_t service = 0;

		if (!reader_text_column(reader, row, 0, &service))
			return -EBADMSG;
		err = visit(reader->question->context, reader, service);
	}
	return err;
}

int reader_lists(struct reader *reader, uint32_t piece, int64_t scope, reader_block *visit)
{
	autoclean(statement) sqlite3_stmt *row = NULL;
	int err = database_prepare(reader->database,
				   "SELECT type, period, valued, entry_count, entries FROM list "
				   "WHERE piece = ? AND scope = ?",
				   &row);

	if (err)
		return err;
	sqlite3_bind_int64(row, 1, piece);
	sqlite3_bind_int64(row, 2, scope);
	while ((err = database_step(row)) > 0) {
		struct block block = { .period = (uint64_t)sqlite3_column_int64(row, 1),
				       .is_valued = sqlite3_column_int(row, 2) != 0,
				       .entry_count = (uint32_t)sqlite3_column_int64(row, 3) };
		struct str blob = database_column(row, 4);

		if (!reader_text_column(reader, row, 0, &block.type))
			return -EBADMSG;
		err = codec_unpack_entries(reader->codec, blob.text, blob.size, &block.entries);
		if (!err)
			err = visit(reader->question->context, reader, &block);
		if (!err)
			err = reader_check_time(reader);
		if (err)
			return err;
	}
	return err;
}
