/* SPDX-License-Identifier: Apache-2.0 */
/* Questions to a real store, as routes.c passes them on, and the answers byte by byte. */
#include <errno.h>
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <zlib.h>

#include "base/cleanup.h"
#include "store/batch.h"
#include "store/store.h"
#include "proto/pyroscope.pb-c.h"
#include "tests/support/answers.h"
#include "web/message_json.h"

#define JSON  "application/json"
#define PROTO "application/proto"

static void fill_with_vectors(struct fixture *fixture)
{
	static const struct sample samples[] = {
		{ "x", "1", "main;a", 3, NULL },
		{ "x", "1", "main;b;c", 5, NULL },
		{ "x", "2", "main;b", 2, NULL },
		{ "x", "2", "init", 1, NULL },
	};

	append(fixture, BASE_MS, samples, 4);
}

/* ---- asking -----------------------------------------------------------------------------------
 */

struct method {
	const char *name;
	const ProtobufCMessageDescriptor *question;
	const ProtobufCMessageDescriptor *answer;
};

static const struct method *find_method(const char *name)
{
	static const struct method methods[] = {
		{ "ProfileTypes", &pyroscope__profile_types_request__descriptor,
		  &pyroscope__profile_types_response__descriptor },
		{ "LabelNames", &pyroscope__label_names_request__descriptor,
		  &pyroscope__label_names_response__descriptor },
		{ "LabelValues", &pyroscope__label_values_request__descriptor,
		  &pyroscope__label_values_response__descriptor },
		{ "Series", &pyroscope__series_request__descriptor,
		  &pyroscope__series_response__descriptor },
		{ "SelectSeries", &pyroscope__select_series_request__descriptor,
		  &pyroscope__select_series_response__descriptor },
		{ "SelectMergeStacktraces",
		  &pyroscope__select_merge_stacktraces_request__descriptor,
		  &pyroscope__select_merge_stacktraces_response__descriptor },
		{ "SelectMergeProfile", &pyroscope__select_merge_profile_request__descriptor,
		  &pprof__profile__descriptor },
	};

	for (size_t i = 0; i < sizeof(methods) / sizeof(methods[0]); i++)
		if (strcmp(methods[i].name, name) == 0)
			return &methods[i];
	fail_msg("%s is no method", name);
	return NULL;
}

/* The same question in protobuf; false when it is none. */
static bool pack_question(const struct method *method, const char *body, struct buf *packed)
{
	autoclean(arena) struct arena arena = ARENA(1 << 20);
	autoclean(json_value) struct json_value *json = NULL;
	char error[MESSAGE_ERROR_SIZE] = "";
	const ProtobufCMessage *message = NULL;

	if (json_value_parse(str_from(body), &json, error) ||
	    message_from_json(method->question, json, &arena, &message, error))
		return false;
	message_pack(message, packed);
	assert_int_equal(packed->error, 0);
	return true;
}

/* An answer in protobuf, as JSON would have it. */
static void unpack_answer(const struct method *method, const struct exchange *exchange,
			  struct buf *text)
{
	autoclean(arena) struct arena arena = ARENA(1 << 20);
	char error[MESSAGE_ERROR_SIZE] = "";
	const ProtobufCMessage *message = NULL;
	struct json_writer json = JSON_WRITER(text);
	struct str bytes = { (const char *)exchange->reply.body.bytes, exchange->reply.body.size };

	if (message_unpack(method->answer, bytes, &arena, &message, error))
		fail_msg("%s: %s", method->name, error);
	message_to_json(message, &json);
	buf_add_u8(text, 0);
	assert_int_equal(text->error, 0);
}

