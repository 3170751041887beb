/* SPDX-License-Identifier: Apache-2.0 */
#include "store/extract.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/limits.h"
#include "store/named_place.h"
#include "store/naming.h"
#include "store/reader.h"

enum {
	/* Kept before they are handed on, in order of time: 20 MB. */
	FOUND_COUNT_MAX = 1 << 19,
	PAIR_COUNT_MAX = 8 << 20,
	LABEL_COUNT_MAX = 64,
	LINE_COUNT_MAX = NAMED_PLACE_LINE_COUNT_MAX,
	DEPTH_MAX = 4096,
	/* A binary of the kernel's own is told by where it lies. */
	MODULE_PATH_SIZE = 300,
};

struct found {
	int64_t start_ms;
	int64_t end_ms;
	uint32_t node;
	uint32_t pair;
	uint64_t count;
	uint64_t value;
};

/* What is in the batch of a thing of the span, + 1; 0: not yet. */
struct added {
	ARRAY(uint32_t) numbers;
};

struct extraction {
	const struct extract_options *options;
	struct batch *batch;
	extract_visit *visit;
	void *context;
	struct naming *naming; /* NULL: addresses stay */
	uint32_t ordinal;      /* of the span that is read, + 1; 0: none yet */

	ARRAY(struct pair) pairs; /* by their group */
	ARRAY(struct found) found;
	struct cached *cached; /* holds the tree */
	const struct tree *tree;
	uint32_t first_node; /* of the service whose block is read */
	uint32_t node_count;

	struct added locations; /* of the tree, in the batch */
};

/* ---- what is found ----------------------------------------------------------------------------
 */

static int64_t find_pair(void *context, const struct catalog_sample *sample)
{
	struct extraction *extraction = context;

	if (extraction->pairs.count >= PAIR_COUNT_MAX)
		return -E2BIG;
	if (array_reserve(&extraction->pairs, 1) < 0)
		return -ENOMEM;
	extraction->pairs.items[extraction->pairs.count] =
		(struct pair){ sample->series, sample->labels };
	return extraction->pairs.count++;
}

static int hand_on(struct extraction *extraction, struct reader *reader);

static int add_found(struct extraction *extraction, struct reader *reader,
		     const struct slice *slice, uint32_t pair, const struct entry *entry)
{
	if (entry->node >= extraction->node_count)
		return -EBADMSG;
	if (extraction->found.count == FOUND_COUNT_MAX) {
		int err = hand_on(extraction, reader);

		if (err)
			return err;
	}
	if (array_reserve(&extraction->found, 1) < 0)
		return -ENOMEM;
	extraction->found.items[extraction->found.count++] = (struct found){
		.start_ms = slice->start_ms,
		.end_ms = slice->end_ms,
		.node = extraction->first_node + entry->node,
		.pair = pair,
		.count = entry->count,
		.value = entry->value,
	};
	return 0;
}

static int add_run(void *context, struct reader *reader, const struct slice *slice,
		   const struct run *run, const struct verdict *verdict,
		   struct entry_reader *entries)
{
	int err = 0;

	for (uint32_t i = 0; !err && i < run->entry_count; i++) {
		struct entry entry;

		err = entry_reader_next(entries, run->valued, &entry);
		if (!err && !run->valued)
			entry.value = saturated_product(entry.count, verdict->period);
		if (!err)
			err = add_found(context, reader, slice, verdict->group, &entry);
	}
	return err;
}

static int add_entry(void *context, struct reader *reader, const struct slice *slice,
		     const struct running_entry *entry, const struct verdict *verdict)
{
	struct entry plain = { .node = entry->node, .count = entry->count, .value = entry->value };

	return add_found(context, reader, slice, verdict->group, &plain);
}

/* Nodes of a settled segment count from their service's root. */
static int start_block(void *context, struct reader *reader, uint32_t service, uint32_t type)
{
	struct extraction *extraction = context;
	const struct cached *cached = extraction->cached;

	(void)reader;
	(void)type;
	for (uint32_t i = 0; cached && i < cached->parts.count; i++)
		if (cached->parts.items[i].service == service) {
			extraction->first_node = cached->parts.items[i].first;
			extraction->node_count = cached->parts.items[i].count;
			return 0;
		}
	return -EBADMSG;
}

