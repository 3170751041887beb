/* SPDX-License-Identifier: Apache-2.0 */
#include "web/call.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>

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
	call->client_fd = connection->source.fd;
	reply_init(&call->reply);
	return call;
}

bool call_is_abandoned(const struct call *call)
{
	char byte;

	if (call->is_abandoned)
		return true;

	/*
	 * The front may close it at this moment and somebody else get the number: then is_abandoned
	 * is set, and an answer about another client does no harm.
	 */
	ssize_t count = recv(call->client_fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT);

	return count == 0 || (count < 0 && errno != EAGAIN && errno != EINTR);
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
