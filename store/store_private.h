/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "store/cache.h"
#include "store/compact.h"
#include "store/deletions.h"
#include "store/gate.h"
#include "store/remove.h"
#include "store/scratch.h"
#include "store/series_limit.h"
#include "store/space.h"
#include "store/span.h"
#include "store/store.h"

/* What the files of store/ share, and nobody else. */

enum {
	/* Senders that are remembered; each start of a collector is one. */
	STORE_SOURCE_COUNT_MAX = 1024,
	/* Decoded trees and catalogs of what is not in memory anyway. */
	STORE_CACHE_SIZE_MAX = 22 << 20,
	/* Of these, and of what questions worked in, so much stays when STORE_MEMORY_MAX is needed.
	 */
	STORE_KEPT_SIZE_MIN = 4 << 20,
};

/* A span file ends here, too. A shorter span folds more: what is rare in an hour. */
#define STORE_SPAN_SIZE_MAX (UINT64_C(1) << 30)
/* But no more than this part of what all files may take, and no less than it was worth a file. */
#define STORE_SPAN_PART		8
#define STORE_SPAN_SIZE_MIN	(UINT64_C(64) << 20)
#define STORE_DETAIL_MS_DEFAULT INT64_C(21600000)
#define STORE_SPAN_MS_DEFAULT	INT64_C(21600000) /* 6 h */
/* What lies further ahead of our clock than this is somebody's mistake, and goes with the late. */
#define STORE_FUTURE_MS INT64_C(3600000)
/* What is older than this when its file is begun was not kept back by a server that was away for a
 * night: an import, or a recording. Its file is of the class of late data, and as old as those. */
#define STORE_PAST_MS  INT64_C(86400000)
#define STORE_TIME_MAX (INT64_C(1) << 52)
/* 2020: what is older than any Hearth comes from a clock that was never set, and goes with the
 * late. */
#define STORE_TIME_PLAUSIBLE_MS INT64_C(1577836800000)

#define STORE_DISK_PART	 10 /* of the disk for all files, when nobody said */
#define STORE_BYTES_MOST (UINT64_C(20) << 30)

/* Whether the wall clock went with the steady one. */
struct clock_watch {
	int64_t offset_ms;	     /* of the wall clock to the steady one */
	int64_t distrusted_until_ms; /* steady */
};

struct spans {
	ARRAY(struct span *) spans;
};

/* A span that is being written anew, or rolled up, on a thread of its own. */
struct compaction {
	pthread_t thread;
	bool is_running;
	atomic_bool is_done, cancel;
	struct span *span;	/* with a reference */
	struct gate *gate;	/* is told … */
	uint64_t memory;	/* … what it takes, about */
	struct span *chronicle; /* it is rolled up into this one; or NULL */
	struct segment_row row; /* what is rolled up; number 0: all of the span */
	bool is_joining;	/* the span is; else it is compacted, when it is not rolled up */
	struct deletion_rules *removes; /* what is removed from the span; or NULL */
	uint64_t removed_until;		/* of them the last */
	ARRAY(uint64_t) identities;	/* of all spans, when it began */
	struct removal removal;		/* what came of it */
	struct piece piece;		/* that came of it, … */
	struct pool labels;		/* … and names of samples' own labels in it */
	bool is_about_chronicle;	/* the result */
	char *path;			/* of what is not finished */
	uint32_t fold;
	uint32_t node_count_max; /* of trees that are joined */
	int result;
};

struct store {
	char *folder; /* of the span files */
	struct symbols *symbols;
	int64_t span_ms;
	int lock_fd;
	struct cache *cache;
	struct gate gate; /* of questions */
	struct scratches scratches;
	uint64_t growing_memory; /* the gate knows of it; the writer's */

	/* the writer's own; what they point to is in spans as well */
	struct span *open;
	struct span *late;
	struct span *running; /* the one of them that has a running window, or NULL */
	uint32_t next_id;
	uint32_t next_file; /* the number in the name of the next file */
	struct space space;
	struct series_limits series_limits;
	struct clock_watch clock;
	bool is_sealing;      /* as was asked for, and waits for readers */
	int64_t next_seal_ms; /* steady: no seal that is asked for before it */
	struct compaction compaction;
	/* Those that grow, by the level of what comes next, or NULL; in chronicles as well. */
	struct span *growing[CHRONICLE_LEVEL_COUNT];
	struct pool rolled; /* what is rolled up: see store_is_rolled() */
	uint32_t fold;
	int64_t detail_ms;
	struct leaf_source leaves;
	uint32_t nodes_together; /* never changes */

	struct records *records; /* deletions; NULL: there are none */
	char *deletions_path;
	uint64_t last_deletion;

	pthread_cond_t doubted;	      /* with lock: there is a file to be proved */
	pthread_mutex_t lock;	      /* guards what follows */
	struct deletion_rules *rules; /* deletions that are not removed yet, or NULL */
	struct spans spans;
	struct spans chronicles;
	struct sources sources;
	struct store_status status; /* the counts of it */
	struct store_limits limits;
	uint64_t seals_wanted; /* so many in all */
	bool has_doubts;       /* since the scrubber looked */
};

