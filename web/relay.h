/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "base/cleanup.h"
#include "web/front.h"
#include "web/pairs.h"

/*
 * HTTP/1.1 in the front: finds each request's beginning and end (web/head.h, web/chunks.h), holds
 * it back until its body is whole or REQUEST_BODY_START_SIZE of it are here, and then passes its
 * bytes on, unchanged, through a pair to one of the library's threads. One request of a connection
 * is on its way at a time, so that nothing that comes behind it is seen before it is answered.
 *
 * A pair stays with its client from request to request, and is never another's. When more clients
 * have pairs than threads are there, those that are between two requests lose theirs.
 */
struct relays;

int relays_new(struct pairs *pairs, struct relays **ret);
/* The front's thread has ended. */
struct relays *relays_free(struct relays *relays);

/* For front_new(), with the relays for its context. */
extern const struct protocol relay_protocol;

DEFINE_CLEANUP(struct relays *, relays, relays_free)
