/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/window.h"
#include "collector/pace.h"

#define MS(n) ((uint64_t)(n)*CLOCK_NS_PER_MS)

/* A host that slept a minute before all this. */
enum { START_MS = 100000, SLEPT_MS = 60000 };

static struct pace started(void)
{
	struct pace pace;

	pace_start(&pace, MS(START_MS), MS(START_MS - SLEPT_MS));
	return pace;
}

/* ms after the start, on a host that sleeps for slept_ms since then. */
static struct pace_step tick(struct pace *pace, unsigned ms, unsigned slept_ms, bool lost)
{
	return pace_tick(pace, MS(START_MS + ms), MS(START_MS + ms - SLEPT_MS - slept_ms), lost);
}

static void sample(struct pace *pace, unsigned ms)
{
	pace_sample(pace, MS(START_MS + ms));
}

static void assert_step(struct pace_step step, unsigned end_ms, unsigned next_ms, int gap)
{
	assert_true(step.ends);
	assert_int_equal(step.end_boot_ns / CLOCK_NS_PER_MS, START_MS + end_ms);
	assert_int_equal(step.next_boot_ns / CLOCK_NS_PER_MS, START_MS + next_ms);
	assert_int_equal(step.gap, gap);
}

static void windows_take_exactly_a_second(void **state)
{
	struct pace pace = started();

	(void)state;
	for (unsigned ms = 100; ms < 1000; ms += 100)
		assert_false(tick(&pace, ms, 0, false).ends);
	/* The tick comes a little late; the window does not. */
	assert_step(tick(&pace, 1007, 0, false), 1000, 1000, GAP_NONE);
	assert_false(tick(&pace, 1107, 0, false).ends);
	assert_true(pace_is_early(&pace, MS(START_MS + 2000)));
	assert_false(pace_is_early(&pace, MS(START_MS + 1999)));
	assert_step(tick(&pace, 2999, 0, false), 2000, 2000, GAP_NONE);
}

/* Late, but the ring held it all. */
static void one_long_window_when_nothing_was_lost(void **state)
{
	struct pace pace = started();

	(void)state;
	sample(&pace, 500);
	assert_true(pace_is_stalled(&pace, MS(START_MS + 7000)));
	assert_false(pace_is_stalled(&pace, MS(START_MS + 3000)));

	/* Nothing ran for six seconds, which is no gap. */
	struct pace_step step = tick(&pace, 7000, 0, false);

	assert_step(step, 7000, 7000, GAP_NONE);
	assert_int_equal(step.takes_until_boot_ns, step.end_boot_ns);
	assert_step(tick(&pace, 9000, 0, false), 9000, 9000, GAP_NONE);
}

static void the_hole_between_samples_is_the_gap(void **state)
{
	struct pace pace = started();
	struct pace_step step;

	(void)state;
	/* The ring fills for a second and a half; then it is drained, and takes in again. */
	for (unsigned ms = 10; ms <= 1500; ms += 10)
		sample(&pace, ms);
	sample(&pace, 7001);
	sample(&pace, 6999); /* of another CPU */
	sample(&pace, 7003);
	step = tick(&pace, 7004, 0, true);
	assert_step(step, 1500, 7001, GAP_STOPPED);
	assert_int_equal(step.takes_until_boot_ns, MS(START_MS + 1500) + 1);
	/* Once. */
	assert_false(tick(&pace, 7100, 0, true).ends);
	assert_step(tick(&pace, 8001, 0, true), 8001, 8001, GAP_NONE);
}

/* Stopped between reading the clock and draining the ring. */
static void a_hole_that_reaches_beyond_the_tick_is_kept(void **state)
{
	struct pace pace = started();

	(void)state;
	assert_false(tick(&pace, 900, 0, false).ends);
	sample(&pace, 950);
	sample(&pace, 1020);
	sample(&pace, 8000);
	assert_step(tick(&pace, 1010, 0, false), 1000, 1000, GAP_NONE);
	sample(&pace, 8001);
	assert_step(tick(&pace, 8002, 0, true), 1020, 8000, GAP_STOPPED);

	/* And when the window that it began in is over. */
	pace = started();
	sample(&pace, 990);
	sample(&pace, 8000);
	assert_step(tick(&pace, 1010, 0, false), 1000, 1000, GAP_NONE);
	assert_step(tick(&pace, 8002, 0, true), 1000, 8000, GAP_STOPPED);
}

static void after_the_last_sample_there_may_be_none(void **state)
{
	struct pace pace = started();

	(void)state;
	sample(&pace, 900);
	assert_step(tick(&pace, 5000, 0, true), 900, 5000, GAP_STOPPED);

	/* And there may be none at all in the window. */
	assert_step(tick(&pace, 9000, 0, true), 5000, 9000, GAP_STOPPED);

	/* A short stall tells no more than the count of what was lost. */
	assert_step(tick(&pace, 11500, 0, true), 11500, 11500, GAP_NONE);
	/* So does one in which samples came all the time. */
	for (unsigned ms = 11500; ms < 16000; ms += 1000)
		sample(&pace, ms);
	assert_step(tick(&pace, 16000, 0, true), 16000, 16000, GAP_NONE);
}

static void sleep_is_told_as_sleep(void **state)
{
	struct pace pace = started();
	struct pace_step step;

	(void)state;
	assert_false(tick(&pace, 300, 0, false).ends);
	sample(&pace, 350);
	sample(&pace, 30350); /* after it */
	step = tick(&pace, 30400, 30000, false);
	assert_step(step, 300, 30400, GAP_SUSPENDED);
	assert_int_equal(step.takes_until_boot_ns, 0);
	/* Once, and not for what NTP does to the clocks. */
	assert_false(tick(&pace, 30500, 30000, false).ends);
	assert_false(tick(&pace, 30600, 30100, false).ends);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(windows_take_exactly_a_second),
		cmocka_unit_test(one_long_window_when_nothing_was_lost),
		cmocka_unit_test(the_hole_between_samples_is_the_gap),
		cmocka_unit_test(a_hole_that_reaches_beyond_the_tick_is_kept),
		cmocka_unit_test(after_the_last_sample_there_may_be_none),
		cmocka_unit_test(sleep_is_told_as_sleep),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
