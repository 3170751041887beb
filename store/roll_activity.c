/* SPDX-License-Identifier: Apache-2.0 */
#include "store/roll_activity.h"

#include <errno.h>
#include <stdlib.h>

#include "store/activity.h"
#include "store/database.h"
#include "store/roll.h"
#include "store/segment.h"

/*
 * The names of a sample's own labels, as a set of labels with empty values: what they are called is
 * known for ever, what they were is not.
 */
static int64_t map_names(const struct activity_rolling *rolling, uint32_t labels)
{
	struct str item;
	const uint32_t *old;
	size_t count;
	autofree uint32_t *mapped = NULL;
	int64_t number = 0;

	if (labels >= catalog_count(&rolling->words->from, CATALOG_LABELS))
		return -EBADMSG;
	if (rolling->name_sets[labels])
		return rolling->name_sets[labels] - 1;
	item = pool_get(&rolling->words->from.pools[CATALOG_LABELS], labels);
	old = (const void *)item.text;
	count = item.size / (2 * sizeof(old[0]));
	mapped = calloc(2 * count + 1, sizeof(mapped[0]));
	if (!mapped)
		return -ENOMEM;
	for (size_t i = 0; number >= 0 && i < count; i++) {
		struct str name = catalog_text(&rolling->words->from, old[2 * i]);
		int64_t text = word_map_text(rolling->words, old[2 * i]);

		mapped[2 * i] = (uint32_t)text;
		number = text < 0 ? text : pool_add(rolling->labels, name.text, name.size);
	}
	if (number >= 0)
		number = catalog_add(&rolling->words->to, CATALOG_LABELS, mapped,
				     2 * count * sizeof(mapped[0]));
	if (number >= 0)
		rolling->name_sets[labels] = (uint32_t)number + 1;
	return number;
}

static int map_pairs(const struct activity_rolling *rolling, const struct pairs *old,
		     struct pool *pairs, uint32_t *numbers)
{
	for (uint32_t i = 0; i < old->pairs.count; i++) {
		int64_t series = word_map_series(rolling->words, old->pairs.items[i].series);
		int64_t names =
			series < 0 ? series : map_names(rolling, old->pairs.items[i].labels);
		struct pair pair = { .series = (uint32_t)series, .labels = (uint32_t)names };
		int64_t number = names < 0 ? names : pool_add(pairs, &pair, sizeof(pair));

		if (number < 0)
			return (int)number;
		numbers[i] = (uint32_t)number;
	}
	return 0;
}

/* Of one segment, then of all together. */
struct active {
	struct pairs old_pairs;
	struct activity old; /* slices alone */
	struct activity coarse, all;
	struct pool pairs;
};

static void active_cleanup(struct active *active)
{
	array_done(&active->old_pairs.pairs);
	activity_done(&active->old);
	activity_done(&active->coarse);
	activity_done(&active->all);
	pool_done(&active->pairs);
}

/* from: the runs are read; NULL: those of the activity. */
static int coarsen(const struct activity *old, struct activity_reader *from, const uint32_t *pairs,
		   struct activity *to)
{
	uint32_t *slices = NULL;
	int err = activity_coarsen(old, ROLL_SLICE_MS, true, to, &slices);

	to->runs.count = 0;
	if (!err)
		err = from ? activity_add_read(from, slices, pairs, to)
			   : activity_add(old, slices, pairs, to);
	free(slices);
	return err;
}

/* Behind what is there; slices may be there twice then. */
static int append(const struct activity *from, struct activity *to)
{
	uint32_t first = to->slices.count;

	if (array_reserve(&to->slices, from->slices.count) < 0 ||
	    array_reserve(&to->runs, from->runs.count) < 0)
		return -ENOMEM;
	for (uint32_t i = 0; i < from->slices.count; i++)
		to->slices.items[to->slices.count++] = from->slices.items[i];
	for (uint32_t i = 0; i < from->runs.count; i++) {
		struct activity_run run = from->runs.items[i];

		run.slice += first;
		to->runs.items[to->runs.count++] = run;
	}
	return 0;
}

static int read_active(const struct activity_rolling *rolling, sqlite3_stmt *row,
		       struct active *active)
{
	struct str pairs = database_column(row, 0);
	struct str runs = database_column(row, 1);
	struct activity_reader reader;
	autofree uint32_t *numbers = NULL;
	int err = codec_unpack_pairs(rolling->codec, pairs.text, pairs.size, &active->old_pairs);

	if (!err)
		err = activity_open(rolling->codec, runs.text, runs.size,
				    active->old_pairs.pairs.count, &active->old, &reader);
	if (err)
		return err;
	numbers = calloc((size_t)active->old_pairs.pairs.count + 1, sizeof(numbers[0]));
	if (!numbers)
		return -ENOMEM;
	err = map_pairs(rolling, &active->old_pairs, &active->pairs, numbers);
	if (!err)
		err = coarsen(&active->old, &reader, numbers, &active->coarse);
	return err ? err : append(&active->coarse, &active->all);
}

static int read_all_active(const struct activity_rolling *rolling, uint32_t first_segment,
			   uint32_t last_segment, struct active *active)
{
	autoclean(statement) sqlite3_stmt *row = NULL;
	int err = database_prepare(rolling->from,
				   "SELECT pairs, runs FROM segment WHERE id BETWEEN ? AND ? "
				   "ORDER BY id",
				   &row);

	if (err)
		return err;
	sqlite3_bind_int64(row, 1, first_segment);
	sqlite3_bind_int64(row, 2, last_segment);
	while ((err = database_step(row)) > 0) {
		err = read_active(rolling, row, active);
		if (err)
			return err;
	}
	return err;
}

int roll_activity(const struct activity_rolling *rolling, uint32_t first_segment,
		  uint32_t last_segment, struct buf *ret_pairs, struct buf *ret_runs)
{
	autoclean(active) struct active active = { 0 };
	autofree uint32_t *same = NULL;
	int err;

	pool_init(&active.pairs, SEGMENT_SUM_COUNT_MAX, NULL);
	err = read_all_active(rolling, first_segment, last_segment, &active);
	if (err)
		return err;
	same = calloc((size_t)pool_count(&active.pairs) + 1, sizeof(same[0]));
	if (!same)
		return -ENOMEM;
	for (uint32_t i = 0; i < pool_count(&active.pairs); i++)
		same[i] = i;
	err = coarsen(&active.all, NULL, same, &active.coarse);
	if (!err)
		err = codec_pack_pairs(rolling->packer, (const void *)active.pairs.bytes,
				       pool_count(&active.pairs), ret_pairs);
	return err ? err : activity_pack(rolling->packer, &active.coarse, ret_runs);
}
