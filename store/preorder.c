/* SPDX-License-Identifier: Apache-2.0 */
#include "store/preorder.h"

#include <assert.h>
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>

#include "base/cleanup.h"
#include "base/pages.h"
#include "store/number_sort.h"

enum { FEW = 32 }; /* so few children are put into order one by one */

struct ordering {
	struct tree *tree;
	struct preorder *to;
	/* Children of all nodes, those of one together and in the order of their locations. */
	uint32_t *first; /* by node, and one more at the end */
	uint32_t *children;
	ARRAY(struct keyed) family; /* of one node with many */
	ARRAY(uint32_t) trail;	    /* by level: the next child of the node there */
};

static void ordering_cleanup(struct ordering *ordering)
{
	free(ordering->first);
	free(ordering->children);
	array_done(&ordering->family);
	array_done(&ordering->trail);
}

/* ---- locations ------------------------------------------------------------------------------- */

/* Locations by build, then those of each build, which the cache has, by address: what that is
 * sorted in is as large as the largest of them. */
static int sort_locations(const struct tree *tree, struct keyed *sorted)
{
	const uint32_t *builds = tree->builds.items;
	uint32_t count = tree->builds.count;
	uint32_t most = 0, largest = 0;
	autofree uint32_t *starts = NULL;
	autofree struct keyed *scratch = NULL;

	for (uint32_t i = TREE_RESERVED_COUNT; i < count; i++)
		most = builds[i] > most ? builds[i] : most;
	starts = calloc((size_t)most + 2, sizeof(starts[0]));
	if (!starts)
		return -ENOMEM;
	for (uint32_t i = TREE_RESERVED_COUNT; i < count; i++)
		starts[builds[i] + 1]++;
	for (uint32_t i = 0; i <= most; i++) {
		largest = starts[i + 1] > largest ? starts[i + 1] : largest;
		starts[i + 1] += starts[i];
	}
	scratch = pages_alloc(((size_t)largest + 1) * sizeof(scratch[0]));
	if (!scratch)
		return -ENOMEM;
	for (uint32_t i = TREE_RESERVED_COUNT; i < count; i++)
		sorted[starts[builds[i]]++] =
			(struct keyed){ .key = tree->addresses.items[i], .number = i };
	/* starts[i] is where build i + 1 begins now. */
	for (uint32_t i = 0, first = 0; i <= most; first = starts[i++])
		number_sort(sorted + first, scratch, starts[i] - first);
	return 0;
}

/* Reserved ones stay where they are: callers missing is the first child, and folded the second. */
static int number_locations(struct tree *tree)
{
	uint32_t count = tree->builds.count;
	uint32_t sorted_count = count - TREE_RESERVED_COUNT;
	autofree struct keyed *sorted = pages_alloc(((size_t)count + 1) * sizeof(sorted[0]));
	autofree uint32_t *numbers = pages_alloc(((size_t)count + 1) * sizeof(numbers[0]));
	int err = sorted && numbers ? sort_locations(tree, sorted) : -ENOMEM;

	if (err)
		return err;
	for (uint32_t i = 0; i < TREE_RESERVED_COUNT; i++)
		numbers[i] = i;
	for (uint32_t i = 0; i < sorted_count; i++) {
		uint32_t number = TREE_RESERVED_COUNT + i;

		numbers[sorted[i].number] = number;
		tree->addresses.items[number] = sorted[i].key;
		sorted[i].key = tree->builds.items[sorted[i].number];
	}
	for (uint32_t i = 0; i < sorted_count; i++)
		tree->builds.items[TREE_RESERVED_COUNT + i] = (uint32_t)sorted[i].key;
	for (uint32_t i = 0; i < tree->nodes.count; i++)
		if (!tree_is_root(tree, i))
			tree->nodes.items[i].location = numbers[tree->nodes.items[i].location];
	return 0;
}

/* ---- families -------------------------------------------------------------------------------- */

static bool has_children(const struct ordering *ordering, uint32_t node)
{
	return ordering->first[node] < ordering->first[node + 1];
}

/* Of children with the same location, leaves that were lowered, the one that has children itself
 * comes first. */
