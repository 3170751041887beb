/* SPDX-License-Identifier: Apache-2.0 */
#include "web/ingest.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/limits.h"
#include "base/log.h"
#include "base/queue.h"
#include "store/batch.h"
#include "store/store.h"
#include "symbols/symbols.h"
#include "web/metrics.h"
#include "web/server.h"
#include "web/window_batch.h"

enum {
	QUEUE_COUNT_MAX = 8,	     /* windows; behind it the collector keeps them */
	BATCH_MEMORY_MAX = 64 << 20, /* twice the largest window */
	RETRY_MS = 1000,
	MAINTAIN_MS = 5000,
	/* Between commits of what is pushed: a twentieth of what a sender notices. */
	COMMIT_PAUSE_MS = 50,
	/* Entries of theirs in one row; it holds four times as many. */
	GUEST_ENTRY_COUNT_MAX = 1 << 17,
};

/* What somebody else brings, on the stack of its thread. */
struct guest {
	struct guest *next;
	struct batch *batch;	/* or NULL */
	bool commits, may_wait; /* for others to commit with */
	bool is_waiting;
	int err;
};

struct guests {
	struct guest *first, **last;
};

struct ingest {
	struct ingest_options options;
	struct server *server;
	struct queue *queue;
	pthread_t thread;
	bool is_running;
	_Atomic uint64_t turned_ns; /* when the thread last went round, monotonic */
	struct window_batch *filling;
	struct batch *batch;

	/* What was appended since the last commit. */
	bool has_pending;
	int64_t pending_slot; /* of data time, window_ns each */
	uint64_t pending_collector, pending_sequence;
	uint64_t pending_since_ns; /* monotonic */
	uint64_t next_maintenance_ns;
	bool is_in_trouble;	/* said once, not every second */
	enum store_state state; /* as it was said last */
	uint32_t damaged_count; /* of which was said */

	/* Those that came, under the lock, and those whose batches were appended, the writer's: a
	 * commit a push would sync the disk hundreds of times a second. */
	pthread_mutex_t guest_lock;
	pthread_cond_t guest_done;
	struct guests guests; /* its address is in the queue when some are new */
	bool is_announced, is_closed;
	struct guests committing;
	uint32_t guest_entries;	  /* appended since the last commit */
	uint64_t guest_commit_ns; /* when they are to be committed */
	uint64_t last_guest_commit_ns;
};

static void wish_for_names(struct ingest *ingest, const struct window *window)
{
	const struct ingest_options *options = &ingest->options;
	char name[DEBUG_LINK_NAME_SIZE];

	for (uint32_t i = 0; i < window->file_count; i++) {
		const struct identity *identity = &window->files[i].identity;

		if (symbols_wants(ingest->server->symbols, identity))
			options->wish(options->context, identity);
		if (options->wish_debug &&
		    symbols_wants_debug(ingest->server->symbols, identity, name))
			options->wish_debug(options->context, identity, name);
	}
}

/* ---- into the store -----------------------------------------------------------------------------
 */

static void report_trouble(struct ingest *ingest, int err, const char *what)
{
	if (!ingest->is_in_trouble)
		log_error_errno(
			err, "%s, trying again every second; nothing that was acknowledged is lost",
			what);
	ingest->is_in_trouble = true;
}

static int commit(struct ingest *ingest)
{
	if (!ingest->has_pending)
		return 0;

	int err = store_commit(ingest->server->store);

	if (err) {
		report_trouble(ingest, err, "cannot write to the store");
		return err;
	}
	if (ingest->is_in_trouble)
		log_notice("the store can be written again");
	ingest->is_in_trouble = false;
	ingest->has_pending = false;
	ingest->options.committed(ingest->options.context, ingest->pending_collector,
				  ingest->pending_sequence);
	return 0;
}

