/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "store/batch.h"
#include "store/store.h"

/*
 * Profiles one by one, without their stacks: what each series brought at each time, and how much it
 * was worth; or, by span, what each span of a trace had in each of them. Exemplars and heat maps
 * are made of them.
 *
 * A profile is what has one start and one series. Samples of this host make one of each second, and
 * of every ten seconds in a span that was written anew; spans of traces are known until then.
 */

/* The sample labels that say so. */
#define OBSERVED_SPAN_ID  "span_id"
#define OBSERVED_TRACE_ID "trace_id"

/* Whose profiles they are: a series, or a span in it. */
struct observed {
	const struct label
		*labels; /* of the series, those that the store makes included, by name */
	size_t label_count;
	uint64_t series;	      /* of struct profile_key */
	struct str span_id, trace_id; /* "" where there are none */
	uint32_t number;	      /* from 0, in the order of their first appearance */
};

/* The value of one of the labels; "" when there is none. */
struct str observed_label(const struct observed *observed, struct str name);

struct observation {
	const struct observed *of;
	int64_t time_ms; /* start of the profile */
	uint64_t value;	 /* its sum */
};

/* In no order. Anything but 0 ends it and is returned. */
typedef int observations_visit(void *context, const struct observation *observation);

/* What was observed lives until observations_done(). */
struct observations;

struct observations_options {
	bool by_span; /* only what has a span */
	observations_visit *visit;
	void *context;
};

/* -E2BIG beyond OBSERVED_COUNT_MAX series and spans, or OBSERVATION_COUNT_MAX in ten minutes. */
int observations_read(struct store *store, const struct store_question *question,
		      const struct observations_options *options, struct observations **ret);
struct observations *observations_done(struct observations *observations);

DEFINE_CLEANUP(struct observations *, observations, observations_done)
