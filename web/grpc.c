/* SPDX-License-Identifier: Apache-2.0 */
#include "web/grpc.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>

#include "base/clock.h"
#include "base/parse.h"
#include "web/base64.h"
#include "web/compression.h"
#include "web/connect.h"
#include "web/reply.h"

enum {
	FRAME_HEAD_SIZE = 5, /* flags, and the size in four bytes, the highest first */
	FLAG_PACKED = 1,
	FLAG_TRAILERS = 0x80,
	PACKED_SIZE_MIN = 1024,
	TIMEOUT_DIGIT_COUNT_MAX = 8, /* of the protocol */
	RETRY_SECONDS = 1,
	DETAILS_SIZE_MAX = 640,
};

static bool equal_caseless(struct str a, struct str b)
{
	return a.size == b.size && (a.size == 0 || strncasecmp(a.text, b.text, a.size) == 0);
}

static struct str trimmed(struct str text)
{
	while (text.size > 0 && text.text[0] == ' ')
		text = (struct str){ text.text + 1, text.size - 1 };
	while (text.size > 0 && text.text[text.size - 1] == ' ')
		text.size--;
	return text;
}

static const struct {
	const char *type;
	enum grpc_kind kind;
} types[] = {
	{ "application/grpc", GRPC_PLAIN },
	{ "application/grpc+proto", GRPC_PLAIN },
	{ "application/grpc+json", GRPC_PLAIN },
	{ "application/grpc-web", GRPC_WEB },
	{ "application/grpc-web+proto", GRPC_WEB },
	{ "application/grpc-web+json", GRPC_WEB },
	{ "application/grpc-web-text", GRPC_WEB_TEXT },
	{ "application/grpc-web-text+proto", GRPC_WEB_TEXT },
};

/* The one of the table that the request names, or its count. */
static size_t find_type(const struct request *request)
{
	struct str rest = request_header(request, STR("content-type"));
	struct str name = { 0 };
	size_t count = sizeof(types) / sizeof(types[0]);
	size_t i = 0;

	if (!parse_next(&rest, ';', &name))
		return count;
	while (i < count && !equal_caseless(trimmed(name), str_from(types[i].type)))
		i++;
	return i;
}

enum grpc_kind grpc_kind_of(const struct request *request)
{
	size_t place = find_type(request);

	return place < sizeof(types) / sizeof(types[0]) ? types[place].kind : GRPC_NONE;
}

/* ---- questions --------------------------------------------------------------------------------
 */

/* "10S", "250m": digits and a unit. */
static bool parse_timeout(struct str text, uint64_t *ret_ns)
{
	static const struct {
		char name;
		uint64_t ns;
	} units[] = { { 'H', 3600 * (uint64_t)CLOCK_NS_PER_S },
		      { 'M', 60 * (uint64_t)CLOCK_NS_PER_S },
		      { 'S', (uint64_t)CLOCK_NS_PER_S },
		      { 'm', CLOCK_NS_PER_MS },
		      { 'u', 1000 },
		      { 'n', 1 } };
	uint64_t count;

	if (text.size < 2 || text.size > TIMEOUT_DIGIT_COUNT_MAX + 1 ||
	    parse_u64((struct str){ text.text, text.size - 1 }, &count))
		return false;
	for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
		if (text.text[text.size - 1] != units[i].name)
			continue;
		*ret_ns = count * units[i].ns;
		return true;
	}
	return false;
}

bool grpc_check_headers(struct request *request, struct reply *reply)
{
	struct str timeout = request_header(request, STR("grpc-timeout"));
	uint64_t timeout_ns;

	if (grpc_kind_of(request) == GRPC_PLAIN && request->version != HTTP_2) {
		reply_error(reply, 505, NULL,
			    "gRPC takes HTTP/2; over HTTP/1.1 there are gRPC-Web and Connect");
		return false;
	}
	if (!timeout.text)
		return true;
	if (!parse_timeout(timeout, &timeout_ns)) {
		connect_error(reply, CONNECT_INVALID_ARGUMENT,
			      "grpc-timeout must be a number of at most %d digits and a unit",
			      TIMEOUT_DIGIT_COUNT_MAX);
		return false;
	}

	uint64_t deadline = clock_monotonic_ns() + timeout_ns;

	if (!request->deadline_monotonic_ns || deadline < request->deadline_monotonic_ns)
		request->deadline_monotonic_ns = deadline;
	return true;
}

static int letter_value(uint8_t c)
{
	if (c >= 'A' && c <= 'Z')
		return c - 'A';
	if (c >= 'a' && c <= 'z')
		return c - 'a' + 26;
	if (c >= '0' && c <= '9')
		return c - '0' + 52;
	if (c == '+')
		return 62;
	return c == '/' ? 63 : -1;
}

