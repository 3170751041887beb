/* SPDX-License-Identifier: Apache-2.0 */
#include "web/stream.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <strings.h>

#include "base/parse.h"
#include "web/front.h"
#include "web/reply.h"
#include "web/routes.h"

/* As much as the worker has taken is announced to the client as room at once. */
enum { TAKEN_STEP = 32 << 10 };

static void destroy(struct call *call)
{
	struct stream *stream = (struct stream *)call;

	buf_done(&stream->text);
	buf_done(&stream->path);
	fifo_done(&stream->body);
	fifo_done(&stream->held);
	(void)pthread_cond_destroy(&stream->changed);
	(void)pthread_mutex_destroy(&stream->lock);
}

struct stream *stream_new(struct connection *connection, struct routes *routes, int32_t id)
{
	struct call *call = call_new(connection, sizeof(struct stream), destroy);
	struct stream *stream = (struct stream *)call;

	if (!call)
		return NULL;
	(void)pthread_mutex_init(&stream->lock, NULL);
	(void)pthread_cond_init(&stream->changed, NULL);
	stream->routes = routes;
	stream->id = id;
	stream->text = BUF(REQUEST_HEAD_SIZE_MAX + 1);
	stream->path = BUF(REQUEST_HEAD_SIZE_MAX);
	buf_add_u8(&stream->text, 0); /* so that no text begins at 0 */
	return stream;
}

/* ---- the head ---------------------------------------------------------------------------------
 */

static void refuse(struct stream *stream, int status, enum limit limit, const char *why)
{
	if (stream->refusal)
		return;
	stream->refusal = status;
	stream->refusal_limit = limit;
	stream->refusal_why = why;
}

static void add_pseudo(struct stream *stream, struct str name, struct str value)
{
	static const struct str names[] = { { ":method", 7 },
					    { ":path", 5 },
					    { ":authority", 10 } };
	size_t *places[] = { &stream->method_at, &stream->target_at, &stream->authority_at };
	size_t *sizes[] = { &stream->method_size, &stream->target_size, &stream->authority_size };

	for (size_t i = 0; i < 3; i++) {
		if (!str_equal(name, names[i]))
			continue;
		*places[i] = stream->text.size;
		*sizes[i] = value.size;
		buf_add_str(&stream->text, value);
	}
}

void stream_add_header(struct stream *stream, struct str name, struct str value)
{
	struct request *request = &stream->request;

	assert(!stream->head_is_whole);
	if (stream->refusal)
		return;
	if (name.size > 0 && name.text[0] == ':') {
		add_pseudo(stream, name, value);
	} else if (request->header_count == REQUEST_HEADER_COUNT_MAX) {
		refuse(stream, 431, LIMIT_HEADER_COUNT, "there are more than 63 headers");
	} else {
		size_t place = request->header_count++;

		stream->offsets[place][0] = stream->text.size;
		buf_add_str(&stream->text, name);
		stream->offsets[place][1] = stream->text.size;
		buf_add_str(&stream->text, value);
		request->headers[place] = (struct header){ name, value }; /* their sizes, so far */
	}
	if (stream->text.error)
		refuse(stream, 431, LIMIT_HEAD_SIZE,
		       "request line and headers are longer than 16384 bytes");
}

static struct str text_at(const struct stream *stream, size_t offset, size_t size)
{
	assert(offset + size <= stream->text.size);
	return (struct str){ (const char *)stream->text.bytes + offset, size };
}

/* :authority stands for Host; whoever sends both must mean the same. */
static void take_authority(struct stream *stream)
{
	struct request *request = &stream->request;
	struct str authority = text_at(stream, stream->authority_at, stream->authority_size);
	size_t hosts = 0;

	for (size_t i = 0; i < request->header_count; i++) {
		if (!str_equal(request->headers[i].name, STR("host")))
			continue;
		hosts++;
		if (stream->authority_at && !str_equal(request->headers[i].value, authority))
			refuse(stream, 400, LIMIT_NONE, "host and :authority differ");
	}
	if (hosts + (stream->authority_at > 0) == 0 || hosts > 1)
		refuse(stream, 400, LIMIT_NONE, "there must be one Host");
	if (hosts > 0 || stream->refusal)
		return;
	if (request->header_count == REQUEST_HEADER_COUNT_MAX)
		refuse(stream, 431, LIMIT_HEADER_COUNT, "there are more than 63 headers");
	else
		request->headers[request->header_count++] =
			(struct header){ STR("host"), authority };
}

static bool is_gone(const struct request *request)
{
	return call_is_abandoned(request->client);
}

static int64_t read_body(struct request *request, void *bytes, size_t size);

