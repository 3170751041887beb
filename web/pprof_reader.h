/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdint.h>

#include "base/str.h"
#include "store/batch.h"

/*
 * Reads a pprof profile of anybody's into a batch, or several: a series for each of its sample
 * types. Locations that have lines bring their names, with all that was inlined; those without lie
 * in the build that their mapping names, so that symbols which come later name them.
 * https://github.com/google/pprof/blob/main/proto/README.md
 *
 * The bytes are walked through, twice, and never turned into a tree of objects: what is kept is 16
 * bytes a text and some more of a function and a location, within the limits PPROF_… of
 * base/limits.h.
 *
 * What can be mended is, and counted: see below. A sample with a negative value is none.
 */
enum { PPROF_ERROR_SIZE = 200 };

/* What was mended. */
enum pprof_repair {
	PPROF_REPAIRED_TEXT = 0, /* no UTF-8, or longer than what a batch takes: its end is kept */
	PPROF_REPAIRED_TYPE,	 /* "inuse-space" became "inuse_space" */
	PPROF_REPAIRED_LABEL,	 /* more labels than a series has: those of the sample go */
	PPROF_REPAIRED_TIME,	 /* it has none, or one of 1970 */
	PPROF_REPAIRED_DEPTH,	 /* deeper than PPROF_STACK_DEPTH_MAX: cut */
	PPROF_REPAIR_COUNT,
};

/* How functions are called: languages of scripts have many of one name. */
enum pprof_naming {
	PPROF_NAMES_ALONE = 0,
	PPROF_NAMES_WITH_FILES,		 /* "app/jobs.py work" */
	PPROF_NAMES_WITH_RELATIVE_FILES, /* the same, but not of a path from the root */
};

/* What the profile itself does not say. */
struct pprof_origin {
	const struct label *labels; /* of the series; service_name should be among them */
	size_t label_count;
	struct str name;      /* the first part of the types; empty: as the sample types tell */
	int64_t time_unix_ms; /* when it began, for one that does not say it */

	enum pprof_naming naming;
	/* What a sample type is shown as, which name goes by; "" when nothing is known. May be
	 * NULL.
	 */
	struct str (*display_name)(const void *context, struct str type);
	const void *display_context;

	/*
	 * Whether texts that a sample has as labels are labels of a series of its own, as Pyroscope
	 * has it, the origin's winning; but for span_id (profile_id) and trace_id. Else all are
	 * labels of the sample.
	 */
	bool splits_series;

	/*
	 * Takes a batch that is full, before it is cleared and filled on; a negative errno ends
	 * reading. NULL: all goes into one batch. All samples were looked at before the first.
	 */
	int (*take)(void *context, struct batch *batch);
	/* Told now and then what was walked over, so that pages may be given back; NULL: nobody
	 * wants to know. */
	void (*walked)(void *context, struct str bytes);
	void *context;
};

/* The value of a label of all its series; a NULL text when there is none. */
struct str pprof_origin_label(const struct pprof_origin *origin, struct str name);

struct pprof_summary {
	struct batch_time time;
	uint64_t samples; /* stacks that went in, with a value */
	uint64_t skipped; /* without one, or with a negative one */
	uint32_t sample_types;
	struct str service; /* the origin's */
	uint64_t repairs[PPROF_REPAIR_COUNT];
};

/*
 * bytes: unpacked (compression.h). The batch is filled, time included, and not cleared before; with
 * take, it holds the rest in the end. Errors come with a sentence that says where: -EBADMSG for
 * what is no profile, -E2BIG beyond a limit, -ENOMEM, or what take failed with.
 */
int pprof_read(struct str bytes, const struct pprof_origin *origin, struct batch *batch,
	       struct pprof_summary *ret, char reterr[static PPROF_ERROR_SIZE]);
