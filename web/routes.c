/* SPDX-License-Identifier: Apache-2.0 */
#include "store/gate.h"
#include "web/routes.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/parse.h"
#include "store/store.h"
#include "web/access.h"
#include "web/adhoc.h"
#include "web/audit.h"
#include "web/compression.h"
#include "web/connect.h"
#include "web/debuginfo.h"
#include "web/grpc.h"
#include "web/guard.h"
#include "web/metrics.h"
#include "web/otlp.h"
#include "web/otlp_senders.h"
#include "web/page.h"
#include "web/page_assets.h"
#include "web/push.h"
#include "web/querier.h"
#include "web/render.h"
#include "web/reply.h"
#include "web/request_counters.h"
#include "web/rules.h"
#include "web/server.h"
#include "web/settings_service.h"
#include "web/retries.h"
#include "web/slots.h"
#include "web/small_services.h"
#include "web/uploads.h"

enum route_kind {
	ROUTE_TELL,  /* GET, out of memory: waits for nothing and nobody */
	ROUTE_READ,  /* GET */
	ROUTE_ASK,   /* GET, asks the store: takes a slot */
	ROUTE_DO,    /* POST without a body: changes something */
	ROUTE_FILE,  /* GET of a file that takes a while to make; one at a time */
	ROUTE_BRING, /* POST of a file, which is put into the store */
	ROUTE_CALL,  /* POST of Connect, asks the store: takes a slot */
	ROUTE_TAKE,  /* the same with a file in its question */
	ROUTE_PUSH,  /* POST of Connect with a body that the handler reads itself */
	ROUTE_SEND,  /* the same without Connect's headers, but for errors */
	/* Of a path that only begins so; one path may have several of them. */
	ROUTE_LOOK,   /* GET */
	ROUTE_PUT,    /* PUT with a body that the handler reads itself */
	ROUTE_HAND,   /* POST of one */
	ROUTE_DELETE, /* DELETE */
};

typedef void route_handler(struct server *server, struct request *request, struct reply *reply);

/* Health is told to everybody; all else names the role that it takes. */
struct route {
	enum role role;
	enum route_kind kind;
	const char *path;
	route_handler *answer;
};

#define OTLP(version) "/opentelemetry.proto.collector.profiles." version ".ProfilesService/Export"
#define QUERIER	      "/querier.v1.QuerierService/"
#define DEBUGINFO     "/debuginfo.v1alpha1.DebuginfoService/"
#define SETTINGS      "/settings.v1.SettingsService/"
#define RULES	      "/settings.v1.RecordingRulesService/"
#define ADHOC	      "/adhocprofiles.v1.AdHocProfileService/"
#define VCS	      "/vcs.v1.VCSService/"

