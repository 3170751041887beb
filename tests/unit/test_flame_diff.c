/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "store/store.h"
#include "web/flame_diff.h"

static void add_side(const struct flame_diff_side *side, struct buf *buf)
{
	buf_printf(buf, "%" PRIu64 ",%" PRIu64 ",%" PRIu64 ",", side->delta, side->total,
		   side->self);
}

static void assert_diff(const struct flame *left, const struct flame *right, uint32_t node_count,
			const char *expected)
{
	autoclean(flame_diff) struct flame_diff diff = { 0 };
	autoclean(buf) struct buf buf = BUF(65536);

	assert_int_equal(flame_diff_make(left, right, node_count, &diff), 0);
	for (size_t i = 0; i < diff.bar_count; i++) {
		const struct flame_diff_bar *bar = &diff.bars[i];

		assert_true(bar->name < diff.name_count);
		buf_printf(&buf, "%s",
			   i == 0				  ? ""
			   : bar->level == diff.bars[i - 1].level ? " "
								  : " | ");
		add_side(&bar->left, &buf);
		add_side(&bar->right, &buf);
		buf_add_str(&buf, diff.names[bar->name]);
	}
	buf_add_u8(&buf, '\0');
	assert_string_equal((const char *)buf.bytes, expected);
	assert_int_equal(diff.left_total, left->nodes[0].total);
	assert_int_equal(diff.right_total, right->nodes[0].total);
	assert_true(str_equal(diff.names[0], STR("total")));
}

static struct str names[] = { { "", 0 },  { "total", 5 }, { "main", 4 }, { "b", 1 },	{ "c", 1 },
			      { "a", 1 }, { "d", 1 },	  { "init", 4 }, { "other", 5 } };

enum { EMPTY, TOTAL, MAIN, B, C, A, D, INIT, OTHER, NAME_COUNT };

/* main;a 3, main;b;c 5, main;b 2, init 1. */
static struct flame_node left_nodes[] = {
	{ .total = 11, .name = TOTAL },
	{ .total = 1, .self = 1, .parent = 0, .name = INIT },
	{ .total = 10, .parent = 0, .name = MAIN },
	{ .total = 3, .self = 3, .parent = 2, .name = A },
	{ .total = 7, .self = 2, .parent = 2, .name = B },
	{ .total = 5, .self = 5, .parent = 4, .name = C },
};

/* main;a 4, main;d 1. */
static struct flame_node right_nodes[] = {
	{ .total = 5, .name = TOTAL },
	{ .total = 5, .parent = 0, .name = MAIN },
	{ .total = 4, .self = 4, .parent = 1, .name = A },
	{ .total = 1, .self = 1, .parent = 1, .name = D },
};

static struct flame flame_of(struct flame_node *nodes, uint32_t count)
{
	return (struct flame){
		.nodes = nodes, .node_count = count, .names = names, .name_count = NAME_COUNT
	};
}

static void lays_both_sides_out(void **state)
{
	struct flame left = flame_of(left_nodes, 6);
	struct flame right = flame_of(right_nodes, 4);

	(void)state;
	assert_diff(&left, &right, 0,
		    "0,11,0,0,5,0,total | 0,1,1,0,0,0,init 0,10,0,0,5,0,main | "
		    "1,3,3,0,4,4,a 0,7,2,0,0,0,b 0,0,0,0,1,1,d | 6,5,5,4,0,0,c");
}

/* By the larger of both sides: main 10, b 7, c 5 stay; init, a and d go. */
static void cuts_both_sides_together(void **state)
{
	struct flame left = flame_of(left_nodes, 6);
	struct flame right = flame_of(right_nodes, 4);

	(void)state;
	assert_diff(&left, &right, 3,
		    "0,11,0,0,5,0,total | 0,10,0,0,5,0,main 0,1,1,0,0,0,other | "
		    "0,7,2,0,0,0,b 0,3,3,0,5,5,other | 2,5,5,0,0,0,c");
}

static void takes_an_empty_side(void **state)
{
	struct flame_node none[] = { { .name = TOTAL } };
	struct flame left = flame_of(none, 1);
	struct flame right = flame_of(right_nodes, 4);

	(void)state;
	assert_diff(&left, &left, 8192, "0,0,0,0,0,0,total");
	assert_diff(&left, &right, 8192,
		    "0,0,0,0,5,0,total | 0,0,0,0,5,0,main | 0,0,0,0,4,4,a 0,0,0,0,1,1,d");
	assert_diff(&right, &left, 8192,
		    "0,5,0,0,0,0,total | 0,5,0,0,0,0,main | 0,4,4,0,0,0,a 0,1,1,0,0,0,d");
}

/* A function that is called so, and what is below it, goes into the bar of that name. */
static void other_is_not_a_function(void **state)
{
	struct flame_node nodes[] = {
		{ .total = 6, .name = TOTAL },
		{ .total = 2, .self = 2, .parent = 0, .name = MAIN },
		{ .total = 4, .self = 1, .parent = 0, .name = OTHER },
		{ .total = 3, .self = 3, .parent = 2, .name = A },
	};
	struct flame flame = flame_of(nodes, 4);

	(void)state;
	assert_diff(&flame, &flame, 0, "0,6,0,0,6,0,total | 0,2,2,0,2,2,main 0,4,4,0,4,4,other");
}

static void sums_that_are_none_are_refused(void **state)
{
	struct flame_node nodes[] = {
		{ .total = 1, .name = TOTAL },
		{ .total = 1, .self = 2, .parent = 0, .name = MAIN },
	};
	struct flame flame = flame_of(nodes, 2);
	struct flame_diff diff = { 0 };

	(void)state;
	assert_int_equal(flame_diff_make(&flame, &flame, 0, &diff), -EBADMSG);
	assert_null(diff.bars);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(lays_both_sides_out),
		cmocka_unit_test(cuts_both_sides_together),
		cmocka_unit_test(takes_an_empty_side),
		cmocka_unit_test(other_is_not_a_function),
		cmocka_unit_test(sums_that_are_none_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
