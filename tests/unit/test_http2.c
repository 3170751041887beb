/* SPDX-License-Identifier: Apache-2.0 */
/* HTTP/2 frame by frame, as no client library would send it; and floods of frames. */
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/limits.h"
#include "base/settings.h"
#include "web/door.h"
#include "web/server.h"

enum {
	PATIENCE_S = 60,
	FRAME_SIZE_MAX = 16384,

	/* RFC 9113 6 and 7. */
	DATA = 0,
	HEADERS = 1,
	PRIORITY = 2,
	RST_STREAM = 3,
	SETTINGS = 4,
	PING = 6,
	GOAWAY = 7,
	WINDOW_UPDATE = 8,
	CONTINUATION = 9,
	END_STREAM = 1,
	ACK = 1,
	END_HEADERS = 4,
	NO_ERROR = 0,
	PROTOCOL_ERROR = 1,
	CANCEL = 8,
	ENHANCE_YOUR_CALM = 11,
};

struct fixture {
	struct settings settings;
	struct server server; /* without a store: nothing here gets as far as to ask one */
	struct door *door;
};

static int start(void **state)
{
	struct fixture *fixture = calloc(1, sizeof(*fixture));
	char error[DOOR_ERROR_SIZE] = "";

	assert_non_null(fixture);
	settings_defaults(&fixture->settings);
	snprintf(fixture->settings.http, sizeof(fixture->settings.http), "127.0.0.1:0");
	fixture->server.settings = &fixture->settings;
	if (door_start(&fixture->server, &fixture->door, error))
		fail_msg("%s", error);
	*state = fixture;
	return 0;
}

static int stop(void **state)
{
	struct fixture *fixture = *state;

	assert_null(door_stop(fixture->door));
	free(fixture);
	return 0;
}

/* ---- frames -----------------------------------------------------------------------------------
 */

static void add_frame(struct buf *buf, uint8_t type, uint8_t flags, uint32_t stream,
		      struct str payload)
{
	for (int shift = 16; shift >= 0; shift -= 8)
		buf_add_u8(buf, (uint8_t)(payload.size >> shift));
	buf_add_u8(buf, type);
	buf_add_u8(buf, flags);
	for (int shift = 24; shift >= 0; shift -= 8)
		buf_add_u8(buf, (uint8_t)(stream >> shift));
	buf_add_str(buf, payload);
}

/* A field of HPACK, literal and not indexed, both texts in plain (RFC 7541 6.2.2). */
static void add_field(struct buf *block, const char *name, const char *value)
{
	size_t size = strlen(value);

	buf_add_u8(block, 0);
	buf_add_u8(block, (uint8_t)strlen(name));
	buf_add_str(block, str_from(name));
	if (size < 127) {
		buf_add_u8(block, (uint8_t)size);
	} else {
		buf_add_u8(block, 127);
		buf_add_varint(block, size - 127);
	}
	buf_add_str(block, str_from(value));
}

static void add_request(struct buf *block, const char *method, const char *path)
{
	add_field(block, ":method", method);
	add_field(block, ":scheme", "http");
	add_field(block, ":authority", "localhost");
	add_field(block, ":path", path);
}

static struct str block_of(const struct buf *buf)
{
	assert_int_equal(buf->error, 0);
	return (struct str){ (const char *)buf->bytes, buf->size };
}

/* False when the other end is gone. */
static bool say(int fd, struct buf *frames)
{
	size_t done = 0;

	while (done < frames->size) {
		ssize_t count = send(fd, frames->bytes + done, frames->size - done, MSG_NOSIGNAL);

		if (count < 0)
			return false;
		done += (size_t)count;
	}
	buf_clear(frames);
	return true;
}

static int dial(const struct fixture *fixture)
{
	autoclean(buf) struct buf hello = BUF(4096);
	struct sockaddr_in address = { .sin_family = AF_INET,
				       .sin_port = htons(door_port(fixture->door)),
				       .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	struct timeval patience = { .tv_sec = PATIENCE_S };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0);
	assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)), 0);
	assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	buf_add_str(&hello, STR("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"));
	add_frame(&hello, SETTINGS, 0, 0, STR(""));
	assert_true(say(fd, &hello));
	return fd;
}

struct frame {
	uint8_t type, flags;
	uint32_t stream;
	size_t size;
	uint8_t payload[FRAME_SIZE_MAX];
};

static bool receive(int fd, void *bytes, size_t size)
{
	return size == 0 || recv(fd, bytes, size, MSG_WAITALL) == (ssize_t)size;
}

