/* SPDX-License-Identifier: Apache-2.0 */
/*
 * push.v1.PusherService/Push. The request is walked over as it lies: a series' labels, then its
 * profiles. What is good of it is stored, whatever else is wrong; the answer names what is not.
 */
#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

#include "base/clock.h"
#include "base/limits.h"
#include "proto/push.pb-c.h"
#include "web/connect.h"
#include "web/grpc.h"
#include "web/message_json.h"
#include "web/push.h"
#include "web/reply.h"
#include "web/server.h"
#include "web/spool.h"
#include "web/wire.h"

/* Fields, by their numbers in proto/push.proto. */
enum {
	REQUEST_SERIES = 1,
	SERIES_LABEL = 1,
	SERIES_SAMPLE = 2,
	LABEL_NAME = 1,
	LABEL_VALUE = 2,
	SAMPLE_PROFILE = 1,
};

enum {
	TROUBLE_SIZE = 400, /* what fits into an answer */
	PLACE_SIZE = 160,
	SERVICE_SIZE_MAX = 60, /* of its name there */
};

struct push {
	struct push_request request;
	uint64_t series_number, profile_number; /* from 1, of those that are read */
	uint64_t profile_count;			/* of the whole request */
	int err;				/* of the store: nothing more is tried */
	char trouble[TROUBLE_SIZE];		/* what is wrong, for the answer */
	size_t trouble_size;
	uint64_t trouble_count;
};

/* ---- what is wrong ----------------------------------------------------------------------------
 */

static void add_trouble(struct push *push, const char *place, const char *reason)
{
	size_t room = sizeof(push->trouble) - push->trouble_size;
	int size;

	push->trouble_count++;
	size = snprintf(push->trouble + push->trouble_size, room, "%s%s: %s",
			push->trouble_count > 1 ? "; " : "", place, reason);
	if (size >= 0 && (size_t)size < room)
		push->trouble_size += (size_t)size;
	else
		push->trouble[push->trouble_size] = '\0';
}

/* ---- the request ------------------------------------------------------------------------------
 */

/* Whether all of it is what it should be, and how much there is, before anything is taken. */
static bool check_series(struct str series, uint64_t *profiles)
{
	struct bytes bytes = bytes_from(series.text, series.size);
	struct wire_field field;
	int more;

	while ((more = wire_next(&bytes, &field)) > 0) {
		struct bytes inner;
		struct wire_field part;

		if (field.type != WIRE_SIZED)
			continue;
		*profiles += field.number == SERIES_SAMPLE;
		inner = bytes_from(field.bytes.text, field.bytes.size);
		while (field.number <= SERIES_SAMPLE && (more = wire_next(&inner, &part)) > 0)
			;
		if (more < 0)
			return false;
	}
	return more == 0;
}

static bool check_request(struct str request, uint64_t *ret_profiles)
{
	struct bytes bytes = bytes_from(request.text, request.size);
	struct wire_field field;
	int more;

	*ret_profiles = 0;
	while ((more = wire_next(&bytes, &field)) > 0)
		if (field.number == REQUEST_SERIES &&
		    (field.type != WIRE_SIZED || !check_series(field.bytes, ret_profiles)))
			return false;
	return more == 0;
}

/* The last of several, as protobuf has it. */
static struct str sized_field(struct str message, uint64_t number)
{
	struct bytes bytes = bytes_from(message.text, message.size);
	struct wire_field field;
	struct str found = { 0 };

	while (wire_next(&bytes, &field) > 0)
		if (field.number == number && field.type == WIRE_SIZED)
			found = field.bytes;
	return found;
}

static int read_labels(struct str series, struct push_labels *labels,
		       char reason[static PUSH_ERROR_SIZE])
{
	struct bytes bytes = bytes_from(series.text, series.size);
	struct wire_field field;
	int err = 0;

	static_assert((int)PUSH_LABELS_ERROR_SIZE <= (int)PUSH_ERROR_SIZE, "one fits");
	while (!err && wire_next(&bytes, &field) > 0)
		if (field.number == SERIES_LABEL && field.type == WIRE_SIZED)
			err = push_labels_add(labels, sized_field(field.bytes, LABEL_NAME),
					      sized_field(field.bytes, LABEL_VALUE), reason);
	if (err)
		return err;
	push_labels_finish(labels);
	if (labels->name.size == 0) {
		snprintf(reason, PUSH_ERROR_SIZE, "it has no label __name__");
		return -EINVAL;
	}
	return 0;
}

/* "series 2 (shop), profile 1", for who has to find it. */
static void refuse_part(struct push *push, const struct push_labels *labels, const char *reason)
{
	struct str service = { 0 };
	char place[PLACE_SIZE], profile[32] = "";

	for (size_t i = 0; i < labels->count; i++)
		if (str_equal(labels->labels[i].name, STR("service_name")))
			service = labels->labels[i].value;
	if (push->profile_number > 0)
		snprintf(profile, sizeof(profile), ", profile %" PRIu64, push->profile_number);
	if (service.size > SERVICE_SIZE_MAX)
		service.size = SERVICE_SIZE_MAX;
	snprintf(place, sizeof(place), "series %" PRIu64 " (%.*s)%s", push->series_number,
		 STR_PRINT(service), profile);
	add_trouble(push, place, reason);
}

static void push_sample(struct push *push, const struct push_labels *labels, struct str sample)
{
	struct pprof_origin origin = { .labels = labels->labels,
				       .label_count = labels->count,
				       .name = labels->name,
				       .splits_series = true,
				       .time_unix_ms = clock_unix_ms() };
	char reason[PUSH_ERROR_SIZE];
	int err = push_pprof(&push->request, sized_field(sample, SAMPLE_PROFILE), &origin, reason);

	if (err == -EBADMSG || err == -E2BIG)
		refuse_part(push, labels, reason);
	else if (err)
		push->err = err;
}

