/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "store/merge.h"
#include "store/naming.h"
#include "store/reader.h"
#include "store/selector.h"

/*
 * Flame graphs. For each segment: sum the values by node, add up from the leaves to the roots in
 * one backward pass, find which nodes weigh enough to be looked at, and merge these, by name, into
 * the answer. What is too light for that is counted where its parent stands.
 *
 * Rows by service need no sums of their own, since each service has its own tree. For rows by
 * another label the nodes that each row touches are gathered, and make a small forest.
 */
enum {
	/* Nodes that differ only in the place of a call merge: look at so many times what is
	   wanted. */
	CUT_FACTOR = 2,
	CUT_COUNT_MIN = 8192,
	/* Totals in sixteenths of an octave. */
	BUCKET_BITS = 4,
	BUCKET_COUNT = 64 << BUCKET_BITS,
	TOUCH_COUNT_MAX = 8 << 20,
	ROW_COUNT_MAX = 1 << 20,
};

#define HIDDEN (UINT32_C(1) << 31) /* in mapped: too light, and the rest is who counts it */

static_assert(MERGE_NODE_COUNT_MAX < HIDDEN, "the bit is free");

enum rows {
	ROWS_NONE,
	ROWS_SERVICE,
	ROWS_LABEL,
};

/* What one row (a value of rows_by) has at one node. */
struct touch {
	uint32_t row;
	uint32_t node;
	uint64_t value;
};

/* Trees with values; each root's location is its service, or its row. */
struct forest {
	const struct tree_node *nodes;
	uint64_t *self;
	uint64_t *total;
	const uint32_t *hidden; /* of a summary: what was left out below each node; else NULL */
	uint32_t count;
};

struct flame_question {
	struct store *store;
	const struct store_question *asked;
	const struct flame_options *options;
	enum rows rows;
	bool reads_blocks;    /* the selector speaks of nothing that blocks do not know */
	bool reads_summaries; /* everything of a type is asked for, and not too closely */
	struct naming *naming;
	struct merge merge;
	uint32_t last_ordinal;
	bool has_ordinal;
	struct pool row_values; /* ROWS_LABEL: values of the label */

	/* of the segment that is read */
	const struct tree *tree;
	struct cached *cached;
	uint64_t samples_before;
	uint32_t summary_type; /* text of the span; 0: no summary may be used or made */
	ARRAY(uint64_t) self;
	ARRAY(uint64_t) total;
	ARRAY(uint32_t) mapped;
	ARRAY(struct frame_names) named; /* of its locations; no frames: not asked yet */
	ARRAY(struct touch) touches;
	ARRAY(struct tree_node) forest_nodes;
};

/* ---- summing --------------------------------------------------------------------------------- */

static int add_value(struct flame_question *question, uint32_t row, uint32_t node, uint64_t count,
		     uint64_t value)
{
	if (node >= question->tree->nodes.count)
		return -EBADMSG;
	question->merge.sample_count = saturated_sum(question->merge.sample_count, count);
	if (question->rows != ROWS_LABEL) {
		question->self.items[node] = saturated_sum(question->self.items[node], value);
		return 0;
	}
	if (question->touches.count >= TOUCH_COUNT_MAX)
		return -E2BIG;
	if (array_reserve(&question->touches, 1) < 0)
		return -ENOMEM;
	question->touches.items[question->touches.count++] = (struct touch){ row, node, value };
	return 0;
}

static int add_run(void *context, struct reader *reader, const struct slice *slice,
		   const struct run *run, const struct verdict *verdict,
		   struct entry_reader *entries)
{
	int err = 0;

	(void)reader;
	(void)slice;
	for (uint32_t i = 0; !err && i < run->entry_count; i++) {
		struct entry entry;

		err = entry_reader_next(entries, run->valued, &entry);
		if (err)
			return err;
		if (!run->valued)
			entry.value = saturated_product(entry.count, verdict->period);
		err = add_value(context, verdict->group, entry.node, entry.count, entry.value);
	}
	return err;
}

