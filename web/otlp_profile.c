/* SPDX-License-Identifier: Apache-2.0 */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#include "base/limits.h"
#include "web/otlp_inside.h"

static int take_number_list(struct otlp_input *input, const struct otlp_row *row,
			    const struct otlp_wire_field *field, otlp_number_list *numbers)
{
	struct otlp_numbers reader = otlp_numbers_of(row, field);
	uint64_t number = 0;
	int err = otlp_reserve(input, numbers, field);

	while (!err && otlp_numbers_next(&reader, &number))
		numbers->items[numbers->count++] = number;
	if (!err && reader.is_broken)
		err = otlp_refuse(input, -EBADMSG, "byte %zu: a list of numbers is cut short",
				  otlp_offset(input, field->bytes));
	return err;
}

/* Indices of attributes: in the table, or left out. */
static int take_attribute_indices(struct otlp_profile_input *profile, const struct otlp_row *row,
				  const struct otlp_wire_field *field, struct otlp_range *range)
{
	struct otlp_input *input = profile->input;
	struct otlp_numbers reader = otlp_numbers_of(row, field);
	uint64_t number = 0;
	int err = otlp_reserve(input, &profile->indices, field);

	if (range->count == 0)
		range->first = profile->indices.count;
	while (!err && otlp_numbers_next(&reader, &number)) {
		uint64_t place = number + input->base;

		if (number >= input->tables.attributes.count ||
		    place >= input->tables.attributes.count) {
			otlp_note(input, OTLP_FLAW_ATTRIBUTE_INDEX);
			continue;
		}
		/* Who takes the profile looks at it, and they lie all over the table. */
		__builtin_prefetch(&input->tables.attributes.items[place]);
		profile->indices.items[profile->indices.count++] = (uint32_t)place;
		range->count++;
	}
	if (!err && reader.is_broken)
		err = otlp_refuse(input, -EBADMSG, "byte %zu: a list of attributes is cut short",
				  otlp_offset(input, field->bytes));
	return err;
}

static int take_stack_index(struct otlp_profile_input *profile, uint64_t index)
{
	struct otlp_input *input = profile->input;
	uint32_t place =
		otlp_index(input, index, input->tables.locations.count, OTLP_FLAW_LOCATION_INDEX);

	return otlp_append(input, &profile->stack_indices, place ? place : OTLP_NO_LOCATION);
}

static int take_stack_indices(struct otlp_profile_input *profile, const struct otlp_row *row,
			      const struct otlp_wire_field *field)
{
	struct otlp_numbers reader = otlp_numbers_of(row, field);
	uint64_t number = 0;
	int err = 0;

	while (!err && otlp_numbers_next(&reader, &number))
		err = take_stack_index(profile, number);
	if (!err && reader.is_broken)
		err = otlp_refuse(profile->input, -EBADMSG,
				  "byte %zu: a list of locations is cut short",
				  otlp_offset(profile->input, field->bytes));
	return err;
}

/* ---- samples ----------------------------------------------------------------------------------
 */

struct sample_input {
	struct otlp_raw_sample sample;
	uint64_t stack_start, stack_length, stack_index;
	uint32_t own_first, own_count; /* locations that stand in the sample itself */
	uint64_t link;
	bool has_link;
};

/* Deprecated since 1.3: the same as attributes. */
static int take_label(struct otlp_profile_input *profile, struct otlp_range *attributes,
		      struct str message)
{
	struct otlp_input *input = profile->input;
	struct otlp_wire wire = otlp_wire_from(message);
	struct otlp_attribute attribute = { 0 };
	struct otlp_wire_field field;
	const struct otlp_row *row;
	int more;

	while ((more = otlp_next(input, &wire, OTLP_LABEL, message, &field, &row)) > 0) {
		if (row->field == OTLP_F_KEY_INDEX)
			attribute.key = otlp_text(input, field.value);
		else if (row->field == OTLP_F_TEXT_INDEX && field.value > 0)
			attribute.value =
				(struct otlp_value){ .kind = OTLP_VALUE_TEXT,
						     .bytes = otlp_text(input, field.value) };
		else if (row->field == OTLP_F_INTEGER && attribute.value.kind == OTLP_VALUE_NONE)
			attribute.value = (struct otlp_value){ .kind = OTLP_VALUE_INTEGER,
							       .integer = (int64_t)field.value };
		else if (row->field == OTLP_F_UNIT)
			attribute.unit = otlp_optional_text(input, field.value);
	}
	if (more < 0)
		return more;
	if (attributes->count == 0)
		attributes->first = profile->indices.count;
	more = otlp_append(input, &input->tables.attributes, attribute);
	if (!more)
		more = otlp_append(input, &profile->indices, input->tables.attributes.count - 1);
	attributes->count += !more;
	return more;
}

