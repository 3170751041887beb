/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Trees with values: what passes a cut, with what it weighs, however many parts it comes in.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "store/forest.h"

enum {
	NODE_COUNT = 30000,
	SERVICE_COUNT = 50,
	KEEP = 2000,
	BUILD = 1,
	FIRST_ADDRESS = 1000, /* of a node: its number and this */
	FIRST_SERVICE = 7,
	SEED = 20261129,
};

/* A host's: whose node is of which service, and what it has itself. */
struct host {
	uint32_t parents[NODE_COUNT];
	uint32_t services[NODE_COUNT];
	uint64_t values[NODE_COUNT];
};

static uint32_t draw(uint32_t below)
{
	return (uint32_t)random() % below;
}

/* Most nodes weigh nothing or little, a few much; the first are roots. */
static void make_host(struct host *host)
{
	srandom(SEED);
	for (uint32_t i = 0; i < NODE_COUNT; i++) {
		host->parents[i] = i < SERVICE_COUNT ? TREE_NO_PARENT : draw(i);
		host->services[i] = i < SERVICE_COUNT ? i : host->services[host->parents[i]];
		host->values[i] = draw(3) == 0 ? 0 : draw(100) == 0 ? 1 + draw(5000) : draw(8);
	}
}

/* The trees of services from first to last, and their nodes' values, which are the caller's. */
static uint64_t *make_trees(const struct host *host, uint32_t first, uint32_t last,
			    struct tree *tree)
{
	uint64_t *values = calloc(NODE_COUNT, sizeof(values[0]));
	uint32_t *numbers = calloc(NODE_COUNT, sizeof(numbers[0]));

	assert_non_null(values);
	assert_non_null(numbers);
	assert_int_equal(tree_init(tree), 0);
	for (uint32_t i = 0; i < NODE_COUNT; i++) {
		uint32_t parent = host->parents[i];
		int64_t location = FIRST_SERVICE + (int64_t)i; /* of a root, which is a service */
		int64_t number;

		if (host->services[i] < first || host->services[i] > last)
			continue;
		if (parent != TREE_NO_PARENT) {
			parent = numbers[parent];
			location = tree_add_location(tree, BUILD, FIRST_ADDRESS + i);
		}
		assert_true(location >= 0);
		number = tree_add_node(tree, parent, (uint32_t)location);
		assert_true(number >= 0);
		numbers[i] = (uint32_t)number;
		values[number] = host->values[i];
	}
	free(numbers);
	return values;
}

/* Which of the host's a node of a summary is. */
static uint32_t node_of(const struct tree *tree, uint32_t number)
{
	const struct tree_node *node = &tree->nodes.items[number];

	return node->parent == TREE_NO_PARENT
		       ? node->location - FIRST_SERVICE
		       : (uint32_t)(tree->addresses.items[node->location] - FIRST_ADDRESS);
}

static void total_up(const struct host *host, uint64_t totals[static NODE_COUNT])
{
	memcpy(totals, host->values, sizeof(host->values));
	for (uint32_t i = NODE_COUNT; i-- > 0;)
		if (host->parents[i] != TREE_NO_PARENT)
			totals[host->parents[i]] += totals[i];
}

/* Each node that weighs so much is there, once, below its parent, with what it weighs; and who is
 * there counts who is not. */
static void check_summary(const struct host *host, const struct cached *summary, uint64_t cut)
{
	static uint64_t totals[NODE_COUNT];
	static uint32_t hidden[NODE_COUNT];
	static bool is_there[NODE_COUNT];
	const struct tree *tree = &summary->tree;
	uint32_t count = 0;

	total_up(host, totals);
	memset(hidden, 0, sizeof(hidden));
	memset(is_there, 0, sizeof(is_there));
	for (uint32_t i = 0; i < tree->nodes.count; i++) {
		uint32_t node = node_of(tree, i);
		uint32_t parent = tree->nodes.items[i].parent;

		assert_true(node < NODE_COUNT);
		assert_false(is_there[node]);
		is_there[node] = true;
		assert_int_equal(summary->total[i], totals[node]);
		assert_int_equal(summary->self[i], host->values[node]);
		assert_int_equal(parent == TREE_NO_PARENT ? parent : node_of(tree, parent),
				 host->parents[node]);
	}
	for (uint32_t i = 0; i < NODE_COUNT; i++) {
		uint32_t above = i;

		if (totals[i] == 0)
			continue;
		count += totals[i] >= cut || i < SERVICE_COUNT;
		if (totals[i] >= cut)
			assert_true(is_there[i]);
		if (is_there[i])
			continue;
		while (!is_there[above])
			above = host->parents[above];
		hidden[above]++;
	}
	assert_true(count <= tree->nodes.count);
	for (uint32_t i = 0; i < tree->nodes.count; i++)
		assert_int_equal(summary->hidden[i], hidden[node_of(tree, i)]);
}

