/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>

#include "store/compact.h"

#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>

#include "store/activity.h"
#include "store/anew.h"
#include "store/braid.h"
#include "store/catalog.h"
#include "store/database.h"
#include "store/detail.h"
#include "store/reader.h"
#include "store/segment.h"
#include "store/span.h"
#include "store/store_private.h"
#include "store/word_frames.h"
#include "store/word_map.h"

enum {
	/*
	 * Files are written once and read for years. Trees: 9 takes half as long again for 0.7 %
	 * fewer bytes, 3 a third for 3 % more. Blocks are noise, in which looking harder finds next
	 * to nothing: 9 takes five times as long for as many bytes.
	 */
	LEVEL = 9,
	LEVEL_TREE = 6,
	LEVEL_BLOCK = 1,
	SEGMENT_COUNT_MAX = 4096,
	NONE = UINT32_MAX,
};

/* One segment of the span: where its pairs and slices are now. */
struct part {
	struct segment_row row;
	uint32_t old_pair_count;
	uint32_t pair_count;
	uint32_t slice_count;
	uint32_t *series_pairs; /* by old pair: the new one of its series alone */
	uint32_t *slice_of;	/* by old slice */
};

/* And what goes once it is written: of all segments of some hours it would be as much as all else.
 */
struct part_detail {
	struct pairs old_pairs;
	uint32_t *process_pairs;     /* by old pair: the new one without its thread */
	struct pool pairs;	     /* struct pair, new */
	struct activity activity;    /* its slices, as they were */
	struct activity_reader runs; /* packed, and read twice: half a million would be 24 MB */
};

/* An occurrence in its new place. */
struct item {
	uint32_t node;
	uint32_t slice;
	uint32_t pair;
	uint64_t count;
	uint64_t value;
};

struct compacting {
	const struct compact_options *options;
	struct anew_files files;
	bool is_joined; /* in from, segments share trees already (store/join.h) */
	struct word_map words;
	uint32_t *process_sets; /* of samples, without threads: by old number the new one, + 1 */
	uint32_t build_count;
	struct codec *codec, *detail_codec, *packer;
	ARRAY(struct part) parts;
	struct braid braid;
	ARRAY(uint32_t) strand_of; /* by part: its strand of this service, or NONE */
	struct detail_reader detail;
	ARRAY(struct item) items;
	ARRAY(struct item) kept;   /* of nodes that are still there, which are in order */
	ARRAY(struct item) strays; /* in what was folded, in any order */
	ARRAY(struct occurrence) occurrences;
	uint64_t folded_samples;
	struct buf blobs[3];
};

static void part_done(struct part *part)
{
	free(part->series_pairs);
	free(part->slice_of);
}

static void part_detail_cleanup(struct part_detail *detail)
{
	array_done(&detail->old_pairs.pairs);
	free(detail->process_pairs);
	pool_done(&detail->pairs);
	activity_done(&detail->activity);
}

static void compacting_cleanup(struct compacting *compacting)
{
	anew_close(&compacting->files);
	word_map_done(&compacting->words);
	free(compacting->process_sets);
	codec_free(compacting->codec);
	codec_free(compacting->detail_codec);
	codec_free(compacting->packer);
	for (uint32_t i = 0; i < compacting->parts.count; i++)
		part_done(&compacting->parts.items[i]);
	array_done(&compacting->parts);
	braid_done(&compacting->braid);
	array_done(&compacting->strand_of);
	detail_reader_done(&compacting->detail);
	array_done(&compacting->items);
	array_done(&compacting->kept);
	array_done(&compacting->strays);
	array_done(&compacting->occurrences);
	for (unsigned i = 0; i < 3; i++)
		buf_done(&compacting->blobs[i]);
}

static int check_cancel(const struct compacting *compacting)
{
	atomic_bool *cancel = compacting->options->cancel;

	return cancel && atomic_load(cancel) ? -ECANCELED : 0;
}

