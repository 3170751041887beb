/* SPDX-License-Identifier: Apache-2.0 */
#include "store/asking.h"

#include <errno.h>

#include "base/clock.h"
#include "store/reader.h"
#include "store/selector.h"

enum {
	/* A node while it is read: itself, its own and its total, what it became; and its location.
	 */
	NODE_BYTES = 32,
	NODES_PER_SAMPLE = 2,
	/* A node that is kept, by its name, and one that is laid out. */
	KEPT_BYTES = 96,
	KEPT_PER_SAMPLE_PART = 2, /* of all samples so many make one node that is new */
	KEPT_COUNT_MAX = 8 << 20,
	/* A question for some series looks at the trees of their services alone. */
	SELECTED_PART = 4,
	BASE_BYTES = 2 << 20,
	/* How often a client is looked at, which takes a lock's time. */
	CHECK_NS = 20000000,
};

static bool overlaps(const struct span *span, const struct store_question *asked)
{
	return span->end_ms != 0 && span->first_ms <= asked->to_unix_ms &&
	       span->last_ms >= asked->from_unix_ms;
}

/* Nodes of the largest tree of the host in the chronicles of the range. */
static uint64_t rolled_nodes(const struct store *store, const struct store_question *asked)
{
	uint64_t largest = 0;

	for (uint32_t i = 0; i < store->chronicles.spans.count; i++) {
		const struct span *span = store->chronicles.spans.items[i];
		const struct pieces *pieces = &span->pieces;

		if (!overlaps(span, asked))
			continue;
		/* The tree grows: the last piece knows all of it. */
		if (pieces->pieces.items[pieces->pieces.count - 1].nodes > largest)
			largest = pieces->pieces.items[pieces->pieces.count - 1].nodes;
	}
	return largest;
}

/* Of a compact span that are read together. */
static uint64_t compact_nodes(const struct store *store, const struct span *span)
{
	uint64_t most = reader_nodes_together(store);
	uint64_t together = span->nodes < most ? span->nodes : most;

	return span->nodes_max > together ? span->nodes_max : together;
}

uint64_t asking_estimate(struct store *store, const struct store_question *asked,
			 struct asking_way way)
{
	int64_t oldest_ms = INT64_MAX;
	uint64_t largest = 0;
	uint64_t compact = 0;
	uint64_t rolled = 0;
	uint64_t all = 0;

	pthread_mutex_lock(&store->lock);
	for (uint32_t i = 0; i < store->spans.spans.count; i++) {
		const struct span *span = store->spans.spans.items[i];

		if (span->end_ms && span->first_ms < oldest_ms)
			oldest_ms = span->first_ms;
		if (!overlaps(span, asked))
			continue;
		all += span->samples;
		/* Segments of one that is written are its writer's. */
		if (span->live && span->samples > largest)
			largest = span->samples;
		if (span->shares_trees && compact_nodes(store, span) > compact)
			compact = compact_nodes(store, span);
		for (uint32_t j = 0;
		     !span->live && !span->shares_trees && j < span->segments.rows.count; j++)
			if (span->segments.rows.items[j].samples > largest)
				largest = span->segments.rows.items[j].samples;
	}
	if (way.use == CHRONICLE_WHERE_POSSIBLE ||
	    (way.use == CHRONICLE_WHEN_GONE && asked->from_unix_ms < oldest_ms))
		rolled = rolled_nodes(store, asked);
	pthread_mutex_unlock(&store->lock);

	uint64_t nodes = largest * NODES_PER_SAMPLE;

	/* Where a segment ends, but for a window. */
	if (nodes > TREE_NODE_COUNT_SOFT)
		nodes = TREE_NODE_COUNT_SOFT;
	if (compact > nodes)
		nodes = compact;

	uint64_t kept = way.is_exact ? all / KEPT_PER_SAMPLE_PART : 0;

	if (kept > KEPT_COUNT_MAX)
		kept = KEPT_COUNT_MAX;
	if (asked->selector && selector_count(asked->selector) > 0) {
		nodes /= SELECTED_PART;
		kept /= SELECTED_PART;
	}
	if (rolled > nodes)
		nodes = rolled;
	return BASE_BYTES + nodes * NODE_BYTES + kept * KEPT_BYTES;
}

int asking_enter(struct store *store, const struct store_question *asked, struct asking_way way,
		 uint64_t *ret)
{
	uint64_t bytes = asking_estimate(store, asked, way);
	int err = gate_enter(&store->gate, bytes, asked->deadline_monotonic_ns, ret);

	if (!err && asked->asker && *ret > asked->asker->memory)
		asked->asker->memory = *ret;
	return err;
}

void asking_leave(struct store *store, uint64_t taken)
{
	gate_leave(&store->gate, taken);
}

int asking_check(const struct store_question *asked)
{
	struct store_asker *asker = asked->asker;
	uint64_t now_ns;

	if (!asked->deadline_monotonic_ns && !asker)
		return 0;
	now_ns = clock_monotonic_ns();
	if (asked->deadline_monotonic_ns && now_ns > asked->deadline_monotonic_ns)
		return -ETIMEDOUT;
	if (!asker || !asker->is_gone || now_ns - asker->looked_ns < CHECK_NS)
		return 0;
	asker->looked_ns = now_ns;
	return asker->is_gone(asker->context) ? -ECANCELED : 0;
}

void asking_note(const struct store_question *asked, uint32_t spans, uint64_t pieces,
		 uint64_t bytes)
{
	if (!asked->asker)
		return;
	asked->asker->spans += spans;
	asked->asker->pieces += pieces;
	asked->asker->bytes += bytes;
}
