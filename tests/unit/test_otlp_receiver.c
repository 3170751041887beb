/* SPDX-License-Identifier: Apache-2.0 */
/* OpenTelemetry's profiles by HTTP and gRPC: what is in the store when they are answered, whose it
 * is, and what who sent something wrong is told. */
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>
#include <zlib.h>

#include "base/cleanup.h"
#include "base/limits.h"
#include "store/store.h"
#include "store/gate.h"
#include "tests/support/answers.h"
#include "tests/support/otlp_maker.h"
#include "tests/support/pprof_maker.h"
#include "web/compression.h"
#include "web/slots.h"

#define RANGE "from=1699999990000&to=1700000060000"
#define HTTP  "/v1development/profiles"
#define GRPC  "/opentelemetry.proto.collector.profiles.v1development.ProfilesService/Export"

enum { MEMORY = 4 << 20 };

static struct str str_of(const struct buf *buf)
{
	assert_int_equal(buf->error, 0);
	return (struct str){ (const char *)buf->bytes, buf->size };
}

/* ---- sending ----------------------------------------------------------------------------------
 */

struct sending {
	const char *path, *type, *encoding;
	struct str body;
	bool is_remote;
};

static void send_to(struct fixture *fixture, const struct sending *sending,
		    struct exchange *exchange)
{
	exchange_init(exchange, "POST", sending->path ? sending->path : HTTP);
	exchange_header(exchange, "Content-Type",
			sending->type ? sending->type : "application/x-protobuf");
	exchange_header(exchange, "User-Agent", "tests/1.0");
	if (sending->encoding)
		exchange_header(exchange, "Content-Encoding", sending->encoding);
	exchange_body(exchange, sending->body);
	if (sending->is_remote) {
		exchange->request.peer.kind = PEER_REMOTE;
		exchange->request.role = ROLE_WRITER;
	}
	routes_answer(fixture->routes, &exchange->request, &exchange->reply);
}

static void assert_sent(struct fixture *fixture, const struct sending *sending, int status,
			const char *words)
{
	autoclean(exchange) struct exchange exchange;

	send_to(fixture, sending, &exchange);
	if (exchange.reply.status != status || (words && !strstr(exchange_text(&exchange), words)))
		fail_msg("%d for %d, '%s': %s", exchange.reply.status, status, words ? words : "",
			 exchange_text(&exchange));
}

static double total(struct fixture *fixture, const char *type, const char *selector)
{
	char target[512];
	struct json_value *flame;
	double sum;

	snprintf(target, sizeof(target), "/api/v1/flame?" RANGE "&type=%s&query=%s", type,
		 selector);
	flame = get(fixture, target);
	sum = number(flame, "total");
	json_value_free(flame);
	return sum;
}

/* The answer of a path as text. */
static void assert_tells(struct fixture *fixture, const char *target, const char *words)
{
	autoclean(exchange) struct exchange exchange;

	exchange_init(&exchange, "GET", target);
	routes_answer(fixture->routes, &exchange.request, &exchange.reply);
	assert_int_equal(exchange.reply.status, 200);
	if (!strstr(exchange_text(&exchange), words))
		fail_msg("'%s' is not in: %s", words, exchange_text(&exchange));
}

#define ALL "%7B%7D"

/* ---- tests ------------------------------------------------------------------------------------
 */

/* Six CPU samples of 50 ms a process, 300 us off the CPU, and 4096 bytes. */
static void check_store(struct fixture *fixture, double times)
{
	assert_true(total(fixture, CPU, ALL) == times * 3 * 6 * 50000000);
	assert_true(total(fixture, "off_cpu:off_cpu:nanoseconds::", ALL) == times * 3 * 300000);
	assert_true(total(fixture, "alloc_space:alloc_space:bytes::", ALL) == times * 3 * 4096);
}

