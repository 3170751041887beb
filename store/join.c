/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>

#include "store/join.h"

#include <inttypes.h>
#include <stdio.h>

#include "store/anew.h"
#include "store/braid.h"
#include "store/catalog.h"
#include "store/database.h"
#include "store/store_private.h"
#include "store/word_frames.h"

enum {
	/* Of what is packed again: kept for hours. Trees: 5 takes half as long again for 1 % fewer
	 * bytes of theirs. Entries are as small by 1. */
	LEVEL = 5,
	LEVEL_TREE = 4,
	LEVEL_ENTRIES = 1,
	FOLD_NOTHING = 1,
};

struct joining {
	const struct join_options *options;
	struct anew_files files;
	uint32_t text_count, build_count; /* of its words */
	struct codec *codec, *packer;
	struct braid braid;
	ARRAY(uint32_t) segments; /* their numbers */
	ARRAY(uint32_t) run;	  /* by strand: its segment */
	struct entry_writer entries;
	struct buf blob;
};

static void joining_cleanup(struct joining *joining)
{
	anew_close(&joining->files);
	codec_free(joining->codec);
	codec_free(joining->packer);
	braid_done(&joining->braid);
	array_done(&joining->segments);
	array_done(&joining->run);
	entry_writer_done(&joining->entries);
	buf_done(&joining->blob);
}

static int read_segments(struct joining *joining)
{
	autoclean(statement) sqlite3_stmt *row = NULL;
	int err = database_prepare(joining->files.from,
				   "SELECT id, pairs IS NULL FROM segment ORDER BY id", &row);

	while (!err && (err = database_step(row)) > 0) {
		if (sqlite3_column_int(row, 1))
			return -EOPNOTSUPP;
		if (array_reserve(&joining->segments, 1) < 0)
			return -ENOMEM;
		joining->segments.items[joining->segments.count++] =
			(uint32_t)sqlite3_column_int64(row, 0);
		err = 0;
	}
	return err;
}

/*
 * The next trees of a service, from a segment on: as many as become one. *place goes on to the
 * segment that is not among them.
 */
static int read_strands(struct joining *joining, uint32_t service, uint32_t *place)
{
	uint32_t build_count = joining->build_count;
	int64_t node_count = 0;
	int err = database_prepare_once(
		joining->files.from,
		"SELECT node_count, nodes FROM tree WHERE segment = ? AND service = ?",
		&joining->files.select_tree);
	sqlite3_stmt *row = joining->files.select_tree;

	braid_clear(&joining->braid);
	joining->run.count = 0;
	for (; !err && *place < joining->segments.count; (*place)++) {
		struct strand *strand = NULL;

		sqlite3_reset(row);
		sqlite3_bind_int64(row, 1, joining->segments.items[*place]);
		sqlite3_bind_int64(row, 2, service);
		err = database_step(row);
		if (err <= 0)
			continue;
		node_count += sqlite3_column_int64(row, 0);
		if (joining->run.count > 0 && node_count > joining->options->node_count_max)
			return 0;
		if (array_reserve(&joining->run, 1) < 0)
			return -ENOMEM;
		joining->run.items[joining->run.count++] = joining->segments.items[*place];

		struct str blob = database_column(row, 1);

		err = braid_add(&joining->braid, blob.text, blob.size, build_count, &strand);
	}
	return err;
}

static int write_tree(struct joining *joining, uint32_t service, uint32_t segment)
{
	sqlite3_stmt *insert;
	int err;

	codec_set_level(joining->packer, LEVEL_TREE);
	err = braid_pack(&joining->braid, joining->packer, &joining->blob);
	if (!err)
		err = database_prepare_once(joining->files.to,
					    "INSERT INTO tree (segment, service, node_count, "
					    "nodes) VALUES (?, ?, ?, ?)",
					    &joining->files.insert_tree);
	if (err)
		return err;
	insert = joining->files.insert_tree;
	sqlite3_bind_int64(insert, 1, segment);
	sqlite3_bind_int64(insert, 2, service);
	sqlite3_bind_int64(insert, 3, joining->braid.nodes.count);
	database_bind_bytes(insert, 4, joining->blob.bytes, joining->blob.size);
	return database_run(insert);
}

/* A strand's nodes keep their order in the braid: so do entries, and all that goes by these. */
static int map_entries(struct joining *joining, const struct strand *strand, sqlite3_stmt *row)
{
	bool is_valued = sqlite3_column_int(row, 3) != 0;
	int64_t count = sqlite3_column_int64(row, 5);
	struct str blob = database_column(row, 6);
	struct entry_reader reader;
	uint32_t last = 0;
	int err = codec_unpack_entries(joining->codec, blob.text, blob.size, &reader);

	for (int64_t i = 0; !err && i < count; i++) {
		struct entry entry;

		err = entry_reader_next(&reader, is_valued, &entry);
		if (!err && entry.node >= strand->reader.node_count)
			err = -EBADMSG;
		if (err)
			break;
		entry.node = strand->numbers[entry.node];
		/* Unless the file is damaged. */
		if (i > 0 && entry.node <= last)
			err = -EBADMSG;
		else
			entry_writer_add(&joining->entries, entry, is_valued);
		last = entry.node;
	}
	codec_set_level(joining->packer, LEVEL_ENTRIES);
	return err ? err : codec_pack_entries(joining->packer, &joining->entries, &joining->blob);
}

/* When, whose and which 20 ms go by the order of the entries: they stay as they are. */
static int write_block(struct joining *joining, uint32_t number, sqlite3_stmt *row,
		       sqlite3_stmt *insert)
{
	int err = map_entries(joining, &joining->braid.strands.items[number], row);

	if (err)
		return err;
	sqlite3_bind_int64(insert, 1, joining->run.items[number]);
	for (int i = 0; i < sqlite3_column_count(row); i++)
		sqlite3_bind_value(insert, i + 2, sqlite3_column_value(row, i));
	database_bind_bytes(insert, 8, joining->blob.bytes, joining->blob.size);
	return database_run(insert);
}

