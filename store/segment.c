/* SPDX-License-Identifier: Apache-2.0 */
#include "store/segment.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/saturate.h"

static_assert(sizeof(struct sum_key) == 16, "hashed as bytes: no padding");
static_assert(sizeof(struct pair) == 8, "hashed as bytes: no padding");

/* Two rounds of a multiplication and a shift: keys are two small numbers, and there are millions.
 */
static uint64_t mix(uint64_t a, uint64_t b)
{
	uint64_t hash = (a ^ b * UINT64_C(0x9e3779b97f4a7c15)) * UINT64_C(0xbf58476d1ce4e5b9);

	hash ^= hash >> 32;
	hash *= UINT64_C(0x94d049bb133111eb);
	return hash ^ hash >> 29;
}

static bool node_equals(const void *context, uint32_t number, const void *key)
{
	const struct segment *segment = context;
	const struct tree_node *wanted = key;
	struct tree_node node = segment->tree.nodes.items[number];

	return node.parent == wanted->parent && node.location == wanted->location;
}

static uint64_t location_hash(const void *context, uint32_t number)
{
	const struct segment *segment = context;

	return mix(segment->tree.builds.items[number], segment->tree.addresses.items[number]);
}

static bool location_equals(const void *context, uint32_t number, const void *key)
{
	const struct segment *segment = context;
	const struct location_key *wanted = key;

	return segment->tree.addresses.items[number] == wanted->address &&
	       segment->tree.builds.items[number] == wanted->build;
}

static bool sum_equals(const void *context, uint32_t number, const void *key)
{
	const struct segment *segment = context;
	const struct sum_place *wanted = key;

	return segment->sums.items[number].node == wanted->node &&
	       segment->sums.items[number].key == wanted->key;
}

int segment_init(struct segment *segment, uint32_t number, int64_t first_window)
{
	*segment = (struct segment){ .number = number, .first_window = first_window };
	table_init(&segment->nodes, TREE_NODE_COUNT_MAX);
	table_init(&segment->locations, TREE_LOCATION_COUNT_MAX);
	table_init(&segment->sum_table, SEGMENT_SUM_COUNT_MAX);
	pool_init(&segment->sum_keys, SEGMENT_KEY_COUNT_MAX, NULL);
	pool_init(&segment->pairs, SEGMENT_SUM_COUNT_MAX, NULL);

	int err = tree_init(&segment->tree);

	/* The reserved locations have numbers, so they have a place in the table. */
	for (uint32_t i = 0; !err && i < TREE_RESERVED_COUNT; i++)
		err = table_add(&segment->locations, location_hash(segment, i));
	segment->locations_written = segment->tree.builds.count;
	return err;
}

void segment_done(struct segment *segment)
{
	tree_done(&segment->tree);
	table_done(&segment->nodes);
	table_done(&segment->locations);
	table_done(&segment->sum_table);
	array_done(&segment->node_sums);
	array_done(&segment->sums);
	pool_done(&segment->sum_keys);
	pool_done(&segment->pairs);
	array_done(&segment->paired);
	segment->number = 0;
	segment->is_over = false;
}

size_t segment_memory(const struct segment *segment)
{
	return tree_memory(&segment->tree) + table_memory(&segment->nodes) +
	       table_memory(&segment->locations) + array_memory(&segment->sums) +
	       array_memory(&segment->node_sums) + table_memory(&segment->sum_table) +
	       pool_memory(&segment->sum_keys) + pool_memory(&segment->pairs) +
	       array_memory(&segment->paired);
}

void segment_end(struct segment *segment)
{
	table_done(&segment->nodes);
	table_done(&segment->locations);
	table_done(&segment->sum_table);
	array_done(&segment->node_sums);
	array_done(&segment->paired);
	segment->is_over = true;
}

static int64_t add_location(struct segment *segment, const struct location_key *key, uint64_t hash)
{
	uint32_t found = table_find(&segment->locations, hash, key, location_equals, segment);

	if (found != TABLE_NONE)
		return found;

	int64_t number = tree_add_location(&segment->tree, key->build, key->address);
	int err = number < 0 ? (int)number : table_add(&segment->locations, hash);

	if (err) {
		/* Tree and table keep step. */
		if (number >= 0) {
			segment->tree.builds.count--;
			segment->tree.addresses.count--;
		}
		return err;
	}
	return number;
}

