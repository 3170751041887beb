/* SPDX-License-Identifier: Apache-2.0 */
#include "web/flame_diff.h"

#include <assert.h>
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>

#include "base/cleanup.h"
#include "base/table.h"
#include "store/store.h"

enum side {
	LEFT,
	RIGHT,
	SIDE_COUNT,
};

/* A node of both, in preorder; children by name. */
struct pair {
	struct str name;
	uint64_t total[SIDE_COUNT];
	uint64_t self[SIDE_COUNT];
	uint32_t parent;
};

/* Of one side: where the node after all that is below each node stands. */
struct source {
	const struct flame *flame;
	uint32_t *ends;
};

struct diff_making {
	struct source sources[SIDE_COUNT];
	struct pair *pairs;
	uint32_t pair_count;
	uint64_t threshold;
	struct table name_table;
	struct flame_diff diff;
	struct placed_bar *placed;
};

/* A bar before it is known what stands to its left. */
struct placed_bar {
	uint64_t x[SIDE_COUNT];
	uint64_t total[SIDE_COUNT];
	uint64_t self[SIDE_COUNT];
	uint32_t name;
	uint32_t level;
};

/* ---- one tree of two --------------------------------------------------------------------------
 */

static int find_ends(struct source *source)
{
	const struct flame *flame = source->flame;

	source->ends = calloc(flame->node_count, sizeof(source->ends[0]));
	if (!source->ends)
		return -ENOMEM;
	for (uint32_t i = flame->node_count; i-- > 0;) {
		if (source->ends[i] == 0)
			source->ends[i] = i + 1;

		uint32_t parent = flame->nodes[i].parent;

		if (i > 0 && source->ends[parent] < source->ends[i])
			source->ends[parent] = source->ends[i];
	}
	return 0;
}

/* A node whose children are being taken: the next of each side, and where they end. */
struct step {
	uint32_t next[SIDE_COUNT];
	uint32_t end[SIDE_COUNT];
	uint32_t pair;
};

static struct str name_of(const struct source *source, uint32_t node)
{
	return source->flame->names[source->flame->nodes[node].name];
}

/* Takes the node of this side into the pair, and its children into the step. */
static void take_node(struct diff_making *making, enum side side, uint32_t node, struct pair *pair,
		      struct step *step)
{
	const struct flame_node *found = &making->sources[side].flame->nodes[node];

	pair->total[side] = found->total;
	pair->self[side] = found->self;
	step->next[side] = node + 1;
	step->end[side] = making->sources[side].ends[node];
}

/* The next child of the two sides, or of the one whose name comes first. */
static void take_child(struct diff_making *making, struct step *parent, struct step *child)
{
	bool has[SIDE_COUNT];
	struct str names[SIDE_COUNT] = { 0 };
	int order = 0;

	for (int side = 0; side < SIDE_COUNT; side++) {
		has[side] = parent->next[side] < parent->end[side];
		if (has[side])
			names[side] = name_of(&making->sources[side], parent->next[side]);
	}
	assert(has[LEFT] || has[RIGHT]);
	order = !has[LEFT] ? 1 : !has[RIGHT] ? -1 : str_compare(names[LEFT], names[RIGHT]);

	struct pair *pair = &making->pairs[making->pair_count];

	*pair = (struct pair){ .name = order <= 0 ? names[LEFT] : names[RIGHT],
			       .parent = parent->pair };
	*child = (struct step){ .pair = making->pair_count++ };
	for (int side = 0; side < SIDE_COUNT; side++) {
		uint32_t node = parent->next[side];

		if (side == LEFT ? order > 0 : order < 0)
			continue;
		take_node(making, (enum side)side, node, pair, child);
		parent->next[side] = child->end[side];
	}
}

static int merge_sides(struct diff_making *making)
{
	size_t count = (size_t)making->sources[LEFT].flame->node_count +
		       making->sources[RIGHT].flame->node_count;
	autofree struct step *steps = calloc(count, sizeof(steps[0]));
	size_t depth = 1;

	making->pairs = calloc(count, sizeof(making->pairs[0]));
	if (!steps || !making->pairs)
		return -ENOMEM;
	making->pair_count = 1;
	for (int side = 0; side < SIDE_COUNT; side++)
		take_node(making, (enum side)side, 0, &making->pairs[0], &steps[0]);
	while (depth > 0) {
		struct step *top = &steps[depth - 1];

		if (top->next[LEFT] == top->end[LEFT] && top->next[RIGHT] == top->end[RIGHT])
			depth--;
		else
			take_child(making, top, &steps[depth++]);
	}
	assert(making->pair_count < count);
	return 0;
}

