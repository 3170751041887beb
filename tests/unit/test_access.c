/* SPDX-License-Identifier: Apache-2.0 */
/* Who may what: all routes, by all doors, with all tokens; and what proxies say. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "tests/support/exchange.h"
#include "tests/support/small_server.h"
#include "web/access.h"
#include "web/forwarded.h"
#include "web/routes.h"
#include "web/tokens.h"

/* ---- ranges and ways --------------------------------------------------------------------------
 */

static bool holds(const char *ranges_text, const char *address_text)
{
	struct network_ranges ranges;
	struct network_address address;
	char error[NETWORK_ERROR_SIZE];

	assert_int_equal(network_ranges_parse(str_from(ranges_text), &ranges, error), 0);
	assert_true(network_address_parse(str_from(address_text), &address));
	return network_ranges_hold(&ranges, &address);
}

static void knows_ranges(void **state)
{
	struct network_ranges ranges;
	char error[NETWORK_ERROR_SIZE];

	(void)state;
	assert_true(holds("10.0.0.0/8", "10.255.0.1"));
	assert_false(holds("10.0.0.0/8", "11.0.0.1"));
	assert_true(holds("192.0.2.128/25, ::1", "192.0.2.129"));
	assert_false(holds("192.0.2.128/25, ::1", "192.0.2.127"));
	assert_true(holds("192.0.2.128/25, ::1", "::1"));
	assert_true(holds("2001:db8::/33", "2001:db8:7fff::1"));
	assert_false(holds("2001:db8::/33", "2001:db8:8000::1"));
	assert_true(holds("10.0.0.1", "::ffff:10.0.0.1"));
	assert_true(holds("0.0.0.0/0", "8.8.8.8"));
	assert_false(holds("0.0.0.0/0", "2001:db8::1"));
	assert_true(holds("::/0", "8.8.8.8"));
	assert_false(holds("", "127.0.0.1"));
	assert_int_equal(network_ranges_parse(STR("10.0.0.0/33"), &ranges, error), -EINVAL);
	assert_int_equal(network_ranges_parse(STR("box"), &ranges, error), -EINVAL);
	assert_non_null(strstr(error, "'box'"));
	assert_int_equal(network_ranges_parse(STR("10.0.0.1/x"), &ranges, error), -EINVAL);
}

static void reads_the_way_from_its_end(void **state)
{
	static const struct {
		const char *name;
		const char *value;
		const char *client; /* NULL: not known */
		bool is_secure;
	} cases[] = {
		{ "X-Forwarded-For", "192.0.2.1", "192.0.2.1", false },
		{ "X-Forwarded-For", "127.0.0.1, 192.0.2.1, 10.0.0.3", "192.0.2.1", false },
		{ "X-Forwarded-For", "127.0.0.1", "127.0.0.1", false },
		{ "X-Forwarded-For", "127.0.0.1, nonsense", NULL, false },
		{ "X-Forwarded-For", "127.0.0.1,", NULL, false },
		{ "X-Forwarded-For", "", NULL, false },
		{ "X-Forwarded-For", "192.0.2.1:4711", "192.0.2.1", false },
		{ "X-Forwarded-For", "[2001:db8::1]:4711", "2001:db8::1", false },
		{ "Forwarded", "for=192.0.2.1;proto=https;by=10.0.0.1", "192.0.2.1", true },
		{ "Forwarded", "for=127.0.0.1, For=\"[2001:db8::7]:99\"; Proto=http", "2001:db8::7",
		  false },
		{ "Forwarded", "for=unknown", NULL, false },
		{ "Forwarded", "for=_hidden", NULL, false },
		{ "Forwarded", "proto=https", NULL, true },
		{ "Forwarded", "for=127.0.0.1;host=\"a,b\"", NULL, false },
	};
	struct network_ranges trusted;
	char error[NETWORK_ERROR_SIZE];

	(void)state;
	assert_int_equal(network_ranges_parse(STR("10.0.0.0/8"), &trusted, error), 0);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		autoclean(exchange) struct exchange exchange;
		char client[NETWORK_TEXT_SIZE] = "";

		exchange_init(&exchange, "GET", "/");
		exchange_header(&exchange, cases[i].name, cases[i].value);
		assert_true(forwarded_is_there(&exchange.request));

		struct forwarded forwarded = forwarded_read(&exchange.request, &trusted);

		assert_int_equal(forwarded.is_known, cases[i].client != NULL);
		assert_int_equal(forwarded.is_secure, cases[i].is_secure);
		if (!cases[i].client)
			continue;
		network_address_print(&forwarded.client, client);
		assert_string_equal(client, cases[i].client);
	}
}

