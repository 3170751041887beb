/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How fast OpenTelemetry's profiles are received: requests of about 1 MB by gRPC, from the frame to
 * the acknowledgement, read, stored, and written to disk; and read alone. Three kinds: what a
 * profiler says of a busy host with 64 CPUs, of a calmer one, whose samples have more timestamps
 * each, and samples that are as many as fit, with stacks drawn at random for each service, which
 * nobody sends. An argument chooses one of them: busy, calm, scattered; any other is the name of a
 * captured request to send.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "tests/support/answers.h"
#include "tests/support/otlp_host.h"
#include "tests/support/otlp_maker.h"
#include "tests/support/pprof_maker.h"
#include "web/ingest.h"
#include "web/otlp_reader.h"

enum { REQUEST_COUNT = 48, REQUEST_SIZE = 1 << 20, MEMORY = 64 << 20 };

#define GRPC "/opentelemetry.proto.collector.profiles.v1development.ProfilesService/Export"

static void committed(void *context, uint64_t collector, uint64_t sequence)
{
	(void)context;
	(void)collector;
	(void)sequence;
}

static void wish(void *context, const struct identity *identity)
{
	(void)context;
	(void)identity;
}

/* Of all threads. */
static double cpu_seconds(void)
{
	struct rusage usage = { 0 };

	(void)getrusage(RUSAGE_SELF, &usage);
	return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
	       (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
}

struct requests {
	struct buf items[REQUEST_COUNT]; /* in gRPC's frames */
	size_t bytes;
	uint64_t samples, events; /* 0: not known */
};

static void frame(const struct buf *message, struct buf *framed)
{
	*framed = BUF(MEMORY);
	buf_add_u8(framed, 0);
	for (int shift = 24; shift >= 0; shift -= 8)
		buf_add_u8(framed, (uint8_t)(message->size >> shift));
	buf_add(framed, message->bytes, message->size);
	assert_int_equal(framed->error, 0);
}

static void make_scattered(struct requests *requests)
{
	for (uint64_t i = 0; i < REQUEST_COUNT; i++) {
		autoclean(buf) struct buf message = BUF(MEMORY);

		otlp_make_large(REQUEST_SIZE, i + 1, (uint64_t)clock_unix_ns(), &message);
		frame(&message, &requests->items[i]);
		requests->bytes += message.size;
	}
}

static void make_host(uint32_t samples_per_second, unsigned seconds, struct requests *requests)
{
	autoclean(otlp_host) struct otlp_host *host = NULL;

	assert_int_equal(otlp_host_new(1, samples_per_second, clock_unix_ns(), &host), 0);
	for (size_t i = 0; i < REQUEST_COUNT; i++) {
		autoclean(buf) struct buf message = BUF(MEMORY);
		struct otlp_host_totals totals = otlp_host_next(host, seconds, &message);

		frame(&message, &requests->items[i]);
		requests->bytes += message.size;
		requests->samples += totals.samples;
		requests->events += totals.events;
	}
}

/* The same again and again, but for a field that nobody knows: else it would be known again. */
static void make_copies(const char *path, struct requests *requests)
{
	autofree uint8_t *bytes = malloc(MEMORY);
	FILE *file = fopen(path, "rb");

	assert_non_null(bytes);
	assert_non_null(file);

	size_t size = fread(bytes, 1, MEMORY, file);

	(void)fclose(file);
	for (uint64_t i = 0; i < REQUEST_COUNT; i++) {
		autoclean(buf) struct buf message = BUF(MEMORY);

		buf_add(&message, bytes, size);
		pprof_number(&message, 100, i);
		frame(&message, &requests->items[i]);
		requests->bytes += message.size;
	}
}

static void send_one(struct fixture *fixture, const struct buf *request)
{
	autoclean(exchange) struct exchange exchange;

	exchange_init(&exchange, "POST", GRPC);
	exchange.request.version = HTTP_2;
	exchange_header(&exchange, "Content-Type", "application/grpc");
	exchange_body(&exchange, (struct str){ (const char *)request->bytes, request->size });
	routes_answer(fixture->routes, &exchange.request, &exchange.reply);
	assert_int_equal(exchange.reply.status, 200);
	assert_int_equal(exchange.reply.body.size, 5);
}

struct counts {
	uint64_t samples, events;
};

static int count(void *context, const struct otlp_profile *profile)
{
	struct counts *counts = context;

	counts->samples += profile->sample_count;
	for (size_t i = 0; i < profile->sample_count; i++)
		counts->events += profile->samples[i].timestamps.count;
	return 0;
}

static void read_alone(struct requests *requests, const char *what)
{
	struct counts counts = { 0 };
	double cpu = cpu_seconds();

	for (size_t i = 0; i < REQUEST_COUNT; i++) {
		struct otlp_reading reading = { .bytes = { (char *)requests->items[i].bytes + 5,
							   requests->items[i].size - 5 },
						.take = count,
						.context = &counts };
		struct otlp_report report;
		char reason[OTLP_ERROR_SIZE];

		assert_int_equal(otlp_read(&reading, &report, reason), 0);
	}
	cpu = cpu_seconds() - cpu;
	requests->samples = counts.samples;
	requests->events = counts.events;
	print_message("OTLP, %s: requests of %.2f MB with %.0f samples and %.0f timestamps\n", what,
		      (double)requests->bytes / REQUEST_COUNT / 1e6,
		      (double)counts.samples / REQUEST_COUNT,
		      (double)counts.events / REQUEST_COUNT);
	print_message("  read: %.0f MB/s of a core\n", (double)requests->bytes / 1e6 / cpu);
}

static void receive(struct fixture *fixture, const struct requests *requests)
{
	double start = (double)clock_monotonic_ns();
	double cpu = cpu_seconds();
	double wall;

	for (size_t i = 0; i < REQUEST_COUNT; i++)
		send_one(fixture, &requests->items[i]);
	cpu = cpu_seconds() - cpu;
	wall = ((double)clock_monotonic_ns() - start) / 1e9;
	print_message("  received, stored and synced: %.1f MB/s of a core, %.2f million samples, "
		      "%.2f million timestamps; %.1f MB/s by the clock\n",
		      (double)requests->bytes / 1e6 / cpu, (double)requests->samples / 1e6 / cpu,
		      (double)requests->events / 1e6 / cpu, (double)requests->bytes / 1e6 / wall);
}

static void measure(struct requests *requests, const char *what)
{
	void *state = NULL;
	struct fixture *fixture;

	read_alone(requests, what);
	assert_int_equal(open_all(&state), 0);
	fixture = state;
	assert_int_equal(ingest_start(&(struct ingest_options){ .server = &fixture->small.server,
								.committed = committed,
								.wish = wish },
				      &fixture->small.server.ingest),
			 0);
	receive(fixture, requests);
	fixture->small.server.ingest = ingest_stop(fixture->small.server.ingest);
	assert_int_equal(close_all(&state), 0);
	for (size_t i = 0; i < REQUEST_COUNT; i++)
		buf_done(&requests->items[i]);
	*requests = (struct requests){ 0 };
}

static int wanted_count;
static char *const *wanted;

static void make_busy(struct requests *requests)
{
	make_host(64 * 97, 4, requests);
}

static void make_calm(struct requests *requests)
{
	make_host(8 * 97, 30, requests);
}

static const struct kind {
	const char *name, *what;
	void (*make)(struct requests *requests);
} kinds[] = {
	{ "busy", "a host with 64 busy CPUs", make_busy },
	{ "calm", "a host with 8 busy CPUs, half a minute", make_calm },
	{ "scattered", "scattered", make_scattered },
};

enum { KIND_COUNT = sizeof(kinds) / sizeof(kinds[0]) };

static const struct kind *find_kind(const char *name)
{
	for (size_t i = 0; i < KIND_COUNT; i++)
		if (!strcmp(kinds[i].name, name))
			return &kinds[i];
	return NULL;
}

static void receive_kind(const struct kind *kind)
{
	static struct requests requests;

	kind->make(&requests);
	measure(&requests, kind->what);
}

static void receive_file(const char *path)
{
	static struct requests requests;

	make_copies(path, &requests);
	measure(&requests, path);
}

static void receiving(void **state)
{
	(void)state;
	for (int i = 0; i < wanted_count; i++) {
		const struct kind *kind = find_kind(wanted[i]);

		if (kind)
			receive_kind(kind);
		else
			receive_file(wanted[i]);
	}
	for (size_t i = 0; wanted_count == 0 && i < KIND_COUNT; i++)
		receive_kind(&kinds[i]);
}

int main(int argument_count, char **arguments)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(receiving),
	};

	wanted_count = argument_count - 1;
	wanted = arguments + 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