/* ---- words: only those that are still used, numbered anew ------------------------------------ */

static bool is_of_thread(struct str name)
{
	return str_equal(name, STR("tid")) || str_equal(name, STR("thread_name")) ||
	       str_equal(name, STR("thread.id")) || str_equal(name, STR("thread.name"));
}

/* Of a sample, without what is said of its thread. */
static int64_t map_process(struct compacting *compacting, uint32_t set)
{
	struct word_map *words = &compacting->words;

	if (set >= catalog_count(&words->from, CATALOG_LABELS))
		return -EBADMSG;
	if (compacting->process_sets[set])
		return compacting->process_sets[set] - 1;

	struct str item = pool_get(&words->from.pools[CATALOG_LABELS], set);
	const uint32_t *pairs = (const void *)item.text;
	size_t count = item.size / sizeof(pairs[0]);
	autofree uint32_t *mapped = calloc(count + 1, sizeof(mapped[0]));
	size_t used = 0;

	if (!mapped)
		return -ENOMEM;
	for (size_t i = 0; i + 1 < count; i += 2) {
		if (is_of_thread(catalog_text(&words->from, pairs[i])))
			continue;

		int64_t name = word_map_text(words, pairs[i]);
		int64_t value = name < 0 ? name : word_map_text(words, pairs[i + 1]);

		if (value < 0)
			return value;
		mapped[used++] = (uint32_t)name;
		mapped[used++] = (uint32_t)value;
	}

	int64_t number = catalog_add(&words->to, CATALOG_LABELS, mapped, used * sizeof(mapped[0]));

	if (number >= 0)
		compacting->process_sets[set] = (uint32_t)number + 1;
	return number;
}

/* Builds and names keep their numbers: the order of locations hangs on them. */
static int copy_builds(struct compacting *compacting)
{
	int64_t number = 0;

	compacting->build_count = catalog_count(&compacting->words.from, CATALOG_BUILD);
	for (uint32_t i = 1; i < compacting->build_count; i++)
		if ((number = word_map_build(&compacting->words, i)) != i)
			return number < 0 ? (int)number : -EBADMSG;
	return 0;
}

static int copy_names(struct compacting *compacting)
{
	uint32_t count = catalog_count(&compacting->words.from, CATALOG_NAME);
	int64_t number = 0;

	for (uint32_t i = 1; i < count; i++)
		if ((number = word_map_name(&compacting->words, i)) != i)
			return number < 0 ? (int)number : -EBADMSG;
	return 0;
}

static int find_joined(struct compacting *compacting)
{
	int64_t number = 0;
	int err = database_number(compacting->files.from,
				  "SELECT value FROM meta WHERE key = 'joined'", &number);

	compacting->is_joined = !err && number != 0;
	return err == -ENODATA ? 0 : err;
}

static int read_words(struct compacting *compacting)
{
	struct word_map *words = &compacting->words;
	int err = word_map_init(words);

	if (!err)
		err = catalog_read_numbered(&words->from, compacting->files.from);
	if (err)
		return err;
	catalog_trim(&words->from);
	err = word_map_start(words);
	compacting->process_sets =
		calloc(catalog_count(&words->from, CATALOG_LABELS), sizeof(uint32_t));
	if (!compacting->process_sets)
		return -ENOMEM;
	if (!err)
		err = copy_builds(compacting);
	return err ? err : copy_names(compacting);
}

/* ---- segments -------------------------------------------------------------------------------- */

static int64_t map_pair(struct compacting *compacting, struct pool *pairs, struct pair old,
			bool with_process)
{
	int64_t series = word_map_series(&compacting->words, old.series);
	int64_t labels = series >= 0 && with_process ? map_process(compacting, old.labels) : 0;
	struct pair pair = { (uint32_t)series, (uint32_t)labels };

	if (series < 0 || labels < 0)
		return series < 0 ? series : labels;
	return pool_add(pairs, &pair, sizeof(pair));
}

