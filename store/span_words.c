/* SPDX-License-Identifier: Apache-2.0 */
#include "store/span_words.h"

#include <assert.h>
#include <errno.h>

#include "store/span.h"

void span_words_init(struct span_words *words)
{
	pthread_mutex_init(&words->lock, NULL);
}

void span_words_done(struct span_words *words)
{
	assert(words->users == 0);
	pthread_mutex_destroy(&words->lock);
}

int cached_read_catalog(struct sqlite3 *database, struct cached **ret)
{
	autoclean(cached) struct cached *cached = cached_new();
	int err = cached ? catalog_init(&cached->catalog) : -ENOMEM;

	if (!err)
		err = catalog_read_closed(&cached->catalog, database);
	if (err)
		return err;
	catalog_trim(&cached->catalog);
	cached->size = catalog_memory(&cached->catalog);
	*ret = TAKE(cached);
	return 0;
}

static int find_or_read(struct span *span, struct cache *cache, struct sqlite3 *database,
			struct cached **ret)
{
	struct cache_key key = { .span = span->id };
	int err = 0;

	*ret = cache_find(cache, key);
	if (*ret)
		return 0;
	err = cached_read_catalog(database, ret);
	if (!err)
		cache_add(cache, key, *ret);
	return err;
}

int span_words_take(struct span *span, struct cache *cache, struct sqlite3 *database,
		    struct cached **ret)
{
	struct span_words *words = &span->words;
	int err = 0;

	pthread_mutex_lock(&words->lock);
	if (words->users == 0)
		err = find_or_read(span, cache, database, &words->cached);
	if (!err) {
		words->users++;
		*ret = words->cached;
	}
	pthread_mutex_unlock(&words->lock);
	return err;
}

struct cached *span_words_give(struct span *span, struct cached *cached)
{
	struct span_words *words = &span->words;

	if (!cached)
		return NULL;
	pthread_mutex_lock(&words->lock);
	assert(words->cached == cached && words->users > 0);
	if (--words->users == 0)
		words->cached = cached_release(words->cached);
	pthread_mutex_unlock(&words->lock);
	return NULL;
}
