/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "web/jfr_types.h"

/*
 * A chunk of a Java flight recording: a header, and events one behind another, some of which are
 * its metadata and its constants. A recording is one chunk or several, each of which explains
 * itself.
 *
 * The bytes stay where they are, and of a constant no more is kept than where it lies. What a
 * program that was killed left unfinished is read as far as it is whole; constants that it was
 * about to write are missing then.
 */

/* A constant: its key, its place from the chunk's start, and a number of its reader's. */
struct jfr_constant {
	uint64_t key;
	uint32_t place;
	uint32_t number; /* JFR_NO_NUMBER */
};

#define JFR_NO_NUMBER UINT32_MAX

struct jfr_pool {
	struct table table;
	ARRAY(struct jfr_constant) items;
};

struct jfr_chunk {
	struct str bytes;      /* of the chunk, header included, up to its last whole event */
	size_t offset;	       /* of it in the recording */
	size_t next_offset;    /* where another would begin */
	bool is_whole;	       /* was finished by who wrote it */
	bool is_checked_only;  /* its constants are looked at, not kept */
	int64_t start_unix_ns; /* and for how long, which may be 0 */
	int64_t duration_ns;
	uint64_t ticks_per_second;
	struct str metadata;	   /* the last such event */
	ARRAY(uint32_t) constants; /* places of such events */
	/* Among these events are all that tell settings; they stand anywhere. */
	size_t settings_from, settings_to;
	/* Of the events of each type, by its id: the first's place, and the last's end. */
	struct jfr_extent {
		uint32_t from, to;
	} extents[JFR_NEAR_ID_COUNT];
	struct jfr_types types;
	struct jfr_pool pools[JFR_POOL_COUNT];
	/* Told now and then of what was walked over, as in pprof_reader.h. */
	void (*walked)(void *context, struct str bytes);
	void *context;
	const char *walked_to;
};

enum { JFR_HEADER_SIZE = 68 };

/* Some 50 kB: on the heap. */
void jfr_chunk_init(struct jfr_chunk *chunk);
void jfr_chunk_done(struct jfr_chunk *chunk);

/* Whether it begins as a recording does. */
bool jfr_chunk_begins(struct str bytes);

/*
 * The chunk that begins at an offset of the recording: its header, where its events end, its types
 * and constants. -ENODATA for an unfinished one without metadata, which tells nothing; -EBADMSG
 * with a sentence that says where, -E2BIG, -ENOMEM. next_offset is set in any case.
 */
int jfr_chunk_open(struct jfr_chunk *chunk, struct str recording, size_t offset,
		   char reterr[static JFR_ERROR_SIZE]);

/*
 * The event at a place of the chunk, JFR_HEADER_SIZE at first; *place becomes that of the next.
 * False at the end.
 */
struct jfr_event {
	uint32_t place;
	uint32_t type; /* number of it; TABLE_NONE: metadata, constants, and what is not told of */
	struct jfr_bytes bytes; /* its fields */
};
bool jfr_chunk_next(struct jfr_chunk *chunk, size_t *place, struct jfr_event *ret);

/* NULL for a key that is not there. */
struct jfr_constant *jfr_chunk_find(struct jfr_chunk *chunk, enum jfr_kind pool, uint64_t key);

/* Asks memory for one that will be looked for soon. */
static inline void jfr_chunk_prefetch(const struct jfr_chunk *chunk, enum jfr_kind pool,
				      uint64_t key)
{
	const struct jfr_pool *constants = &chunk->pools[pool];

	if (constants->items.count > 0 &&
	    key - constants->items.items[0].key < constants->items.count)
		__builtin_prefetch(&constants->items.items[key - constants->items.items[0].key]);
}

/* Of a constant: where its value begins, and what of it has a slot. */
struct jfr_bytes jfr_chunk_bytes(const struct jfr_chunk *chunk,
				 const struct jfr_constant *constant);
void jfr_chunk_value(const struct jfr_chunk *chunk, enum jfr_kind pool,
		     const struct jfr_constant *constant, struct jfr_value *ret);

/*
 * A value's text in a slot, in place or of the pool that it refers to. It lies in the file, or in
 * room, whose error tells of lack of memory; "" for none.
 */
struct str jfr_chunk_text(struct jfr_chunk *chunk, const struct jfr_value *value, int slot,
			  struct buf *room);

/* The same of a symbol, by its key. */
struct str jfr_chunk_symbol(struct jfr_chunk *chunk, uint64_t key, struct buf *room);