static int add_entry(void *context, struct reader *reader, const struct slice *slice,
		     const struct running_entry *entry, const struct verdict *verdict)
{
	(void)reader;
	(void)slice;
	return add_value(context, verdict->group, entry->node, entry->count, entry->value);
}

static int64_t find_row(void *context, const struct catalog_sample *sample)
{
	struct flame_question *question = context;

	if (question->rows != ROWS_LABEL)
		return 0;

	struct str value = catalog_lookup(sample, question->options->rows_by);

	return pool_add(&question->row_values, value.text, value.size);
}

/* ---- sums that are there already ------------------------------------------------------------- */

/* What a block knows of its samples: their service and their type. */
struct block_sample {
	struct str service;
	struct str type;
};

static const struct str block_labels[] = {
	{ "service_name", 12 },	   { "__service_name__", 16 }, { "__profile_type__", 16 },
	{ "__name__", 8 },	   { "__type__", 8 },	       { "__unit__", 8 },
	{ "__period_type__", 15 }, { "__period_unit__", 15 },
};

static struct str block_lookup(const void *context, struct str name)
{
	const struct block_sample *sample = context;
	/* The same order as above, from __name__ on. */
	enum { FIRST_PART = 3, LABEL_COUNT = sizeof(block_labels) / sizeof(block_labels[0]) };

	if (str_equal(name, block_labels[0]) || str_equal(name, block_labels[1]))
		return sample->service;
	if (str_equal(name, block_labels[2]))
		return sample->type;
	for (unsigned i = FIRST_PART; i < LABEL_COUNT; i++)
		if (str_equal(name, block_labels[i]))
			return catalog_type_part(sample->type, i - FIRST_PART);
	return (struct str){ 0 };
}

static bool block_matches(struct flame_question *question, const struct catalog *catalog,
			  uint32_t service, uint32_t type)
{
	struct block_sample sample = { catalog_text(catalog, service),
				       catalog_text(catalog, type) };

	return (question->asked->type.size == 0 || str_equal(question->asked->type, sample.type)) &&
	       (!question->asked->selector ||
		selector_matches(question->asked->selector, block_lookup, &sample));
}

static bool wants_block(void *context, struct reader *reader, uint32_t service, uint32_t type)
{
	bool was_taken = reader_lock(reader);
	bool wants = block_matches(context, reader->catalog, service, type);

	reader_unlock(reader, was_taken);
	return wants;
}

static int add_block(void *context, struct reader *reader, struct block *block)
{
	int err = 0;

	(void)reader;
	for (uint32_t i = 0; !err && i < block->entry_count; i++) {
		struct entry entry;

		err = entry_reader_next(&block->entries, block->is_valued, &entry);
		if (err)
			return err;
		if (!block->is_valued)
			entry.value = saturated_product(entry.count, block->period);
		err = add_value(context, 0, entry.node, entry.count, entry.value);
	}
	return err;
}

/* The open segment's sums; which of them match is a question of its root and its key. */
static int add_sums(struct flame_question *question, struct reader *reader,
		    const struct segment *segment)
{
	uint32_t key_count = pool_count(&segment->sum_keys);
	uint32_t node_count = segment->tree.nodes.count;
	autofree uint32_t *roots = calloc((size_t)node_count + 1, sizeof(roots[0]));
	/* For each service and key: 0 unknown, 1 no, 2 yes. Roots are few, and stand anywhere. */
	autofree uint8_t *verdicts = NULL;
	uint32_t root_count = 0;
	int err = 0;

	if (!roots)
		return -ENOMEM;
	for (uint32_t i = 0; i < node_count; i++) {
		uint32_t parent = segment->tree.nodes.items[i].parent;

		roots[i] = parent == TREE_NO_PARENT ? root_count++ : roots[parent];
	}
	verdicts = calloc((size_t)root_count * key_count + 1, 1);
	if (!verdicts)
		return -ENOMEM;
	for (uint32_t i = 0; i < node_count; i++) {
		if (!tree_is_root(&segment->tree, i))
			continue;
		for (uint32_t k = 0; k < key_count; k++) {
			struct sum_key key;

			memcpy(&key, pool_get(&segment->sum_keys, k).text, sizeof(key));
			verdicts[(size_t)roots[i] * key_count + k] =
				block_matches(question, reader->catalog,
					      segment->tree.nodes.items[i].location, key.type);
		}
	}
	for (uint32_t i = 0; !err && i < segment->sums.count; i++) {
		const struct segment_sum *sum = &segment->sums.items[i];

		if (verdicts[(size_t)roots[sum->node] * key_count + sum->key])
			err = add_value(question, 0, sum->node, sum->count, sum->value);
	}
	return err;
}

