/* SPDX-License-Identifier: Apache-2.0 */
/* Real HTTP over loopback, byte by byte as no client library would send it. */
#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>
#include <zlib.h>
#include <zstd.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/settings.h"
#include "web/compression.h"
#include "web/connect.h"
#include "web/door.h"
#include "web/port_owner.h"
#include "web/reply.h"
#include "web/routes.h"
#include "web/server.h"
#include "web/slots.h"

enum { ANSWER_SIZE_MAX = 1 << 20, REPEATED_SIZE = 64 << 10, DEEP_SIZE = 512 << 10 };

struct fixture {
	struct settings settings;
	struct server server; /* without a store: nothing here gets as far as to ask one */
	struct door *door;
	uint16_t port;
};

static int start(void **state)
{
	struct fixture *fixture = calloc(1, sizeof(*fixture));
	char error[DOOR_ERROR_SIZE] = "";

	assert_non_null(fixture);
	settings_defaults(&fixture->settings);
	fixture->server.settings = &fixture->settings;
	snprintf(fixture->settings.http, sizeof(fixture->settings.http), "127.0.0.1:0");
	if (door_start(&fixture->server, &fixture->door, error))
		fail_msg("%s", error);
	fixture->port = door_port(fixture->door);
	assert_true(fixture->port > 0);
	*state = fixture;
	return 0;
}

static int stop(void **state)
{
	struct fixture *fixture = *state;

	assert_null(door_stop(fixture->door));
	assert_null(fixture->server.request_counters);
	free(fixture);
	return 0;
}

/*
 * All that is answered here goes as deep as a question about a month may, with room to spare: the
 * thread of the library that read the request could not.
 */
void __real_routes_answer(struct routes *routes, struct request *request, struct reply *reply);
void __wrap_routes_answer(struct routes *routes, struct request *request, struct reply *reply);

static _Atomic unsigned deep_count;

void __wrap_routes_answer(struct routes *routes, struct request *request, struct reply *reply)
{
	volatile uint8_t deep[DEEP_SIZE];

	for (size_t i = DEEP_SIZE; i > 0; i -= 512)
		deep[i - 1] = (uint8_t)(i >> 9);
	__real_routes_answer(routes, request, reply);
	for (size_t i = DEEP_SIZE; i > 0; i -= 512)
		assert(deep[i - 1] == (uint8_t)(i >> 9));
	deep_count++;
}

static int dial(const struct fixture *fixture)
{
	struct sockaddr_in address = { .sin_family = AF_INET,
				       .sin_port = htons(fixture->port),
				       .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	struct timeval patience = { .tv_sec = 20 };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0);
	assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)), 0);
	assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	return fd;
}

static void say(int fd, struct str text)
{
	while (text.size > 0) {
		ssize_t count = send(fd, text.text, text.size, MSG_NOSIGNAL);

		if (count < 0)
			return; /* refused while it was still being said */
		text = (struct str){ text.text + count, text.size - (size_t)count };
	}
}

/* Everything until the server closes. */
static void hear_all(int fd, struct buf *answer)
{
	char piece[4096];
	ssize_t count;

	while ((count = recv(fd, piece, sizeof(piece), 0)) > 0)
		buf_add(answer, piece, (size_t)count);
	assert_true(count == 0 || errno == ECONNRESET);
	buf_add_u8(answer, '\0');
	assert_int_equal(answer->error, 0);
}

static int status_of(const struct buf *answer)
{
	assert_true(answer->size > 12);
	assert_memory_equal(answer->bytes, "HTTP/1.1 ", 9);
	return (answer->bytes[9] - '0') * 100 + (answer->bytes[10] - '0') * 10 +
	       (answer->bytes[11] - '0');
}

static bool contains(const struct buf *answer, const char *text)
{
	return strstr((const char *)answer->bytes, text) != NULL;
}

static void exchange(const struct fixture *fixture, struct str request, struct buf *answer)
{
	autoclose int fd = dial(fixture);

	say(fd, request);
	hear_all(fd, answer);
}