void stream_end_head(struct stream *stream)
{
	struct request *request = &stream->request;
	struct str target;

	assert(!stream->head_is_whole);
	stream->head_is_whole = true;
	if (stream->refusal)
		return;
	for (size_t i = 0; i < request->header_count; i++) {
		struct header *header = &request->headers[i];

		header->name.text = (const char *)stream->text.bytes + stream->offsets[i][0];
		header->value.text = (const char *)stream->text.bytes + stream->offsets[i][1];
	}
	if (!stream->method_at || !stream->target_at ||
	    stream->text.bytes[stream->target_at] != '/') {
		refuse(stream, 400, LIMIT_NONE, "the path must begin with '/'");
		return;
	}
	take_authority(stream);
	request->method = text_at(stream, stream->method_at, stream->method_size);
	stream->call.is_for_head = str_equal(request->method, STR("HEAD"));
	request->query = text_at(stream, stream->target_at, stream->target_size);
	(void)parse_next(&request->query, '?', &target);
	if (request_decode(target, false, &stream->path))
		refuse(stream, 400, LIMIT_NONE, "the path is not percent-encoded as it should be");
	request->path = (struct str){ (const char *)stream->path.bytes, stream->path.size };
	request->peer = stream->call.peer;
	request->version = HTTP_2;
	request->read_body = read_body;
	request->body_context = stream;
	request->is_gone = is_gone;
	request->client = &stream->call;
}

/* ---- the body ---------------------------------------------------------------------------------
 */

int stream_add_body(struct stream *stream, const uint8_t *bytes, size_t size)
{
	pthread_mutex_lock(&stream->lock);

	int err = fifo_add(&stream->body, bytes, size);

	pthread_mutex_unlock(&stream->lock);
	stream->body_size += size;
	return err;
}

void stream_tell_reader(struct stream *stream)
{
	pthread_cond_signal(&stream->changed); /* who wakes finds the lock free */
}

void stream_end_body(struct stream *stream)
{
	pthread_mutex_lock(&stream->lock);
	stream->body_ended = true;
	pthread_mutex_unlock(&stream->lock);
	stream_tell_reader(stream);
}

void stream_break(struct stream *stream, int err)
{
	assert(err < 0);
	pthread_mutex_lock(&stream->lock);
	if (!stream->body_ended)
		stream->call.body_error = err;
	pthread_mutex_unlock(&stream->lock);
	stream_tell_reader(stream);
}

size_t stream_take_taken(struct stream *stream)
{
	pthread_mutex_lock(&stream->lock);

	size_t taken = stream->taken;

	stream->taken = 0;
	pthread_mutex_unlock(&stream->lock);
	return taken;
}

/* Waits for more of it, and takes all there is. 0: it has ended; negative: it is broken. */
static int take_body(struct stream *stream)
{
	bool is_step = false;
	int taken = 1;

	pthread_mutex_lock(&stream->lock);
	while (stream->body.size == 0 && !stream->body_ended && !stream->call.body_error)
		pthread_cond_wait(&stream->changed, &stream->lock);
	if (stream->body.size == 0) {
		taken = stream->body_ended ? 0 : stream->call.body_error;
		fifo_done(&stream->held);
	} else {
		struct fifo emptied = stream->held;

		/* What was emptied takes what follows, until it has ended. */
		if (stream->body_ended)
			fifo_done(&emptied);
		stream->held = stream->body;
		stream->body = emptied;
		is_step = stream->taken < TAKEN_STEP &&
			  stream->taken + stream->held.size >= TAKEN_STEP;
		stream->taken += stream->held.size;
	}
	pthread_mutex_unlock(&stream->lock);
	if (is_step)
		front_notice(&stream->call);
	return taken;
}

static int64_t read_body(struct request *request, void *bytes, size_t size)
{
	struct stream *stream = request->body_context;
	int taken = stream->held.size > 0 ? 1 : take_body(stream);

	if (taken <= 0)
		return taken;
	if (size > stream->held.size)
		size = stream->held.size;
	memcpy(bytes, fifo_bytes(&stream->held), size);
	fifo_take(&stream->held, size);
	return (int64_t)size;
}

/* ---- the answer -------------------------------------------------------------------------------
 */

static void run(struct job *job)
{
	struct stream *stream = (struct stream *)((char *)job - offsetof(struct stream, job));

	routes_answer(stream->routes, &stream->request, &stream->call.reply);
	fifo_done(&stream->held); /* of a body that nobody wanted to the end */
	front_return(&stream->call);
}

bool stream_tell(struct stream *stream)
{
	assert(stream->head_is_whole && !stream->refusal && !stream->call.is_taken);
	if (stream->body_size > 0 || !routes_can_tell(&stream->request))
		return false;
	routes_answer(stream->routes, &stream->request, &stream->call.reply);
	return true;
}

void stream_start(struct stream *stream, struct workers *workers)
{
	assert(stream->head_is_whole && !stream->refusal && !stream->call.is_taken);
	(void)call_hold(&stream->call);
	stream->call.is_taken = true;
	stream->job = (struct job){ .run = run };
	workers_give(workers, &stream->job);
}
