/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "store/columns.h"
#include "store/tree.h"

/*
 * A service's tree as finished segments keep it: its own locations, ascending by build and address,
 * and its nodes in preorder, children in the order of their locations. A node is how many levels
 * its parent lies above the node before, nearly always 0, and its location: half of what nodes take
 * in the order in which they arrived. Trees in this order merge without a hash table.
 */
struct shape_writer {
	struct buf builds;
	struct buf addresses;
	struct buf ups;
	struct buf locations;
	uint32_t location_count;
	uint32_t node_count;
	uint32_t last_build;
	uint64_t last_address;
};

void shape_writer_init(struct shape_writer *writer);
void shape_writer_done(struct shape_writer *writer);

/* Its number within the shape; the reserved ones are there already. */
uint32_t shape_add_location(struct shape_writer *writer, uint32_t build, uint64_t address);

/* up: levels from the node before to this one's parent. The first node is the service's root. */
void shape_add_node(struct shape_writer *writer, uint32_t up, uint32_t location);

/* Packs what was added and empties the writer. */
int shape_pack(struct codec *codec, struct shape_writer *writer, struct buf *ret);

/*
 * Appends nodes and locations to a tree; the root's location is the service. *ret_first: the number
 * of its root. -EBADMSG: the tree is then of no use.
 */
int shape_unpack(struct codec *codec, const void *blob, size_t size, uint32_t build_count,
		 uint32_t service, struct tree *tree, uint32_t *ret_first);

/*
 * The nodes one after the other, for those who merge trees: only the locations are unpacked, into a
 * tree of their own. Reads from the codec's memory.
 */
struct shape_reader {
	struct bytes ups;
	struct bytes locations;
	uint32_t node_count;
	uint32_t location_count; /* the reserved ones counted */
	uint32_t next;		 /* number of the next node */
	uint32_t level;		 /* of the one that was read last: 0 for the root */
	uint32_t location;	 /* within the shape */
};

int shape_open(struct codec *codec, const void *blob, size_t size, uint32_t build_count,
	       struct tree *locations, struct shape_reader *ret);

/*
 * Appends to the tree that the locations were unpacked into, from first_location on, the nodes of
 * the map and all that they lie below, and numbers the map by what was appended. Of the locations
 * those that these have are left.
 */
int shape_unpack_some(struct shape_reader *reader, struct node_map *map, uint32_t first_location,
		      uint32_t service, struct tree *tree, uint32_t *ret_first);

/* 1 for a node, 0 at the end, -EBADMSG. */
int shape_next(struct shape_reader *reader);
