/* SPDX-License-Identifier: Apache-2.0 */
#include "store/forest.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "store/merge.h"
#include "store/reader.h"
#include "store/segment.h"

enum {
	/* Totals in sixteenths of an octave. */
	BUCKET_BITS = 4,
	BUCKET_COUNT = 64 << BUCKET_BITS,
};

static_assert(MERGE_NODE_COUNT_MAX < FOREST_HIDDEN && TREE_NODE_COUNT_MAX < FOREST_HIDDEN,
	      "the bit is free");

/* ---- adding up and cutting ------------------------------------------------------------------- */

static unsigned bucket_of(uint64_t total)
{
	unsigned exponent = 63 - (unsigned)__builtin_clzll(total);

	if (exponent < BUCKET_BITS)
		return (unsigned)total;
	return (exponent - BUCKET_BITS + 1) << BUCKET_BITS |
	       (unsigned)(total >> (exponent - BUCKET_BITS) & ((1 << BUCKET_BITS) - 1));
}

/* The least total that falls into a bucket. */
static uint64_t bucket_start(unsigned bucket)
{
	if (bucket < 1 << BUCKET_BITS)
		return bucket;

	unsigned shift = (bucket >> BUCKET_BITS) - 1;

	return (uint64_t)((bucket & ((1 << BUCKET_BITS) - 1)) | 1 << BUCKET_BITS) << shift;
}

/* counts: of nodes by what they weigh, or NULL; what a node weighs is known once its children,
 * which stand after it, were looked at. */
static inline void add_up(const struct forest *forest, uint32_t *counts)
{
	memcpy(forest->total, forest->self, forest->count * sizeof(forest->self[0]));
	for (uint32_t i = forest->count; i-- > 0;) {
		uint32_t parent = forest->nodes[i].parent;
		uint64_t total = forest->total[i];

		assert(parent == TREE_NO_PARENT || parent < i);
		if (!total)
			continue;
		if (counts)
			counts[bucket_of(total)]++;
		if (parent != TREE_NO_PARENT)
			forest->total[parent] = saturated_sum(forest->total[parent], total);
	}
}

void forest_add_up(const struct forest *forest)
{
	add_up(forest, NULL);
}

static uint64_t cut_after(const uint32_t *counts, uint64_t keep)
{
	uint64_t seen = 0;
	unsigned bucket = BUCKET_COUNT;

	while (bucket > 0 && (seen == 0 || seen + counts[bucket - 1] <= keep))
		seen += counts[--bucket];
	return bucket > 0 ? bucket_start(bucket) : 1;
}

uint64_t forest_add_up_and_cut(const struct forest *forest, uint64_t keep)
{
	uint32_t counts[BUCKET_COUNT] = { 0 };

	if (forest->count <= keep) {
		add_up(forest, NULL);
		return 1;
	}
	add_up(forest, counts);
	return cut_after(counts, keep);
}

/* The same, where totals are known. */
static uint64_t find_cut(const struct forest *forest, uint64_t keep)
{
	uint32_t counts[BUCKET_COUNT] = { 0 };

	for (uint32_t i = 0; i < forest->count; i++)
		if (forest->total[i])
			counts[bucket_of(forest->total[i])]++;
	return forest->count <= keep ? 1 : cut_after(counts, keep);
}

/* ---- summaries ------------------------------------------------------------------------------- */

static int64_t copy_node(const struct tree *from, struct tree_node node, uint32_t *locations,
			 const uint32_t *mapped, struct tree *to)
{
	if (node.parent == TREE_NO_PARENT)
		return tree_add_node(to, TREE_NO_PARENT, node.location);
	if (node.location >= TREE_RESERVED_COUNT && !locations[node.location]) {
		int64_t number = tree_add_location(to, from->builds.items[node.location],
						   from->addresses.items[node.location]);

		if (number < 0)
			return number;
		locations[node.location] = (uint32_t)number;
	}
	return tree_add_node(to, mapped[node.parent],
			     node.location < TREE_RESERVED_COUNT ? node.location
								 : locations[node.location]);
}

int forest_summarize(const struct tree *tree, const struct forest *forest, uint64_t cut,
		     uint32_t *mapped, struct cached **ret)
{
	autoclean(cached) struct cached *summary = cached_new();
	autofree uint32_t *locations = calloc((size_t)tree->builds.count + 1, sizeof(locations[0]));
	size_t count = 0;
	int err = summary && locations ? tree_init(&summary->tree) : -ENOMEM;

	if (err)
		return err;
	for (uint32_t i = 0; i < forest->count; i++)
		count += forest->total[i] >= cut || tree_is_root(tree, i);
	summary->self = calloc(count + 1, sizeof(summary->self[0]));
	summary->total = calloc(count + 1, sizeof(summary->total[0]));
	summary->hidden = calloc(count + 1, sizeof(summary->hidden[0]));
	if (!summary->self || !summary->total || !summary->hidden)
		return -ENOMEM;
	for (uint32_t i = 0; i < forest->count; i++) {
		struct tree_node node = forest->nodes[i];
		bool is_root = node.parent == TREE_NO_PARENT;

		uint32_t hidden = forest->hidden ? forest->hidden[i] : 0;

		if (forest->total[i] == 0)
			continue;
		if (!is_root && (mapped[node.parent] & FOREST_HIDDEN || forest->total[i] < cut)) {
			mapped[i] = mapped[node.parent] | FOREST_HIDDEN;
			summary->hidden[mapped[i] & ~FOREST_HIDDEN] += 1 + hidden;
			continue;
		}

		int64_t number = copy_node(tree, node, locations, mapped, &summary->tree);

		if (number < 0)
			return (int)number;
		assert((size_t)number < count);
		mapped[i] = (uint32_t)number;
		summary->self[number] = forest->self[i];
		summary->total[number] = forest->total[i];
		summary->hidden[number] += hidden;
	}
	tree_trim(&summary->tree);
	summary->size =
		tree_memory(&summary->tree) + count * (2 * sizeof(uint64_t) + sizeof(uint32_t));
	*ret = TAKE(summary);
	return 0;
}

