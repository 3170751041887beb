/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>

#include "store/chronicle.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "store/selector.h"
#include "store/store_private.h"

enum { PIECE_COUNT_MAX = 1 << 20 };

/* ---- what is in a file ----------------------------------------------------------------------- */

static bool is_sound(const struct piece *piece, uint32_t before)
{
	bool is_known = piece->level == CHRONICLE_SEGMENT
				? piece->segment > 0
				: piece->level == CHRONICLE_SPAN && piece->segment == 0;

	return is_known && piece->number > before && piece->number < PIECE_COUNT_MAX &&
	       piece->nodes <= TREE_NODE_COUNT_MAX && piece->identity &&
	       piece->first_ms <= piece->last_ms;
}

int chronicle_read_pieces(struct sqlite3 *database, struct pieces *ret)
{
	uint32_t before = 0;
	autoclean(statement) sqlite3_stmt *row = NULL;
	int err =
		database_prepare(database,
				 "SELECT id, level, identity, segment, first_ms, last_ms, end_ms, "
				 "samples, nodes FROM piece ORDER BY id",
				 &row);

	if (err)
		return err;
	while ((err = database_step(row)) > 0) {
		struct piece piece = { .number = (uint32_t)sqlite3_column_int64(row, 0),
				       .level = (uint32_t)sqlite3_column_int64(row, 1),
				       .identity = (uint64_t)sqlite3_column_int64(row, 2),
				       .segment = (uint32_t)sqlite3_column_int64(row, 3),
				       .first_ms = sqlite3_column_int64(row, 4),
				       .last_ms = sqlite3_column_int64(row, 5),
				       .end_ms = sqlite3_column_int64(row, 6),
				       .samples = (uint64_t)sqlite3_column_int64(row, 7),
				       .nodes = (uint32_t)sqlite3_column_int64(row, 8) };

		if (!is_sound(&piece, before))
			return -EBADMSG;
		if (array_reserve(&ret->pieces, 1) < 0)
			return -ENOMEM;
		ret->pieces.items[ret->pieces.count++] = piece;
		before = piece.number;
	}
	return err;
}

int chronicle_read_labels(struct sqlite3 *database, struct pool *ret)
{
	autoclean(statement) sqlite3_stmt *row = NULL;
	int err = database_prepare(database, "SELECT name FROM sample_label", &row);

	while (!err && (err = database_step(row)) > 0) {
		struct str name = database_column(row, 0);
		int64_t number = pool_add(ret, name.text, name.size);

		err = number < 0 ? (int)number : 0;
	}
	return err;
}

/* ---- picking --------------------------------------------------------------------------------- */

struct piece_key {
	uint64_t identity;
	uint64_t segment;
};

static bool covers(const struct pool *pool, uint64_t identity, uint64_t segment)
{
	struct piece_key key = { identity, segment };

	return pool_find(pool, &key, sizeof(key)) != TABLE_NONE;
}

/* Which spans can be read, as keys with segment 0. */
static int find_spans(const struct store *store, struct pool *there)
{
	for (uint32_t i = 0; i < store->spans.spans.count; i++) {
		const struct span *span = store->spans.spans.items[i];
		struct piece_key key = { span->identity, 0 };
		int64_t number = span->is_damaged ? 0 : pool_add(there, &key, sizeof(key));

		if (number < 0)
			return (int)number;
	}
	return 0;
}

/* Whether a question about activity speaks of what pieces have no values of. */
static bool speaks_of_samples(const struct span *chronicle, const struct store_question *asked,
			      const struct chronicle_wish *wish)
{
	for (uint32_t i = 0; i < pool_count(&chronicle->sample_labels); i++) {
		struct str label = pool_get(&chronicle->sample_labels, i);

		if (asked->selector && selector_uses(asked->selector, label))
			return true;
		for (size_t k = 0; k < wish->name_count; k++)
			if (str_equal(wish->names[k], label))
				return true;
	}
	return false;
}

static bool is_wanted(const struct chronicle_wish *wish, const struct span *chronicle,
		      const struct piece *piece, const struct pool *there)
{
	bool is_gone = !covers(there, piece->identity, 0);

	if (wish->activity && piece->level != CHRONICLE_SEGMENT &&
	    chronicle->version < SPAN_VERSION_ACTIVITY)
		return false;
	/* The host's list of a segment knows less of a service than the segment. */
	if (wish->by_service && piece->level == CHRONICLE_SEGMENT)
		return is_gone;
	return is_gone || wish->use == CHRONICLE_WHERE_POSSIBLE;
}

static int take(struct picks *picks, struct span *chronicle, const struct piece *piece)
{
	struct piece_key key = { piece->identity, piece->segment };
	int64_t number = pool_add(&picks->taken, &key, sizeof(key));

	if (number < 0)
		return (int)number;
	if (array_reserve(&picks->picks, 1) < 0)
		return -ENOMEM;
	store_span_hold(chronicle);
	picks->picks.items[picks->picks.count++] = (struct pick){ chronicle, *piece };
	return 0;
}

