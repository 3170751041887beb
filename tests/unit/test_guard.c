/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "tests/support/exchange.h"
#include "web/guard.h"

static int check_as_it_stands(const struct guard *guard, const struct request *request,
			      const char **reason)
{
	return guard_check(guard, request, request_header(request, STR("host")), reason);
}

static int check(const char *method, const char *host, const char *name, const char *value)
{
	autoclean(exchange) struct exchange exchange;
	const char *reason = NULL;
	struct guard guard;

	guard_init(&guard, "127.0.0.2:4040,[::1]:4040", "box", "hearth.example, proxy:8443");
	exchange_init(&exchange, method, "/");
	exchange.request.header_count = 0;
	if (host)
		exchange_header(&exchange, "Host", host);
	if (name)
		exchange_header(&exchange, name, value);

	int status = check_as_it_stands(&guard, &exchange.request, &reason);

	assert_true((status == 0) == (reason == NULL));
	return status;
}

static void answers_its_own_names_only(void **state)
{
	static const struct {
		const char *host;
		int status;
	} cases[] = {
		{ "localhost", 0 },
		{ "localhost:4040", 0 },
		{ "LOCALHOST:1", 0 },
		{ "127.0.0.1:65535", 0 },
		{ "[::1]", 0 },
		{ "[::1]:4040", 0 },
		{ "127.0.0.2:4040", 0 },
		{ "box:4040", 0 },
		{ "hearth.example", 0 },
		{ "Hearth.example:443", 0 },
		{ "proxy", 0 },
		{ NULL, 421 },
		{ "", 421 },
		{ ":4040", 421 },
		{ "127.0.0.3", 421 },
		{ "localhost:", 421 },
		{ "localhost:99999", 421 },
		{ "localhost:4040:1", 421 },
		{ "localhost.evil.example", 421 },
		{ "evil.example:4040", 421 },
		{ "[::1", 421 },
		{ "[::1]x:1", 421 },
		{ "box.", 421 },
		{ "user@localhost", 421 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		assert_int_equal(check("GET", cases[i].host, NULL, NULL), cases[i].status);
}

static void lets_no_foreign_page_change_anything(void **state)
{
	static const struct {
		const char *method;
		const char *origin;
		int status;
	} cases[] = {
		{ "POST", "http://localhost:4040", 0 },
		{ "POST", "http://127.0.0.1", 0 },
		{ "POST", "https://box", 0 },
		{ "POST", "null", 403 },
		{ "POST", "", 403 },
		{ "POST", "http://evil.example", 403 },
		{ "POST", "http://localhost.evil.example", 403 },
		{ "POST", "file://localhost", 403 },
		{ "DELETE", "http://evil.example", 403 },
		/* It gets no CORS header, so the page can't read the answer. */
		{ "GET", "http://evil.example", 0 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		assert_int_equal(check(cases[i].method, "localhost", "Origin", cases[i].origin),
				 cases[i].status);
}

static void tells_requests_of_other_sites_from_links_to_us(void **state)
{
	autoclean(exchange) struct exchange exchange;
	const char *reason = NULL;
	struct guard guard;

	(void)state;
	assert_int_equal(check("GET", "localhost", "Sec-Fetch-Site", "cross-site"), 403);
	assert_int_equal(check("POST", "localhost", "Sec-Fetch-Site", "cross-site"), 403);
	assert_int_equal(check("GET", "localhost", "Sec-Fetch-Site", "same-origin"), 0);
	assert_int_equal(check("GET", "localhost", "Sec-Fetch-Site", "none"), 0);

	guard_init(&guard, "127.0.0.1:4040", "", "");
	exchange_init(&exchange, "GET", "/");
	exchange_header(&exchange, "Sec-Fetch-Site", "cross-site");
	exchange_header(&exchange, "Sec-Fetch-Mode", "navigate");
	exchange_header(&exchange, "Sec-Fetch-Dest", "document");
	assert_int_equal(check_as_it_stands(&guard, &exchange.request, &reason), 0);
	exchange.request.method = STR("POST");
	assert_int_equal(check_as_it_stands(&guard, &exchange.request, &reason), 403);
	exchange.request.method = STR("GET");
	exchange.request.headers[3].value = STR("iframe");
	assert_int_equal(check_as_it_stands(&guard, &exchange.request, &reason), 403);
}

/* A name can be made to point here, an address can't. */
static void takes_any_address_when_it_listens_on_all(void **state)
{
	static const struct {
		const char *host;
		int status;
	} cases[] = {
		{ "192.0.2.7:4040", 0 },      { "[2001:db8::7]:4040", 0 },	 { "localhost", 0 },
		{ "evil.example:4040", 421 }, { "192.0.2.7.evil.example", 421 }, { "192.0.2", 421 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		autoclean(exchange) struct exchange exchange;
		const char *reason = NULL;
		struct guard guard;

		guard_init(&guard, "0.0.0.0:4040", "", "");
		exchange_init(&exchange, "GET", "/");
		exchange.request.headers[0].value = str_from(cases[i].host);
		assert_int_equal(check_as_it_stands(&guard, &exchange.request, &reason),
				 cases[i].status);
	}
}

static void asks_no_name_of_a_unix_socket(void **state)
{
	autoclean(exchange) struct exchange exchange;
	const char *reason = NULL;
	struct guard guard;

	(void)state;
	guard_init(&guard, "127.0.0.1:4040", "", "");
	exchange_init(&exchange, "GET", "/");
	exchange.request.headers[0].value = STR("anything");
	assert_int_equal(check_as_it_stands(&guard, &exchange.request, &reason), 421);
	exchange.request.peer.kind = PEER_UNIX;
	assert_int_equal(check_as_it_stands(&guard, &exchange.request, &reason), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(answers_its_own_names_only),
		cmocka_unit_test(lets_no_foreign_page_change_anything),
		cmocka_unit_test(tells_requests_of_other_sites_from_links_to_us),
		cmocka_unit_test(takes_any_address_when_it_listens_on_all),
		cmocka_unit_test(asks_no_name_of_a_unix_socket),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
