/* SPDX-License-Identifier: Apache-2.0 */
#include "web/jfr_reader.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/parse.h"
#include "base/utf8.h"
#include "web/jfr_inside.h"

enum {
	/* A batch that is handed over, as in pprof_reader.c. */
	BATCH_ENTRY_COUNT_MAX = 1 << 16,
	/* Sums that are kept before they go into a batch: 16 MB. */
	SUM_COUNT_MAX = 1 << 18,
	CHAIN_COUNT_MAX = 8,
	MEMO_COUNT_MAX = 8 << 20,
	PERIOD_NS_DEFAULT = 10 * 1000 * 1000,
};

/* What a sample is of. */
enum profile {
	PROFILE_CPU = 0,
	PROFILE_WALL,
	PROFILE_NATIVE,
	PROFILE_IN_NEW_TLAB,
	PROFILE_OUTSIDE_TLAB,
	PROFILE_ALLOCATION,
	PROFILE_MUTEX,
	PROFILE_BLOCK,
	PROFILE_LIVE,
	PROFILE_MALLOC,
	PROFILE_CPU_TIME,
	PROFILE_COUNT,
};

/* How many there were, or for how long; and what they weigh. */
static const struct {
	const char *types[2];
	bool is_time; /* the first: a sample is a period */
} profiles[PROFILE_COUNT] = {
	[PROFILE_CPU] = { { "process_cpu:cpu:nanoseconds:cpu:nanoseconds", NULL }, true },
	[PROFILE_WALL] = { { "wall:wall:nanoseconds:wall:nanoseconds", NULL }, true },
	[PROFILE_NATIVE] = { { "native:samples:count:native:count", NULL }, false },
	[PROFILE_IN_NEW_TLAB] = { { "memory:alloc_in_new_tlab_objects:count:space:bytes",
				    "memory:alloc_in_new_tlab_bytes:bytes:space:bytes" },
				  false },
	[PROFILE_OUTSIDE_TLAB] = { { "memory:alloc_outside_tlab_objects:count:space:bytes",
				     "memory:alloc_outside_tlab_bytes:bytes:space:bytes" },
				   false },
	[PROFILE_ALLOCATION] = { { "memory:alloc_sample_objects:count:space:bytes",
				   "memory:alloc_sample_bytes:bytes:space:bytes" },
				 false },
	[PROFILE_MUTEX] = { { "mutex:contentions:count:mutex:count",
			      "mutex:delay:nanoseconds:mutex:count" },
			    false },
	[PROFILE_BLOCK] = { { "block:contentions:count:block:count",
			      "block:delay:nanoseconds:block:count" },
			    false },
	[PROFILE_LIVE] = { { "memory:live:count:objects:count", NULL }, false },
	[PROFILE_MALLOC] = { { "memory:malloc_objects:count::", "memory:malloc_bytes:bytes::" },
			     false },
	[PROFILE_CPU_TIME] = { { "process_cpu:cpu_time_samples:count:cpu_time:nanoseconds",
				 "process_cpu:cpu_time:nanoseconds:cpu_time:nanoseconds" },
			       false },
};

/* What a thread's state is to us: numbers of constants. */
enum { STATE_OTHER = 0, STATE_RUNNABLE, STATE_SLEEPING };

int jfr_refuse(struct jfr_input *input, int err, const char *what, uint64_t number)
{
	snprintf(input->reason, PPROF_ERROR_SIZE, "%s %" PRIu64, what, number);
	return err;
}

static uint64_t offset_of(const struct jfr_input *input, const struct jfr_event *event)
{
	return input->chunk.offset + event->place;
}

/* ---- settings ---------------------------------------------------------------------------------
 */

/* "20 ms", "10000000" (ns), "1 s"; 0 for what is none, as "everyChunk". */
static uint64_t read_period(struct str text)
{
	static const struct {
		const char *unit;
		uint64_t ns;
	} units[] = {
		{ "", 1 }, { "ns", 1 }, { "us", 1000 }, { "ms", 1000000 }, { "s", 1000000000 }
	};
	struct str number_text = { 0 };
	uint64_t number = 0;

	if (!parse_next(&text, ' ', &number_text) || parse_u64(number_text, &number) ||
	    number > INT64_MAX / 1000000000)
		return 0;
	for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++)
		if (str_equal(text, str_from(units[i].unit)))
			return number * units[i].ns;
	return 0;
}

