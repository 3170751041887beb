/* SPDX-License-Identifier: Apache-2.0 */
/* One connection of the front: its bytes in and out. Declared in web/front.h. */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "web/front_inside.h"
#include "web/tls.h"

/* ---- sending ----------------------------------------------------------------------------------
 */

/* How many went, 0 when nothing can now, negative when the connection is broken. */
static ssize_t put(struct connection *connection, const void *bytes, size_t size)
{
	if (connection->tls) {
		int64_t sent = tls_write(connection->tls, bytes, size);

		return sent == -EAGAIN ? 0 : (ssize_t)sent;
	}

	ssize_t count = send(connection->source.fd, bytes, size, MSG_NOSIGNAL);

	if (count >= 0)
		return count;
	return errno == EAGAIN || errno == EINTR ? 0 : -errno;
}

static size_t large_left(const struct connection *connection)
{
	assert(connection->large_sent <= connection->large.size);
	return connection->large.size - connection->large_sent;
}

bool connection_is_flushed(const struct connection *connection)
{
	return connection->out.size == 0 && large_left(connection) == 0;
}

void connection_count_unread(struct connection *connection, ptrdiff_t more)
{
	struct front *front = connection->front;

	assert(more >= 0 || connection->unread_size >= (size_t)-more);
	assert(front->unread_size >= connection->unread_size);
	connection->unread_size += (size_t)more;
	front->unread_size += (size_t)more;
}

static void drop_large(struct connection *connection)
{
	connection_count_unread(connection, -(ptrdiff_t)large_left(connection));
	buf_done(&connection->large);
	connection->large = BUF(0);
	connection->large_sent = 0;
}

/* Sends what waits, as far as the socket takes it. */
static int flush(struct connection *connection)
{
	struct front *front = connection->front;

	while (connection->out.size > 0) {
		ssize_t count = put(connection, fifo_bytes(&connection->out), connection->out.size);

		if (count <= 0)
			return (int)count;
		fifo_drop(&connection->out, (size_t)count);
		connection->progress_ns = front->now_ns;
	}
	while (large_left(connection) > 0) {
		ssize_t count = put(connection, connection->large.bytes + connection->large_sent,
				    large_left(connection));

		if (count <= 0)
			return (int)count;
		connection->large_sent += (size_t)count;
		connection_count_unread(connection, -count);
		connection->progress_ns = front->now_ns;
	}
	if (connection->large.size > 0)
		drop_large(connection);
	return 0;
}

int connection_send(struct connection *connection, const void *bytes, size_t size)
{
	const uint8_t *next = bytes;

	assert(large_left(connection) == 0);
	while (size > 0 && connection->out.size == 0) {
		ssize_t count = put(connection, next, size);

		if (count < 0)
			return (int)count;
		if (count == 0)
			break;
		next += count;
		size -= (size_t)count;
	}
	if (size == 0)
		return 0;
	if (connection->out.size == 0)
		connection->progress_ns = connection->front->now_ns;
	front_tick_soon(connection->front);
	return fifo_add(&connection->out, next, size);
}

int connection_send_large(struct connection *connection, struct buf *bytes)
{
	assert(large_left(connection) == 0 && !bytes->error);
	if (connection->out.size == 0)
		connection->progress_ns = connection->front->now_ns;
	connection->large = *bytes;
	connection->large_sent = 0;
	connection_count_unread(connection, (ptrdiff_t)bytes->size);
	*bytes = BUF(bytes->limit);
	front_tick_soon(connection->front);
	return flush(connection);
}

/* ---- connections ------------------------------------------------------------------------------
 */

void connection_set_clock(struct connection *connection, enum front_clock clock)
{
	connection->clock = clock;
	connection->clock_ns = connection->front->now_ns;
	if (clock != CLOCK_IDLE && clock != CLOCK_WORK)
		front_tick_soon(connection->front);
}

static bool wants_input(const struct connection *connection)
{
	if (connection->has_ended)
		return false;
	if (connection->clock == CLOCK_LINGER || !connection->protocol)
		return true;
	return connection->protocol->wants_input(connection);
}

static uint32_t wanted_events(const struct connection *connection)
{
	bool wants_output = !connection_is_flushed(connection) || connection->tls_wants_output;

	return (wants_input(connection) ? (uint32_t)EPOLLIN : 0) |
	       (wants_output ? (uint32_t)EPOLLOUT : 0);
}

