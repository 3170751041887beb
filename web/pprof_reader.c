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
#include "base/limits.h"
#include "base/parse.h"
#include "base/table.h"
#include "store/array.h"
#include "web/wire.h"

enum {
	TYPE_SIZE_MAX = 512,
	LINE_COUNT_MAX = 256, /* what a batch takes of one location */
	NUMBER_NONE = UINT32_MAX,
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

/* Something that others name by an id. */
struct thing {
	uint64_t id;
	struct str bytes; /* its message */
	uint32_t number;  /* of a location: in the batch; NUMBER_NONE: not added yet */
};

struct things {
	const char *what;
	struct table table;
	ARRAY(struct thing) items;
};

struct value_type {
	uint64_t type, unit; /* texts */
};

struct sample_type {
	uint32_t series;
	bool is_count;	 /* its unit is a number of things */
	uint64_t period; /* of one sample; 1 when it is not known */
};

struct pprof_input {
	struct str all;
	const struct pprof_origin *origin;
	struct batch *batch;
	struct pprof_summary *summary;
	char *reason; /* PPROF_ERROR_SIZE */

	ARRAY(struct str) texts;
	struct things mappings, locations, functions;
	struct value_type types[PPROF_SAMPLE_TYPE_COUNT_MAX];
	struct sample_type sample_types[PPROF_SAMPLE_TYPE_COUNT_MAX];
	uint32_t type_count;
	struct value_type period_type;
	uint64_t period;
	int64_t time_ns, duration_ns;
	uint64_t sample_number; /* of the one that is read, for the sentence */
	uint64_t value_count;
};

__attribute__((format(printf, 3, 4))) static int refuse(struct pprof_input *input, int err,
							const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(input->reason, PPROF_ERROR_SIZE, format, args);
	va_end(args);
	return err;
}

/* ---- words about what is wrong ------------------------------------------------------------------
 */

static int refuse_at(struct pprof_input *input, const void *where, const char *what)
{
	size_t offset = (size_t)((const char *)where - input->all.text);

	assert(offset <= input->all.size);
	return refuse(input, -EBADMSG, "byte %zu: %s is not as pprof has it", offset, what);
}

/* A number of the message that stands in no list; 0 when it is not there, the last of several. */
static int read_number(struct pprof_input *input, struct str message, uint64_t number,
		       const char *what, uint64_t *ret)
{
	struct bytes bytes = bytes_from(message.text, message.size);
	struct wire_field field;
	int more;

	*ret = 0;
	while ((more = wire_next(&bytes, &field)) > 0)
		if (field.number == number && field.type == WIRE_VARINT)
			*ret = field.value;
	return more < 0 ? refuse_at(input, message.text, what) : 0;
}

static int get_text(struct pprof_input *input, uint64_t number, const char *what, struct str *ret)
{
	*ret = (struct str){ 0 };
	if (number >= input->texts.count)
		return refuse(input, -EBADMSG,
			      "%s is text %" PRIu64 ", and there are %" PRIu32 " texts", what,
			      number, input->texts.count);
	*ret = input->texts.items[number];
	return 0;
}

static int read_text(struct pprof_input *input, struct str message, uint64_t number,
		     const char *what, struct str *ret)
{
	uint64_t text = 0;
	int err = read_number(input, message, number, what, &text);

	*ret = (struct str){ 0 };
	return err ? err : get_text(input, text, what, ret);
}

/* ---- the first walk: what others refer to -----------------------------------------------------
 */

static bool has_id(const void *context, uint32_t number, const void *key)
{
	return ((const struct things *)context)->items.items[number].id == *(const uint64_t *)key;
}

static struct thing *find_thing(struct things *things, uint64_t id)
{
	uint64_t hash = table_hash_bytes(&id, sizeof(id), 0);
	uint32_t number = table_find(&things->table, hash, &id, has_id, things);

