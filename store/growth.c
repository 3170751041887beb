/* SPDX-License-Identifier: Apache-2.0 */
#include "store/growth.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#include "base/pages.h"

enum { NONE = TABLE_NONE };

/* What the tree's locations and nodes are in the piece, as far as it is read; or NONE. */
struct match {
	const struct segment *piece;
	struct growth *growth;
	ARRAY(uint32_t) locations;
	ARRAY(uint32_t) nodes;
};

static void match_cleanup(struct match *match)
{
	array_done(&match->locations);
	array_done(&match->nodes);
}

static int match_locations(struct match *match)
{
	const struct tree *tree = &match->growth->tree;
	uint32_t first = match->locations.count;

	if (array_reserve(&match->locations, tree->builds.count - first) < 0)
		return -ENOMEM;
	for (uint32_t i = first; i < tree->builds.count; i++)
		match->locations.items[match->locations.count++] = segment_find_location(
			match->piece, tree->builds.items[i], tree->addresses.items[i]);
	return 0;
}

static uint32_t find_node(const struct match *match, struct tree_node node)
{
	uint32_t parent, location;

	/* A root: its location is a text. */
	if (node.parent == TREE_NO_PARENT)
		return segment_find_node(match->piece, TREE_NO_PARENT, node.location);
	parent = match->nodes.items[node.parent];
	location = parent == NONE ? NONE : match->locations.items[node.location];
	return location == NONE ? NONE : segment_find_node(match->piece, parent, location);
}

static int match_nodes(struct match *match)
{
	const struct tree *tree = &match->growth->tree;
	uint32_t *numbers = match->growth->numbers;
	uint32_t first = match->nodes.count;

	if (array_reserve(&match->nodes, tree->nodes.count - first) < 0)
		return -ENOMEM;
	for (uint32_t i = first; i < tree->nodes.count; i++) {
		uint32_t node = find_node(match, tree->nodes.items[i]);

		match->nodes.items[match->nodes.count++] = node;
		if (node == NONE)
			continue;
		/* No node is there twice. */
		if (numbers[node] != NONE)
			return -EBADMSG;
		numbers[node] = i;
	}
	return 0;
}

static int match_row(void *context)
{
	int err = match_locations(context);

	return err ? err : match_nodes(context);
}

int growth_read_tree(sqlite3 *chronicle, struct codec *codec, int64_t scope, uint32_t build_count,
		     struct tree *tree, int (*row)(void *context), void *context)
{
	autoclean(statement) sqlite3_stmt *statement = NULL;
	int err = database_prepare(
		chronicle, "SELECT locations, nodes FROM growth WHERE scope = ? ORDER BY id",
		&statement);

	if (err)
		return err;
	sqlite3_bind_int64(statement, 1, scope);
	while ((err = database_step(statement)) > 0) {
		struct str locations = database_column(statement, 0);
		struct str nodes = database_column(statement, 1);

		err = codec_unpack_locations(codec, locations.text, locations.size, build_count,
					     tree);
		if (!err)
			err = codec_unpack_nodes(codec, nodes.text, nodes.size, tree);
		if (!err)
			err = row(context);
		if (err)
			return err;
	}
	return err;
}

/* The piece's locations in the tree: those that are there, and then those that are not yet. */
static int add_locations(const struct match *match, uint32_t *numbers)
{
	const struct tree *piece = &match->piece->tree;

	for (uint32_t i = TREE_RESERVED_COUNT; i < piece->builds.count; i++)
		numbers[i] = NONE;
	for (uint32_t i = 0; i < match->locations.count; i++)
		if (match->locations.items[i] != NONE)
			numbers[match->locations.items[i]] = i;
	for (uint32_t i = 0; i < piece->builds.count; i++) {
		int64_t number;

		if (i < TREE_RESERVED_COUNT) {
			numbers[i] = i;
			continue;
		}
		if (numbers[i] != NONE)
			continue;
		number = tree_add_location(&match->growth->tree, piece->builds.items[i],
					   piece->addresses.items[i]);
		if (number < 0)
			return (int)number;
		numbers[i] = (uint32_t)number;
	}
	return 0;
}

/* Parents come before their children, here as well. */
static int add_nodes(const struct match *match, const uint32_t *locations)
{
	const struct tree *piece = &match->piece->tree;
	uint32_t *numbers = match->growth->numbers;

	for (uint32_t i = 0; i < piece->nodes.count; i++) {
		struct tree_node node = piece->nodes.items[i];
		int64_t number;

		if (numbers[i] != NONE)
			continue;
		if (node.parent != TREE_NO_PARENT) {
			node.parent = numbers[node.parent];
			node.location = locations[node.location];
		}
		number = tree_add_node(&match->growth->tree, node.parent, node.location);
		if (number < 0)
			return (int)number;
		numbers[i] = (uint32_t)number;
	}
	return 0;
}

int growth_read(struct growth *growth, sqlite3 *chronicle, struct codec *codec, int64_t scope,
		uint32_t build_count, const struct segment *piece)
{
	autoclean(match) struct match match = { .piece = piece, .growth = growth };
	size_t node_count = piece->tree.nodes.count;
	autofree uint32_t *locations = calloc((size_t)piece->tree.builds.count, sizeof(uint32_t));
	int err = tree_init(&growth->tree);

	assert(!growth->numbers);
	growth->numbers = pages_alloc((node_count + 1) * sizeof(growth->numbers[0]));
	if (!growth->numbers || !locations)
		return -ENOMEM;
	for (size_t i = 0; i < node_count; i++)
		growth->numbers[i] = NONE;
	if (!err)
		err = match_locations(&match);
	if (!err)
		err = growth_read_tree(chronicle, codec, scope, build_count, &growth->tree,
				       match_row, &match);
	growth->nodes_before = growth->tree.nodes.count;
	growth->locations_before = growth->tree.builds.count;
	if (!err)
		err = add_locations(&match, locations);
	return err ? err : add_nodes(&match, locations);
}

int growth_write(const struct growth *growth, sqlite3 *chronicle, struct codec *packer,
		 int64_t scope, uint32_t piece_number)
{
	const struct tree *tree = &growth->tree;
	autoclean(statement) sqlite3_stmt *insert = NULL;
	autoclean(buf) struct buf locations = BUF(COLUMNS_PLAIN_SIZE_MAX);
	autoclean(buf) struct buf nodes = BUF(COLUMNS_PLAIN_SIZE_MAX);
	int err;

	if (tree->nodes.count == growth->nodes_before)
		return 0;
	err = codec_pack_locations(packer, tree, growth->locations_before, &locations);
	if (!err)
		err = codec_pack_nodes(packer, tree, growth->nodes_before, &nodes);
	if (!err)
		err = database_prepare(chronicle,
				       "INSERT INTO growth (scope, piece, node_count, locations, "
				       "nodes) VALUES (?, ?, ?, ?, ?)",
				       &insert);
	if (err)
		return err;
	sqlite3_bind_int64(insert, 1, scope);
	sqlite3_bind_int64(insert, 2, piece_number);
	sqlite3_bind_int64(insert, 3, tree->nodes.count - growth->nodes_before);
	database_bind_bytes(insert, 4, locations.bytes, locations.size);
	database_bind_bytes(insert, 5, nodes.bytes, nodes.size);
	return database_run(insert);
}

void growth_done(struct growth *growth)
{
	tree_done(&growth->tree);
	free(growth->numbers);
	growth->numbers = NULL;
}
