/* SPDX-License-Identifier: Apache-2.0 */
/* Of the pprof reader: what a profile's sample types are called, and whose samples are whose. */
#include <assert.h>
#include <errno.h>
#include <string.h>

#include "web/label_split.h"
#include "web/pprof_inside.h"

enum {
	TYPE_SIZE_MAX = 512,
};

static bool holds(struct str text, struct str part)
{
	for (size_t i = 0; i + part.size <= text.size; i++)
		if (memcmp(text.text + i, part.text, part.size) == 0)
			return true;
	return false;
}

/* What a sample type is shown as when its sender does not say it. */
static struct str display_name(const struct pprof_origin *origin, struct str type)
{
	static const char *const names[][2] = {
		{ "samples", "cpu" },
		{ "goroutine", "goroutines" },
		{ "contentions", "mutex_count" },
		{ "delay", "mutex_duration" },
	};
	struct str name = { 0 };

	if (origin->display_name)
		name = origin->display_name(origin->display_context, type);
	if (name.size > 0)
		return name;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (str_equal(type, str_from(names[i][0])))
			return str_from(names[i][1]);
	return type;
}

/* A profile whose type is shown so; "" for one that tells nothing. */
static struct str name_of(struct str shown)
{
	if (str_holds_caseless(shown, STR("cpu")))
		return STR("process_cpu");
	if (holds(shown, STR("alloc_")) || holds(shown, STR("inuse_")) ||
	    str_equal(shown, STR("space")) || str_equal(shown, STR("objects")))
		return STR("memory");
	if (holds(shown, STR("mutex_")))
		return STR("mutex");
	if (holds(shown, STR("block_")))
		return STR("block");
	return holds(shown, STR("goroutines")) ? STR("goroutines") : (struct str){ 0 };
}

/*
 * What a profile with these sample types is called; clients and Pyroscope agree on these names.
 */
static struct str guess_name(const struct pprof_origin *origin, const struct str *types,
			     uint32_t count)
{
	for (uint32_t i = 0; i < count; i++)
		if (str_equal(types[i], STR("wall")))
			return STR("wall");
	for (uint32_t i = 0; i < count; i++) {
		struct str name = name_of(display_name(origin, types[i]));

		if (name.size > 0)
			return name;
	}
	return types[0];
}

/* A part of a type's id: what would end it early becomes something else. */
static void add_part(struct buf *id, struct str part)
{
	for (size_t i = 0; i < part.size; i++)
		buf_add_u8(id, part.text[i] == ':' ? '_' : (uint8_t)part.text[i]);
}

/* Of .NET's "inuse-space" only the underscored form is known to anybody. */
static void add_sample_type(struct buf *id, struct str part, struct pprof_summary *summary)
{
	bool has_dash = false;

	for (size_t i = 0; i < part.size; i++) {
		char c = part.text[i];

		has_dash |= c == '-';
		buf_add_u8(id, c == ':' || c == '-' ? '_' : (uint8_t)c);
	}
	summary->repairs[PPROF_REPAIRED_TYPE] += has_dash;
}

static bool is_count_unit(struct str unit)
{
	return str_equal(unit, STR("count")) || str_equal(unit, STR("samples")) ||
	       str_equal(unit, STR("objects"));
}

/* parts: name, sample type, its unit, period's type, its unit. */
static int name_type(struct pprof_input *input, uint32_t number, const struct str parts[5])
{
	struct pprof_sample_type *type = &input->sample_types[number];
	const struct pprof_value_type *value = &input->types[number];
	bool is_period =
		value->type == input->period_type.type && value->unit == input->period_type.unit;
	size_t start = input->type_ids.size;

	for (int i = 0; i < 5; i++) {
		if (i > 0)
			buf_add_u8(&input->type_ids, ':');
		if (i == 1)
			add_sample_type(&input->type_ids, parts[i], input->summary);
		else
			add_part(&input->type_ids, parts[i]);
	}
	if (input->type_ids.error)
		return input->type_ids.error == -EFBIG ? -E2BIG : input->type_ids.error;
	type->id.size = input->type_ids.size - start;
	if (type->id.size > TYPE_SIZE_MAX)
		return pprof_refuse(input, -E2BIG,
				    "the name of a sample type is longer than %d bytes",
				    TYPE_SIZE_MAX);
	type->is_count = is_count_unit(parts[2]);
	type->period = is_period && input->period > 0 && !type->is_count ? input->period : 1;
	return 0;
}

