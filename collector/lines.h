/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"

/*
 * The memory that the walk in the kernel reads (bpf/walk.h): lines of 64 bytes in chunks of 4 MiB,
 * taken and given back in runs. What is given back is not taken again for a while, since a walk may
 * be in it. Chunks are added as they are needed and stay. Line 0 is nobody's, so that 0 can mean
 * "none". Used by the collector's one thread.
 */
struct lines;

/* Makes a chunk of zeroed memory that the walk finds under this number; NULL when it can't. */
typedef void *lines_add_chunk(void *context, uint32_t number);

/* size_max: bytes, rounded up to whole chunks, one at least. The chunks stay the caller's. */
int lines_new(lines_add_chunk *add_chunk, void *context, size_t size_max, struct lines **ret);
struct lines *lines_free(struct lines *lines);

/* A run of lines, within one chunk, with any contents. -ENOSPC when there is none that long. */
int lines_take(struct lines *lines, uint32_t count, uint32_t *ret_line);

void lines_give(struct lines *lines, uint32_t line, uint32_t count);

/* Tells the time: what was given back long enough ago can be taken again. */
void lines_settle(struct lines *lines, uint64_t now_ns);

void *lines_at(const struct lines *lines, uint32_t line);

/* The chunk that holds the line, NULL when there is none. */
const void *lines_chunk(const struct lines *lines, uint32_t line);

struct lines_stats {
	uint64_t used;	   /* bytes in use, what waits to be taken again included */
	uint64_t reserved; /* bytes of all chunks */
	uint64_t size_max;
};
void lines_stats(const struct lines *lines, struct lines_stats *ret);

DEFINE_CLEANUP(struct lines *, lines, lines_free)
