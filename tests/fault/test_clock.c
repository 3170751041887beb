/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Retention, and wall clocks that jump by an hour, a day, to 1970 and beyond 2038. The program's
 * clocks are replaced when it is linked (--wrap), so that a fortnight takes a moment.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "tests/support/store_scene.h"

#define NOW_MS	   INT64_C(1764000000000) /* 24 November 2025 */
#define YEAR_2040  INT64_C(2208988800000)
#define MINUTE_MS  INT64_C(60000)
#define STEP_MS	   (3 * MINUTE_MS)
#define HOUR_MS	   INT64_C(3600000)
#define DAY_MS	   INT64_C(86400000)
#define SPAN_MS	   (6 * HOUR_MS)
#define AGE_MS	   (3 * DAY_MS)
#define EVERYTHING INT64_C(0), INT64_C(4000000000000)

static int64_t unix_ms = NOW_MS;
static int64_t steady_ms = 5000000;

int64_t __wrap_clock_unix_ns(void);
uint64_t __wrap_clock_monotonic_ns(void);

int64_t __wrap_clock_unix_ns(void)
{
	return unix_ms * CLOCK_NS_PER_MS;
}

uint64_t __wrap_clock_monotonic_ns(void)
{
	return (uint64_t)(steady_ms * CLOCK_NS_PER_MS);
}

static int set_up(void **state)
{
	struct store_scene *scene = calloc(1, sizeof(*scene));

	assert_non_null(scene);
	unix_ms = NOW_MS;
	/* Some thousand commits: in memory where that can be had. */
	store_scene_init(scene, access("/dev/shm", W_OK) ? "/tmp" : "/dev/shm");
	scene->options.span_ms = SPAN_MS;
	scene->options.limits.age_ms[STORE_RAW] = AGE_MS;
	scene->options.limits.age_ms[STORE_LATE] = AGE_MS;
	assert_int_equal(store_scene_open(scene), 0);
	*state = scene;
	return 0;
}

static int tear_down(void **state)
{
	struct store_scene *scene = *state;

	store_scene_done(scene);
	free(scene);
	return 0;
}

static struct store_status status_of(struct store_scene *scene)
{
	struct store_status status;

	store_status(scene->store, &status);
	return status;
}

/* So much time passes, three minutes at a time, with thirty samples in each. */
static void live(struct store_scene *scene, int64_t duration_ms)
{
	for (int64_t i = 0; i < duration_ms / STEP_MS; i++) {
		assert_int_equal(store_scene_append(scene, unix_ms, 30), 0);
		assert_int_equal(store_scene_commit(scene), 0);
		unix_ms += STEP_MS;
		steady_ms += STEP_MS;
		assert_int_equal(store_maintain(scene->store, unix_ms), 0);
	}
}

static void jump_to(int64_t to_ms)
{
	unix_ms = to_ms;
}

static uint64_t dropped(struct store_scene *scene)
{
	struct store_status status = status_of(scene);
	uint64_t sum = 0;

	for (int i = 0; i < STORE_DROP_REASON_COUNT; i++)
		sum += status.dropped_spans[i];
	return sum;
}

static void drops_what_is_too_old(void **state)
{
	struct store_scene *scene = *state;
	struct store_status status;

	live(scene, 2 * DAY_MS);
	assert_int_equal(dropped(scene), 0);
	assert_int_equal(store_scene_count(scene, EVERYTHING), scene->appended);
	live(scene, 3 * DAY_MS);
	status = status_of(scene);
	/* Whole files, so up to one more than the age. */
	assert_in_range(status.dropped_spans[STORE_DROPPED_AGE], 7, 8);
	assert_in_range(unix_ms - status.oldest_ms, AGE_MS - SPAN_MS, AGE_MS + SPAN_MS);
	/* Of what went there are roll-ups, as far as they were made before. */
	assert_in_range(store_scene_count(scene, EVERYTHING), status.samples, scene->appended);
	assert_int_equal(store_scene_count(scene, unix_ms - DAY_MS, unix_ms), 480 * 30);
	assert_int_equal(status.classes[STORE_RAW].span_count, status.span_count);
	assert_int_equal(status.classes[STORE_RAW].bytes + status.classes[STORE_ROLLED].bytes,
			 status.bytes);
}

