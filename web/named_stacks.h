/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/limits.h"
#include "store/batch.h"
#include "web/pprof_reader.h"

/*
 * Stacks of names into a batch: what formats of text have in common, and trees. All are of one
 * type and time, which is the origin's. Names that are too long or no UTF-8 are mended and counted.
 */
struct named_stacks {
	struct batch *batch;
	struct pprof_summary summary;
	uint32_t series, labels;
	bool is_count;	/* a value is a number of samples */
	uint64_t scale; /* values are multiplied by it: their period, where samples are counted */
	uint32_t frames[PPROF_STACK_DEPTH_MAX]; /* of the next stack, from the root on */
	uint32_t depth;				/* of it; so many of its frames may be there not */
	uint32_t turned[PPROF_STACK_DEPTH_MAX]; /* scratch: leaf first, as a batch has them */
	uint64_t frame_count;			/* added so far */
	struct buf mended;
};

/* Some 32 kB: on the heap. The id has five parts. A negative errno. */
int named_stacks_begin(struct named_stacks *stacks, struct batch *batch,
		       const struct pprof_origin *origin, struct str type, uint64_t scale);

/* From the root on. An empty name is that of a frame that is not known. */
int named_stacks_add_frame(struct named_stacks *stacks, struct str name, struct str file,
			   uint32_t line);

/* "main;run;burn" */
int named_stacks_add_frames(struct named_stacks *stacks, struct str text);

/*
 * The stack of the frames that were added since the one before. Nothing is stored without a value.
 * -E2BIG beyond IMPORT_VALUE_COUNT_MAX, or when the batch is full.
 */
int named_stacks_add(struct named_stacks *stacks, uint64_t value);

/* The same, and its frames stay for the next one; of which then so many are kept, from the root. */
int named_stacks_add_kept(struct named_stacks *stacks, uint64_t value);
void named_stacks_keep(struct named_stacks *stacks, uint32_t depth);

void named_stacks_done(struct named_stacks *stacks);
