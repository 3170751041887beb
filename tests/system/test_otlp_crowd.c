/* SPDX-License-Identifier: Apache-2.0 */
/*
 * 64 connections at once, each with a request of 4 MiB by gRPC: all is stored, once, those who are
 * told to come again come again, and the server's memory stays within what it may take for them.
 */
#include <arpa/inet.h>
#include <fcntl.h>
#include <nghttp2/nghttp2.h>
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
#include "base/clock.h"
#include "tests/support/hearth.h"
#include "tests/support/otlp_maker.h"
#include "web/otlp_reader.h"

enum {
	CONNECTION_COUNT = 64,
	REQUEST_SIZE = 4 << 20,
	REQUEST_SIZE_MAX = 16 << 20,
	PERIOD_NS = 50000000, /* of otlp_make_steady() */
	GROWTH_KB_MAX = 96 << 10,
	PATIENCE_S = 300,
	READ_SIZE = 16384,
	OTHER_STATUS = 1, /* than OK */
};

/* One connection, which sends its request until it is taken. */
struct sender {
	int fd;
	nghttp2_session *session;
	struct buf request; /* in gRPC's frame */
	size_t sent;
	int grpc_status; /* -1: not told yet */
	bool has_details, is_closed;
	unsigned refusals;
	double next_try; /* 0: under way */
	bool is_done;
};

static ssize_t give_body(nghttp2_session *session, int32_t stream, uint8_t *bytes, size_t size,
			 uint32_t *flags, nghttp2_data_source *source, void *context)
{
	struct sender *sender = context;
	size_t left = sender->request.size - sender->sent;

	(void)session;
	(void)stream;
	(void)source;
	size = size < left ? size : left;
	memcpy(bytes, sender->request.bytes + sender->sent, size);
	sender->sent += size;
	if (size == left)
		*flags |= NGHTTP2_DATA_FLAG_EOF;
	return (ssize_t)size;
}

static int take_header(nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name,
		       size_t name_size, const uint8_t *value, size_t value_size, uint8_t flags,
		       void *context)
{
	struct sender *sender = context;
	struct str key = { (const char *)name, name_size };

	(void)session;
	(void)frame;
	(void)flags;
	if (str_equal(key, STR("grpc-status")) && value_size > 0)
		sender->grpc_status = value[0] == '0' ? 0 : OTHER_STATUS;
	sender->has_details |= str_equal(key, STR("grpc-status-details-bin"));
	return 0;
}

static int end_stream(nghttp2_session *session, int32_t stream, uint32_t code, void *context)
{
	struct sender *sender = context;

	(void)session;
	(void)stream;
	(void)code;
	sender->is_closed = true;
	return 0;
}

static void send_request(struct sender *sender)
{
#define HEADER(name, value)                                                                        \
	{                                                                                          \
		(uint8_t *)(name), (uint8_t *)(value), sizeof(name) - 1, sizeof(value) - 1, 0      \
	}
	const nghttp2_nv headers[] = {
		HEADER(":method", "POST"),
		HEADER(":scheme", "http"),
		HEADER(":authority", "127.0.0.1"),
		HEADER(":path", "/opentelemetry.proto.collector.profiles.v1development."
				"ProfilesService/Export"),
		HEADER("content-type", "application/grpc"),
		HEADER("te", "trailers"),
	};
#undef HEADER
	const nghttp2_data_provider body = { .read_callback = give_body };

	sender->sent = 0;
	sender->grpc_status = -1;
	sender->has_details = sender->is_closed = false;
	sender->next_try = 0;
	assert_true(nghttp2_submit_request(sender->session, NULL, headers,
					   sizeof(headers) / sizeof(headers[0]), &body, NULL) > 0);
}