int64_t segment_add_location(struct segment *segment, uint32_t build, uint64_t address)
{
	struct location_key key = { address, build };

	return add_location(segment, &key, mix(build, address));
}

uint32_t segment_find_location(const struct segment *segment, uint32_t build, uint64_t address)
{
	struct location_key key = { address, build };

	return table_find(&segment->locations, mix(build, address), &key, location_equals, segment);
}

int segment_add_locations(struct segment *segment, const struct location_key *keys, uint32_t count,
			  uint32_t *ret_numbers)
{
	const struct tree *tree = &segment->tree;
	uint64_t hashes[SEGMENT_TOGETHER];

	assert(count <= SEGMENT_TOGETHER);
	for (uint32_t i = 0; i < count; i++) {
		hashes[i] = mix(keys[i].build, keys[i].address);
		table_prefetch(&segment->locations, hashes[i]);
	}
	for (uint32_t i = 0; i < count; i++) {
		uint32_t number = table_candidate(&segment->locations, hashes[i]);

		if (number == TABLE_NONE)
			continue;
		__builtin_prefetch(&tree->addresses.items[number]);
		__builtin_prefetch(&tree->builds.items[number]);
	}
	for (uint32_t i = 0; i < count; i++) {
		int64_t number = add_location(segment, &keys[i], hashes[i]);

		if (number < 0)
			return (int)number;
		ret_numbers[i] = (uint32_t)number;
	}
	return 0;
}

int64_t segment_add_node(struct segment *segment, uint32_t parent, uint32_t location)
{
	struct tree_node key = { parent, location };
	uint64_t hash = mix(parent, location);
	uint32_t found = table_find(&segment->nodes, hash, &key, node_equals, segment);

	if (found != TABLE_NONE)
		return found;

	int64_t number = tree_add_node(&segment->tree, parent, location);
	int err = number < 0 ? (int)number : table_add(&segment->nodes, hash);

	if (err) {
		if (number >= 0)
			segment->tree.nodes.count--;
		return err;
	}
	return number;
}

uint32_t segment_find_node(const struct segment *segment, uint32_t parent, uint32_t location)
{
	struct tree_node key = { parent, location };

	return table_find(&segment->nodes, mix(parent, location), &key, node_equals, segment);
}

void segment_find_nodes(const struct segment *segment, const struct tree_node *nodes,
			uint32_t count, uint32_t *ret_numbers)
{
	uint64_t hashes[SEGMENT_TOGETHER];

	assert(count <= SEGMENT_TOGETHER);
	for (uint32_t i = 0; i < count; i++) {
		hashes[i] = mix(nodes[i].parent, nodes[i].location);
		table_prefetch(&segment->nodes, hashes[i]);
	}
	for (uint32_t i = 0; i < count; i++) {
		uint32_t number = table_candidate(&segment->nodes, hashes[i]);

		if (number != TABLE_NONE)
			__builtin_prefetch(&segment->tree.nodes.items[number]);
	}
	for (uint32_t i = 0; i < count; i++)
		ret_numbers[i] =
			table_find(&segment->nodes, hashes[i], &nodes[i], node_equals, segment);
}

int segment_reserve_nodes(struct segment *segment, uint32_t count)
{
	int err = table_reserve(&segment->nodes, count);

	return err ? err : array_reserve(&segment->tree.nodes, count);
}

void segment_new_node(struct segment *segment, uint32_t parent, uint32_t location)
{
	struct tree *tree = &segment->tree;

	assert(tree->nodes.count < tree->nodes.capacity);
	tree->nodes.items[tree->nodes.count++] = (struct tree_node){ parent, location };
}

void segment_enter_new_nodes(struct segment *segment, uint32_t first)
{
	enum { AHEAD = 32 };
	const struct tree_node *nodes = segment->tree.nodes.items;
	uint32_t count = segment->tree.nodes.count;
	uint64_t hashes[AHEAD];

	assert(segment->nodes.count == first);
	for (uint32_t i = first; i < count; i++) {
		uint64_t hash = mix(nodes[i].parent, nodes[i].location);

		if (i >= first + AHEAD)
			table_enter(&segment->nodes, hashes[i % AHEAD]);
		table_prefetch(&segment->nodes, hash);
		hashes[i % AHEAD] = hash;
	}
	for (uint32_t i = count - first < AHEAD ? first : count - AHEAD; i < count; i++)
		table_enter(&segment->nodes, hashes[i % AHEAD]);
}

