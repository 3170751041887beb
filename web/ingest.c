/* SPDX-License-Identifier: Apache-2.0 */
#include "web/ingest.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/heap.h"
#include "base/limits.h"
#include "base/log.h"
#include "base/queue.h"
#include "store/batch.h"
#include "store/store.h"
#include "symbols/symbols.h"
#include "web/guests.h"
#include "web/metrics.h"
#include "web/otlp_kits.h"
#include "web/server.h"
#include "web/window_batch.h"

enum {
	QUEUE_COUNT_MAX = 8,	     /* windows; behind it the collector keeps them */
	BATCH_MEMORY_MAX = 64 << 20, /* twice the largest window */
	RETRY_MS = 1000,
	MAINTAIN_MS = 5000,
	/* While something is compacted or rolled up, so that the next is begun soon: a file that
	 * was imported has hundreds of segments. The thread goes round so often anyway. */
	MAINTAIN_BUSY_MS = 1000,
	/*
	 * It takes less than a millisecond or two. Once a minute the questions of that minute had
	 * touched nearly every hole there was: of 33 MB 7, and more as the holes became more.
	 */
	TRIM_S = 5,
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
	uint64_t next_trim_ns;
	bool is_in_trouble;	/* said once, not every second */
	enum store_state state; /* as it was said last */
	uint32_t damaged_count; /* of which was said */
	uint32_t failing_count;

	struct guests guests; /* its address is in the queue when some have come */
};

static void wish_for_names(struct ingest *ingest, const struct window *window)
{
	const struct ingest_options *options = &ingest->options;
	struct symbols_debug_wish wish;

	for (uint32_t i = 0; i < window->file_count; i++) {
		const struct identity *identity = &window->files[i].identity;

		if (symbols_wants(ingest->server->symbols, identity))
			options->wish(options->context, identity);
		if (options->wish_debug &&
		    symbols_wants_debug(ingest->server->symbols, identity, &wish))
			options->wish_debug(options->context, &wish);
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

/* Each change of the store's state is said once. Returns whether it is at work. */
static bool watch_state(struct ingest *ingest)
{
	struct store_status status;
	char text[256];

	store_status(ingest->server->store, &status);
	if (status.damaged_count > ingest->damaged_count)
		log_warning("'%s' was set aside, as it is damaged: %s; the other hours are served",
			    status.damaged, status.damage);
	ingest->damaged_count = status.damaged_count;
	if (status.failing_count > ingest->failing_count)
		log_error(
			"'%s' is left out until the next start: questions fail on it, though every "
			"checksum in it is right; this is a mistake of Hearth's, please report it",
			status.failing);
	ingest->failing_count = status.failing_count;
	if (status.state == ingest->state)
		return status.is_compacting;
	ingest->state = status.state;
	store_state_text(&status, text, sizeof(text));
	if (status.state == STORE_OK)
		log_notice("the disk has room again, all is stored");
	else
		log_warning("the store is %s: %s", metrics_store_state(status.state), text);
	return status.is_compacting;
}

static void maintain(struct ingest *ingest)
{
	uint64_t now = clock_monotonic_ns();

	if (now < ingest->next_maintenance_ns)
		return;
	ingest->next_maintenance_ns = now + UINT64_C(1) * MAINTAIN_MS * CLOCK_NS_PER_MS;
	otlp_kits_tidy(ingest->server->otlp_kits, now);
	symbols_tidy(ingest->server->symbols, now);

	int err = store_maintain(ingest->server->store, clock_unix_ms());

	if (err)
		report_trouble(ingest, err, "cannot keep the store in order");
	if (watch_state(ingest))
		ingest->next_maintenance_ns =
			now + UINT64_C(1) * MAINTAIN_BUSY_MS * CLOCK_NS_PER_MS;
}

/*
 * Questions and settling leave holes of free memory between what is kept: glibc gives back only
 * what lies at the end, unless it is asked to.
 */
static void give_back(struct ingest *ingest)
{
	uint64_t now = clock_monotonic_ns();

	if (now < ingest->next_trim_ns)
		return;
	ingest->next_trim_ns = now + UINT64_C(1) * TRIM_S * CLOCK_NS_PER_S;
	heap_give_back();
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

/* Windows of the link are committed, and told, with what others brought. */
static int commit_all(void *context)
{
	struct ingest *ingest = context;

	return ingest->has_pending ? commit(ingest) : store_commit(ingest->server->store);
}

int ingest_add(struct ingest *ingest, struct batch *batch, bool commits)
{
	return guests_bring(&ingest->guests, ingest->queue, batch,
			    commits ? GUEST_COMMITS : GUEST_APPENDS);
}

int ingest_commit_soon(struct ingest *ingest)
{
	return guests_bring(&ingest->guests, ingest->queue, NULL, GUEST_MAY_COMMIT_LATER);
}

int ingest_act(struct ingest *ingest, int (*act)(void *context), void *context)
{
	return guests_act(&ingest->guests, ingest->queue, act, context);
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
			guests_let_in(&ingest->guests);
		else
			err = queue_pop(ingest->queue, guests_wait_ms(&ingest->guests, RETRY_MS),
					&item);
		held = NULL;
		if (!err && item == &ingest->guests) {
			guests_let_in(&ingest->guests);
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
		guests_commit_due(&ingest->guests);
		if (is_overdue(ingest))
			(void)commit(ingest);
		maintain(ingest);
		give_back(ingest);
	}
	window_free(held);
	guests_close(&ingest->guests);
	(void)commit(ingest);
	return NULL;
}

static struct ingest *ingest_free(struct ingest *ingest)
{
	queue_free(ingest->queue);
	batch_free(ingest->batch);
	window_batch_free(ingest->filling);
	guests_done(&ingest->guests);
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

	guests_init(&ingest->guests, options->server->store, commit_all, ingest);

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
