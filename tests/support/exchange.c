/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/exchange.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

static int64_t read_body(struct request *request, void *bytes, size_t size)
{
	struct exchange *exchange = request->body_context;
	size_t left = exchange->body.size - exchange->body_next;

	if (exchange->piece_size && size > exchange->piece_size)
		size = exchange->piece_size;
	if (size > left)
		size = left;
	if (size)
		memcpy(bytes, exchange->body.text + exchange->body_next, size);
	exchange->body_next += size;
	return (int64_t)size;
}

void exchange_init(struct exchange *exchange, const char *method, const char *target)
{
	const char *question = strchr(target, '?');
	size_t path_size = question ? (size_t)(question - target) : strlen(target);

	*exchange = (struct exchange){ .request = {
					       .method = str_from(method),
					       .path = { target, path_size },
					       .query = str_from(question ? question + 1 : NULL),
					       .peer = { .kind = PEER_LOOPBACK,
							 .address = "127.0.0.1:1",
							 .host = "127.0.0.1" },
					       .read_body = read_body,
				       } };
	exchange->request.body_context = exchange;
	exchange_header(exchange, "Host", "localhost");
	reply_init(&exchange->reply);
}

void exchange_done(struct exchange *exchange)
{
	reply_done(&exchange->reply);
}

void exchange_header(struct exchange *exchange, const char *name, const char *value)
{
	assert(exchange->request.header_count < REQUEST_HEADER_COUNT_MAX);
	exchange->request.headers[exchange->request.header_count++] =
		(struct header){ str_from(name), str_from(value) };
}

void exchange_body(struct exchange *exchange, struct str body)
{
	exchange->body = body;
	exchange->body_next = 0;
}

const char *exchange_text(struct exchange *exchange)
{
	struct buf *body = &exchange->reply.body;

	buf_add_u8(body, '\0');
	assert(!body->error);
	body->size--;
	return (const char *)body->bytes;
}
