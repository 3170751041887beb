/* SPDX-License-Identifier: Apache-2.0 */
#include "web/otlp_intake.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "web/otlp_frames.h"
#include "web/otlp_owners.h"

enum {
	BATCH_MS_MAX = 60000,		 /* times in a batch are 16 bits of ms */
	BATCH_ENTRY_COUNT_MAX = 1 << 18, /* what a commit takes at ease */
	TYPE_SIZE_MAX = 512,
	DURATION_MS_DEFAULT = 10000, /* of a profile that does not say, as Pyroscope has it */
};

struct taken {
	const struct otlp_sample *sample;
	uint64_t count, value;
};

struct otlp_intake {
	struct otlp_intake_options options;
	struct batch *batch;
	struct batch_time time;
	bool has_time;
	bool is_undated; /* its profiles do not say when they were taken */
	struct otlp_owners *owners;
	struct otlp_frames *frames;
	struct otlp_intake_totals totals;

	/* The type of the profile that is taken. */
	struct buf type;
	uint64_t period;   /* of one sample */
	uint64_t weight;   /* of one count: values are multiplied by it */
	bool counts_times; /* its values are samples */

	/* What of its samples is kept. */
	ARRAY(struct taken) taken;
	ARRAY(uint16_t) times;
};

int otlp_intake_new(struct otlp_intake **ret)
{
	autoclean(otlp_intake) struct otlp_intake *intake = calloc(1, sizeof(*intake));
	int err;

	if (!intake)
		return -ENOMEM;
	intake->type = BUF(TYPE_SIZE_MAX);
	err = batch_new(OTLP_BATCH_MEMORY_MAX, &intake->batch);
	if (!err)
		err = otlp_frames_new(intake->batch, &intake->frames);
	if (!err)
		err = otlp_owners_new(intake->batch, &intake->owners);
	if (err)
		return err;
	*ret = TAKE(intake);
	return 0;
}

struct otlp_intake *otlp_intake_free(struct otlp_intake *intake)
{
	if (!intake)
		return NULL;
	otlp_owners_free(intake->owners);
	otlp_frames_free(intake->frames);
	batch_free(intake->batch);
	buf_done(&intake->type);
	array_done(&intake->taken);
	array_done(&intake->times);
	free(intake);
	return NULL;
}

size_t otlp_intake_memory(const struct otlp_intake *intake)
{
	return sizeof(*intake) + batch_memory(intake->batch) + otlp_owners_memory(intake->owners) +
	       otlp_frames_memory(intake->frames) + intake->type.capacity +
	       array_memory(&intake->taken) + array_memory(&intake->times);
}

struct otlp_intake_totals otlp_intake_totals(const struct otlp_intake *intake)
{
	struct otlp_intake_totals totals = intake->totals;

	totals.labels_left_out = otlp_owners_left_out(intake->owners);
	return totals;
}

/* ---- batches ----------------------------------------------------------------------------------
 */

static void clear(struct otlp_intake *intake)
{
	batch_clear(intake->batch);
	intake->has_time = false;
	otlp_owners_clear(intake->owners);
	otlp_frames_clear(intake->frames);
}

void otlp_intake_begin(struct otlp_intake *intake, const struct otlp_intake_options *options)
{
	assert(options->add && options->now_ms > 0);
	intake->options = *options;
	intake->totals = (struct otlp_intake_totals){ 0 };
	clear(intake);
	otlp_owners_start(intake->owners, options->host_name, options->is_local, options->now_ms);
}

static int give(struct otlp_intake *intake, bool is_last)
{
	int err = 0;

	if (batch_totals(intake->batch).entries > 0) {
		batch_set_time(intake->batch, intake->time);
		err = intake->options.add(intake->options.context, intake->batch, is_last);
	}
	clear(intake);
	return err;
}

int otlp_intake_finish(struct otlp_intake *intake)
{
	return give(intake, true);
}

/* One that claims to be of 1970, or of 2100, has a clock, or a unit, that is wrong. */
static bool is_dated(const struct otlp_profile *profile)
{
	static const uint64_t year_ms = UINT64_C(365) * 24 * 3600 * CLOCK_MS_PER_S;
	uint64_t start_ms = profile->time_unix_ns / (uint64_t)CLOCK_NS_PER_MS;

	return start_ms >= year_ms && start_ms <= 130 * year_ms;
}

