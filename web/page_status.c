/* SPDX-License-Identifier: Apache-2.0 */
/* How Hearth itself is doing. */
#include <assert.h>

#include "base/clock.h"
#include "symbols/symbols.h"
#include "version.h"
#include "web/json_writer.h"
#include "web/metrics.h"
#include "web/otlp_senders.h"
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

/* What is wrong and what to do, in a sentence for the page; "" when all is well. */
static void write_reason(struct json_writer *json, const struct store_status *status)
{
	char text[256];

	store_state_text(status, text, sizeof(text));
	json_text(json, str_from(text));
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
	json_key(json, "open_spans");
	json_u64(json, status->open_count);
	json_key(json, "seals");
	json_u64(json, status->seals);
	json_key(json, "samples");
	json_u64(json, status->samples);
	json_key(json, "series_overflow_samples");
	json_u64(json, status->series_overflowed);
	json_key(json, "damaged");
	json_u64(json, status->damaged_count);
	json_key(json, "damaged_file");
	json_text(json, str_from(status->damaged));
	json_key(json, "damage");
	json_text(json, str_from(status->damage));
	json_key(json, "failing");
	json_u64(json, status->failing_count);
	json_key(json, "failing_file");
	json_text(json, str_from(status->failing));
	json_key(json, "checked");
	json_u64(json, status->checked_spans);
	json_key(json, "compact");
	json_begin_object(json);
	json_key(json, "spans");
	json_u64(json, status->compact_spans);
	json_key(json, "samples");
	json_u64(json, status->compact_samples);
	json_key(json, "folded");
	json_u64(json, status->folded_samples);
	json_end_object(json);
	json_key(json, "state");
	json_text(json, str_from(metrics_store_state(status->state)));
	json_key(json, "state_since_ms");
	json_i64(json, status->state_since_ms);
	json_key(json, "reason");
	write_reason(json, status);
	json_key(json, "limit_bytes");
	json_u64(json, status->byte_limit);
	json_key(json, "disk_free_bytes");
	json_u64(json, status->disk_free);
	json_key(json, "disk_bytes");
	json_u64(json, status->disk_bytes);
	json_key(json, "clock_jumped");
	json_boolean_value(json, status->clock_jumped);
	json_key(json, "classes");
	json_begin_object(json);
	for (int class = 0; class < STORE_CLASS_COUNT; class ++) {
		json_key(json, metrics_store_class((enum store_class) class));
		json_begin_object(json);
		json_key(json, "spans");
		json_u64(json, status->classes[class].span_count);
		json_key(json, "bytes");
		json_u64(json, status->classes[class].bytes);
		json_end_object(json);
	}
	json_end_object(json);
	json_key(json, "dropped");
	json_begin_object(json);
	for (int reason = 0; reason < STORE_DROP_REASON_COUNT; reason++) {
		json_key(json, metrics_drop_reason((enum store_drop_reason)reason));
		json_u64(json, status->dropped_spans[reason]);
	}
	json_end_object(json);
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
	json_key(&json, "address_missing");
	json_text(&json, str_from(server->address_missing));
	write_host(&json, server);
	write_collector(&json, server);
	write_store(&json, &store);
	write_symbols(&json, &symbols);
	if (server->otlp_senders) {
		json_key(&json, "otlp");
		otlp_senders_write(server->otlp_senders, &json);
	}
	json_end_object(&json);
}

void page_store_seal(struct server *server, struct request *request, struct reply *reply)
{
	struct json_writer json = JSON_WRITER(&reply->body);

	(void)request;
	json_begin_object(&json);
	json_key(&json, "seal");
	json_u64(&json, store_request_seal(server->store));
	json_end_object(&json);
}