static const struct route routes_table[] = {
	{ ROLE_NOBODY, ROUTE_TELL, "/healthz", metrics_healthz },
	{ ROLE_NOBODY, ROUTE_TELL, "/ready", metrics_ready },
	{ ROLE_NOBODY, ROUTE_READ, "/readyz", metrics_readyz },
	{ ROLE_READER, ROUTE_READ, "/metrics", metrics_answer },
	{ ROLE_READER, ROUTE_TELL, "/api/v1/status/buildinfo", metrics_build },
	{ ROLE_READER, ROUTE_READ, "/api/v1/status/config", small_services_config },
	{ ROLE_READER, ROUTE_READ, "/api/v1/status/config/diff", small_services_config_diff },
	{ ROLE_READER, ROUTE_READ, "/api/v1/status/config/default", small_services_config_default },

	{ ROLE_READER, ROUTE_READ, "/api/v1/status", page_status },
	{ ROLE_WRITER, ROUTE_DO, "/api/v1/store/seal", page_store_seal },
	{ ROLE_ADMIN, ROUTE_DO, "/api/v1/delete", page_delete },
	{ ROLE_READER, ROUTE_READ, "/api/v1/deletions", page_deletions },
	{ ROLE_READER, ROUTE_FILE, "/api/v1/export/span", page_export_span },
	{ ROLE_WRITER, ROUTE_BRING, "/api/v1/import", page_import },
	{ ROLE_READER, ROUTE_ASK, "/api/v1/processes", page_processes },
	{ ROLE_READER, ROUTE_ASK, "/api/v1/timeline", page_timeline },
	{ ROLE_READER, ROUTE_ASK, "/api/v1/flame", page_flame },
	{ ROLE_READER, ROUTE_ASK, "/api/v1/functions", page_functions },
	{ ROLE_READER, ROUTE_ASK, "/api/v1/sandwich", page_sandwich },
	{ ROLE_READER, ROUTE_ASK, "/api/v1/changes", page_changes },
	{ ROLE_READER, ROUTE_ASK, "/api/v1/modules", page_modules },
	{ ROLE_READER, ROUTE_ASK, "/api/v1/stacks", page_stacks },
	{ ROLE_READER, ROUTE_ASK, "/api/v1/export", page_export },
	{ ROLE_READER, ROUTE_ASK, "/api/v1/labels", page_labels },
	{ ROLE_READER, ROUTE_ASK, "/api/v1/types", page_types },

	{ ROLE_READER, ROUTE_CALL, QUERIER "ProfileTypes", querier_profile_types },
	{ ROLE_READER, ROUTE_CALL, QUERIER "LabelNames", querier_label_names },
	{ ROLE_READER, ROUTE_CALL, QUERIER "LabelValues", querier_label_values },
	{ ROLE_READER, ROUTE_CALL, QUERIER "Series", querier_series },
	{ ROLE_READER, ROUTE_CALL, QUERIER "SelectSeries", querier_select_series },
	{ ROLE_READER, ROUTE_CALL, QUERIER "SelectMergeStacktraces",
	  querier_select_merge_stacktraces },
	{ ROLE_READER, ROUTE_CALL, QUERIER "SelectMergeProfile", querier_select_merge_profile },
	{ ROLE_READER, ROUTE_CALL, QUERIER "SelectMergeSpanProfile",
	  querier_select_merge_span_profile },
	{ ROLE_READER, ROUTE_CALL, QUERIER "SelectHeatmap", querier_select_heatmap },
	{ ROLE_READER, ROUTE_CALL, QUERIER "Diff", querier_diff },
	{ ROLE_READER, ROUTE_CALL, QUERIER "GetProfileStats", querier_get_profile_stats },
	{ ROLE_READER, ROUTE_CALL, QUERIER "AnalyzeQuery", querier_analyze_query },

	{ ROLE_READER, ROUTE_CALL, SETTINGS "Get", settings_service_get },
	{ ROLE_WRITER, ROUTE_CALL, SETTINGS "Set", settings_service_set },
	{ ROLE_WRITER, ROUTE_CALL, SETTINGS "Delete", settings_service_delete },
	{ ROLE_READER, ROUTE_CALL, RULES "GetRecordingRule", rules_get },
	{ ROLE_READER, ROUTE_CALL, RULES "ListRecordingRules", rules_list },
	{ ROLE_WRITER, ROUTE_CALL, RULES "UpsertRecordingRule", rules_upsert },
	{ ROLE_WRITER, ROUTE_CALL, RULES "DeleteRecordingRule", rules_delete },
	{ ROLE_READER, ROUTE_ASK, "/metrics/rules", rules_metrics },
	{ ROLE_WRITER, ROUTE_TAKE, ADHOC "Upload", adhoc_upload },
	{ ROLE_READER, ROUTE_CALL, ADHOC "Get", adhoc_get },
	{ ROLE_READER, ROUTE_CALL, ADHOC "List", adhoc_list },
	{ ROLE_READER, ROUTE_CALL, ADHOC "Diff", adhoc_diff },
	{ ROLE_READER, ROUTE_CALL, "/version.v1.Version/Version", small_services_version },
	{ ROLE_READER, ROUTE_CALL, "/capabilities.v1.FeatureFlagsService/GetFeatureFlags",
	  small_services_features },
	{ ROLE_READER, ROUTE_CALL, VCS "GithubApp", small_services_vcs },
	{ ROLE_READER, ROUTE_CALL, VCS "GithubLogin", small_services_vcs },
	{ ROLE_READER, ROUTE_CALL, VCS "GithubRefresh", small_services_vcs },
	{ ROLE_READER, ROUTE_CALL, VCS "GetFile", small_services_vcs },
	{ ROLE_READER, ROUTE_CALL, VCS "GetCommit", small_services_vcs },
	{ ROLE_READER, ROUTE_CALL, VCS "GetCommits", small_services_vcs },

	{ ROLE_READER, ROUTE_ASK, "/pyroscope/render", render_answer },
	{ ROLE_READER, ROUTE_ASK, "/pyroscope/render-diff", render_diff_answer },
	{ ROLE_READER, ROUTE_ASK, "/pyroscope/label-values", render_label_values },

	{ ROLE_WRITER, ROUTE_PUSH, "/push.v1.PusherService/Push", push_profiles },
	{ ROLE_WRITER, ROUTE_SEND, "/ingest", push_ingest },
	{ ROLE_WRITER, ROUTE_SEND, "/pyroscope/ingest", push_ingest },

	/* The protocol's package has had three names, and its paths were documented as three. */
	{ ROLE_WRITER, ROUTE_PUSH, OTLP("v1development"), otlp_export },
	{ ROLE_WRITER, ROUTE_PUSH, OTLP("v1experimental"), otlp_export },
	{ ROLE_WRITER, ROUTE_PUSH, OTLP("v1"), otlp_export },
	{ ROLE_WRITER, ROUTE_SEND, "/v1development/profiles", otlp_export_http },
	{ ROLE_WRITER, ROUTE_SEND, "/v1experimental/profiles", otlp_export_http },
	{ ROLE_WRITER, ROUTE_SEND, "/v1/profiles", otlp_export_http },
	{ ROLE_NOBODY, ROUTE_PUSH, "/grpc.health.v1.Health/Check", otlp_health },
	{ ROLE_WRITER, ROUTE_CALL, DEBUGINFO "ShouldInitiateUpload", debuginfo_should_initiate },
	{ ROLE_WRITER, ROUTE_CALL, DEBUGINFO "UploadFinished", debuginfo_finished },
	{ ROLE_READER, ROUTE_CALL, DEBUGINFO "ListDebuginfo", debuginfo_list },
	{ ROLE_WRITER, ROUTE_CALL, DEBUGINFO "DeleteDebuginfo", debuginfo_delete },
	{ ROLE_WRITER, ROUTE_HAND, DEBUGINFO "Upload/", debuginfo_upload },

	{ ROLE_READER, ROUTE_LOOK, "/symbols/", uploads_get },
	{ ROLE_WRITER, ROUTE_PUT, "/symbols/", uploads_put },
	{ ROLE_WRITER, ROUTE_DELETE, "/symbols/", uploads_delete },

	/* Its files; see page_assets_find(). */
	{ ROLE_READER, ROUTE_TELL, "page", page_assets_answer },
};

