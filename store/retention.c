/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>

#include "base/clock.h"
#include "store/store_private.h"

/*
 * Which sealed files go. Whole files do, oldest first, and that is all that dropping is; those that
 * are written to, or read from to be sealed, stay.
 */

enum { CLOCK_JUMP_MS = 3600 * 1000, CLOCK_TRUST_MS = 600 * 1000 };

/* What roll-ups may take of the room for all: samples of 14 days need about as much as their sums
   of 400. */
enum { ROLLED_PART = 2 };

/* A shedding disk takes no more than what is older than this. */
#define SHED_KEEP_MS INT64_C(86400000)

/*
 * By when a file is judged. Late data is old when it comes: it is kept for as long as other data
 * from when its file was finished, or an import would be dropped on the day it was made.
 */
static int64_t age_time(const struct span *span)
{
	if (span_class(span) == STORE_LATE && span->finished_ms > span->end_ms)
		return span->finished_ms;
	/* A chronicle holds what was rolled up while it grew, of whatever time that was. */
	if (span_class(span) == STORE_ROLLED)
		return span->finished_ms;
	return span->end_ms;
}

/* The same where the disk is nearly full: what came in order is as old as it says. */
static int64_t shed_time(const struct span *span)
{
	return span->is_past ? span->end_ms : age_time(span);
}

typedef int64_t time_of_span(const struct span *span);

/* Of a class, or of all (-1); the first to go whose time lies before the limit, or NULL. */
static struct span *first_of(const struct spans *spans, int class, int64_t before_ms,
			     time_of_span *time_of)
{
	struct span *first = NULL;

	for (uint32_t i = 0; i < spans->spans.count; i++) {
		struct span *span = spans->spans.items[i];

		if (!span->is_sealed || (class >= 0 && (int)span_class(span) != class))
			continue;
		if (time_of(span) < before_ms && (!first || time_of(span) < time_of(first)))
			first = span;
	}
	return first;
}

static uint64_t bytes_of(const struct spans *spans)
{
	uint64_t bytes = 0;

	for (uint32_t i = 0; i < spans->spans.count; i++) {
		const struct span *span = spans->spans.items[i];

		bytes += span->is_sealed ? span->bytes : span_file_bytes(span->path);
	}
	return bytes;
}

static uint64_t all_bytes(const struct store *store)
{
	return bytes_of(&store->spans) + bytes_of(&store->chronicles);
}

/*
 * Which goes for room, of so many bytes that there are. Roll-ups reach further back than samples,
 * and would be the first for that: they are when they take more than their part.
 */
static struct span *first_to_go(const struct store *store, uint64_t bytes, int64_t before_ms,
				time_of_span *time_of)
{
	struct span *samples = first_of(&store->spans, -1, before_ms, time_of);
	struct span *rolled = first_of(&store->chronicles, -1, before_ms, time_of);

	if (!samples || (rolled && bytes_of(&store->chronicles) > bytes / ROLLED_PART))
		return rolled ? rolled : samples;
	return samples;
}

static void drop(struct store *store, struct span *span, enum store_drop_reason reason)
{
	pthread_mutex_lock(&store->lock);
	/*
	 * When nobody reads it any more: who asks has either the samples or, once it is not listed,
	 * their sums. A file that can't be removed is not found again before the next start.
	 */
	span->is_gone = true;
	store->status.dropped_spans[reason]++;
	pthread_mutex_unlock(&store->lock);
	store_drop_span(store, span);
}

static void drop_old(struct store *store, const struct store_limits *limits, int64_t now_unix_ms)
{
	for (int i = 0; i < STORE_CLASS_COUNT; i++) {
		const struct spans *spans = i == STORE_ROLLED ? &store->chronicles : &store->spans;
		int64_t age_ms = limits->age_ms[i];
		struct span *span;

		while (age_ms > 0 && (span = first_of(spans, i, now_unix_ms - age_ms, age_time)))
			drop(store, span, STORE_DROPPED_AGE);
	}
}

uint64_t store_byte_limit(const struct store_limits *limits, uint64_t disk_bytes)
{
	uint64_t part = disk_bytes / STORE_DISK_PART;

	if (limits->bytes != STORE_BYTES_AUTOMATIC)
		return limits->bytes;
	return part < STORE_BYTES_MOST ? part : STORE_BYTES_MOST;
}

static void drop_too_many(struct store *store, uint64_t limit)
{
	struct span *span;

	while (limit > 0 && all_bytes(store) > limit &&
	       (span = first_to_go(store, limit, INT64_MAX, age_time)))
		drop(store, span, STORE_DROPPED_SIZE);
}

/* Of what is not late: late data may be of any time, the future's as well. */
static int64_t newest_ms(const struct store *store)
{
	int64_t newest = 0;

	for (uint32_t i = 0; i < store->spans.spans.count; i++) {
		const struct span *span = store->spans.spans.items[i];

		if (!span->is_late && span->end_ms > newest)
			newest = span->end_ms;
	}
	return newest;
}

static void shed(struct store *store, int64_t now_unix_ms)
{
	int64_t keep_from_ms = newest_ms(store) - SHED_KEEP_MS;
	struct span *span;

	while (space_is_short(&store->space) &&
	       (span = first_to_go(store, all_bytes(store), keep_from_ms, shed_time))) {
		drop(store, span, STORE_DROPPED_ROOM);
		space_look(&store->space, now_unix_ms);
	}
}

/*
 * Whether the wall clock may be believed. After a jump of an hour it is watched for ten minutes: a
 * host without a battery starts in 1970, or in a future that somebody typed, and its history must
 * not go for it. A start with a clock that is far from the newest data counts as a jump.
 */
static bool clock_is_trusted(struct store *store, int64_t now_unix_ms)
{
	struct clock_watch *clock = &store->clock;
	int64_t steady_ms = (int64_t)(clock_monotonic_ns() / CLOCK_NS_PER_MS);
	int64_t offset_ms = now_unix_ms - steady_ms;
	int64_t step_ms = offset_ms - clock->offset_ms;

	if (step_ms > CLOCK_JUMP_MS || step_ms < -CLOCK_JUMP_MS)
		clock->distrusted_until_ms = steady_ms + CLOCK_TRUST_MS;
	clock->offset_ms = offset_ms;
	return steady_ms >= clock->distrusted_until_ms;
}

void store_watch_clock(struct store *store)
{
	int64_t now_unix_ms = clock_unix_ms();
	int64_t newest = newest_ms(store);

	store->clock.offset_ms =
		(newest ? newest : now_unix_ms) - (int64_t)(clock_monotonic_ns() / CLOCK_NS_PER_MS);
	(void)clock_is_trusted(store, now_unix_ms);
}

void store_set_limits(struct store *store, const struct store_limits *limits)
{
	pthread_mutex_lock(&store->lock);
	store->limits = *limits;
	pthread_mutex_unlock(&store->lock);
}

void store_retain(struct store *store, int64_t now_unix_ms)
{
	struct store_limits limits;

	pthread_mutex_lock(&store->lock);
	limits = store->limits;
	pthread_mutex_unlock(&store->lock);

	bool is_trusted = clock_is_trusted(store, now_unix_ms);

	if (is_trusted)
		drop_old(store, &limits, now_unix_ms);
	drop_too_many(store, store_byte_limit(&limits, store->space.size_bytes));
	shed(store, now_unix_ms);
	pthread_mutex_lock(&store->lock);
	store->status.clock_jumped = !is_trusted;
	pthread_mutex_unlock(&store->lock);
}
