/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "web/call.h"
#include "web/fifo.h"
#include "web/workers.h"

struct routes;

/*
 * One request of HTTP/2: what is gathered of it in the front's thread, its body between the front
 * and the worker, and how far its answer is sent.
 */
struct stream {
	struct call call; /* first: a call is freed as what it is */
	struct job job;
	struct routes *routes;
	int32_t id;
	struct stream *next, *previous; /* of the connection; the oldest first */

	/* Gathered until the head is whole, then the worker's. Texts lie in text. */
	struct request request;
	struct buf text, path;
	size_t offsets[REQUEST_HEADER_COUNT_MAX][2]; /* of name and value, while text may move */
	size_t method_at, target_at, authority_at;   /* behind 0, which means there is none */
	size_t method_size, target_size, authority_size;
	int refusal; /* a status: the head can't be answered otherwise */
	enum limit refusal_limit;
	const char *refusal_why;

	/* Between the threads. */
	pthread_mutex_t lock;
	pthread_cond_t changed;
	struct fifo body;
	bool body_ended;
	size_t taken; /* by the worker, for which no room was announced yet */

	/* The worker's: what it took of the body, all that had come, and reads without the lock. */
	struct fifo held;

	/* The front's. */
	bool head_is_whole, is_started, is_running, is_answered;
	bool is_gone; /* the client or we have ended it */
	uint64_t head_ns, progress_ns;
	uint64_t body_size; /* that came so far */
	size_t sent;	    /* of the reply's body */
};

struct stream *stream_new(struct connection *connection, struct routes *routes, int32_t id);

/* A header or a pseudo header as it came. What is too much makes a refusal. */
void stream_add_header(struct stream *stream, struct str name, struct str value);

/* All headers are here: makes the request of them, or a refusal. */
void stream_end_head(struct stream *stream);

/* -ENOMEM. Who waits for it must be told. */
int stream_add_body(struct stream *stream, const uint8_t *bytes, size_t size);
void stream_tell_reader(struct stream *stream);
void stream_end_body(struct stream *stream);

/* No more of the body will come, for this reason (a negative errno): the worker gets to know it. */
void stream_break(struct stream *stream, int err);

/* How much the worker has taken since this was asked last. */
size_t stream_take_taken(struct stream *stream);

/*
 * Answers it here and now if that takes no time, so that neither a worker nor this thread has to be
 * woken for it; false: a worker must. The body has ended.
 */
bool stream_tell(struct stream *stream);

/* Has a worker answer it. */
void stream_start(struct stream *stream, struct workers *workers);
