/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "store/array.h"
#include "store/batch.h"
#include "store/catalog.h"
#include "store/columns.h"
#include "store/descent.h"
#include "store/number_sort.h"
#include "store/segment.h"

/*
 * What is in memory of a span that is written to: its catalog, its segment, and the running window,
 * that is what was appended and is not on disk yet. The writer changes it under the write lock;
 * questions hold the read lock while they look, and keep the whole by a reference when the span is
 * closed meanwhile.
 */
enum {
	/* Entries of a running window that can't be committed: about a minute of a full 64-core
	   host. */
	RUNNING_ENTRY_COUNT_MAX = 1 << 19,
	RUNNING_CELL_COUNT_MAX = 16 << 20,
	RUNNING_SLICE_COUNT_MAX = 1 << 16,
	CELL_MS = 20,
	/* Of what appending and writing it works in and keeps: a request of OTLP of 1 MB takes
	 * 2 MB. */
	APPEND_ROOM_SIZE_MAX = 4 << 20,
};

/* A finished segment. */
struct segment_row {
	uint32_t number;
	bool is_whole;	   /* settled: has trees, blocks and no windows any more */
	bool is_too_large; /* to be settled; known since the start of the program only */
	int64_t first_window, last_window;
	int64_t first_ms, last_ms, end_ms;
	uint64_t samples;
};

struct segment_rows {
	ARRAY(struct segment_row) rows;
};

struct running_entry {
	uint32_t slice;
	uint32_t series;
	uint32_t labels;
	uint32_t node;
	uint32_t first_cell;
	bool is_timed;
	bool is_kernel; /* its leaf */
	bool is_valued; /* the value is not count × period */
	uint64_t count;
	uint64_t value;
};

struct window_columns {
	struct runs runs;
	struct entry_writer entries;
	struct buf cells;
	int64_t first_ms, last_ms, end_ms;
	uint64_t samples;
	ARRAY(struct keyed) order; /* of the entries */
};

struct live {
	pthread_rwlock_t lock;
	unsigned references; /* guarded by the store's lock */
	struct catalog catalog;
	struct segment segment;
	struct segment_size expected; /* what the segment before it came to */
	struct segment_rows segments;
	int64_t window_count; /* on disk: their rows are numbered from 1 */

	/* the running window */
	ARRAY(struct slice) slices;
	ARRAY(struct running_entry) entries;
	ARRAY(uint8_t) cells; /* in CELL_MS from the slice's start */
	uint64_t samples;

	/* What appends and commits work in, kept for the next: new pages are a visit to the kernel
	 * each. */
	struct descent *descent;
	descent_paths paths;
	ARRAY(uint32_t) mapped;
	struct window_columns columns;
	bool has_appended; /* since it was last asked to rest */

	uint32_t written[CATALOG_KIND_COUNT]; /* what of the catalog is on disk; the writer's own */
};

int live_new(struct live **ret);
struct live *live_free(struct live *live);

/*
 * Takes a batch in. -E2BIG: the catalog is full, the span must end. -ENOSPC: the segment is full,
 * or the running window; -ENOMEM. Nothing was added then but unused words to dictionaries.
 */
int live_append(struct live *live, const struct batch *batch);

/* What it takes. The writer's. */
size_t live_memory(const struct live *live);

/* Now and then: gives back what appends and commits work in, when nothing was appended. */
void live_rest(struct live *live);

static inline bool live_is_running(const struct live *live)
{
	return live->slices.count > 0;
}

/*
 * The running window as it is written: runs and entries in order. -ENOMEM, -EFBIG. Columns are
 * zeros at first, and of another window later: their memory is used again.
 */
int live_lay_out(const struct live *live, struct window_columns *columns);
size_t window_columns_memory(const struct window_columns *columns);
void window_columns_done(struct window_columns *columns);

/* The running window is on disk: forgets it. */
void live_committed(struct live *live);

DEFINE_CLEANUP(struct live *, live, live_free)
