/* SPDX-License-Identifier: Apache-2.0 */
#include "store/activity.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

enum {
	COLUMN_SLICES = 0,
	COLUMN_STEPS, /* to the next slice, twice; 1 when the run is valued */
	COLUMN_PAIRS,
	COLUMN_SAMPLES,
	COLUMN_KERNEL,
	COLUMN_VALUES,
	COLUMN_COUNT,
	SLICE_COUNT_MAX = 1 << 20,
	RUN_COUNT_MAX = 16 << 20,
};

void activity_done(struct activity *activity)
{
	array_done(&activity->slices);
	array_done(&activity->runs);
}

static int compare_runs(const void *a, const void *b)
{
	const struct activity_run *x = a;
	const struct activity_run *y = b;

	if (x->slice != y->slice)
		return x->slice < y->slice ? -1 : 1;
	if (x->pair != y->pair)
		return x->pair < y->pair ? -1 : 1;
	return x->is_valued - y->is_valued;
}

static uint64_t saturated(uint64_t a, uint64_t b)
{
	uint64_t sum = 0;

	return __builtin_add_overflow(a, b, &sum) ? UINT64_MAX : sum;
}

void activity_sort(struct activity *activity)
{
	struct activity_run *runs = activity->runs.items;
	uint32_t kept = 0;

	if (activity->runs.count == 0)
		return;
	qsort(runs, activity->runs.count, sizeof(runs[0]), compare_runs);
	for (uint32_t i = 1; i < activity->runs.count; i++) {
		if (compare_runs(&runs[kept], &runs[i]) != 0) {
			runs[++kept] = runs[i];
			continue;
		}
		runs[kept].samples = saturated(runs[kept].samples, runs[i].samples);
		runs[kept].kernel_samples =
			saturated(runs[kept].kernel_samples, runs[i].kernel_samples);
		runs[kept].value = saturated(runs[kept].value, runs[i].value);
		runs[kept].kernel_value = saturated(runs[kept].kernel_value, runs[i].kernel_value);
	}
	activity->runs.count = kept + 1;
}

static void put_zigzag(struct buf *buf, int64_t value)
{
	column_put(buf, ((uint64_t)value << 1) ^ (value < 0 ? UINT64_MAX : 0));
}

int activity_pack(struct codec *codec, const struct activity *activity, struct buf *ret)
{
	struct buf *columns = codec_columns(codec, COLUMN_COUNT);
	int64_t last_ms = 0;
	uint32_t slice = 0;
	uint32_t pair = 0;

	column_put(&columns[COLUMN_SLICES], activity->slices.count);
	for (uint32_t i = 0; i < activity->slices.count; i++) {
		const struct slice *item = &activity->slices.items[i];

		put_zigzag(&columns[COLUMN_SLICES], item->start_ms - last_ms);
		put_zigzag(&columns[COLUMN_SLICES], item->end_ms - item->start_ms);
		last_ms = item->start_ms;
	}
	for (uint32_t i = 0; i < activity->runs.count; i++) {
		const struct activity_run *run = &activity->runs.items[i];

		assert(run->slice >= slice && run->slice < activity->slices.count);
		if (run->slice != slice)
			pair = 0;
		assert(run->pair >= pair);
		column_put(&columns[COLUMN_STEPS],
			   (uint64_t)(run->slice - slice) << 1 | run->is_valued);
		column_put(&columns[COLUMN_PAIRS], run->pair - pair);
		column_put(&columns[COLUMN_SAMPLES], run->samples);
		column_put(&columns[COLUMN_KERNEL], run->kernel_samples);
		if (run->is_valued) {
			column_put(&columns[COLUMN_VALUES], run->value);
			column_put(&columns[COLUMN_VALUES], run->kernel_value);
		}
		slice = run->slice;
		pair = run->pair;
	}
	return codec_pack_columns(codec, COLUMN_COUNT, ret);
}

static int unpack_slices(struct bytes *bytes, struct activity *ret)
{
	size_t count = bytes_count(bytes, 2, SLICE_COUNT_MAX);
	int64_t last_ms = 0;

	if (array_reserve(&ret->slices, count) < 0)
		return -ENOMEM;
	for (size_t i = 0; i < count; i++) {
		struct slice slice;

		if (__builtin_add_overflow(last_ms, bytes_zigzag(bytes), &slice.start_ms) ||
		    __builtin_add_overflow(slice.start_ms, bytes_zigzag(bytes), &slice.end_ms))
			return -EBADMSG;
		last_ms = slice.start_ms;
		ret->slices.items[ret->slices.count++] = slice;
	}
	return bytes->error || bytes->left ? -EBADMSG : 0;
}

