/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

struct reply;
struct request;
struct server;

/*
 * Pyroscope's oldest calls, GET with a query string, which Profiles Drilldown still makes for its
 * diff view and its exports: a flame graph with a timeline, two of them on top of each other, the
 * values of a label. Times as in web/attime.h.
 */
void render_answer(struct server *server, struct request *request, struct reply *reply);
void render_diff_answer(struct server *server, struct request *request, struct reply *reply);
void render_label_values(struct server *server, struct request *request, struct reply *reply);
