/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdint.h>

#include "proto/pprof.pb-c.h"
#include "web/arena.h"
#include "web/profile_type.h"

struct flame;

/*
 * A flame graph as a pprof profile: a sample for each node with a value of its own, a function for
 * each name in each module, a location for each line of it, with all that it was inlined into, a
 * mapping for each module. Rows by a label, and where
 * callers are missing, are no functions and should not be in the graph; what was left out becomes
 * "other". https://github.com/google/pprof/blob/main/proto/README.md
 */
struct pprof_options {
	const struct profile_type *type;
	int64_t time_ns;
	int64_t duration_ns;
	int64_t period; /* of one sample, in the unit of the type's period */
};

/* In the arena; NULL with the arena's error. Without a sample an empty profile. */
Pprof__Profile *pprof_make(const struct flame *flame, const struct pprof_options *options,
			   struct arena *arena);
