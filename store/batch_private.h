/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>

#include "store/array.h"
#include "store/batch.h"
#include "store/pool.h"

/* What store_append() reads of a batch. Numbers are those that the batch_add_… functions returned.
 */

enum {
	BATCH_NAMED = UINT32_MAX, /* the build of a location that brings its names */
	BATCH_NO_TIMES = UINT32_MAX,
};

/* Of one series or sample; Pyroscope's default is 30. */
enum { BATCH_LABEL_COUNT_MAX = 64 };

struct batch_series {
	uint32_t labels;
	uint32_t type; /* text */
	uint64_t period;
};

struct batch_build {
	struct identity identity;
	uint8_t kind;
	uint8_t zero;
	uint32_t path; /* text */
};

struct batch_location {
	uint32_t build; /* or BATCH_NAMED */
	uint32_t zero;
	uint64_t address; /* or the number of the names */
};

struct batch_line {
	uint32_t function; /* texts */
	uint32_t file;
	uint32_t line;
};

struct batch_item {
	uint32_t series;
	uint32_t labels;
	uint32_t stack;
	uint32_t first_time; /* index into times, or BATCH_NO_TIMES */
	uint64_t count;
	uint64_t value;
};

struct batch_gap {
	int64_t from_unix_ms;
	int64_t to_unix_ms;
	uint8_t reason;
};

/* Each once, numbered like the things of a pool; most of what a batch is made of. */
struct batch_locations {
	struct table table;
	ARRAY(struct batch_location) items;
};

/* Where the names of a label set went that were in this order: most sets have the same. */
enum { BATCH_LABEL_ORDER_MAX = 8 };

struct batch_label_order {
	uint32_t count; /* 0: none */
	uint32_t names[BATCH_LABEL_ORDER_MAX];
	uint8_t places[BATCH_LABEL_ORDER_MAX];
};

struct batch {
	size_t room; /* bytes left of memory_max, shared by all pools */
	size_t lent; /* of that, beyond memory_max: until it is cleared */
	struct pool texts;
	struct pool label_sets; /* pairs of texts: name and value, ascending by name */
	struct pool series;	/* struct batch_series */
	struct pool builds;	/* struct batch_build */
	struct pool names;	/* struct batch_line, innermost first */
	struct batch_locations locations;
	struct pool stacks; /* the flags, then locations, leaf first: all uint32_t */
	ARRAY(struct batch_item) items;
	uint64_t samples; /* the sum of their counts */
	ARRAY(uint16_t) times;
	ARRAY(struct batch_gap) gaps;
	ARRAY(uint32_t) scratch;
	struct batch_label_order label_order;
	struct batch_time time;
	uint64_t source;
	uint64_t sequence;
	bool source_is_passing; /* no file remembers it */
};
