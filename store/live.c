/* SPDX-License-Identifier: Apache-2.0 */
#include "store/live.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "store/batch_private.h"
#include "store/descent.h"
#include "store/named_place.h"

int live_new(struct live **ret)
{
	autoclean(live) struct live *live = calloc(1, sizeof(*live));
	pthread_rwlockattr_t attributes;

	if (!live)
		return -ENOMEM;

	/* The writer must not starve behind questions that follow one another. */
	pthread_rwlockattr_init(&attributes);
	pthread_rwlockattr_setkind_np(&attributes, PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP);
	pthread_rwlock_init(&live->lock, &attributes);
	pthread_rwlockattr_destroy(&attributes);
	live->references = 1;

	int err = catalog_init(&live->catalog);

	if (!err)
		err = descent_new(&live->descent);
	if (err)
		return err;
	for (int kind = 0; kind < CATALOG_KIND_COUNT; kind++)
		live->written[kind] = catalog_count(&live->catalog, (enum catalog_kind)kind);
	*ret = TAKE(live);
	return 0;
}

struct live *live_free(struct live *live)
{
	if (!live)
		return NULL;
	catalog_done(&live->catalog);
	segment_done(&live->segment);
	array_done(&live->segments.rows);
	array_done(&live->slices);
	array_done(&live->entries);
	array_done(&live->cells);
	descent_free(live->descent);
	array_done(&live->paths);
	array_done(&live->mapped);
	window_columns_done(&live->columns);
	pthread_rwlock_destroy(&live->lock);
	free(live);
	return NULL;
}

/* Of a word or a series that no sample has spoken of; what stays so is not stored. */
enum { UNMAPPED = UINT32_MAX, SPOKEN_OF = UINT32_MAX - 1 };

/* A batch's numbers in the words of the span. */
struct mapping {
	uint32_t *texts;
	uint32_t *label_sets;
	uint32_t *series;
	uint32_t *services;
	uint32_t *keys;
	uint32_t *builds;
	uint32_t *names;
	uint32_t *locations;
	bool *is_kernel; /* of locations */
	uint32_t *stack_paths;
	uint32_t *stack_services;
	uint32_t *sums; /* of items: their nodes first, then where they are added up */
};

static int mapping_init(struct mapping *mapping, struct live *live, const struct batch *batch)
{
	const struct {
		uint32_t **part;
		size_t count;
	} parts[] = {
		{ &mapping->texts, pool_count(&batch->texts) },
		{ &mapping->label_sets, pool_count(&batch->label_sets) },
		{ &mapping->series, pool_count(&batch->series) },
		{ &mapping->services, pool_count(&batch->series) },
		{ &mapping->keys, pool_count(&batch->series) },
		{ &mapping->builds, pool_count(&batch->builds) },
		{ &mapping->names, pool_count(&batch->names) },
		{ &mapping->locations, batch->locations.items.count },
		{ &mapping->stack_paths, pool_count(&batch->stacks) },
		{ &mapping->stack_services, pool_count(&batch->stacks) },
		{ &mapping->sums, batch->items.count },
	};
	size_t part_count = sizeof(parts) / sizeof(parts[0]);
	size_t total = 0;

	for (size_t i = 0; i < part_count; i++)
		total += parts[i].count;
	/* And a byte for each location. */
	total += batch->locations.items.count / sizeof(uint32_t) + 1;
	if (array_reserve(&live->mapped, total) < 0)
		return -ENOMEM;

	uint32_t *next = live->mapped.items;

	for (size_t i = 0; i < part_count; i++) {
		*parts[i].part = next;
		next += parts[i].count;
	}
	mapping->is_kernel = (bool *)next;
	for (uint32_t i = 0; i < pool_count(&batch->stacks); i++)
		mapping->stack_services[i] = TREE_NO_PARENT;
	for (uint32_t i = 0; i < pool_count(&batch->texts); i++)
		mapping->texts[i] = UNMAPPED;
	for (uint32_t i = 0; i < pool_count(&batch->label_sets); i++)
		mapping->label_sets[i] = UNMAPPED;
	for (uint32_t i = 0; i < pool_count(&batch->series); i++)
		mapping->series[i] = UNMAPPED;
	for (uint32_t i = 0; i < batch->items.count; i++)
		mapping->series[batch->items.items[i].series] = SPOKEN_OF;
	return 0;
}

