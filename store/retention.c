/* SPDX-License-Identifier: Apache-2.0 */
#include <assert.h>
#include <stdio.h>
#include <unistd.h>

#include "store/store_private.h"

/* Whole sealed files go, oldest first; those that are written to, or read from to be sealed, stay.
 */

static struct span *oldest_sealed(struct store *store)
{
	struct span *oldest = NULL;

	for (uint32_t i = 0; i < store->spans.spans.count; i++) {
		struct span *span = store->spans.spans.items[i];

		if (span->is_sealed && (!oldest || span->end_ms < oldest->end_ms))
			oldest = span;
	}
	return oldest;
}

static uint64_t all_bytes(const struct store *store)
{
	uint64_t bytes = 0;

	for (uint32_t i = 0; i < store->spans.spans.count; i++) {
		const struct span *span = store->spans.spans.items[i];

		bytes += span->is_sealed ? span->bytes : span_file_bytes(span->path);
	}
	return bytes;
}

void store_set_retention(struct store *store, int64_t age_ms, uint64_t bytes)
{
	assert(age_ms >= 0);
	store->retention_age_ms = age_ms;
	store->retention_bytes = bytes;
}

void store_retain(struct store *store, int64_t now_unix_ms)
{
	for (;;) {
		struct span *span = oldest_sealed(store);

		if (!span)
			return;

		bool is_old = store->retention_age_ms > 0 &&
			      span->end_ms < now_unix_ms - store->retention_age_ms;
		bool is_too_much =
			store->retention_bytes > 0 && all_bytes(store) > store->retention_bytes;

		if (!is_old && !is_too_much)
			return;
		/* A file that can't be removed would be found again for ever: it goes from the
		 * list. */
		(void)unlink(span->path);
		pthread_mutex_lock(&store->lock);
		store->status.dropped_spans++;
		pthread_mutex_unlock(&store->lock);
		store_drop_span(store, span);
	}
}
