/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "web/arena.h"
#include "web/message.h"
#include "web/request.h"

/* The Connect protocol's unary calls, in both codecs. https://connectrpc.com/docs/protocol */
enum connect_code {
	CONNECT_CANCELED = 1,
	CONNECT_UNKNOWN,
	CONNECT_INVALID_ARGUMENT,
	CONNECT_DEADLINE_EXCEEDED,
	CONNECT_NOT_FOUND,
	CONNECT_ALREADY_EXISTS,
	CONNECT_PERMISSION_DENIED,
	CONNECT_RESOURCE_EXHAUSTED,
	CONNECT_FAILED_PRECONDITION,
	CONNECT_ABORTED,
	CONNECT_OUT_OF_RANGE,
	CONNECT_UNIMPLEMENTED,
	CONNECT_INTERNAL,
	CONNECT_UNAVAILABLE,
	CONNECT_DATA_LOSS,
	CONNECT_UNAUTHENTICATED,
	CONNECT_CODE_COUNT,
};

const char *connect_code_name(enum connect_code code);
int connect_code_status(enum connect_code code);

/* {"code":"invalid_argument","message":"name is required"} with the code's status. */
void connect_error(struct reply *reply, enum connect_code code, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/* What a failed question to the store means to a Connect client. */
void connect_failure(struct reply *reply, int err);

/*
 * Checks what does not need the body: protocol version, content type, timeout, which shortens the
 * request's deadline. False when the reply tells what is wrong.
 */
bool connect_check_headers(struct request *request, struct reply *reply);

enum connect_codec {
	CONNECT_CODEC_NONE = 0,
	CONNECT_CODEC_PROTO = 1, /* application/proto */
	CONNECT_CODEC_JSON = 2,	 /* application/json */
};

/* By the content type. */
enum connect_codec connect_codec_of(const struct request *request);

/*
 * One call: a handler reads the question, which is a message of proto/, and gives an answer, which
 * is another. How they are encoded is nobody else's business. Both live in the arena.
 */
struct connect_call {
	const struct request *request;
	struct reply *reply;
	enum connect_codec codec; /* of the question, and so of the answer */
	struct arena arena;
};

/*
 * Reads the question of this kind. NULL when the reply tells what is wrong; connect_done() in
 * either case.
 */
const void *connect_begin(struct connect_call *call, struct request *request, struct reply *reply,
			  const ProtobufCMessageDescriptor *question);

/* Writes the answer; or, when the arena had no room for all of it, that. */
void connect_answer(struct connect_call *call, const ProtobufCMessage *answer);

void connect_done(struct connect_call *call);

static inline void connect_call_cleanup(struct connect_call *call)
{
	connect_done(call);
}
