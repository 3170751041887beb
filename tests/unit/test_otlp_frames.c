/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "store/batch_private.h"
#include "web/otlp_frames.h"

enum {
	PLAIN_COUNT = 40, /* locations in a file; behind them one with a name that is too long */
	LONG = PLAIN_COUNT,
	LOCATION_COUNT,
	NAME_SIZE = 60000,
	ADDRESS = 0x401000,
};

/* What profiles refer to, and room for a batch of it. */
struct world {
	char name[NAME_SIZE];
	struct otlp_location locations[LOCATION_COUNT];
	struct otlp_mapping mappings[2];
	struct otlp_function functions[2];
	struct otlp_line lines[1];
	struct otlp_tables tables;
	uint32_t shared[LOCATION_COUNT]; /* all locations in their order: stacks of the tables */
	uint32_t own[LOCATION_COUNT];	 /* the same, of the profile itself */
	/* By where they begin; behind them those of nothing. */
	struct otlp_range stacks[2 * LOCATION_COUNT];
	struct batch *batch;
	struct otlp_frames *frames;
};

static void open_world(struct world *world, size_t memory_max)
{
	memset(world, 0, sizeof(*world));
	memset(world->name, 'n', sizeof(world->name));
	world->mappings[1] = (struct otlp_mapping){ .start = ADDRESS,
						    .filename = STR("/bin/program"),
						    .gnu = STR("abcdef") };
	world->functions[1].name = (struct str){ world->name, NAME_SIZE };
	world->lines[0].function = 1;
	for (uint32_t i = 0; i < LOCATION_COUNT; i++) {
		world->locations[i] =
			(struct otlp_location){ .mapping = 1, .address = ADDRESS + i };
		world->shared[i] = world->own[i] = i;
	}
	world->locations[LONG].lines.count = 1;
	world->tables = (struct otlp_tables){
		.serial = 1,
		.mappings = { world->mappings, 2, 2 },
		.functions = { world->functions, 2, 2 },
		.lines = { world->lines, 1, 1 },
		.locations = { world->locations, LOCATION_COUNT, LOCATION_COUNT },
		.stacks = { world->stacks, 2 * LOCATION_COUNT, 2 * LOCATION_COUNT },
		.indices = { world->shared, LOCATION_COUNT, LOCATION_COUNT },
	};
	assert_int_equal(batch_new(memory_max, &world->batch), 0);
	assert_int_equal(otlp_frames_new(world->batch, &world->frames), 0);
}

static void close_world(struct world *world)
{
	otlp_frames_free(world->frames);
	batch_free(world->batch);
}

/* The stack's number, or why it can't be had. */
static int64_t take(struct world *world, bool has_own, struct otlp_range stack)
{
	struct otlp_profile profile = { .tables = &world->tables,
					.stack_indices = has_own ? world->own : world->shared };
	int err = otlp_frames_begin(world->frames, &profile);

	if (!err)
		err = otlp_frames_expect(world->frames, stack);
	return err ? err
		   : otlp_frames_find(world->frames, stack,
				      stack.first + (stack.count > 0 ? 0 : LOCATION_COUNT));
}

/* Each frame at its place in the file. */
static void is_whole(const struct world *world, int64_t number, struct otlp_range stack)
{
	struct str item;
	const uint32_t *numbers;

	assert_true(number >= 0);
	item = pool_get(&world->batch->stacks, (uint32_t)number);
	numbers = (const void *)item.text;
	assert_int_equal(item.size, (stack.count + 1) * sizeof(numbers[0]));
	assert_int_equal(numbers[0], 0);
	for (uint32_t i = 0; i < stack.count; i++) {
		struct batch_location location =
			world->batch->locations.items.items[numbers[i + 1]];

		assert_int_equal(location.build, 0);
		assert_int_equal(location.address, stack.first + i);
	}
}

static void after_a_name_for_which_there_is_no_room_the_next_profile_is_whole(void **state)
{
	static struct world world;
	struct otlp_range broken = { LONG - 2, 3 }, next = { LONG - 4, 4 };

	(void)state;
	for (int has_own = 0; has_own < 2; has_own++) {
		int64_t number;

		open_world(&world, NAME_SIZE);
		/* Two frames wait to be added with others when the third can't be. */
		assert_int_equal(take(&world, has_own, broken), -E2BIG);
		assert_int_equal(pool_count(&world.batch->stacks), 0);
		number = take(&world, has_own, next);
		is_whole(&world, number, next);
		assert_int_equal(take(&world, has_own, next), number);
		assert_int_equal(take(&world, has_own, broken), -E2BIG);
		assert_int_equal(world.batch->locations.items.count, next.count);
		close_world(&world);
	}
}

static void after_frames_for_which_there_is_no_room_the_next_batch_is_whole(void **state)
{
	static struct world world;
	struct otlp_range many = { 0, PLAIN_COUNT }, few = { 3, 5 };

	(void)state;
	for (int has_own = 0; has_own < 2; has_own++) {
		open_world(&world, 1000);
		assert_int_equal(take(&world, has_own, many), -E2BIG);
		/* Those for which there was room took it. */
		assert_int_equal(take(&world, has_own, few), -E2BIG);
		assert_int_equal(pool_count(&world.batch->stacks), 0);
		batch_clear(world.batch);
		otlp_frames_clear(world.frames);
		is_whole(&world, take(&world, has_own, few), few);
		assert_int_equal(world.batch->locations.items.count, few.count);
		close_world(&world);
	}
}

static void a_batch_that_was_cleared_is_filled_anew(void **state)
{
	static struct world world;
	struct otlp_range stack = { 1, 3 }, none = { 1, 0 };

	(void)state;
	for (int has_own = 0; has_own < 2; has_own++) {
		open_world(&world, 1 << 20);
		is_whole(&world, take(&world, has_own, stack), stack);
		/* It begins where the other does. */
		is_whole(&world, take(&world, has_own, none), none);
		batch_clear(world.batch);
		otlp_frames_clear(world.frames);
		is_whole(&world, take(&world, has_own, stack), stack);
		assert_int_equal(pool_count(&world.batch->stacks), 1);
		assert_int_equal(pool_count(&world.batch->builds), 1);
		close_world(&world);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(after_a_name_for_which_there_is_no_room_the_next_profile_is_whole),
		cmocka_unit_test(after_frames_for_which_there_is_no_room_the_next_batch_is_whole),
		cmocka_unit_test(a_batch_that_was_cleared_is_filled_anew),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