static int write_blocks(struct joining *joining, uint32_t service)
{
	sqlite3_stmt *row;
	int err = database_prepare_once(
		joining->files.from,
		"SELECT service, type, period, valued, samples, entry_count, entries, detail, "
		"cells FROM block WHERE segment = ? AND service = ? ORDER BY id",
		&joining->files.select_blocks);

	if (!err)
		err = database_prepare_once(
			joining->files.to,
			"INSERT INTO block (segment, service, type, period, valued, samples, "
			"entry_count, entries, detail, cells) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, "
			"?)",
			&joining->files.insert_block);
	row = joining->files.select_blocks;
	for (uint32_t i = 0; !err && i < joining->run.count; i++) {
		sqlite3_reset(row);
		sqlite3_bind_int64(row, 1, joining->run.items[i]);
		sqlite3_bind_int64(row, 2, service);
		while (!err && (err = database_step(row)) > 0)
			err = write_block(joining, i, row, joining->files.insert_block);
	}
	return err;
}

static int join_service(struct joining *joining, uint32_t service)
{
	uint32_t place = 0;
	uint32_t segment = 0; /* from which on the next tree holds */
	int err = 0;

	while (!err && place < joining->segments.count) {
		if (atomic_load(joining->options->cancel))
			return -ECANCELED;
		err = read_strands(joining, service, &place);
		if (err || joining->run.count == 0)
			return err;
		err = braid_weave(&joining->braid, FOLD_NOTHING);
		if (!err)
			err = write_tree(joining, service, segment);
		if (!err)
			err = write_blocks(joining, service);
		if (place < joining->segments.count)
			segment = joining->segments.items[place];
	}
	return err;
}

/* A service at a time, its trees and its blocks beside each other. */
static int write_services(struct joining *joining)
{
	autoclean(statement) sqlite3_stmt *row = NULL;
	int err = database_prepare(joining->files.from,
				   "SELECT DISTINCT service FROM tree ORDER BY service", &row);

	while (!err && (err = database_step(row)) > 0) {
		int64_t service = sqlite3_column_int64(row, 0);

		err = service < 0 || service >= joining->text_count
			      ? -EBADMSG
			      : join_service(joining, (uint32_t)service);
	}
	return err;
}

/* Numbers stay. Before the trees, so that the memory of both is not taken at once. */
static int copy_words(struct joining *joining)
{
	uint32_t written[CATALOG_KIND_COUNT];
	struct catalog words = { 0 };
	int err = catalog_init(&words);

	if (!err)
		err = catalog_read_numbered(&words, joining->files.from);
	codec_set_level(joining->packer, LEVEL);
	if (!err)
		err = word_frames_write(&words, joining->packer, joining->files.to);
	if (!err) {
		joining->text_count = catalog_count(&words, CATALOG_TEXT);
		joining->build_count = catalog_count(&words, CATALOG_BUILD);
		/* Number 0 of each is there without being written. */
		for (int kind = 0; kind < CATALOG_KIND_COUNT; kind++)
			written[kind] = 1;
		written[CATALOG_TEXT] = joining->text_count;
		written[CATALOG_LABELS] = catalog_count(&words, CATALOG_LABELS);
		err = catalog_write(&words, written, joining->files.to);
	}
	catalog_done(&words);
	return err;
}

static const struct {
	const char *select, *insert;
} rows_that_stay[] = {
	{ "SELECT id, first_window, last_window, first_ms, last_ms, end_ms, samples, pairs, runs "
	  "FROM segment ORDER BY id",
	  "INSERT INTO segment (id, first_window, last_window, first_ms, last_ms, end_ms, samples, "
	  "pairs, runs) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)" },
	{ "SELECT key, value FROM meta WHERE key <> 'finished'", "INSERT INTO meta VALUES (?, ?)" },
};

static int write_rest(struct joining *joining)
{
	char sql[128];
	int err = 0;

	for (size_t i = 0; !err && i < sizeof(rows_that_stay) / sizeof(rows_that_stay[0]); i++)
		err = anew_copy_rows(joining->files.from, joining->files.to,
				     rows_that_stay[i].select, rows_that_stay[i].insert);
	if (!err)
		err = anew_copy_sides(joining->files.from, joining->files.to);
	if (!err)
		err = span_note_nodes(joining->files.to);
	if (err)
		return err;
	snprintf(sql, sizeof(sql),
		 "INSERT INTO meta VALUES ('joined', 1), ('finished', %" PRId64 "); COMMIT",
		 joining->options->finished_ms);
	return database_execute(joining->files.to, sql);
}

int join_span(const struct join_options *options)
{
	autoclean(joining) struct joining joining = { .options = options,
						      .blob = BUF(COLUMNS_PLAIN_SIZE_MAX) };
	int err = codec_new(&joining.codec);

	entry_writer_init(&joining.entries);
	if (!err)
		err = codec_new(&joining.packer);
	if (err)
		return err;
	err = database_open(options->from, DATABASE_IMMUTABLE, &joining.files.from);
	if (!err)
		err = read_segments(&joining);
	if (!err)
		err = anew_create(options->to, store_schema_span, ANEW_PAGE_SIZE_SMALL,
				  &joining.files.to);
	if (!err)
		err = copy_words(&joining);
	if (!err)
		err = write_services(&joining);
	if (!err)
		err = write_rest(&joining);
	anew_close(&joining.files);
	return err ? err : anew_sync(options->to);
}
