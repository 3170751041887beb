/* SPDX-License-Identifier: Apache-2.0 */
#include "store/cache.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

enum { PLACE_COUNT = 256 };

struct place {
	struct cached *cached; /* NULL: free */
	struct cache_key key;
	uint64_t used_ns; /* monotonic */
};

struct cache {
	pthread_mutex_t lock;
	struct place places[PLACE_COUNT];
	size_t size;
	size_t size_max;
};

struct cached *cached_new(void)
{
	struct cached *cached = calloc(1, sizeof(*cached));

	if (cached)
		cached->references = 1;
	return cached;
}

struct cached *cached_release(struct cached *cached)
{
	if (cached && atomic_fetch_sub(&cached->references, 1) == 1) {
		tree_done(&cached->tree);
		array_done(&cached->parts);
		catalog_done(&cached->catalog);
		free(cached->self);
		free(cached->total);
		free(cached->hidden);
		free(cached);
	}
	return NULL;
}

int cache_new(size_t size_max, struct cache **ret)
{
	struct cache *cache = calloc(1, sizeof(*cache));

	if (!cache)
		return -ENOMEM;
	pthread_mutex_init(&cache->lock, NULL);
	cache->size_max = size_max;
	*ret = cache;
	return 0;
}

static void let_go(struct cache *cache, struct place *place)
{
	assert(cache->size >= place->cached->size);
	cache->size -= place->cached->size;
	cached_release(place->cached);
	*place = (struct place){ 0 };
}

struct cache *cache_free(struct cache *cache)
{
	if (!cache)
		return NULL;
	for (size_t i = 0; i < PLACE_COUNT; i++)
		if (cache->places[i].cached)
			let_go(cache, &cache->places[i]);
	assert(cache->size == 0);
	pthread_mutex_destroy(&cache->lock);
	free(cache);
	return NULL;
}

static struct place *find_place(struct cache *cache, struct cache_key key)
{
	for (size_t i = 0; i < PLACE_COUNT; i++) {
		struct place *place = &cache->places[i];

		if (place->cached && place->key.span == key.span &&
		    place->key.segment == key.segment &&
		    place->key.last_segment == key.last_segment && place->key.type == key.type &&
		    place->key.service == key.service)
			return place;
	}
	return NULL;
}

struct cached *cache_find(struct cache *cache, struct cache_key key)
{
	struct cached *cached = NULL;

	pthread_mutex_lock(&cache->lock);

	struct place *place = find_place(cache, key);

	if (place) {
		place->used_ns = clock_monotonic_ns();
		cached = place->cached;
		atomic_fetch_add(&cached->references, 1);
	}
	pthread_mutex_unlock(&cache->lock);
	return cached;
}

/* A free place and room for size, made by letting go what was not used for longest. */
static struct place *make_room(struct cache *cache, size_t size)
{
	for (;;) {
		struct place *free_place = NULL;
		struct place *oldest = NULL;

		for (size_t i = 0; i < PLACE_COUNT; i++) {
			struct place *place = &cache->places[i];

			if (!place->cached)
				free_place = place;
			else if (!oldest || place->used_ns < oldest->used_ns)
				oldest = place;
		}
		if (free_place && (cache->size + size <= cache->size_max || !oldest))
			return free_place;
		let_go(cache, oldest);
	}
}

void cache_add(struct cache *cache, struct cache_key key, struct cached *cached)
{
	if (cached->size > cache->size_max)
		return;

	pthread_mutex_lock(&cache->lock);
	if (!find_place(cache, key)) {
		struct place *place = make_room(cache, cached->size);

		atomic_fetch_add(&cached->references, 1);
		cache->size += cached->size;
		*place = (struct place){ cached, key, clock_monotonic_ns() };
	}
	pthread_mutex_unlock(&cache->lock);
}

void cache_tidy(struct cache *cache, uint64_t now_monotonic_ns)
{
	pthread_mutex_lock(&cache->lock);
	for (size_t i = 0; i < PLACE_COUNT; i++) {
		struct place *place = &cache->places[i];

		if (place->cached && now_monotonic_ns > place->used_ns + CACHE_UNUSED_NS)
			let_go(cache, place);
	}
	pthread_mutex_unlock(&cache->lock);
}

size_t cache_size(struct cache *cache)
{
	pthread_mutex_lock(&cache->lock);

	size_t size = cache->size;

	pthread_mutex_unlock(&cache->lock);
	return size;
}