/* Four letters; how many bytes, or -1. */
static int decode_four(const uint8_t *letters, uint8_t *bytes)
{
	uint32_t bits = 0;
	int size = letters[3] != '=' ? 3 : letters[2] != '=' ? 2 : 1;

	for (int i = 0; i < 4; i++) {
		int value = i <= size ? letter_value(letters[i]) : letters[i] == '=' ? 0 : -1;

		if (value < 0)
			return -1;
		bits = bits << 6 | (uint32_t)value;
	}
	bytes[0] = (uint8_t)(bits >> 16);
	bytes[1] = (uint8_t)(bits >> 8);
	bytes[2] = (uint8_t)bits;
	return size;
}

int grpc_decode_text(struct buf *bytes)
{
	size_t size = 0;

	if (bytes->size % 4 != 0)
		return -EBADMSG;
	for (size_t i = 0; i < bytes->size; i += 4) {
		uint8_t decoded[3];
		int count = decode_four(bytes->bytes + i, decoded);

		if (count < 0)
			return -EBADMSG;
		assert(size + (size_t)count <= i + 4);
		memcpy(bytes->bytes + size, decoded, (size_t)count);
		size += (size_t)count;
	}
	bytes->size = size;
	return 0;
}

/* Says it in the place of what was said before. */
static bool set_encoding(struct request *request, struct str value)
{
	for (size_t i = 0; i < request->header_count; i++) {
		if (!equal_caseless(request->headers[i].name, STR("content-encoding")))
			continue;
		request->headers[i].value = value;
		return true;
	}
	if (request->header_count == REQUEST_HEADER_COUNT_MAX)
		return false;
	request->headers[request->header_count++] =
		(struct header){ STR("content-encoding"), value };
	return true;
}

/* How the message is packed, as what reads bodies knows it. */
static bool take_encoding(struct request *request, bool is_packed, struct reply *reply)
{
	struct str encoding = STR("identity");

	if (is_packed) {
		encoding = request_header(request, STR("grpc-encoding"));
		if (encoding.size == 0 || equal_caseless(encoding, STR("identity"))) {
			connect_error(reply, CONNECT_INTERNAL,
				      "the message is packed, but grpc-encoding does not say how");
			return false;
		}
	}
	if (set_encoding(request, encoding))
		return true;
	connect_error(reply, CONNECT_RESOURCE_EXHAUSTED, "there are more than 62 headers");
	return false;
}

bool grpc_take_question(struct request *request, struct held_body *held, struct reply *reply)
{
	struct buf *bytes = &held->bytes;

	assert(held->next == 0);
	if (grpc_kind_of(request) == GRPC_WEB_TEXT && grpc_decode_text(bytes)) {
		connect_error(reply, CONNECT_INVALID_ARGUMENT, "the body is no base64");
		return false;
	}
	if (bytes->size < FRAME_HEAD_SIZE || bytes->bytes[0] > FLAG_PACKED) {
		connect_error(reply, CONNECT_INTERNAL, "there is no message in the body");
		return false;
	}

	const uint8_t *head = bytes->bytes;
	size_t size =
		(size_t)head[1] << 24 | (size_t)head[2] << 16 | (size_t)head[3] << 8 | head[4];

	if (size != bytes->size - FRAME_HEAD_SIZE) {
		connect_error(reply, CONNECT_INTERNAL,
			      size > bytes->size ? "the message is not whole"
						 : "there is more than one message in the body");
		return false;
	}
	held->next = FRAME_HEAD_SIZE;
	return take_encoding(request, head[0] == FLAG_PACKED, reply);
}

static int64_t read_message(struct request *request, void *bytes, size_t size)
{
	struct grpc_message *message = request->body_context;
	uint8_t more;
	int64_t count;

	request->body_context = message->context;
	count = message->left > 0 ? message->read_body(request, bytes,
						       size < message->left ? size : message->left)
				  : message->read_body(request, &more, 1);
	request->body_context = message;
	if (message->left == 0)
		return count > 0 ? -EPROTO : count;
	if (count > 0)
		message->left -= (size_t)count;
	return count == 0 ? -EPROTO : count;
}

/* All of it, or as much as there is. */
static int64_t read_head(struct request *request, uint8_t head[static FRAME_HEAD_SIZE])
{
	size_t size = 0;

	while (size < FRAME_HEAD_SIZE && request->read_body) {
		int64_t count = request->read_body(request, head + size, FRAME_HEAD_SIZE - size);

		if (count <= 0)
			return count < 0 ? count : (int64_t)size;
		size += (size_t)count;
	}
	return (int64_t)size;
}

