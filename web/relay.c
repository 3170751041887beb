/* SPDX-License-Identifier: Apache-2.0 */
#include "web/relay.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "base/clock.h"
#include "web/chunks.h"
#include "web/head.h"
#include "web/http1_reply.h"
#include "web/reply.h"
#include "web/server.h"

enum {
	/* Of a body that its thread does not read yet. */
	INPUT_SIZE_MAX = 2 * REQUEST_BODY_START_SIZE,
	WAIT_SECONDS_MAX = REQUEST_BODY_SECONDS_MAX,
};

#define seconds_ns(n) ((uint64_t)(n)*CLOCK_NS_PER_S)

enum relay_list {
	LIST_NONE,
	LIST_IDLE,    /* has a pair and no request; the longest idle first */
	LIST_WAITING, /* has a request and no thread for it */
};

struct relay {
	struct source pair; /* our end; first, since epoll points here */
	struct pair_key key;
	struct connection *connection;
	struct relays *relays;

	struct fifo input; /* what the library has not got yet */
	size_t seen;	   /* of a head that is not whole */

	/* The request that is under way, or NULL. */
	struct call *call;
	struct head head;
	struct chunks chunks;
	uint64_t body_size; /* that came so far */
	size_t ready;	    /* bytes of the input that are of this request */
	bool body_ended;
	bool is_started; /* has a thread, or waits for one */
	bool is_running; /* has a thread */
	bool is_reading; /* counts among those whose thread may wait for the client */

	enum relay_list list;
	struct relay *next, *previous;
};

struct list {
	struct relay *first, *last;
	size_t count;
};

struct relays {
	struct pairs *pairs;
	struct list idle, waiting;
	size_t running_count, reading_count;
};

int relays_new(struct pairs *pairs, struct relays **ret)
{
	struct relays *relays = calloc(1, sizeof(*relays));

	if (!relays)
		return -ENOMEM;
	relays->pairs = pairs;
	*ret = relays;
	return 0;
}

struct relays *relays_free(struct relays *relays)
{
	assert(!relays || (relays->idle.count == 0 && relays->waiting.count == 0));
	free(relays);
	return NULL;
}

/* ---- lists ------------------------------------------------------------------------------------
 */

static struct list *list_of(struct relay *relay)
{
	return relay->list == LIST_IDLE ? &relay->relays->idle : &relay->relays->waiting;
}

static void leave_list(struct relay *relay)
{
	if (relay->list == LIST_NONE)
		return;

	struct list *list = list_of(relay);

	assert(list->count > 0);
	if (relay->previous)
		relay->previous->next = relay->next;
	else
		list->first = relay->next;
	if (relay->next)
		relay->next->previous = relay->previous;
	else
		list->last = relay->previous;
	list->count--;
	relay->list = LIST_NONE;
	relay->next = relay->previous = NULL;
}

static void enter_list(struct relay *relay, enum relay_list which)
{
	assert(relay->list == LIST_NONE && which != LIST_NONE);
	relay->list = which;

	struct list *list = list_of(relay);

	relay->previous = list->last;
	if (list->last)
		list->last->next = relay;
	else
		list->first = relay;
	list->last = relay;
	list->count++;
}

/* ---- pairs ------------------------------------------------------------------------------------
 */

static void serve_waiting(struct relays *relays);

static void detach(struct relay *relay)
{
	leave_list(relay);
	if (relay->pair.fd < 0)
		return;
	pairs_close(relay->relays->pairs, relay->key);
	front_remove(&relay->pair);
}

static void pair_ready(struct source *source, uint32_t events);

/* -EBUSY when all threads have something to do, or there are no descriptors. */
static int attach(struct relay *relay)
{
	struct relays *relays = relay->relays;
	int fd = pairs_open(relays->pairs, &relay->key);

	if (fd < 0 && relays->idle.first) {
		detach(relays->idle.first);
		fd = pairs_open(relays->pairs, &relay->key);
	}
	if (fd < 0)
		return -EBUSY;
	relay->pair = (struct source){ .fd = fd, .ready = pair_ready };

	int err = front_add(relay->connection->front, &relay->pair, EPOLLIN);

	if (err)
		detach(relay);
	return err ? -EBUSY : 0;
}

