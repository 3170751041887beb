/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>

#include "web/request.h"

/*
 * gRPC's unary calls, and gRPC-Web's, for the handlers that web/connect.h serves: the question is
 * taken out of its frame, and the answer put into one. Errors are those of Connect, whose codes
 * are the same.
 *
 * https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md and PROTOCOL-WEB.md
 */
enum grpc_kind {
	GRPC_NONE = 0,	   /* another protocol */
	GRPC_PLAIN = 1,	   /* application/grpc; the status in trailers, so by HTTP/2 only */
	GRPC_WEB = 2,	   /* application/grpc-web; the status in a frame behind the answer */
	GRPC_WEB_TEXT = 3, /* application/grpc-web-text; the same in base64 */
};

/* By the content type. */
enum grpc_kind grpc_kind_of(const struct request *request);

/*
 * Checks what does not need the body: HTTP's version and grpc-timeout, which shortens the request's
 * deadline. False when the reply tells what is wrong.
 */
bool grpc_check_headers(struct request *request, struct reply *reply);

/*
 * Takes the one message out of what is held, and says by Content-Encoding how it is packed. False
 * when the reply tells what is wrong.
 */
bool grpc_take_question(struct request *request, struct held_body *held, struct reply *reply);

/*
 * The same for a message that is read as it comes: takes the frame's head from the body, after
 * which the request's body is the message alone. Reading it fails with -EPROTO when it is not whole
 * or not alone. Not for gRPC-Web in base64. False when the reply tells what is wrong.
 */
struct grpc_message {
	int64_t (*read_body)(struct request *request, void *bytes, size_t size);
	void *context;
	size_t left;
};
bool grpc_begin_message(struct request *request, struct grpc_message *message, size_t size_max,
			struct reply *reply);

/* Makes of the reply, be it an answer or an error, one as this kind of client reads it. */
void grpc_finish(const struct request *request, struct reply *reply);

/* For tests: undoes base64, also of several texts one behind the other. -EBADMSG. */
int grpc_decode_text(struct buf *bytes);
