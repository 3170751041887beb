/* SPDX-License-Identifier: Apache-2.0 */
#include "web/small_services.h"

#include <errno.h>

#include "base/settings.h"
#include "proto/services.pb-c.h"
#include "web/connect.h"
#include "web/server.h"

/* The one that all clients of today know. */
enum { QUERIER_API = 1 };

void small_services_version(struct server *server, struct request *request, struct reply *reply)
{
	Pyroscope__VersionResponse answer = PYROSCOPE__VERSION_RESPONSE__INIT;
	autoclean(connect_call) struct connect_call call;

	(void)server;
	if (!connect_begin(&call, request, reply, &pyroscope__nothing__descriptor))
		return;
	answer.querierapi = QUERIER_API;
	connect_answer(&call, &answer.base);
}

/*
 * Names are Pyroscope's. functionProjections is not among them: who finds it asks for kinds of
 * answers whose messages nobody has described.
 */
static const struct {
	const char *name;
	const char *description;
} features[] = {
	{ "pyroscopeRuler", "Metrics of profiles by recording rules, at /metrics/rules." },
	{ "pyroscopeRulerFunctions", "Recording rules that count one function." },
	{ "utf8LabelNames", "Label names of any letters." },
	{ "v2StorageLayer", "Answers as those of Pyroscope's present storage." },
};

enum { FEATURE_COUNT = sizeof(features) / sizeof(features[0]) };

void small_services_features(struct server *server, struct request *request, struct reply *reply)
{
	Pyroscope__GetFeatureFlagsResponse answer = PYROSCOPE__GET_FEATURE_FLAGS_RESPONSE__INIT;
	Pyroscope__FeatureFlag flags[FEATURE_COUNT];
	Pyroscope__FeatureFlag *list[FEATURE_COUNT];
	autoclean(connect_call) struct connect_call call;

	(void)server;
	if (!connect_begin(&call, request, reply, &pyroscope__nothing__descriptor))
		return;
	for (size_t i = 0; i < FEATURE_COUNT; i++) {
		pyroscope__feature_flag__init(&flags[i]);
		flags[i].name = arena_text(&call.arena, str_from(features[i].name));
		flags[i].description = arena_text(&call.arena, str_from(features[i].description));
		flags[i].enabled = true;
		list[i] = &flags[i];
	}
	answer.feature_flags = list;
	answer.n_feature_flags = FEATURE_COUNT;
	connect_answer(&call, &answer.base);
}

void small_services_vcs(struct server *server, struct request *request, struct reply *reply)
{
	(void)server;
	(void)request;
	connect_error(reply, CONNECT_UNIMPLEMENTED,
		      "sources are not shown here: there is no integration with GitHub");
}

/* ---- settings ---------------------------------------------------------------------------------
 */

static void answer_config(const struct settings *settings, bool only_said, struct reply *reply)
{
	reply->content_type = "text/plain; charset=utf-8";
	settings_yaml(settings, only_said, &reply->body);
}

void small_services_config(struct server *server, struct request *request, struct reply *reply)
{
	(void)request;
	answer_config(server->settings, false, reply);
}

void small_services_config_diff(struct server *server, struct request *request, struct reply *reply)
{
	(void)request;
	answer_config(server->settings, true, reply);
}

void small_services_config_default(struct server *server, struct request *request,
				   struct reply *reply)
{
	struct settings settings;

	(void)server;
	(void)request;
	settings_defaults(&settings);
	answer_config(&settings, false, reply);
}