static void every_revision_is_in_the_store_when_it_is_answered(void **state)
{
	struct fixture *fixture = *state;

	for (enum otlp_revision revision = OTLP_R1_3; revision <= OTLP_R1_10; revision++) {
		autoclean(buf) struct buf body = BUF(MEMORY);
		struct store_status status;

		otlp_make(revision, 0, &body);
		assert_sent(fixture, &(struct sending){ .body = str_of(&body) }, 200, NULL);
		/* 1.4 and 1.5 are the same bytes here, and so the same request come again. */
		check_store(fixture, revision - OTLP_R1_3 + (revision <= OTLP_R1_4 ? 1 : 0));
		store_status(fixture->small.server.store, &status);
		assert_true(status.commits > 0);
	}
	assert_tells(fixture, "/metrics",
		     "hearth_otlp_requests_total{revision=\"1.7\",result=\"accepted\"} 1\n");
	assert_tells(fixture, "/metrics",
		     "hearth_otlp_requests_total{revision=\"1.5\",result=\"accepted\"} 2\n");
	assert_tells(fixture, "/metrics", "hearth_otlp_repeated_total 1\n");
	assert_tells(fixture, "/api/v1/status",
		     "\"host\":\"127.0.0.1\",\"agent\":\"tests/1.0\",\"way\":\"http\",\"revision\":"
		     "\"1.10\"");
}

/* By what the sender says of processes that are not of this host. */
static void processes_get_their_names(void **state)
{
	struct fixture *fixture = *state;
	autoclean(buf) struct buf body = BUF(MEMORY);

	otlp_make(OTLP_R1_10, 0, &body);
	assert_sent(fixture, &(struct sending){ .body = str_of(&body) }, 200, NULL);
	assert_true(total(fixture, CPU, "%7Bservice_name%3D%22shop%22%7D") == 6 * 50000000);
	assert_true(total(fixture, CPU, "%7B%22process.executable.name%22%3D%22prog-0%22%7D") ==
		    6 * 50000000);
	/* And by our own collector's names for them. */
	assert_true(total(fixture, CPU, "%7Bprocess_name%3D%22prog-0%22%7D") == 6 * 50000000);
	/* Threads and spans are labels of samples. */
	assert_true(total(fixture, CPU, "%7Btid%3D%227%22%7D") == 3 * 5 * 50000000);
	assert_true(total(fixture, CPU, "%7Bthread_name%3D%22worker%22%7D") == 3 * 6 * 50000000);
	assert_true(total(fixture, CPU, "%7Bspan_id%3D%222d7370616e2d6964%22%7D") == 3 * 50000000);
	assert_true(total(fixture, CPU, "%7Bpid%3D%22102%22%7D") == 6 * 50000000);
}

/* A resource of one process, and a sample of it. */
static void make_process(uint64_t pid, const char *executable, const char *more,
			 struct buf *request)
{
	char text[512];
	autoclean(buf) struct buf json = BUF(MEMORY);

	snprintf(text, sizeof(text),
		 "{\"key\":\"process.pid\",\"value\":{\"intValue\":\"%llu\"}},"
		 "{\"key\":\"process.executable.name\",\"value\":{\"stringValue\":\"%s\"}}%s",
		 (unsigned long long)pid, executable, more);
	buf_printf(request,
		   "{\"resourceProfiles\":[{\"resource\":{\"attributes\":[%s]},\"scopeProfiles\":["
		   "{\"profiles\":[{\"sampleType\":{\"typeStrindex\":1,\"unitStrindex\":2},"
		   "\"periodType\":{\"typeStrindex\":3,\"unitStrindex\":4},\"period\":\"1000\","
		   "\"timeUnixNano\":\"1700000000000000000\",\"durationNano\":1000000000,"
		   "\"samples\":[{\"stackIndex\":1,\"values\":[\"3\"],\"linkIndex\":1}]}]}]}],"
		   "\"dictionary\":{\"stringTable\":[\"\",\"samples\",\"count\",\"cpu\","
		   "\"nanoseconds\",\"f\",\"f.c\"],\"functionTable\":[{},{\"nameStrindex\":5,"
		   "\"filenameStrindex\":6}],\"locationTable\":[{},{\"lines\":[{\"functionIndex\":"
		   "1,\"line\":\"12\"}]}],\"stackTable\":[{},{\"locationIndices\":[1]}],"
		   "\"linkTable\":[{},{\"traceId\":\"000102030405060708090a0b0c0d0e0f\","
		   "\"spanId\":\"AAECAwQFBgc=\"}]}}",
		   text);
}

#define SAID(key, text) ",{\"key\":\"" key "\",\"value\":{\"stringValue\":\"" text "\"}}"

/*
 * A sender in a container counts its processes from 1, and so may name any of the host's: what it
 * says of them tells that it means others.
 */
