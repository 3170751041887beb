/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <pthread.h>
#include <stddef.h>
#include <stdint.h>

#include "store/array.h"
#include "store/merge.h"
#include "store/naming.h"

/*
 * What questions for stacks work in: some megabytes that are kept for the next question, since
 * people ask again a second later. To get them from the kernel anew, which clears them page by
 * page, took a fifth of a question's time.
 */
struct scratch {
	ARRAY(uint64_t) self; /* by node of the largest segment, as are these: */
	ARRAY(uint64_t) total;
	ARRAY(uint32_t) mapped;
	ARRAY(struct frame_names) named; /* by its locations */
	struct merge merge;
	struct naming *naming; /* or NULL */
};

enum {
	/* Kept at once: two CPUs ask for two. */
	SCRATCH_COUNT_MAX = 2,
	/* Of all that are kept. A whole host of two busy CPUs takes 9 MB. What does not fit is
	 * given back, the arrays by node first. */
	SCRATCH_SIZE_MAX = 16 << 20,
	/* Kept for so long when nobody asks: a page that is looked at asks more often. */
	SCRATCH_IDLE_SECONDS = 30,
	/* The one below, which only questions at the same time need. */
	SCRATCH_SPARE_SECONDS = 5,
	/* And for so long at most: it grows to the largest question, and never shrinks by itself.
	 */
	SCRATCH_AGE_SECONDS = 60,
};

/* For any thread. */
struct scratches {
	pthread_mutex_t lock;
	struct scratch kept[SCRATCH_COUNT_MAX]; /* the one that is taken next last */
	uint64_t kept_ns[SCRATCH_COUNT_MAX];	/* since when each lies there; steady */
	uint32_t count;
	size_t size, size_max;
	uint64_t used_ns;  /* when one was kept last */
	uint64_t since_ns; /* when the first of them was kept; 0: none has been */
};

void scratches_init(struct scratches *scratches);
void scratches_done(struct scratches *scratches);

/* One that was kept, or an empty one. */
void scratches_take(struct scratches *scratches, struct scratch *ret);

/* Keeps of it what there is room for, and empties it. */
void scratches_give(struct scratches *scratches, struct scratch *scratch, uint64_t now_ns);

/* Lets all go when nobody asked for long, and when it was kept for long; and what only a rush
 * needed. */
void scratches_tidy(struct scratches *scratches, uint64_t now_ns);

/* No more than that is kept from now on, and never more than SCRATCH_SIZE_MAX. Of what is kept one
 * stays in any case: the next question takes it. */
void scratches_limit(struct scratches *scratches, size_t size_max);

/* What is kept now. */
size_t scratches_memory(struct scratches *scratches);
