/* SPDX-License-Identifier: Apache-2.0 */
#include "web/limit.h"

#include <assert.h>
#include <stddef.h>

const char *limit_name(enum limit limit)
{
	static const char *const names[LIMIT_COUNT] = {
		[LIMIT_NONE] = "none",
		[LIMIT_HEAD_SIZE] = "head_size",
		[LIMIT_HEADER_COUNT] = "header_count",
		[LIMIT_BODY_SIZE] = "body_size",
		[LIMIT_UNPACKED_SIZE] = "unpacked_size",
		[LIMIT_MESSAGE] = "message",
		[LIMIT_BODY_TIME] = "body_time",
		[LIMIT_BODY_RATE] = "body_rate",
		[LIMIT_PUSHES] = "pushes",
		[LIMIT_QUESTIONS] = "questions",
		[LIMIT_ANSWER_TIME] = "answer_time",
		[LIMIT_ANSWER_SIZE] = "answer_size",
		[LIMIT_UPLOAD_SIZE] = "upload_size",
		[LIMIT_UPLOADS_SIZE] = "uploads_size",
		[LIMIT_UPLOADS_RUNNING] = "uploads_running",
		[LIMIT_CONNECTIONS] = "connections",
		[LIMIT_PEER_CONNECTIONS] = "peer_connections",
		[LIMIT_REQUEST_RATE] = "request_rate",
		[LIMIT_HEAD_TIME] = "head_time",
		[LIMIT_IDLE_TIME] = "idle_time",
		[LIMIT_WRITE_TIME] = "write_time",
		[LIMIT_HTTP2_FLOOD] = "http2_flood",
		[LIMIT_UNREAD_ANSWERS] = "unread_answers",
	};

	assert(limit < LIMIT_COUNT && names[limit] != NULL);
	return names[limit];
}
