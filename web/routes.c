/* SPDX-License-Identifier: Apache-2.0 */
#include "web/routes.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#include "base/clock.h"
#include "web/compression.h"
#include "web/connect.h"
#include "web/guard.h"
#include "web/metrics.h"
#include "web/page.h"
#include "web/page_assets.h"
#include "web/querier.h"
#include "web/reply.h"
#include "web/request_counters.h"
#include "web/server.h"
#include "web/slots.h"

enum route_kind {
	ROUTE_OPEN, /* GET, by anybody */
	ROUTE_READ, /* GET */
	ROUTE_ASK,  /* GET, asks the store: takes a slot */
	ROUTE_DO,   /* POST without a body: changes something */
	ROUTE_CALL, /* POST of Connect, asks the store: takes a slot */
};

typedef void route_handler(struct server *server, struct request *request, struct reply *reply);

struct route {
	enum route_kind kind;
	const char *path;
	route_handler *answer;
};

#define QUERIER "/querier.v1.QuerierService/"

static const struct route routes_table[] = {
	{ ROUTE_OPEN, "/healthz", metrics_healthz },
	{ ROUTE_OPEN, "/ready", metrics_ready },
	{ ROUTE_READ, "/metrics", metrics_answer },
	{ ROUTE_READ, "/api/v1/status/buildinfo", metrics_build },

	{ ROUTE_READ, "/api/v1/status", page_status },
	{ ROUTE_DO, "/api/v1/store/seal", page_store_seal },
	{ ROUTE_ASK, "/api/v1/processes", page_processes },
	{ ROUTE_ASK, "/api/v1/timeline", page_timeline },
	{ ROUTE_ASK, "/api/v1/flame", page_flame },
	{ ROUTE_ASK, "/api/v1/functions", page_functions },
	{ ROUTE_ASK, "/api/v1/sandwich", page_sandwich },
	{ ROUTE_ASK, "/api/v1/changes", page_changes },
	{ ROUTE_ASK, "/api/v1/export", page_export },
	{ ROUTE_ASK, "/api/v1/labels", page_labels },
	{ ROUTE_ASK, "/api/v1/types", page_types },

	{ ROUTE_CALL, QUERIER "ProfileTypes", querier_profile_types },
	{ ROUTE_CALL, QUERIER "LabelNames", querier_label_names },
	{ ROUTE_CALL, QUERIER "LabelValues", querier_label_values },
	{ ROUTE_CALL, QUERIER "Series", querier_series },
	{ ROUTE_CALL, QUERIER "SelectSeries", querier_select_series },
	{ ROUTE_CALL, QUERIER "SelectMergeStacktraces", querier_select_merge_stacktraces },
	{ ROUTE_CALL, QUERIER "SelectMergeProfile", querier_select_merge_profile },

	/* Its files; see page_assets_find(). */
	{ ROUTE_OPEN, "page", page_assets_answer },
};

enum {
	ROUTE_COUNT = sizeof(routes_table) / sizeof(routes_table[0]),
	ROUTE_PAGE = ROUTE_COUNT - 1,
	ROUTE_NONE = ROUTE_COUNT, /* counts what is answered before or without a route */
};

#define ANSWER_TIME_NS_MAX ((uint64_t)ANSWER_SECONDS_MAX * (uint64_t)CLOCK_NS_PER_S)

struct routes {
	struct server *server;
	struct guard guard;
	struct slots *slots;
	struct request_counters *counters;
	const char *names[ROUTE_COUNT + 1];
};

int routes_new(struct server *server, struct routes **ret)
{
	static_assert(QUESTION_WAITING_MAX + QUESTION_RUNNING_MAX < 32,
		      "questions leave threads to the rest");
	autoclean(routes) struct routes *routes = calloc(1, sizeof(*routes));

	if (!routes)
		return -ENOMEM;
	assert(server->settings && !server->request_counters);
	routes->server = server;
	guard_init(&routes->guard, server->settings->http, server->host_name);
	for (size_t i = 0; i < ROUTE_COUNT; i++)
		routes->names[i] = routes_table[i].path;
	routes->names[ROUTE_NONE] = "none";

	int err = request_counters_new(routes->names, ROUTE_COUNT + 1, &routes->counters);

	if (!err)
		err = slots_new(QUESTION_RUNNING_MAX, QUESTION_WAITING_MAX, &routes->slots);
	if (err)
		return err;

	server->request_counters = routes->counters;
	*ret = TAKE(routes);
	return 0;
}

struct routes *routes_free(struct routes *routes)
{
	if (!routes)
		return NULL;
	assert(routes->server->request_counters == routes->counters || !routes->counters);
	routes->server->request_counters = NULL;
	request_counters_free(routes->counters);
	slots_free(routes->slots);
	free(routes);
	return NULL;
}

static bool is_method(const struct request *request, const char *method)
{
	return str_equal(request->method, str_from(method));
}

/* The route's number; the page's for its files; ROUTE_NONE. */
static size_t find_route(const struct request *request)
{
	for (size_t i = 0; i < ROUTE_PAGE; i++)
		if (str_equal(request->path, str_from(routes_table[i].path)))
			return i;
	return page_assets_find(request->path) ? ROUTE_PAGE : ROUTE_NONE;
}

