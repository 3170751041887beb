/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "store/batch.h"
#include "store/catalog.h"

/*
 * How a location that brought its names lies in the lines of a catalog's CATALOG_NAME: its
 * functions, innermost first; then, if there is more to say, a last line without a function, whose
 * file is the binary's path. That one's number of a line tells what stands between: a line for each
 * function (what the linker calls it, where it begins), one for the build id, two for each address.
 * So equal words stand once in the catalog, and most locations take no more than two lines.
 */
enum { NAMED_PLACE_LINE_COUNT_MAX = 2 * NAMED_LINE_COUNT_MAX + 10 };

/* How many lines it takes; none of count lines is none, and not taken by a batch. */
size_t named_place_code(const struct named_line *lines, const struct named_function *functions,
			size_t count, const struct named_binary *binary,
			struct named_line ret_coded[static NAMED_PLACE_LINE_COUNT_MAX]);

/* The same as texts of the catalog. */
struct named_place {
	const struct catalog_line *lines;
	/* What the linker calls it as the function, where it begins as the line; NULL: not known.
	 */
	const struct catalog_line *functions;
	size_t count;
	bool has_no_system_names; /* without functions: none has one, rather than its own */
	bool has_binary;
	uint32_t path, build_id;
	unsigned flags;
	uint64_t address, start, limit, offset;
};

/* -EBADMSG for what a file may hold that was written by nobody of ours. */
int named_place_read(const struct catalog *catalog, uint64_t number, struct named_place *ret);
