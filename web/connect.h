/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/str.h"
#include "web/json.h"
#include "web/request.h"

/*
 * The Connect protocol's unary calls with the JSON codec, and proto3's mapping of messages to JSON,
 * as generous as its clients need: members by their proto name or its lowerCamelCase, mixed; 64-bit
 * integers as texts or numbers; null means unset; unknown members are skipped.
 *
 * https://connectrpc.com/docs/protocol, https://protobuf.dev/programming-guides/json/
 */
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

/* Reads the message. NULL when the reply tells what is wrong. */
struct json_value *connect_read_message(struct request *request, struct reply *reply);

/*
 * Takes a message apart. Members are asked for by their proto names; the first that has the wrong
 * kind, or stands there twice, is remembered, and all later answers are defaults, so that a handler
 * asks connect_fields_ok() once, behind the last.
 */
enum { CONNECT_FIELD_ERROR_SIZE = 160 };

struct connect_fields {
	const struct json_value *message;
	char error[CONNECT_FIELD_ERROR_SIZE]; /* "" for none */
};

struct connect_fields connect_fields(const struct json_value *message);

struct str connect_text(struct connect_fields *fields, const char *name);
int64_t connect_int64(struct connect_fields *fields, const char *name);
double connect_double(struct connect_fields *fields, const char *name);

/* By number or by one of the names, which stand at their numbers; 0 for a name that is not known.
 */
int64_t connect_enum(struct connect_fields *fields, const char *name, const char *const *names,
		     size_t name_count);

/* A message in the message; NULL when it is not set. */
const struct json_value *connect_message(struct connect_fields *fields, const char *name);

/* How many items a repeated member has, and one of them. */
size_t connect_count(struct connect_fields *fields, const char *name, size_t count_max);
struct str connect_text_at(struct connect_fields *fields, const char *name, size_t index);
const struct json_value *connect_message_at(struct connect_fields *fields, const char *name,
					    size_t index);

/* False when a member was wrong; the reply says which. */
bool connect_fields_ok(const struct connect_fields *fields, struct reply *reply);
