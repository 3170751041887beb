/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>

#include <stdlib.h>

#include "store/flame_private.h"

static int compare_touches(const void *a, const void *b)
{
	const struct touch *x = a;
	const struct touch *y = b;

	if (x->row != y->row)
		return x->row < y->row ? -1 : 1;
	return (x->node > y->node) - (x->node < y->node);
}

static int compare_numbers(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a;
	uint32_t y = *(const uint32_t *)b;

	return (x > y) - (x < y);
}

struct numbers {
	ARRAY(uint32_t) numbers;
};

/* Appends the nodes that touches of one row lie on or below, ascending. place: by node, scratch. */
static int gather_row(struct flame_question *question, const struct touch *touches, uint32_t count,
		      uint32_t *place, struct numbers *nodes)
{
	const struct tree_node *tree = question->tree->nodes.items;
	uint32_t base = question->forest_nodes.count;

	nodes->numbers.count = 0;
	for (uint32_t i = 0; i < count; i++)
		for (uint32_t node = touches[i].node; node != TREE_NO_PARENT && !place[node];
		     node = tree[node].parent) {
			if (array_reserve(&nodes->numbers, 1) < 0)
				return -ENOMEM;
			place[node] = 1;
			nodes->numbers.items[nodes->numbers.count++] = node;
		}
	if (nodes->numbers.count == 0)
		return 0;
	if (array_reserve(&question->forest_nodes, nodes->numbers.count) < 0)
		return -ENOMEM;
	qsort(nodes->numbers.items, nodes->numbers.count, sizeof(nodes->numbers.items[0]),
	      compare_numbers);
	for (uint32_t i = 0; i < nodes->numbers.count; i++) {
		uint32_t node = nodes->numbers.items[i];
		uint32_t parent = tree[node].parent;

		place[node] = base + i;
		question->forest_nodes.items[question->forest_nodes.count++] = (struct tree_node){
			.parent = parent == TREE_NO_PARENT ? TREE_NO_PARENT : place[parent],
			.location = parent == TREE_NO_PARENT ? touches[0].row : tree[node].location,
		};
	}
	return 0;
}

/* Adds the touches' values to the nodes that gather_row() made, and clears place again. */
static void settle_row(struct flame_question *question, const struct touch *touches, uint32_t count,
		       uint32_t *place, const struct numbers *nodes)
{
	for (uint32_t i = 0; i < nodes->numbers.count; i++)
		question->self.items[place[nodes->numbers.items[i]]] = 0;
	for (uint32_t i = 0; i < count; i++) {
		uint64_t *self = &question->self.items[place[touches[i].node]];

		*self = saturated_sum(*self, touches[i].value);
	}
	for (uint32_t i = 0; i < nodes->numbers.count; i++)
		place[nodes->numbers.items[i]] = 0;
}

static int gather_rows(struct flame_question *question, uint32_t *place, struct numbers *nodes)
{
	const struct touch *touches = question->touches.items;
	uint32_t count = question->touches.count;

	for (uint32_t first = 0, i = 1; first < count; i++) {
		if (i < count && touches[i].row == touches[first].row)
			continue;

		int err = gather_row(question, touches + first, i - first, place, nodes);

		if (err)
			return err;
		question->self.count = question->forest_nodes.count - nodes->numbers.count;
		if (array_reserve(&question->self, nodes->numbers.count) < 0)
			return -ENOMEM;
		settle_row(question, touches + first, i - first, place, nodes);
		first = i;
	}
	return 0;
}

int flame_merge_rows(struct flame_question *question, const struct catalog *catalog)
{
	autofree uint32_t *place =
		calloc((size_t)question->tree->nodes.count + 1, sizeof(place[0]));
	struct numbers nodes = { 0 };
	uint32_t count = 0;
	int err = 0;

	if (!place)
		return -ENOMEM;
	if (question->touches.count)
		qsort(question->touches.items, question->touches.count,
		      sizeof(question->touches.items[0]), compare_touches);
	question->forest_nodes.count = 0;
	err = gather_rows(question, place, &nodes);
	array_done(&nodes.numbers);
	count = question->forest_nodes.count;
	question->self.count = count;
	if (err || count == 0)
		return err;
	if (array_reserve(&question->total, count) < 0 ||
	    array_reserve(&question->mapped, count) < 0)
		return -ENOMEM;

	struct forest forest = { .nodes = question->forest_nodes.items,
				 .self = question->self.items,
				 .total = question->total.items,
				 .count = count };

	uint64_t cut = 1;

	if (flame_cuts(question))
		cut = forest_add_up_and_cut(&forest, flame_keep_count(question));
	else
		forest_add_up(&forest);
	return flame_merge_forest(question, catalog, &forest, cut);
}