static void take_setting(struct jfr_input *input, uint64_t event, struct str name, struct str value)
{
	uint32_t type = jfr_types_find(&input->chunk.types, event);
	bool is_of_samples = type != TABLE_NONE &&
			     input->chunk.types.types.items[type].kind == JFR_EXECUTION_SAMPLE;

	if (str_equal(name, STR("event")) && value.size < JFR_SETTING_SIZE && utf8_is_valid(value))
		snprintf(input->event, JFR_SETTING_SIZE, "%.*s", STR_PRINT(value));
	else if (is_of_samples &&
		 (str_equal(name, STR("period")) || str_equal(name, STR("interval"))))
		input->interval_ns = read_period(value);
	else if (is_of_samples && str_equal(name, STR("wall")))
		input->wall_interval_ns = read_period(value);
}

/* The first that is known: of the push, of the recording, of everybody. */
static uint64_t choose_period(const struct jfr_input *input, uint64_t interval_ns)
{
	if (input->form->period_ns)
		return input->form->period_ns;
	return interval_ns ? interval_ns : PERIOD_NS_DEFAULT;
}

static void read_settings(struct jfr_input *input)
{
	struct jfr_chunk *chunk = &input->chunk;
	size_t place = chunk->settings_from;
	struct jfr_event event;

	while (place < chunk->settings_to && jfr_chunk_next(chunk, &place, &event)) {
		struct jfr_value value = { 0 };
		struct str name, text;

		if (event.type == TABLE_NONE || event.type != chunk->types.of_kind[JFR_SETTING])
			continue;
		jfr_types_walk(&chunk->types, event.type, &event.bytes, &value);
		if (event.bytes.bytes.error)
			continue;
		name = jfr_chunk_text(chunk, &value, JFR_SETTING_NAME, &input->text);
		text = jfr_chunk_text(chunk, &value, JFR_SETTING_VALUE, &input->other_text);
		take_setting(input, value.numbers[JFR_SETTING_EVENT], name, text);
	}
	input->cpu_ns = choose_period(input, input->interval_ns);
	input->wall_ns = choose_period(input, input->wall_interval_ns ? input->wall_interval_ns
								      : input->interval_ns);
}

/* ---- sums -------------------------------------------------------------------------------------
 */

static bool sum_equals(const void *context, uint32_t number, const void *other)
{
	const struct sum *sum = &((const struct sums *)context)->items.items[number];
	const struct sum_key *key = other;

	return sum->trace == key->trace && sum->owner == key->owner && sum->profile == key->profile;
}

/*
 * Most stacks have few sums, which are a chain that begins with the stack; the rest are found by
 * the table.
 */
static struct sum *find_in_chain(struct sums *sums, uint32_t first, const struct sum_key *key)
{
	for (int i = 0; i < CHAIN_COUNT_MAX && first != JFR_NO_NUMBER; i++) {
		struct sum *sum = &sums->items.items[first];

		if (sum->profile == key->profile && sum->owner == key->owner)
			return sum;
		first = sum->next;
	}
	return NULL;
}

static struct sum *find_sum(struct jfr_input *input, struct jfr_constant *trace,
			    const struct sum_key *key, int *ret_err)
{
	struct sums *sums = &input->sums;
	struct sum *sum = find_in_chain(sums, trace->number, key);
	uint64_t hash;
	uint32_t number;

	if (sum)
		return sum;
	hash = table_hash_bytes(key, sizeof(*key), 0);
	number = table_find(&sums->table, hash, key, sum_equals, sums);
	if (number != TABLE_NONE)
		return &sums->items.items[number];
	*ret_err = array_reserve(&sums->items, 1);
	if (!*ret_err)
		*ret_err = table_add(&sums->table, hash);
	if (*ret_err)
		return NULL;
	number = sums->items.count++;
	sums->items.items[number] = (struct sum){ .trace = key->trace,
						  .owner = key->owner,
						  .profile = key->profile & 15,
						  .next = trace->number };
	trace->number = number;
	return &sums->items.items[number];
}

