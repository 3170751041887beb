/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>

#include "store/settle.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/pages.h"
#include "base/saturate.h"
#include "store/activity.h"
#include "store/detail.h"
#include "store/preorder.h"
#include "store/segment.h"
#include "store/shape.h"

enum {
	/* Of one segment; a full 64-core host makes 4 million samples in ten minutes. */
	OCCURRENCE_COUNT_MAX = 16 << 20,
	CELL_COUNT_MAX = 64 << 20,
	PAIR_COUNT_MAX = 4 << 20,
	NO_CELLS = UINT32_MAX,
	MARK_BITS = 64,
	AHEAD = 16, /* so many searches wait for memory together */
	KEPT_SIZE_MAX = 5 * OCCURRENCE_COUNT_MAX,
	/* Measured: 20 MB for 390,000 nodes and 360,000 samples. */
	NODE_BYTES = 28,
	SAMPLE_BYTES = 24,
	NODES_PER_SAMPLE = 2, /* and no more than a segment has; of one that is not in memory */
	RUN_VALUED = 1,
	RUN_TIMED = 2,
	RUN_BITS = 2,
};

/* One entry of one run, where its node's place is. */
struct placed {
	uint32_t slice;
	uint32_t pair;
	uint32_t count;
	uint32_t first_cell; /* or NO_CELLS */
};

/* The last pair that a label set was in. */
struct paired {
	uint32_t series; /* 0: none yet */
	uint32_t number; /* of the pair */
};

struct settling {
	struct span *span;
	const struct segment_row *row;
	struct codec *codec; /* for reading; the span's own packs */
	struct codec *cell_codec;
	struct tree tree; /* as it arrived; its nodes go when they are in preorder */
	struct preorder preorder;

	struct runs window;	  /* of the one that is read, */
	struct activity activity; /* what that says who had how much, and all slices */
	struct activity_packer packer;
	struct pool pairs; /* struct pair */
	struct pool keys;  /* struct sum_key */
	ARRAY(uint16_t) pair_keys;
	ARRAY(struct paired) paired; /* by label set; most have one pair */
	/* What was read, until it is known how many entries a node has: 10 bytes each. */
	struct buf kept_runs;	     /* slices later, pair, entries, RUN_… */
	ARRAY(uint32_t) kept_nodes;  /* of entries; in preorder when their window was read */
	struct buf kept_counts;	     /* of entries */
	ARRAY(uint64_t) kept_values; /* of entries of valued runs */
	uint32_t kept_slice;	     /* of the last run */
	uint32_t *starts; /* in preorder: where a node's occurrences begin; one more at the end */
	struct placed *placed;
	uint64_t *values; /* of placed; NULL when all are count × period */
	struct buf cells;

	/* scratch of what is written */
	struct entry_writer entries;
	struct shape_writer shape;
	struct detail_writer detail;
	struct buf blobs[3];
	struct buf timed;
	struct buf block_cells;
	ARRAY(struct occurrence) occurrences;
	uint32_t *local; /* by location: its number in the service that was written last */
	uint64_t *marks; /* by location: whether the service that is written has it */
};

static void kept_done(struct settling *settling)
{
	buf_done(&settling->kept_runs);
	array_done(&settling->kept_nodes);
	buf_done(&settling->kept_counts);
	array_done(&settling->kept_values);
}

static void settling_cleanup(struct settling *settling)
{
	free(settling->starts);
	free(settling->placed);
	free(settling->values);
	buf_done(&settling->cells);
	codec_free(settling->codec);
	codec_free(settling->cell_codec);
	tree_done(&settling->tree);
	preorder_done(&settling->preorder);
	activity_done(&settling->activity);
	activity_packer_done(&settling->packer);
	runs_done(&settling->window);
	pool_done(&settling->pairs);
	pool_done(&settling->keys);
	array_done(&settling->pair_keys);
	array_done(&settling->paired);
	kept_done(settling);
	entry_writer_done(&settling->entries);
	shape_writer_done(&settling->shape);
	detail_writer_done(&settling->detail);
	for (unsigned i = 0; i < 3; i++)
		buf_done(&settling->blobs[i]);
	buf_done(&settling->timed);
	buf_done(&settling->block_cells);
	array_done(&settling->occurrences);
	free(settling->local);
	free(settling->marks);
}

