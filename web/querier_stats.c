/* SPDX-License-Identifier: Apache-2.0 */
/* What there is in all, and what a question would cost. */
#include <errno.h>

#include "web/querier.h"
#include "web/server.h"

/* Profiles Drilldown shows how to begin until this says that something is there. */
void querier_get_profile_stats(struct server *server, struct request *request, struct reply *reply)
{
	Pyroscope__GetProfileStatsResponse answer = PYROSCOPE__GET_PROFILE_STATS_RESPONSE__INIT;
	autoclean(connect_call) struct connect_call call;
	struct store_status status;

	if (!connect_begin(&call, request, reply,
			   &pyroscope__get_profile_stats_request__descriptor))
		return;
	store_status(server->store, &status);
	answer.data_ingested = status.newest_ms > 0;
	answer.oldest_profile_time = status.oldest_ms;
	answer.newest_profile_time = status.newest_start_ms;
	connect_answer(&call, &answer.base);
}

/*
 * What it would cost is not known before it is asked, and Pyroscope's present storage says nothing
 * either: its clients show nothing then. A question that is none is told.
 */
void querier_analyze_query(struct server *server, struct request *request, struct reply *reply)
{
	Pyroscope__AnalyzeQueryResponse answer = PYROSCOPE__ANALYZE_QUERY_RESPONSE__INIT;
	autoclean(connect_call) struct connect_call call;

	(void)server;
	if (connect_begin(&call, request, reply, &pyroscope__analyze_query_request__descriptor))
		connect_answer(&call, &answer.base);
}
