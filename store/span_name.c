/* SPDX-License-Identifier: Apache-2.0 */
#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "store/span.h"

/* What files are called, and what those are called that take their places. */

uint32_t span_name_number(const char *name)
{
	const char *dash = strchr(name, '-');
	uint64_t number = 0;

	for (const char *c = dash ? dash + 1 : ""; *c >= '0' && *c <= '9'; c++) {
		number = number * 10 + (uint64_t)(*c - '0');
		if (number >= UINT32_MAX)
			return 0;
	}
	return (uint32_t)number;
}

/* Up to the letters behind the number. */
static int stem_size(const char *name)
{
	const char *dash = strchr(name, '-');
	int size = (int)strlen(name) - 3;

	if (dash)
		size = (int)(dash + 1 - name) + (int)strspn(dash + 1, "0123456789");
	assert(size > 0 && size < SPAN_NAME_SIZE - 28);
	return size;
}

static void name_anew(const char *name, char letter, char ret[static SPAN_NAME_SIZE])
{
	int stem = stem_size(name);
	const char *rest = name + stem + (name[stem] == 'j');

	snprintf(ret, SPAN_NAME_SIZE, "%.*s%c%.*s", stem, name, letter, SPAN_NAME_SIZE - 30, rest);
}

/* "20260822T060000-1.db" or "…-1j.db" to "20260822T060000-1c.db", and "…-1d3.db" to "…-1cd3.db". */
void span_compact_name(const char *name, char ret[static SPAN_NAME_SIZE])
{
	name_anew(name, 'c', ret);
}

/* "20260822T060000-1.db" to "20260822T060000-1j.db", and "…-1d3.db" to "…-1jd3.db". */
void span_joined_name(const char *name, char ret[static SPAN_NAME_SIZE])
{
	name_anew(name, 'j', ret);
}

/* "20260822T060000-1c.db" to "20260822T060000-1cd3.db". */
void span_removed_name(const char *name, uint64_t deletion, char ret[static SPAN_NAME_SIZE])
{
	int stem = stem_size(name);
	int letter_count = name[stem] == 'c' || name[stem] == 'j';

	snprintf(ret, SPAN_NAME_SIZE, "%.*sd%" PRIu64 ".db", stem + letter_count, name, deletion);
}
