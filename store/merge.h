/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/table.h"
#include "store/array.h"
#include "store/naming.h"
#include "store/store.h"

/*
 * The flame graph while it grows: nodes by the names of their functions, children after their
 * parents. Trees of segments, builds and services become one here, since a node is known by its
 * parent and its name. One thread at a time.
 */
enum { MERGE_NODE_COUNT_MAX = 4 << 20, MERGE_ROOT = 0 };

struct merge_node {
	uint32_t parent;
	uint32_t name; /* texts of the naming */
	uint32_t module;
	uint32_t detail; /* of the naming; by_line */
	uint64_t self;
	uint64_t total;
	uint64_t placed; /* the weight of what said so: the heaviest */
	uint32_t file;	 /* text: where in the source */
	uint32_t line;
	uint8_t kind; /* enum flame_kind */
	bool inlined, interpreted;
};

struct merge {
	ARRAY(struct merge_node) nodes;
	/* By node: what lies below it and was too light to be merged. Most of a segment is, and so
	 * its counts stand together. */
	ARRAY(uint32_t) hidden;
	struct table table;
	uint64_t sample_count;
	bool by_module; /* functions of one name in different modules are two */
	bool by_line;	/* and one's places, too: in the source, in which binary, inlined or not */
};

/* Makes the root, which is named "total". The memory of a graph that was there before is used
 * again. */
int merge_start(struct merge *merge, struct naming *naming, bool by_module);
void merge_done(struct merge *merge);

/* What it takes. */
size_t merge_memory(const struct merge *merge);

/* The child of this name, made with nothing in it when it is not there; or a negative errno. */
int64_t merge_child(struct merge *merge, uint32_t parent, struct frame_name frame);

/* More weight for a node. */
void merge_weigh(struct merge *merge, uint32_t node, uint64_t self, uint64_t total);

/* What made the node, or weighs this much in it, stands there: of many places the heaviest is
 * shown.
 */
void merge_place(struct merge *merge, uint32_t node, struct frame_name frame, uint64_t weight);

static inline struct frame_name merge_frame(const struct merge_node *node)
{
	return (struct frame_name){ .name = node->name,
				    .module = node->module,
				    .detail = node->detail,
				    .file = node->file,
				    .line = node->line,
				    .inlined = node->inlined,
				    .interpreted = node->interpreted,
				    .kind = node->kind };
}

/* Keeps only what lies below this path, and the path. groups: it begins below the rows. */
int merge_keep_call_site(struct merge *merge, struct naming *naming, const struct str *path,
			 size_t count, bool groups);

/* Cuts to the heaviest nodes and lays the rest out. node_count_max 0: cuts nothing. */
int merge_lay_out(struct merge *merge, struct naming *naming, uint32_t node_count_max,
		  struct flame *ret);