static int map_pairs(struct compacting *compacting, struct part *part, struct part_detail *detail)
{
	uint32_t count = part->old_pair_count;

	part->series_pairs = calloc((size_t)count + 1, sizeof(part->series_pairs[0]));
	detail->process_pairs = calloc((size_t)count + 1, sizeof(detail->process_pairs[0]));
	if (!part->series_pairs || !detail->process_pairs)
		return -ENOMEM;
	/* Those of series alone come first, so that they are small numbers. */
	for (int with_process = 0; with_process < 2; with_process++)
		for (uint32_t i = 0; i < count; i++) {
			int64_t number = map_pair(compacting, &detail->pairs,
						  detail->old_pairs.pairs.items[i], with_process);

			if (number < 0)
				return (int)number;
			(with_process ? detail->process_pairs : part->series_pairs)[i] =
				(uint32_t)number;
		}
	part->pair_count = pool_count(&detail->pairs);
	return 0;
}

static int read_part(struct compacting *compacting, sqlite3_stmt *row, struct part *part,
		     struct part_detail *detail)
{
	struct str pairs = database_column(row, 7);
	struct str runs = database_column(row, 8);
	int err = 0;

	*part = (struct part){ .row = { .number = (uint32_t)sqlite3_column_int64(row, 0),
					.first_window = sqlite3_column_int64(row, 1),
					.last_window = sqlite3_column_int64(row, 2),
					.first_ms = sqlite3_column_int64(row, 3),
					.last_ms = sqlite3_column_int64(row, 4),
					.end_ms = sqlite3_column_int64(row, 5),
					.samples = (uint64_t)sqlite3_column_int64(row, 6) } };
	pool_init(&detail->pairs, SEGMENT_SUM_COUNT_MAX, NULL);
	if (sqlite3_column_type(row, 7) == SQLITE_NULL)
		return -EOPNOTSUPP;
	err = codec_unpack_pairs(compacting->codec, pairs.text, pairs.size, &detail->old_pairs);
	part->old_pair_count = detail->old_pairs.pairs.count;
	if (!err)
		err = activity_open(compacting->codec, runs.text, runs.size, part->old_pair_count,
				    &detail->activity, &detail->runs);
	part->slice_count = detail->activity.slices.count;
	return err ? err : map_pairs(compacting, part, detail);
}

/* Who had how much when, in steps of so many ms; ret_places as activity_coarsen() gives them. */
static int pack_activity(struct compacting *compacting, const struct part_detail *detail,
			 int64_t step_ms, const uint32_t *pairs, uint32_t **ret_places,
			 struct activity *coarse, struct buf *ret)
{
	struct activity_reader runs = detail->runs;
	int err = activity_coarsen(&detail->activity, step_ms, false, coarse, ret_places);

	if (!err)
		err = activity_add_read(&runs, *ret_places, pairs, coarse);
	if (!err)
		err = activity_pack(compacting->packer, coarse, ret);
	return err;
}

static int write_part(struct compacting *compacting, struct part *part,
		      const struct part_detail *detail, sqlite3_stmt *insert)
{
	autoclean(activity) struct activity coarse = { 0 };
	autoclean(activity) struct activity minutes = { 0 };
	autofree uint32_t *minute_of = NULL;
	struct buf *blobs = compacting->blobs;
	int err = codec_pack_pairs(compacting->packer, (const void *)detail->pairs.bytes,
				   part->pair_count, &blobs[0]);

	if (!err)
		err = pack_activity(compacting, detail, COMPACT_SLICE_MS, part->series_pairs,
				    &part->slice_of, &coarse, &blobs[1]);
	if (!err)
		err = pack_activity(compacting, detail, COMPACT_MINUTE_MS, detail->process_pairs,
				    &minute_of, &minutes, &blobs[2]);
	if (err)
		return err;

	const struct slice *slices = coarse.slices.items;
	uint32_t count = coarse.slices.count;

	sqlite3_bind_int64(insert, 1, part->row.number);
	sqlite3_bind_int64(insert, 2, part->row.first_window);
	sqlite3_bind_int64(insert, 3, part->row.last_window);
	sqlite3_bind_int64(insert, 4, count ? slices[0].start_ms : part->row.first_ms);
	sqlite3_bind_int64(insert, 5, count ? slices[count - 1].start_ms : part->row.last_ms);
	sqlite3_bind_int64(insert, 6, part->row.end_ms);
	sqlite3_bind_int64(insert, 7, (int64_t)part->row.samples);
	database_bind_bytes(insert, 8, blobs[0].bytes, blobs[0].size);
	database_bind_bytes(insert, 9, blobs[1].bytes, blobs[1].size);
	database_bind_bytes(insert, 10, blobs[2].bytes, blobs[2].size);
	return database_run(insert);
}

