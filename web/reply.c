/* SPDX-License-Identifier: Apache-2.0 */
#include "web/reply.h"

#include <assert.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>

#include "web/json_writer.h"

enum { ERROR_TEXT_SIZE = 512 };

void reply_init(struct reply *reply)
{
	*reply = (struct reply){
		.status = 200,
		.content_type = "application/json",
		.body = BUF(REPLY_SIZE_MAX),
	};
}

void reply_done(struct reply *reply)
{
	buf_done(&reply->body);
}

void reply_add_header(struct reply *reply, const char *name, const char *value)
{
	assert(reply->header_count < sizeof(reply->headers) / sizeof(reply->headers[0]));

	assert(!strpbrk(name, "\r\n:") && !strpbrk(value, "\r\n"));
	reply->headers[reply->header_count++] = (struct header){ str_from(name), str_from(value) };
}

void reply_error(struct reply *reply, int status, const char *parameter, const char *format, ...)
{
	char text[ERROR_TEXT_SIZE];
	va_list args;

	assert(status >= 400 && status < 600);
	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);

	reply->status = status;
	reply->content_type = "application/json";
	reply->content_encoding = NULL;
	reply->may_be_cached = false;
	reply->etag[0] = '\0';
	buf_clear(&reply->body);

	struct json_writer json = JSON_WRITER(&reply->body);

	json_begin_object(&json);
	json_key(&json, "error");
	json_text(&json, str_from(text));
	if (parameter) {
		json_key(&json, "parameter");
		json_text(&json, str_from(parameter));
	}
	json_end_object(&json);
}

struct failure failure_from_errno(int err)
{
	assert(err < 0);

	switch (err) {
	case -ETIMEDOUT:
		return (struct failure){ 504, "deadline_exceeded",
					 "the answer took too long; ask for a shorter time" };
	case -E2BIG:
	case -EFBIG:
		return (struct failure){ 413, "resource_exhausted",
					 "the answer is too large; ask for less" };
	case -ENOMEM:
		return (struct failure){ 503, "unavailable", "out of memory; try again later" };
	case -EBUSY:
	case -EAGAIN:
		return (struct failure){ 503, "unavailable",
					 "too many questions at once; try again in a second" };
	default:
		return (struct failure){ 500, "internal", "the store could not answer" };
	}
}

void reply_failure(struct reply *reply, int err)
{
	struct failure failure = failure_from_errno(err);

	reply_error(reply, failure.status, NULL, "%s", failure.sentence);
}
