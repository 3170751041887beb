/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "bpf/walk_layout.h"
#include "collector/lines.h"

#define SECOND ((uint64_t)CLOCK_NS_PER_S)

static void *memory[4];
static uint32_t memory_count;

static void *add_chunk(void *context, uint32_t number)
{
	(void)context;
	assert_int_equal(number, memory_count);
	memory[memory_count] = calloc(1, WALK_CHUNK_SIZE);
	return memory[memory_count++];
}

static int set_up(void **state)
{
	memory_count = 0;
	return lines_new(add_chunk, NULL, 2 * (size_t)WALK_CHUNK_SIZE, (struct lines **)state);
}

static int tear_down(void **state)
{
	lines_free(*state);
	for (uint32_t i = 0; i < memory_count; i++)
		free(memory[i]);
	return 0;
}

static void hands_out_runs_that_do_not_overlap(void **state)
{
	enum { COUNT = 1000 };
	static uint32_t first[COUNT], count[COUNT];
	struct lines *lines = *state;
	struct lines_stats stats;
	uint64_t all = 0;

	for (uint32_t i = 0; i < COUNT; i++) {
		count[i] = i % 100 + 1;
		assert_int_equal(lines_take(lines, count[i], &first[i]), 0);
		assert_int_not_equal(first[i], 0);
		memset(lines_at(lines, first[i]), (int)(i % 251), (size_t)count[i] * 64);
		all += count[i];
	}
	for (uint32_t i = 0; i < COUNT; i++) {
		const uint8_t *bytes = lines_at(lines, first[i]);

		for (uint32_t byte = 0; byte < count[i] * 64; byte++)
			assert_int_equal(bytes[byte], i % 251);
	}
	lines_stats(lines, &stats);
	assert_int_equal(stats.used, all * 64);
	assert_int_equal(stats.reserved, WALK_CHUNK_SIZE);
}

static void no_run_lies_in_two_chunks(void **state)
{
	struct lines *lines = *state;
	uint32_t first, second;

	assert_int_equal(lines_take(lines, 40000, &first), 0);
	assert_int_equal(lines_take(lines, 40000, &second), 0);
	assert_int_equal(first >> WALK_CHUNK_LINE_SHIFT, 0);
	assert_int_equal(second >> WALK_CHUNK_LINE_SHIFT, 1);
	assert_ptr_equal(lines_chunk(lines, second), memory[1]);
	assert_int_equal(lines_take(lines, 40000, &first), -ENOSPC);
	assert_int_equal(lines_take(lines, WALK_CHUNK_LINE_COUNT, &first), -ENOSPC);
	assert_null(lines_chunk(lines, 2 << WALK_CHUNK_LINE_SHIFT));
	assert_int_equal(memory_count, 2);
}

static void takes_nothing_again_that_a_walk_may_be_in(void **state)
{
	struct lines *lines = *state;
	uint32_t first, second, third;

	lines_settle(lines, SECOND);
	assert_int_equal(lines_take(lines, 60000, &first), 0);
	assert_int_equal(lines_take(lines, 60000, &second), 0);
	lines_give(lines, first, 60000);
	assert_int_equal(lines_take(lines, 60000, &third), -ENOSPC);
	lines_settle(lines, SECOND + SECOND / 10);
	assert_int_equal(lines_take(lines, 60000, &third), -ENOSPC);
	lines_settle(lines, 2 * SECOND);
	assert_int_equal(lines_take(lines, 60000, &third), 0);
	assert_int_equal(third, first);
}

/* Against a plain map of who has what. */
static void agrees_with_a_naive_model(void **state)
{
	enum { COUNT = 200, ROUNDS = 20000 };
	static uint8_t owner[2 * WALK_CHUNK_LINE_COUNT];
	static uint32_t first[COUNT], count[COUNT];
	struct lines *lines = *state;
	uint64_t now = SECOND;
	unsigned seed = 7, taken = 0;

	memset(owner, 0, sizeof(owner));
	memset(count, 0, sizeof(count));
	for (unsigned round = 0; round < ROUNDS; round++) {
		unsigned i = (unsigned)rand_r(&seed) % COUNT;

		lines_settle(lines, now += SECOND);
		if (count[i]) {
			lines_give(lines, first[i], count[i]);
			memset(&owner[first[i]], 0, count[i]);
			count[i] = 0;
			continue;
		}

		uint32_t wanted = 1 + (uint32_t)rand_r(&seed) % 1500;

		if (lines_take(lines, wanted, &first[i]))
			continue;
		taken++;
		count[i] = wanted;
		for (uint32_t line = 0; line < wanted; line++)
			assert_int_equal(owner[first[i] + line], 0);
		memset(&owner[first[i]], 1, wanted);
	}
	assert_true(taken > ROUNDS / 3);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		TEST(hands_out_runs_that_do_not_overlap),
		TEST(no_run_lies_in_two_chunks),
		TEST(takes_nothing_again_that_a_walk_may_be_in),
		TEST(agrees_with_a_naive_model),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