/* ---- merging --------------------------------------------------------------------------------- */

static void add_up(const struct forest *forest)
{
	memcpy(forest->total, forest->self, forest->count * sizeof(forest->self[0]));
	for (uint32_t i = forest->count; i-- > 0;) {
		uint32_t parent = forest->nodes[i].parent;

		assert(parent == TREE_NO_PARENT || parent < i);
		if (parent != TREE_NO_PARENT && forest->total[i])
			forest->total[parent] =
				saturated_sum(forest->total[parent], forest->total[i]);
	}
}

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

/* The total from which on nodes are worth merging: 1 for all. */
static uint64_t find_cut(const struct flame_question *question, const struct forest *forest)
{
	uint32_t counts[BUCKET_COUNT] = { 0 };
	uint64_t keep = (uint64_t)question->options->node_count_max * CUT_FACTOR;
	uint64_t seen = 0;
	unsigned bucket = BUCKET_COUNT;

	if (keep < CUT_COUNT_MIN)
		keep = CUT_COUNT_MIN;
	/* Which nodes lie below the call site is known by names alone. */
	if (forest->count <= keep || question->options->call_site_count > 0)
		return 1;
	for (uint32_t i = 0; i < forest->count; i++)
		if (forest->total[i])
			counts[bucket_of(forest->total[i])]++;
	while (bucket > 0 && (seen == 0 || seen + counts[bucket - 1] <= keep))
		seen += counts[--bucket];
	return bucket > 0 ? bucket_start(bucket) : 1;
}

static int64_t map_root(struct flame_question *question, const struct catalog *catalog,
			uint32_t location)
{
	struct str text;

	if (question->rows == ROWS_NONE)
		return MERGE_ROOT;
	text = question->rows == ROWS_SERVICE ? catalog_text(catalog, location)
					      : pool_get(&question->row_values, location);

	int64_t name = naming_text(question->naming, text);

	if (name < 0)
		return name;
	return merge_child(&question->merge, MERGE_ROOT,
			   (struct frame_name){ .name = (uint32_t)name, .kind = FLAME_GROUP });
}

static void weigh(struct flame_question *question, uint32_t place, uint64_t total)
{
	struct merge_node *node = &question->merge.nodes.items[place];

	node->total = saturated_sum(node->total, total);
}

/* The nodes of one location below a place; the innermost of them. */
static int64_t map_location(struct flame_question *question, const struct catalog *catalog,
			    uint32_t location, uint32_t place, uint64_t total)
{
	const struct tree *tree = question->tree;
	struct frame_names *frames = &question->named.items[location];
	int err = 0;

	if (location == TREE_CALLERS_MISSING) {
		if (!question->options->truncated_nodes)
			return place;

		int64_t name = naming_text(question->naming, STR("callers missing"));
		int64_t child =
			name < 0 ? name
				 : merge_child(&question->merge, place,
					       (struct frame_name){ .name = (uint32_t)name,
								    .kind = FLAME_TRUNCATED });

		if (child >= 0)
			weigh(question, (uint32_t)child, total);
		return child;
	}

	if (frames->count == 0)
		err = naming_find(question->naming, catalog, tree->builds.items[location],
				  tree->addresses.items[location], frames);
	for (uint32_t i = 0; !err && i < frames->count; i++) {
		int64_t child = merge_child(&question->merge, place,
					    naming_frame(question->naming, frames->first + i));

		if (child < 0)
			return child;
		place = (uint32_t)child;
		weigh(question, place, total);
	}
	if (err)
		return err;
	return place;
}

