/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <zstd.h>

#include "store/activity.h"
#include "store/columns.h"
#include "store/database.h"
#include "store/detail.h"
#include "store/shape.h"
#include "store/word_frames.h"

struct fixture {
	struct codec *codec;
	struct buf blob;
};

static int set_up(void **state)
{
	static struct fixture fixture;

	fixture = (struct fixture){ .blob = BUF(COLUMNS_PLAIN_SIZE_MAX) };
	*state = &fixture;
	return codec_new(&fixture.codec);
}

static int tear_down(void **state)
{
	struct fixture *fixture = *state;

	codec_free(fixture->codec);
	buf_done(&fixture->blob);
	return 0;
}

/* A blob as somebody else would make it: a frame with these plain bytes. */
static void forge(struct fixture *fixture, const void *plain, size_t size)
{
	buf_clear(&fixture->blob);

	void *room = buf_grow(&fixture->blob, ZSTD_compressBound(size));
	size_t packed = ZSTD_compress(room, fixture->blob.size, plain, size, 1);

	assert_false(ZSTD_isError(packed));
	fixture->blob.size = packed;
}

static void runs_come_back(void **state)
{
	struct fixture *fixture = *state;
	struct slice slices[] = { { INT64_C(1700000000000), INT64_C(1700000001000) },
				  { INT64_C(1699999999000), INT64_C(1700000003000) } };
	struct run list[] = {
		{ .slice = 0,
		  .series = 9,
		  .labels = 4000000000,
		  .entry_count = 3,
		  .samples = 7,
		  .kernel_samples = 2,
		  .timed = true },
		{ .slice = 0, .series = 1, .labels = 0, .entry_count = 0 },
		{ .slice = 1,
		  .series = 2,
		  .labels = 1,
		  .entry_count = 1,
		  .samples = UINT64_MAX,
		  .kernel_samples = UINT64_MAX,
		  .valued = true,
		  .value = UINT64_MAX,
		  .kernel_value = 1 },
	};
	struct runs runs = { .slices = { slices, 2, 2 }, .runs = { list, 3, 3 } };
	autoclean(runs) struct runs again = { 0 };

	assert_int_equal(codec_pack_runs(fixture->codec, &runs, &fixture->blob), 0);
	/* Twice, into the same memory. */
	for (int i = 0; i < 2; i++)
		assert_int_equal(codec_unpack_runs(fixture->codec, fixture->blob.bytes,
						   fixture->blob.size, &again),
				 0);
	assert_int_equal(again.slices.count, 2);
	assert_memory_equal(again.slices.items, slices, sizeof(slices));
	assert_int_equal(again.runs.count, 3);
	for (int i = 0; i < 3; i++) {
		const struct run *run = &again.runs.items[i];

		assert_int_equal(run->slice, list[i].slice);
		assert_int_equal(run->series, list[i].series);
		assert_int_equal(run->labels, list[i].labels);
		assert_int_equal(run->entry_count, list[i].entry_count);
		assert_int_equal(run->samples, list[i].samples);
		assert_int_equal(run->kernel_samples, list[i].kernel_samples);
		assert_int_equal(run->timed, list[i].timed);
		assert_int_equal(run->valued, list[i].valued);
		assert_int_equal(run->value, list[i].value);
		assert_int_equal(run->kernel_value, list[i].kernel_value);
	}
}

static void assert_same(const struct entry *a, const struct entry *b)
{
	assert_int_equal(a->node, b->node);
	assert_int_equal(a->count, b->count);
	assert_int_equal(a->value, b->value);
}

static void entries_come_back_list_by_list(void **state)
{
	struct fixture *fixture = *state;
	const struct entry entries[] = {
		{ 0, 1, 0 }, { 0, UINT64_MAX, 0 }, { UINT32_MAX, 300, 0 }, { 5, 1, UINT64_MAX }
	};
	struct entry_writer writer;
	struct entry_reader reader;
	struct entry entry;

	entry_writer_init(&writer);
	for (int i = 0; i < 3; i++)
		entry_writer_add(&writer, entries[i], false);
	entry_writer_start_list(&writer);
	entry_writer_add(&writer, entries[3], true);
	assert_int_equal(codec_pack_entries(fixture->codec, &writer, &fixture->blob), 0);
	entry_writer_done(&writer);

	for (int skip = 0; skip < 2; skip++) {
		assert_int_equal(codec_unpack_entries(fixture->codec, fixture->blob.bytes,
						      fixture->blob.size, &reader),
				 0);
		if (skip)
			assert_int_equal(entry_reader_skip(&reader, 3, false), 0);
		for (int i = 0; i < 3 && !skip; i++) {
			assert_int_equal(entry_reader_next(&reader, false, &entry), 0);
			assert_same(&entry, &entries[i]);
		}
		entry_reader_start_list(&reader);
		assert_int_equal(entry_reader_next(&reader, true, &entry), 0);
		assert_same(&entry, &entries[3]);
		assert_int_equal(entry_reader_next(&reader, false, &entry), -EBADMSG);
	}
}