static int64_t map_text(struct live *live, const struct batch *batch, struct mapping *mapping,
			uint32_t text)
{
	if (mapping->texts[text] == UNMAPPED) {
		struct str bytes = pool_get(&batch->texts, text);
		int64_t number = catalog_add(&live->catalog, CATALOG_TEXT, bytes.text, bytes.size);

		if (number < 0)
			return number;
		mapping->texts[text] = (uint32_t)number;
	}
	return mapping->texts[text];
}

/* Adds a sequence of the batch's texts, two or three numbers an item, in the catalog's texts. */
static int64_t add_sequence(struct live *live, enum catalog_kind kind, const struct batch *batch,
			    struct mapping *mapping, struct str item)
{
	const uint32_t *numbers = (const void *)item.text;
	size_t count = item.size / sizeof(numbers[0]);
	uint32_t mapped[3 * NAMED_PLACE_LINE_COUNT_MAX];

	static_assert(sizeof(mapped) >= NAMED_PLACE_LINE_COUNT_MAX * sizeof(struct batch_line),
		      "what a batch allows");
	assert(count <= sizeof(mapped) / sizeof(mapped[0]));
	for (size_t i = 0; i < count; i++) {
		bool is_line = kind == CATALOG_NAME && i % 3 == 2;

		int64_t number = is_line ? numbers[i] : map_text(live, batch, mapping, numbers[i]);

		if (number < 0)
			return number;
		mapped[i] = (uint32_t)number;
	}
	return catalog_add(&live->catalog, kind, mapped, item.size);
}

static int64_t map_label_set(struct live *live, const struct batch *batch, struct mapping *mapping,
			     uint32_t set)
{
	if (mapping->label_sets[set] == UNMAPPED) {
		int64_t number = add_sequence(live, CATALOG_LABELS, batch, mapping,
					      pool_get(&batch->label_sets, set));

		if (number < 0)
			return number;
		mapping->label_sets[set] = (uint32_t)number;
	}
	return mapping->label_sets[set];
}

/* The words that samples speak of, which most of a batch's are: pids and names of threads. */
static void note_words(const struct batch *batch, struct mapping *mapping)
{
	for (uint32_t i = 0; i < batch->items.count; i++) {
		uint32_t set = batch->items.items[i].labels;
		struct str item = pool_get(&batch->label_sets, set);
		const uint32_t *texts = (const void *)item.text;

		if (mapping->label_sets[set] != UNMAPPED)
			continue;
		mapping->label_sets[set] = SPOKEN_OF;
		for (size_t k = 0; k < item.size / sizeof(texts[0]); k++)
			mapping->texts[texts[k]] = SPOKEN_OF;
	}
}

/* So many at a time, so that they wait for memory together. */
struct words {
	uint32_t numbers[POOL_TOGETHER];
	struct str items[POOL_TOGETHER];
	size_t count;
	uint32_t pairs[POOL_TOGETHER * 2 * BATCH_LABEL_COUNT_MAX]; /* of label sets */
};

static int add_words(struct live *live, enum catalog_kind kind, struct words *words,
		     uint32_t *mapped)
{
	uint32_t added[POOL_TOGETHER];
	int err = pool_add_all(&live->catalog.pools[kind], words->items, words->count, added);

	for (size_t i = 0; !err && i < words->count; i++)
		mapped[words->numbers[i]] = added[i];
	words->count = 0;
	return err;
}

static int map_spoken_texts(struct live *live, const struct batch *batch, struct mapping *mapping,
			    struct words *words)
{
	int err = 0;

	for (uint32_t i = 0; !err && i < pool_count(&batch->texts); i++) {
		if (mapping->texts[i] != SPOKEN_OF)
			continue;
		words->numbers[words->count] = i;
		words->items[words->count++] = pool_get(&batch->texts, i);
		if (words->count == POOL_TOGETHER)
			err = add_words(live, CATALOG_TEXT, words, mapping->texts);
	}
	return err ? err : add_words(live, CATALOG_TEXT, words, mapping->texts);
}