static bool may_start(const struct relay *relay)
{
	return relay->body_ended || relay->relays->reading_count < HTTP1_READING_MAX;
}

static void pump(struct relay *relay);

/* Gives it a thread, or a place among those who wait for one. */
static void start_or_wait(struct relay *relay)
{
	assert(relay->call && relay->is_started);
	if (!may_start(relay) || (relay->pair.fd < 0 && attach(relay))) {
		if (relay->list == LIST_NONE)
			enter_list(relay, LIST_WAITING);
		if (relay->connection->clock == CLOCK_WORK)
			connection_set_clock(relay->connection, CLOCK_WAIT);
		return;
	}
	leave_list(relay);
	if (relay->connection->clock == CLOCK_WAIT)
		connection_set_clock(relay->connection, CLOCK_WORK);
	/*
	 * Nobody else writes to the client before the answer, once its body need not be asked for.
	 * Of several that run at once the front sends more than one in a turn, which is cheaper.
	 */
	relay->call->stays_open = relay->head.stays_open && !relay->connection->is_last;
	relay->call->may_send = relay->body_ended && !relay->connection->tls &&
				connection_is_flushed(relay->connection) &&
				relay->relays->running_count == 0;
	relay->is_running = true;
	relay->relays->running_count++;
	if (!relay->body_ended) {
		relay->is_reading = true;
		relay->relays->reading_count++;
	}
	pairs_set_call(relay->relays->pairs, relay->key, relay->call);
	pump(relay);
}

static void serve_waiting(struct relays *relays)
{
	for (struct relay *relay = relays->waiting.first, *next; relay; relay = next) {
		next = relay->next;
		if (!may_start(relay))
			continue;
		start_or_wait(relay);
		if (relay->list == LIST_WAITING)
			return; /* there is no thread */
		connection_refresh(relay->connection);
	}
}

static bool has_thread(const struct relay *relay)
{
	return relay->is_started && relay->list != LIST_WAITING;
}

/* Passes on what may go. */
static void pump(struct relay *relay)
{
	while (relay->pair.fd >= 0 && has_thread(relay) && relay->ready > 0) {
		ssize_t count =
			send(relay->pair.fd, fifo_bytes(&relay->input), relay->ready, MSG_NOSIGNAL);

		if (count < 0 && (errno == EAGAIN || errno == EINTR))
			break;
		/* The library has ended it; pair_ready() sees that, too. */
		if (count < 0)
			count = (ssize_t)relay->ready;
		fifo_drop(&relay->input, (size_t)count);
		relay->ready -= (size_t)count;
	}
	/* What will never be whole ends here, and the thread finds out why. */
	if (relay->pair.fd >= 0 && relay->call && has_thread(relay) && relay->ready == 0 &&
	    relay->call->body_error)
		(void)shutdown(relay->pair.fd, SHUT_WR);
	if (relay->pair.fd >= 0)
		front_want(relay->connection->front, &relay->pair,
			   EPOLLIN | (relay->ready > 0 && has_thread(relay) ? EPOLLOUT : 0));
}

/* ---- answers ----------------------------------------------------------------------------------
 */

static void end_call(struct relay *relay)
{
	if (relay->call) {
		call_abandon(relay->call);
		relay->call->connection = NULL;
	}
	relay->call = call_release(relay->call);
	if (relay->is_reading)
		relay->relays->reading_count--;
	if (relay->is_running)
		relay->relays->running_count--;
	relay->is_running = false;
	relay->is_reading = false;
	relay->is_started = false;
	relay->body_ended = false;
	relay->body_size = 0;
	relay->ready = 0;
	relay->chunks = (struct chunks){ .state = 0 };
}

static int send_reply(struct connection *connection, struct reply *reply, bool is_for_head,
		      bool stays_open)
{
	autoclean(buf) struct buf first = BUF(HTTP1_FIRST_SIZE_MAX);

	http1_write(reply, is_for_head, stays_open, &first);
	if (first.error)
		return first.error;

	int err = connection_send(connection, first.bytes, first.size);

	if (!err && !http1_is_small(reply, is_for_head))
		err = connection_send_large(connection, &reply->body);
	return err;
}

