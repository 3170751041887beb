/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Which limit of base/limits.h a request ran into. Whoever refuses says so in a sentence that names
 * the limit, and in reply->limit; it is counted where the reply goes out, and /metrics tells.
 */
enum limit {
	LIMIT_NONE = 0,
	LIMIT_HEAD_SIZE,	/* REQUEST_HEAD_SIZE_MAX */
	LIMIT_HEADER_COUNT,	/* REQUEST_HEADER_COUNT_MAX */
	LIMIT_BODY_SIZE,	/* REQUEST_QUESTION_SIZE_MAX, on the wire */
	LIMIT_UNPACKED_SIZE,	/* REQUEST_MESSAGE_SIZE_MAX */
	LIMIT_MESSAGE,		/* MESSAGE_DEPTH_MAX, MESSAGE_FIELD_COUNT_MAX, MESSAGE_MEMORY_MAX */
	LIMIT_BODY_TIME,	/* REQUEST_BODY_SECONDS_MAX */
	LIMIT_BODY_RATE,	/* REQUEST_BODY_RATE_MIN */
	LIMIT_PUSHES,		/* PUSH_RUNNING_MAX and PUSH_WAITING_MAX */
	LIMIT_QUESTIONS,	/* QUESTION_RUNNING_MAX and QUESTION_WAITING_MAX */
	LIMIT_ANSWER_TIME,	/* ANSWER_SECONDS_MAX, or less when the request says so */
	LIMIT_ANSWER_SIZE,	/* REPLY_SIZE_MAX */
	LIMIT_UPLOAD_SIZE,	/* UPLOAD_SIZE_MAX of symbols/upload_store.h */
	LIMIT_UPLOADS_SIZE,	/* --upload-size, or the disk */
	LIMIT_UPLOADS_RUNNING,	/* UPLOAD_RUNNING_MAX */
	LIMIT_CONNECTIONS,	/* CONNECTION_COUNT_MAX, or what descriptors allow */
	LIMIT_PEER_CONNECTIONS, /* CONNECTION_PER_PEER_MAX */
	LIMIT_REQUEST_RATE,	/* the setting requests-per-second */
	LIMIT_HEAD_TIME,	/* REQUEST_HEAD_SECONDS_MAX */
	LIMIT_IDLE_TIME,	/* CONNECTION_IDLE_SECONDS_MAX */
	LIMIT_WRITE_TIME,	/* ANSWER_STALL_SECONDS_MAX */
	LIMIT_UNREAD_ANSWERS,	/* ANSWERS_UNREAD_SIZE_MAX */
	LIMIT_HTTP2_FLOOD,	/* HTTP2_EMPTY_FRAMES_PER_SECOND_MAX and its like */
	LIMIT_COUNT,
};

/* As /metrics names it: "head_size". */
const char *limit_name(enum limit limit);
