/* SPDX-License-Identifier: Apache-2.0 */
#include "web/guests.h"

#include <assert.h>
#include <errno.h>

#include "base/clock.h"
#include "base/queue.h"
#include "store/store.h"

enum {
	/*
	 * Those who may wait do so for three times as long as the last commit took, so that it is a
	 * quarter of the time at most that the disk writes for them, however slow it is. A hundred
	 * commits a second are the most that a fast one gets, since each costs it some pages; and
	 * the longest pause is a twentieth of what a sender notices.
	 */
	COMMIT_PAUSE_FACTOR = 3,
	COMMIT_PAUSE_MS_MIN = 10,
	COMMIT_PAUSE_MS_MAX = 50,
	/* Of a row that is written at once; it holds four times as many. */
	ENTRY_COUNT_MAX = 1 << 17,
	QUEUE_WAIT_MS = 1000, /* then it is tried again */
};

/* On the stack of its thread. */
struct guest {
	struct guest *next;
	struct batch *batch; /* or NULL */
	enum guest_wish wish;
	int (*act)(void *context); /* in place of both; or NULL */
	void *context;
	bool is_waiting;
	int err;
};

static void add(struct guest_list *list, struct guest *guest)
{
	guest->next = NULL;
	*list->last = guest;
	list->last = &guest->next;
}

/* All of them; the list is empty then. */
static struct guest *take(struct guest_list *list)
{
	struct guest *first = list->first;

	list->first = NULL;
	list->last = &list->first;
	return first;
}

void guests_init(struct guests *guests, struct store *store, int (*commit)(void *context),
		 void *context)
{
	*guests = (struct guests){ .store = store, .commit = commit, .context = context };
	pthread_mutex_init(&guests->lock, NULL);
	pthread_cond_init(&guests->done, NULL);
	guests->arrived.last = &guests->arrived.first;
	guests->committing.last = &guests->committing.first;
}

void guests_done(struct guests *guests)
{
	assert(!guests->arrived.first && !guests->committing.first);
	pthread_cond_destroy(&guests->done);
	pthread_mutex_destroy(&guests->lock);
}

/* Each is gone as soon as it is answered. */
static void answer(struct guests *guests, struct guest *guest, int err)
{
	pthread_mutex_lock(&guests->lock);
	while (guest) {
		struct guest *next = guest->next;

		assert(guest->is_waiting);
		guest->err = err ? err : guest->err;
		guest->is_waiting = false;
		guest = next;
	}
	pthread_cond_broadcast(&guests->done);
	pthread_mutex_unlock(&guests->lock);
}

static int commit(struct guests *guests)
{
	int err = guests->commit(guests->context);

	guests->entries = err ? guests->entries : 0;
	return err;
}

static int append(struct guests *guests, struct batch *batch)
{
	uint32_t entries = batch_totals(batch).entries;
	int err = 0;

	if (guests->entries > 0 && guests->entries + entries > ENTRY_COUNT_MAX)
		err = commit(guests);
	if (!err)
		err = store_append(guests->store, batch);
	guests->entries += err ? 0 : entries;
	return err;
}

static void let_in(struct guests *guests, struct guest *guest)
{
	uint64_t due_ns = clock_monotonic_ns();

	guest->next = NULL;
	if (guest->act) {
		guest->err = guest->act(guest->context);
		answer(guests, guest, 0);
		return;
	}
	if (guest->batch)
		guest->err = append(guests, guest->batch);
	if (guest->wish == GUEST_APPENDS || (guest->err && guest->err != -EALREADY)) {
		answer(guests, guest, 0);
		return;
	}
	if (guest->wish == GUEST_MAY_COMMIT_LATER)
		due_ns = guests->paused_until_ns;
	if (!guests->committing.first || due_ns < guests->commit_ns)
		guests->commit_ns = due_ns;
	add(&guests->committing, guest);
}

void guests_let_in(struct guests *guests)
{
	struct guest *guest;

	pthread_mutex_lock(&guests->lock);
	guest = take(&guests->arrived);
	guests->is_announced = false;
	pthread_mutex_unlock(&guests->lock);
	while (guest) {
		struct guest *next = guest->next;

		let_in(guests, guest);
		guest = next;
	}
}

int guests_wait_ms(const struct guests *guests, int otherwise_ms)
{
	uint64_t now_ns = clock_monotonic_ns();

	if (!guests->committing.first)
		return otherwise_ms;
	if (guests->commit_ns <= now_ns)
		return 0;
	return (int)((guests->commit_ns - now_ns) / CLOCK_NS_PER_MS) + 1;
}

static uint64_t pause_ns(uint64_t commit_ns)
{
	const uint64_t min_ns = UINT64_C(1) * COMMIT_PAUSE_MS_MIN * CLOCK_NS_PER_MS;
	const uint64_t max_ns = UINT64_C(1) * COMMIT_PAUSE_MS_MAX * CLOCK_NS_PER_MS;

	commit_ns *= COMMIT_PAUSE_FACTOR;
	if (commit_ns < min_ns)
		return min_ns;
	return commit_ns < max_ns ? commit_ns : max_ns;
}

static void commit_for_all(struct guests *guests)
{
	uint64_t begun_ns = clock_monotonic_ns();
	int err = commit(guests);
	uint64_t ended_ns = clock_monotonic_ns();

	guests->paused_until_ns = ended_ns + pause_ns(ended_ns - begun_ns);
	answer(guests, take(&guests->committing), err);
}

void guests_commit_due(struct guests *guests)
{
	if (guests->committing.first && clock_monotonic_ns() >= guests->commit_ns)
		commit_for_all(guests);
}

void guests_close(struct guests *guests)
{
	struct guest *guest;

	if (guests->committing.first)
		commit_for_all(guests);
	pthread_mutex_lock(&guests->lock);
	guests->is_closed = true;
	guest = take(&guests->arrived);
	pthread_mutex_unlock(&guests->lock);
	answer(guests, guest, -ECANCELED);
}

static int bring(struct guests *guests, struct queue *queue, struct guest *guest)
{
	bool announces;
	int err = 0;

	pthread_mutex_lock(&guests->lock);
	if (guests->is_closed) {
		pthread_mutex_unlock(&guests->lock);
		return -ECANCELED;
	}
	add(&guests->arrived, guest);
	announces = !guests->is_announced;
	guests->is_announced = true;
	pthread_mutex_unlock(&guests->lock);

	/* It is closed when the writer ends, which then turns everybody away. */
	while (announces && err != -EPIPE) {
		err = queue_push_wait(queue, guests, QUEUE_WAIT_MS);
		announces = err == -ETIMEDOUT;
	}
	pthread_mutex_lock(&guests->lock);
	while (guest->is_waiting)
		pthread_cond_wait(&guests->done, &guests->lock);
	pthread_mutex_unlock(&guests->lock);
	return guest->err;
}

int guests_bring(struct guests *guests, struct queue *queue, struct batch *batch,
		 enum guest_wish wish)
{
	struct guest guest = { .batch = batch, .wish = wish, .is_waiting = true };

	return bring(guests, queue, &guest);
}

int guests_act(struct guests *guests, struct queue *queue, int (*act)(void *context), void *context)
{
	struct guest guest = { .act = act, .context = context, .is_waiting = true };

	return bring(guests, queue, &guest);
}
