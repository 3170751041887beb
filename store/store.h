/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "base/identity.h"
#include "base/str.h"
#include "store/batch.h"
#include "store/points.h"

struct selector;
struct store_question;
struct symbols;

/*
 * Profiles on one disk: span files of SQLite in a folder, and the questions asked of them.
 *
 * One thread writes: store_append(), store_commit(), store_maintain(), store_close(). Any thread
 * asks. What was appended can be asked for at once; it is on disk when store_commit() has returned.
 */
struct store;

/* What retention tells apart. */
enum store_class {
	STORE_RAW = 0,
	STORE_LATE = 1,	  /* what came when its time was over; its age counts from when it came */
	STORE_ROLLED = 2, /* sums over long times, which stay when what they are made of has gone */
	STORE_CLASS_COUNT,
};

/* The bytes that all files together may take when nobody said: a tenth of the disk, 20 GiB at most.
 */
#define STORE_BYTES_AUTOMATIC UINT64_MAX

struct store_limits {
	int64_t age_ms[STORE_CLASS_COUNT]; /* 0: for ever */
	uint64_t bytes;			   /* of all files; 0: no limit */
};

#define STORE_DETAIL_FOR_EVER (INT64_MAX / 2)

/*
 * Where the function begins in which an address lies, both offsets in the file; false where it is
 * not known, or where the address itself says more than that. Any thread of the store.
 */
typedef bool store_leaf_start(void *context, const struct identity *identity, uint64_t address,
			      uint64_t *ret);

struct store_options {
	const char *folder;	 /* made when it is not there; locked against a second program */
	struct symbols *symbols; /* names for what is read; outlives the store; may be NULL */
	int64_t span_ms;	 /* of data time in one file; 6 h */
	/*
	 * How long the process, thread and 20 ms of each sample are known after its span is full,
	 * and which nodes are folded then: those of fewer samples (1: none are). 0: 6 h and 4.
	 */
	int64_t detail_ms;
	uint32_t fold;
	struct store_limits limits;
	/* Nodes of a tree that segments share, the fourth part of which a question reads together;
	 * 0: a million. For tests.
	 */
	uint32_t nodes_together;
	/* Asked for leaves (store/leaves.h) in place of symbols; or NULL. */
	store_leaf_start *leaf_start;
	void *leaf_context;
};

/*
 * Opens or makes it. A span file that can't be read is set aside under another name, logged by the
 * caller from store_status() and never stops the store. -EBUSY when another process has it.
 */
int store_open(const struct store_options *options, struct store **ret);

/* Commits, closes cleanly. Accepts NULL, returns NULL. */
struct store *store_close(struct store *store);

/*
 * Takes a batch into the running window. -EALREADY when its (source, sequence) is in the store
 * already: nothing was added, and the sender may be told that it is committed (after the next
 * commit). -ENOSPC, -EIO: nothing was added. Batches of any time are taken; what is older than the
 * open span goes to a late span of its own. Samples of series beyond the limits (base/limits.h) are
 * given to an overflow series in the batch.
 */
int store_append(struct store *store, struct batch *batch);

/* Writes what was appended as one row and one transaction a span, synced to disk. */
int store_commit(struct store *store);

/* The highest committed sequence of a source, 0 when there is none. */
uint64_t store_committed_sequence(struct store *store, uint64_t source);

/*
 * What the source sent counts as new when it comes again: for one that knows that it has arrived.
 * Files that know of it still do after a restart. Any thread, with nothing of it on its way.
 */
void store_forget_source(struct store *store, uint64_t source);

/* The end of the newest data (ms since the epoch), 0 when there is none: where a gap begins. */
int64_t store_newest_ms(struct store *store);

/*
 * Looks at the disk, seals spans that are full, drops those that retention lets go. Call every few
 * seconds.
 */
int store_maintain(struct store *store, int64_t now_unix_ms);

/*
 * Reads through a file that a question took for damaged, or else a sealed one that was not read for
 * a month, and has it set aside by the next store_maintain() when it is damaged: a disk that
 * forgets is noticed before somebody asks. One that failed and is sound is left out, and keeps its
 * name: the mistake is ours. For a thread of its own; *stop ends it within some milliseconds. 1
 * when a file was read, 0 when none is due, -ECANCELED, or another negative errno.
 */
