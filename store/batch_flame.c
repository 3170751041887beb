/* SPDX-License-Identifier: Apache-2.0 */
#include "store/batch_flame.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "store/batch_private.h"
#include "store/forest.h"
#include "store/live.h"
#include "store/merge.h"
#include "store/reader.h"

int batch_types(const struct batch *batch, struct store_texts *ret)
{
	uint32_t series_count = pool_count(&batch->series);
	struct store_texts types = { 0 };

	types.texts = calloc((size_t)series_count + 1, sizeof(types.texts[0]));
	if (!types.texts)
		return -ENOMEM;
	types.memory = types.texts;
	for (uint32_t i = 0; i < series_count; i++) {
		struct batch_series series;
		bool is_known = false;

		memcpy(&series, pool_get(&batch->series, i).text, sizeof(series));

		struct str type = pool_get(&batch->texts, series.type);

		for (size_t k = 0; k < types.count; k++)
			is_known |= str_equal(types.texts[k], type);
		if (!is_known)
			types.texts[types.count++] = type;
	}
	*ret = types;
	return 0;
}

/* The running window's values by node of the tree. */
static void add_values(const struct live *live, struct str type, const struct forest *forest,
		       struct merge *merge)
{
	for (uint32_t i = 0; i < live->entries.count; i++) {
		const struct running_entry *entry = &live->entries.items[i];
		struct catalog_series series = catalog_series(&live->catalog, entry->series);

		if (!str_equal(catalog_text(&live->catalog, series.type), type))
			continue;
		forest->self[entry->node] = saturated_sum(forest->self[entry->node], entry->value);
		merge->sample_count = saturated_sum(merge->sample_count, entry->count);
	}
}

/* The frames of one node below the place of its parent; the innermost of them. */
static int64_t merge_node(const struct live *live, struct merge *merge, struct naming *naming,
			  uint32_t location, uint32_t place, uint64_t total)
{
	const struct tree *tree = &live->segment.tree;
	struct frame_names frames = { 0 };
	int err = location == TREE_CALLERS_MISSING
			  ? 0
			  : naming_find(naming, &live->catalog, tree->builds.items[location],
					tree->addresses.items[location], &frames);

	for (uint32_t i = 0; !err && i < frames.count; i++) {
		struct frame_name frame = naming_frame(naming, frames.first + i);
		int64_t child =
			frame.kind == FLAME_TRUNCATED ? place : merge_child(merge, place, frame);

		if (child < 0)
			return child;
		if (child != place)
			merge_weigh(merge, (uint32_t)child, 0, total);
		place = (uint32_t)child;
	}
	return err ? (int64_t)err : (int64_t)place;
}

static int merge_all(const struct live *live, const struct forest *forest, struct merge *merge,
		     struct naming *naming)
{
	autofree uint32_t *places = calloc((size_t)forest->count + 1, sizeof(places[0]));

	if (!places)
		return -ENOMEM;
	forest_add_up(forest);
	for (uint32_t i = 0; i < forest->count; i++) {
		struct tree_node node = forest->nodes[i];
		bool is_root = node.parent == TREE_NO_PARENT;

		if (forest->total[i] == 0)
			continue;

		int64_t place = is_root ? MERGE_ROOT
					: merge_node(live, merge, naming, node.location,
						     places[node.parent], forest->total[i]);

		if (place < 0)
			return (int)place;
		places[i] = (uint32_t)place;
		merge_weigh(merge, places[i], forest->self[i], is_root ? forest->total[i] : 0);
	}
	return 0;
}

static int lay_out(const struct live *live, struct naming *naming, struct str type,
		   uint32_t node_count_max, struct flame *ret)
{
	const struct tree *tree = &live->segment.tree;
	autofree uint64_t *values = calloc(2 * ((size_t)tree->nodes.count + 1), sizeof(values[0]));
	struct merge merge = { 0 };

	if (!values)
		return -ENOMEM;

	struct forest forest = { .nodes = tree->nodes.items,
				 .self = values,
				 .total = values + tree->nodes.count,
				 .count = tree->nodes.count };
	int err = merge_start(&merge, naming, false);

	if (!err) {
		add_values(live, type, &forest, &merge);
		err = merge_all(live, &forest, &merge, naming);
	}
	if (!err)
		err = merge_lay_out(&merge, naming, node_count_max, ret);
	merge_done(&merge);
	return err;
}

int batch_flame(const struct batch *batch, struct symbols *symbols, struct str type,
		uint32_t node_count_max, struct flame *ret)
{
	autoclean(live) struct live *live = NULL;
	autoclean(naming) struct naming *naming = NULL;
	int err = live_new(&live);

	if (!err)
		err = segment_init(&live->segment, 1, 1);
	if (!err)
		err = live_append(live, batch);
	if (err)
		return err == -ENOSPC ? -E2BIG : err;
	err = naming_new(symbols, &naming);
	if (err)
		return err;
	naming_start_span(naming);
	assert(live->slices.count == 1);
	return lay_out(live, naming, type, node_count_max, ret);
}
