/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/saturate.h"
#include "store/activity.h"
#include "store/chronicle.h"
#include "store/detail.h"
#include "store/store_private.h"

/*
 * How questions read: span after span, segment after segment, window after window. Everything that
 * stands in a file is checked here, once, before it is used.
 */

struct reader;

/* What is kept of a verdict: a file may have half a million. */
struct kept_verdict {
	uint32_t group; /* what reader_group gave */
	bool matches;
	bool is_ungrouped; /* until it is seen, since some of it is hidden: see reader_sees() */
};

/* What a question makes of series and sample labels that occur together. */
struct verdict {
	bool matches;
	bool is_ungrouped; /* as are these: */
	uint32_t group;
	uint32_t number;
	uint64_t hidden; /* at some times: deletions, as bits of the reader's hiding */
	uint64_t period;
	uint64_t series_hash; /* where single profiles are asked for */
};

/*
 * Stands for all segments of a span that share trees; of so many of its services as are read
 * together. Numbers from here on are for the next ones.
 */
#define READER_WHOLE_SPAN (UINT32_MAX - READER_GROUP_COUNT_MAX + 1)

enum {
	READER_GROUP_COUNT_MAX = 1 << 16,
	/* Nodes of a tree that segments share, unless a segment of a service has more. */
	READER_NODE_COUNT_TOGETHER = 1 << 20,
	/*
	 * Of so many the fourth part is read together, of services one after the other, unless one
	 * has more: a full 64-core host has millions, of which a question takes 40 bytes each.
	 */
	READER_TOGETHER_PART = 4,
	/* A chronicle's tree of the host with more nodes is read in part: four times what the page
	 * shows. */
	READER_WHOLE_TREE_NODE_COUNT_MAX = 16384,
	READER_PAIRS_KNOWN = 1024, /* a power of two; a host of 400 services has 800 */
};

/*
 * Texts, and whether others between them and around them are left out. Of a span whose segments
 * share trees also which of these: from which segment on they hold, and the last one.
 */
struct service_range {
	uint32_t first, last;
	bool is_part;
	uint32_t first_segment, last_segment;
};

/* What of a segment is being read. */
struct reading {
	uint32_t number;	       /* READER_WHOLE_SPAN and more: all of a compact one */
	const struct segment_row *row; /* of a finished segment, else NULL */
	const struct segment *open;    /* the open one, whose lock is held; else NULL */
	bool is_inside;		       /* all of its windows lie in the question's range */
	bool is_lasting; /* who asks for the same times finds the same: it may be kept */
	bool is_part;	 /* some of its services, and others come before or after them */
};

/* The callbacks of one question. All return 0, or a negative errno that ends it. */
struct reader_question {
	void *context;
	const struct store_question *asked;
	bool wants_entries;
	/* What is asked for of a settled segment may come in parts, of services one after the
	 * other, as that of segments that share trees does: large ones are read so. */
	bool in_parts;
	/* Then before the parts of a segment: 1 when it knows their sum, and none is visited. May
	 * be NULL. */
	int (*parts)(void *context, struct reader *reader, const struct reading *reading);
	/* And after the last of them. May be NULL. */
	int (*parts_end)(void *context, struct reader *reader, const struct reading *reading);
	/* Which labels it groups by, and whether it wants to know of all; the selector's are known.
	 */
	const struct str *names;
	size_t name_count;
	bool wants_all_labels;

