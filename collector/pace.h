/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/clock.h"

/*
 * When a window ends, and which time before the next one was not recorded. The collector's clock
 * ticks ten times a second; a tick that comes late means that the host slept or that we did not get
 * to run, and both are told as what they are. Asks no clock itself.
 */
#define PACE_WINDOW_NS ((uint64_t)CLOCK_NS_PER_S)

struct pace {
	uint64_t window_start_boot_ns;
	uint64_t last_tick_boot_ns;
	int64_t slept_ns; /* boot time minus monotonic time at the last tick */
	uint64_t last_sample_boot_ns;
	/* The longest time between two samples since the last tick. */
	uint64_t hole_start_boot_ns, hole_end_boot_ns;
};

/* A window begins now. */
void pace_start(struct pace *pace, uint64_t boot_ns, uint64_t monotonic_ns);

/* For each sample, in the order in which they come. */
void pace_sample(struct pace *pace, uint64_t boot_ns);

/* Whether a sample taken then is of a later window than the running one. */
bool pace_is_early(const struct pace *pace, uint64_t boot_ns);

/* A tick so late that samples may have found no room: ask whether any did. */
bool pace_is_stalled(const struct pace *pace, uint64_t boot_ns);

struct pace_step {
	bool ends;		      /* the running window; else all that follows is 0 */
	uint64_t end_boot_ns;	      /* its end */
	uint64_t next_boot_ns;	      /* the start of the next one */
	uint64_t takes_until_boot_ns; /* early samples from before this are of the ending window */
	uint8_t gap;		      /* enum gap_reason: why there is time between the two */
};

/*
 * A tick: call it when all samples that were there have gone through pace_sample(). lost_samples:
 * whether some found no room since the tick before the last.
 */
struct pace_step pace_tick(struct pace *pace, uint64_t boot_ns, uint64_t monotonic_ns,
			   bool lost_samples);
