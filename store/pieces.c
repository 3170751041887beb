/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>

#include "store/reader.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "store/shape.h"

/* What questions read of whole segments: their trees, their blocks, their lists of pairs. */

bool reader_text_column(struct reader *reader, sqlite3_stmt *row, int column, uint32_t *ret)
{
	int64_t number = sqlite3_column_int64(row, column);
	bool was_taken = reader_lock(reader);
	bool is_text = number >= 0 && number < catalog_count(reader->catalog, CATALOG_TEXT);

	reader_unlock(reader, was_taken);
	*ret = (uint32_t)number;
	return is_text;
}

static uint32_t build_count(struct reader *reader)
{
	bool was_taken = reader_lock(reader);
	uint32_t count = catalog_count(reader->catalog, CATALOG_BUILD);

	reader_unlock(reader, was_taken);
	return count;
}

/* Of a segment that is not settled. */
static int read_window_trees(struct reader *reader, const struct segment_row *segment,
			     struct tree *tree)
{
	autoclean(statement) sqlite3_stmt *row = NULL;
	int err = database_prepare(
		reader->database,
		"SELECT locations, nodes FROM window WHERE id BETWEEN ? AND ? ORDER BY id", &row);

	if (err)
		return err;
	sqlite3_bind_int64(row, 1, segment->first_window);
	sqlite3_bind_int64(row, 2, segment->last_window);
	while ((err = database_step(row)) > 0) {
		struct str locations = database_column(row, 0);
		struct str nodes = database_column(row, 1);

		err = codec_unpack_locations(reader->codec, locations.text, locations.size,
					     build_count(reader), tree);
		if (!err)
			err = codec_unpack_nodes(reader->codec, nodes.text, nodes.size, tree);
		if (!err)
			err = reader_check_time(reader);
		if (err)
			return err;
	}
	return err;
}

/* Trees that segments share are of the first one for which they hold. */
static int64_t tree_segment(const struct reader *reader, const struct segment_row *segment)
{
	return reader->span->shares_trees ? reader->services.first_segment : segment->number;
}

/* The wanted services that the segment has trees of. *ret_all: that was all of them. */
static int find_services(struct reader *reader, const struct segment_row *segment,
			 reader_wants *wants, struct cached *cached, bool *ret_all)
{
	autoclean(statement) sqlite3_stmt *row = NULL;
	int err = database_prepare(reader->database,
				   "SELECT service FROM tree WHERE segment = ? AND "
				   "service BETWEEN ? AND ? ORDER BY service",
				   &row);

	if (err)
		return err;
	*ret_all = !reader->services.is_part;
	sqlite3_bind_int64(row, 1, tree_segment(reader, segment));
	sqlite3_bind_int64(row, 2, reader->services.first);
	sqlite3_bind_int64(row, 3, reader->services.last);
	while ((err = database_step(row)) > 0) {
		struct tree_part part = { 0 };

		if (!reader_text_column(reader, row, 0, &part.service))
			return -EBADMSG;
		if (wants && !wants(reader->question->context, reader, part.service)) {
			*ret_all = false;
			continue;
		}
		if (array_reserve(&cached->parts, 1) < 0)
			return -ENOMEM;
		cached->parts.items[cached->parts.count++] = part;
	}
	return err;
}

/* ---- a part of what segments share --------------------------------------------------------- */

const struct node_map *reader_nodes(const struct reader *reader, uint32_t service)
{
	uint32_t first = 0;
	uint32_t end = reader->shared_nodes.count;

	/* They ascend, as the parts of a tree do. */
	while (first < end) {
		uint32_t middle = first + (end - first) / 2;
		const struct shared_nodes *nodes = &reader->shared_nodes.items[middle];

		if (nodes->service == service)
			return &nodes->map;
		if (nodes->service < service)
			first = middle + 1;
		else
			end = middle;
	}
	return NULL;
}

