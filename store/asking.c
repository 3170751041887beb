/* SPDX-License-Identifier: Apache-2.0 */
#include "store/asking.h"

#include <errno.h>

#include "base/clock.h"
#include "store/merge.h"
#include "store/reader.h"
#include "store/selector.h"

enum {
	/* A node while it is read: itself, its own and its total, what it became; and its location.
	 */
	NODE_BYTES = 32,
	/* Of the running segment's own tree, which is there for all services, where light nodes
	 * are left out: what it has, and of its location what it is called. */
	RUNNING_BYTES = 16,
	NODES_PER_SAMPLE = 2,
	/* A node that is kept, with its share of names and tables. */
	KEPT_BYTES = 112,
	KEPT_ROLLED_PART = 16, /* of a chronicle's nodes so many weigh something in a range */
	/* Of a large chronicle's tree the others are not read: of each there is a sum. */
	SUM_BYTES = 8,
	/* What a walk sums up by function: of so many samples one is in a place of its own, until
	 * all of a host's are known. */
	WALKED_BYTES = 96,
	WALKED_PER_SAMPLE_PART = 2,
	WALKED_BYTES_MAX = 32 << 20,
	/* A sample, by who counts: a busy host's six hours have a quarter of a million pairs of
	 * series and labels in nine million; and more where each is a group of its own. */
	COUNTED_BYTES = 4,
	GROUPED_BYTES = 6,
	COUNTED_BYTES_MAX = 32 << 20,
	GROUPED_BYTES_MAX = 48 << 20,
	/* A question for some series looks at the trees of their services alone. */
	SELECTED_PART = 4,
	BASE_BYTES = 2 << 20,
	/* How often a client is looked at, which takes a lock's time. */
	CHECK_NS = 20000000,
};