static int map_spoken_sets(struct live *live, const struct batch *batch, struct mapping *mapping,
			   struct words *words)
{
	uint32_t *next = words->pairs;
	int err = 0;

	for (uint32_t i = 0; !err && i < pool_count(&batch->label_sets); i++) {
		struct str item = pool_get(&batch->label_sets, i);
		const uint32_t *texts = (const void *)item.text;
		size_t count = item.size / sizeof(texts[0]);

		if (mapping->label_sets[i] != SPOKEN_OF)
			continue;
		assert(count <= 2 * (size_t)BATCH_LABEL_COUNT_MAX);
		for (size_t k = 0; k < count; k++)
			next[k] = mapping->texts[texts[k]];
		words->numbers[words->count] = i;
		words->items[words->count++] = (struct str){ (const char *)next, item.size };
		next += count;
		if (words->count == POOL_TOGETHER) {
			err = add_words(live, CATALOG_LABELS, words, mapping->label_sets);
			next = words->pairs;
		}
	}
	return err ? err : add_words(live, CATALOG_LABELS, words, mapping->label_sets);
}

static int map_words(struct live *live, const struct batch *batch, struct mapping *mapping)
{
	struct words words = { .count = 0 };

	note_words(batch, mapping);

	int err = map_spoken_texts(live, batch, mapping, &words);

	return err ? err : map_spoken_sets(live, batch, mapping, &words);
}

static int map_names(struct live *live, const struct batch *batch, struct mapping *mapping)
{
	for (uint32_t i = 0; i < pool_count(&batch->names); i++) {
		int64_t number = add_sequence(live, CATALOG_NAME, batch, mapping,
					      pool_get(&batch->names, i));

		if (number < 0)
			return (int)number;
		mapping->names[i] = (uint32_t)number;
	}
	return 0;
}

static int map_series(struct live *live, const struct batch *batch, struct mapping *mapping)
{
	for (uint32_t i = 0; i < pool_count(&batch->series); i++) {
		struct batch_series from;

		if (mapping->series[i] == UNMAPPED)
			continue;
		memcpy(&from, pool_get(&batch->series, i).text, sizeof(from));

		int64_t labels = map_label_set(live, batch, mapping, from.labels);
		int64_t type = labels < 0 ? labels : map_text(live, batch, mapping, from.type);

		if (type < 0)
			return (int)type;

		struct catalog_series series = { .labels = (uint32_t)labels,
						 .type = (uint32_t)type,
						 .period = from.period };
		int64_t number =
			catalog_add(&live->catalog, CATALOG_SERIES, &series, sizeof(series));

		if (number < 0)
			return (int)number;
		mapping->series[i] = (uint32_t)number;
		mapping->services[i] = catalog_service(&live->catalog, (uint32_t)number);
		number = segment_add_key(&live->segment, series.type, series.period);
		if (number < 0)
			return (int)number;
		mapping->keys[i] = (uint32_t)number;
	}
	return 0;
}

static int map_builds(struct live *live, const struct batch *batch, struct mapping *mapping)
{
	for (uint32_t i = 0; i < pool_count(&batch->builds); i++) {
		struct batch_build from;

		memcpy(&from, pool_get(&batch->builds, i).text, sizeof(from));

		int64_t path = map_text(live, batch, mapping, from.path);

		if (path < 0)
			return (int)path;

		struct catalog_build build = { .identity = from.identity,
					       .kind = from.kind,
					       .path = (uint32_t)path };
		int64_t number = catalog_add(&live->catalog, CATALOG_BUILD, &build, sizeof(build));

		if (number < 0)
			return (int)number;
		mapping->builds[i] = (uint32_t)number;
	}
	return 0;
}