static void make_tree(struct tree *tree)
{
	assert_int_equal(tree_init(tree), 0);
	assert_int_equal(tree_add_location(tree, 1, UINT64_MAX), TREE_RESERVED_COUNT);
	assert_int_equal(tree_add_location(tree, 2, 0), TREE_RESERVED_COUNT + 1);
	assert_int_equal(tree_add_node(tree, TREE_NO_PARENT, 77), 0);
	assert_int_equal(tree_add_node(tree, 0, TREE_CALLERS_MISSING), 1);
	assert_int_equal(tree_add_node(tree, 1, TREE_RESERVED_COUNT + 1), 2);
	assert_int_equal(tree_add_node(tree, TREE_NO_PARENT, 4), 3);
	assert_int_equal(tree_add_location(tree, TREE_BUILD_NAMED, 5), TREE_RESERVED_COUNT + 2);
	assert_int_equal(tree_add_node(tree, 0, TREE_RESERVED_COUNT + 2), 4);
}

/* In two pieces, as windows bring them. */
static void trees_come_back_in_pieces(void **state)
{
	struct fixture *fixture = *state;
	autoclean(buf) struct buf more = BUF(COLUMNS_PLAIN_SIZE_MAX);
	struct tree tree, again;
	uint32_t first_nodes[] = { 0, 3 };
	uint32_t first_locations[] = { TREE_RESERVED_COUNT, TREE_RESERVED_COUNT + 2 };

	make_tree(&tree);
	assert_int_equal(tree_init(&again), 0);
	for (int i = 0; i < 2; i++) {
		struct tree part = tree;

		part.builds.count = part.addresses.count =
			i ? tree.builds.count : first_locations[1];
		part.nodes.count = i ? 5 : 3;
		assert_int_equal(
			codec_pack_locations(fixture->codec, &part, first_locations[i], &more), 0);
		assert_int_equal(
			codec_pack_nodes(fixture->codec, &part, first_nodes[i], &fixture->blob), 0);
		assert_int_equal(
			codec_unpack_locations(fixture->codec, more.bytes, more.size, 3, &again),
			0);
		assert_int_equal(codec_unpack_nodes(fixture->codec, fixture->blob.bytes,
						    fixture->blob.size, &again),
				 0);
	}
	assert_int_equal(again.nodes.count, 5);
	assert_memory_equal(again.nodes.items, tree.nodes.items, 5 * sizeof(struct tree_node));
	assert_int_equal(again.addresses.count, tree.addresses.count);
	assert_memory_equal(again.addresses.items, tree.addresses.items,
			    tree.addresses.count * sizeof(uint64_t));
	assert_memory_equal(again.builds.items, tree.builds.items,
			    tree.builds.count * sizeof(uint32_t));
	/* The second piece does not follow on itself, nor do builds exist that the file lacks. */
	assert_int_equal(
		codec_unpack_nodes(fixture->codec, fixture->blob.bytes, fixture->blob.size, &again),
		-EBADMSG);
	tree_done(&again);
	assert_int_equal(codec_pack_locations(fixture->codec, &tree, TREE_RESERVED_COUNT, &more),
			 0);
	assert_int_equal(tree_init(&again), 0);
	assert_int_equal(codec_unpack_locations(fixture->codec, more.bytes, more.size, 2, &again),
			 -EBADMSG);
	tree_done(&again);
	/* More are promised than there are. */
	assert_int_equal(tree_init(&again), 0);

	struct buf *columns = codec_columns(fixture->codec, 2);

	column_put(&columns[0], again.builds.count);
	column_put(&columns[0], 5);
	buf_clear(&more);
	assert_int_equal(codec_pack_columns(fixture->codec, 2, &more), 0);
	assert_int_equal(codec_unpack_locations(fixture->codec, more.bytes, more.size, 3, &again),
			 -EBADMSG);
	tree_done(&again);
	tree_done(&tree);
}

/* service -> a -> b, then up to the service: c -> folded, callers missing -> a */
static void pack_shape(struct fixture *fixture)
{
	struct shape_writer writer;

	shape_writer_init(&writer);

	uint32_t a = shape_add_location(&writer, TREE_BUILD_NAMED, 7);
	uint32_t b = shape_add_location(&writer, 2, 0x1000);
	uint32_t c = shape_add_location(&writer, 2, UINT64_MAX);

	shape_add_node(&writer, 0, 0);
	shape_add_node(&writer, 0, a);
	shape_add_node(&writer, 0, b);
	shape_add_node(&writer, 2, c);
	shape_add_node(&writer, 0, TREE_FOLDED);
	shape_add_node(&writer, 2, TREE_CALLERS_MISSING);
	shape_add_node(&writer, 0, a);
	assert_int_equal(shape_pack(fixture->codec, &writer, &fixture->blob), 0);
	assert_int_equal(writer.node_count, 0);
	shape_writer_done(&writer);
}