/* ---- doors ------------------------------------------------------------------------------------
 */

struct door {
	const char *name;
	struct peer peer;
	const char *header, *value;
	enum role role; /* without a token */
};

static const struct door doors[] = {
	{ "loopback", { .kind = PEER_LOOPBACK, .host = "127.0.0.1" }, NULL, NULL, ROLE_WRITER },
	{ "loopback, passed on",
	  { .kind = PEER_LOOPBACK, .host = "127.0.0.1" },
	  "X-Forwarded-For",
	  "127.0.0.1",
	  ROLE_NOBODY },
	{ "loopback, passed on by another header",
	  { .kind = PEER_LOOPBACK, .host = "127.0.0.1" },
	  "Forwarded",
	  "for=127.0.0.1",
	  ROLE_NOBODY },
	{ "loopback, with a real ip",
	  { .kind = PEER_LOOPBACK, .host = "127.0.0.1" },
	  "x-real-ip",
	  "127.0.0.1",
	  ROLE_NOBODY },
	{ "a trusted proxy for loopback",
	  { .kind = PEER_REMOTE, .host = "192.0.2.9" },
	  "X-Forwarded-For",
	  "127.0.0.1",
	  ROLE_WRITER },
	{ "a trusted proxy for somebody",
	  { .kind = PEER_REMOTE, .host = "192.0.2.9" },
	  "X-Forwarded-For",
	  "127.0.0.1, 203.0.113.5",
	  ROLE_NOBODY },
	{ "elsewhere", { .kind = PEER_REMOTE, .host = "203.0.113.5" }, NULL, NULL, ROLE_NOBODY },
	{ "elsewhere, lying",
	  { .kind = PEER_REMOTE, .host = "203.0.113.5" },
	  "X-Forwarded-For",
	  "127.0.0.1",
	  ROLE_NOBODY },
	{ "elsewhere, with a certificate",
	  { .kind = PEER_REMOTE, .host = "203.0.113.5", .certificate = "box" },
	  NULL,
	  NULL,
	  ROLE_READER },
	{ "unix socket, root", { .kind = PEER_UNIX, .is_owner = true }, NULL, NULL, ROLE_ADMIN },
	{ "unix socket, another", { .kind = PEER_UNIX }, NULL, NULL, ROLE_WRITER },
	{ "unix socket, passed on",
	  { .kind = PEER_UNIX, .is_owner = true },
	  "X-Forwarded-For",
	  "127.0.0.1",
	  ROLE_NOBODY },
};

enum { DOOR_COUNT = sizeof(doors) / sizeof(doors[0]) };

/* None, one of each role, one that is over, one that is nobody's, and what is no token. */
enum shown {
	SHOWN_NONE,
	SHOWN_READ,
	SHOWN_WRITE,
	SHOWN_ADMIN,
	SHOWN_OVER,
	SHOWN_WRONG,
	SHOWN_NONSENSE,
	SHOWN_COUNT
};

static const char *const secrets[SHOWN_COUNT] = {
	[SHOWN_READ] = "secret of read",    [SHOWN_WRITE] = "secret of write",
	[SHOWN_ADMIN] = "secret of admin",  [SHOWN_OVER] = "secret of over",
	[SHOWN_WRONG] = "secret of nobody",
};

struct fixture {
	struct small_server small;
	struct routes *routes;
};

static void save_tokens(const struct settings *settings)
{
	autofree struct token_list *list = calloc(1, sizeof(*list));
	char path[700];

	assert_non_null(list);
	assert_int_equal(tokens_path(settings, path, sizeof(path)), 0);
	for (int i = SHOWN_READ; i <= SHOWN_OVER; i++) {
		struct token token = { .role = i == SHOWN_OVER ? ROLE_ADMIN : (enum role)i,
				       .made_s = 1,
				       .ends_s = i == SHOWN_OVER ? 2 : 0 };

		snprintf(token.name, sizeof(token.name), "t%d", i);
		assert_int_equal(token_hash(str_from(secrets[i]), token.hash), 0);
		assert_int_equal(token_list_add(list, &token), 0);
	}
	assert_int_equal(tokens_save(path, list), 0);
}

