/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "store/forest.h"
#include "store/forest_walk.h"
#include "store/merge.h"
#include "store/naming.h"
#include "store/node_map.h"
#include "store/reader.h"
#include "store/sandwich.h"

/* What the parts of a question for stacks share: flame*.c. */

enum {
	/* Nodes that differ only in the place of a call merge: look at so many times what is
	   wanted. */
	CUT_FACTOR = 2,
	/*
	 * What is kept of a tree for the next question (flame_summary.c): as much as the page
	 * shows, 300 KiB, or as much as Grafana asks for, four times that.
	 */
	CUT_COUNT_MIN = 8192,
	CUT_COUNT_LARGE = 32768,
};

enum rows {
	ROWS_NONE,
	ROWS_SERVICE,
	ROWS_LABEL,
};

/* What one row (a value of rows_by) has at one node. */
struct touch {
	uint32_t row;
	uint32_t node;
	uint64_t value;
};

struct flame_question {
	uint64_t memory; /* that it entered with */
	bool is_in;
	struct store *store;
	const struct store_question *asked;
	const struct flame_options *options;
	enum rows rows;
	bool reads_blocks;    /* the selector speaks of nothing that blocks do not know */
	bool reads_summaries; /* everything of a type is asked for, and not too closely */
	bool is_exact;	      /* nothing is cut before everything is merged */
	struct chronicle_wish wish;
	struct naming *naming;
	struct merge merge;
	const struct forest_walk *walk; /* is told of all in place of the merge; or NULL */
	const struct sandwich_function *function; /* only stacks through it are merged; or NULL */
	uint64_t view_total;			  /* of the others, too */
	uint64_t rolled_count;			  /* samples that came out of chronicles */
	uint32_t last_ordinal;
	bool has_ordinal;
	struct pool row_values; /* ROWS_LABEL: values of the label */

	/* of the segment that is read */
	const struct tree *tree;
	struct cached *cached;
	uint64_t read_count;	 /* samples in it, which count once it is merged */
	struct cached *gathered; /* of a segment in parts: what of those so far passed their cut */
	uint32_t gathered_count; /* of how many */
	/* Summaries of the span's segments, some in one, which are merged together at its end. */
	ARRAY(struct cached *) parts;
	uint32_t part_count;		/* how many these were */
	uint32_t first_part, last_part; /* the numbers of their segments */
	uint32_t run_count;		/* how many there are if none is damaged; 0: not known */
	bool is_sealed;			/* that is all of the span, and will be */
	uint32_t first_node;		/* of the block that is read: its service's root */
	uint32_t node_count;		/* and how many are its own */
	uint32_t summary_type;		/* text of the span; 0: no summary may be used or made */
	uint32_t *roots;    /* of a chronicle's tree of the host, by node: which root; or NULL */
	int64_t scope;	    /* of the chronicle's lists that are read */
	bool *root_matches; /* by root, for the type that is read */
	/* What the lists of chronicles are added to, by node; and which nodes these have, or NULL.
	 */
	uint64_t *sums;
	uint32_t sum_count;
	struct node_map *marked;
	ARRAY(uint64_t) self;
	ARRAY(uint64_t) total;
	ARRAY(uint32_t) mapped;
	ARRAY(struct frame_names) named; /* of its locations; no frames: not asked yet */
	ARRAY(struct touch) touches;
	ARRAY(struct tree_node) forest_nodes;
	ARRAY(uint32_t) services; /* of a chronicle, that are asked for */
};

/* Whether light nodes of each tree are left out: it is merged as a summary. */
static inline bool flame_cuts(const struct flame_question *question)
{
	return !question->is_exact && !question->walk;
}

/* What was read is merged, or will be: its samples count. Of what turned out to be damaged on the
 * way they do not. */
static inline void flame_count_read(struct flame_question *question)
{
	question->merge.sample_count =
		saturated_sum(question->merge.sample_count, question->read_count);
	question->read_count = 0;
}

/* Of the question's tree: makes room for its nodes. */
int flame_reserve_scratch(struct flame_question *question, size_t count);

/* Another span has other numbers; the same one's start is done. */
void flame_start_span(struct flame_question *question, struct reader *reader);

/* Whether labels are asked for, and not everything. */
bool flame_is_by_service(const struct flame_question *question);

/* Whether a service, or a block of it, may hold something that is asked for. */
bool flame_wants_service(void *context, struct reader *reader, uint32_t service);
bool flame_wants_block(void *context, struct reader *reader, uint32_t service, uint32_t type);

/* Roots name services, which a file may get wrong: -EBADMSG. */
int flame_check_roots(const struct tree *tree, const struct catalog *catalog);

/* Of the question's tree, where it cuts, to *summary, as forest_summarize() does. */
int flame_cut_tree(struct flame_question *question, struct cached **summary);

/* How many nodes of one segment are worth merging. */
uint64_t flame_keep_count(const struct flame_question *question);

int flame_merge_forest(struct flame_question *question, const struct catalog *catalog,
		       const struct forest *forest, uint64_t cut);

/* The values of all nodes are summed: adds them up, cuts, and merges. */
int flame_merge_tree(struct flame_question *question, struct reader *reader);

/* The same for touches, where rows are those of a label. */
int flame_merge_rows(struct flame_question *question, const struct catalog *catalog);

/* What chronicles know, as reader_question.chronicle; and which of it is wanted. */
int flame_add_chronicle(void *context, struct reader *reader, const struct pick *picks,
			uint32_t count);
struct chronicle_wish flame_chronicle_wish(const struct flame_question *question);

/* ---- summaries: flame_summary.c -------------------------------------------------------------- */

/* What the segment has in common with every question for this type and the whole host. */
bool flame_may_summarize(const struct flame_question *question, const struct reading *reading);
struct cache_key flame_summary_key(const struct flame_question *question,
				   const struct reader *reader, const struct reading *reading);

/* As reader_question.parts and .parts_end: a summary of all parts is merged when all are read. */
int flame_start_parts(void *context, struct reader *reader, const struct reading *reading);
int flame_end_parts(void *context, struct reader *reader, const struct reading *reading);

/* Adds the part that was read to it. */
int flame_gather_part(struct flame_question *question);

/* In place of merging: a summary, which is kept, and merged later. */
int flame_summarize(struct flame_question *question, struct cache_key key, struct cached **ret);
int flame_merge_summary(struct flame_question *question, struct reader *reader,
			const struct cached *summary);

/* For the span's end. Takes the summary, also when it fails. */
int flame_add_part(struct flame_question *question, uint32_t segment, struct cached *summary);
void flame_drop_parts(struct flame_question *question);

/* As reader_question.span and .span_end. */
int flame_find_span(void *context, struct reader *reader, const struct segment_row *rows,
		    uint32_t count, bool is_sealed);
int flame_end_span(void *context, struct reader *reader);
