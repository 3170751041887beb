/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "store/columns.h"
#include "store/number_sort.h"

/*
 * Who used how much when, without stacks: what timelines and lists of processes read of a settled
 * segment. Runs ascend by slice, and within a slice by pair.
 */
struct activity_run {
	uint32_t slice;
	uint32_t pair; /* of the segment; below 1 << 31 */
	bool is_valued;
	uint64_t samples;
	uint64_t kernel_samples;
	uint64_t value; /* of valued runs only, else 0 */
	uint64_t kernel_value;
};

struct activity {
	ARRAY(struct slice) slices;
	ARRAY(struct activity_run) runs;
	/* of activity_sort() */
	ARRAY(struct keyed) order;
	ARRAY(struct activity_run) sorted;
};

void activity_done(struct activity *activity);

/* Puts the runs in order, and makes one of those of the same slice and pair. */
void activity_sort(struct activity *activity);

/*
 * Makes one of all slices of from that lie in the same step_ms, from the least of their starts to
 * the greatest of their ends; and by slice of from its place among those, which the caller frees,
 * also after an error. edges_apart: what starts just where a step does is a slice of its own, so
 * that each lies between two edges whether the one before belongs to it or the one after.
 */
int activity_coarsen(const struct activity *from, int64_t step_ms, bool edges_apart,
		     struct activity *to, uint32_t **ret_places);

/* The runs of from, by what their slices and pairs became. */
int activity_add(const struct activity *from, const uint32_t *slices, const uint32_t *pairs,
		 struct activity *to);

/* The same of runs that are read for it. */
struct activity_reader;
int activity_add_read(struct activity_reader *from, const uint32_t *slices, const uint32_t *pairs,
		      struct activity *to);

int activity_pack(struct codec *codec, const struct activity *activity, struct buf *ret);

/*
 * The same for half a million runs that come in their order, some slices after the other: 48 bytes
 * each, and packed one or two.
 */
struct activity_packer {
	struct buf steps;
	struct buf pairs;
	struct buf samples;
	struct buf kernel_samples;
	struct buf values;
	uint32_t slice; /* of the last run */
	uint32_t pair;
};

void activity_packer_init(struct activity_packer *packer);
void activity_packer_done(struct activity_packer *packer);

/* The activity's runs, which are sorted, and of no earlier slice than those before them. */
void activity_packer_add(struct activity_packer *packer, const struct activity *activity);

/* Packs what was added, with the activity's slices. */
int activity_packer_pack(const struct activity_packer *packer, struct codec *codec,
			 const struct activity *activity, struct buf *ret);

/* Empties *ret first and keeps its memory. pair_count: of the segment. */
int activity_unpack(struct codec *codec, const void *blob, size_t size, uint32_t pair_count,
		    struct activity *ret);

/*
 * One run after the other, for those who need not have all of them at once. The slices go into an
 * activity, which is emptied first. Reads from the codec's memory: valid until it is used again.
 */
struct activity_reader {
	struct bytes columns[COLUMNS_COUNT_MAX];
	uint32_t slice_count, pair_count;
	struct activity_run run;
};

int activity_open(struct codec *codec, const void *blob, size_t size, uint32_t pair_count,
		  struct activity *slices, struct activity_reader *ret);

/* 1 for a run, 0 at the end, -EBADMSG. */
int activity_next(struct activity_reader *reader);

/* What a pair has in some slices together. */
struct activity_sum {
	uint64_t samples, kernel_samples; /* whose values are multiples of these */
	uint64_t valued_samples, value, kernel_value;
	uint32_t first, last; /* slices it occurs in, when it is one of those that do */
	bool occurs;
};

/* By pair, and which of them occur, in no order. */
struct activity_sums {
	struct activity_sum *sums;
	uint32_t *occurring;
	uint32_t count;
};

/* Of so many pairs none. -ENOMEM. */
int activity_sums_init(struct activity_sums *sums, uint32_t pair_count);
void activity_sums_done(struct activity_sums *sums);
void activity_sums_clear(struct activity_sums *sums);

/* Adds what is left of slices before this one, for those who read a million: 0, -EBADMSG. */
int activity_sum_until(struct activity_reader *reader, uint32_t slice, struct activity_sums *sums);

static inline void activity_cleanup(struct activity *activity)
{
	activity_done(activity);
}

static inline void activity_sums_cleanup(struct activity_sums *sums)
{
	activity_sums_done(sums);
}
