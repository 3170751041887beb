/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "store/store.h"
#include "web/flame_levels.h"

/* "0:0,11,0,total|1:0,1,1,init;0,10,0,main" would say what write_levels() below writes, too. */
static void describe(const struct flame_levels *levels, struct buf *buf)
{
	for (size_t i = 0; i < levels->bar_count; i++) {
		const struct flame_bar *bar = &levels->bars[i];

		assert_true(bar->name < levels->name_count);
		buf_printf(buf, "%s%" PRIu64 ",%" PRIu64 ",%" PRIu64 ",%.*s",
			   i == 0				     ? ""
			   : bar->level == levels->bars[i - 1].level ? " "
								     : " | ",
			   bar->delta, bar->total, bar->self, STR_PRINT(levels->names[bar->name]));
	}
	buf_add_u8(buf, '\0');
}

static void assert_levels(const struct flame *flame, const char *expected)
{
	autoclean(flame_levels) struct flame_levels levels = { 0 };
	autoclean(buf) struct buf buf = BUF(65536);

	assert_int_equal(flame_levels_make(flame, &levels), 0);
	describe(&levels, &buf);
	assert_string_equal((const char *)buf.bytes, expected);
	assert_true(str_equal(levels.names[0], STR("total")));
}

/* Of main;a 3, main;b;c 5, main;b 2, init 1. */
static struct str names[] = {
	{ "", 0 },  { "total", 5 }, { "main", 4 }, { "b", 1 },
	{ "c", 1 }, { "a", 1 },	    { "init", 4 }, { "other", 5 },
};

enum { EMPTY, TOTAL, MAIN, B, C, A, INIT, OTHER, NAME_COUNT };

static void lays_bars_out_as_pyroscope_does(void **state)
{
	struct flame_node nodes[] = {
		{ .total = 11, .name = TOTAL },
		{ .total = 1, .self = 1, .parent = 0, .name = INIT, .kind = FLAME_NATIVE },
		{ .total = 10, .parent = 0, .name = MAIN, .kind = FLAME_NATIVE },
		{ .total = 3, .self = 3, .parent = 2, .name = A, .kind = FLAME_NATIVE },
		{ .total = 7, .self = 2, .parent = 2, .name = B, .kind = FLAME_NATIVE },
		{ .total = 5, .self = 5, .parent = 4, .name = C, .kind = FLAME_NATIVE },
	};
	struct flame flame = {
		.nodes = nodes, .node_count = 6, .names = names, .name_count = NAME_COUNT
	};
	autoclean(flame_levels) struct flame_levels levels = { 0 };

	(void)state;
	assert_levels(&flame, "0,11,0,total | 0,1,1,init 0,10,0,main | 1,3,3,a 0,7,2,b | 6,5,5,c");
	assert_int_equal(flame_levels_make(&flame, &levels), 0);
	assert_int_equal(levels.total, 11);
	assert_int_equal(levels.max_self, 5);
	assert_int_equal(levels.name_count, 6);
}

static void calls_what_was_left_out_other(void **state)
{
	struct flame_node nodes[] = {
		{ .total = 11, .name = TOTAL },
		{ .total = 10, .parent = 0, .name = MAIN, .kind = FLAME_NATIVE },
		{ .total = 7, .self = 2, .parent = 1, .name = B, .kind = FLAME_NATIVE },
		{ .total = 5, .self = 5, .parent = 2, .name = C, .kind = FLAME_NATIVE },
		{ .total = 3, .self = 3, .parent = 1, .name = EMPTY, .kind = FLAME_MORE },
		{ .total = 1, .self = 1, .parent = 0, .name = EMPTY, .kind = FLAME_MORE },
	};
	struct flame flame = {
		.nodes = nodes, .node_count = 6, .names = names, .name_count = NAME_COUNT
	};

	(void)state;
	assert_levels(&flame,
		      "0,11,0,total | 0,10,0,main 0,1,1,other | 0,7,2,b 0,3,3,other | 2,5,5,c");
}

