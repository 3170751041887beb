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
#include "store/descent.h"

enum {
	BATCH_MEMORY = 64 << 20,
	LOCATION_COUNT = 30,
	SERVICE_COUNT = 5,
	PATH_COUNT = 3000,
	ROUND_COUNT = 12,
	DEPTH_MAX = 4096,
};

static uint32_t locations[LOCATION_COUNT]; /* of the batch in the segment */

static void add_locations(struct batch *batch, struct segment *segment)
{
	struct identity identity = { .kind = IDENTITY_GNU_BUILD_ID, .size = 1 };
	int64_t build = batch_add_build(batch, BUILD_FILE, &identity, STR("/bin/program"));

	for (uint32_t i = 0; i < LOCATION_COUNT; i++) {
		/* In another order, so that no number is right by chance. */
		uint64_t address = 7 * i % LOCATION_COUNT;

		assert_int_equal(batch_add_location(batch, (uint32_t)build, i), i);
		locations[address] = (uint32_t)segment_add_location(segment, 1, address);
	}
}

/* Random ways through few places: most stacks share their callers, some are others' callers. */
static uint32_t random_stack(struct batch *batch, unsigned *seed)
{
	uint32_t numbers[24];
	uint32_t depth = (uint32_t)rand_r(seed) % 25;
	unsigned flags = rand_r(seed) % 4 == 0 ? STACK_TRUNCATED : 0;

	for (uint32_t i = 0; i < depth; i++) {
		bool is_near_the_root = depth - i < 12;

		numbers[i] = (uint32_t)rand_r(seed) % (is_near_the_root ? 2 : LOCATION_COUNT);
	}
	return (uint32_t)batch_add_stack(batch, numbers, depth, flags);
}

static void add_path(descent_paths *paths, uint32_t service, uint32_t stack)
{
	assert_int_equal(array_reserve(paths, 1), 0);
	paths->items[paths->count++] = (struct descent_path){ .service = service, .stack = stack };
}

/* The same for all tests: it remembers nothing. */
static struct descent *descent;

/* One frame after the other, as one would by hand. */
static uint32_t walk(struct segment *segment, const struct batch *batch, struct descent_path path)
{
	struct str item = pool_get(&batch->stacks, path.stack);
	const uint32_t *numbers = (const void *)item.text;
	int64_t node = segment_add_node(segment, TREE_NO_PARENT, path.service);

	if (numbers[0] & STACK_TRUNCATED)
		node = segment_add_node(segment, (uint32_t)node, TREE_CALLERS_MISSING);
	for (size_t i = item.size / sizeof(numbers[0]) - 1; i > 0; i--)
		node = segment_add_node(segment, (uint32_t)node, locations[numbers[i]]);
	assert_true(node >= 0);
	return (uint32_t)node;
}

static void stacks_come_to_where_they_would_one_by_one(void **state)
{
	unsigned seed = 7;
	struct segment segment;
	struct batch *batch;
	descent_paths paths = { 0 };

	(void)state;
	assert_int_equal(segment_init(&segment, 1, 1), 0);
	assert_int_equal(batch_new(BATCH_MEMORY, &batch), 0);
	for (int round = 0; round < ROUND_COUNT; round++) {
		uint32_t count;

		batch_clear(batch);
		add_locations(batch, &segment);
		paths.count = 0;
		for (uint32_t i = 0; i < (uint32_t)PATH_COUNT >> (round % 4 * 3); i++)
			add_path(&paths, (uint32_t)rand_r(&seed) % SERVICE_COUNT,
				 random_stack(batch, &seed));
		assert_int_equal(descent_go(descent, &segment, batch, locations, &paths), 0);
		count = segment.tree.nodes.count;
		/* All of them are there: walking adds nothing. */
		for (uint32_t i = 0; i < paths.count; i++)
			assert_int_equal(walk(&segment, batch, paths.items[i]),
					 paths.items[i].node);
		assert_int_equal(segment.tree.nodes.count, count);
		/* And nothing else, each once, parents first. */
		for (uint32_t i = 0; i < count; i++) {
			struct tree_node node = segment.tree.nodes.items[i];

			assert_true(node.parent == TREE_NO_PARENT || node.parent < i);
			assert_int_equal(segment_find_node(&segment, node.parent, node.location),
					 i);
		}
	}
	batch_free(batch);
	segment_done(&segment);
	array_done(&paths);
}

static void as_many_nodes_are_made_as_walking_makes(void **state)
{
	unsigned seed = 11;
	struct segment together, one_by_one;
	struct batch *batch;
	descent_paths paths = { 0 };

	(void)state;
	assert_int_equal(segment_init(&together, 1, 1), 0);
	assert_int_equal(segment_init(&one_by_one, 1, 1), 0);
	assert_int_equal(batch_new(BATCH_MEMORY, &batch), 0);
	add_locations(batch, &together);
	batch_clear(batch);
	add_locations(batch, &one_by_one);
	for (uint32_t i = 0; i < PATH_COUNT; i++)
		add_path(&paths, i % SERVICE_COUNT, random_stack(batch, &seed));
	assert_int_equal(descent_go(descent, &together, batch, locations, &paths), 0);
	for (uint32_t i = 0; i < paths.count; i++)
		(void)walk(&one_by_one, batch, paths.items[i]);
	assert_true(one_by_one.tree.nodes.count > PATH_COUNT);
	assert_int_equal(together.tree.nodes.count, one_by_one.tree.nodes.count);
	batch_free(batch);
	segment_done(&together);
	segment_done(&one_by_one);
	array_done(&paths);
}

