/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/cleanup.h"

/*
 * A bounded hand-over from one thread to another. queue_push() passes the item on for good when it
 * returns 0; when the queue is full or closed the caller still owns the item. Any thread may call
 * any function but queue_free(), which wants the queue closed and nobody in it.
 */
struct queue;

int queue_new(size_t capacity, struct queue **ret);

/* Items still inside are the caller's loss: pop them first. */
struct queue *queue_free(struct queue *queue);

/* -EAGAIN when full, -EPIPE when closed. Never waits. */
int queue_push(struct queue *queue, void *item);

/* The same, but waits for room up to timeout_ms; -ETIMEDOUT instead of -EAGAIN. */
int queue_push_wait(struct queue *queue, void *item, int timeout_ms);

/*
 * Waits for an item, up to timeout_ms (negative: for ever). -ETIMEDOUT when none came, -EPIPE when
 * the queue is closed and empty.
 */
int queue_pop(struct queue *queue, int timeout_ms, void **ret_item);

/* No more pushes; poppers get what is left. Safe to call twice. */
void queue_close(struct queue *queue);

size_t queue_count(struct queue *queue);
bool queue_is_closed(struct queue *queue);

DEFINE_CLEANUP(struct queue *, queue, queue_free)