/* A location's key in the segment, and whether it is the kernel's. */
static struct location_key find_place(const struct batch *batch, const struct mapping *mapping,
				      uint32_t location, bool *ret_is_kernel)
{
	struct batch_location from = batch->locations.items.items[location];
	const struct batch_build *file;

	*ret_is_kernel = false;
	if (from.build == BATCH_NAMED)
		return (struct location_key){ .build = TREE_BUILD_NAMED,
					      .address = mapping->names[from.address] };
	file = (const void *)pool_get(&batch->builds, from.build).text;
	*ret_is_kernel = file->kind == BUILD_KERNEL || file->kind == BUILD_KERNEL_MODULE;
	return (struct location_key){ .build = mapping->builds[from.build],
				      .address = from.address };
}

static uint32_t together(uint32_t left)
{
	return left < SEGMENT_TOGETHER ? left : (uint32_t)SEGMENT_TOGETHER;
}

static int map_locations(struct live *live, const struct batch *batch, struct mapping *mapping)
{
	uint32_t count = batch->locations.items.count;
	int err = 0;

	for (uint32_t first = 0; !err && first < count; first += SEGMENT_TOGETHER) {
		struct location_key keys[SEGMENT_TOGETHER];
		uint32_t some = together(count - first);

		for (uint32_t i = 0; i < some; i++)
			keys[i] = find_place(batch, mapping, first + i,
					     &mapping->is_kernel[first + i]);
		err = segment_add_locations(&live->segment, keys, some, &mapping->locations[first]);
	}
	return err;
}

/*
 * The node of each item. A stack goes down again where another service has it; items of a service
 * come together, so that only the service that had it last is remembered.
 */
static int map_nodes(struct live *live, const struct batch *batch, struct mapping *mapping)
{
	descent_paths *paths = &live->paths;
	uint32_t *nodes = mapping->sums;
	int err;

	paths->count = 0;
	err = array_reserve(paths, pool_count(&batch->stacks));
	for (uint32_t i = 0; !err && i < batch->items.count; i++) {
		const struct batch_item *item = &batch->items.items[i];
		uint32_t service = mapping->services[item->series];

		if (mapping->stack_services[item->stack] != service) {
			err = array_reserve(paths, 1);
			if (err)
				break;
			mapping->stack_services[item->stack] = service;
			mapping->stack_paths[item->stack] = paths->count;
			paths->items[paths->count++] =
				(struct descent_path){ .service = service, .stack = item->stack };
		}
		nodes[i] = mapping->stack_paths[item->stack];
	}
	if (!err)
		err = descent_go(live->descent, &live->segment, batch, mapping->locations, paths);
	for (uint32_t i = 0; !err && i < batch->items.count; i++)
		nodes[i] = paths->items[nodes[i]].node;
	return err;
}

/* sums[i] is the i-th item's node, and then where it is added up. */
static int map_sums(struct segment *segment, const struct batch *batch, struct mapping *mapping)
{
	uint32_t *sums = mapping->sums;
	uint32_t count = batch->items.count;
	int err = 0;

	for (uint32_t first = 0; !err && first < count; first += SEGMENT_TOGETHER) {
		struct sum_place places[SEGMENT_TOGETHER];
		uint32_t some = together(count - first);

		for (uint32_t i = 0; i < some; i++)
			places[i] = (struct sum_place){
				.node = sums[first + i],
				.key = mapping->keys[batch->items.items[first + i].series],
			};
		err = segment_find_sums(segment, places, some, &sums[first]);
	}
	return err;
}

static bool stack_is_kernel(const struct batch *batch, const struct mapping *mapping,
			    uint32_t stack)
{
	struct str item = pool_get(&batch->stacks, stack);
	const uint32_t *numbers = (const void *)item.text;

	return item.size > sizeof(numbers[0]) && mapping->is_kernel[numbers[1]];
}

static int add_pairs(struct live *live, const struct batch *batch, struct mapping *mapping)
{
	int err = segment_reserve_labels(&live->segment,
					 catalog_count(&live->catalog, CATALOG_LABELS));

	for (uint32_t i = 0; !err && i < batch->items.count; i++) {
		const struct batch_item *item = &batch->items.items[i];

		err = segment_add_pair(&live->segment,
				       (struct pair){ mapping->series[item->series],
						      mapping->label_sets[item->labels] });
	}
	return err;
}