static int start_segment(void *context, struct reader *reader, const struct reading *reading)
{
	struct extraction *extraction = context;
	int err = 0;

	if (extraction->ordinal != reader->ordinal + 1 && extraction->naming)
		naming_start_span(extraction->naming);
	extraction->ordinal = reader->ordinal + 1;
	/* A segment that was damaged has no end. */
	extraction->cached = cached_release(extraction->cached);
	extraction->found.count = 0;
	if (!reading->open)
		err = reader_tree(reader, reading->row, NULL, false, &extraction->cached);
	if (err)
		return err;
	extraction->tree = reading->open ? &reading->open->tree : &extraction->cached->tree;
	extraction->first_node = 0;
	extraction->node_count = extraction->tree->nodes.count;
	return 0;
}

static int end_segment(void *context, struct reader *reader, const struct reading *reading)
{
	struct extraction *extraction = context;
	int err = hand_on(extraction, reader);

	(void)reading;
	extraction->cached = cached_release(extraction->cached);
	extraction->tree = NULL;
	return err;
}

/* ---- into a batch -----------------------------------------------------------------------------
 */

static int64_t add_labels(struct extraction *extraction, const struct catalog *catalog,
			  uint32_t set, bool of_series)
{
	struct str bytes = pool_get(&catalog->pools[CATALOG_LABELS], set);
	const uint32_t *pairs = (const void *)bytes.text;
	size_t pair_count = bytes.size / (2 * sizeof(pairs[0]));
	const struct extract_options *options = extraction->options;
	size_t more = of_series ? options->label_count : 0;
	struct label labels[LABEL_COUNT_MAX];
	size_t count = 0;

	for (size_t i = 0; i < more && count < LABEL_COUNT_MAX; i++)
		labels[count++] = options->labels[i];
	for (size_t i = 0; i < pair_count; i++) {
		struct str name = catalog_text(catalog, pairs[2 * i]);
		size_t known = 0;

		while (known < more && !str_equal(labels[known].name, name))
			known++;
		if (known < more)
			continue;
		if (count == LABEL_COUNT_MAX)
			return -E2BIG;
		labels[count++] = (struct label){ name, catalog_text(catalog, pairs[2 * i + 1]) };
	}
	return batch_add_labels(extraction->batch, labels, count);
}

static int64_t add_series(struct extraction *extraction, const struct catalog *catalog,
			  uint32_t number)
{
	struct catalog_series series = catalog_series(catalog, number);
	int64_t labels = add_labels(extraction, catalog, series.labels, true);

	return labels < 0 ? labels
			  : batch_add_series(extraction->batch, (uint32_t)labels,
					     catalog_text(catalog, series.type), series.period);
}

static int64_t add_catalog_lines(struct extraction *extraction, const struct catalog *catalog,
				 uint64_t number)
{
	struct named_line lines[LINE_COUNT_MAX];
	size_t count = 0;

	if (number == 0 || number >= catalog_count(catalog, CATALOG_NAME))
		return -EBADMSG;

	const struct catalog_line *known = catalog_lines(catalog, (uint32_t)number, &count);

	if (count == 0 || count > LINE_COUNT_MAX)
		return -EBADMSG;
	for (size_t i = 0; i < count; i++)
		lines[i] =
			(struct named_line){ .function = catalog_text(catalog, known[i].function),
					     .file = catalog_text(catalog, known[i].file),
					     .line = known[i].line };
	return batch_add_named_location(extraction->batch, lines, count);
}

static int64_t add_address(struct extraction *extraction, const struct catalog *catalog,
			   uint32_t number, uint64_t address)
{
	if (number >= catalog_count(catalog, CATALOG_BUILD))
		return -EBADMSG;

	struct catalog_build known = catalog_build(catalog, number);
	int64_t build = batch_add_build(extraction->batch, (enum build_kind)known.kind,
					&known.identity, catalog_text(catalog, known.path));

	return build < 0 ? build : batch_add_location(extraction->batch, (uint32_t)build, address);
}

