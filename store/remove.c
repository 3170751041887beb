/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>

#include "store/remove.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "store/activity.h"
#include "store/anew.h"
#include "store/catalog.h"
#include "store/database.h"
#include "store/deletions.h"
#include "store/detail.h"
#include "store/span.h"
#include "store/store_private.h"

enum {
	LEVEL = 9,
	TEXT_SIZE = 32,
};

struct removing {
	const struct remove_options *options;
	struct removal *removal;
	sqlite3 *from, *to;
	struct catalog words;
	struct hiding hiding;
	uint64_t *hidden; /* by series: the rules that name it */
	bool *used;	  /* by text: something that stays speaks of it */
	struct codec *codec, *detail_codec, *packer;
	bool has_any;	      /* a segment or piece is left */
	bool is_touched_file; /* a chronicle, in which something goes */

	/* of the segment that is read */
	struct pairs pairs;
	bool *pair_stays;
	bool is_touched, is_left;
	struct activity activity, minutes;
	struct detail_reader detail;
	ARRAY(struct occurrence) occurrences;
	struct buf blobs[3];
	struct tree host; /* of a chronicle */
	uint32_t *roots;  /* by node of it: the service */
};

static void removing_cleanup(struct removing *removing)
{
	database_close(removing->from);
	database_close(removing->to);
	catalog_done(&removing->words);
	hiding_done(&removing->hiding);
	free(removing->hidden);
	free(removing->used);
	codec_free(removing->codec);
	codec_free(removing->detail_codec);
	codec_free(removing->packer);
	array_done(&removing->pairs.pairs);
	free(removing->pair_stays);
	activity_done(&removing->activity);
	activity_done(&removing->minutes);
	detail_reader_done(&removing->detail);
	array_done(&removing->occurrences);
	tree_done(&removing->host);
	free(removing->roots);
	for (unsigned i = 0; i < 3; i++)
		buf_done(&removing->blobs[i]);
}

/* ---- words ----------------------------------------------------------------------------------- */

static void use_text(struct removing *removing, uint32_t text)
{
	if (text < catalog_count(&removing->words, CATALOG_TEXT))
		removing->used[text] = true;
}

static void use_labels(struct removing *removing, uint32_t labels)
{
	struct str set = pool_get(&removing->words.pools[CATALOG_LABELS], labels);
	const uint32_t *texts = (const void *)set.text;

	for (size_t i = 0; i < set.size / sizeof(texts[0]); i++)
		use_text(removing, texts[i]);
}

/* Whatever is not a label's. */
static void use_others(struct removing *removing)
{
	const struct catalog *words = &removing->words;

	for (uint32_t i = 0; i < catalog_count(words, CATALOG_SERIES); i++)
		use_text(removing, catalog_series(words, i).type);
	for (uint32_t i = 0; i < catalog_count(words, CATALOG_BUILD); i++)
		use_text(removing, catalog_build(words, i).path);
	for (uint32_t i = 0; i < catalog_count(words, CATALOG_NAME); i++) {
		size_t count = 0;
		const struct catalog_line *lines = catalog_lines(words, i, &count);

		for (size_t k = 0; k < count; k++) {
			use_text(removing, lines[k].function);
			use_text(removing, lines[k].file);
		}
	}
}

static int read_words(struct removing *removing)
{
	const struct span *span = removing->options->from;
	uint32_t count;
	int err = catalog_init(&removing->words);

	if (!err)
		err = catalog_read_numbered(&removing->words, removing->from);
	if (!err)
		err = hiding_find(removing->options->rules, span->clean_until, span->first_ms,
				  span->last_ms, &removing->words, &removing->hiding);
	if (err)
		return err;
	count = catalog_count(&removing->words, CATALOG_SERIES);
	removing->hidden = calloc(count, sizeof(removing->hidden[0]));
	removing->used =
		calloc(catalog_count(&removing->words, CATALOG_TEXT), sizeof(removing->used[0]));
	if (!removing->hidden || !removing->used)
		return -ENOMEM;
	removing->used[0] = true;
	for (uint32_t i = 1; i < count; i++)
		removing->hidden[i] = hiding_of_series(&removing->hiding, &removing->words, i);
	use_others(removing);
	return 0;
}