static void assert_status(const struct fixture *fixture, const char *request, int status)
{
	autoclean(buf) struct buf answer = BUF(ANSWER_SIZE_MAX);

	exchange(fixture, str_from(request), &answer);
	if (status_of(&answer) != status)
		fail_msg("%d instead of %d for %s", status_of(&answer), status, request);
	assert_true(contains(&answer, "Content-Security-Policy: default-src 'none'"));
	assert_true(contains(&answer, "X-Content-Type-Options: nosniff"));
}

/* A connection that is closed behind the answer. */
#define HEAD(line) line " HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"

static void answers_and_says_what_is_wrong(void **state)
{
	static const struct {
		const char *request;
		int status;
	} cases[] = {
		{ HEAD("GET /healthz") "\r\n", 200 },
		{ HEAD("HEAD /healthz") "\r\n", 200 },
		{ HEAD("GET /heal%74hz") "\r\n", 200 },
		{ HEAD("GET /no/such") "\r\n", 404 },
		{ HEAD("GET /..%2f..%2fetc/passwd") "\r\n", 404 },
		{ HEAD("POST /healthz") "Content-Length: 0\r\n\r\n", 405 },
		{ HEAD("OPTIONS /healthz") "\r\n", 405 },
		{ HEAD("GET /querier.v1.QuerierService/LabelValues") "\r\n", 405 },
		{ HEAD("POST /querier.v1.QuerierService/NoSuch") "Content-Length: 0\r\n\r\n", 404 },
		{ HEAD("GET /healthz?a=%zz") "\r\n", 400 },
		{ HEAD("GET /%zz") "\r\n", 400 },
		{ HEAD("GET /%00") "\r\n", 400 },
		{ "nonsense\r\n\r\n", 400 },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		assert_status(*state, cases[i].request, cases[i].status);
}

static void answers_from_deep_below(void **state)
{
	unsigned before = deep_count;

	assert_status(*state, HEAD("GET /healthz") "\r\n", 200);
	assert_int_equal(deep_count, before + 1);
	assert_status(*state, HEAD("GET /api/v1/no-such") "\r\n", 404);
	assert_int_equal(deep_count, before + 2);
}

static void refuses_heads_that_can_be_read_in_two_ways(void **state)
{
	static const char *const requests[] = {
		"GET /healthz HTTP/1.1\r\n\r\n",
		"GET /healthz HTTP/1.1\r\nHost: localhost\r\nHost: localhost\r\n\r\n",
		"POST /healthz HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n"
		"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
		"POST /healthz HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n"
		"Content-Length: 5\r\n\r\nhello",
		"POST /healthz HTTP/1.1\r\nHost: localhost\r\nContent-Length: +5\r\n\r\nhello",
		"POST /healthz HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: identity\r\n\r\n",
		"POST /healthz HTTP/1.0\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n",
	};

	for (size_t i = 0; i < sizeof(requests) / sizeof(requests[0]); i++)
		assert_status(*state, requests[i], 400);
}

static void refuses_more_headers_than_it_can_see(void **state)
{
	static const int counts[] = { 62, 63, 65, 100 };
	struct fixture *fixture = *state;
	uint64_t before = fixture->server.counters.limits_hit[LIMIT_HEADER_COUNT];

	for (size_t i = 0; i < sizeof(counts) / sizeof(counts[0]); i++) {
		autoclean(buf) struct buf request = BUF(ANSWER_SIZE_MAX);
		autoclean(buf) struct buf answer = BUF(ANSWER_SIZE_MAX);

		buf_add_str(&request, STR("POST /healthz HTTP/1.1\r\nHost: localhost\r\n"));
		for (int k = 2; k < counts[i]; k++)
			buf_printf(&request, "X-%d: y\r\n", k);
		/* Beyond the 64th, the server would not see that there is a body. */
		buf_add_str(&request, STR("Connection: close\r\nContent-Length: 37\r\n\r\n"
					  "GET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n\r\n"));
		exchange(*state, (struct str){ (char *)request.bytes, request.size }, &answer);
		/* The first is one that is still read whole, the method is wrong. */
		assert_int_equal(status_of(&answer), counts[i] == 62 ? 405 : 431);
		assert_true(counts[i] == 62 || contains(&answer, "there are more than 63 headers"));
		assert_null(strstr((const char *)answer.bytes + 9, "HTTP/1.1 "));
	}
	assert_int_equal(fixture->server.counters.limits_hit[LIMIT_HEADER_COUNT], before + 3);
}

static void refuses_a_head_that_is_too_long(void **state)
{
	autoclean(buf) struct buf request = BUF(ANSWER_SIZE_MAX);
	autoclean(buf) struct buf answer = BUF(ANSWER_SIZE_MAX);

	struct fixture *fixture = *state;
	uint64_t before = fixture->server.counters.limits_hit[LIMIT_HEAD_SIZE];

	buf_add_str(&request, STR("GET /healthz HTTP/1.1\r\nHost: localhost\r\nX: "));
	for (int i = 0; i < 20000; i++)
		buf_add_u8(&request, 'x');
	buf_add_str(&request, STR("\r\n\r\n"));
	exchange(fixture, (struct str){ (char *)request.bytes, request.size }, &answer);
	assert_int_equal(status_of(&answer), 431);
	assert_true(contains(&answer, "request line and headers are longer than 16384 bytes"));
	assert_int_equal(fixture->server.counters.limits_hit[LIMIT_HEAD_SIZE], before + 1);

	/* One that fits no buffer is no request at all. */
	buf_clear(&request);
	buf_clear(&answer);
	buf_add_str(&request, STR(HEAD("GET /healthz") "X: "));
	for (int i = 0; i < 70000; i++)
		buf_add_u8(&request, 'x');
	exchange(fixture, (struct str){ (char *)request.bytes, request.size }, &answer);
	assert_int_equal(status_of(&answer), 431);
	assert_true(contains(&answer, "longer than 16384 bytes"));
	before++;

	/* And one that just fits. */
	buf_clear(&request);
	buf_clear(&answer);
	buf_add_str(&request, STR(HEAD("GET /healthz") "X: "));
	while (request.size < REQUEST_HEAD_SIZE_MAX - 4)
		buf_add_u8(&request, 'x');
	buf_add_str(&request, STR("\r\n\r\n"));
	exchange(fixture, (struct str){ (char *)request.bytes, request.size }, &answer);
	assert_int_equal(status_of(&answer), 200);
	assert_int_equal(fixture->server.counters.limits_hit[LIMIT_HEAD_SIZE], before + 1);
}

static void answers_no_foreign_page(void **state)
{
	assert_status(*state,
		      "GET /healthz HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n\r\n",
		      421);
	assert_status(*state, HEAD("GET /metrics") "Sec-Fetch-Site: cross-site\r\n\r\n", 403);
	assert_status(*state,
		      HEAD("POST /querier.v1.QuerierService/LabelValues") "Origin: "
									  "http://"
									  "evil.example\r\nContent-"
									  "Length: 0\r\n\r\n",
		      403);
	assert_status(*state, HEAD("GET /api/v1/labels") "X-Forwarded-For: 10.0.0.1\r\n\r\n", 403);
	assert_status(*state, HEAD("GET /healthz") "X-Forwarded-For: 10.0.0.1\r\n\r\n", 200);
}

static void names_the_methods_it_allows(void **state)
{
	autoclean(buf) struct buf call = BUF(ANSWER_SIZE_MAX);
	autoclean(buf) struct buf get = BUF(ANSWER_SIZE_MAX);

	exchange(*state, STR(HEAD("GET /querier.v1.QuerierService/ProfileTypes") "\r\n"), &call);
	assert_true(contains(&call, "\r\nAllow: POST\r\n"));
	exchange(*state, STR(HEAD("DELETE /healthz") "\r\n"), &get);
	assert_true(contains(&get, "\r\nAllow: GET, HEAD\r\n"));
}

static void sends_no_body_to_head(void **state)
{
	autoclean(buf) struct buf answer = BUF(ANSWER_SIZE_MAX);

	exchange(*state, STR(HEAD("HEAD /healthz") "\r\n"), &answer);
	assert_true(contains(&answer, "Content-Length: 2\r\n"));
	assert_string_equal((const char *)answer.bytes + answer.size - 5, "\r\n\r\n");
}

static void keeps_a_connection_for_the_next_request(void **state)
{
	autoclean(buf) struct buf answer = BUF(ANSWER_SIZE_MAX);
	const char *second;

	exchange(
		*state,
		STR("GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n" HEAD("GET /no/such") "\r\n"),
		&answer);
	assert_int_equal(status_of(&answer), 200);
	second = strstr((const char *)answer.bytes + 9, "HTTP/1.1 ");
	assert_non_null(second);
	assert_memory_equal(second, "HTTP/1.1 404", 12);
}

/* ---- bodies -----------------------------------------------------------------------------------
 */

#define CALL "POST /querier.v1.QuerierService/LabelValues"

static void call(const struct fixture *fixture, const char *headers, struct str body,
		 struct buf *answer)
{
	autoclean(buf) struct buf request = BUF(8 << 20);

	buf_printf(&request,
		   HEAD(CALL) "Content-Type: application/json\r\nContent-Length: %zu\r\n%s\r\n",
		   body.size, headers);
	buf_add_str(&request, body);
	exchange(fixture, (struct str){ (char *)request.bytes, request.size }, answer);
}

static void reads_plain_and_packed_and_chunked_bodies(void **state)
{
	static const char chunked[] = HEAD(CALL) "Content-Type: application/json\r\n"
						 "Transfer-Encoding: chunked\r\n\r\n"
						 "1\r\n{\r\na\r\n\"name\":\"\"}\r\n0\r\n\r\n";
	autoclean(buf) struct buf plain = BUF(ANSWER_SIZE_MAX);
	autoclean(buf) struct buf packed = BUF(ANSWER_SIZE_MAX);
	autoclean(buf) struct buf pieces = BUF(ANSWER_SIZE_MAX);
	uint8_t gzipped[256];
	z_stream stream = { .next_in = (uint8_t *)"{\"end\":1}",
			    .avail_in = 9,
			    .next_out = gzipped,
			    .avail_out = sizeof(gzipped) };

	call(*state, "", STR("{\"start\":\"0\"}"), &plain);
	assert_int_equal(status_of(&plain), 400);
	assert_true(contains(&plain,
			     "{\"code\":\"invalid_argument\",\"message\":\"name is required\"}"));

	assert_int_equal(deflateInit2(&stream, 9, Z_DEFLATED, 15 + 16, 8, 0), Z_OK);
	assert_int_equal(deflate(&stream, Z_FINISH), Z_STREAM_END);
	(void)deflateEnd(&stream);
	call(*state, "Content-Encoding: gzip\r\n",
	     (struct str){ (char *)gzipped, sizeof(gzipped) - stream.avail_out }, &packed);
	assert_true(contains(&packed, "name is required"));

	exchange(*state, STR(chunked), &pieces);
	assert_true(contains(&pieces, "name is required"));
}

static void refuses_bodies_that_are_too_large(void **state)
{
	autofree char *text = malloc(2 << 20);
	autoclean(buf) struct buf announced = BUF(ANSWER_SIZE_MAX);
	autoclean(buf) struct buf bomb = BUF(ANSWER_SIZE_MAX);
	autofree uint8_t *zeros = calloc(1, 64 << 20);
	autofree uint8_t *packed = malloc(1 << 20);
	z_stream stream = {
		.next_in = zeros, .avail_in = 64 << 20, .next_out = packed, .avail_out = 1 << 20
	};

	struct fixture *fixture = *state;
	uint64_t before = fixture->server.counters.limits_hit[LIMIT_BODY_SIZE];
	uint64_t unpacked = fixture->server.counters.limits_hit[LIMIT_UNPACKED_SIZE];

	memset(text, ' ', 2 << 20);
	call(*state, "", (struct str){ text, 2 << 20 }, &announced);
	assert_int_equal(status_of(&announced), 413);
	assert_true(contains(&announced,
			     "{\"code\":\"resource_exhausted\",\"message\":\"a question "
			     "takes no more than 1048576 bytes\"}"));
	assert_int_equal(fixture->server.counters.limits_hit[LIMIT_BODY_SIZE], before + 1);

	assert_int_equal(deflateInit2(&stream, 9, Z_DEFLATED, 15 + 16, 8, 0), Z_OK);
	assert_int_equal(deflate(&stream, Z_FINISH), Z_STREAM_END);
	(void)deflateEnd(&stream);
	call(*state, "Content-Encoding: gzip\r\n",
	     (struct str){ (char *)packed, (1 << 20) - stream.avail_out }, &bomb);
	assert_true(contains(&bomb, "{\"code\":\"resource_exhausted\",\"message\":\"the message is "
				    "larger than 1048576 bytes\"}"));
	assert_int_equal(fixture->server.counters.limits_hit[LIMIT_BODY_SIZE], before + 1);
	assert_int_equal(fixture->server.counters.limits_hit[LIMIT_UNPACKED_SIZE], unpacked + 1);
}

/* A byte now and then keeps no thread for longer than the grace. */
static void refuses_bodies_that_come_too_slowly(void **state)
{
	struct fixture *fixture = *state;
	uint64_t before = fixture->server.counters.limits_hit[LIMIT_BODY_RATE];
	autoclean(buf) struct buf answer = BUF(ANSWER_SIZE_MAX);
	autoclose int fd = dial(fixture);
	struct pollfd heard = { .fd = fd, .events = POLLIN };
	int pieces = 0;

	say(fd, STR(HEAD(CALL) "Content-Type: application/json\r\nContent-Length: 100000\r\n\r\n"));
	while (pieces < 100 && poll(&heard, 1, 100) == 0) {
		say(fd, STR("          "));
		pieces++;
	}
	assert_in_range(pieces, 30, 90);
	hear_all(fd, &answer);
	assert_int_equal(status_of(&answer), 408);
	assert_true(contains(&answer, "\"deadline_exceeded\",\"message\":\"after 5 s the body must "
				      "have come with 1024 bytes a second or more\""));
	assert_int_equal(fixture->server.counters.limits_hit[LIMIT_BODY_RATE], before + 1);
}

static void failures_name_their_limit(void **state)
{
	static const struct {
		int err;
		int status;
		enum limit limit;
		const char *why;
	} cases[] = {
		{ -ETIMEDOUT, 504, LIMIT_ANSWER_TIME, "30 s" },
		{ -E2BIG, 413, LIMIT_ANSWER_SIZE, "64 MiB" },
		{ -EFBIG, 413, LIMIT_ANSWER_SIZE, "64 MiB" },
		{ -EBUSY, 503, LIMIT_QUESTIONS, "4 questions run and 8 wait" },
		{ -EIO, 500, LIMIT_NONE, "the store could not answer" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct reply page, call;

		reply_init(&page);
		reply_init(&call);
		reply_failure(&page, cases[i].err);
		connect_failure(&call, cases[i].err);
		buf_add_u8(&page.body, 0);
		buf_add_u8(&call.body, 0);
		assert_int_equal(page.status, cases[i].status);
		assert_int_equal(page.limit, cases[i].limit);
		assert_int_equal(call.limit, cases[i].limit);
		assert_true(contains(&page.body, cases[i].why));
		assert_true(contains(&call.body, cases[i].why));
		reply_done(&page);
		reply_done(&call);
	}
	for (int limit = 0; limit < LIMIT_COUNT; limit++)
		for (int other = 0; other < limit; other++)
			assert_string_not_equal(limit_name((enum limit)limit),
						limit_name((enum limit)other));
}

static void tells_what_is_wrong_with_a_message(void **state)
{
	static const struct {
		const char *headers;
		const char *body;
		const char *why;
	} cases[] = {
		{ "", "{", "\"invalid_argument\"" },
		{ "", "", "\"invalid_argument\"" },
		{ "", "{\"name\":1}", "no text in field" },
		{ "Content-Encoding: br\r\n", "x", "\"unimplemented\"" },
		{ "Content-Encoding: gzip\r\n", "x", "\"invalid_argument\"" },
		{ "Connect-Protocol-Version: 2\r\n", "{}", "\"invalid_argument\"" },
		{ "Connect-Timeout-Ms: soon\r\n", "{}", "\"invalid_argument\"" },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		autoclean(buf) struct buf answer = BUF(ANSWER_SIZE_MAX);

		call(*state, cases[i].headers, str_from(cases[i].body), &answer);
		if (!contains(&answer, cases[i].why))
			fail_msg("%s", (const char *)answer.bytes);
	}
}

static void goes_on_when_asked_whether_to(void **state)
{
	autoclose int fd = dial(*state);
	autoclean(buf) struct buf answer = BUF(ANSWER_SIZE_MAX);
	char piece[64] = "";

	say(fd, STR(HEAD(CALL) "Content-Type: application/json\r\nContent-Length: 2\r\n"
			       "Expect: 100-continue\r\n\r\n"));
	assert_int_equal(recv(fd, piece, sizeof(piece) - 1, 0), 25);
	assert_string_equal(piece, "HTTP/1.1 100 Continue\r\n\r\n");
	say(fd, STR("{}"));
	hear_all(fd, &answer);
	assert_true(contains(&answer, "name is required"));
}

/* ---- the page ---------------------------------------------------------------------------------
 */

static void serves_the_page_and_its_paths(void **state)
{
	autoclean(buf) struct buf first = BUF(ANSWER_SIZE_MAX);
	autoclean(buf) struct buf again = BUF(ANSWER_SIZE_MAX);
	autoclean(buf) struct buf request = BUF(4096);
	char etag[64] = "";

	exchange(*state, STR(HEAD("GET /") "\r\n"), &first);
	assert_int_equal(status_of(&first), 200);
	assert_true(contains(&first, "Content-Type: text/html; charset=utf-8"));
	assert_true(contains(&first, "Cache-Control: no-cache\r\n"));
	assert_int_equal(sscanf(strstr((char *)first.bytes, "ETag: "), "ETag: %63s", etag), 1);
	assert_status(*state, HEAD("GET /explore") "\r\n", 200);
	assert_status(*state, HEAD("GET /page.map") "\r\n", 404);

	buf_printf(&request, HEAD("GET /") "If-None-Match: \"x\", W/%s\r\n\r\n", etag);
	exchange(*state, (struct str){ (char *)request.bytes, request.size }, &again);
	assert_int_equal(status_of(&again), 304);

	/* What the first page asks for by its contents is kept, and by other contents it is not. */
	autoclean(buf) struct buf script = BUF(ANSWER_SIZE_MAX);
	autoclean(buf) struct buf other = BUF(ANSWER_SIZE_MAX);
	char name[64] = "";

	assert_int_equal(sscanf(strstr((char *)first.bytes, "page.js?v="), "%26[a-z0-9.?=]", name),
			 1);
	assert_int_equal(strlen(name), strlen("page.js?v=") + 16);
	buf_clear(&request);
	buf_printf(&request, HEAD("GET /%s") "\r\n", name);
	exchange(*state, (struct str){ (char *)request.bytes, request.size }, &script);
	assert_int_equal(status_of(&script), 200);
	assert_true(contains(&script, "Cache-Control: private, max-age=31536000, immutable\r\n"));
	exchange(*state, STR(HEAD("GET /page.js?v=0123456789abcdef") "\r\n"), &other);
	assert_true(contains(&other, "Cache-Control: no-cache\r\n"));
}

static void packs_the_page_for_who_can_unpack(void **state)
{
	autoclean(buf) struct buf answer = BUF(ANSWER_SIZE_MAX);
	autoclean(buf) struct buf plain = BUF(ANSWER_SIZE_MAX);

	exchange(*state, STR(HEAD("GET /") "Accept-Encoding: br, gzip\r\n\r\n"), &answer);
	assert_true(contains(&answer, "Content-Encoding: gzip\r\n"));
	assert_true(contains(&answer, "Vary: Accept-Encoding\r\n"));
	exchange(*state, STR(HEAD("GET /") "Accept-Encoding: gzip;q=0\r\n\r\n"), &plain);
	assert_false(contains(&plain, "Content-Encoding"));
}

/* A reply of 64 KiB of one letter, as it is packed for this Accept-Encoding. */
static void pack(const char *accepted, struct reply *reply)
{
	struct request request = {
		.headers = { { STR("Accept-Encoding"), str_from(accepted) } },
		.header_count = 1,
	};

	reply_init(reply);
	memset(buf_grow(&reply->body, REPEATED_SIZE), 'a', REPEATED_SIZE);
	reply_compress(&request, reply);
}

static void packs_answers_as_the_client_likes_best(void **state)
{
	static char unpacked[REPEATED_SIZE + 1], expected[REPEATED_SIZE];
	autoclean(buf) struct buf text = BUF(REPEATED_SIZE);
	struct reply reply;

	(void)state;
	memset(expected, 'a', sizeof(expected));
	pack("gzip, deflate, br, zstd", &reply);
	assert_string_equal(reply.content_encoding, "zstd");
	assert_true(reply.body.size < REPEATED_SIZE / 100);
	assert_int_equal(
		ZSTD_decompress(unpacked, sizeof(unpacked), reply.body.bytes, reply.body.size),
		REPEATED_SIZE);
	assert_memory_equal(unpacked, expected, REPEATED_SIZE);
	reply_done(&reply);

	pack("zstd;q=0, *", &reply);
	assert_string_equal(reply.content_encoding, "gzip");
	assert_int_equal(compression_gunzip(
				 (struct str){ (char *)reply.body.bytes, reply.body.size }, &text),
			 0);
	assert_int_equal(text.size, REPEATED_SIZE);
	assert_memory_equal(text.bytes, expected, REPEATED_SIZE);
	reply_done(&reply);

	pack("br", &reply);
	assert_null(reply.content_encoding);
	assert_int_equal(reply.body.size, REPEATED_SIZE);
	reply_done(&reply);
}

/* ---- where it listens -------------------------------------------------------------------------
 */

static void listens_beyond_loopback_only_for_tokens(void **state)
{
	static const struct {
		const char *address;
		int err;
		const char *why;
	} cases[] = {
		{ "0.0.0.0:0", -EPERM, "hearth token new" },
		{ ":4040", -EINVAL, "no IP address" },
		{ "192.0.2.1:4040", -EPERM, "ssh -L" },
		{ "example.org:80", -EINVAL, "no IP address" },
		{ "127.1:0", -EINVAL, "no IP address" },
		{ "[::]:0", -EPERM, "hearth token new" },
		{ "127.0.0.1:0, 0.0.0.0:0", -EPERM, "'0.0.0.0:0' is not loopback" },
		{ "[127.0.0.1]:0", -EINVAL, "no IP address" },
		{ "unix:relative", -EINVAL, "no absolute path" },
		{ "127.0.0.1", -EINVAL, "ADDRESS:PORT" },
		{ "127.0.0.1:x", -EINVAL, "ADDRESS:PORT" },
		{ "127.0.0.1:65536", -EINVAL, "PORT" },
		{ "", -EINVAL, "ADDRESS:PORT" },
	};
	struct fixture *fixture = *state;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char error[DOOR_ERROR_SIZE] = "";
		struct settings settings = fixture->settings;
		struct server server = { .settings = &settings };
		struct door *door = NULL;

		snprintf(settings.http, sizeof(settings.http), "%s", cases[i].address);
		assert_int_equal(door_check(&settings, error), cases[i].err);
		assert_int_equal(door_start(&server, &door, error), cases[i].err);
		assert_null(door);
		if (!strstr(error, cases[i].why))
			fail_msg("'%s': %s", cases[i].address, error);
	}
}

static void names_who_has_the_port(void **state)
{
	struct fixture *fixture = *state;
	struct settings settings = fixture->settings;
	struct server server = { .settings = &settings };
	char error[DOOR_ERROR_SIZE] = "";
	char own[32];
	struct door *door = NULL;

	snprintf(settings.http, sizeof(settings.http), "localhost:%u", fixture->port);
	snprintf(own, sizeof(own), "pid %d (", (int)getpid());
	assert_int_equal(door_start(&server, &door, error), -EADDRINUSE);
	assert_non_null(strstr(error, own));
	assert_non_null(strstr(error, "--http"));
}

static void knows_no_owner_of_a_free_port(void **state)
{
	char text[PORT_OWNER_TEXT_SIZE] = "";

	(void)state;
	assert_int_equal(port_owner_describe(1, text), -ENOENT);
}

static void starts_again_where_it_was(void **state)
{
	struct fixture *fixture = *state;
	char error[DOOR_ERROR_SIZE] = "";

	snprintf(fixture->settings.http, sizeof(fixture->settings.http), "127.0.0.1:%u",
		 fixture->port);
	assert_status(fixture, HEAD("GET /healthz") "\r\n", 200);
	fixture->door = door_stop(fixture->door);
	if (door_start(&fixture->server, &fixture->door, error))
		fail_msg("%s", error);
	assert_int_equal(door_port(fixture->door), fixture->port);
	assert_status(fixture, HEAD("GET /healthz") "\r\n", 200);
}

/* ---- slots ------------------------------------------------------------------------------------
 */

static void lets_so_many_in_and_no_more_wait(void **state)
{
	autoclean(slots) struct slots *slots = NULL;

	(void)state;
	assert_int_equal(slots_new(2, 1, &slots), 0);
	assert_int_equal(slots_enter(slots, 1), 0);
	assert_int_equal(slots_enter(slots, 1), 0);
	/* There is a place to wait in, but the time is over. */
	assert_int_equal(slots_enter(slots, 1), -ETIMEDOUT);
	slots_leave(slots);
	assert_int_equal(slots_enter(slots, 1), 0);
	slots_leave(slots);
	slots_leave(slots);
	slots = slots_free(slots);
	assert_int_equal(slots_new(1, 0, &slots), 0);
	assert_int_equal(slots_enter(slots, UINT64_MAX), 0);
	assert_int_equal(slots_enter(slots, UINT64_MAX), -EBUSY);
	slots_leave(slots);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(answers_and_says_what_is_wrong),
		cmocka_unit_test(answers_from_deep_below),
		cmocka_unit_test(refuses_heads_that_can_be_read_in_two_ways),
		cmocka_unit_test(refuses_more_headers_than_it_can_see),
		cmocka_unit_test(refuses_a_head_that_is_too_long),
		cmocka_unit_test(answers_no_foreign_page),
		cmocka_unit_test(names_the_methods_it_allows),
		cmocka_unit_test(sends_no_body_to_head),
		cmocka_unit_test(keeps_a_connection_for_the_next_request),
		cmocka_unit_test(reads_plain_and_packed_and_chunked_bodies),
		cmocka_unit_test(refuses_bodies_that_are_too_large),
		cmocka_unit_test(refuses_bodies_that_come_too_slowly),
		cmocka_unit_test(failures_name_their_limit),
		cmocka_unit_test(tells_what_is_wrong_with_a_message),
		cmocka_unit_test(goes_on_when_asked_whether_to),
		cmocka_unit_test(serves_the_page_and_its_paths),
		cmocka_unit_test(packs_the_page_for_who_can_unpack),
		cmocka_unit_test(packs_answers_as_the_client_likes_best),
		cmocka_unit_test(listens_beyond_loopback_only_for_tokens),
		cmocka_unit_test(names_who_has_the_port),
		cmocka_unit_test(knows_no_owner_of_a_free_port),
		cmocka_unit_test(starts_again_where_it_was),
		cmocka_unit_test(lets_so_many_in_and_no_more_wait),
	};

	return cmocka_run_group_tests(tests, start, stop);
}
