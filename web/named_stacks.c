/* SPDX-License-Identifier: Apache-2.0 */
#include "web/named_stacks.h"

#include <assert.h>
#include <errno.h>

#include "base/parse.h"
#include "base/utf8.h"
#include "web/profile_type.h"
#include "web/utf8_mend.h"

enum {
	NAME_SIZE_MAX = 65535, /* what a batch takes */
	/* Of all stacks together: 80 for each of as many as there may be, and seconds of work; a
	 * name that is looked at again in each stack counts for every so many bytes of it, and
	 * frames that are kept from one stack to the next for every so many of them. */
	NAMED_FRAME_COUNT_MAX = 32 << 20,
	NAMED_FRAME_SIZE = 64,
	KEPT_FRAMES_IN_ONE = 16,
};

int named_stacks_begin(struct named_stacks *stacks, struct batch *batch,
		       const struct pprof_origin *origin, struct str type, uint64_t scale)
{
	struct profile_type parsed;
	int err = profile_type_parse(type, &parsed, NULL);
	int64_t labels = err ? err : batch_add_labels(batch, origin->labels, origin->label_count);
	int64_t series =
		labels < 0 ? labels : batch_add_series(batch, (uint32_t)labels, parsed.id, scale);
	int64_t none = series < 0 ? series : batch_add_labels(batch, NULL, 0);

	assert(origin->time_unix_ms >= 0 && scale > 0);
	if (none < 0)
		return (int)none;
	*stacks = (struct named_stacks){
		.batch = batch,
		.series = (uint32_t)series,
		.labels = (uint32_t)none,
		.is_count = scale > 1 ||
			    str_equal(parsed.parts[PROFILE_TYPE_SAMPLE_UNIT], STR("count")),
		.scale = scale,
		.summary = { .time = { origin->time_unix_ms, origin->time_unix_ms + 1 },
			     .sample_types = 1,
			     .service = pprof_origin_label(origin, STR("service_name")) },
		.mended = BUF((size_t)3 * NAME_SIZE_MAX),
	};
	batch_set_time(batch, stacks->summary.time);
	return 0;
}

void named_stacks_done(struct named_stacks *stacks)
{
	buf_done(&stacks->mended);
}

static int mend_name(struct named_stacks *stacks, struct str *name)
{
	struct str end = utf8_end(*name, NAME_SIZE_MAX);

	buf_clear(&stacks->mended);
	utf8_mend(end, &stacks->mended);
	if (stacks->mended.error)
		return stacks->mended.error;
	*name = utf8_end((struct str){ (const char *)stacks->mended.bytes, stacks->mended.size },
			 NAME_SIZE_MAX);
	stacks->summary.repairs[PPROF_REPAIRED_TEXT]++;
	return 0;
}

int named_stacks_add_frame(struct named_stacks *stacks, struct str name, struct str file,
			   uint32_t line)
{
	struct named_line named = { .function = name, .file = file, .line = line };
	int64_t number;

	stacks->frame_count += 1 + name.size / NAMED_FRAME_SIZE;
	if (stacks->frame_count > NAMED_FRAME_COUNT_MAX)
		return -E2BIG;
	if (stacks->depth >= PPROF_STACK_DEPTH_MAX) {
		stacks->depth++;
		return 0;
	}
	if (name.size == 0)
		named.function = STR("[unknown]");
	if (name.size > NAME_SIZE_MAX || !utf8_is_valid(name)) {
		int err = mend_name(stacks, &named.function);

		if (err)
			return err;
	}
	if (file.size > NAME_SIZE_MAX || !utf8_is_valid(file))
		named.file = (struct str){ 0 };
	number = batch_add_named_location(stacks->batch, &named, 1);
	if (number < 0)
		return (int)number;
	stacks->frames[stacks->depth++] = (uint32_t)number;
	return 0;
}

int named_stacks_add_frames(struct named_stacks *stacks, struct str text)
{
	struct str frame;
	int err = 0;

	while (!err && parse_next(&text, ';', &frame))
		err = named_stacks_add_frame(stacks, frame, (struct str){ 0 }, 0);
	return err;
}

void named_stacks_keep(struct named_stacks *stacks, uint32_t depth)
{
	assert(depth <= stacks->depth);
	stacks->depth = depth;
}

int named_stacks_add_kept(struct named_stacks *stacks, uint64_t value)
{
	bool is_cut = stacks->depth > PPROF_STACK_DEPTH_MAX;
	uint32_t depth = is_cut ? PPROF_STACK_DEPTH_MAX : stacks->depth;
	uint64_t scaled = 0;
	int64_t stack;

	/* What was cut off is the leaf's side, which came last: the callers are all there. */
	stacks->summary.repairs[PPROF_REPAIRED_DEPTH] += is_cut;
	if (value == 0) {
		stacks->summary.skipped++;
		return 0;
	}
	stacks->frame_count += depth / KEPT_FRAMES_IN_ONE;
	if (stacks->frame_count > NAMED_FRAME_COUNT_MAX ||
	    stacks->summary.samples == IMPORT_VALUE_COUNT_MAX ||
	    __builtin_mul_overflow(value, stacks->scale, &scaled))
		return -E2BIG;
	for (uint32_t i = 0; i < depth; i++)
		stacks->turned[i] = stacks->frames[depth - 1 - i];
	stack = batch_add_stack(stacks->batch, stacks->turned, depth, 0);
	if (stack < 0)
		return (int)stack;
	stacks->summary.samples++;
	return batch_add_entry(stacks->batch,
			       &(struct batch_entry){ .series = stacks->series,
						      .sample_labels = stacks->labels,
						      .stack = (uint32_t)stack,
						      .count = stacks->is_count ? value : 1,
						      .value = scaled });
}

int named_stacks_add(struct named_stacks *stacks, uint64_t value)
{
	int err = named_stacks_add_kept(stacks, value);

	stacks->depth = 0;
	return err;
}