/* One node of a forest into the answer. mapped of its parent is set. */
static int64_t map_node(struct flame_question *question, const struct catalog *catalog,
			const struct forest *forest, uint32_t number, uint64_t cut)
{
	struct tree_node node = forest->nodes[number];
	uint64_t total = forest->total[number];
	uint32_t *mapped = question->mapped.items;
	bool is_root = node.parent == TREE_NO_PARENT;
	uint32_t parent = is_root ? MERGE_ROOT : mapped[node.parent];

	if (is_root)
		weigh(question, MERGE_ROOT, total);
	if (parent & HIDDEN || (total < cut && !(is_root && question->rows != ROWS_LABEL))) {
		question->merge.nodes.items[parent & ~HIDDEN].hidden++;
		return parent | HIDDEN;
	}
	if (!is_root)
		return map_location(question, catalog, node.location, parent, total);

	int64_t place = map_root(question, catalog, node.location);

	if (place > MERGE_ROOT)
		weigh(question, (uint32_t)place, total);
	return place;
}

static int merge_forest(struct flame_question *question, const struct catalog *catalog,
			const struct forest *forest, uint64_t cut)
{
	uint32_t location_count = question->tree->builds.count;

	question->named.count = 0;
	if (array_reserve(&question->named, location_count) < 0)
		return -ENOMEM;
	memset(question->named.items, 0, location_count * sizeof(question->named.items[0]));
	for (uint32_t i = 0; i < forest->count; i++) {
		if (forest->total[i] == 0)
			continue;

		int64_t place = map_node(question, catalog, forest, i, cut);

		if (place < 0)
			return (int)place;
		question->mapped.items[i] = (uint32_t)place;
		if (!(place & HIDDEN)) {
			struct merge_node *node = &question->merge.nodes.items[place];

			node->self = saturated_sum(node->self, forest->self[i]);
			node->hidden += forest->hidden ? forest->hidden[i] : 0;
		}
	}
	return 0;
}

/* ---- rows by a label ------------------------------------------------------------------------- */

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

static int reserve_scratch(struct flame_question *question, size_t count)
{
	question->self.count = question->total.count = question->mapped.count = 0;
	if (array_reserve(&question->self, count) < 0 ||
	    array_reserve(&question->total, count) < 0 ||
	    array_reserve(&question->mapped, count) < 0)
		return -ENOMEM;
	return 0;
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

static int merge_rows(struct flame_question *question, const struct catalog *catalog)
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

	add_up(&forest);
	return merge_forest(question, catalog, &forest, find_cut(question, &forest));
}

/* ---- summaries ------------------------------------------------------------------------------- */

static int64_t copy_node(const struct tree *from, struct tree_node node, uint32_t *locations,
			 const uint32_t *mapped, struct tree *to)
{
	if (node.parent == TREE_NO_PARENT)
		return tree_add_node(to, TREE_NO_PARENT, node.location);
	if (node.location != TREE_CALLERS_MISSING && !locations[node.location]) {
		int64_t number = tree_add_location(to, from->builds.items[node.location],
						   from->addresses.items[node.location]);

		if (number < 0)
			return number;
		locations[node.location] = (uint32_t)number;
	}
	return tree_add_node(to, mapped[node.parent], locations[node.location]);
}

/*
 * Whoever looks at the whole host looks again a moment later, and finished segments don't change:
 * what of a segment passed the cut is kept, a tenth of it, and the next time is that much faster.
 */
static int summarize(const struct tree *tree, const struct forest *forest, uint64_t cut,
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

		if (forest->total[i] == 0)
			continue;
		if (!is_root && (mapped[node.parent] & HIDDEN || forest->total[i] < cut)) {
			mapped[i] = mapped[node.parent] | HIDDEN;
			summary->hidden[mapped[i] & ~HIDDEN]++;
			continue;
		}

		int64_t number = copy_node(tree, node, locations, mapped, &summary->tree);

		if (number < 0)
			return (int)number;
		assert((size_t)number < count);
		mapped[i] = (uint32_t)number;
		summary->self[number] = forest->self[i];
		summary->total[number] = forest->total[i];
	}
	tree_trim(&summary->tree);
	summary->size =
		tree_memory(&summary->tree) + count * (2 * sizeof(uint64_t) + sizeof(uint32_t));
	*ret = TAKE(summary);
	return 0;
}