bool grpc_begin_message(struct request *request, struct grpc_message *message, size_t size_max,
			struct reply *reply)
{
	uint8_t head[FRAME_HEAD_SIZE] = { 0 };
	int64_t count = grpc_kind_of(request) == GRPC_WEB_TEXT ? 0 : read_head(request, head);

	if (count < FRAME_HEAD_SIZE || head[0] > FLAG_PACKED) {
		connect_error(reply, CONNECT_INTERNAL, "there is no message in the body");
		return false;
	}
	*message = (struct grpc_message){
		.read_body = request->read_body,
		.context = request->body_context,
		.left = (size_t)head[1] << 24 | (size_t)head[2] << 16 | (size_t)head[3] << 8 |
			head[4],
	};
	if (message->left > size_max) {
		connect_error(reply, CONNECT_RESOURCE_EXHAUSTED,
			      "the message has %zu bytes, and may have %zu", message->left,
			      size_max);
		reply->limit = LIMIT_BODY_SIZE;
		return false;
	}
	if (!take_encoding(request, head[0] == FLAG_PACKED, reply))
		return false;
	request->read_body = read_message;
	request->body_context = message;
	return true;
}

/* ---- answers ----------------------------------------------------------------------------------
 */

/* What an error that knows no code of its own means; as gRPC's clients would read the status. */
static enum connect_code code_of_status(int status)
{
	switch (status) {
	case 400:
		return CONNECT_INTERNAL;
	case 401:
		return CONNECT_UNAUTHENTICATED;
	case 403:
	case 421:
		return CONNECT_PERMISSION_DENIED;
	case 404:
	case 405:
		return CONNECT_UNIMPLEMENTED;
	case 408:
	case 504:
		return CONNECT_DEADLINE_EXCEEDED;
	case 413:
		return CONNECT_RESOURCE_EXHAUSTED;
	case 429:
	case 503:
		return CONNECT_UNAVAILABLE;
	default:
		return CONNECT_UNKNOWN;
	}
}

/* Everything but printable ASCII, and '%', as %XX. */
static void encode_message(const char *message, char *text, size_t size)
{
	size_t used = 0;

	for (const unsigned char *c = (const unsigned char *)message; *c && used + 4 < size; c++) {
		if (*c >= 0x20 && *c <= 0x7e && *c != '%')
			text[used++] = (char)*c;
		else
			used += (size_t)snprintf(text + used, size - used, "%%%02X", *c);
	}
	text[used] = '\0';
}

/*
 * google.rpc.Status {1: code, 2: message, 3: details}, with RetryInfo {1: Duration {1: seconds}}
 * for who came at a bad moment. https://github.com/googleapis/googleapis/tree/master/google/rpc
 */
static void encode_details(int code, const char *message, struct buf *text)
{
	static const char type[] = "type.googleapis.com/google.rpc.RetryInfo";
	autoclean(buf) struct buf duration = BUF(DETAILS_SIZE_MAX);
	autoclean(buf) struct buf any = BUF(DETAILS_SIZE_MAX);
	autoclean(buf) struct buf status = BUF((size_t)2 * DETAILS_SIZE_MAX);

	/* Tags: the field's number, and 0 for a varint, 2 for what has a size. */
	buf_add_u8(&duration, 1 << 3 | 2);
	buf_add_sized(&duration, STR("\x08\x01"));
	static_assert(RETRY_SECONDS == 1, "as it stands there");
	buf_add_u8(&any, 1 << 3 | 2);
	buf_add_sized(&any, STR(type));
	buf_add_u8(&any, 2 << 3 | 2);
	buf_add_sized(&any, (struct str){ (char *)duration.bytes, duration.size });
	buf_add_u8(&status, 1 << 3);
	buf_add_varint(&status, (uint64_t)code);
	buf_add_u8(&status, 2 << 3 | 2);
	buf_add_sized(&status, str_from(message));
	buf_add_u8(&status, 3 << 3 | 2);
	buf_add_sized(&status, (struct str){ (char *)any.bytes, any.size });
	if (!duration.error && !any.error && !status.error)
		base64_encode(status.bytes, status.size, false, text);
}

static void add_frame_head(struct buf *buf, uint8_t flags, size_t size)
{
	buf_add_u8(buf, flags);
	for (int shift = 24; shift >= 0; shift -= 8)
		buf_add_u8(buf, (uint8_t)(size >> shift));
}

static bool takes_gzip(const struct request *request)
{
	struct str rest = request_header(request, STR("grpc-accept-encoding"));
	struct str item;

	while (parse_next(&rest, ',', &item))
		if (equal_caseless(trimmed(item), STR("gzip")))
			return true;
	return false;
}