/* ---- cutting ----------------------------------------------------------------------------------
 */

static uint64_t weight(const struct pair *pair)
{
	return pair->total[LEFT] > pair->total[RIGHT] ? pair->total[LEFT] : pair->total[RIGHT];
}

static int compare_descending(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a;
	uint64_t y = *(const uint64_t *)b;

	return (x < y) - (x > y);
}

static int find_threshold(struct diff_making *making, uint32_t node_count_max)
{
	uint32_t count = making->pair_count - 1;
	autofree uint64_t *weights = NULL;

	if (count <= node_count_max || node_count_max == 0)
		return 0;
	weights = calloc(count, sizeof(weights[0]));
	if (!weights)
		return -ENOMEM;
	for (uint32_t i = 0; i < count; i++)
		weights[i] = weight(&making->pairs[i + 1]);
	qsort(weights, count, sizeof(weights[0]), compare_descending);
	making->threshold = weights[node_count_max - 1];
	return 0;
}

/* ---- bars -------------------------------------------------------------------------------------
 */

static bool same_name(const void *context, uint32_t number, const void *key)
{
	const struct diff_making *making = context;

	return str_equal(making->diff.names[number], *(const struct str *)key);
}

/* The name's index, entering it when it is new; TABLE_NONE without memory. */
static uint32_t intern(struct diff_making *making, struct str name)
{
	uint64_t hash = table_hash_bytes(name.text, name.size, 0);
	uint32_t found = table_find(&making->name_table, hash, &name, same_name, making);

	if (found != TABLE_NONE)
		return found;
	found = making->name_table.count;
	making->diff.names[found] = name;
	return table_add(&making->name_table, hash) ? TABLE_NONE : found;
}

/* A node whose children are placed. */
struct open_pair {
	uint32_t pair;
	uint64_t next_x[SIDE_COUNT];
	uint64_t other[SIDE_COUNT];
	bool has_other;
};

static int place(struct diff_making *making, const struct placed_bar *bar)
{
	if (bar->name == TABLE_NONE)
		return -ENOMEM;
	making->placed[making->diff.bar_count++] = *bar;
	return 0;
}

static int open_pair(struct diff_making *making, struct open_pair *path, uint32_t *depth,
		     uint32_t number)
{
	const struct pair *pair = &making->pairs[number];
	struct open_pair *parent = *depth > 0 ? &path[*depth - 1] : NULL;
	struct placed_bar bar = { .name = number ? intern(making, pair->name) : 0,
				  .level = *depth };
	struct open_pair opened = { .pair = number };

	for (int side = 0; side < SIDE_COUNT; side++) {
		bar.x[side] = parent ? parent->next_x[side] : 0;
		bar.total[side] = pair->total[side];
		bar.self[side] = pair->self[side];
		opened.next_x[side] = bar.x[side] + bar.self[side];
		if (bar.self[side] > bar.total[side] ||
		    (parent &&
		     __builtin_add_overflow(bar.x[side], bar.total[side], &parent->next_x[side])))
			return -EBADMSG;
	}
	path[(*depth)++] = opened;
	return place(making, &bar);
}

static int close_pair(struct diff_making *making, struct open_pair *path, uint32_t *depth)
{
	const struct open_pair *closed = &path[--*depth];

	if (!closed->has_other)
		return 0;

	struct placed_bar bar = { .name = intern(making, STR("other")), .level = *depth + 1 };

	for (int side = 0; side < SIDE_COUNT; side++) {
		bar.x[side] = closed->next_x[side];
		bar.total[side] = bar.self[side] = closed->other[side];
	}
	return place(making, &bar);
}

