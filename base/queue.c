/* SPDX-License-Identifier: Apache-2.0 */
#include "base/queue.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>

#include "base/clock.h"

struct queue {
	pthread_mutex_t lock;
	pthread_cond_t has_item;
	pthread_cond_t has_room;
	/* guarded by lock: */
	bool closed;
	size_t first;
	size_t count;
	size_t capacity;
	void *items[];
};

int queue_new(size_t capacity, struct queue **ret)
{
	assert(capacity > 0);

	struct queue *queue = calloc(1, sizeof(*queue) + capacity * sizeof(queue->items[0]));

	if (!queue)
		return -ENOMEM;
	queue->capacity = capacity;

	pthread_condattr_t attributes;

	pthread_condattr_init(&attributes);
	pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
	pthread_mutex_init(&queue->lock, NULL);
	pthread_cond_init(&queue->has_item, &attributes);
	pthread_cond_init(&queue->has_room, &attributes);
	pthread_condattr_destroy(&attributes);

	*ret = queue;
	return 0;
}

struct queue *queue_free(struct queue *queue)
{
	if (!queue)
		return NULL;

	pthread_cond_destroy(&queue->has_room);
	pthread_cond_destroy(&queue->has_item);
	pthread_mutex_destroy(&queue->lock);
	free(queue);
	return NULL;
}

static struct timespec deadline_after(int timeout_ms)
{
	uint64_t ns = clock_monotonic_ns() + (uint64_t)timeout_ms * CLOCK_NS_PER_MS;

	return (struct timespec){ .tv_sec = (time_t)(ns / (uint64_t)CLOCK_NS_PER_S),
				  .tv_nsec = (long)(ns % (uint64_t)CLOCK_NS_PER_S) };
}

static int wait_on(pthread_cond_t *condition, pthread_mutex_t *lock, int timeout_ms,
		   const struct timespec *deadline)
{
	return timeout_ms < 0 ? pthread_cond_wait(condition, lock)
			      : pthread_cond_timedwait(condition, lock, deadline);
}

int queue_push(struct queue *queue, void *item)
{
	int err = queue_push_wait(queue, item, 0);

	return err == -ETIMEDOUT ? -EAGAIN : err;
}

int queue_push_wait(struct queue *queue, void *item, int timeout_ms)
{
	struct timespec deadline = deadline_after(timeout_ms < 0 ? 0 : timeout_ms);
	int err = 0;

	pthread_mutex_lock(&queue->lock);
	while (!queue->closed && queue->count == queue->capacity && !err)
		err = wait_on(&queue->has_room, &queue->lock, timeout_ms, &deadline);
	if (queue->closed) {
		err = EPIPE;
	} else if (queue->count < queue->capacity) {
		queue->items[(queue->first + queue->count++) % queue->capacity] = item;
		pthread_cond_signal(&queue->has_item);
		err = 0;
	}
	pthread_mutex_unlock(&queue->lock);
	return -err;
}

int queue_pop(struct queue *queue, int timeout_ms, void **ret_item)
{
	struct timespec deadline = deadline_after(timeout_ms < 0 ? 0 : timeout_ms);
	int err = 0;

	pthread_mutex_lock(&queue->lock);
	while (!queue->closed && queue->count == 0 && !err)
		err = wait_on(&queue->has_item, &queue->lock, timeout_ms, &deadline);
	if (queue->count > 0) {
		*ret_item = queue->items[queue->first];
		queue->first = (queue->first + 1) % queue->capacity;
		queue->count--;
		pthread_cond_signal(&queue->has_room);
		err = 0;
	} else if (queue->closed) {
		err = EPIPE;
	}
	pthread_mutex_unlock(&queue->lock);
	return -err;
}

void queue_close(struct queue *queue)
{
	pthread_mutex_lock(&queue->lock);
	queue->closed = true;
	pthread_cond_broadcast(&queue->has_item);
	pthread_cond_broadcast(&queue->has_room);
	pthread_mutex_unlock(&queue->lock);
}

size_t queue_count(struct queue *queue)
{
	pthread_mutex_lock(&queue->lock);
	size_t count = queue->count;
	pthread_mutex_unlock(&queue->lock);
	return count;
}

bool queue_is_closed(struct queue *queue)
{
	pthread_mutex_lock(&queue->lock);
	bool closed = queue->closed;
	pthread_mutex_unlock(&queue->lock);
	return closed;
}