/* Numbers stay; a text that only deleted series had says nothing any more. */
static int write_words(struct removing *removing)
{
	struct catalog words = { 0 };
	uint32_t written[CATALOG_KIND_COUNT];
	int err = catalog_init(&words);

	for (int kind = 0; kind < CATALOG_KIND_COUNT; kind++) {
		const struct pool *pool = &removing->words.pools[kind];

		written[kind] = 1;
		for (uint32_t i = 1; !err && i < pool_count(pool); i++) {
			struct str item = pool_get(pool, i);
			char text[TEXT_SIZE];
			int64_t number;

			if (kind == CATALOG_TEXT && !removing->used[i]) {
				snprintf(text, sizeof(text),
					 "\x01"
					 "deleted %" PRIu32,
					 i);
				item = str_from(text);
			}
			number = catalog_add(&words, (enum catalog_kind)kind, item.text, item.size);
			if (number != i)
				err = number < 0 ? (int)number : -EBADMSG;
		}
	}
	if (!err)
		err = catalog_write(&words, written, removing->to);
	catalog_done(&words);
	return err;
}

/* ---- segments -------------------------------------------------------------------------------- */

static bool is_hidden(const struct removing *removing, uint32_t pair, const struct slice *slice)
{
	uint64_t rules = removing->hidden[removing->pairs.pairs.items[pair].series];

	if (removing->options->from->is_chronicle)
		return rules &&
		       hiding_some_of(&removing->hiding, rules, slice->start_ms, slice->end_ms);
	return rules && hiding_at(&removing->hiding, rules, slice->start_ms);
}

/* Keeps the runs that stay; returns the samples of the others. */
static uint64_t filter_runs(struct removing *removing, struct activity *activity)
{
	uint64_t removed = 0;
	uint32_t kept = 0;

	for (uint32_t i = 0; i < activity->runs.count; i++) {
		struct activity_run run = activity->runs.items[i];

		if (is_hidden(removing, run.pair, &activity->slices.items[run.slice])) {
			removed += run.samples;
			removing->is_touched = true;
			continue;
		}
		removing->pair_stays[run.pair] = true;
		removing->is_left = true;
		activity->runs.items[kept++] = run;
	}
	activity->runs.count = kept;
	return removed;
}

/* A pair that is gone becomes another that is there, so that the others keep their numbers. */
static void fill_pairs(struct removing *removing)
{
	uint32_t count = removing->pairs.pairs.count;
	struct pair *pairs = removing->pairs.pairs.items;
	uint32_t first = 0;

	while (first < count && !removing->pair_stays[first])
		first++;
	for (uint32_t i = 0; i < count && first < count; i++) {
		if (!removing->pair_stays[i] && removing->hidden[pairs[i].series])
			pairs[i] = pairs[first];
		use_labels(removing, catalog_series(&removing->words, pairs[i].series).labels);
		use_labels(removing, pairs[i].labels);
	}
}

static int check_pairs(const struct removing *removing)
{
	for (uint32_t i = 0; i < removing->pairs.pairs.count; i++) {
		struct pair pair = removing->pairs.pairs.items[i];

		if (pair.series == 0 ||
		    pair.series >= catalog_count(&removing->words, CATALOG_SERIES) ||
		    pair.labels >= catalog_count(&removing->words, CATALOG_LABELS))
			return -EBADMSG;
	}
	return 0;
}

static int read_segment(struct removing *removing, sqlite3_stmt *row, uint64_t *ret_removed)
{
	struct str pairs = database_column(row, 7);
	struct str runs = database_column(row, 8);
	struct str minutes = database_column(row, 9);
	uint32_t count;
	int err;

	if (sqlite3_column_type(row, 7) == SQLITE_NULL)
		return -EOPNOTSUPP;
	err = codec_unpack_pairs(removing->codec, pairs.text, pairs.size, &removing->pairs);
	if (!err)
		err = check_pairs(removing);
	count = removing->pairs.pairs.count;
	if (!err)
		err = activity_unpack(removing->codec, runs.text, runs.size, count,
				      &removing->activity);
	removing->minutes.runs.count = removing->minutes.slices.count = 0;
	if (!err && minutes.size)
		err = activity_unpack(removing->codec, minutes.text, minutes.size, count,
				      &removing->minutes);
	if (err)
		return err;
	free(removing->pair_stays);
	removing->pair_stays = calloc((size_t)count + 1, sizeof(bool));
	if (!removing->pair_stays)
		return -ENOMEM;
	removing->is_touched = removing->is_left = false;
	*ret_removed = filter_runs(removing, &removing->activity);
	(void)filter_runs(removing, &removing->minutes);
	return 0;
}

