/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "store/catalog.h"
#include "store/tree.h"

/*
 * Decoded trees and catalogs of what never changes any more, the latest used of them, up to a size,
 * of which half is for summaries of several segments.
 * Whoever got one keeps it by a reference, even when the cache has let it go. For any thread.
 */
struct cache;

/*
 * A tree; or a catalog; or a summary: of a segment's tree, or of several, the nodes that weigh
 * something for one profile type, with what they weigh.
 */
struct tree_part { /* the nodes of a service */
	uint32_t service;
	uint32_t first;
	uint32_t count;
};

struct cached {
	struct tree tree;
	ARRAY(struct tree_part)
	parts; /* ascending by service; none of trees that are not settled */
	struct catalog catalog;
	uint64_t *self; /* of a summary, for each node of the tree; else NULL */
	uint64_t *total;
	uint32_t *hidden; /* nodes that were too light, by the parent that is here */
	uint64_t sample_count;
	size_t size;
	void *pages; /* all of the arrays above once it is kept; NULL: each is malloc's */
	size_t pages_size;
	_Atomic unsigned references;
};

/*
 * What is meant: span, and segment or 0 for the catalog, and a type (text) or 0 for the tree, and
 * of the tree a service (text) or 0 for all. Of a summary of several segments the last one, too; of
 * one of a part of a span the times that were asked for, and where roll-ups stand in for some of
 * its segments, a hash of those for which none does.
 */
struct cache_key {
	uint32_t span;
	uint32_t segment;
	uint32_t last_segment;
	uint32_t type;
	uint32_t service;
	uint32_t keep; /* of a summary: about so many nodes */
	int64_t from_ms, to_ms;
	uint64_t left; /* 0: all in these times */
};

/* As long as somebody may read one flame graph before the next click. */
#define CACHE_UNUSED_NS (UINT64_C(300) * CLOCK_NS_PER_S)
/* Somebody is at it. */
#define CACHE_FRESH_NS (UINT64_C(20) * CLOCK_NS_PER_S)

int cache_new(size_t size_max, struct cache **ret);
struct cache *cache_free(struct cache *cache);

/* With a reference, or NULL. */
struct cached *cache_find(struct cache *cache, struct cache_key key);

/* Keeps a thing that the caller made by cached_new(), and that nobody else has yet, if there is
 * room that others do not need more; of times within a span when it is asked for the second time.
 * The caller keeps its reference. It can't change any more. */
void cache_add(struct cache *cache, struct cache_key key, struct cached *cached);

/* Lets go what it has of a span's segments before this one, but sums of several: a chronicle's
 * numbers are generations of all that it holds. */
void cache_forget_before(struct cache *cache, uint32_t span, uint32_t segment);

struct cached *cached_new(void);
struct cached *cached_release(struct cached *cached);

/* Lets go what nobody has asked for for so long: what it held for a question about a month need not
 * lie in memory for ever. */
void cache_tidy(struct cache *cache, uint64_t now_monotonic_ns, uint64_t unused_ns);

/* It holds no more than that from now on, and never more than it was made for. */
void cache_limit(struct cache *cache, size_t size_max);

/* What it holds now. */
size_t cache_size(struct cache *cache);

DEFINE_CLEANUP(struct cached *, cached, cached_release)
