/* SPDX-License-Identifier: Apache-2.0 */
#include "web/connect.h"

#include <assert.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <strings.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/limits.h"
#include "base/parse.h"
#include "web/coding.h"
#include "web/grpc.h"
#include "web/json.h"
#include "web/json_writer.h"
#include "web/message_json.h"
#include "web/reply.h"

enum {
	MESSAGE_TEXT_SIZE = 512,
	TIMEOUT_DIGIT_COUNT_MAX = 10, /* of the protocol */
};

/* The protocol's table of codes. */
static const struct {
	const char *name;
	int status;
} codes[CONNECT_CODE_COUNT] = {
	[CONNECT_CANCELED] = { "canceled", 499 },
	[CONNECT_UNKNOWN] = { "unknown", 500 },
	[CONNECT_INVALID_ARGUMENT] = { "invalid_argument", 400 },
	[CONNECT_DEADLINE_EXCEEDED] = { "deadline_exceeded", 504 },
	[CONNECT_NOT_FOUND] = { "not_found", 404 },
	[CONNECT_ALREADY_EXISTS] = { "already_exists", 409 },
	[CONNECT_PERMISSION_DENIED] = { "permission_denied", 403 },
	[CONNECT_RESOURCE_EXHAUSTED] = { "resource_exhausted", 429 },
	[CONNECT_FAILED_PRECONDITION] = { "failed_precondition", 400 },
	[CONNECT_ABORTED] = { "aborted", 409 },
	[CONNECT_OUT_OF_RANGE] = { "out_of_range", 400 },
	[CONNECT_UNIMPLEMENTED] = { "unimplemented", 501 },
	[CONNECT_INTERNAL] = { "internal", 500 },
	[CONNECT_UNAVAILABLE] = { "unavailable", 503 },
	[CONNECT_DATA_LOSS] = { "data_loss", 500 },
	[CONNECT_UNAUTHENTICATED] = { "unauthenticated", 401 },
};

const char *connect_code_name(enum connect_code code)
{
	assert(code > 0 && code < CONNECT_CODE_COUNT);
	return codes[code].name;
}

int connect_code_status(enum connect_code code)
{
	assert(code > 0 && code < CONNECT_CODE_COUNT);
	return codes[code].status;
}

void connect_error(struct reply *reply, enum connect_code code, const char *format, ...)
{
	char text[MESSAGE_TEXT_SIZE];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);

	reply->status = connect_code_status(code);
	reply->rpc_error.code = (int)code;
	snprintf(reply->rpc_error.message, sizeof(reply->rpc_error.message), "%s", text);
	reply->content_type = "application/json";
	buf_clear(&reply->body);

	struct json_writer json = JSON_WRITER(&reply->body);

	json_begin_object(&json);
	json_key(&json, "code");
	json_text(&json, str_from(connect_code_name(code)));
	json_key(&json, "message");
	json_text(&json, str_from(text));
	json_end_object(&json);
}

void connect_failure(struct reply *reply, int err)
{
	struct failure failure = failure_from_errno(err);

	for (enum connect_code code = 1; code < CONNECT_CODE_COUNT; code++) {
		if (strcmp(connect_code_name(code), failure.code) != 0)
			continue;
		connect_error(reply, code, "%s", failure.sentence);
		reply->limit = failure.limit;
		return;
	}
	assert(!"a code of the table");
}

/* ---- headers ----------------------------------------------------------------------------------
 */

static struct str trimmed(struct str text)
{
	while (text.size > 0 && text.text[0] == ' ')
		text = (struct str){ text.text + 1, text.size - 1 };
	while (text.size > 0 && text.text[text.size - 1] == ' ')
		text.size--;
	return text;
}

static bool equal_caseless(struct str a, struct str b)
{
	return a.size == b.size && (a.size == 0 || strncasecmp(a.text, b.text, a.size) == 0);
}

/* The type alone, or with charset=utf-8. */
static enum connect_codec codec_of(struct str content_type)
{
	static const struct {
		const char *type;
		enum connect_codec codec;
	} types[] = { { "application/proto", CONNECT_CODEC_PROTO },
		      { "application/json", CONNECT_CODEC_JSON },
		      { "application/grpc", CONNECT_CODEC_PROTO },
		      { "application/grpc+proto", CONNECT_CODEC_PROTO },
		      { "application/grpc+json", CONNECT_CODEC_JSON },
		      { "application/grpc-web", CONNECT_CODEC_PROTO },
		      { "application/grpc-web+proto", CONNECT_CODEC_PROTO },
		      { "application/grpc-web+json", CONNECT_CODEC_JSON },
		      { "application/grpc-web-text", CONNECT_CODEC_PROTO },
		      { "application/grpc-web-text+proto", CONNECT_CODEC_PROTO } };
	struct str rest = content_type;
	struct str part = { 0 };
	enum connect_codec codec = CONNECT_CODEC_NONE;

	if (!parse_next(&rest, ';', &part))
		return CONNECT_CODEC_NONE;
	for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++)
		if (equal_caseless(trimmed(part), str_from(types[i].type)))
			codec = types[i].codec;
	while (parse_next(&rest, ';', &part))
		if (!equal_caseless(trimmed(part), STR("charset=utf-8")))
			codec = CONNECT_CODEC_NONE;
	return codec;
}

enum connect_codec connect_codec_of(const struct request *request)
{
	return codec_of(request_header(request, STR("content-type")));
}