/* In both encodings. */
static void assert_answer(struct fixture *fixture, const char *name, const char *body,
			  const char *expected)
{
	const struct method *method = find_method(name);
	autoclean(exchange) struct exchange exchange;
	autoclean(exchange) struct exchange binary;
	autoclean(buf) struct buf packed = BUF(1 << 20);
	autoclean(buf) struct buf text = BUF(1 << 20);

	call(fixture, name, JSON, str_from(body), &exchange);
	assert_string_equal(exchange_text(&exchange), expected);
	assert_int_equal(exchange.reply.status, 200);
	assert_string_equal(exchange.reply.content_type, JSON);

	assert_true(pack_question(method, body, &packed));
	call(fixture, name, PROTO, (struct str){ (const char *)packed.bytes, packed.size },
	     &binary);
	assert_int_equal(binary.reply.status, 200);
	assert_string_equal(binary.reply.content_type, PROTO);
	unpack_answer(method, &binary, &text);
	assert_string_equal((const char *)text.bytes, expected);
}

/* Errors are JSON, whatever the question was. */
static void assert_error(struct fixture *fixture, const char *name, const char *body, int status,
			 const char *expected)
{
	autoclean(exchange) struct exchange exchange;
	autoclean(exchange) struct exchange binary = { 0 };
	autoclean(buf) struct buf packed = BUF(1 << 20);

	call(fixture, name, JSON, str_from(body), &exchange);
	if (!strstr(exchange_text(&exchange), expected))
		fail_msg("%s: %s", body, exchange_text(&exchange));
	assert_int_equal(exchange.reply.status, status);
	if (!pack_question(find_method(name), body, &packed))
		return;
	call(fixture, name, PROTO, (struct str){ (const char *)packed.bytes, packed.size },
	     &binary);
	assert_string_equal(exchange_text(&binary), exchange_text(&exchange));
	assert_int_equal(binary.reply.status, status);
	assert_string_equal(binary.reply.content_type, JSON);
}

#define ASK "\"profile_typeID\":\"" CPU "\",\"start\":1,\"end\":\"1700003600000\""

/* ---- SelectMergeStacktraces -------------------------------------------------------------------
 */

static void draws_the_worked_example(void **state)
{
	fill_with_vectors(*state);
	assert_answer(*state, "SelectMergeStacktraces",
		      "{" ASK ",\"labelSelector\":\"{service_name=\\\"x\\\",}\"}",
		      "{\"flamegraph\":{\"names\":[\"total\",\"init\",\"main\",\"a\",\"b\",\"c\"],"
		      "\"levels\":[{\"values\":[\"0\",\"11\",\"0\",\"0\"]},"
		      "{\"values\":[\"0\",\"1\",\"1\",\"1\",\"0\",\"10\",\"0\",\"2\"]},"
		      "{\"values\":[\"1\",\"3\",\"3\",\"3\",\"0\",\"7\",\"2\",\"4\"]},"
		      "{\"values\":[\"6\",\"5\",\"5\",\"5\"]}],"
		      "\"total\":\"11\",\"maxSelf\":\"5\"}}");
}

static void cuts_the_worked_example(void **state)
{
	fill_with_vectors(*state);
	assert_answer(*state, "SelectMergeStacktraces", "{" ASK ",\"max_nodes\":3}",
		      "{\"flamegraph\":{\"names\":[\"total\",\"main\",\"b\",\"c\",\"other\"],"
		      "\"levels\":[{\"values\":[\"0\",\"11\",\"0\",\"0\"]},"
		      "{\"values\":[\"0\",\"10\",\"0\",\"1\",\"0\",\"1\",\"1\",\"4\"]},"
		      "{\"values\":[\"0\",\"7\",\"2\",\"2\",\"0\",\"3\",\"3\",\"4\"]},"
		      "{\"values\":[\"2\",\"5\",\"5\",\"3\"]}],"
		      "\"total\":\"11\",\"maxSelf\":\"5\"}}");
}

static void keeps_only_stacks_below_a_call_site(void **state)
{
	fill_with_vectors(*state);
	assert_answer(
		*state, "SelectMergeStacktraces",
		"{" ASK ",\"stackTraceSelector\":{\"call_site\":[{\"name\":\"main\"},"
		"{\"name\":\"b\"}],\"frame_filter\":{}}}",
		"{\"flamegraph\":{\"names\":[\"total\",\"main\",\"b\",\"c\"],"
		"\"levels\":[{\"values\":[\"0\",\"7\",\"0\",\"0\"]},"
		"{\"values\":[\"0\",\"7\",\"0\",\"1\"]},{\"values\":[\"0\",\"7\",\"2\",\"2\"]},"
		"{\"values\":[\"2\",\"5\",\"5\",\"3\"]}],\"total\":\"7\",\"maxSelf\":\"5\"}}");
}