void reader_forget_nodes(struct reader *reader)
{
	for (uint32_t i = 0; i < reader->shared_nodes.count; i++)
		node_map_done(&reader->shared_nodes.items[i].map);
	reader->shared_nodes.count = 0;
}

static int mark_entries(struct reader *reader, sqlite3_stmt *row, struct node_map *map)
{
	bool is_valued = sqlite3_column_int(row, 0) != 0;
	int64_t count = sqlite3_column_int64(row, 1);
	struct str blob = database_column(row, 2);
	struct entry_reader entries;
	int err = codec_unpack_entries(reader->detail_codec, blob.text, blob.size, &entries);

	for (int64_t i = 0; !err && i < count; i++) {
		struct entry entry;

		err = entry_reader_next(&entries, is_valued, &entry);
		if (!err && entry.node >= map->node_count)
			err = -EBADMSG;
		if (!err)
			node_map_add(map, entry.node);
	}
	return err;
}

/* What a service has in the segments that are asked for. */
static int mark_service(struct reader *reader, uint32_t service, struct node_map *map)
{
	autoclean(statement) sqlite3_stmt *row = NULL;
	int err = database_prepare(reader->database,
				   "SELECT valued, entry_count, entries FROM block "
				   "WHERE segment = ? AND service = ?",
				   &row);

	for (uint32_t i = 0; !err && i < reader->shared->rows.count; i++) {
		const struct segment_row *segment = &reader->shared->rows.items[i];

		if (segment->number < reader->services.first_segment ||
		    segment->number > reader->services.last_segment ||
		    !reader_asks(reader, segment))
			continue;
		sqlite3_reset(row);
		sqlite3_bind_int64(row, 1, segment->number);
		sqlite3_bind_int64(row, 2, service);
		while (!err && (err = database_step(row)) > 0)
			err = mark_entries(reader, row, map);
	}
	return err;
}

static int unpack_some(struct reader *reader, struct str blob, struct cached *cached,
		       struct tree_part *part)
{
	uint32_t first_location = cached->tree.builds.count;
	struct shape_reader shape;
	struct node_map map = { 0 };
	int err = array_reserve(&reader->shared_nodes, 1);

	if (!err)
		err = shape_open(reader->codec, blob.text, blob.size, build_count(reader),
				 &cached->tree, &shape);
	if (!err)
		err = node_map_init(&map, shape.node_count);
	if (!err)
		err = mark_service(reader, part->service, &map);
	if (!err)
		err = shape_unpack_some(&shape, &map, first_location, part->service, &cached->tree,
					&part->first);
	if (err) {
		node_map_done(&map);
		return err;
	}
	reader->shared_nodes.items[reader->shared_nodes.count++] =
		(struct shared_nodes){ part->service, map };
	return 0;
}

/* ---- trees ----------------------------------------------------------------------------------- */

static int read_part(struct reader *reader, sqlite3_stmt *row, const struct segment_row *segment,
		     struct cached *cached, struct tree_part *part)
{
	sqlite3_reset(row);
	sqlite3_bind_int64(row, 1, tree_segment(reader, segment));
	sqlite3_bind_int64(row, 2, part->service);

	int err = database_step(row);

	if (err <= 0)
		return err ? err : -EUCLEAN;

	struct str blob = database_column(row, 0);

	if (reader->shared)
		err = unpack_some(reader, blob, cached, part);
	else
		err = shape_unpack(reader->codec, blob.text, blob.size, build_count(reader),
				   part->service, &cached->tree, &part->first);
	part->count = cached->tree.nodes.count - part->first;
	return err;
}

static int read_trees(struct reader *reader, const struct segment_row *segment,
		      struct cached *cached)
{
	autoclean(statement) sqlite3_stmt *row = NULL;
	int err = database_prepare(
		reader->database, "SELECT nodes FROM tree WHERE segment = ? AND service = ?", &row);