static int add_to_sum(struct sum *sum, uint64_t count, uint64_t weight)
{
	sum->events++;
	if (__builtin_add_overflow(sum->count, count, &sum->count) ||
	    __builtin_add_overflow(sum->weight, weight, &sum->weight) || sum->count > INT64_MAX ||
	    sum->weight > INT64_MAX)
		return -E2BIG;
	return 0;
}

static uint64_t period_of(const struct jfr_input *input, enum profile profile)
{
	if (!profiles[profile].is_time)
		return 1;
	return profile == PROFILE_WALL ? input->wall_ns : input->cpu_ns;
}

/* Its one or two entries. */
static int add_entries(struct jfr_input *input, const struct sum *sum, uint32_t stack)
{
	const struct owner *owner = &input->owners.items.items[sum->owner];
	uint64_t period = period_of(input, sum->profile);
	uint64_t values[2] = { 0, sum->weight };

	if (__builtin_mul_overflow(sum->count, period, &values[0]) || values[0] > INT64_MAX)
		return jfr_refuse(input, -E2BIG,
				  "samples add up to more than 63 bits, in the chunk at byte",
				  input->chunk.offset);
	for (int i = 0; i < 2; i++) {
		const char *type = profiles[sum->profile].types[i];
		int64_t series;
		int err;

		if (!type || values[i] == 0)
			continue;
		series = batch_add_series(input->batch, owner->series_labels, str_from(type),
					  period);
		if (series < 0)
			return (int)series;
		err = batch_add_entry(input->batch,
				      &(struct batch_entry){ .series = (uint32_t)series,
							     .sample_labels = owner->sample_labels,
							     .stack = stack,
							     .count = sum->count,
							     .value = values[i] });
		if (err)
			return err;
		input->entry_count++;
		input->batch_entries++;
	}
	return 0;
}

static int hand_over(struct jfr_input *input, size_t place);

static void forget_numbers(struct jfr_pool *pool)
{
	for (uint32_t i = 0; i < pool->items.count; i++)
		pool->items.items[i].number = JFR_NO_NUMBER;
}

static bool is_full(const struct jfr_input *input)
{
	/* A quarter is more than what a stack brings, but for the deepest of new names. */
	return input->origin->take && (input->batch_entries >= BATCH_ENTRY_COUNT_MAX ||
				       batch_room(input->batch) < input->batch_memory / 4);
}

/* place: up to where the chunk's events were read. */
static int add_sum(struct jfr_input *input, const struct sum *sum, size_t place)
{
	uint64_t count_max = input->origin->take ? PUSH_VALUE_COUNT_MAX : IMPORT_VALUE_COUNT_MAX;
	int64_t stack;
	int err = is_full(input) ? hand_over(input, place) : 0;

	if (err)
		return err;
	if (input->entry_count >= count_max)
		return jfr_refuse(input, -E2BIG, "it has more values than", count_max);
	stack = jfr_find_stack(input, &input->chunk.pools[JFR_STACK_TRACE].items.items[sum->trace]);
	if (stack == -ENODATA) {
		input->summary->samples -= sum->events;
		input->summary->skipped += sum->events;
		return 0;
	}
	if (stack < 0)
		return (int)stack;
	err = jfr_file_owner(input, &input->owners.items.items[sum->owner]);
	return err ? err : add_entries(input, sum, (uint32_t)stack);
}

static int by_trace(const void *a, const void *b)
{
	const struct sum *first = a;
	const struct sum *second = b;

	return (first->trace > second->trace) - (first->trace < second->trace);
}

/*
 * What was added up goes into the batch, or several, by stacks, so that each is named once for most
 * of them; then adding up begins anew.
 */