static void push_series(struct push *push, struct str series)
{
	autoclean(push_labels) struct push_labels labels;
	struct bytes bytes = bytes_from(series.text, series.size);
	struct wire_field field;
	char reason[PUSH_ERROR_SIZE] = "";
	int err;

	push_labels_init(&labels);
	push->profile_number = 0;
	err = read_labels(series, &labels, reason);
	if (err == -EINVAL) {
		push->request.server->counters.push_refused++;
		refuse_part(push, &labels, reason);
		return;
	}
	if (err) {
		push->err = err;
		return;
	}
	push_count_labels(push->request.server, &labels);
	while (!push->err && wire_next(&bytes, &field) > 0) {
		if (field.number != SERIES_SAMPLE || field.type != WIRE_SIZED)
			continue;
		push->profile_number++;
		push_sample(push, &labels, field.bytes);
	}
}

static void push_all(struct push *push, struct str request)
{
	struct bytes bytes = bytes_from(request.text, request.size);
	struct wire_field field;

	while (!push->err && wire_next(&bytes, &field) > 0) {
		if (field.number != REQUEST_SERIES)
			continue;
		push->series_number++;
		push_series(push, field.bytes);
	}
}

/* ---- the call ---------------------------------------------------------------------------------
 */

/* As it would be as protobuf, which is walked over then. */
static bool read_json(struct str text, struct buf *request, struct reply *reply)
{
	autoclean(json_value) struct json_value *json = NULL;
	autoclean(arena) struct arena arena = ARENA(MESSAGE_MEMORY_MAX);
	const ProtobufCMessage *message = NULL;
	char error[MESSAGE_ERROR_SIZE] = "";
	int err = text.size > PUSH_JSON_SIZE_MAX ? -E2BIG : 0;

	static_assert(PUSH_JSON_SIZE_MAX == 8 << 20, "the sentence says so");
	if (err)
		snprintf(error, sizeof(error),
			 "JSON takes no more than 8 MiB; send application/proto");
	else
		err = json_value_parse(text.size > 0 ? text : STR("{}"), &json, error);
	if (!err)
		err = message_from_json(&pyroscope__push_request__descriptor, json, &arena,
					&message, error);
	if (!err) {
		message_pack(message, request);
		err = request->error;
	}
	if (err == -E2BIG || err == -EFBIG) {
		connect_error(reply, CONNECT_RESOURCE_EXHAUSTED, "unmarshal message: %s", error);
		reply->limit = LIMIT_MESSAGE;
	} else if (err == -EBADMSG) {
		connect_error(reply, CONNECT_INVALID_ARGUMENT, "unmarshal message: %s", error);
	} else if (err) {
		connect_failure(reply, err);
	}
	return !err;
}

/* Also what came before the store failed is to be on disk. */
static void answer(struct push *push, struct connect_call *call)
{
	Pyroscope__PushResponse response = PYROSCOPE__PUSH_RESPONSE__INIT;

	if (push->request.has_stored) {
		int err = push_commit(&push->request);

		push->err = push->err ? push->err : err;
	}
	if (push->err)
		push_refuse_store(call->reply, push->err);
	else if (push->trouble_count > 0)
		connect_error(call->reply, CONNECT_INVALID_ARGUMENT, "%s%s", push->trouble,
			      push->request.has_stored ? "; the rest is stored" : "");
	else
		connect_answer(call, &response.base);
}

/* False when the reply tells what is wrong with all of it. */
static bool take_request(struct connect_call *call, struct push *push, struct str body)
{
	autoclean(buf) struct buf request = BUF(PUSH_JSON_SIZE_MAX);

	if (call->codec == CONNECT_CODEC_JSON) {
		if (!read_json(body, &request, call->reply))
			return false;
		body = (struct str){ (const char *)request.bytes, request.size };
	}
	if (!check_request(body, &push->profile_count)) {
		connect_error(call->reply, CONNECT_INVALID_ARGUMENT,
			      "unmarshal message: this is no push.v1.PushRequest, or it is cut "
			      "short");
	} else if (push->profile_count == 0) {
		connect_error(call->reply, CONNECT_INVALID_ARGUMENT, "no profiles received");
	} else if (push->profile_count > PUSH_PROFILE_COUNT_MAX) {
		connect_error(call->reply, CONNECT_RESOURCE_EXHAUSTED,
			      "a push has no more than %d profiles", PUSH_PROFILE_COUNT_MAX);
		call->reply->limit = LIMIT_MESSAGE;
	} else {
		push_identify(&push->request, body);
		push_all(push, body);
		return true;
	}
	return false;
}

void push_profiles(struct server *server, struct request *request, struct reply *reply)
{
	struct held_body held = { .bytes = BUF(PUSH_GRPC_SIZE_MAX) };
	autoclean(connect_call) struct connect_call call = {
		.request = request,
		.reply = reply,
		.codec = connect_codec_of(request),
		.arena = ARENA(MESSAGE_MEMORY_MAX),
	};
	bool is_grpc = grpc_kind_of(request) != GRPC_NONE;
	int err = is_grpc ? request_hold_body(request, &held) : 0;
	struct push push = { 0 };
	struct str body;

	push_init(&push.request, server, request);
	if (err)
		push_refuse_body(reply, err);
	else if ((!is_grpc || grpc_take_question(request, &held, reply)) &&
		 push_receive(&push.request, reply) && push_begin(&push.request, &body, reply)) {
		bool is_taken = take_request(&call, &push, body);

		push_leave(&push.request);
		if (is_taken)
			answer(&push, &call);
	}
	push_end(&push.request, reply);
	buf_done(&held.bytes);
}