static void keeps_everything_when_it_is_told_so(void **state)
{
	struct store_scene *scene = *state;
	struct store_limits none = { 0 };

	store_set_limits(scene->store, &none);
	live(scene, 5 * DAY_MS);
	assert_int_equal(dropped(scene), 0);
	assert_int_equal(status_of(scene).byte_limit, 0);
	assert_int_equal(store_scene_count(scene, EVERYTHING), scene->appended);
}

static void drops_what_is_too_much(void **state)
{
	struct store_scene *scene = *state;
	struct store_limits limits = { .bytes = 300000 };
	struct store_status status;

	store_set_limits(scene->store, &limits);
	live(scene, 4 * DAY_MS);
	status = status_of(scene);
	assert_true(status.dropped_spans[STORE_DROPPED_SIZE] > 0);
	assert_int_equal(status.dropped_spans[STORE_DROPPED_AGE], 0);
	assert_int_equal(status.byte_limit, 300000);
	/* What is written to is not dropped: with its log it may be above the limit alone. */
	assert_true(status.bytes < 300000 || status.span_count <= 2);
	assert_int_equal(store_scene_count(scene, unix_ms - HOUR_MS, unix_ms), 600);
}

static void limits_itself_to_a_tenth_of_the_disk(void **state)
{
	struct store_scene *scene = *state;
	struct store_limits limits = { .bytes = STORE_BYTES_AUTOMATIC };
	struct store_status status;

	store_set_limits(scene->store, &limits);
	live(scene, HOUR_MS);
	status = status_of(scene);
	assert_true(status.disk_bytes > 0 && status.byte_limit > 0);
	assert_true(status.byte_limit == status.disk_bytes / 10 ||
		    status.byte_limit == UINT64_C(20) << 30);
}

/* For each jump: nothing of the history goes within the time in which it is noticed and mended. */
static void a_jump_deletes_nothing(void **state)
{
	static const int64_t targets[] = { NOW_MS + DAY_MS + 2 * HOUR_MS,
					   NOW_MS + 2 * DAY_MS,
					   NOW_MS + 30 * DAY_MS,
					   NOW_MS,
					   0,
					   YEAR_2040 };
	struct store_scene *scene = *state;

	live(scene, DAY_MS);
	for (size_t i = 0; i < sizeof(targets) / sizeof(targets[0]); i++) {
		int64_t right_ms = unix_ms;

		jump_to(targets[i]);
		live(scene, 9 * MINUTE_MS);
		assert_true(status_of(scene).clock_jumped);
		assert_int_equal(dropped(scene), 0);
		jump_to(right_ms + 9 * MINUTE_MS);
		live(scene, 9 * MINUTE_MS);
		assert_int_equal(dropped(scene), 0);
		/* To the sample, wherever they went. */
		assert_int_equal(store_scene_count(scene, EVERYTHING), scene->appended);
		assert_int_equal(store_scene_flame_count(scene, EVERYTHING), scene->appended);
		live(scene, 9 * MINUTE_MS);
		assert_false(status_of(scene).clock_jumped);
	}
	/* What was recorded at a wrong time is still there, with all else that is young enough. */
	assert_int_equal(store_scene_count(scene, EVERYTHING), scene->appended);
	scene->store = store_close(scene->store);
	assert_int_equal(store_scene_open(scene), 0);
	assert_int_equal(status_of(scene).damaged_count, 0);
	assert_int_equal(store_scene_count(scene, EVERYTHING), scene->appended);
}

