/* SPDX-License-Identifier: Apache-2.0 */
/* Pushes whose sender goes, or is told that something went wrong, and that come again. */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "base/clock.h"
#include "tests/support/answers.h"
#include "web/retries.h"

#define TARGET	  "/ingest?from=1700000000&until=1700000010&name="
#define FORM_HEAD "\r\nContent-Disposition: form-data; name=\"profile\"; filename=\"p\"\r\n\r\n"

enum { TICK_NS = 10000000, KEY = 77 };

static _Atomic int looks_left; /* after so many the client is gone */

static bool goes(const struct request *request)
{
	(void)request;
	return looks_left-- <= 0;
}

/* Whose client goes after it was looked for so many times; -1: it stays. */
static int push(struct fixture *fixture, const char *service, int looks)
{
	autoclean(exchange) struct exchange exchange;
	char target[256];

	snprintf(target, sizeof(target), TARGET "%s", service);
	exchange_init(&exchange, "POST", target);
	exchange_header(&exchange, "Content-Type", "text/plain");
	exchange_body(&exchange, STR("main;a 3\nmain 1\n"));
	looks_left = looks;
	if (looks >= 0)
		exchange.request.is_gone = goes;
	routes_answer(fixture->routes, &exchange.request, &exchange.reply);
	return exchange.reply.status;
}

/* In samples. */
static double total(struct fixture *fixture, const char *service)
{
	char target[256];
	struct json_value *flame;
	double sum;

	snprintf(target, sizeof(target),
		 "/api/v1/flame?from=1699999999000&to=1700000060000&type=" CPU
		 "&query=%%7Bservice_name%%3D%%22%s%%22%%7D",
		 service);
	flame = get(fixture, target);
	sum = number(flame, "total");
	json_value_free(flame);
	return sum / TICK_NS;
}

static void who_went_before_the_answer_comes_again(void **state)
{
	struct fixture *fixture = *state;

	assert_int_equal(push(fixture, "left", 1), 200);
	assert_true(total(fixture, "left") == 4);
	assert_int_equal(push(fixture, "left", -1), 200);
	assert_true(total(fixture, "left") == 4);
	/* That was told; who sends equal bytes now has as much again. */
	assert_int_equal(push(fixture, "left", -1), 200);
	assert_true(total(fixture, "left") == 8);
	assert_int_equal(push(fixture, "other", -1), 200);
	assert_true(total(fixture, "other") == 4);
}

static void who_went_before_it_was_begun_leaves_nothing(void **state)
{
	struct fixture *fixture = *state;

	(void)push(fixture, "early", 0);
	assert_true(total(fixture, "early") == 0);
	assert_int_equal(push(fixture, "early", -1), 200);
	assert_true(total(fixture, "early") == 4);
}

/* Of two series the second is none: the first is stored, and stays stored once. */
static void what_was_refused_in_part_comes_again(void **state)
{
	struct fixture *fixture = *state;
	static const char body[] =
		"{\"series\":[{\"labels\":[{\"name\":\"__name__\",\"value\":"
		"\"process_cpu\"},{\"name\":\"service_name\",\"value\":\"half\"}"
		"],\"samples\":[{\"rawProfile\":\"CgQIARACEgUSA8DECjIAMgNjcHUyC25hbm9"
		"zZWNvbmRzSICAqLHjn+fLF1oECAEQAg==\"}]},"
		"{\"labels\":[{\"name\":\"service_name\",\"value\":\"none\"}],"
		"\"samples\":[{\"rawProfile\":\"\"}]}]}";

	for (int again = 0; again < 2; again++) {
		autoclean(exchange) struct exchange exchange;

		exchange_init(&exchange, "POST", "/push.v1.PusherService/Push");
		exchange_header(&exchange, "Content-Type", "application/json");
		exchange_body(&exchange, str_from(body));
		routes_answer(fixture->routes, &exchange.request, &exchange.reply);
		assert_int_equal(exchange.reply.status, 400);
		assert_non_null(strstr(exchange_text(&exchange), "series 2 (none)"));
		assert_non_null(strstr(exchange_text(&exchange), "; the rest is stored"));
	}
	assert_true(total(fixture, "half") * TICK_NS == 172608);
}