int store_scrub(struct store *store, const _Atomic bool *stop);

/* Rests between two of them, for so long or until a question took a file for damaged, or until
 * store_wake_scrub(), which is called after *stop was set. */
void store_scrub_rest(struct store *store, unsigned seconds, const _Atomic bool *stop);
void store_wake_scrub(struct store *store);

/*
 * Asks for the files that are written to be sealed by the next store_maintain(), at most once a
 * minute: what was appended until then can be read beside us. Returns which seal it will be; it is
 * done when store_status() counts so many. Any thread.
 */
uint64_t store_request_seal(struct store *store);

/* What the next store_maintain() lets go. Any thread. */
void store_set_limits(struct store *store, const struct store_limits *limits);

/*
 * What the disk lets the store do. Questions are answered in every state.
 *
 * Shedding, with less free than a gibibyte or a twentieth of the disk, whichever is more (of a
 * small disk no more than a tenth): old files go, down to the last day. Read-only, with less free
 * than 200 MiB (of a small disk a fiftieth), or when a write failed: store_append() and
 * store_commit() fail with -ENOSPC; after a failed write one is tried every ten seconds.
 */
enum store_state {
	STORE_OK = 0,
	STORE_SHEDDING = 1,
	STORE_READ_ONLY = 2,
};

enum store_drop_reason {
	STORE_DROPPED_AGE = 0,
	STORE_DROPPED_SIZE = 1,
	STORE_DROPPED_ROOM = 2, /* shed */
	STORE_DROP_REASON_COUNT,
};

struct store_status {
	uint32_t span_count;
	uint32_t damaged_count; /* files set aside */
	uint32_t failing_count; /* files left out: questions fail, and yet they are sound */
	bool has_damage;	/* one was found damaged, and is not set aside yet */
	uint32_t open_count;	/* of the spans, that are written to */
	uint64_t seals;		/* that were asked for, and done */
	uint64_t bytes;		/* on disk, logs included */
	uint64_t samples;	/* in all spans */
	int64_t oldest_ms;	/* start and end of what is held; 0 when empty */
	int64_t newest_ms;
	int64_t newest_start_ms; /* when the last of it began */
	uint64_t commits;
	uint64_t samples_appended;  /* since the start */
	uint64_t series_overflowed; /* samples, since the start: see series_limit.h */
	uint64_t duplicates;	    /* batches that were there already */
	uint64_t dropped_spans[STORE_DROP_REASON_COUNT]; /* since the start */
	struct {
		uint32_t span_count;
		uint64_t bytes;
	} classes[STORE_CLASS_COUNT]; /* what span_count and bytes are made of */
	uint64_t byte_limit;	      /* of bytes; 0: none */
	enum store_state state;
	int64_t state_since_ms;
	int state_error;	  /* what a write failed with, which made it read-only; else 0 */
	uint64_t disk_free;	  /* bytes, as last seen */
	uint64_t disk_bytes;	  /* of the file system */
	bool clock_jumped;	  /* no file is dropped for its age until the clock has settled */
	char damaged[256];	  /* the name of the last file set aside, "" for none */
	char failing[256];	  /* the same of those left out */
	char damage[128];	  /* what was found in it */
	bool is_compacting;	  /* or rolling up, in the background */
	uint64_t pieces;	  /* roll-ups: segments and spans whose sums are in chronicles */
	uint64_t checked_spans;	  /* files that were read through, since the start */
	uint32_t compact_spans;	  /* written anew, without processes and threads */
	uint64_t compact_samples; /* in them, … */
	uint64_t folded_samples;  /* … and those of which rare frames were folded */
	uint64_t question_memory, question_memory_peak; /* estimates of those that run */
	uint64_t growing_memory; /* of files that are written to or made, beside them */
	uint64_t kept_memory;	 /* for the next ones */
	uint64_t cache_memory;	 /* of finished segments */
	uint64_t deletions, deletions_pending; /* all; that are not removed yet */
	uint64_t removed_samples;	       /* from files, since the start */
};
void store_status(struct store *store, struct store_status *ret);

/* Why the state is not STORE_OK, and what to do; "" when it is. For people. */
void store_state_text(const struct store_status *status, char *text, size_t size);