static void draws_nothing_as_one_bar(void **state)
{
	static const char empty[] = "{\"flamegraph\":{\"names\":[\"total\"],"
				    "\"levels\":[{\"values\":[\"0\",\"0\",\"0\",\"0\"]}]}}";

	assert_answer(*state, "SelectMergeStacktraces", "{" ASK "}", empty);
	fill_with_vectors(*state);
	assert_answer(*state, "SelectMergeStacktraces",
		      "{" ASK ",\"label_selector\":\"{service_name=\\\"y\\\"}\"}", empty);
	assert_answer(*state, "SelectMergeStacktraces",
		      "{" ASK ",\"profileIdSelector\":[\"7c9e6679-7425-40de-944b-e07fc1f90ae7\"]}",
		      empty);
	assert_answer(*state, "SelectMergeStacktraces",
		      "{" ASK ",\"spanSelector\":[\"0123456789abcdef\"]}", empty);
}

static void refuses_wrong_questions(void **state)
{
	static const struct {
		const char *body;
		int status;
		const char *expected;
	} cases[] = {
		{ "{\"profileTypeID\":\"cpu\",\"start\":1,\"end\":2}", 400,
		  "{\"code\":\"invalid_argument\",\"message\":\"profile-type selection must be of "
		  "the form "
		  "<name>:<sample-type>:<sample-unit>:<period-type>:<period-unit>(:delta), "
		  "got(1): \\\"cpu\\\"\"}" },
		{ "{\"profileTypeID\":\"" CPU "\",\"start\":2,\"end\":1}", 400,
		  "query start time is after end time" },
		{ "{\"profileTypeID\":\"" CPU "\",\"start\":2}", 400, "missing time range" },
		{ "{" ASK ",\"maxNodes\":-1}", 400, "max flamegraph nodes limit" },
		{ "{" ASK ",\"maxNodes\":1048577}", 400, "max flamegraph nodes limit" },
		{ "{" ASK ",\"labelSelector\":\"{service_name\"}", 400, "parse label selector" },
		{ "{" ASK ",\"labelSelector\":\"{a=~\\\"(\\\"}\"}", 400, "parse label selector" },
		{ "{" ASK ",\"spanSelector\":[\"xyz\"]}", 400, "malformed id" },
		{ "{" ASK ",\"profileIdSelector\":[\"1\"]}", 400, "malformed id" },
		{ "{" ASK ",\"spanSelector\":[\"0123456789abcdef\"],\"traceIdSelector\":["
		  "\"0123456789abcdef0123456789abcdef\"]}",
		  400, "exclude each other" },
		{ "{" ASK ",\"stackTraceSelector\":{\"call_site\":[1]}}", 400, "call_site" },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		assert_error(*state, "SelectMergeStacktraces", cases[i].body, cases[i].status,
			     cases[i].expected);
}

static void takes_a_format_that_nobody_knows(void **state)
{
	autoclean(exchange) struct exchange exchange;

	call(*state, "SelectMergeStacktraces", JSON,
	     STR("{" ASK ",\"format\":99,\"labelSelector\":\"\",\"newField\":[{}]}"), &exchange);
	assert_int_equal(exchange.reply.status, 200);
}

/* ---- other formats ----------------------------------------------------------------------------
 */

static void writes_the_worked_example_as_a_tree(void **state)
{
	fill_with_vectors(*state);
	/* 000002 046d61696e0002 01620201 01630500 01610300 04696e69740100 */
	assert_answer(*state, "SelectMergeStacktraces",
		      "{" ASK ",\"format\":\"PROFILE_FORMAT_TREE\"}",
		      "{\"tree\":\"AAACBG1haW4AAgFiAgEBYwUAAWEDAARpbml0AQA=\"}");
	/* "other" stands last, so comes first. */
	assert_answer(*state, "SelectMergeStacktraces", "{" ASK ",\"format\":2,\"maxNodes\":3}",
		      "{\"tree\":\"AAACBW90aGVyAQAEbWFpbgACBW90aGVyAwABYgIBAWMFAA==\"}");
}

#define PPROF                                                                                      \
	"\"sampleType\":[{\"type\":\"7\",\"unit\":\"8\"}],"                                        \
	"\"sample\":[{\"locationId\":[\"1\"],\"value\":[\"1\"]},"                                  \
	"{\"locationId\":[\"2\",\"3\"],\"value\":[\"3\"]},"                                        \
	"{\"locationId\":[\"4\",\"3\"],\"value\":[\"2\"]},"                                        \
	"{\"locationId\":[\"5\",\"4\",\"3\"],\"value\":[\"5\"]}],"                                 \
	"\"location\":[{\"id\":\"1\",\"line\":[{\"functionId\":\"1\"}]},"                          \
	"{\"id\":\"2\",\"line\":[{\"functionId\":\"3\"}]},"                                        \
	"{\"id\":\"3\",\"line\":[{\"functionId\":\"2\"}]},"                                        \
	"{\"id\":\"4\",\"line\":[{\"functionId\":\"4\"}]},"                                        \
	"{\"id\":\"5\",\"line\":[{\"functionId\":\"5\"}]}],"                                       \
	"\"function\":[{\"id\":\"1\",\"name\":\"2\",\"systemName\":\"2\"},"                        \
	"{\"id\":\"2\",\"name\":\"3\",\"systemName\":\"3\"},"                                      \
	"{\"id\":\"3\",\"name\":\"4\",\"systemName\":\"4\"},"                                      \
	"{\"id\":\"4\",\"name\":\"5\",\"systemName\":\"5\"},"                                      \
	"{\"id\":\"5\",\"name\":\"6\",\"systemName\":\"6\"}],"                                     \
	"\"stringTable\":[\"\",\"total\",\"init\",\"main\",\"a\",\"b\",\"c\","                     \
	"\"cpu\",\"nanoseconds\",\"cpu\",\"nanoseconds\",\"other\"],"                              \
	"\"timeNanos\":\"1700003600000000000\",\"periodType\":{\"type\":\"9\",\"unit\":\"10\"},"   \
	"\"period\":\"1000000000\",\"defaultSampleType\":\"7\""

static void writes_the_worked_example_as_a_pprof(void **state)
{
	assert_answer(*state, "SelectMergeStacktraces", "{" ASK ",\"format\":4}",
		      "{\"pprof\":{\"profile\":{}}}");
	assert_answer(*state, "SelectMergeProfile", "{" ASK "}", "{}");
	fill_with_vectors(*state);
	assert_answer(*state, "SelectMergeStacktraces", "{" ASK ",\"format\":4}",
		      "{\"pprof\":{\"profile\":{" PPROF "}}}");
	assert_answer(*state, "SelectMergeProfile", "{" ASK "}", "{" PPROF "}");
	assert_error(*state, "SelectMergeProfile", "{" ASK ",\"maxNodes\":-1}", 400,
		     "max flamegraph nodes limit");
	assert_error(*state, "SelectMergeProfile", "{" ASK ",\"traceIdSelector\":[\"1\"]}", 400,
		     "malformed id");
}

/* ---- SelectSeries -----------------------------------------------------------------------------
 */

/* Profiles at 999000 (1), 1000000 (2), 1000001 (4), 1050000 (8), here from BASE_MS on. */
static void fill_with_times(struct fixture *fixture)
{
	static const struct {
		int64_t offset_ms;
		uint64_t value;
	} windows[] = { { -1000, 1 }, { 0, 2 }, { 1, 4 }, { 50000, 8 } };

	for (size_t i = 0; i < 4; i++) {
		struct sample sample = { "x", "1", "main", windows[i].value, NULL };

		append(fixture, BASE_MS + windows[i].offset_ms, &sample, 1);
	}
}

static void puts_profiles_on_a_grid_from_the_start(void **state)
{
	fill_with_times(*state);
	assert_answer(*state, "SelectSeries",
		      "{\"profileTypeID\":\"" CPU "\",\"start\":\"1700000000000\","
		      "\"end\":\"1700000060000\",\"step\":15}",
		      "{\"series\":[{\"points\":[{\"value\":3,\"timestamp\":\"1700000000000\"},"
		      "{\"value\":4,\"timestamp\":\"1700000015000\"},"
		      "{\"value\":8,\"timestamp\":\"1700000060000\"}]}]}");
	/* The grid stops before the last profile. */
	assert_answer(*state, "SelectSeries",
		      "{\"profileTypeID\":\"" CPU ":delta\",\"start\":\"1700000000000\","
		      "\"end\":\"1700000059999\",\"step\":\"15\"}",
		      "{\"series\":[{\"points\":[{\"value\":3,\"timestamp\":\"1700000000000\"},"
		      "{\"value\":4,\"timestamp\":\"1700000015000\"}]}]}");
	assert_answer(*state, "SelectSeries",
		      "{\"profileTypeID\":\"a:b:c:d:e\",\"start\":1,\"end\":2,\"step\":15}", "{}");
}

static void groups_and_limits_series(void **state)
{
	static const struct sample samples[] = {
		{ "x", "1", "main", 5, NULL },
		{ "y", "2", "main", 7, NULL },
		{ "x", "3", "main", 1, NULL },
	};

	append(*state, BASE_MS, samples, 3);
	assert_answer(*state, "SelectSeries",
		      "{\"profileTypeID\":\"" CPU "\",\"start\":1700000000000,"
		      "\"end\":1700000000000,\"step\":1,\"groupBy\":[\"service_name\",\"nothing\","
		      "\"service_name\"]}",
		      "{\"series\":[{\"labels\":[{\"name\":\"service_name\",\"value\":\"y\"}],"
		      "\"points\":[{\"value\":7,\"timestamp\":\"1700000000000\"}]},"
		      "{\"labels\":[{\"name\":\"service_name\",\"value\":\"x\"}],"
		      "\"points\":[{\"value\":6,\"timestamp\":\"1700000000000\"}]}]}");
	assert_answer(*state, "SelectSeries",
		      "{\"profileTypeID\":\"" CPU "\",\"start\":1700000000000,"
		      "\"end\":1700000000000,\"step\":1,\"group_by\":[\"pid\"],\"limit\":\"1\"}",
		      "{\"series\":[{\"labels\":[{\"name\":\"pid\",\"value\":\"2\"}],"
		      "\"points\":[{\"value\":7,\"timestamp\":\"1700000000000\"}]}]}");
	/* Without a range everything that there is. */
	assert_answer(
		*state, "SelectSeries", "{\"profileTypeID\":\"" CPU "\",\"step\":60}",
		"{\"series\":[{\"points\":[{\"value\":13,\"timestamp\":\"1700000000000\"}]}]}");
}

static void refuses_steps_that_make_no_sense(void **state)
{
	static const struct {
		const char *step;
		const char *expected;
	} cases[] = {
		{ "0", "step must be >= 1ms" },	       { "-1", "step must be >= 1ms" },
		{ "0.0001", "step must be >= 1ms" },   { "\"x\"", "no number in field" },
		{ "0.001", "more than 11000 points" },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char body[256];

		snprintf(body, sizeof(body), "{" ASK ",\"step\":%s}", cases[i].step);
		assert_error(*state, "SelectSeries", body, 400, cases[i].expected);
	}
	assert_error(*state, "SelectSeries", "{" ASK ",\"step\":1e9,\"exemplarType\":3}", 501,
		     "unimplemented");
}

/* ---- what there is ----------------------------------------------------------------------------
 */

static void lists_types_names_values_and_series(void **state)
{
	fill_with_vectors(*state);
	assert_answer(*state, "ProfileTypes", "{\"start\":null}",
		      "{\"profileTypes\":[{\"ID\":\"" CPU "\",\"name\":\"process_cpu\","
		      "\"sampleType\":\"cpu\",\"sampleUnit\":\"nanoseconds\","
		      "\"periodType\":\"cpu\",\"periodUnit\":\"nanoseconds\"}]}");
	assert_answer(*state, "ProfileTypes", "{\"start\":1000,\"end\":4000}", "{}");
	assert_answer(*state, "LabelValues", "{\"name\":\"pid\"}", "{\"names\":[\"1\",\"2\"]}");
	assert_answer(*state, "LabelValues",
		      "{\"name\":\"pid\",\"matchers\":[\"{service_name=\\\"x\\\"}\",\"{pid="
		      "\\\"2\\\", }\"]}",
		      "{\"names\":[\"2\"]}");
	assert_answer(*state, "LabelValues", "{\"name\":\"nothing\"}", "{}");
	assert_answer(*state, "Series",
		      "{\"labelNames\":[\"service_name\",\"__profile_type__\"],\"matchers\":[]}",
		      "{\"labelsSet\":[{\"labels\":[{\"name\":\"__profile_type__\",\"value\":\"" CPU
		      "\"},{\"name\":\"service_name\",\"value\":\"x\"}]}]}");
	/* Without names whole sets, those of the samples not among them. */
	assert_answer(*state, "Series", "{}",
		      "{\"labelsSet\":[{\"labels\":["
		      "{\"name\":\"__name__\",\"value\":\"process_cpu\"},"
		      "{\"name\":\"__period_type__\",\"value\":\"cpu\"},"
		      "{\"name\":\"__period_unit__\",\"value\":\"nanoseconds\"},"
		      "{\"name\":\"__profile_type__\",\"value\":\"" CPU "\"},"
		      "{\"name\":\"__service_name__\",\"value\":\"x\"},"
		      "{\"name\":\"__type__\",\"value\":\"cpu\"},"
		      "{\"name\":\"__unit__\",\"value\":\"nanoseconds\"},"
		      "{\"name\":\"process_name\",\"value\":\"x\"},"
		      "{\"name\":\"service_name\",\"value\":\"x\"}]}]}");
	assert_error(*state, "LabelValues", "{}", 400,
		     "{\"code\":\"invalid_argument\",\"message\":\"name is required\"}");
	assert_error(*state, "LabelNames", "{\"matchers\":\"{}\"}", 400, "no list in field");
}

static void hides_names_that_old_clients_choke_on(void **state)
{
	autoclean(exchange) struct exchange exchange;
	autoclean(exchange) struct exchange modern;
	struct fixture *fixture = *state;
	struct label label = { STR("k8s.pod"), STR("p") };

	batch_set_time(fixture->batch, (struct batch_time){ BASE_MS, BASE_MS + 1000 });

	int64_t labels = batch_add_labels(fixture->batch, &label, 1);
	int64_t series = batch_add_series(fixture->batch, (uint32_t)labels, STR(CPU), 1);
	int64_t none = batch_add_labels(fixture->batch, NULL, 0);
	struct batch_entry entry = { .series = (uint32_t)series,
				     .sample_labels = (uint32_t)none,
				     .stack = add_stack(fixture->batch, "main"),
				     .count = 1,
				     .value = 1 };

	assert_int_equal(batch_add_entry(fixture->batch, &entry), 0);
	assert_int_equal(store_append(fixture->small.server.store, fixture->batch), 0);

	call(fixture, "LabelNames", JSON, STR("{}"), &exchange);
	assert_null(strstr(exchange_text(&exchange), "k8s.pod"));
	assert_non_null(strstr(exchange_text(&exchange), "__profile_type__"));

	exchange_init(&modern, "POST", "/querier.v1.QuerierService/LabelNames");
	exchange_header(&modern, "Content-Type", "application/json");
	exchange_header(&modern, "Accept", "*/*; allow-utf8-labelnames=true");
	exchange_body(&modern, STR("{}"));
	routes_answer(fixture->routes, &modern.request, &modern.reply);
	assert_non_null(strstr(exchange_text(&modern), "k8s.pod"));
}

/* ---- packing ----------------------------------------------------------------------------------
 */

static void packs_what_is_worth_it(void **state)
{
	static const struct {
		const char *accepts;
		bool packs;
	} cases[] = {
		{ "gzip", true },
		{ "br, GZIP;q=0.5", true },
		{ "*", true },
		{ "gzip;q=0", false },
		{ "identity", false },
		{ "*;q=0, gzip", true },
		{ "*, gzip; q=0.0", false },
		{ "gzipped", false },
		{ "", false },
	};
	struct fixture *fixture = *state;
	char frames[4096] = "main";

	/* A name longer than a packet. */
	for (size_t i = 4; i < 3000; i++)
		frames[i] = 'a';

	struct sample sample = { "x", "1", frames, 1, NULL };

	append(fixture, BASE_MS, &sample, 1);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		autoclean(exchange) struct exchange exchange;
		uint8_t text[16384];
		z_stream stream = { 0 };

		exchange_init(&exchange, "POST",
			      "/querier.v1.QuerierService/SelectMergeStacktraces");
		exchange_header(&exchange, "Content-Type", JSON);
		exchange_header(&exchange, "Accept-Encoding", cases[i].accepts);
		exchange_body(&exchange, STR("{" ASK "}"));
		routes_answer(fixture->routes, &exchange.request, &exchange.reply);
		assert_int_equal(exchange.reply.status, 200);
		assert_int_equal(exchange.reply.content_encoding != NULL, cases[i].packs);
		if (!cases[i].packs) {
			assert_true(exchange.reply.body.size > 3000);
			continue;
		}
		assert_string_equal(exchange.reply.content_encoding, "gzip");
		assert_true(exchange.reply.body.size < 1000);
		stream.next_in = exchange.reply.body.bytes;
		stream.avail_in = (uInt)exchange.reply.body.size;
		stream.next_out = text;
		stream.avail_out = sizeof(text) - 1;
		assert_int_equal(inflateInit2(&stream, 15 + 16), Z_OK);
		assert_int_equal(inflate(&stream, Z_FINISH), Z_STREAM_END);
		text[stream.total_out] = 0;
		assert_int_equal(inflateEnd(&stream), Z_OK);
		assert_non_null(strstr((const char *)text, frames));
	}

	/* What is small stays. */
	autoclean(exchange) struct exchange small;

	exchange_init(&small, "GET", "/api/v1/types");
	exchange_header(&small, "Accept-Encoding", "gzip");
	routes_answer(fixture->routes, &small.request, &small.reply);
	assert_null(small.reply.content_encoding);
}