static uint64_t child_key(const struct ordering *ordering, uint32_t child)
{
	return (uint64_t)ordering->tree->nodes.items[child].location << 1 |
	       !has_children(ordering, child);
}

static void sort_few(const struct ordering *ordering, uint32_t *children, uint32_t count)
{
	uint64_t keys[FEW];

	/* All at once: they wait for memory together. */
	for (uint32_t i = 0; i < count; i++)
		keys[i] = child_key(ordering, children[i]);
	for (uint32_t i = 1; i < count; i++) {
		uint32_t child = children[i];
		uint64_t key = keys[i];
		uint32_t place = i;

		for (; place > 0 && keys[place - 1] > key; place--) {
			keys[place] = keys[place - 1];
			children[place] = children[place - 1];
		}
		keys[place] = key;
		children[place] = child;
	}
}

static int sort_family(struct ordering *ordering, uint32_t *children, uint32_t count)
{
	struct keyed *family;

	if (count <= FEW) {
		if (count > 1)
			sort_few(ordering, children, count);
		return 0;
	}
	if (array_reserve(&ordering->family, 2 * (size_t)count) < 0)
		return -ENOMEM;
	family = ordering->family.items;
	for (uint32_t i = 0; i < count; i++)
		family[i] = (struct keyed){ .key = child_key(ordering, children[i]),
					    .number = children[i] };
	number_sort(family, family + count, count);
	for (uint32_t i = 0; i < count; i++)
		children[i] = family[i].number;
	return 0;
}

/* By parent, which is mostly near its children; then the children of each. Most have one. */
static int find_families(struct ordering *ordering)
{
	const struct tree *tree = ordering->tree;
	uint32_t count = tree->nodes.count;
	int err = 0;

	ordering->first = pages_alloc_zeroed((size_t)count + 2, sizeof(ordering->first[0]));
	ordering->children = pages_alloc(((size_t)count + 1) * sizeof(ordering->children[0]));
	if (!ordering->first || !ordering->children)
		return -ENOMEM;
	for (uint32_t i = 0; i < count; i++)
		if (!tree_is_root(tree, i))
			ordering->first[tree->nodes.items[i].parent + 2]++;
	for (uint32_t i = 1; i < count + 2; i++)
		ordering->first[i] += ordering->first[i - 1];
	for (uint32_t i = 0; i < count; i++)
		if (!tree_is_root(tree, i))
			ordering->children[ordering->first[tree->nodes.items[i].parent + 1]++] = i;
	for (uint32_t i = 0; !err && i < count; i++)
		err = sort_family(ordering, ordering->children + ordering->first[i],
				  ordering->first[i + 1] - ordering->first[i]);
	return err;
}

/* ---- the walk -------------------------------------------------------------------------------- */

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

/* Brings a sibling that comes when all below the one before it is done: mostly soon. */
static inline __attribute__((always_inline)) void prefetch_node(const struct ordering *ordering,
								uint32_t node)
{
	__builtin_prefetch(&ordering->tree->nodes.items[node]);
	__builtin_prefetch(&ordering->first[node]);
	__builtin_prefetch(&ordering->to->places[node], 1);
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
				/* Only leaves may be. */
				if (has_children(ordering, child))
					return -EBADMSG;
				to->places[child] = to->places[ordering->children[place - 1]];
				continue;
			}
			if (*next < ordering->first[node + 1])
				prefetch_node(ordering, ordering->children[*next]);
			/* From here on next may lead nowhere. */
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

int preorder_find(struct tree *tree, uint32_t text_count, struct preorder *ret)
{
	autoclean(ordering) struct ordering ordering = { .tree = tree, .to = ret };
	size_t count = tree->nodes.count;
	uint32_t number = 0;
	int err = number_locations(tree);

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

void preorder_forget_places(struct preorder *preorder)
{
	free(preorder->places);
	preorder->places = NULL;
}

void preorder_done(struct preorder *preorder)
{
	free(preorder->locations);
	free(preorder->ups);
	free(preorder->places);
	array_done(&preorder->services);
	*preorder = (struct preorder){ 0 };
}
