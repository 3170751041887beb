/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/str.h"
#include "store/array.h"
#include "store/pool.h"

struct segment_row;
struct span;
struct sqlite3;
struct store;
struct store_question;

/*
 * Chronicles: files with sums over whole segments or whole spans (store/chronicle.sql). In a
 * chronicle the nodes of a service's tree, and of the tree of the whole host, have one number for a
 * month, so that a long time is a sum of lists. What is light is not in it (store/roll.h).
 *
 * Segments and spans have chronicles of their own, since whoever asks for a piece reads all of the
 * host's tree. A quiet host's segments have what was seen once, most of it: three million nodes in
 * four days, which a month's spans do not need, and of which an hour needs a few thousand. So a
 * chronicle of segments also ends when its tree has as many as questions read together, a million.
 * With fewer, what recurs would be in too many files. Older programs wrote both into one.
 *
 * A piece says which samples it is the sum of: all of a span, or of one of its segments. So one
 * that is used stands in the place of exactly these, and what no piece covers is read from the
 * spans.
 */
enum {
	CHRONICLE_SEGMENT = 0, /* of the host's tree only */
	CHRONICLE_SPAN = 1,
	CHRONICLE_LEVEL_COUNT = 2,
	CHRONICLE_HOST = -1, /* the scope that is the whole host; others are services (texts) */
};

struct piece {
	uint32_t number;
	uint32_t level;
	uint64_t identity; /* of the span */
	uint32_t segment;  /* of it, or 0: all */
	int64_t first_ms, last_ms, end_ms;
	uint64_t samples;
	uint32_t nodes; /* of the host's tree, once it is there */
};

struct pieces {
	ARRAY(struct piece) pieces; /* ascending by number */
};

/* Those of a chronicle. -EBADMSG for what can't be. */
int chronicle_read_pieces(struct sqlite3 *database, struct pieces *ret);

/* Names of the samples' own labels in it. -E2BIG when there are too many, -EBADMSG. */
enum { CHRONICLE_LABEL_COUNT_MAX = 65536 };
int chronicle_read_labels(struct sqlite3 *database, struct pool *ret);

/* What pieces a question wants. */
enum chronicle_use {
	CHRONICLE_NOT,	     /* it is about what roll-ups do not know */
	CHRONICLE_WHEN_GONE, /* only those whose samples are not there any more */
	CHRONICLE_WHERE_POSSIBLE,
};

struct chronicle_wish {
	enum chronicle_use use;
	bool by_service; /* the lists of services, which segments have none of */
	/* Who had how much when; by these labels and the selector's, which must be of series. */
	bool activity;
	const struct str *names;
	size_t name_count;
};

struct pick {
	struct span *chronicle; /* with a reference */
	struct piece piece;
};

struct picks {
	ARRAY(struct pick) picks; /* those of one chronicle stand together */
	struct pool taken;	  /* struct piece_key: what they cover */
};

/*
 * The pieces that lie in the question's range, none of which covers what another does; the store's
 * lock is held. 0 or -ENOMEM; the picks are good for picks_done() in any case.
 */
int picks_find(struct store *store, const struct store_question *asked, struct chronicle_wish wish,
	       struct picks *ret);
void picks_done(struct store *store, struct picks *picks);

/* Whether a piece stands for all of a span. */
bool picks_cover_span(const struct picks *picks, const struct span *span);

/* Whether the question asks for a segment, and no piece stands for it. */
bool picks_leave_segment(const struct picks *picks, const struct span *span,
			 const struct segment_row *row, const struct store_question *asked);
