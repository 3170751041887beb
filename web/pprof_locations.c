/* SPDX-License-Identifier: Apache-2.0 */
/* Of the pprof reader: places in programs, with their names or without. */
#include <errno.h>
#include <inttypes.h>

#include "base/parse.h"
#include "web/pprof_inside.h"
#include "web/utf8_mend.h"
#include "web/wire.h"

enum { LINE_COUNT_MAX = 256 /* what a batch takes of one location */ };

static int read_line(struct pprof_input *input, struct str message, struct named_line *ret)
{
	uint64_t id = 0;
	uint64_t line = 0;
	int err = pprof_read_number(input, message, 1, "a line", &id);

	*ret = (struct named_line){ 0 };
	if (!err)
		err = pprof_read_number(input, message, 2, "a line", &line);
	if (err)
		return err;

	const struct pprof_thing *function = pprof_find_thing(&input->functions, id);

	if (!function)
		return pprof_refuse(input, -EBADMSG,
				    "a location is in function %" PRIu64 ", which is not there",
				    id);
	err = pprof_read_text(input, function->bytes, 2, "a function's name", &ret->function);
	/* Some have only the one that the linker sees. */
	if (!err && ret->function.size == 0)
		err = pprof_read_text(input, function->bytes, 3, "a function's name",
				      &ret->function);
	if (!err)
		err = pprof_read_text(input, function->bytes, 4, "a function's file", &ret->file);
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
			return pprof_refuse(input, -E2BIG,
					    "more than %d functions are inlined into each other",
					    LINE_COUNT_MAX - 1);

		int err = read_line(input, field.bytes, &lines[(*ret_count)++]);

		if (err)
			return err;
	}
	return 0;
}

/* "app/jobs.py work" in the place of "work". All are given room at once, so that none moves. */
static int join_names(struct pprof_input *input, struct named_line *lines, size_t count)
{
	bool relative_only = input->origin->naming == PPROF_NAMES_WITH_RELATIVE_FILES;
	size_t size = 0;

	for (size_t i = 0; i < count; i++)
		size += lines[i].file.size + 1 + lines[i].function.size;
	buf_clear(&input->joined);
	if (!buf_grow(&input->joined, size))
		return input->joined.error == -EFBIG ? -E2BIG : input->joined.error;
	input->joined.size = 0;
	for (size_t i = 0; i < count; i++) {
		struct named_line *line = &lines[i];
		size_t start = input->joined.size;

		if (line->file.size == 0 || (relative_only && line->file.text[0] == '/'))
			continue;
		buf_add_str(&input->joined, line->file);
		buf_add_u8(&input->joined, ' ');
		buf_add_str(&input->joined, line->function);
		line->function = utf8_end((struct str){ (char *)input->joined.bytes + start,
							input->joined.size - start },
					  PPROF_TEXT_SIZE_MAX);
	}
	return input->joined.error;
}

/* Of a mapping without an id of its build nothing is known but its name. */
static int read_identity(struct pprof_input *input, struct str mapping, struct identity *ret)
{
	struct str text;
	int err = pprof_read_text(input, mapping, 6, "a mapping's build id", &text);

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
	int err = pprof_read_number(input, message, 3, "a location", &address);

	if (!err)
		err = pprof_read_number(input, mapping, 2, "a mapping", &start);
	if (!err)
		err = pprof_read_number(input, mapping, 4, "a mapping", &offset);
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
	int err = pprof_read_number(input, message, 2, "a location", &mapping_id);
	const struct pprof_thing *found =
		err ? NULL : pprof_find_thing(&input->mappings, mapping_id);

	if (found) {
		mapping = found->bytes;
		err = pprof_read_text(input, mapping, 5, "a mapping's file", &path);
	}
	if (!err)
		err = read_lines(input, message, lines, &count);
	if (err)
		return err;
	if (count > 0 && input->origin->naming != PPROF_NAMES_ALONE)
		err = join_names(input, lines, count);
	if (err)
		return err;
	if (count == 0)
		return add_address(input, message, mapping, path);
	if (path.size > 0)
		lines[count++] = (struct named_line){ .file = path };
	return batch_add_named_location(input->batch, lines, count);
}

int64_t pprof_find_location(struct pprof_input *input, uint64_t id)
{
	struct pprof_thing *thing = pprof_find_thing(&input->locations, id);

	if (!thing)
		return pprof_refuse(input, -EBADMSG,
				    "sample %" PRIu64 " is at location %" PRIu64
				    ", which is not there",
				    input->sample_number, id);
	if (thing->number == PPROF_NUMBER_NONE) {
		int64_t number = add_location(input, thing->bytes);

		if (number < 0)
			return number;
		thing->number = (uint32_t)number;
	}
	return thing->number;
}
