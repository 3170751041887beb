/* SPDX-License-Identifier: Apache-2.0 */
#include "web/flame_levels.h"

#include <assert.h>
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>

#include "base/cleanup.h"
#include "base/table.h"
#include "store/store.h"

/* A bar before it is known what stands to its left. */
struct placed_bar {
	uint64_t x;
	struct flame_bar bar;
};

/* A node whose children are being placed. */
struct open_node {
	uint32_t node;
	uint64_t next_x; /* where its next child begins */
	uint64_t other;	 /* what goes into its last child, "other" */
	bool has_other;
};

struct layout {
	const struct flame *flame;
	struct placed_bar *bars; /* depth first, so within a level from left to right */
	size_t bar_count;
	struct open_node *path;
	size_t path_count;
	uint32_t *name_of; /* by the flame's name: index into names, or TABLE_NONE */
	struct str *names;
	struct table name_table;
	uint32_t other_name; /* or TABLE_NONE */
};

static bool same_name(const void *context, uint32_t number, const void *key)
{
	const struct layout *layout = context;
	const struct str *name = key;

	return str_equal(layout->names[number], *name);
}

/* The name's index, entering it when it is new; TABLE_NONE without memory. */
static uint32_t intern(struct layout *layout, struct str name)
{
	struct table *table = &layout->name_table;
	uint64_t hash = table_hash_bytes(name.text, name.size, 0);
	uint32_t found = table_find(table, hash, &name, same_name, layout);

	if (found != TABLE_NONE)
		return found;

	uint32_t index = table->count;

	assert(index < table->count_max);
	layout->names[index] = name;
	return table_add(table, hash) ? TABLE_NONE : index;
}

static int place(struct layout *layout, uint64_t x, struct flame_bar bar)
{
	if (bar.name == TABLE_NONE)
		return -ENOMEM;
	assert(layout->bar_count < layout->flame->node_count);
	layout->bars[layout->bar_count++] = (struct placed_bar){ .x = x, .bar = bar };
	return 0;
}

/* The innermost open node has all its children: what was left out goes behind them. */
static int close_node(struct layout *layout)
{
	assert(layout->path_count > 0);

	struct open_node node = layout->path[--layout->path_count];

	if (!node.has_other)
		return 0;
	if (layout->other_name == TABLE_NONE)
		layout->other_name = intern(layout, STR("other"));

	struct flame_bar bar = { .total = node.other,
				 .self = node.other,
				 .name = layout->other_name,
				 .level = (uint32_t)layout->path_count + 1 };

	return place(layout, node.next_x, bar);
}

static int open_node(struct layout *layout, uint32_t index, uint64_t x)
{
	const struct flame_node *node = &layout->flame->nodes[index];
	uint32_t *name = &layout->name_of[node->name];

	assert(node->name < layout->flame->name_count);
	if (index == 0)
		*name = 0; /* whatever the root is called here, clients know it as "total" */
	else if (*name == TABLE_NONE)
		*name = intern(layout, layout->flame->names[node->name]);

	struct flame_bar bar = { .total = node->total,
				 .self = node->self,
				 .name = *name,
				 .level = (uint32_t)layout->path_count };
	int err = place(layout, x, bar);

	layout->path[layout->path_count++] =
		(struct open_node){ .node = index, .next_x = x + node->self };
	return err;
}

static bool is_other(const struct layout *layout, const struct flame_node *node)
{
	return node->kind == FLAME_MORE ||
	       str_equal(layout->flame->names[node->name], STR("other"));
}

static int place_all(struct layout *layout)
{
	const struct flame *flame = layout->flame;
	int err = open_node(layout, 0, 0);

	for (uint32_t i = 1; !err && i < flame->node_count; i++) {
		const struct flame_node *node = &flame->nodes[i];

		assert(node->parent < i);
		while (!err && layout->path[layout->path_count - 1].node > node->parent)
			err = close_node(layout);
		if (err)
			return err;

		struct open_node *parent = &layout->path[layout->path_count - 1];

		if (parent->node != node->parent)
			continue; /* below a node that went into "other" */
		if (is_other(layout, node)) {
			parent->has_other = true;
			parent->other += node->total;
			continue;
		}

		uint64_t x = parent->next_x;

		if (__builtin_add_overflow(x, node->total, &parent->next_x) ||
		    node->self > node->total)
			return -EBADMSG;
		err = open_node(layout, i, x);
	}
	while (!err && layout->path_count > 0)
		err = close_node(layout);
	return err;
}

/* Sorts by level, keeping the order within each, and counts from the bar before. */
static int sort_by_level(const struct layout *layout, struct flame_levels *levels)
{
	uint32_t level_count = 0;

	for (size_t i = 0; i < layout->bar_count; i++)
		if (layout->bars[i].bar.level >= level_count)
			level_count = layout->bars[i].bar.level + 1;

	autofree size_t *next = calloc(level_count + 1, sizeof(*next));
	autofree uint64_t *end_x = calloc(level_count + 1, sizeof(*end_x));

	levels->bars = calloc(layout->bar_count + 1, sizeof(*levels->bars));
	if (!next || !end_x || !levels->bars)
		return -ENOMEM;
	for (size_t i = 0; i < layout->bar_count; i++)
		next[layout->bars[i].bar.level + 1]++;
	for (uint32_t level = 0; level < level_count; level++)
		next[level + 1] += next[level];
	for (size_t i = 0; i < layout->bar_count; i++) {
		const struct placed_bar *placed = &layout->bars[i];
		uint32_t level = placed->bar.level;
		struct flame_bar *bar = &levels->bars[next[level]++];

		/* A node that is wider than its parent comes of a damaged store. */
		if (placed->x < end_x[level])
			return -EBADMSG;
		*bar = placed->bar;
		bar->delta = placed->x - end_x[level];
		end_x[level] = placed->x + bar->total;
		if (bar->self > levels->max_self)
			levels->max_self = bar->self;
	}
	levels->bar_count = layout->bar_count;
	return 0;
}

int flame_levels_make(const struct flame *flame, struct flame_levels *ret)
{
	autoclean(flame_levels) struct flame_levels levels = { 0 };
	/* A bar for what was left out takes the place of one that is not there. */
	size_t bar_count_max = flame->node_count;

	assert(flame->node_count > 0);

	autofree struct placed_bar *bars = calloc(bar_count_max, sizeof(*bars));
	autofree struct open_node *path = calloc(flame->node_count, sizeof(*path));
	autofree uint32_t *name_of = malloc(flame->name_count * sizeof(*name_of));

	levels.names = calloc((size_t)flame->name_count + 2, sizeof(*levels.names));
	if (!bars || !path || !name_of || !levels.names)
		return -ENOMEM;
	memset(name_of, 0xff, flame->name_count * sizeof(*name_of));

	struct layout layout = {
		.flame = flame,
		.bars = bars,
		.path = path,
		.name_of = name_of,
		.names = levels.names,
		.other_name = TABLE_NONE,
	};
	int err = 0;

	table_init(&layout.name_table, flame->name_count + 2);
	if (intern(&layout, STR("total")) == TABLE_NONE)
		err = -ENOMEM;
	if (!err)
		err = place_all(&layout);
	levels.name_count = layout.name_table.count;
	table_done(&layout.name_table);
	if (!err)
		err = sort_by_level(&layout, &levels);
	if (err)
		return err;

	levels.total = flame->nodes[0].total;
	*ret = levels;
	levels = (struct flame_levels){ 0 };
	return 0;
}

void flame_levels_done(struct flame_levels *levels)
{
	free(levels->bars);
	free(levels->names);
	*levels = (struct flame_levels){ 0 };
}
