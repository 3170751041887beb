/* SPDX-License-Identifier: Apache-2.0 */
#include "web/connect.h"

#include <assert.h>
#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

#include "base/clock.h"
#include "base/parse.h"
#include "web/json_writer.h"
#include "web/reply.h"

enum {
	MESSAGE_TEXT_SIZE = 512,
	TIMEOUT_DIGIT_COUNT_MAX = 10, /* of the protocol */
	NAME_SIZE_MAX = 64,
	NUMBER_SIZE_MAX = 32,
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

/* "application/json", alone or with charset=utf-8. */
static bool is_json(struct str content_type)
{
	struct str rest = content_type;
	struct str part = { 0 };
	bool first = true;

	while (parse_next(&rest, ';', &part)) {
		struct str wanted = first ? STR("application/json") : STR("charset=utf-8");

		while (part.size > 0 && part.text[0] == ' ')
			part = (struct str){ part.text + 1, part.size - 1 };
		while (part.size > 0 && part.text[part.size - 1] == ' ')
			part.size--;
		if (part.size != wanted.size ||
		    strncasecmp(part.text, wanted.text, wanted.size) != 0)
			return false;
		first = false;
	}
	return !first;
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

	if (!is_json(request_header(request, STR("content-type")))) {
		reply_error(reply, 415, NULL, "the content type must be application/json");
		reply_add_header(reply, "Accept-Post", "application/json");
		return false;
	}
	if (version.text && !str_equal(version, STR("1"))) {
		connect_error(reply, CONNECT_INVALID_ARGUMENT,
			      "Connect-Protocol-Version must be 1");
		return false;
	}
	return take_timeout(request, reply);
}

struct json_value *connect_read_message(struct request *request, struct reply *reply)
{
	autoclean(buf) struct buf body = BUF(REQUEST_MESSAGE_SIZE_MAX);
	char error[JSON_ERROR_SIZE] = "";
	struct json_value *message = NULL;
	int err = request_read_body(request, &body);

	switch (err) {
	case 0:
		break;
	case -EOPNOTSUPP:
		connect_error(reply, CONNECT_UNIMPLEMENTED,
			      "unknown compression: supported encodings are gzip, zstd");
		return NULL;
	case -EBADMSG:
		connect_error(reply, CONNECT_INVALID_ARGUMENT, "the body can't be unpacked");
		return NULL;
	case -E2BIG:
		connect_error(reply, CONNECT_RESOURCE_EXHAUSTED,
			      "the message is larger than %d bytes", REQUEST_MESSAGE_SIZE_MAX);
		reply->limit = LIMIT_UNPACKED_SIZE;
		return NULL;
	case -ETIMEDOUT:
		connect_error(reply, CONNECT_DEADLINE_EXCEEDED, "the body came too slowly");
		return NULL;
	default:
		connect_error(reply, CONNECT_CANCELED, "the body could not be read");
		return NULL;
	}

	err = json_value_parse((struct str){ (const char *)body.bytes, body.size }, &message,
			       error);
	if (err == -ENOMEM) {
		connect_failure(reply, err);
		return NULL;
	}
	if (err) {
		connect_error(reply, CONNECT_INVALID_ARGUMENT, "unmarshal message: %s", error);
		return NULL;
	}
	return message;
}

/* ---- members ----------------------------------------------------------------------------------
 */

struct connect_fields connect_fields(const struct json_value *message)
{
	return (struct connect_fields){ .message = message };
}

bool connect_fields_ok(const struct connect_fields *fields, struct reply *reply)
{
	if (!fields->error[0])
		return true;
	connect_error(reply, CONNECT_INVALID_ARGUMENT, "unmarshal message: %s", fields->error);
	return false;
}

static void remember_wrong(struct connect_fields *fields, const char *what, const char *name)
{
	if (!fields->error[0])
		snprintf(fields->error, sizeof(fields->error), "%s \"%s\"", what, name);
}

/* As protoc derives it: '_' goes, the letter behind it grows, nothing else changes. */
static void lower_camel_case(const char *name, char camel[static NAME_SIZE_MAX])
{
	size_t size = 0;

	for (; *name; name++) {
		bool after_gap = false;

		while (*name == '_') {
			after_gap = true;
			name++;
		}
		if (!*name)
			break;
		assert(size + 1 < NAME_SIZE_MAX);
		camel[size++] = after_gap ? (char)toupper((unsigned char)*name) : *name;
	}
	camel[size] = '\0';
}

static const struct json_value *find(struct connect_fields *fields, const char *name)
{
	char camel[NAME_SIZE_MAX];

	if (fields->error[0])
		return NULL;
	lower_camel_case(name, camel);
	if (strcmp(camel, name) != 0 && json_value_has(fields->message, camel)) {
		if (json_value_has(fields->message, name))
			remember_wrong(fields, "duplicate field", name);
		return json_value_member(fields->message, camel);
	}
	return json_value_member(fields->message, name);
}

struct str connect_text(struct connect_fields *fields, const char *name)
{
	const struct json_value *value = find(fields, name);
	struct str text = { 0 };

