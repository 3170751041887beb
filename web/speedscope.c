/* SPDX-License-Identifier: Apache-2.0 */
#include "web/speedscope.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/cleanup.h"
#include "web/json.h"
#include "web/profile_type.h"

enum {
	LABEL_COUNT_MAX = 64,	  /* what a batch takes */
	PROFILE_COUNT_MAX = 1024, /* a thread of a program is one */
	NAME_SIZE_MAX = 2048,	  /* of a label's value */
};

#define VALUE_MAX 9e18 /* what fits into 63 bits */

struct frame {
	struct str name, file;
	uint32_t line;
};

struct input {
	const struct pprof_origin *origin;
	const struct speedscope_form *form;
	struct batch *batch;
	struct named_stacks *stacks;
	struct pprof_summary summary;
	char *reason; /* PPROF_ERROR_SIZE */

	struct frame *frames;
	size_t frame_count;
	size_t profile; /* that is read, from 1 */
	double unit;	/* what one of its weights is worth */
	uint32_t *open; /* frames of the profile that are open, PPROF_STACK_DEPTH_MAX */
	uint32_t depth;
};

static int refuse(struct input *input, const char *what, uint64_t number)
{
	if (input->profile > 0)
		snprintf(input->reason, PPROF_ERROR_SIZE,
			 "profile %zu: %s %" PRIu64 " makes no sense", input->profile, what,
			 number);
	else
		snprintf(input->reason, PPROF_ERROR_SIZE, "%s %" PRIu64 " makes no sense", what,
			 number);
	return -EBADMSG;
}

static int read_frames(struct input *input, const struct json_value *json)
{
	const struct json_value *frames =
		json_value_member(json_value_member(json, "shared"), "frames");

	if (!json_value_is_array(frames)) {
		snprintf(input->reason, PPROF_ERROR_SIZE,
			 "it has no shared.frames: this is no speedscope profile");
		return -EBADMSG;
	}
	input->frame_count = json_value_count(frames);
	input->frames = calloc(input->frame_count + 1, sizeof(input->frames[0]));
	if (!input->frames)
		return -ENOMEM;
	for (size_t i = 0; i < input->frame_count; i++) {
		const struct json_value *item = json_value_item(frames, i);
		int64_t line = json_member_integer(item, "line");

		if (!json_value_is_object(item))
			return refuse(input, "frame", i);
		input->frames[i] = (struct frame){
			.name = json_member_text(item, "name"),
			.file = json_member_text(item, "file"),
			.line = line > 0 && line <= UINT32_MAX ? (uint32_t)line : 0,
		};
	}
	return 0;
}

static int add_frame(struct input *input, uint64_t number)
{
	const struct frame *frame = &input->frames[number];

	assert(number < input->frame_count);
	return named_stacks_add_frame(input->stacks, frame->name, frame->file, frame->line);
}

static int add_weight(struct input *input, double weight, uint64_t number)
{
	double value = round(weight * input->unit);

	if (!(value >= 0 && value < VALUE_MAX))
		return refuse(input, "the weight of sample", number);
	return named_stacks_add(input->stacks, (uint64_t)value);
}

/* ---- samples: a stack and a weight each -------------------------------------------------------
 */

static int read_sample(struct input *input, const struct json_value *sample, uint64_t number)
{
	if (!json_value_is_array(sample))
		return refuse(input, "sample", number);
	for (size_t i = 0; i < json_value_count(sample); i++) {
		int64_t frame = -1;
		int err;

		if (!json_value_integer(json_value_item(sample, i), &frame) || frame < 0 ||
		    (size_t)frame >= input->frame_count)
			return refuse(input, "a frame of sample", number);
		err = add_frame(input, (uint64_t)frame);
		if (err)
			return err;
	}
	return 0;
}

static int read_sampled(struct input *input, const struct json_value *profile)
{
	const struct json_value *samples = json_value_member(profile, "samples");
	const struct json_value *weights = json_value_member(profile, "weights");
	size_t count = json_value_is_array(samples) ? json_value_count(samples) : 0;
	int err = 0;

	if (!json_value_is_array(samples) ||
	    (weights && (!json_value_is_array(weights) || json_value_count(weights) != count)))
		return refuse(input, "its list of samples, or of weights, with", count);
	for (size_t i = 0; !err && i < count; i++) {
		double weight = 1;

		if (weights && !json_value_number(json_value_item(weights, i), &weight))
			return refuse(input, "the weight of sample", i);
		err = read_sample(input, json_value_item(samples, i), i);
		if (!err)
			err = add_weight(input, weight, i);
	}
	return err;
}

/* ---- events: frames open and close ------------------------------------------------------------
 */

/* The time since the event before is that of the innermost open frame. */
static int add_time(struct input *input, double time, uint64_t number)
{
	if (input->depth == 0)
		return 0;
	for (uint32_t i = 0; i < input->depth; i++) {
		int err = add_frame(input, input->open[i]);

		if (err)
			return err;
	}
	return add_weight(input, time, number);
}

static int open_or_close(struct input *input, const struct json_value *event, uint64_t number)
{
	struct str type = json_member_text(event, "type");
	int64_t frame = -1;

	if (!json_value_integer(json_value_member(event, "frame"), &frame) || frame < 0 ||
	    (size_t)frame >= input->frame_count)
		return refuse(input, "the frame of event", number);
	if (str_equal(type, STR("O"))) {
		if (input->depth == PPROF_STACK_DEPTH_MAX) {
			snprintf(input->reason, PPROF_ERROR_SIZE,
				 "profile %zu: more than %d frames are open at event %" PRIu64,
				 input->profile, PPROF_STACK_DEPTH_MAX, number);
			return -E2BIG;
		}
		input->open[input->depth++] = (uint32_t)frame;
		return 0;
	}
	if (!str_equal(type, STR("C")) || input->depth == 0 ||
	    input->open[input->depth - 1] != (uint32_t)frame)
		return refuse(input, "what closes at event", number);
	input->depth--;
	return 0;
}

