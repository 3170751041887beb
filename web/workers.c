/* SPDX-License-Identifier: Apache-2.0 */
#include "web/workers.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <time.h>

#include "base/limits.h"

/* A thread's own data lies in its stack, too, of which ThreadSanitizer has 0.8 MB. */
#ifdef __SANITIZE_THREAD__
enum { STACK_SIZE = 2 << 20 };
#else
enum { STACK_SIZE = 1 << 20 };
#endif

struct worker {
	struct workers *workers;
	pthread_t thread;
	pthread_cond_t called;
	struct worker *next; /* that has rested longer */
	bool is_running;
	bool is_called;
};

struct workers {
	uint64_t resting_ns;
	pthread_mutex_t lock;

	/* guarded by the lock */
	struct job *first, **end;
	size_t waiting; /* jobs */
	size_t coming;	/* threads that were called or started, and have not looked for a job yet */
	struct worker workers[WORKER_COUNT_MAX];
	size_t count;		/* that run */
	struct worker *resting; /* the one that rested last first */
	pthread_t ended;	/* the last; it has joined the one before */
	bool has_ended;
	bool is_stopping;
};

/* ---- a thread, with the lock held -------------------------------------------------------------
 */

static struct job *take_job(struct workers *workers)
{
	struct job *job = workers->first;

	if (!job)
		return NULL;
	workers->first = job->next;
	if (!workers->first)
		workers->end = &workers->first;
	assert(workers->waiting > 0);
	workers->waiting--;
	return job;
}

/* It has come, and looks for a job. */
static void arrive(struct workers *workers)
{
	assert(workers->coming > 0);
	workers->coming--;
}

static void leave_resting(struct workers *workers, struct worker *worker)
{
	struct worker **place = &workers->resting;

	while (*place != worker) {
		assert(*place);
		place = &(*place)->next;
	}
	*place = worker->next;
}

/* Until it is called; false when nobody did for so long. */
static bool rest(struct workers *workers, struct worker *worker)
{
	uint64_t end_ns = clock_monotonic_ns() + workers->resting_ns;
	struct timespec end = {
		.tv_sec = (time_t)(end_ns / CLOCK_NS_PER_S),
		.tv_nsec = (long)(end_ns % CLOCK_NS_PER_S),
	};

	worker->is_called = false;
	worker->next = workers->resting;
	workers->resting = worker;
	while (!worker->is_called) {
		int code = 0;

		/* While one rests none is started: the only one stays that until it is called. */
		if (workers->count == 1)
			(void)pthread_cond_wait(&worker->called, &workers->lock);
		else
			code = pthread_cond_timedwait(&worker->called, &workers->lock, &end);
		if (code == ETIMEDOUT && !worker->is_called && workers->count > 1) {
			leave_resting(workers, worker);
			return false;
		}
	}
	arrive(workers);
	return true;
}

/* Whom to join, by the one that ends. Each joins the one before: who joins the last joins all. */
static bool end_before_others(struct workers *workers, struct worker *worker, pthread_t *ret_before)
{
	bool had_ended = workers->has_ended;

	assert(workers->count > 1 && worker->is_running);
	*ret_before = workers->ended;
	workers->ended = worker->thread;
	workers->has_ended = true;
	worker->is_running = false;
	workers->count--;
	return had_ended;
}

static void *work(void *context)
{
	struct worker *worker = context;
	struct workers *workers = worker->workers;
	pthread_t before;
	bool must_join = false, goes_on = true;

	pthread_mutex_lock(&workers->lock);
	arrive(workers);
	while (goes_on) {
		struct job *job = take_job(workers);

		if (job) {
			pthread_mutex_unlock(&workers->lock);
			job->run(job);
			pthread_mutex_lock(&workers->lock);
		} else if (workers->is_stopping) {
			goes_on = false;
		} else if (!rest(workers, worker)) {
			must_join = end_before_others(workers, worker, &before);
			goes_on = false;
		}
	}
	pthread_mutex_unlock(&workers->lock);
	if (must_join)
		(void)pthread_join(before, NULL);
	return NULL;
}

/* ---- the others, with the lock held -----------------------------------------------------------
 */

static int add_thread(struct workers *workers)
{
	struct worker *worker = workers->workers;
	pthread_attr_t attributes;

	assert(workers->count < WORKER_COUNT_MAX);
	while (worker->is_running)
		worker++;
	(void)pthread_attr_init(&attributes);
	(void)pthread_attr_setstacksize(&attributes, STACK_SIZE);

	int code = pthread_create(&worker->thread, &attributes, work, worker);

	(void)pthread_attr_destroy(&attributes);
	if (code)
		return -code;
	worker->is_running = true;
	workers->count++;
	workers->coming++;
	return 0;
}

/* NULL when none rests. It is to be signalled, without the lock, too. */
static struct worker *call_one(struct workers *workers)
{
	struct worker *worker = workers->resting;

	if (!worker)
		return NULL;
	workers->resting = worker->next;
	workers->coming++;
	worker->is_called = true;
	return worker;
}

/* ---- all of them ------------------------------------------------------------------------------
 */

int workers_new(uint64_t resting_ns, struct workers **ret)
{
	struct workers *workers = calloc(1, sizeof(*workers));
	pthread_condattr_t attributes;

	if (!workers)
		return -ENOMEM;
	workers->resting_ns = resting_ns;
	workers->end = &workers->first;
	(void)pthread_mutex_init(&workers->lock, NULL);
	(void)pthread_condattr_init(&attributes);
	(void)pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
	for (size_t i = 0; i < WORKER_COUNT_MAX; i++) {
		workers->workers[i].workers = workers;
		(void)pthread_cond_init(&workers->workers[i].called, &attributes);
	}
	(void)pthread_condattr_destroy(&attributes);
	pthread_mutex_lock(&workers->lock);

	int err = add_thread(workers); /* so that there is always one */

	pthread_mutex_unlock(&workers->lock);
	if (err) {
		workers_free(workers);
		return err;
	}
	*ret = workers;
	return 0;
}

struct workers *workers_free(struct workers *workers)
{
	struct worker *worker;

	if (!workers)
		return NULL;
	pthread_mutex_lock(&workers->lock);
	workers->is_stopping = true; /* from here on none ends for having rested */
	while ((worker = call_one(workers)))
		(void)pthread_cond_signal(&worker->called);
	pthread_mutex_unlock(&workers->lock);
	for (size_t i = 0; i < WORKER_COUNT_MAX; i++)
		if (workers->workers[i].is_running)
			(void)pthread_join(workers->workers[i].thread, NULL);
	if (workers->has_ended)
		(void)pthread_join(workers->ended, NULL);
	assert(!workers->first);
	for (size_t i = 0; i < WORKER_COUNT_MAX; i++)
		(void)pthread_cond_destroy(&workers->workers[i].called);
	(void)pthread_mutex_destroy(&workers->lock);
	free(workers);
	return NULL;
}

void workers_give(struct workers *workers, struct job *job)
{
	struct worker *called = NULL;

	job->next = NULL;
	pthread_mutex_lock(&workers->lock);
	assert(!workers->is_stopping && workers->count > 0);
	*workers->end = job;
	workers->end = &job->next;
	workers->waiting++;
	/* One comes for each job; else it waits for one of those that work. */
	if (workers->waiting > workers->coming) {
		called = call_one(workers);
		if (!called && workers->count < WORKER_COUNT_MAX)
			(void)add_thread(workers);
	}
	pthread_mutex_unlock(&workers->lock);
	if (called)
		(void)pthread_cond_signal(&called->called); /* who wakes finds the lock free */
}
