/* SPDX-License-Identifier: Apache-2.0 */
#include "web/call.h"

#include <assert.h>
#include <stdlib.h>

#include "web/front.h"
#include "web/reply.h"

struct call *call_new(struct connection *connection, size_t size,
		      void (*destroy)(struct call *call))
{
	assert(size >= sizeof(struct call));

	struct call *call = calloc(1, size);

	if (!call)
		return NULL;
	call->destroy = destroy;
	call->references = 1;
	call->front = connection->front;
	call->connection = connection;
	call->peer = connection->peer;
	reply_init(&call->reply);
	return call;
}

struct call *call_release(struct call *call)
{
	if (!call)
		return NULL;

	int before = call->references--;

	assert(before > 0);
	if (before > 1)
		return NULL;
	reply_done(&call->reply);
	if (call->destroy)
		call->destroy(call);
	free(call);
	return NULL;
}