enum {
	ROUTE_COUNT = sizeof(routes_table) / sizeof(routes_table[0]),
	ROUTE_PAGE = ROUTE_COUNT - 1,
	ROUTE_NONE = ROUTE_COUNT, /* counts what is answered before or without a route */
};

#define ANSWER_TIME_NS_MAX ((uint64_t)ANSWER_SECONDS_MAX * (uint64_t)CLOCK_NS_PER_S)
#define FILE_TIME_NS_MAX   ((uint64_t)FILE_SECONDS_MAX * (uint64_t)CLOCK_NS_PER_S)

struct routes {
	struct server *server;
	struct guard guard;
	struct access *access;
	struct audit *audit;
	struct slots *slots, *push_slots, *otlp_places;
	struct retries *retries;
	struct otlp_senders *otlp_senders;
	struct gate otlp_gate;
	struct debuginfo *debuginfo;
	struct request_counters *counters;
	const char *names[ROUTE_COUNT + 1];
	char prefix_home[SETTING_TEXT_SIZE + 2]; /* "hearth/", as it is from "/hearth" */
};

static int make_parts(struct routes *routes)
{
	int err = request_counters_new(routes->names, ROUTE_COUNT + 1, &routes->counters);

	if (!err)
		err = slots_new(QUESTION_RUNNING_MAX, QUESTION_WAITING_MAX, &routes->slots);
	if (!err)
		err = debuginfo_new(&routes->debuginfo);
	if (!err)
		err = slots_new(PUSH_RUNNING_MAX, PUSH_WAITING_MAX, &routes->push_slots);
	if (!err)
		err = slots_new(OTLP_RECEIVED_MAX, OTLP_WAITING_MAX, &routes->otlp_places);
	if (!err)
		err = retries_new(routes->server->store, &routes->retries);
	if (!err)
		err = otlp_senders_new(&routes->otlp_senders);
	if (!err)
		err = audit_new(routes->server->settings->access_log, &routes->audit);
	return err;
}

