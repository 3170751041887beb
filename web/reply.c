/* SPDX-License-Identifier: Apache-2.0 */
#include "web/reply.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "store/store.h"
#include "web/json_writer.h"

enum { ERROR_TEXT_SIZE = 512, FILE_NAME_SIZE = 128 };

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
	if (reply->is_file)
		close(reply->file_fd);
	reply->is_file = false;
}

void reply_send_file(struct reply *reply, int fd)
{
	assert(!reply->is_file && fd >= 0 && reply->body.size == 0);
	reply->is_file = true;
	reply->file_fd = fd;
	reply->is_packed = true;
	reply->content_type = "application/octet-stream";
}

void reply_add_header(struct reply *reply, const char *name, const char *value)
{
	assert(reply->header_count < sizeof(reply->headers) / sizeof(reply->headers[0]));

	assert(!strpbrk(name, "\r\n:") && !strpbrk(value, "\r\n"));
	reply->headers[reply->header_count++] = (struct header){ str_from(name), str_from(value) };
}

void reply_add_figures(struct reply *reply, const struct store_asker *asker, uint64_t took_ns)
{
	assert(reply->figures[0] == '\0');
	snprintf(reply->figures, sizeof(reply->figures),
		 "spans=%" PRIu64 "; pieces=%" PRIu64 "; bytes=%" PRIu64 "; ms=%" PRIu64
		 "; rolled=%" PRIu64,
		 asker->spans, asker->pieces, asker->bytes, took_ns / (uint64_t)CLOCK_NS_PER_MS,
		 asker->rolled);
	reply_add_header(reply, "X-Hearth-Query", reply->figures);
}

void reply_offer_file(struct reply *reply, const char *format, ...)
{
	char name[FILE_NAME_SIZE];
	va_list args;

	va_start(args, format);
	vsnprintf(name, sizeof(name), format, args);
	va_end(args);

	assert(reply->disposition[0] == '\0' && !strpbrk(name, "\r\n\"\\"));
	snprintf(reply->disposition, sizeof(reply->disposition), "attachment; filename=\"%s\"",
		 name);
	reply_add_header(reply, "Content-Disposition", reply->disposition);
}

void reply_error(struct reply *reply, int status, const char *parameter, const char *format, ...)
{
	char text[ERROR_TEXT_SIZE];
	va_list args;

	assert(status >= 400 && status < 600 && !reply->is_file);
	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);

	reply->status = status;
	reply->rpc_error.code = 0;
	snprintf(reply->rpc_error.message, sizeof(reply->rpc_error.message), "%s", text);
	reply->content_type = "application/json";
	reply->content_encoding = NULL;
	reply->may_be_cached = false;
	reply->never_changes = false;
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

	static_assert(ANSWER_SECONDS_MAX == 30 && REPLY_SIZE_MAX == 64 << 20 &&
			      QUESTION_RUNNING_MAX == 4 && QUESTION_WAITING_MAX == 8,
		      "the sentences say so");

	switch (err) {
	case -ETIMEDOUT:
		return (struct failure){ 504, "deadline_exceeded",
					 "the answer took too long, 30 s or what the request "
					 "allows; ask for a shorter time",
					 LIMIT_ANSWER_TIME };
	case -ECANCELED:
		return (struct failure){ 499, "canceled", "whoever asked has gone away",
					 LIMIT_NONE };
	case -E2BIG:
	case -EFBIG:
		return (struct failure){ 413, "resource_exhausted",
					 "the answer is larger than 64 MiB; ask for less",
					 LIMIT_ANSWER_SIZE };
	case -ENOMEM:
		return (struct failure){ 503, "unavailable", "out of memory; try again later",
					 LIMIT_NONE };
	case -EBUSY:
	case -EAGAIN:
		return (struct failure){ 503, "unavailable",
					 "4 questions run and 8 wait, which is the most at once; "
					 "try again in a second",
					 LIMIT_QUESTIONS };
	default:
		return (struct failure){ 500, "internal", "the store could not answer",
					 LIMIT_NONE };
	}
}

void reply_failure(struct reply *reply, int err)
{
	struct failure failure = failure_from_errno(err);

	reply_error(reply, failure.status, NULL, "%s", failure.sentence);
	reply->limit = failure.limit;
}

void reply_load_file(struct reply *reply)
{
	int fd = reply->file_fd;
	struct stat status;
	char *room = NULL;
	int err = 0;

	assert(reply->is_file && reply->body.size == 0);
	reply->is_file = false;
	if (fstat(fd, &status) == 0 && status.st_size > 0)
		room = buf_grow(&reply->body, (size_t)status.st_size);
	if (!room)
		err = reply->body.error ? reply->body.error : -EIO;
	for (off_t at = 0; !err && at < status.st_size;) {
		ssize_t got = pread(fd, room + at, (size_t)(status.st_size - at), at);

		if (got > 0)
			at += got;
		else if (got == 0 || errno != EINTR)
			err = -EIO;
	}
	close(fd);
	if (err)
		reply_failure(reply, err);
}