static int select_windows(struct settling *settling, const char *sql, sqlite3_stmt **ret)
{
	int err = database_prepare(settling->span->writer, sql, ret);

	if (err)
		return err;
	sqlite3_bind_int64(*ret, 1, settling->row->first_window);
	sqlite3_bind_int64(*ret, 2, settling->row->last_window);
	return 0;
}

static int read_tree(struct settling *settling)
{
	autoclean(statement) sqlite3_stmt *row = NULL;
	uint32_t build_count = catalog_count(&settling->span->live->catalog, CATALOG_BUILD);
	int err = select_windows(
		settling,
		"SELECT locations, nodes FROM window WHERE id BETWEEN ? AND ? ORDER BY id", &row);

	if (!err)
		err = tree_init(&settling->tree);
	while (!err && (err = database_step(row)) > 0) {
		struct str locations = database_column(row, 0);
		struct str nodes = database_column(row, 1);

		err = codec_unpack_locations(settling->codec, locations.text, locations.size,
					     build_count, &settling->tree);
		if (!err)
			err = codec_unpack_nodes(settling->codec, nodes.text, nodes.size,
						 &settling->tree);
	}
	return err;
}

/* What was written of it: an append that failed half way leaves nodes that nobody speaks of. */
static int copy_tree(struct settling *settling, const struct segment *live)
{
	return tree_copy(&live->tree, live->nodes_written, live->locations_written,
			 &settling->tree);
}

/* Its nodes are not looked at any more. */
static int find_preorder(struct settling *settling)
{
	uint32_t text_count = catalog_count(&settling->span->live->catalog, CATALOG_TEXT);
	int err = preorder_find(&settling->tree, text_count, &settling->preorder);
	size_t count = settling->tree.builds.count;

	array_done(&settling->tree.nodes);
	settling->local = pages_alloc((count + 1) * sizeof(settling->local[0]));
	settling->marks = calloc(count / MARK_BITS + 1, sizeof(settling->marks[0]));
	return err ? err : settling->local && settling->marks ? 0 : -ENOMEM;
}

/* ---- occurrences ----------------------------------------------------------------------------- */

static int64_t add_new_pair(struct settling *settling, struct pair pair)
{
	struct catalog_series series = catalog_series(&settling->span->live->catalog, pair.series);
	struct sum_key key = { .type = series.type, .period = series.period };
	int64_t key_number = pool_add(&settling->keys, &key, sizeof(key));

	if (key_number < 0 || array_reserve(&settling->pair_keys, 1) < 0)
		return key_number < 0 ? key_number : -ENOMEM;
	settling->pair_keys.items[settling->pair_keys.count++] = (uint16_t)key_number;
	return 0;
}

static int64_t add_pair(struct settling *settling, const struct run *run)
{
	const struct catalog *catalog = &settling->span->live->catalog;
	struct pair pair = { run->series, run->labels };
	struct paired *paired;
	int64_t number;

	if (pair.series == 0 || pair.series >= catalog_count(catalog, CATALOG_SERIES) ||
	    pair.labels >= catalog_count(catalog, CATALOG_LABELS))
		return -EBADMSG;
	if (array_extend(&settling->paired, pair.labels + 1) < 0)
		return -ENOMEM;
	paired = &settling->paired.items[pair.labels];
	if (paired->series == pair.series)
		return paired->number;
	number = pool_add(&settling->pairs, &pair, sizeof(pair));
	if (number == settling->pair_keys.count) {
		int64_t err = add_new_pair(settling, pair);

		if (err < 0)
			return err == -E2BIG ? -EFBIG : err;
	}
	if (number < 0)
		return number == -E2BIG ? -EFBIG : number;
	*paired = (struct paired){ pair.series, (uint32_t)number };
	return number;
}

static int keep_run(struct settling *settling, const struct run *run, uint32_t first_slice,
		    uint32_t pair)
{
	if (array_reserve(&settling->activity.runs, 1) < 0)
		return -ENOMEM;
	settling->activity.runs.items[settling->activity.runs.count++] =
		(struct activity_run){ .slice = first_slice + run->slice,
				       .pair = pair,
				       .is_valued = run->valued,
				       .samples = run->samples,
				       .kernel_samples = run->kernel_samples,
				       .value = run->value,
				       .kernel_value = run->kernel_value };
	return 0;
}

