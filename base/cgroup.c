/* SPDX-License-Identifier: Apache-2.0 */
#include "base/cgroup.h"

#include "base/parse.h"

enum { CONTAINER_ID_SIZE = 64, ECS_ID_SIZE = 32 };

static bool is_hex(char c)
{
	return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
}

/* A run of exactly 64 hex digits anywhere, or of 32 that fill a component. */
static bool has_container_id(struct str path)
{
	size_t run = 0;

	for (size_t i = 0; i <= path.size; i++) {
		if (i < path.size && is_hex(path.text[i])) {
			run++;
			continue;
		}
		if (run == CONTAINER_ID_SIZE)
			return true;
		if (run == ECS_ID_SIZE &&
		    (i == path.size || path.text[i] == '/' || path.text[i] == '-') &&
		    (i == run || path.text[i - run - 1] == '/'))
			return true;
		run = 0;
	}
	return false;
}

struct str cgroup_choose(struct str text)
{
	struct str line, best = { 0 };
	unsigned best_rank = 0;

	while (parse_next(&text, '\n', &line)) {
		struct str number, controllers;

		if (!parse_next(&line, ':', &number) || line.size == 0)
			continue;
		/* The unified hierarchy's list of controllers is empty: "0::/path". */
		if (line.text[0] == ':') {
			controllers = (struct str){ 0 };
			line = (struct str){ line.text + 1, line.size - 1 };
		} else if (!parse_next(&line, ':', &controllers)) {
			continue;
		}
		if (line.size == 0 || line.text[0] != '/')
			continue;

		bool is_systemd =
			controllers.size == 0 || str_equal(controllers, STR("name=systemd"));
		unsigned rank = has_container_id(line)	      ? 4
				: is_systemd && line.size > 1 ? 3
				: line.size > 1		      ? 2
							      : 1;

		if (rank > best_rank || (rank == best_rank && line.size > best.size)) {
			best_rank = rank;
			best = line;
		}
	}
	return best;
}
