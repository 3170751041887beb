/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "store/asking.h"
#include "store/block_labels.h"
#include "store/flame_private.h"
#include "store/invert.h"
#include "store/selector.h"
#include "store/view.h"

/*
 * Flame graphs. For each segment: sum the values by node, add up from the leaves to the roots in
 * one backward pass, find which nodes weigh enough to be looked at, and merge these, by name, into
 * the answer. What is too light for that is counted where its parent stands.
 *
 * Rows by service need no sums of their own, since each service has its own tree. For rows by
 * another label the nodes that each row touches are gathered, and make a small forest.
 *
 * What turns stacks around looks at all of them, since many light ones may end in one function:
 * bottom-up graphs, sandwiches and lists of functions cut nothing before they are done.
 */
enum {
	TOUCH_COUNT_MAX = 8 << 20,
	ROW_COUNT_MAX = 1 << 20,
};

/* ---- summing --------------------------------------------------------------------------------- */

static int add_value(struct flame_question *question, uint32_t row, uint32_t node, uint64_t count,
		     uint64_t value)
{
	if (node >= question->node_count)
		return -EBADMSG;
	node += question->first_node;
	question->read_count = saturated_sum(question->read_count, count);
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

bool flame_wants_service(void *context, struct reader *reader, uint32_t service)
{
	struct flame_question *question = context;
	bool was_taken = reader_lock(reader);
	bool wants = block_may_match(question->asked, reader->catalog, service, BLOCK_ANY_TYPE);

	reader_unlock(reader, was_taken);
	return wants;
}

bool flame_wants_block(void *context, struct reader *reader, uint32_t service, uint32_t type)
{
	struct flame_question *question = context;
	bool was_taken = reader_lock(reader);
	bool wants = block_may_match(question->asked, reader->catalog, service, type);

	reader_unlock(reader, was_taken);
	return wants;
}

/* Nodes of a block count from its service's root. */
static int find_part(struct flame_question *question, uint32_t service)
{
	const struct cached *cached = question->cached;
	uint32_t low = 0, high = cached->parts.count;

	while (low < high) {
		uint32_t middle = (low + high) / 2;

		if (cached->parts.items[middle].service < service)
			low = middle + 1;
		else
			high = middle;
	}
	if (low == cached->parts.count || cached->parts.items[low].service != service)
		return -EBADMSG;
	question->first_node = cached->parts.items[low].first;
	question->node_count = cached->parts.items[low].count;
	return 0;
}

static int start_block(void *context, struct reader *reader, uint32_t service, uint32_t type)
{
	return flame_wants_block(context, reader, service, type) ? find_part(context, service) : 1;
}

static int add_block(void *context, struct reader *reader, struct block *block)
{
	int err = find_part(context, block->service);

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

bool flame_is_by_service(const struct flame_question *question)
{
	return question->asked->selector && selector_count(question->asked->selector) > 0;
}

/* Which root each node stands below, counted from 0; how many there are. */
static uint32_t number_roots(const struct tree *tree, uint32_t *roots)
{
	uint32_t root_count = 0;

	for (uint32_t i = 0; i < tree->nodes.count; i++) {
		uint32_t parent = tree->nodes.items[i].parent;

		roots[i] = parent == TREE_NO_PARENT ? root_count++ : roots[parent];
	}
	return root_count;
}

/* Whether each root's sums of each key match. */
static void judge_sums(const struct flame_question *question, const struct catalog *catalog,
		       const struct segment *segment, const uint32_t *roots, bool *verdicts)
{
	const struct tree *tree = &segment->tree;
	uint32_t key_count = pool_count(&segment->sum_keys);

	for (uint32_t i = 0; i < tree->nodes.count; i++) {
		if (!tree_is_root(tree, i))
			continue;
		for (uint32_t k = 0; k < key_count; k++) {
			struct sum_key key;

			memcpy(&key, pool_get(&segment->sum_keys, k).text, sizeof(key));
			verdicts[(roots ? (size_t)roots[i] * key_count : 0) + k] = block_may_match(
				question->asked, catalog, tree->nodes.items[i].location, key.type);
		}
		if (!roots)
			break;
	}
}

/* The open segment's sums; which of them match is a question of the key, and of the root if
 * services were named. */
static int add_sums(struct flame_question *question, struct reader *reader,
		    const struct segment *segment)
{
	uint32_t key_count = pool_count(&segment->sum_keys);
	uint32_t *roots = NULL;
	autofree bool *verdicts = NULL;
	uint32_t root_count = 1;
	int err = 0;

	if (flame_is_by_service(question)) {
		if (array_reserve(&question->mapped, segment->tree.nodes.count) < 0)
			return -ENOMEM;
		roots = question->mapped.items; /* not needed for anything else yet */
		root_count = number_roots(&segment->tree, roots);
	}
	verdicts = calloc((size_t)root_count * key_count + 1, sizeof(verdicts[0]));
	if (!verdicts)
		return -ENOMEM;
	judge_sums(question, reader->catalog, segment, roots, verdicts);
	for (uint32_t i = 0; !err && i < segment->sums.count; i++) {
		const struct segment_sum *sum = &segment->sums.items[i];
		size_t row = roots ? (size_t)roots[sum->node] * key_count : 0;

		if (verdicts[row + sum->key])
			err = add_value(question, 0, sum->node, sum->count, sum->value);
	}
	return err;
}

/* ---- merging --------------------------------------------------------------------------------- */

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
		struct frame_name frame = naming_frame(question->naming, frames->first + i);

		if (frame.kind == FLAME_TRUNCATED && !question->options->truncated_nodes)
			continue;

		int64_t child = merge_child(&question->merge, place, frame);

		if (child < 0)
			return child;
		place = (uint32_t)child;
		weigh(question, place, total);
		merge_place(&question->merge, place, frame, total);
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
	if (parent & FOREST_HIDDEN || (total < cut && !(is_root && question->rows != ROWS_LABEL))) {
		question->merge.hidden.items[parent & ~FOREST_HIDDEN]++;
		return parent | FOREST_HIDDEN;
	}
	if (!is_root)
		return map_location(question, catalog, node.location, parent, total);

	int64_t place = map_root(question, catalog, node.location);

	if (place > MERGE_ROOT)
		weigh(question, (uint32_t)place, total);
	return place;
}

/* Whether one of the location's frames is the sandwich's function. */
static int location_holds(struct flame_question *question, const struct catalog *catalog,
			  uint32_t location, bool *ret)
{
	const struct tree *tree = question->tree;
	struct frame_names *frames = &question->named.items[location];
	int err = 0;

	if (frames->count)
		return 0;
	err = naming_find(question->naming, catalog, tree->builds.items[location],
			  tree->addresses.items[location], frames);
	for (uint32_t i = 0; !err && i < frames->count; i++)
		*ret |= sandwich_function_is(question->function,
					     naming_frame(question->naming, frames->first + i));
	return err;
}

/* For a sandwich: which nodes are needed. *ret is the caller's to free. */
static int find_needed(struct flame_question *question, const struct catalog *catalog,
		       const struct forest *forest, bool **ret)
{
	autofree bool *needed = calloc((size_t)forest->count + 1, sizeof(needed[0]));
	autofree bool *holds = calloc((size_t)question->tree->builds.count + 1, sizeof(holds[0]));
	int err = needed && holds ? 0 : -ENOMEM;

	for (uint32_t i = 0; !err && i < forest->count; i++) {
		struct tree_node node = forest->nodes[i];

		if (node.parent == TREE_NO_PARENT)
			question->view_total =
				saturated_sum(question->view_total, forest->total[i]);
		else if (node.location != TREE_CALLERS_MISSING && forest->total[i] > 0)
			err = location_holds(question, catalog, node.location,
					     &holds[node.location]);
	}
	if (err)
		return err;
	sandwich_mark(forest, holds, needed);
	*ret = TAKE(needed);
	return 0;
}

int flame_merge_forest(struct flame_question *question, const struct catalog *catalog,
		       const struct forest *forest, uint64_t cut)
{
	uint32_t location_count = question->tree->builds.count;
	autofree bool *needed = NULL;
	int err = 0;

	question->named.count = 0;
	if (array_reserve(&question->named, location_count) < 0)
		return -ENOMEM;
	memset(question->named.items, 0, location_count * sizeof(question->named.items[0]));
	if (question->function)
		err = find_needed(question, catalog, forest, &needed);
	if (err)
		return err;
	for (uint32_t i = 0; i < forest->count; i++) {
		if (forest->total[i] == 0 || (needed && !needed[i]))
			continue;

		int64_t place = map_node(question, catalog, forest, i, cut);

		if (place < 0)
			return (int)place;
		question->mapped.items[i] = (uint32_t)place;
		if (!(place & FOREST_HIDDEN)) {
			struct merge_node *node = &question->merge.nodes.items[place];

			node->self = saturated_sum(node->self, forest->self[i]);
			if (forest->hidden)
				question->merge.hidden.items[place] += forest->hidden[i];
		}
	}
	return 0;
}

int flame_reserve_scratch(struct flame_question *question, size_t count)
{
	/* What is cut needs no more: its own becomes its total, and that where it went. */
	size_t others = flame_cuts(question) ? 0 : count;

	question->self.count = question->total.count = question->mapped.count = 0;
	if (array_reserve(&question->self, count) < 0 ||
	    array_reserve(&question->total, others) < 0 ||
	    array_reserve(&question->mapped, question->walk ? 0 : others) < 0)
		return -ENOMEM;
	return 0;
}

/* ---- segments -------------------------------------------------------------------------------- */

void flame_start_span(struct flame_question *question, struct reader *reader)
{
	if (question->has_ordinal && question->last_ordinal == reader->ordinal)
		return;

	bool was_taken = reader_lock(reader);
	const struct str *type = &question->asked->type;
	uint32_t text = pool_find(&reader->catalog->pools[CATALOG_TEXT], type->text, type->size);

	reader_unlock(reader, was_taken);
	question->summary_type =
		question->reads_summaries && text != TABLE_NONE && !reader_hides(reader) ? text : 0;
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
	if (!reading->is_part)
		question->read_count = 0;
	if (flame_may_summarize(question, reading) && !reading->is_part)
		question->cached = cache_find(question->store->cache,
					      flame_summary_key(question, reader, reading));
	/* A tree that is made into a summary is not asked for again so soon. */
	if (!question->cached && !reading->open)
		err = reader_tree(reader, reading->row,
				  question->asked->selector ? flame_wants_service : NULL,
				  !flame_may_summarize(question, reading), &question->cached);
	if (err)
		return err;
	question->tree = reading->open ? &reading->open->tree : &question->cached->tree;
	question->first_node = 0;
	question->node_count = question->tree->nodes.count;
	return flame_reserve_scratch(
		question, question->rows == ROWS_LABEL ? 1 : question->tree->nodes.count);
}

static int start_segment(void *context, struct reader *reader, const struct reading *reading)
{
	struct flame_question *question = context;
	int err = 0;

	flame_start_span(question, reader);
	err = start_tree(question, reader, reading);
	if (err || question->rows == ROWS_LABEL)
		return err;
	if (question->cached && question->cached->self) {
		question->read_count = question->cached->sample_count;
		return 1;
	}
	memset(question->self.items, 0, question->tree->nodes.count * sizeof(uint64_t));
	if (!reading->is_inside || !question->reads_blocks || reader_hides(reader))
		return 0;
	if (reading->open)
		err = add_sums(question, reader, reading->open);
	else if (reading->row->is_whole)
		err = reader_blocks(reader, reading->row, flame_wants_block, add_block);
	else
		return 0;
	return err ? err : 1;
}

static int add_whole(void *context, struct reader *reader, const struct segment_row *row)
{
	struct flame_question *question = context;
	int err = 0;

	if (!question->reads_blocks || reader_hides(reader))
		return 0;
	err = reader_blocks(reader, row, flame_wants_block, add_block);
	return err ? err : 1;
}

/* Roots name services, which the file of a sealed span may get wrong. */
int flame_check_roots(const struct tree *tree, const struct catalog *catalog)
{
	for (uint32_t i = 0; i < tree->nodes.count; i++)
		if (tree_is_root(tree, i) &&
		    tree->nodes.items[i].location >= catalog_count(catalog, CATALOG_TEXT))
			return -EBADMSG;
	return 0;
}

/* Whether it is a part of a segment, and the cut of all of it is yet to come. */
static bool is_gathered(const struct flame_question *question, const struct reading *reading)
{
	return reading->is_part && flame_cuts(question);
}

static int merge_segment(struct flame_question *question, struct reader *reader,
			 const struct reading *reading)
{
	struct cached *summary = NULL;
	int err;

	if (is_gathered(question, reading))
		return flame_gather_part(question);
	if (!flame_may_summarize(question, reading) || question->tree->nodes.count == 0)
		return flame_merge_tree(question, reader);
	err = flame_summarize(question, flame_summary_key(question, reader, reading), &summary);
	if (err)
		return err;
	return flame_add_part(question, reading->number, summary);
}

static int end_segment(void *context, struct reader *reader, const struct reading *reading)
{
	struct flame_question *question = context;
	bool was_taken = reader_lock(reader);
	int err = flame_check_roots(question->tree, reader->catalog);

	if (!err && question->cached && question->cached->self) {
		err = flame_add_part(question, reading->number, TAKE(question->cached));
	} else if (!err) {
		err = question->rows == ROWS_LABEL ? flame_merge_rows(question, reader->catalog)
						   : merge_segment(question, reader, reading);
	}
	if (!err && !is_gathered(question, reading))
		flame_count_read(question);
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

/* ---- questions ------------------------------------------------------------------------------- */

/* What the question before left. */
static void take_scratch(struct flame_question *question)
{
	struct scratch scratch;

	scratches_take(&question->store->scratches, &scratch);
	array_move(&question->self, &scratch.self);
	array_move(&question->total, &scratch.total);
	array_move(&question->mapped, &scratch.mapped);
	array_move(&question->named, &scratch.named);
	question->merge = scratch.merge;
	question->naming = TAKE(scratch.naming);
	/* Names as compilers made them are of no use to others. */
	if (question->asked->raw_names)
		question->naming = naming_free(question->naming);
}

static void give_scratch(struct flame_question *question)
{
	struct scratch scratch = { .merge = question->merge, .naming = TAKE(question->naming) };

	array_move(&scratch.self, &question->self);
	array_move(&scratch.total, &question->total);
	array_move(&scratch.mapped, &question->mapped);
	array_move(&scratch.named, &question->named);
	question->merge = (struct merge){ 0 };
	scratches_give(&question->store->scratches, &scratch, clock_monotonic_ns());
}

/* Rows by a label are cut when all that they touch is known. */
static bool reads_in_parts(const struct flame_question *question)
{
	return question->rows != ROWS_LABEL || question->is_exact || question->walk;
}

static int question_start(struct flame_question *question)
{
	const struct store_question *asked = question->asked;
	const struct flame_options *options = question->options;

	question->rows = rows_of(options);
	/* Which nodes lie below a call site is known by names alone. */
	question->is_exact = question->function || options->is_bottom_up ||
			     options->call_site_count > 0 || options->node_count_max == 0;
	question->reads_blocks =
		question->rows != ROWS_LABEL && block_knows_enough(question->asked);
	question->reads_summaries = question->reads_blocks && asked->type.size > 0 &&
				    (!asked->selector || selector_count(asked->selector) == 0) &&
				    !question->is_exact && !question->walk &&
				    options->node_count_max <= CUT_COUNT_LARGE / CUT_FACTOR;
	pool_init(&question->row_values, ROW_COUNT_MAX, NULL);

	question->wish = flame_chronicle_wish(question);

	struct asking_way way = { .keeps_all = question->is_exact,
				  .walks = question->walk && question->walk->keeps_functions,
				  .in_parts = reads_in_parts(question),
				  .use = view_wish(asked, question->wish).use };
	int err = asking_enter(question->store, asked, way, &question->memory);

	question->is_in = !err;
	if (!err)
		take_scratch(question);
	if (!err)
		err = question->naming ? naming_resume(question->naming, clock_monotonic_ns())
				       : naming_new(question->store->symbols, &question->naming);
	if (!err && question->asked->raw_names)
		naming_keep_raw(question->naming);
	if (!err)
		err = merge_start(&question->merge, question->naming, options->by_module);
	question->merge.by_line = options->by_line;
	return err;
}

static int question_read(struct flame_question *question)
{
	struct reader_question reader_question = {
		.context = question,
		.asked = question->asked,
		.wants_entries = true,
		.in_parts = reads_in_parts(question),
		.parts = flame_start_parts,
		.parts_end = flame_end_parts,
		.group = find_row,
		.wants_service = question->asked->selector ? flame_wants_service : NULL,
		.span = flame_find_span,
		.segment = start_segment,
		.run = add_run,
		.whole = add_whole,
		.block = start_block,
		.entry = add_entry,
		.segment_end = end_segment,
		.span_end = flame_end_span,
		.chronicle_wish = question->wish,
		.chronicle = flame_add_chronicle,
	};

	int err = reader_ask(question->store, &reader_question);

	if (!err && question->asked->asker)
		question->asked->asker->rolled += question->rolled_count;
	return err;
}

static void question_done(struct flame_question *question)
{
	cached_release(question->cached);
	cached_release(question->gathered);
	flame_drop_parts(question);
	array_done(&question->parts);
	pool_done(&question->row_values);
	array_done(&question->touches);
	array_done(&question->forest_nodes);
	array_done(&question->services);
	if (question->is_in) {
		/* Before the next one comes in, which takes it. */
		give_scratch(question);
		asking_leave(question->store, question->memory);
	}
	question->is_in = false;
}

/* As it is asked when roll-ups were damaged. */
static struct store_question of_samples(const struct store_question *asked)
{
	struct store_question exact = *asked;

	exact.is_exact = true;
	return exact;
}

static int ask_flame(struct store *store, const struct store_question *asked,
		     const struct flame_options *options, struct flame *ret)
{
	struct flame_question question = { .store = store, .asked = asked, .options = options };
	int err = question_start(&question);

	if (!err)
		err = question_read(&question);
	if (!err && options->call_site_count > 0)
		err = merge_keep_call_site(&question.merge, question.naming, options->call_site,
					   options->call_site_count, question.rows != ROWS_NONE);
	if (!err)
		err = options->is_bottom_up ? invert_and_lay_out(&question.merge, question.naming,
								 question.rows != ROWS_NONE,
								 options->node_count_max,
								 asked->deadline_monotonic_ns, ret)
					    : merge_lay_out(&question.merge, question.naming,
							    options->node_count_max, ret);
	if (!err)
		ret->rolled_count = question.rolled_count;
	question_done(&question);
	return err;
}

int store_flame(struct store *store, const struct store_question *asked,
		const struct flame_options *options, struct flame *ret)
{
	int err = ask_flame(store, asked, options, ret);
	struct store_question again = of_samples(asked);

	return err == -ESTALE ? ask_flame(store, &again, options, ret) : err;
}

static int walk_forests(struct store *store, const struct store_question *asked,
			const struct forest_walk *walk)
{
	const struct flame_options flame_options = { 0 };
	struct flame_question question = {
		.store = store, .asked = asked, .options = &flame_options, .walk = walk
	};
	int err = question_start(&question);

	if (!err) {
		walk->start(walk->context, question.naming);
		err = question_read(&question);
	}
	if (!err)
		err = walk->finish(walk->context);
	question_done(&question);
	return err;
}

int store_walk_forests(struct store *store, const struct store_question *asked,
		       const struct forest_walk *walk)
{
	int err = walk_forests(store, asked, walk);
	struct store_question again = of_samples(asked);

	return err == -ESTALE ? walk_forests(store, &again, walk) : err;
}

static int ask_sandwich(struct store *store, const struct store_question *asked,
			const struct sandwich_options *options, struct sandwich *ret)
{
	const struct flame_options flame_options = { .by_module = true, .truncated_nodes = true };
	struct sandwich_function function = { .of_any_module = !options->module.text };
	struct flame_question question = {
		.store = store, .asked = asked, .options = &flame_options, .function = &function
	};
	int err = question_start(&question);
	int64_t name = err ? err : naming_text(question.naming, options->function);
	int64_t module = err ? err : naming_text(question.naming, options->module);

	if (!err && (name < 0 || module < 0))
		err = (int)(name < 0 ? name : module);
	function.name = (uint32_t)name;
	function.module = (uint32_t)module;
	if (!err)
		err = question_read(&question);
	if (!err)
		err = sandwich_lay_out(&question.merge, question.naming, &function,
				       options->node_count_max, asked->deadline_monotonic_ns, ret);
	if (!err)
		ret->view_total = question.view_total;
	question_done(&question);
	return err;
}

int store_sandwich(struct store *store, const struct store_question *asked,
		   const struct sandwich_options *options, struct sandwich *ret)
{
	int err = ask_sandwich(store, asked, options, ret);
	struct store_question again = of_samples(asked);

	return err == -ESTALE ? ask_sandwich(store, &again, options, ret) : err;
}
