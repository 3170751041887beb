/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdint.h>

#include "base/cleanup.h"
#include "store/array.h"
#include "store/batch.h"
#include "store/segment.h"

/*
 * The way of a batch's stacks down the trees of a segment. Stacks of a service share most of their
 * frames: put into order, each frame that they have in common is looked for once, and what lies
 * below one that was not there is new without a search.
 */
struct descent_path {
	uint32_t service; /* text of the span */
	uint32_t stack;	  /* of the batch */
	uint32_t node;	  /* of its leaf: the answer */
};

typedef ARRAY(struct descent_path) descent_paths;

/* What it works in, for one batch after the other. */
struct descent;

int descent_new(struct descent **ret);
struct descent *descent_free(struct descent *descent);

/* What it takes; and gives back what it needs not between two. */
size_t descent_memory(const struct descent *descent);
void descent_give_back(struct descent *descent);

/*
 * Finds or adds the nodes of all paths. locations: those of the batch in the segment. -ENOMEM,
 * -ENOSPC when the segment is full; nothing was added then.
 */
int descent_go(struct descent *descent, struct segment *segment, const struct batch *batch,
	       const uint32_t *locations, descent_paths *paths);

DEFINE_CLEANUP(struct descent *, descent, descent_free)
