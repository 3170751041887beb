/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdint.h>

#include "base/table.h"
#include "store/array.h"
#include "store/batch.h"

/*
 * Keeps senders from making up series without end: a label with a request's number in it is a
 * series a request. What is beyond the limits of a type, or of a service in it, goes to an overflow
 * series with the labels service_name (the service, or "other" beyond the limit of the type) and
 * series_overflow="true": the values stay, the labels go.
 */
struct series_group {
	uint64_t key; /* hash of a type, or of a type and a service */
	uint32_t count;
};

struct series_limits {
	uint32_t per_type, per_service;
	struct table seen;
	ARRAY(uint64_t) hashes; /* of type and labels */
	struct table group_table;
	ARRAY(struct series_group) groups;
	uint64_t overflowed; /* samples, since the start */
};

void series_limits_init(struct series_limits *limits, uint32_t per_type, uint32_t per_service);
void series_limits_done(struct series_limits *limits);

/* Another span begins: its dictionaries are empty. What overflowed stays counted. */
void series_limits_clear(struct series_limits *limits);

/* Gives the batch's samples of series beyond the limits to overflow series. -ENOMEM, -E2BIG. */
int series_limits_apply(struct series_limits *limits, struct batch *batch);