int activity_unpack(struct codec *codec, const void *blob, size_t size, uint32_t pair_count,
		    struct activity *ret)
{
	struct bytes columns[COLUMNS_COUNT_MAX];
	struct activity_run run = { 0 };
	int err = codec_unpack_columns(codec, blob, size, COLUMN_COUNT, columns);

	ret->slices.count = ret->runs.count = 0;
	if (!err)
		err = unpack_slices(&columns[COLUMN_SLICES], ret);
	if (err)
		return err;
	/* A byte a run at least. */
	if (columns[COLUMN_STEPS].left > RUN_COUNT_MAX)
		return -EBADMSG;
	while (columns[COLUMN_STEPS].left > 0) {
		uint64_t step = column_take(&columns[COLUMN_STEPS]);
		uint64_t further = column_take(&columns[COLUMN_PAIRS]);

		if (step >> 1 >= ret->slices.count - (uint64_t)run.slice)
			return -EBADMSG;
		if (step >> 1)
			run.pair = 0;
		if (further >= pair_count - (uint64_t)run.pair)
			return -EBADMSG;
		run.slice += (uint32_t)(step >> 1);
		run.pair += (uint32_t)further;
		run.is_valued = step & 1;
		run.samples = column_take(&columns[COLUMN_SAMPLES]);
		run.kernel_samples = column_take(&columns[COLUMN_KERNEL]);
		run.value = run.is_valued ? column_take(&columns[COLUMN_VALUES]) : 0;
		run.kernel_value = run.is_valued ? column_take(&columns[COLUMN_VALUES]) : 0;
		if (array_reserve(&ret->runs, 1) < 0)
			return -ENOMEM;
		ret->runs.items[ret->runs.count++] = run;
	}
	for (unsigned i = COLUMN_STEPS; i < COLUMN_COUNT; i++)
		if (columns[i].error || columns[i].left)
			return -EBADMSG;
	return 0;
}

/* ---- coarser slices -------------------------------------------------------------------------- */

static int64_t floor_to(int64_t time_ms, int64_t step_ms)
{
	int64_t rest = time_ms % step_ms;

	return time_ms - (rest < 0 ? rest + step_ms : rest);
}

static int compare_starts(const void *a, const void *b)
{
	int64_t x = ((const struct slice *)a)->start_ms;
	int64_t y = ((const struct slice *)b)->start_ms;

	return (x > y) - (x < y);
}

int activity_coarsen(const struct activity *from, int64_t step_ms, struct activity *to,
		     uint32_t **ret_places)
{
	uint32_t count = from->slices.count;
	uint32_t *places = calloc((size_t)count + 1, sizeof(places[0]));
	struct slice *slices = NULL;
	uint32_t kept = 0;

	*ret_places = places;
	if (!places || array_reserve(&to->slices, count + 1) < 0)
		return -ENOMEM;
	slices = to->slices.items;
	for (uint32_t i = 0; i < count; i++) {
		int64_t start_ms = floor_to(from->slices.items[i].start_ms, step_ms);

		slices[i] = (struct slice){ start_ms, start_ms + step_ms };
	}
	qsort(slices, count, sizeof(slices[0]), compare_starts);
	for (uint32_t i = 0; i < count; i++)
		if (kept == 0 || slices[i].start_ms != slices[kept - 1].start_ms)
			slices[kept++] = slices[i];
	to->slices.count = kept;
	for (uint32_t i = 0; i < count; i++) {
		struct slice wanted = { .start_ms =
						floor_to(from->slices.items[i].start_ms, step_ms) };
		const struct slice *found =
			bsearch(&wanted, slices, kept, sizeof(slices[0]), compare_starts);

		assert(found);
		places[i] = (uint32_t)(found - slices);
	}
	return 0;
}

int activity_add(const struct activity *from, const uint32_t *slices, const uint32_t *pairs,
		 struct activity *to)
{
	if (array_reserve(&to->runs, from->runs.count) < 0)
		return -ENOMEM;
	for (uint32_t i = 0; i < from->runs.count; i++) {
		struct activity_run run = from->runs.items[i];

		run.slice = slices[run.slice];
		run.pair = pairs[run.pair];
		to->runs.items[to->runs.count++] = run;
	}
	activity_sort(to);
	return 0;
}