static void shapes_come_back_one_after_the_other(void **state)
{
	struct fixture *fixture = *state;
	const uint32_t parents[] = { 0, 0, 1, 0, 3, 0, 5 };
	const uint64_t addresses[] = { 7, 0x1000, UINT64_MAX };
	struct tree tree;
	uint32_t first = 0;

	pack_shape(fixture);
	assert_int_equal(tree_init(&tree), 0);
	for (uint32_t k = 0; k < 3; k++) {
		uint32_t base = k * 3;
		const uint32_t locations[] = { 40 + k,	 2 + base,    3 + base,
					       4 + base, TREE_FOLDED, TREE_CALLERS_MISSING,
					       2 + base };

		assert_int_equal(shape_unpack(fixture->codec, fixture->blob.bytes,
					      fixture->blob.size, 3, 40 + k, &tree, &first),
				 0);
		assert_int_equal(first, 7 * k);
		assert_int_equal(tree.nodes.count, first + 7);
		for (uint32_t i = 0; i < 7; i++) {
			struct tree_node node = tree.nodes.items[first + i];

			assert_int_equal(node.parent, i ? first + parents[i] : TREE_NO_PARENT);
			assert_int_equal(node.location, locations[i]);
		}
		for (uint32_t i = 0; i < 3; i++) {
			assert_int_equal(tree.addresses.items[2 + base + i], addresses[i]);
			assert_int_equal(tree.builds.items[2 + base + i], i ? 2 : 0);
		}
	}
	/* Its builds are not those of this file. */
	assert_int_equal(shape_unpack(fixture->codec, fixture->blob.bytes, fixture->blob.size, 2, 1,
				      &tree, &first),
			 -EBADMSG);
	tree_done(&tree);
}

static void shapes_that_are_none_are_refused(void **state)
{
	/* Sizes of five columns, then: counts, builds, addresses, ups, locations. */
	static const uint8_t cases[][16] = {
		{ 1, 2, 0, 0, 0, 0, 0, 0 },		/* no root */
		{ 1, 2, 0, 0, 1, 1, 0, 1, 1, 0 },	/* a root with an up */
		{ 1, 2, 0, 0, 2, 2, 0, 2, 0, 1, 0, 0 }, /* two roots */
		{ 1, 2, 0, 0, 2, 2, 0, 2, 0, 9, 0, 0 }, /* up beyond the root */
		{ 1, 2, 0, 0, 2, 2, 0, 2, 0, 0, 0, 2 }, /* a location that is not there */
		{ 1, 2, 1, 1, 1, 1, 1, 1, 3, 0, 0, 0 }, /* nor is the build */
		{ 1, 2, 1, 1, 1, 1, 9, 1, 0, 0, 0, 0 }, /* fewer than it says */
		{ 1, 2, 0, 0, 2, 1, 0, 2, 0, 0, 0 },	/* a column is too short */
		{ 1, 3, 0, 0, 1, 1, 0, 1, 0, 0, 0 },	/* something is left */
	};
	static const size_t sizes[] = { 8, 10, 12, 12, 12, 12, 12, 11, 11 };
	struct fixture *fixture = *state;

	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		struct tree tree;
		uint32_t first = 99;

		assert_int_equal(tree_init(&tree), 0);
		forge(fixture, cases[i], sizes[i]);
		assert_int_equal(shape_unpack(fixture->codec, fixture->blob.bytes,
					      fixture->blob.size, 3, 1, &tree, &first),
				 -EBADMSG);
		assert_int_equal(first, 99);
		tree_done(&tree);
	}
}

/* What blocks of details are made of, a list an entry. */
struct detail_case {
	struct occurrence occurrences[4];
	uint32_t count;
	struct entry entry; /* their sum */
};

/* One of one sample; of many at one time; as many occurrences as samples; fewer; the last of many.
 */
static const struct detail_case common_details[] = {
	{ { { 3, 70, 1, 50 } }, 1, { 0, 1, 50 } },
	{ { { 3, 70, 5, 50 } }, 1, { 4, 5, 50 } },
	{ { { 0, 2, 1, 0 }, { 0, 70, 1, 1 }, { 599, 2, 1, 7 } }, 3, { 5, 3, 8 } },
	{ { { 0, 2, 1, 0 }, { 0, 70, 300, 1 }, { 599, 2, 1, 7 } }, 3, { 9, 302, 8 } },
	{ { { 7, 2, 1, 3 }, { 7, 70, UINT64_MAX - 1, 4 } }, 2, { 10, UINT64_MAX, 7 } },
	{ { { 2, 0, 2, 9 }, { 3, 0, 2, 9 } }, 2, { 11, 4, 18 } },
};

/* Without a sample, or with more than can be counted. */
static const struct detail_case rare_details[] = {
	{ { { 3, 70, 1, 50 } }, 1, { 0, 1, 50 } },
	{ { { 0, 2, 0, 5 }, { 0, 70, 1, 1 } }, 2, { 5, 1, 6 } },
	{ { { 0, 2, 0, 5 } }, 1, { 6, 0, 5 } },
	{ { { 0, 2, 1, 0 }, { 0, 70, UINT64_MAX, 1 }, { 599, 2, 1, UINT64_MAX - 1 } },
	  3,
	  { 7, UINT64_MAX, UINT64_MAX } },
};

