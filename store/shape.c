/* SPDX-License-Identifier: Apache-2.0 */
#include "store/shape.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

enum {
	COLUMN_COUNTS = 0,
	COLUMN_BUILDS,
	COLUMN_ADDRESSES,
	COLUMN_UPS,
	COLUMN_LOCATIONS,
	COLUMN_COUNT,
	/* Twice the deepest stack that a batch may bring. */
	LEVEL_COUNT_MAX = 8192,
};

void shape_writer_init(struct shape_writer *writer)
{
	*writer = (struct shape_writer){
		.builds = BUF(COLUMNS_PLAIN_SIZE_MAX / 4),
		.addresses = BUF(COLUMNS_PLAIN_SIZE_MAX / 4),
		.ups = BUF(COLUMNS_PLAIN_SIZE_MAX / 4),
		.locations = BUF(COLUMNS_PLAIN_SIZE_MAX / 4),
	};
}

void shape_writer_done(struct shape_writer *writer)
{
	buf_done(&writer->builds);
	buf_done(&writer->addresses);
	buf_done(&writer->ups);
	buf_done(&writer->locations);
}

uint32_t shape_add_location(struct shape_writer *writer, uint32_t build, uint64_t address)
{
	assert(build >= writer->last_build);

	/* Within a build addresses ascend. */
	uint64_t before = build == writer->last_build ? writer->last_address : 0;

	assert(address >= before);
	column_put(&writer->builds, build - writer->last_build);
	column_put(&writer->addresses, address - before);
	writer->last_build = build;
	writer->last_address = address;
	return TREE_RESERVED_COUNT + writer->location_count++;
}

void shape_add_node(struct shape_writer *writer, uint32_t up, uint32_t location)
{
	assert(location < TREE_RESERVED_COUNT + writer->location_count || writer->node_count == 0);
	column_put(&writer->ups, up);
	column_put(&writer->locations, location);
	writer->node_count++;
}

int shape_pack(struct codec *codec, struct shape_writer *writer, struct buf *ret)
{
	struct buf *columns = codec_columns(codec, COLUMN_COUNT);
	struct buf *parts[] = { &writer->builds, &writer->addresses, &writer->ups,
				&writer->locations };
	int err = 0;

	column_put(&columns[COLUMN_COUNTS], writer->location_count);
	column_put(&columns[COLUMN_COUNTS], writer->node_count);
	for (unsigned i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
		if (!err)
			err = parts[i]->error;
		if (!err)
			buf_add(&columns[COLUMN_BUILDS + i], parts[i]->bytes, parts[i]->size);
		buf_clear(parts[i]);
	}
	writer->location_count = writer->node_count = 0;
	writer->last_build = 0;
	writer->last_address = 0;
	return err ? err : codec_pack_columns(codec, COLUMN_COUNT, ret);
}

static int unpack_locations(struct bytes *columns, size_t count, uint32_t build_count,
			    struct tree *tree)
{
	uint64_t build = 0;
	uint64_t address = 0;

	if (array_reserve(&tree->builds, count) < 0 || array_reserve(&tree->addresses, count) < 0)
		return -ENOMEM;
	if (tree->builds.count + count > TREE_LOCATION_COUNT_MAX)
		return -EBADMSG;
	for (size_t i = 0; i < count; i++) {
		uint64_t further = column_take(&columns[COLUMN_BUILDS]);

		if (further >= build_count || build + further >= build_count)
			return -EBADMSG;
		build += further;
		address = further ? 0 : address;
		/* Beyond the top it would wrap: no writer does that, and no reader minds. */
		address += column_take(&columns[COLUMN_ADDRESSES]);
		tree->builds.items[tree->builds.count++] = (uint32_t)build;
		tree->addresses.items[tree->addresses.count++] = address;
	}
	return columns[COLUMN_BUILDS].error || columns[COLUMN_BUILDS].left ||
			       columns[COLUMN_ADDRESSES].error || columns[COLUMN_ADDRESSES].left
		       ? -EBADMSG
		       : 0;
}

