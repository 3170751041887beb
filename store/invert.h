/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "store/merge.h"

/*
 * Turns stacks of a merged tree upside down: what they end in first, then its callers. Only what is
 * among the heaviest is taken apart, heaviest first, and each weight is the sum of all its stacks:
 * what is shown is exact.
 */
struct inverted_stack {
	uint32_t node; /* where it ends */
	uint64_t value;
};

/*
 * Puts them below the root of answer, which is weighed, too. groups: the nodes below the tree's
 * root are rows, and become the rows of the answer. stacks is mixed up. deadline: -ETIMEDOUT beyond
 * it; 0: none.
 */
int invert(const struct merge *tree, struct inverted_stack *stacks, uint32_t count, bool groups,
	   uint32_t node_count_max, uint64_t deadline_monotonic_ns, struct merge *answer);

/* The same samples as the whole tree's, by where they ended: a flame graph, to be given back with
 * flame_done(). */
int invert_and_lay_out(const struct merge *tree, struct naming *naming, bool groups,
		       uint32_t node_count_max, uint64_t deadline_monotonic_ns, struct flame *ret);