static int take_sample_field(struct otlp_profile_input *profile, struct sample_input *sample,
			     const struct otlp_row *row, const struct otlp_wire_field *field)
{
	struct otlp_input *input = profile->input;

	switch (row->field) {
	case OTLP_F_LOCATION_INDICES:
		return take_stack_indices(profile, row, field);
	case OTLP_F_STACK_START:
		sample->stack_start = field->value;
		return 0;
	case OTLP_F_STACK_LENGTH:
		sample->stack_length = field->value;
		return 0;
	case OTLP_F_STACK_INDEX:
		sample->stack_index = field->value;
		return 0;
	case OTLP_F_VALUES:
		return take_number_list(input, row, field, &profile->values);
	case OTLP_F_TIMESTAMPS:
		return take_number_list(input, row, field, &profile->timestamps);
	case OTLP_F_ATTRIBUTE_INDICES:
		return take_attribute_indices(profile, row, field, &sample->sample.attributes);
	case OTLP_F_LABELS:
		return take_label(profile, &sample->sample.attributes, field->bytes);
	case OTLP_F_LINK_INDEX:
		sample->link = field->value;
		sample->has_link = true;
		return 0;
	default:
		return 0;
	}
}

/* 1.3: a slice of the profile's indices, or where there are none, of its locations themselves. */
static int find_slice(struct otlp_profile_input *profile, struct sample_input *sample)
{
	struct otlp_input *input = profile->input;
	struct otlp_range *stack = &sample->sample.stack;
	bool has_indices = input->layout.revision != OTLP_R1_3 || profile->slice_count > 0;
	uint64_t end = sample->stack_start + sample->stack_length;
	uint64_t count = has_indices ? profile->slice_count : input->tables.locations.count - 1;
	int err = 0;

	if (sample->own_count > 0) {
		*stack = (struct otlp_range){ sample->own_first, sample->own_count };
		return 0;
	}
	if (sample->stack_start > UINT32_MAX || sample->stack_length > UINT32_MAX || end > count)
		return -EAGAIN;
	*stack = (struct otlp_range){ (uint32_t)sample->stack_start,
				      (uint32_t)sample->stack_length };
	if (has_indices)
		return 0;
	stack->first = profile->stack_indices.count;
	for (uint64_t i = sample->stack_start; !err && i < end; i++)
		err = take_stack_index(profile, i);
	return err;
}

/* -EAGAIN: it is not there. */
static int find_stack(struct otlp_profile_input *profile, struct sample_input *sample)
{
	const struct otlp_tables *tables = &profile->input->tables;

	if (profile->input->base)
		return find_slice(profile, sample);
	if (sample->stack_index >= tables->stacks.count)
		return -EAGAIN;
	sample->sample.stack = tables->stacks.items[sample->stack_index];
	sample->sample.stack_number = (uint32_t)sample->stack_index;
	return 0;
}

static void find_link(struct otlp_input *input, struct sample_input *sample)
{
	bool is_none = !sample->has_link ||
		       (sample->link == 0 && (!input->base || input->layout.revision == OTLP_R1_3));

	sample->sample.link = is_none ? 0
				      : otlp_index(input, sample->link, input->tables.links.count,
						   OTLP_FLAW_LINK_INDEX);
	if (input->tables.links.count > 0 &&
	    input->tables.links.items[sample->sample.link].span_id.size == 0)
		sample->sample.link = 0;
}

static bool has_negative(const struct otlp_profile_input *profile, struct otlp_range values)
{
	for (uint32_t i = 0; i < values.count; i++)
		if ((int64_t)profile->values.items[values.first + i] < 0)
			return true;
	return false;
}