static void a_process_that_is_another_is_called_as_its_sender_says(void **state)
{
	static const struct {
		const char *executable, *more;
		double samples; /* with a name of ours */
	} cases[] = {
		{ "test_otlp_receiver", SAID("service.version", "1"), 3000 },
		{ "test_otlp_receiver_2", "", 3000 }, /* comm is cut after 15 bytes */
		{ "nginx", SAID("service.version", "2"), 0 },
		{ "test_otlp_receiver", SAID("container.id", "0123456789abcdef0123"), 0 },
		{ "test_otlp_receiver", SAID("host.name", "no-such-host"), 0 },
		{ "test_otlp_receiver", SAID("host.id", "00000000000000000000000000000001"), 0 },
		{ "test_otlp_receiver", SAID("host.id", "i-0a1b2c"), 3000 }, /* a cloud's */
	};
	struct fixture *fixture = *state;
	double before = 0;
	char selector[128];

	(void)snprintf(fixture->small.server.host_name, sizeof(fixture->small.server.host_name),
		       "here");
	snprintf(selector, sizeof(selector),
		 "%%7Bpid%%3D%%22%d%%22,service_name!~%%22unknown.*|0123.*%%22%%7D", (int)getpid());
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		autoclean(buf) struct buf body = BUF(MEMORY);
		double after;

		if (strstr(cases[i].more, "host.id") && access("/etc/machine-id", R_OK))
			continue; /* then nobody can tell */
		make_process((uint64_t)getpid(), cases[i].executable, cases[i].more, &body);
		assert_sent(fixture,
			    &(struct sending){ .type = "application/json", .body = str_of(&body) },
			    200, "{}");
		after = total(fixture, CPU, selector);
		if (after - before != cases[i].samples)
			fail_msg("%s%s: %.0f", cases[i].executable, cases[i].more, after - before);
		before = after;
	}
}

/* Its own collector would call it by its cgroup; the test's own process is one of this host. */
static void a_process_of_this_host_is_called_as_ours(void **state)
{
	struct fixture *fixture = *state;
	autoclean(buf) struct buf here = BUF(MEMORY);
	autoclean(buf) struct buf gone = BUF(MEMORY);
	char selector[128];

	make_process((uint64_t)getpid(), "test_otlp_receiver", "", &here);
	make_process(4194303, "test_elsewhere", "", &gone);
	assert_sent(fixture, &(struct sending){ .type = "application/json", .body = str_of(&here) },
		    200, "{}");
	assert_sent(fixture,
		    &(struct sending){ .type = "application/json; charset=utf-8",
				       .body = str_of(&gone) },
		    200, "{}");
	snprintf(selector, sizeof(selector),
		 "%%7Bpid%%3D%%22%d%%22,service_name!~%%22unknown.*%%22%%7D", (int)getpid());
	assert_true(total(fixture, CPU, selector) == 3000);
	assert_true(total(fixture, CPU,
			  "%7Bservice_name%3D%22unknown_service:test_elsewhere%22%7D") == 3000);
	assert_true(total(fixture, CPU, "%7Bspan_id%3D%220001020304050607%22%7D") == 6000);
	assert_true(total(fixture, CPU, "%7B__otel__%3D%22true%22%7D") == 6000);
}

static void it_comes_packed(void **state)
{
	struct fixture *fixture = *state;
	autoclean(buf) struct buf body = BUF(MEMORY);

	otlp_make(OTLP_R1_8, 0, &body);
	assert_int_equal(compression_gzip(&body), 0);
	assert_sent(fixture, &(struct sending){ .encoding = "gzip", .body = str_of(&body) }, 200,
		    NULL);
	check_store(fixture, 1);
	/* As zlib packs, which HTTP calls deflate. */
	buf_clear(&body);
	otlp_make(OTLP_R1_8, OTLP_MAKER_UNKNOWN, &body);
	uLongf size = compressBound(body.size);
	uint8_t *packed = malloc(size);

	assert_non_null(packed);
	assert_int_equal(compress(packed, &size, body.bytes, body.size), Z_OK);
	assert_sent(fixture,
		    &(struct sending){ .encoding = "deflate", .body = { (char *)packed, size } },
		    200, NULL);
	check_store(fixture, 2);
	assert_sent(
		fixture,
		&(struct sending){ .encoding = "deflate", .body = { (char *)packed, size - 5 } },
		400, "unpacked");
	free(packed);
	assert_sent(fixture, &(struct sending){ .encoding = "br", .body = str_of(&body) }, 415,
		    "gzip, zstd, deflate, snappy and lz4");
	assert_sent(fixture, &(struct sending){ .encoding = "gzip", .body = STR("none") }, 400,
		    "unpacked");
	assert_tells(fixture, "/metrics", "hearth_otlp_refused_total{reason=\"encoding\"} 3\n");
}