/* Letters that need no encoding, and nothing that a browser would resolve. */
static bool prefix_is_sound(const char *prefix)
{
	static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
				      "0123456789-_/";

	return prefix[0] == '/' && strspn(prefix, letters) == strlen(prefix) &&
	       !strstr(prefix, "//");
}

/* Relative, so that it is right behind whatever further prefix a proxy takes off. */
static void name_prefix_home(struct routes *routes)
{
	struct str prefix = str_from(routes->server->settings->path_prefix);
	struct str segment;

	while (parse_next(&prefix, '/', &segment))
		if (segment.size > 0)
			snprintf(routes->prefix_home, sizeof(routes->prefix_home), "%.*s/",
				 (int)segment.size, segment.text);
}

int routes_new(struct server *server, struct routes **ret, char reterr[static ROUTES_ERROR_SIZE])
{
	static_assert(QUESTION_WAITING_MAX + QUESTION_RUNNING_MAX < 32,
		      "questions leave threads to the rest");
	static_assert(OTLP_RECEIVED_MAX + OTLP_WAITING_MAX < WORKER_COUNT_MAX &&
			      OTLP_RECEIVED_MAX + OTLP_WAITING_MAX < HTTP1_THREAD_COUNT,
		      "and so does OTLP");
	static_assert((int)ACCESS_ERROR_SIZE <= (int)ROUTES_ERROR_SIZE, "one fits into the other");
	autoclean(routes) struct routes *routes = calloc(1, sizeof(*routes));
	const struct settings *settings = server->settings;

	snprintf(reterr, ROUTES_ERROR_SIZE, "out of memory");
	if (!routes)
		return -ENOMEM;
	assert(settings && !server->request_counters);
	routes->server = server;
	gate_init(&routes->otlp_gate, &(struct gate_limits){ .size = OTLP_AT_ONCE_SIZE_MAX,
							     .size_beside = OTLP_AT_ONCE_SIZE_MAX,
							     .count_max = GATE_ANY_COUNT });
	guard_init(&routes->guard, settings->http, server->host_name, settings->allowed_hosts);
	if (settings->path_prefix[0] && !prefix_is_sound(settings->path_prefix)) {
		snprintf(reterr, ROUTES_ERROR_SIZE,
			 "path-prefix: '%.60s' is no path such as /hearth", settings->path_prefix);
		return -EINVAL;
	}
	name_prefix_home(routes);
	for (size_t i = 0; i < ROUTE_COUNT; i++)
		routes->names[i] = routes_table[i].path;
	routes->names[ROUTE_NONE] = "none";

	int err = make_parts(routes);

	if (!err)
		err = access_new(settings, &routes->access, reterr);
	if (err)
		return err;

	server->request_counters = routes->counters;
	server->push_slots = routes->push_slots;
	server->retries = routes->retries;
	server->otlp_senders = routes->otlp_senders;
	server->otlp_places = routes->otlp_places;
	server->otlp_gate = &routes->otlp_gate;
	server->debuginfo = routes->debuginfo;
	*ret = TAKE(routes);
	return 0;
}