int pprof_name_types(struct pprof_input *input)
{
	struct str types[PPROF_SAMPLE_TYPE_COUNT_MAX] = { 0 };
	struct str parts[5] = { 0 };
	int err = 0;

	input->type_ids = BUF((size_t)PPROF_SAMPLE_TYPE_COUNT_MAX * (TYPE_SIZE_MAX + 1));
	for (uint32_t i = 0; !err && i < input->type_count; i++)
		err = pprof_get_text(input, input->types[i].type, "a sample type", &types[i]);
	if (!err)
		err = pprof_get_text(input, input->period_type.type, "the type of the period",
				     &parts[3]);
	if (!err)
		err = pprof_get_text(input, input->period_type.unit, "the unit of the period",
				     &parts[4]);
	if (err)
		return err;
	parts[0] = input->origin->name.size ? input->origin->name
					    : guess_name(input->origin, types, input->type_count);
	for (uint32_t i = 0; !err && i < input->type_count; i++) {
		parts[1] = types[i];
		err = pprof_get_text(input, input->types[i].unit, "the unit of a sample type",
				     &parts[2]);
		if (!err)
			err = name_type(input, i, parts);
	}

	/* They stay where they are now. */
	const char *next = (const char *)input->type_ids.bytes;

	for (uint32_t i = 0; !err && i < input->type_count; i++) {
		input->sample_types[i].id.text = next;
		next += input->sample_types[i].id.size;
	}
	return err;
}

/* A series for each sample type. */
static int add_series(struct pprof_input *input, uint32_t labels, uint32_t *series)
{
	for (uint32_t i = 0; i < input->type_count; i++) {
		const struct pprof_sample_type *type = &input->sample_types[i];
		int64_t number = batch_add_series(input->batch, labels, type->id, type->period);

		if (number < 0)
			return (int)number;
		series[i] = (uint32_t)number;
	}
	return 0;
}

int pprof_add_types(struct pprof_input *input)
{
	uint32_t series[PPROF_SAMPLE_TYPE_COUNT_MAX];
	int64_t labels =
		batch_add_labels(input->batch, input->origin->labels, input->origin->label_count);
	int err = labels < 0 ? (int)labels : add_series(input, (uint32_t)labels, series);
	int64_t none = err ? err : batch_add_labels(input->batch, NULL, 0);

	if (none < 0)
		return (int)none;
	input->no_labels = (uint32_t)none;

	for (uint32_t i = 0; !err && i < input->type_count; i++)
		input->sample_types[i].series = series[i];
	input->other_labels = PPROF_NUMBER_NONE;
	return err;
}

/* ---- whose a sample is ------------------------------------------------------------------------
 */

/* A series of its own for what the sample's labels add to the origin's, which win. */
static int place_in_series(struct pprof_input *input, struct pprof_sample *sample,
			   const struct label *labels, size_t count)
{
	int64_t number = batch_add_labels(input->batch, labels, count);
	int err = number < 0 ? (int)number : 0;

	if (!err && (uint32_t)number != input->other_labels) {
		err = add_series(input, (uint32_t)number, input->other_series);
		input->other_labels = err ? PPROF_NUMBER_NONE : (uint32_t)number;
	}
	if (!err)
		memcpy(sample->series, input->other_series, sizeof(sample->series));
	return err;
}

static int split_labels(struct pprof_input *input, struct pprof_sample *sample)
{
	const struct pprof_origin *origin = input->origin;
	struct label_split split;
	int64_t number;

	label_split(&split, origin->labels, origin->label_count, sample->labels,
		    sample->label_count);
	input->summary->repairs[PPROF_REPAIRED_LABEL] += split.left_out;
	number = batch_add_labels(input->batch, split.trace, split.trace_count);
	if (number < 0)
		return (int)number;
	sample->sample_labels = (uint32_t)number;
	if (split.series_count > origin->label_count)
		return place_in_series(input, sample, split.series, split.series_count);
	return 0;
}

int pprof_place_sample(struct pprof_input *input, struct pprof_sample *sample)
{
	for (uint32_t i = 0; i < input->type_count; i++)
		sample->series[i] = input->sample_types[i].series;
	sample->sample_labels = input->no_labels;
	if (sample->label_count == 0)
		return 0;
	if (input->origin->splits_series)
		return split_labels(input, sample);

	int64_t number = batch_add_labels(input->batch, sample->labels, sample->label_count);

	if (number < 0)
		return (int)number;
	sample->sample_labels = (uint32_t)number;
	return 0;
}