	/* The group of a combination of labels: a number, or negative. May be NULL. */
	int64_t (*group)(void *context, const struct catalog_sample *sample);
	/* Whether a service is looked at where all are read. NULL: each is. */
	bool (*wants_service)(void *context, struct reader *reader, uint32_t service);
	/*
	 * Before the segments of a span, of which so many, one after the other, are settled and lie
	 * in the question's range: 1 when it knows their sum, and they are not visited. is_sealed:
	 * these are all that there are, and ever will be. May be NULL.
	 */
	int (*span)(void *context, struct reader *reader, const struct segment_row *rows,
		    uint32_t count, bool is_sealed);
	/* Before the windows of a segment: 1 when its sums did and the windows need not be read. */
	int (*segment)(void *context, struct reader *reader, const struct reading *reading);
	/* One run that matches; with entries when they are wanted, which it reads to their end. */
	int (*run)(void *context, struct reader *reader, const struct slice *slice,
		   const struct run *run, const struct verdict *verdict,
		   struct entry_reader *entries);
	/*
	 * The same without entries for what a pair has that matches in some slices together, where
	 * nothing was deleted, and not single profiles are asked for: NULL or both. How many of
	 * these slices, which lie in the range, are one to the question, from the first on?
	 */
	uint32_t (*together)(void *context, const struct slice *slices, uint32_t count);
	int (*active)(void *context, const struct slice *slices, const struct activity_sum *sum,
		      const struct verdict *verdict);
	/*
	 * A segment of a compact span that lies in the question's range while the span does not: 1
	 * when its sums did. May be NULL.
	 */
	int (*whole)(void *context, struct reader *reader, const struct segment_row *row);
	/*
	 * Before the entries of a block of a settled segment, when entries are wanted: 1 when it
	 * can hold nothing that matches. Its nodes count from its service's root.
	 */
	int (*block)(void *context, struct reader *reader, uint32_t service, uint32_t type);
	/* One entry of the running window, or of a block, that matches. */
	int (*entry)(void *context, struct reader *reader, const struct slice *slice,
		     const struct running_entry *entry, const struct verdict *verdict);
	/* Each slice in the range, whether anything in it matches or not. May be NULL. */
	void (*slice)(void *context, const struct slice *slice);
	/* After them. May be NULL. */
	int (*segment_end)(void *context, struct reader *reader, const struct reading *reading);
	/* After the segments of a span, those before a damaged one, too. May be NULL. */
	int (*span_end)(void *context, struct reader *reader);

	/* Which roll-ups stand in for spans and segments. */
	struct chronicle_wish chronicle_wish;
	/* Those of one chronicle, for which the reader is open. NULL: their runs are visited. */
	int (*chronicle)(void *context, struct reader *reader, const struct pick *picks,
			 uint32_t count);
};

/* What of a service's tree was unpacked. */
struct shared_nodes {
	uint32_t service;
	struct node_map map;
};

/* One span, while a question reads it. */
struct reader {
	struct store *store;
	const struct reader_question *question;
	struct codec *codec;
	struct codec *detail_codec;
	struct span *span;
	struct live *live; /* NULL when the span is not written to */
	bool is_locked;	   /* this reader holds live's lock */
	bool has_failed;   /* not all of it was read */
	bool is_part;	   /* of what shares trees not all lies in the question's range */
	uint64_t left;	   /* then: a hash of the segments that no roll-up stands in for; or 0 */
	sqlite3 *database;
	struct cached *cached; /* the catalog, when there is no live */
	const struct catalog *catalog;
	struct pool pairs;  /* struct pair, with a verdict for each */
	uint32_t next_pair; /* the one behind that which was judged last: it may well come next */
	uint32_t
		last_pairs[READER_PAIRS_KNOWN]; /* by a part of them, those that were judged last */
	ARRAY(struct kept_verdict) verdicts;
	struct runs runs;
	struct activity activity; /* of the settled segment that is read, and its pairs */
	uint32_t active_segment;  /* whose they are; 0: nobody's */
	struct pairs segment_pairs;
	ARRAY(struct verdict) segment_verdicts;
	struct detail_reader detail;
	struct service_range services; /* that are read now, where not all are at once */
	/*
	 * All its segments, when only a part of what shares trees is asked for: of these, only what
	 * that part has is unpacked then; and the nodes that there are, by the parts of the tree.
	 */
	const struct segment_rows *shared;
	ARRAY(struct shared_nodes) shared_nodes;
	uint32_t ordinal; /* of the span in this question */
	enum chronicle_use use;
	const struct picks *picks; /* what is read from chronicles, and not here */
	uint32_t generation;	   /* of a chronicle: the last piece that it has */
	const struct deletion_rules *rules;
	struct hiding hiding;	   /* what of the span was deleted */
	const struct piece *piece; /* of a chronicle, whose lists are read; or NULL */
	sqlite3_stmt *piece_row;   /* which asks for what is wanted of a piece; or NULL */
};

/*
 * Asks all spans that may hold something. What is damaged is noted, and skipped. -ESTALE: that was
 * a chronicle which stood in for samples that are there; ask anew, with is_exact.
 */
int reader_ask(struct store *store, const struct reader_question *question);