/*
 * Input goes on being waited for when it is not wanted, until some comes: most clients send nothing
 * before they have their answer, and two calls of the kernel a request are saved.
 */
void connection_refresh(struct connection *connection)
{
	if (connection->is_dead)
		return;
	front_want(connection->front, &connection->source,
		   wanted_events(connection) | (connection->source.wanted & (uint32_t)EPOLLIN));
}

void connection_close(struct connection *connection)
{
	struct front *front = connection->front;

	if (connection->is_dead)
		return;
	connection->is_dead = true;
	if (connection->protocol)
		connection->protocol->close(connection);
	drop_large(connection);
	assert(connection->unread_size == 0);
	fifo_done(&connection->out);
	if (connection->tls)
		tls_end(connection->tls);
	connection->tls = tls_session_free(connection->tls);
	front_remove(&connection->source);
	if (connection->entry)
		peers_leave(front->peers, connection->entry);
	if (connection->next)
		connection->next->previous = connection->previous;
	if (connection->previous)
		connection->previous->next = connection->next;
	else
		front->connections = connection->next;
	connection->next = front->dead;
	front->dead = connection;
	assert(front->connection_count > 0);
	front->connection_count--;
	front_resume_accepting(front);
}

void front_free_dead(struct front *front)
{
	while (front->dead) {
		struct connection *connection = front->dead;

		front->dead = connection->next;
		free(connection->state);
		free(connection);
	}
}

/* What the steps of a connection return. */
void connection_conclude(struct connection *connection, int err)
{
	if (err < 0)
		connection_close(connection);
	else
		connection_refresh(connection);
}

int connection_finish(struct connection *connection)
{
	connection->is_last = true;
	if (!connection_is_flushed(connection)) {
		connection_refresh(connection);
		return 0;
	}
	if (connection->has_ended)
		return -ECONNRESET;
	/* Closing now would reset the connection when something is unread, and with it the answer
	 * that the client has not read yet. */
	if (connection->clock != CLOCK_LINGER) {
		if (connection->tls)
			tls_end(connection->tls);
		(void)shutdown(connection->source.fd, SHUT_WR);
		connection_set_clock(connection, CLOCK_LINGER);
	}
	connection_refresh(connection);
	return 0;
}

static int start_protocol(struct connection *connection, const struct protocol *protocol)
{
	connection->protocol = protocol;
	return protocol->start(connection);
}