static uint32_t number_at(const uint8_t *bytes)
{
	return (uint32_t)bytes[0] << 24 | (uint32_t)bytes[1] << 16 | (uint32_t)bytes[2] << 8 |
	       bytes[3];
}

static bool hear(int fd, struct frame *frame)
{
	uint8_t head[9];

	if (!receive(fd, head, sizeof(head)))
		return false;
	frame->size = (size_t)head[0] << 16 | (size_t)head[1] << 8 | head[2];
	frame->type = head[3];
	frame->flags = head[4];
	frame->stream = number_at(head + 5);
	assert_true(frame->size <= FRAME_SIZE_MAX);
	return receive(fd, frame->payload, frame->size);
}

/* The next frame of this type; false when the connection ends before. */
static bool hear_type(int fd, uint8_t type, struct frame *frame)
{
	while (hear(fd, frame))
		if (frame->type == type)
			return true;
	return false;
}

/*
 * The status of an answer: its name stands first in our answers, and is either one of the static
 * table (RFC 7541, 8 is 200, 12 is 400, 13 is 404) or a literal with the name of the table.
 */
static int status_of(const struct frame *frame)
{
	static const int indexed[] = { 200, 204, 206, 304, 400, 404, 500 };
	const uint8_t *bytes = frame->payload;

	assert_int_equal(frame->type, HEADERS);
	/* A change of the table's size may stand before. */
	while ((bytes[0] & 0xe0) == 0x20)
		bytes++;
	if (bytes[0] >= 0x88 && bytes[0] <= 0x8e)
		return indexed[bytes[0] - 0x88];
	assert_true((bytes[0] & 0x3f) == 8 || (bytes[0] & 0x0f) == 8);
	/* nghttp2 packs digits by Huffman when that is shorter: of three, two bytes. */
	if (bytes[1] & 0x80) {
		/* 5 bits: 0 1 2 are 00000 00001 00010; 6 bits: 3.. are 011001.. (appendix B) */
		uint32_t bits = (uint32_t)bytes[2] << 16 | (uint32_t)bytes[3] << 8 | bytes[4];
		int status = 0;
		int at = 24;

		for (int i = 0; i < 3; i++) {
			uint32_t five = bits >> (at - 5) & 31;

			if (five <= 2) {
				status = status * 10 + (int)five;
				at -= 5;
			} else {
				status = status * 10 + (int)(bits >> (at - 6) & 63) - 0x19 + 3;
				at -= 6;
			}
		}
		return status;
	}
	return (bytes[2] - '0') * 100 + (bytes[3] - '0') * 10 + bytes[4] - '0';
}

/* The status of the next answer; its body is added. 0 when it is reset or the connection ends. */
static int hear_answer(int fd, uint32_t stream, struct buf *body)
{
	struct frame frame;
	int status = 0;

	while (hear(fd, &frame)) {
		if (frame.stream != stream ||
		    (frame.type != HEADERS && frame.type != DATA && frame.type != RST_STREAM))
			continue;
		if (frame.type == RST_STREAM)
			return 0;
		if (frame.type == HEADERS && !status)
			status = status_of(&frame);
		if (frame.type == DATA && body)
			buf_add(body, frame.payload, frame.size);
		if (frame.flags & END_STREAM)
			return status;
	}
	return 0;
}

static int ask(const struct fixture *fixture, const char *method, const char *path,
	       const char *name, const char *value)
{
	autoclean(buf) struct buf block = BUF(1 << 16);
	autoclean(buf) struct buf frames = BUF(1 << 16);
	autoclose int fd = dial(fixture);

	add_request(&block, method, path);
	if (name)
		add_field(&block, name, value);
	add_frame(&frames, HEADERS, END_HEADERS | END_STREAM, 1, block_of(&block));
	assert_true(say(fd, &frames));
	return hear_answer(fd, 1, NULL);
}

/* ---- requests ---------------------------------------------------------------------------------
 */