static int write_parts(struct compacting *compacting)
{
	autoclean(statement) sqlite3_stmt *row = NULL;
	autoclean(statement) sqlite3_stmt *insert = NULL;
	int err = database_prepare(compacting->files.from,
				   "SELECT id, first_window, last_window, first_ms, last_ms, "
				   "end_ms, samples, pairs, runs FROM segment ORDER BY id",
				   &row);

	if (!err)
		err = database_prepare(compacting->files.to,
				       "INSERT INTO segment VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
				       &insert);
	while (!err && (err = database_step(row)) > 0) {
		autoclean(part_detail) struct part_detail detail = { 0 };
		struct part *part;

		if (compacting->parts.count >= SEGMENT_COUNT_MAX)
			return -EOPNOTSUPP;
		if (array_reserve(&compacting->parts, 1) < 0)
			return -ENOMEM;
		part = &compacting->parts.items[compacting->parts.count++];
		err = read_part(compacting, row, part, &detail);
		if (!err)
			err = write_part(compacting, part, &detail, insert);
	}
	/* Services and types are all that is asked for from here on. */
	word_map_keep_texts(&compacting->words);
	free(compacting->process_sets);
	compacting->process_sets = NULL;
	return err;
}

/* ---- services -------------------------------------------------------------------------------- */

static const char select_tree[] =
	"SELECT segment, nodes FROM tree WHERE segment = ? AND service = ?";
static const char select_shared_tree[] =
	"SELECT segment, nodes FROM tree WHERE segment <= ? AND service = ? "
	"ORDER BY segment DESC LIMIT 1";
static const char select_blocks[] =
	"SELECT type, period, valued, entry_count, entries, detail FROM block "
	"WHERE segment = ? AND service = ? ORDER BY id";

static int add_samples(struct compacting *compacting, struct strand *strand, sqlite3_stmt *row)
{
	bool is_valued = sqlite3_column_int(row, 2) != 0;
	int64_t count = sqlite3_column_int64(row, 3);
	struct str blob = database_column(row, 4);
	struct entry_reader entries;
	int err = codec_unpack_entries(compacting->codec, blob.text, blob.size, &entries);

	for (int64_t i = 0; !err && i < count; i++) {
		struct entry entry;

		err = entry_reader_next(&entries, is_valued, &entry);
		if (!err && entry.node >= strand->reader.node_count)
			err = -EBADMSG;
		if (!err)
			strand_add_samples(strand, entry.node, entry.count);
	}
	return err;
}

/* What a service's blocks of a part say that its tree's nodes weigh. */
static int weigh_strand(struct compacting *compacting, uint32_t number, uint32_t service)
{
	sqlite3_stmt *block = compacting->files.select_blocks;
	struct strand *strand =
		&compacting->braid.strands.items[compacting->strand_of.items[number]];
	int err = 0;

	sqlite3_reset(block);
	sqlite3_bind_int64(block, 1, compacting->parts.items[number].row.number);
	sqlite3_bind_int64(block, 2, service);
	while (!err && (err = database_step(block)) > 0)
		err = add_samples(compacting, strand, block);
	return err;
}

