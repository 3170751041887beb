/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdint.h>

#include "base/buf.h"
#include "store/columns.h"
#include "store/pool.h"
#include "store/word_map.h"

/*
 * Who had how much of what is rolled up: in slices of ten minutes, what starts just on their edges
 * apart, by series, with the names of the samples' own labels.
 */
struct sqlite3;

struct activity_rolling {
	struct sqlite3 *from; /* the span's file */
	struct codec *codec, *packer;
	struct word_map *words;
	struct pool *labels; /* names of samples' own are added */
	uint32_t *name_sets; /* by label set of the span: that of its names, + 1; zero at first */
};

/* Of these segments together, as they stand in a piece. */
int roll_activity(const struct activity_rolling *rolling, uint32_t first_segment,
		  uint32_t last_segment, struct buf *ret_pairs, struct buf *ret_runs);
