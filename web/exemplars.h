/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "store/observations.h"
#include "web/querier.h"

/*
 * Single profiles, and spans in them, as examples of what a sum is made of: a click on one asks for
 * that one alone (web/profile_id.h).
 */
enum {
	/* Points that may have one: 11,000 points of 20 rows. Rows beyond have none. */
	EXEMPLAR_COUNT_MAX = 1 << 18,
};

/* In the arena, with the labels that are not in the group. NULL with the arena's error. */
Pyroscope__Exemplar *exemplar_make(struct connect_call *call, const struct observation *observation,
				   const struct querier_group *group, bool by_span);

/*
 * Of each point of the rows the largest profile: point_count for each row, NULL for none; the arena
 * has them. *ret is NULL when there are too many.
 */
int exemplars_find(struct store *store, struct connect_call *call,
		   const struct store_question *question, const struct querier_group *group,
		   const struct store_grid *grid, const struct store_rows *rows,
		   Pyroscope__Exemplar ***ret);