static int write_segment(struct removing *removing, sqlite3_stmt *row, uint64_t removed,
			 sqlite3_stmt *insert)
{
	struct pair *old = removing->pairs.pairs.items;
	struct buf *blobs = removing->blobs;
	int64_t samples = sqlite3_column_int64(row, 6);
	int err = 0;

	for (int i = 0; i < 10; i++)
		sqlite3_bind_value(insert, i + 1, sqlite3_column_value(row, i));
	if (removing->is_touched) {
		/* Blocks are read by the pairs as they were. */
		struct pairs kept = { 0 };

		if (array_reserve(&kept.pairs, removing->pairs.pairs.count) < 0)
			return -ENOMEM;
		memcpy(kept.pairs.items, old, removing->pairs.pairs.count * sizeof(old[0]));
		fill_pairs(removing);
		err = codec_pack_pairs(removing->packer, removing->pairs.pairs.items,
				       removing->pairs.pairs.count, &blobs[0]);
		memcpy(old, kept.pairs.items, removing->pairs.pairs.count * sizeof(old[0]));
		array_done(&kept.pairs);
		if (!err)
			err = activity_pack(removing->packer, &removing->activity, &blobs[1]);
		if (!err && removing->minutes.slices.count)
			err = activity_pack(removing->packer, &removing->minutes, &blobs[2]);
		sqlite3_bind_int64(insert, 7,
				   (uint64_t)samples > removed ? samples - (int64_t)removed : 0);
		database_bind_bytes(insert, 8, blobs[0].bytes, blobs[0].size);
		database_bind_bytes(insert, 9, blobs[1].bytes, blobs[1].size);
		if (removing->minutes.slices.count)
			database_bind_bytes(insert, 10, blobs[2].bytes, blobs[2].size);
	} else {
		fill_pairs(removing);
	}
	return err ? err : database_run(insert);
}

/* ---- blocks ---------------------------------------------------------------------------------- */

/* What of an entry stays, in occurrences. */
static int filter_entry(struct removing *removing, bool is_valued, struct entry *entry)
{
	struct occurrence occurrence;
	int more = detail_start_entry(&removing->detail, entry);

	removing->occurrences.count = 0;
	entry->count = entry->value = 0;
	while (!more && (more = detail_next(&removing->detail, is_valued, &occurrence)) > 0) {
		more = 0;
		if (occurrence.slice >= removing->activity.slices.count)
			return -EBADMSG;
		if (is_hidden(removing, occurrence.pair,
			      &removing->activity.slices.items[occurrence.slice]))
			continue;
		if (array_reserve(&removing->occurrences, 1) < 0)
			return -ENOMEM;
		removing->occurrences.items[removing->occurrences.count++] = occurrence;
		entry->count += occurrence.count;
		entry->value += occurrence.value;
	}
	return more;
}

/* *ret_samples, *ret_count: what stays, with entries and detail in the blobs. */
static int filter_block(struct removing *removing, sqlite3_stmt *row, uint64_t *ret_samples,
			uint32_t *ret_count)
{
	bool is_valued = sqlite3_column_int(row, 5) != 0;
	int64_t count = sqlite3_column_int64(row, 7);
	struct str entries_blob = database_column(row, 8);
	struct str detail_blob = database_column(row, 9);
	struct entry_reader entries;
	struct entry_writer writer;
	struct detail_writer detail;
	int err = detail_writer_init(&detail, removing->pairs.pairs.count);

	entry_writer_init(&writer);
	*ret_samples = *ret_count = 0;
	if (!err)
		err = codec_unpack_entries(removing->codec, entries_blob.text, entries_blob.size,
					   &entries);
	if (!err)
		err = detail_unpack(removing->detail_codec, detail_blob.text, detail_blob.size,
				    removing->pairs.pairs.count, &removing->detail);
	for (int64_t i = 0; !err && i < count; i++) {
		struct entry entry;

		err = entry_reader_next(&entries, is_valued, &entry);
		if (!err)
			err = filter_entry(removing, is_valued, &entry);
		if (err || removing->occurrences.count == 0)
			continue;
		entry_writer_add(&writer, entry, is_valued);
		detail_add(&detail, &entry, removing->occurrences.items,
			   removing->occurrences.count, is_valued);
		*ret_samples += entry.count;
		(*ret_count)++;
	}
	if (!err)
		err = codec_pack_entries(removing->packer, &writer, &removing->blobs[0]);
	if (!err)
		err = detail_pack(removing->packer, &detail, &removing->blobs[1]);
	entry_writer_done(&writer);
	detail_writer_done(&detail);
	return err;
}