static struct forest summary_forest(const struct cached *summary)
{
	return (struct forest){ .nodes = summary->tree.nodes.items,
				.self = summary->self,
				.total = summary->total,
				.hidden = summary->hidden,
				.count = summary->tree.nodes.count };
}

/* What the segment has in common with every question for this type and the whole host. */
static bool may_summarize(const struct flame_question *question, const struct reading *reading)
{
	return question->summary_type && reading->is_inside && reading->row &&
	       reading->row->is_whole;
}

static struct cache_key summary_key(const struct flame_question *question,
				    const struct reader *reader, const struct reading *reading)
{
	return (struct cache_key){ .span = reader->span->id,
				   .segment = reading->number,
				   .type = question->summary_type };
}

/* ---- segments -------------------------------------------------------------------------------- */

/* Another span has other numbers. */
static void start_span(struct flame_question *question, struct reader *reader)
{
	bool was_taken = reader_lock(reader);
	const struct str *type = &question->asked->type;
	uint32_t text = pool_find(&reader->catalog->pools[CATALOG_TEXT], type->text, type->size);

	reader_unlock(reader, was_taken);
	question->summary_type = question->reads_summaries && text != TABLE_NONE ? text : 0;
	naming_start_span(question->naming);
	question->last_ordinal = reader->ordinal;
	question->has_ordinal = true;
}

/* The summary of the segment, or its tree, and scratch memory for its nodes. */
static int start_tree(struct flame_question *question, struct reader *reader,
		      const struct reading *reading)
{
	int err = 0;

	/* A segment that was damaged has no end. */
	question->cached = cached_release(question->cached);
	question->touches.count = 0;
	question->samples_before = question->merge.sample_count;
	if (may_summarize(question, reading))
		question->cached =
			cache_find(question->store->cache, summary_key(question, reader, reading));
	/* A tree that is made into a summary is not asked for again so soon. */
	if (!question->cached && !reading->open)
		err = reader_tree(reader, reading->row, !may_summarize(question, reading),
				  &question->cached);
	if (err)
		return err;
	question->tree = reading->open ? &reading->open->tree : &question->cached->tree;
	return reserve_scratch(question,
			       question->rows == ROWS_LABEL ? 1 : question->tree->nodes.count);
}

static int start_segment(void *context, struct reader *reader, const struct reading *reading)
{
	struct flame_question *question = context;
	int err = 0;

	if (!question->has_ordinal || question->last_ordinal != reader->ordinal)
		start_span(question, reader);
	err = start_tree(question, reader, reading);
	if (err || question->rows == ROWS_LABEL)
		return err;
	if (question->cached && question->cached->self) {
		question->merge.sample_count =
			saturated_sum(question->merge.sample_count, question->cached->sample_count);
		return 1;
	}
	memset(question->self.items, 0, question->tree->nodes.count * sizeof(uint64_t));
	if (!reading->is_inside || !question->reads_blocks)
		return 0;
	if (reading->open)
		err = add_sums(question, reader, reading->open);
	else if (reading->row->is_whole)
		err = reader_blocks(reader, reading->row, wants_block, add_block);
	else
		return 0;
	return err ? err : 1;
}

/* Roots name services, which the file of a sealed span may get wrong. */
static int check_roots(const struct tree *tree, const struct catalog *catalog)
{
	for (uint32_t i = 0; i < tree->nodes.count; i++)
		if (tree_is_root(tree, i) &&
		    tree->nodes.items[i].location >= catalog_count(catalog, CATALOG_TEXT))
			return -EBADMSG;
	return 0;
}

