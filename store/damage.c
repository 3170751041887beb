/* SPDX-License-Identifier: Apache-2.0 */
#include <assert.h>
#include <errno.h>
#include <stdio.h>

#include "store/store_private.h"

/*
 * What becomes of a file that can't be read. A question that fails on one can't tell damage from a
 * mistake of its own: only what SQLite finds malformed, and what store_scrub() finds, is damage.
 */

const char *store_damage_text(int err)
{
	return err == -EBADMSG ? "a part of it does not unpack to what was packed"
			       : "SQLite finds it malformed";
}

void store_note_damage(struct store *store, struct span *span, const char *what)
{
	pthread_mutex_lock(&store->lock);
	if (!span->is_damaged || span->doubt)
		snprintf(span->damage, sizeof(span->damage), "%s", what);
	span->is_damaged = true;
	span->is_sound = false;
	span->doubt = SPAN_DOUBT_NONE;
	pthread_mutex_unlock(&store->lock);
}

/* With the store's lock held. */
static void doubt(struct store *store, struct span *span, int err, enum span_doubt by)
{
	/* Whoever failed first has said so; and what was proved needs no proof. */
	if (span->is_damaged || (span->is_sound && by == SPAN_DOUBT_REWRITING))
		return;
	snprintf(span->damage, sizeof(span->damage), "%s", store_damage_text(err));
	span->is_damaged = true;
	if (span->is_sound)
		return;
	span->doubt = by;
	store->has_doubts = true;
	pthread_cond_signal(&store->doubted);
}

void store_doubt(struct store *store, struct span *span, int err, enum span_doubt by)
{
	assert(error_is_damage(err) && by != SPAN_DOUBT_NONE);
	if (err == -EUCLEAN) {
		store_note_damage(store, span, store_damage_text(err));
		return;
	}
	pthread_mutex_lock(&store->lock);
	doubt(store, span, err, by);
	pthread_mutex_unlock(&store->lock);
}

bool store_is_proved_damaged(struct store *store, const struct span *span)
{
	pthread_mutex_lock(&store->lock);

	bool is_proved = span->is_damaged && !span->doubt;

	pthread_mutex_unlock(&store->lock);
	return is_proved;
}

void store_believe(struct span *span)
{
	if (span->doubt == SPAN_DOUBT_REWRITING) {
		/* Questions may well read it. */
		span->is_damaged = false;
		span->stays = span->cant_join = span->cant_roll = span->cant_remove = true;
	}
	span->is_sound = true;
	span->doubt = SPAN_DOUBT_NONE;
}

void store_count_damage(struct store *store, const char *name, const char *what)
{
	pthread_mutex_lock(&store->lock);
	store->status.damaged_count++;
	snprintf(store->status.damaged, sizeof(store->status.damaged), "%s", name);
	snprintf(store->status.damage, sizeof(store->status.damage), "%s", what);
	pthread_mutex_unlock(&store->lock);
}

void store_count_failing(struct store *store, const char *name)
{
	pthread_mutex_lock(&store->lock);
	store->status.failing_count++;
	snprintf(store->status.failing, sizeof(store->status.failing), "%s", name);
	pthread_mutex_unlock(&store->lock);
}