static int write_block(struct removing *removing, sqlite3_stmt *row, sqlite3_stmt *insert)
{
	uint32_t service = (uint32_t)sqlite3_column_int64(row, 2);
	uint32_t type = (uint32_t)sqlite3_column_int64(row, 3);
	uint64_t samples = 0;
	uint32_t count = 0;
	int err;

	for (int i = 0; i < 11; i++)
		sqlite3_bind_value(insert, i + 1, sqlite3_column_value(row, i));
	if (removing->is_touched && hiding_of_block(&removing->hiding, service, type)) {
		err = filter_block(removing, row, &samples, &count);
		if (err || count == 0)
			return err;
		sqlite3_bind_int64(insert, 7, (int64_t)samples);
		sqlite3_bind_int64(insert, 8, count);
		database_bind_bytes(insert, 9, removing->blobs[0].bytes, removing->blobs[0].size);
		database_bind_bytes(insert, 10, removing->blobs[1].bytes, removing->blobs[1].size);
		sqlite3_bind_null(insert, 11);
	}
	use_text(removing, service);
	return database_run(insert);
}

static int write_blocks(struct removing *removing, int64_t segment, sqlite3_stmt *insert)
{
	autoclean(statement) sqlite3_stmt *row = NULL;
	int err = database_prepare(removing->from,
				   "SELECT id, segment, service, type, period, valued, samples, "
				   "entry_count, entries, detail, cells FROM block "
				   "WHERE segment = ? ORDER BY id",
				   &row);

	if (err)
		return err;
	sqlite3_bind_int64(row, 1, segment);
	while ((err = database_step(row)) > 0) {
		if (atomic_load(removing->options->cancel))
			return -ECANCELED;
		err = write_block(removing, row, insert);
		if (err)
			return err;
	}
	return err;
}

static int write_segments(struct removing *removing)
{
	autoclean(statement) sqlite3_stmt *row = NULL;
	autoclean(statement) sqlite3_stmt *insert = NULL;
	autoclean(statement) sqlite3_stmt *insert_block = NULL;
	int err = database_prepare(removing->from,
				   "SELECT id, first_window, last_window, first_ms, last_ms, "
				   "end_ms, samples, pairs, runs, minutes FROM segment ORDER BY id",
				   &row);

	if (!err)
		err = database_prepare(removing->to,
				       "INSERT INTO segment VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
				       &insert);
	if (!err)
		err = database_prepare(
			removing->to,
			"INSERT INTO block (id, segment, service, type, period, valued, samples, "
			"entry_count, entries, detail, cells) "
			"VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
			&insert_block);
	while (!err && (err = database_step(row)) > 0) {
		uint64_t removed = 0;

		err = read_segment(removing, row, &removed);
		if (err)
			break;
		removing->removal->samples += removed;
		if (!removing->is_left)
			continue;
		removing->has_any = true;
		err = write_segment(removing, row, removed, insert);
		if (!err)
			err = write_blocks(removing, sqlite3_column_int64(row, 0), insert_block);
	}
	return err;
}

/* ---- the rest -------------------------------------------------------------------------------- */