static void a_start_with_a_wrong_clock_deletes_nothing(void **state)
{
	struct store_scene *scene = *state;

	live(scene, DAY_MS);

	int64_t right_ms = unix_ms;

	scene->store = store_close(scene->store);
	jump_to(YEAR_2040);
	assert_int_equal(store_scene_open(scene), 0);
	live(scene, 9 * MINUTE_MS);
	assert_true(status_of(scene).clock_jumped);
	jump_to(right_ms + 9 * MINUTE_MS);
	live(scene, 30 * MINUTE_MS);
	assert_int_equal(dropped(scene), 0);
	assert_int_equal(store_scene_count(scene, EVERYTHING), scene->appended);
}

/* A file cannot be made old by its ctime, so its time is what the kernel says: the true one. */
static void late_data_is_kept_from_when_it_came(void **state)
{
	struct store_scene *scene = *state;
	struct timeval now;

	assert_int_equal(gettimeofday(&now, NULL), 0);
	jump_to((int64_t)now.tv_sec * 1000);
	live(scene, HOUR_MS);

	uint64_t before = scene->appended;

	assert_int_equal(store_scene_append(scene, unix_ms - 30 * DAY_MS, 77), 0);
	assert_int_equal(store_scene_commit(scene), 0);
	live(scene, 2 * DAY_MS);
	assert_int_equal(dropped(scene), 0);
	assert_int_equal(status_of(scene).classes[STORE_LATE].span_count, 1);
	assert_int_equal(store_scene_count(scene, 0, unix_ms - 20 * DAY_MS), 77);
	live(scene, 2 * DAY_MS);
	assert_int_equal(status_of(scene).classes[STORE_LATE].span_count, 0);
	assert_true(scene->appended > before + 77);
}

/* A clock that was in the future for a moment does not make all that follows late. */
static void a_future_that_was_none_is_left_behind(void **state)
{
	struct store_scene *scene = *state;

	live(scene, HOUR_MS);

	int64_t right_ms = unix_ms;

	jump_to(YEAR_2040);
	live(scene, 9 * MINUTE_MS);
	jump_to(right_ms);
	live(scene, DAY_MS);
	assert_int_equal(store_scene_count(scene, EVERYTHING), scene->appended);
	assert_in_range(status_of(scene).classes[STORE_RAW].span_count, 5, 8);
	assert_in_range(status_of(scene).classes[STORE_LATE].span_count, 0, 1);
	assert_true(status_of(scene).classes[STORE_LATE].bytes <
		    status_of(scene).classes[STORE_RAW].bytes / 4);
}

static void order_is_kept_when_the_clock_goes_back(void **state)
{
	struct store_scene *scene = *state;
	int64_t first_ms = unix_ms;

	live(scene, 2 * HOUR_MS);
	jump_to(first_ms + HOUR_MS);
	live(scene, HOUR_MS);
	/* The second hour was lived twice. */
	assert_int_equal(store_scene_count(scene, first_ms, first_ms + HOUR_MS - 1), 600);
	assert_int_equal(store_scene_count(scene, first_ms + HOUR_MS, first_ms + 2 * HOUR_MS - 1),
			 1200);
	assert_int_equal(store_committed_sequence(scene->store, STORE_SCENE_SOURCE),
			 scene->sequence);
}

#define SCENE_TEST(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		SCENE_TEST(drops_what_is_too_old),
		SCENE_TEST(keeps_everything_when_it_is_told_so),
		SCENE_TEST(drops_what_is_too_much),
		SCENE_TEST(limits_itself_to_a_tenth_of_the_disk),
		SCENE_TEST(a_jump_deletes_nothing),
		SCENE_TEST(a_start_with_a_wrong_clock_deletes_nothing),
		SCENE_TEST(late_data_is_kept_from_when_it_came),
		SCENE_TEST(a_future_that_was_none_is_left_behind),
		SCENE_TEST(order_is_kept_when_the_clock_goes_back),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