/*
 * Deleting: what the selector names is in no answer from then on, and is removed from the files in
 * the background. What is appended later is not part of it.
 */
struct store_deletion {
	uint64_t number; /* from 1 */
	struct str selector;
	int64_t from_unix_ms, to_unix_ms; /* a window is meant when its start lies in [from, to] */
	int64_t deleted_ms;		  /* when it was asked for, … */
	struct str by;			  /* … and by whom */
	uint64_t series, samples;	  /* that it hid */
	bool is_removed;
	int64_t removed_ms;
};

/* What a deletion would hide: its selector and times are asked for. */
struct store_deletion_extent {
	uint64_t series, samples;
	bool is_of_samples; /* the selector speaks of labels that single samples have */
	char label[64];	    /* one of these */
};
enum { STORE_DELETION_PENDING_MAX = 64 };
int store_deletion_extent(struct store *store, const struct store_question *question,
			  struct store_deletion_extent *ret);

/*
 * The writer's. *ret: its number. -EINVAL: not a selector, or one that matches what has none of its
 * labels; -EBUSY: too many are not removed yet; -ENOSPC, -EIO, …: nothing was deleted.
 */
int store_delete(struct store *store, const struct store_deletion *deletion, uint64_t *ret);

/* Ascending by number; the texts are good during the call. Any thread. */
typedef int store_deletion_visit(void *context, const struct store_deletion *deletion);
int store_each_deletion(struct store *store, store_deletion_visit *visit, void *context);

/* ---- questions ----------------------------------------------------------------------------------
 */

/*
 * Labels of a sample are those of its series and its own together. Made by the store: __name__,
 * __profile_type__, __type__, __unit__, __period_type__, __period_unit__ and __service_name__.
 */
struct store_asker {
	/* Whether nobody waits for the answer any more: the question ends, -ECANCELED. May be NULL.
	 */
	bool (*is_gone)(void *context);
	void *context;
	uint64_t looked_ns; /* the store's own */

	/* What all questions of this asker cost; added to. */
	uint64_t spans;	 /* files that were looked into */
	uint64_t pieces; /* blobs that were unpacked */
	uint64_t bytes;	 /* of these, packed */
	uint64_t rolled; /* samples in the answers that come out of roll-ups (store/roll.h) */
	uint64_t memory; /* the largest estimate of one of them */
};

/* One profile: what a series brought at one time. store/observations.h says which there are. */
struct profile_key {
	int64_t time_ms;
	uint64_t series; /* a hash of its labels and its type, the same in every file */
};

struct store_question {
	struct str type;		 /* five-part profile type id; empty: every type */
	const struct selector *selector; /* NULL: everything */
	int64_t from_unix_ms;		 /* a window counts when its start lies in [from, to] */
	int64_t to_unix_ms;
	uint64_t deadline_monotonic_ns; /* -ETIMEDOUT beyond it; 0: none */
	struct store_asker *asker;	/* or NULL */
	bool raw_names;			/* as compilers made them, not as in the source */
	bool is_exact; /* out of samples as long as there are any, however long that takes */
	const struct profile_key *profiles; /* only these … */
	size_t profile_count;		    /* … of them; 0: all */
};

struct store_texts {
	struct str *texts; /* sorted bytewise, each once */
	size_t count;
	void *memory;
};
void store_texts_done(struct store_texts *texts);

int store_profile_types(struct store *store, const struct store_question *question,
			struct store_texts *ret);
/* But for ids of spans and traces (store/observations.h). */
int store_label_names(struct store *store, const struct store_question *question,
		      struct store_texts *ret);
/* Values of these labels that occur together, each set once, in no order. */
struct store_label_sets {
	struct str *values; /* of the first set, in the order of the names, then of the next */
	size_t count;
	void *memory;
};
int store_label_sets(struct store *store, const struct store_question *question,
		     const struct str *names, size_t name_count, struct store_label_sets *ret);
void store_label_sets_done(struct store_label_sets *sets);

/* Those of series alone, not the samples' own. */
int store_series_label_names(struct store *store, const struct store_question *question,
			     struct store_texts *ret);
int store_label_values(struct store *store, const struct store_question *question, struct str name,
		       struct store_texts *ret);