static int add_sums(struct jfr_input *input, size_t place)
{
	struct sums *sums = &input->sums;
	int err = 0;

	/* From here on a stack's number is the batch's. */
	forget_numbers(&input->chunk.pools[JFR_STACK_TRACE]);
	if (input->origin->take && sums->items.count > 0)
		qsort(sums->items.items, sums->items.count, sizeof(sums->items.items[0]), by_trace);
	for (uint32_t i = 0; !err && i < sums->items.count; i++)
		err = add_sum(input, &sums->items.items[i], place);
	forget_numbers(&input->chunk.pools[JFR_STACK_TRACE]);
	table_clear(&sums->table);
	table_clear(&input->owners.table);
	sums->items.count = input->owners.items.count = 0;
	return err;
}

/* ---- events -----------------------------------------------------------------------------------
 */

static unsigned state_of(struct jfr_input *input, uint64_t key)
{
	struct jfr_constant *state = jfr_chunk_find(&input->chunk, JFR_THREAD_STATE, key);

	if (!state)
		return STATE_OTHER;
	if (state->number == JFR_NO_NUMBER) {
		struct jfr_value value;
		struct str name;

		jfr_chunk_value(&input->chunk, JFR_THREAD_STATE, state, &value);
		name = jfr_chunk_text(&input->chunk, &value, JFR_NAME, &input->text);
		state->number = str_equal(name, STR("STATE_SLEEPING"))	 ? STATE_SLEEPING
				: str_equal(name, STR("STATE_RUNNABLE")) ? STATE_RUNNABLE
									 : STATE_OTHER;
	}
	return state->number;
}

static uint64_t ns_of(const struct jfr_input *input, uint64_t ticks)
{
	unsigned __int128 ns = (unsigned __int128)ticks * (uint64_t)CLOCK_NS_PER_S;

	if (input->chunk.ticks_per_second == 0)
		return ticks;
	ns /= input->chunk.ticks_per_second;
	return ns > INT64_MAX ? INT64_MAX : (uint64_t)ns;
}

static void look_up(struct jfr_input *input, struct waiting_sample *sample)
{
	if (sample->is_found)
		return;
	sample->is_found = true;
	sample->trace = jfr_chunk_find(&input->chunk, JFR_STACK_TRACE, sample->trace_key);
	if (sample->trace && sample->trace->number != JFR_NO_NUMBER)
		__builtin_prefetch(&input->sums.items.items[sample->trace->number], 1);
}

/* The one that has waited for the longest. */
static int add_waiting(struct jfr_input *input)
{
	struct waiting_sample *sample = &input->waiting[input->waiting_first++ % JFR_WAITING_COUNT];
	struct sum_key key = { .owner = sample->owner, .profile = sample->profile };
	struct sum *sum;
	int err = 0;

	look_up(input, sample);
	if (!sample->trace) {
		input->summary->skipped++;
		return 0;
	}
	key.trace = (uint32_t)(sample->trace - input->chunk.pools[JFR_STACK_TRACE].items.items);
	sum = find_sum(input, sample->trace, &key, &err);
	if (err)
		return err == -ENOSPC ? -E2BIG : err;
	input->summary->samples++;
	if (add_to_sum(sum, sample->count, sample->weight))
		return jfr_refuse(input, -E2BIG, "its values add up to more than 63 bits, at byte",
				  input->chunk.offset + sample->place);
	return 0;
}

static int add_all_waiting(struct jfr_input *input)
{
	int err = 0;

	while (!err && input->waiting_first < input->waiting_end)
		err = add_waiting(input);
	return err;
}

/* A number of samples; weight is what they weigh together. */
static int add_sample(struct jfr_input *input, const struct jfr_event *event,
		      const struct jfr_value *value, enum profile profile, uint64_t count,
		      uint64_t weight)
{
	struct waiting_sample sample = { .place = event->place,
					 .profile = profile,
					 .trace_key = value->numbers[JFR_SAMPLE_TRACE],
					 .count = count,
					 .weight = weight };
	int64_t owner;
	int err = 0;

	if (weight > INT64_MAX || count > INT64_MAX)
		return jfr_refuse(input, -E2BIG, "more than 63 bits hold is counted at byte",
				  offset_of(input, event));
	jfr_chunk_prefetch(&input->chunk, JFR_STACK_TRACE, sample.trace_key);
	owner = jfr_find_owner(input, value);
	if (owner < 0)
		return (int)owner;
	sample.owner = (uint32_t)owner;
	if (input->waiting_end - input->waiting_first == JFR_WAITING_COUNT)
		err = add_waiting(input);
	input->waiting[input->waiting_end++ % JFR_WAITING_COUNT] = sample;
	if (input->waiting_end - input->waiting_first > JFR_WAITING_COUNT / 2)
		look_up(input, &input->waiting[(input->waiting_end - JFR_WAITING_COUNT / 2 - 1) %
					       JFR_WAITING_COUNT]);
	return err;
}

