/* SPDX-License-Identifier: Apache-2.0 */
#include "symbols/line_path.h"

#include <assert.h>
#include <stdbool.h>
#include <string.h>

/* The part before this end that a ".." would take away; or -1. */
static long parent_of(const char *path, long end, long floor)
{
	long start = end;

	while (start > floor && path[start - 1] != '/')
		start--;
	if (start == end || (end - start == 2 && path[start] == '.' && path[start + 1] == '.'))
		return -1;
	return start;
}

void line_path_clean(char *path)
{
	bool is_absolute = path[0] == '/';
	long floor = is_absolute ? 1 : 0; /* what can't be taken away */
	long end = floor;		  /* of what is written */
	const char *next = path + floor;

	while (*next) {
		size_t size = strcspn(next, "/");
		bool is_up = size == 2 && next[0] == '.' && next[1] == '.';
		long parent = is_up ? parent_of(path, end, floor) : -1;

		if (size == 0 || (size == 1 && next[0] == '.') ||
		    (is_up && is_absolute && end == floor)) {
			/* Stays where it is. */
		} else if (parent >= 0) {
			end = parent > floor ? parent - 1 : floor;
		} else {
			if (end > floor)
				path[end++] = '/';
			memmove(path + end, next, size);
			end += (long)size;
		}
		next += size + (next[size] == '/');
	}
	assert(end >= floor && path + end <= next);
	path[end] = '\0';
}