/*
 * Values over time, for each combination of the labels in group_by (a missing label is ""; none:
 * one row). Points lie at first_ms + k × step_ms; a window belongs to the first point at or after
 * its start: point k holds ( first + (k-1) step, first + k step ], the first also what is exactly
 * one step before. With one point it answers "who used how much".
 */
struct store_grid {
	int64_t first_ms;
	int64_t step_ms;
	size_t point_count;
};

/* False beside the grid. */
bool store_grid_point(const struct store_grid *grid, int64_t time_ms, size_t *ret);

struct store_row {
	const struct str *values;	     /* of the labels in group_by, in that order */
	uint64_t total;			     /* the sum of the points */
	uint64_t kernel_total;		     /* of it with a leaf in the kernel */
	uint32_t number;		     /* of its points */
	int64_t first_seen_ms, last_seen_ms; /* starts of the first and last windows it occurs in */
};

struct store_rows {
	struct store_row *rows; /* by total, descending, then by labels */
	size_t count;
	const struct points *points; /* by the rows' numbers: see store_row_point() */
	/*
	 * By point: the least start of all windows that fall on it, whoever's and whatever is
	 * asked for; INT64_MAX where there are none. And where the last of them all ends; 0: none.
	 */
	int64_t *starts;
	int64_t end_ms;
	void *memory;
};
void store_rows_done(struct store_rows *rows);

/* What it has at a point of the grid; 0 also where nothing fell on the point. */
static inline uint64_t store_row_point(const struct store_rows *rows, const struct store_row *row,
				       size_t point)
{
	return points_get(rows->points, row->number, point);
}

static inline bool store_row_has(const struct store_rows *rows, const struct store_row *row,
				 size_t point)
{
	return points_has(rows->points, row->number, point);
}

int store_series(struct store *store, const struct store_question *question,
		 const struct str *group_by, size_t group_by_count, const struct store_grid *grid,
		 struct store_rows *ret);

/*
 * A flame graph: stacks merged by the names of their functions, cut to what matters, named.
 *
 * Nodes stand in preorder, children of one parent by name bytewise, "more" last. Node 0 is the root
 * of everything, named "total".
 */
enum flame_kind {
	FLAME_ROOT = 0,
	FLAME_GROUP = 1, /* a value of the label that rows_by names */
	FLAME_KERNEL = 2,
	FLAME_NATIVE = 3,
	FLAME_NAMED = 4,     /* came with its name (interpreters, pushed profiles) */
	FLAME_UNNAMED = 5,   /* binary and address */
	FLAME_TRUNCATED = 6, /* stands where callers are missing, above the outermost known frame;
				named "[truncated: reason]", or "callers missing" */
	FLAME_MORE = 7,	     /* children left out: self and total are their sum */
	FLAME_FOLDED = 8,    /* frames of rare stacks that are not kept in the long run */
};

struct flame_node {
	uint64_t self;
	uint64_t total;
	uint32_t parent;  /* index; of the root 0 */
	uint32_t name;	  /* index into names */
	uint32_t module;  /* index into names: base name of the binary; 0, which is "", for none */
	uint32_t hidden;  /* of FLAME_MORE: how many nodes it stands for */
	uint32_t file;	  /* index into names: of the source; 0, which is "", when not known */
	uint32_t line;	  /* there; of several the heaviest */
	uint32_t place;	  /* index into places: of graphs by_line; else 0 */
	uint8_t kind;	  /* enum flame_kind */
	bool inlined;	  /* its compiler put it in place of the call to it; mostly */
	bool interpreted; /* a virtual machine ran it without compiling it; mostly */
};

/* What a profile for others says of a frame besides names. The texts are indexes into names. */
struct flame_place {
	uint32_t system_name; /* as the linker has it; FLAME_OWN_NAME: the node's */
	uint32_t start_line;
	uint32_t binary;  /* index into binaries; 0: none */
	uint64_t address; /* in it; 0: not told */
	bool is_bare;	  /* the node's name says no more than binary and address do */
};

enum { FLAME_OWN_NAME = UINT32_MAX };

struct flame_binary {
	uint32_t path, build_id; /* the latter a text of anybody's */
	unsigned flags;		 /* enum binary_flags (store/batch.h) */
	uint64_t start, limit, offset;
};

