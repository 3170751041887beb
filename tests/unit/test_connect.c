/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "tests/support/exchange.h"
#include "web/connect.h"

static int status_of(const char *name, const char *value)
{
	autoclean(exchange) struct exchange exchange;

	exchange_init(&exchange, "POST", "/");
	if (strcmp(name, "Content-Type") != 0)
		exchange_header(&exchange, "Content-Type", "application/json");
	exchange_header(&exchange, name, value);
	return connect_check_headers(&exchange.request, &exchange.reply) ? 0
									 : exchange.reply.status;
}

static void checks_the_headers(void **state)
{
	(void)state;
	assert_int_equal(status_of("Content-Type", "application/json"), 0);
	assert_int_equal(status_of("Content-Type", "Application/JSON; charset=UTF-8"), 0);
	assert_int_equal(status_of("Content-Type", "application/json;charset=latin1"), 415);
	assert_int_equal(status_of("Content-Type", "application/proto"), 0);
	assert_int_equal(status_of("Content-Type", "application/protobuf"), 415);
	assert_int_equal(status_of("Content-Type", "application/grpc"), 415);
	assert_int_equal(status_of("Content-Type", "application/json5"), 415);
	assert_int_equal(status_of("Content-Type", ""), 415);
	assert_int_equal(status_of("Connect-Protocol-Version", "1"), 0);
	assert_int_equal(status_of("Connect-Protocol-Version", "2"), 400);
	assert_int_equal(status_of("Connect-Timeout-Ms", "1000"), 0);
	assert_int_equal(status_of("Connect-Timeout-Ms", "soon"), 400);
	assert_int_equal(status_of("Connect-Timeout-Ms", "12345678901"), 400);
}

static void takes_the_shorter_deadline(void **state)
{
	autoclean(exchange) struct exchange exchange;
	uint64_t now_ns = clock_monotonic_ns();

	(void)state;
	exchange_init(&exchange, "POST", "/");
	exchange_header(&exchange, "Content-Type", "application/json");
	exchange_header(&exchange, "Connect-Timeout-Ms", "5000");
	exchange.request.deadline_monotonic_ns = now_ns + 60 * UINT64_C(1000000000);
	assert_true(connect_check_headers(&exchange.request, &exchange.reply));
	assert_true(exchange.request.deadline_monotonic_ns < now_ns + 30 * UINT64_C(1000000000));
	exchange.request.deadline_monotonic_ns = now_ns;
	assert_true(connect_check_headers(&exchange.request, &exchange.reply));
	assert_true(exchange.request.deadline_monotonic_ns == now_ns);
}

static void lists_what_it_accepts(void **state)
{
	autoclean(exchange) struct exchange exchange;

	(void)state;
	exchange_init(&exchange, "POST", "/");
	exchange_header(&exchange, "Content-Type", "application/x-protobuf");
	assert_false(connect_check_headers(&exchange.request, &exchange.reply));
	assert_int_equal(exchange.reply.header_count, 1);
	assert_true(str_equal(exchange.reply.headers[0].name, STR("Accept-Post")));
	assert_true(str_equal(exchange.reply.headers[0].value,
			      STR("application/proto, application/json")));
}

static void gives_each_code_its_status(void **state)
{
	(void)state;
	assert_string_equal(connect_code_name(CONNECT_CANCELED), "canceled");
	assert_int_equal(connect_code_status(CONNECT_CANCELED), 499);
	assert_int_equal(connect_code_status(CONNECT_UNIMPLEMENTED), 501);
	assert_int_equal(connect_code_status(CONNECT_RESOURCE_EXHAUSTED), 429);
	for (enum connect_code code = 1; code < CONNECT_CODE_COUNT; code++) {
		assert_non_null(connect_code_name(code));
		assert_in_range(connect_code_status(code), 400, 504);
	}
}

static void tells_store_failures_apart(void **state)
{
	static const struct {
		int err;
		const char *code;
	} cases[] = {
		{ -EIO, "internal" },
		{ -ETIMEDOUT, "deadline_exceeded" },
		{ -ENOMEM, "unavailable" },
		{ -E2BIG, "resource_exhausted" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		autoclean(exchange) struct exchange exchange;

		exchange_init(&exchange, "POST", "/");
		connect_failure(&exchange.reply, cases[i].err);
		assert_non_null(strstr(exchange_text(&exchange), cases[i].code));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(checks_the_headers),
		cmocka_unit_test(takes_the_shorter_deadline),
		cmocka_unit_test(lists_what_it_accepts),
		cmocka_unit_test(gives_each_code_its_status),
		cmocka_unit_test(tells_store_failures_apart),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
