/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdint.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/identity.h"
#include "base/unwind_table.h"

/*
 * Unwind tables on disk, by what they are of, so that a table is made once and a restart of either
 * program finds it. Each is the header of base/unwind_table.h, then the rest of the table,
 * functions included, as one frame of zstd; the checksum is that of the table. One that is damaged,
 * of another version or of another identity is removed, and made anew. Beyond its size the folder
 * loses what was not read for longest.
 *
 * Any thread may read; one at a time may write.
 */
struct unwind_cache;

struct unwind_cache_stats {
	uint64_t table_count;
	uint64_t bytes;
	uint64_t bytes_max;
};

/* The folder is made when it is not there. */
int unwind_cache_open(const char *path, uint64_t size_max, struct unwind_cache **ret);
struct unwind_cache *unwind_cache_close(struct unwind_cache *cache);

/* Appends the table to an empty buf. -ENOENT when there is none that is good. */
int unwind_cache_read(struct unwind_cache *cache, const struct identity *identity, struct buf *buf);

/* Under the identity in its header, in place of an older one. */
int unwind_cache_write(struct unwind_cache *cache, const struct buf *table);

/* identity, of a file without a known build id, stands for target from now on. */
int unwind_cache_alias(struct unwind_cache *cache, const struct identity *identity,
		       const struct identity *target);

struct unwind_cache_stats unwind_cache_stats(const struct unwind_cache *cache);

/*
 * Where a function begins, by its call frame information: what groups addresses that no symbol
 * names. Offsets in the file. A compiler may have put a function's cold part elsewhere: that is a
 * function of its own here.
 */
struct unwind_functions;

/* The functions of a table. -ENOENT when there is none. Any number may be open. */
int unwind_functions_open(struct unwind_cache *cache, const struct identity *identity,
			  struct unwind_functions **ret);
struct unwind_functions *unwind_functions_close(struct unwind_functions *functions);

/* The function that holds this offset, or NULL. */
const struct unwind_function *unwind_functions_find(const struct unwind_functions *functions,
						    uint64_t offset);

DEFINE_CLEANUP(struct unwind_cache *, unwind_cache, unwind_cache_close)
DEFINE_CLEANUP(struct unwind_functions *, unwind_functions, unwind_functions_close)