struct flame {
	struct flame_node *nodes;
	struct str *names;	       /* names[0] is "" */
	struct flame_place *places;    /* places[0] says nothing */
	struct flame_binary *binaries; /* binaries[0] is none */
	uint32_t node_count;
	uint32_t name_count;
	uint32_t place_count;
	uint32_t binary_count;
	uint64_t max_self;
	uint64_t sample_count; /* behind the root's total */
	uint64_t rolled_count; /* of these, those that come out of roll-ups (store/roll.h) */
	uint32_t hidden_count; /* nodes left out in all */
	void *memory;
};

struct flame_options {
	uint32_t node_count_max; /* children lighter than the n-th heaviest node go into FLAME_MORE
				  */
	struct str rows_by;   /* a label whose values stand between root and stacks; empty: none */
	bool truncated_nodes; /* whether FLAME_TRUNCATED nodes are wanted */
	const struct str *call_site; /* keep only stacks that begin so, root first (names) */
	size_t call_site_count;
	bool by_module;	   /* functions of one name in different modules are two */
	bool by_line;	   /* and one's lines, and whatever else tells places apart */
	bool is_bottom_up; /* what ran stands below the root (or the rows), and below each function
			      its callers; self is what had no caller */
};

int store_flame(struct store *store, const struct store_question *question,
		const struct flame_options *options, struct flame *ret);
void flame_done(struct flame *flame);

/* The heaviest functions, from every stack that matches: nothing is cut before they are summed. */
struct functions_options {
	struct str search; /* part of a name or a module, in either case; empty: all */
	bool by_total;	   /* else by self */
	uint32_t limit;
};

struct function_row {
	struct str name;
	struct str module; /* base name of the binary; "" for none */
	struct str file;   /* of the source; "" when not known */
	uint64_t self;
	uint64_t total; /* of each stack once, however often the function calls itself */
	uint8_t kind;	/* enum flame_kind */
};

struct functions {
	struct function_row *rows; /* descending */
	uint32_t count;
	uint32_t matched_count; /* functions that match, with those beyond the limit */
	uint64_t matched_self;	/* their self together */
	uint64_t matched_total; /* of stacks that hold one of them */
	uint64_t total;		/* of all stacks */
	void *texts;		/* of the rows */
};

int store_functions(struct store *store, const struct store_question *question,
		    const struct functions_options *options, struct functions *ret);
void functions_done(struct functions *functions);

/* The heaviest modules: files, the kernel and its modules, and what processes made themselves. */
struct module_row {
	struct identity identity;
	uint8_t kind;	 /* enum build_kind; 0: all that came with its names */
	struct str path; /* of what processes made, the process's name */
	uint64_t self;
	uint64_t named; /* of self, what has the name of a function */
};

struct modules {
	struct module_row *rows; /* descending */
	uint32_t count;
	uint32_t module_count; /* with those beyond the limit */
	uint64_t total;	       /* of all stacks; what was folded is in no row */
	void *memory;
};

int store_modules(struct store *store, const struct store_question *question, uint32_t limit,
		  struct modules *ret);
void modules_done(struct modules *modules);

/*
 * Who calls a function, and what it calls: two flame graphs whose node 0 is the function, the one
 * with callers below it bottom-up. Of a function that calls itself the outermost call counts, so
 * that both weigh what the function weighs in a list of functions.
 */
struct sandwich_options {
	struct str function;
	struct str module; /* a NULL text: of any */
	uint32_t node_count_max;
};

struct sandwich {
	struct flame callers;
	struct flame callees;
	uint64_t self;	     /* of all its calls, inner ones too */
	uint64_t view_total; /* of all stacks, also those without the function */
};

int store_sandwich(struct store *store, const struct store_question *question,
		   const struct sandwich_options *options, struct sandwich *ret);
void sandwich_done(struct sandwich *sandwich);

/* Times within the question's range in which nothing was recorded. */
struct store_gap {
	int64_t from_unix_ms;
	int64_t to_unix_ms;
	uint8_t reason; /* enum gap_reason of base/window.h */
};

struct store_gaps {
	struct store_gap *gaps; /* ascending */
	size_t count;
};
int store_gaps(struct store *store, int64_t from_unix_ms, int64_t to_unix_ms,
	       struct store_gaps *ret);
void store_gaps_done(struct store_gaps *gaps);

DEFINE_CLEANUP(struct store *, store, store_close)