/* Its strand of this service: of a joined file several parts have the same. */
static int find_strand(struct compacting *compacting, uint32_t number, uint32_t service,
		       int64_t *last_tree)
{
	sqlite3_stmt *tree = compacting->files.select_tree;
	struct braid *braid = &compacting->braid;
	struct strand *strand = NULL;
	int err;

	compacting->strand_of.items[number] = NONE;
	sqlite3_reset(tree);
	sqlite3_bind_int64(tree, 1, compacting->parts.items[number].row.number);
	sqlite3_bind_int64(tree, 2, service);
	err = database_step(tree);
	if (err <= 0)
		return err;
	if (sqlite3_column_int64(tree, 0) == *last_tree) {
		compacting->strand_of.items[number] = braid->strands.count - 1;
		return 0;
	}
	*last_tree = sqlite3_column_int64(tree, 0);
	compacting->strand_of.items[number] = braid->strands.count;

	struct str blob = database_column(tree, 1);

	return braid_add(braid, blob.text, blob.size, compacting->build_count, &strand);
}

/* The trees of one service in all segments, with what they weigh. */
static int read_strands(struct compacting *compacting, uint32_t service)
{
	int64_t last_tree = -1;
	int err = database_prepare_once(compacting->files.from,
					compacting->is_joined ? select_shared_tree : select_tree,
					&compacting->files.select_tree);

	if (!err)
		err = database_prepare_once(compacting->files.from, select_blocks,
					    &compacting->files.select_blocks);
	braid_clear(&compacting->braid);
	for (uint32_t i = 0; !err && i < compacting->parts.count; i++) {
		err = find_strand(compacting, i, service, &last_tree);
		if (!err && compacting->strand_of.items[i] != NONE)
			err = weigh_strand(compacting, i, service);
	}
	return err;
}

static int compare_items(const void *a, const void *b)
{
	const struct item *x = a;
	const struct item *y = b;

	if (x->node != y->node)
		return x->node < y->node ? -1 : 1;
	if (x->slice != y->slice)
		return x->slice < y->slice ? -1 : 1;
	return (x->pair > y->pair) - (x->pair < y->pair);
}

static int add_item(struct compacting *compacting, struct item item, bool is_stray)
{
	if (array_reserve(&compacting->strays, 1) < 0 || array_reserve(&compacting->kept, 1) < 0)
		return -ENOMEM;
	if (is_stray)
		compacting->strays.items[compacting->strays.count++] = item;
	else
		compacting->kept.items[compacting->kept.count++] = item;
	return 0;
}

/* Those of one node: slices ascend, but several pairs may have become one slice's. */
static void sort_kept(struct compacting *compacting, uint32_t first)
{
	struct item *items = compacting->kept.items;
	uint32_t count = compacting->kept.count;

	for (uint32_t i = first + 1; i < count; i++)
		if (compare_items(&items[i - 1], &items[i]) > 0) {
			qsort(items + first, count - first, sizeof(items[0]), compare_items);
			break;
		}
}

static int map_entry(struct compacting *compacting, const struct part *part,
		     const struct strand *strand, const struct entry *entry, bool is_valued)
{
	struct occurrence occurrence;
	uint32_t first = compacting->kept.count;
	int more = 0;

	if (entry->node >= strand->reader.node_count)
		return -EBADMSG;

	uint32_t node = strand->numbers[entry->node];
	bool is_folded = compacting->braid.nodes.items[node].location == TREE_FOLDED;
	/* A strand's nodes keep their order in the braid, unless the file is damaged. */
	bool is_stray = is_folded || (first && compacting->kept.items[first - 1].node >= node);

	if (is_folded)
		compacting->folded_samples =
			saturated_sum(compacting->folded_samples, entry->count);
	more = detail_start_entry(&compacting->detail, entry);
	while (!more && (more = detail_next(&compacting->detail, is_valued, &occurrence)) > 0) {
		if (occurrence.slice >= part->slice_count)
			return -EBADMSG;
		more = add_item(compacting,
				(struct item){ .node = node,
					       .slice = part->slice_of[occurrence.slice],
					       .pair = part->series_pairs[occurrence.pair],
					       .count = occurrence.count,
					       .value = occurrence.value },
				is_stray);
	}
	sort_kept(compacting, first);
	return more;
}

