/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "base/str.h"
#include "proto/services.pb-c.h"
#include "web/arena.h"

struct reply;
struct request;
struct server;

/*
 * settings.v1.RecordingRulesService of Pyroscope's API: metrics of profiles. A rule says which
 * profiles (matchers, one of which names the type), by which labels, and maybe of which function.
 * It is kept in records.db as its message of proto/services.proto.
 */
enum { RULE_COUNT_MAX = 25 }; /* as Pyroscope's */

void rules_get(struct server *server, struct request *request, struct reply *reply);
void rules_list(struct server *server, struct request *request, struct reply *reply);
void rules_upsert(struct server *server, struct request *request, struct reply *reply);
void rules_delete(struct server *server, struct request *request, struct reply *reply);

/* All of them, by id, in the arena. */
struct rules {
	Pyroscope__RecordingRule *rules[RULE_COUNT_MAX];
	size_t count;
};
int rules_read(struct server *server, struct arena *arena, struct rules *ret);

/* The function that a rule counts; a NULL text: all of each stack. */
struct str rule_function(const Pyroscope__RecordingRule *rule);

/*
 * GET /metrics/rules: what each rule makes of the last whole minute, for Prometheus, as gauges with
 * the time at which the minute ended. A minute counts when it is over for RULE_DELAY_SECONDS, since
 * programs push what they have collected for a while.
 */
void rules_metrics(struct server *server, struct request *request, struct reply *reply);
