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

	/* A worker has it, and will give it back. */
	_Atomic bool is_taken;
	/* The connection, or its part of it, is closed. */
	_Atomic bool is_abandoned;
	int client_fd; /* of the connection, while that is there: to look at alone */
	/* Why no more of the body will come: 0, -ETIMEDOUT, -ETIME, -EBADMSG, -ECONNRESET. */
	_Atomic int body_error;

	/* The worker's until it gives it back. */
	struct reply reply;
	struct call *next; /* in the list of those given back */
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
bool call_is_abandoned(const struct call *call);

/* Accepts NULL, returns NULL. */
struct call *call_release(struct call *call);
