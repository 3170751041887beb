/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

#include "web/fifo.h"
#include "web/request.h"

struct connection;
struct front;

/*
 * One request on its way from the front's thread to a worker's and back. The front makes it; a
 * worker takes it, answers and hands it back by front_return(). Each holds a reference, since a
 * connection may be gone while its request is being answered, and the other way round.
 */
struct call {
	_Atomic int references;
	void (*destroy)(struct call *call);
	struct front *front;

	/* The front's thread alone. */
	struct connection *connection; /* NULL once it is gone */
	void *state;		       /* of its protocol */

	/* Set before a worker sees it. */
	struct peer peer;
	bool is_for_head; /* the method is HEAD */
	bool stays_open;  /* the client wants to go on using the connection */
	bool may_send;	  /* its worker may call call_send() */

	/* A worker has it, and will give it back. */
	_Atomic bool is_taken;
	pthread_mutex_t client_lock;
	int client_fd; /* of the connection; -1 once that, or its part of it, is gone */
	/* Why no more of the body will come: 0, -ETIMEDOUT, -ETIME, -EBADMSG, -ECONNRESET. */
	_Atomic int body_error;

	/* The worker's until it gives it back. */
	struct reply reply;
	/* What call_send() was given, and how much of it is on its way. */
	struct buf sent;
	size_t sent_size;
	struct call *next;  /* in the list of those given back */
	struct call *taken; /* the front's: the next one that it took from there */
	/* Under the front's lock. */
	bool is_listed, is_returned, was_returned;
};

/*
 * With one reference, and the connection's peer; NULL without memory. size: of what has a call as
 * its first member; destroy, or NULL, gives back what else that holds.
 */
struct call *call_new(struct connection *connection, size_t size,
		      void (*destroy)(struct call *call));

static inline struct call *call_hold(struct call *call)
{
	call->references++;
	return call;
}

/*
 * Whether nobody waits for the answer any more: the connection is closed, or the client has closed
 * its side of it, whereupon an answer that takes long is not worth it. A worker's.
 */
bool call_is_abandoned(struct call *call);

/* The front's: nobody waits for the answer any more, and the client's descriptor may be closed. */
void call_abandon(struct call *call);

/*
 * A worker's, once and before it gives the call back: sends a whole answer to the client, as far as
 * the client takes it, and keeps the bytes so that the front can send the rest. Small answers so
 * reach their readers without waiting for the front's turn. Takes over the bytes.
 */
void call_send(struct call *call, struct buf *bytes);

/* Accepts NULL, returns NULL. */
struct call *call_release(struct call *call);