static struct cached *summarize(const struct host *host, uint32_t part_count, uint64_t *ret_cut)
{
	struct cached *summary = NULL;

	for (uint32_t part = 0; part < part_count; part++) {
		struct tree tree;
		uint64_t *values = make_trees(host, part * SERVICE_COUNT / part_count,
					      (part + 1) * SERVICE_COUNT / part_count - 1, &tree);
		uint64_t cut = forest_weigh_tree(&tree, values, KEEP);
		struct forest forest = { .nodes = tree.nodes.items,
					 .total = values,
					 .count = tree.nodes.count };

		assert_int_equal(forest_summarize(&tree, &forest, cut, &summary), 0);
		*ret_cut = cut;
		tree_done(&tree);
		free(values);
	}
	return summary;
}

static void keeps_what_is_heavy(void **state)
{
	static struct host host;
	uint64_t cut = 0;
	struct cached *summary;

	(void)state;
	make_host(&host);
	summary = summarize(&host, 1, &cut);
	assert_true(cut > 1);
	assert_true(summary->tree.nodes.count > KEEP / 2);
	assert_true(summary->tree.nodes.count <= KEEP + SERVICE_COUNT);
	check_summary(&host, summary, cut);
	cached_release(summary);
}

/* The cuts of parts are lower than that of all of them; after the last one it is the same. */
static void keeps_the_same_of_parts(void **state)
{
	static const uint32_t part_counts[] = { 2, 5, SERVICE_COUNT };
	static struct host host;
	uint64_t cut = 0;

	(void)state;
	make_host(&host);
	cached_release(summarize(&host, 1, &cut));
	for (size_t i = 0; i < sizeof(part_counts) / sizeof(part_counts[0]); i++) {
		uint64_t part_cut = 0;
		struct cached *parts = summarize(&host, part_counts[i], &part_cut);
		struct cached *summary = NULL;

		assert_true(parts->tree.nodes.count > KEEP + SERVICE_COUNT);
		check_summary(&host, parts, cut);
		parts->sample_count = 123;
		assert_int_equal(forest_cut_summary(parts, KEEP, &summary), 0);
		assert_int_equal(summary->sample_count, 123);
		assert_true(summary->tree.nodes.count <= KEEP + SERVICE_COUNT);
		check_summary(&host, summary, cut);
		cached_release(summary);
	}
}

/* A node that has less than its children, since sums end at the largest number, has nothing. */
static void survives_totals_that_ran_over(void **state)
{
	uint64_t values[] = { 5, UINT64_MAX, UINT64_MAX - 1 };
	struct cached *summary = NULL;
	struct tree tree;

	(void)state;
	assert_int_equal(tree_init(&tree), 0);
	assert_int_equal(tree_add_node(&tree, TREE_NO_PARENT, 0), 0);
	assert_int_equal(tree_add_node(&tree, 0, TREE_FOLDED), 1);
	assert_int_equal(tree_add_node(&tree, 0, TREE_CALLERS_MISSING), 2);

	struct forest forest = { .nodes = tree.nodes.items, .total = values, .count = 3 };
	uint64_t cut = forest_weigh_tree(&tree, values, KEEP);

	assert_int_equal(cut, 1);
	assert_int_equal(values[0], UINT64_MAX);
	assert_int_equal(forest_summarize(&tree, &forest, cut, &summary), 0);
	assert_int_equal(summary->tree.nodes.count, 3);
	assert_int_equal(summary->total[0], UINT64_MAX);
	assert_int_equal(summary->self[0], 0);
	assert_int_equal(summary->self[1], UINT64_MAX);
	assert_int_equal(summary->self[2], UINT64_MAX - 1);
	cached_release(summary);
	tree_done(&tree);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(keeps_what_is_heavy),
		cmocka_unit_test(keeps_the_same_of_parts),
		cmocka_unit_test(survives_totals_that_ran_over),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
