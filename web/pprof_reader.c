/* SPDX-License-Identifier: Apache-2.0 */
#include "web/pprof_reader.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/utf8.h"
#include "web/pprof_inside.h"
#include "web/utf8_mend.h"
#include "web/wire.h"

enum {
	REPAIRED_TEXT_SIZE_MAX = 4 << 20, /* all texts that were mended together */
	/* A batch that is handed over: what a commit takes well, and half of what a sample may. */
	BATCH_ENTRY_COUNT_MAX = 1 << 16,
	BATCH_ENTRY_SIZE = 48, /* what one takes of it, at most */
	SUM_COUNT_MAX = 8 << 20,
	WALKED_SIZE = 2 << 20, /* a step that is told of */
};

/* Fields, by their numbers in proto/pprof.proto. */
enum {
	PROFILE_SAMPLE_TYPE = 1,
	PROFILE_SAMPLE = 2,
	PROFILE_MAPPING = 3,
	PROFILE_LOCATION = 4,
	PROFILE_FUNCTION = 5,
	PROFILE_STRING = 6,
	PROFILE_TIME = 9,
	PROFILE_DURATION = 10,
	PROFILE_PERIOD_TYPE = 11,
	PROFILE_PERIOD = 12,
};

int pprof_refuse(struct pprof_input *input, int err, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(input->reason, PPROF_ERROR_SIZE, format, args);
	va_end(args);
	return err;
}

struct str pprof_origin_label(const struct pprof_origin *origin, struct str name)
{
	for (size_t i = 0; i < origin->label_count; i++)
		if (str_equal(origin->labels[i].name, name))
			return origin->labels[i].value;
	return (struct str){ 0 };
}

/* ---- words about what is wrong ------------------------------------------------------------------
 */

int pprof_refuse_at(struct pprof_input *input, const void *where, const char *what)
{
	size_t offset = (size_t)((const char *)where - input->all.text);

	assert(offset <= input->all.size);
	return pprof_refuse(input, -EBADMSG, "byte %zu: %s is not as pprof has it", offset, what);
}

int pprof_read_numbers(struct pprof_input *input, struct str message, const char *what,
		       size_t count, uint64_t *ret)
{
	struct bytes bytes = bytes_from(message.text, message.size);
	struct wire_field field;
	int more;

	memset(ret, 0, count * sizeof(ret[0]));
	while ((more = wire_next(&bytes, &field)) > 0)
		if (field.number < count && field.type == WIRE_VARINT)
			ret[field.number] = field.value;
	return more < 0 ? pprof_refuse_at(input, message.text, what) : 0;
}

int pprof_get_text(struct pprof_input *input, uint64_t number, const char *what, struct str *ret)
{
	*ret = (struct str){ 0 };
	if (number >= input->texts.count)
		return pprof_refuse(input, -EBADMSG,
				    "%s is text %" PRIu64 ", and there are %" PRIu32 " texts", what,
				    number, input->texts.count);
	*ret = input->texts.items[number];
	return 0;
}

/* ---- the first walk: what others refer to -----------------------------------------------------
 */

static bool has_id(const void *context, uint32_t number, const void *key)
{
	return ((const struct pprof_things *)context)->items.items[number].id ==
	       *(const uint64_t *)key;
}

/* Nearly everybody counts from 1, and then places are found without the table. */
struct pprof_thing *pprof_find_thing(struct pprof_things *things, uint64_t id)
{
	if (id - 1 < things->items.count && things->items.items[id - 1].id == id)
		return &things->items.items[id - 1];
	if (things->table.count == 0)
		return NULL;

	uint64_t hash = table_hash_bytes(&id, sizeof(id), 0);
	uint32_t number = table_find(&things->table, hash, &id, has_id, things);

	return number == TABLE_NONE ? NULL : &things->items.items[number];
}

/* From the first on that does not count on, all are in the table, those before it as well. */
static int enter_things(struct pprof_things *things)
{
	int err = 0;

	while (!err && things->table.count < things->items.count) {
		uint64_t id = things->items.items[things->table.count].id;

		err = table_add(&things->table, table_hash_bytes(&id, sizeof(id), 0));
	}
	assert(err != -ENOSPC);
	return err;
}