/* Everything that can fail. */
static int prepare(struct live *live, const struct batch *batch, struct mapping *mapping)
{
	int err = map_words(live, batch, mapping);

	if (!err)
		err = map_names(live, batch, mapping);
	if (!err)
		err = map_series(live, batch, mapping);
	if (!err)
		err = map_builds(live, batch, mapping);
	if (!err)
		err = map_locations(live, batch, mapping);
	if (!err)
		err = map_nodes(live, batch, mapping);
	if (!err)
		err = map_sums(&live->segment, batch, mapping);
	if (!err)
		err = add_pairs(live, batch, mapping);
	if (err)
		return err;
	if (live->entries.count + (size_t)batch->items.count > RUNNING_ENTRY_COUNT_MAX ||
	    live->cells.count + (size_t)batch->times.count > RUNNING_CELL_COUNT_MAX ||
	    live->slices.count >= RUNNING_SLICE_COUNT_MAX)
		return -EAGAIN;
	if (array_reserve(&live->entries, batch->items.count) < 0 ||
	    array_reserve(&live->cells, batch->times.count) < 0 ||
	    array_reserve(&live->slices, 1) < 0)
		return -ENOMEM;
	return 0;
}

static void add_entry(struct live *live, const struct batch *batch, const struct mapping *mapping,
		      const struct batch_item *item, uint32_t sum)
{
	struct batch_series series;

	memcpy(&series, pool_get(&batch->series, item->series).text, sizeof(series));

	bool is_timed = item->first_time != BATCH_NO_TIMES;
	uint64_t sampled = 0;
	bool overflows = __builtin_mul_overflow(item->count, series.period, &sampled);

	live->entries.items[live->entries.count++] = (struct running_entry){
		.slice = live->slices.count - 1,
		.series = mapping->series[item->series],
		.labels = mapping->label_sets[item->labels],
		.node = live->segment.sums.items[sum].node,
		.first_cell = live->cells.count,
		.is_timed = is_timed,
		.is_kernel = stack_is_kernel(batch, mapping, item->stack),
		.is_valued = overflows || sampled != item->value,
		.count = item->count,
		.value = item->value,
	};
	for (uint64_t i = 0; is_timed && i < item->count; i++) {
		unsigned cell = batch->times.items[item->first_time + i] / CELL_MS;

		live->cells.items[live->cells.count++] =
			cell < UINT8_MAX ? (uint8_t)cell : UINT8_MAX;
	}
	segment_add_sum(&live->segment, sum, item->count, item->value);
	live->samples += item->count;
}

static void extend_segment(struct segment *segment, struct batch_time time, uint64_t samples)
{
	bool is_first = segment->end_ms == 0;

	if (is_first || time.start_unix_ms < segment->first_ms)
		segment->first_ms = time.start_unix_ms;
	if (is_first || time.start_unix_ms > segment->last_ms)
		segment->last_ms = time.start_unix_ms;
	if (is_first || time.end_unix_ms > segment->end_ms)
		segment->end_ms = time.end_unix_ms;
	segment->samples += samples;
}

static void give_back(struct live *live)
{
	descent_give_back(live->descent);
	array_done(&live->paths);
	array_done(&live->mapped);
	window_columns_done(&live->columns);
}

static size_t room_kept(const struct live *live)
{
	return descent_memory(live->descent) + array_memory(&live->paths) +
	       array_memory(&live->mapped) + window_columns_memory(&live->columns);
}

size_t live_memory(const struct live *live)
{
	return catalog_memory(&live->catalog) + segment_memory(&live->segment) +
	       array_memory(&live->slices) + array_memory(&live->entries) +
	       array_memory(&live->cells) + room_kept(live);
}

/* For what comes next, as far as that is worth it. */
static void keep_room(struct live *live)
{
	if (room_kept(live) > APPEND_ROOM_SIZE_MAX)
		give_back(live);
}

void live_rest(struct live *live)
{
	if (!live->has_appended)
		give_back(live);
	live->has_appended = false;
}

