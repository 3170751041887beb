/* SPDX-License-Identifier: Apache-2.0 */
#include "web/http2.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <nghttp2/nghttp2.h>

#include "base/clock.h"
#include "base/parse.h"
#include "web/http1_reply.h"
#include "web/reply.h"
#include "web/server.h"
#include "web/stream.h"

enum {
	FRAMES_SIZE = (16 << 10) + 64, /* the largest frame that we send, with its head */
	OUT_SIZE_MAX = 128 << 10,      /* of frames that the socket has not taken */
	HEAD_SIZE_MAX = 16 << 10,      /* of an answer; ours take 1 kB */
	FIELD_COUNT_MAX = 48,
	HTTP2_FRAMES_PER_ANSWER = 4,
};

#define seconds_ns(n) ((uint64_t)(n)*CLOCK_NS_PER_S)

struct http2 {
	struct routes *routes;
	struct workers *workers;
	nghttp2_session_callbacks *callbacks;
	nghttp2_option *option;
};

/* Of one connection. */
struct session {
	struct http2 *http;
	struct connection *connection;
	nghttp2_session *nghttp2;
	struct stream *first, *last;
	struct stream *gone; /* over, but a worker is still at it */
	struct stream *fed;  /* has more of its body, of which its worker was not told yet */
	size_t stream_count, running_count;
	uint64_t second_ns; /* since when what follows is counted */
	unsigned empty_frames, window_updates, answers;
	bool is_stopping;   /* the notice went out */
	bool is_terminated; /* GOAWAY went out, nothing more is begun */
};

/* ---- streams ----------------------------------------------------------------------------------
 */

static struct stream *find_stream(struct session *session, int32_t id)
{
	return nghttp2_session_get_stream_user_data(session->nghttp2, id);
}

static void append(struct session *session, struct stream *stream)
{
	stream->previous = session->last;
	if (session->last)
		session->last->next = stream;
	else
		session->first = stream;
	session->last = stream;
	session->stream_count++;
}

/* The stream is over, however it ended; a worker may still be at it. */
static void drop(struct session *session, struct stream *stream)
{
	assert(session->stream_count > 0);
	if (stream->previous)
		stream->previous->next = stream->next;
	else
		session->first = stream->next;
	if (stream->next)
		stream->next->previous = stream->previous;
	else
		session->last = stream->previous;
	session->stream_count--;
	if (stream->is_answered)
		connection_count_unread(session->connection,
					-(ptrdiff_t)(stream->call.reply.body.size - stream->sent));
	stream_break(stream, -ECONNRESET);
	stream->is_gone = true;
	call_abandon(&stream->call);
	stream->previous = NULL;
	/* It counts among those that run until its worker is back: see answered(). */
	if (stream->is_running) {
		stream->next = session->gone;
		if (session->gone)
			session->gone->previous = stream;
		session->gone = stream;
	} else {
		stream->call.connection = NULL;
		call_release(&stream->call);
	}
}

/* The worker is back, or there is nobody to come back to. */
static void forget_gone(struct session *session, struct stream *stream)
{
	assert(stream->is_gone);
	if (stream->previous)
		stream->previous->next = stream->next;
	else
		session->gone = stream->next;
	if (stream->next)
		stream->next->previous = stream->previous;
	stream->call.connection = NULL;
	call_release(&stream->call);
}

/* ---- answers ----------------------------------------------------------------------------------
 */

static ssize_t read_reply(nghttp2_session *nghttp2, int32_t id, uint8_t *bytes, size_t size,
			  uint32_t *flags, nghttp2_data_source *source, void *context)
{
	struct session *session = context;
	struct stream *stream = source->ptr;
	const struct reply *reply = &stream->call.reply;
	size_t left = reply->body.size - stream->sent;
	size_t count = left < size ? left : size;

	assert(stream->is_answered && stream->sent <= reply->body.size);
	if (count > 0)
		memcpy(bytes, reply->body.bytes + stream->sent, count);
	stream->sent += count;
	stream->progress_ns = front_now_ns(session->connection->front);
	session->connection->progress_ns = stream->progress_ns;
	connection_count_unread(session->connection, -(ptrdiff_t)count);
	if (count < left)
		return (ssize_t)count;
	*flags |= NGHTTP2_DATA_FLAG_EOF;
	if (reply->trailer_count > 0) {
		nghttp2_nv fields[4];

		for (size_t i = 0; i < reply->trailer_count; i++)
			fields[i] = (nghttp2_nv){
				.name = (uint8_t *)(uintptr_t)reply->trailers[i].name.text,
				.namelen = reply->trailers[i].name.size,
				.value = (uint8_t *)(uintptr_t)reply->trailers[i].value.text,
				.valuelen = reply->trailers[i].value.size,
			};
		*flags |= NGHTTP2_DATA_FLAG_NO_END_STREAM;
		if (nghttp2_submit_trailer(nghttp2, id, fields, reply->trailer_count))
			return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
	}
	return (ssize_t)count;
}

