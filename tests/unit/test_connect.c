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

static struct json_value *parse(const char *text)
{
	struct json_value *value = NULL;
	char error[JSON_ERROR_SIZE] = "";

	assert_int_equal(json_value_parse(str_from(text), &value, error), 0);
	return value;
}

static void takes_both_names_and_every_form_of_a_number(void **state)
{
	static const struct {
		const char *text;
		int64_t value;
		bool is_wrong;
	} cases[] = {
		{ "{\"maxNodes\":5}", 5, false },
		{ "{\"max_nodes\":\"5\"}", 5, false },
		{ "{\"max_nodes\":5.0}", 5, false },
		{ "{\"max_nodes\":1.7e12}", 1700000000000, false },
		{ "{\"max_nodes\":\"-9223372036854775808\"}", INT64_MIN, false },
		{ "{\"max_nodes\":null}", 0, false },
		{ "{\"MAX_NODES\":7,\"x\":{}}", 0, false },
		{ "{}", 0, false },
		{ "{\"max_nodes\":5.5}", 0, true },
		{ "{\"max_nodes\":1e300}", 0, true },
		{ "{\"max_nodes\":9223372036854775808.0}", 0, true },
		{ "{\"max_nodes\":\"\"}", 0, true },
		{ "{\"max_nodes\":\"5x\"}", 0, true },
		{ "{\"max_nodes\":true}", 0, true },
		{ "{\"max_nodes\":[5]}", 0, true },
		{ "{\"max_nodes\":5,\"maxNodes\":5}", 0, true },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		autoclean(json_value) struct json_value *message = parse(cases[i].text);
		autoclean(exchange) struct exchange exchange;
		struct connect_fields fields = connect_fields(message);
		int64_t value = connect_int64(&fields, "max_nodes");

		exchange_init(&exchange, "POST", "/");
		assert_int_equal(connect_fields_ok(&fields, &exchange.reply), !cases[i].is_wrong);
		if (cases[i].is_wrong)
			assert_non_null(strstr(exchange_text(&exchange), "invalid_argument"));
		else
			assert_true(value == cases[i].value);
	}
}

static void derives_names_as_protoc_does(void **state)
{
	autoclean(json_value) struct json_value *message =
		parse("{\"profileTypeID\":\"a\",\"ID\":\"b\",\"gnuBuildId\":\"c\","
		      "\"repositoryURL\":\"d\"}");
	struct connect_fields fields = connect_fields(message);

	(void)state;
	assert_true(str_equal(connect_text(&fields, "profile_typeID"), STR("a")));
	assert_true(str_equal(connect_text(&fields, "ID"), STR("b")));
	assert_true(str_equal(connect_text(&fields, "gnu_build_id"), STR("c")));
	assert_true(str_equal(connect_text(&fields, "repositoryURL"), STR("d")));
	assert_string_equal(fields.error, "");
}

static void reads_doubles_enums_and_lists(void **state)
{
	static const char *const formats[] = { "ZERO", "ONE" };
	autoclean(json_value) struct json_value *message =
		parse("{\"step\":\"15.5\",\"format\":\"ONE\",\"other\":7,\"new\":\"NEWER\","
		      "\"list\":[\"a\",\"b\"],\"mixed\":[1],\"hex\":\"0x10\"}");
	struct connect_fields fields = connect_fields(message);

	(void)state;
	assert_true(connect_double(&fields, "step") == 15.5);
	assert_int_equal(connect_enum(&fields, "format", formats, 2), 1);
	assert_int_equal(connect_enum(&fields, "other", formats, 2), 7);
	assert_int_equal(connect_enum(&fields, "new", formats, 2), 0);
	assert_int_equal(connect_count(&fields, "list", 2), 2);
	assert_true(str_equal(connect_text_at(&fields, "list", 1), STR("b")));
	assert_string_equal(fields.error, "");
	assert_int_equal(connect_count(&fields, "list", 1), 0);
	assert_non_null(strstr(fields.error, "too many"));

	fields = connect_fields(message);
	assert_null(connect_text_at(&fields, "mixed", 0).text);
	assert_non_null(strstr(fields.error, "mixed"));

	fields = connect_fields(message);
	assert_true(connect_double(&fields, "hex") == 0);
	assert_non_null(strstr(fields.error, "hex"));
	/* After the first error all else is a default. */
	assert_null(connect_text(&fields, "list").text);
	assert_non_null(strstr(fields.error, "hex"));
}

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
	assert_int_equal(status_of("Content-Type", "application/proto"), 415);
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
	exchange_header(&exchange, "Content-Type", "application/proto");
	assert_false(connect_check_headers(&exchange.request, &exchange.reply));
	assert_int_equal(exchange.reply.header_count, 1);
	assert_true(str_equal(exchange.reply.headers[0].name, STR("Accept-Post")));
	assert_true(str_equal(exchange.reply.headers[0].value, STR("application/json")));
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
		cmocka_unit_test(takes_both_names_and_every_form_of_a_number),
		cmocka_unit_test(derives_names_as_protoc_does),
		cmocka_unit_test(reads_doubles_enums_and_lists),
		cmocka_unit_test(checks_the_headers),
		cmocka_unit_test(takes_the_shorter_deadline),
		cmocka_unit_test(lists_what_it_accepts),
		cmocka_unit_test(gives_each_code_its_status),
		cmocka_unit_test(tells_store_failures_apart),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
