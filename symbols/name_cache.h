/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "base/str.h"
#include "symbols/demangle.h"

/*
 * Names that were demangled lately: unfolding one takes 1 to 10 µs, and a flame graph of C++ asks
 * for the same ten thousand again every few seconds. Bounded in names and bytes; what was not asked
 * for longest goes first, roughly, and what was not asked for in a while goes as well: a host comes
 * upon a rare function for ever. Any thread.
 */
struct name_cache;

enum {
	NAME_CACHE_NAME_COUNT_MAX = 32 << 10, /* the functions of a host's flame graph, twice */
	NAME_CACHE_SIZE_MAX = 8 << 20,	      /* of their texts */
	NAME_CACHE_UNUSED_SECONDS = 600,
};

int name_cache_new(struct name_cache **ret);
struct name_cache *name_cache_free(struct name_cache *cache);

/* As demangle(), which is asked where the cache does not know, or has no memory left. */
struct str name_cache_demangle(struct name_cache *cache, struct str name,
			       char text[static DEMANGLE_TEXT_SIZE_MAX]);

/* Now and then: names that were not asked for between two looks, so many seconds apart, go. */
void name_cache_tidy(struct name_cache *cache, uint64_t now_monotonic_ns);

struct name_cache_stats {
	uint64_t names;
	uint64_t bytes;
	uint64_t found;
	uint64_t missed;
};
struct name_cache_stats name_cache_stats(struct name_cache *cache);

DEFINE_CLEANUP(struct name_cache *, name_cache, name_cache_free)
