/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "store/asking.h"
#include "store/points.h"
#include "store/reader.h"
#include "store/roll.h"

/* Values over time, and gaps. */

enum {
	GROUP_COUNT_MAX = 1 << 20,
	KEY_SIZE_MAX = 1 << 20,
	GAP_COUNT_MAX = 65536,
	/* Points of at least this are made of roll-ups even where ten minutes fall on two. */
	ROLLED_STEP_MS = 6 * ROLL_SLICE_MS,
};

struct group {
	uint64_t total;
	uint64_t kernel_total;
	int64_t first_seen_ms;
	int64_t last_seen_ms;
};

struct series_question {
	const struct str *group_by;
	size_t group_by_count;
	const struct store_grid *grid;
	struct pool keys; /* the values of the labels, each with its size */
	ARRAY(struct group) groups;
	struct points points; /* a row for each group */
	struct buf scratch;
	int64_t last_ms; /* that a point was looked for, and which: most come in order */
	size_t last_point;
	bool is_on_grid, has_last;
	int64_t *starts; /* of what was recorded, by point */
	int64_t last_start_ms, end_ms;
};

static int add_group(struct series_question *question)
{
	int err = array_reserve(&question->groups, 1) < 0 ? -ENOMEM
							  : points_add_row(&question->points);

	if (err)
		return err;
	question->groups.items[question->groups.count++] =
		(struct group){ .first_seen_ms = INT64_MAX, .last_seen_ms = INT64_MIN };
	return 0;
}

static int64_t find_group(void *context, const struct catalog_sample *sample)
{
	struct series_question *question = context;
	struct buf *key = &question->scratch;

	buf_clear(key);
	for (size_t i = 0; i < question->group_by_count; i++)
		buf_add_sized(key, catalog_lookup(sample, question->group_by[i]));
	if (key->error)
		return key->error;

	int64_t number = pool_add(&question->keys, key->bytes, key->size);

	if (number < 0)
		return number;
	if (number == question->groups.count) {
		int err = add_group(question);

		if (err)
			return err;
	}
	return number;
}

/* The first point at or after a time; the first also takes what is one step before it. */
bool store_grid_point(const struct store_grid *grid, int64_t time_ms, size_t *ret)
{
	int64_t since_ms = time_ms - grid->first_ms;

	if (since_ms < -grid->step_ms)
		return false;

	int64_t point = since_ms <= 0 ? 0 : (since_ms - 1) / grid->step_ms + 1;

	*ret = (size_t)point;
	return (size_t)point < grid->point_count;
}

/* Which point a slice belongs to: most come in order. */
static bool find_point(struct series_question *question, const struct slice *slice)
{
	if (!question->has_last || question->last_ms != slice->start_ms) {
		question->is_on_grid =
			store_grid_point(question->grid, slice->start_ms, &question->last_point);
		question->last_ms = slice->start_ms;
		question->has_last = true;
	}
	return question->is_on_grid;
}

static inline void note_seen(struct group *group, int64_t time_ms)
{
	if (time_ms < group->first_seen_ms)
		group->first_seen_ms = time_ms;
	if (time_ms > group->last_seen_ms)
		group->last_seen_ms = time_ms;
}

/* To the point that was found last. */
static inline int add_to_point(struct series_question *question, const struct slice *slice,
			       uint32_t number, uint64_t value, uint64_t kernel_value)
{
	struct group *group = &question->groups.items[number];
	int err;

	assert(number < question->groups.count);
	err = points_add(&question->points, number, question->last_point, value);
	if (err)
		return err;
	group->total = saturated_sum(group->total, value);
	group->kernel_total = saturated_sum(group->kernel_total, kernel_value);
	note_seen(group, slice->start_ms);
	return 0;
}

static int add_value(struct series_question *question, const struct slice *slice, uint32_t number,
		     uint64_t value, uint64_t kernel_value)
{
	if (!find_point(question, slice))
		return 0;
	return add_to_point(question, slice, number, value, kernel_value);
}