static int take(struct ingest *ingest, const struct window *window)
{
	uint64_t window_ns = ingest->server->settings->window_ns;
	int64_t slot =
		((int64_t)window->start_boot_ns + window->boot_to_unix_ns) / (int64_t)window_ns;
	int err = 0;

	/* One row holds one slot of data time, from one collector. */
	if (ingest->has_pending &&
	    (slot != ingest->pending_slot || window->collector != ingest->pending_collector))
		err = commit(ingest);
	if (!err)
		err = window_batch_fill(ingest->filling, window, ingest->batch);
	if (err == -E2BIG || err == -EINVAL) {
		/* It will never fit: count it, and take what comes after. */
		ingest->server->counters.windows_refused++;
		log_warning_errno(err, "a window of %llu samples does not fit, skipping",
				  (unsigned long long)window->sample_count);
		return 0;
	}
	if (!err) {
		err = store_append(ingest->server->store, ingest->batch);
		if (err == -EALREADY)
			err = 0;
	}
	if (err) {
		report_trouble(ingest, err, "cannot add to the store");
		return err;
	}
	if (!ingest->has_pending)
		ingest->pending_since_ns = clock_monotonic_ns();
	ingest->has_pending = true;
	ingest->pending_slot = slot;
	ingest->pending_collector = window->collector;
	ingest->pending_sequence = window->sequence;
	wish_for_names(ingest, window);
	return 0;
}

/* Each change of the store's state is said once. */
static void watch_state(struct ingest *ingest)
{
	struct store_status status;
	char text[256];

	store_status(ingest->server->store, &status);
	if (status.damaged_count > ingest->damaged_count)
		log_warning("'%s' was set aside, as it is damaged: %s; the other hours are served",
			    status.damaged, status.damage);
	ingest->damaged_count = status.damaged_count;
	if (status.state == ingest->state)
		return;
	ingest->state = status.state;
	store_state_text(&status, text, sizeof(text));
	if (status.state == STORE_OK)
		log_notice("the disk has room again, all is stored");
	else
		log_warning("the store is %s: %s", metrics_store_state(status.state), text);
}

static void maintain(struct ingest *ingest)
{
	uint64_t now = clock_monotonic_ns();

	if (now < ingest->next_maintenance_ns)
		return;
	ingest->next_maintenance_ns = now + UINT64_C(1) * MAINTAIN_MS * CLOCK_NS_PER_MS;

	int err = store_maintain(ingest->server->store, clock_unix_ms());

	if (err)
		report_trouble(ingest, err, "cannot keep the store in order");
	watch_state(ingest);
}

/* A collector that went silent does not leave its last windows uncommitted. */
static bool is_overdue(const struct ingest *ingest)
{
	return ingest->has_pending &&
	       clock_monotonic_ns() - ingest->pending_since_ns >
		       ingest->server->settings->window_ns + 2 * (uint64_t)CLOCK_NS_PER_S;
}

/* ---- batches of others --------------------------------------------------------------------------
 */

static void add_guest(struct guests *guests, struct guest *guest)
{
	guest->next = NULL;
	*guests->last = guest;
	guests->last = &guest->next;
}

static struct guest *take_guests(struct guests *guests)
{
	struct guest *first = guests->first;

	guests->first = NULL;
	guests->last = &guests->first;
	return first;
}

/* Each is gone as soon as it is answered. */
static void answer_guests(struct ingest *ingest, struct guest *guest, int err)
{
	pthread_mutex_lock(&ingest->guest_lock);
	while (guest) {
		struct guest *next = guest->next;

		assert(guest->is_waiting);
		guest->err = err ? err : guest->err;
		guest->is_waiting = false;
		guest = next;
	}
	pthread_cond_broadcast(&ingest->guest_done);
	pthread_mutex_unlock(&ingest->guest_lock);
}

/* What windows of the link brought is committed, and told, with it. */
static int commit_all(struct ingest *ingest)
{
	int err = ingest->has_pending ? commit(ingest) : store_commit(ingest->server->store);

	ingest->guest_entries = err ? ingest->guest_entries : 0;
	return err;
}

