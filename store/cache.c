/* SPDX-License-Identifier: Apache-2.0 */
#include "store/cache.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>

#include "base/table.h"

/*
 * What is small and dear, sums of many segments, has a share of its own, so that what is large and
 * cheap, such as the catalogs of a week, does not drive it out.
 */
enum share {
	SHARE_PARTS,
	SHARE_SUMS,
	SHARE_COUNT,
};

enum {
	PLACE_COUNT = 256,
	/* A page and Grafana that follow the last hour ask for as many in ten minutes. */
	ASKED_COUNT = 256,
};

/* Of a sum that was found, before another may take its place. */
enum { MOMENT_INTERVALS = 4 };
#define MOMENT_MIN_NS (UINT64_C(1) * CLOCK_NS_PER_S)

struct place {
	struct cached *cached; /* NULL: free */
	struct cache_key key;
	uint64_t used_ns;     /* monotonic */
	uint64_t interval_ns; /* between the last two times; 0: it was not found yet */
};

struct cache {
	pthread_mutex_t lock;
	struct place places[PLACE_COUNT];
	size_t sizes[SHARE_COUNT];
	size_t sizes_max[SHARE_COUNT]; /* now */
	size_t size_max;	       /* of both, ever */
	uint64_t asked[ASKED_COUNT];   /* hashes of times that were asked for once */
	uint32_t asked_next;
};

static enum share share_of(struct cache_key key)
{
	return key.type && key.last_segment ? SHARE_SUMS : SHARE_PARTS;
}

struct cached *cached_new(void)
{
	struct cached *cached = calloc(1, sizeof(*cached));

	if (cached)
		cached->references = 1;
	return cached;
}

static void free_arrays(struct cached *cached)
{
	if (cached->pages) {
		gather_free(cached->pages, cached->pages_size);
		return;
	}
	tree_done(&cached->tree);
	array_done(&cached->parts);
	catalog_done(&cached->catalog);
	free(cached->self);
	free(cached->total);
	free(cached->hidden);
}

struct cached *cached_release(struct cached *cached)
{
	if (cached && atomic_fetch_sub(&cached->references, 1) == 1) {
		free_arrays(cached);
		free(cached);
	}
	return NULL;
}

static void move_arrays(struct cached *cached, struct gather *gather)
{
	size_t node_count = cached->tree.nodes.count;

	tree_gather(&cached->tree, gather);
	array_gather(&cached->parts, gather);
	catalog_gather(&cached->catalog, gather);
	cached->self = gather_move(gather, cached->self, node_count * sizeof(cached->self[0]));
	cached->total = gather_move(gather, cached->total, node_count * sizeof(cached->total[0]));
	cached->hidden =
		gather_move(gather, cached->hidden, node_count * sizeof(cached->hidden[0]));
}

/* Where there are no pages it stays where it is. */
static void settle_down(struct cached *cached)
{
	struct gather gather = { 0 };

	move_arrays(cached, &gather);
	if (gather_begin(&gather) < 0 || !gather.pages)
		return;
	move_arrays(cached, &gather);
	cached->pages = gather.pages;
	cached->pages_size = gather.capacity;
}

int cache_new(size_t size_max, struct cache **ret)
{
	struct cache *cache = calloc(1, sizeof(*cache));

	if (!cache)
		return -ENOMEM;
	pthread_mutex_init(&cache->lock, NULL);
	cache->size_max = size_max;
	cache_limit(cache, size_max);
	*ret = cache;
	return 0;
}

static void let_go(struct cache *cache, struct place *place)
{
	size_t *size = &cache->sizes[share_of(place->key)];

	assert(*size >= place->cached->size);
	*size -= place->cached->size;
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
	for (int i = 0; i < SHARE_COUNT; i++)
		assert(cache->sizes[i] == 0);
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
		    place->key.from_ms == key.from_ms && place->key.to_ms == key.to_ms &&
		    place->key.left == key.left && place->key.service == key.service &&
		    place->key.keep == key.keep)
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
		uint64_t now_ns = clock_monotonic_ns();

		place->interval_ns = now_ns - place->used_ns + 1;
		place->used_ns = now_ns;
		cached = place->cached;
		atomic_fetch_add(&cached->references, 1);
	}
	pthread_mutex_unlock(&cache->lock);
	return cached;
}

static bool is_older(const struct place *place, const struct place *than)
{
	return !than || place->used_ns < than->used_ns;
}

/*
 * Whoever asks for more spans than there is room for the sums of, and asks again, would find none
 * of them if each took the place of one that is needed next: those of a moment ago stay. Of one
 * that was found a moment is a few times as long as it took until then: who asked for it has gone
 * on to something else.
 */
static bool is_needed_next(const struct place *place, uint64_t now_ns)
{
	uint64_t moment_ns = CACHE_FRESH_NS;

	if (place->interval_ns && place->interval_ns < CACHE_FRESH_NS / MOMENT_INTERVALS)
		moment_ns = place->interval_ns * MOMENT_INTERVALS + MOMENT_MIN_NS;
	return share_of(place->key) == SHARE_SUMS && now_ns < place->used_ns + moment_ns;
}

