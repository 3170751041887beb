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
#include "web/named_stacks.h"

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
	const struct folded_form *form;
	struct named_stacks stacks;
	uint64_t line_number;
	char *reason; /* PPROF_ERROR_SIZE */
};

static int refuse_line(struct folded_input *input, int err, const char *why)
{
	snprintf(input->reason, PPROF_ERROR_SIZE, "line %" PRIu64 ": %s", input->line_number, why);
	return err;
}

static int add_stack(struct folded_input *input, struct str frames, uint64_t value)
{
	int err = str_equal(frames, STR(FOLDED_NO_FRAMES))
			  ? 0
			  : named_stacks_add_frames(&input->stacks, frames);

	if (!err)
		err = named_stacks_add(&input->stacks, value);
	if (err == -E2BIG)
		return refuse_line(input, err,
				   "here are more stacks, or larger ones, than one file may have");
	return err;
}

static int read_line(struct folded_input *input, struct str line)
{
	size_t space = line.size;
	uint64_t value = 0;

	if (input->form->is_lines)
		return add_stack(input, line, 1);
	while (space > 0 && line.text[space - 1] != ' ')
		space--;
	if (space == 0 && input->form->is_lenient) {
		input->stacks.summary.skipped++;
		return 0;
	}
	if (space < 2 || parse_u64((struct str){ line.text + space, line.size - space }, &value))
		return refuse_line(input, -EBADMSG,
				   "it is not frames with ';' between them, a space, and a number");
	return add_stack(input, (struct str){ line.text, space - 1 }, value);
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
	if (!err && input->stacks.summary.samples == 0 && !input->form->is_lenient)
		return refuse_line(input, -EBADMSG, "the file ends, and there was no stack");
	return err;
}

int folded_read(struct str text, const struct pprof_origin *origin, struct str type,
		const struct folded_form *form, struct batch *batch, struct pprof_summary *ret,
		char reterr[static PPROF_ERROR_SIZE])
{
	autofree struct folded_input *input = calloc(1, sizeof(*input));
	int err = input ? 0 : -ENOMEM;

	reterr[0] = '\0';
	if (err)
		return err;
	input->reason = reterr;
	input->form = form;
	err = named_stacks_begin(&input->stacks, batch, origin, type,
				 form->scale ? form->scale : 1);
	if (!err)
		err = read_lines(input, text);
	if (!err)
		*ret = input->stacks.summary;
	named_stacks_done(&input->stacks);
	return err;
}
