/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/gather.h"
#include "store/array.h"

/*
 * The stacks of one segment: nodes that name their parent and their location, numbered from parent
 * to child, and the locations. One tree for each service: its root has no parent, and in place of a
 * location the number of the service's name in the catalog of the span.
 */
#define TREE_NO_PARENT UINT32_MAX

enum {
	/*
	 * Where callers are missing: stands directly below a service's root, above the outermost
	 * frame of stacks that were cut.
	 */
	TREE_CALLERS_MISSING = 0,
	/*
	 * Frames that were folded when the span was sealed: stands below their caller, and what it
	 * is worth is what they were worth together.
	 */
	TREE_FOLDED = 1,
	TREE_RESERVED_COUNT = 2,
#define TREE_BUILD_RESERVED UINT32_MAX /* of these; the address is their number */
	/* The build of a location that brings its names; its address is their number in the
	   catalog. */
	TREE_BUILD_NAMED = 0,

	/* Of one segment; a soft end at TREE_NODE_COUNT_SOFT leaves room for the largest window. */
	TREE_NODE_COUNT_MAX = 4 << 20,
	TREE_NODE_COUNT_SOFT = 1500000,
	TREE_LOCATION_COUNT_MAX = 4 << 20,
};

struct tree_node {
	uint32_t parent;
	uint32_t location;
};

struct tree {
	ARRAY(struct tree_node) nodes;
	ARRAY(uint32_t) builds; /* of the locations */
	ARRAY(uint64_t) addresses;
};

/* Enters the reserved locations. */
int tree_init(struct tree *tree);
void tree_done(struct tree *tree);

/* Makes an empty one, not even initialized, the first nodes and locations of another. -ENOMEM. */
int tree_copy(const struct tree *from, uint32_t node_count, uint32_t location_count,
	      struct tree *to);

/* The new number, or -ENOMEM, -ENOSPC at the limit. */
int64_t tree_add_location(struct tree *tree, uint32_t build, uint64_t address);
int64_t tree_add_node(struct tree *tree, uint32_t parent, uint32_t location);

/*
 * Puts these locations, in ascending order, into that of their builds, those of one build as they
 * were, what is reserved first: a tree that was settled has them so, one that still grows as they
 * came. -EBADMSG for a build of build_count or more.
 */
int tree_order_by_build(const struct tree *tree, uint32_t build_count, uint32_t *locations,
			uint32_t count);

/* Gives back the memory that it has too much, when it grows no more. */
void tree_trim(struct tree *tree);

/* Its memory, into what holds all of a thing that no longer changes (base/gather.h). */
void tree_gather(struct tree *tree, struct gather *gather);

size_t tree_memory(const struct tree *tree);

static inline bool tree_is_root(const struct tree *tree, uint32_t node)
{
	return tree->nodes.items[node].parent == TREE_NO_PARENT;
}
