/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "store/catalog.h"
#include "store/tree.h"

/*
 * Decoded trees and catalogs of what never changes any more, the latest used of them, up to a size.
 * Whoever got one keeps it by a reference, even when the cache has let it go. For any thread.
 */
struct cache;

/* A tree or a catalog. */
struct cached {
	struct tree tree;
	struct catalog catalog;
	size_t size;
	_Atomic unsigned references;
};

enum { CACHE_CATALOG = 0 }; /* in place of a segment's number */

int cache_new(size_t size_max, struct cache **ret);
struct cache *cache_free(struct cache *cache);

/* With a reference, or NULL. */
struct cached *cache_find(struct cache *cache, uint32_t span, uint32_t segment);

/* Keeps a thing that the caller made by cached_new(); the caller keeps its reference. */
void cache_add(struct cache *cache, uint32_t span, uint32_t segment, struct cached *cached);

struct cached *cached_new(void);
struct cached *cached_release(struct cached *cached);

DEFINE_CLEANUP(struct cached *, cached, cached_release)