static void commit_guests(struct ingest *ingest)
{
	int err = commit_all(ingest);

	ingest->last_guest_commit_ns = clock_monotonic_ns();
	answer_guests(ingest, take_guests(&ingest->committing), err);
}

/* A row holds so much and no more. */
static int append_batch(struct ingest *ingest, struct batch *batch)
{
	uint32_t entries = batch_totals(batch).entries;
	int err = 0;

	if (ingest->guest_entries > 0 && ingest->guest_entries + entries > GUEST_ENTRY_COUNT_MAX)
		err = commit_all(ingest);
	if (!err)
		err = store_append(ingest->server->store, batch);
	ingest->guest_entries += err ? 0 : entries;
	return err;
}

static void append_guest(struct ingest *ingest, struct guest *guest)
{
	uint64_t now_ns = clock_monotonic_ns();
	uint64_t due_ns = now_ns;

	guest->next = NULL;
	if (guest->batch)
		guest->err = append_batch(ingest, guest->batch);
	if (!guest->commits || (guest->err && guest->err != -EALREADY)) {
		answer_guests(ingest, guest, 0);
		return;
	}
	if (guest->may_wait)
		due_ns = ingest->last_guest_commit_ns +
			 UINT64_C(1) * COMMIT_PAUSE_MS * CLOCK_NS_PER_MS;
	if (!ingest->committing.first || due_ns < ingest->guest_commit_ns)
		ingest->guest_commit_ns = due_ns;
	add_guest(&ingest->committing, guest);
}

static void let_guests_in(struct ingest *ingest)
{
	struct guest *guest;

	pthread_mutex_lock(&ingest->guest_lock);
	guest = take_guests(&ingest->guests);
	ingest->is_announced = false;
	pthread_mutex_unlock(&ingest->guest_lock);
	while (guest) {
		struct guest *next = guest->next;

		append_guest(ingest, guest);
		guest = next;
	}
}

/* How long the writer may wait for something new. */
static int wait_ms(const struct ingest *ingest)
{
	uint64_t now_ns = clock_monotonic_ns();

	if (!ingest->committing.first)
		return RETRY_MS;
	if (ingest->guest_commit_ns <= now_ns)
		return 0;
	return (int)((ingest->guest_commit_ns - now_ns) / CLOCK_NS_PER_MS) + 1;
}

static bool is_commit_due(const struct ingest *ingest)
{
	return ingest->committing.first && clock_monotonic_ns() >= ingest->guest_commit_ns;
}

/* Nobody will let them in any more. */
static void turn_guests_away(struct ingest *ingest)
{
	struct guest *guest;

	pthread_mutex_lock(&ingest->guest_lock);
	ingest->is_closed = true;
	guest = take_guests(&ingest->guests);
	pthread_mutex_unlock(&ingest->guest_lock);
	answer_guests(ingest, guest, -ECANCELED);
}

static int be_guest(struct ingest *ingest, struct guest *guest)
{
	bool announces;
	int err = 0;

	pthread_mutex_lock(&ingest->guest_lock);
	if (ingest->is_closed) {
		pthread_mutex_unlock(&ingest->guest_lock);
		return -ECANCELED;
	}
	guest->is_waiting = true;
	add_guest(&ingest->guests, guest);
	announces = !ingest->is_announced;
	ingest->is_announced = true;
	pthread_mutex_unlock(&ingest->guest_lock);

	/* Closed it is when the writer ends, and then it turns everybody away. */
	while (announces && err != -EPIPE) {
		err = queue_push_wait(ingest->queue, &ingest->guests, RETRY_MS);
		announces = err == -ETIMEDOUT;
	}
	pthread_mutex_lock(&ingest->guest_lock);
	while (guest->is_waiting)
		pthread_cond_wait(&ingest->guest_done, &ingest->guest_lock);
	pthread_mutex_unlock(&ingest->guest_lock);
	return guest->err;
}