/* A free place and room for size, made by letting go what of the share was not used for longest, or
 * of all when there is no place; or NULL. */
static struct place *make_room(struct cache *cache, enum share share, size_t size)
{
	uint64_t now_ns = clock_monotonic_ns();

	for (;;) {
		struct place *free_place = NULL;
		struct place *oldest = NULL;
		struct place *oldest_of_all = NULL;

		for (size_t i = 0; i < PLACE_COUNT; i++) {
			struct place *place = &cache->places[i];

			if (!place->cached) {
				free_place = place;
				continue;
			}
			if (is_needed_next(place, now_ns))
				continue;
			if (is_older(place, oldest_of_all))
				oldest_of_all = place;
			if (share_of(place->key) == share && is_older(place, oldest))
				oldest = place;
		}
		if (free_place && cache->sizes[share] + size <= cache->sizes_max[share])
			return free_place;
		if (!oldest && !free_place)
			oldest = oldest_of_all;
		if (!oldest)
			return NULL;
		let_go(cache, oldest);
	}
}

static_assert(sizeof(struct cache_key) == 48, "hashed as bytes: no padding");

/*
 * A page that follows the last hour asks for other times every few seconds: each of them, kept for
 * a minute, took thirteen MiB that nobody finds. What is asked for again is kept from then on.
 */
static bool is_asked_once(struct cache *cache, struct cache_key key)
{
	uint64_t hash = table_hash_bytes(&key, sizeof(key), 0);
	bool is_first = true;

	if (key.from_ms == 0 && key.to_ms == 0)
		return false;
	pthread_mutex_lock(&cache->lock);
	for (uint32_t i = 0; i < ASKED_COUNT; i++)
		is_first = is_first && cache->asked[i] != hash;
	if (is_first)
		cache->asked[cache->asked_next++ % ASKED_COUNT] = hash;
	pthread_mutex_unlock(&cache->lock);
	return is_first;
}

void cache_add(struct cache *cache, struct cache_key key, struct cached *cached)
{
	enum share share = share_of(key);

	if (cached->size > cache->size_max / SHARE_COUNT || is_asked_once(cache, key))
		return;
	if (!cached->pages)
		settle_down(cached);

	pthread_mutex_lock(&cache->lock);
	if (!find_place(cache, key) && cached->size <= cache->sizes_max[share]) {
		struct place *place = make_room(cache, share, cached->size);

		if (place) {
			atomic_fetch_add(&cached->references, 1);
			cache->sizes[share] += cached->size;
			*place = (struct place){ .cached = cached,
						 .key = key,
						 .used_ns = clock_monotonic_ns() };
		}
	}
	pthread_mutex_unlock(&cache->lock);
}

void cache_forget_before(struct cache *cache, uint32_t span, uint32_t segment)
{
	pthread_mutex_lock(&cache->lock);
	for (size_t i = 0; i < PLACE_COUNT; i++) {
		struct place *place = &cache->places[i];

		if (place->cached && place->key.span == span && place->key.segment < segment &&
		    share_of(place->key) == SHARE_PARTS)
			let_go(cache, place);
	}
	pthread_mutex_unlock(&cache->lock);
}

void cache_tidy(struct cache *cache, uint64_t now_monotonic_ns, uint64_t unused_ns)
{
	pthread_mutex_lock(&cache->lock);
	for (size_t i = 0; i < PLACE_COUNT; i++) {
		struct place *place = &cache->places[i];

		if (place->cached && now_monotonic_ns > place->used_ns + unused_ns)
			let_go(cache, place);
	}
	pthread_mutex_unlock(&cache->lock);
}

static void shrink(struct cache *cache, enum share share)
{
	while (cache->sizes[share] > cache->sizes_max[share]) {
		struct place *oldest = NULL;

		for (size_t i = 0; i < PLACE_COUNT; i++) {
			struct place *place = &cache->places[i];

			if (place->cached && share_of(place->key) == share &&
			    is_older(place, oldest))
				oldest = place;
		}
		let_go(cache, oldest);
	}
}

void cache_limit(struct cache *cache, size_t size_max)
{
	pthread_mutex_lock(&cache->lock);
	if (size_max > cache->size_max)
		size_max = cache->size_max;
	for (int share = 0; share < SHARE_COUNT; share++) {
		cache->sizes_max[share] = size_max / SHARE_COUNT;
		shrink(cache, (enum share)share);
	}
	pthread_mutex_unlock(&cache->lock);
}

size_t cache_size(struct cache *cache)
{
	pthread_mutex_lock(&cache->lock);

	size_t size = cache->sizes[SHARE_PARTS] + cache->sizes[SHARE_SUMS];

	pthread_mutex_unlock(&cache->lock);
	return size;
}