static void assert_occurrence(const struct occurrence *found, const struct occurrence *wanted,
			      bool is_valued)
{
	assert_int_equal(found->slice, wanted->slice);
	assert_int_equal(found->pair, wanted->pair);
	assert_int_equal(found->count, wanted->count);
	assert_int_equal(found->value, is_valued ? wanted->value : 0);
}

static void assert_details_come_back(struct fixture *fixture, const struct detail_case *cases,
				     size_t case_count, bool is_valued)
{
	struct detail_writer writer;
	struct detail_reader reader = { .left = 0 };
	struct occurrence found;

	assert_int_equal(detail_writer_init(&writer, 71), 0);
	/* What another block had is forgotten. */
	for (int round = 0; round < 2; round++) {
		for (size_t i = 0; i < case_count; i++)
			detail_add(&writer, &cases[i].entry, cases[i].occurrences, cases[i].count,
				   is_valued);
		assert_int_equal(detail_pack(fixture->codec, &writer, &fixture->blob), 0);
	}
	detail_writer_done(&writer);
	assert_int_equal(
		detail_unpack(fixture->codec, fixture->blob.bytes, fixture->blob.size, 70, &reader),
		-EBADMSG);
	assert_int_equal(
		detail_unpack(fixture->codec, fixture->blob.bytes, fixture->blob.size, 71, &reader),
		0);
	for (size_t i = 0; i < case_count; i++) {
		struct entry entry = cases[i].entry;

		entry.value = is_valued ? entry.value : 0;
		assert_int_equal(detail_start_entry(&reader, &entry), 0);
		for (uint32_t k = 0; k < cases[i].count; k++) {
			assert_int_equal(detail_next(&reader, is_valued, &found), 1);
			assert_occurrence(&found, &cases[i].occurrences[k], is_valued);
		}
		assert_int_equal(detail_next(&reader, is_valued, &found), 0);
	}
	assert_int_equal(detail_start_entry(&reader, &(struct entry){ 20, 1, 1 }), -EBADMSG);
	detail_reader_done(&reader);
}

static void details_come_back_entry_by_entry(void **state)
{
	struct fixture *fixture = *state;

	for (int is_valued = 0; is_valued < 2; is_valued++) {
		assert_details_come_back(fixture, common_details,
					 sizeof(common_details) / sizeof(common_details[0]),
					 is_valued);
		assert_details_come_back(fixture, rare_details,
					 sizeof(rare_details) / sizeof(rare_details[0]), is_valued);
	}
}

/* Packs details of one entry by the shorter way: its number, and the counts that it has. */
static void forge_detail(struct fixture *fixture, uint64_t number, uint64_t count)
{
	struct buf *columns = codec_columns(fixture->codec, 6);

	column_put(&columns[0], number);
	for (int i = 0; i < 3; i++) {
		column_put(&columns[1], 1);
		column_put(&columns[2], 0);
	}
	column_put(&columns[3], count);
	column_put(&columns[3], count);
	column_put(&columns[5], 1);
	column_put(&columns[5], 7);
	assert_int_equal(codec_pack_version(fixture->codec, 2, 6, &fixture->blob), 0);
}

static void details_that_do_not_make_their_entry_are_refused(void **state)
{
	/* An entry of ten samples: by how many fewer occurrences are, and a count of them, less
	 * one. */
	static const struct {
		uint64_t number, count;
		int start, second; /* what comes of it */
	} cases[] = {
		{ 7, 3, 0, 1 },		  /* 4 + 4 + 2 */
		{ 7, 4, 0, -EBADMSG },	  /* 5 + 5 + 0 */
		{ 7, 9, -1, 0 },	  /* 10 + … */
		{ 7, UINT64_MAX, -1, 0 }, /* 0 after it has wrapped */
		{ 10, 0, -EBADMSG, 0 },	  /* none at all */
		{ 11, 0, -EBADMSG, 0 },	  /* fewer than none */
		{ 6, 0, -EBADMSG, 0 },	  /* four of which there are three */
	};
	struct fixture *fixture = *state;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct detail_reader reader = { .left = 0 };
		struct occurrence found;
		struct entry entry = { 0, 10, 0 };
		int wanted = cases[i].start == -EBADMSG ? -EBADMSG : 0;

		forge_detail(fixture, cases[i].number, cases[i].count);
		assert_int_equal(detail_unpack(fixture->codec, fixture->blob.bytes,
					       fixture->blob.size, 8, &reader),
				 0);
		assert_int_equal(detail_start_entry(&reader, &entry), wanted);
		if (!wanted)
			assert_int_equal(detail_next(&reader, false, &found),
					 cases[i].start ? -EBADMSG : 1);
		if (!cases[i].start)
			assert_int_equal(detail_next(&reader, false, &found), cases[i].second);
		detail_reader_done(&reader);
	}
}

