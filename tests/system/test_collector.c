/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A real Collector of OpenTelemetry sends to a real hearth by every protocol and compression that
 * it knows. It is built from its modules, which takes minutes: once, and only in the long tests or
 * when HEARTH_REQUIRE_CLIENTS is 1. HEARTH_COLLECTOR names one that is there already.
 */
#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/buf.h"
#include "tests/support/hearth.h"
#include "tests/support/otlp_maker.h"
#include "tests/support/tier.h"

#define BUILDER "go.opentelemetry.io/collector/cmd/builder@v0.159.0"
#define CPU	"process_cpu:cpu:nanoseconds:cpu:nanoseconds"

enum {
	OUTPUT_SIZE = 1 << 16,
	CONFIG_SIZE_MAX = 1 << 14,
	REQUEST_SIZE_MAX = 1 << 20,
	CPU_NS = 3 * 6 * 50000000, /* of what otlp_make() makes */
};

static char output[OUTPUT_SIZE];

struct place {
	struct hearth hearth;
	unsigned grpc_port, http_port, collector_port;
};

/* An exporter, and where it sends. */
static const struct exporter {
	const char *type, *compression;
	bool to_page; /* the port of the page, which takes both; else the protocol's own */
	bool as_json;
} exporters[] = {
	{ "otlp_grpc", "none", false, false },	 { "otlp_grpc", "gzip", false, false },
	{ "otlp_grpc", "zstd", false, false },	 { "otlp_grpc", "snappy", false, false },
	{ "otlp_grpc", "gzip", true, false },	 { "otlp_http", "none", false, false },
	{ "otlp_http", "gzip", false, false },	 { "otlp_http", "zstd", false, false },
	{ "otlp_http", "zlib", false, false },	 { "otlp_http", "deflate", false, false },
	{ "otlp_http", "snappy", false, false }, { "otlp_http", "x-snappy-framed", false, false },
	{ "otlp_http", "lz4", false, false },	 { "otlp_http", "zstd", true, false },
	{ "otlp_http", "gzip", false, true },	 { "otlp_http", "snappy", true, true },
};

enum { EXPORTER_COUNT = sizeof(exporters) / sizeof(exporters[0]) };

/* One that nobody listens on now. */
static unsigned free_port(void)
{
	struct sockaddr_in address = { .sin_family = AF_INET,
				       .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t size = sizeof(address);
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	assert_true(fd >= 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&address, size), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &size), 0);
	close(fd);
	return ntohs(address.sin_port);
}

static int start(void **state)
{
	static struct place place;
	char grpc[32], http[32];

	place.grpc_port = free_port();
	place.http_port = free_port();
	place.collector_port = free_port();
	snprintf(grpc, sizeof(grpc), "127.0.0.1:%u", place.grpc_port);
	snprintf(http, sizeof(http), "127.0.0.1:%u", place.http_port);

	/* What it sends is of 2023. */
	const char *options[] = { "--otlp-grpc",     grpc,  "--otlp-http", http,
				  "--retention-age", "off", NULL };

	hearth_start(&place.hearth, "serve", options);
	*state = &place;
	return 0;
}

static int stop(void **state)
{
	struct place *place = *state;

	return hearth_stop(&place->hearth);
}

static const struct built otel_collector = {
	.what = "a Collector",
	.folder = "collector",
	.program = "collector",
	.variable = "HEARTH_COLLECTOR",
	.command =
		"mkdir -p \"$1\" && cp tests/clients/collector/builder.yaml \"$1\" && cd \"$1\" && "
		"GOTOOLCHAIN=local nice go run " BUILDER " --config builder.yaml",
};