static void skip_sample(struct otlp_input *input, enum otlp_flaw flaw)
{
	otlp_note(input, flaw);
	input->report->samples_skipped++;
}

/* A sample that has lists of its own, one behind the other in those of the profile. */
static int read_sample(struct otlp_profile_input *profile, struct str message)
{
	struct otlp_input *input = profile->input;
	struct sample_input sample = { .sample = { .values = { profile->values.count, 0 },
						   .timestamps = { profile->timestamps.count, 0 } },
				       .own_first = profile->stack_indices.count };
	struct otlp_wire wire = otlp_wire_from(message);
	struct otlp_wire_field field;
	const struct otlp_row *row;
	int more;
	int err = 0;

	input->report->samples++;
	while (!err && (more = otlp_next(input, &wire, OTLP_SAMPLE, message, &field, &row)) != 0) {
		if (more < 0)
			return more;
		err = take_sample_field(profile, &sample, row, &field);
	}
	if (err)
		return err;
	sample.sample.values.count = profile->values.count - sample.sample.values.first;
	sample.sample.timestamps.count = profile->timestamps.count - sample.sample.timestamps.first;
	sample.own_count = profile->stack_indices.count - sample.own_first;
	err = find_stack(profile, &sample);
	if (err && err != -EAGAIN)
		return err;
	if (err == -EAGAIN)
		skip_sample(input, OTLP_FLAW_STACK_INDEX);
	else if (sample.sample.values.count == 0 && sample.sample.timestamps.count == 0)
		skip_sample(input, OTLP_FLAW_NO_VALUE);
	else if (has_negative(profile, sample.sample.values))
		skip_sample(input, OTLP_FLAW_NEGATIVE_VALUE);
	else {
		find_link(input, &sample);
		return otlp_append(input, &profile->raw, sample.sample);
	}
	return 0;
}

/* ---- one type of a profile --------------------------------------------------------------------
 */

static int read_value_type(struct otlp_input *input, struct str message,
			   struct otlp_value_type *ret)
{
	struct otlp_wire wire = otlp_wire_from(message);
	struct otlp_wire_field field;
	const struct otlp_row *row;
	uint64_t type = 0;
	uint64_t unit = 0;
	int more;

	while ((more = otlp_next(input, &wire, OTLP_VALUE_TYPE, message, &field, &row)) > 0) {
		if (row->field == OTLP_F_TYPE)
			type = field.value;
		else if (row->field == OTLP_F_UNIT)
			unit = field.value;
	}
	*ret = (struct otlp_value_type){ 0 };
	if (message.size > 0)
		*ret = (struct otlp_value_type){ otlp_text(input, type), otlp_text(input, unit) };
	return more;
}

/* The same of one that may have come before, without flaws. */
static int find_value_type(struct otlp_profile_input *profile, struct otlp_known_type *known,
			   struct str message, struct otlp_value_type *ret)
{
	struct otlp_input *input = profile->input;
	uint64_t flaws = input->report->flaws[OTLP_FLAW_STRING_INDEX];
	int err;

	if (known->serial == input->tables.serial && str_equal(known->message, message)) {
		*ret = known->type;
		return 0;
	}
	err = read_value_type(input, message, ret);
	known->serial = 0;
	if (!err && flaws == input->report->flaws[OTLP_FLAW_STRING_INDEX])
		*known = (struct otlp_known_type){ input->tables.serial, message, *ret };
	return err;
}

/*
 * Values and timestamps as they belong together. Until 1.7 they had nothing to do with each other,
 * and OpenTelemetry's profiler sent [1] along with all timestamps of a stack.
 */
static void shape(struct otlp_profile_input *profile, struct otlp_sample *sample)
{
	uint32_t values = sample->values.count;
	uint32_t times = sample->timestamps.count;
	bool is_count = str_equal(profile->profile.type.unit, STR("count"));
	uint64_t first = values > 0 ? profile->values.items[sample->values.first] : 0;

	if (values == times && (values != 1 || first != 1 || !is_count || !profile->input->base))
		return;
	if (profile->input->base && values == 1 && times > 0 && is_count &&
	    (first == 1 || first == times)) {
		sample->values.count = 0;
		return;
	}
	if (values > 0 && times > 0) {
		sample->is_sum = true;
		if (!profile->input->base)
			otlp_note(profile->input, OTLP_FLAW_VALUE_COUNT);
	} else if (values > 1) {
		otlp_note(profile->input, OTLP_FLAW_VALUE_COUNT);
	}
}

