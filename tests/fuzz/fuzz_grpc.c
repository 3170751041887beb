/* SPDX-License-Identifier: Apache-2.0 */
/* A body of gRPC, gRPC-Web and gRPC-Web in base64: the first byte says which; and a timeout. */
#include <assert.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "web/grpc.h"
#include "web/reply.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

static void try_body(struct request *request, struct str body)
{
	struct held_body held = { .bytes = BUF(REQUEST_QUESTION_SIZE_MAX) };
	struct reply reply;

	reply_init(&reply);
	buf_add_str(&held.bytes, body);
	if (!held.bytes.error && grpc_take_question(request, &held, &reply)) {
		assert(reply.status == 200 && held.next == 5 && held.bytes.size >= 5);
		buf_add_str(&reply.body, (struct str){ (char *)held.bytes.bytes, held.bytes.size });
	}
	grpc_finish(request, &reply);
	assert(reply.status == 200 && !reply.body.error);
	assert(reply.header_count + reply.trailer_count <= 5);
	reply_done(&reply);
	buf_done(&held.bytes);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	static const struct str types[] = { { "application/grpc", 16 },
					    { "application/grpc-web+proto", 26 },
					    { "application/grpc-web-text", 25 } };
	struct str body = { (const char *)bytes, size };

	if (size == 0)
		return 0;

	struct request request = {
		.version = HTTP_2,
		.headers = { { STR("content-type"), types[bytes[0] % 3] },
			     { STR("grpc-encoding"), STR("gzip") },
			     { STR("grpc-timeout"), body } },
		.header_count = 3,
	};
	struct reply reply;

	reply_init(&reply);
	(void)grpc_check_headers(&request, &reply);
	reply_done(&reply);
	try_body(&request, (struct str){ body.text + 1, body.size - 1 });
	return 0;
}