enum { SUMMED_RUNS = 1000, SUMMED_SLICES = 300, SUMMED_PAIRS = 700 };

/* Of which the first half is small, as most are. */
static void make_runs(struct activity *activity)
{
	uint32_t random = 1;

	assert_int_equal(array_reserve(&activity->runs, SUMMED_RUNS), 0);
	assert_int_equal(array_reserve(&activity->slices, SUMMED_SLICES), 0);
	for (uint32_t i = 0; i < SUMMED_SLICES; i++)
		activity->slices.items[activity->slices.count++] = (struct slice){ i, i + 1 };
	for (uint32_t i = 0; i < SUMMED_RUNS; i++) {
		random = random * 1664525 + 1013904223;

		bool is_large = i >= SUMMED_RUNS / 2 && random >> 30 == 0;
		bool is_valued = i >= SUMMED_RUNS / 2 && random >> 29 == 7;

		activity->runs.items[activity->runs.count++] = (struct activity_run){
			.slice = (random >> 8) % SUMMED_SLICES,
			.pair = (random >> 12) % SUMMED_PAIRS,
			.is_valued = is_valued,
			.samples = is_large ? i << 7 : i % 128,
			.kernel_samples = is_large ? i : i % 3,
			.value = is_valued ? i : 0,
			.kernel_value = is_valued ? i / 2 : 0,
		};
	}
	activity_sort(activity);
}

/* That a sum is what the runs of the pair from one slice up to another are together. */
static void check_sum(const struct activity *activity, uint32_t from, uint32_t to, uint32_t pair,
		      const struct activity_sum *sum)
{
	struct activity_sum expected = { 0 };

	for (uint32_t i = 0; i < activity->runs.count; i++) {
		const struct activity_run *run = &activity->runs.items[i];

		if (run->pair != pair || run->slice < from || run->slice >= to)
			continue;
		if (!expected.occurs)
			expected.first = run->slice;
		expected.occurs = true;
		expected.last = run->slice;
		expected.samples += run->is_valued ? 0 : run->samples;
		expected.kernel_samples += run->is_valued ? 0 : run->kernel_samples;
		expected.valued_samples += run->is_valued ? run->samples : 0;
		expected.value += run->value;
		expected.kernel_value += run->kernel_value;
	}
	assert_int_equal(sum->occurs, expected.occurs);
	assert_int_equal(sum->first, expected.first);
	assert_int_equal(sum->last, expected.last);
	assert_int_equal(sum->samples, expected.samples);
	assert_int_equal(sum->kernel_samples, expected.kernel_samples);
	assert_int_equal(sum->valued_samples, expected.valued_samples);
	assert_int_equal(sum->value, expected.value);
	assert_int_equal(sum->kernel_value, expected.kernel_value);
}

/* Whether numbers take one byte or more, and wherever the slices end that are one. */
static void runs_are_summed_by_pair(void **state)
{
	static const uint32_t together[] = { 1, 2, 7, 60, SUMMED_SLICES };
	struct activity activity = { 0 }, read = { 0 };
	struct activity_reader reader;
	struct activity_sums sums;
	autoclean(buf) struct buf blob = BUF(COLUMNS_PLAIN_SIZE_MAX);
	autoclean(codec) struct codec *codec = NULL;

	(void)state;
	assert_int_equal(codec_new(&codec), 0);
	make_runs(&activity);
	assert_int_equal(activity_pack(codec, &activity, &blob), 0);
	assert_int_equal(activity_sums_init(&sums, SUMMED_PAIRS), 0);
	for (size_t i = 0; i < sizeof(together) / sizeof(together[0]); i++) {
		assert_int_equal(
			activity_open(codec, blob.bytes, blob.size, SUMMED_PAIRS, &read, &reader),
			0);
		for (uint32_t from = 0, to = 0; from < SUMMED_SLICES; from = to) {
			uint32_t occurring = 0;

			to = from + together[i] < SUMMED_SLICES ? from + together[i]
								: SUMMED_SLICES;
			assert_int_equal(activity_sum_until(&reader, to, &sums), 0);
			for (uint32_t pair = 0; pair < SUMMED_PAIRS; pair++) {
				check_sum(&activity, from, to, pair, &sums.sums[pair]);
				occurring += sums.sums[pair].occurs;
			}
			assert_int_equal(sums.count, occurring);
			activity_sums_clear(&sums);
		}
	}
	activity_sums_done(&sums);
	activity_done(&activity);
	activity_done(&read);
}

static int sum_up(struct codec *codec, const struct buf *blob, uint32_t pair_count)
{
	struct activity read = { 0 };
	struct activity_reader reader;
	struct activity_sums sums;
	int err = activity_open(codec, blob->bytes, blob->size, pair_count, &read, &reader);

	assert_int_equal(activity_sums_init(&sums, pair_count), 0);
	if (!err)
		err = activity_sum_until(&reader, read.slices.count, &sums);
	activity_sums_done(&sums);
	activity_done(&read);
	return err;
}

