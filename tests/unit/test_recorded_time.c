/* SPDX-License-Identifier: Apache-2.0 */
/* For how long something was recorded: by windows of a second, and by those of a late collector. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "store/batch.h"
#include "store/store.h"
#include "web/recorded_time.h"

#define START_MS INT64_C(1764000000000)
#define TYPE	 "process_cpu:cpu:nanoseconds:cpu:nanoseconds"

enum { MEMORY = 16 << 20, SAMPLES = 4, POINT_COUNT_MAX = 200 };

struct scene {
	char folder[64];
	struct store *store;
	struct batch *batch;
	uint64_t sequence;
};

static void set_up(struct scene *scene)
{
	struct store_options options = { .folder = scene->folder };

	*scene = (struct scene){ .folder = "/tmp/hearth-recorded-XXXXXX" };
	assert_non_null(mkdtemp(scene->folder));
	assert_int_equal(store_open(&options, &scene->store), 0);
	assert_int_equal(batch_new(MEMORY, &scene->batch), 0);
}

static void tear_down(struct scene *scene)
{
	char command[128];

	store_close(scene->store);
	batch_free(scene->batch);
	snprintf(command, sizeof(command), "rm -rf %s", scene->folder);
	assert_int_equal(system(command), 0);
}

static void add_window(struct scene *scene, int64_t start_ms, int64_t length_ms)
{
	struct label label = { STR("service_name"), STR("busy") };
	struct batch *batch = scene->batch;
	int64_t labels, series, stack;

	batch_clear(batch);
	batch_set_time(batch, (struct batch_time){ start_ms, start_ms + length_ms });
	batch_set_source(batch, 7, ++scene->sequence);
	labels = batch_add_labels(batch, &label, 1);
	series = batch_add_series(batch, (uint32_t)labels, STR(TYPE), 1000000);
	stack = batch_add_stack(batch, NULL, 0, 0);
	assert_true(labels >= 0 && series >= 0 && stack >= 0);
	assert_int_equal(
		batch_add_entry(batch,
				&(struct batch_entry){
					.series = (uint32_t)series,
					.sample_labels = (uint32_t)batch_add_labels(batch, NULL, 0),
					.stack = (uint32_t)stack,
					.count = (uint64_t)length_ms,
					.value = (uint64_t)length_ms * 1000000 }),
		0);
	assert_int_equal(store_append(scene->store, batch), 0);
}

/* One CPU was busy all the time: in each point as much as was recorded of it. */
static void assert_one_core(struct scene *scene, int64_t from_ms, int64_t to_ms, int64_t step_ms)
{
	struct recorded_time recorded = { 0 };
	struct store_question question = { .from_unix_ms = from_ms, .to_unix_ms = to_ms - 1 };
	struct store_grid grid = { from_ms + step_ms - 1, step_ms,
				   (size_t)((to_ms - from_ms + step_ms - 1) / step_ms) };
	struct store_rows rows = { 0 };
	int64_t sum = 0;

	assert_true(grid.point_count < POINT_COUNT_MAX);
	assert_int_equal(recorded_time_init(&recorded, scene->store, from_ms, to_ms), 0);
	recorded_time_clip(&recorded, &question);
	assert_int_equal(store_series(scene->store, &question, NULL, 0, &grid, &rows), 0);
	recorded_time_learn(&recorded, &grid, &rows);
	for (size_t i = 0; i < grid.point_count; i++) {
		int64_t start_ms = from_ms + (int64_t)i * step_ms;
		int64_t end_ms = start_ms + step_ms < to_ms ? start_ms + step_ms : to_ms;
		int64_t part_ms = recorded_time_ms(&recorded, start_ms, end_ms);
		uint64_t used = rows.count ? store_row_point(&rows, &rows.rows[0], i) : 0;

		assert_int_equal(part_ms * 1000000, used);
		sum += part_ms;
	}
	assert_int_equal(recorded_time_ms(&recorded, from_ms, to_ms), sum);
	store_rows_done(&rows);
	recorded_time_done(&recorded);
}