/* A sleeping thread is one of wall clock profiles, which come as the others do. */
static int take_execution(struct jfr_input *input, const struct jfr_event *event,
			  const struct jfr_value *value)
{
	bool is_wall = strcmp(input->event, "wall") == 0;
	int err = 0;

	if (state_of(input, value->numbers[JFR_SAMPLE_STATE]) != STATE_SLEEPING)
		err = add_sample(input, event, value, PROFILE_CPU, 1, 0);
	if (!err && is_wall)
		err = add_sample(input, event, value, PROFILE_WALL, 1, 0);
	return err;
}

static int take_wall_clock(struct jfr_input *input, const struct jfr_event *event,
			   const struct jfr_value *value)
{
	uint64_t count = value->numbers[JFR_SAMPLE_WEIGHT];
	int err = 0;

	if (state_of(input, value->numbers[JFR_SAMPLE_STATE]) == STATE_RUNNABLE &&
	    strcmp(input->event, "wall") == 0)
		err = add_sample(input, event, value, PROFILE_CPU, count, 0);
	return err ? err : add_sample(input, event, value, PROFILE_WALL, count, 0);
}

static int take_sample(struct jfr_input *input, const struct jfr_event *event, enum jfr_kind kind,
		       const struct jfr_value *value)
{
	uint64_t weight = value->numbers[JFR_SAMPLE_WEIGHT];

	switch (kind) {
	case JFR_EXECUTION_SAMPLE:
		return take_execution(input, event, value);
	case JFR_WALL_CLOCK_SAMPLE:
		return take_wall_clock(input, event, value);
	case JFR_NATIVE_SAMPLE:
		return add_sample(input, event, value, PROFILE_NATIVE, 1, 0);
	case JFR_IN_NEW_TLAB:
		return add_sample(input, event, value, PROFILE_IN_NEW_TLAB, 1, weight);
	case JFR_OUTSIDE_TLAB:
		return add_sample(input, event, value, PROFILE_OUTSIDE_TLAB, 1, weight);
	case JFR_ALLOCATION_SAMPLE:
		return add_sample(input, event, value, PROFILE_ALLOCATION, 1, weight);
	case JFR_MONITOR_ENTER:
		return add_sample(input, event, value, PROFILE_MUTEX, 1, ns_of(input, weight));
	case JFR_THREAD_PARK:
		return add_sample(input, event, value, PROFILE_BLOCK, 1, ns_of(input, weight));
	case JFR_CPU_TIME_SAMPLE:
		return add_sample(input, event, value, PROFILE_CPU_TIME, 1, ns_of(input, weight));
	case JFR_LIVE_OBJECT:
		return add_sample(input, event, value, PROFILE_LIVE, 1, 0);
	case JFR_MALLOC:
		return add_sample(input, event, value, PROFILE_MALLOC, 1, weight);
	default:
		return 0;
	}
}

static int read_event(struct jfr_input *input, struct jfr_event *event, bool is_checking,
		      struct jfr_chunk *chunk)
{
	struct jfr_value value;
	enum jfr_kind kind;

	if (event->type == TABLE_NONE)
		return 0;
	kind = chunk->types.types.items[event->type].kind;
	if (kind < JFR_EXECUTION_SAMPLE || kind >= JFR_SETTING)
		return 0;
	memset(value.numbers, 0, sizeof(value.numbers)); /* no sample has texts */
	jfr_types_walk(&chunk->types, event->type, &event->bytes, &value);
	if (event->bytes.bytes.error)
		return jfr_refuse(input, -EBADMSG, "an event does not end where it should, at byte",
				  chunk->offset + event->place);
	return is_checking ? 0 : take_sample(input, event, kind, &value);
}