/* Both in order become one: to sort all of them would take ten times as long. */
static int join_items(struct compacting *compacting)
{
	uint32_t kept_count = compacting->kept.count;
	uint32_t stray_count = compacting->strays.count;
	const struct item *kept = compacting->kept.items;
	const struct item *strays = compacting->strays.items;

	if (stray_count)
		qsort(compacting->strays.items, stray_count, sizeof(strays[0]), compare_items);
	if (array_reserve(&compacting->items, (size_t)kept_count + stray_count) < 0)
		return -ENOMEM;
	for (uint32_t i = 0, k = 0; i < kept_count || k < stray_count;) {
		bool takes_stray = i == kept_count ||
				   (k < stray_count && compare_items(&strays[k], &kept[i]) < 0);

		compacting->items.items[compacting->items.count++] =
			takes_stray ? strays[k++] : kept[i++];
	}
	return 0;
}

static int read_items(struct compacting *compacting, const struct part *part,
		      const struct strand *strand, sqlite3_stmt *row)
{
	bool is_valued = sqlite3_column_int(row, 2) != 0;
	int64_t count = sqlite3_column_int64(row, 3);
	struct str entries_blob = database_column(row, 4);
	struct str detail_blob = database_column(row, 5);
	struct entry_reader entries;
	int err = codec_unpack_entries(compacting->codec, entries_blob.text, entries_blob.size,
				       &entries);

	if (!err)
		err = detail_unpack(compacting->detail_codec, detail_blob.text, detail_blob.size,
				    part->old_pair_count, &compacting->detail);
	compacting->items.count = compacting->kept.count = compacting->strays.count = 0;
	for (int64_t i = 0; !err && i < count; i++) {
		struct entry entry;

		err = entry_reader_next(&entries, is_valued, &entry);
		if (!err)
			err = map_entry(compacting, part, strand, &entry, is_valued);
	}
	return err ? err : join_items(compacting);
}

/* The items of one node, from *next on, as occurrences: equal slices and pairs are one. */
static int gather_node(struct compacting *compacting, uint32_t *next, struct entry *ret)
{
	const struct item *items = compacting->items.items;
	struct occurrence *last = NULL;

	*ret = (struct entry){ .node = items[*next].node };
	compacting->occurrences.count = 0;
	for (; *next < compacting->items.count && items[*next].node == ret->node; (*next)++) {
		const struct item *item = &items[*next];

		ret->count = saturated_sum(ret->count, item->count);
		ret->value = saturated_sum(ret->value, item->value);
		if (last && last->slice == item->slice && last->pair == item->pair) {
			last->count = saturated_sum(last->count, item->count);
			last->value = saturated_sum(last->value, item->value);
			continue;
		}
		if (array_reserve(&compacting->occurrences, 1) < 0)
			return -ENOMEM;
		last = &compacting->occurrences.items[compacting->occurrences.count++];
		*last = (struct occurrence){ item->slice, item->pair, item->count, item->value };
	}
	return 0;
}

static int pack_items(struct compacting *compacting, const struct part *part, bool is_valued,
		      uint32_t *ret_count)
{
	struct entry_writer entries;
	struct detail_writer detail;
	uint32_t next = 0;
	int err = detail_writer_init(&detail, part->pair_count);

	entry_writer_init(&entries);
	*ret_count = 0;
	while (!err && next < compacting->items.count) {
		struct entry entry;

		err = gather_node(compacting, &next, &entry);
		if (err)
			break;
		entry_writer_add(&entries, entry, is_valued);
		detail_add(&detail, &entry, compacting->occurrences.items,
			   compacting->occurrences.count, is_valued);
		(*ret_count)++;
	}
	codec_set_level(compacting->packer, LEVEL_BLOCK);
	if (!err)
		err = codec_pack_entries(compacting->packer, &entries, &compacting->blobs[0]);
	if (!err)
		err = detail_pack(compacting->packer, &detail, &compacting->blobs[1]);
	entry_writer_done(&entries);
	detail_writer_done(&detail);
	return err;
}