int live_append(struct live *live, const struct batch *batch)
{
	struct mapping mapping = { 0 };
	int err = mapping_init(&mapping, live, batch);

	assert(live->segment.number > 0 && !live->segment.is_over);
	if (err)
		return err;
	pthread_rwlock_wrlock(&live->lock);
	err = prepare(live, batch, &mapping);
	if (!err) {
		uint64_t before = live->samples;

		live->slices.items[live->slices.count++] =
			(struct slice){ batch->time.start_unix_ms, batch->time.end_unix_ms };
		for (uint32_t i = 0; i < batch->items.count; i++)
			add_entry(live, batch, &mapping, &batch->items.items[i], mapping.sums[i]);
		extend_segment(&live->segment, batch->time, live->samples - before);
		live->segment.entry_count += batch->items.count;
		live->segment.cell_count += batch->times.count;
	}
	pthread_rwlock_unlock(&live->lock);
	live->has_appended = true;
	keep_room(live);
	return err;
}

/* ---- the running window as columns ----------------------------------------------------------- */

static unsigned bits_of(uint32_t number)
{
	return number ? 32 - (unsigned)__builtin_clz(number) : 0;
}

/* Bits that each part of an entry's key takes. */
struct key_bits {
	unsigned node, labels, series, slice;
};

static struct key_bits find_key_bits(const struct live *live)
{
	uint32_t slices = 0, series = 0, labels = 0, nodes = 0;

	for (uint32_t i = 0; i < live->entries.count; i++) {
		const struct running_entry *entry = &live->entries.items[i];

		slices |= entry->slice;
		series |= entry->series;
		labels |= entry->labels;
		nodes |= entry->node;
	}
	return (struct key_bits){ bits_of(nodes), bits_of(labels), bits_of(series),
				  bits_of(slices) };
}

/*
 * By slice, series, labels and node, and then as they came: there are a hundred thousand, and
 * comparing them was a third of a commit. The parts of the key are mostly so small that they are
 * one number together; else it is sorted by twice, the end of the key first.
 */
static int find_order(const struct live *live, struct window_columns *columns)
{
	const struct running_entry *entries = live->entries.items;
	uint32_t count = live->entries.count;
	struct key_bits bits = find_key_bits(live);
	unsigned low_bits = bits.node + bits.labels;
	bool is_short = low_bits + bits.series + bits.slice < 64;
	struct keyed *keyed;

	if (array_reserve(&columns->order, 2 * (size_t)count) < 0)
		return -ENOMEM;
	keyed = columns->order.items;
	for (uint32_t i = 0; i < count; i++) {
		const struct running_entry *entry = &entries[i];
		uint64_t high = (uint64_t)entry->slice << bits.series | entry->series;

		keyed[i] = (struct keyed){
			.key = (uint64_t)entry->labels << bits.node | entry->node |
			       (is_short ? high << low_bits : 0),
			.number = i,
		};
	}
	number_sort(keyed, keyed + count, count);
	for (uint32_t i = 0; !is_short && i < count; i++) {
		const struct running_entry *entry = &entries[keyed[i].number];

		keyed[i].key = (uint64_t)entry->slice << 32 | entry->series;
	}
	if (!is_short)
		number_sort(keyed, keyed + count, count);
	return 0;
}

static bool same_run(const struct running_entry *a, const struct running_entry *b)
{
	return a->slice == b->slice && a->series == b->series && a->labels == b->labels;
}

/* Writes the entries order[0 … count), all of one run. */
static void lay_out_run(const struct live *live, const struct keyed *order, uint32_t count,
			struct window_columns *columns)
{
	const struct running_entry *entries = live->entries.items;
	const struct running_entry *first = &entries[order[0].number];
	struct run run = { .slice = first->slice,
			   .series = first->series,
			   .labels = first->labels,
			   .timed = true };