/* The headers of HTTP/1.1, made those of HTTP/2 in their place: names in lower case. */
static size_t make_fields(struct buf *head, char status[static 4], nghttp2_nv *fields)
{
	struct str rest = { (const char *)head->bytes, head->size };
	struct str line;
	size_t count = 0;

	fields[count++] = (nghttp2_nv){ (uint8_t *)(uintptr_t) ":status", (uint8_t *)status, 7, 3,
					NGHTTP2_NV_FLAG_NONE };
	(void)parse_next(&rest, '\n', &line);
	while (parse_next(&rest, '\n', &line) && line.size > 1) {
		const char *colon = memchr(line.text, ':', line.size);

		assert(colon && count < FIELD_COUNT_MAX && line.text[line.size - 1] == '\r');

		size_t name_size = (size_t)(colon - line.text);
		uint8_t *name = head->bytes + (line.text - (const char *)head->bytes);

		for (size_t i = 0; i < name_size; i++)
			if (name[i] >= 'A' && name[i] <= 'Z')
				name[i] = (uint8_t)(name[i] - 'A' + 'a');
		fields[count++] = (nghttp2_nv){ name, name + name_size + 2, name_size,
						line.size - name_size - 3, NGHTTP2_NV_FLAG_NONE };
	}
	return count;
}

static int submit(struct session *session, struct stream *stream)
{
	autoclean(buf) struct buf head = BUF(HEAD_SIZE_MAX);
	struct reply *reply = &stream->call.reply;
	nghttp2_nv fields[FIELD_COUNT_MAX];
	char status[12];
	bool has_body =
		!stream->call.is_for_head && (reply->body.size > 0 || reply->trailer_count > 0);
	nghttp2_data_provider provider = { .source = { .ptr = stream },
					   .read_callback = read_reply };

	assert(!stream->is_answered && !stream->is_gone);
	http1_write_head(reply, true, &head);
	if (head.error)
		return head.error;
	snprintf(status, sizeof(status), "%03d", reply->status);
	if (!has_body)
		buf_clear(&reply->body);
	stream->is_answered = true;
	stream->progress_ns = front_now_ns(session->connection->front);
	connection_count_unread(session->connection, (ptrdiff_t)reply->body.size);

	size_t count = make_fields(&head, status, fields);

	return nghttp2_submit_response(session->nghttp2, stream->id, fields, count,
				       has_body ? &provider : NULL)
		       ? -ENOMEM
		       : 0;
}

static int refuse(struct session *session, struct stream *stream, int status, enum limit limit,
		  const char *why)
{
	struct server *server = front_server(session->connection->front);

	assert(status >= 400 && !stream->is_started);
	server->counters.requests_refused++;
	if (limit != LIMIT_NONE)
		server->counters.limits_hit[limit]++;
	stream->is_started = true;
	reply_error(&stream->call.reply, status, NULL, "%s", why);
	if (status == 429)
		reply_add_header(&stream->call.reply, "Retry-After", "1");
	return submit(session, stream);
}

/* ---- beginning --------------------------------------------------------------------------------
 */

static bool is_ready(const struct stream *stream)
{
	return stream->head_is_whole && !stream->is_started &&
	       (stream->body_ended || stream->call.body_error ||
		stream->body_size >= REQUEST_BODY_START_SIZE);
}

/*
 * Begins what is ready, in the order of the streams, as far as the client may have more begun.
 * 1 when some of it is answered already, which is to be sent; negative ends the connection.
 */
static int begin_ready(struct session *session)
{
	int told = 0;

	for (struct stream *stream = session->first; stream; stream = stream->next) {
		if (session->running_count >= HTTP2_RUNNING_MAX ||
		    session->connection->unread_size >= HTTP2_UNREAD_SIZE_MAX)
			break;
		if (!is_ready(stream))
			continue;
		stream->is_started = true;
		if (stream->body_ended && stream_tell(stream)) {
			int err = submit(session, stream);

			if (err)
				return err;
			told = 1;
			continue;
		}
		stream->is_running = true;
		session->running_count++;
		stream_start(stream, session->http->workers);
	}
	return told;
}