/* ---- chunks -----------------------------------------------------------------------------------
 */

static int open_chunk(struct jfr_input *input, struct jfr_chunk *chunk, size_t offset)
{
	static_assert((int)JFR_ERROR_SIZE <= (int)PPROF_ERROR_SIZE, "one fits into the other");
	int err = jfr_chunk_open(chunk, input->recording, offset, input->reason);

	if (err == -E2BIG && !input->reason[0])
		return jfr_refuse(input, err, "it is too large; in the chunk at byte", offset);
	return err;
}

static int check_events(struct jfr_input *input, struct jfr_chunk *chunk, size_t place)
{
	struct jfr_event event;
	int err = 0;

	while (!err && jfr_chunk_next(chunk, &place, &event))
		err = read_event(input, &event, true, chunk);
	return err;
}

static int check_chunks(struct jfr_input *input, size_t offset)
{
	autofree struct jfr_chunk *chunk = calloc(1, sizeof(*chunk));
	int err = chunk ? 0 : -ENOMEM;

	if (err)
		return err;
	jfr_chunk_init(chunk);
	chunk->is_checked_only = true;
	while (!err && offset < input->recording.size) {
		err = open_chunk(input, chunk, offset);
		if (!err)
			err = check_events(input, chunk, JFR_HEADER_SIZE);
		offset = chunk->next_offset;
		if (err == -ENODATA)
			err = 0;
	}
	jfr_chunk_done(chunk);
	return err;
}

/* Whoever gets a first batch may count on the rest. */
static int check_rest(struct jfr_input *input, size_t place)
{
	int err = check_events(input, &input->chunk, place);

	if (!err)
		err = check_chunks(input, input->chunk.next_offset);
	input->is_checked = true;
	return err;
}

static void forget_frames(struct jfr_input *input)
{
	table_clear(&input->frames.table);
	input->frames.chains.count = input->frames.items.count = 0;
}

/* The batch's numbers of before mean nothing in the one that is begun. */
static int hand_over(struct jfr_input *input, size_t place)
{
	int err = input->is_checked ? 0 : check_rest(input, place);

	if (err)
		return err;
	batch_set_time(input->batch, input->summary->time);
	err = input->origin->take(input->origin->context, input->batch);
	if (err)
		return err;
	batch_clear(input->batch);
	input->batch_entries = 0;
	forget_frames(input);
	forget_numbers(&input->chunk.pools[JFR_STACK_TRACE]);
	for (uint32_t i = 0; i < input->owners.items.count; i++)
		input->owners.items.items[i].is_filed = false;
	return 0;
}

static int end_sums(struct jfr_input *input, size_t place)
{
	int err = add_all_waiting(input);

	return err ? err : add_sums(input, place);
}

static int read_chunk(struct jfr_input *input)
{
	size_t place = JFR_HEADER_SIZE;
	struct jfr_event event;
	int err = 0;

	forget_frames(input);
	read_settings(input);
	while (!err && jfr_chunk_next(&input->chunk, &place, &event)) {
		err = read_event(input, &event, false, &input->chunk);
		if (!err && (input->sums.items.count >= SUM_COUNT_MAX ||
			     input->owners.items.count >= SUM_COUNT_MAX))
			err = end_sums(input, place);
	}
	return err ? err : end_sums(input, place);
}

/* From the first chunk's start to the last one's end. */
static void note_time(struct jfr_input *input)
{
	struct batch_time *time = &input->summary->time;
	int64_t start_ms = input->chunk.start_unix_ns / CLOCK_NS_PER_MS;
	int64_t duration_ms = input->chunk.duration_ns / CLOCK_NS_PER_MS;
	bool is_first = input->chunk.offset == 0;

	if (input->form->end_unix_ms)
		return;
	if (input->chunk.start_unix_ns <= 0) {
		input->summary->repairs[PPROF_REPAIRED_TIME] += is_first;
		return;
	}
	if (duration_ms < 1 || duration_ms > 365 * INT64_C(86400000))
		duration_ms = 1;
	if (is_first)
		time->start_unix_ms = start_ms;
	if (is_first || start_ms + duration_ms > time->end_unix_ms)
		time->end_unix_ms = start_ms + duration_ms;
}

