/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <pthread.h>

#include "store/cache.h"

struct span;
struct sqlite3;

/*
 * The catalog of a span that is not written to, read and unpacked once for all who ask for it at
 * the same time: that of a busy host takes ten megabytes and a tenth of a second.
 */
struct span_words {
	pthread_mutex_t lock;
	struct cached *cached; /* with a reference, while there are users */
	unsigned users;
};

void span_words_init(struct span_words *words);
void span_words_done(struct span_words *words);

/*
 * Reads it through the database where neither another user nor the cache has it. Who comes
 * meanwhile waits. What it gives is for span_words_give(), and only to be read.
 */
int span_words_take(struct span *span, struct cache *cache, struct sqlite3 *database,
		    struct cached **ret);

/* NULL is none. */
struct cached *span_words_give(struct span *span, struct cached *cached);

/* The catalog that a database has now, for span_words_take(), and for files that grow. */
int cached_read_catalog(struct sqlite3 *database, struct cached **ret);