static void answers_as_http1_does(void **state)
{
	static const struct {
		const char *method, *path, *name, *value;
		int status; /* 0: the stream is reset, the request is none */
	} cases[] = {
		{ "GET", "/healthz", NULL, NULL, 200 },
		{ "HEAD", "/healthz", NULL, NULL, 200 },
		{ "GET", "/heal%74hz", NULL, NULL, 200 },
		{ "GET", "/no/such", NULL, NULL, 404 },
		{ "GET", "/..%2f..%2fetc/passwd", NULL, NULL, 404 },
		{ "POST", "/healthz", NULL, NULL, 405 },
		{ "GET", "/querier.v1.QuerierService/LabelValues", NULL, NULL, 405 },
		{ "GET", "/healthz?a=%zz", NULL, NULL, 400 },
		{ "GET", "/%zz", NULL, NULL, 400 },
		{ "GET", "/%00", NULL, NULL, 400 },
		{ "GET", "/healthz", "host", "localhost", 200 },
		{ "GET", "/healthz", "host", "evil.example", 400 },
		{ "GET", "/metrics", "sec-fetch-site", "cross-site", 403 },
		{ "GET", "/metrics", "x-forwarded-for", "127.0.0.1", 403 },
		{ "GET", "/metrics", "authorization", "Bearer wrong", 401 },
		{ "GET", "relative", NULL, NULL, 0 },
		{ "GET", "", NULL, NULL, 0 },
		{ "GET", "*", NULL, NULL, 0 },
		{ "GET", "/healthz", "Upper", "case", 0 },
		{ "GET", "/healthz", "connection", "close", 0 },
		{ "GET", "/healthz", "transfer-encoding", "chunked", 0 },
		{ "GET", "/healthz", "te", "gzip", 0 },
		{ "GET", "/healthz", ":path", "/twice", 0 },
		{ "GET", "/healthz", ":unknown", "x", 0 },
		{ "GET", "/healthz", "a b", "x", 0 },
		{ "GET", "/healthz", "content-length", "7", 0 },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		int status =
			ask(*state, cases[i].method, cases[i].path, cases[i].name, cases[i].value);

		if (status != cases[i].status)
			fail_msg("%d instead of %d for %s %s with %s: %s", status, cases[i].status,
				 cases[i].method, cases[i].path,
				 cases[i].name ? cases[i].name : "nothing",
				 cases[i].value ? cases[i].value : "");
	}
}

static void knows_its_limits_of_heads(void **state)
{
	struct fixture *fixture = *state;
	autofree char *long_value = malloc(8000);

	memset(long_value, 'x', 7999);
	long_value[7999] = '\0';
	for (int round = 0; round < 4; round++) {
		autoclean(buf) struct buf block = BUF(1 << 18);
		autoclean(buf) struct buf frames = BUF(1 << 18);
		autoclose int fd = dial(fixture);
		struct str rest;
		uint8_t type = HEADERS;

		add_request(&block, "GET", "/healthz");
		/* 62 and 63 headers besides :authority; 8 kB, and 24. */
		for (int i = 0; round < 2 && i < 62 + round; i++)
			add_field(&block, "x", "y");
		for (int i = 0; round >= 2 && i < (round == 2 ? 1 : 3); i++)
			add_field(&block, "x", long_value);
		rest = block_of(&block);
		while (rest.size > 0) {
			size_t size = rest.size < FRAME_SIZE_MAX ? rest.size : FRAME_SIZE_MAX;
			uint8_t flags = (uint8_t)((type == HEADERS ? END_STREAM : 0) |
						  (size == rest.size ? END_HEADERS : 0));

			add_frame(&frames, type, flags, 1, (struct str){ rest.text, size });
			rest = (struct str){ rest.text + size, rest.size - size };
			type = CONTINUATION;
		}
		assert_true(say(fd, &frames));
		assert_int_equal(hear_answer(fd, 1, NULL), round == 0 || round == 2 ? 200 : 431);
	}
	assert_true(fixture->server.counters.limits_hit[LIMIT_HEADER_COUNT] > 0);
	assert_true(fixture->server.counters.limits_hit[LIMIT_HEAD_SIZE] > 0);
}

