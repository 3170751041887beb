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

/* ---- some of a tree -------------------------------------------------------------------------- */

/* What was read of a scope, from its last row on. */
struct picking {
	struct node_map *nodes;
	struct node_map locations; /* that these have */
	struct tree row;
	struct tree *tree;	 /* of each what is marked, the last first */
	uint32_t node, location; /* all from these on were read */
	bool has_started;
};

static void picking_cleanup(struct picking *picking)
{
	node_map_done(&picking->locations);
	tree_done(&picking->row);
}

static int pick_nodes(struct picking *picking)
{
	for (uint32_t i = picking->row.nodes.count; i-- > 0;) {
		struct tree_node node = picking->row.nodes.items[i];

		if (!node_map_has(picking->nodes, picking->node + i))
			continue;
		if (node.parent != TREE_NO_PARENT) {
			node_map_add(picking->nodes, node.parent);
			if (node.location >= TREE_RESERVED_COUNT)
				node_map_add(&picking->locations, node.location);
		}
		if (array_reserve(&picking->tree->nodes, 1) < 0)
			return -ENOMEM;
		picking->tree->nodes.items[picking->tree->nodes.count++] = node;
	}
	return 0;
}

static int pick_locations(struct picking *picking)
{
	for (uint32_t i = picking->row.builds.count; i-- > 0;) {
		int64_t number;

		if (!node_map_has(&picking->locations, picking->location + i))
			continue;
		number = tree_add_location(picking->tree, picking->row.builds.items[i],
					   picking->row.addresses.items[i]);
		if (number < 0)
			return (int)number;
	}
	return 0;
}

/* Nodes have locations of their own row and those before. */
static int pick_row(struct picking *picking, struct codec *codec, sqlite3_stmt *row,
		    uint32_t build_count)
{
	int64_t count = sqlite3_column_int64(row, 0);
	struct str locations = database_column(row, 1);
	struct str nodes = database_column(row, 2);
	uint32_t end = picking->node;
	uint32_t location_before = picking->location;
	uint32_t location_end;
	int err = codec_unpack_location_row(codec, locations.text, locations.size, build_count,
					    &picking->row, &picking->location);

	if (err)
		return err;
	location_end = picking->location + picking->row.builds.count;
	if (!picking->has_started)
		err = node_map_init(&picking->locations, location_end);
	else if (location_end != location_before)
		err = -EBADMSG;
	if (err || count < 0 || count > end)
		return err ? err : -EBADMSG;
	picking->has_started = true;
	picking->node = end - (uint32_t)count;
	if (node_map_has_any(picking->nodes, picking->node, end)) {
		err = codec_unpack_node_row(codec, nodes.text, nodes.size, picking->node,
					    location_end, &picking->row);
		if (!err && picking->row.nodes.count != count)
			err = -EBADMSG;
		if (!err)
			err = pick_nodes(picking);
	}
	return err ? err : pick_locations(picking);
}

/* The first first, in numbers among themselves. */
static void put_in_order(struct picking *picking)
{
	struct tree *tree = picking->tree;
	struct tree_node *nodes = tree->nodes.items;

	node_map_number(picking->nodes);
	node_map_number(&picking->locations);
	for (uint32_t i = 0, k = tree->nodes.count; i + 1 < k--; i++) {
		struct tree_node node = nodes[i];

		nodes[i] = nodes[k];
		nodes[k] = node;
	}
	for (uint32_t i = TREE_RESERVED_COUNT, k = tree->builds.count; i + 1 < k--; i++) {
		uint32_t build = tree->builds.items[i];
		uint64_t address = tree->addresses.items[i];

		tree->builds.items[i] = tree->builds.items[k];
		tree->addresses.items[i] = tree->addresses.items[k];
		tree->builds.items[k] = build;
		tree->addresses.items[k] = address;
	}
	for (uint32_t i = 0; i < tree->nodes.count; i++) {
		if (nodes[i].parent == TREE_NO_PARENT)
			continue;
		if (!node_map_find(picking->nodes, &nodes[i].parent))
			assert(false);
		if (nodes[i].location < TREE_RESERVED_COUNT)
			continue;
		if (!node_map_find(&picking->locations, &nodes[i].location))
			assert(false);
		nodes[i].location += TREE_RESERVED_COUNT;
	}
}

int growth_read_marked(sqlite3 *chronicle, struct codec *codec, int64_t scope, uint32_t build_count,
		       struct node_map *marked, struct tree *tree, int (*row)(void *context),
		       void *context)
{
	autoclean(picking) struct picking picking = { .nodes = marked,
						      .tree = tree,
						      .node = marked->node_count };
	autoclean(statement) sqlite3_stmt *statement = NULL;
	int err = database_prepare(chronicle,
				   "SELECT node_count, locations, nodes FROM growth "
				   "WHERE scope = ? ORDER BY id DESC",
				   &statement);

	if (err)
		return err;
	sqlite3_bind_int64(statement, 1, scope);
	while ((err = database_step(statement)) > 0) {
		err = pick_row(&picking, codec, statement, build_count);
		if (!err)
			err = row(context);
		if (err)
			return err;
	}
	if (err)
		return err;
	if (picking.node != 0 || (picking.has_started && picking.location != TREE_RESERVED_COUNT))
		return -EBADMSG;
	if (picking.has_started)
		put_in_order(&picking);
	return 0;
}

int growth_count(sqlite3 *chronicle, int64_t scope, uint32_t *ret)
{
	autoclean(statement) sqlite3_stmt *row = NULL;
	int64_t count;
	int err = database_prepare(
		chronicle, "SELECT coalesce(sum(node_count), 0) FROM growth WHERE scope = ?", &row);

	if (err)
		return err;
	sqlite3_bind_int64(row, 1, scope);
	err = database_step(row);
	if (err <= 0)
		return err ? err : -EUCLEAN;
	count = sqlite3_column_int64(row, 0);
	if (count < 0 || count > TREE_NODE_COUNT_MAX)
		return -EBADMSG;
	*ret = (uint32_t)count;
	return 0;
}

/* ---- what a piece adds ----------------------------------------------------------------------- */

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