/* Ids are anybody's choice, but 0 is none. The first of two with one id is meant. */
static int add_thing(struct pprof_input *input, struct pprof_things *things, struct str message)
{
	uint64_t numbers[2];
	int err = pprof_read_numbers(input, message, things->what, 2, numbers);
	uint64_t id = numbers[1];

	if (err)
		return err;
	if (id == 0)
		return pprof_refuse_at(input, message.text, things->what);
	if (pprof_find_thing(things, id))
		return 0;
	if (things->items.count == things->table.count_max)
		return pprof_refuse(input, -E2BIG,
				    "it has more than %" PRIu32 " of what is called %s",
				    things->table.count_max, things->what);
	if (array_reserve(&things->items, 1) < 0)
		return -ENOMEM;
	things->items.items[things->items.count++] =
		(struct pprof_thing){ .id = id, .bytes = message, .number = PPROF_NUMBER_NONE };
	return things->table.count > 0 || id != things->items.count ? enter_things(things) : 0;
}

/* Of a long one the end is kept, which tells functions of one package apart. */
static int mend_text(struct pprof_input *input, struct str *text)
{
	*text = utf8_end(*text, PPROF_TEXT_SIZE_MAX);
	if (!utf8_is_valid(*text)) {
		*text = str_from(arena_text(&input->repaired, *text));
		if (input->repaired.error == -E2BIG)
			return pprof_refuse(input, -E2BIG,
					    "more than %d MiB of its texts are no UTF-8",
					    REPAIRED_TEXT_SIZE_MAX >> 20);
		if (input->repaired.error)
			return input->repaired.error;
		/* What stands for a byte takes three. */
		*text = utf8_end(*text, PPROF_TEXT_SIZE_MAX);
	}
	input->summary->repairs[PPROF_REPAIRED_TEXT]++;
	return 0;
}

static int add_text(struct pprof_input *input, struct str text)
{
	if (input->texts.count == PPROF_TEXT_COUNT_MAX)
		return pprof_refuse(input, -E2BIG, "it has more than %d texts",
				    PPROF_TEXT_COUNT_MAX);
	if (array_reserve(&input->texts, 1) < 0)
		return -ENOMEM;
	if (text.size > PPROF_TEXT_SIZE_MAX || !utf8_is_valid(text)) {
		int err = mend_text(input, &text);

		if (err)
			return err;
	}
	input->texts.items[input->texts.count++] = text;
	return 0;
}

static int read_value_type(struct pprof_input *input, struct str message,
			   struct pprof_value_type *ret)
{
	uint64_t numbers[3];
	int err = pprof_read_numbers(input, message, "a value type", 3, numbers);

	*ret = (struct pprof_value_type){ .type = numbers[1], .unit = numbers[2] };
	return err;
}

static int take_sized(struct pprof_input *input, const struct wire_field *field)
{
	switch (field->number) {
	case PROFILE_SAMPLE_TYPE:
		if (input->type_count == PPROF_SAMPLE_TYPE_COUNT_MAX)
			return pprof_refuse(input, -E2BIG, "it has more than %d sample types",
					    PPROF_SAMPLE_TYPE_COUNT_MAX);
		return read_value_type(input, field->bytes, &input->types[input->type_count++]);
	case PROFILE_PERIOD_TYPE:
		return read_value_type(input, field->bytes, &input->period_type);
	case PROFILE_MAPPING:
		return add_thing(input, &input->mappings, field->bytes);
	case PROFILE_LOCATION:
		return add_thing(input, &input->locations, field->bytes);
	case PROFILE_FUNCTION:
		return add_thing(input, &input->functions, field->bytes);
	case PROFILE_STRING:
		return add_text(input, field->bytes);
	default:
		return 0;
	}
}

static void take_number(struct pprof_input *input, const struct wire_field *field)
{
	if (field->number == PROFILE_TIME)
		input->time_ns = (int64_t)field->value;
	else if (field->number == PROFILE_DURATION)
		input->duration_ns = (int64_t)field->value;
	else if (field->number == PROFILE_PERIOD)
		input->period = field->value;
}

static void tell_walked(struct pprof_input *input, const uint8_t *next)
{
	size_t size = (size_t)((const char *)next - input->walked);

	if (size < WALKED_SIZE || !input->origin->walked)
		return;
	input->origin->walked(input->origin->context, (struct str){ input->walked, size });
	input->walked = (const char *)next;
}