/* Trees of which a block is left; or, where segments share them, of an earlier or a later one. */
static int write_trees(struct removing *removing)
{
	int err = anew_copy_rows(removing->from, removing->to,
				 "SELECT id, segment, service, node_count, nodes FROM tree",
				 "INSERT INTO tree VALUES (?, ?, ?, ?, ?)");

	if (err)
		return err;
	return database_execute(removing->to,
				removing->options->from->shares_trees
					? "DELETE FROM tree WHERE service NOT IN "
					  "(SELECT service FROM block)"
					: "DELETE FROM tree WHERE NOT EXISTS (SELECT 1 FROM block "
					  "WHERE block.service = tree.service AND "
					  "block.segment = tree.segment)");
}

static int write_meta(struct removing *removing)
{
	autoclean(buf) struct buf sql = BUF(1024);
	int err =
		anew_copy_rows(removing->from, removing->to,
			       "SELECT key, value FROM meta WHERE key NOT IN ('clean', 'finished')",
			       "INSERT INTO meta VALUES (?, ?)");

	if (!err && !removing->options->from->is_chronicle)
		err = anew_copy_sides(removing->from, removing->to);
	if (!err && removing->options->from->shares_trees)
		err = span_note_nodes(removing->to);
	if (err)
		return err;
	buf_printf(&sql,
		   "INSERT INTO meta VALUES ('clean', %" PRIu64 "), ('finished', %" PRId64 ")",
		   removing->options->clean_until, removing->options->from->finished_ms);
	buf_add_u8(&sql, 0);
	return sql.error ? sql.error : database_execute(removing->to, (const char *)sql.bytes);
}

/* ---- chronicles ------------------------------------------------------------------------------ */

static int read_host(struct removing *removing)
{
	autoclean(statement) sqlite3_stmt *row = NULL;
	struct tree *tree = &removing->host;
	int err = tree_init(tree);

	if (!err)
		err = database_prepare(removing->from,
				       "SELECT locations, nodes FROM growth WHERE scope = -1 "
				       "ORDER BY id",
				       &row);
	while (!err && (err = database_step(row)) > 0) {
		struct str locations = database_column(row, 0);
		struct str nodes = database_column(row, 1);

		err = codec_unpack_locations(removing->codec, locations.text, locations.size,
					     catalog_count(&removing->words, CATALOG_BUILD), tree);
		if (!err)
			err = codec_unpack_nodes(removing->codec, nodes.text, nodes.size, tree);
	}
	removing->roots = calloc((size_t)tree->nodes.count + 1, sizeof(removing->roots[0]));
	if (!removing->roots)
		return -ENOMEM;
	for (uint32_t i = 0; i < tree->nodes.count; i++)
		removing->roots[i] = tree_is_root(tree, i)
					     ? tree->nodes.items[i].location
					     : removing->roots[tree->nodes.items[i].parent];
	return err;
}

/* Whether what the rules leave of a piece is not just what is left, and it can be made anew. */
static bool piece_goes(const struct removing *removing, const struct piece *piece)
{
	const struct hiding *hiding = &removing->hiding;
	uint64_t some = hiding_some_of(hiding, hiding->mask, piece->first_ms, piece->end_ms);
	uint64_t all = hiding_all_of(hiding, some, piece->first_ms, piece->end_ms);
	bool is_exact = some == all;

	for (uint64_t left = all; left; left &= left - 1)
		is_exact = is_exact && hiding->rules->rules[__builtin_ctzll(left)].is_by_block;
	for (uint32_t i = 0; !is_exact && i < removing->options->identity_count; i++)
		if (removing->options->identities[i] == piece->identity)
			return true;
	return false;
}

static bool list_goes(const struct removing *removing, const struct piece *piece, uint32_t service,
		      uint32_t type)
{
	uint64_t rules = hiding_of_block(&removing->hiding, service, type);

	return rules && hiding_some_of(&removing->hiding, rules, piece->first_ms, piece->last_ms);
}