static void joins_functions_called_other_with_it(void **state)
{
	struct flame_node nodes[] = {
		{ .total = 20, .self = 1, .name = TOTAL },
		{ .total = 4, .self = 1, .parent = 0, .name = OTHER, .kind = FLAME_NATIVE },
		{ .total = 3, .self = 3, .parent = 1, .name = A, .kind = FLAME_NATIVE },
		{ .total = 10, .self = 10, .parent = 0, .name = B, .kind = FLAME_NATIVE },
		{ .total = 5, .self = 5, .parent = 0, .name = EMPTY, .kind = FLAME_MORE },
	};
	struct flame flame = {
		.nodes = nodes, .node_count = 5, .names = names, .name_count = NAME_COUNT
	};

	(void)state;
	assert_levels(&flame, "0,20,1,total | 1,10,10,b 0,9,9,other");
}

static void shares_the_root_name_with_a_function_total(void **state)
{
	struct flame_node nodes[] = {
		{ .total = 2, .name = EMPTY },
		{ .total = 2, .self = 2, .parent = 0, .name = TOTAL, .kind = FLAME_NATIVE },
	};
	struct flame flame = {
		.nodes = nodes, .node_count = 2, .names = names, .name_count = NAME_COUNT
	};
	autoclean(flame_levels) struct flame_levels levels = { 0 };

	(void)state;
	assert_int_equal(flame_levels_make(&flame, &levels), 0);
	assert_int_equal(levels.name_count, 1);
	assert_int_equal(levels.bars[1].name, 0);
}

static void makes_one_bar_of_nothing(void **state)
{
	struct flame_node root = { .name = EMPTY };
	struct flame flame = { .nodes = &root, .node_count = 1, .names = names, .name_count = 1 };

	(void)state;
	assert_levels(&flame, "0,0,0,total");
}

static void refuses_sums_that_are_none(void **state)
{
	struct flame_node nodes[] = {
		{ .total = 1, .name = TOTAL },
		{ .total = UINT64_MAX, .parent = 0, .name = A, .kind = FLAME_NATIVE },
		{ .total = 5, .self = 5, .parent = 0, .name = B, .kind = FLAME_NATIVE },
	};
	struct flame flame = {
		.nodes = nodes, .node_count = 3, .names = names, .name_count = NAME_COUNT
	};
	struct flame_levels levels = { 0 };

	(void)state;
	assert_int_equal(flame_levels_make(&flame, &levels), -EBADMSG);
	assert_null(levels.bars);
}

/* ---- against another way of doing it ----------------------------------------------------------
 */

enum { RANDOM_NODE_COUNT_MAX = 200, RANDOM_NAME_COUNT = 12 };

/* Absolute positions by recursion, then each level by scanning all bars. */
struct naive {
	const struct flame *flame;
	struct {
		uint64_t x, total, self;
		unsigned level;
		struct str name;
	} bars[2 * RANDOM_NODE_COUNT_MAX];
	size_t count;
};

static void naive_place(struct naive *naive, uint32_t index, unsigned level, uint64_t x)
{
	const struct flame *flame = naive->flame;
	const struct flame_node *node = &flame->nodes[index];
	uint64_t other = 0;
	bool has_other = false;
	size_t own = naive->count++;

	naive->bars[own].x = x;
	naive->bars[own].total = node->total;
	naive->bars[own].self = node->self;
	naive->bars[own].level = level;
	naive->bars[own].name = index ? flame->names[node->name] : STR("total");
	x += node->self;
	for (uint32_t i = index + 1; i < flame->node_count; i++) {
		const struct flame_node *child = &flame->nodes[i];

		if (child->parent != index)
			continue;
		if (child->kind == FLAME_MORE ||
		    str_equal(flame->names[child->name], STR("other"))) {
			has_other = true;
			other += child->total;
			continue;
		}
		naive_place(naive, i, level + 1, x);
		x += child->total;
	}
	if (!has_other)
		return;
	own = naive->count++;
	naive->bars[own].x = x;
	naive->bars[own].total = naive->bars[own].self = other;
	naive->bars[own].level = level + 1;
	naive->bars[own].name = STR("other");
}