/* By the names that symbols have for it; 0 of them when they have none. */
static int64_t add_names(struct extraction *extraction, const struct catalog *catalog,
			 uint32_t build, uint64_t address, bool *ret_has_names)
{
	struct named_line lines[LINE_COUNT_MAX];
	char path[MODULE_PATH_SIZE];
	struct frame_names names;
	size_t count = 0;
	int err = naming_find(extraction->naming, catalog, build, address, &names);

	*ret_has_names = false;
	if (err)
		return err;
	for (uint32_t i = names.count; i > 0 && count < LINE_COUNT_MAX - 1; i--) {
		struct frame_name frame = naming_frame(extraction->naming, names.first + i - 1);

		if (frame.kind == FLAME_UNNAMED || frame.kind == FLAME_TRUNCATED)
			return 0;
		lines[count++] = (struct named_line){
			.function = naming_get(extraction->naming, frame.name),
			.file = naming_get(extraction->naming, frame.file),
			.line = frame.line,
		};
	}

	struct frame_name outermost = naming_frame(extraction->naming, names.first);
	struct str module = naming_get(extraction->naming, outermost.module);
	bool is_module = outermost.kind == FLAME_KERNEL && !str_equal(module, STR(NAMING_KERNEL));
	int size = snprintf(path, sizeof(path), "%s%.*s", is_module ? NAMING_KERNEL "/" : "",
			    STR_PRINT(module));

	if (module.size > 0 && size > 0 && (size_t)size < sizeof(path))
		lines[count++] = (struct named_line){ .file = { path, (size_t)size } };
	*ret_has_names = true;
	return batch_add_named_location(extraction->batch, lines, count);
}

static int64_t add_location(struct extraction *extraction, const struct catalog *catalog,
			    uint32_t location)
{
	static const struct named_line folded = { .function = { "folded", 6 } };
	const struct tree *tree = extraction->tree;
	bool has_names = false;
	int64_t number = 0;

	if (location < TREE_RESERVED_COUNT)
		return batch_add_named_location(extraction->batch, &folded, 1);
	if (location >= tree->builds.count)
		return -EBADMSG;

	uint32_t build = tree->builds.items[location];
	uint64_t address = tree->addresses.items[location];

	if (build == TREE_BUILD_NAMED)
		return add_catalog_lines(extraction, catalog, address);
	if (extraction->naming)
		number = add_names(extraction, catalog, build, address, &has_names);
	if (has_names || number < 0)
		return number;
	return add_address(extraction, catalog, build, address);
}

static int64_t find_location(struct extraction *extraction, const struct catalog *catalog,
			     uint32_t location)
{
	struct added *added = &extraction->locations;

	assert(added->numbers.count == extraction->tree->builds.count);
	if (location >= added->numbers.count)
		return -EBADMSG;
	if (!added->numbers.items[location]) {
		int64_t number = add_location(extraction, catalog, location);

		if (number < 0)
			return number;
		added->numbers.items[location] = (uint32_t)number + 1;
	}
	return added->numbers.items[location] - 1;
}

/* From the leaf up to the service's root, which is no frame. */
static int64_t add_stack(struct extraction *extraction, const struct catalog *catalog,
			 uint32_t node)
{
	const struct tree_node *nodes = extraction->tree->nodes.items;
	uint32_t locations[DEPTH_MAX];
	uint32_t count = 0;
	unsigned flags = 0;

	for (; nodes[node].parent != TREE_NO_PARENT; node = nodes[node].parent) {
		if (nodes[node].location == TREE_CALLERS_MISSING) {
			flags |= STACK_TRUNCATED;
			continue;
		}

		int64_t number = find_location(extraction, catalog, nodes[node].location);

		if (number < 0)
			return number;
		if (count == DEPTH_MAX)
			return -EBADMSG;
		locations[count++] = (uint32_t)number;
	}
	return batch_add_stack(extraction->batch, locations, count, flags);
}