static int write_block(struct compacting *compacting, uint32_t number, uint32_t service,
		       sqlite3_stmt *row, sqlite3_stmt *insert)
{
	const struct part *part = &compacting->parts.items[number];
	const struct strand *strand =
		&compacting->braid.strands.items[compacting->strand_of.items[number]];
	bool is_valued = sqlite3_column_int(row, 2) != 0;
	int64_t type = word_map_text(&compacting->words, (uint32_t)sqlite3_column_int64(row, 0));
	uint64_t samples = 0;
	uint32_t count = 0;
	int err = type < 0 ? (int)type : 0;

	if (!err)
		err = read_items(compacting, part, strand, row);
	if (!err)
		err = pack_items(compacting, part, is_valued, &count);
	if (err)
		return err;
	for (uint32_t i = 0; i < compacting->items.count; i++)
		samples = saturated_sum(samples, compacting->items.items[i].count);
	sqlite3_bind_int64(insert, 1, part->row.number);
	sqlite3_bind_int64(insert, 2, service);
	sqlite3_bind_int64(insert, 3, type);
	sqlite3_bind_int64(insert, 4, sqlite3_column_int64(row, 1));
	sqlite3_bind_int64(insert, 5, is_valued);
	sqlite3_bind_int64(insert, 6, (int64_t)samples);
	sqlite3_bind_int64(insert, 7, count);
	database_bind_bytes(insert, 8, compacting->blobs[0].bytes, compacting->blobs[0].size);
	database_bind_bytes(insert, 9, compacting->blobs[1].bytes, compacting->blobs[1].size);
	return database_run(insert);
}

static int write_blocks(struct compacting *compacting, uint32_t old_service, uint32_t service)
{
	sqlite3_stmt *row;
	int err = database_prepare_once(compacting->files.from, select_blocks,
					&compacting->files.select_blocks);

	if (!err)
		err = database_prepare_once(
			compacting->files.to,
			"INSERT INTO block (segment, service, type, period, valued, samples, "
			"entry_count, entries, detail) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
			&compacting->files.insert_block);
	row = compacting->files.select_blocks;
	for (uint32_t i = 0; !err && i < compacting->parts.count; i++) {
		if (compacting->strand_of.items[i] == NONE)
			continue;
		sqlite3_reset(row);
		sqlite3_bind_int64(row, 1, compacting->parts.items[i].row.number);
		sqlite3_bind_int64(row, 2, old_service);
		while (!err && (err = database_step(row)) > 0)
			err = write_block(compacting, i, service, row,
					  compacting->files.insert_block);
	}
	return err;
}

static int write_tree(struct compacting *compacting, uint32_t service)
{
	struct buf *blob = &compacting->blobs[0];
	sqlite3_stmt *insert;
	int err;

	codec_set_level(compacting->packer, LEVEL_TREE);
	err = braid_pack(&compacting->braid, compacting->packer, blob);
	if (!err)
		err = database_prepare_once(compacting->files.to,
					    "INSERT INTO tree (segment, service, node_count, "
					    "nodes) VALUES (0, ?, ?, ?)",
					    &compacting->files.insert_tree);
	if (err)
		return err;
	insert = compacting->files.insert_tree;
	sqlite3_bind_int64(insert, 1, service);
	sqlite3_bind_int64(insert, 2, compacting->braid.nodes.count);
	database_bind_bytes(insert, 3, blob->bytes, blob->size);
	return database_run(insert);
}

