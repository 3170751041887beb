/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/str.h"

struct flame;

/*
 * A flame graph as Pyroscope's clients draw it: rows of bars. Each bar is four numbers: how far its
 * left edge lies from the right edge of the bar before it in its row, total, self, and the index of
 * its name. Children begin behind their parent's self.
 *
 * What was left out stands last among its siblings under the name "other". Pyroscope's clients
 * can't tell a function of that name from it, and neither does Pyroscope: both go into one bar.
 */
struct flame_bar {
	uint64_t delta;
	uint64_t total;
	uint64_t self;
	uint32_t name;	/* index into names */
	uint32_t level; /* 0: the root */
};

struct flame_levels {
	struct flame_bar *bars; /* by level, in a level from left to right */
	size_t bar_count;
	struct str *names; /* names[0] is "total"; each once; texts belong to the flame */
	size_t name_count;
	uint64_t total;
	uint64_t max_self;
};

/* -EBADMSG for sums that are none, -ENOMEM. *ret is emptied by flame_levels_done(). */
int flame_levels_make(const struct flame *flame, struct flame_levels *ret);
void flame_levels_done(struct flame_levels *levels);

static inline void flame_levels_cleanup(struct flame_levels *levels)
{
	flame_levels_done(levels);
}