/* A body in pieces, with room asked for as it goes; and one that is refused before its end. */
static void reads_bodies_and_refuses_large_ones(void **state)
{
	enum { SIZE = 900000 };
	autofree char *spaces = malloc(FRAME_SIZE_MAX);

	memset(spaces, ' ', FRAME_SIZE_MAX);
	for (int round = 0; round < 2; round++) {
		autoclean(buf) struct buf block = BUF(1 << 16);
		autoclean(buf) struct buf frames = BUF(1 << 16);
		autoclean(buf) struct buf body = BUF(1 << 20);
		autoclose int fd = dial(*state);
		size_t size = round ? 2 << 20 : SIZE;
		int64_t room = 65535, stream_room = 65535; /* until SETTINGS are heard */
		size_t sent = 0;
		struct frame frame;
		int status = 0;

		add_request(&block, "POST", "/querier.v1.QuerierService/LabelValues");
		add_field(&block, "content-type", "application/json");
		add_frame(&frames, HEADERS, END_HEADERS, 1, block_of(&block));
		assert_true(say(fd, &frames));
		while (!status || !(frame.flags & END_STREAM)) {
			while (sent < size && room > 0 && stream_room > 0 && !status) {
				size_t piece =
					size - sent < FRAME_SIZE_MAX ? size - sent : FRAME_SIZE_MAX;

				if ((int64_t)piece > room)
					piece = (size_t)room;
				if ((int64_t)piece > stream_room)
					piece = (size_t)stream_room;
				sent += piece;
				room -= (int64_t)piece;
				stream_room -= (int64_t)piece;
				add_frame(&frames, DATA, sent == size ? END_STREAM : 0, 1,
					  (struct str){ spaces, piece });
				if (!say(fd, &frames))
					break;
			}
			assert_true(hear(fd, &frame));
			if (frame.type == WINDOW_UPDATE)
				*(frame.stream ? &stream_room : &room) += number_at(frame.payload);
			if (frame.type == SETTINGS && !(frame.flags & ACK)) {
				/* It holds once it is acknowledged. */
				add_frame(&frames, SETTINGS, ACK, 0, STR(""));
				assert_true(say(fd, &frames));
				stream_room += (256 << 10) - 65535;
			}
			if (frame.type == HEADERS && frame.stream == 1)
				status = status_of(&frame);
			if (frame.type == DATA && frame.stream == 1)
				buf_add(&body, frame.payload, frame.size);
			if (frame.stream != 1)
				frame.flags = 0;
		}
		buf_add_u8(&body, 0);
		assert_int_equal(status, round ? 413 : 400);
		assert_non_null(strstr((char *)body.bytes,
				       round ? "takes no more than 1048576 bytes" : "unmarshal"));
		assert_true(round ? sent < size : sent == size);
		/* Who is answered before the end need not say the rest. */
		if (round) {
			assert_true(hear_type(fd, RST_STREAM, &frame));
			assert_int_equal(number_at(frame.payload), NO_ERROR);
		}
	}
}

/* The connection goes on for all others when one is reset, refused or slow. */
static void keeps_streams_apart(void **state)
{
	autoclean(buf) struct buf block = BUF(1 << 16);
	autoclean(buf) struct buf get = BUF(1 << 16);
	autoclean(buf) struct buf frames = BUF(1 << 20);
	autoclose int fd = dial(*state);
	int answered = 0;
	struct frame frame;

	add_request(&block, "POST", "/querier.v1.QuerierService/LabelValues");
	add_field(&block, "content-type", "application/json");
	add_request(&get, "GET", "/healthz");
	for (uint32_t i = 0; i < 40; i++) {
		uint32_t stream = 1 + 2 * i;
		uint32_t cancel = htonl(CANCEL);

		/* One that gets no body, one that is answered, one that is reset. */
		if (i % 3 == 0)
			add_frame(&frames, HEADERS, END_HEADERS, stream, block_of(&block));
		else
			add_frame(&frames, HEADERS, END_HEADERS | END_STREAM, stream,
				  block_of(&get));
		if (i % 3 == 2)
			add_frame(&frames, RST_STREAM, 0, stream,
				  (struct str){ (char *)&cancel, 4 });
	}
	assert_true(say(fd, &frames));
	while (answered < 13 && hear(fd, &frame))
		answered += frame.type == DATA && (frame.flags & END_STREAM) &&
			    (frame.stream / 2) % 3 == 1;
	assert_int_equal(answered, 13);
}

/* ---- floods -----------------------------------------------------------------------------------
 */

enum flood {
	FLOOD_RESETS,
	FLOOD_SETTINGS,
	FLOOD_PINGS,
	FLOOD_PRIORITY,
	FLOOD_EMPTY_DATA,
	FLOOD_CONTINUATION,
	FLOOD_COUNT
};

static void add_flood(enum flood flood, uint32_t i, const struct buf *get, const struct buf *post,
		      struct buf *frames)
{
	static const char cancel[] = { 0, 0, 0, CANCEL };

