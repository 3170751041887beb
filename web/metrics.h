/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "base/window.h"
#include "store/store.h"
#include "web/request.h"

struct server;

/* For monitoring: what Hearth does and what it lost, in the text format of Prometheus. */
void metrics_answer(struct server *server, struct request *request, struct reply *reply);

/* The version, as Grafana and profilecli ask for it. */
void metrics_build(struct server *server, struct request *request, struct reply *reply);

/* "ready" once the store and the listeners work, which is so when a request gets here. */
void metrics_ready(struct server *server, struct request *request, struct reply *reply);

/*
 * Whether all of it works: 200 when what comes in can be written and a collector samples, else 503;
 * {"ready":false,"reasons":["no collector is connected"]}. Told to everybody, so without details.
 */
void metrics_readyz(struct server *server, struct request *request, struct reply *reply);

/* "ok": the process answers. */
void metrics_healthz(struct server *server, struct request *request, struct reply *reply);

/* What a kind of loss is called to the outside: here and in the status. */
const char *metrics_loss_name(enum loss_kind kind);

/* The same of the store: "ok", "shedding", "read-only"; "raw", "late"; "age", "size", "room". */
const char *metrics_store_state(enum store_state state);
const char *metrics_store_class(enum store_class class);
const char *metrics_drop_reason(enum store_drop_reason reason);