static void note_slice(void *context, const struct slice *slice)
{
	struct series_question *question = context;
	size_t point = 0;

	if (slice->start_ms >= question->last_start_ms) {
		question->last_start_ms = slice->start_ms;
		question->end_ms = slice->end_ms;
	}
	if (store_grid_point(question->grid, slice->start_ms, &point) &&
	    slice->start_ms < question->starts[point])
		question->starts[point] = slice->start_ms;
}

static int add_segment(void *context, struct reader *reader, const struct reading *reading)
{
	(void)context;
	(void)reader;
	(void)reading;
	return 0;
}

static int add_run(void *context, struct reader *reader, const struct slice *slice,
		   const struct run *run, const struct verdict *verdict,
		   struct entry_reader *entries)
{
	(void)reader;
	(void)entries;
	if (run->valued)
		return add_value(context, slice, verdict->group, run->value, run->kernel_value);
	return add_value(context, slice, verdict->group,
			 saturated_product(run->samples, verdict->period),
			 saturated_product(run->kernel_samples, verdict->period));
}

/* As many as fall on one point, in the order of their times. */
static uint32_t find_together(void *context, const struct slice *slices, uint32_t count)
{
	struct series_question *question = context;
	bool is_on_grid = find_point(question, &slices[0]);
	size_t point = question->last_point;
	uint32_t together = 1;

	while (together < count && slices[together].start_ms >= slices[together - 1].start_ms &&
	       find_point(question, &slices[together]) == is_on_grid &&
	       (!is_on_grid || question->last_point == point))
		together++;
	return together;
}

/* A month of a host has more than a million runs, and some hundred thousand of these. */
static int add_active(void *context, const struct slice *slices, const struct activity_sum *sum,
		      const struct verdict *verdict)
{
	struct series_question *question = context;
	uint64_t value = saturated_product(sum->samples, verdict->period);
	uint64_t kernel_value = saturated_product(sum->kernel_samples, verdict->period);

	if (!find_point(question, &slices[sum->first]))
		return 0;

	int err = add_to_point(question, &slices[sum->first], verdict->group,
			       saturated_sum(value, sum->value),
			       saturated_sum(kernel_value, sum->kernel_value));

	if (err)
		return err;
	note_seen(&question->groups.items[verdict->group], slices[sum->last].start_ms);
	return 0;
}

static int add_entry(void *context, struct reader *reader, const struct slice *slice,
		     const struct running_entry *entry, const struct verdict *verdict)
{
	(void)reader;
	return add_value(context, slice, verdict->group, entry->value,
			 entry->is_kernel ? entry->value : 0);
}

/* ---- the answer ------------------------------------------------------------------------------ */

struct order {
	const struct series_question *question;
	const struct str *values; /* group_by_count of each group */
};

static int compare_groups(const void *a, const void *b, void *context)
{
	const struct order *order = context;
	size_t count = order->question->group_by_count;
	uint32_t x = *(const uint32_t *)a;
	uint32_t y = *(const uint32_t *)b;
	uint64_t x_total = order->question->groups.items[x].total;
	uint64_t y_total = order->question->groups.items[y].total;

	if (x_total != y_total)
		return x_total > y_total ? -1 : 1;
	for (size_t i = 0; i < count; i++) {
		int difference =
			str_compare(order->values[x * count + i], order->values[y * count + i]);

		if (difference)
			return difference;
	}
	return 0;
}

/* Everything that the rows point to; they own it through memory. */
struct rows_memory {
	struct store_row *rows;
	struct str *values;
	struct points points;
	uint8_t *bytes;
	int64_t *starts;
};

static void *rows_memory_free(struct rows_memory *memory)
{
	if (memory) {
		free(memory->rows);
		free(memory->values);
		points_done(&memory->points);
		free(memory->bytes);
		free(memory->starts);
		free(memory);
	}
	return NULL;
}

