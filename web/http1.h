/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "base/cleanup.h"
#include "web/pairs.h"

struct routes;
struct server;

/*
 * The HTTP library behind the front: its threads read a request from a pair, and routes answer it.
 * What it would answer itself it must not: the front has looked through every head before, and
 * sends all answers.
 */
struct http1;

int http1_new(struct server *server, struct routes *routes, struct http1 **ret);

/* Where its connections come from. */
struct pairs *http1_pairs(struct http1 *http);

/* The front is stopped: no call comes any more. Those that run are answered. Accepts NULL. */
struct http1 *http1_free(struct http1 *http);

DEFINE_CLEANUP(struct http1 *, http1, http1_free)