/* The message in a frame, packed when that is worth it and wished. */
static void frame_answer(const struct request *request, struct reply *reply)
{
	struct buf framed = BUF(REPLY_SIZE_MAX + 2 * FRAME_HEAD_SIZE);
	bool is_packed = reply->body.size >= PACKED_SIZE_MIN && takes_gzip(request) &&
			 compression_gzip(&reply->body) == 0;

	add_frame_head(&framed, is_packed ? FLAG_PACKED : 0, reply->body.size);
	buf_add(&framed, reply->body.bytes, reply->body.size);
	if (is_packed)
		reply_add_header(reply, "grpc-encoding", "gzip");
	buf_done(&reply->body);
	reply->body = framed;
}

static void add_status(struct reply *reply, struct header header, bool is_trailer)
{
	if (is_trailer) {
		assert(reply->trailer_count < sizeof(reply->trailers) / sizeof(reply->trailers[0]));
		reply->trailers[reply->trailer_count++] = header;
	} else {
		assert(reply->header_count < sizeof(reply->headers) / sizeof(reply->headers[0]));
		reply->headers[reply->header_count++] = header;
	}
}

/* gRPC-Web's trailers are text in a frame of their own. */
static void frame_trailers(struct reply *reply)
{
	autoclean(buf) struct buf text = BUF(16 << 10);

	for (size_t i = 0; i < reply->trailer_count; i++)
		buf_printf(&text, "%.*s: %.*s\r\n", STR_PRINT(reply->trailers[i].name),
			   STR_PRINT(reply->trailers[i].value));
	reply->trailer_count = 0;
	reply->body.limit = REPLY_SIZE_MAX + text.size + (size_t)2 * FRAME_HEAD_SIZE;
	add_frame_head(&reply->body, FLAG_TRAILERS, text.size);
	buf_add(&reply->body, text.bytes, text.size);
}

static void encode_text(struct reply *reply)
{
	struct buf text = BUF((size_t)(REPLY_SIZE_MAX / 3 + 1024) * 4);

	base64_encode(reply->body.bytes, reply->body.size, true, &text);
	buf_done(&reply->body);
	reply->body = text;
}

static void add_error(struct reply *reply, enum connect_code code, bool is_trailer)
{
	struct buf details = BUF(sizeof(reply->rpc_details) - 1);
	struct rpc_error error = reply->rpc_error;

	assert(code > 0 && code < CONNECT_CODE_COUNT);
	encode_message(error.message, reply->rpc_message, sizeof(reply->rpc_message));
	snprintf(reply->rpc_status, sizeof(reply->rpc_status), "%d", (int)code);
	add_status(reply, (struct header){ STR("grpc-status"), str_from(reply->rpc_status) },
		   is_trailer);
	add_status(reply, (struct header){ STR("grpc-message"), str_from(reply->rpc_message) },
		   is_trailer);
	if (reply->limit == LIMIT_QUESTIONS || reply->is_for_now) {
		encode_details((int)code, error.message, &details);
		if (!details.error && details.size > 0) {
			memcpy(reply->rpc_details, details.bytes, details.size);
			reply->rpc_details[details.size] = '\0';
			add_status(reply,
				   (struct header){ STR("grpc-status-details-bin"),
						    str_from(reply->rpc_details) },
				   is_trailer);
		}
	}
	buf_done(&details);
}

void grpc_finish(const struct request *request, struct reply *reply)
{
	enum grpc_kind kind = grpc_kind_of(request);
	bool is_error = reply->status != 200 || reply->body.error;

	if (kind == GRPC_NONE || (kind == GRPC_PLAIN && request->version != HTTP_2))
		return;

	enum connect_code code = reply->rpc_error.code ? (enum connect_code)reply->rpc_error.code
						       : code_of_status(reply->status);

	reply->content_type = types[find_type(request)].type;
	reply->is_packed = true; /* HTTP's own encodings are none of gRPC's */
	reply->status = 200;
	reply->etag[0] = '\0';
	if (!is_error) {
		frame_answer(request, reply);
		add_status(reply, (struct header){ STR("grpc-status"), STR("0") }, true);
	} else {
		/* With nothing before them the trailers are the head. */
		buf_clear(&reply->body);
		reply->header_count = 0;
		add_error(reply, code, kind != GRPC_PLAIN);
		if (code == CONNECT_UNIMPLEMENTED)
			reply_add_header(reply, "grpc-accept-encoding",
					 "identity,gzip,zstd,snappy");
	}
	if (kind != GRPC_PLAIN)
		frame_trailers(reply);
	if (kind == GRPC_WEB_TEXT)
		encode_text(reply);
}
