/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/table.h"
#include "store/array.h"
#include "store/forest.h"
#include "store/naming.h"
#include "store/store.h"

/*
 * Functions, with what they weigh themselves and with everything below them. Summed up segment by
 * segment, on the trees as they are stored: nothing is merged for it and nothing is cut, so that
 * the answer is exact however long the time is. One thread at a time.
 */
enum { FUNCTION_DEPTH_MAX = (1 << 24) - 1 }; /* four times what a tree has nodes */

struct function_sum {
	uint64_t self;
	uint64_t total;
	/* What tells it from the others of its module: the hash of its name, of which two are equal
	 * by chance once in two million lists of four million; of what has no name, the address. */
	uint64_t key;
	uint32_t name;	 /* text of the naming; or number of a place */
	uint32_t file;	 /* text of the naming; of what has no name, enum build_kind */
	uint32_t module; /* text of the naming */
	/* While a tree is walked: how many frames above are this function; FUNCTION_DEPTH_MAX. */
	uint32_t on_path : 24;
	uint32_t kind : 6;     /* enum flame_kind */
	uint32_t is_place : 1; /* struct naming_place: its name is made when it is shown */
	uint32_t is_match : 1; /* of the search */
};

/* A function that is known by its place: which one it is, as told by its name when it was new. */
struct function_place {
	uint64_t address;
	uint32_t build; /* of the naming */
	uint32_t sum;
};

struct function_table {
	struct naming *naming;
	struct str search; /* part of a name or a module, in either case; empty: all match */
	ARRAY(struct function_sum) sums;
	struct table table;
	ARRAY(struct function_place) places;
	struct table place_table;
	ARRAY(uint32_t) by_frame; /* the naming's frame to its sum, + 1; 0: not looked up yet */
	uint64_t matched_total;	  /* of stacks that hold a match */
	uint64_t total;		  /* of all stacks */
};

void function_table_init(struct function_table *functions, struct naming *naming,
			 struct str search);
void function_table_done(struct function_table *functions);

/* Adds a segment's stacks, whose totals are added up. Frames are named by the catalog. */
int function_table_add(struct function_table *functions, const struct catalog *catalog,
		       const struct tree *tree, const struct forest *forest);

/* The heaviest of those that match. */
int function_table_lay_out(const struct function_table *functions,
			   const struct functions_options *options, struct functions *ret);
