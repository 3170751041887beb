/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "store/array.h"
#include "store/chronicle.h"
#include "store/connections.h"
#include "store/database.h"
#include "store/leaves.h"
#include "store/live.h"
#include "store/span_words.h"
#include "store/store.h"

/*
 * One span file. It is written (WAL) until it is full, then sealed: one plain file, mode 0440,
 * never written again. The functions belong to the writer; connections for reading are for
 * everybody.
 */
enum {
	SPAN_APPLICATION_ID = 0x48725468, /* "HrTh" */
	/* 5: details are terse, and words of compact spans in frames; 6: spans may be joined. */
	SPAN_VERSION = 6,
	SPAN_VERSION_OLDEST = 3, /* that is read */
	/* From which on chronicles know who had how much when, of spans too (store/chronicle.h). */
	SPAN_VERSION_ACTIVITY = 4,
	SPAN_NAME_SIZE = 64,
	SPAN_DAMAGE_SIZE = 128,
	/* Gaps of one span that are kept in memory; a host that sleeps every minute has 360. */
	SPAN_GAP_COUNT_MAX = 4096,
	/* Of the log, after which it is copied into the file: 1 MB. */
	SPAN_LOG_PAGE_COUNT = 256,
};

struct source {
	uint64_t source;
	uint64_t committed; /* sequences */
	uint64_t appended;
	bool is_passing;   /* not written */
	bool is_forgotten; /* as good as gone; the writer takes it out */
};

struct sources {
	ARRAY(struct source) sources;
};

struct gaps {
	ARRAY(struct store_gap) gaps;
};

/*
 * What failed for what looked like damage. A reader's own mistake looks the same, so the file is
 * read through, every checksum, before it is set aside.
 */
enum span_doubt {
	SPAN_DOUBT_NONE,
	SPAN_DOUBT_QUESTION,
	SPAN_DOUBT_REWRITING, /* rolling up, joining, compacting, removing */
};

struct span {
	uint32_t id; /* within this process */
	char *path;
	char name[SPAN_NAME_SIZE];
	int64_t from_ms, until_ms; /* what belongs here, unless it is late */
	bool shares_trees;	   /* its segments do: it is joined, or compact */
	bool is_compact;	   /* written anew, and folded */
	uint64_t folded;	   /* samples that lost frames by that */
	uint64_t nodes, nodes_max; /* of shared trees: in all, of the largest */
	bool is_late;
	bool is_past;	   /* of a time long ago when it was begun, and else as any other */
	bool is_chronicle; /* store/chronicle.h; of the rest it has what speaks of a file */
	uint32_t version;  /* of its schema */
	bool cant_roll;	   /* the writer's: what is in it finds no room in a chronicle */
	uint64_t identity; /* see span_file_identity() */
	bool cant_remove;  /* the writer's: what is deleted in it can't be removed */

	/* guarded by the store's lock */
	unsigned references;
	uint64_t clean_until; /* of deletions (store/deletions.h) */
	bool is_listed;	      /* not dropped or set aside */
	bool is_gone;	      /* its file goes with it */
	bool stays;	      /* it can't be written anew */
	bool cant_join;	      /* that it can't be joined */
	bool is_sealed;
	bool is_damaged; /* found so, and not asked any more; the writer sets it aside */
	char damage[SPAN_DAMAGE_SIZE]; /* what was found */
	enum span_doubt doubt;	       /* whether that is so is still to be proved */
	bool is_sound;	    /* it was read through, and yet questions fail: it keeps its name */
	bool wants_check;   /* a crash left it open, and not all of it was looked at since */
	int64_t checked_ms; /* when all of it was read, steady clock; 0: not yet */
	int64_t first_ms, last_ms, end_ms;
	uint64_t samples;
	uint64_t segment_samples; /* of its largest segment, ended or not */
	uint64_t bytes;		  /* when sealed */
	int64_t finished_ms;	  /* when it was sealed, by the wall clock of then */
	struct gaps gaps;
	struct pieces pieces;	   /* of a chronicle */
	struct pool sample_labels; /* of a chronicle: names that its pieces have without values */
	struct live *live;	   /* NULL once it is full */

	/* Never changes once live is NULL; before, live has the list. */
	struct segment_rows segments;