static int unpack_nodes(struct bytes *columns, size_t count, uint32_t location_count,
			uint32_t first_location, struct tree *tree)
{
	autofree uint32_t *path = malloc(LEVEL_COUNT_MAX * sizeof(path[0]));
	uint32_t level = 0; /* of the next node if it is a child of the one before */
	struct tree_node *nodes;

	if (!path || array_reserve(&tree->nodes, count) < 0)
		return -ENOMEM;
	if (tree->nodes.count + count > TREE_NODE_COUNT_MAX)
		return -EBADMSG;
	nodes = tree->nodes.items;
	for (size_t i = 0; i < count; i++) {
		uint64_t up = column_take(&columns[COLUMN_UPS]);
		uint64_t location = column_take(&columns[COLUMN_LOCATIONS]);
		uint32_t number = tree->nodes.count;

		/* Only the first has no parent. */
		if (up > level || (i > 0 && up == level) || level - up >= LEVEL_COUNT_MAX ||
		    location >= TREE_RESERVED_COUNT + location_count)
			return -EBADMSG;
		level -= (uint32_t)up;
		if (location >= TREE_RESERVED_COUNT)
			location += first_location - TREE_RESERVED_COUNT;
		nodes[number].parent = level ? path[level - 1] : TREE_NO_PARENT;
		nodes[number].location = (uint32_t)location;
		path[level++] = number;
		tree->nodes.count++;
	}
	return columns[COLUMN_UPS].error || columns[COLUMN_UPS].left ||
			       columns[COLUMN_LOCATIONS].error || columns[COLUMN_LOCATIONS].left
		       ? -EBADMSG
		       : 0;
}

/* Finds the columns, and unpacks the locations. */
int shape_open(struct codec *codec, const void *blob, size_t size, uint32_t build_count,
	       struct tree *locations, struct shape_reader *ret)
{
	struct bytes columns[COLUMNS_COUNT_MAX];
	int err = codec_unpack_columns(codec, blob, size, COLUMN_COUNT, columns);

	if (err)
		return err;

	uint64_t location_count = bytes_varint(&columns[COLUMN_COUNTS]);
	uint64_t node_count = bytes_varint(&columns[COLUMN_COUNTS]);

	/* A byte at least for each in its columns. */
	if (columns[COLUMN_COUNTS].error || columns[COLUMN_COUNTS].left || node_count == 0 ||
	    location_count > columns[COLUMN_BUILDS].left || node_count > columns[COLUMN_UPS].left)
		return -EBADMSG;
	err = unpack_locations(columns, location_count, build_count, locations);
	if (err)
		return err;
	*ret = (struct shape_reader){ .ups = columns[COLUMN_UPS],
				      .locations = columns[COLUMN_LOCATIONS],
				      .node_count = (uint32_t)node_count,
				      .location_count =
					      TREE_RESERVED_COUNT + (uint32_t)location_count };
	return 0;
}

int shape_next(struct shape_reader *reader)
{
	if (reader->next == reader->node_count)
		return reader->ups.left || reader->locations.left ? -EBADMSG : 0;

	uint64_t up = column_take(&reader->ups);
	uint64_t location = column_take(&reader->locations);
	uint32_t level = reader->next ? reader->level + 1 : 0;

	/* Only the first has no parent. */
	if (reader->ups.error || reader->locations.error || up > level ||
	    (reader->next > 0 && up == level) || location >= reader->location_count ||
	    level - up >= LEVEL_COUNT_MAX)
		return -EBADMSG;
	reader->level = level - (uint32_t)up;
	reader->location = (uint32_t)location;
	reader->next++;
	return 1;
}

/* A node that is open, and what it became: nothing yet, as long as nothing below it is wanted. */
struct open_node {
	uint32_t number;
	uint32_t location;
	uint32_t place;
};

enum { PLACE_NONE = UINT32_MAX };

/* All that is open and not there yet. */
static int append_path(struct open_node *path, uint32_t level, uint32_t first_location,
		       struct node_map *map, struct tree *tree)
{
	uint32_t first = level;