static void write_config(const struct place *place, const char *path)
{
	autoclean(buf) struct buf config = BUF(CONFIG_SIZE_MAX);
	FILE *file = fopen(path, "w");

	assert_non_null(file);
	buf_printf(&config,
		   "receivers:\n  otlp: { protocols: { http: { endpoint: '127.0.0.1:%u' } } }\n"
		   "exporters:\n",
		   place->collector_port);
	for (size_t i = 0; i < EXPORTER_COUNT; i++) {
		const struct exporter *exporter = &exporters[i];
		bool is_grpc = !strcmp(exporter->type, "otlp_grpc");
		unsigned own_port = is_grpc ? place->grpc_port : place->http_port;

		buf_printf(&config,
			   "  %s/%zu: { endpoint: '%s127.0.0.1:%u', tls: { insecure: true }, "
			   "compression: %s, %s"
			   "sending_queue: { enabled: false }, retry_on_failure: { enabled: false "
			   "} }\n",
			   exporter->type, i, is_grpc ? "" : "http://",
			   exporter->to_page ? place->hearth.port : own_port, exporter->compression,
			   exporter->as_json ? "encoding: json, " : "");
	}
	buf_printf(&config, "service:\n  telemetry: { metrics: { level: none } }\n  pipelines:\n"
			    "    profiles: { receivers: [otlp], exporters: [");
	for (size_t i = 0; i < EXPORTER_COUNT; i++)
		buf_printf(&config, "%s%s/%zu", i ? ", " : "", exporters[i].type, i);
	buf_printf(&config, "] }\n");
	assert_int_equal(config.error, 0);
	assert_int_equal(fwrite(config.bytes, 1, config.size, file), config.size);
	assert_int_equal(fclose(file), 0);
}

static void write_request(const char *path)
{
	autoclean(buf) struct buf request = BUF(REQUEST_SIZE_MAX);
	FILE *file = fopen(path, "wb");

	assert_non_null(file);
	otlp_make(OTLP_R1_10, 0, &request);
	assert_int_equal(request.error, 0);
	assert_int_equal(fwrite(request.bytes, 1, request.size, file), request.size);
	assert_int_equal(fclose(file), 0);
}

/* The sum over all lines of /metrics that begin so. */
static double metric(const struct place *place, const char *name)
{
	char *text = NULL;
	double sum = 0;

	assert_int_equal(http_ask(place->hearth.port, "/metrics", NULL, &text), 200);
	for (const char *line = text; line; line = strchr(line, '\n')) {
		line += *line == '\n';
		if (!strncmp(line, name, strlen(name))) {
			const char *end = strchr(line, '\n');
			const char *value = end;

			while (value > line && value[-1] != ' ')
				value--;
			sum += strtod(value, NULL);
		}
	}
	free(text);
	return sum;
}

static void it_sends_by_every_protocol_and_compression(void **state)
{
	const struct place *place = *state;
	struct child collector;
	char program[300], config[128], request[128];
	double received, repeated;

	find_built(&otel_collector, program, sizeof(program));
	snprintf(config, sizeof(config), "%s/collector.yaml", place->hearth.folder);
	snprintf(request, sizeof(request), "%s/request.bin", place->hearth.folder);
	write_config(place, config);
	write_request(request);

	const char *arguments[] = { program, "--config", config,
				    "--feature-gates=service.profilesSupport", NULL };

	child_start(&collector, arguments, 0);
	assert_true(child_says(&collector, "Everything is ready", 30));
	/* It answers when all exporters have delivered. */
	if (shell_output(output, sizeof(output),
			 "curl -sS -f --max-time 60 -H 'Content-Type: application/x-protobuf' "
			 "--data-binary @'%s' http://127.0.0.1:%u/v1development/profiles 2>&1",
			 request, place->collector_port)) {
		(void)child_says(&collector, "nothing more", 1);
		fail_msg("%s: %s", output, collector.said);
	}
	(void)child_stop(&collector, 20);
	received = metric(place, "hearth_otlp_requests_total");
	repeated = metric(place, "hearth_otlp_repeated_total");
	assert_true(received == EXPORTER_COUNT);
	assert_true(metric(place, "hearth_otlp_refused_total") == 0);
	/* All that is protobuf unpacks to the same bytes, which are known again; so does JSON. */
	assert_true(received - repeated == 2);

	json_t *flame = hearth_get(&place->hearth,
				   "/api/v1/flame?from=1699999990000&to=1700000100000&type=" CPU
				   "&query=%%7B%%7D");
	double sum = json_number_value(json_object_get(flame, "total"));

	json_decref(flame);
	if (sum != 2.0 * CPU_NS)
		fail_msg("%.0f in the store", sum);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(it_sends_by_every_protocol_and_compression),
	};

	return cmocka_run_group_tests(tests, start, stop);
}