static struct batch_time time_of(const struct otlp_intake *intake,
				 const struct otlp_profile *profile)
{
	static const uint64_t year_ms = UINT64_C(365) * 24 * 3600 * CLOCK_MS_PER_S;
	uint64_t start_ms = profile->time_unix_ns / (uint64_t)CLOCK_NS_PER_MS;
	uint64_t duration_ms = profile->duration_ns / (uint64_t)CLOCK_NS_PER_MS;

	if (duration_ms == 0 || duration_ms > year_ms)
		duration_ms = DURATION_MS_DEFAULT;
	if (!is_dated(profile))
		start_ms = (uint64_t)intake->options.now_ms - duration_ms;
	return (struct batch_time){ (int64_t)start_ms, (int64_t)(start_ms + duration_ms) };
}

/*
 * Whether the profile finds room in the batch, in which times are 16 bits of ms. What depends on
 * the clock never shares one with what does not, so that a request that comes again falls into the
 * same parts.
 */
static bool fits_in(const struct otlp_intake *intake, struct batch_time time, bool is_undated)
{
	const struct batch_time *all = &intake->time;

	return time.end_unix_ms - all->start_unix_ms <= BATCH_MS_MAX &&
	       all->end_unix_ms - time.start_unix_ms <= BATCH_MS_MAX &&
	       is_undated == intake->is_undated &&
	       batch_totals(intake->batch).entries <= BATCH_ENTRY_COUNT_MAX;
}

/* Makes the batch's time hold the profile's, or begins another batch. */
static int fit_time(struct otlp_intake *intake, const struct otlp_profile *profile)
{
	struct batch_time time = time_of(intake, profile);
	struct batch_time *all = &intake->time;
	bool is_undated = !is_dated(profile);
	int err = 0;

	if (intake->has_time && !fits_in(intake, time, is_undated))
		err = give(intake, false);
	if (!intake->has_time) {
		*all = time;
		intake->is_undated = is_undated;
	}
	/* Until January 2026 OpenTelemetry's profiles began with their first sample each. */
	if (time.start_unix_ms < all->start_unix_ms) {
		batch_shift_times(intake->batch, all->start_unix_ms - time.start_unix_ms);
		all->start_unix_ms = time.start_unix_ms;
	}
	if (time.end_unix_ms > all->end_unix_ms)
		all->end_unix_ms = time.end_unix_ms;
	intake->has_time = true;
	return err;
}

/* ---- types ------------------------------------------------------------------------------------
 */

/* A part of a type's id: what would end it early becomes something else. */
static void add_part(struct buf *type, struct str part)
{
	if (type->size > 0)
		buf_add_u8(type, ':');
	for (size_t i = 0; i < part.size; i++)
		buf_add_u8(type, part.text[i] == ':' || (uint8_t)part.text[i] < ' '
					 ? '_'
					 : (uint8_t)part.text[i]);
}

static bool is_type(const struct otlp_value_type *type, struct str name, struct str unit)
{
	return str_equal(type->type, name) && str_equal(type->unit, unit);
}

static void find_type(struct otlp_intake *intake, const struct otlp_profile *profile)
{
	struct otlp_value_type period = profile->period_type;
	struct buf *type = &intake->type;
	struct str name = period.type.size > 0 ? period.type : profile->type.type;

	if (profile->period <= 0)
		period = (struct otlp_value_type){ 0 };
	intake->period = intake->weight = 1;
	intake->counts_times = str_equal(profile->type.unit, STR("count"));
	buf_clear(type);
	if (is_type(&profile->type, STR("samples"), STR("count")) &&
	    is_type(&period, STR("cpu"), STR("nanoseconds"))) {
		buf_add_str(type, STR("process_cpu:cpu:nanoseconds:cpu:nanoseconds"));
		intake->period = intake->weight = (uint64_t)profile->period;
		return;
	}
	/* Until September 2025 OpenTelemetry's profiler called it events. */
	if (period.type.size == 0 && (is_type(&profile->type, STR("off_cpu"), STR("nanoseconds")) ||
				      is_type(&profile->type, STR("events"), STR("nanoseconds")))) {
		buf_add_str(type, STR("off_cpu:off_cpu:nanoseconds::"));
		return;
	}
	if (period.type.size == 0)
		name = profile->type.type;
	add_part(type, name);
	add_part(type, profile->type.type);
	add_part(type, profile->type.unit);
	add_part(type, period.type);
	add_part(type, period.unit);
}