	switch (flood) {
	case FLOOD_RESETS:
		add_frame(frames, HEADERS, END_HEADERS | END_STREAM, 1 + 2 * i, block_of(get));
		add_frame(frames, RST_STREAM, 0, 1 + 2 * i, (struct str){ cancel, 4 });
		break;
	case FLOOD_SETTINGS:
		add_frame(frames, SETTINGS, 0, 0, (struct str){ "\0\3\0\0\0\144", 6 });
		break;
	case FLOOD_PINGS:
		add_frame(frames, PING, 0, 0, STR("12345678"));
		break;
	case FLOOD_PRIORITY:
		add_frame(frames, PRIORITY, 0, 1 + 2 * i, (struct str){ "\0\0\0\0\20", 5 });
		break;
	case FLOOD_EMPTY_DATA:
		if (i == 0)
			add_frame(frames, HEADERS, END_HEADERS, 1, block_of(post));
		add_frame(frames, DATA, 0, 1, STR(""));
		break;
	case FLOOD_CONTINUATION:
		if (i == 0)
			add_frame(frames, HEADERS, 0, 1, block_of(get));
		add_frame(frames, CONTINUATION, 0, 1, STR("\0\1a\1b\0\1a\1b"));
		break;
	case FLOOD_COUNT:
		break;
	}
}

static void ends_floods(void **state)
{
	enum { FRAME_COUNT = 200000, AT_ONCE = 50 };
	struct fixture *fixture = *state;
	autoclean(buf) struct buf get = BUF(1 << 16);
	autoclean(buf) struct buf post = BUF(1 << 16);

	add_request(&get, "GET", "/page.js");
	add_request(&post, "POST", "/querier.v1.QuerierService/LabelValues");
	add_field(&post, "content-type", "application/json");
	for (int flood = 0; flood < FLOOD_COUNT; flood++) {
		autoclean(buf) struct buf frames = BUF(1 << 20);
		autoclose int fd = dial(fixture);
		uint64_t before = fixture->server.counters.limits_hit[LIMIT_HTTP2_FLOOD];
		struct frame frame = { .size = 0 };
		uint32_t count = 0;
		bool goes_on = true;

		while (goes_on && count < FRAME_COUNT) {
			struct pollfd ended = { .fd = fd, .events = POLLRDHUP };

			for (int i = 0; i < AT_ONCE; i++)
				add_flood((enum flood)flood, count++, &get, &post, &frames);
			goes_on = say(fd, &frames) && poll(&ended, 1, 0) == 0;
		}
		if (count >= FRAME_COUNT)
			fail_msg("flood %d goes on", flood);
		/* nghttp2 has no word for who floods a head. */
		if (flood != FLOOD_CONTINUATION && hear_type(fd, GOAWAY, &frame))
			assert_int_equal(number_at(frame.payload + 4), ENHANCE_YOUR_CALM);
		if (flood != FLOOD_CONTINUATION)
			assert_true(fixture->server.counters.limits_hit[LIMIT_HTTP2_FLOOD] >
				    before);
		/* Others don't notice. */
		assert_int_equal(ask(fixture, "GET", "/healthz", NULL, NULL), 200);
	}
}

/* A hundred answers that are asked for and not read: few are made, and all are ended. */
static void makes_few_answers_that_nobody_reads(void **state)
{
	struct fixture *fixture = *state;
	autoclean(buf) struct buf get = BUF(1 << 16);
	autoclean(buf) struct buf frames = BUF(1 << 20);
	autoclose int fd = dial(fixture);
	uint64_t before = fixture->server.counters.requests;
	uint64_t ended = fixture->server.counters.limits_hit[LIMIT_WRITE_TIME];
	struct frame frame;
	int resets = 0;

	add_request(&get, "GET", "/page.js");
	/* The window of every stream is nothing. */
	add_frame(&frames, SETTINGS, 0, 0, (struct str){ "\0\4\0\0\0\0", 6 });
	for (uint32_t i = 0; i < 100; i++)
		add_frame(&frames, HEADERS, END_HEADERS | END_STREAM, 1 + 2 * i, block_of(&get));
	assert_true(say(fd, &frames));
	assert_int_equal(ask(fixture, "GET", "/healthz", NULL, NULL), 200);
	while (resets == 0 && hear(fd, &frame))
		resets += frame.type == RST_STREAM;
	assert_int_equal(resets, 1);
	assert_int_equal(number_at(frame.payload), CANCEL);
	/* A megabyte of unread answers, a hundred and eighty kB each, and those that ran then. */
	assert_in_range(fixture->server.counters.requests - before, 4, 30);
	assert_true(fixture->server.counters.limits_hit[LIMIT_WRITE_TIME] > ended);
}

