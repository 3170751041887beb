/* SPDX-License-Identifier: Apache-2.0 */
#include "web/workers.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>

#include "base/limits.h"

/* A thread's own data lies in its stack, too, of which ThreadSanitizer has 0.8 MB. */
#ifdef __SANITIZE_THREAD__
enum { STACK_SIZE = 2 << 20 };
#else
enum { STACK_SIZE = 1 << 20 };
#endif

struct workers {
	pthread_mutex_t lock;
	pthread_cond_t given;
	struct job *first, **end;
	size_t waiting, idle;
	pthread_t threads[WORKER_COUNT_MAX];
	size_t count;
	bool is_stopping;
};

static void *work(void *context)
{
	struct workers *workers = context;

	pthread_mutex_lock(&workers->lock);
	for (;;) {
		workers->idle++;
		while (!workers->first && !workers->is_stopping)
			pthread_cond_wait(&workers->given, &workers->lock);
		workers->idle--;

		struct job *job = workers->first;

		if (!job)
			break;
		workers->first = job->next;
		if (!workers->first)
			workers->end = &workers->first;
		assert(workers->waiting > 0);
		workers->waiting--;
		pthread_mutex_unlock(&workers->lock);
		job->run(job);
		pthread_mutex_lock(&workers->lock);
	}
	pthread_mutex_unlock(&workers->lock);
	return NULL;
}

/* With the lock held. */
static int add_thread(struct workers *workers)
{
	pthread_attr_t attributes;

	(void)pthread_attr_init(&attributes);
	(void)pthread_attr_setstacksize(&attributes, STACK_SIZE);

	int code = pthread_create(&workers->threads[workers->count], &attributes, work, workers);

	(void)pthread_attr_destroy(&attributes);
	workers->count += code == 0;
	return -code;
}

int workers_new(struct workers **ret)
{
	struct workers *workers = calloc(1, sizeof(*workers));

	if (!workers)
		return -ENOMEM;
	(void)pthread_mutex_init(&workers->lock, NULL);
	(void)pthread_cond_init(&workers->given, NULL);
	workers->end = &workers->first;
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
	if (!workers)
		return NULL;
	pthread_mutex_lock(&workers->lock);
	workers->is_stopping = true;
	pthread_cond_broadcast(&workers->given);
	pthread_mutex_unlock(&workers->lock);
	for (size_t i = 0; i < workers->count; i++)
		(void)pthread_join(workers->threads[i], NULL);
	assert(!workers->first);
	(void)pthread_cond_destroy(&workers->given);
	(void)pthread_mutex_destroy(&workers->lock);
	free(workers);
	return NULL;
}

void workers_give(struct workers *workers, struct job *job)
{
	job->next = NULL;
	pthread_mutex_lock(&workers->lock);
	assert(!workers->is_stopping && workers->count > 0);
	*workers->end = job;
	workers->end = &job->next;
	workers->waiting++;
	if (workers->waiting > workers->idle && workers->count < WORKER_COUNT_MAX)
		(void)add_thread(workers); /* else it waits for one of those that are there */
	pthread_mutex_unlock(&workers->lock);
	pthread_cond_signal(&workers->given); /* who wakes finds the lock free */
}