static void connect_sender(struct sender *sender, unsigned port)
{
	struct sockaddr_in address = { .sin_family = AF_INET,
				       .sin_port = htons((uint16_t)port),
				       .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	nghttp2_session_callbacks *callbacks;

	sender->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_true(sender->fd >= 0);
	assert_int_equal(connect(sender->fd, (struct sockaddr *)&address, sizeof(address)), 0);
	assert_int_equal(fcntl(sender->fd, F_SETFL, O_NONBLOCK), 0);
	assert_int_equal(nghttp2_session_callbacks_new(&callbacks), 0);
	nghttp2_session_callbacks_set_on_header_callback(callbacks, take_header);
	nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, end_stream);
	assert_int_equal(nghttp2_session_client_new(&sender->session, callbacks, sender), 0);
	nghttp2_session_callbacks_del(callbacks);
	assert_int_equal(nghttp2_submit_settings(sender->session, NGHTTP2_FLAG_NONE, NULL, 0), 0);
	send_request(sender);
}

/* What could not be written of a piece is kept for the next turn. */
struct unsent {
	struct buf bytes;
	size_t done;
};

static void write_some(struct sender *sender, struct unsent *unsent)
{
	for (;;) {
		const uint8_t *piece;
		ssize_t size;
		ssize_t written;

		if (unsent->done == unsent->bytes.size) {
			buf_clear(&unsent->bytes);
			unsent->done = 0;
			size = nghttp2_session_mem_send(sender->session, &piece);
			assert_true(size >= 0);
			if (size == 0)
				return;
			buf_add(&unsent->bytes, piece, (size_t)size);
			assert_int_equal(unsent->bytes.error, 0);
		}
		written = send(sender->fd, unsent->bytes.bytes + unsent->done,
			       unsent->bytes.size - unsent->done, MSG_NOSIGNAL);
		if (written < 0)
			return;
		unsent->done += (size_t)written;
	}
}

static void read_some(struct sender *sender)
{
	uint8_t bytes[READ_SIZE];
	ssize_t size;

	while ((size = recv(sender->fd, bytes, sizeof(bytes), 0)) > 0)
		assert_true(nghttp2_session_mem_recv(sender->session, bytes, (size_t)size) == size);
	/* Nobody is sent away without a word. */
	assert_true(size < 0);
}

/* OK, or told to come again, and when. */
static void look_at_answer(struct sender *sender)
{
	if (!sender->is_closed || sender->next_try > 0)
		return;
	sender->is_done = sender->grpc_status == 0;
	if (sender->is_done)
		return;
	assert_int_equal(sender->grpc_status, OTHER_STATUS);
	/* Only who may come again is told when. */
	assert_true(sender->has_details);
	sender->refusals++;
	sender->next_try = now_seconds() + 1;
}

/* ---- the server's memory ----------------------------------------------------------------------
 */

static long status_kb(pid_t pid, const char *name)
{
	char path[64], line[256];
	long value = -1;

	snprintf(path, sizeof(path), "/proc/%d/status", (int)pid);

	FILE *file = fopen(path, "re");

	assert_non_null(file);
	while (fgets(line, sizeof(line), file))
		if (strncmp(line, name, strlen(name)) == 0)
			(void)sscanf(line + strlen(name), "%ld", &value);
	(void)fclose(file);
	assert_true(value >= 0);
	return value;
}

/* The peak counts from now on. */
static void forget_peak(pid_t pid)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/clear_refs", (int)pid);

	FILE *file = fopen(path, "we");

	assert_non_null(file);
	assert_true(fputs("5", file) >= 0);
	assert_int_equal(fclose(file), 0);
}

/* ---- the crowd --------------------------------------------------------------------------------
 */

static int count_samples(void *context, const struct otlp_profile *profile)
{
	for (size_t i = 0; i < profile->sample_count; i++)
		*(uint64_t *)context += profile->samples[i].timestamps.count;
	return 0;
}

/* The n-th request; returns its samples. */
static uint64_t make_request(size_t n, uint64_t time_ns, struct buf *framed)
{
	autoclean(buf) struct buf message = BUF(REQUEST_SIZE_MAX);
	char reason[OTLP_ERROR_SIZE];
	struct otlp_report report;
	uint64_t samples = 0;
	struct otlp_reading reading = { .take = count_samples, .context = &samples };

	otlp_make_steady(REQUEST_SIZE, n + 1, time_ns, &message);
	assert_int_equal(message.error, 0);
	*framed = BUF(REQUEST_SIZE_MAX);
	buf_add_u8(framed, 0);
	for (int shift = 24; shift >= 0; shift -= 8)
		buf_add_u8(framed, (uint8_t)(message.size >> shift));
	buf_add(framed, message.bytes, message.size);
	assert_int_equal(framed->error, 0);
	reading.bytes = (struct str){ (const char *)message.bytes, message.size };
	assert_int_equal(otlp_read(&reading, &report, reason), 0);
	return samples;
}