/* The host's list without the services that go. */
static int filter_list(struct removing *removing, const struct piece *piece, sqlite3_stmt *row,
		       uint32_t *ret_count)
{
	uint32_t type = (uint32_t)sqlite3_column_int64(row, 3);
	bool is_valued = sqlite3_column_int(row, 5) != 0;
	int64_t count = sqlite3_column_int64(row, 6);
	struct str blob = database_column(row, 7);
	struct entry_reader entries;
	struct entry_writer writer;
	int err = codec_unpack_entries(removing->codec, blob.text, blob.size, &entries);

	*ret_count = 0;
	entry_writer_init(&writer);
	for (int64_t i = 0; !err && i < count; i++) {
		struct entry entry;

		err = entry_reader_next(&entries, is_valued, &entry);
		if (!err && entry.node >= removing->host.nodes.count)
			err = -EBADMSG;
		if (err || list_goes(removing, piece, removing->roots[entry.node], type))
			continue;
		use_text(removing, removing->roots[entry.node]);
		entry_writer_add(&writer, entry, is_valued);
		(*ret_count)++;
	}
	if (!err)
		err = codec_pack_entries(removing->packer, &writer, &removing->blobs[0]);
	entry_writer_done(&writer);
	return err;
}

static int write_lists(struct removing *removing, const struct piece *piece)
{
	autoclean(statement) sqlite3_stmt *row = NULL;
	autoclean(statement) sqlite3_stmt *insert = NULL;
	int err = database_prepare(removing->from,
				   "SELECT id, piece, scope, type, period, valued, entry_count, "
				   "entries FROM list WHERE piece = ? ORDER BY id",
				   &row);

	if (!err)
		err = database_prepare(removing->to,
				       "INSERT INTO list VALUES (?, ?, ?, ?, ?, ?, ?, ?)", &insert);
	if (err)
		return err;
	sqlite3_bind_int64(row, 1, piece->number);
	while ((err = database_step(row)) > 0) {
		int64_t scope = sqlite3_column_int64(row, 2);
		uint32_t count = 1;

		for (int i = 0; i < 8; i++)
			sqlite3_bind_value(insert, i + 1, sqlite3_column_value(row, i));
		if (scope == CHRONICLE_HOST) {
			err = filter_list(removing, piece, row, &count);
			sqlite3_bind_int64(insert, 7, count);
			database_bind_bytes(insert, 8, removing->blobs[0].bytes,
					    removing->blobs[0].size);
		} else if (list_goes(removing, piece, (uint32_t)scope,
				     (uint32_t)sqlite3_column_int64(row, 3))) {
			count = 0;
		} else {
			use_text(removing, (uint32_t)scope);
			err = 0;
		}
		if (count == 0)
			err = err < 0 ? err : 0;
		else if (err >= 0)
			err = database_run(insert);
		if (err)
			return err;
	}
	return err;
}

static int write_piece(struct removing *removing, sqlite3_stmt *row, sqlite3_stmt *insert)
{
	const struct piece piece = { .number = (uint32_t)sqlite3_column_int64(row, 0),
				     .identity = (uint64_t)sqlite3_column_int64(row, 2),
				     .first_ms = sqlite3_column_int64(row, 4),
				     .last_ms = sqlite3_column_int64(row, 5),
				     .end_ms = sqlite3_column_int64(row, 6),
				     .samples = (uint64_t)sqlite3_column_int64(row, 7) };
	struct str pairs = database_column(row, 9);
	struct str runs = database_column(row, 10);
	uint64_t removed;
	int err = 0;

	if (piece_goes(removing, &piece)) {
		removing->is_touched_file = true;
		return 0;
	}
	err = codec_unpack_pairs(removing->codec, pairs.text, pairs.size, &removing->pairs);
	if (!err)
		err = check_pairs(removing);
	if (!err)
		err = activity_unpack(removing->codec, runs.text, runs.size,
				      removing->pairs.pairs.count, &removing->activity);
	if (err)
		return err;
	free(removing->pair_stays);
	removing->pair_stays = calloc((size_t)removing->pairs.pairs.count + 1, sizeof(bool));
	if (!removing->pair_stays)
		return -ENOMEM;
	removing->is_touched = removing->is_left = false;
	removed = filter_runs(removing, &removing->activity);
	removing->is_touched_file = removing->is_touched_file || removing->is_touched;
	if (!removing->is_left)
		return 0;
	removing->has_any = true;
	fill_pairs(removing);
	err = codec_pack_pairs(removing->packer, removing->pairs.pairs.items,
			       removing->pairs.pairs.count, &removing->blobs[0]);
	if (!err)
		err = activity_pack(removing->packer, &removing->activity, &removing->blobs[1]);
	if (err)
		return err;
	for (int i = 0; i < 9; i++)
		sqlite3_bind_value(insert, i + 1, sqlite3_column_value(row, i));
	sqlite3_bind_int64(insert, 8,
			   (int64_t)(piece.samples > removed ? piece.samples - removed : 0));
	database_bind_bytes(insert, 10, removing->blobs[0].bytes, removing->blobs[0].size);
	database_bind_bytes(insert, 11, removing->blobs[1].bytes, removing->blobs[1].size);
	err = database_run(insert);
	return err ? err : write_lists(removing, &piece);
}