static int read_tables(struct pprof_input *input)
{
	struct bytes bytes = bytes_from(input->all.text, input->all.size);
	struct wire_field field;
	int more;

	input->walked = input->all.text;
	while ((more = wire_next(&bytes, &field)) > 0) {
		int err = 0;

		tell_walked(input, bytes.next);
		if (field.type == WIRE_SIZED)
			err = take_sized(input, &field);
		else
			take_number(input, &field);
		if (err)
			return err;
	}
	if (more < 0)
		return pprof_refuse(input, -EBADMSG,
				    "byte %zu: this is no pprof, or it is cut short",
				    input->all.size - bytes.left);
	if (input->type_count == 0 || input->texts.count == 0)
		return pprof_refuse(input, -EBADMSG, "it has no sample type: this is no pprof");
	return 0;
}

/* ---- samples ----------------------------------------------------------------------------------
 */

static int check_location(struct pprof_input *input, uint64_t id)
{
	if (pprof_find_thing(&input->locations, id))
		return 0;
	return pprof_refuse(input, -EBADMSG,
			    "sample %" PRIu64 " is at location %" PRIu64 ", which is not there",
			    input->sample_number, id);
}

static int take_location(struct pprof_input *input, struct pprof_sample *sample, uint64_t id)
{
	if (sample->depth == PPROF_STACK_DEPTH_MAX) {
		sample->is_cut = true;
		return 0;
	}

	int64_t number =
		input->is_checking ? check_location(input, id) : pprof_find_location(input, id);

	if (number >= 0)
		sample->locations[sample->depth++] = (uint32_t)number;
	return number < 0 ? (int)number : 0;
}

static int take_value(struct pprof_input *input, struct pprof_sample *sample, uint64_t value)
{
	if (sample->value_count == input->type_count)
		return pprof_refuse(input, -EBADMSG,
				    "sample %" PRIu64
				    " has more values than there are sample types",
				    input->sample_number);
	sample->is_negative |= (int64_t)value < 0;
	sample->values[sample->value_count++] = (int64_t)value;
	return 0;
}

static bool has_label(const struct pprof_sample *sample, struct str name)
{
	for (uint32_t i = 0; i < sample->label_count; i++)
		if (str_equal(sample->labels[i].name, name))
			return true;
	return false;
}

/* Texts only: numbers are sizes of allocations and the like, each of which would be a series. */
static int take_label(struct pprof_input *input, struct pprof_sample *sample, struct str message)
{
	struct str name = { 0 };
	struct str value = { 0 };
	uint64_t numbers[3];
	int err = pprof_read_numbers(input, message, "a label", 3, numbers);

	if (!err)
		err = pprof_get_text(input, numbers[1], "a label's name", &name);
	if (!err)
		err = pprof_get_text(input, numbers[2], "a label's value", &value);
	if (err || name.size == 0 || value.size == 0 || has_label(sample, name))
		return err;
	if (sample->label_count == PPROF_LABEL_COUNT_MAX)
		return pprof_refuse(input, -E2BIG, "sample %" PRIu64 " has more than %d labels",
				    input->sample_number, PPROF_LABEL_COUNT_MAX);
	sample->labels[sample->label_count++] = (struct label){ name, value };
	return 0;
}

typedef int take_one(struct pprof_input *input, struct pprof_sample *sample, uint64_t number);

/* Lists of numbers come packed or one by one. */
static int take_numbers(struct pprof_input *input, struct pprof_sample *sample,
			const struct wire_field *field, take_one *take)
{
	struct bytes bytes = bytes_from(field->bytes.text, field->bytes.size);
	int err = 0;

	if (field->type == WIRE_VARINT)
		return take(input, sample, field->value);
	if (field->type != WIRE_SIZED)
		return pprof_refuse(input, -EBADMSG, "sample %" PRIu64 " is not as pprof has it",
				    input->sample_number);
	while (!err && bytes.left > 0) {
		uint64_t number = bytes_varint(&bytes);

		err = bytes.error ? pprof_refuse_at(input, field->bytes.text, "a sample")
				  : take(input, sample, number);
	}
	return err;
}