/* The values of all nodes are summed: adds them up, cuts, and merges. */
static int merge_segment(struct flame_question *question, struct reader *reader,
			 const struct reading *reading)
{
	autoclean(cached) struct cached *summary = NULL;
	const struct tree *tree = question->tree;
	struct forest forest = { .nodes = tree->nodes.items,
				 .self = question->self.items,
				 .total = question->total.items,
				 .count = tree->nodes.count };
	uint64_t cut = 0;
	int err = 0;

	if (forest.count == 0)
		return 0;
	add_up(&forest);
	cut = find_cut(question, &forest);
	if (!may_summarize(question, reading))
		return merge_forest(question, reader->catalog, &forest, cut);
	err = summarize(tree, &forest, cut, question->mapped.items, &summary);
	if (err)
		return err;
	summary->sample_count = question->merge.sample_count - question->samples_before;
	cache_add(question->store->cache, summary_key(question, reader, reading), summary);
	forest = summary_forest(summary);
	question->tree = &summary->tree;
	return merge_forest(question, reader->catalog, &forest, 1);
}

static int end_segment(void *context, struct reader *reader, const struct reading *reading)
{
	struct flame_question *question = context;
	bool was_taken = reader_lock(reader);
	int err = check_roots(question->tree, reader->catalog);

	if (!err && question->cached && question->cached->self) {
		struct forest forest = summary_forest(question->cached);

		err = merge_forest(question, reader->catalog, &forest, 1);
	} else if (!err) {
		err = question->rows == ROWS_LABEL ? merge_rows(question, reader->catalog)
						   : merge_segment(question, reader, reading);
	}
	reader_unlock(reader, was_taken);
	question->cached = cached_release(question->cached);
	question->tree = NULL;
	return err;
}

static enum rows rows_of(const struct flame_options *options)
{
	if (options->rows_by.size == 0)
		return ROWS_NONE;
	if (str_equal(options->rows_by, STR("service_name")) ||
	    str_equal(options->rows_by, STR("__service_name__")))
		return ROWS_SERVICE;
	return ROWS_LABEL;
}

static int ask(struct flame_question *question, struct flame *ret)
{
	const struct flame_options *options = question->options;
	struct reader_question reader_question = { .context = question,
						   .asked = question->asked,
						   .wants_entries = true,
						   .group = find_row,
						   .segment = start_segment,
						   .run = add_run,
						   .entry = add_entry,
						   .segment_end = end_segment };
	int err = naming_new(question->store->symbols, &question->naming);

	if (!err)
		err = merge_init(&question->merge, question->naming);
	if (!err)
		err = reader_ask(question->store, &reader_question);
	if (!err && options->call_site_count > 0)
		err = merge_keep_call_site(&question->merge, question->naming, options->call_site,
					   options->call_site_count, question->rows != ROWS_NONE);
	if (!err)
		err = merge_lay_out(&question->merge, question->naming, options->node_count_max,
				    ret);
	return err;
}

int store_flame(struct store *store, const struct store_question *asked,
		const struct flame_options *options, struct flame *ret)
{
	struct flame_question question = {
		.store = store, .asked = asked, .options = options, .rows = rows_of(options)
	};

	question.reads_blocks =
		question.rows != ROWS_LABEL &&
		(!asked->selector ||
		 selector_uses_only(asked->selector, block_labels,
				    sizeof(block_labels) / sizeof(block_labels[0])));
	question.reads_summaries = question.reads_blocks && asked->type.size > 0 &&
				   (!asked->selector || selector_count(asked->selector) == 0) &&
				   options->call_site_count == 0 &&
				   options->node_count_max <= CUT_COUNT_MIN / CUT_FACTOR;
	pool_init(&question.row_values, ROW_COUNT_MAX, NULL);

	int err = ask(&question, ret);

	cached_release(question.cached);
	naming_free(question.naming);
	merge_done(&question.merge);
	pool_done(&question.row_values);
	array_done(&question.self);
	array_done(&question.total);
	array_done(&question.mapped);
	array_done(&question.named);
	array_done(&question.touches);
	array_done(&question.forest_nodes);
	return err;
}

void flame_done(struct flame *flame)
{
	free(flame->memory);
	*flame = (struct flame){ 0 };
}