/* False when the reply tells why the request goes no further. */
static bool check(struct request *request, const struct route *route, struct reply *reply)
{
	bool is_call = route->kind == ROUTE_CALL;
	bool is_post = is_call || route->kind == ROUTE_DO;
	bool fits = is_post ? is_method(request, "POST")
			    : is_method(request, "GET") || is_method(request, "HEAD");

	if (!fits) {
		reply_error(reply, 405, NULL, "this path is asked by %s", is_post ? "POST" : "GET");
		reply_add_header(reply, "Allow", is_post ? "POST" : "GET, HEAD");
		return false;
	}
	if (route->kind != ROUTE_OPEN && request->role == ROLE_NOBODY) {
		reply_error(
			reply, 403, NULL,
			"only this host itself is answered; for others use ssh -L, not a proxy");
		return false;
	}
	if (!request_query_is_sound(request)) {
		reply_error(reply, 400, NULL, "the query is not percent-encoded as it should be");
		return false;
	}
	return !is_call || connect_check_headers(request, reply);
}

/* The whole body is here before the request takes a slot, so that slow senders hold none. */
static bool hold_body(struct request *request, struct held_body *held, struct reply *reply)
{
	int err = request_hold_body(request, held);

	switch (err) {
	case 0:
		return true;
	case -E2BIG:
		connect_error(reply, CONNECT_RESOURCE_EXHAUSTED,
			      "a question takes no more than %d bytes", REQUEST_QUESTION_SIZE_MAX);
		reply->status = 413;
		reply->limit = LIMIT_BODY_SIZE;
		return false;
	case -ETIMEDOUT:
		connect_error(reply, CONNECT_DEADLINE_EXCEEDED,
			      "the body must be here within %d s, or what the request allows",
			      REQUEST_BODY_SECONDS_MAX);
		reply->status = 408;
		reply->limit = LIMIT_BODY_TIME;
		return false;
	case -ETIME:
		connect_error(reply, CONNECT_DEADLINE_EXCEEDED,
			      "after %d s the body must have come with %d bytes a second or more",
			      REQUEST_BODY_GRACE_SECONDS, REQUEST_BODY_RATE_MIN);
		reply->status = 408;
		reply->limit = LIMIT_BODY_RATE;
		return false;
	case -ENOMEM:
		connect_failure(reply, err);
		return false;
	default:
		connect_error(reply, CONNECT_CANCELED, "the body could not be read");
		return false;
	}
}

static void refuse_crowd(const struct route *route, int err, struct reply *reply)
{
	if (route->kind != ROUTE_CALL) {
		reply_failure(reply, err);
	} else if (err == -EBUSY) {
		connect_error(reply, CONNECT_RESOURCE_EXHAUSTED, "%s",
			      failure_from_errno(err).sentence);
		reply->limit = LIMIT_QUESTIONS;
	} else {
		connect_failure(reply, err);
	}
	reply_add_header(reply, "Retry-After", "1");
}

static void ask(struct routes *routes, struct request *request, const struct route *route,
		struct reply *reply)
{
	struct held_body held = { .bytes = BUF(REQUEST_QUESTION_SIZE_MAX) };

	assert(request->role != ROLE_NOBODY && request->deadline_monotonic_ns > 0);
	if (route->kind != ROUTE_CALL || hold_body(request, &held, reply)) {
		int err = slots_enter(routes->slots, request->deadline_monotonic_ns);

		if (err) {
			refuse_crowd(route, err, reply);
		} else {
			route->answer(routes->server, request, reply);
			slots_leave(routes->slots);
		}
	}
	buf_done(&held.bytes);
}

/* What the handler wrote did not fit, or there was no memory for it. */
static void report_lost_body(const struct route *route, struct reply *reply)
{
	int err = reply->body.error;

	assert(err < 0);
	if (route->kind == ROUTE_CALL)
		connect_failure(reply, err);
	else
		reply_failure(reply, err);
}

static size_t answer(struct routes *routes, struct request *request, struct reply *reply)
{
	const char *reason = NULL;
	int status = guard_check(&routes->guard, request, &reason);

	if (status) {
		routes->server->counters.requests_refused++;
		reply_error(reply, status, NULL, "%s", reason);
		return ROUTE_NONE;
	}

	size_t number = find_route(request);

	if (number == ROUTE_NONE) {
		reply_error(reply, 404, NULL, "there is nothing here");
		return ROUTE_NONE;
	}

	assert(number < ROUTE_COUNT);

	const struct route *route = &routes_table[number];

	request->role = guard_role(request);
	request->deadline_monotonic_ns = clock_monotonic_ns() + ANSWER_TIME_NS_MAX;
	if (!check(request, route, reply))
		return number;
	if (route->kind == ROUTE_ASK || route->kind == ROUTE_CALL)
		ask(routes, request, route, reply);
	else
		route->answer(routes->server, request, reply);
	if (reply->body.error)
		report_lost_body(route, reply);
	return number;
}

void routes_answer(struct routes *routes, struct request *request, struct reply *reply)
{
	uint64_t start_ns = clock_monotonic_ns();

	assert(reply->status == 200 && reply->body.size == 0);
	routes->server->counters.requests++;

	size_t number = answer(routes, request, reply);

	reply_compress(request, reply);
	if (reply->limit != LIMIT_NONE)
		routes->server->counters.limits_hit[reply->limit]++;
	request_counters_add(routes->counters, number, reply->status,
			     clock_monotonic_ns() - start_ns);
}
