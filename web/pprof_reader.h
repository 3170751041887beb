/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdint.h>

#include "base/str.h"
#include "store/batch.h"

/*
 * Reads a pprof profile of anybody's into a batch: a series for each of its sample types, with the
 * strings of a sample's labels as sample labels. Locations that have lines bring their names, with
 * all that was inlined; those without lie in the build that their mapping names, so that symbols
 * which come later name them.
 * https://github.com/google/pprof/blob/main/proto/README.md
 *
 * The bytes are walked through, twice, and never turned into a tree of objects: what is kept is 16
 * bytes a text and some more of a function and a location, within the limits PPROF_… of
 * base/limits.h.
 */
enum { PPROF_ERROR_SIZE = 200 };

/* What the profile itself does not say. */
struct pprof_origin {
	const struct label *labels; /* of the series; service_name should be among them */
	size_t label_count;
	struct str name;      /* the first part of the types; empty: as the sample types tell */
	int64_t time_unix_ms; /* when it began, for one that does not say it */
};

struct pprof_summary {
	struct batch_time time;
	uint64_t samples; /* stacks that went in, with a value */
	uint64_t skipped; /* without one, or with a negative one */
	uint32_t sample_types;
};

/*
 * bytes: unpacked (compression.h). The batch is filled, time included, and not cleared before.
 * Errors come with a sentence that says where: -EBADMSG for what is no profile, -E2BIG beyond a
 * limit, -ENOMEM.
 */
int pprof_read(struct str bytes, const struct pprof_origin *origin, struct batch *batch,
	       struct pprof_summary *ret, char reterr[static PPROF_ERROR_SIZE]);
