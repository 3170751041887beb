/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "web/request.h"

struct store;

/*
 * Requests that bring profiles, and may come a second time: the sender was told that it failed, or
 * went before it was told anything. What was stored of it then is not stored again.
 *
 * A request numbers the batches it is stored in, under a source (batch_set_source()). Told that all
 * went well, the source is forgotten, since equal profiles that come later are new ones. Otherwise
 * an equal request takes the source over, and the store knows which of its batches it has.
 *
 * Requests are equal by a hash of what they bring. Equal ones that are under way together are
 * different ones, each with a source of its own, unless the first one's sender has gone: who comes
 * then waits for how that ends. Any thread.
 */
struct retries;

int retries_new(struct store *store, struct retries **ret);
struct retries *retries_free(struct retries *retries);

/* One that is under way. */
struct retry {
	struct retries *retries; /* NULL: none is */
	uint32_t place;
	uint64_t source; /* 0: too many are remembered, this one won't be */
};

/* The request lives until retries_end(). */
struct retry retries_begin(struct retries *retries, uint64_t key, const struct request *request);

/*
 * is_told: its sender knows that all of it is stored. has_stored: something of it is, or may be.
 */
void retries_end(struct retry *retry, bool is_told, bool has_stored);

DEFINE_CLEANUP(struct retries *, retries, retries_free)