static int keep_slices(struct settling *settling)
{
	const struct runs *window = &settling->window;

	if (array_reserve(&settling->activity.slices, window->slices.count) < 0)
		return -ENOMEM;
	for (uint32_t i = 0; i < window->slices.count; i++)
		settling->activity.slices.items[settling->activity.slices.count++] =
			window->slices.items[i];
	return 0;
}

static int read_entries(struct settling *settling, const struct run *run,
			struct entry_reader *entries)
{
	int err = 0;

	/* A byte an entry at least. */
	if (run->entry_count > entries->nodes.left)
		return -EBADMSG;
	if (array_reserve(&settling->kept_nodes, run->entry_count) < 0 ||
	    (run->valued && array_reserve(&settling->kept_values, run->entry_count) < 0))
		return -ENOMEM;
	entry_reader_start_list(entries);
	for (uint32_t i = 0; !err && i < run->entry_count; i++) {
		struct entry entry;

		err = entry_reader_next(entries, run->valued, &entry);
		if (!err && entry.node >= settling->preorder.node_count)
			err = -EBADMSG;
		if (!err && entry.count > UINT32_MAX)
			err = -EFBIG;
		if (err)
			break;
		settling->kept_nodes.items[settling->kept_nodes.count++] = entry.node;
		column_put(&settling->kept_counts, entry.count);
		if (run->valued)
			settling->kept_values.items[settling->kept_values.count++] = entry.value;
	}
	return err;
}

static int read_run(struct settling *settling, uint32_t first_slice, const struct run *run,
		    struct entry_reader *entries)
{
	int64_t pair = add_pair(settling, run);
	int err = pair < 0 ? (int)pair : keep_run(settling, run, first_slice, (uint32_t)pair);

	if (err)
		return err;
	column_put(&settling->kept_runs, first_slice + run->slice - settling->kept_slice);
	column_put(&settling->kept_runs, (uint64_t)pair);
	column_put(&settling->kept_runs, (uint64_t)run->entry_count << RUN_BITS |
						 (run->timed ? RUN_TIMED : 0u) |
						 (run->valued ? RUN_VALUED : 0u));
	settling->kept_slice = first_slice + run->slice;
	return read_entries(settling, run, entries);
}

/* Tells the entries' places, and how many there are at each. */
static void count_places(struct settling *settling, uint32_t first)
{
	uint32_t *nodes = settling->kept_nodes.items;
	const uint32_t *places = settling->preorder.places;
	uint32_t count = settling->kept_nodes.count;

	for (uint32_t i = first; i < count; i++) {
		if (i + AHEAD < count)
			__builtin_prefetch(&places[nodes[i + AHEAD]]);
		nodes[i] = places[nodes[i]];
		__builtin_prefetch(&settling->starts[nodes[i] + 2], 1);
	}
	for (uint32_t i = first; i < count; i++)
		settling->starts[nodes[i] + 2]++;
}

static int read_window(struct settling *settling, sqlite3_stmt *row)
{
	struct str runs = database_column(row, 0);
	struct str blob = database_column(row, 1);
	uint32_t first_slice = settling->activity.slices.count;
	uint32_t first_entry = settling->kept_nodes.count;
	struct entry_reader entries;
	int err = codec_unpack_runs(settling->codec, runs.text, runs.size, &settling->window);

	settling->activity.runs.count = 0;
	if (!err)
		err = keep_slices(settling);
	if (!err && sqlite3_column_type(row, 2) != SQLITE_NULL) {
		struct str cells = database_column(row, 2);

		err = codec_unpack_bytes(settling->cell_codec, cells.text, cells.size,
					 &settling->cells);
	}
	if (!err)
		err = codec_unpack_entries(settling->codec, blob.text, blob.size, &entries);
	for (uint32_t i = 0; !err && i < settling->window.runs.count; i++)
		err = read_run(settling, first_slice, &settling->window.runs.items[i], &entries);
	if (err)
		return err;
	if (settling->kept_nodes.count > OCCURRENCE_COUNT_MAX)
		return -EFBIG;
	if (settling->kept_runs.error || settling->kept_counts.error)
		return settling->kept_runs.error ? settling->kept_runs.error
						 : settling->kept_counts.error;
	count_places(settling, first_entry);
	activity_sort(&settling->activity);
	activity_packer_add(&settling->packer, &settling->activity);
	return 0;
}