static int place_all(struct diff_making *making)
{
	autofree struct open_pair *path = calloc(making->pair_count, sizeof(path[0]));
	uint32_t depth = 0;
	int err = path ? open_pair(making, path, &depth, 0) : -ENOMEM;

	for (uint32_t i = 1; !err && i < making->pair_count; i++) {
		const struct pair *pair = &making->pairs[i];

		while (!err && path[depth - 1].pair > pair->parent)
			err = close_pair(making, path, &depth);
		if (err)
			return err;

		struct open_pair *parent = &path[depth - 1];

		if (parent->pair != pair->parent)
			continue; /* below a node that was left out */
		if (weight(pair) >= making->threshold && !str_equal(pair->name, STR("other"))) {
			err = open_pair(making, path, &depth, i);
			continue;
		}
		parent->has_other = true;
		for (int side = 0; side < SIDE_COUNT; side++)
			parent->other[side] += pair->total[side];
	}
	while (!err && depth > 0)
		err = close_pair(making, path, &depth);
	return err;
}

static int sort_by_level(struct diff_making *making)
{
	struct flame_diff *diff = &making->diff;
	uint32_t level_count = 1;

	for (size_t i = 0; i < diff->bar_count; i++)
		if (making->placed[i].level >= level_count)
			level_count = making->placed[i].level + 1;

	autofree size_t *next = calloc((size_t)level_count + 1, sizeof(next[0]));
	autofree uint64_t *ends = calloc((size_t)level_count * SIDE_COUNT, sizeof(ends[0]));

	diff->bars = calloc(diff->bar_count + 1, sizeof(diff->bars[0]));
	if (!next || !ends || !diff->bars)
		return -ENOMEM;
	for (size_t i = 0; i < diff->bar_count; i++)
		next[making->placed[i].level + 1]++;
	for (uint32_t level = 0; level < level_count; level++)
		next[level + 1] += next[level];
	for (size_t i = 0; i < diff->bar_count; i++) {
		const struct placed_bar *placed = &making->placed[i];
		struct flame_diff_bar *bar = &diff->bars[next[placed->level]++];
		struct flame_diff_side *sides[SIDE_COUNT] = { &bar->left, &bar->right };

		*bar = (struct flame_diff_bar){ .name = placed->name, .level = placed->level };
		for (int side = 0; side < SIDE_COUNT; side++) {
			uint64_t *end = &ends[(size_t)placed->level * SIDE_COUNT + (size_t)side];

			if (placed->x[side] < *end)
				return -EBADMSG;
			*sides[side] = (struct flame_diff_side){ .delta = placed->x[side] - *end,
								 .total = placed->total[side],
								 .self = placed->self[side] };
			*end = placed->x[side] + placed->total[side];
			if (placed->self[side] > diff->max_self)
				diff->max_self = placed->self[side];
		}
	}
	return 0;
}

static int make(struct diff_making *making, uint32_t node_count_max)
{
	int err = find_ends(&making->sources[LEFT]);

	if (!err)
		err = find_ends(&making->sources[RIGHT]);
	if (!err)
		err = merge_sides(making);
	if (!err)
		err = find_threshold(making, node_count_max);
	if (err)
		return err;
	/* At most one "other" for each. */
	making->placed = calloc(2 * (size_t)making->pair_count, sizeof(making->placed[0]));
	making->diff.names = calloc((size_t)making->pair_count + 2, sizeof(struct str));
	if (!making->placed || !making->diff.names)
		return -ENOMEM;
	table_init(&making->name_table, making->pair_count + 2);
	if (intern(making, STR("total")) == TABLE_NONE)
		return -ENOMEM;
	err = place_all(making);
	making->diff.name_count = making->name_table.count;
	return err ? err : sort_by_level(making);
}

int flame_diff_make(const struct flame *left, const struct flame *right, uint32_t node_count_max,
		    struct flame_diff *ret)
{
	struct diff_making making = {
		.sources = { [LEFT] = { .flame = left }, [RIGHT] = { .flame = right } }
	};

	assert(left->node_count > 0 && right->node_count > 0);

	int err = make(&making, node_count_max);

	free(making.sources[LEFT].ends);
	free(making.sources[RIGHT].ends);
	free(making.pairs);
	free(making.placed);
	table_done(&making.name_table);
	if (err) {
		flame_diff_done(&making.diff);
		return err;
	}
	making.diff.left_total = left->nodes[0].total;
	making.diff.right_total = right->nodes[0].total;
	*ret = making.diff;
	return 0;
}

void flame_diff_done(struct flame_diff *diff)
{
	free(diff->bars);
	free(diff->names);
	*diff = (struct flame_diff){ 0 };
}
