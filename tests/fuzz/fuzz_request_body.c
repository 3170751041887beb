/* SPDX-License-Identifier: Apache-2.0 */
/* The body of a Connect call: its compression, its encoding, and its message written again. */
#include <assert.h>
#include <stdint.h>
#include <string.h>

#include "base/cleanup.h"
#include "proto/pyroscope.pb-c.h"
#include "web/connect.h"
#include "web/reply.h"
#include "web/request.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

enum { PROTO_BIT = 4, MORE_CODINGS_BIT = 8 };

struct input {
	const uint8_t *next;
	size_t left;
};

static int64_t read_input(struct request *request, void *bytes, size_t size)
{
	struct input *input = request->body_context;

	if (size > input->left)
		size = input->left;
	if (size)
		memcpy(bytes, input->next, size);
	input->next += size;
	input->left -= size;
	return (int64_t)size;
}

/* What was read can be written, in either encoding. */
static void answer(struct connect_call *call, const ProtobufCMessage *message)
{
	connect_answer(call, message);
	assert(call->reply->body.error == 0 && !call->arena.error);
	buf_clear(&call->reply->body);
	call->codec = call->codec == CONNECT_CODEC_JSON ? CONNECT_CODEC_PROTO : CONNECT_CODEC_JSON;
	connect_answer(call, message);
	assert(call->reply->body.error == 0);
}

/* The first byte chooses the compression and the encoding. */
int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	static const char *const encodings[] = { "identity", "gzip", "zstd",	"br",
						 "snappy",   "lz4",  "deflate", "x-snappy-framed" };

	if (size == 0)
		return 0;

	unsigned coding = bytes[0] % 4 + (bytes[0] & MORE_CODINGS_BIT ? 4 : 0);

	struct input input = { bytes + 1, size - 1 };
	struct request request = {
		.headers = { { STR("content-encoding"), str_from(encodings[coding]) },
			     { STR("content-type"), bytes[0] & PROTO_BIT
							    ? STR("application/proto")
							    : STR("application/json") } },
		.header_count = 2,
		.read_body = read_input,
		.body_context = &input,
	};
	struct reply reply;

	reply_init(&reply);

	autoclean(connect_call) struct connect_call call;
	const void *message = connect_begin(
		&call, &request, &reply, &pyroscope__select_merge_stacktraces_request__descriptor);

	assert(message ? reply.status == 200 : reply.status >= 400);
	if (message)
		answer(&call, message);
	/* Whatever was in the request, an error is one JSON object. */
	if (reply.status >= 400)
		assert(reply.body.size > 2 && reply.body.bytes[reply.body.size - 1] == '}');
	reply_done(&reply);
	return 0;
}
