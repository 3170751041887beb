/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "proto/pprof.pb-c.h"
#include "web/arena.h"
#include "web/profile_type.h"

struct flame;

/*
 * A flame graph, by_line, as a pprof profile: a sample for each node with a value of its own, a
 * location for each function with the calls that were inlined into it, a mapping for each binary,
 * all as it was told by whoever pushed it. What has no name is a location without lines, for
 * whoever has the binary to name. Rows by a label, and where callers are missing, are no functions
 * and should not be in the graph; what was left out becomes "other".
 * https://github.com/google/pprof/blob/main/proto/README.md
 */
struct pprof_options {
	const struct profile_type *type;
	int64_t time_ns;
	int64_t duration_ns;
	int64_t period; /* of one sample, in the unit of the type's period */
	/* For compilers that are guided by profiles: less of each stack, so that more are equal. */
	uint32_t kept_locations; /* from its leaf; 0: all */
	bool has_no_leaf_lines;	 /* of the innermost frame it does not count where in it it was */
};

/* In the arena; NULL with the arena's error. Without a sample an empty profile. */
Pprof__Profile *pprof_make(const struct flame *flame, const struct pprof_options *options,
			   struct arena *arena);