static int read_windows(struct settling *settling)
{
	autoclean(statement) sqlite3_stmt *row = NULL;
	int err = select_windows(
		settling,
		"SELECT runs, entries, cells FROM window WHERE id BETWEEN ? AND ? ORDER BY id",
		&row);

	while (!err && (err = database_step(row)) > 0)
		err = read_window(settling, row);
	return err;
}

static uint64_t period_of(const struct settling *settling, uint32_t pair)
{
	struct pair item;

	memcpy(&item, pool_get(&settling->pairs, pair).text, sizeof(item));
	return catalog_series(&settling->span->live->catalog, item.series).period;
}

/* What comes next of what was kept. */
struct placing {
	struct bytes runs, counts;
	uint32_t slice, entry, value, cell;
};

/* Brings what the entries need that come soon, also those of the runs that follow. */
static void prefetch_places(const struct settling *settling, uint32_t entry)
{
	const uint32_t *nodes = settling->kept_nodes.items + entry;
	const uint32_t *starts = settling->starts;

	if (entry + AHEAD >= settling->kept_nodes.count)
		return;
	__builtin_prefetch(&starts[nodes[AHEAD] + 1], 1);
	__builtin_prefetch(&settling->placed[starts[nodes[AHEAD / 2] + 1]], 1);
}

static void place_run(struct settling *settling, struct placing *placing)
{
	uint32_t slice = placing->slice += (uint32_t)column_take(&placing->runs);
	uint32_t pair = (uint32_t)column_take(&placing->runs);
	uint64_t flags = column_take(&placing->runs);
	bool is_timed = flags & RUN_TIMED;
	bool has_cells = is_timed && settling->cells.size > 0;
	uint64_t period = settling->values ? period_of(settling, pair) : 0;

	for (uint64_t left = flags >> RUN_BITS; left > 0; left--, placing->entry++) {
		uint32_t count = (uint32_t)column_take(&placing->counts);
		/* Which becomes the end of it, where the next node's begin. */
		uint32_t place = settling->starts[settling->kept_nodes.items[placing->entry] + 1]++;
		uint64_t value = 0;

		prefetch_places(settling, placing->entry);
		settling->placed[place] =
			(struct placed){ .slice = slice,
					 .pair = pair,
					 .count = count,
					 .first_cell = has_cells ? placing->cell : NO_CELLS };
		if (is_timed)
			placing->cell += count;
		if (!settling->values)
			continue;
		if (flags & RUN_VALUED)
			value = settling->kept_values.items[placing->value++];
		else if (__builtin_mul_overflow(count, period, &value))
			value = UINT64_MAX;
		settling->values[place] = value;
	}
}

static int place_all(struct settling *settling)
{
	uint32_t count = settling->preorder.node_count;
	uint32_t sum = 0;
	int err = 0;

	settling->starts = pages_alloc_zeroed((size_t)count + 2, sizeof(settling->starts[0]));
	if (!settling->starts)
		return -ENOMEM;
	err = read_windows(settling);
	if (err)
		return err;
	preorder_forget_places(&settling->preorder);
	for (uint32_t i = 2; i < count + 2; i++) {
		sum += settling->starts[i];
		settling->starts[i] = sum;
	}
	settling->placed = pages_alloc(((size_t)sum + 1) * sizeof(settling->placed[0]));
	if (settling->kept_values.count > 0)
		settling->values = pages_alloc(((size_t)sum + 1) * sizeof(settling->values[0]));
	if (!settling->placed || (settling->kept_values.count > 0 && !settling->values))
		return -ENOMEM;

	struct placing placing = {
		.runs = bytes_from(settling->kept_runs.bytes, settling->kept_runs.size),
		.counts = bytes_from(settling->kept_counts.bytes, settling->kept_counts.size),
	};

	while (placing.runs.left > 0)
		place_run(settling, &placing);
	kept_done(settling);
	return settling->cells.size > 0 && placing.cell != settling->cells.size ? -EBADMSG : 0;
}

/* ---- writing --------------------------------------------------------------------------------- */