static int join_location(const struct tree *from, uint32_t location, uint32_t *locations,
			 struct segment *to, uint32_t *ret)
{
	if (location < TREE_RESERVED_COUNT) {
		*ret = location;
		return 0;
	}
	if (!locations[location]) {
		int64_t number = segment_add_location(to, from->builds.items[location],
						      from->addresses.items[location]);

		if (number < 0)
			return (int)number;
		locations[location] = (uint32_t)number;
	}
	*ret = locations[location];
	return 0;
}

/* mapped, locations: scratch, by node and by location of the part. */
static int join_part(const struct cached *part, uint32_t *mapped, uint32_t *locations,
		     struct segment *to, struct cached *sum)
{
	const struct tree *from = &part->tree;

	for (uint32_t i = 0; i < from->nodes.count; i++) {
		struct tree_node node = from->nodes.items[i];
		bool is_root = node.parent == TREE_NO_PARENT;
		int err = 0;

		/* In a root it is a service. */
		if (!is_root)
			err = join_location(from, node.location, locations, to, &node.location);
		if (err)
			return err;

		int64_t number = segment_add_node(
			to, is_root ? TREE_NO_PARENT : mapped[node.parent], node.location);

		if (number < 0)
			return (int)number;
		mapped[i] = (uint32_t)number;
		sum->self[number] = saturated_sum(sum->self[number], part->self[i]);
		sum->total[number] = saturated_sum(sum->total[number], part->total[i]);
		sum->hidden[number] += part->hidden[i];
	}
	sum->sample_count = saturated_sum(sum->sample_count, part->sample_count);
	return 0;
}

/* All of the parts, whose values are as long as if they had nothing in common. */
static int join_all(struct cached *const *parts, size_t count, struct cached *sum)
{
	autofree uint32_t *scratch = NULL;
	struct segment joined = { 0 };
	size_t node_count = 0;
	size_t node_count_max = 1;
	size_t location_count_max = 0;
	int err = 0;

	for (size_t i = 0; i < count; i++) {
		const struct tree *tree = &parts[i]->tree;

		node_count += tree->nodes.count;
		if (tree->nodes.count > node_count_max)
			node_count_max = tree->nodes.count;
		if (tree->builds.count > location_count_max)
			location_count_max = tree->builds.count;
	}
	sum->self = calloc(node_count + 1, sizeof(sum->self[0]));
	sum->total = calloc(node_count + 1, sizeof(sum->total[0]));
	sum->hidden = calloc(node_count + 1, sizeof(sum->hidden[0]));
	scratch = calloc(node_count_max + location_count_max, sizeof(scratch[0]));
	if (!sum->self || !sum->total || !sum->hidden || !scratch)
		return -ENOMEM;
	err = segment_init(&joined, 1, 1);
	for (size_t i = 0; !err && i < count; i++) {
		uint32_t *locations = scratch + node_count_max;

		memset(locations, 0, location_count_max * sizeof(locations[0]));
		err = join_part(parts[i], scratch, locations, &joined, sum);
	}
	if (!err) {
		sum->tree = joined.tree;
		joined.tree = (struct tree){ 0 };
	}
	segment_done(&joined);
	return err;
}

int forest_join_summaries(struct cached *const *parts, size_t count, uint64_t keep,
			  struct cached **ret)
{
	autoclean(cached) struct cached *sum = cached_new();
	autofree uint32_t *mapped = NULL;
	int err = sum ? join_all(parts, count, sum) : -ENOMEM;

	if (err)
		return err;

	struct forest forest = forest_of_summary(sum);

	mapped = calloc((size_t)forest.count + 1, sizeof(mapped[0]));
	if (!mapped)
		return -ENOMEM;
	err = forest_summarize(&sum->tree, &forest, find_cut(&forest, keep), mapped, ret);
	if (!err)
		(*ret)->sample_count = sum->sample_count;
	return err;
}

struct forest forest_of_summary(const struct cached *summary)
{
	return (struct forest){ .nodes = summary->tree.nodes.items,
				.self = summary->self,
				.total = summary->total,
				.hidden = summary->hidden,
				.count = summary->tree.nodes.count };
}
