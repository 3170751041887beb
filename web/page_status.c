/* SPDX-License-Identifier: Apache-2.0 */
/* How Hearth itself is doing. */
#include <assert.h>

#include "base/clock.h"
#include "symbols/symbols.h"
#include "version.h"
#include "web/json_writer.h"
#include "web/metrics.h"
#include "web/page.h"
#include "web/server.h"

static const char *state_text(int state)
{
	switch (state) {
	case COLLECTOR_SAMPLING:
		return "sampling";
	case COLLECTOR_NO_RIGHTS:
		return "no_rights";
	case COLLECTOR_REPLAY:
		return "replay";
	default:
		return "absent";
	}
}

static void write_host(struct json_writer *json, const struct server *server)
{
	json_key(json, "host");
	json_begin_object(json);
	json_key(json, "name");
	json_text(json, str_from(server->host_name));
	json_key(json, "kernel");
	json_text(json, str_from(server->kernel_release));
	json_key(json, "cpus");
	json_u64(json, page_cpu_count(server));
	json_end_object(json);
}

static void write_collector(struct json_writer *json, const struct server *server)
{
	const struct server_counters *counters = &server->counters;

	json_key(json, "collector");
	json_begin_object(json);
	json_key(json, "state");
	json_text(json, str_from(state_text(counters->collector_state)));
	json_key(json, "since_ms");
	json_i64(json, counters->collector_since_ms);
	json_key(json, "frequency_hz");
	json_u64(json, counters->frequency_hz);
	json_key(json, "reason");
	json_text(json, str_from(server->collector_reason));
	json_key(json, "samples");
	json_u64(json, counters->samples_received);
	json_key(json, "lost");
	json_begin_object(json);
	for (int kind = 0; kind < LOSS_KIND_COUNT; kind++) {
		json_key(json, metrics_loss_name((enum loss_kind)kind));
		json_u64(json, counters->losses[kind]);
	}
	json_end_object(json);
	json_end_object(json);
}

static void write_store(struct json_writer *json, const struct store_status *status)
{
	json_key(json, "store");
	json_begin_object(json);
	json_key(json, "oldest_ms");
	json_i64(json, status->oldest_ms);
	json_key(json, "newest_ms");
	json_i64(json, status->newest_ms);
	json_key(json, "bytes");
	json_u64(json, status->bytes);
	json_key(json, "spans");
	json_u64(json, status->span_count);
	json_key(json, "samples");
	json_u64(json, status->samples);
	json_key(json, "damaged");
	json_u64(json, status->damaged_count);
	json_end_object(json);
}

static void write_symbols(struct json_writer *json, const struct symbols_stats *stats)
{
	json_key(json, "symbols");
	json_begin_object(json);
	json_key(json, "modules");
	json_u64(json, stats->modules);
	json_key(json, "waiting");
	json_u64(json, stats->waiting);
	json_key(json, "failed");
	json_u64(json, stats->failed);
	json_end_object(json);
}

void page_status(struct server *server, struct request *request, struct reply *reply)
{
	struct json_writer json = JSON_WRITER(&reply->body);
	struct symbols_stats symbols = { 0 };
	struct store_status store;

	(void)request;
	store_status(server->store, &store);
	if (server->symbols)
		symbols_stats(server->symbols, &symbols);

	json_begin_object(&json);
	json_key(&json, "version");
	json_text(&json, str_from(HEARTH_VERSION));
	json_key(&json, "time_ms");
	json_i64(&json, clock_unix_ms());
	json_key(&json, "started_ms");
	json_i64(&json, server->started_unix_ms);
	write_host(&json, server);
	write_collector(&json, server);
	write_store(&json, &store);
	write_symbols(&json, &symbols);
	json_end_object(&json);
}