static void split_keys(const struct series_question *question, uint8_t *keys, struct str *values)
{
	for (uint32_t i = 0; i < question->groups.count; i++) {
		struct pool_item item = question->keys.items[i];
		struct bytes bytes = bytes_from(keys + item.start, item.size);

		for (size_t k = 0; k < question->group_by_count; k++)
			values[i * question->group_by_count + k] = bytes_sized(&bytes);
		assert(!bytes.error);
	}
}

/* Hands the question's arrays over to the answer. */
static int make_rows(struct series_question *question, struct store_rows *ret)
{
	uint32_t count = question->groups.count;
	struct rows_memory *memory = calloc(1, sizeof(*memory));
	autofree uint32_t *order = calloc(count + 1, sizeof(order[0]));
	uint32_t used = 0;

	if (memory) {
		memory->rows = calloc(count + 1, sizeof(memory->rows[0]));
		memory->values =
			calloc(count * question->group_by_count + 1, sizeof(memory->values[0]));
	}
	if (!memory || !order || !memory->rows || !memory->values) {
		rows_memory_free(memory);
		return -ENOMEM;
	}
	memory->points = question->points;
	question->points = (struct points){ 0 };
	memory->bytes = TAKE(question->keys.bytes);
	memory->starts = TAKE(question->starts);
	split_keys(question, memory->bytes, memory->values);
	/* Groups whose windows all lie beside the grid's points are none. */
	for (uint32_t i = 0; i < count; i++)
		if (question->groups.items[i].last_seen_ms != INT64_MIN)
			order[used++] = i;
	qsort_r(order, used, sizeof(order[0]), compare_groups,
		&(struct order){ question, memory->values });
	for (uint32_t i = 0; i < used; i++) {
		const struct group *group = &question->groups.items[order[i]];

		memory->rows[i] = (struct store_row){
			.values = memory->values + order[i] * question->group_by_count,
			.total = group->total,
			.kernel_total = group->kernel_total,
			.number = order[i],
			.first_seen_ms = group->first_seen_ms,
			.last_seen_ms = group->last_seen_ms,
		};
	}
	*ret = (struct store_rows){ .rows = memory->rows,
				    .count = used,
				    .points = &memory->points,
				    .starts = memory->starts,
				    .end_ms = question->end_ms,
				    .memory = memory };
	return 0;
}

/*
 * Roll-ups know when in ten minutes, from multiple to multiple; the multiples themselves apart, so
 * that it does not matter to which side of a point they count.
 */
static bool is_on_edges(int64_t time_ms)
{
	int64_t rest = time_ms % ROLL_SLICE_MS;

	return rest == 0 || rest == ROLL_SLICE_MS - 1;
}

/*
 * They are used where every ten minutes fall on one point. Where the points of a long time lie
 * between them, some of each may stand at the point before.
 */
static enum chronicle_use use_of(const struct store_question *asked, const struct store_grid *grid)
{
	int64_t first_ms = grid->first_ms - grid->step_ms;
	bool is_one = grid->point_count == 1 && first_ms <= asked->from_unix_ms &&
		      asked->to_unix_ms <= grid->first_ms;
	bool is_even = grid->step_ms % ROLL_SLICE_MS == 0 && is_on_edges(grid->first_ms);

	return asked->profile_count == 0 && (is_one || is_even || grid->step_ms >= ROLLED_STEP_MS)
		       ? CHRONICLE_WHERE_POSSIBLE
		       : CHRONICLE_WHEN_GONE;
}

static void start(struct series_question *series)
{
	pool_clear(&series->keys);
	series->groups.count = 0;
	points_clear(&series->points);
	for (size_t i = 0; i < series->grid->point_count; i++)
		series->starts[i] = INT64_MAX;
	series->last_start_ms = INT64_MIN;
	series->end_ms = 0;
}

static int ask_series(struct store *store, struct series_question *series,
		      const struct reader_question *question)
{
	struct store_question samples = *question->asked;
	struct reader_question exact = *question;

	start(series);

	int err = reader_ask(store, question);

	if (err != -ESTALE)
		return err;
	/* A chronicle was damaged. */
	samples.is_exact = true;
	exact.asked = &samples;
	start(series);
	return reader_ask(store, &exact);
}

