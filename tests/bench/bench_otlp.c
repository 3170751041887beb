/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How fast OpenTelemetry's profiles are received: requests of 1 MB by gRPC, from the frame to the
 * acknowledgement, read, stored, and written to disk; and read alone.
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
#include "tests/support/otlp_maker.h"
#include "web/ingest.h"
#include "web/otlp_reader.h"

enum { REQUEST_COUNT = 48, REQUEST_SIZE = 1 << 20, MEMORY = 4 << 20 };

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

static struct buf *make_requests(size_t *ret_bytes)
{
	struct buf *requests = calloc(REQUEST_COUNT, sizeof(requests[0]));

	assert_non_null(requests);
	*ret_bytes = 0;
	for (uint64_t i = 0; i < REQUEST_COUNT; i++) {
		autoclean(buf) struct buf message = BUF(MEMORY);

		requests[i] = BUF(MEMORY);
		otlp_make_large(REQUEST_SIZE, i + 1, (uint64_t)clock_unix_ns(), &message);
		buf_add_u8(&requests[i], 0);
		for (int shift = 24; shift >= 0; shift -= 8)
			buf_add_u8(&requests[i], (uint8_t)(message.size >> shift));
		buf_add(&requests[i], message.bytes, message.size);
		assert_int_equal(requests[i].error, 0);
		*ret_bytes += message.size;
	}
	return requests;
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

static int take_nothing(void *context, const struct otlp_profile *profile)
{
	uint64_t *samples = context;

	*samples += profile->sample_count;
	return 0;
}

static void receiving(void **state)
{
	struct fixture *fixture;
	size_t bytes = 0;
	struct buf *requests = make_requests(&bytes);
	uint64_t samples = 0;
	double start, wall, cpu;

	assert_int_equal(open_all(state), 0);
	fixture = *state;
	assert_int_equal(ingest_start(&(struct ingest_options){ .server = &fixture->small.server,
								.committed = committed,
								.wish = wish },
				      &fixture->small.server.ingest),
			 0);

	cpu = cpu_seconds();
	for (size_t i = 0; i < REQUEST_COUNT; i++) {
		struct otlp_reading reading = { .bytes = { (char *)requests[i].bytes + 5,
							   requests[i].size - 5 },
						.take = take_nothing,
						.context = &samples };
		struct otlp_report report;
		char reason[OTLP_ERROR_SIZE];

		assert_int_equal(otlp_read(&reading, &report, reason), 0);
	}
	cpu = cpu_seconds() - cpu;
	print_message("OTLP read: %.0f MB/s of a core, %.0f samples/MB\n",
		      (double)bytes / 1e6 / cpu, (double)samples / ((double)bytes / 1e6));

	start = (double)clock_monotonic_ns();
	cpu = cpu_seconds();
	for (size_t i = 0; i < REQUEST_COUNT; i++)
		send_one(fixture, &requests[i]);
	cpu = cpu_seconds() - cpu;
	wall = ((double)clock_monotonic_ns() - start) / 1e9;
	print_message("OTLP received, stored and synced: %.1f MB/s of a core, %.1f MB/s by the "
		      "clock\n",
		      (double)bytes / 1e6 / cpu, (double)bytes / 1e6 / wall);
	fixture->small.server.ingest = ingest_stop(fixture->small.server.ingest);
	assert_int_equal(close_all(state), 0);
	for (size_t i = 0; i < REQUEST_COUNT; i++)
		buf_done(&requests[i]);
	free(requests);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(receiving),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
