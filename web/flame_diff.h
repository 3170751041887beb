/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/str.h"

struct flame;

/*
 * Two flame graphs on top of each other as Pyroscope's clients draw them: rows of bars as in
 * web/flame_levels.h, each bar with the numbers of both sides. What is missing on one side is there
 * with zeros. Both must be whole: what is light on one side may be heavy on the other, so that
 * cutting is done here. What was left out stands last among its siblings under the name "other".
 */
struct flame_diff_side {
	uint64_t delta; /* from the right edge of the bar before, on this side */
	uint64_t total;
	uint64_t self;
};

struct flame_diff_bar {
	struct flame_diff_side left, right;
	uint32_t name;
	uint32_t level;
};

struct flame_diff {
	struct flame_diff_bar *bars; /* by level, in a level from left to right */
	size_t bar_count;
	struct str *names; /* names[0] is "total"; texts belong to the flames */
	size_t name_count;
	uint64_t left_total, right_total;
	uint64_t max_self; /* of both sides */
};

/* Children lighter than the n-th heaviest node on both sides go. -EBADMSG, -ENOMEM. */
int flame_diff_make(const struct flame *left, const struct flame *right, uint32_t node_count_max,
		    struct flame_diff *ret);
void flame_diff_done(struct flame_diff *diff);

static inline void flame_diff_cleanup(struct flame_diff *diff)
{
	flame_diff_done(diff);
}