static void open_fixture(struct fixture *fixture, bool has_tokens)
{
	char error[ROUTES_ERROR_SIZE] = "";

	small_server_open(&fixture->small);
	snprintf(fixture->small.settings.trusted_proxies,
		 sizeof(fixture->small.settings.trusted_proxies), "192.0.2.0/24");
	if (has_tokens)
		save_tokens(&fixture->small.settings);
	if (routes_new(&fixture->small.server, &fixture->routes, error))
		fail_msg("%s", error);
}

static void close_fixture(struct fixture *fixture)
{
	fixture->routes = routes_free(fixture->routes);
	small_server_close(&fixture->small);
}

/* Status of the route, asked by this door with this token. */
static int ask(const struct fixture *fixture, const struct route_description *route,
	       const struct door *door, const char *authorization, struct buf *ret_text)
{
	autoclean(exchange) struct exchange exchange;

	exchange_init(&exchange, route->method, route->path);
	exchange.request.peer = door->peer;
	if (door->header)
		exchange_header(&exchange, door->header, door->value);
	if (authorization)
		exchange_header(&exchange, "Authorization", authorization);
	exchange_header(&exchange, "Content-Type", "application/json");
	routes_answer(fixture->routes, &exchange.request, &exchange.reply);
	if (ret_text) {
		for (size_t i = 0; i < exchange.reply.header_count; i++)
			buf_printf(ret_text, "%.*s: %.*s\n",
				   STR_PRINT(exchange.reply.headers[i].name),
				   STR_PRINT(exchange.reply.headers[i].value));
		buf_add(ret_text, exchange.reply.body.bytes, exchange.reply.body.size);
		buf_add_u8(ret_text, '\0');
	}
	return exchange.reply.status;
}

static int expected_refusal(const struct route_description *route, const struct door *door,
			    enum shown shown)
{
	enum role role = shown == SHOWN_NONE	? door->role
			 : shown <= SHOWN_ADMIN ? (enum role)shown
						: ROLE_NOBODY;

	if (route->role == ROLE_NOBODY)
		return 0;
	if (shown > SHOWN_ADMIN)
		return 401;
	if (role >= route->role)
		return 0;
	return role == ROLE_NOBODY ? 401 : 403;
}

static void lets_in_whom_the_table_names(void **state)
{
	struct fixture fixture;
	struct route_description route;
	size_t count = 0;

	(void)state;
	open_fixture(&fixture, true);
	for (size_t i = 0; routes_describe(i, &route); i++) {
		for (size_t d = 0; d < DOOR_COUNT; d++) {
			for (int shown = 0; shown < SHOWN_COUNT; shown++) {
				char value[128] = "Negotiate x";
				int wanted = expected_refusal(&route, &doors[d], (enum shown)shown);

				if (secrets[shown])
					snprintf(value, sizeof(value), "Bearer %s", secrets[shown]);

				int status = ask(&fixture, &route, &doors[d],
						 shown == SHOWN_NONE ? NULL : value, NULL);
				bool is_refused = status == 401 || status == 403;

				if (wanted ? status != wanted : is_refused)
					fail_msg("%s %s by '%s', token %d: %d and not %d",
						 route.method, route.path, doors[d].name, shown,
						 status, wanted);
				count++;
			}
		}
	}
	assert_true(count > 20 * DOOR_COUNT * SHOWN_COUNT);
	assert_true(fixture.small.server.counters.tokens_refused > 0);
	close_fixture(&fixture);
}

static void tells_how_to_get_in(void **state)
{
	static const struct route_description status = { "/api/v1/status", "GET", ROLE_READER };
	static const struct route_description seal = { "/api/v1/store/seal", "POST", ROLE_WRITER };
	static const struct route_description call = { "/querier.v1.QuerierService/ProfileTypes",
						       "POST", ROLE_READER };
	const struct door *elsewhere = &doors[6];
	autoclean(buf) struct buf asked = BUF(4096);
	autoclean(buf) struct buf connect = BUF(4096);
	autoclean(buf) struct buf reader = BUF(4096);
	autoclean(buf) struct buf no_tokens = BUF(4096);
	struct fixture fixture;

	(void)state;
	open_fixture(&fixture, true);
	assert_int_equal(ask(&fixture, &status, elsewhere, NULL, &asked), 401);
	assert_non_null(strstr((char *)asked.bytes, "WWW-Authenticate: Basic realm=\"hearth\""));
	assert_int_equal(ask(&fixture, &call, elsewhere, NULL, &connect), 401);
	assert_non_null(strstr((char *)connect.bytes, "{\"code\":\"unauthenticated\""));
	assert_int_equal(ask(&fixture, &seal, elsewhere, "Bearer secret of read", &reader), 403);
	assert_non_null(strstr((char *)reader.bytes, "takes a token for write"));
	close_fixture(&fixture);

	open_fixture(&fixture, false);
	assert_false(routes_know_tokens(fixture.routes));
	assert_int_equal(ask(&fixture, &status, elsewhere, NULL, &no_tokens), 403);
	assert_non_null(strstr((char *)no_tokens.bytes, "hearth token new"));
	close_fixture(&fixture);
}