int ingest_add(struct ingest *ingest, struct batch *batch, bool commits)
{
	return be_guest(ingest, &(struct guest){ .batch = batch, .commits = commits });
}

int ingest_commit_soon(struct ingest *ingest)
{
	return be_guest(ingest, &(struct guest){ .commits = true, .may_wait = true });
}

static void *run(void *context)
{
	struct ingest *ingest = context;
	struct window *held = NULL; /* the store did not take it */
	int err = 0;

	(void)pthread_setname_np(pthread_self(), "writer");
	while (err != -EPIPE) {
		void *item = held;

		err = 0;
		ingest->turned_ns = clock_monotonic_ns();
		if (held)
			let_guests_in(ingest);
		else
			err = queue_pop(ingest->queue, wait_ms(ingest), &item);
		held = NULL;
		if (!err && item == &ingest->guests) {
			let_guests_in(ingest);
		} else if (!err && take(ingest, item)) {
			struct timespec pause = { .tv_sec = RETRY_MS / CLOCK_MS_PER_S };

			held = item;
			/* When we are to end, what the store does not take stays with the
			 * collector. */
			if (queue_is_closed(ingest->queue))
				break;
			(void)nanosleep(&pause, NULL);
		} else if (!err) {
			window_free(item);
		}
		if (is_commit_due(ingest))
			commit_guests(ingest);
		if (is_overdue(ingest))
			(void)commit(ingest);
		maintain(ingest);
	}
	window_free(held);
	if (ingest->committing.first)
		commit_guests(ingest);
	(void)commit(ingest);
	turn_guests_away(ingest);
	return NULL;
}

static struct ingest *ingest_free(struct ingest *ingest)
{
	queue_free(ingest->queue);
	batch_free(ingest->batch);
	window_batch_free(ingest->filling);
	pthread_cond_destroy(&ingest->guest_done);
	pthread_mutex_destroy(&ingest->guest_lock);
	free(ingest);
	return NULL;
}

int ingest_start(const struct ingest_options *options, struct ingest **ret)
{
	assert(options->server && options->committed && options->wish);

	struct ingest *ingest = calloc(1, sizeof(*ingest));

	if (!ingest)
		return -ENOMEM;
	ingest->options = *options;
	ingest->turned_ns = clock_monotonic_ns();
	ingest->server = options->server;

	struct store_status status;

	/* What was found when the store was opened has been said. */
	store_status(options->server->store, &status);
	ingest->damaged_count = status.damaged_count;

	pthread_mutex_init(&ingest->guest_lock, NULL);
	pthread_cond_init(&ingest->guest_done, NULL);
	(void)take_guests(&ingest->guests);
	(void)take_guests(&ingest->committing);

	int err = queue_new(QUEUE_COUNT_MAX, &ingest->queue);

	if (!err)
		err = batch_new(BATCH_MEMORY_MAX, &ingest->batch);
	if (!err)
		err = window_batch_new(options, &ingest->filling);
	if (!err)
		err = -pthread_create(&ingest->thread, NULL, run, ingest);
	if (err) {
		ingest_free(ingest);
		return err;
	}
	ingest->is_running = true;
	*ret = ingest;
	return 0;
}

void ingest_close(struct ingest *ingest)
{
	void *left;

	if (!ingest->is_running)
		return;
	queue_close(ingest->queue);
	pthread_join(ingest->thread, NULL);
	ingest->is_running = false;
	while (queue_pop(ingest->queue, 0, &left) == 0)
		if (left != &ingest->guests)
			window_free(left);
}

struct ingest *ingest_stop(struct ingest *ingest)
{
	if (!ingest)
		return NULL;
	ingest_close(ingest);
	return ingest_free(ingest);
}

uint64_t ingest_turned_ns(const struct ingest *ingest)
{
	return ingest->turned_ns;
}

int ingest_push(struct ingest *ingest, struct window *window, int timeout_ms)
{
	return queue_push_wait(ingest->queue, window, timeout_ms);
}
