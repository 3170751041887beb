/* SPDX-License-Identifier: Apache-2.0 */
/* Time in which nothing was recorded is told as such, with the reason, and never as idleness. */
#include <inttypes.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "tests/support/hearth.h"

enum { STOP_SECONDS = 6, FREQUENCY_HZ = 4000 };

struct gap {
	int64_t from_ms, to_ms;
};

static bool find_gap(const struct hearth *hearth, const char *reason, struct gap *ret)
{
	json_t *answer = hearth_get(hearth, "/api/v1/timeline?from=now-2m");
	json_t *gaps = json_object_get(answer, "gaps");
	bool found = false;

	for (size_t i = 0; i < json_array_size(gaps) && !found; i++) {
		json_t *gap = json_array_get(gaps, i);
		const char *text = json_string_value(json_object_get(gap, "reason"));

		found = text && !strcmp(text, reason);
		ret->from_ms = json_integer_value(json_object_get(gap, "from_ms"));
		ret->to_ms = json_integer_value(json_object_get(gap, "to_ms"));
	}
	json_decref(answer);
	return found;
}

static int64_t lost_in_the_ring(const struct hearth *hearth)
{
	json_t *status = hearth_get(hearth, "/api/v1/status");
	json_t *lost = json_object_get(json_object_get(status, "collector"), "lost");
	int64_t count = json_integer_value(json_object_get(lost, "ring_full"));

	json_decref(status);
	return count;
}

/*
 * While the collector stands still the kernel goes on sampling until the ring is full: what is in
 * it is kept, the rest of the time is a gap, and what found no room is counted.
 */
static void a_stopped_collector_leaves_a_gap(void **state)
{
	char frequency[16], target[256];
	const char *options[] = { "--frequency", frequency, NULL };
	const char *arguments[] = { build_path("tests/live/targets/burn", target, sizeof(target)),
				    "12", "2", NULL };
	struct hearth hearth;
	struct child burn;
	struct gap gap = { 0 };

	(void)state;
	need_bpf();
	snprintf(frequency, sizeof(frequency), "%d", FREQUENCY_HZ);
	hearth_start(&hearth, "run", options);
	assert_true(child_says(&hearth.child, "a collector is connected", 20));
	child_start(&burn, arguments, 0);
	sleep_seconds(2);
	assert_false(find_gap(&hearth, "stopped", &gap));

	int64_t lost = lost_in_the_ring(&hearth);
	pid_t collector = hearth_program(&hearth, "hearth-collect");

	assert_true(collector > 0);
	assert_int_equal(kill(collector, SIGSTOP), 0);

	int64_t stopped_ms = clock_unix_ms();

	sleep_seconds(STOP_SECONDS);

	int64_t went_on_ms = clock_unix_ms();

	assert_int_equal(kill(collector, SIGCONT), 0);

	double end = now_seconds() + 15;

	while (!find_gap(&hearth, "stopped", &gap) && now_seconds() < end)
		sleep_seconds(0.2);
	if (now_seconds() >= end)
		fail_msg("no gap, %lld lost; hearth said: %s",
			 (long long)(lost_in_the_ring(&hearth) - lost), hearth.child.said);
	/* It begins when the ring was full and ends when the collector went on. */
	assert_in_range(gap.from_ms, stopped_ms, went_on_ms - 1500);
	assert_in_range(gap.to_ms, went_on_ms - 100, went_on_ms + 1500);
	assert_true(lost_in_the_ring(&hearth) > lost);
	assert_int_equal(hearth_program(&hearth, "hearth-collect"), collector);
	(void)kill(burn.pid, SIGKILL);
	(void)child_wait(&burn, 10);
	assert_int_equal(hearth_stop(&hearth), 0);
}

/* Nor is there one when all that it missed still lay in the ring. */
static void a_short_stop_leaves_none(void **state)
{
	const char *options[] = { "--frequency", "19", NULL };
	struct hearth hearth;
	struct gap gap;

	(void)state;
	need_bpf();
	hearth_start(&hearth, "run", options);
	assert_true(child_says(&hearth.child, "a collector is connected", 20));
	sleep_seconds(1);

	pid_t collector = hearth_program(&hearth, "hearth-collect");
	int64_t lost = lost_in_the_ring(&hearth);

	assert_true(collector > 0);
	assert_int_equal(kill(collector, SIGSTOP), 0);
	sleep_seconds(2);
	assert_int_equal(kill(collector, SIGCONT), 0);
	sleep_seconds(2.5);
	assert_false(find_gap(&hearth, "stopped", &gap));
	assert_int_equal(lost_in_the_ring(&hearth), lost);
	assert_int_equal(hearth_stop(&hearth), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_stopped_collector_leaves_a_gap),
		cmocka_unit_test(a_short_stop_leaves_none),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
