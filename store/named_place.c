/* SPDX-License-Identifier: Apache-2.0 */
#include "store/named_place.h"

#include <assert.h>
#include <errno.h>

/* What the last line says of those between, and of the binary. */
enum {
	SAYS_FUNCTIONS = 1,
	SAYS_NO_SYSTEM_NAMES = 2,
	SAYS_BUILD_ID = 4,
	SAYS_ADDRESSES = 8,
	SAYS_BINARY = 16,
	SAYS_SHIFT = 8, /* above: enum binary_flags */
	ADDRESS_COUNT = 4,
	ADDRESS_LINE_COUNT = 2 * ADDRESS_COUNT,
};

static_assert(NAMED_PLACE_LINE_COUNT_MAX >= 2 * NAMED_LINE_COUNT_MAX + 1 + ADDRESS_LINE_COUNT + 1,
	      "all that can be said");

static bool has_no_system_names(const struct named_function *functions, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (functions[i].system_name.size > 0 || functions[i].start_line > 0)
			return false;
	return true;
}

static bool is_known_by_name(const struct named_line *lines, const struct named_function *functions,
			     size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (functions[i].start_line > 0 ||
		    !str_equal(functions[i].system_name, lines[i].function))
			return false;
	return true;
}

static unsigned what_to_say(const struct named_line *lines, const struct named_function *functions,
			    size_t count, const struct named_binary *binary)
{
	unsigned says = 0;

	if (functions && !is_known_by_name(lines, functions, count))
		says |= has_no_system_names(functions, count) ? SAYS_NO_SYSTEM_NAMES
							      : SAYS_FUNCTIONS;
	if (!binary)
		return says;
	assert((binary->flags & ~(unsigned)BINARY_FLAGS) == 0);
	says |= SAYS_BINARY | binary->flags << SAYS_SHIFT;
	if (binary->build_id.size > 0)
		says |= SAYS_BUILD_ID;
	if (binary->address || binary->start || binary->limit || binary->offset)
		says |= SAYS_ADDRESSES;
	return says;
}

size_t named_place_code(const struct named_line *lines, const struct named_function *functions,
			size_t count, const struct named_binary *binary,
			struct named_line ret_coded[static NAMED_PLACE_LINE_COUNT_MAX])
{
	unsigned says = what_to_say(lines, functions, count, binary);
	size_t used = 0;

	assert(count <= NAMED_LINE_COUNT_MAX);
	for (size_t i = 0; i < count; i++)
		ret_coded[used++] = lines[i];
	/* Without a name the outermost would be taken for the last line. */
	if (count == 0 || (says == 0 && (count == 1 || lines[count - 1].function.size > 0)))
		return used;
	for (size_t i = 0; says & SAYS_FUNCTIONS && i < count; i++)
		ret_coded[used++] = (struct named_line){ .function = functions[i].system_name,
							 .line = functions[i].start_line };
	if (says & SAYS_BUILD_ID)
		ret_coded[used++] = (struct named_line){ .function = binary->build_id };
	if (says & SAYS_ADDRESSES) {
		const uint64_t addresses[ADDRESS_COUNT] = { binary->address, binary->start,
							    binary->limit, binary->offset };

		for (size_t i = 0; i < ADDRESS_COUNT; i++) {
			ret_coded[used++] = (struct named_line){ .line = (uint32_t)addresses[i] };
			ret_coded[used++] =
				(struct named_line){ .line = (uint32_t)(addresses[i] >> 32) };
		}
	}
	ret_coded[used++] =
		(struct named_line){ .file = binary ? binary->path : STR(""), .line = says };
	return used;
}

static uint64_t read_address(const struct catalog_line *lines, size_t number)
{
	return lines[2 * number].line | (uint64_t)lines[2 * number + 1].line << 32;
}

/* What the lines before the last one are, count of them. */
static int read_more(const struct catalog_line *lines, size_t count, unsigned says,
		     struct named_place *ret)
{
	size_t fixed = (says & SAYS_BUILD_ID ? 1 : 0) +
		       (says & SAYS_ADDRESSES ? (size_t)ADDRESS_LINE_COUNT : 0);
	size_t each = says & SAYS_FUNCTIONS ? 2 : 1;

	if (count <= fixed || (count - fixed) % each != 0)
		return -EBADMSG;
	ret->lines = lines;
	ret->count = (count - fixed) / each;
	lines += ret->count;
	if (says & SAYS_FUNCTIONS) {
		ret->functions = lines;
		lines += ret->count;
	}
	if (says & SAYS_BUILD_ID)
		ret->build_id = lines++->function;
	if (says & SAYS_ADDRESSES) {
		ret->address = read_address(lines, 0);
		ret->start = read_address(lines, 1);
		ret->limit = read_address(lines, 2);
		ret->offset = read_address(lines, 3);
	}
	return 0;
}

int named_place_read(const struct catalog *catalog, uint64_t number, struct named_place *ret)
{
	struct named_place place = { 0 };
	size_t count = 0;

	if (number == 0 || number >= catalog_count(catalog, CATALOG_NAME))
		return -EBADMSG;

	const struct catalog_line *lines = catalog_lines(catalog, (uint32_t)number, &count);
	const struct catalog_line *last = &lines[count - 1];
	int err = 0;

	if (count == 0)
		return -EBADMSG;
	if (count > 1 && last->function == 0) {
		place.has_binary = last->file != 0 || last->line & SAYS_BINARY;
		place.has_no_system_names = last->line & SAYS_NO_SYSTEM_NAMES;
		place.path = last->file;
		place.flags = last->line >> SAYS_SHIFT & BINARY_FLAGS;
		err = read_more(lines, count - 1, last->line, &place);
	} else {
		place.lines = lines;
		place.count = count;
	}
	if (!err)
		*ret = place;
	return err;
}