/* A pair or a slice that there is not is found, and what stands behind the last run. */
static void wrong_runs_are_not_summed(void **state)
{
	enum { COLUMNS = 6 };
	static const struct {
		const char *steps, *pairs, *samples, *kernel;
		int slices;
		int wanted;
	} cases[] = {
		{ "\2", "\3", "\1", "\0", 2, 0 },
		{ "\4", "\3", "\1", "\0", 2, -EBADMSG },
		{ "\2", "\4", "\1", "\0", 2, -EBADMSG },
		{ "\2", "\3", "\1\1", "\0", 2, -EBADMSG },
		{ "\2", "\3", "", "\0", 2, -EBADMSG },
		{ "\0", "\0", "\1", "\0", 0, -EBADMSG },
		{ "", "", "", "", 0, 0 },
	};
	autoclean(codec) struct codec *codec = NULL;

	(void)state;
	assert_int_equal(codec_new(&codec), 0);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		autoclean(buf) struct buf blob = BUF(COLUMNS_PLAIN_SIZE_MAX);
		struct buf *columns = codec_columns(codec, COLUMNS);

		column_put(&columns[0], (uint64_t)cases[i].slices);
		for (int k = 0; k < 2 * cases[i].slices; k++)
			column_put(&columns[0], 2);
		/* One run, or none; a zero stands for itself. */
		buf_add(&columns[1], cases[i].steps, i == 6 ? 0 : 1);
		buf_add(&columns[2], cases[i].pairs, i == 6 ? 0 : 1);
		buf_add(&columns[3], cases[i].samples, strlen(cases[i].samples));
		buf_add(&columns[4], cases[i].kernel, i == 6 ? 0 : 1);
		assert_int_equal(codec_pack_columns(codec, COLUMNS, &blob), 0);
		assert_int_equal(sum_up(codec, &blob, 4), cases[i].wanted);
	}
}

/* Few, many, and so many pairs for them that a table of these would not be worth it. */
static void sums_of_runs_are_in_order_however_many_there_are(void **state)
{
	enum { SLICE_COUNT = 40, PAIR_COUNT = 300 };
	static const struct {
		uint32_t count, pair_step;
	} cases[] = { { 1, 1 }, { 500, 1 }, { 20000, 1 }, { 20000, 5000 } };
	static uint64_t expected[SLICE_COUNT][PAIR_COUNT][2];
	uint32_t random = 1;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct activity activity = { 0 };
		uint32_t next = 0;

		memset(expected, 0, sizeof(expected));
		assert_int_equal(array_reserve(&activity.runs, cases[i].count), 0);
		for (uint32_t k = 0; k < cases[i].count; k++) {
			random = random * 1664525 + 1013904223;

			uint32_t slice = (random >> 8) % SLICE_COUNT;
			uint32_t pair = (random >> 12) % PAIR_COUNT;
			bool is_valued = random >> 31;

			activity.runs.items[activity.runs.count++] =
				(struct activity_run){ .slice = slice,
						       .pair = pair * cases[i].pair_step,
						       .is_valued = is_valued,
						       .samples = k + 1,
						       .kernel_samples = 1,
						       .value = UINT64_C(2) * k,
						       .kernel_value = 3 };
			expected[slice][pair][is_valued] += (uint64_t)(k + 1) << 32 | 1;
		}
		activity_sort(&activity);
		for (uint32_t slice = 0; slice < SLICE_COUNT; slice++)
			for (uint32_t pair = 0; pair < PAIR_COUNT; pair++)
				for (int valued = 0; valued < 2; valued++) {
					uint64_t sums = expected[slice][pair][valued];
					const struct activity_run *run = &activity.runs.items[next];

					if (!sums)
						continue;
					assert_true(next++ < activity.runs.count);
					assert_int_equal(run->slice, slice);
					assert_int_equal(run->pair, pair * cases[i].pair_step);
					assert_int_equal(run->is_valued, valued);
					assert_int_equal(run->samples, sums >> 32);
					assert_int_equal(run->kernel_samples, (uint32_t)sums);
					assert_int_equal(run->value,
							 2 * ((sums >> 32) - (uint32_t)sums));
					assert_int_equal(run->kernel_value, 3 * (uint32_t)sums);
				}
		assert_int_equal(next, activity.runs.count);
		activity_done(&activity);
	}
}

static sqlite3 *open_words(void)
{
	sqlite3 *database = NULL;

	assert_int_equal(database_open(":memory:", DATABASE_WRITE, &database), 0);
	assert_int_equal(
		database_execute(database,
				 "CREATE TABLE text (id, text);"
				 "CREATE TABLE label_set (id, pairs);"
				 "CREATE TABLE series (id, label_set, type, period);"
				 "CREATE TABLE build (id, kind, identity_kind, identity, path);"
				 "CREATE TABLE name (id, lines);"
				 "CREATE TABLE word_frame (id INTEGER PRIMARY KEY, kind, "
				 "words)"),
		0);
	return database;
}