static int add_to_batch(struct extraction *extraction, const struct catalog *catalog,
			const struct found *found)
{
	struct pair pair = extraction->pairs.items[found->pair];
	int64_t series = add_series(extraction, catalog, pair.series);
	int64_t labels = series < 0 ? series : add_labels(extraction, catalog, pair.labels, false);
	int64_t stack = labels < 0 ? labels : add_stack(extraction, catalog, found->node);

	if (stack < 0)
		return (int)stack;
	return batch_add_entry(extraction->batch,
			       &(struct batch_entry){ .series = (uint32_t)series,
						      .sample_labels = (uint32_t)labels,
						      .stack = (uint32_t)stack,
						      .count = found->count,
						      .value = found->value });
}

static int start_batch(struct extraction *extraction, const struct found *first)
{
	struct added *added = &extraction->locations;
	uint32_t count = extraction->tree->builds.count;

	batch_clear(extraction->batch);
	batch_set_time(extraction->batch, (struct batch_time){ first->start_ms, first->end_ms });
	added->numbers.count = 0;
	if (array_reserve(&added->numbers, count) < 0)
		return -ENOMEM;
	added->numbers.count = count;
	memset(added->numbers.items, 0, count * sizeof(added->numbers.items[0]));
	return 0;
}

/* As many as the batch takes of those of one time; how many leaves through ret. */
static int fill(struct extraction *extraction, struct reader *reader, const struct found *found,
		uint32_t count, uint32_t *ret)
{
	bool was_taken = reader_lock(reader);
	int err = start_batch(extraction, found);
	uint32_t filled = 0;

	while (!err && filled < count && found[filled].start_ms == found->start_ms &&
	       found[filled].end_ms == found->end_ms) {
		err = add_to_batch(extraction, reader->catalog, &found[filled]);
		filled += !err;
	}
	reader_unlock(reader, was_taken);
	/* The rest goes into another. */
	if (err == -E2BIG && filled > 0)
		err = 0;
	*ret = filled;
	return err == -EINVAL ? -EBADMSG : err;
}

static int compare_found(const void *a, const void *b)
{
	const struct found *x = a;
	const struct found *y = b;

	if (x->start_ms != y->start_ms)
		return x->start_ms < y->start_ms ? -1 : 1;
	if (x->end_ms != y->end_ms)
		return x->end_ms < y->end_ms ? -1 : 1;
	if (x->node != y->node)
		return x->node < y->node ? -1 : 1;
	return (x->pair > y->pair) - (x->pair < y->pair);
}

static int hand_on(struct extraction *extraction, struct reader *reader)
{
	uint32_t count = extraction->found.count;
	struct found *found = extraction->found.items;

	if (count > 0)
		qsort(found, count, sizeof(found[0]), compare_found);
	for (uint32_t i = 0, filled = 0; i < count; i += filled) {
		int err = fill(extraction, reader, found + i, count - i, &filled);

		if (!err)
			err = extraction->visit(extraction->context, extraction->batch);
		if (!err)
			err = reader_check_time(reader);
		if (err)
			return err;
	}
	extraction->found.count = 0;
	return 0;
}

int store_extract(struct store *store, const struct store_question *question,
		  const struct extract_options *options, struct batch *batch, extract_visit *visit,
		  void *context)
{
	struct extraction extraction = {
		.options = options, .batch = batch, .visit = visit, .context = context
	};
	struct reader_question reader_question = { .context = &extraction,
						   .asked = question,
						   .wants_entries = true,
						   .group = find_pair,
						   .segment = start_segment,
						   .run = add_run,
						   .block = start_block,
						   .entry = add_entry,
						   .segment_end = end_segment };
	int err = options->with_names ? naming_new(store->symbols, &extraction.naming) : 0;

	if (!err)
		err = reader_ask(store, &reader_question);
	batch_clear(batch);
	cached_release(extraction.cached);
	naming_free(extraction.naming);
	array_done(&extraction.pairs);
	array_done(&extraction.found);
	array_done(&extraction.locations.numbers);
	return err;
}
