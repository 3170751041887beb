/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "store/points.h"

enum { ROW_COUNT = 50, POINT_COUNT = 61, ADD_COUNT = 3000 };

/* Against one array of everything. */
static void they_are_the_sums(void **state)
{
	uint64_t sums[ROW_COUNT][POINT_COUNT] = { 0 };
	bool has[ROW_COUNT][POINT_COUNT] = { 0 };
	struct points points;
	uint64_t seed = 7;

	(void)state;
	points_init(&points, POINT_COUNT);
	for (uint32_t row = 0; row < ROW_COUNT; row++)
		assert_int_equal(points_add_row(&points), 0);
	for (int i = 0; i < ADD_COUNT; i++) {
		seed = seed * UINT64_C(6364136223846793005) + 1442695040888963407;

		uint32_t row = (uint32_t)(seed >> 40) % ROW_COUNT;
		size_t point = (seed >> 20) % POINT_COUNT;
		uint64_t value = seed >> 60;

		assert_int_equal(points_add(&points, row, point, value), 0);
		sums[row][point] += value;
		has[row][point] = true;
	}
	for (uint32_t row = 0; row < ROW_COUNT; row++)
		for (size_t point = 0; point < POINT_COUNT; point++) {
			assert_int_equal(points_get(&points, row, point), sums[row][point]);
			assert_int_equal(points_has(&points, row, point), has[row][point]);
		}
	points_clear(&points);
	assert_int_equal(points_add_row(&points), 0);
	assert_int_equal(points_get(&points, 0, POINT_COUNT - 1), 0);
	assert_false(points_has(&points, 0, 0));
	points_done(&points);
}

/* A million processes with a second each: dense they would be 30 million points. */
static void who_has_little_takes_little(void **state)
{
	struct points points;

	(void)state;
	points_init(&points, 30);
	for (uint32_t row = 0; row < POINTS_COUNT_MAX / POINTS_BLOCK; row++) {
		assert_int_equal(points_add_row(&points), 0);
		assert_int_equal(points_add(&points, row, row % 30, row), 0);
	}
	assert_int_equal(points.blocks.count, POINTS_COUNT_MAX / POINTS_BLOCK);
	assert_int_equal(points_get(&points, 1000, 1000 % 30), 1000);
	assert_int_equal(points_add_row(&points), 0);
	assert_int_equal(points_add(&points, points.row_count - 1, 0, 1), -E2BIG);
	while (points.row_count < POINTS_PLACE_COUNT_MAX / 4)
		assert_int_equal(points_add_row(&points), 0);
	assert_int_equal(points_add_row(&points), -E2BIG);
	points_done(&points);
}

static void a_sum_has_an_end(void **state)
{
	struct points points;

	(void)state;
	points_init(&points, 1);
	assert_int_equal(points_add_row(&points), 0);
	assert_int_equal(points_add(&points, 0, 0, UINT64_MAX - 1), 0);
	assert_int_equal(points_add(&points, 0, 0, 5), 0);
	assert_true(points_get(&points, 0, 0) == UINT64_MAX);
	points_done(&points);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(they_are_the_sums),
		cmocka_unit_test(who_has_little_takes_little),
		cmocka_unit_test(a_sum_has_an_end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
