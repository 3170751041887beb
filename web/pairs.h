/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdint.h>

#include "base/cleanup.h"
#include "web/call.h"

/*
 * Connections for an HTTP library that wants to accept them itself, without a port that anybody
 * could reach: it gets one end of a socket pair each time it calls accept(). For that, accept() and
 * listen() of the C library are defined here; for all other sockets they do what they always did.
 *
 * The library sees an address that was made up, and by it the worker finds the call again.
 */
struct pairs;

int pairs_new(struct pairs **ret);
/* The library is stopped. Accepts NULL. */
struct pairs *pairs_free(struct pairs *pairs);

/*
 * Around the start of the library, in one thread: what it listens on in between is ours. It is not
 * listened on at all, and pairs_take_over() puts an event counter in its place. -EIO when the
 * library did not listen.
 */
void pairs_begin(struct pairs *pairs);
int pairs_take_over(struct pairs *pairs);

struct pair_key {
	uint32_t address; /* that the library sees, in host order; never the same twice in a row */
	uint16_t port;
};

/* Our end, which does not block. -EMFILE and its kin; -EBUSY when HTTP1_THREAD_COUNT are open. */
int pairs_open(struct pairs *pairs, struct pair_key *ret_key);

/* The call whose bytes go next; NULL before it is given up. */
void pairs_set_call(struct pairs *pairs, struct pair_key key, struct call *call);

/* Forgets the key; the caller closes its end. */
void pairs_close(struct pairs *pairs, struct pair_key key);

/* A worker's: the call of the request that it just read, with a reference; NULL when it is given
 * up. */
struct call *pairs_take_call(struct pairs *pairs, struct pair_key key);

/* Has the library look up from its wait. */
void pairs_nudge(struct pairs *pairs);

DEFINE_CLEANUP(struct pairs *, pairs, pairs_free)
