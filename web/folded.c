/* SPDX-License-Identifier: Apache-2.0 */
#include "web/folded.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/cleanup.h"
#include "base/limits.h"
#include "base/parse.h"
#include "store/store.h"
#include "web/profile_type.h"

/* ---- writing ----------------------------------------------------------------------------------
 */

/* The format has no way to write its own marks in a name. */
static void add_frame(struct buf *buf, struct str name)
{
	char *text = buf_grow(buf, name.size);

	for (size_t i = 0; text && i < name.size; i++) {
		char c = name.text[i];

		text[i] = c == ';' ? ':' : c == '\n' || c == '\r' ? ' ' : c;
	}
}

int folded_write(const struct flame *flame, struct buf *buf)
{
	autofree uint32_t *path = calloc(flame->node_count, sizeof(path[0]));

	if (!path)
		return -ENOMEM;
	for (uint32_t i = 0; i < flame->node_count && !buf->error; i++) {
		uint32_t depth = 0;

		if (flame->nodes[i].self == 0)
			continue;
		for (uint32_t node = i; node > 0; node = flame->nodes[node].parent)
			path[depth++] = node;
		if (depth == 0)
			buf_add_str(buf, STR(FOLDED_NO_FRAMES));
		while (depth > 0) {
			add_frame(buf, flame->names[flame->nodes[path[--depth]].name]);
			if (depth > 0)
				buf_add_u8(buf, ';');
		}
		buf_printf(buf, " %" PRIu64 "\n", flame->nodes[i].self);
	}
	return buf->error;
}

/* ---- reading ----------------------------------------------------------------------------------
 */

struct folded_input {
	struct batch *batch;
	struct pprof_summary summary;
	uint32_t series, labels;
	bool is_count; /* a value is a number of samples */
	uint64_t line_number;
	char *reason; /* PPROF_ERROR_SIZE */
	uint32_t frames[PPROF_STACK_DEPTH_MAX];
};

static int refuse_line(struct folded_input *input, int err, const char *why)
{
	snprintf(input->reason, PPROF_ERROR_SIZE, "line %" PRIu64 ": %s", input->line_number, why);
	return err;
}

/* Root first in the line, leaf first in the stack. */
static int read_frames(struct folded_input *input, struct str text, uint32_t *ret_depth)
{
	struct str rest = text;
	struct str frame;
	uint32_t depth = 0;

	if (str_equal(text, STR(FOLDED_NO_FRAMES)))
		rest.size = 0;
	while (rest.size > 0 && parse_next(&rest, ';', &frame)) {
		struct named_line line = { .function = frame.size ? frame : STR("[unknown]") };
		int64_t number;

		if (depth == PPROF_STACK_DEPTH_MAX)
			return refuse_line(input, -E2BIG, "more than 4096 frames");
		static_assert(PPROF_STACK_DEPTH_MAX == 4096, "the sentence says so");
		number = batch_add_named_location(input->batch, &line, 1);
		if (number < 0)
			return (int)number;
		input->frames[depth++] = (uint32_t)number;
	}
	for (uint32_t i = 0; i < depth / 2; i++) {
		uint32_t other = input->frames[depth - 1 - i];

		input->frames[depth - 1 - i] = input->frames[i];
		input->frames[i] = other;
	}
	*ret_depth = depth;
	return 0;
}

static int read_line(struct folded_input *input, struct str line)
{
	size_t space = line.size;
	uint64_t value = 0;
	uint32_t depth = 0;

	while (space > 0 && line.text[space - 1] != ' ')
		space--;
	if (space < 2 || parse_u64((struct str){ line.text + space, line.size - space }, &value))
		return refuse_line(input, -EBADMSG,
				   "it is not frames with ';' between them, a space, and a number");
	if (value == 0) {
		input->summary.skipped++;
		return 0;
	}
	if (input->summary.samples == IMPORT_VALUE_COUNT_MAX)
		return refuse_line(input, -E2BIG, "there are more than 400000 stacks");
	static_assert(IMPORT_VALUE_COUNT_MAX == 400000, "the sentence says so");

	int err = read_frames(input, (struct str){ line.text, space - 1 }, &depth);
	int64_t stack = err ? err : batch_add_stack(input->batch, input->frames, depth, 0);

	if (stack < 0)
		return (int)stack;
	input->summary.samples++;
	return batch_add_entry(input->batch,
			       &(struct batch_entry){ .series = input->series,
						      .sample_labels = input->labels,
						      .stack = (uint32_t)stack,
						      .count = input->is_count ? value : 1,
						      .value = value });
}

static int read_lines(struct folded_input *input, struct str text)
{
	struct str rest = text;
	struct str line;
	int err = 0;

	while (!err && parse_next(&rest, '\n', &line)) {
		input->line_number++;
		while (line.size > 0 &&
		       (line.text[line.size - 1] == '\r' || line.text[line.size - 1] == ' '))
			line.size--;
		if (line.size > 0)
			err = read_line(input, line);
	}
	if (err == -E2BIG && !input->reason[0])
		return refuse_line(input, err, "it is too large for one import");
	if (!err && input->summary.samples == 0)
		return refuse_line(input, -EBADMSG, "the file ends, and there was no stack");
	return err;
}

static int start(struct folded_input *input, const struct pprof_origin *origin, struct str type)
{
	struct profile_type parsed;
	int err = profile_type_parse(type, &parsed, NULL);
	int64_t labels =
		err ? err : batch_add_labels(input->batch, origin->labels, origin->label_count);
	int64_t series = labels < 0
				 ? labels
				 : batch_add_series(input->batch, (uint32_t)labels, parsed.id, 1);
	int64_t none = series < 0 ? series : batch_add_labels(input->batch, NULL, 0);

	if (none < 0)
		return (int)none;
	input->is_count = str_equal(parsed.parts[PROFILE_TYPE_SAMPLE_UNIT], STR("count"));
	input->series = (uint32_t)series;
	input->labels = (uint32_t)none;
	return 0;
}

int folded_read(struct str text, const struct pprof_origin *origin, struct str type,
		struct batch *batch, struct pprof_summary *ret,
		char reterr[static PPROF_ERROR_SIZE])
{
	autofree struct folded_input *input = calloc(1, sizeof(*input));

	reterr[0] = '\0';
	if (!input)
		return -ENOMEM;
	input->batch = batch;
	input->reason = reterr;
	assert(origin->time_unix_ms >= 0);

	int err = start(input, origin, type);

	if (!err)
		err = read_lines(input, text);
	if (err)
		return err;
	input->summary.sample_types = 1;
	input->summary.time = (struct batch_time){ origin->time_unix_ms, origin->time_unix_ms + 1 };
	batch_set_time(batch, input->summary.time);
	*ret = input->summary;
	return 0;
}