static bool take_timeout(struct request *request, struct reply *reply)
{
	struct str text = request_header(request, STR("connect-timeout-ms"));
	uint64_t timeout_ms;

	if (!text.text)
		return true;
	if (text.size > TIMEOUT_DIGIT_COUNT_MAX || parse_u64(text, &timeout_ms)) {
		connect_error(reply, CONNECT_INVALID_ARGUMENT,
			      "Connect-Timeout-Ms must be a number of at most %d digits",
			      TIMEOUT_DIGIT_COUNT_MAX);
		return false;
	}

	uint64_t deadline = clock_monotonic_ns() + timeout_ms * CLOCK_NS_PER_MS;

	if (!request->deadline_monotonic_ns || deadline < request->deadline_monotonic_ns)
		request->deadline_monotonic_ns = deadline;
	return true;
}

bool connect_check_headers(struct request *request, struct reply *reply)
{
	struct str version = request_header(request, STR("connect-protocol-version"));

	if (grpc_kind_of(request) != GRPC_NONE || connect_codec_of(request) == CONNECT_CODEC_NONE) {
		reply_error(reply, 415, NULL,
			    "the content type must be application/proto or application/json");
		reply_add_header(reply, "Accept-Post", "application/proto, application/json");
		return false;
	}
	if (version.text && !str_equal(version, STR("1"))) {
		connect_error(reply, CONNECT_INVALID_ARGUMENT,
			      "Connect-Protocol-Version must be 1");
		return false;
	}
	return take_timeout(request, reply);
}

/* ---- messages ---------------------------------------------------------------------------------
 */

static bool read_body(struct request *request, struct buf *body, struct reply *reply)
{
	switch (request_read_body(request, body)) {
	case 0:
		return true;
	case -EOPNOTSUPP:
		connect_error(reply, CONNECT_UNIMPLEMENTED,
			      "unknown compression: supported encodings are " CODING_NAMES);
		return false;
	case -EBADMSG:
		connect_error(reply, CONNECT_INVALID_ARGUMENT, "the body can't be unpacked");
		return false;
	case -E2BIG:
		connect_error(reply, CONNECT_RESOURCE_EXHAUSTED,
			      "the message is larger than %zu bytes", body->limit);
		reply->limit = LIMIT_UNPACKED_SIZE;
		return false;
	case -ETIMEDOUT:
		connect_error(reply, CONNECT_DEADLINE_EXCEEDED, "the body came too slowly");
		return false;
	default:
		connect_error(reply, CONNECT_CANCELED, "the body could not be read");
		return false;
	}
}

static int read_json(struct str text, const ProtobufCMessageDescriptor *question,
		     struct arena *arena, const ProtobufCMessage **ret,
		     char reterr[static MESSAGE_ERROR_SIZE])
{
	static_assert((int)JSON_ERROR_SIZE <= (int)MESSAGE_ERROR_SIZE, "one fits into the other");
	autoclean(json_value) struct json_value *json = NULL;
	/* Clients differ in how they ask for all defaults. */
	int err = json_value_parse(text.size > 0 ? text : STR("{}"), &json, reterr);

	return err ? err : message_from_json(question, json, arena, ret, reterr);
}

const void *connect_begin(struct connect_call *call, struct request *request, struct reply *reply,
			  const ProtobufCMessageDescriptor *question)
{
	autoclean(buf) struct buf body = BUF(request->message_size_max ? request->message_size_max
								       : REQUEST_MESSAGE_SIZE_MAX);
	char error[MESSAGE_ERROR_SIZE] = "";
	const ProtobufCMessage *message = NULL;

	*call = (struct connect_call){
		.request = request,
		.reply = reply,
		.codec = connect_codec_of(request),
		.arena = ARENA(MESSAGE_MEMORY_MAX),
	};
	assert(call->codec != CONNECT_CODEC_NONE);
	if (!read_body(request, &body, reply))
		return NULL;

	struct str bytes = { (const char *)body.bytes, body.size };
	int err = call->codec == CONNECT_CODEC_JSON
			  ? read_json(bytes, question, &call->arena, &message, error)
			  : message_unpack(question, bytes, &call->arena, &message, error);

	if (err == -E2BIG) {
		connect_error(reply, CONNECT_RESOURCE_EXHAUSTED, "unmarshal message: %s", error);
		reply->limit = LIMIT_MESSAGE;
	} else if (err == -EBADMSG) {
		connect_error(reply, CONNECT_INVALID_ARGUMENT, "unmarshal message: %s", error);
	} else if (err) {
		connect_failure(reply, err);
	}
	/* What it takes to answer is another matter. */
	call->arena.limit = ANSWER_MEMORY_MAX;
	return err ? NULL : message;
}

void connect_answer(struct connect_call *call, const ProtobufCMessage *answer)
{
	struct reply *reply = call->reply;

	assert(reply->status == 200 && reply->body.size == 0);
	if (call->arena.error) {
		connect_failure(reply, call->arena.error);
		return;
	}
	if (call->codec == CONNECT_CODEC_PROTO) {
		reply->content_type = "application/proto";
		message_pack(answer, &reply->body);
		return;
	}

	struct json_writer json = JSON_WRITER(&reply->body);

	message_to_json(answer, &json);
}

void connect_done(struct connect_call *call)
{
	arena_done(&call->arena);
}