/* Nine tenths of a profile are these numbers, most of them of a byte or two. */
static int take_packed_locations(struct pprof_input *input, struct pprof_sample *sample,
				 struct str packed)
{
	struct bytes bytes = bytes_from(packed.text, packed.size);

	while (bytes.left > 0) {
		const struct pprof_thing *things = input->locations.items.items;
		uint64_t id = bytes.next[0];
		int err;

		if (id < 0x80) {
			bytes.next++;
			bytes.left--;
		} else if (bytes.left > 1 && bytes.next[1] < 0x80) {
			id = (id & 0x7f) | (uint64_t)bytes.next[1] << 7;
			bytes.next += 2;
			bytes.left -= 2;
		} else {
			id = bytes_varint(&bytes);
			if (bytes.error)
				return pprof_refuse_at(input, packed.text, "a sample");
		}
		if (id - 1 < input->locations.items.count && things[id - 1].id == id &&
		    things[id - 1].number != PPROF_NUMBER_NONE &&
		    sample->depth < PPROF_STACK_DEPTH_MAX) {
			sample->locations[sample->depth++] = things[id - 1].number;
			continue;
		}
		err = take_location(input, sample, id);
		if (err)
			return err;
	}
	return 0;
}

static int read_sample(struct pprof_input *input, struct str message, struct pprof_sample *sample)
{
	struct bytes bytes = bytes_from(message.text, message.size);
	struct wire_field field;
	int more;
	int err = 0;

	sample->depth = sample->value_count = sample->label_count = 0;
	sample->is_cut = sample->is_negative = false;
	while (!err && (more = wire_next(&bytes, &field)) != 0) {
		if (more < 0)
			err = pprof_refuse_at(input, message.text, "a sample");
		else if (field.number == 1 && field.type == WIRE_SIZED)
			err = take_packed_locations(input, sample, field.bytes);
		else if (field.number == 1)
			err = take_numbers(input, sample, &field, take_location);
		else if (field.number == 2)
			err = take_numbers(input, sample, &field, take_value);
		else if (field.number == 3 && field.type == WIRE_SIZED)
			err = take_label(input, sample, field.bytes);
	}
	if (!err && sample->value_count < input->type_count)
		err = pprof_refuse(input, -EBADMSG,
				   "sample %" PRIu64 " has %" PRIu32
				   " values, and there are %" PRIu32 " sample types",
				   input->sample_number, sample->value_count, input->type_count);
	return err;
}

/* How many samples a value stands for: a type that counts them tells, else the period. */
static uint64_t samples_of(const struct pprof_input *input, const struct pprof_sample *sample,
			   uint32_t type)
{
	uint64_t value = (uint64_t)sample->values[type];

	if (input->sample_types[type].is_count)
		return value;
	if (input->sample_types[type].period > 1)
		return value / input->sample_types[type].period > 0
			       ? value / input->sample_types[type].period
			       : 1;
	return 1;
}

static bool has_value(const struct pprof_sample *sample)
{
	for (uint32_t i = 0; i < sample->value_count; i++)
		if (sample->values[i] > 0)
			return !sample->is_negative;
	return false;
}

static bool sum_equals(const void *context, uint32_t number, const void *key)
{
	return memcmp(&((const struct pprof_input *)context)->sums.items[number], key,
		      sizeof(struct pprof_sum)) == 0;
}

/* The first of the sum's totals, which are new at zero, or a negative errno. */
static int64_t find_totals(struct pprof_input *input, const struct pprof_sample *sample,
			   uint32_t stack)
{
	struct pprof_sum sum = { stack, sample->sample_labels, sample->series[0] };
	uint64_t hash = table_hash_bytes(&sum, sizeof(sum), 0);
	uint32_t number = table_find(&input->sum_table, hash, &sum, sum_equals, input);
	int err;

	if (number != TABLE_NONE)
		return (int64_t)number * input->type_count;
	if (array_reserve(&input->sums, 1) < 0 ||
	    array_reserve(&input->totals, input->type_count) < 0)
		return -ENOMEM;
	err = table_add(&input->sum_table, hash);
	if (err)
		return err == -ENOSPC ? -E2BIG : err;
	number = input->sums.count;
	input->sums.items[input->sums.count++] = sum;
	for (uint32_t i = 0; i < input->type_count; i++)
		input->totals.items[input->totals.count++] =
			(struct pprof_total){ .series = sample->series[i] };
	return (int64_t)number * input->type_count;
}