/* A service at a time, its tree and its blocks beside each other. */
static int write_services(struct compacting *compacting)
{
	autoclean(statement) sqlite3_stmt *row = NULL;
	int err = database_prepare(compacting->files.from,
				   "SELECT DISTINCT service FROM tree ORDER BY service", &row);

	if (!err)
		err = array_reserve(&compacting->strand_of, compacting->parts.count);
	while (!err && (err = database_step(row)) > 0) {
		uint32_t old_service = (uint32_t)sqlite3_column_int64(row, 0);
		int64_t service = word_map_text(&compacting->words, old_service);

		err = service < 0 ? (int)service : check_cancel(compacting);
		if (!err)
			err = read_strands(compacting, old_service);
		if (!err)
			err = braid_weave(&compacting->braid, compacting->options->fold);
		if (!err)
			err = write_tree(compacting, (uint32_t)service);
		if (!err)
			err = write_blocks(compacting, old_service, (uint32_t)service);
	}
	return err;
}

/* ---- the file -------------------------------------------------------------------------------- */

static int write_meta(struct compacting *compacting)
{
	autoclean(buf) struct buf sql = BUF(1024);
	int err = anew_copy_rows(
		compacting->files.from, compacting->files.to,
		"SELECT key, value FROM meta WHERE key NOT IN ('finished', 'joined')",
		"INSERT INTO meta VALUES (?, ?)");

	if (!err)
		err = anew_copy_sides(compacting->files.from, compacting->files.to);
	if (!err)
		err = span_note_nodes(compacting->files.to);
	if (err)
		return err;
	buf_printf(&sql,
		   "INSERT INTO meta VALUES ('compact', 1), ('fold', %u), ('folded', %" PRIu64
		   "), ('finished', %" PRId64 ")",
		   compacting->options->fold, compacting->folded_samples & INT64_MAX,
		   compacting->options->finished_ms);
	buf_add_u8(&sql, 0);
	return sql.error ? sql.error
			 : database_execute(compacting->files.to, (const char *)sql.bytes);
}

static int write_words(struct compacting *compacting)
{
	const struct catalog *words = &compacting->words.to;
	uint32_t written[CATALOG_KIND_COUNT];

	/* Number 0 of each is there without being written. */
	for (int kind = 0; kind < CATALOG_KIND_COUNT; kind++)
		written[kind] = 1;
	written[CATALOG_TEXT] = catalog_count(words, CATALOG_TEXT);
	written[CATALOG_LABELS] = catalog_count(words, CATALOG_LABELS);

	codec_set_level(compacting->packer, LEVEL);

	int err = word_frames_write(words, compacting->packer, compacting->files.to);

	return err ? err : catalog_write(words, written, compacting->files.to);
}

static int write_all(struct compacting *compacting)
{
	int err = find_joined(compacting);

	if (!err)
		err = read_words(compacting);
	if (!err)
		err = write_parts(compacting);
	if (!err)
		err = write_services(compacting);
	if (!err)
		err = write_words(compacting);
	if (!err)
		err = write_meta(compacting);
	return err ? err : database_execute(compacting->files.to, "COMMIT");
}

int compact_span(const struct compact_options *options)
{
	autoclean(compacting) struct compacting compacting = { .options = options };
	int err = codec_new(&compacting.codec);

	for (unsigned i = 0; i < 3; i++)
		compacting.blobs[i] = BUF(COLUMNS_PLAIN_SIZE_MAX);
	if (!err)
		err = codec_new(&compacting.detail_codec);
	if (!err)
		err = codec_new(&compacting.packer);
	if (err)
		return err;
	codec_set_level(compacting.packer, LEVEL);
	err = database_open(options->from, DATABASE_IMMUTABLE, &compacting.files.from);
	if (!err)
		err = anew_create(options->to, store_schema_span, ANEW_PAGE_SIZE,
				  &compacting.files.to);
	if (!err)
		err = write_all(&compacting);
	anew_close(&compacting.files);
	return err ? err : anew_sync(options->to);
}