static int read_evented(struct input *input, const struct json_value *profile)
{
	const struct json_value *events = json_value_member(profile, "events");
	double last = 0;
	int err = 0;

	if (!json_value_is_array(events))
		return refuse(input, "its list of events, with", 0);
	input->depth = 0;
	for (size_t i = 0; !err && i < json_value_count(events); i++) {
		const struct json_value *event = json_value_item(events, i);
		double at;

		if (!json_value_number(json_value_member(event, "at"), &at) || (i > 0 && at < last))
			return refuse(input, "the time of event", i);
		if (i > 0 && at > last)
			err = add_time(input, at - last, i);
		last = at;
		if (!err)
			err = open_or_close(input, event, i);
	}
	return err;
}

/* ---- profiles ---------------------------------------------------------------------------------
 */

static const struct {
	const char *name;
	double ns;
} time_units[] = {
	{ "nanoseconds", 1 },
	{ "microseconds", 1e3 },
	{ "milliseconds", 1e6 },
	{ "seconds", 1e9 },
};

/* The type, and what a weight is worth in its unit; "none" counts samples. */
static struct str choose_type(struct input *input, struct str unit)
{
	struct str type = input->form->type;

	input->unit = 1;
	if (str_equal(unit, STR("bytes")))
		return type.size > 0 ? type : STR("memory:samples:bytes::");
	for (size_t i = 0; i < sizeof(time_units) / sizeof(time_units[0]); i++)
		if (str_equal(unit, str_from(time_units[i].name))) {
			input->unit = time_units[i].ns;
			return type.size > 0 ? type : PROFILE_TYPE_CPU;
		}
	input->unit = (double)input->form->period;
	return type.size > 0 ? type : PROFILE_TYPE_CPU;
}

static int begin_series(struct input *input, const struct json_value *profile)
{
	struct label labels[LABEL_COUNT_MAX];
	struct pprof_origin origin = *input->origin;
	struct str name = json_member_text(profile, "name");
	struct str type = choose_type(input, json_member_text(profile, "unit"));

	for (size_t i = 0; i < origin.label_count; i++)
		if (str_equal(origin.labels[i].name, STR("profile_name")))
			name.size = 0;
	if (name.size > 0 && name.size <= NAME_SIZE_MAX && origin.label_count < LABEL_COUNT_MAX) {
		for (size_t i = 0; i < origin.label_count; i++)
			labels[i] = origin.labels[i];
		labels[origin.label_count] = (struct label){ STR("profile_name"), name };
		origin.labels = labels;
		origin.label_count++;
	}
	return named_stacks_begin(input->stacks, input->batch, &origin, type, 1);
}

static int read_profile(struct input *input, const struct json_value *profile)
{
	struct str type = json_member_text(profile, "type");
	int err = begin_series(input, profile);

	if (err)
		return err;
	if (str_equal(type, STR("sampled")))
		err = read_sampled(input, profile);
	else if (str_equal(type, STR("evented")))
		err = read_evented(input, profile);
	else
		err = refuse(input, "its type, after profile", input->profile - 1);
	input->summary.samples += input->stacks->summary.samples;
	input->summary.skipped += input->stacks->summary.skipped;
	for (int i = 0; i < PPROF_REPAIR_COUNT; i++)
		input->summary.repairs[i] += input->stacks->summary.repairs[i];
	input->summary.time = input->stacks->summary.time;
	input->summary.sample_types = 1;
	input->summary.service = input->stacks->summary.service;
	named_stacks_done(input->stacks);
	return err;
}

static int read_file(struct input *input, const struct json_value *json)
{
	const struct json_value *profiles = json_value_member(json, "profiles");
	size_t count = json_value_is_array(profiles) ? json_value_count(profiles) : 0;
	int err = read_frames(input, json);

	if (!err && (!json_value_is_array(profiles) || count > PROFILE_COUNT_MAX))
		err = refuse(input, "its list of profiles, with", count);
	for (size_t i = 0; !err && i < count; i++) {
		input->profile = i + 1;
		err = read_profile(input, json_value_item(profiles, i));
	}
	if (err == -E2BIG && !input->reason[0])
		snprintf(
			input->reason, PPROF_ERROR_SIZE,
			"profile %zu: here are more stacks, or larger ones, than one push may have",
			input->profile);
	return err;
}

int speedscope_read(struct str text, const struct pprof_origin *origin,
		    const struct speedscope_form *form, struct batch *batch,
		    struct pprof_summary *ret, char reterr[static PPROF_ERROR_SIZE])
{
	static_assert((int)JSON_ERROR_SIZE <= (int)PPROF_ERROR_SIZE, "one fits into the other");
	autoclean(json_value) struct json_value *json = NULL;
	autofree struct named_stacks *stacks = calloc(1, sizeof(*stacks));
	autofree uint32_t *open = calloc(PPROF_STACK_DEPTH_MAX, sizeof(open[0]));
	struct input input = { .origin = origin,
			       .form = form,
			       .batch = batch,
			       .stacks = stacks,
			       .open = open,
			       .reason = reterr };
	int err = stacks && open ? 0 : -ENOMEM;

	reterr[0] = '\0';
	assert(form->period > 0);
	if (!err)
		err = json_value_parse(text, &json, reterr);
	if (!err)
		err = read_file(&input, json);
	free(input.frames);
	if (!err)
		*ret = input.summary;
	return err;
}