static void frame(const struct buf *message, bool is_packed, struct buf *framed)
{
	buf_add_u8(framed, is_packed);
	for (int shift = 24; shift >= 0; shift -= 8)
		buf_add_u8(framed, (uint8_t)(message->size >> shift));
	buf_add(framed, message->bytes, message->size);
}

static const char *status_of(const struct exchange *exchange)
{
	for (size_t i = 0; i < exchange->reply.trailer_count; i++)
		if (str_equal(exchange->reply.trailers[i].name, STR("grpc-status")))
			return exchange->reply.trailers[i].value.text;
	for (size_t i = 0; i < exchange->reply.header_count; i++)
		if (str_equal(exchange->reply.headers[i].name, STR("grpc-status")))
			return exchange->reply.headers[i].value.text;
	return "none";
}

static void call_grpc(struct fixture *fixture, const char *path, struct str body,
		      const char *encoding, struct exchange *exchange)
{
	exchange_init(exchange, "POST", path);
	exchange->request.version = HTTP_2;
	exchange_header(exchange, "Content-Type", "application/grpc");
	if (encoding)
		exchange_header(exchange, "grpc-encoding", encoding);
	exchange_body(exchange, body);
	routes_answer(fixture->routes, &exchange->request, &exchange->reply);
}

static void assert_grpc(struct fixture *fixture, struct str body, const char *encoding,
			const char *status)
{
	autoclean(exchange) struct exchange exchange;

	call_grpc(fixture, GRPC, body, encoding, &exchange);
	assert_int_equal(exchange.reply.status, 200);
	assert_string_equal(status_of(&exchange), status);
	/* An empty message in its frame. */
	if (!strcmp(status, "0"))
		assert_memory_equal(exchange.reply.body.bytes, "\0\0\0\0\0", 5);
}

static void it_comes_by_grpc(void **state)
{
	struct fixture *fixture = *state;
	autoclean(buf) struct buf message = BUF(MEMORY);
	autoclean(buf) struct buf plain = BUF(MEMORY);
	autoclean(buf) struct buf packed = BUF(MEMORY);
	autoclean(exchange) struct exchange health;

	otlp_make(OTLP_R1_9, 0, &message);
	frame(&message, false, &plain);
	assert_grpc(fixture, str_of(&plain), NULL, "0");
	check_store(fixture, 1);

	buf_clear(&message);
	otlp_make(OTLP_R1_9, OTLP_MAKER_UNKNOWN, &message);
	assert_int_equal(compression_gzip(&message), 0);
	frame(&message, true, &packed);
	assert_grpc(fixture, str_of(&packed), "gzip", "0");
	check_store(fixture, 2);

	/* No message, one and a half, packed as nobody knows or as it does not say. */
	assert_grpc(fixture, STR(""), NULL, "13");
	assert_grpc(fixture, (struct str){ (char *)plain.bytes, plain.size - 1 }, NULL, "13");
	buf_add_u8(&plain, 0);
	assert_grpc(fixture, str_of(&plain), NULL, "13");
	assert_grpc(fixture, str_of(&packed), "snail", "12");
	assert_grpc(fixture, str_of(&packed), NULL, "13");
	assert_grpc(fixture, STR("\0\xff\xff\xff\xff"), NULL, "8");
	assert_grpc(fixture, STR("\0\0\0\0\x04none"), NULL, "3");
	check_store(fixture, 2);

	call_grpc(fixture, "/grpc.health.v1.Health/Check", STR("\0\0\0\0\0"), NULL, &health);
	assert_string_equal(status_of(&health), "0");
	assert_memory_equal(health.reply.body.bytes, "\0\0\0\0\x02\x08\x01", 7);
}