static void answers_an_empty_store(void **state)
{
	static const char *const targets[] = {
		"/api/v1/status",
		"/api/v1/processes",
		"/api/v1/processes?points=0",
		"/api/v1/timeline?by=service_name",
		"/api/v1/timeline?from=now&to=now",
		"/api/v1/flame",
		"/api/v1/labels",
		"/api/v1/labels?name=pid",
		"/api/v1/functions",
		"/api/v1/functions?search=x",
		"/api/v1/sandwich?function=x",
		"/api/v1/flame?view=bottom_up",
		"/api/v1/flame?view=bottom_up&rows=pid",
		"/api/v1/types",
		"/api/v1/changes",
		"/api/v1/processes?by=service&search=x",
	};

	for (size_t i = 0; i < sizeof(targets) / sizeof(targets[0]); i++)
		json_value_free(get(*state, targets[i]));
	assert_answer(*state, "SelectSeries", "{\"profileTypeID\":\"" CPU "\",\"step\":60}", "{}");
	assert_answer(*state, "Series", "{\"labelNames\":[\"a\"]}", "{}");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, open_all, close_all)
		TEST(draws_the_worked_example),
		TEST(cuts_the_worked_example),
		TEST(keeps_only_stacks_below_a_call_site),
		TEST(draws_nothing_as_one_bar),
		TEST(refuses_wrong_questions),
		TEST(takes_a_format_that_nobody_knows),
		TEST(writes_the_worked_example_as_a_tree),
		TEST(writes_the_worked_example_as_a_pprof),
		TEST(puts_profiles_on_a_grid_from_the_start),
		TEST(groups_and_limits_series),
		TEST(refuses_steps_that_make_no_sense),
		TEST(lists_types_names_values_and_series),
		TEST(hides_names_that_old_clients_choke_on),
		TEST(packs_what_is_worth_it),
		TEST(answers_an_empty_store),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