/* ---- which requests are equal -----------------------------------------------------------------
 */

static void equal_ones_at_the_same_time_are_different(void **state)
{
	struct fixture *fixture = *state;
	struct retries *retries = fixture->small.server.retries;
	struct request request = { 0 };
	struct retry first = retries_begin(retries, KEY, &request);
	struct retry second = retries_begin(retries, KEY, &request);
	struct retry other = retries_begin(retries, KEY + 1, &request);
	uint64_t untold = second.source;

	assert_true(first.source && second.source && first.source != second.source);
	assert_true(other.source != first.source && other.source != second.source);
	retries_end(&second, false, true);
	retries_end(&first, true, true);
	retries_end(&other, false, false);
	/* It is the one that failed that comes again. */
	second = retries_begin(retries, KEY, &request);
	assert_true(second.source == untold);
	/* And when it fails before anything more is stored, it still is. */
	retries_end(&second, false, false);
	second = retries_begin(retries, KEY, &request);
	assert_true(second.source == untold);
	first = retries_begin(retries, KEY, &request);
	assert_true(first.source != untold);
	retries_end(&second, true, true);
	retries_end(&first, true, true);
}

static void more_than_are_remembered_push_out_the_oldest(void **state)
{
	enum { COUNT = 300 };
	struct fixture *fixture = *state;
	struct retries *retries = fixture->small.server.retries;
	struct request request = { 0 };
	struct retry running[COUNT];
	uint64_t sources[COUNT];

	for (uint64_t i = 0; i < COUNT; i++) {
		struct retry retry = retries_begin(retries, 1000 + i, &request);

		sources[i] = retry.source;
		retries_end(&retry, false, true);
	}
	for (unsigned i = COUNT; i-- > COUNT - 100;) {
		struct retry retry = retries_begin(retries, 1000 + i, &request);

		assert_true(retry.source == sources[i]);
		retries_end(&retry, true, true);
	}
	/* As many as there are places run, the rest go without. */
	for (uint64_t i = 0; i < COUNT; i++)
		running[i] = retries_begin(retries, 5000 + i, &request);
	assert_true(running[255].source != 0 && running[COUNT - 1].source == 0);
	for (unsigned i = 0; i < COUNT; i++)
		retries_end(&running[i], true, true);
}

struct wait {
	struct retries *retries;
	uint64_t source;
	_Atomic bool is_done;
};

static void *begin_again(void *context)
{
	struct wait *wait = context;
	struct request request = { 0 };
	struct retry retry = retries_begin(wait->retries, KEY, &request);

	wait->source = retry.source;
	wait->is_done = true;
	retries_end(&retry, true, true);
	return NULL;
}

/* Its client has lost patience, and is here again while the first one still waits for the disk. */
static void who_is_impatient_waits_for_the_first(void **state)
{
	struct fixture *fixture = *state;
	struct wait wait = { .retries = fixture->small.server.retries };
	struct request request = { .is_gone = goes };
	const struct timespec pause = { .tv_nsec = 50 * CLOCK_NS_PER_MS };
	struct retry first;
	pthread_t thread;

	looks_left = 0;
	first = retries_begin(wait.retries, KEY, &request);
	assert_int_equal(pthread_create(&thread, NULL, begin_again, &wait), 0);
	(void)nanosleep(&pause, NULL);
	assert_false(wait.is_done);
	retries_end(&first, false, true);
	assert_int_equal(pthread_join(thread, NULL), 0);
	assert_true(wait.source == first.source);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(who_went_before_the_answer_comes_again,
						open_with_writer, close_with_writer),
		cmocka_unit_test_setup_teardown(who_went_before_it_was_begun_leaves_nothing,
						open_with_writer, close_with_writer),
		cmocka_unit_test_setup_teardown(what_was_refused_in_part_comes_again,
						open_with_writer, close_with_writer),
		cmocka_unit_test_setup_teardown(equal_ones_at_the_same_time_are_different,
						open_with_writer, close_with_writer),
		cmocka_unit_test_setup_teardown(more_than_are_remembered_push_out_the_oldest,
						open_with_writer, close_with_writer),
		cmocka_unit_test_setup_teardown(who_is_impatient_waits_for_the_first,
						open_with_writer, close_with_writer),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
