/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "base/cleanup.h"
#include "web/request.h"

struct server;

/*
 * Everything the server answers, whatever protocol brought the question: who may ask, what is
 * there, how large a question may be, how long it may take, and how many at once.
 */
struct routes;

/* Sets server->request_counters until routes_free(), which wants nobody inside. */
int routes_new(struct server *server, struct routes **ret);
struct routes *routes_free(struct routes *routes);

/*
 * Answers. The reply was made by reply_init(); the request's role and deadline are set here. Any
 * thread.
 */
void routes_answer(struct routes *routes, struct request *request, struct reply *reply);

DEFINE_CLEANUP(struct routes *, routes, routes_free)
