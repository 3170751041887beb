/* SPDX-License-Identifier: Apache-2.0 */
/*
 * kill -9 of the server while several senders send to it by OTLP: what it acknowledged is in the
 * store, once, and what it did not is there whole or not at all. HEARTH_SEED repeats a run,
 * HEARTH_OTLP_KILLS makes it longer.
 */
#include <arpa/inet.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/folder.h"
#include "tests/support/hearth.h"
#include "tests/support/tier.h"

#define CPU "process_cpu:cpu:nanoseconds:cpu:nanoseconds"

enum {
	KILL_COUNT = 5,
	KILL_COUNT_LONG = 50,
	SENDER_COUNT = 3,
	REQUEST_COUNT_MAX = 20000,
	BODY_SIZE_MAX = 1 << 20,
	SAMPLE_COUNT = 500, /* of a request, each of two ticks of a millisecond */
	WORTH_NS = SAMPLE_COUNT * 2 * 1000000,
	PAUSE_MS = 400, /* the longest between a start and the next kill */
};

enum outcome { UNSENT, UNANSWERED, REFUSED, ACKNOWLEDGED };

struct sending {
	atomic_uint port;
	atomic_uint next; /* request */
	atomic_bool is_over;
	_Atomic uint8_t outcomes[REQUEST_COUNT_MAX];
	int64_t start_ms;
};

/* One whose only series is service_name="r-NUMBER". */
static void make_request(const struct sending *sending, unsigned number, struct buf *body)
{
	buf_printf(body,
		   "{\"resourceProfiles\":[{\"resource\":{\"attributes\":[{\"key\":"
		   "\"service.name\",\"value\":{\"stringValue\":\"r-%u\"}}]},\"scopeProfiles\":"
		   "[{\"profiles\":[{\"sampleType\":{\"typeStrindex\":1,\"unitStrindex\":2},"
		   "\"periodType\":{\"typeStrindex\":3,\"unitStrindex\":4},\"period\":\"1000000\","
		   "\"timeUnixNano\":\"%lld000000\",\"durationNano\":\"1000000000\",\"samples\":[",
		   number, (long long)sending->start_ms);
	for (int i = 0; i < SAMPLE_COUNT; i++)
		buf_printf(body, "%s{\"stackIndex\":%d,\"values\":[\"2\"]}", i ? "," : "",
			   1 + i % 2);
	buf_printf(
		body,
		"]}]}]}],\"dictionary\":{\"mappingTable\":[{}],\"linkTable\":[{}],"
		"\"attributeTable\":[{}],\"functionTable\":[{},{\"nameStrindex\":5},"
		"{\"nameStrindex\":6}],\"locationTable\":[{},{\"lines\":[{\"functionIndex\":1}]},"
		"{\"lines\":[{\"functionIndex\":2}]}],\"stackTable\":[{},{\"locationIndices\":"
		"[1]},{\"locationIndices\":[2,1]}],\"stringTable\":[\"\",\"samples\",\"count\","
		"\"cpu\",\"nanoseconds\",\"main\",\"work\"]}}");
}

static bool send_all(int fd, const void *bytes, size_t size)
{
	const char *at = bytes;

	while (size > 0) {
		ssize_t sent = send(fd, at, size, MSG_NOSIGNAL);

		if (sent <= 0)
			return false;
		at += sent;
		size -= (size_t)sent;
	}
	return true;
}

/* In a thread, where nothing may fail the test: what became of it. */
static enum outcome post(unsigned port, const struct buf *body)
{
	struct sockaddr_in address = { .sin_family = AF_INET,
				       .sin_port = htons((uint16_t)port),
				       .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	struct timeval patience = { .tv_sec = 20 };
	autoclose int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	char head[256], answer[64] = "";
	size_t size = 0;

	snprintf(head, sizeof(head),
		 "POST /v1development/profiles HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n"
		 "Content-Type: application/json\r\nContent-Length: %zu\r\n\r\n",
		 body->size);
	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)) ||
	    connect(fd, (struct sockaddr *)&address, sizeof(address)) ||
	    !send_all(fd, head, strlen(head)) || !send_all(fd, body->bytes, body->size))
		return UNANSWERED;
	while (size < sizeof(answer) - 1) {
		ssize_t got = recv(fd, answer + size, sizeof(answer) - 1 - size, 0);

		if (got <= 0)
			break;
		size += (size_t)got;
	}
	if (size < 12)
		return UNANSWERED;
	return strncmp(answer, "HTTP/1.1 200", 12) == 0 ? ACKNOWLEDGED : REFUSED;
}