static int add_values(struct pprof_input *input, const struct pprof_sample *sample, uint32_t stack)
{
	int64_t first = find_totals(input, sample, stack);

	if (first < 0)
		return (int)first;
	for (uint32_t i = 0; i < sample->value_count; i++) {
		struct pprof_total *total = &input->totals.items[(uint64_t)first + i];
		uint64_t value = (uint64_t)sample->values[i];

		if (value == 0)
			continue;
		total->count += samples_of(input, sample, i);
		if (__builtin_add_overflow(total->value, value, &total->value))
			return pprof_refuse(input, -E2BIG,
					    "its values add up to more than 64 bits, in sample "
					    "%" PRIu64,
					    input->sample_number);
	}
	return 0;
}

/* Entries of what was added up, which then begins anew. */
static int add_entries(struct pprof_input *input)
{
	for (uint32_t i = 0; i < input->totals.count; i++) {
		const struct pprof_total *total = &input->totals.items[i];
		const struct pprof_sum *sum = &input->sums.items[i / input->type_count];
		int err;

		if (total->value == 0)
			continue;
		err = batch_add_entry(input->batch,
				      &(struct batch_entry){ .series = total->series,
							     .sample_labels = sum->sample_labels,
							     .stack = sum->stack,
							     .count = total->count,
							     .value = total->value });
		if (err)
			return err;
	}
	table_clear(&input->sum_table);
	input->sums.count = input->totals.count = 0;
	return 0;
}

static int add_sample(struct pprof_input *input, struct pprof_sample *sample)
{
	uint64_t value_count_max =
		input->origin->take ? PUSH_VALUE_COUNT_MAX : IMPORT_VALUE_COUNT_MAX;
	int err;

	input->value_count += sample->value_count;
	if (input->value_count > value_count_max)
		return pprof_refuse(input, -E2BIG,
				    "it has more than %" PRIu64
				    " values, the last in sample %" PRIu64,
				    value_count_max, input->sample_number);
	if (!has_value(sample)) {
		input->summary->skipped++;
		return 0;
	}
	err = pprof_place_sample(input, sample);
	if (err)
		return err;

	int64_t stack = batch_add_stack(input->batch, sample->locations, sample->depth,
					sample->is_cut ? STACK_TRUNCATED : 0);

	if (stack < 0)
		return (int)stack;
	input->summary->repairs[PPROF_REPAIRED_DEPTH] += sample->is_cut;
	err = add_values(input, sample, (uint32_t)stack);
	input->summary->samples += !err;
	return err;
}

static int read_samples(struct pprof_input *input, struct pprof_sample *sample);

/* Whoever gets a first batch may count on the rest. */
static int check_samples(struct pprof_input *input, struct pprof_sample *sample)
{
	uint64_t number = input->sample_number;
	int err;

	input->is_checking = true;
	input->sample_number = 0;
	err = read_samples(input, sample);
	input->is_checking = false;
	input->is_checked = true;
	input->sample_number = number;
	return err;
}

static bool is_full(const struct pprof_input *input)
{
	/* A quarter is more than what a sample brings, but for the deepest of new names. */
	return input->origin->take &&
	       (input->totals.count >= BATCH_ENTRY_COUNT_MAX ||
		batch_room(input->batch) <
			input->batch_memory / 4 + (size_t)input->totals.count * BATCH_ENTRY_SIZE);
}

/* The batch's numbers of before mean nothing in the one that is begun. */
static int hand_over(struct pprof_input *input, struct pprof_sample *sample)
{
	int err = input->is_checked ? 0 : check_samples(input, sample);

	if (err)
		return err;
	err = add_entries(input);
	if (err)
		return err;
	batch_set_time(input->batch, input->summary->time);
	err = input->origin->take(input->origin->context, input->batch);
	if (err)
		return err;
	batch_clear(input->batch);
	for (uint32_t i = 0; i < input->locations.items.count; i++)
		input->locations.items.items[i].number = PPROF_NUMBER_NONE;
	return pprof_add_types(input);
}

