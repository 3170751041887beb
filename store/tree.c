/* SPDX-License-Identifier: Apache-2.0 */
#include "store/tree.h"

#include <assert.h>
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"

int tree_init(struct tree *tree)
{
	*tree = (struct tree){ 0 };

	for (int i = 0; i < TREE_RESERVED_COUNT; i++) {
		int64_t number = tree_add_location(tree, TREE_BUILD_RESERVED, (uint64_t)i);

		if (number < 0)
			return (int)number;
		assert(number == i);
	}
	return 0;
}

void tree_done(struct tree *tree)
{
	array_done(&tree->nodes);
	array_done(&tree->builds);
	array_done(&tree->addresses);
}

int tree_copy(const struct tree *from, uint32_t node_count, uint32_t location_count,
	      struct tree *to)
{
	assert(node_count <= from->nodes.count && location_count <= from->builds.count);
	assert(!to->nodes.items && !to->builds.items && !to->addresses.items);
	if (array_reserve(&to->nodes, node_count) < 0 ||
	    array_reserve(&to->builds, location_count) < 0 ||
	    array_reserve(&to->addresses, location_count) < 0)
		return -ENOMEM;
	if (node_count)
		memcpy(to->nodes.items, from->nodes.items, node_count * sizeof(to->nodes.items[0]));
	if (location_count) {
		memcpy(to->builds.items, from->builds.items,
		       location_count * sizeof(to->builds.items[0]));
		memcpy(to->addresses.items, from->addresses.items,
		       location_count * sizeof(to->addresses.items[0]));
	}
	to->nodes.count = node_count;
	to->builds.count = to->addresses.count = location_count;
	return 0;
}

int64_t tree_add_location(struct tree *tree, uint32_t build, uint64_t address)
{
	assert(tree->builds.count == tree->addresses.count);

	if (tree->builds.count >= TREE_LOCATION_COUNT_MAX)
		return -ENOSPC;
	if (array_reserve(&tree->builds, 1) < 0 || array_reserve(&tree->addresses, 1) < 0)
		return -ENOMEM;
	tree->builds.items[tree->builds.count++] = build;
	tree->addresses.items[tree->addresses.count] = address;
	return tree->addresses.count++;
}

int64_t tree_add_node(struct tree *tree, uint32_t parent, uint32_t location)
{
	assert(parent == TREE_NO_PARENT || parent < tree->nodes.count);
	assert(parent == TREE_NO_PARENT || location < tree->builds.count);

	if (tree->nodes.count >= TREE_NODE_COUNT_MAX)
		return -ENOSPC;
	if (array_reserve(&tree->nodes, 1) < 0)
		return -ENOMEM;
	tree->nodes.items[tree->nodes.count] = (struct tree_node){ parent, location };
	return tree->nodes.count++;
}

/* What is reserved comes before the first of a file. */
static uint32_t place_of_build(const struct tree *tree, uint32_t location)
{
	return tree->builds.items[location] + 1;
}

int tree_order_by_build(const struct tree *tree, uint32_t build_count, uint32_t *locations,
			uint32_t count)
{
	uint32_t before = 0;
	bool is_in_order = true;

	static_assert((uint32_t)(TREE_BUILD_RESERVED + 1) == 0, "what is reserved comes first");
	for (uint32_t i = 0; i < count; i++) {
		uint32_t place = place_of_build(tree, locations[i]);

		if (place > build_count)
			return -EBADMSG;
		is_in_order = is_in_order && place >= before;
		before = place;
	}
	if (is_in_order)
		return 0;

	autofree uint32_t *copy = malloc(count * sizeof(copy[0]));
	autofree uint32_t *next = calloc((size_t)build_count + 2, sizeof(next[0]));

	if (!copy || !next)
		return -ENOMEM;
	memcpy(copy, locations, count * sizeof(copy[0]));
	for (uint32_t i = 0; i < count; i++)
		next[place_of_build(tree, copy[i]) + 1]++;
	for (uint32_t i = 0; i < build_count; i++)
		next[i + 1] += next[i];
	for (uint32_t i = 0; i < count; i++)
		locations[next[place_of_build(tree, copy[i])]++] = copy[i];
	return 0;
}

void tree_gather(struct tree *tree, struct gather *gather)
{
	array_gather(&tree->nodes, gather);
	array_gather(&tree->builds, gather);
	array_gather(&tree->addresses, gather);
}

size_t tree_memory(const struct tree *tree)
{
	return tree->nodes.capacity * sizeof(tree->nodes.items[0]) +
	       tree->builds.capacity * sizeof(tree->builds.items[0]) +
	       tree->addresses.capacity * sizeof(tree->addresses.items[0]);
}

void tree_trim(struct tree *tree)
{
	/* An array that does not get smaller is none the worse. */
	void *nodes = reallocarray(tree->nodes.items, tree->nodes.count + 1,
				   sizeof(tree->nodes.items[0]));
	void *builds = reallocarray(tree->builds.items, tree->builds.count + 1,
				    sizeof(tree->builds.items[0]));
	void *addresses = reallocarray(tree->addresses.items, tree->addresses.count + 1,
				       sizeof(tree->addresses.items[0]));

	if (nodes) {
		tree->nodes.items = nodes;
		tree->nodes.capacity = tree->nodes.count + 1;
	}
	if (builds) {
		tree->builds.items = builds;
		tree->builds.capacity = tree->builds.count + 1;
	}
	if (addresses) {
		tree->addresses.items = addresses;
		tree->addresses.capacity = tree->addresses.count + 1;
	}
}
