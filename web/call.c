/* SPDX-License-Identifier: Apache-2.0 */
#include "web/call.h"

#include <assert.h>
#include <stdlib.h>

#include "web/front.h"
#include "web/reply.h"

struct call *call_new(struct connection *connection)
{
	struct call *call = calloc(1, sizeof(*call));

	if (!call)
		return NULL;
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
	free(call);
	return NULL;
}