/* Grafana's data source sends a user and a password. */
static void takes_a_password_for_a_token(void **state)
{
	static const struct {
		const char *value;
		int status;
	} cases[] = {
		{ "Basic Z3JhZmFuYTpzZWNyZXQgb2YgcmVhZA==", 200 }, /* grafana:secret of read */
		{ "basic OnNlY3JldCBvZiByZWFk", 200 },		   /* :secret of read */
		{ "Bearer  secret of read ", 200 },
		{ "Bearer secret of rea", 401 },
		{ "Bearer", 401 },
		{ "Bearer ", 401 },
		{ "Basic", 401 },
		{ "Basic Z3JhZmFuYQ==", 401 }, /* grafana */
		{ "Basic Z3JhZmFuYTo=", 401 }, /* grafana: */
		{ "Basic !!!!", 401 },
		{ "Basic Z3JhZmFuYTpzZWNyZXQgb2YgcmVhZA", 401 },
		{ "Basic ====", 401 },
		{ "secret of read", 401 },
		{ "", 401 },
	};
	static const struct route_description status = { "/api/v1/status", "GET", ROLE_READER };
	struct fixture fixture;

	(void)state;
	open_fixture(&fixture, true);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		assert_int_equal(ask(&fixture, &status, &doors[6], cases[i].value, NULL),
				 cases[i].status);
	close_fixture(&fixture);
}

static void wants_tokens_of_this_host_when_told_so(void **state)
{
	static const struct route_description status = { "/api/v1/status", "GET", ROLE_READER };
	static const struct route_description health = { "/healthz", "GET", ROLE_NOBODY };
	struct fixture fixture;
	char error[ROUTES_ERROR_SIZE] = "";

	(void)state;
	open_fixture(&fixture, true);
	assert_int_equal(ask(&fixture, &status, &doors[0], NULL, NULL), 200);
	fixture.routes = routes_free(fixture.routes);
	fixture.small.settings.require_token = true;
	assert_int_equal(routes_new(&fixture.small.server, &fixture.routes, error), 0);
	assert_int_equal(ask(&fixture, &status, &doors[0], NULL, NULL), 401);
	assert_int_equal(ask(&fixture, &status, &doors[0], "Bearer secret of read", NULL), 200);
	assert_int_equal(ask(&fixture, &health, &doors[0], NULL, NULL), 200);
	close_fixture(&fixture);
}

/* A proxy that asks by our own name tells the one that it was asked by; so may everybody else. */
static void judges_the_name_that_a_trusted_proxy_was_asked_by(void **state)
{
	static const struct {
		const char *peer, *host, *name, *value;
		int status;
	} cases[] = {
		{ "192.0.2.9", "localhost", "X-Forwarded-Host", "hearth.example", 200 },
		{ "192.0.2.9", "localhost", "X-Forwarded-Host", "hearth.example:8443", 200 },
		{ "192.0.2.9", "localhost", "X-Forwarded-Host", "rebound.example", 421 },
		{ "192.0.2.9", "localhost", "X-Forwarded-Host", "", 200 },
		{ "192.0.2.9", "backend", "X-Forwarded-Host", "hearth.example", 200 },
		/* What stands before the last one the client may have written. */
		{ "192.0.2.9", "localhost", "X-Forwarded-Host", "hearth.example, rebound.example",
		  421 },
		{ "192.0.2.9", "localhost", "X-Forwarded-Host", "rebound.example, hearth.example",
		  200 },
		{ "192.0.2.9", "localhost", "Forwarded", "for=192.0.2.1;host=hearth.example", 200 },
		{ "192.0.2.9", "localhost", "Forwarded", "host=\"rebound.example:80\"", 421 },
		{ "192.0.2.9", "localhost", "Forwarded", "for=192.0.2.1", 200 },
		{ "192.0.2.9", "rebound.example", "Forwarded", "for=192.0.2.1", 421 },
		{ "203.0.113.5", "localhost", "X-Forwarded-Host", "rebound.example", 200 },
		{ "203.0.113.5", "rebound.example", "X-Forwarded-Host", "hearth.example", 421 },
	};
	struct fixture fixture;
	char error[ROUTES_ERROR_SIZE] = "";

	(void)state;
	open_fixture(&fixture, true);
	fixture.routes = routes_free(fixture.routes);
	snprintf(fixture.small.settings.allowed_hosts, sizeof(fixture.small.settings.allowed_hosts),
		 "hearth.example");
	assert_int_equal(routes_new(&fixture.small.server, &fixture.routes, error), 0);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		autoclean(exchange) struct exchange exchange;

		exchange_init(&exchange, "GET", "/healthz");
		exchange.request.headers[0].value = str_from(cases[i].host);
		exchange.request.peer.kind = PEER_REMOTE;
		snprintf(exchange.request.peer.host, sizeof(exchange.request.peer.host), "%s",
			 cases[i].peer);
		exchange_header(&exchange, cases[i].name, cases[i].value);
		routes_answer(fixture.routes, &exchange.request, &exchange.reply);
		if (exchange.reply.status != cases[i].status)
			fail_msg("%zu: %d", i, exchange.reply.status);
	}
	close_fixture(&fixture);
}