/* Says it and ends. */
static int refuse(struct relay *relay, int status, enum limit limit, const char *why)
{
	struct connection *connection = relay->connection;
	struct server *server = front_server(connection->front);
	struct reply reply;

	assert(status >= 400 && status < 600);
	server->counters.requests_refused++;
	if (limit != LIMIT_NONE)
		server->counters.limits_hit[limit]++;
	reply_init(&reply);
	reply_error(&reply, status, NULL, "%s", why);
	if (status == 429)
		reply_add_header(&reply, "Retry-After", "1");
	end_call(relay);
	detach(relay);
	fifo_done(&relay->input);

	int err = send_reply(connection, &reply, false, false);

	reply_done(&reply);
	return err ? err : connection_finish(connection);
}

static int advance(struct relay *relay);

static int answered(struct connection *connection, struct call *call)
{
	struct relay *relay = connection->state;

	assert(relay->call == call);
	assert(call->is_taken);

	bool is_read = relay->body_ended && relay->ready == 0 && relay->pair.fd >= 0;
	bool stays_open = relay->head.stays_open && relay->body_ended && relay->ready == 0 &&
			  !connection->is_last;
	int err =
		call->sent.size == 0
			? send_reply(connection, &call->reply, relay->head.is_for_head, stays_open)
			: connection_send(connection, call->sent.bytes + call->sent_size,
					  call->sent.size - call->sent_size);
	/* The library would have ended it, too. */
	bool keeps_pair = is_read && stays_open && relay->head.is_plain;

	end_call(relay);
	if (!keeps_pair)
		detach(relay);
	else
		enter_list(relay, LIST_IDLE);
	if (relay->relays->idle.count > HTTP1_IDLE_MAX)
		detach(relay->relays->idle.first);
	serve_waiting(relay->relays);
	if (err < 0)
		return err;
	if (!stays_open || (connection->has_ended && relay->input.size == 0))
		return connection_finish(connection);
	connection_set_clock(connection, CLOCK_IDLE);
	return connection_is_flushed(connection) ? advance(relay) : 0;
}

/* ---- requests ---------------------------------------------------------------------------------
 */

/* Counts what came of the body. -EBADMSG for chunks that are none. */
static int measure_body(struct relay *relay)
{
	const uint8_t *bytes = fifo_bytes(&relay->input) + relay->ready;
	size_t size = relay->input.size - relay->ready;
	int64_t count = 0;

	assert(relay->input.size >= relay->ready);
	switch (relay->head.body) {
	case HEAD_BODY_NONE:
		relay->body_ended = true;
		break;
	case HEAD_BODY_LENGTH:
		count = relay->head.body_size - relay->body_size < size
				? (int64_t)(relay->head.body_size - relay->body_size)
				: (int64_t)size;
		relay->body_ended = relay->body_size + (uint64_t)count == relay->head.body_size;
		break;
	case HEAD_BODY_CHUNKED:
		count = chunks_scan(&relay->chunks, bytes, size);
		relay->body_ended = relay->chunks.is_ended;
		break;
	}
	if (count < 0)
		return -EBADMSG;
	relay->body_size += (uint64_t)count;
	relay->ready += (size_t)count;
	return 0;
}

/* The rest of the body will not come. */
static void break_body(struct relay *relay, int err)
{
	assert(err < 0 && relay->call);
	relay->call->body_error = err;
	connection_set_clock(relay->connection, CLOCK_WORK);
	if (!relay->is_started) {
		relay->is_started = true;
		start_or_wait(relay);
	} else {
		pump(relay);
	}
}

