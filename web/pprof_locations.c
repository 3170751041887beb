/* SPDX-License-Identifier: Apache-2.0 */
/* Of the pprof reader: places in programs, with their names or without. */
#include <errno.h>
#include <inttypes.h>

#include "base/parse.h"
#include "web/json_writer.h"
#include "web/pprof_inside.h"
#include "web/utf8_mend.h"
#include "web/wire.h"

static int read_line(struct pprof_input *input, struct str message, struct named_line *ret,
		     struct named_function *ret_function)
{
	uint64_t numbers[3];
	uint64_t said[6];
	int err = pprof_read_numbers(input, message, "a line", 3, numbers);

	*ret = (struct named_line){ 0 };
	if (err)
		return err;

	const struct pprof_thing *function = pprof_find_thing(&input->functions, numbers[1]);

	if (!function)
		return pprof_refuse(input, -EBADMSG,
				    "a location is in function %" PRIu64 ", which is not there",
				    numbers[1]);
	err = pprof_read_numbers(input, function->bytes, "a function", 6, said);
	if (!err)
		err = pprof_get_text(input, said[2], "a function's name", &ret->function);
	if (!err)
		err = pprof_get_text(input, said[3], "a function's name",
				     &ret_function->system_name);
	if (!err)
		err = pprof_get_text(input, said[4], "a function's file", &ret->file);
	/* Some have only the one that the linker sees. */
	if (ret->function.size == 0)
		ret->function = ret_function->system_name;
	ret->line = numbers[2] <= UINT32_MAX ? (uint32_t)numbers[2] : 0;
	ret_function->start_line = said[5] <= UINT32_MAX ? (uint32_t)said[5] : 0;
	return err;
}

/* The functions of a location: the batch's own, count of them. */
static int read_lines(struct pprof_input *input, struct str message, struct named_line *lines,
		      struct named_function *functions, size_t *ret_count)
{
	struct bytes bytes = bytes_from(message.text, message.size);
	struct wire_field field;