/* The page's own links are relative to its folder, and so is the way to it. */
static void leads_to_the_folder_of_a_prefix(void **state)
{
	static const struct {
		const char *prefix, *path, *location;
		int status;
	} cases[] = {
		{ "/hearth", "/hearth", "hearth/", 308 },     { "/a/b/", "/a/b", "b/", 308 },
		{ "/hearth", "/hearth/healthz", NULL, 200 },  { "/hearth", "/healthz", NULL, 200 },
		{ "/a/b/", "/a/b/healthz", NULL, 200 },	      { "/a/b/", "/a/healthz", NULL, 404 },
		{ "/hearth", "/hearthx/healthz", NULL, 404 }, { "/", "/healthz", NULL, 200 },
	};
	struct fixture fixture;
	char error[ROUTES_ERROR_SIZE] = "";

	(void)state;
	open_fixture(&fixture, true);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		autoclean(exchange) struct exchange exchange;
		struct str location = { 0 };

		fixture.routes = routes_free(fixture.routes);
		snprintf(fixture.small.settings.path_prefix,
			 sizeof(fixture.small.settings.path_prefix), "%s", cases[i].prefix);
		assert_int_equal(routes_new(&fixture.small.server, &fixture.routes, error), 0);
		exchange_init(&exchange, "GET", cases[i].path);
		routes_answer(fixture.routes, &exchange.request, &exchange.reply);
		for (size_t h = 0; h < exchange.reply.header_count; h++)
			if (str_equal(exchange.reply.headers[h].name, STR("Location")))
				location = exchange.reply.headers[h].value;
		if (exchange.reply.status != cases[i].status)
			fail_msg("%s below %s: %d", cases[i].path, cases[i].prefix,
				 exchange.reply.status);
		assert_true(cases[i].location ? str_equal(location, str_from(cases[i].location))
					      : !location.text);
	}
	close_fixture(&fixture);
}

static void names_the_setting_that_is_wrong(void **state)
{
	autofree struct settings *settings = calloc(1, sizeof(*settings));
	struct access *access = NULL;
	char error[ACCESS_ERROR_SIZE] = "";

	(void)state;
	assert_non_null(settings);
	settings_defaults(settings);
	snprintf(settings->trusted_proxies, sizeof(settings->trusted_proxies), "10.0.0.0/8,proxy");
	assert_int_equal(access_new(settings, &access, error), -EINVAL);
	assert_non_null(strstr(error, "trusted-proxies: 'proxy'"));
	assert_null(access);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(knows_ranges),
		cmocka_unit_test(reads_the_way_from_its_end),
		cmocka_unit_test(lets_in_whom_the_table_names),
		cmocka_unit_test(tells_how_to_get_in),
		cmocka_unit_test(takes_a_password_for_a_token),
		cmocka_unit_test(wants_tokens_of_this_host_when_told_so),
		cmocka_unit_test(judges_the_name_that_a_trusted_proxy_was_asked_by),
		cmocka_unit_test(leads_to_the_folder_of_a_prefix),
		cmocka_unit_test(names_the_setting_that_is_wrong),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
