/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stddef.h>

#include "store/batch.h"

/*
 * Labels that a sample brings, as Pyroscope takes them: what ties it to a trace stays the sample's,
 * all others are labels of a series of its own, those of the push winning.
 */
enum { LABEL_SPLIT_COUNT_MAX = 64 /* what a batch takes */ };

struct label_split {
	struct label series[LABEL_SPLIT_COUNT_MAX]; /* the push's first */
	size_t series_count;
	struct label trace[2]; /* span_id, trace_id */
	size_t trace_count;
	size_t left_out; /* what there was no room for */
};

void label_split(struct label_split *ret, const struct label *push, size_t push_count,
		 const struct label *sample, size_t sample_count);