	for (uint32_t i = 0; !err && i < cached->parts.count; i++) {
		err = read_part(reader, row, segment, cached, &cached->parts.items[i]);
		if (!err)
			err = reader_check_time(reader);
	}
	return err;
}

/* What is wanted of a settled segment, from the cache or from the file. */
static int find_trees(struct reader *reader, const struct segment_row *row, reader_wants *wants,
		      bool keep, struct cached **place)
{
	struct cache *cache = reader->store->cache;
	/* Which trees are read together depends on the question: those of a service are told by
	 * the segment from which on they hold. */
	struct cache_key key = { .span = reader->span->id,
				 .segment = row->number,
				 .last_segment = reader->services.first_segment };
	struct cached *cached = *place;
	struct cached *known = NULL;
	bool is_all = true;
	int err = find_services(reader, row, wants, cached, &is_all);

	if (err)
		return err;
	/* All or one: other sets are not asked for twice. */
	if (!is_all && cached->parts.count == 1)
		key.service = cached->parts.items[0].service;
	else
		keep = keep && is_all;
	/* Of a part of the segments more services are read together, under the same numbers. */
	if ((is_all && !reader->shared) || key.service)
		known = cache_find(cache, key);
	if (known) {
		cached_release(cached);
		*place = known;
		return 0;
	}
	err = read_trees(reader, row, cached);
	if (err)
		return err;
	tree_trim(&cached->tree);
	cached->size = tree_memory(&cached->tree) +
		       cached->parts.capacity * sizeof(cached->parts.items[0]);
	/* A part of them is this question's alone. */
	if (keep && !reader->shared)
		cache_add(cache, key, cached);
	return 0;
}

int reader_tree(struct reader *reader, const struct segment_row *row, reader_wants *wants,
		bool keep, struct cached **ret)
{
	autoclean(cached) struct cached *cached = cached_new();

	reader_forget_nodes(reader);
	if (!cached)
		return -ENOMEM;

	int err = tree_init(&cached->tree);

	if (!err)
		err = row->is_whole ? find_trees(reader, row, wants, keep, &cached)
				    : read_window_trees(reader, row, &cached->tree);
	if (err)
		return err;
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

int reader_blocks(struct reader *reader, const struct segment_row *segment,
		  reader_wants_block *wants, reader_block *visit)
{
	autoclean(statement) sqlite3_stmt *row = NULL;
	void *context = reader->question->context;
	int err = database_prepare(reader->database,
				   "SELECT service, type, period, valued, entry_count, entries "
				   "FROM block WHERE segment BETWEEN ? AND ? AND "
				   "service BETWEEN ? AND ?",
				   &row);

	assert(segment->is_whole);
	if (err)
		return err;
	bool is_shared = segment->number >= READER_WHOLE_SPAN;

	sqlite3_bind_int64(row, 1, is_shared ? reader->services.first_segment : segment->number);
	sqlite3_bind_int64(row, 2, is_shared ? reader->services.last_segment : segment->number);
	sqlite3_bind_int64(row, 3, reader->services.first);
	sqlite3_bind_int64(row, 4, reader->services.last);
	while ((err = database_step(row)) > 0) {
		struct block block = { .period = (uint64_t)sqlite3_column_int64(row, 2),
				       .is_valued = sqlite3_column_int(row, 3) != 0,
				       .entry_count = (uint32_t)sqlite3_column_int64(row, 4) };

		if (!reader_text_column(reader, row, 0, &block.service) ||
		    !reader_text_column(reader, row, 1, &block.type))
			return -EBADMSG;
		if (!wants(context, reader, block.service, block.type))
			continue;

		struct str blob = database_column(row, 5);

		err = codec_unpack_entries(reader->codec, blob.text, blob.size, &block.entries);
		block.entries.map = reader_nodes(reader, block.service);
		if (!err)
			err = visit(context, reader, &block);
		if (!err)
			err = reader_check_time(reader);
		if (err)
			return err;
	}
	return err;
}
