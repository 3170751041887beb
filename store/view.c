/* SPDX-License-Identifier: Apache-2.0 */
#include "store/view.h"

#include <errno.h>

static bool overlaps(const struct span *span, const struct store_question *asked)
{
	return span->live || (span->end_ms != 0 && span->first_ms <= asked->to_unix_ms &&
			      span->last_ms >= asked->from_unix_ms);
}

/*
 * Whether pieces stand for all of it that is asked for: of whole segments too, as they do until it
 * is compact. To open it would cost its words, which are millions of bytes where processes come and
 * go.
 */
static bool is_rolled(const struct picks *picks, const struct span *span,
		      const struct store_question *asked)
{
	if (picks_cover_span(picks, span))
		return true;
	/* Its segments are its writer's, and one of them is open. */
	if (span->live)
		return false;
	for (uint32_t i = 0; i < span->segments.rows.count; i++)
		if (picks_leave_segment(picks, span, &span->segments.rows.items[i], asked))
			return false;
	return true;
}

struct chronicle_wish view_wish(const struct store_question *asked, struct chronicle_wish wish)
{
	if (asked->is_exact && wish.use == CHRONICLE_WHERE_POSSIBLE)
		wish.use = CHRONICLE_WHEN_GONE;
	return wish;
}

int view_open(struct store *store, const struct store_question *asked, struct chronicle_wish wish,
	      struct view *view)
{
	int err = 0;

	pthread_mutex_lock(&store->lock);
	view->rules = deletion_rules_hold(store->rules);
	err = picks_find(store, asked, wish, &view->picks);
	if (!err && array_reserve(&view->spans, store->spans.spans.count) < 0)
		err = -ENOMEM;
	for (uint32_t i = 0; !err && i < store->spans.spans.count; i++) {
		struct span *span = store->spans.spans.items[i];

		if (span->is_damaged || !overlaps(span, asked) ||
		    is_rolled(&view->picks, span, asked))
			continue;
		store_span_hold(span);
		if (span->live)
			span->live->references++;
		view->spans.items[view->spans.count++] = (struct view_span){ span, span->live };
	}
	pthread_mutex_unlock(&store->lock);
	return err;
}

void view_close(struct store *store, struct view *view)
{
	for (uint32_t i = 0; i < view->spans.count; i++) {
		struct view_span *seen = &view->spans.items[i];
		bool is_last = false;

		pthread_mutex_lock(&store->lock);
		if (seen->live)
			is_last = --seen->live->references == 0;
		pthread_mutex_unlock(&store->lock);
		if (is_last)
			live_free(seen->live);
		store_span_release(store, seen->span);
	}
	array_done(&view->spans);
	deletion_rules_release(view->rules);
	picks_done(store, &view->picks);
}