static int read_samples(struct pprof_input *input, struct pprof_sample *sample)
{
	struct bytes bytes = bytes_from(input->all.text, input->all.size);
	struct wire_field field;
	int err = 0;

	input->walked = input->all.text;
	/* That it ends well is known since the first walk. */
	while (!err && wire_next(&bytes, &field) > 0) {
		if (field.number != PROFILE_SAMPLE || field.type != WIRE_SIZED)
			continue;
		tell_walked(input, bytes.next);
		if (!input->is_checking && is_full(input))
			err = hand_over(input, sample);
		if (!err)
			err = read_sample(input, field.bytes, sample);
		if (!err && !input->is_checking)
			err = add_sample(input, sample);
		input->sample_number++;
	}
	return err;
}

/* ---- all of it --------------------------------------------------------------------------------
 */

/* One that claims 1970 has a clock, or a unit, that is wrong. */
static struct batch_time time_of(struct pprof_input *input)
{
	static const int64_t year_ms = INT64_C(365) * 24 * 3600 * CLOCK_MS_PER_S;
	int64_t start_ms = input->time_ns / CLOCK_NS_PER_MS;
	int64_t duration_ms = input->duration_ns / CLOCK_NS_PER_MS;

	if (start_ms < year_ms) {
		start_ms = input->origin->time_unix_ms;
		input->summary->repairs[PPROF_REPAIRED_TIME]++;
	}
	if (duration_ms < 1)
		duration_ms = 1;
	/* Longer than a year is no duration. */
	return (struct batch_time){ start_ms,
				    start_ms + (duration_ms < year_ms ? duration_ms : 1) };
}

static void things_init(struct pprof_things *things, const char *what, uint32_t count_max)
{
	things->what = what;
	table_init(&things->table, count_max);
}

static void things_done(struct pprof_things *things)
{
	table_done(&things->table);
	array_done(&things->items);
}

static int read_all(struct pprof_input *input)
{
	autofree struct pprof_sample *sample = calloc(1, sizeof(*sample));
	int err = sample ? read_tables(input) : -ENOMEM;

	if (!err)
		err = pprof_name_types(input);
	if (!err)
		err = pprof_add_types(input);
	if (!err) {
		input->summary->time = time_of(input);
		err = read_samples(input, sample);
	}
	if (!err)
		err = add_entries(input);
	if (err == -E2BIG && !input->reason[0])
		pprof_refuse(input, err, "it is too large for one import; at sample %" PRIu64,
			     input->sample_number);
	if (err == -EINVAL)
		err = pprof_refuse(input, -EBADMSG, "a label is given twice, or has no name");
	if (!err)
		batch_set_time(input->batch, input->summary->time);
	return err;
}

int pprof_read(struct str bytes, const struct pprof_origin *origin, struct batch *batch,
	       struct pprof_summary *ret, char reterr[static PPROF_ERROR_SIZE])
{
	struct pprof_summary summary = { 0 };
	struct pprof_input input = { .all = bytes,
				     .origin = origin,
				     .batch = batch,
				     .batch_memory = batch_room(batch),
				     .summary = &summary,
				     .repaired = ARENA(REPAIRED_TEXT_SIZE_MAX),
				     .joined = BUF(REPAIRED_TEXT_SIZE_MAX),
				     .source = BUF(REPAIRED_TEXT_SIZE_MAX),
				     .reason = reterr };

	assert(origin->time_unix_ms >= 0 && (origin->labels || origin->label_count == 0));
	reterr[0] = '\0';
	table_init(&input.sum_table, SUM_COUNT_MAX);
	things_init(&input.mappings, "a mapping", PPROF_MAPPING_COUNT_MAX);
	things_init(&input.locations, "a location", PPROF_LOCATION_COUNT_MAX);
	things_init(&input.functions, "a function", PPROF_FUNCTION_COUNT_MAX);

	int err = read_all(&input);

	things_done(&input.mappings);
	things_done(&input.locations);
	things_done(&input.functions);
	table_done(&input.sum_table);
	array_done(&input.sums);
	array_done(&input.totals);
	array_done(&input.texts);
	arena_done(&input.repaired);
	buf_done(&input.type_ids);
	buf_done(&input.joined);
	buf_done(&input.source);
	summary.sample_types = input.type_count;
	summary.service = pprof_origin_label(origin, STR("service_name"));
	if (!err)
		*ret = summary;
	return err;
}