static void set_clock(struct session *session)
{
	struct connection *connection = session->connection;
	enum front_clock clock = session->stream_count > 0 ? CLOCK_BODY : CLOCK_IDLE;

	if (connection->clock != clock)
		connection_set_clock(connection, clock);
}

/* Several frames, small as most are, for one call of the kernel. */
struct frames {
	size_t size;
	uint8_t bytes[FRAMES_SIZE];
};

static int send_frames(struct connection *connection, struct frames *frames)
{
	size_t size = frames->size;

	frames->size = 0;
	return size > 0 ? connection_send(connection, frames->bytes, size) : 0;
}

static int add_frame(struct connection *connection, struct frames *frames, const uint8_t *bytes,
		     size_t size)
{
	if (size > FRAMES_SIZE - frames->size) {
		int err = send_frames(connection, frames);

		if (err < 0 || size > FRAMES_SIZE)
			return err < 0 ? err : connection_send(connection, bytes, size);
	}
	memcpy(frames->bytes + frames->size, bytes, size);
	frames->size += size;
	return 0;
}

/* Makes frames of what there is to say, as long as the socket takes them. */
static int send_made(struct session *session)
{
	struct connection *connection = session->connection;
	struct frames frames;
	int err = 0;

	frames.size = 0;
	while (connection->out.size < OUT_SIZE_MAX && !err) {
		const uint8_t *bytes;
		ssize_t size = nghttp2_session_mem_send(session->nghttp2, &bytes);

		if (size < 0)
			return -ENOMEM;
		if (size == 0)
			break;
		err = add_frame(connection, &frames, bytes, (size_t)size);
	}
	return err ? err : send_frames(connection, &frames);
}

/* Begins what may be begun, and sends what there is of answers: each makes room for the other. */
static int flush_session(struct session *session)
{
	struct connection *connection = session->connection;
	int told;

	do {
		int err = begin_ready(session);

		if (err >= 0)
			err = send_made(session);
		told = err < 0 ? err : begin_ready(session);
		if (told < 0)
			return told;
	} while (told > 0 && connection->out.size < OUT_SIZE_MAX);
	set_clock(session);
	if (!nghttp2_session_want_read(session->nghttp2) &&
	    !nghttp2_session_want_write(session->nghttp2))
		return connection_finish(connection);
	return 0;
}

/* ---- what nghttp2 calls -----------------------------------------------------------------------
 */

static int on_begin_headers(nghttp2_session *nghttp2, const nghttp2_frame *frame, void *context)
{
	struct session *session = context;

	if (frame->hd.type != NGHTTP2_HEADERS || frame->headers.cat != NGHTTP2_HCAT_REQUEST)
		return 0;

	struct stream *stream =
		stream_new(session->connection, session->http->routes, frame->hd.stream_id);

	if (!stream)
		return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
	stream->head_ns = front_now_ns(session->connection->front);
	append(session, stream);
	return nghttp2_session_set_stream_user_data(nghttp2, frame->hd.stream_id, stream);
}

static int on_header(nghttp2_session *nghttp2, const nghttp2_frame *frame, const uint8_t *name,
		     size_t name_size, const uint8_t *value, size_t value_size, uint8_t flags,
		     void *context)
{
	struct stream *stream = find_stream(context, frame->hd.stream_id);

	(void)nghttp2;
	(void)flags;
	/* Trailers mean nothing here. */
	if (stream && frame->headers.cat == NGHTTP2_HCAT_REQUEST)
		stream_add_header(stream, (struct str){ (const char *)name, name_size },
				  (struct str){ (const char *)value, value_size });
	return 0;
}

static int end_head(struct session *session, struct stream *stream)
{
	stream_end_head(stream);
	stream->head_ns = front_now_ns(session->connection->front);
	if (stream->refusal)
		return refuse(session, stream, stream->refusal, stream->refusal_limit,
			      stream->refusal_why);
	if (!front_take_request(session->connection))
		return refuse(session, stream, 429, LIMIT_NONE,
			      "this address asks more often than requests-per-second allows");
	return 0;
}