/* A deletion of which its lists do not tell exactly what is left. */
static bool is_inexact(const struct store *store, const struct span *chronicle,
		       const struct piece *piece)
{
	const struct deletion_rules *rules = store->rules;

	for (uint32_t i = 0; rules && i < rules->count; i++) {
		const struct deletion_rule *rule = &rules->rules[i];

		if (rule->number > chronicle->clean_until && rule->from_ms <= piece->last_ms &&
		    rule->to_ms >= piece->first_ms &&
		    !(rule->is_by_block && rule->from_ms <= piece->first_ms &&
		      rule->to_ms >= piece->end_ms))
			return true;
	}
	return false;
}

static int take_level(struct store *store, const struct store_question *asked,
		      const struct chronicle_wish *wish, const struct pool *there, uint32_t level,
		      struct picks *picks)
{
	for (uint32_t i = 0; i < store->chronicles.spans.count; i++) {
		struct span *chronicle = store->chronicles.spans.items[i];
		struct chronicle_wish here = *wish;

		if (wish->activity && (chronicle->version < SPAN_VERSION_ACTIVITY ||
				       speaks_of_samples(chronicle, asked, wish)))
			here.use = CHRONICLE_WHEN_GONE;
		for (uint32_t k = 0; !chronicle->is_damaged && k < chronicle->pieces.pieces.count;
		     k++) {
			const struct piece *piece = &chronicle->pieces.pieces.items[k];
			int err = 0;

			if (piece->level != level || piece->first_ms < asked->from_unix_ms ||
			    piece->last_ms > asked->to_unix_ms ||
			    covers(&picks->taken, piece->identity, 0) ||
			    covers(&picks->taken, piece->identity, piece->segment) ||
			    (covers(there, piece->identity, 0) &&
			     is_inexact(store, chronicle, piece)) ||
			    !is_wanted(&here, chronicle, piece, there))
				continue;
			err = take(picks, chronicle, piece);
			if (err)
				return err;
		}
	}
	return 0;
}

static int compare_picks(const void *a, const void *b)
{
	const struct pick *x = a;
	const struct pick *y = b;

	if (x->chronicle != y->chronicle)
		return x->chronicle->id < y->chronicle->id ? -1 : 1;
	return (x->piece.number > y->piece.number) - (x->piece.number < y->piece.number);
}

int picks_find(struct store *store, const struct store_question *asked, struct chronicle_wish wish,
	       struct picks *ret)
{
	struct pool there;
	int err = 0;

	pool_init(&ret->taken, PIECE_COUNT_MAX, NULL);
	if (wish.use == CHRONICLE_NOT || store->chronicles.spans.count == 0)
		return 0;
	pool_init(&there, PIECE_COUNT_MAX, NULL);
	err = find_spans(store, &there);
	/* The largest first. */
	for (uint32_t level = CHRONICLE_SPAN + 1; !err && level-- > 0;)
		err = take_level(store, asked, &wish, &there, level, ret);
	pool_done(&there);
	if (ret->picks.count)
		qsort(ret->picks.items, ret->picks.count, sizeof(ret->picks.items[0]),
		      compare_picks);
	return err;
}

void picks_done(struct store *store, struct picks *picks)
{
	for (uint32_t i = 0; i < picks->picks.count; i++)
		store_span_release(store, picks->picks.items[i].chronicle);
	array_done(&picks->picks);
	pool_done(&picks->taken);
}

bool picks_cover_span(const struct picks *picks, const struct span *span)
{
	return covers(&picks->taken, span->identity, 0);
}

bool picks_leave_segment(const struct picks *picks, const struct span *span,
			 const struct segment_row *row, const struct store_question *asked)
{
	return row->first_ms <= asked->to_unix_ms && row->last_ms >= asked->from_unix_ms &&
	       !picks_cover_span(picks, span) &&
	       !covers(&picks->taken, span->identity, row->number);
}

/* ---- what is rolled up ----------------------------------------------------------------------- */

int store_note_rolled(struct store *store, const struct piece *piece)
{
	struct piece_key key = { piece->identity, piece->segment };
	int64_t number = pool_add(&store->rolled, &key, sizeof(key));

	return number < 0 ? (int)number : 0;
}

bool store_is_rolled(const struct store *store, uint64_t identity, uint32_t segment)
{
	return covers(&store->rolled, identity, segment);
}

int store_find_rolled(struct store *store)
{
	int err = 0;

	pool_clear(&store->rolled);
	for (uint32_t i = 0; i < store->chronicles.spans.count; i++) {
		const struct pieces *pieces = &store->chronicles.spans.items[i]->pieces;

		for (uint32_t k = 0; !err && k < pieces->pieces.count; k++)
			err = store_note_rolled(store, &pieces->pieces.items[k]);
	}
	return err;
}