	*ret_count = 0;
	while (wire_next(&bytes, &field) > 0) {
		if (field.number != 4 || field.type != WIRE_SIZED)
			continue;
		if (*ret_count == NAMED_LINE_COUNT_MAX)
			return pprof_refuse(input, -E2BIG,
					    "more than %d functions are inlined into each other",
					    NAMED_LINE_COUNT_MAX);

		int err = read_line(input, field.bytes, &lines[*ret_count], &functions[*ret_count]);

		if (err)
			return err;
		(*ret_count)++;
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
static void read_identity(struct str text, struct identity *ret)
{
	*ret = (struct identity){ 0 };
	if (text.size < 2 || text.size % 2 != 0 || text.size / 2 > IDENTITY_SIZE_MAX)
		return;
	for (size_t i = 0; i < text.size; i += 2) {
		uint64_t byte;

		if (parse_hex((struct str){ text.text + i, 2 }, &byte)) {
			*ret = (struct identity){ 0 };
			return;
		}
		ret->bytes[i / 2] = (uint8_t)byte;
	}
	ret->kind = IDENTITY_GNU_BUILD_ID;
	ret->size = (uint8_t)(text.size / 2);
}

/* A location without a line: binary and offset in its file. */
static int64_t add_address(struct pprof_input *input, struct str mapping,
			   const struct named_binary *binary)
{
	struct identity identity;

	read_identity(binary->build_id, &identity);

	int64_t build = batch_add_build(input->batch, mapping.size ? BUILD_FILE : BUILD_UNMAPPED,
					&identity, binary->path);

	return build < 0 ? build
			 : batch_add_location(input->batch, (uint32_t)build,
					      binary->address - binary->start + binary->offset);
}

/*
 * A service that says which source it is built of says it of its binaries, too, as clients want to
 * find it: in place of the build id.
 */
static int add_source(struct pprof_input *input, struct str *build_id)
{
	const struct {
		const char *key;
		struct str value;
	} said[] = {
		{ "repository", pprof_origin_label(input->origin, STR("service_repository")) },
		{ "git_ref", pprof_origin_label(input->origin, STR("service_git_ref")) },
		{ "build_id", *build_id },
		{ "root_path", pprof_origin_label(input->origin, STR("service_root_path")) },
	};
	struct json_writer json = JSON_WRITER(&input->source);

	if (said[0].value.size + said[1].value.size + said[3].value.size == 0)
		return 0;
	buf_clear(&input->source);
	json_begin_object(&json);
	for (size_t i = 0; i < sizeof(said) / sizeof(said[0]); i++)
		if (said[i].value.size > 0) {
			json_key(&json, said[i].key);
			json_text(&json, said[i].value);
		}
	json_end_object(&json);
	*build_id = (struct str){ (const char *)input->source.bytes, input->source.size };
	return input->source.error;
}

/* All that a mapping says, but for the address. */
static int read_binary(struct pprof_input *input, struct str mapping, struct named_binary *ret)
{
	static const unsigned flags[] = { BINARY_HAS_FUNCTIONS, BINARY_HAS_FILENAMES,
					  BINARY_HAS_LINES, BINARY_HAS_INLINES };
	uint64_t numbers[11];
	int err = pprof_read_numbers(input, mapping, "a mapping", 11, numbers);

	*ret = (struct named_binary){ .start = numbers[2],
				      .limit = numbers[3],
				      .offset = numbers[4],
				      .flags = BINARY_FLAGS_TOLD };
	if (!err)
		err = pprof_get_text(input, numbers[5], "a mapping's file", &ret->path);
	if (!err)
		err = pprof_get_text(input, numbers[6], "a mapping's build id", &ret->build_id);
	for (size_t i = 0; !err && i < sizeof(flags) / sizeof(flags[0]); i++)
		ret->flags |= numbers[7 + i] ? flags[i] : 0;
	return err;
}

/* The same, of the one before in most cases. */
static int find_binary(struct pprof_input *input, struct str mapping, struct named_binary *ret)
{
	if (!mapping.text || mapping.text != input->binary_of) {
		int err = read_binary(input, mapping, &input->binary);

		input->binary_of = err ? NULL : mapping.text;
		if (err)
			return err;
	}
	*ret = input->binary;
	return 0;
}

static int64_t add_named(struct pprof_input *input, struct named_line *lines,
			 const struct named_function *functions, size_t count,
			 struct named_binary *binary)
{
	int err = input->origin->naming != PPROF_NAMES_ALONE ? join_names(input, lines, count) : 0;

	if (!err && binary)
		err = add_source(input, &binary->build_id);
	if (err)
		return err;
	if (binary && binary->flags & BINARY_HAS_FUNCTIONS)
		binary->address = binary->start = binary->limit = binary->offset = 0;
	return batch_add_named_place(input->batch, lines, functions, count, binary);
}

static int64_t add_location(struct pprof_input *input, struct str message)
{
	struct named_line lines[NAMED_LINE_COUNT_MAX];
	struct named_function functions[NAMED_LINE_COUNT_MAX];
	struct named_binary binary = { 0 };
	struct str mapping = { 0 };
	uint64_t numbers[4];
	size_t count = 0;
	int err = pprof_read_numbers(input, message, "a location", 4, numbers);
	const struct pprof_thing *found =
		err ? NULL : pprof_find_thing(&input->mappings, numbers[2]);

	if (found)
		mapping = found->bytes;
	if (!err)
		err = find_binary(input, mapping, &binary);
	binary.address = numbers[3];
	if (!err)
		err = read_lines(input, message, lines, functions, &count);
	if (err)
		return err;
	return count == 0 ? add_address(input, mapping, &binary)
			  : add_named(input, lines, functions, count, found ? &binary : NULL);
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