static int write_pieces(struct removing *removing)
{
	autoclean(statement) sqlite3_stmt *row = NULL;
	autoclean(statement) sqlite3_stmt *insert = NULL;
	int err = read_host(removing);

	if (!err)
		err = database_prepare(removing->from,
				       "SELECT id, level, identity, segment, first_ms, last_ms, "
				       "end_ms, samples, nodes, pairs, runs FROM piece ORDER BY id",
				       &row);
	if (!err)
		err = database_prepare(removing->to,
				       "INSERT INTO piece VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
				       &insert);
	while (!err && (err = database_step(row)) > 0)
		err = atomic_load(removing->options->cancel) ? -ECANCELED
							     : write_piece(removing, row, insert);
	return err;
}

static int write_chronicle(struct removing *removing)
{
	int err = write_pieces(removing);

	if (err || !removing->has_any)
		return err;
	err = anew_copy_rows(removing->from, removing->to,
			     "SELECT id, scope, piece, node_count, locations, nodes FROM growth",
			     "INSERT INTO growth VALUES (?, ?, ?, ?, ?, ?)");
	if (!err)
		err = database_execute(removing->to, "DELETE FROM growth WHERE scope >= 0 AND "
						     "scope NOT IN (SELECT scope FROM list)");
	return err ? err
		   : anew_copy_rows(removing->from, removing->to, "SELECT name FROM sample_label",
				    "INSERT INTO sample_label VALUES (?)");
}

/* ---- all of it ------------------------------------------------------------------------------- */

static int write_all(struct removing *removing)
{
	bool is_chronicle = removing->options->from->is_chronicle;
	int err = is_chronicle ? write_chronicle(removing) : write_segments(removing);
	if (!err && !removing->has_any)
		return 0;
	if (!err && !is_chronicle)
		err = write_trees(removing);
	if (!err)
		err = write_words(removing);
	if (!err)
		err = write_meta(removing);
	if (!err)
		err = database_execute(removing->to, "COMMIT");
	return err ? err : database_execute(removing->to, "VACUUM");
}

int remove_deleted(const struct remove_options *options, struct removal *ret)
{
	autoclean(removing) struct removing removing = { .options = options, .removal = ret };
	int err = codec_new(&removing.codec);

	*ret = (struct removal){ 0 };
	for (unsigned i = 0; i < 3; i++)
		removing.blobs[i] = BUF(COLUMNS_PLAIN_SIZE_MAX);
	if (!err)
		err = codec_new(&removing.detail_codec);
	if (!err)
		err = codec_new(&removing.packer);
	if (err)
		return err;
	codec_set_level(removing.packer, LEVEL);
	err = database_open(options->from->path, DATABASE_IMMUTABLE, &removing.from);
	if (!err)
		err = read_words(&removing);
	ret->is_clean = !err && removing.hiding.mask == 0;
	if (err || ret->is_clean)
		return err;
	/* An early one, which does not say whose its sums are: they are left out of answers. */
	if (options->from->is_chronicle && options->from->version < SPAN_VERSION_ACTIVITY)
		return -EOPNOTSUPP;
	err = anew_create(options->to,
			  options->from->is_chronicle ? store_chronicle_span : store_schema_span,
			  ANEW_PAGE_SIZE, &removing.to);
	if (!err)
		err = write_all(&removing);
	ret->is_empty = !err && !removing.has_any;
	/* It was there, and its times were others. */
	ret->is_clean = !err && ret->samples == 0 && !removing.is_touched_file;
	removing.to = database_close(removing.to);
	if (err || ret->is_empty || ret->is_clean)
		return err;
	return anew_sync(options->to);
}