static void windows_of_a_second(void **state)
{
	struct scene scene;

	(void)state;
	set_up(&scene);
	for (int i = 0; i < 100; i++)
		add_window(&scene, START_MS + 300 + i * 1000, 1000);
	for (int64_t step = 1000; step < 7000; step += 500)
		assert_one_core(&scene, START_MS + 20000, START_MS + 80000, step);
	assert_one_core(&scene, START_MS, START_MS + 120000, 10000);
	assert_one_core(&scene, START_MS + 60000, START_MS + 130000, 700);
	tear_down(&scene);
}

/* What a collector makes that gets no time: a quarter longer than they should be. */
static void windows_that_are_longer(void **state)
{
	struct scene scene;

	(void)state;
	set_up(&scene);
	for (int i = 0; i < 100; i++)
		add_window(&scene, START_MS + 300 + i * 1250, 1250);
	for (int64_t step = 1000; step < 7000; step += 500)
		assert_one_core(&scene, START_MS + 20000, START_MS + 80000, step);
	assert_one_core(&scene, START_MS, START_MS + 140000, 10000);
	assert_int_equal(store_commit(scene.store), 0);
	assert_one_core(&scene, START_MS + 20000, START_MS + 80000, 1000);
	tear_down(&scene);
}

/* Windows in which nothing ran are windows. */
static void idle_time_is_recorded(void **state)
{
	struct recorded_time recorded = { 0 };
	struct store_grid grid = { START_MS + 10999, 1000, 40 };
	struct store_question question = { .from_unix_ms = START_MS + 10000,
					   .to_unix_ms = START_MS + 50000 };
	struct store_rows rows = { 0 };
	struct scene scene;

	(void)state;
	set_up(&scene);
	for (int i = 0; i < 60; i++) {
		int64_t start_ms = START_MS + 300 + i * 1000;

		if (i % 4 == 0) {
			add_window(&scene, start_ms, 1000);
			continue;
		}
		batch_clear(scene.batch);
		batch_set_time(scene.batch, (struct batch_time){ start_ms, start_ms + 1000 });
		batch_set_source(scene.batch, 7, ++scene.sequence);
		assert_int_equal(store_append(scene.store, scene.batch), 0);
	}
	assert_int_equal(
		recorded_time_init(&recorded, scene.store, START_MS + 10000, START_MS + 50000), 0);
	recorded_time_clip(&recorded, &question);
	assert_int_equal(store_series(scene.store, &question, NULL, 0, &grid, &rows), 0);
	recorded_time_learn(&recorded, &grid, &rows);
	for (int64_t i = 0; i < 40; i++)
		assert_int_equal(recorded_time_ms(&recorded, START_MS + 10000 + i * 1000,
						  START_MS + 11000 + i * 1000),
				 1000);
	store_rows_done(&rows);
	recorded_time_done(&recorded);
	tear_down(&scene);
}

/* The time in a gap is nobody's. */
static void gaps_are_left_out(void **state)
{
	struct scene scene;

	(void)state;
	set_up(&scene);
	for (int i = 0; i < 20; i++)
		add_window(&scene, START_MS + i * 1100, 1100);
	batch_clear(scene.batch);
	for (int i = 0; i < 20; i++) {
		int64_t start_ms = START_MS + 60000 + i * 1300;

		if (i == 0) {
			struct batch *batch = scene.batch;

			batch_set_time(batch, (struct batch_time){ start_ms, start_ms });
			batch_add_gap(batch, START_MS + 22000, START_MS + 60000, 1);
			assert_int_equal(store_append(scene.store, batch), 0);
		}
		add_window(&scene, start_ms, 1300);
	}
	assert_one_core(&scene, START_MS, START_MS + 86000, 2000);
	assert_one_core(&scene, START_MS + 4000, START_MS + 80000, 4000);
	tear_down(&scene);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(windows_of_a_second),
		cmocka_unit_test(windows_that_are_longer),
		cmocka_unit_test(idle_time_is_recorded),
		cmocka_unit_test(gaps_are_left_out),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