/* Those of the service, in their order: by build and address. */
static void add_locations(struct settling *settling, const struct preorder_service *service)
{
	const struct tree *tree = &settling->tree;
	uint64_t *marks = settling->marks;
	uint32_t first = UINT32_MAX, last = 0;

	for (uint32_t i = service->first + 1; i < service->end; i++) {
		uint32_t location = settling->preorder.locations[i];
		uint32_t word = location / MARK_BITS;

		marks[word] |= UINT64_C(1) << location % MARK_BITS;
		first = word < first ? word : first;
		last = word > last ? word : last;
	}
	for (uint32_t word = first; word <= last; word++) {
		for (; marks[word]; marks[word] &= marks[word] - 1) {
			uint32_t location =
				word * MARK_BITS + (uint32_t)__builtin_ctzll(marks[word]);

			settling->local[location] =
				location < TREE_RESERVED_COUNT
					? location
					: shape_add_location(&settling->shape,
							     tree->builds.items[location],
							     tree->addresses.items[location]);
		}
	}
}

static int write_tree(struct settling *settling, const struct preorder_service *service,
		      sqlite3_stmt *insert)
{
	struct buf *blob = &settling->blobs[0];
	int err;

	add_locations(settling, service);
	shape_add_node(&settling->shape, 0, 0);
	for (uint32_t i = service->first + 1; i < service->end; i++)
		shape_add_node(&settling->shape, settling->preorder.ups[i],
			       settling->local[settling->preorder.locations[i]]);
	err = shape_pack(settling->span->codec, &settling->shape, blob);
	if (err)
		return err;
	sqlite3_bind_int64(insert, 1, settling->row->number);
	sqlite3_bind_int64(insert, 2, service->text);
	sqlite3_bind_int64(insert, 3, service->end - service->first);
	database_bind_bytes(insert, 4, blob->bytes, blob->size);
	return database_run(insert);
}

/* Whether it is of the same slice and pair as the one before, as leaves that were lowered are. */
static bool continues(const struct settling *settling, uint32_t first, uint32_t number)
{
	const struct placed *placed = &settling->placed[number];

	return number > first && placed[-1].slice == placed->slice &&
	       placed[-1].pair == placed->pair &&
	       (placed[-1].first_cell == NO_CELLS) == (placed->first_cell == NO_CELLS);
}

/* The occurrences of a node that belong to a key. */
static int gather_occurrences(struct settling *settling, uint32_t node, uint32_t key)
{
	uint32_t first = settling->starts[node];
	uint32_t end = settling->starts[node + 1];

	settling->occurrences.count = 0;
	if (array_reserve(&settling->occurrences, end - first) < 0)
		return -ENOMEM;
	for (uint32_t i = first; i < end; i++) {
		const struct placed *placed = &settling->placed[i];

		if (settling->pair_keys.items[placed->pair] != key)
			continue;
		if (continues(settling, first, i)) {
			struct occurrence *last =
				&settling->occurrences.items[settling->occurrences.count - 1];

			last->count += placed->count;
			if (settling->values)
				last->value = saturated_sum(last->value, settling->values[i]);
		} else {
			settling->occurrences.items[settling->occurrences.count++] =
				(struct occurrence){ placed->slice, placed->pair, placed->count,
						     settling->values ? settling->values[i] : 0 };
			if (settling->cells.size > 0)
				buf_add_u8(&settling->timed, placed->first_cell != NO_CELLS);
		}
		if (settling->cells.size == 0 || placed->first_cell == NO_CELLS)
			continue;
		if (placed->first_cell + (size_t)placed->count > settling->cells.size)
			return -EBADMSG;
		buf_add(&settling->block_cells, settling->cells.bytes + placed->first_cell,
			placed->count);
	}
	return 0;
}

struct block_sums {
	uint32_t entry_count;
	uint64_t samples;
	bool is_valued;
};

/* Whether values must be written: one that is not count × period. */
static bool key_is_valued(const struct settling *settling, const struct preorder_service *service,
			  uint32_t key, uint64_t period)
{
	if (!settling->values)
		return false;
	for (uint32_t i = settling->starts[service->first]; i < settling->starts[service->end];
	     i++) {
		const struct placed *placed = &settling->placed[i];
		uint64_t sampled = 0;

		if (settling->pair_keys.items[placed->pair] == key &&
		    (__builtin_mul_overflow((uint64_t)placed->count, period, &sampled) ||
		     sampled != settling->values[i]))
			return true;
	}
	return false;
}