/* Whether there were too many of those that carry nothing. */
static bool is_flood(struct session *session, const nghttp2_frame *frame)
{
	uint64_t now_ns = front_now_ns(session->connection->front);

	if (now_ns - session->second_ns >= (uint64_t)CLOCK_NS_PER_S) {
		session->second_ns = now_ns;
		session->empty_frames = 0;
		session->window_updates = 0;
		session->answers = 0;
	}
	switch (frame->hd.type) {
	case NGHTTP2_WINDOW_UPDATE:
		session->window_updates++;
		break;
	case NGHTTP2_DATA:
		session->empty_frames +=
			frame->hd.length == 0 && !(frame->hd.flags & NGHTTP2_FLAG_END_STREAM);
		break;
	case NGHTTP2_HEADERS:
		break;
	default:
		session->empty_frames++;
		break;
	}
	/* gRPC's clients measure the way by pings, one or two for an answer. */
	return session->empty_frames > HTTP2_EMPTY_FRAMES_PER_SECOND_MAX +
					       HTTP2_FRAMES_PER_ANSWER * session->answers ||
	       session->window_updates > HTTP2_WINDOW_UPDATES_PER_SECOND_MAX;
}

static void terminate(struct session *session)
{
	if (session->is_terminated)
		return;
	session->is_terminated = true;
	front_server(session->connection->front)->counters.limits_hit[LIMIT_HTTP2_FLOOD]++;
	(void)nghttp2_session_terminate_session(session->nghttp2, NGHTTP2_ENHANCE_YOUR_CALM);
}

static int on_frame(nghttp2_session *nghttp2, const nghttp2_frame *frame, void *context)
{
	struct session *session = context;
	struct stream *stream;

	(void)nghttp2;
	if (is_flood(session, frame)) {
		terminate(session);
		return 0;
	}
	if (frame->hd.type != NGHTTP2_HEADERS && frame->hd.type != NGHTTP2_DATA)
		return 0;
	stream = find_stream(session, frame->hd.stream_id);
	if (!stream)
		return 0;
	if (!stream->head_is_whole && end_head(session, stream))
		return NGHTTP2_ERR_CALLBACK_FAILURE;
	if (frame->hd.flags & NGHTTP2_FLAG_END_STREAM)
		stream_end_body(stream);
	return 0;
}

/* Once for all that came together: to wake a worker for each frame takes longer than to read it. */
static void tell_fed(struct session *session)
{
	if (session->fed)
		stream_tell_reader(session->fed);
	session->fed = NULL;
}

static int on_data(nghttp2_session *nghttp2, uint8_t flags, int32_t id, const uint8_t *bytes,
		   size_t size, void *context)
{
	struct session *session = context;
	struct stream *stream = find_stream(session, id);

	(void)flags;
	/* Of what is answered already the rest is of no use. */
	if (!stream || stream->is_answered)
		return nghttp2_session_consume(nghttp2, id, size);
	if (session->fed != stream)
		tell_fed(session);
	session->fed = stream;
	return stream_add_body(stream, bytes, size) ? NGHTTP2_ERR_CALLBACK_FAILURE : 0;
}

/* What a stream left unread must not count against the connection's room for ever. */
static size_t unread_body(struct stream *stream)
{
	size_t taken = stream_take_taken(stream);

	pthread_mutex_lock(&stream->lock);

	size_t left = stream->body.size;

	fifo_done(&stream->body);
	pthread_mutex_unlock(&stream->lock);
	return taken + left;
}

static int on_close(nghttp2_session *nghttp2, int32_t id, uint32_t code, void *context)
{
	struct session *session = context;
	struct stream *stream = find_stream(session, id);

	(void)code;
	if (!stream)
		return 0;
	(void)nghttp2_session_set_stream_user_data(nghttp2, id, NULL);
	tell_fed(session);

	size_t left = unread_body(stream);

	if (left > 0)
		(void)nghttp2_session_consume_connection(nghttp2, left);
	drop(session, stream);
	return 0;
}

/* Who is answered before it has said all need not say the rest. */
static int on_frame_sent(nghttp2_session *nghttp2, const nghttp2_frame *frame, void *context)
{
	struct stream *stream;

	if ((frame->hd.type != NGHTTP2_DATA && frame->hd.type != NGHTTP2_HEADERS) ||
	    !(frame->hd.flags & NGHTTP2_FLAG_END_STREAM))
		return 0;
	((struct session *)context)->answers++;
	stream = find_stream(context, frame->hd.stream_id);
	if (stream && !stream->body_ended)
		(void)nghttp2_submit_rst_stream(nghttp2, NGHTTP2_FLAG_NONE, stream->id,
						NGHTTP2_NO_ERROR);
	return 0;
}

