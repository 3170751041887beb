/* SPDX-License-Identifier: Apache-2.0 */
#include "store/preorder.h"

#include <assert.h>
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>

#include "base/cleanup.h"
#include "base/pages.h"
#include "store/number_sort.h"

struct ordering {
	const struct tree *tree;
	struct preorder *to;
	/* Children of all nodes, those of one together and in the order of their locations. */
	uint32_t *first; /* by node, and one more at the end */
	uint32_t *children;
	ARRAY(uint32_t) trail; /* by level: the next child of the node there */
};

static void ordering_cleanup(struct ordering *ordering)
{
	free(ordering->first);
	free(ordering->children);
	array_done(&ordering->trail);
}

/* By build and address. Reserved ones stay where they are: callers missing is the first child, and
 * folded the second. */
static int rank_locations(struct ordering *ordering)
{
	const struct tree *tree = ordering->tree;
	struct preorder *to = ordering->to;
	uint32_t count = tree->builds.count;
	uint32_t sorted_count = count - TREE_RESERVED_COUNT;
	autofree struct keyed *sorted = pages_alloc((2 * (size_t)count + 1) * sizeof(sorted[0]));

	to->ranks = pages_alloc_zeroed((size_t)count + 1, sizeof(to->ranks[0]));
	if (!sorted || !to->ranks)
		return -ENOMEM;
	for (uint32_t i = 0; i < sorted_count; i++)
		sorted[i] = (struct keyed){ .key = tree->addresses.items[TREE_RESERVED_COUNT + i],
					    .number = TREE_RESERVED_COUNT + i };
	number_sort(sorted, sorted + count, sorted_count);
	for (uint32_t i = 0; i < sorted_count; i++)
		sorted[i].key = tree->builds.items[sorted[i].number];
	number_sort(sorted, sorted + count, sorted_count);
	for (uint32_t i = 0; i < TREE_RESERVED_COUNT; i++)
		to->ranks[i] = i;
	for (uint32_t i = 0; i < sorted_count; i++)
		to->ranks[sorted[i].number] = TREE_RESERVED_COUNT + i;
	return 0;
}

/*
 * Sorts by location, then, keeping that order, by parent: two passes of counting. Of children with
 * the same location, leaves that were lowered, the one that has children itself comes first.
 */
static int find_families(struct ordering *ordering)
{
	const struct tree *tree = ordering->tree;
	uint32_t count = tree->nodes.count;
	uint32_t location_count = tree->builds.count;
	autofree uint32_t *starts =
		pages_alloc_zeroed((size_t)location_count + 1, sizeof(starts[0]));
	autofree uint32_t *sorted = pages_alloc_zeroed((size_t)count + 1, sizeof(sorted[0]));

	ordering->first = pages_alloc_zeroed((size_t)count + 2, sizeof(ordering->first[0]));
	ordering->children = pages_alloc(((size_t)count + 1) * sizeof(ordering->children[0]));
	if (!starts || !sorted || !ordering->first || !ordering->children)
		return -ENOMEM;
	for (uint32_t i = 0; i < count; i++)
		if (!tree_is_root(tree, i)) {
			starts[ordering->to->ranks[tree->nodes.items[i].location]]++;
			ordering->first[tree->nodes.items[i].parent + 2]++;
		}
	for (uint32_t i = 0, sum = 0; i <= location_count; i++) {
		uint32_t here = starts[i];

		starts[i] = sum;
		sum += here;
	}
	for (int are_leaves = 0; are_leaves < 2; are_leaves++)
		for (uint32_t i = 0; i < count; i++)
			if (!tree_is_root(tree, i) && (ordering->first[i + 2] == 0) == are_leaves)
				sorted[starts[ordering->to
						      ->ranks[tree->nodes.items[i].location]]++] =
					i;
	for (uint32_t i = 1; i < count + 2; i++)
		ordering->first[i] += ordering->first[i - 1];

	uint32_t child_count = ordering->first[count + 1];

	for (uint32_t i = 0; i < child_count; i++) {
		uint32_t parent = tree->nodes.items[sorted[i]].parent;

		ordering->children[ordering->first[parent + 1]++] = sorted[i];
	}
	return 0;
}

