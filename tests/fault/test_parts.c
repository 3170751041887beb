/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A request that comes in several parts, each of which is stored for itself, while every call that
 * writes fails in turn: it is refused, comes again, and is then in the store exactly once.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "base/clock.h"
#include "tests/support/answers.h"
#include "tests/support/fault_vfs.h"

enum {
	PART_COUNT = 3,
	PART_DISTANCE_S = 700, /* a segment ends between them, which writes */
	SAMPLES = 2,
	PERIOD_NS = 1000,
	CALL_COUNT_MAX = 4000,
	MEMORY = 64 << 10,
	RETRY_S = 11, /* after which a disk that failed is tried again */
};

static int64_t ahead_ns; /* of the machine's clock */

uint64_t __real_clock_monotonic_ns(void);
uint64_t __wrap_clock_monotonic_ns(void);
int64_t __real_clock_unix_ns(void);
int64_t __wrap_clock_unix_ns(void);

uint64_t __wrap_clock_monotonic_ns(void)
{
	return __real_clock_monotonic_ns() + (uint64_t)__atomic_load_n(&ahead_ns, __ATOMIC_RELAXED);
}

int64_t __wrap_clock_unix_ns(void)
{
	return __real_clock_unix_ns() + __atomic_load_n(&ahead_ns, __ATOMIC_RELAXED);
}

/* Of each part two samples; the place makes another request of it. */
static void make_request(uint64_t place, struct buf *request)
{
	buf_printf(request,
		   "{\"resourceProfiles\":[{\"resource\":{\"attributes\":[{\"key\":"
		   "\"service.name\",\"value\":{\"stringValue\":\"request-%llu\"}}]},"
		   "\"scopeProfiles\":[{\"profiles\":[",
		   (unsigned long long)place);
	for (int i = 0; i < PART_COUNT; i++)
		buf_printf(
			request,
			"%s{\"sampleType\":{\"typeStrindex\":1,\"unitStrindex\":2},"
			"\"periodType\":{\"typeStrindex\":3,\"unitStrindex\":4},"
			"\"period\":\"%d\",\"timeUnixNano\":\"%lld\",\"durationNano\":1000000000,"
			"\"samples\":[{\"stackIndex\":1,\"values\":[\"%d\"]}]}",
			i ? "," : "", PERIOD_NS,
			(long long)(BASE_MS + i * INT64_C(1000) * PART_DISTANCE_S) *
				CLOCK_NS_PER_MS,
			SAMPLES);
	buf_printf(request,
		   "]}]}],\"dictionary\":{\"stringTable\":[\"\",\"samples\",\"count\","
		   "\"cpu\",\"nanoseconds\",\"f\"],\"functionTable\":[{},"
		   "{\"nameStrindex\":5}],\"locationTable\":[{},{\"lines\":[{"
		   "\"functionIndex\":1}]}],\"stackTable\":[{},{\"locationIndices\":[1]}]}}");
	assert_int_equal(request->error, 0);
}

static int send_request(struct fixture *fixture, const struct buf *request)
{
	autoclean(exchange) struct exchange exchange;

	exchange_init(&exchange, "POST", "/v1development/profiles");
	exchange_header(&exchange, "Content-Type", "application/json");
	exchange_body(&exchange, (struct str){ (const char *)request->bytes, request->size });
	routes_answer(fixture->routes, &exchange.request, &exchange.reply);
	return exchange.reply.status;
}

static double total(struct fixture *fixture, uint64_t place)
{
	char target[512];
	struct json_value *flame;
	double sum;

	snprintf(target, sizeof(target),
		 "/api/v1/flame?from=%lld&to=%lld&type=" CPU
		 "&query=%%7Bservice_name%%3D%%22request-%llu%%22%%7D",
		 (long long)BASE_MS - 1000, (long long)BASE_MS + 3600 * 1000,
		 (unsigned long long)place);
	flame = get(fixture, target);
	sum = number(flame, "total");
	json_value_free(flame);
	return sum;
}

static void it_is_stored_once(struct fixture *fixture, enum fault_kind kind, uint64_t *place)
{
	const double whole = (double)PART_COUNT * SAMPLES * PERIOD_NS;
	bool has_failed = true;
	unsigned refused = 0;

	for (uint64_t call = 1; has_failed; call++) {
		autoclean(buf) struct buf request = BUF(MEMORY);
		int status;

		assert_true(call < CALL_COUNT_MAX);
		make_request(++*place, &request);
		fault_vfs_fail(call, kind, false);
		status = send_request(fixture, &request);
		has_failed = fault_vfs_has_failed();
		fault_vfs_fail(0, kind, false);
		assert_true(status == 200 || status == 503);
		for (int again = 0; status != 200 && again < 3; again++) {
			refused++;
			__atomic_add_fetch(&ahead_ns, RETRY_S * CLOCK_NS_PER_S, __ATOMIC_RELAXED);
			status = send_request(fixture, &request);
		}
		assert_int_equal(status, 200);
		if (total(fixture, *place) != whole)
			fail_msg("call %llu: %.0f for %.0f", (unsigned long long)call,
				 total(fixture, *place), whole);
		/* And once more, as a sender does that did not hear of it. */
		assert_int_equal(send_request(fixture, &request), 200);
		assert_true(total(fixture, *place) == whole);
	}
	assert_true(refused > 3);
	print_message("%u times refused\n", refused);
}

static void a_request_that_fails_midway_is_stored_once(void **state)
{
	uint64_t place = 0;

	it_is_stored_once(*state, FAULT_IO, &place);
	it_is_stored_once(*state, FAULT_FULL, &place);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_request_that_fails_midway_is_stored_once,
						open_with_writer, close_with_writer),
	};

	fault_vfs_install();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