/* RFC 9113 3.4: who knows that HTTP/2 is spoken here begins with these. They may come in pieces. */
static const char preface[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

static int choose_protocol(struct connection *connection, const uint8_t *bytes, size_t size)
{
	const struct front_protocols *protocols = &connection->front->protocols;
	size_t whole = sizeof(preface) - 1;
	size_t before = connection->first_size;
	size_t more = size < whole - before ? size : whole - before;

	static_assert(sizeof(connection->first) == sizeof(preface) - 1, "it fits");
	memcpy(connection->first + before, bytes, more);
	connection->first_size += more;

	bool is_alike = memcmp(connection->first, preface, connection->first_size) == 0;

	if (is_alike && connection->first_size < whole) {
		if (connection->clock != CLOCK_HEAD)
			connection_set_clock(connection, CLOCK_HEAD);
		return 0;
	}
	connection_set_clock(connection, CLOCK_IDLE);

	int err = start_protocol(connection, is_alike ? protocols->http2 : protocols->http1);

	if (!err && before > 0)
		err = connection->protocol->input(connection, connection->first, before);
	return err ? err : connection->protocol->input(connection, bytes, size);
}

static int take_input(struct connection *connection, const uint8_t *bytes, size_t size)
{
	if (connection->clock == CLOCK_LINGER)
		return 0;
	if (!connection->protocol)
		return choose_protocol(connection, bytes, size);
	return connection->protocol->input(connection, bytes, size);
}

static int take_end(struct connection *connection)
{
	connection->has_ended = true;
	if (!connection->protocol || connection->clock == CLOCK_LINGER)
		return -ECONNRESET;
	return connection->protocol->input_ended(connection);
}

/* As recv() has it, with the negative errno for -1. */
static int64_t get(struct connection *connection, void *bytes, size_t size)
{
	if (connection->tls)
		return tls_read(connection->tls, bytes, size);

	ssize_t count = recv(connection->source.fd, bytes, size, 0);

	if (count >= 0)
		return count;
	return errno == EINTR ? -EAGAIN : -errno;
}

static int receive(struct connection *connection)
{
	struct front *front = connection->front;

	while (!connection->is_dead && wants_input(connection)) {
		int64_t count = get(connection, front->scratch, SCRATCH_SIZE);

		if (count < 0)
			return count == -EAGAIN ? 0 : (int)count;

		int err = count == 0 ? take_end(connection)
				     : take_input(connection, front->scratch, (size_t)count);

		if (err < 0 || connection->is_dead)
			return err;
		/* Saves the call that would say that there is nothing more. */
		if (!connection->tls && (size_t)count < SCRATCH_SIZE)
			return 0;
	}
	return 0;
}

static int flushed(struct connection *connection)
{
	if (connection->is_last)
		return connection_finish(connection);
	if (connection->clock == CLOCK_IDLE)
		connection_set_clock(connection, CLOCK_IDLE); /* from now on */
	return connection->protocol ? connection->protocol->flushed(connection) : 0;
}

/* ---- TLS --------------------------------------------------------------------------------------
 */

/* Where certificates are set, tokens don't go over the network in the clear. */
static int refuse_plain(struct connection *connection)
{
	static const char text[] = "HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain\r\n"
				   "Content-Length: 35\r\nConnection: close\r\n\r\n"
				   "this address is asked by https://\r\n";
	int err = connection_send(connection, text, sizeof(text) - 1);

	connection->front->server->counters.requests_refused++;
	return err ? err : connection_finish(connection);
}

/* Looks at the first byte: 22 is a handshake's (RFC 8446 5.1). 1 when there is none yet. */
static int peek(struct connection *connection)
{
	struct tls *tls = connection->front->protocols.tls;
	uint8_t first = 0;

	if (connection->is_peeked || !tls || connection->peer.kind == PEER_UNIX)
		return 0;

	ssize_t count = recv(connection->source.fd, &first, 1, MSG_PEEK);

	if (count < 0)
		return errno == EAGAIN || errno == EINTR ? 1 : -errno;
	if (count == 0)
		return -ECONNRESET;
	connection->is_peeked = true;
	if (first != 22)
		return connection->peer.kind == PEER_REMOTE ? refuse_plain(connection) : 0;
	connection->tls = tls_session_new(tls, connection->source.fd);
	if (!connection->tls)
		return -ENOMEM;
	connection_set_clock(connection, CLOCK_HEAD);
	return 0;
}

/* 1 when it is not done yet. */
static int shake_hands(struct connection *connection)
{
	const struct front_protocols *protocols = &connection->front->protocols;
	enum tls_state state;

	if (!connection->tls || connection->tls_is_ready)
		return 0;
	state = tls_handshake(connection->tls);
	connection->tls_wants_output = state == TLS_WANTS_OUTPUT;
	if (state == TLS_FAILED)
		return -EPROTO;
	if (state != TLS_DONE)
		return 1;
	connection->tls_is_ready = true;
	connection->peer.is_secure = true;
	tls_client_name(connection->tls, connection->peer.certificate,
			sizeof(connection->peer.certificate));
	connection_set_clock(connection, CLOCK_IDLE);
	switch (tls_protocol(connection->tls)) {
	case 1:
		return start_protocol(connection, protocols->http1);
	case 2:
		return start_protocol(connection, protocols->http2);
	default:
		return 0; /* the first bytes tell, as without TLS */
	}
}

void connection_ready(struct source *source, uint32_t events)
{
	struct connection *connection = (struct connection *)source;
	bool is_early;
	int err;

	if (connection->is_dead)
		return;
	is_early = (events & EPOLLIN) && !wants_input(connection);
	err = peek(connection);
	if (!err)
		err = shake_hands(connection);
	if (err) {
		connection_conclude(connection, err);
		return;
	}
	if ((events & (EPOLLOUT | EPOLLERR | EPOLLHUP)) && !connection_is_flushed(connection)) {
		err = flush(connection);
		if (!err && connection_is_flushed(connection))
			err = flushed(connection);
	}
	if (err >= 0)
		err = receive(connection);
	/* They are reported unasked, and would be for ever. */
	if (err >= 0 && connection->has_ended && (events & (EPOLLERR | EPOLLHUP)))
		err = -ECONNRESET;
	connection_conclude(connection, err);
	if (is_early && !connection->is_dead)
		front_want(connection->front, source, wanted_events(connection));
}
