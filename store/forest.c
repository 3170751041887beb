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

/* In place: of each node its own becomes its total, which is known once its children, which stand
 * after it, were looked at. counts: of nodes by what they weigh, or NULL. */
static inline void add_up(const struct tree_node *nodes, uint64_t *values, uint32_t count,
			  uint32_t *counts)
{
	for (uint32_t i = count; i-- > 0;) {
		uint32_t parent = nodes[i].parent;
		uint64_t total = values[i];

		assert(parent == TREE_NO_PARENT || parent < i);
		if (!total)
			continue;
		if (counts)
			counts[bucket_of(total)]++;
		if (parent != TREE_NO_PARENT)
			values[parent] = saturated_sum(values[parent], total);
	}
}

void forest_add_up(const struct forest *forest)
{
	memcpy(forest->total, forest->self, forest->count * sizeof(forest->self[0]));
	add_up(forest->nodes, forest->total, forest->count, NULL);
}

static uint64_t cut_after(const uint32_t *counts, uint64_t keep)
{
	uint64_t seen = 0;
	unsigned bucket = BUCKET_COUNT;

	while (bucket > 0 && (seen == 0 || seen + counts[bucket - 1] <= keep))
		seen += counts[--bucket];
	return bucket > 0 ? bucket_start(bucket) : 1;
}

static uint64_t weigh(const struct tree_node *nodes, uint64_t *values, uint32_t count,
		      uint64_t keep)
{
	uint32_t counts[BUCKET_COUNT] = { 0 };

	if (count <= keep) {
		add_up(nodes, values, count, NULL);
		return 1;
	}
	add_up(nodes, values, count, counts);
	return cut_after(counts, keep);
}

uint64_t forest_add_up_and_cut(const struct forest *forest, uint64_t keep)
{
	memcpy(forest->total, forest->self, forest->count * sizeof(forest->self[0]));
	return weigh(forest->nodes, forest->total, forest->count, keep);
}

uint64_t forest_weigh_tree(const struct tree *tree, uint64_t *values, uint64_t keep)
{
	return weigh(tree->nodes.items, values, tree->nodes.count, keep);
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

/* parent: its number there, or TREE_NO_PARENT. */
static int64_t copy_node(const struct tree *from, uint32_t number, uint32_t parent,
			 uint32_t *locations, struct tree *to)
{
	uint32_t location = from->nodes.items[number].location;

	if (parent == TREE_NO_PARENT || location < TREE_RESERVED_COUNT)
		return tree_add_node(to, parent, location);
	if (!locations[location]) {
		int64_t copy = tree_add_location(to, from->builds.items[location],
						 from->addresses.items[location]);

		if (copy < 0)
			return copy;
		locations[location] = (uint32_t)copy;
	}
	return tree_add_node(to, parent, locations[location]);
}

/* Room for so many more nodes with values. */
static int extend_summary(struct cached *summary, size_t count)
{
	size_t before = summary->tree.nodes.count, all = before + count + 1;
	uint64_t *self = reallocarray(summary->self, all, sizeof(self[0]));
	uint64_t *total = NULL;
	uint32_t *hidden = NULL;

	if (self) {
		summary->self = self;
		total = reallocarray(summary->total, all, sizeof(total[0]));
	}
	if (total) {
		summary->total = total;
		hidden = reallocarray(summary->hidden, all, sizeof(hidden[0]));
	}
	if (!hidden)
		return -ENOMEM;
	summary->hidden = hidden;
	memset(hidden + before, 0, (count + 1) * sizeof(hidden[0]));
	return 0;
}

/* Where it is not told, a node begins with its total, and each child takes its own. */
static void take_child(struct cached *summary, uint32_t parent, uint64_t total)
{
	uint64_t self = summary->self[parent];

	/* Less than all of them where totals ran over. */
	summary->self[parent] = total < self ? self - total : 0;
}

/* Its nodes that pass the cut, to where there is room. In place of a total there is then where the
 * node went: its number there, or with FOREST_HIDDEN of who counts it. */
static int copy_heavy(const struct tree *tree, const struct forest *forest, uint64_t cut,
		      struct cached *summary)
{
	autofree uint32_t *locations = calloc((size_t)tree->builds.count + 1, sizeof(locations[0]));
	uint64_t *totals = forest->total;

	if (!locations)
		return -ENOMEM;
	for (uint32_t i = 0; i < forest->count; i++) {
		uint32_t parent = forest->nodes[i].parent;
		bool is_root = parent == TREE_NO_PARENT;
		uint32_t place = is_root ? TREE_NO_PARENT : (uint32_t)totals[parent];
		uint32_t hidden = forest->hidden ? forest->hidden[i] : 0;
		uint64_t total = totals[i];

		if (total == 0)
			continue;
		if (!is_root && !(place & FOREST_HIDDEN) && !forest->self)
			take_child(summary, place, total);
		if (!is_root && (place & FOREST_HIDDEN || total < cut)) {
			totals[i] = place | FOREST_HIDDEN;
			summary->hidden[place & ~FOREST_HIDDEN] += 1 + hidden;
			continue;
		}

		int64_t number = copy_node(tree, i, place, locations, &summary->tree);

		if (number < 0)
			return (int)number;
		totals[i] = (uint64_t)number;
		summary->self[number] = forest->self ? forest->self[i] : total;
		summary->total[number] = total;
		summary->hidden[number] += hidden;
	}
	return 0;
}

int forest_summarize(const struct tree *tree, const struct forest *forest, uint64_t cut,
		     struct cached **summary)
{
	autoclean(cached) struct cached *sum = *summary ? TAKE(*summary) : cached_new();
	size_t count = 0;
	int err = sum ? 0 : -ENOMEM;

	assert(forest->count == tree->nodes.count);
	if (!err && sum->tree.builds.count == 0)
		err = tree_init(&sum->tree);
	for (uint32_t i = 0; i < forest->count; i++)
		count += forest->total[i] >= cut || tree_is_root(tree, i);
	if (!err)
		err = extend_summary(sum, count);
	if (!err)
		err = copy_heavy(tree, forest, cut, sum);
	if (err)
		return err;
	tree_trim(&sum->tree);
	sum->size = tree_memory(&sum->tree) +
		    sum->tree.nodes.count * (2 * sizeof(uint64_t) + sizeof(uint32_t));
	*summary = TAKE(sum);
	return 0;
}

int forest_cut_summary(struct cached *all, uint64_t keep, struct cached **ret)
{
	struct forest forest = forest_of_summary(all);
	int err;

	*ret = NULL;
	err = forest_summarize(&all->tree, &forest, find_cut(&forest, keep), ret);
	if (!err)
		(*ret)->sample_count = all->sample_count;
	cached_release(all);
	return err;
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
	int err = sum ? join_all(parts, count, sum) : -ENOMEM;

	return err ? err : forest_cut_summary(TAKE(sum), keep, ret);
}

struct forest forest_of_summary(const struct cached *summary)
{
	return (struct forest){ .nodes = summary->tree.nodes.items,
				.self = summary->self,
				.total = summary->total,
				.hidden = summary->hidden,
				.count = summary->tree.nodes.count };
}