static int advance_body(struct relay *relay)
{
	bool was_ended = relay->body_ended;

	if (relay->call->body_error || was_ended)
		return 0;
	if (measure_body(relay)) {
		if (!relay->is_started)
			return refuse(relay, 400, LIMIT_NONE,
				      "the chunks of the body are malformed");
		break_body(relay, -EBADMSG);
		return 0;
	}
	if (relay->body_ended)
		connection_set_clock(relay->connection, CLOCK_WORK);
	if (!relay->is_started) {
		if (!relay->body_ended && relay->body_size < REQUEST_BODY_START_SIZE)
			return 0;
		relay->is_started = true;
		start_or_wait(relay);
		return 0;
	}
	if (relay->body_ended && relay->is_reading) {
		relay->is_reading = false;
		relay->relays->reading_count--;
		serve_waiting(relay->relays);
	}
	if (relay->list == LIST_WAITING)
		serve_waiting(relay->relays);
	else
		pump(relay);
	return 0;
}

/* What may stand before a request line, and means nothing (RFC 9112 2.2). */
static void skip_empty_lines(struct relay *relay)
{
	while (relay->seen == 0 && relay->input.size >= 2 &&
	       memcmp(fifo_bytes(&relay->input), "\r\n", 2) == 0)
		fifo_drop(&relay->input, 2);
}

static int begin_request(struct relay *relay)
{
	static const char go_on[] = "HTTP/1.1 100 Continue\r\n\r\n";
	struct connection *connection = relay->connection;

	relay->seen = 0;
	relay->ready = relay->head.size;
	if (!front_take_request(connection))
		return refuse(relay, 429, LIMIT_NONE,
			      "this address asks more often than requests-per-second allows");
	relay->call = call_new(connection, sizeof(struct call), NULL);
	if (!relay->call)
		return refuse(relay, 503, LIMIT_NONE, "out of memory; try again later");
	relay->call->is_for_head = relay->head.is_for_head;
	leave_list(relay);
	connection_set_clock(connection, CLOCK_BODY);

	int err = advance_body(relay);

	if (!err && relay->call && relay->head.expects_continue && !relay->body_ended &&
	    relay->body_size == 0)
		err = connection_send(connection, go_on, sizeof(go_on) - 1);
	return err;
}

/* Goes as far as what is here allows. */
static int advance(struct relay *relay)
{
	struct connection *connection = relay->connection;

	if (relay->call)
		return advance_body(relay);
	if (!connection_is_flushed(connection) || connection->is_last)
		return 0;
	skip_empty_lines(relay);
	if (relay->input.size == 0)
		return 0;
	switch (head_read(fifo_bytes(&relay->input), relay->input.size, relay->seen,
			  &relay->head)) {
	case HEAD_UNFINISHED:
		relay->seen = relay->input.size;
		if (connection->clock != CLOCK_HEAD)
			connection_set_clock(connection, CLOCK_HEAD);
		return connection->has_ended ? -ECONNRESET : 0;
	case HEAD_REFUSED:
		return refuse(relay, relay->head.status, relay->head.limit, relay->head.why);
	case HEAD_WHOLE:
		break;
	}
	return begin_request(relay);
}

/* ---- what the front calls ---------------------------------------------------------------------
 */

static int start(struct connection *connection)
{
	struct relay *relay = calloc(1, sizeof(*relay));

	if (!relay)
		return -ENOMEM;
	relay->pair.fd = -1;
	relay->connection = connection;
	relay->relays = front_protocols_of(connection->front)->http1_context;
	connection->state = relay;
	return 0;
}

static int input(struct connection *connection, const uint8_t *bytes, size_t size)
{
	struct relay *relay = connection->state;
	int err = fifo_add(&relay->input, bytes, size);

	return err ? err : advance(relay);
}

static int input_ended(struct connection *connection)
{
	struct relay *relay = connection->state;

	if (!relay->call)
		return connection_is_flushed(connection) ? -ECONNRESET
							 : connection_finish(connection);
	if (relay->body_ended)
		return 0; /* it waits for its answer */
	if (!relay->is_started)
		return -ECONNRESET;
	if (!relay->call->body_error)
		break_body(relay, -ECONNRESET);
	return 0;
}

static int flushed(struct connection *connection)
{
	struct relay *relay = connection->state;

	return relay->call ? 0 : advance(relay);
}

