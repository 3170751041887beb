/* SPDX-License-Identifier: Apache-2.0 */
#include "web/retries.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/table.h"
#include "store/store.h"

enum {
	/* A fourth of the sources that the store remembers, so that no collector's is pushed out.
	 */
	COUNT_MAX = 256,
	/* Senders give up sooner; behind it equal profiles are new ones. */
	REMEMBERED_S = 900,
};

enum state {
	STATE_FREE = 0,
	STATE_RUNNING,
	STATE_UNTOLD, /* it ended, and its sender does not know that it is stored */
};

struct known {
	enum state state;
	uint64_t key;
	uint32_t number;	       /* among equal ones, from 0 */
	const struct request *request; /* while it runs */
	uint64_t ended_ns;
	bool has_stored;
};

struct retries {
	struct store *store;
	pthread_mutex_t lock; /* guards what follows */
	pthread_cond_t ended;
	struct known known[COUNT_MAX];
};

int retries_new(struct store *store, struct retries **ret)
{
	struct retries *retries = calloc(1, sizeof(*retries));

	if (!retries)
		return -ENOMEM;
	retries->store = store;
	pthread_mutex_init(&retries->lock, NULL);
	pthread_cond_init(&retries->ended, NULL);
	*ret = retries;
	return 0;
}

struct retries *retries_free(struct retries *retries)
{
	if (!retries)
		return NULL;
	for (uint32_t i = 0; i < COUNT_MAX; i++)
		assert(retries->known[i].state != STATE_RUNNING);
	pthread_cond_destroy(&retries->ended);
	pthread_mutex_destroy(&retries->lock);
	free(retries);
	return NULL;
}

/* The first is the key itself: it is the one that files may know after a crash. */
static uint64_t source_of(const struct known *known)
{
	uint64_t source = known->number == 0 ? known->key
					     : table_hash_bytes(&known->number,
								sizeof(known->number), known->key);

	return source ? source : 1;
}

static void forget(struct retries *retries, struct known *known)
{
	store_forget_source(retries->store, source_of(known));
	*known = (struct known){ .state = STATE_FREE };
}

static void forget_old(struct retries *retries)
{
	uint64_t now_ns = clock_monotonic_ns();

	for (uint32_t i = 0; i < COUNT_MAX; i++) {
		struct known *known = &retries->known[i];

		if (known->state == STATE_UNTOLD &&
		    now_ns - known->ended_ns > REMEMBERED_S * (uint64_t)CLOCK_NS_PER_S)
			forget(retries, known);
	}
}

static bool is_gone(const struct known *known)
{
	return known->request->is_gone && known->request->is_gone(known->request);
}

/* One whose sender may have sent it again as this one; NULL when there is none. */
static struct known *find_equal(struct retries *retries, uint64_t key)
{
	struct known *leaving = NULL;

	for (uint32_t i = 0; i < COUNT_MAX; i++) {
		struct known *known = &retries->known[i];

		if (known->state == STATE_FREE || known->key != key)
			continue;
		if (known->state == STATE_UNTOLD)
			return known;
		if (!leaving && is_gone(known))
			leaving = known;
	}
	return leaving;
}

static bool is_taken(const struct retries *retries, uint64_t key, uint32_t number)
{
	for (uint32_t i = 0; i < COUNT_MAX; i++)
		if (retries->known[i].state != STATE_FREE && retries->known[i].key == key &&
		    retries->known[i].number == number)
			return true;
	return false;
}

/* A free place, or that of the one that ended first; NULL when all run. */
static struct known *find_place(struct retries *retries)
{
	struct known *oldest = NULL;

	for (uint32_t i = 0; i < COUNT_MAX; i++) {
		struct known *known = &retries->known[i];

		if (known->state == STATE_FREE)
			return known;
		if (known->state == STATE_UNTOLD && (!oldest || known->ended_ns < oldest->ended_ns))
			oldest = known;
	}
	if (oldest)
		forget(retries, oldest);
	return oldest;
}

static struct known *add(struct retries *retries, uint64_t key)
{
	struct known *known = find_place(retries);
	uint32_t number = 0;

	if (!known)
		return NULL;
	while (is_taken(retries, key, number))
		number++;
	*known = (struct known){ .key = key, .number = number };
	return known;
}

struct retry retries_begin(struct retries *retries, uint64_t key, const struct request *request)
{
	struct retry retry = { .retries = retries };
	struct known *known;

	assert(request);
	pthread_mutex_lock(&retries->lock);
	forget_old(retries);
	while ((known = find_equal(retries, key)) && known->state == STATE_RUNNING)
		pthread_cond_wait(&retries->ended, &retries->lock);
	if (!known)
		known = add(retries, key);
	if (known) {
		known->state = STATE_RUNNING;
		known->request = request;
		retry.source = source_of(known);
		retry.place = (uint32_t)(known - retries->known);
	}
	pthread_mutex_unlock(&retries->lock);
	return retry;
}

void retries_end(struct retry *retry, bool is_told, bool has_stored)
{
	struct retries *retries = retry->retries;
	struct known *known;

	retry->retries = NULL;
	if (!retries || !retry->source)
		return;
	pthread_mutex_lock(&retries->lock);
	known = &retries->known[retry->place];
	assert(known->state == STATE_RUNNING);
	known->state = STATE_UNTOLD;
	known->request = NULL;
	known->ended_ns = clock_monotonic_ns();
	known->has_stored |= has_stored;
	if (is_told || !known->has_stored)
		forget(retries, known);
	pthread_cond_broadcast(&retries->ended);
	pthread_mutex_unlock(&retries->lock);
}