/* ---- what the front calls ---------------------------------------------------------------------
 */

static int start(struct connection *connection)
{
	struct http2 *http = front_protocols_of(connection->front)->http2_context;
	const nghttp2_settings_entry settings[] = {
		{ NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, HTTP2_STREAM_COUNT_MAX },
		{ NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, HTTP2_STREAM_WINDOW },
		{ NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, REQUEST_HEAD_SIZE_MAX },
	};
	struct session *session = calloc(1, sizeof(*session));

	if (!session)
		return -ENOMEM;
	session->http = http;
	session->connection = connection;
	connection->state = session;
	connection->idle_seconds = HTTP2_IDLE_SECONDS_MAX;
	if (nghttp2_session_server_new2(&session->nghttp2, http->callbacks, session,
					http->option) ||
	    nghttp2_submit_settings(session->nghttp2, NGHTTP2_FLAG_NONE, settings,
				    sizeof(settings) / sizeof(settings[0])) ||
	    nghttp2_session_set_local_window_size(session->nghttp2, NGHTTP2_FLAG_NONE, 0,
						  HTTP2_WINDOW))
		return -ENOMEM;
	return flush_session(session);
}

static int input(struct connection *connection, const uint8_t *bytes, size_t size)
{
	struct session *session = connection->state;
	ssize_t count = nghttp2_session_mem_recv(session->nghttp2, bytes, size);

	tell_fed(session);
	if (count == NGHTTP2_ERR_FLOODED)
		front_server(connection->front)->counters.limits_hit[LIMIT_HTTP2_FLOOD]++;
	if (count < 0)
		return -EPROTO;
	assert((size_t)count == size);
	return flush_session(session);
}

static int input_ended(struct connection *connection)
{
	struct session *session = connection->state;

	/* Half closed: what is being answered is still read. */
	for (struct stream *stream = session->first; stream; stream = stream->next)
		if (!stream->body_ended)
			stream_break(stream, -ECONNRESET);
	return session->stream_count > 0 ? flush_session(session) : -ECONNRESET;
}

static int flushed(struct connection *connection)
{
	struct session *session = connection->state;
	int err = flush_session(session);

	if (!err && connection->has_ended && session->stream_count == 0 &&
	    connection_is_flushed(connection))
		return -ECONNRESET;
	return err;
}

static int noticed(struct connection *connection, struct call *call)
{
	struct session *session = connection->state;
	struct stream *stream = (struct stream *)call;

	if (!stream->is_gone) {
		size_t taken = stream_take_taken(stream);

		if (taken > 0)
			(void)nghttp2_session_consume(session->nghttp2, stream->id, taken);
	}
	return flush_session(session);
}

static int answered(struct connection *connection, struct call *call)
{
	struct session *session = connection->state;
	struct stream *stream = (struct stream *)call;

	assert(stream->is_running && session->running_count > 0);
	stream->is_running = false;
	session->running_count--;
	if (stream->is_gone) {
		forget_gone(session, stream);
		return flush_session(session);
	}

	size_t left = unread_body(stream);

	if (left > 0)
		(void)nghttp2_session_consume(session->nghttp2, stream->id, left);

	int err = submit(session, stream);

	return err ? err : flush_session(session);
}

/* As web/request.c counts it, for those who have no thread to count. */
static int check_body_clock(const struct stream *stream, uint64_t now_ns)
{
	uint64_t elapsed_ns = now_ns - stream->head_ns;
	uint64_t elapsed_s = elapsed_ns / (uint64_t)CLOCK_NS_PER_S;

	/* A handler that has begun has a clock of its own: for a file of symbols a longer one. */
	if (!stream->is_started && elapsed_ns > seconds_ns(REQUEST_BODY_SECONDS_MAX))
		return -ETIMEDOUT;
	if (elapsed_s >= REQUEST_BODY_GRACE_SECONDS &&
	    stream->body_size < elapsed_s * REQUEST_BODY_RATE_MIN)
		return -ETIME;
	return 0;
}

