/* SPDX-License-Identifier: Apache-2.0 */
#include "collector/pace.h"

#include <assert.h>

#include "base/window.h"

/* Clocks that drift apart by so much say that the host slept. */
#define SLEEP_NS (INT64_C(500) * CLOCK_NS_PER_MS)
/* A tick that comes so late means that we did not get to run. */
#define STALL_NS (UINT64_C(3) * (uint64_t)CLOCK_NS_PER_S)
/* Samples that are so far apart, when others were lost, lie on either side of what was lost. */
#define HOLE_NS (STALL_NS / 2)

static void note_hole(struct pace *pace, uint64_t end_boot_ns)
{
	uint64_t start = pace->last_sample_boot_ns;

	if (start < pace->window_start_boot_ns)
		start = pace->window_start_boot_ns;
	if (end_boot_ns <= start ||
	    end_boot_ns - start <= pace->hole_end_boot_ns - pace->hole_start_boot_ns)
		return;
	pace->hole_start_boot_ns = start;
	pace->hole_end_boot_ns = end_boot_ns;
}

void pace_start(struct pace *pace, uint64_t boot_ns, uint64_t monotonic_ns)
{
	*pace = (struct pace){
		.window_start_boot_ns = boot_ns,
		.last_tick_boot_ns = boot_ns,
		.slept_ns =
			(int64_t)(boot_ns - monotonic_ns), /* about 0 on a host that never slept */
	};
}

void pace_sample(struct pace *pace, uint64_t boot_ns)
{
	/* A sample may stand a little behind one of another CPU that is younger. */
	if (boot_ns <= pace->last_sample_boot_ns)
		return;
	note_hole(pace, boot_ns);
	pace->last_sample_boot_ns = boot_ns;
}

bool pace_is_early(const struct pace *pace, uint64_t boot_ns)
{
	return boot_ns >= pace->window_start_boot_ns + PACE_WINDOW_NS;
}

bool pace_is_stalled(const struct pace *pace, uint64_t boot_ns)
{
	return boot_ns - pace->last_tick_boot_ns > STALL_NS;
}

static struct pace_step judge(struct pace *pace, uint64_t now, int64_t slept_ns, bool lost_samples)
{
	uint64_t end = pace->window_start_boot_ns + PACE_WINDOW_NS;

	/* What was counted is from before the sleep. */
	if (slept_ns > pace->slept_ns + SLEEP_NS)
		return (struct pace_step){ .ends = true,
					   .end_boot_ns = pace->last_tick_boot_ns,
					   .next_boot_ns = now,
					   .gap = GAP_SUSPENDED };
	if (pace_is_stalled(pace, now) && lost_samples) {
		note_hole(pace, now);

		/* The ring was full from the one sample until we made room for the other. */
		uint64_t start = pace->hole_start_boot_ns > pace->window_start_boot_ns
					 ? pace->hole_start_boot_ns
					 : pace->window_start_boot_ns;

		if (pace->hole_end_boot_ns > start + HOLE_NS)
			return (struct pace_step){
				.ends = true,
				.end_boot_ns = start + 1,
				.next_boot_ns = pace->hole_end_boot_ns,
				.takes_until_boot_ns = start + 1,
				.gap = GAP_STOPPED,
			};
	}
	/* Late by a whole window: one long one tells the same. */
	if (now >= end + PACE_WINDOW_NS)
		return (struct pace_step){ .ends = true,
					   .end_boot_ns = now,
					   .next_boot_ns = now,
					   .takes_until_boot_ns = now };
	if (now >= end)
		return (struct pace_step){ .ends = true, .end_boot_ns = end, .next_boot_ns = end };
	return (struct pace_step){ .ends = false };
}

struct pace_step pace_tick(struct pace *pace, uint64_t boot_ns, uint64_t monotonic_ns,
			   bool lost_samples)
{
	int64_t slept_ns = (int64_t)(boot_ns - monotonic_ns);
	struct pace_step step = judge(pace, boot_ns, slept_ns, lost_samples);

	pace->slept_ns = slept_ns;
	pace->last_tick_boot_ns = boot_ns;
	/* We may have been stopped between reading the clock and the samples; the next tick will
	 * tell. */
	if (pace->hole_end_boot_ns <= boot_ns || step.gap == GAP_STOPPED)
		pace->hole_start_boot_ns = pace->hole_end_boot_ns = 0;
	if (step.ends)
		pace->window_start_boot_ns = step.next_boot_ns;
	assert(step.end_boot_ns <= step.next_boot_ns);
	return step;
}
