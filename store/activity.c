/* SPDX-License-Identifier: Apache-2.0 */
#include "store/activity.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/saturate.h"

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
	UNSORTED_MIN = 1 << 15, /* 1.5 MiB */
};

void activity_done(struct activity *activity)
{
	array_done(&activity->slices);
	array_done(&activity->runs);
	array_done(&activity->order);
	array_done(&activity->sorted);
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

static void add_run(struct activity_run *to, const struct activity_run *run)
{
	to->samples = saturated_sum(to->samples, run->samples);
	to->kernel_samples = saturated_sum(to->kernel_samples, run->kernel_samples);
	to->value = saturated_sum(to->value, run->value);
	to->kernel_value = saturated_sum(to->kernel_value, run->kernel_value);
}

/* Makes one of equal neighbours. */
static void join_runs(struct activity *activity)
{
	struct activity_run *runs = activity->runs.items;
	uint32_t kept = 0;

	for (uint32_t i = 1; i < activity->runs.count; i++)
		if (compare_runs(&runs[kept], &runs[i]) != 0)
			runs[++kept] = runs[i];
		else
			add_run(&runs[kept], &runs[i]);
	activity->runs.count = kept + 1;
}

static uint32_t pair_key(const struct activity_run *run)
{
	return run->pair << 1 | run->is_valued;
}

/* By the digits of slice and pair: comparing takes several times as long. */
static int sort_by_number(struct activity *activity)
{
	const struct activity_run *runs = activity->runs.items;
	uint32_t count = activity->runs.count;
	struct activity_run *spare;
	uint32_t capacity;

	activity->order.count = activity->sorted.count = 0;
	if (array_reserve(&activity->order, 2 * (size_t)count) < 0 ||
	    array_reserve(&activity->sorted, count) < 0)
		return -ENOMEM;
	for (uint32_t i = 0; i < count; i++)
		activity->order.items[i] = (struct keyed){
			.key = (uint64_t)runs[i].slice << 32 | pair_key(&runs[i]),
			.number = i,
		};
	number_sort(activity->order.items, activity->order.items + count, count);
	spare = activity->sorted.items;
	capacity = activity->sorted.capacity;
	for (uint32_t i = 0; i < count; i++)
		spare[i] = runs[activity->order.items[i].number];
	activity->sorted.items = activity->runs.items;
	activity->sorted.capacity = activity->runs.capacity;
	activity->runs.items = spare;
	activity->runs.capacity = capacity;
	return 0;
}

void activity_sort(struct activity *activity)
{
	if (activity->runs.count == 0)
		return;
	/* Without the memory for that it takes longer. */
	if (sort_by_number(activity) < 0)
		qsort(activity->runs.items, activity->runs.count, sizeof(activity->runs.items[0]),
		      compare_runs);
	join_runs(activity);
}

static void put_zigzag(struct buf *buf, int64_t value)
{
	column_put(buf, ((uint64_t)value << 1) ^ (value < 0 ? UINT64_MAX : 0));
}

void activity_packer_init(struct activity_packer *packer)
{
	*packer = (struct activity_packer){
		.steps = BUF(COLUMNS_PLAIN_SIZE_MAX),
		.pairs = BUF(COLUMNS_PLAIN_SIZE_MAX),
		.samples = BUF(COLUMNS_PLAIN_SIZE_MAX),
		.kernel_samples = BUF(COLUMNS_PLAIN_SIZE_MAX),
		.values = BUF(COLUMNS_PLAIN_SIZE_MAX),
	};
}

void activity_packer_done(struct activity_packer *packer)
{
	buf_done(&packer->steps);
	buf_done(&packer->pairs);
	buf_done(&packer->samples);
	buf_done(&packer->kernel_samples);
	buf_done(&packer->values);
}

void activity_packer_add(struct activity_packer *packer, const struct activity *activity)
{
	for (uint32_t i = 0; i < activity->runs.count; i++) {
		const struct activity_run *run = &activity->runs.items[i];

		assert(run->slice >= packer->slice && run->slice < activity->slices.count);
		if (run->slice != packer->slice)
			packer->pair = 0;
		assert(run->pair >= packer->pair);
		column_put(&packer->steps,
			   (uint64_t)(run->slice - packer->slice) << 1 | run->is_valued);
		column_put(&packer->pairs, run->pair - packer->pair);
		column_put(&packer->samples, run->samples);
		column_put(&packer->kernel_samples, run->kernel_samples);
		if (run->is_valued) {
			column_put(&packer->values, run->value);
			column_put(&packer->values, run->kernel_value);
		}
		packer->slice = run->slice;
		packer->pair = run->pair;
	}
}

int activity_packer_pack(const struct activity_packer *packer, struct codec *codec,
			 const struct activity *activity, struct buf *ret)
{
	const struct buf *parts[COLUMN_COUNT] = { [COLUMN_STEPS] = &packer->steps,
						  [COLUMN_PAIRS] = &packer->pairs,
						  [COLUMN_SAMPLES] = &packer->samples,
						  [COLUMN_KERNEL] = &packer->kernel_samples,
						  [COLUMN_VALUES] = &packer->values };
	struct buf *columns = codec_columns(codec, COLUMN_COUNT);
	int64_t last_ms = 0;

	column_put(&columns[COLUMN_SLICES], activity->slices.count);
	for (uint32_t i = 0; i < activity->slices.count; i++) {
		const struct slice *item = &activity->slices.items[i];

		put_zigzag(&columns[COLUMN_SLICES], item->start_ms - last_ms);
		put_zigzag(&columns[COLUMN_SLICES], item->end_ms - item->start_ms);
		last_ms = item->start_ms;
	}
	for (unsigned i = COLUMN_STEPS; i < COLUMN_COUNT; i++) {
		if (parts[i]->error)
			return parts[i]->error;
		buf_add(&columns[i], parts[i]->bytes, parts[i]->size);
	}
	return codec_pack_columns(codec, COLUMN_COUNT, ret);
}

int activity_pack(struct codec *codec, const struct activity *activity, struct buf *ret)
{
	struct activity_packer packer;
	int err;

	activity_packer_init(&packer);
	activity_packer_add(&packer, activity);
	err = activity_packer_pack(&packer, codec, activity, ret);
	activity_packer_done(&packer);
	return err;
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

int activity_open(struct codec *codec, const void *blob, size_t size, uint32_t pair_count,
		  struct activity *slices, struct activity_reader *ret)
{
	int err = codec_unpack_columns(codec, blob, size, COLUMN_COUNT, ret->columns);

	slices->slices.count = slices->runs.count = 0;
	ret->run = (struct activity_run){ 0 };
	ret->pair_count = pair_count;
	if (!err)
		err = unpack_slices(&ret->columns[COLUMN_SLICES], slices);
	/* A byte a run at least. */
	if (!err && ret->columns[COLUMN_STEPS].left > RUN_COUNT_MAX)
		err = -EBADMSG;
	ret->slice_count = slices->slices.count;
	return err;
}

int activity_next(struct activity_reader *reader)
{
	struct bytes *columns = reader->columns;
	struct activity_run *run = &reader->run;

	if (columns[COLUMN_STEPS].left == 0) {
		for (unsigned i = COLUMN_STEPS; i < COLUMN_COUNT; i++)
			if (columns[i].error || columns[i].left)
				return -EBADMSG;
		return 0;
	}

	uint64_t step = column_take(&columns[COLUMN_STEPS]);
	uint64_t further = column_take(&columns[COLUMN_PAIRS]);

	if (step >> 1 >= reader->slice_count - (uint64_t)run->slice)
		return -EBADMSG;
	if (step >> 1)
		run->pair = 0;
	if (further >= reader->pair_count - (uint64_t)run->pair)
		return -EBADMSG;
	run->slice += (uint32_t)(step >> 1);
	run->pair += (uint32_t)further;
	run->is_valued = step & 1;
	run->samples = column_take(&columns[COLUMN_SAMPLES]);
	run->kernel_samples = column_take(&columns[COLUMN_KERNEL]);
	run->value = run->is_valued ? column_take(&columns[COLUMN_VALUES]) : 0;
	run->kernel_value = run->is_valued ? column_take(&columns[COLUMN_VALUES]) : 0;
	return 1;
}

static size_t least_left(const struct bytes *columns)
{
	size_t least = columns[COLUMN_STEPS].left;

	for (unsigned i = COLUMN_PAIRS; i <= COLUMN_KERNEL; i++)
		least = columns[i].left < least ? columns[i].left : least;
	return least;
}

int activity_sums_init(struct activity_sums *sums, uint32_t pair_count)
{
	*sums = (struct activity_sums){
		.sums = calloc((size_t)pair_count + 1, sizeof(sums->sums[0])),
		.occurring = calloc((size_t)pair_count + 1, sizeof(sums->occurring[0])),
	};
	return sums->sums && sums->occurring ? 0 : -ENOMEM;
}

void activity_sums_done(struct activity_sums *sums)
{
	free(sums->sums);
	free(sums->occurring);
	*sums = (struct activity_sums){ 0 };
}

void activity_sums_clear(struct activity_sums *sums)
{
	for (uint32_t i = 0; i < sums->count; i++)
		sums->sums[sums->occurring[i]] = (struct activity_sum){ 0 };
	sums->count = 0;
}

static struct activity_sum *begin_sum(struct activity_sums *sums, uint32_t pair, uint32_t slice)
{
	struct activity_sum *sum = &sums->sums[pair];

	sum->occurs = true;
	sum->first = slice;
	sums->occurring[sums->count++] = pair;
	return sum;
}

static inline struct activity_sum *sum_of(struct activity_sums *sums, uint32_t pair, uint32_t slice)
{
	struct activity_sum *sum = &sums->sums[pair];

	if (!sum->occurs)
		sum = begin_sum(sums, pair, slice);
	sum->last = slice;
	return sum;
}

/* Whether of the next eight runs each number takes one byte, and none is valued. */
static inline bool are_small(const uint8_t *steps, const uint8_t *pairs, const uint8_t *samples,
			     const uint8_t *kernel)
{
	const uint64_t long_bits = UINT64_C(0x8080808080808080);
	const uint64_t valued_bits = UINT64_C(0x0101010101010101);
	uint64_t all[4];

	memcpy(&all[0], steps, sizeof(all[0]));
	memcpy(&all[1], pairs, sizeof(all[0]));
	memcpy(&all[2], samples, sizeof(all[0]));
	memcpy(&all[3], kernel, sizeof(all[0]));
	return ((all[0] | all[1] | all[2] | all[3]) & long_bits) == 0 &&
	       (all[0] & valued_bits) == 0;
}

/*
 * Runs of which each number takes one byte, as nearly all do, eight at a time: no column is looked
 * at for itself. What is valued, longer, wrong, of another time or left over is taken by itself.
 */
static void sum_small_runs(struct activity_reader *reader, uint32_t end, struct activity_sums *sums)
{
	enum { TOGETHER = sizeof(uint64_t) };
	struct bytes *columns = reader->columns;
	const uint8_t *steps = columns[COLUMN_STEPS].next;
	const uint8_t *pairs = columns[COLUMN_PAIRS].next;
	const uint8_t *samples = columns[COLUMN_SAMPLES].next;
	const uint8_t *kernel = columns[COLUMN_KERNEL].next;
	const uint32_t pair_count = reader->pair_count;
	size_t left = least_left(columns);
	uint32_t slice = reader->run.slice;
	uint32_t pair = reader->run.pair;
	size_t count = 0;
	size_t safe = 0;

	for (;; count++) {
		if (count == safe) {
			if (left - count < TOGETHER || !are_small(steps + count, pairs + count,
								  samples + count, kernel + count))
				break;
			safe = count + TOGETHER;
		}

		uint32_t next = slice + (steps[count] >> 1);
		uint32_t further = (next == slice ? pair : 0) + pairs[count];

		if (next >= end || further >= pair_count)
			break;
		slice = next;
		pair = further;

		struct activity_sum *sum = sum_of(sums, pair, slice);

		sum->samples = saturated_sum(sum->samples, samples[count]);
		sum->kernel_samples = saturated_sum(sum->kernel_samples, kernel[count]);
	}
	reader->run.slice = slice;
	reader->run.pair = pair;
	for (unsigned i = COLUMN_STEPS; i <= COLUMN_KERNEL; i++) {
		columns[i].next += count;
		columns[i].left -= count;
	}
}

static void add_to_sum(const struct activity_run *run, struct activity_sums *sums)
{
	struct activity_sum *sum = sum_of(sums, run->pair, run->slice);

	if (!run->is_valued) {
		sum->samples = saturated_sum(sum->samples, run->samples);
		sum->kernel_samples = saturated_sum(sum->kernel_samples, run->kernel_samples);
		return;
	}
	sum->valued_samples = saturated_sum(sum->valued_samples, run->samples);
	sum->value = saturated_sum(sum->value, run->value);
	sum->kernel_value = saturated_sum(sum->kernel_value, run->kernel_value);
}

/* Whether the next run is of a slice before this one; at the end there is none. */
static bool comes_before(const struct activity_reader *reader, uint32_t slice)
{
	struct bytes steps = reader->columns[COLUMN_STEPS];

	return steps.left > 0 && column_take(&steps) >> 1 < slice - (uint64_t)reader->run.slice;
}

int activity_sum_until(struct activity_reader *reader, uint32_t slice, struct activity_sums *sums)
{
	int more = 1;

	assert(slice >= reader->run.slice && slice <= reader->slice_count);
	while (more > 0) {
		sum_small_runs(reader, slice, sums);
		/* After the last slice comes the end, or what is wrong. */
		if (slice < reader->slice_count && !comes_before(reader, slice))
			return 0;
		more = activity_next(reader);
		if (more > 0)
			add_to_sum(&reader->run, sums);
	}
	return more;
}

int activity_unpack(struct codec *codec, const void *blob, size_t size, uint32_t pair_count,
		    struct activity *ret)
{
	struct activity_reader reader;
	int err = activity_open(codec, blob, size, pair_count, ret, &reader);

	while (!err && (err = activity_next(&reader)) > 0) {
		err = 0;
		if (array_reserve(&ret->runs, 1) < 0)
			return -ENOMEM;
		ret->runs.items[ret->runs.count++] = reader.run;
	}
	return err;
}

/* ---- coarser slices -------------------------------------------------------------------------- */

struct coarse {
	int64_t key; /* twice the number of the step; one less: just where it starts */
	uint32_t slice;
};

static int64_t coarse_key(int64_t time_ms, int64_t step_ms, bool edges_apart)
{
	int64_t step = time_ms / step_ms;
	int64_t rest = time_ms % step_ms;

	if (rest < 0)
		step--;
	return edges_apart && rest == 0 ? 2 * step - 1 : 2 * step;
}

static int compare_coarse(const void *a, const void *b)
{
	int64_t x = ((const struct coarse *)a)->key;
	int64_t y = ((const struct coarse *)b)->key;

	return (x > y) - (x < y);
}

int activity_coarsen(const struct activity *from, int64_t step_ms, bool edges_apart,
		     struct activity *to, uint32_t **ret_places)
{
	uint32_t count = from->slices.count;
	uint32_t *places = calloc((size_t)count + 1, sizeof(places[0]));
	autofree struct coarse *coarse = calloc((size_t)count + 1, sizeof(coarse[0]));
	int64_t key = 0;

	*ret_places = places;
	to->slices.count = 0;
	if (!places || !coarse || array_reserve(&to->slices, count + 1) < 0)
		return -ENOMEM;
	for (uint32_t i = 0; i < count; i++)
		coarse[i] = (struct coarse){
			coarse_key(from->slices.items[i].start_ms, step_ms, edges_apart), i
		};
	qsort(coarse, count, sizeof(coarse[0]), compare_coarse);
	for (uint32_t i = 0; i < count; i++) {
		const struct slice *fine = &from->slices.items[coarse[i].slice];
		struct slice *slice = &to->slices.items[to->slices.count];

		if (i == 0 || coarse[i].key != key) {
			*slice = *fine;
			to->slices.count++;
		} else if (fine->start_ms < (--slice)->start_ms) {
			slice->start_ms = fine->start_ms;
		}
		if (fine->end_ms > slice->end_ms)
			slice->end_ms = fine->end_ms;
		key = coarse[i].key;
		places[coarse[i].slice] = to->slices.count - 1;
	}
	return 0;
}

/* Runs that are added up while they come, mostly in the order of their slices. */
struct sums {
	struct activity *to;
	const uint32_t *slices, *pairs;
	ARRAY(uint32_t) last; /* by pair_key(): the last of to's runs with that, + 1 */
	uint32_t sorted;      /* so many of to's runs are in order */
};

/*
 * One of the same slice as its pair's last run is added to that: of half a million runs with their
 * processes and seconds some thousand remain. Where slices come in no order there are more, which
 * become one as soon as there may be twice as many as are left of them then.
 */
static int sum_up(struct sums *sums, struct activity_run run)
{
	struct activity *to = sums->to;
	uint32_t *last;

	run.slice = sums->slices[run.slice];
	run.pair = sums->pairs[run.pair];
	if (to->runs.count - sums->sorted >= UNSORTED_MIN && to->runs.count / 2 >= sums->sorted) {
		activity_sort(to);
		sums->sorted = to->runs.count;
		sums->last.count = 0;
	}
	if (array_extend(&sums->last, pair_key(&run) + 1) < 0)
		return -ENOMEM;
	assert(pair_key(&run) < sums->last.count);
	last = &sums->last.items[pair_key(&run)];
	if (*last && to->runs.items[*last - 1].slice == run.slice) {
		add_run(&to->runs.items[*last - 1], &run);
		return 0;
	}
	if (array_reserve(&to->runs, 1) < 0)
		return -ENOMEM;
	to->runs.items[to->runs.count++] = run;
	*last = to->runs.count;
	return 0;
}

static int end_sums(struct sums *sums, int err)
{
	array_done(&sums->last);
	if (!err)
		activity_sort(sums->to);
	return err;
}

int activity_add(const struct activity *from, const uint32_t *slices, const uint32_t *pairs,
		 struct activity *to)
{
	struct sums sums = { .to = to, .slices = slices, .pairs = pairs, .sorted = to->runs.count };
	int err = 0;

	for (uint32_t i = 0; !err && i < from->runs.count; i++)
		err = sum_up(&sums, from->runs.items[i]);
	return end_sums(&sums, err);
}

int activity_add_read(struct activity_reader *from, const uint32_t *slices, const uint32_t *pairs,
		      struct activity *to)
{
	struct sums sums = { .to = to, .slices = slices, .pairs = pairs, .sorted = to->runs.count };
	int err;

	while ((err = activity_next(from)) > 0) {
		err = sum_up(&sums, from->run);
		if (err)
			break;
	}
	return end_sums(&sums, err);
}