static void check_times(struct otlp_profile_input *profile, const struct otlp_raw_sample *sample)
{
	uint64_t start = profile->profile.time_unix_ns;
	uint64_t end = start + profile->profile.duration_ns;

	if (start == 0 || profile->profile.duration_ns == 0)
		return;
	for (uint32_t i = 0; i < sample->timestamps.count; i++) {
		uint64_t time = profile->timestamps.items[sample->timestamps.first + i];

		if (time < start || time >= end) {
			otlp_note(profile->input, OTLP_FLAW_TIME_RANGE);
			return;
		}
	}
}

static int tell_type(struct otlp_profile_input *profile, uint32_t type)
{
	struct otlp_input *input = profile->input;
	struct otlp_profile *told = &profile->profile;
	int err = find_value_type(profile, &profile->known_types[0], profile->types[type],
				  &told->type);

	if (err)
		return err;
	if (told->type.type.size == 0) {
		otlp_note(input, OTLP_FLAW_SAMPLE_TYPE);
		return -EAGAIN;
	}
	profile->samples.count = 0;
	if (array_reserve(&profile->samples, profile->raw.count) < 0)
		return -ENOMEM;
	for (uint32_t i = 0; i < profile->raw.count; i++) {
		const struct otlp_raw_sample *raw = &profile->raw.items[i];
		struct otlp_sample sample = { .stack = raw->stack,
					      .stack_number = raw->stack_number,
					      .attributes = raw->attributes,
					      .values = raw->values,
					      .timestamps = raw->timestamps,
					      .link = raw->link };

		if (profile->type_count > 1) {
			if (type >= raw->values.count) {
				otlp_note(input, OTLP_FLAW_VALUE_COUNT);
				continue;
			}
			sample.values = (struct otlp_range){ raw->values.first + type, 1 };
		}
		shape(profile, &sample);
		if (type == 0)
			check_times(profile, raw);
		profile->samples.items[profile->samples.count++] = sample;
	}
	told->samples = profile->samples.items;
	told->sample_count = profile->samples.count;
	return profile->samples.count > 0 ? input->reading->take(input->reading->context, told) : 0;
}

/* ---- a profile --------------------------------------------------------------------------------
 */

static int take_text_field(struct otlp_profile_input *profile, const struct otlp_row *row,
			   const struct otlp_wire_field *field)
{
	struct otlp_profile *told = &profile->profile;

	switch (row->field) {
	case OTLP_F_TIME:
		told->time_unix_ns = field->value;
		return 0;
	case OTLP_F_END_TIME:
		profile->container_end = field->value;
		return 0;
	case OTLP_F_DURATION:
		told->duration_ns = field->value;
		return 0;
	case OTLP_F_PERIOD:
		told->period = (int64_t)field->value;
		return 0;
	case OTLP_F_PROFILE_ID:
		if (field->bytes.size == 16)
			told->id = field->bytes;
		return 0;
	case OTLP_F_PAYLOAD_FORMAT:
		told->payload_format = field->bytes;
		return 0;
	default:
		return 0;
	}
}

static int take_inlined(struct otlp_profile_input *profile, struct str message)
{
	struct otlp_attribute attribute;
	int err = otlp_read_key_value(profile->input, message, &attribute);

	if (!err && profile->inlined.count < OTLP_OWNER_ATTRIBUTE_COUNT_MAX)
		err = otlp_append(profile->input, &profile->inlined, attribute);
	return err;
}

static int take_profile_field(struct otlp_profile_input *profile, const struct otlp_row *row,
			      const struct otlp_wire_field *field)
{
	switch (row->field) {
	case OTLP_F_SAMPLE_TYPE:
		if (profile->type_count == OTLP_TYPE_COUNT_MAX)
			return otlp_refuse(profile->input, -E2BIG,
					   "a profile has more than %d sample types",
					   OTLP_TYPE_COUNT_MAX);
		profile->types[profile->type_count++] = field->bytes;
		return 0;
	case OTLP_F_PERIOD_TYPE:
		profile->period_type = field->bytes;
		return 0;
	case OTLP_F_ATTRIBUTES:
		return take_inlined(profile, field->bytes);
	default:
		return take_text_field(profile, row, field);
	}
}

