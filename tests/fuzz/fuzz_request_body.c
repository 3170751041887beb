/* SPDX-License-Identifier: Apache-2.0 */
/* The body of a Connect call: its compression, its JSON, and the values of its message. */
#include <assert.h>
#include <stdint.h>
#include <string.h>

#include "base/cleanup.h"
#include "web/connect.h"
#include "web/reply.h"
#include "web/request.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

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

static void read_fields(const struct json_value *message, struct reply *reply)
{
	static const char *const names[] = { "ZERO", "ONE" };
	struct connect_fields fields = connect_fields(message);

	(void)connect_text(&fields, "profile_typeID");
	(void)connect_text(&fields, "label_selector");
	(void)connect_int64(&fields, "start");
	(void)connect_int64(&fields, "end");
	(void)connect_double(&fields, "step");
	(void)connect_enum(&fields, "format", names, 2);

	size_t count = connect_count(&fields, "group_by", 16);

	assert(count <= 16);
	for (size_t i = 0; i < count; i++)
		(void)connect_text_at(&fields, "group_by", i);

	struct connect_fields selector =
		connect_fields(connect_message(&fields, "stack_trace_selector"));

	count = connect_count(&selector, "call_site", 16);
	for (size_t i = 0; i < count; i++) {
		struct connect_fields site =
			connect_fields(connect_message_at(&selector, "call_site", i));

		(void)connect_text(&site, "name");
		(void)connect_fields_ok(&site, reply);
	}
	(void)connect_fields_ok(&selector, reply);
	(void)connect_fields_ok(&fields, reply);
}

/* The first byte chooses the compression. */
int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	static const char *const encodings[] = { "identity", "gzip", "zstd", "br" };

	if (size == 0)
		return 0;

	struct input input = { bytes + 1, size - 1 };
	struct request request = {
		.headers = { { STR("content-encoding"), str_from(encodings[bytes[0] % 4]) } },
		.header_count = 1,
		.read_body = read_input,
		.body_context = &input,
	};
	struct reply reply;

	reply_init(&reply);

	autoclean(json_value) struct json_value *message = connect_read_message(&request, &reply);

	assert(message || reply.status >= 400);
	if (message)
		read_fields(message, &reply);
	/* Whatever was in the request, an error is one JSON object. */
	if (reply.status >= 400)
		assert(reply.body.size > 2 && reply.body.bytes[reply.body.size - 1] == '}');
	reply_done(&reply);
	return 0;
}