/* As of processes that come and go; some longer, some with nothing in common. */
static void make_words(struct catalog *catalog)
{
	enum { PROCESS_COUNT = 9000, SET_SIZE = 130 };
	uint32_t large[SET_SIZE];
	char text[400];

	assert_int_equal(catalog_init(catalog), 0);
	for (uint32_t i = 0; i < PROCESS_COUNT; i++) {
		uint32_t set[4];

		for (uint32_t k = 0; k < 4; k++) {
			int size = snprintf(text, sizeof(text), k == 3 ? "%u%*u" : "%u.%*u",
					    i * 7919, (int)(k * (i % 100)) + 1, k);

			set[k] = (uint32_t)catalog_add(catalog, CATALOG_TEXT, text, (size_t)size);
		}
		assert_true(catalog_add(catalog, CATALOG_LABELS, set, (size_t)(i % 3) * 8) >= 0);
	}
	for (uint32_t i = 0; i < SET_SIZE; i++)
		large[i] = (i * 977) % PROCESS_COUNT;
	assert_true(catalog_add(catalog, CATALOG_LABELS, large, sizeof(large)) > 0);
}

static void words_come_back_from_frames(void **state)
{
	struct fixture *fixture = *state;
	struct catalog catalog = { 0 };
	struct catalog again = { 0 };
	sqlite3 *database = open_words();
	int64_t count = 0;

	make_words(&catalog);
	assert_int_equal(word_frames_write(&catalog, fixture->codec, database), 0);
	assert_int_equal(
		database_number(database, "SELECT count(*) FROM word_frame WHERE kind = 0", &count),
		0);
	assert_true(count > 2);
	assert_int_equal(catalog_init(&again), 0);
	assert_int_equal(catalog_read(&again, database), 0);
	for (int kind = CATALOG_TEXT; kind <= CATALOG_LABELS; kind++) {
		uint32_t word_count = catalog_count(&catalog, (enum catalog_kind)kind);

		assert_int_equal(catalog_count(&again, (enum catalog_kind)kind), word_count);
		for (uint32_t i = 0; i < word_count; i++)
			assert_true(str_equal(pool_get(&again.pools[kind], i),
					      pool_get(&catalog.pools[kind], i)));
	}
	catalog_done(&again);
	/* What is there twice is damage. */
	assert_int_equal(database_execute(database, "INSERT INTO word_frame (kind, words) "
						    "SELECT kind, words FROM word_frame"),
			 0);
	assert_int_equal(catalog_init(&again), 0);
	assert_int_equal(catalog_read(&again, database), -EBADMSG);
	catalog_done(&again);
	catalog_done(&catalog);
	database_close(database);
}

/* Puts a frame of two or three columns of one number or text each in, and reads it. */
static int read_forged(struct fixture *fixture, int kind, const uint64_t *numbers,
		       const char *bytes)
{
	struct catalog catalog = { 0 };
	sqlite3 *database = open_words();
	struct buf *columns = codec_columns(fixture->codec, 3);
	autoclean(statement) sqlite3_stmt *insert = NULL;
	int err;

	for (int i = 0; i < 2; i++)
		column_put(&columns[i], numbers[i]);
	buf_add(&columns[2], bytes, strlen(bytes));
	assert_int_equal(
		codec_pack_columns(fixture->codec, kind == CATALOG_TEXT ? 3 : 2, &fixture->blob),
		0);
	assert_int_equal(database_prepare(database,
					  "INSERT INTO word_frame (kind, words) VALUES (?, ?)",
					  &insert),
			 0);
	sqlite3_bind_int64(insert, 1, kind);
	database_bind_bytes(insert, 2, fixture->blob.bytes, fixture->blob.size);
	assert_int_equal(database_run(insert), 0);
	assert_int_equal(catalog_init(&catalog), 0);
	err = catalog_read(&catalog, database);
	if (!err)
		assert_int_equal(catalog_count(&catalog, (enum catalog_kind)kind), 2);
	catalog_done(&catalog);
	sqlite3_finalize(TAKE(insert));
	database_close(database);
	return err;
}

static void frames_of_words_that_are_none_are_refused(void **state)
{
	static const struct {
		int kind;
		uint64_t numbers[2];
		const char *bytes;
		int wanted;
	} cases[] = {
		{ CATALOG_TEXT, { 0, 3 }, "one", 0 },
		{ CATALOG_TEXT, { 1, 3 }, "one", -EBADMSG }, /* shared with nothing */
		{ CATALOG_TEXT, { 0, 4 }, "one", -EBADMSG }, /* not as many bytes */
		{ CATALOG_TEXT, { 0, 2 }, "one", -EBADMSG }, /* one that is nobody's */
		{ CATALOG_TEXT, { 0, 0 }, "", -EBADMSG },    /* the empty text is there already */
		{ CATALOG_LABELS, { 0, 0 }, "", -EBADMSG },  /* so is the empty set */
		{ CATALOG_LABELS, { 1, 0 }, "", -EBADMSG },  /* a name without a value */
		{ CATALOG_LABELS, { 2, 0 }, "", -EBADMSG }, /* two numbers, of which one is there */
		{ CATALOG_LABELS, { 400, 0 }, "", -EBADMSG }, /* more than are there */
	};
	struct fixture *fixture = *state;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		assert_int_equal(
			read_forged(fixture, cases[i].kind, cases[i].numbers, cases[i].bytes),
			cases[i].wanted);
}