static void *send_on(void *context)
{
	struct sending *sending = context;
	autoclean(buf) struct buf body = BUF(BODY_SIZE_MAX);

	while (!sending->is_over) {
		unsigned port = sending->port;
		unsigned number;

		if (port == 0) {
			sleep_seconds(0.005);
			continue;
		}
		number = sending->next++;
		if (number >= REQUEST_COUNT_MAX)
			break;
		buf_clear(&body);
		make_request(sending, number, &body);
		sending->outcomes[number] = (uint8_t)post(port, &body);
	}
	return NULL;
}

static double held_of(const struct hearth *hearth, const struct sending *sending, unsigned number)
{
	json_t *flame = hearth_get(hearth,
				   "/api/v1/flame?from=%lld&to=%lld&type=" CPU
				   "&query=%%7Bservice_name%%3D%%22r-%u%%22%%7D",
				   (long long)sending->start_ms - 60000,
				   (long long)sending->start_ms + 60000, number);
	double total = json_number_value(json_object_get(flame, "total"));

	json_decref(flame);
	return total;
}

static void check_all(const struct hearth *hearth, const struct sending *sending)
{
	unsigned counts[4] = { 0 }, whole = 0;
	unsigned sent = sending->next < REQUEST_COUNT_MAX ? sending->next : REQUEST_COUNT_MAX;

	for (unsigned i = 0; i < sent; i++) {
		enum outcome outcome = (enum outcome)sending->outcomes[i];
		double held = held_of(hearth, sending, i);

		counts[outcome]++;
		if (outcome == ACKNOWLEDGED ? held != WORTH_NS : held != 0 && held != WORTH_NS)
			fail_msg("of request %u, which was %s, %.0f of %d ns are there", i,
				 outcome == ACKNOWLEDGED ? "acknowledged" : "not acknowledged",
				 held, WORTH_NS);
		whole += outcome != ACKNOWLEDGED && held != 0;
	}
	print_message("# %u requests: %u acknowledged, all there; %u unanswered, of which %u are "
		      "there; %u refused\n",
		      sent, counts[ACKNOWLEDGED], counts[UNANSWERED] + counts[UNSENT], whole,
		      counts[REFUSED]);
	assert_true(counts[ACKNOWLEDGED] > 0);
	/* It hit some of them, or nothing was asked. */
	assert_true(counts[UNANSWERED] > 0);
}

static void keeps_what_it_acknowledged(void **state)
{
	static struct sending sending;
	static struct hearth hearth;
	uint64_t kills = tier_number("HEARTH_OTLP_KILLS", KILL_COUNT, KILL_COUNT_LONG);
	pthread_t senders[SENDER_COUNT];
	char program[256];
	static char output[1 << 16];

	(void)state;
	srandom((unsigned)tier_seed());
	hearth_start(&hearth, "serve", NULL);
	sending.start_ms = clock_unix_ms() - 5000;
	sending.port = hearth.port;
	for (int i = 0; i < SENDER_COUNT; i++)
		assert_int_equal(pthread_create(&senders[i], NULL, send_on, &sending), 0);
	for (uint64_t i = 0; i < kills; i++) {
		sleep_seconds(0.05 + (double)(random() % PAUSE_MS) / 1000);
		sending.port = 0;
		assert_int_equal(kill(hearth.child.pid, SIGKILL), 0);
		assert_int_equal(child_wait(&hearth.child, 20), 256 + SIGKILL);
		hearth_start_again(&hearth, "serve", NULL);
		sending.port = hearth.port;
	}
	sending.is_over = true;
	for (int i = 0; i < SENDER_COUNT; i++)
		assert_int_equal(pthread_join(senders[i], NULL), 0);
	check_all(&hearth, &sending);
	assert_int_equal(child_stop(&hearth.child, 20), 0);
	if (shell_output(output, sizeof(output), "%s store verify --data %s 2>&1",
			 build_path("hearth", program, sizeof(program)), hearth.folder))
		fail_msg("%s", output);
	folder_remove(hearth.folder);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(keeps_what_it_acknowledged),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