	/* the writer's own */
	const struct leaf_source *leaves; /* the store's; NULL: leaves stay as they are */
	struct gate *gate; /* the store's, to which settling says what it takes; or NULL */
	sqlite3 *writer;
	sqlite3_stmt *insert_window;
	struct codec *codec;
	uint32_t gaps_written;
	int log_page_count;    /* since the last commit */
	uint64_t samples_seen; /* when store/span_end.h looked last … */
	uint64_t filled_ns;    /* … and when it found more; steady */

	struct connections connections; /* for reading */
	struct span_words words;	/* the same, once live is NULL; not of chronicles */
};

struct span_range {
	int64_t from_ms;
	int64_t until_ms;
	bool is_late;
	bool is_past;
	bool is_chronicle;
	uint64_t clean_until; /* the last deletion that there was */
};

/*
 * Makes a new file in the folder, ready for writing. Its name is that of its time with *number,
 * which is counted on: no two files of a folder ever have the same, so that what is known of a name
 * can't be taken for something about another file (see span_compact_name()).
 */
int span_create(const char *folder, struct span_range range, uint32_t *number, struct span **ret);

/* Enters a piece that was committed into a chronicle, and its sample_labels. -ENOMEM, -E2BIG. */
int span_add_piece(struct span *span, const struct piece *piece, const struct pool *labels);

/* The number in the name of a file of the folder, whatever became of it; 0: it has none. */
uint32_t span_name_number(const char *name);

/*
 * What a sealed file was when it was made: the same in one that took its place, and in no other. 0:
 * it can't be told.
 */
uint64_t span_file_identity(const char *path);

/* Into a file whose segments share trees, when these are written: its nodes and nodes_max. */
int span_note_nodes(sqlite3 *database);

/*
 * Opens a file that is there. What it was before decides how it comes back: sealed, or unfinished
 * and ready for writing. The sources in it are added. -EUCLEAN or -EBADMSG: damaged; -ENODATA: made
 * but never written to; -EPROTONOSUPPORT: of a later version of the program.
 */
int span_open(const char *folder, const char *name, struct sources *sources, struct span **ret);

/* Closes it as it is. Accepts NULL. */
struct span *span_free(struct span *span);

/* Writes the running window, new words, gaps, and where the sources stand, in one transaction. */
int span_commit(struct span *span, const struct sources *sources);

/* Closes the open segment: settles it. Nothing may be running. */
int span_finish_segment(struct span *span);

/* Settles a segment that a crash left open. 1 when there was one, 0 when there is none. */
int span_settle_left(struct span *span);

/* Turns the file into one that is never written again. -EBUSY while somebody reads. */
int span_seal(struct span *span);

/* Renames the file and its logs to NAME.damaged-TIME. */
int span_set_aside(struct span *span);

/* The same for a file that could not even be opened. */
int span_set_aside_file(const char *folder, const char *name);

/*
 * Whether the file at path was sealed, from its first bytes. -ENOENT, -EUCLEAN, -EPROTONOSUPPORT.
 * Not for a file that this process has open: closing the descriptor would drop SQLite's locks.
 */
int span_file_is_sealed(const char *path, bool *ret);

/* When the file was last touched, ms since the epoch; 0 when it can't be asked. */
int64_t span_file_time(const char *path);

/* On disk, logs included. */
uint64_t span_file_bytes(const char *path);

/* The name of the compact file that takes a file's place, and of what is not finished yet. */
void span_compact_name(const char *name, char ret[static SPAN_NAME_SIZE]);
void span_joined_name(const char *name, char ret[static SPAN_NAME_SIZE]);
/* The same for the file without what was deleted. */
void span_removed_name(const char *name, uint64_t deletion, char ret[static SPAN_NAME_SIZE]);
#define SPAN_UNFINISHED_SUFFIX ".unfinished"

/* Read only, as all closed files are, and on disk with its name. */
int span_protect_file(const char *path);

/* Adds to what is known of a source; the oldest gives way when there are too many. */
/* The latest ones stand last: of more than there is room for, the one that was silent for the
 * longest is forgotten. */
int sources_note(struct sources *sources, uint64_t source, uint64_t committed);
struct source *sources_find(struct sources *sources, uint64_t source);

DEFINE_CLEANUP(struct span *, span, span_free)