static void pairs_come_back(void **state)
{
	struct fixture *fixture = *state;
	const struct pair pairs[] = { { 3, UINT32_MAX }, { UINT32_MAX, 0 }, { 0, 1 } };
	struct pairs again = { 0 };

	assert_int_equal(codec_pack_pairs(fixture->codec, pairs, 3, &fixture->blob), 0);
	assert_int_equal(
		codec_unpack_pairs(fixture->codec, fixture->blob.bytes, fixture->blob.size, &again),
		0);
	assert_int_equal(again.pairs.count, 3);
	assert_memory_equal(again.pairs.items, pairs, sizeof(pairs));
	array_done(&again.pairs);
}

/* SQLite does not see a bit that fell over inside a blob: the frame's checksum must. */
static void every_flipped_bit_is_seen(void **state)
{
	struct fixture *fixture = *state;
	struct pair pairs[64];
	struct pairs again = { 0 };

	for (uint32_t i = 0; i < 64; i++)
		pairs[i] = (struct pair){ i * i * 7, i * 1000003 };
	assert_int_equal(codec_pack_pairs(fixture->codec, pairs, 64, &fixture->blob), 0);
	for (size_t bit = 0; bit < fixture->blob.size * 8; bit++) {
		fixture->blob.bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);

		int err = codec_unpack_pairs(fixture->codec, fixture->blob.bytes,
					     fixture->blob.size, &again);

		/* A few bits of the frame's header mean nothing: then it reads as it was. */
		if (!err)
			assert_memory_equal(again.pairs.items, pairs, sizeof(pairs));
		else
			assert_int_equal(err, -EBADMSG);
		fixture->blob.bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
	}
	for (size_t size = 0; size < fixture->blob.size; size++)
		assert_int_equal(
			codec_unpack_pairs(fixture->codec, fixture->blob.bytes, size, &again),
			-EBADMSG);
	array_done(&again.pairs);
}

static void counts_beyond_what_is_there_allocate_nothing(void **state)
{
	struct fixture *fixture = *state;
	/* Version, sizes of two columns; then a count of 2^27 pairs in a column of five bytes. */
	uint8_t plain[] = { 1, 5, 0, 0x80, 0x80, 0x80, 0x40, 0 };
	struct pairs pairs = { 0 };

	forge(fixture, plain, sizeof(plain));
	assert_int_equal(
		codec_unpack_pairs(fixture->codec, fixture->blob.bytes, fixture->blob.size, &pairs),
		-EBADMSG);
	assert_true(pairs.pairs.capacity <= 16);
	/* A version that is not ours, a column that ends beyond the end, bytes that nobody claims.
	 */
	plain[3] = 0;
	plain[1] = 1;
	forge(fixture, plain, 4);
	assert_int_equal(
		codec_unpack_pairs(fixture->codec, fixture->blob.bytes, fixture->blob.size, &pairs),
		0);
	forge(fixture, plain, 5);
	assert_int_equal(
		codec_unpack_pairs(fixture->codec, fixture->blob.bytes, fixture->blob.size, &pairs),
		-EBADMSG);
	forge(fixture, plain, 3);
	assert_int_equal(
		codec_unpack_pairs(fixture->codec, fixture->blob.bytes, fixture->blob.size, &pairs),
		-EBADMSG);
	plain[0] = 9;
	forge(fixture, plain, 4);
	assert_int_equal(
		codec_unpack_pairs(fixture->codec, fixture->blob.bytes, fixture->blob.size, &pairs),
		-EBADMSG);
	array_done(&pairs.pairs);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(runs_come_back, set_up, tear_down),
		cmocka_unit_test_setup_teardown(entries_come_back_list_by_list, set_up, tear_down),
		cmocka_unit_test_setup_teardown(trees_come_back_in_pieces, set_up, tear_down),
		cmocka_unit_test_setup_teardown(shapes_come_back_one_after_the_other, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(shapes_that_are_none_are_refused, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(details_come_back_entry_by_entry, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(details_that_do_not_make_their_entry_are_refused,
						set_up, tear_down),
		cmocka_unit_test_setup_teardown(words_come_back_from_frames, set_up, tear_down),
		cmocka_unit_test_setup_teardown(frames_of_words_that_are_none_are_refused, set_up,
						tear_down),
		cmocka_unit_test(sums_of_runs_are_in_order_however_many_there_are),
		cmocka_unit_test(runs_are_summed_by_pair),
		cmocka_unit_test(wrong_runs_are_not_summed),
		cmocka_unit_test_setup_teardown(pairs_come_back, set_up, tear_down),
		cmocka_unit_test_setup_teardown(every_flipped_bit_is_seen, set_up, tear_down),
		cmocka_unit_test_setup_teardown(counts_beyond_what_is_there_allocate_nothing,
						set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
