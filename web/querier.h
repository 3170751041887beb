/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "store/selector.h"
#include "store/store.h"
#include "web/connect.h"
#include "web/profile_type.h"
#include "web/request.h"

struct server;

/*
 * querier.v1.QuerierService of Pyroscope's API. A handler reads the request into typed values, asks
 * the store, and writes the answer. Headers were checked before (web/routes.c).
 */
void querier_profile_types(struct server *server, struct request *request, struct reply *reply);
void querier_label_names(struct server *server, struct request *request, struct reply *reply);
void querier_label_values(struct server *server, struct request *request, struct reply *reply);
void querier_series(struct server *server, struct request *request, struct reply *reply);
void querier_select_series(struct server *server, struct request *request, struct reply *reply);
void querier_select_merge_stacktraces(struct server *server, struct request *request,
				      struct reply *reply);

/* ---- what the handlers share ------------------------------------------------------------------
 */

enum {
	QUERIER_MATCHER_COUNT_MAX = 64,
	/* Labels that one grouping may name; people use two. */
	QUERIER_GROUP_COUNT_MAX = 16,
	/* Points of a row, as Prometheus limits them: no screen is wider, and each row holds all.
	 */
	QUERIER_POINT_COUNT_MAX = 11000,
};

/* A question as it stands in most requests. Holds the message, whose texts it points to. */
struct querier_question {
	struct json_value *message;
	struct connect_fields fields;
	struct profile_type type; /* of those that name one */
	struct selector *selector;
	struct store_question question;
};

/* Reads the message. False when the reply tells what is wrong; done() in either case. */
bool querier_begin(struct querier_question *question, struct request *request, struct reply *reply);
void querier_done(struct querier_question *question);

/*
 * start and end, both inclusive. Neither: everything. False when the reply tells what is wrong, as
 * for the two below.
 */
bool querier_read_range(struct querier_question *question, struct reply *reply);

/* profile_typeID and label_selector. */
bool querier_read_selection(struct querier_question *question, struct reply *reply);

/* matchers: what all of them ask for. */
bool querier_read_matchers(struct querier_question *question, struct reply *reply);

/* Labels that are there, in the order of the names; nothing when none is. */
struct json_writer;
void querier_write_labels(struct json_writer *json, const struct str *names,
			  const struct str *values, size_t count);

static inline void querier_question_cleanup(struct querier_question *question)
{
	querier_done(question);
}
