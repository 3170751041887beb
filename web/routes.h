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

enum { ROUTES_ERROR_SIZE = 256 };

/*
 * Sets server->request_counters until routes_free(), which wants nobody inside. reterr says what is
 * wrong with a setting or with the tokens.
 */
int routes_new(struct server *server, struct routes **ret, char reterr[static ROUTES_ERROR_SIZE]);
struct routes *routes_free(struct routes *routes);

/*
 * Answers. The reply was made by reply_init(); the request's role and deadline are set here. Any
 * thread.
 */
void routes_answer(struct routes *routes, struct request *request, struct reply *reply);

/*
 * Whether routes_answer() will answer this one at once, out of memory, without a lock that anybody
 * holds for long, a file, or a body: health and the page's files. A thread that many wait for may
 * then do it itself, and whether the server lives is told even while every worker is busy.
 */
bool routes_can_tell(const struct request *request);

/* Whether somebody from elsewhere could be let in: nobody listens there without. */
bool routes_know_tokens(struct routes *routes);

/* The table, for who wants to walk through all of it: false behind its end. */
struct route_description {
	const char *path; /* of the page's files the first */
	const char *method;
	enum role role; /* that it takes at least */
};
bool routes_describe(size_t number, struct route_description *ret);

DEFINE_CLEANUP(struct routes *, routes, routes_free)
