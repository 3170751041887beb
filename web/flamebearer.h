/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdint.h>

#include "base/buf.h"
#include "web/flame_diff.h"
#include "web/flame_levels.h"
#include "web/profile_type.h"

/*
 * What Pyroscope calls a flamebearer: the JSON of /pyroscope/render, /pyroscope/render-diff and of
 * ad hoc profiles. Other than in its newer calls, numbers are JSON's own.
 */
struct flamebearer_timeline {
	int64_t start_s;
	int64_t step_s;
	const uint64_t *samples;
	size_t count;
};

/* One series of a label's value. */
struct flamebearer_group {
	struct str value; /* "" for what lacks the label */
	const uint64_t *samples;
};

struct flamebearer {
	struct str sample_type;
	struct str sample_unit;
	const struct flame_levels *levels; /* or … */
	const struct flame_diff *diff;
	const struct flamebearer_timeline *timeline; /* NULL: none is shown */
	const struct flamebearer_group *groups;	     /* as long as the timeline; NULL: none */
	size_t group_count;
};

/* The buf keeps an error. */
void flamebearer_write(const struct flamebearer *flamebearer, struct buf *buf);
