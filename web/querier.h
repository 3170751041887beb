/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "proto/pyroscope.pb-c.h"
#include "store/selector.h"
#include "store/store.h"
#include "web/connect.h"
#include "web/profile_type.h"
#include "web/request.h"

struct server;

/*
 * querier.v1.QuerierService of Pyroscope's API. A handler reads its question, a message of
 * proto/pyroscope.proto, asks the store, and gives an answer. Headers were checked before
 * (web/routes.c).
 */
void querier_profile_types(struct server *server, struct request *request, struct reply *reply);
void querier_label_names(struct server *server, struct request *request, struct reply *reply);
void querier_label_values(struct server *server, struct request *request, struct reply *reply);
void querier_series(struct server *server, struct request *request, struct reply *reply);
void querier_select_series(struct server *server, struct request *request, struct reply *reply);
void querier_select_merge_stacktraces(struct server *server, struct request *request,
				      struct reply *reply);
void querier_select_merge_profile(struct server *server, struct request *request,
				  struct reply *reply);
void querier_select_merge_span_profile(struct server *server, struct request *request,
				       struct reply *reply);
void querier_diff(struct server *server, struct request *request, struct reply *reply);
void querier_select_heatmap(struct server *server, struct request *request, struct reply *reply);
void querier_get_profile_stats(struct server *server, struct request *request, struct reply *reply);
void querier_analyze_query(struct server *server, struct request *request, struct reply *reply);

/* ---- what the handlers share ------------------------------------------------------------------
 */

enum {
	QUERIER_MATCHER_COUNT_MAX = 64,
	/* Labels that one grouping may name; people use two. */
	QUERIER_GROUP_COUNT_MAX = 64,
	/* Points of a row, as Prometheus limits them: no screen is wider, and each row holds all.
	 */
	QUERIER_POINT_COUNT_MAX = 11000,
};

/* What most questions say, for the store. Points into the question. */
struct querier_question {
	struct profile_type type; /* of those that name one */
	struct selector *selector;
	struct store_question question;
};

/*
 * All of these are false when the reply tells what is wrong; querier_done() in any case. A range is
 * inclusive; from 0 to 0 is everything.
 */
bool querier_read_range(struct querier_question *question, struct connect_call *call, int64_t start,
			int64_t end);
bool querier_read_selection(struct querier_question *question, struct connect_call *call,
			    const char *type, const char *selector);
/* What all of the matchers ask for. */
bool querier_read_matchers(struct querier_question *question, struct connect_call *call,
			   size_t count, char *const *matchers);
void querier_done(struct querier_question *question);

/* Names of labels, each once. The array is the arena's. */
struct querier_group {
	struct str *names;
	size_t count;
};
bool querier_read_group(struct querier_group *group, struct connect_call *call, const char *field,
			size_t count, char *const *names);

/*
 * Points lie at start, start + step, … up to end, and one step before start counts for the first:
 * the clients of Pyroscope line their screens up by that. step in seconds; asks_for_all: from the
 * first to the last profile. The question's range becomes what the points hold.
 */
bool querier_read_grid(struct querier_question *question, struct connect_call *call,
		       struct store *store, double step, bool asks_for_all, struct store_grid *ret);

/* Names that Prometheus has always allowed. */
bool querier_is_plain_name(struct str name);

/* Whether the client says that it copes with any name: "Accept: *;allow-utf8-labelnames=true". */
bool querier_takes_any_name(const struct connect_call *call);

/*
 * For the answer, in the arena: labels that are there, in the order of the names; a list of texts.
 * After an error of the arena what they give is not to be looked at.
 */
Pyroscope__LabelPair **querier_labels(struct connect_call *call, const struct str *names,
				      const struct str *values, size_t count, size_t *ret_count);
char **querier_texts(struct connect_call *call, const struct str *texts, size_t count);

static inline void querier_question_cleanup(struct querier_question *question)
{
	querier_done(question);
}