	return number == TABLE_NONE ? NULL : &things->items.items[number];
}

/* Ids are anybody's choice, but 0 is none. The first of two with one id is meant. */
static int add_thing(struct pprof_input *input, struct things *things, struct str message)
{
	uint64_t id = 0;
	int err = read_number(input, message, 1, things->what, &id);

	if (err)
		return err;
	if (id == 0)
		return refuse_at(input, message.text, things->what);
	if (find_thing(things, id))
		return 0;
	if (array_reserve(&things->items, 1) < 0)
		return -ENOMEM;
	err = table_add(&things->table, table_hash_bytes(&id, sizeof(id), 0));
	if (err == -ENOSPC)
		return refuse(input, -E2BIG, "it has more than %" PRIu32 " of what is called %s",
			      things->table.count_max, things->what);
	if (err)
		return err;
	things->items.items[things->items.count++] =
		(struct thing){ .id = id, .bytes = message, .number = NUMBER_NONE };
	assert(things->items.count == things->table.count);
	return 0;
}

static int read_value_type(struct pprof_input *input, struct str message, struct value_type *ret)
{
	int err = read_number(input, message, 1, "a value type", &ret->type);

	return err ? err : read_number(input, message, 2, "a value type", &ret->unit);
}

static int take_sized(struct pprof_input *input, const struct wire_field *field)
{
	switch (field->number) {
	case PROFILE_SAMPLE_TYPE:
		if (input->type_count == PPROF_SAMPLE_TYPE_COUNT_MAX)
			return refuse(input, -E2BIG, "it has more than %d sample types",
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
		if (input->texts.count == PPROF_TEXT_COUNT_MAX)
			return refuse(input, -E2BIG, "it has more than %d texts",
				      PPROF_TEXT_COUNT_MAX);
		if (array_reserve(&input->texts, 1) < 0)
			return -ENOMEM;
		input->texts.items[input->texts.count++] = field->bytes;
		return 0;
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

static int read_tables(struct pprof_input *input)
{
	struct bytes bytes = bytes_from(input->all.text, input->all.size);
	struct wire_field field;
	int more;

	while ((more = wire_next(&bytes, &field)) > 0) {
		int err = 0;

		if (field.type == WIRE_SIZED)
			err = take_sized(input, &field);
		else
			take_number(input, &field);
		if (err)
			return err;
	}
	if (more < 0)
		return refuse(input, -EBADMSG, "byte %zu: this is no pprof, or it is cut short",
			      input->all.size - bytes.left);
	if (input->type_count == 0 || input->texts.count == 0)
		return refuse(input, -EBADMSG, "it has no sample type: this is no pprof");
	return 0;
}

/* ---- its types --------------------------------------------------------------------------------
 */

/*
 * What a profile with these sample types is called; clients and Pyroscope agree on these names.
 */
static struct str guess_name(const struct str *types, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++)
		if (str_equal(types[i], STR("wall")))
			return STR("wall");

	struct str first = types[0];

	if (str_equal(first, STR("samples")) || str_holds_caseless(first, STR("cpu")))
		return STR("process_cpu");
	if (str_starts_with(first, STR("alloc_")) || str_starts_with(first, STR("inuse_")) ||
	    str_equal(first, STR("space")) || str_equal(first, STR("objects")))
		return STR("memory");
	if (str_equal(first, STR("contentions")) || str_equal(first, STR("delay")))
		return STR("mutex");
	return str_equal(first, STR("goroutine")) ? STR("goroutines") : first;
}

/* A part of a type's id: what would end it early becomes something else. */
static void add_part(struct buf *id, struct str part)
{
	for (size_t i = 0; i < part.size; i++)
		buf_add_u8(id, part.text[i] == ':' ? '_' : (uint8_t)part.text[i]);
}

static int64_t add_series(struct pprof_input *input, uint32_t labels, const struct str parts[5],
			  uint64_t period)
{
	autoclean(buf) struct buf id = BUF(TYPE_SIZE_MAX);

	for (int i = 0; i < 5; i++) {
		if (i > 0)
			buf_add_u8(&id, ':');
		add_part(&id, parts[i]);
	}
	if (id.error == -EFBIG)
		return refuse(input, -E2BIG, "the name of a sample type is longer than %d bytes",
			      TYPE_SIZE_MAX);
	if (id.error)
		return id.error;
	return batch_add_series(input->batch, labels, (struct str){ (char *)id.bytes, id.size },
				period);
}

static bool is_count_unit(struct str unit)
{
	return str_equal(unit, STR("count")) || str_equal(unit, STR("samples")) ||
	       str_equal(unit, STR("objects"));
}

static int add_types(struct pprof_input *input)
{
	struct str types[PPROF_SAMPLE_TYPE_COUNT_MAX] = { 0 };
	struct str parts[5] = { 0 };
	int64_t labels =
		batch_add_labels(input->batch, input->origin->labels, input->origin->label_count);
	int err = labels < 0 ? (int)labels : 0;

	for (uint32_t i = 0; !err && i < input->type_count; i++)
		err = get_text(input, input->types[i].type, "a sample type", &types[i]);
	if (!err)
		err = get_text(input, input->period_type.type, "the type of the period", &parts[3]);
	if (!err)
		err = get_text(input, input->period_type.unit, "the unit of the period", &parts[4]);
	if (err)
		return err;
	parts[0] = input->origin->name.size ? input->origin->name
					    : guess_name(types, input->type_count);
	for (uint32_t i = 0; i < input->type_count; i++) {
		struct sample_type *type = &input->sample_types[i];
		bool is_period = input->types[i].type == input->period_type.type &&
				 input->types[i].unit == input->period_type.unit;

		parts[1] = types[i];
		err = get_text(input, input->types[i].unit, "the unit of a sample type", &parts[2]);
		if (err)
			return err;
		type->is_count = is_count_unit(parts[2]);
		type->period =
			is_period && input->period > 0 && !type->is_count ? input->period : 1;

		int64_t series = add_series(input, (uint32_t)labels, parts, type->period);

		if (series < 0)
			return (int)series;
		type->series = (uint32_t)series;
	}
	return 0;
}

/* ---- locations --------------------------------------------------------------------------------
 */

static int read_line(struct pprof_input *input, struct str message, struct named_line *ret)
{
	uint64_t id = 0;
	uint64_t line = 0;
	int err = read_number(input, message, 1, "a line", &id);

	if (!err)
		err = read_number(input, message, 2, "a line", &line);
	if (err)
		return err;

	const struct thing *function = find_thing(&input->functions, id);

	if (!function)
		return refuse(input, -EBADMSG,
			      "a location is in function %" PRIu64 ", which is not there", id);
	err = read_text(input, function->bytes, 2, "a function's name", &ret->function);
	/* Some have only the one that the linker sees. */
	if (!err && ret->function.size == 0)
		err = read_text(input, function->bytes, 3, "a function's name", &ret->function);
	if (!err)
		err = read_text(input, function->bytes, 4, "a function's file", &ret->file);
	if (ret->function.size == 0)
		ret->function = STR("[unknown]");
	ret->line = line <= UINT32_MAX ? (uint32_t)line : 0;
	return err;
}

/* The lines of a location, and the binary behind them: the batch's own, count of them. */
static int read_lines(struct pprof_input *input, struct str message, struct named_line *lines,
		      size_t *ret_count)
{
	struct bytes bytes = bytes_from(message.text, message.size);
	struct wire_field field;

	*ret_count = 0;
	while (wire_next(&bytes, &field) > 0) {
		if (field.number != 4 || field.type != WIRE_SIZED)
			continue;
		if (*ret_count == LINE_COUNT_MAX - 1)
			return refuse(input, -E2BIG,
				      "more than %d functions are inlined into each other",
				      LINE_COUNT_MAX - 1);

		int err = read_line(input, field.bytes, &lines[(*ret_count)++]);

		if (err)
			return err;
	}
	return 0;
}

/* Of a mapping without an id of its build nothing is known but its name. */
static int read_identity(struct pprof_input *input, struct str mapping, struct identity *ret)
{
	struct str text;
	int err = read_text(input, mapping, 6, "a mapping's build id", &text);

	*ret = (struct identity){ 0 };
	if (err || text.size < 2 || text.size % 2 != 0 || text.size / 2 > IDENTITY_SIZE_MAX)
		return err;
	for (size_t i = 0; i < text.size; i += 2) {
		uint64_t byte;

		if (parse_hex((struct str){ text.text + i, 2 }, &byte)) {
			*ret = (struct identity){ 0 };
			return 0;
		}
		ret->bytes[i / 2] = (uint8_t)byte;
	}
	ret->kind = IDENTITY_GNU_BUILD_ID;
	ret->size = (uint8_t)(text.size / 2);
	return 0;
}

/* A location without a line: binary and offset in its file. */
static int64_t add_address(struct pprof_input *input, struct str message, struct str mapping,
			   struct str path)
{
	struct identity identity;
	uint64_t address = 0;
	uint64_t start = 0;
	uint64_t offset = 0;
	int err = read_number(input, message, 3, "a location", &address);

	if (!err)
		err = read_number(input, mapping, 2, "a mapping", &start);
	if (!err)
		err = read_number(input, mapping, 4, "a mapping", &offset);
	if (!err)
		err = read_identity(input, mapping, &identity);
	if (err)
		return err;

	int64_t build = batch_add_build(input->batch, mapping.size ? BUILD_FILE : BUILD_UNMAPPED,
					&identity, path);

	return build < 0 ? build
			 : batch_add_location(input->batch, (uint32_t)build,
					      address - start + offset);
}

static int64_t add_location(struct pprof_input *input, struct str message)
{
	struct named_line lines[LINE_COUNT_MAX];
	struct str mapping = { 0 };
	struct str path = { 0 };
	uint64_t mapping_id = 0;
	size_t count = 0;
	int err = read_number(input, message, 2, "a location", &mapping_id);
	const struct thing *found = err ? NULL : find_thing(&input->mappings, mapping_id);

	if (found) {
		mapping = found->bytes;
		err = read_text(input, mapping, 5, "a mapping's file", &path);
	}
	if (!err)
		err = read_lines(input, message, lines, &count);
	if (err)
		return err;
	if (count == 0)
		return add_address(input, message, mapping, path);
	if (path.size > 0)
		lines[count++] = (struct named_line){ .file = path };
	return batch_add_named_location(input->batch, lines, count);
}

static int64_t find_location(struct pprof_input *input, uint64_t id)
{
	struct thing *thing = find_thing(&input->locations, id);

	if (!thing)
		return refuse(input, -EBADMSG,
			      "sample %" PRIu64 " is at location %" PRIu64 ", which is not there",
			      input->sample_number, id);
	if (thing->number == NUMBER_NONE) {
		int64_t number = add_location(input, thing->bytes);

		if (number < 0)
			return number;
		thing->number = (uint32_t)number;
	}
	return thing->number;
}

/* ---- samples ----------------------------------------------------------------------------------
 */

struct sample {
	uint32_t locations[PPROF_STACK_DEPTH_MAX];
	uint32_t depth;
	bool is_cut; /* its root side did not fit */
	int64_t values[PPROF_SAMPLE_TYPE_COUNT_MAX];
	uint32_t value_count;
	struct label labels[PPROF_LABEL_COUNT_MAX];
	uint32_t label_count;
};

static int take_location(struct pprof_input *input, struct sample *sample, uint64_t id)
{
	if (sample->depth == PPROF_STACK_DEPTH_MAX) {
		sample->is_cut = true;
		return 0;
	}

	int64_t number = find_location(input, id);

	if (number >= 0)
		sample->locations[sample->depth++] = (uint32_t)number;
	return number < 0 ? (int)number : 0;
}

static int take_value(struct pprof_input *input, struct sample *sample, uint64_t value)
{
	if (sample->value_count == input->type_count)
		return refuse(input, -EBADMSG,
			      "sample %" PRIu64 " has more values than there are sample types",
			      input->sample_number);
	sample->values[sample->value_count++] = (int64_t)value;
	return 0;
}

static bool has_label(const struct sample *sample, struct str name)
{
	for (uint32_t i = 0; i < sample->label_count; i++)
		if (str_equal(sample->labels[i].name, name))
			return true;
	return false;
}

/* Texts only: numbers are sizes of allocations and the like, each of which would be a series. */
static int take_label(struct pprof_input *input, struct sample *sample, struct str message)
{
	struct str name = { 0 };
	struct str value = { 0 };
	int err = read_text(input, message, 1, "a label's name", &name);

	if (!err)
		err = read_text(input, message, 2, "a label's value", &value);
	if (err || name.size == 0 || value.size == 0 || has_label(sample, name))
		return err;
	if (sample->label_count == PPROF_LABEL_COUNT_MAX)
		return refuse(input, -E2BIG, "sample %" PRIu64 " has more than %d labels",
			      input->sample_number, PPROF_LABEL_COUNT_MAX);
	sample->labels[sample->label_count++] = (struct label){ name, value };
	return 0;
}

typedef int take_one(struct pprof_input *input, struct sample *sample, uint64_t number);

/* Lists of numbers come packed or one by one. */
static int take_numbers(struct pprof_input *input, struct sample *sample,
			const struct wire_field *field, take_one *take)
{
	struct bytes bytes = bytes_from(field->bytes.text, field->bytes.size);
	int err = 0;

	if (field->type == WIRE_VARINT)
		return take(input, sample, field->value);
	if (field->type != WIRE_SIZED)
		return refuse(input, -EBADMSG, "sample %" PRIu64 " is not as pprof has it",
			      input->sample_number);
	while (!err && bytes.left > 0) {
		uint64_t number = bytes_varint(&bytes);

		err = bytes.error ? refuse_at(input, field->bytes.text, "a sample")
				  : take(input, sample, number);
	}
	return err;
}

static int read_sample(struct pprof_input *input, struct str message, struct sample *sample)
{
	struct bytes bytes = bytes_from(message.text, message.size);
	struct wire_field field;
	int more;
	int err = 0;

	sample->depth = sample->value_count = sample->label_count = 0;
	sample->is_cut = false;
	while (!err && (more = wire_next(&bytes, &field)) != 0) {
		if (more < 0)
			err = refuse_at(input, message.text, "a sample");
		else if (field.number == 1)
			err = take_numbers(input, sample, &field, take_location);
		else if (field.number == 2)
			err = take_numbers(input, sample, &field, take_value);
		else if (field.number == 3 && field.type == WIRE_SIZED)
			err = take_label(input, sample, field.bytes);
	}
	return err;
}

/* How many samples a value stands for: a type that counts them tells, else the period. */
static uint64_t samples_of(const struct pprof_input *input, const struct sample *sample,
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

static int add_sample(struct pprof_input *input, const struct sample *sample)
{
	int64_t labels = batch_add_labels(input->batch, sample->labels, sample->label_count);
	int64_t stack = labels < 0 ? labels
				   : batch_add_stack(input->batch, sample->locations, sample->depth,
						     sample->is_cut ? STACK_TRUNCATED : 0);
	bool is_used = false;

	if (stack < 0)
		return (int)stack;
	input->value_count += sample->value_count;
	if (input->value_count > IMPORT_VALUE_COUNT_MAX)
		return refuse(input, -E2BIG,
			      "it has more than %d values, the last in sample %" PRIu64,
			      IMPORT_VALUE_COUNT_MAX, input->sample_number);
	for (uint32_t i = 0; i < sample->value_count; i++) {
		if (sample->values[i] <= 0)
			continue;

		int err = batch_add_entry(
			input->batch,
			&(struct batch_entry){ .series = input->sample_types[i].series,
					       .sample_labels = (uint32_t)labels,
					       .stack = (uint32_t)stack,
					       .count = samples_of(input, sample, i),
					       .value = (uint64_t)sample->values[i] });

		if (err)
			return err;
		is_used = true;
	}
	input->summary->samples += is_used;
	input->summary->skipped += !is_used;
	return 0;
}

static int read_samples(struct pprof_input *input)
{
	autofree struct sample *sample = calloc(1, sizeof(*sample));
	struct bytes bytes = bytes_from(input->all.text, input->all.size);
	struct wire_field field;
	int err = sample ? 0 : -ENOMEM;

	/* That it ends well is known since the first walk. */
	while (!err && wire_next(&bytes, &field) > 0) {
		if (field.number != PROFILE_SAMPLE || field.type != WIRE_SIZED)
			continue;
		err = read_sample(input, field.bytes, sample);
		if (!err)
			err = add_sample(input, sample);
		input->sample_number++;
	}
	return err;
}

/* ---- all of it --------------------------------------------------------------------------------
 */

/* One that claims 1970 has a clock, or a unit, that is wrong. */
static struct batch_time time_of(const struct pprof_input *input)
{
	static const int64_t year_ms = INT64_C(365) * 24 * 3600 * CLOCK_MS_PER_S;
	int64_t start_ms = input->time_ns / CLOCK_NS_PER_MS;
	int64_t duration_ms = input->duration_ns / CLOCK_NS_PER_MS;

	if (start_ms < year_ms)
		start_ms = input->origin->time_unix_ms;
	if (duration_ms < 1)
		duration_ms = 1;
	/* Longer than a year is no duration. */
	return (struct batch_time){ start_ms,
				    start_ms + (duration_ms < year_ms ? duration_ms : 1) };
}

static void things_init(struct things *things, const char *what, uint32_t count_max)
{
	things->what = what;
	table_init(&things->table, count_max);
}

static void things_done(struct things *things)
{
	table_done(&things->table);
	array_done(&things->items);
}

static int read_all(struct pprof_input *input)
{
	int err = read_tables(input);

	if (!err)
		err = add_types(input);
	if (!err)
		err = read_samples(input);
	if (err == -E2BIG && !input->reason[0])
		refuse(input, err, "it is too large for one import; at sample %" PRIu64,
		       input->sample_number);
	if (err == -EINVAL)
		err = refuse(input, -EBADMSG, "a label is given twice, or has no name");
	if (!err)
		input->summary->time = time_of(input);
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
				     .summary = &summary,
				     .reason = reterr };

	assert(origin->time_unix_ms >= 0 && (origin->labels || origin->label_count == 0));
	reterr[0] = '\0';
	things_init(&input.mappings, "a mapping", PPROF_MAPPING_COUNT_MAX);
	things_init(&input.locations, "a location", PPROF_LOCATION_COUNT_MAX);
	things_init(&input.functions, "a function", PPROF_FUNCTION_COUNT_MAX);

	int err = read_all(&input);

	things_done(&input.mappings);
	things_done(&input.locations);
	things_done(&input.functions);
	array_done(&input.texts);
	summary.sample_types = input.type_count;
	if (!err)
		*ret = summary;
	return err;
}