	while (first > 0 && path[first - 1].place == PLACE_NONE)
		first--;
	for (uint32_t i = first; i < level; i++) {
		uint32_t location = path[i].location;

		if (location >= TREE_RESERVED_COUNT)
			location += first_location - TREE_RESERVED_COUNT;
		if (tree->nodes.count >= TREE_NODE_COUNT_MAX)
			return -EBADMSG;
		if (array_reserve(&tree->nodes, 1) < 0)
			return -ENOMEM;
		path[i].place = tree->nodes.count;
		tree->nodes.items[tree->nodes.count++] =
			(struct tree_node){ i ? path[i - 1].place : TREE_NO_PARENT, location };
		node_map_add(map, path[i].number);
	}
	return 0;
}

/* Of the locations from the first on, leaves those that the nodes after the root's have: a few
 * segments know little of a tree that many share. */
static int leave_used(struct tree *tree, uint32_t root, uint32_t first_location)
{
	uint32_t count = tree->builds.count - first_location;
	uint32_t place = first_location;
	autofree uint32_t *places = calloc((size_t)count + 1, sizeof(places[0]));

	if (!places)
		return -ENOMEM;
	for (uint32_t i = root + 1; i < tree->nodes.count; i++)
		if (tree->nodes.items[i].location >= first_location)
			places[tree->nodes.items[i].location - first_location] = 1;
	for (uint32_t i = 0; i < count; i++) {
		if (!places[i])
			continue;
		places[i] = place;
		tree->builds.items[place] = tree->builds.items[first_location + i];
		tree->addresses.items[place] = tree->addresses.items[first_location + i];
		place++;
	}
	for (uint32_t i = root + 1; i < tree->nodes.count; i++) {
		uint32_t *location = &tree->nodes.items[i].location;

		if (*location >= first_location)
			*location = places[*location - first_location];
	}
	tree->builds.count = tree->addresses.count = place;
	return 0;
}

int shape_unpack_some(struct shape_reader *reader, struct node_map *map, uint32_t first_location,
		      uint32_t service, struct tree *tree, uint32_t *ret_first)
{
	autofree struct open_node *path = malloc(LEVEL_COUNT_MAX * sizeof(path[0]));
	uint32_t first = tree->nodes.count;
	int more;

	if (!path)
		return -ENOMEM;
	while ((more = shape_next(reader)) > 0) {
		uint32_t number = reader->next - 1;
		int err = 0;

		path[reader->level] = (struct open_node){ number, reader->location, PLACE_NONE };
		/* The root is there in any case. */
		if (number == 0 || node_map_has(map, number))
			err = append_path(path, reader->level + 1, first_location, map, tree);
		if (err)
			return err;
	}
	if (more < 0)
		return more;
	node_map_number(map);
	tree->nodes.items[first].location = service;
	*ret_first = first;
	return leave_used(tree, first, first_location);
}

int shape_unpack(struct codec *codec, const void *blob, size_t size, uint32_t build_count,
		 uint32_t service, struct tree *tree, uint32_t *ret_first)
{
	struct bytes columns[COLUMNS_COUNT_MAX];
	uint32_t first_location = tree->builds.count;
	uint32_t first = tree->nodes.count;
	int err = codec_unpack_columns(codec, blob, size, COLUMN_COUNT, columns);

	if (err)
		return err;

	uint64_t location_count = bytes_varint(&columns[COLUMN_COUNTS]);
	uint64_t node_count = bytes_varint(&columns[COLUMN_COUNTS]);

	/* A byte at least for each in its columns. */
	if (columns[COLUMN_COUNTS].error || columns[COLUMN_COUNTS].left || node_count == 0 ||
	    location_count > columns[COLUMN_BUILDS].left || node_count > columns[COLUMN_UPS].left)
		return -EBADMSG;
	err = unpack_locations(columns, location_count, build_count, tree);
	if (!err)
		err = unpack_nodes(columns, node_count, (uint32_t)location_count, first_location,
				   tree);
	if (err)
		return err;
	tree->nodes.items[first].location = service;
	*ret_first = first;
	return 0;
}