/* Whether a child of this place is the same as the one before: then it has its number. */
static bool is_repeated(const struct ordering *ordering, uint32_t node, uint32_t place)
{
	const struct tree_node *nodes = ordering->tree->nodes.items;

	return place > ordering->first[node] &&
	       nodes[ordering->children[place]].location ==
		       nodes[ordering->children[place - 1]].location;
}

static void number_node(struct ordering *ordering, uint32_t node, uint32_t up, uint32_t *number)
{
	struct preorder *to = ordering->to;
	to->locations[*number] = ordering->tree->nodes.items[node].location;
	to->ups[*number] = (uint16_t)up;
	to->places[node] = (*number)++;
}

/* Numbers the nodes of one service. */
static int number_service(struct ordering *ordering, struct preorder_service *service,
			  uint32_t *number)
{
	struct preorder *to = ordering->to;
	uint32_t node = service->root;
	uint32_t up = 0;

	service->first = *number;
	number_node(ordering, node, 0, number);
	ordering->trail.count = 0;
	if (array_reserve(&ordering->trail, 1) < 0)
		return -ENOMEM;
	ordering->trail.items[ordering->trail.count++] = ordering->first[node];
	for (;;) {
		uint32_t *next = &ordering->trail.items[ordering->trail.count - 1];

		if (*next < ordering->first[node + 1]) {
			uint32_t place = (*next)++;
			uint32_t child = ordering->children[place];

			if (is_repeated(ordering, node, place)) {
				to->places[child] = to->places[ordering->children[place - 1]];
				continue;
			}
			if (array_reserve(&ordering->trail, 1) < 0)
				return -ENOMEM;
			node = child;
			ordering->trail.items[ordering->trail.count++] = ordering->first[node];
			number_node(ordering, node, up, number);
			up = 0;
		} else if (node == service->root) {
			break;
		} else {
			node = ordering->tree->nodes.items[node].parent;
			ordering->trail.count--;
			up++;
		}
	}
	service->end = *number;
	return 0;
}

static int compare_services(const void *a, const void *b)
{
	uint32_t x = ((const struct preorder_service *)a)->text;
	uint32_t y = ((const struct preorder_service *)b)->text;

	return (x > y) - (x < y);
}

static int find_services(struct ordering *ordering, uint32_t text_count)
{
	struct preorder *to = ordering->to;
	const struct tree *tree = ordering->tree;

	for (uint32_t i = 0; i < tree->nodes.count; i++) {
		if (!tree_is_root(tree, i))
			continue;
		if (tree->nodes.items[i].location >= text_count)
			return -EBADMSG;
		if (array_reserve(&to->services, 1) < 0)
			return -ENOMEM;
		to->services.items[to->services.count++] =
			(struct preorder_service){ .text = tree->nodes.items[i].location,
						   .root = i };
	}
	if (to->services.count)
		qsort(to->services.items, to->services.count, sizeof(to->services.items[0]),
		      compare_services);
	/* One root each: a segment's tree finds the one that is there. */
	for (uint32_t i = 1; i < to->services.count; i++)
		if (to->services.items[i].text == to->services.items[i - 1].text)
			return -EBADMSG;
	return 0;
}

int preorder_find(const struct tree *tree, uint32_t text_count, struct preorder *ret)
{
	autoclean(ordering) struct ordering ordering = { .tree = tree, .to = ret };
	size_t count = tree->nodes.count;
	uint32_t number = 0;
	int err = rank_locations(&ordering);

	if (!err)
		err = find_families(&ordering);
	if (!err)
		err = find_services(&ordering, text_count);
	if (err)
		return err;
	ret->node_count = tree->nodes.count;
	ret->locations = pages_alloc((count + 1) * sizeof(ret->locations[0]));
	ret->places = pages_alloc((count + 1) * sizeof(ret->places[0]));
	ret->ups = pages_alloc((count + 1) * sizeof(ret->ups[0]));
	if (!ret->locations || !ret->places || !ret->ups)
		return -ENOMEM;
	for (uint32_t i = 0; !err && i < ret->services.count; i++)
		err = number_service(&ordering, &ret->services.items[i], &number);
	assert(number <= count);
	return err;
}

void preorder_done(struct preorder *preorder)
{
	free(preorder->ranks);
	free(preorder->locations);
	free(preorder->ups);
	free(preorder->places);
	array_done(&preorder->services);
	*preorder = (struct preorder){ 0 };
}
