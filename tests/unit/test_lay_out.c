/* SPDX-License-Identifier: Apache-2.0 */
/* The running window in order, whatever its numbers are: against a list that qsort() sorted. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "store/live.h"
#include "tests/support/call_graph.h"

enum { SLICE_COUNT = 3, ENTRY_COUNT = 20000 };

/* Numbers are picked from few below each of these, so that runs have several entries. */
struct reach {
	uint32_t series, labels, node;
};

static uint32_t pick(uint64_t *seed, uint32_t below, uint32_t choices)
{
	return below - 1 - (uint32_t)(random_next(seed) % choices);
}

static void fill(struct live *live, struct reach reach, uint64_t seed)
{
	*live = (struct live){ 0 };
	assert_int_equal(array_reserve(&live->slices, SLICE_COUNT), 0);
	assert_int_equal(array_reserve(&live->entries, ENTRY_COUNT), 0);
	assert_int_equal(array_reserve(&live->cells, ENTRY_COUNT), 0);
	for (uint32_t i = 0; i < SLICE_COUNT; i++)
		live->slices.items[live->slices.count++] =
			(struct slice){ 1000 * i, 1000 * (i + 1) };
	for (uint32_t i = 0; i < ENTRY_COUNT; i++) {
		live->cells.items[live->cells.count++] = (uint8_t)random_next(&seed);
		live->entries.items[live->entries.count++] = (struct running_entry){
			.slice = (uint32_t)(random_next(&seed) % SLICE_COUNT),
			.series = pick(&seed, reach.series, 5),
			.labels = pick(&seed, reach.labels, 7),
			.node = pick(&seed, reach.node, 150),
			.first_cell = i,
			.is_timed = true,
			.count = 1,
		};
	}
}

static void drop(struct live *live)
{
	array_done(&live->slices);
	array_done(&live->entries);
	array_done(&live->cells);
}

/* first_cell: how they came. */
static int compare(const void *left, const void *right)
{
	const struct running_entry *a = left, *b = right;

#define BY(field)                                                                                  \
	if (a->field != b->field)                                                                  \
	return a->field < b->field ? -1 : 1
	BY(slice);
	BY(series);
	BY(labels);
	BY(node);
	BY(first_cell);
#undef BY
	return 0;
}

static bool same_run(const struct run *run, const struct running_entry *entry)
{
	return run->slice == entry->slice && run->series == entry->series &&
	       run->labels == entry->labels;
}

/* Walks over what was laid out beside the sorted list. */
static void check(struct window_columns *columns, struct codec *codec,
		  const struct running_entry *sorted, const uint8_t *cells)
{
	autoclean(buf) struct buf blob = BUF(COLUMNS_PLAIN_SIZE_MAX);
	struct entry_reader reader;
	uint32_t at = 0;

	assert_int_equal(columns->samples, ENTRY_COUNT);
	assert_int_equal(columns->cells.size, ENTRY_COUNT);
	for (uint32_t i = 0; i < ENTRY_COUNT; i++)
		assert_int_equal(columns->cells.bytes[i], cells[sorted[i].first_cell]);
	assert_int_equal(codec_pack_entries(codec, &columns->entries, &blob), 0);
	assert_int_equal(codec_unpack_entries(codec, blob.bytes, blob.size, &reader), 0);
	for (uint32_t i = 0; i < columns->runs.runs.count; i++) {
		const struct run *run = &columns->runs.runs.items[i];

		assert_true(at < ENTRY_COUNT && same_run(run, &sorted[at]));
		entry_reader_start_list(&reader);
		for (uint32_t j = 0; j < run->entry_count; j++) {
			struct entry entry;

			assert_int_equal(entry_reader_next(&reader, false, &entry), 0);
			for (uint64_t k = 0; k < entry.count; k++, at++) {
				assert_true(at < ENTRY_COUNT && same_run(run, &sorted[at]));
				assert_int_equal(entry.node, sorted[at].node);
			}
		}
		/* It ends where the next one begins, and not before. */
		assert_true(at == ENTRY_COUNT || !same_run(run, &sorted[at]));
	}
	assert_int_equal(at, ENTRY_COUNT);
}

static void comes_in_order(struct reach reach)
{
	autoclean(codec) struct codec *codec = NULL;
	autofree struct running_entry *sorted = calloc(ENTRY_COUNT, sizeof(sorted[0]));
	struct window_columns columns = { 0 };
	struct live live;

	assert_non_null(sorted);
	assert_int_equal(codec_new(&codec), 0);
	fill(&live, reach, reach.node);
	memcpy(sorted, live.entries.items, ENTRY_COUNT * sizeof(sorted[0]));
	qsort(sorted, ENTRY_COUNT, sizeof(sorted[0]), compare);
	/* The second time in what the first was laid out in, as it was left. */
	assert_int_equal(live_lay_out(&live, &columns), 0);
	assert_int_equal(live_lay_out(&live, &columns), 0);
	check(&columns, codec, sorted, live.cells.items);
	assert_true(window_columns_memory(&columns) >=
		    2 * ENTRY_COUNT * sizeof(columns.order.items[0]));
	window_columns_done(&columns);
	drop(&live);
}

static void small_numbers_come_in_order(void **state)
{
	(void)state;
	comes_in_order((struct reach){ .series = 300, .labels = 5000, .node = 100000 });
}

/* More bits than one number has. */
static void large_numbers_come_in_order(void **state)
{
	(void)state;
	comes_in_order((struct reach){ .series = 1 << 24, .labels = UINT32_MAX, .node = 1 << 22 });
	comes_in_order(
		(struct reach){ .series = UINT32_MAX, .labels = UINT32_MAX, .node = UINT32_MAX });
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(small_numbers_come_in_order),
		cmocka_unit_test(large_numbers_come_in_order),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