struct routes *routes_free(struct routes *routes)
{
	if (!routes)
		return NULL;
	if (routes->server->request_counters == routes->counters)
		routes->server->request_counters = NULL;
	request_counters_free(routes->counters);
	if (routes->server->push_slots == routes->push_slots)
		routes->server->push_slots = NULL;
	if (routes->server->otlp_senders == routes->otlp_senders)
		routes->server->otlp_senders = NULL;
	if (routes->server->otlp_places == routes->otlp_places)
		routes->server->otlp_places = NULL;
	if (routes->server->otlp_gate == &routes->otlp_gate)
		routes->server->otlp_gate = NULL;
	gate_done(&routes->otlp_gate);
	otlp_senders_free(routes->otlp_senders);
	slots_free(routes->slots);
	slots_free(routes->push_slots);
	slots_free(routes->otlp_places);
	if (routes->server->retries == routes->retries)
		routes->server->retries = NULL;
	retries_free(routes->retries);
	if (routes->server->debuginfo == routes->debuginfo)
		routes->server->debuginfo = NULL;
	debuginfo_free(routes->debuginfo);
	access_free(routes->access);
	audit_free(routes->audit);
	free(routes);
	return NULL;
}

bool routes_know_tokens(struct routes *routes)
{
	return access_has_tokens(routes->access);
}

static const char *method_of(const struct route *route)
{
	switch (route->kind) {
	case ROUTE_TELL:
	case ROUTE_READ:
	case ROUTE_ASK:
	case ROUTE_FILE:
	case ROUTE_LOOK:
		return "GET";
	case ROUTE_DO:
	case ROUTE_BRING:
	case ROUTE_CALL:
	case ROUTE_TAKE:
	case ROUTE_PUSH:
	case ROUTE_SEND:
	case ROUTE_HAND:
		return "POST";
	case ROUTE_PUT:
		return "PUT";
	case ROUTE_DELETE:
		return "DELETE";
	}
	return "";
}

bool routes_describe(size_t number, struct route_description *ret)
{
	if (number >= ROUTE_COUNT)
		return false;

	const struct route *route = &routes_table[number];

	*ret = (struct route_description){
		.path = number == ROUTE_PAGE ? "/" : route->path,
		.method = method_of(route),
		.role = route->role,
	};
	return true;
}

static bool has_method(const struct route *route, const struct request *request)
{
	const char *method = method_of(route);

	return str_equal(request->method, str_from(method)) ||
	       (!strcmp(method, "GET") && str_equal(request->method, STR("HEAD")));
}

static bool has_path(const struct route *route, const struct request *request)
{
	struct str path = str_from(route->path);

	return route->kind >= ROUTE_LOOK ? str_starts_with(request->path, path)
					 : str_equal(request->path, path);
}

/* The route's number, of several with one path the one of the method; the page's for its files;
 * ROUTE_NONE. */
static size_t find_route(const struct request *request)
{
	size_t found = ROUTE_NONE;

	for (size_t i = 0; i < ROUTE_PAGE; i++)
		if (has_path(&routes_table[i], request)) {
			if (has_method(&routes_table[i], request))
				return i;
			found = i;
		}
	if (found != ROUTE_NONE)
		return found;
	return page_assets_find(request->path) ? ROUTE_PAGE : ROUTE_NONE;
}

static bool is_push(const struct route *route)
{
	return route->kind == ROUTE_PUSH || route->kind == ROUTE_SEND;
}

/* Whether errors are those of Connect. */
static bool is_call(const struct route *route)
{
	return route->kind == ROUTE_CALL || route->kind == ROUTE_TAKE || is_push(route);
}

static void refuse_role(const struct route *route, struct reply *reply, enum connect_code code,
			const char *sentence)
{
	if (is_call(route))
		connect_error(reply, code, "%s", sentence);
	else
		reply_error(reply, connect_code_status(code), NULL, "%s", sentence);
}