/* ---- samples ----------------------------------------------------------------------------------
 */

/* Ms behind the batch's start, ascending; NULL when they do not lie in its time. */
static int find_times(struct otlp_intake *intake, const struct otlp_profile *profile,
		      struct otlp_range timestamps, const uint16_t **ret)
{
	*ret = NULL;
	intake->times.count = 0;
	if (array_reserve(&intake->times, timestamps.count) < 0)
		return -ENOMEM;
	for (uint32_t i = 0; i < timestamps.count; i++) {
		int64_t ms = (int64_t)(profile->timestamps[timestamps.first + i] /
				       (uint64_t)CLOCK_NS_PER_MS) -
			     intake->time.start_unix_ms;
		uint32_t place = intake->times.count++;

		if (ms < 0 || ms > BATCH_MS_MAX || place > UINT16_MAX)
			return 0;
		/* They nearly always come in order. */
		while (place > 0 && intake->times.items[place - 1] > ms && i - place < 64) {
			intake->times.items[place] = intake->times.items[place - 1];
			place--;
		}
		intake->times.items[place] = (uint16_t)ms;
	}
	if (timestamps.count > 0)
		*ret = intake->times.items;
	return 0;
}

/* How many samples a sum stands for: a type that counts them tells, else there is one. */
static bool weigh(const struct otlp_intake *intake, const struct otlp_profile *profile,
		  const struct otlp_sample *sample, struct taken *ret)
{
	uint64_t sum = 0;

	for (uint32_t i = 0; i < sample->values.count; i++)
		if (__builtin_add_overflow(sum, (uint64_t)profile->values[sample->values.first + i],
					   &sum))
			return false;
	*ret = (struct taken){ .sample = sample, .count = sample->timestamps.count };
	if (sample->values.count == 0)
		sum = sample->timestamps.count;
	else if (sample->timestamps.count == 0)
		ret->count = intake->counts_times ? sum : 1;
	return !__builtin_mul_overflow(sum, intake->weight, &ret->value);
}

/* What is nothing is not kept; what is more than there can be neither. */
static int choose_samples(struct otlp_intake *intake, const struct otlp_profile *profile)
{
	int err = 0;

	intake->taken.count = 0;
	if (array_reserve(&intake->taken, profile->sample_count) < 0)
		return -ENOMEM;
	for (size_t i = 0; !err && i < profile->sample_count; i++) {
		struct taken *taken = &intake->taken.items[intake->taken.count];

		if (!weigh(intake, profile, &profile->samples[i], taken) || taken->value == 0 ||
		    taken->count == 0)
			continue;
		intake->taken.count++;
		err = otlp_frames_expect(intake->frames, taken->sample->stack);
	}
	return err;
}

static int take_sample(struct otlp_intake *intake, const struct otlp_profile *profile,
		       const struct taken *taken)
{
	struct batch_entry entry = { .count = taken->count, .value = taken->value };
	struct otlp_owner owner = { 0 };
	int64_t stack = 0;
	int err = otlp_owners_find(intake->owners, taken->sample, &owner);

	if (!err)
		stack = otlp_frames_find(intake->frames, taken->sample->stack,
					 taken->sample->stack_number);
	if (err || stack < 0)
		return err ? err : (int)stack;
	entry.series = owner.series;
	entry.sample_labels = owner.labels;
	entry.stack = (uint32_t)stack;
	err = find_times(intake, profile, taken->sample->timestamps, &entry.times_ms);
	if (!err)
		err = batch_add_entry(intake->batch, &entry);
	intake->totals.samples += err ? 0 : entry.count;
	return err;
}

int otlp_intake_take(void *context, const struct otlp_profile *profile)
{
	struct otlp_intake *intake = context;
	int err = fit_time(intake, profile);

	find_type(intake, profile);
	if (intake->type.error == -EFBIG)
		return -E2BIG;
	if (!err)
		err = intake->type.error;
	if (!err)
		err = otlp_frames_begin(intake->frames, profile);
	if (!err)
		err = otlp_owners_begin(
			intake->owners, profile,
			(struct str){ (const char *)intake->type.bytes, intake->type.size },
			intake->period);
	if (!err)
		err = choose_samples(intake, profile);
	for (uint32_t i = 0; !err && i < intake->taken.count; i++)
		err = take_sample(intake, profile, &intake->taken.items[i]);
	return err;
}
