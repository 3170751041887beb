/* SPDX-License-Identifier: Apache-2.0 */
/* What the store says of itself. */
#include "store/store_private.h"

static uint64_t bytes_of(const struct span *span)
{
	return span->is_sealed ? span->bytes : span_file_bytes(span->path);
}

static void add_chronicles(const struct store *store, struct store_status *ret)
{
	for (uint32_t i = 0; i < store->chronicles.spans.count; i++) {
		const struct span *span = store->chronicles.spans.items[i];
		uint64_t bytes = bytes_of(span);

		ret->bytes += bytes;
		ret->classes[STORE_ROLLED].span_count++;
		ret->classes[STORE_ROLLED].bytes += bytes;
		ret->pieces += span->pieces.pieces.count;
	}
}

static void add_spans(const struct store *store, struct store_status *ret)
{
	for (uint32_t i = 0; i < store->spans.spans.count; i++) {
		const struct span *span = store->spans.spans.items[i];
		uint64_t bytes = bytes_of(span);

		ret->span_count++;
		ret->has_damage |= span->is_damaged;
		ret->open_count += !span->is_sealed;
		ret->bytes += bytes;
		ret->classes[span_class(span)].span_count++;
		ret->classes[span_class(span)].bytes += bytes;
		ret->samples += span->samples;
		ret->compact_spans += span->is_compact;
		ret->compact_samples += span->is_compact ? span->samples : 0;
		ret->folded_samples += span->folded;
		if (span->end_ms == 0)
			continue;
		if (ret->newest_ms == 0 || span->first_ms < ret->oldest_ms)
			ret->oldest_ms = span->first_ms;
		if (span->end_ms > ret->newest_ms)
			ret->newest_ms = span->end_ms;
		if (span->last_ms > ret->newest_start_ms)
			ret->newest_start_ms = span->last_ms;
	}
}

void store_status(struct store *store, struct store_status *ret)
{
	pthread_mutex_lock(&store->lock);
	*ret = store->status;
	ret->byte_limit = store_byte_limit(&store->limits, ret->disk_bytes);
	add_chronicles(store, ret);
	add_spans(store, ret);
	pthread_mutex_unlock(&store->lock);
	gate_figures(&store->gate, &ret->question_memory, &ret->question_memory_peak);
	ret->growing_memory = gate_occupied(&store->gate);
	ret->kept_memory = scratches_memory(&store->scratches);
	ret->cache_memory = cache_size(store->cache);
}

int64_t store_newest_ms(struct store *store)
{
	struct store_status status = { 0 };

	store_status(store, &status);
	return status.newest_ms;
}
