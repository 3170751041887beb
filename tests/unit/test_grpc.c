/* SPDX-License-Identifier: Apache-2.0 */
/* gRPC's and gRPC-Web's frames around the calls that Connect has. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>
#include <zlib.h>

#include "base/cleanup.h"
#include "tests/support/exchange.h"
#include "tests/support/small_server.h"
#include "web/grpc.h"
#include "web/routes.h"

#define SERVICE "/querier.v1.QuerierService/"

struct fixture {
	struct small_server small;
	struct routes *routes;
};

static int start(void **state)
{
	struct fixture *fixture = calloc(1, sizeof(*fixture));
	char error[ROUTES_ERROR_SIZE] = "";

	assert_non_null(fixture);
	small_server_open(&fixture->small);
	if (routes_new(&fixture->small.server, &fixture->routes, error))
		fail_msg("%s", error);
	*state = fixture;
	return 0;
}

static int stop(void **state)
{
	struct fixture *fixture = *state;

	routes_free(fixture->routes);
	small_server_close(&fixture->small);
	free(fixture);
	return 0;
}

struct question {
	const char *type, *method, *body;
	size_t size;
	const char *name, *value; /* another header */
	enum http_version version;
};

/* The answer's status and headers, body and trailers, one behind the other. */
static void ask(const struct fixture *fixture, const struct question *question, struct buf *answer)
{
	autoclean(exchange) struct exchange exchange;
	char path[128];

	snprintf(path, sizeof(path), SERVICE "%s", question->method);
	exchange_init(&exchange, "POST", path);
	exchange.request.version = question->version;
	exchange_header(&exchange, "content-type", question->type);
	if (question->name)
		exchange_header(&exchange, question->name, question->value);
	exchange_body(&exchange, (struct str){ question->body, question->size });
	routes_answer(fixture->routes, &exchange.request, &exchange.reply);

	const struct reply *reply = &exchange.reply;

	buf_printf(answer, "%d %s\n", reply->status, reply->content_type);
	/* What a question read, and how long it took, is nobody's business here. */
	for (size_t i = 0; i < reply->header_count; i++)
		if (!str_equal(reply->headers[i].name, STR("X-Hearth-Query")))
			buf_printf(answer, "%.*s: %.*s\n", STR_PRINT(reply->headers[i].name),
				   STR_PRINT(reply->headers[i].value));
	buf_add_str(answer, STR("|"));
	for (size_t i = 0; i < reply->body.size; i++)
		buf_printf(answer,
			   reply->body.bytes[i] < ' ' || reply->body.bytes[i] > '~' ? "%%%02x"
										    : "%c",
			   reply->body.bytes[i]);
	buf_add_str(answer, STR("|"));
	for (size_t i = 0; i < reply->trailer_count; i++)
		buf_printf(answer, "%.*s: %.*s\n", STR_PRINT(reply->trailers[i].name),
			   STR_PRINT(reply->trailers[i].value));
	buf_add_u8(answer, 0);
	assert_int_equal(answer->error, 0);
}

#define BODY(literal) (literal), sizeof(literal) - 1
#define ERROR_OF(code, text)                                                                       \
	"200 application/grpc\ngrpc-status: " #code "\ngrpc-message: " text "\n||"

