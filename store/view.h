/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "store/array.h"
#include "store/chronicle.h"
#include "store/store_private.h"

/*
 * What one question reads: the spans that may hold an answer, and the pieces of chronicles that
 * stand in for some, as they were at one moment, each with a reference.
 */
struct view_span {
	struct span *span;
	struct live *live; /* NULL when it is not written to */
};

struct view {
	ARRAY(struct view_span) spans;
	struct picks picks;
	struct deletion_rules *rules; /* or NULL */
};

/* What of a wish is left to a question that wants exact answers. */
struct chronicle_wish view_wish(const struct store_question *asked, struct chronicle_wish wish);

/* 0 or -ENOMEM; to be closed in both cases. */
int view_open(struct store *store, const struct store_question *asked, struct chronicle_wish wish,
	      struct view *view);
void view_close(struct store *store, struct view *view);