/* What is good is stored; of the rest the answer tells. */
static void a_part_may_be_refused(void **state)
{
	struct fixture *fixture = *state;
	static const char request[] =
		"{\"resourceProfiles\":[{\"scopeProfiles\":[{\"profiles\":["
		"{\"sampleType\":{\"typeStrindex\":1,\"unitStrindex\":2},"
		"\"timeUnixNano\":\"1700000000000000000\",\"samples\":[{\"stackIndex\":1,"
		"\"values\":[2]}]},"
		"{\"sampleType\":{\"typeStrindex\":1,\"unitStrindex\":2},"
		"\"timeUnixNano\":\"1700000000000000000\",\"samples\":[{\"stackIndex\":%s,"
		"\"values\":[2]}]}]}]}],\"dictionary\":{\"stringTable\":[\"\",\"things\",\"count\"]"
		","
		"\"stackTable\":[{},{}]}}";
	char text[1024];

	snprintf(text, sizeof(text), request, "99");
	assert_sent(fixture,
		    &(struct sending){ .type = "application/json", .body = str_from(text) }, 200,
		    "{\"partialSuccess\":{\"rejectedProfiles\":\"1\",\"errorMessage\":\"left out: "
		    "1 samples whose stack is not there, 1 profiles none of whose samples is of "
		    "use\"}}");
	assert_true(total(fixture, "things:things:count::", ALL) == 2);
	assert_tells(fixture, "/metrics", "hearth_otlp_flaws_total{kind=\"stack_index\"} 1\n");
	assert_tells(fixture, "/metrics",
		     "hearth_otlp_profiles_total{revision=\"1.10\",result=\"refused\"} 1\n");
}

static void what_is_wrong_is_told(void **state)
{
	struct fixture *fixture = *state;
	autoclean(exchange) struct exchange exchange;

	assert_sent(fixture, &(struct sending){ .body = STR("") }, 200, NULL);
	assert_sent(fixture, &(struct sending){ .body = STR("no protobuf") }, 400, "protobuf");
	assert_sent(fixture, &(struct sending){ .type = "text/plain", .body = STR("") }, 415,
		    "application/json");
	assert_sent(fixture, &(struct sending){ .type = "application/json", .body = STR("{") }, 400,
		    "\"code\":3,\"message\":\"it ends too early");
	assert_sent(fixture,
		    &(struct sending){ .type = "application/json",
				       .body = STR("{\"resourceProfiles\":[{\"scopeProfiles\":"
						   "[{\"profiles\":[{\"period\":\"soon\"}]}]}]}") },
		    400, "'period' is no whole number");
	exchange_init(&exchange, "GET", HTTP);
	routes_answer(fixture->routes, &exchange.request, &exchange.reply);
	assert_int_equal(exchange.reply.status, 405);
	assert_tells(fixture, "/metrics", "hearth_otlp_refused_total{reason=\"content_type\"} 1\n");
}

/* Who comes while others are stored waits; when too many do, they are told to come again. */
static void a_crowd_is_told_to_come_again(void **state)
{
	struct fixture *fixture = *state;
	struct slots *slots = NULL;
	struct slots *own = fixture->small.server.push_slots;
	autoclean(buf) struct buf body = BUF(MEMORY);
	autoclean(buf) struct buf framed = BUF(MEMORY);
	autoclean(exchange) struct exchange exchange;
	bool has_details = false;

	assert_int_equal(slots_new(1, 0, &slots), 0);
	assert_int_equal(slots_enter(slots, 0), 0);
	fixture->small.server.push_slots = slots;
	otlp_make(OTLP_R1_10, 0, &body);
	frame(&body, false, &framed);
	assert_sent(fixture, &(struct sending){ .body = str_of(&body) }, 429, "try again later");
	call_grpc(fixture, GRPC, str_of(&framed), NULL, &exchange);
	assert_string_equal(status_of(&exchange), "14");
	for (size_t i = 0; i < exchange.reply.header_count; i++)
		has_details |=
			str_equal(exchange.reply.headers[i].name, STR("grpc-status-details-bin"));
	assert_true(has_details);
	fixture->small.server.push_slots = own;
	slots_leave(slots);
	slots_free(slots);
	assert_sent(fixture, &(struct sending){ .body = str_of(&body) }, 200, NULL);
	check_store(fixture, 1);
}