	if (value && !json_value_text(value, &text))
		remember_wrong(fields, "no text in field", name);
	return text;
}

/* Digits as a text, or a number without a fraction, which JSON may also write as 1.7e12. */
static bool read_int64(const struct json_value *value, int64_t *ret)
{
	struct str text;
	double number;

	if (json_value_integer(value, ret))
		return true;
	if (json_value_text(value, &text))
		return parse_i64(text, ret) == 0;
	/* 2^63 is the first double that does not fit. */
	if (!json_value_number(value, &number) || number != trunc(number) ||
	    number >= 9223372036854775808.0 || number < -9223372036854775808.0)
		return false;
	*ret = (int64_t)number;
	return true;
}

int64_t connect_int64(struct connect_fields *fields, const char *name)
{
	const struct json_value *value = find(fields, name);
	int64_t number = 0;

	if (value && !read_int64(value, &number)) {
		remember_wrong(fields, "no 64-bit integer in field", name);
		return 0;
	}
	return number;
}

static bool read_double(const struct json_value *value, double *ret)
{
	char digits[NUMBER_SIZE_MAX];
	struct str text;
	char *end;

	if (json_value_number(value, ret))
		return true;
	if (!json_value_text(value, &text) || text.size == 0 || text.size >= sizeof(digits))
		return false;
	/* strtod() also takes hexadecimal numbers, white space and words. */
	for (size_t i = 0; i < text.size; i++)
		if (!strchr("0123456789+-.eE", text.text[i]))
			return false;
	memcpy(digits, text.text, text.size);
	digits[text.size] = '\0';
	*ret = strtod(digits, &end);
	return *end == '\0' && isfinite(*ret);
}

double connect_double(struct connect_fields *fields, const char *name)
{
	const struct json_value *value = find(fields, name);
	double number = 0;

	if (value && !read_double(value, &number)) {
		remember_wrong(fields, "no number in field", name);
		return 0;
	}
	return number;
}

int64_t connect_enum(struct connect_fields *fields, const char *name, const char *const *names,
		     size_t name_count)
{
	const struct json_value *value = find(fields, name);
	struct str text;
	int64_t number = 0;

	if (!value)
		return 0;
	if (json_value_text(value, &text)) {
		for (size_t i = 0; i < name_count; i++)
			if (str_equal(text, str_from(names[i])))
				return (int64_t)i;
		return 0;
	}
	if (!read_int64(value, &number) || number < INT32_MIN || number > INT32_MAX) {
		remember_wrong(fields, "no enum in field", name);
		return 0;
	}
	return number;
}

const struct json_value *connect_message(struct connect_fields *fields, const char *name)
{
	const struct json_value *value = find(fields, name);

	if (value && !json_value_is_object(value)) {
		remember_wrong(fields, "no message in field", name);
		return NULL;
	}
	return value;
}

size_t connect_count(struct connect_fields *fields, const char *name, size_t count_max)
{
	const struct json_value *value = find(fields, name);

	if (!value)
		return 0;
	if (!json_value_is_array(value)) {
		remember_wrong(fields, "no list in field", name);
		return 0;
	}
	if (json_value_count(value) > count_max) {
		remember_wrong(fields, "too many items in field", name);
		return 0;
	}
	return json_value_count(value);
}

static const struct json_value *item_at(struct connect_fields *fields, const char *name,
					size_t index)
{
	const struct json_value *value = find(fields, name);

	assert(!value || index < json_value_count(value));
	return value ? json_value_item(value, index) : NULL;
}

struct str connect_text_at(struct connect_fields *fields, const char *name, size_t index)
{
	const struct json_value *item = item_at(fields, name, index);
	struct str text = { 0 };

	if (item && !json_value_text(item, &text))
		remember_wrong(fields, "no text in field", name);
	return text;
}

const struct json_value *connect_message_at(struct connect_fields *fields, const char *name,
					    size_t index)
{
	const struct json_value *item = item_at(fields, name, index);

	if (item && !json_value_is_object(item)) {
		remember_wrong(fields, "no message in field", name);
		return NULL;
	}
	return item;
}
