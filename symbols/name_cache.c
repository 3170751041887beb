/* SPDX-License-Identifier: Apache-2.0 */
#include "symbols/name_cache.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/table.h"

enum {
	WAY_COUNT = 4, /* names that may stand for one hash */
	SET_COUNT = NAME_CACHE_NAME_COUNT_MAX / WAY_COUNT,
};

static_assert((SET_COUNT & (SET_COUNT - 1)) == 0, "a set is found by a mask");

/* texts: the mangled name, then the other; NULL: empty */
struct cached_name {
	uint64_t hash;
	char *texts;
	uint32_t mangled_size;
	uint32_t size : 31;
	uint32_t is_used : 1; /* since the last look */
};

static_assert(DEMANGLE_TEXT_SIZE_MAX < 1U << 31, "a size is 31 bits");

/* The name asked for last stands first in its set. */
struct name_cache {
	pthread_mutex_t lock;
	struct cached_name names[SET_COUNT][WAY_COUNT];
	struct name_cache_stats stats;
	uint32_t next_set; /* whose last name goes when there are too many bytes */
	uint64_t looked_ns;
};

int name_cache_new(struct name_cache **ret)
{
	struct name_cache *cache = calloc(1, sizeof(*cache));

	if (!cache)
		return -ENOMEM;
	pthread_mutex_init(&cache->lock, NULL);
	*ret = cache;
	return 0;
}

static void forget(struct name_cache *cache, struct cached_name *name)
{
	if (!name->texts)
		return;
	assert(cache->stats.names > 0);
	cache->stats.names--;
	cache->stats.bytes -= name->mangled_size + name->size;
	free(name->texts);
	*name = (struct cached_name){ 0 };
}

struct name_cache *name_cache_free(struct name_cache *cache)
{
	if (!cache)
		return NULL;
	for (size_t set = 0; set < SET_COUNT; set++)
		for (size_t way = 0; way < WAY_COUNT; way++)
			forget(cache, &cache->names[set][way]);
	assert(cache->stats.names == 0 && cache->stats.bytes == 0);
	pthread_mutex_destroy(&cache->lock);
	free(cache);
	return NULL;
}

static bool is_it(const struct cached_name *cached, uint64_t hash, struct str name)
{
	return cached->texts && cached->hash == hash && cached->mangled_size == name.size &&
	       memcmp(cached->texts, name.text, name.size) == 0;
}

static void move_to_front(struct cached_name set[static WAY_COUNT], size_t way)
{
	struct cached_name moved = set[way];

	memmove(set + 1, set, way * sizeof(*set));
	set[0] = moved;
}

/* Copies what is known of a name; its size, or 0. */
static size_t find(struct name_cache *cache, uint64_t hash, struct str name, char *text)
{
	struct cached_name *set = cache->names[hash & (SET_COUNT - 1)];
	size_t size = 0;

	pthread_mutex_lock(&cache->lock);
	for (size_t way = 0; way < WAY_COUNT && size == 0; way++) {
		if (!is_it(&set[way], hash, name))
			continue;
		size = set[way].size;
		set[way].is_used = true;
		memcpy(text, set[way].texts + name.size, size);
		move_to_front(set, way);
	}
	if (size)
		cache->stats.found++;
	else
		cache->stats.missed++;
	pthread_mutex_unlock(&cache->lock);
	return size;
}

/* Makes room for so many bytes, one name of each set in turn. */
static void make_room(struct name_cache *cache, size_t size)
{
	while (cache->stats.bytes + size > NAME_CACHE_SIZE_MAX) {
		struct cached_name *set = cache->names[cache->next_set];
		size_t way = WAY_COUNT;

		cache->next_set = (cache->next_set + 1) % SET_COUNT;
		while (way > 0 && !set[way - 1].texts)
			way--;
		if (way > 0)
			forget(cache, &set[way - 1]);
	}
}

/* Does without where there is no memory: it is a cache. */
static void keep(struct name_cache *cache, uint64_t hash, struct str name, struct str text)
{
	struct cached_name *set = cache->names[hash & (SET_COUNT - 1)];
	char *texts = malloc(name.size + text.size);

	if (!texts)
		return;
	memcpy(texts, name.text, name.size);
	memcpy(texts + name.size, text.text, text.size);

	pthread_mutex_lock(&cache->lock);
	if (is_it(&set[0], hash, name)) { /* another thread was faster */
		free(texts);
	} else {
		make_room(cache, name.size + text.size);
		forget(cache, &set[WAY_COUNT - 1]);
		move_to_front(set, WAY_COUNT - 1);
		set[0] = (struct cached_name){
			.hash = hash,
			.texts = texts,
			.mangled_size = (uint32_t)name.size,
			.size = (uint32_t)text.size & INT32_MAX,
			.is_used = true,
		};
		cache->stats.names++;
		cache->stats.bytes += name.size + text.size;
	}
	pthread_mutex_unlock(&cache->lock);
}

struct str name_cache_demangle(struct name_cache *cache, struct str name,
			       char text[static DEMANGLE_TEXT_SIZE_MAX])
{
	/* Most names of C and of the kernel. */
	if (name.size < 3 || name.text[0] != '_' || name.size > DEMANGLE_MANGLED_SIZE_MAX)
		return name;

	uint64_t hash = table_hash_bytes(name.text, name.size, 0);
	size_t size = find(cache, hash, name, text);

	if (size)
		return (struct str){ text, size };

	struct str found = demangle(name, text);

	if (found.text == text)
		keep(cache, hash, name, found);
	return found;
}

void name_cache_tidy(struct name_cache *cache, uint64_t now_ns)
{
	const uint64_t unused_ns = (uint64_t)NAME_CACHE_UNUSED_SECONDS * (uint64_t)CLOCK_NS_PER_S;

	pthread_mutex_lock(&cache->lock);
	if (now_ns >= cache->looked_ns + unused_ns) {
		cache->looked_ns = now_ns;
		for (size_t set = 0; set < SET_COUNT; set++) {
			for (size_t way = 0; way < WAY_COUNT; way++) {
				if (!cache->names[set][way].is_used)
					forget(cache, &cache->names[set][way]);
				cache->names[set][way].is_used = false;
			}
		}
	}
	pthread_mutex_unlock(&cache->lock);
}

struct name_cache_stats name_cache_stats(struct name_cache *cache)
{
	pthread_mutex_lock(&cache->lock);
	struct name_cache_stats stats = cache->stats;
	pthread_mutex_unlock(&cache->lock);
	return stats;
}