static void deep_stacks_that_differ_in_their_leaves_are_one_trunk(void **state)
{
	static uint32_t numbers[DEPTH_MAX];
	struct segment segment;
	struct batch *batch;
	descent_paths paths = { 0 };

	(void)state;
	assert_int_equal(segment_init(&segment, 1, 1), 0);
	assert_int_equal(batch_new(BATCH_MEMORY, &batch), 0);
	add_locations(batch, &segment);
	for (uint32_t leaf = 0; leaf < LOCATION_COUNT; leaf++) {
		numbers[0] = leaf;
		add_path(&paths, 3, (uint32_t)batch_add_stack(batch, numbers, DEPTH_MAX, 0));
	}
	assert_int_equal(descent_go(descent, &segment, batch, locations, &paths), 0);
	assert_int_equal(segment.tree.nodes.count, 1 + DEPTH_MAX - 1 + LOCATION_COUNT);
	/* No stacks at all are fine, too. */
	paths.count = 0;
	assert_int_equal(descent_go(descent, &segment, batch, locations, &paths), 0);
	assert_int_equal(segment.tree.nodes.count, 1 + DEPTH_MAX - 1 + LOCATION_COUNT);
	batch_free(batch);
	segment_done(&segment);
	array_done(&paths);
}

static void what_is_more_than_a_segment_holds_changes_nothing(void **state)
{
	static uint32_t numbers[DEPTH_MAX];
	struct segment segment;
	struct batch *batch;
	descent_paths paths = { 0 };
	uint32_t stack;

	(void)state;
	assert_int_equal(segment_init(&segment, 1, 1), 0);
	assert_int_equal(batch_new(BATCH_MEMORY, &batch), 0);
	add_locations(batch, &segment);
	stack = (uint32_t)batch_add_stack(batch, numbers, DEPTH_MAX, 0);
	for (uint32_t service = 0; service < 700; service++)
		add_path(&paths, service, stack);
	assert_int_equal(descent_go(descent, &segment, batch, locations, &paths), 0);
	assert_int_equal(segment.tree.nodes.count, 700 * (1 + DEPTH_MAX));
	/* Another such batch would be more than TREE_NODE_COUNT_MAX, and so would one alone. */
	for (uint32_t i = 0; i < paths.count; i++)
		paths.items[i].service += 700;
	assert_int_equal(descent_go(descent, &segment, batch, locations, &paths), -ENOSPC);
	for (uint32_t service = 1400; service < 2400; service++)
		add_path(&paths, service, stack);
	assert_int_equal(descent_go(descent, &segment, batch, locations, &paths), -ENOSPC);
	assert_int_equal(segment.tree.nodes.count, 700 * (1 + DEPTH_MAX));
	assert_int_equal(segment.nodes.count, 700 * (1 + DEPTH_MAX));
	batch_free(batch);
	segment_done(&segment);
	array_done(&paths);
}

static void memory_is_given_back(void **state)
{
	struct segment segment;
	struct batch *batch;
	descent_paths paths = { 0 };
	size_t empty, used;

	(void)state;
	descent_give_back(descent);
	empty = descent_memory(descent);
	assert_int_equal(segment_init(&segment, 1, 1), 0);
	assert_int_equal(batch_new(BATCH_MEMORY, &batch), 0);
	add_locations(batch, &segment);
	add_path(&paths, 3, (uint32_t)batch_add_stack(batch, (uint32_t[]){ 1, 2 }, 2, 0));
	assert_int_equal(descent_go(descent, &segment, batch, locations, &paths), 0);
	assert_int_equal(segment.tree.nodes.count, 3);
	used = descent_memory(descent);
	assert_true(used > empty);
	assert_int_equal(descent_go(descent, &segment, batch, locations, &paths), 0);
	assert_int_equal(descent_memory(descent), used);
	descent_give_back(descent);
	assert_int_equal(descent_memory(descent), empty);
	assert_int_equal(descent_go(descent, &segment, batch, locations, &paths), 0);
	assert_int_equal(segment.tree.nodes.count, 3);
	batch_free(batch);
	segment_done(&segment);
	array_done(&paths);
}

static int open_descent(void **state)
{
	(void)state;
	return descent_new(&descent);
}

static int close_descent(void **state)
{
	(void)state;
	descent = descent_free(descent);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(stacks_come_to_where_they_would_one_by_one),
		cmocka_unit_test(as_many_nodes_are_made_as_walking_makes),
		cmocka_unit_test(deep_stacks_that_differ_in_their_leaves_are_one_trunk),
		cmocka_unit_test(what_is_more_than_a_segment_holds_changes_nothing),
		cmocka_unit_test(memory_is_given_back),
	};

	return cmocka_run_group_tests(tests, open_descent, close_descent);
}