/* … before anything of their bodies is read: whoever sends by HTTP/2 then has no room to send more.
 */
static void a_crowd_waits_with_its_bodies(void **state)
{
	struct fixture *fixture = *state;
	struct slots *slots = NULL;
	struct slots *own = fixture->small.server.otlp_places;
	autoclean(buf) struct buf body = BUF(MEMORY);
	autoclean(exchange) struct exchange exchange;
	char piece[16];

	assert_int_equal(slots_new(1, 0, &slots), 0);
	assert_int_equal(slots_enter(slots, 0), 0);
	fixture->small.server.otlp_places = slots;
	otlp_make(OTLP_R1_10, 0, &body);
	exchange_init(&exchange, "POST", "/v1development/profiles");
	exchange_header(&exchange, "Content-Type", "application/x-protobuf");
	exchange_body(&exchange, str_of(&body));
	routes_answer(fixture->routes, &exchange.request, &exchange.reply);
	assert_int_equal(exchange.reply.status, 429);
	assert_int_equal(exchange.request.read_body(&exchange.request, piece, sizeof(piece)),
			 sizeof(piece));
	assert_memory_equal(piece, body.bytes, sizeof(piece));
	assert_tells(fixture, "/metrics", "hearth_otlp_receiving_requests 1\n");
	fixture->small.server.otlp_places = own;
	slots_leave(slots);
	slots_free(slots);
	assert_sent(fixture, &(struct sending){ .body = str_of(&body) }, 200, NULL);
	assert_tells(fixture, "/metrics", "hearth_otlp_receiving_requests 0\n");
	check_store(fixture, 1);
}

static void *send_in_a_thread(void *context)
{
	struct fixture *fixture = context;
	autoclean(buf) struct buf body = BUF(MEMORY);

	otlp_make(OTLP_R1_10, 0, &body);
	assert_sent(fixture, &(struct sending){ .body = str_of(&body) }, 200, NULL);
	return NULL;
}

/* Reading takes many times a request's size, so that large ones are read one after the other. */
static void requests_wait_until_there_is_room_to_read_them(void **state)
{
	struct fixture *fixture = *state;
	struct gate *gate = fixture->small.server.otlp_gate;
	uint64_t taken = 0, waiting = 0;
	pthread_t thread;

	assert_int_equal(gate_enter(gate, OTLP_AT_ONCE_SIZE_MAX, 0, &taken), 0);
	assert_int_equal(pthread_create(&thread, NULL, send_in_a_thread, fixture), 0);
	while (waiting < 2) { /* tickets that were given out */
		sched_yield();
		(void)pthread_mutex_lock(&gate->lock);
		waiting = gate->next_ticket;
		(void)pthread_mutex_unlock(&gate->lock);
	}
	check_store(fixture, 0);
	gate_leave(gate, taken);
	assert_int_equal(pthread_join(thread, NULL), 0);
	check_store(fixture, 1);
	gate_figures(gate, &taken, &waiting);
	assert_int_equal(taken, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(every_revision_is_in_the_store_when_it_is_answered,
						open_with_writer, close_with_writer),
		cmocka_unit_test_setup_teardown(processes_get_their_names, open_with_writer,
						close_with_writer),
		cmocka_unit_test_setup_teardown(a_process_of_this_host_is_called_as_ours,
						open_with_writer, close_with_writer),
		cmocka_unit_test_setup_teardown(
			a_process_that_is_another_is_called_as_its_sender_says, open_with_writer,
			close_with_writer),
		cmocka_unit_test_setup_teardown(it_comes_packed, open_with_writer,
						close_with_writer),
		cmocka_unit_test_setup_teardown(it_comes_by_grpc, open_with_writer,
						close_with_writer),
		cmocka_unit_test_setup_teardown(a_part_may_be_refused, open_with_writer,
						close_with_writer),
		cmocka_unit_test_setup_teardown(what_is_wrong_is_told, open_with_writer,
						close_with_writer),
		cmocka_unit_test_setup_teardown(requests_wait_until_there_is_room_to_read_them,
						open_with_writer, close_with_writer),
		cmocka_unit_test_setup_teardown(a_crowd_is_told_to_come_again, open_with_writer,
						close_with_writer),
		cmocka_unit_test_setup_teardown(a_crowd_waits_with_its_bodies, open_with_writer,
						close_with_writer),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
