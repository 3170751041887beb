/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/table.h"
#include "store/array.h"
#include "store/columns.h"
#include "store/pool.h"
#include "store/tree.h"

/*
 * The part of the open span that grows: one tree with the tables that find its nodes, and the sums
 * over it. It ends after ten minutes of data, 1.5 million nodes or 786,432 entries, so that the
 * tables stay small, and what it takes to settle it; the next one starts with an empty tree.
 */
enum {
	SEGMENT_DURATION_MS = 10 * 60 * 1000,
	/* Of a span for late data, whose times may jump. */
	SEGMENT_WINDOW_COUNT_MAX = 1200,
	/* Appended, and their cells; settling takes 16 bytes and one of each. A full 64-core host
	 * has 600,000 when its nodes end it; programs that push the same stacks at full speed have
	 * a million in ten seconds. */
	SEGMENT_ENTRY_COUNT_SOFT = 768 << 10,
	SEGMENT_CELL_COUNT_SOFT = 6 << 20,
	SEGMENT_SUM_COUNT_MAX = 4 << 20,
	SEGMENT_KEY_COUNT_MAX = 65535,
};

/* What is added up together: same type, same period. */
struct sum_key {
	uint32_t type; /* text */
	uint32_t zero;
	uint64_t period;
};

struct segment_sum {
	uint32_t node;
	uint32_t key;
	uint64_t count;
	uint64_t value;
};

struct segment {
	uint32_t number; /* within the span, from 1; 0: none is open */
	bool is_over;	 /* only questions look at it still */
	struct tree tree;
	struct table nodes;
	struct table locations;
	ARRAY(struct segment_sum) sums;
	ARRAY(uint32_t) node_sums; /* by node: its first sum, + 1; most have one */
	struct table sum_table;	   /* of the others */
	struct pool sum_keys;
	struct pool pairs;		   /* struct pair */
	ARRAY(uint32_t) paired;		   /* by label set: the series of its last pair, or 0 */
	int64_t first_window;		   /* the row that will be or was its first */
	int64_t first_ms, last_ms, end_ms; /* least and greatest start, greatest end */
	uint64_t samples;
	uint64_t entry_count, cell_count; /* of what was appended */
	uint32_t nodes_written;
	uint32_t locations_written;
};

int segment_init(struct segment *segment, uint32_t number, int64_t first_window);
void segment_done(struct segment *segment);

size_t segment_memory(const struct segment *segment);

/* Nothing is added any more: gives back the tables that find what is there, half of its memory. */
void segment_end(struct segment *segment);

/* The number, old or new; -ENOMEM, -ENOSPC when the segment is full. */
int64_t segment_add_location(struct segment *segment, uint32_t build, uint64_t address);
int64_t segment_add_node(struct segment *segment, uint32_t parent, uint32_t location);

/* The same of what need not be there: TABLE_NONE. */
uint32_t segment_find_location(const struct segment *segment, uint32_t build, uint64_t address);
uint32_t segment_find_node(const struct segment *segment, uint32_t parent, uint32_t location);

/*
 * Many nodes that are known to be new: makes room for them (-ENOMEM, or -ENOSPC, and nothing is
 * changed), takes them, and then enters those from the first on where they can be found.
 */
int segment_reserve_nodes(struct segment *segment, uint32_t count);
void segment_new_node(struct segment *segment, uint32_t parent, uint32_t location);
void segment_enter_new_nodes(struct segment *segment, uint32_t first);

/*
 * The same of many, SEGMENT_TOGETHER at most: nearly every search misses the cache, and here they
 * wait for memory together (base/table.h).
 */
enum { SEGMENT_TOGETHER = 32 };

struct location_key {
	uint64_t address;
	uint32_t build;
};

struct sum_place {
	uint32_t node;
	uint32_t key;
};

/* What was added before one failed stays. */
int segment_add_locations(struct segment *segment, const struct location_key *keys, uint32_t count,
			  uint32_t *ret_numbers);
void segment_find_nodes(const struct segment *segment, const struct tree_node *nodes,
			uint32_t count, uint32_t *ret_numbers);
/* Finds or adds. */
int segment_find_sums(struct segment *segment, const struct sum_place *places, uint32_t count,
		      uint32_t *ret_sums);

/* The same for what is added up; a sum starts at zero, and adding to it can't fail. */
int64_t segment_add_key(struct segment *segment, uint32_t type, uint64_t period);
void segment_add_sum(struct segment *segment, uint32_t sum, uint64_t count, uint64_t value);

/* A label set is mostly of one series, whose process or thread is said in it: that is looked at
 * before the table. label_count: of the catalog; -ENOMEM. */
int segment_reserve_labels(struct segment *segment, uint32_t label_count);
int segment_add_pair(struct segment *segment, struct pair pair);

/*
 * How many of each it has. The next segment, which will be of about that size, makes room for half
 * of it at once: tables that grow are filled anew. Without the memory it grows in more steps.
 */
struct segment_size {
	uint32_t nodes, locations, sums;
};
struct segment_size segment_size(const struct segment *segment);
void segment_expect_size(struct segment *segment, struct segment_size size);
