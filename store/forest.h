/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdint.h>

#include "store/cache.h"
#include "store/tree.h"

/*
 * Trees with values: nodes numbered from parent to child, as in a segment's tree, and what each
 * weighs. A root's location is its service, or whatever row it stands for.
 */
struct forest {
	const struct tree_node *nodes;
	uint64_t *self; /* NULL where nothing is left out: its total without its children's */
	uint64_t *total;
	const uint32_t *hidden; /* of a summary: what was left out below each node; else NULL */
	uint32_t count;
};

/* In place of a node's number: it was too light, and the rest is the number of who counts it. */
#define FOREST_HIDDEN (UINT32_C(1) << 31)

/* total of each node from self of all, in one backward pass. */
void forest_add_up(const struct forest *forest);

/* The same, and the total from which on there are about so many nodes, no more unless they weigh
 * the same; 1 for all. */
uint64_t forest_add_up_and_cut(const struct forest *forest, uint64_t keep);

/* The same in place: of each node of a tree its own becomes its total. */
uint64_t forest_weigh_tree(const struct tree *tree, uint64_t *values, uint64_t keep);

/*
 * Whoever looks at the whole host looks again a moment later, and finished segments don't change:
 * what of a segment passed the cut is kept, a tenth of it, and the next time is that much faster.
 * The forest is of the tree, and its totals are gone afterwards: they are scratch, too, so that a
 * node takes eight bytes. In *summary there may be other trees of the segment; NULL: a new one is
 * made. When it fails there is none.
 */
int forest_summarize(const struct tree *tree, const struct forest *forest, uint64_t cut,
		     struct cached **summary);

/* What of a summary that nobody else has about so many nodes hold, as above. Takes it. */
int forest_cut_summary(struct cached *all, uint64_t keep, struct cached **ret);

/*
 * The sum of summaries of one span, and of that about the keep heaviest nodes. What several
 * segments have in common, most of what passes the cut, is then named and merged once and not once
 * for each. -ENOSPC: it is too large for one tree.
 */
int forest_join_summaries(struct cached *const *parts, size_t count, uint64_t keep,
			  struct cached **ret);

struct forest forest_of_summary(const struct cached *summary);