/* False when the reply tells that somebody else may, and how to become that. */
static bool check_role(struct routes *routes, struct request *request, const struct route *route,
		       bool is_token_known, struct reply *reply)
{
	if (is_token_known && request->role >= route->role)
		return true;
	/* A browser then asks a person for it. */
	if (!is_token_known) {
		audit_refusal(routes->audit, request);
		routes->server->counters.tokens_refused++;
		refuse_role(route, reply, CONNECT_UNAUTHENTICATED,
			    "this token is not known here, or its time is over");
	} else if (request->role == ROLE_NOBODY && access_has_tokens(routes->access)) {
		refuse_role(route, reply, CONNECT_UNAUTHENTICATED,
			    "show a token, as Authorization: Bearer TOKEN or as a password");
	} else if (request->role == ROLE_NOBODY) {
		refuse_role(route, reply, CONNECT_PERMISSION_DENIED,
			    "only this host itself is answered; others need a token ('hearth token "
			    "new'), or ssh -L");
	} else {
		refuse_role(route, reply, CONNECT_PERMISSION_DENIED,
			    route->role == ROLE_ADMIN
				    ? "this takes a token for admin, or the unix socket"
				    : "this takes a token for write");
	}
	if (reply->status == 401)
		reply_add_header(reply, "WWW-Authenticate",
				 "Basic realm=\"hearth\", charset=\"UTF-8\"");
	return false;
}

/* False when the reply tells why the request goes no further. */
static bool check(struct routes *routes, struct request *request, const struct route *route,
		  struct reply *reply)
{
	bool is_token_known = access_judge(routes->access, request);

