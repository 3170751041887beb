/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "store/shape.h"

/*
 * The trees of one service, of many segments, become one: all are in preorder with the same order
 * of children, so a walk over all of them at once, without a hash table, gives the sum in preorder.
 *
 * Folding: a node whose samples are fewer than fold, and fewer than a ten-thousandth of the
 * service's, goes with all below it; what it was worth stands in a child of its parent,
 * TREE_FOLDED. Totals of what stays are exact. fold 0 and 1 keep everything.
 */
struct strand {
	struct tree locations; /* until it is woven */
	struct shape_reader reader;
	/*
	 * By node: its own samples, UINT32_MAX at the most, and its number in the braid when done.
	 * A large service has ten million nodes in six hours.
	 */
	uint32_t *numbers;
	uint32_t *ranks; /* by location: its place among all */
	bool has_node;	 /* the reader stands on one that was not taken yet */
};

struct braid_node {
	uint16_t level;
	uint32_t location; /* in locations; the reserved ones are the same */
	uint32_t folded;   /* its child that holds what was folded, or 0 */
};

struct braid {
	ARRAY(struct strand) strands;
	ARRAY(struct codec *) codecs;	/* by strand: keeps the columns of the shape that is read */
	ARRAY(struct braid_node) nodes; /* node 0 is the service's root */
	struct tree locations;		/* ascending by build and address */
};

void braid_done(struct braid *braid);

/* Lets go what belongs to the last service. */
void braid_clear(struct braid *braid);

/* A strand more: the packed shape of a segment. Its samples are zero and the caller's to add. */
int braid_add(struct braid *braid, const void *blob, size_t size, uint32_t build_count,
	      struct strand **ret);

void strand_add_samples(struct strand *strand, uint32_t node, uint64_t count);

/* Walks; afterwards nodes and the strands' numbers are there. */
int braid_weave(struct braid *braid, uint32_t fold);

/* The braid's tree as a packed shape. */
int braid_pack(const struct braid *braid, struct codec *codec, struct buf *ret);

static inline void braid_cleanup(struct braid *braid)
{
	braid_done(braid);
}