	for (uint32_t i = 0; i < count; i++) {
		run.timed = run.timed && entries[order[i].number].is_timed;
		run.valued = run.valued || entries[order[i].number].is_valued;
	}
	entry_writer_start_list(&columns->entries);
	for (uint32_t i = 0; i < count;) {
		const struct running_entry *entry = &entries[order[i].number];
		struct entry sum = { .node = entry->node };

		for (; i < count && entries[order[i].number].node == sum.node; i++) {
			const struct running_entry *equal = &entries[order[i].number];

			sum.count += equal->count;
			sum.value += equal->value;
			if (run.timed)
				buf_add(&columns->cells, live->cells.items + equal->first_cell,
					equal->count);
		}
		entry_writer_add(&columns->entries, sum, run.valued);
		run.entry_count++;
		run.samples += sum.count;
		run.kernel_samples += entry->is_kernel ? sum.count : 0;
		if (run.valued) {
			run.value += sum.value;
			run.kernel_value += entry->is_kernel ? sum.value : 0;
		}
	}
	columns->samples += run.samples;
	columns->runs.runs.items[columns->runs.runs.count++] = run;
}

/* As new, but for memory. */
static void empty(struct window_columns *columns)
{
	if (columns->cells.limit == 0) {
		columns->cells = BUF(RUNNING_CELL_COUNT_MAX);
		entry_writer_init(&columns->entries);
	}
	buf_clear(&columns->cells);
	entry_writer_clear(&columns->entries);
	columns->runs.slices.count = columns->runs.runs.count = 0;
	columns->first_ms = INT64_MAX;
	columns->last_ms = columns->end_ms = INT64_MIN;
	columns->samples = 0;
}

static void lay_out_slices(const struct live *live, struct window_columns *columns)
{
	for (uint32_t i = 0; i < live->slices.count; i++) {
		struct slice slice = live->slices.items[i];

		columns->runs.slices.items[columns->runs.slices.count++] = slice;
		if (slice.start_ms < columns->first_ms)
			columns->first_ms = slice.start_ms;
		if (slice.start_ms > columns->last_ms)
			columns->last_ms = slice.start_ms;
		if (slice.end_ms > columns->end_ms)
			columns->end_ms = slice.end_ms;
	}
}

int live_lay_out(const struct live *live, struct window_columns *columns)
{
	enum { AHEAD = 16 }; /* so many entries wait for memory together */
	const struct running_entry *entries = live->entries.items;
	uint32_t count = live->entries.count;
	const struct keyed *order;

	assert(live->slices.count > 0);
	empty(columns);
	if (array_reserve(&columns->runs.slices, live->slices.count) < 0 ||
	    array_reserve(&columns->runs.runs, count) < 0 || find_order(live, columns))
		return -ENOMEM;
	lay_out_slices(live, columns);
	order = columns->order.items;
	for (uint32_t first = 0, i = 1; i <= count; i++) {
		if (i + AHEAD < count)
			__builtin_prefetch(&entries[order[i + AHEAD].number]);
		if (i == count ||
		    !same_run(&entries[order[first].number], &entries[order[i].number])) {
			lay_out_run(live, order + first, i - first, columns);
			first = i;
		}
	}
	return 0;
}

size_t window_columns_memory(const struct window_columns *columns)
{
	return array_memory(&columns->runs.slices) + array_memory(&columns->runs.runs) +
	       columns->entries.nodes.capacity + columns->entries.counts.capacity +
	       columns->entries.values.capacity + columns->cells.capacity +
	       array_memory(&columns->order);
}

void window_columns_done(struct window_columns *columns)
{
	runs_done(&columns->runs);
	entry_writer_done(&columns->entries);
	buf_done(&columns->cells);
	array_done(&columns->order);
}

static void forget_running(struct live *live)
{
	live->slices.count = 0;
	live->entries.count = 0;
	live->cells.count = 0;
	live->samples = 0;
}

void live_committed(struct live *live)
{
	pthread_rwlock_wrlock(&live->lock);
	forget_running(live);
	live->window_count++;
	live->segment.nodes_written = live->segment.tree.nodes.count;
	live->segment.locations_written = live->segment.tree.builds.count;
	for (int kind = 0; kind < CATALOG_KIND_COUNT; kind++)
		live->written[kind] = catalog_count(&live->catalog, (enum catalog_kind)kind);
	pthread_rwlock_unlock(&live->lock);
	keep_room(live);
}