/* Negative ends the connection. */
static int check_stream(struct session *session, struct stream *stream, uint64_t now_ns)
{
	struct server *server = front_server(session->connection->front);

	if (!stream->head_is_whole &&
	    now_ns - stream->head_ns > seconds_ns(REQUEST_HEAD_SECONDS_MAX)) {
		server->counters.limits_hit[LIMIT_HEAD_TIME]++;
		return -ETIMEDOUT;
	}
	if (stream->is_answered &&
	    now_ns - stream->progress_ns > seconds_ns(ANSWER_STALL_SECONDS_MAX)) {
		server->counters.limits_hit[LIMIT_WRITE_TIME]++;
		(void)nghttp2_submit_rst_stream(session->nghttp2, NGHTTP2_FLAG_NONE, stream->id,
						NGHTTP2_CANCEL);
		stream->progress_ns = now_ns;
	}
	if (stream->head_is_whole && !stream->body_ended && !stream->call.body_error &&
	    !stream->is_answered && (stream->is_started || !is_ready(stream))) {
		int err = check_body_clock(stream, now_ns);

		if (err)
			stream_break(stream, err);
	}
	return 0;
}

static int tick(struct connection *connection, uint64_t now_ns)
{
	struct session *session = connection->state;

	for (struct stream *stream = session->first; stream; stream = stream->next) {
		int err = check_stream(session, stream, now_ns);

		if (err)
			return err;
	}
	/* A round trip or so after the notice: what came until now is still answered. */
	if (session->is_stopping && !session->is_terminated) {
		session->is_terminated = true;
		(void)nghttp2_submit_goaway(
			session->nghttp2, NGHTTP2_FLAG_NONE,
			nghttp2_session_get_last_proc_stream_id(session->nghttp2), NGHTTP2_NO_ERROR,
			NULL, 0);
	}
	if (connection->has_ended && session->stream_count == 0)
		return -ECONNRESET;
	if (session->is_stopping && session->stream_count == 0 && session->is_terminated &&
	    connection_is_flushed(connection)) {
		int err = flush_session(session);

		return err ? err : connection_finish(connection);
	}
	return flush_session(session);
}

static int stop(struct connection *connection)
{
	struct session *session = connection->state;

	session->is_stopping = true;
	(void)nghttp2_submit_shutdown_notice(session->nghttp2);
	return flush_session(session);
}

static void close_session(struct connection *connection)
{
	struct session *session = connection->state;

	if (!session)
		return;
	while (session->first)
		drop(session, session->first);
	while (session->gone)
		forget_gone(session, session->gone);
	nghttp2_session_del(session->nghttp2);
	session->nghttp2 = NULL;
}

static bool wants_input(const struct connection *connection)
{
	/* Who asks and does not read is not heard. */
	return connection->out.size < OUT_SIZE_MAX;
}

const struct protocol http2_protocol = {
	.start = start,
	.input = input,
	.input_ended = input_ended,
	.flushed = flushed,
	.noticed = noticed,
	.answered = answered,
	.tick = tick,
	.stop = stop,
	.close = close_session,
	.wants_input = wants_input,
};

/* ---- start and stop ---------------------------------------------------------------------------
 */

int http2_new(struct routes *routes, struct workers *workers, struct http2 **ret)
{
	autoclean(http2) struct http2 *http = calloc(1, sizeof(*http));

	if (!http || nghttp2_session_callbacks_new(&http->callbacks) ||
	    nghttp2_option_new(&http->option))
		return -ENOMEM;
	http->routes = routes;
	http->workers = workers;
	nghttp2_session_callbacks_set_on_begin_headers_callback(http->callbacks, on_begin_headers);
	nghttp2_session_callbacks_set_on_header_callback(http->callbacks, on_header);
	nghttp2_session_callbacks_set_on_frame_recv_callback(http->callbacks, on_frame);
	nghttp2_session_callbacks_set_on_data_chunk_recv_callback(http->callbacks, on_data);
	nghttp2_session_callbacks_set_on_stream_close_callback(http->callbacks, on_close);
	nghttp2_session_callbacks_set_on_frame_send_callback(http->callbacks, on_frame_sent);
	nghttp2_option_set_no_auto_window_update(http->option, 1);
	nghttp2_option_set_no_closed_streams(http->option, 1);
	nghttp2_option_set_max_outbound_ack(http->option, HTTP2_STREAM_COUNT_MAX);
	*ret = TAKE(http);
	return 0;
}

struct http2 *http2_free(struct http2 *http)
{
	if (!http)
		return NULL;
	nghttp2_session_callbacks_del(http->callbacks);
	nghttp2_option_del(http->option);
	free(http);
	return NULL;
}