static uint64_t least(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

static uint64_t most(uint64_t a, uint64_t b)
{
	return a > b ? a : b;
}

static bool overlaps(const struct span *span, const struct store_question *asked)
{
	return span->end_ms != 0 && span->first_ms <= asked->to_unix_ms &&
	       span->last_ms >= asked->from_unix_ms;
}

/* Of a compact span that are read together. */
static uint64_t compact_nodes(const struct store *store, const struct span *span)
{
	return most(least(span->nodes, reader_nodes_together(store)), span->nodes_max);
}

/* What spans in the range have, at the most. */
struct extent {
	int64_t oldest_ms; /* of all that there are */
	uint64_t samples;  /* within the range, together */
	uint64_t nodes;	   /* of these, as far as a tree could hold them */
	uint64_t running;  /* of these, what no roll-up knows yet */
	uint64_t segment;  /* samples of their largest segment that has a tree of its own */
	uint64_t shared;   /* nodes that are read together of trees that segments share */
	uint64_t rolled;   /* nodes of the largest tree of the host in chronicles */
	uint64_t whole;	   /* the same of those with pieces that have no trees of services */
};

static bool has_segments(const struct pieces *pieces)
{
	for (uint32_t i = 0; i < pieces->pieces.count; i++)
		if (pieces->pieces.items[i].level == CHRONICLE_SEGMENT)
			return true;
	return false;
}

/* With the store's lock held. */
static void include_chronicles(const struct store *store, const struct store_question *asked,
			       struct extent *extent)
{
	for (uint32_t i = 0; i < store->chronicles.spans.count; i++) {
		const struct span *span = store->chronicles.spans.items[i];
		const struct pieces *pieces = &span->pieces;
		uint64_t nodes;

		if (!overlaps(span, asked))
			continue;
		/* The tree grows: the last piece knows all of it. */
		nodes = pieces->pieces.items[pieces->pieces.count - 1].nodes;
		extent->rolled = most(extent->rolled, nodes);
		if (has_segments(pieces))
			extent->whole = most(extent->whole, nodes);
	}
}

/* Samples of a span within the range: by its segments; or by time, where these are its writer's. */
static uint64_t samples_within(const struct span *span, const struct store_question *asked)
{
	uint64_t samples = 0;

	if (span->live) {
		int64_t from_ms =
			span->first_ms > asked->from_unix_ms ? span->first_ms : asked->from_unix_ms;
		int64_t to_ms =
			span->last_ms < asked->to_unix_ms ? span->last_ms : asked->to_unix_ms;
		double part = (double)(to_ms - from_ms + 1) /
			      (double)(span->last_ms - span->first_ms + 1);

		return (uint64_t)((double)span->samples * part);
	}
	for (uint32_t i = 0; i < span->segments.rows.count; i++) {
		const struct segment_row *row = &span->segments.rows.items[i];

		if (row->first_ms <= asked->to_unix_ms && row->last_ms >= asked->from_unix_ms)
			samples += row->samples;
	}
	return samples;
}

/* With the store's lock held. */
static void include(const struct store *store, const struct span *span,
		    const struct store_question *asked, struct extent *extent)
{
	uint64_t samples = samples_within(span, asked);
	uint64_t nodes = samples * NODES_PER_SAMPLE;

	if (span->shares_trees)
		nodes = least(nodes, span->nodes);
	extent->samples += samples;
	extent->nodes += nodes;
	if (!span->is_sealed)
		extent->running += nodes;
	if (span->shares_trees)
		extent->shared = most(extent->shared, compact_nodes(store, span));
	else
		extent->segment = most(extent->segment, span->segment_samples);
}

static struct extent find_extent(struct store *store, const struct store_question *asked)
{
	struct extent extent = { .oldest_ms = INT64_MAX };

	pthread_mutex_lock(&store->lock);
	for (uint32_t i = 0; i < store->spans.spans.count; i++) {
		const struct span *span = store->spans.spans.items[i];

		if (span->end_ms && span->first_ms < extent.oldest_ms)
			extent.oldest_ms = span->first_ms;
		if (overlaps(span, asked))
			include(store, span, asked, &extent);
	}
	include_chronicles(store, asked, &extent);
	pthread_mutex_unlock(&store->lock);
	return extent;
}

static bool is_selected(const struct store_question *asked)
{
	return asked->selector && selector_count(asked->selector) > 0;
}

uint64_t asking_nodes(struct store *store, const struct store_question *asked)
{
	struct extent extent = find_extent(store, asked);

	return is_selected(asked) ? extent.nodes / SELECTED_PART : extent.nodes;
}

/* What reading a chronicle's tree takes: who asks for services reads theirs, and that of the host,
 * all of it, for pieces that have none. */
static uint64_t rolled_bytes(const struct extent *extent, bool of_services)
{
	uint64_t nodes = extent->rolled;

	if (of_services)
		return most(nodes / SELECTED_PART, extent->whole) * NODE_BYTES;
	if (nodes <= READER_WHOLE_TREE_NODE_COUNT_MAX)
		return nodes * NODE_BYTES;
	return nodes * SUM_BYTES + nodes / KEPT_ROLLED_PART * NODE_BYTES;
}

uint64_t asking_estimate(struct store *store, const struct store_question *asked,
			 struct asking_way way)
{
	struct extent extent = find_extent(store, asked);

	if (way.counts)
		return BASE_BYTES +
		       (way.groups ? least(extent.samples * GROUPED_BYTES, GROUPED_BYTES_MAX)
				   : least(extent.samples * COUNTED_BYTES, COUNTED_BYTES_MAX));

	bool some_gone = asked->from_unix_ms < extent.oldest_ms;
	bool is_rolled = way.use == CHRONICLE_WHERE_POSSIBLE ||
			 (way.use == CHRONICLE_WHEN_GONE && some_gone);
	/* Where a segment ends, but for a window. */
	uint64_t whole = least(extent.segment * NODES_PER_SAMPLE, TREE_NODE_COUNT_SOFT);
	uint64_t nodes = whole;
	uint64_t kept = 0;

	if (!is_rolled)
		extent.rolled = 0;
	/* A service's own segments are asked for as long as they are there. */
	if (!is_rolled || !some_gone)
		extent.whole = 0;
	if (way.in_parts && !way.walks && !way.keeps_all)
		nodes = least(whole, reader_nodes_together(store));
	nodes = most(nodes, extent.shared);
	if (way.walks)
		kept = least(extent.samples / WALKED_PER_SAMPLE_PART * WALKED_BYTES,
			     WALKED_BYTES_MAX);
	else if (way.keeps_all)
		kept = least(way.use == CHRONICLE_WHERE_POSSIBLE && extent.rolled
				     ? least(extent.rolled / KEPT_ROLLED_PART + extent.running,
					     extent.nodes)
				     : extent.nodes,
			     MERGE_NODE_COUNT_MAX) *
		       KEPT_BYTES;
	if (is_selected(asked)) {
		nodes /= SELECTED_PART;
		kept /= SELECTED_PART;
	}
	return BASE_BYTES + kept +
	       most(rolled_bytes(&extent, is_selected(asked)),
		    most(nodes * NODE_BYTES, whole * RUNNING_BYTES));
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
