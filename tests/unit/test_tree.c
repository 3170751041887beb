/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <string.h>

#include "store/tree.h"

static struct tree tree;

static int set_up(void **state)
{
	(void)state;
	return tree_init(&tree);
}

static int tear_down(void **state)
{
	(void)state;
	tree_done(&tree);
	return 0;
}

static void add_locations(const uint32_t *builds, size_t count)
{
	for (size_t i = 0; i < count; i++)
		assert_int_equal(tree_add_location(&tree, builds[i], i), TREE_RESERVED_COUNT + i);
}

/* As a running host enters them: one binary after the other, and then the first again. */
static void locations_come_into_the_order_of_builds(void **state)
{
	static const uint32_t builds[] = { 5, 2, 5, 0, 7, 2, 5, 0 };
	/* All but the sixth, and one that is reserved. */
	uint32_t locations[] = { TREE_FOLDED, 2, 3, 4, 5, 6, 8, 9 };
	static const uint32_t expected[] = { TREE_FOLDED, 5, 9, 3, 2, 4, 8, 6 };

	(void)state;
	add_locations(builds, 8);
	assert_int_equal(tree_order_by_build(&tree, 8, locations, 8), 0);
	assert_memory_equal(locations, expected, sizeof(expected));
	/* Again, they stay. */
	assert_int_equal(tree_order_by_build(&tree, 8, locations, 8), 0);
	assert_memory_equal(locations, expected, sizeof(expected));
	assert_int_equal(tree_order_by_build(&tree, 8, locations, 0), 0);
}

/* Of a file that is damaged; nothing is moved, and no table is made of its size. */
static void a_build_that_nobody_knows_is_an_error(void **state)
{
	static const uint32_t builds[] = { 5, 2, UINT32_MAX - 1 };
	uint32_t locations[] = { 2, 3, 4 };
	static const uint32_t expected[] = { 2, 3, 4 };

	(void)state;
	add_locations(builds, 3);
	assert_int_equal(tree_order_by_build(&tree, 6, locations, 3), -EBADMSG);
	assert_memory_equal(locations, expected, sizeof(expected));
	assert_int_equal(tree_order_by_build(&tree, 5, locations, 2), -EBADMSG);
	assert_int_equal(tree_order_by_build(&tree, 6, locations, 2), 0);
	assert_int_equal(locations[0], 3);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		TEST(locations_come_into_the_order_of_builds),
		TEST(a_build_that_nobody_knows_is_an_error),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