/* -ETIMEDOUT beyond the question's deadline. */
int reader_check_time(const struct reader *reader);

/* Around a look into the catalog; does nothing when the lock is held already or needless. */
bool reader_lock(struct reader *reader);
void reader_unlock(struct reader *reader, bool was_taken);

/* -EBADMSG for numbers that the catalog does not have. */
int reader_judge(struct reader *reader, struct pair pair, struct verdict *ret);

/*
 * Whether what matches is there at a time, or was deleted; its group is known then. 1, 0, or a
 * negative errno. Of a chronicle's slices each that a deletion touches is hidden.
 */
int reader_sees_hidden(struct reader *reader, const struct slice *slice, struct verdict *verdict);

static inline int reader_sees(struct reader *reader, const struct slice *slice,
			      struct verdict *verdict)
{
	/* Nearly always nothing of it was deleted. */
	if (!verdict->hidden && !verdict->is_ungrouped)
		return verdict->matches;
	return reader_sees_hidden(reader, slice, verdict);
}

/* Something in the span was deleted: only its details tell what is left. */
static inline bool reader_hides(const struct reader *reader)
{
	return reader->hiding.mask != 0;
}

/* Of a chronicle's lists: whether what a service has of a type in the reader's piece is hidden. */
bool reader_hides_list(const struct reader *reader, uint32_t service, uint32_t type);

/* A column that names a text of the catalog; false for a number that it does not have. */
bool reader_text_column(struct reader *reader, sqlite3_stmt *row, int column, uint32_t *ret);

/* wants: whether a service is looked at at all. */
typedef bool reader_wants(void *context, struct reader *reader, uint32_t service);

/*
 * The trees of a finished segment as one, with a reference; kept in the cache if that is worth it.
 * wants: of which services; NULL: of all. Segments that are not settled have theirs in one piece.
 */
int reader_tree(struct reader *reader, const struct segment_row *row, reader_wants *wants,
		bool keep, struct cached **ret);

/* Of which nodes the tree is that was read last, for a service's entries; NULL: of all. */
const struct node_map *reader_nodes(const struct reader *reader, uint32_t service);
void reader_forget_nodes(struct reader *reader);

/* Whether the question asks for a segment, and none of its roll-ups is read instead. */
bool reader_asks(const struct reader *reader, const struct segment_row *row);

/* The pairs of a finished segment that is whole. */
int reader_pairs(struct reader *reader, const struct segment_row *row, struct pairs *ret);

/* The blocks of a finished segment that is whole. */
struct block {
	uint32_t service;
	uint32_t type;
	uint64_t period;
	bool is_valued;
	uint32_t entry_count;
	struct entry_reader entries;
};
typedef int reader_block(void *context, struct reader *reader, struct block *block);
/* wants: whether a block is to be unpacked at all, by service and type. */
typedef bool reader_wants_block(void *context, struct reader *reader, uint32_t service,
				uint32_t type);
int reader_blocks(struct reader *reader, const struct segment_row *row, reader_wants_block *wants,
		  reader_block *visit);

/* A scope's tree in a chronicle (store/chronicle.h), with a reference. */
int reader_chronicle_tree(struct reader *reader, int64_t scope, struct cached **ret);

/* The marked nodes of it, and what they stand below, which is marked then, too: the question's
 * alone. */
int reader_chronicle_part(struct reader *reader, int64_t scope, struct node_map *marked,
			  struct cached **ret);

/*
 * What a chronicle's row says of a piece, by the same columns of it for all that a question reads;
 * valid until the next one.
 */
int reader_piece_row(struct reader *reader, uint32_t piece, const char *sql, sqlite3_stmt **ret);

/* Which series occurred in a piece. */
int reader_piece_pairs(struct reader *reader, uint32_t piece, struct pairs *ret);

/* The services that have trees in it: visit is called with the number of each. */
int reader_chronicle_services(struct reader *reader,
			      int (*visit)(void *context, struct reader *reader, uint32_t service));

/* What a scope has in a piece, as blocks whose service is 0. */
int reader_lists(struct reader *reader, uint32_t piece, int64_t scope, reader_block *visit);

static inline uint32_t reader_nodes_together(const struct store *store)
{
	return store->nodes_together / READER_TOGETHER_PART + 1;
}