static void frames_answers_and_errors(void **state)
{
	static const struct {
		struct question question;
		const char *answer;
	} cases[] = {
		{ { "application/grpc", "ProfileTypes", BODY("\0\0\0\0\0"), NULL, NULL, HTTP_2 },
		  "200 application/grpc\n|%00%00%00%00%00|grpc-status: 0\n" },
		{ { "application/grpc+proto", "ProfileTypes", BODY("\0\0\0\0\0"), NULL, NULL,
		    HTTP_2 },
		  "200 application/grpc+proto\n|%00%00%00%00%00|grpc-status: 0\n" },
		{ { "application/grpc+json", "ProfileTypes", BODY("\0\0\0\0\2{}"), NULL, NULL,
		    HTTP_2 },
		  "200 application/grpc+json\n|%00%00%00%00%02{}|grpc-status: 0\n" },
		{ { "application/grpc", "LabelValues", BODY("\0\0\0\0\0"), NULL, NULL, HTTP_2 },
		  ERROR_OF(3, "name is required") },
		{ { "application/grpc-web", "ProfileTypes", BODY("\0\0\0\0\0"), NULL, NULL,
		    HTTP_1 },
		  "200 application/grpc-web\n|%00%00%00%00%00%80%00%00%00%10grpc-status: "
		  "0%0d%0a|" },
		{ { "application/grpc-web+json", "LabelValues", BODY("\0\0\0\0\2{}"), NULL, NULL,
		    HTTP_2 },
		  "200 application/grpc-web+json\n|%80%00%00%000grpc-status: 3%0d%0agrpc-message: "
		  "name is required%0d%0a|" },
		{ { "application/grpc-web-text", "ProfileTypes", BODY("AAAAAAA="), NULL, NULL,
		    HTTP_1 },
		  "200 application/grpc-web-text\n|AAAAAACAAAAAEGdycGMtc3RhdHVzOiAwDQo=|" },
		/* In two pieces, each padded. */
		{ { "application/grpc-web-text", "ProfileTypes", BODY("AAA=AAAA"), NULL, NULL,
		    HTTP_1 },
		  "200 application/grpc-web-text\n|AAAAAACAAAAAEGdycGMtc3RhdHVzOiAwDQo=|" },
		{ { "application/grpc-web-text", "ProfileTypes", BODY("AAAAAAA"), NULL, NULL,
		    HTTP_1 },
		  "200 application/grpc-web-text\n|gAAAADVncnBjLXN0YXR1czogMw0KZ3JwYy1tZXNzYWdlOiB0"
		  "aGUgYm9keSBpcyBubyBiYXNlNjQNCg==|" },
		{ { "application/grpc", "NoSuch", BODY("\0\0\0\0\0"), NULL, NULL, HTTP_2 },
		  "200 application/grpc\ngrpc-status: 12\ngrpc-message: there is nothing here\n"
		  "grpc-accept-encoding: identity,gzip,zstd,snappy\n||" },
		{ { "application/grpc", "ProfileTypes", BODY("\0\0\0\0"), NULL, NULL, HTTP_2 },
		  ERROR_OF(13, "there is no message in the body") },
		{ { "application/grpc", "ProfileTypes", BODY(""), NULL, NULL, HTTP_2 },
		  ERROR_OF(13, "there is no message in the body") },
		{ { "application/grpc", "ProfileTypes", BODY("\2\0\0\0\0"), NULL, NULL, HTTP_2 },
		  ERROR_OF(13, "there is no message in the body") },
		{ { "application/grpc", "ProfileTypes", BODY("\0\0\0\0\11a"), NULL, NULL, HTTP_2 },
		  ERROR_OF(13, "the message is not whole") },
		{ { "application/grpc", "ProfileTypes", BODY("\0\377\377\377\377"), NULL, NULL,
		    HTTP_2 },
		  ERROR_OF(13, "the message is not whole") },
		{ { "application/grpc", "ProfileTypes", BODY("\0\0\0\0\0\0\0\0\0\0"), NULL, NULL,
		    HTTP_2 },
		  ERROR_OF(13, "there is more than one message in the body") },
		{ { "application/grpc", "ProfileTypes", BODY("\1\0\0\0\0"), NULL, NULL, HTTP_2 },
		  ERROR_OF(13, "the message is packed, but grpc-encoding does not say how") },
		{ { "application/grpc", "ProfileTypes", BODY("\1\0\0\0\1x"), "grpc-encoding", "br",
		    HTTP_2 },
		  "200 application/grpc\ngrpc-status: 12\ngrpc-message: unknown compression: "
		  "supported "
		  "encodings are gzip, zstd, deflate, snappy and lz4\n"
		  "grpc-accept-encoding: identity,gzip,zstd,snappy\n||" },
		{ { "application/grpc", "ProfileTypes", BODY("\1\0\0\0\1x"), "grpc-encoding",
		    "gzip", HTTP_2 },
		  ERROR_OF(3, "the body can't be unpacked") },
		/* It says how messages are packed; this one is not. */
		{ { "application/grpc", "ProfileTypes", BODY("\0\0\0\0\0"), "grpc-encoding", "gzip",
		    HTTP_2 },
		  "200 application/grpc\n|%00%00%00%00%00|grpc-status: 0\n" },
		{ { "application/grpc", "ProfileTypes", BODY("\0\0\0\0\0"), "grpc-timeout", "5S",
		    HTTP_2 },
		  "200 application/grpc\n|%00%00%00%00%00|grpc-status: 0\n" },
		{ { "application/grpc", "ProfileTypes", BODY("\0\0\0\0\0"), "grpc-timeout", "1n",
		    HTTP_2 },
		  ERROR_OF(4, "the body must be here within 30 s, or what the request allows") },
		{ { "application/grpc", "ProfileTypes", BODY("\0\0\0\0\0"), "grpc-timeout", "soon",
		    HTTP_2 },
		  ERROR_OF(3, "grpc-timeout must be a number of at most 8 digits and a unit") },
		{ { "application/grpc", "ProfileTypes", BODY("\0\0\0\0\0"), "grpc-timeout",
		    "123456789S", HTTP_2 },
		  ERROR_OF(3, "grpc-timeout must be a number of at most 8 digits and a unit") },
		{ { "application/grpc", "ProfileTypes", BODY("\0\0\0\0\0"), "authorization",
		    "Bearer x", HTTP_2 },
		  ERROR_OF(16, "this token is not known here, or its time is over") },
		{ { "application/grpc", "ProfileTypes", BODY("\0\0\0\0\0"), "x-forwarded-for",
		    "::1", HTTP_2 },
		  ERROR_OF(7,
			   "only this host itself is answered; others need a token ('hearth token "
			   "new'), or ssh -L") },
		/* There are no trailers. */
		{ { "application/grpc", "ProfileTypes", BODY("\0\0\0\0\0"), NULL, NULL, HTTP_1 },
		  "505 application/json\n|{\"error\":\"gRPC takes HTTP/2; over HTTP/1.1 there are "
		  "gRPC-Web and Connect\"}|" },
		{ { "application/grpcx", "ProfileTypes", BODY("\0\0\0\0\0"), NULL, NULL, HTTP_2 },
		  "415 application/json\nAccept-Post: application/proto, "
		  "application/json\n|{\"error\":"
		  "\"the content type must be application/proto or application/json\"}|" },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		autoclean(buf) struct buf answer = BUF(1 << 16);

		ask(*state, &cases[i].question, &answer);
		if (strcmp((char *)answer.bytes, cases[i].answer) != 0)
			fail_msg("case %zu:\n%s\ninstead of\n%s", i, (char *)answer.bytes,
				 cases[i].answer);
	}
}