	if (!has_method(route, request)) {
		bool is_read = !strcmp(method_of(route), "GET");

		bool is_any = route->kind >= ROUTE_LOOK && route->kind != ROUTE_HAND;

		reply_error(reply, 405, NULL, "this path is asked by %s",
			    is_any ? "GET, PUT or DELETE" : method_of(route));
		reply_add_header(reply, "Allow",
				 is_any	   ? "GET, HEAD, PUT, DELETE"
				 : is_read ? "GET, HEAD"
					   : "POST");
		return false;
	}
	/* What everybody may ask, may be asked with whatever a client always sends along. */
	if (route->role > ROLE_NOBODY && !check_role(routes, request, route, is_token_known, reply))
		return false;
	if (!request_query_is_sound(request)) {
		reply_error(reply, 400, NULL, "the query is not percent-encoded as it should be");
		return false;
	}
	if (!is_call(route) || route->kind == ROUTE_SEND)
		return true;
	return grpc_kind_of(request) ? grpc_check_headers(request, reply)
				     : connect_check_headers(request, reply);
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
			      "a question takes no more than %zu bytes", held->bytes.limit);
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
	if (!is_call(route)) {
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

static bool asker_is_gone(void *context)
{
	const struct request *request = context;

	return request->is_gone && request->is_gone(request);
}

static void note_question(struct routes *routes, const struct store_asker *asker,
			  struct reply *reply, uint64_t took_ns)
{
	struct server_counters *counters = &routes->server->counters;

	counters->questions++;
	counters->questions_cancelled += reply->status == 499;
	counters->question_spans += asker->spans;
	counters->question_pieces += asker->pieces;
	counters->question_bytes += asker->bytes;
	counters->question_ns += took_ns;
	reply_add_figures(reply, asker, took_ns);
}

static void answer_question(struct routes *routes, struct request *request,
			    const struct route *route, struct reply *reply)
{
	struct store_asker asker = { .is_gone = asker_is_gone, .context = request };
	uint64_t start_ns = clock_monotonic_ns();

	request->asker = &asker;
	route->answer(routes->server, request, reply);
	request->asker = NULL;
	note_question(routes, &asker, reply, clock_monotonic_ns() - start_ns);
}

static void ask(struct routes *routes, struct request *request, const struct route *route,
		struct reply *reply)
{
	bool takes_file = route->kind == ROUTE_TAKE;
	struct held_body held = {
		.bytes = BUF(takes_file ? ADHOC_BODY_SIZE_MAX : REQUEST_QUESTION_SIZE_MAX),
	};

	request->message_size_max = takes_file ? ADHOC_BODY_SIZE_MAX : REQUEST_MESSAGE_SIZE_MAX;
	assert(request->role >= route->role && request->deadline_monotonic_ns > 0);
	if (!is_call(route) ||
	    (hold_body(request, &held, reply) &&
	     (grpc_kind_of(request) == GRPC_NONE || grpc_take_question(request, &held, reply)))) {
		int err = slots_enter(routes->slots, request->deadline_monotonic_ns);

		if (err) {
			refuse_crowd(route, err, reply);
		} else {
			answer_question(routes, request, route, reply);
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
	if (is_call(route))
		connect_failure(reply, err);
	else
		reply_failure(reply, err);
}

/*
 * A proxy may pass on "/hearth/api/…", or "/api/…": what is asked is the same. False for "/hearth",
 * whose page would look for its files beside it.
 */
static bool strip_prefix(const struct routes *routes, struct request *request)
{
	struct str prefix = str_from(routes->server->settings->path_prefix);

	if (prefix.size > 0 && prefix.text[prefix.size - 1] == '/')
		prefix.size--;
	if (prefix.size == 0 || !str_starts_with(request->path, prefix))
		return true;

	struct str rest = { request->path.text + prefix.size, request->path.size - prefix.size };

	if (rest.size > 0 && rest.text[0] == '/')
		request->path = rest;
	return rest.size > 0;
}

static size_t answer(struct routes *routes, struct request *request, struct reply *reply)
{
	const char *reason = NULL;
	int status =
		guard_check(&routes->guard, request, access_host(routes->access, request), &reason);

	if (status) {
		routes->server->counters.requests_refused++;
		reply_error(reply, status, NULL, "%s", reason);
		return ROUTE_NONE;
	}

	if (!strip_prefix(routes, request)) {
		reply->status = 308;
		reply_add_header(reply, "Location", routes->prefix_home);
		return ROUTE_NONE;
	}

	size_t number = find_route(request);

	if (number == ROUTE_NONE) {
		reply_error(reply, 404, NULL, "there is nothing here");
		return ROUTE_NONE;
	}

	assert(number < ROUTE_COUNT);

	const struct route *route = &routes_table[number];

	request->deadline_monotonic_ns =
		clock_monotonic_ns() + (route->kind == ROUTE_FILE || route->kind == ROUTE_BRING
						? FILE_TIME_NS_MAX
						: ANSWER_TIME_NS_MAX);
	if (!check(routes, request, route, reply))
		return number;
	if (route->kind == ROUTE_ASK || route->kind == ROUTE_CALL || route->kind == ROUTE_TAKE)
		ask(routes, request, route, reply);
	else if (route->kind == ROUTE_FILE)
		answer_question(routes, request, route, reply);
	else
		route->answer(routes->server, request, reply);
	if (reply->is_file)
		reply_load_file(reply);
	if (reply->body.error)
		report_lost_body(route, reply);
	return number;
}

bool routes_can_tell(const struct request *request)
{
	struct str token = request_header(request, STR("authorization"));

	/* Tokens may have to be read from their file first. */
	if (token.text || !str_equal(request->method, STR("GET")))
		return false;

	size_t number = find_route(request);

	return number != ROUTE_NONE && routes_table[number].kind == ROUTE_TELL;
}

void routes_answer(struct routes *routes, struct request *request, struct reply *reply)
{
	uint64_t start_ns = clock_monotonic_ns();

	assert(reply->status == 200 && reply->body.size == 0);
	routes->server->counters.requests++;

	size_t number = answer(routes, request, reply);
	int status = reply->status; /* which gRPC's clients find elsewhere */

	grpc_finish(request, reply);
	if (routes->server->settings->tls_hsts && request->peer.is_secure)
		reply_add_header(reply, "Strict-Transport-Security", "max-age=31536000");
	reply_compress(request, reply);
	if (reply->limit != LIMIT_NONE)
		routes->server->counters.limits_hit[reply->limit]++;

	uint64_t time_ns = clock_monotonic_ns() - start_ns;

	/* Programs push all day long. */
	if (number < ROUTE_COUNT && routes_table[number].role >= ROLE_WRITER &&
	    (!is_push(&routes_table[number]) || status >= 400))
		audit_change(routes->audit, request, reply);
	audit_access(routes->audit, request, reply, time_ns);
	request_counters_add(routes->counters, number, status, time_ns);
}