/* build/gen/schema.c, made of the .sql files here */
extern const char store_words_span[];
extern const char store_schema_span[];
extern const char store_chronicle_span[];

/* Of a store that is all zeros: what is the same for all of them. */
void store_init(struct store *store);

/* A reference more; the store's lock is held. */
void store_span_hold(struct span *span);

/* A reference less; the store's lock is not held. */
void store_span_release(struct store *store, struct span *span);

/* Takes a span out of the list; its memory goes with the last question. The writer's. */
void store_drop_span(struct store *store, struct span *span);

/* Takes a damaged span out of the list, and its file out of the way unless it is sound. The
 * writer's. */
int store_set_aside(struct store *store, struct span *span);

/* Of the gate, and of the cache once there is one, before the first and after the last of all. */
void store_begin_memory(struct store *store);
void store_end_memory(struct store *store);

/* The files that are written to have grown, or there are others. The writer's. */
void store_note_growth(struct store *store);

/* Before what takes memory of its own, beside questions: what is kept for the next one, and was not
 * asked for a moment ago, goes. */
void store_make_way(struct store *store);

/* Closes a span for writing and seals it; when it is read it is sealed by store_maintain(). */
int store_close_span(struct store *store, struct span **span);

/* Makes a file that nobody writes any more one that is never written again. 0 while it is read. */
int store_seal(struct store *store, struct span *span);

/* ---- chronicles, the writer's: store/rollup.c ---- */

/* After a start: which goes on, and what is rolled up. */
int store_resume_chronicles(struct store *store);

/* Sets aside what was found damaged, seals what is done for. */
int store_tend_chronicles(struct store *store, int64_t now_unix_ms);

/* Seals those that can be; new ones begin with the next pieces. */
int store_seal_chronicles(struct store *store, bool but_the_growing);

/* What is to be rolled up next: false when there is nothing. */
bool store_find_to_roll(struct store *store, bool segments, struct span **ret,
			struct segment_row *ret_row);

/* The chronicle of a level that grows, made when there is none. */
int store_need_chronicle(struct store *store, uint32_t level, int64_t now_unix_ms);

/* It grows no more. */
void store_end_chronicle(struct store *store, const struct span *chronicle);

/* A piece was committed into it, or was not. */
int store_rolled(struct store *store, struct compaction *done, int err);

/* ---- what can't be read: store/damage.c ---- */

/* A span was found damaged: the writer will set it aside. Any thread. */
void store_note_damage(struct store *store, struct span *span, const char *what);

/* The same of what failed with such an error: what SQLite finds malformed is damaged, all else is
 * to be proved by store_scrub(), and not asked any more until then. */
void store_doubt(struct store *store, struct span *span, int err, enum span_doubt by);

/* Whether it is to be set aside, or left out. */
bool store_is_proved_damaged(struct store *store, const struct span *span);

/* What was doubted was read through, and is as it was written. With the store's lock held. */
void store_believe(struct span *span);

/* For store_status(): a file that was set aside, and one that was left out. */
void store_count_damage(struct store *store, const char *name, const char *what);
void store_count_failing(struct store *store, const char *name);

/* An error in words, for error_is_damage(). */
const char *store_damage_text(int err);

/*
 * Writes closed spans anew when their details are old enough, one at a time: begins, looks how far
 * it is, and puts what is finished in the old one's place.
 */
void store_compact(struct store *store, int64_t now_unix_ms);

/* Closes the spans that are written to. The writer's. */
int store_close_spans(struct store *store);

/* Stops what is under way; it begins again after the next start. */
void store_stop_compacting(struct store *store);

/*
 * Removes what a crash left of it, and sees to it that no name is given twice. Before any span is
 * opened.
 */
int store_tidy_files(struct store *store);

/* Enters a span into the list in another's place, or after the last. -ENOMEM. */
int store_list_span(struct store *store, struct span *span, struct span *replaced);

/* Drops sealed spans by age, by size, and for room. */
void store_retain(struct store *store, int64_t now_unix_ms);

/* Begins to watch the wall clock, when the spans are there. */
void store_watch_clock(struct store *store);

/* What all files may take; 0: no limit. */
uint64_t store_byte_limit(const struct store_limits *limits, uint64_t disk_bytes);

/* How a write to disk ended, which decides about the store's state. */
void store_note_write(struct store *store, int err);

/*
 * Which pieces there are, the writer's to ask and to add to. store_find_rolled(): looks anew, when
 * a chronicle came or went.
 */
bool store_is_rolled(const struct store *store, uint64_t identity, uint32_t segment);
int store_note_rolled(struct store *store, const struct piece *piece);
int store_find_rolled(struct store *store);

/* See connections_tidy(). The writer's. */
static inline void store_tidy_connections(const struct spans *spans, uint64_t now_monotonic_ns)
{
	for (uint32_t i = 0; i < spans->spans.count; i++) {
		struct span *span = spans->spans.items[i];

		connections_tidy(&span->connections, span->writer != NULL, now_monotonic_ns);
	}
}

static inline enum store_class span_class(const struct span *span)
{
	if (span->is_chronicle)
		return STORE_ROLLED;
	return span->is_late || span->is_past ? STORE_LATE : STORE_RAW;
}
