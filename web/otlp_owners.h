/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdint.h>

#include "store/batch.h"
#include "web/otlp_labels.h"

/*
 * Whose a request's samples are (otlp_labels.h), as series and label sets of a batch. What makes a
 * series is found once a profile, and what an attribute of samples comes to once a table: threads
 * are many.
 */
struct otlp_owners;

int otlp_owners_new(struct batch *batch, struct otlp_owners **ret);
struct otlp_owners *otlp_owners_free(struct otlp_owners *owners);

/* Of each request; as otlp_labels.h has them. */
void otlp_owners_start(struct otlp_owners *owners, const char *host_name, bool is_local,
		       int64_t now_ms);

/* The batch was cleared. */
void otlp_owners_clear(struct otlp_owners *owners);

/* What it takes beside the batch. */
size_t otlp_owners_memory(const struct otlp_owners *owners);

/* Of each profile, before its samples; the type and its period as batch_add_series() takes them,
 * and as long as samples are asked about. */
int otlp_owners_begin(struct otlp_owners *owners, const struct otlp_profile *profile,
		      struct str type, uint64_t period);

struct otlp_owner {
	uint32_t series, labels;
};
int otlp_owners_find(struct otlp_owners *owners, const struct otlp_sample *sample,
		     struct otlp_owner *ret);

/* Attributes that found no room, of all of the request. */
uint64_t otlp_owners_left_out(const struct otlp_owners *owners);

DEFINE_CLEANUP(struct otlp_owners *, otlp_owners, otlp_owners_free)