static int gather_block(struct settling *settling, const struct preorder_service *service,
			uint32_t key, struct block_sums *sums)
{
	int err = 0;

	buf_clear(&settling->timed);
	buf_clear(&settling->block_cells);
	for (uint32_t node = service->first; !err && node < service->end; node++) {
		struct entry entry = { .node = node - service->first };

		if (settling->starts[node] == settling->starts[node + 1])
			continue;
		err = gather_occurrences(settling, node, key);
		if (err || settling->occurrences.count == 0)
			continue;
		for (uint32_t i = 0; i < settling->occurrences.count; i++) {
			entry.count =
				saturated_sum(entry.count, settling->occurrences.items[i].count);
			entry.value =
				saturated_sum(entry.value, settling->occurrences.items[i].value);
		}
		entry_writer_add(&settling->entries, entry, sums->is_valued);
		detail_add(&settling->detail, &entry, settling->occurrences.items,
			   settling->occurrences.count, sums->is_valued);
		sums->entry_count++;
		sums->samples = saturated_sum(sums->samples, entry.count);
	}
	return err;
}

/* A byte an occurrence, whether it has cells, or none when all have; then the cells. */
static int pack_cells(struct settling *settling, struct buf *ret)
{
	struct buf *columns = codec_columns(settling->span->codec, 2);

	if (settling->timed.error || settling->block_cells.error)
		return settling->timed.error ? settling->timed.error : settling->block_cells.error;
	if (memchr(settling->timed.bytes, 0, settling->timed.size))
		buf_add(&columns[0], settling->timed.bytes, settling->timed.size);
	buf_add(&columns[1], settling->block_cells.bytes, settling->block_cells.size);
	return codec_pack_columns(settling->span->codec, 2, ret);
}

static int write_block(struct settling *settling, const struct preorder_service *service,
		       uint32_t key, sqlite3_stmt *insert)
{
	struct codec *codec = settling->span->codec;
	struct buf *blobs = settling->blobs;
	struct sum_key sum_key;
	struct block_sums sums = { 0 };
	bool has_cells = false;

	memcpy(&sum_key, pool_get(&settling->keys, key).text, sizeof(sum_key));
	sums.is_valued = key_is_valued(settling, service, key, sum_key.period);

	int err = gather_block(settling, service, key, &sums);

	if (err || sums.entry_count == 0)
		return err;
	has_cells = settling->block_cells.size > 0;
	err = codec_pack_entries(codec, &settling->entries, &blobs[0]);
	if (!err)
		err = detail_pack(codec, &settling->detail, &blobs[1]);
	if (!err && has_cells)
		err = pack_cells(settling, &blobs[2]);
	if (err)
		return err;
	sqlite3_bind_int64(insert, 1, settling->row->number);
	sqlite3_bind_int64(insert, 2, service->text);
	sqlite3_bind_int64(insert, 3, sum_key.type);
	sqlite3_bind_int64(insert, 4, (int64_t)sum_key.period);
	sqlite3_bind_int64(insert, 5, sums.is_valued);
	sqlite3_bind_int64(insert, 6, (int64_t)sums.samples);
	sqlite3_bind_int64(insert, 7, sums.entry_count);
	database_bind_bytes(insert, 8, blobs[0].bytes, blobs[0].size);
	database_bind_bytes(insert, 9, blobs[1].bytes, blobs[1].size);
	if (has_cells)
		database_bind_bytes(insert, 10, blobs[2].bytes, blobs[2].size);
	else
		sqlite3_bind_null(insert, 10);
	return database_run(insert);
}

/* A service's tree and its blocks stand beside each other: a question for one reads one place. */
static int write_services(struct settling *settling)
{
	autoclean(statement) sqlite3_stmt *insert_tree = NULL;
	autoclean(statement) sqlite3_stmt *insert_block = NULL;
	sqlite3 *writer = settling->span->writer;
	int err = database_prepare(
		writer,
		"INSERT INTO tree (segment, service, node_count, nodes) VALUES (?, ?, ?, ?)",
		&insert_tree);

	if (!err)
		err = database_prepare(
			writer,
			"INSERT INTO block (segment, service, type, period, valued, samples, "
			"entry_count, entries, detail, cells) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, "
			"?)",
			&insert_block);
	if (!err)
		err = detail_writer_init(&settling->detail, pool_count(&settling->pairs));
	for (uint32_t i = 0; !err && i < settling->preorder.services.count; i++) {
		const struct preorder_service *service = &settling->preorder.services.items[i];

		/* An append that failed half way may have left a root and nothing else. */
		if (settling->starts[service->first] == settling->starts[service->end])
			continue;
		err = write_tree(settling, service, insert_tree);
		for (uint32_t key = 0; !err && key < pool_count(&settling->keys); key++)
			err = write_block(settling, service, key, insert_block);
	}
	return err;
}