int64_t segment_add_key(struct segment *segment, uint32_t type, uint64_t period)
{
	struct sum_key key = { .type = type, .period = period };
	int64_t number = pool_add(&segment->sum_keys, &key, sizeof(key));

	return number == -E2BIG ? -ENOSPC : number;
}

int segment_reserve_labels(struct segment *segment, uint32_t label_count)
{
	return array_extend(&segment->paired, label_count);
}

int segment_add_pair(struct segment *segment, struct pair pair)
{
	int64_t number;

	assert(pair.series > 0 && pair.labels < segment->paired.count);
	if (segment->paired.items[pair.labels] == pair.series)
		return 0;
	number = pool_add(&segment->pairs, &pair, sizeof(pair));
	if (number < 0)
		return number == -E2BIG ? -ENOSPC : (int)number;
	segment->paired.items[pair.labels] = pair.series;
	return 0;
}

/* In the table, where those are that are not the first of their nodes; TABLE_NONE. */
static uint32_t find_further_sum(const struct segment *segment, const struct sum_place *place)
{
	return table_find(&segment->sum_table, mix(place->key, place->node), place, sum_equals,
			  segment);
}

static int64_t find_sum(struct segment *segment, const struct sum_place *place)
{
	uint32_t *first = &segment->node_sums.items[place->node];
	uint32_t found = *first ? *first - 1 : TABLE_NONE;

	if (found != TABLE_NONE && segment->sums.items[found].key != place->key)
		found = find_further_sum(segment, place);
	if (found != TABLE_NONE)
		return found;
	if (segment->sum_table.count >= segment->sum_table.count_max)
		return -ENOSPC;
	if (array_reserve(&segment->sums, 1) < 0)
		return -ENOMEM;
	if (*first) {
		int err = table_add(&segment->sum_table, mix(place->key, place->node));

		if (err)
			return err;
	} else {
		table_pass_over(&segment->sum_table);
		*first = segment->sums.count + 1;
	}
	segment->sums.items[segment->sums.count] =
		(struct segment_sum){ .node = place->node, .key = place->key };
	return segment->sums.count++;
}

int segment_find_sums(struct segment *segment, const struct sum_place *places, uint32_t count,
		      uint32_t *ret_sums)
{
	int err = array_extend(&segment->node_sums, segment->tree.nodes.count);

	assert(count <= SEGMENT_TOGETHER);
	if (err)
		return err;
	for (uint32_t i = 0; i < count; i++) {
		assert(places[i].node < segment->node_sums.count);
		__builtin_prefetch(&segment->node_sums.items[places[i].node], 1);
	}
	for (uint32_t i = 0; i < count; i++) {
		uint32_t first = segment->node_sums.items[places[i].node];

		if (first)
			__builtin_prefetch(&segment->sums.items[first - 1], 1);
	}
	for (uint32_t i = 0; i < count; i++) {
		int64_t sum = find_sum(segment, &places[i]);

		if (sum < 0)
			return (int)sum;
		ret_sums[i] = (uint32_t)sum;
	}
	return 0;
}

void segment_add_sum(struct segment *segment, uint32_t sum, uint64_t count, uint64_t value)
{
	assert(sum < segment->sums.count);

	struct segment_sum *item = &segment->sums.items[sum];

	item->count = saturated_sum(item->count, count);
	item->value = saturated_sum(item->value, value);
}

struct segment_size segment_size(const struct segment *segment)
{
	return (struct segment_size){ .nodes = segment->tree.nodes.count,
				      .locations = segment->tree.builds.count,
				      .sums = segment->sums.count };
}

void segment_expect_size(struct segment *segment, struct segment_size size)
{
	(void)segment_reserve_nodes(segment, size.nodes / 2);
	(void)table_reserve(&segment->locations, size.locations / 2);
	(void)array_reserve(&segment->sums, size.sums / 2);
	(void)array_reserve(&segment->node_sums, size.nodes / 2);
}
