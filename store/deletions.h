/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "store/array.h"
#include "store/catalog.h"
#include "store/columns.h"
#include "store/store.h"

struct selector;
struct span;
struct store;

/*
 * What was deleted and may still lie in files: who reads these leaves it out. Such a list never
 * changes; each deletion makes a new one, and questions keep the one that they began with.
 */
struct deletion_rule {
	uint64_t number;
	int64_t from_ms, to_ms; /* of starts, both included */
	struct selector *selector;
	bool is_by_block; /* it speaks of nothing but service and type */
};

enum { DELETION_RULE_COUNT_MAX = STORE_DELETION_PENDING_MAX };

struct deletion_rules {
	atomic_uint references;
	uint32_t count;
	struct deletion_rule rules[]; /* ascending by number */
};

/* With a reference more. Accepts and returns NULL, which is none. */
struct deletion_rules *deletion_rules_hold(struct deletion_rules *rules);
struct deletion_rules *deletion_rules_release(struct deletion_rules *rules);

/* A service and a type of which a rule names a series. */
struct hidden_block {
	uint32_t service, type; /* texts */
	uint64_t rules;
};

/* What of one file is hidden: a bit for each rule. */
struct hiding {
	const struct deletion_rules *rules; /* somebody else holds it; or NULL */
	uint64_t mask;			    /* those that hold for it, and name a series of it */
	ARRAY(struct hidden_block) blocks;
};

void hiding_done(struct hiding *hiding);

/*
 * after: up to which deletion the file is clean. The times are those of what is in it. -ENOMEM, and
 * good for hiding_done() in any case.
 */
int hiding_find(const struct deletion_rules *rules, uint64_t after, int64_t first_ms,
		int64_t last_ms, const struct catalog *catalog, struct hiding *ret);

/* Of these which name the series. */
uint64_t hiding_of_series(const struct hiding *hiding, const struct catalog *catalog,
			  uint32_t series);

/* Of these which hold for a time; for all of one; for some of one. */
uint64_t hiding_at(const struct hiding *hiding, uint64_t mask, int64_t time_ms);
uint64_t hiding_all_of(const struct hiding *hiding, uint64_t mask, int64_t first_ms,
		       int64_t last_ms);
uint64_t hiding_some_of(const struct hiding *hiding, uint64_t mask, int64_t first_ms,
			int64_t last_ms);

/* The rules that name a series of this service and type. */
uint64_t hiding_of_block(const struct hiding *hiding, uint32_t service, uint32_t type);

/* ---- the writer's ---- */

/* After a start, before any span is opened. */
int store_open_deletions(struct store *store);
void store_close_deletions(struct store *store);

/* Up to which deletion a new file is clean. */
uint64_t store_last_deletion(const struct store *store);

/* Whether something that was deleted may be in it. The store's lock is held, or the writer asks. */
bool store_may_hide(const struct store *store, const struct span *span);

/* Was looked through, and holds nothing that is deleted; or does so no more. */
void store_note_clean(struct store *store, struct span *span, uint64_t number);

/* So many samples were removed from files. */
void store_note_removed(struct store *store, uint64_t samples);

/* Marks those that hold for no file any more, if there are any. */
bool store_has_finished_deletions(const struct store *store);
int store_finish_deletions(struct store *store);