/* In a file that an earlier program began: it reads nothing of this, and has to know. */
static int raise_version(struct span *span)
{
	char sql[64];

	if (span->version >= SPAN_VERSION)
		return 0;
	snprintf(sql, sizeof(sql), "PRAGMA user_version = %d", SPAN_VERSION);
	return database_execute(span->writer, sql);
}

static int write_segment(struct settling *settling)
{
	autoclean(statement) sqlite3_stmt *insert = NULL;
	autoclean(statement) sqlite3_stmt *delete = NULL;
	const struct segment_row *row = settling->row;
	struct codec *codec = settling->span->codec;
	struct buf *blobs = settling->blobs;
	int err = codec_pack_pairs(codec, (const void *)settling->pairs.bytes,
				   pool_count(&settling->pairs), &blobs[0]);

	if (!err)
		err = activity_packer_pack(&settling->packer, codec, &settling->activity,
					   &blobs[1]);
	if (!err)
		err = database_prepare(
			settling->span->writer,
			"INSERT OR REPLACE INTO segment (id, first_window, last_window, first_ms, "
			"last_ms, end_ms, samples, pairs, runs) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
			&insert);
	if (err)
		return err;
	sqlite3_bind_int64(insert, 1, row->number);
	sqlite3_bind_int64(insert, 2, row->first_window);
	sqlite3_bind_int64(insert, 3, row->last_window);
	sqlite3_bind_int64(insert, 4, row->first_ms);
	sqlite3_bind_int64(insert, 5, row->last_ms);
	sqlite3_bind_int64(insert, 6, row->end_ms);
	sqlite3_bind_int64(insert, 7, (int64_t)row->samples);
	database_bind_bytes(insert, 8, blobs[0].bytes, blobs[0].size);
	database_bind_bytes(insert, 9, blobs[1].bytes, blobs[1].size);
	err = database_run(insert);
	if (!err)
		err = select_windows(settling, "DELETE FROM window WHERE id BETWEEN ? AND ?",
				     &delete);
	return err ? err : database_run(delete);
}

int settle_segment(struct span *span, const struct segment_row *row, const struct segment *live)
{
	autoclean(settling) struct settling settling = {
		.span = span,
		.row = row,
		.kept_runs = BUF(KEPT_SIZE_MAX),
		.kept_counts = BUF(KEPT_SIZE_MAX),
		.cells = BUF(CELL_COUNT_MAX),
		.timed = BUF(COLUMNS_PLAIN_SIZE_MAX / 2),
		.block_cells = BUF(COLUMNS_PLAIN_SIZE_MAX / 2),
	};
	int err = codec_new(&settling.codec);

	activity_packer_init(&settling.packer);
	entry_writer_init(&settling.entries);
	shape_writer_init(&settling.shape);
	for (unsigned i = 0; i < 3; i++)
		settling.blobs[i] = BUF(COLUMNS_PLAIN_SIZE_MAX);
	pool_init(&settling.pairs, PAIR_COUNT_MAX, NULL);
	pool_init(&settling.keys, SEGMENT_KEY_COUNT_MAX, NULL);
	if (!err)
		err = codec_new(&settling.cell_codec);
	if (!err)
		err = live ? copy_tree(&settling, live) : read_tree(&settling);
	if (!err)
		err = leaves_lower(span->leaves, &span->live->catalog, &settling.tree);
	if (!err)
		err = find_preorder(&settling);
	if (!err)
		err = place_all(&settling);
	if (!err)
		err = raise_version(span);
	if (!err)
		err = write_services(&settling);
	return err ? err : write_segment(&settling);
}

uint64_t settle_memory(const struct segment_row *row, const struct segment *live)
{
	uint64_t nodes = row->samples * NODES_PER_SAMPLE;

	if (live)
		nodes = live->tree.nodes.count;
	else if (nodes > TREE_NODE_COUNT_SOFT)
		nodes = TREE_NODE_COUNT_SOFT;
	return nodes * NODE_BYTES + row->samples * SAMPLE_BYTES;
}