int store_series(struct store *store, const struct store_question *question,
		 const struct str *group_by, size_t group_by_count, const struct store_grid *grid,
		 struct store_rows *ret)
{
	struct series_question series = { .group_by = group_by,
					  .group_by_count = group_by_count,
					  .grid = grid,
					  .scratch = BUF(KEY_SIZE_MAX) };
	struct reader_question reader_question = { .context = &series,
						   .asked = question,
						   .names = group_by,
						   .name_count = group_by_count,
						   .group = find_group,
						   .segment = add_segment,
						   .run = add_run,
						   .together = find_together,
						   .active = add_active,
						   .entry = add_entry,
						   .slice = note_slice,
						   .chronicle_wish = {
							   .use = use_of(question, grid),
							   .activity = true,
							   .names = group_by,
							   .name_count = group_by_count } };

	if (grid->step_ms <= 0 || grid->point_count == 0)
		return -EINVAL;
	if (grid->point_count > POINTS_COUNT_MAX)
		return -E2BIG;

	uint64_t memory = 0;
	struct asking_way way = { .counts = true, .groups = group_by_count > 0 };
	int err = asking_enter(store, question, way, &memory);

	if (err)
		return err;
	series.starts = calloc(grid->point_count, sizeof(series.starts[0]));
	pool_init(&series.keys, GROUP_COUNT_MAX, NULL);
	points_init(&series.points, grid->point_count);
	err = series.starts ? ask_series(store, &series, &reader_question) : -ENOMEM;
	if (!err)
		err = make_rows(&series, ret);
	pool_done(&series.keys);
	array_done(&series.groups);
	points_done(&series.points);
	free(series.starts);
	buf_done(&series.scratch);
	asking_leave(store, memory);
	return err == -EFBIG ? -E2BIG : err;
}

void store_rows_done(struct store_rows *rows)
{
	rows_memory_free(rows->memory);
	*rows = (struct store_rows){ 0 };
}

/* ---- gaps ------------------------------------------------------------------------------------ */

static int compare_gaps(const void *a, const void *b)
{
	const struct store_gap *x = a;
	const struct store_gap *y = b;

	if (x->from_unix_ms != y->from_unix_ms)
		return x->from_unix_ms < y->from_unix_ms ? -1 : 1;
	return (x->to_unix_ms > y->to_unix_ms) - (x->to_unix_ms < y->to_unix_ms);
}

int store_gaps(struct store *store, int64_t from_unix_ms, int64_t to_unix_ms,
	       struct store_gaps *ret)
{
	struct gaps found = { 0 };
	int err = 0;

	pthread_mutex_lock(&store->lock);
	for (uint32_t i = 0; !err && i < store->spans.spans.count; i++) {
		const struct gaps *gaps = &store->spans.spans.items[i]->gaps;

		for (uint32_t k = 0; !err && k < gaps->gaps.count; k++) {
			const struct store_gap *gap = &gaps->gaps.items[k];

			if (gap->from_unix_ms >= to_unix_ms || gap->to_unix_ms <= from_unix_ms ||
			    found.gaps.count >= GAP_COUNT_MAX)
				continue;
			err = array_reserve(&found.gaps, 1);
			if (!err)
				found.gaps.items[found.gaps.count++] = *gap;
		}
	}
	pthread_mutex_unlock(&store->lock);
	if (err) {
		array_done(&found.gaps);
		return err;
	}
	if (found.gaps.count)
		qsort(found.gaps.items, found.gaps.count, sizeof(found.gaps.items[0]),
		      compare_gaps);
	*ret = (struct store_gaps){ .gaps = found.gaps.items, .count = found.gaps.count };
	return 0;
}

void store_gaps_done(struct store_gaps *gaps)
{
	free(gaps->gaps);
	*gaps = (struct store_gaps){ 0 };
}