/* Every worker has a body to wait for; the end of it never comes. */
static void stall(int fd)
{
	autofree char *spaces = calloc(1, FRAME_SIZE_MAX);
	autoclean(buf) struct buf block = BUF(1 << 16);
	autoclean(buf) struct buf frames = BUF(1 << 20);
	struct frame frame;

	assert_true(hear_type(fd, SETTINGS, &frame));
	add_frame(&frames, SETTINGS, ACK, 0, STR(""));
	add_request(&block, "POST", "/querier.v1.QuerierService/LabelValues");
	add_field(&block, "content-type", "application/json");
	for (uint32_t i = 0; i < HTTP2_RUNNING_MAX; i++) {
		add_frame(&frames, HEADERS, END_HEADERS, 1 + 2 * i, block_of(&block));
		for (size_t size = 0; size < REQUEST_BODY_START_SIZE; size += FRAME_SIZE_MAX)
			add_frame(&frames, DATA, 0, 1 + 2 * i,
				  (struct str){ spaces, FRAME_SIZE_MAX });
	}
	add_frame(&frames, PING, 0, 0, STR("all sent"));
	assert_true(say(fd, &frames));
	do
		assert_true(hear_type(fd, PING, &frame));
	while (!(frame.flags & ACK));
}

/* Somebody who asks whether the server lives must not hear that it is busy. */
static void tells_its_health_while_every_worker_waits(void **state)
{
	enum { COUNT = WORKER_COUNT_MAX / HTTP2_RUNNING_MAX };
	autoclean(buf) struct buf busy_one = BUF(1 << 16);
	autoclean(buf) struct buf health = BUF(1 << 16);
	autoclean(buf) struct buf page = BUF(1 << 16);
	autoclean(buf) struct buf frames = BUF(1 << 16);
	uint32_t order[3];
	struct frame frame;
	int busy[COUNT];

	for (size_t i = 0; i < COUNT; i++) {
		busy[i] = dial(*state);
		stall(busy[i]);
	}

	autoclose int fd = dial(*state);

	add_request(&busy_one, "GET", "/api/v1/status/config/diff");
	add_request(&health, "GET", "/healthz");
	add_request(&page, "GET", "/icon.svg");
	add_frame(&frames, HEADERS, END_HEADERS | END_STREAM, 1, block_of(&busy_one));
	add_frame(&frames, HEADERS, END_HEADERS | END_STREAM, 3, block_of(&health));
	add_frame(&frames, HEADERS, END_HEADERS | END_STREAM, 5, block_of(&page));
	assert_true(say(fd, &frames));
	for (size_t i = 0; i < 3; i++) {
		for (size_t j = 0; i == 2 && j < COUNT; j++)
			close(busy[j]); /* and there is a worker again */
		assert_true(hear_type(fd, HEADERS, &frame));
		assert_int_equal(status_of(&frame), 200);
		order[i] = frame.stream;
	}
	assert_int_equal(order[0], 3);
	assert_int_equal(order[1], 5);
	assert_int_equal(order[2], 1);
}

/* ---- the end ----------------------------------------------------------------------------------
 */

static void says_goodbye(void **state)
{
	struct fixture *fixture = *state;
	autoclose int fd = dial(fixture);
	struct frame frame;
	uint32_t last = 0;
	int count = 0;
	char error[DOOR_ERROR_SIZE];

	assert_true(hear_type(fd, SETTINGS, &frame));
	fixture->door = door_stop(fixture->door);
	/* First that it will end, then where. */
	while (hear_type(fd, GOAWAY, &frame)) {
		assert_int_equal(number_at(frame.payload + 4), NO_ERROR);
		last = number_at(frame.payload);
		count++;
		if (count == 1)
			assert_int_equal(last, 0x7fffffff);
	}
	assert_int_equal(count, 2);
	assert_int_equal(last, 0);
	if (door_start(&fixture->server, &fixture->door, error))
		fail_msg("%s", error);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(answers_as_http1_does),
		cmocka_unit_test(knows_its_limits_of_heads),
		cmocka_unit_test(reads_bodies_and_refuses_large_ones),
		cmocka_unit_test(keeps_streams_apart),
		cmocka_unit_test(ends_floods),
		cmocka_unit_test(makes_few_answers_that_nobody_reads),
		cmocka_unit_test(tells_its_health_while_every_worker_waits),
		cmocka_unit_test(says_goodbye),
	};

	return cmocka_run_group_tests(tests, start, stop);
}