static void send_all(struct sender *senders)
{
	struct unsent unsent[CONNECTION_COUNT];
	double deadline = now_seconds() + PATIENCE_S;
	unsigned left = CONNECTION_COUNT;

	for (size_t i = 0; i < CONNECTION_COUNT; i++)
		unsent[i] = (struct unsent){ .bytes = BUF(REQUEST_SIZE_MAX) };
	while (left > 0 && now_seconds() < deadline) {
		struct pollfd polled[CONNECTION_COUNT];

		left = 0;
		for (size_t i = 0; i < CONNECTION_COUNT; i++) {
			struct sender *sender = &senders[i];
			bool writes;

			if (sender->next_try > 0 && now_seconds() >= sender->next_try)
				send_request(sender);
			write_some(sender, &unsent[i]);
			read_some(sender);
			if (!sender->is_done)
				look_at_answer(sender);
			left += !sender->is_done;
			writes = unsent[i].done < unsent[i].bytes.size ||
				 nghttp2_session_want_write(sender->session);
			polled[i] = (struct pollfd){
				.fd = sender->is_done ? -1 : sender->fd,
				.events = (short)(POLLIN | (writes ? POLLOUT : 0)),
			};
		}
		assert_true(poll(polled, CONNECTION_COUNT, 100) >= 0);
	}
	assert_int_equal(left, 0);
	for (size_t i = 0; i < CONNECTION_COUNT; i++)
		buf_done(&unsent[i].bytes);
}

static double held_ns(const struct hearth *hearth, uint64_t time_ns)
{
	long long ms = (long long)(time_ns / 1000000);
	json_t *flame = hearth_get(hearth,
				   "/api/v1/flame?from=%lld&to=%lld&type=process_cpu:cpu:"
				   "nanoseconds:cpu:nanoseconds",
				   ms - 60000, ms + 60000);
	double total = json_number_value(json_object_get(flame, "total"));

	json_decref(flame);
	return total;
}

static void a_crowd_is_stored_within_its_memory(void **state)
{
	static struct sender senders[CONNECTION_COUNT];
	static struct hearth hearth;
	const char *options[] = { "--otlp-grpc", "off", "--otlp-http", "off", NULL };
	uint64_t time_ns = (uint64_t)clock_unix_ns() - UINT64_C(5000000000);
	uint64_t samples = 0;
	unsigned refusals = 0;
	long idle_kb, peak_kb;
	double start;

	(void)state;
	hearth_start(&hearth, "serve", options);
	for (size_t i = 0; i < CONNECTION_COUNT; i++)
		samples += make_request(i, time_ns, &senders[i].request);
	idle_kb = status_kb(hearth.child.pid, "VmRSS:");
	forget_peak(hearth.child.pid);
	start = now_seconds();
	for (size_t i = 0; i < CONNECTION_COUNT; i++)
		connect_sender(&senders[i], hearth.port);
	send_all(senders);
	peak_kb = status_kb(hearth.child.pid, "VmHWM:");
	for (size_t i = 0; i < CONNECTION_COUNT; i++) {
		refusals += senders[i].refusals;
		nghttp2_session_del(senders[i].session);
		close(senders[i].fd);
		buf_done(&senders[i].request);
	}
	print_message("# %d requests of %d MiB in %.1f s, %u were told to come again: at most "
		      "%.1f MiB over the %.1f MiB of before\n",
		      CONNECTION_COUNT, REQUEST_SIZE >> 20, now_seconds() - start, refusals,
		      (double)(peak_kb - idle_kb) / 1024, (double)idle_kb / 1024);
	assert_true(held_ns(&hearth, time_ns) == (double)samples * PERIOD_NS);
	assert_in_range(peak_kb - idle_kb, 0, GROWTH_KB_MAX);
	assert_int_equal(hearth_stop(&hearth), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_crowd_is_stored_within_its_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