/* As web/request.c counts it, for those who have no thread to count. */
static int check_body_clock(struct relay *relay, uint64_t now_ns)
{
	uint64_t elapsed_ns = now_ns - relay->connection->clock_ns;
	uint64_t elapsed_s = elapsed_ns / (uint64_t)CLOCK_NS_PER_S;

	/* A handler that has begun has a clock of its own: for a file of symbols a longer one. */
	if (!relay->is_started && elapsed_ns > seconds_ns(REQUEST_BODY_SECONDS_MAX))
		return -ETIMEDOUT;
	if (elapsed_s >= REQUEST_BODY_GRACE_SECONDS &&
	    relay->body_size < elapsed_s * REQUEST_BODY_RATE_MIN)
		return -ETIME;
	return 0;
}

static int tick(struct connection *connection, uint64_t now_ns)
{
	struct relay *relay = connection->state;
	uint64_t elapsed_ns = now_ns - connection->clock_ns;

	if (relay->list == LIST_WAITING) {
		serve_waiting(relay->relays);
		if (relay->list == LIST_WAITING && elapsed_ns > seconds_ns(WAIT_SECONDS_MAX))
			return refuse(relay, 503, LIMIT_QUESTIONS,
				      "there is no thread for this request; try again later");
		return 0;
	}
	if (connection->clock == CLOCK_HEAD && elapsed_ns > seconds_ns(REQUEST_HEAD_SECONDS_MAX))
		return refuse(relay, 408, LIMIT_HEAD_TIME,
			      "request line and headers must be here within 5 s");
	if (connection->clock == CLOCK_BODY && relay->call && !relay->call->body_error) {
		int err = check_body_clock(relay, now_ns);

		if (err)
			break_body(relay, err);
	}
	return 0;
}

static int stop(struct connection *connection)
{
	struct relay *relay = connection->state;

	connection->is_last = true;
	if (relay->call)
		return 0;
	return connection_is_flushed(connection) ? -ESHUTDOWN : 0;
}

static void close_relay(struct connection *connection)
{
	struct relay *relay = connection->state;

	if (!relay)
		return;
	end_call(relay);
	detach(relay);
	fifo_done(&relay->input);
	serve_waiting(relay->relays);
}

static bool wants_input(const struct connection *connection)
{
	const struct relay *relay = connection->state;

	if (connection->is_last && !relay->call)
		return false;
	if (!relay->call)
		return connection_is_flushed(connection);
	return !relay->body_ended && !relay->call->body_error && relay->list != LIST_WAITING &&
	       relay->input.size < INPUT_SIZE_MAX;
}

const struct protocol relay_protocol = {
	.start = start,
	.input = input,
	.input_ended = input_ended,
	.flushed = flushed,
	.answered = answered,
	.tick = tick,
	.stop = stop,
	.close = close_relay,
	.wants_input = wants_input,
};

/* ---- what the library does with a pair --------------------------------------------------------
 */

static void lose_pair(struct relay *relay)
{
	bool is_lost = relay->call && has_thread(relay) && !relay->call->is_taken;

	detach(relay);
	if (is_lost) {
		/* It did not even come to ask for an answer. */
		connection_conclude(relay->connection,
				    refuse(relay, 400, LIMIT_NONE,
					   "this is no HTTP request that can be answered"));
	} else if (relay->call && (relay->ready > 0 || !relay->body_ended)) {
		/* The thread is at it, without the rest. */
		fifo_drop(&relay->input, relay->ready);
		relay->ready = 0;
		relay->head.stays_open = false;
		connection_refresh(relay->connection);
	}
}

static void pair_ready(struct source *source, uint32_t events)
{
	struct relay *relay = (struct relay *)source;
	char ignored[4096];

	if (events & EPOLLOUT) {
		pump(relay);
		connection_refresh(relay->connection);
	}
	if (!(events & (EPOLLIN | EPOLLERR | EPOLLHUP)))
		return;

	/* Answers don't come this way: what the library says by itself is not passed on. */
	ssize_t count = recv(source->fd, ignored, sizeof(ignored), 0);

	if (count > 0 || (count < 0 && (errno == EAGAIN || errno == EINTR)))
		return;
	lose_pair(relay);
}