static int read_chunks(struct jfr_input *input)
{
	size_t offset = 0;
	uint64_t read_count = 0;
	int err = 0;

	if (input->recording.size == 0)
		return jfr_refuse(input, -EBADMSG, "there is no recording in it: its size is", 0);
	while (!err && offset < input->recording.size) {
		err = open_chunk(input, &input->chunk, offset);
		if (!err) {
			note_time(input);
			err = read_chunk(input);
			read_count++;
		}
		offset = input->chunk.next_offset;
		if (err == -ENODATA)
			err = 0;
	}
	if (!err && read_count == 0)
		return jfr_refuse(input, -EBADMSG,
				  "it was cut off before it says what is in it, at byte", offset);
	return err;
}

/* ---- all of it --------------------------------------------------------------------------------
 */

static int read_all(struct jfr_input *input)
{
	struct batch_time time = { input->origin->time_unix_ms, input->form->end_unix_ms };
	int err = jfr_labels_read(&input->labels, input->form->labels);

	if (err == -EBADMSG)
		return jfr_refuse(input, err, "its labels are no message of the agent's; bytes:",
				  input->form->labels.size);
	if (time.end_unix_ms <= time.start_unix_ms)
		time.end_unix_ms = time.start_unix_ms + 1;
	input->summary->time = time;
	if (!err)
		err = read_chunks(input);
	if (err == -E2BIG && !input->reason[0])
		jfr_refuse(input, err, "it is too large for one import; in the chunk at byte",
			   input->chunk.offset);
	if (!err)
		batch_set_time(input->batch, input->summary->time);
	return err;
}

static void input_done(struct jfr_input *input)
{
	jfr_chunk_done(&input->chunk);
	jfr_labels_done(&input->labels);
	table_done(&input->frames.table);
	table_done(&input->owners.table);
	table_done(&input->sums.table);
	array_done(&input->frames.chains);
	array_done(&input->frames.items);
	array_done(&input->owners.items);
	array_done(&input->sums.items);
	buf_done(&input->text);
	buf_done(&input->other_text);
	buf_done(&input->name);
	buf_done(&input->mended);
	buf_done(&input->chain_names);
}

int jfr_read(struct str bytes, const struct pprof_origin *origin, const struct jfr_form *form,
	     struct batch *batch, struct pprof_summary *ret, char reterr[static PPROF_ERROR_SIZE])
{
	struct pprof_summary summary = { 0 };
	autofree struct jfr_input *input = calloc(1, sizeof(*input));
	int err;

	assert(origin->time_unix_ms >= 0 && (origin->labels || origin->label_count == 0));
	reterr[0] = '\0';
	if (!input)
		return -ENOMEM;
	input->recording = bytes;
	input->origin = origin;
	input->form = form;
	input->batch = batch;
	input->batch_memory = batch_room(batch);
	input->summary = &summary;
	input->reason = reterr;
	input->text = input->other_text = BUF(JFR_NAME_SIZE_MAX);
	input->name = BUF(3UL * JFR_NAME_SIZE_MAX);
	input->mended = BUF(3UL * JFR_NAME_SIZE_MAX);
	input->chain_names = BUF((size_t)JFR_INLINED_COUNT_MAX * JFR_NAME_SIZE_MAX);
	jfr_chunk_init(&input->chunk);
	input->chunk.walked = origin->walked;
	input->chunk.context = origin->context;
	jfr_labels_init(&input->labels);
	table_init(&input->frames.table, MEMO_COUNT_MAX);
	table_init(&input->owners.table, MEMO_COUNT_MAX);
	table_init(&input->sums.table, MEMO_COUNT_MAX);
	err = read_all(input);
	input_done(input);
	if (!err)
		*ret = summary;
	return err;
}
