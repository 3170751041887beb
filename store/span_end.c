/* SPDX-License-Identifier: Apache-2.0 */
#include "store/span_end.h"

#include "base/clock.h"
#include "store/store_private.h"

/* What is dropped is whole files, so that one must not be much of what there may be. */
static uint64_t size_max(struct store *store)
{
	uint64_t limit, part;

	pthread_mutex_lock(&store->lock);
	limit = store_byte_limit(&store->limits, store->space.size_bytes);
	pthread_mutex_unlock(&store->lock);
	part = limit / STORE_SPAN_PART;
	if (limit == 0 || part > STORE_SPAN_SIZE_MAX)
		return STORE_SPAN_SIZE_MAX;
	return part > STORE_SPAN_SIZE_MIN ? part : STORE_SPAN_SIZE_MIN;
}

static bool is_being_filled(struct span *span, uint64_t now_ns)
{
	if (span->samples != span->samples_seen) {
		span->samples_seen = span->samples;
		span->filled_ns = now_ns;
	}
	return now_ns < span->filled_ns + SPAN_QUIET_NS;
}

/* The clock was put back: what comes now would be late for the open span until its time is there.
 */
static bool is_ahead(const struct span *span, int64_t now_unix_ms)
{
	return !span->is_late && span->from_ms > now_unix_ms + STORE_FUTURE_MS;
}

bool span_is_over(struct store *store, struct span *span, int64_t now_unix_ms)
{
	/* Looked at each time, for the next. */
	bool is_filled = is_being_filled(span, clock_monotonic_ns());
	bool is_past = !span->is_late && now_unix_ms >= span->until_ms + SEGMENT_DURATION_MS;

	return (is_past && !is_filled) || is_ahead(span, now_unix_ms) ||
	       span_file_bytes(span->path) >= size_max(store);
}