/* What takes places of tables: those of stacks, since samples take slices of them. */
static int take_list(struct otlp_profile_input *profile, const struct otlp_row *row,
		     const struct otlp_wire_field *field)
{
	if (row->field == OTLP_F_LOCATION_INDICES)
		return take_stack_indices(profile, row, field);
	if (row->field == OTLP_F_ATTRIBUTE_INDICES)
		return take_attribute_indices(profile, row, field, &profile->profile.attributes);
	return 0;
}

/* All but samples, which take what these bring. */
static int take_head(struct otlp_profile_input *profile, const struct otlp_row *row,
		     const struct otlp_wire_field *field)
{
	int err = take_profile_field(profile, row, field);

	return err ? err : take_list(profile, row, field);
}

/* The part in which samples stand, from the first to the last of them. */
static int walk_over_head(struct otlp_profile_input *profile, struct str message,
			  struct str *ret_samples)
{
	struct otlp_input *input = profile->input;
	struct otlp_wire wire = otlp_wire_from(message);
	const uint8_t *start = wire.next;
	struct str samples = { 0 };
	struct otlp_wire_field field;
	const struct otlp_row *row;
	int more;
	int err = 0;

	while (!err && (more = otlp_next(input, &wire, OTLP_PROFILE, message, &field, &row)) != 0) {
		if (more < 0)
			return more;
		if (row->field != OTLP_F_SAMPLES) {
			err = take_head(profile, row, &field);
			start = wire.next;
			continue;
		}
		while (otlp_wire_same(&wire, otlp_tag_of(&field), &field.bytes))
			;
		if (!samples.text)
			samples.text = (const char *)start;
		samples.size = (size_t)((const char *)wire.next - samples.text);
		start = wire.next;
	}
	*ret_samples = samples;
	return err;
}

static int read_head(struct otlp_profile_input *profile, struct str message,
		     struct str *ret_samples)
{
	int err = walk_over_head(profile, message, ret_samples);

	/* Of several, which only the old revisions have, the last one counts in the new. */
	if (!profile->input->base && profile->type_count > 1) {
		profile->types[0] = profile->types[profile->type_count - 1];
		profile->type_count = 1;
	}
	profile->slice_count = profile->stack_indices.count;
	return err;
}

static int read_samples(struct otlp_profile_input *profile, struct str samples)
{
	struct otlp_input *input = profile->input;
	struct otlp_wire wire = otlp_wire_from(samples);
	struct otlp_wire_field field;
	const struct otlp_row *row;
	int more;
	int err = 0;

	while (!err && (more = otlp_next(input, &wire, OTLP_PROFILE, samples, &field, &row)) != 0) {
		if (more < 0)
			return more;
		if (row->field != OTLP_F_SAMPLES) {
			/* It was counted with the head. */
			if (row->is_list && field.type != OTLP_WIRE_SIZED)
				input->report->flaws[OTLP_FLAW_UNPACKED]--;
			continue;
		}
		do
			err = read_sample(profile, field.bytes);
		while (!err && otlp_wire_same(&wire, otlp_tag_of(&field), &field.bytes));
	}
	return err;
}

static int tell_profile(struct otlp_profile_input *profile)
{
	struct otlp_input *input = profile->input;
	struct otlp_profile *told = &profile->profile;
	uint32_t refused = 0;
	int err = 0;

	told->stack_indices =
		input->base ? profile->stack_indices.items : input->tables.indices.items;
	told->indices = profile->indices.items;
	told->values = (const int64_t *)profile->values.items;
	told->timestamps = profile->timestamps.items;
	told->inlined = profile->inlined.items;
	told->inlined_count = profile->inlined.count;
	if (profile->type_count == 0)
		otlp_note(input, OTLP_FLAW_SAMPLE_TYPE);
	for (uint32_t i = 0; (!err || err == -EAGAIN) && i < profile->type_count; i++) {
		err = tell_type(profile, i);
		refused += err == -EAGAIN;
	}
	if (err && err != -EAGAIN)
		return err;
	if (refused == profile->type_count) {
		input->report->samples_skipped += profile->raw.count;
		input->report->profiles_refused++;
	}
	return 0;
}