/* A message that is packed, and one that says of a crowd that it may come again. */
static void unpacks_and_tells_when_to_come_again(void **state)
{
	uint8_t frame[256] = { 1 };
	z_stream stream = { .next_in = (uint8_t *)"{\"name\":\"x/y\"}",
			    .avail_in = 14,
			    .next_out = frame + 5,
			    .avail_out = sizeof(frame) - 5 };
	struct question question = { .type = "application/grpc+json",
				     .method = "LabelValues",
				     .body = (char *)frame,
				     .name = "grpc-encoding",
				     .value = "gzip",
				     .version = HTTP_2 };
	autoclean(buf) struct buf answer = BUF(1 << 16);
	struct request request = { .headers = { { STR("content-type"), STR("application/grpc") } },
				   .header_count = 1,
				   .version = HTTP_2 };
	struct reply reply;

	assert_int_equal(deflateInit2(&stream, 9, Z_DEFLATED, 15 + 16, 8, 0), Z_OK);
	assert_int_equal(deflate(&stream, Z_FINISH), Z_STREAM_END);
	(void)deflateEnd(&stream);
	question.size = sizeof(frame) - stream.avail_out;
	frame[4] = (uint8_t)(question.size - 5);
	ask(*state, &question, &answer);
	assert_string_equal((char *)answer.bytes,
			    "200 application/grpc+json\n|%00%00%00%00%02{}|grpc-status: 0\n");

	reply_init(&reply);
	reply_failure(&reply, -EBUSY);
	grpc_finish(&request, &reply);
	assert_int_equal(reply.header_count, 3);
	assert_true(str_equal(reply.headers[0].value, STR("14")));
	assert_true(str_equal(reply.headers[2].name, STR("grpc-status-details-bin")));

	/* google.rpc.Status: code 14, the message, RetryInfo of a second. */
	autoclean(buf) struct buf details = BUF(2048);

	buf_add_str(&details, reply.headers[2].value);
	while (details.size % 4 != 0)
		buf_add_u8(&details, '=');
	assert_int_equal(grpc_decode_text(&details), 0);
	assert_memory_equal(details.bytes, "\x08\x0e\x12", 3);
	assert_memory_equal(
		details.bytes + details.size - 48,
		"\x0a\x28type.googleapis.com/google.rpc.RetryInfo\x12\x04\x0a\x02\x08\x01", 48);
	reply_done(&reply);
}

static void encodes_what_a_header_can_not_hold(void **state)
{
	struct request request = { .headers = { { STR("content-type"), STR("application/grpc") } },
				   .header_count = 1,
				   .version = HTTP_2 };
	struct reply reply;

	(void)state;
	reply_init(&reply);
	reply_error(&reply, 400, NULL, "100%% of\r\n\xc3\xa4");
	grpc_finish(&request, &reply);
	assert_true(str_equal(reply.headers[1].value, STR("100%25 of%0D%0A%C3%A4")));
	assert_true(str_equal(reply.headers[0].value, STR("13")));
	reply_done(&reply);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(frames_answers_and_errors),
		cmocka_unit_test(unpacks_and_tells_when_to_come_again),
		cmocka_unit_test(encodes_what_a_header_can_not_hold),
	};

	return cmocka_run_group_tests(tests, start, stop);
}
