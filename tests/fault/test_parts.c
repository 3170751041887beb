/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Requests that bring profiles, in one part or in several, each of which is stored for itself,
 * while every call that writes fails in turn: it is refused, comes again, and is then in the store
 * exactly once.
 */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/clock.h"
#include "tests/support/answers.h"
#include "tests/support/fault_vfs.h"
#include "tests/support/pprof_maker.h"
#include "tests/support/tier.h"
#include "web/ingest.h"

enum {
	PART_COUNT = 3,
	PART_DISTANCE_S = 700, /* a segment ends between them, which writes */
	SAMPLES = 2,
	PERIOD_NS = 1000,
	TICK_NS = 10000000, /* of a sample that comes without its period */
	CALL_COUNT_MAX = 4000,
	MEMORY = 64 << 10,
	RETRY_S = 20, /* after which a disk that failed has been tried again */
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

int __real_pthread_cond_timedwait(pthread_cond_t *condition, pthread_mutex_t *lock,
				  const struct timespec *until);
int __wrap_pthread_cond_timedwait(pthread_cond_t *condition, pthread_mutex_t *lock,
				  const struct timespec *until);

/* The machine knows nothing of the clock being ahead, and would wait for that, too. */
int __wrap_pthread_cond_timedwait(pthread_cond_t *condition, pthread_mutex_t *lock,
				  const struct timespec *until)
{
	struct timespec here = *until;

	here.tv_sec -=
		(time_t)(__atomic_load_n(&ahead_ns, __ATOMIC_RELAXED) / (int64_t)CLOCK_NS_PER_S);
	return __real_pthread_cond_timedwait(condition, lock, &here);
}

/* ---- requests ---------------------------------------------------------------------------------
 */

/* A way in which it comes. The place in make() makes another request of it. */
struct way {
	const char *path, *type;
	void (*make)(uint64_t place, struct buf *request);
	double whole;
	bool is_known; /* by its bytes, also when it was answered */
};

static void make_otlp(uint64_t place, int part_count, struct buf *request)
{
	buf_printf(request,
		   "{\"resourceProfiles\":[{\"resource\":{\"attributes\":[{\"key\":"
		   "\"service.name\",\"value\":{\"stringValue\":\"request-%llu\"}}]},"
		   "\"scopeProfiles\":[{\"profiles\":[",
		   (unsigned long long)place);
	for (int i = 0; i < part_count; i++)
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
}

static void make_otlp_parts(uint64_t place, struct buf *request)
{
	make_otlp(place, PART_COUNT, request);
}

static void make_otlp_one(uint64_t place, struct buf *request)
{
	make_otlp(place, 1, request);
}

static struct str str_of(const struct buf *buf)
{
	assert_int_equal(buf->error, 0);
	return (struct str){ (const char *)buf->bytes, buf->size };
}

static void add_message(struct buf *buf, unsigned field, const uint64_t *numbers, size_t count)
{
	autoclean(buf) struct buf part = BUF(MEMORY);

	for (size_t i = 0; i < count; i++)
		if (numbers[i])
			pprof_number(&part, (unsigned)i + 1, numbers[i]);
	pprof_sized(buf, field, str_of(&part));
}

static void make_profile(int64_t time_ms, struct buf *profile)
{
	static const char *const texts[] = { "", "cpu", "nanoseconds", "f" };
	autoclean(buf) struct buf location = BUF(MEMORY);

	add_message(profile, 1, (uint64_t[]){ 1, 2 }, 2);
	add_message(profile, 2, (uint64_t[]){ 1, SAMPLES * PERIOD_NS }, 2);
	pprof_number(&location, 1, 1);
	add_message(&location, 4, (uint64_t[]){ 1, 7 }, 2);
	pprof_sized(profile, 4, str_of(&location));
	add_message(profile, 5, (uint64_t[]){ 1, 3 }, 2);
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		pprof_sized(profile, 6, str_from(texts[i]));
	pprof_number(profile, 9, (uint64_t)time_ms * CLOCK_NS_PER_MS);
	pprof_number(profile, 10, CLOCK_NS_PER_S);
	add_message(profile, 11, (uint64_t[]){ 1, 2 }, 2);
	pprof_number(profile, 12, PERIOD_NS);
}

static void add_label(struct buf *series, const char *name, const char *value)
{
	autoclean(buf) struct buf label = BUF(MEMORY);

	pprof_sized(&label, 1, str_from(name));
	pprof_sized(&label, 2, str_from(value));
	pprof_sized(series, 1, str_of(&label));
}

/* Profiles of one series, ten minutes apart. */
static void make_push(uint64_t place, struct buf *request)
{
	autoclean(buf) struct buf series = BUF(MEMORY);
	char service[32];

	snprintf(service, sizeof(service), "request-%llu", (unsigned long long)place);
	add_label(&series, "__name__", "process_cpu");
	add_label(&series, "service_name", service);
	for (int i = 0; i < PART_COUNT; i++) {
		autoclean(buf) struct buf profile = BUF(MEMORY);
		autoclean(buf) struct buf sample = BUF(MEMORY);

		make_profile(BASE_MS + i * INT64_C(1000) * PART_DISTANCE_S, &profile);
		pprof_sized(&sample, 1, str_of(&profile));
		pprof_sized(&series, 2, str_of(&sample));
	}
	pprof_sized(request, 1, str_of(&series));
}

static void make_folded(uint64_t place, struct buf *request)
{
	(void)place;
	buf_printf(request, "f %d\n", SAMPLES);
}

static const struct way ways[] = {
	{ "/v1development/profiles", "application/json", make_otlp_parts,
	  (double)PART_COUNT *SAMPLES *PERIOD_NS, true },
	{ "/v1development/profiles", "application/json", make_otlp_one, (double)SAMPLES *PERIOD_NS,
	  true },
	{ "/push.v1.PusherService/Push", "application/proto", make_push,
	  (double)PART_COUNT *SAMPLES *PERIOD_NS, false },
	{ "/ingest?from=1700000000&until=1700000010&name=request-", "text/plain", make_folded,
	  (double)SAMPLES *TICK_NS, false },
};

static int send_request(struct fixture *fixture, const struct way *way, uint64_t place,
			const struct buf *request)
{
	autoclean(exchange) struct exchange exchange;
	char target[128];

	snprintf(target, sizeof(target), "%s", way->path);
	if (way->path[strlen(way->path) - 1] == '-')
		snprintf(target, sizeof(target), "%s%llu", way->path, (unsigned long long)place);
	exchange_init(&exchange, "POST", target);
	exchange_header(&exchange, "Content-Type", way->type);
	exchange_body(&exchange, str_of(request));
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

/* ---- tests ------------------------------------------------------------------------------------
 */

static int nothing(void *context)
{
	(void)context;
	return 0;
}

/* The writer looks at the disk between two guests. */
static void let_it_recover(struct fixture *fixture)
{
	__atomic_add_fetch(&ahead_ns, RETRY_S * CLOCK_NS_PER_S, __ATOMIC_RELAXED);
	for (int i = 0; i < 2; i++)
		assert_int_equal(ingest_act(fixture->small.server.ingest, nothing, NULL), 0);
}

static void it_is_stored_once(struct fixture *fixture, const struct way *way, enum fault_kind kind,
			      uint64_t *place)
{
	const uint64_t step = tier_is_long() ? 1 : 7;
	bool has_failed = true;
	unsigned refused = 0;

	for (uint64_t call = 1; has_failed; call += step) {
		autoclean(buf) struct buf request = BUF(MEMORY);
		double sum;
		int status;

		assert_true(call < CALL_COUNT_MAX);
		way->make(++*place, &request);
		fault_vfs_fail(call, kind, false);
		status = send_request(fixture, way, *place, &request);
		has_failed = fault_vfs_has_failed();
		fault_vfs_fail(0, kind, false);
		assert_true(status == 200 || status == 503);
		for (int again = 0; status != 200 && again < 3; again++) {
			refused++;
			let_it_recover(fixture);
			status = send_request(fixture, way, *place, &request);
		}
		assert_int_equal(status, 200);
		sum = total(fixture, *place);
		if (sum != way->whole)
			fail_msg("%s, call %llu: %.0f for %.0f", way->path,
				 (unsigned long long)call, sum, way->whole);
		/* And once more, as a sender does that did not hear of it; others mean it. */
		assert_int_equal(send_request(fixture, way, *place, &request), 200);
		assert_true(total(fixture, *place) == (way->is_known ? 1 : 2) * way->whole);
	}
	assert_true(refused > 0);
	print_message("%s: %u times refused\n", way->path, refused);
}

static void a_request_that_fails_midway_is_stored_once(void **state)
{
	uint64_t place = 0;

	for (size_t i = 0; i < sizeof(ways) / sizeof(ways[0]); i++) {
		it_is_stored_once(*state, &ways[i], FAULT_IO, &place);
		it_is_stored_once(*state, &ways[i], FAULT_FULL, &place);
	}
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