static void naive_describe(const struct naive *naive, struct buf *buf)
{
	bool first = true;

	for (unsigned level = 0; level < RANDOM_NODE_COUNT_MAX + 1; level++) {
		uint64_t end = 0;
		bool begins = true;

		for (size_t i = 0; i < naive->count; i++) {
			if (naive->bars[i].level != level)
				continue;
			buf_printf(buf, "%s%" PRIu64 ",%" PRIu64 ",%" PRIu64 ",%.*s",
				   first    ? ""
				   : begins ? " | "
					    : " ",
				   naive->bars[i].x - end, naive->bars[i].total,
				   naive->bars[i].self, STR_PRINT(naive->bars[i].name));
			end = naive->bars[i].x + naive->bars[i].total;
			first = begins = false;
		}
	}
	buf_add_u8(buf, '\0');
}

static void make_random(struct flame_node *nodes, uint32_t count)
{
	uint32_t depth[RANDOM_NODE_COUNT_MAX] = { 0 };

	nodes[0] = (struct flame_node){ .kind = FLAME_ROOT };
	for (uint32_t i = 1; i < count; i++) {
		uint32_t up = (uint32_t)rand() % (depth[i - 1] + 1);
		uint32_t parent = i - 1;

		while (up--)
			parent = nodes[parent].parent;
		/* What was left out has no children. */
		while (nodes[parent].kind == FLAME_MORE)
			parent = nodes[parent].parent;
		depth[i] = depth[parent] + 1;
		nodes[i] = (struct flame_node){
			.parent = parent,
			.self = (uint64_t)rand() % 4,
			.name = 1 + (uint32_t)rand() % (RANDOM_NAME_COUNT - 1),
			.kind = rand() % 10 ? FLAME_NATIVE : FLAME_MORE,
		};
	}
	for (uint32_t i = count; i-- > 0;) {
		nodes[i].total += nodes[i].self;
		if (i > 0)
			nodes[nodes[i].parent].total += nodes[i].total;
	}
}

static void agrees_with_a_naive_layout(void **state)
{
	static struct naive naive;
	unsigned seed = 4711;
	struct str some_names[RANDOM_NAME_COUNT] = {
		{ "", 0 },  { "other", 5 }, { "total", 5 }, { "a", 1 }, { "b", 1 }, { "c", 1 },
		{ "d", 1 }, { "e", 1 },	    { "f", 1 },	    { "a", 1 }, { "g", 1 }, { "h", 1 },
	};

	(void)state;
	srand(seed);
	for (int round = 0; round < 300; round++) {
		struct flame_node nodes[RANDOM_NODE_COUNT_MAX];
		struct flame flame = {
			.nodes = nodes,
			.node_count = 1 + (uint32_t)rand() % RANDOM_NODE_COUNT_MAX,
			.names = some_names,
			.name_count = RANDOM_NAME_COUNT,
		};
		autoclean(flame_levels) struct flame_levels levels = { 0 };
		autoclean(buf) struct buf expected = BUF(1 << 20);
		autoclean(buf) struct buf made = BUF(1 << 20);

		make_random(nodes, flame.node_count);
		naive.flame = &flame;
		naive.count = 0;
		naive_place(&naive, 0, 0, 0);
		naive_describe(&naive, &expected);
		assert_int_equal(flame_levels_make(&flame, &levels), 0);
		describe(&levels, &made);
		if (strcmp((const char *)made.bytes, (const char *)expected.bytes) != 0)
			fail_msg("round %d of seed %u", round, seed);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(lays_bars_out_as_pyroscope_does),
		cmocka_unit_test(calls_what_was_left_out_other),
		cmocka_unit_test(joins_functions_called_other_with_it),
		cmocka_unit_test(shares_the_root_name_with_a_function_total),
		cmocka_unit_test(makes_one_bar_of_nothing),
		cmocka_unit_test(refuses_sums_that_are_none),
		cmocka_unit_test(agrees_with_a_naive_layout),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
