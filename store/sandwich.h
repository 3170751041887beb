/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "store/forest.h"
#include "store/merge.h"

/* The function that a sandwich is about, in the numbers of a naming. */
struct sandwich_function {
	uint32_t name;
	uint32_t module;
	bool of_any_module;
};

static inline bool sandwich_function_is(const struct sandwich_function *function,
					struct frame_name frame)
{
	return frame.name == function->name &&
	       (function->of_any_module || frame.module == function->module);
}

/*
 * Marks the nodes that lie on stacks through the function: above it, and in or below it. Others
 * need not be merged. holds: which of the tree's locations do.
 */
void sandwich_mark(const struct forest *forest, const bool *holds, bool *needed);

/* Both sides, of a tree in which all stacks through the function are. */
int sandwich_lay_out(const struct merge *merge, struct naming *naming,
		     const struct sandwich_function *function, uint32_t node_count_max,
		     uint64_t deadline_monotonic_ns, struct sandwich *ret);