bool otlp_brings_tables(const struct otlp_input *input)
{
	return input->layout.revision <= OTLP_R1_5;
}

static void clear_profile(struct otlp_profile_input *profile)
{
	profile->type_count = 0;
	profile->period_type = (struct str){ 0 };
	profile->stack_indices.count = profile->indices.count = 0;
	profile->values.count = profile->timestamps.count = 0;
	profile->raw.count = profile->samples.count = 0;
	profile->profile.attributes = (struct otlp_range){ 0 };
	profile->profile.period = 0;
}

static int read_profile(struct otlp_profile_input *profile, struct str message)
{
	struct otlp_input *input = profile->input;
	struct otlp_profile *told = &profile->profile;
	uint64_t before = input->report->samples;
	struct str samples = { 0 };
	int err = 0;

	clear_profile(profile);
	if (otlp_brings_tables(input)) {
		otlp_tables_clear(input);
		err = otlp_collect(input, OTLP_PROFILE, message);
		if (!err)
			err = otlp_tables_read(input);
	}
	if (!err)
		err = read_head(profile, message, &samples);
	if (!err)
		err = find_value_type(profile, &profile->known_types[1], profile->period_type,
				      &told->period_type);
	if (told->time_unix_ns == 0)
		told->time_unix_ns = profile->container_start;
	if (told->duration_ns == 0 && profile->container_end > profile->container_start)
		told->duration_ns = profile->container_end - profile->container_start;
	if (!err)
		err = read_samples(profile, samples);
	if (err)
		return err;
	if (profile->raw.count > 0)
		return tell_profile(profile);
	if (input->report->samples > before) {
		otlp_note(input, OTLP_FLAW_EMPTY);
		input->report->profiles_refused++;
	}
	return 0;
}

static void start_profile(struct otlp_profile_input *profile)
{
	struct otlp_input *input = profile->input;

	profile->profile = (struct otlp_profile){
		.revision = input->layout.revision,
		.number = input->report->profiles++,
		.resource = profile->resource.items,
		.resource_count = profile->resource.count,
		.scope = profile->scope.items,
		.scope_count = profile->scope.count,
		.scope_name = profile->profile.scope_name,
		.scope_version = profile->profile.scope_version,
		.tables = &input->tables,
	};
	profile->inlined.count = 0;
	profile->container_start = profile->container_end = 0;
}

static int read_container(struct otlp_profile_input *profile, struct str message)
{
	struct otlp_input *input = profile->input;
	struct otlp_wire wire = otlp_wire_from(message);
	struct otlp_wire_field field;
	const struct otlp_row *row;
	struct str inner = { 0 };
	int more;
	int err = 0;

	while (!err &&
	       (more = otlp_next(input, &wire, OTLP_CONTAINER, message, &field, &row)) != 0) {
		if (more < 0)
			return more;
		if (row->field == OTLP_F_PROFILE)
			inner = field.bytes;
		else if (row->field == OTLP_F_TIME)
			profile->container_start = field.value;
		else
			err = take_profile_field(profile, row, &field);
	}
	return err ? err : read_profile(profile, inner);
}

int otlp_profile_read(struct otlp_profile_input *profile, enum otlp_message kind,
		      struct str message)
{
	start_profile(profile);
	return kind == OTLP_CONTAINER ? read_container(profile, message)
				      : read_profile(profile, message);
}

void otlp_profile_done(struct otlp_profile_input *profile)
{
	array_done(&profile->resource);
	array_done(&profile->scope);
	array_done(&profile->inlined);
	array_done(&profile->stack_indices);
	array_done(&profile->indices);
	array_done(&profile->values);
	array_done(&profile->timestamps);
	array_done(&profile->raw);
	array_done(&profile->samples);
}

size_t otlp_profile_memory(const struct otlp_profile_input *profile)
{
	return array_memory(&profile->resource) + array_memory(&profile->scope) +
	       array_memory(&profile->inlined) + array_memory(&profile->stack_indices) +
	       array_memory(&profile->indices) + array_memory(&profile->values) +
	       array_memory(&profile->timestamps) + array_memory(&profile->raw) +
	       array_memory(&profile->samples);
}
