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
	(void)pthread_mutex_init(&call->client_lock, NULL);
	call->sent = BUF(0);
	reply_init(&call->reply);
	return call;
}

bool call_is_abandoned(struct call *call)
{
	char byte;
	ssize_t count = 0;

	pthread_mutex_lock(&call->client_lock);
	if (call->client_fd >= 0)
		count = recv(call->client_fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT);

	bool is_gone = count == 0 || (count < 0 && errno != EAGAIN && errno != EINTR);

	pthread_mutex_unlock(&call->client_lock);
	return is_gone;
}

void call_abandon(struct call *call)
{
	pthread_mutex_lock(&call->client_lock);
	call->client_fd = -1;
	pthread_mutex_unlock(&call->client_lock);
}

void call_send(struct call *call, struct buf *bytes)
{
	ssize_t count = 0;

	assert(call->may_send && call->sent.size == 0 && !bytes->error);
	call->sent = *bytes;
	*bytes = BUF(bytes->limit);
	pthread_mutex_lock(&call->client_lock);
	if (call->client_fd >= 0)
		count = send(call->client_fd, call->sent.bytes, call->sent.size,
			     MSG_NOSIGNAL | MSG_DONTWAIT);
	pthread_mutex_unlock(&call->client_lock);
	/* What went wrong the front finds out as well. */
	call->sent_size = count > 0 ? (size_t)count : 0;
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
	buf_done(&call->sent);
	(void)pthread_mutex_destroy(&call->client_lock);
	if (call->destroy)
		call->destroy(call);
	free(call);
	return NULL;
}
