/* SPDX-License-Identifier: Apache-2.0 */
/* What Grafana's clients ask beyond flame graphs and series, of a real store. */
#include <errno.h>
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "store/batch.h"
#include "store/store.h"
#include "tests/support/answers.h"

#define JSON "application/json"
#define TYPE "\"profileTypeID\":\"" CPU "\""
#define ASK  TYPE ",\"start\":1,\"end\":\"1700003600000\""
#define GRID TYPE ",\"start\":\"1700000000000\",\"end\":\"1700000060000\",\"step\":30"

static void assert_answer(struct fixture *fixture, const char *method, const char *body,
			  const char *expected)
{
	autoclean(exchange) struct exchange exchange;

	call(fixture, method, JSON, str_from(body), &exchange);
	assert_string_equal(exchange_text(&exchange), expected);
	assert_int_equal(exchange.reply.status, 200);
}

static void assert_refused(struct fixture *fixture, const char *method, const char *body,
			   const char *expected)
{
	autoclean(exchange) struct exchange exchange;

	call(fixture, method, JSON, str_from(body), &exchange);
	if (!strstr(exchange_text(&exchange), expected))
		fail_msg("%s: %s", body, exchange_text(&exchange));
	assert_int_equal(exchange.reply.status, 400);
}

static void assert_get(struct fixture *fixture, const char *target, int status,
		       const char *expected)
{
	autoclean(exchange) struct exchange exchange;

	exchange_init(&exchange, "GET", target);
	routes_answer(fixture->routes, &exchange.request, &exchange.reply);
	if (!strstr(exchange_text(&exchange), expected))
		fail_msg("%s: %s", target, exchange_text(&exchange));
	assert_int_equal(exchange.reply.status, status);
}

struct traced {
	const char *service;
	const char *frames;
	uint64_t value;
	const char *span; /* NULL: none */
};

static void add_traced(struct batch *batch, const struct traced *traced)
{
	const struct label of_series[] = { { STR("service_name"), str_from(traced->service) },
					   { STR("process_name"), str_from(traced->service) } };
	const struct label of_sample[] = { { STR("pid"), STR("1") },
					   { STR("span_id"), str_from(traced->span) } };
	int64_t labels = batch_add_labels(batch, of_series, 2);
	int64_t own = batch_add_labels(batch, of_sample, traced->span ? 2 : 1);
	int64_t series = batch_add_series(batch, (uint32_t)labels, str_from(CPU), 1);
	struct batch_entry entry = { .series = (uint32_t)series,
				     .sample_labels = (uint32_t)own,
				     .stack = add_stack(batch, traced->frames),
				     .count = 1,
				     .value = traced->value };

	assert_true(labels >= 0 && own >= 0 && series >= 0);
	assert_int_equal(batch_add_entry(batch, &entry), 0);
}

static void append_traced(struct fixture *fixture, int64_t start_ms, const struct traced *traced,
			  size_t count)
{
	batch_clear(fixture->batch);
	batch_set_time(fixture->batch, (struct batch_time){ start_ms, start_ms + 1000 });
	for (size_t i = 0; i < count; i++)
		add_traced(fixture->batch, &traced[i]);
	assert_int_equal(store_append(fixture->small.server.store, fixture->batch), 0);
	assert_int_equal(store_commit(fixture->small.server.store), 0);
}

/* Three profiles: x twice, with spans, and y once. */
static void fill(struct fixture *fixture)
{
	static const struct traced first[] = { { "x", "main;a", 3, "00000000000000aa" },
					       { "x", "main;b", 5, "00000000000000bb" },
					       { "x", "main;b", 2, NULL } };
	static const struct traced second[] = { { "x", "main;a", 40, "00000000000000aa" },
						{ "y", "main;c", 7, NULL } };

	append_traced(fixture, BASE_MS + 5000, first, 3);
	append_traced(fixture, BASE_MS + 25000, second, 2);
}

#define LABELS                                                                                     \
	"\"labels\":[{\"name\":\"__profile_type__\",\"value\":\"" CPU "\"},"                       \
	"{\"name\":\"__service_name__\",\"value\":\"x\"},"                                         \
	"{\"name\":\"__name__\",\"value\":\"process_cpu\"},"                                       \
	"{\"name\":\"__period_type__\",\"value\":\"cpu\"},"                                        \
	"{\"name\":\"__period_unit__\",\"value\":\"nanoseconds\"},"                                \
	"{\"name\":\"__type__\",\"value\":\"cpu\"},"                                               \
	"{\"name\":\"__unit__\",\"value\":\"nanoseconds\"},"                                       \
	"{\"name\":\"process_name\",\"value\":\"x\"}"

/* ---- exemplars and ids ------------------------------------------------------------------------
 */

/* The id out of an answer, for the next question. */
static void find_id(struct fixture *fixture, char id[static 37])
{
	autoclean(exchange) struct exchange exchange;
	const char *place;

	call(fixture, "SelectSeries", JSON, STR("{" GRID ",\"exemplarType\":2}"), &exchange);
	place = strstr(exchange_text(&exchange), "\"profileId\":\"");
	assert_non_null(place);
	memcpy(id, place + strlen("\"profileId\":\""), 36);
	id[36] = '\0';
}

static void an_exemplar_leads_to_its_profile(void **state)
{
	char id[37];
	char body[512];
	char expected[1024];

	fill(*state);
	find_id(*state, id);
	snprintf(expected, sizeof(expected),
		 "{\"series\":[{\"labels\":[{\"name\":\"service_name\",\"value\":\"x\"}],"
		 "\"points\":["
		 "{\"value\":50,\"timestamp\":\"1700000030000\",\"exemplars\":[{"
		 "\"timestamp\":\"1700000025000\",\"profileId\":\"%s\",\"value\":\"40\"," LABELS
		 "]}]}]}]}",
		 id);
	assert_answer(*state, "SelectSeries",
		      "{" GRID ",\"groupBy\":[\"service_name\"],\"limit\":1,\"exemplarType\":2}",
		      expected);
	snprintf(body, sizeof(body), "{" ASK ",\"profileIdSelector\":[\"%s\"]}", id);
	assert_answer(*state, "SelectMergeStacktraces", body,
		      "{\"flamegraph\":{\"names\":[\"total\",\"main\",\"a\"],\"levels\":["
		      "{\"values\":[\"0\",\"40\",\"0\",\"0\"]},{\"values\":[\"0\",\"40\",\"0\","
		      "\"1\"]},{\"values\":[\"0\",\"40\",\"40\",\"2\"]}],\"total\":\"40\","
		      "\"maxSelf\":\"40\"}}");
	/* Of another service there is nothing in it. */
	snprintf(body, sizeof(body),
		 "{" ASK ",\"labelSelector\":\"{service_name=\\\"y\\\"}\","
		 "\"profileIdSelector\":[\"%s\"]}",
		 id);
	assert_answer(*state, "SelectMergeStacktraces", body,
		      "{\"flamegraph\":{\"names\":[\"total\"],\"levels\":[{\"values\":[\"0\",\"0\","
		      "\"0\",\"0\"]}]}}");
}

static void without_being_asked_there_are_no_exemplars(void **state)
{
	fill(*state);
	assert_answer(*state, "SelectSeries", "{" GRID ",\"exemplarType\":1}",
		      "{\"series\":[{\"points\":[{\"value\":57,\"timestamp\":\"1700000030000\"}]}]"
		      "}");
}

/* ---- spans ------------------------------------------------------------------------------------
 */

static void spans_have_profiles_of_their_own(void **state)
{
	fill(*state);
	assert_answer(*state, "SelectMergeSpanProfile",
		      "{" ASK ",\"spanSelector\":[\"00000000000000AA\"]}",
		      "{\"flamegraph\":{\"names\":[\"total\",\"main\",\"a\"],\"levels\":["
		      "{\"values\":[\"0\",\"43\",\"0\",\"0\"]},{\"values\":[\"0\",\"43\",\"0\","
		      "\"1\"]},{\"values\":[\"0\",\"43\",\"43\",\"2\"]}],\"total\":\"43\","
		      "\"maxSelf\":\"43\"}}");
	/* None at all means no filter. */
	assert_answer(*state, "SelectMergeSpanProfile",
		      "{" ASK ",\"labelSelector\":\"{service_name=\\\"y\\\"}\",\"format\":2}",
		      "{\"tree\":\"AAABBG1haW4AAQFjBwA=\"}");
	assert_refused(*state, "SelectMergeSpanProfile", "{" ASK ",\"spanSelector\":[\"aa\"]}",
		       "malformed id in span_selector");
	assert_answer(*state, "LabelNames", "{}",
		      "{\"names\":[\"__name__\",\"__period_type__\",\"__period_unit__\","
		      "\"__profile_type__\",\"__service_name__\",\"__type__\",\"__unit__\",\"pid\","
		      "\"process_name\",\"service_name\"]}");
}

/* ---- heat maps --------------------------------------------------------------------------------
 */

#define YMIN "\"yMin\":[7,8,10,11,13,15,16,18,20,21,23,25,26,28,30,31,33,35,36,38]"

static void heat_maps_count_profiles(void **state)
{
	fill(*state);
	/* Of 7, 10 and 40: from 7 on twenty steps of 1.65, each begun by a whole number. */
	assert_answer(*state, "SelectHeatmap", "{" GRID ",\"queryType\":1}",
		      "{\"series\":[{\"slots\":[{\"timestamp\":\"1700000030000\"," YMIN
		      ",\"counts\":[1,0,1,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,1]}]}]}");
	assert_answer(*state, "SelectHeatmap",
		      "{" GRID ",\"queryType\":1,\"groupBy\":[\"service_name\"],\"limit\":\"1\"}",
		      "{\"series\":[{\"labels\":[{\"name\":\"service_name\",\"value\":\"x\"}],"
		      "\"slots\":[{\"timestamp\":\"1700000030000\"," YMIN
		      ",\"counts\":[0,0,1,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,1]}]}]}");
	assert_answer(*state, "SelectHeatmap",
		      "{" GRID ",\"queryType\":1,\"labelSelector\":\"{service_name=\\\"z\\\"}\"}",
		      "{}");
}

static void heat_maps_cover_their_end(void **state)
{
	autoclean(exchange) struct exchange exchange;

	fill(*state);
	call(*state, "SelectHeatmap", JSON,
	     STR("{" TYPE ",\"start\":\"1700000000000\",\"end\":\"1700000025000\",\"step\":20,"
		 "\"queryType\":1}"),
	     &exchange);
	assert_non_null(strstr(exchange_text(&exchange), "\"timestamp\":\"1700000020000\""));
	assert_non_null(strstr(exchange_text(&exchange), "\"timestamp\":\"1700000040000\""));
}

static void heat_maps_count_spans(void **state)
{
	autoclean(exchange) struct exchange exchange;

	fill(*state);
	call(*state, "SelectHeatmap", JSON,
	     STR("{" GRID ",\"queryType\":\"HEATMAP_QUERY_TYPE_SPAN\",\"exemplarType\":3}"),
	     &exchange);
	/* Spans had 3, 5 and 40. */
	assert_non_null(strstr(exchange_text(&exchange),
			       "\"counts\":[1,1,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,1]"));
	assert_non_null(strstr(exchange_text(&exchange),
			       "{\"timestamp\":\"1700000005000\",\"spanId\":\"00000000000000bb\","
			       "\"value\":\"5\","));
	assert_null(strstr(exchange_text(&exchange), "profileId"));
}

static void what_is_alike_stands_in_the_last_bucket(void **state)
{
	static const struct traced traced = { "x", "main", 10, NULL };

	append_traced(*state, BASE_MS, &traced, 1);
	assert_answer(
		*state, "SelectHeatmap", "{" GRID ",\"queryType\":1}",
		"{\"series\":[{\"slots\":[{\"timestamp\":\"1700000000000\",\"yMin\":[10,10,10,"
		"10,10,10,10,10,10,10,10,10,10,10,10,10,10,10,10,10],\"counts\":[0,0,0,0,0,0,0,"
		"0,0,0,0,0,0,0,0,0,0,0,0,1]}]}]}");
}

static void refuses_heat_maps_of_nothing(void **state)
{
	assert_refused(*state, "SelectHeatmap", "{" GRID "}", "query_type must be");
	assert_refused(*state, "SelectHeatmap", "{" GRID ",\"queryType\":1,\"exemplarType\":3}",
		       "exemplar_type must be");
	assert_refused(*state, "SelectHeatmap", "{" GRID ",\"queryType\":1,\"limit\":-1}",
		       "limit must be");
	assert_refused(*state, "SelectHeatmap", "{" ASK ",\"queryType\":1}", "step must be");
}

/* ---- two profiles -----------------------------------------------------------------------------
 */

static void compares_two_profiles(void **state)
{
	fill(*state);
	assert_answer(
		*state, "Diff",
		"{\"left\":{" ASK ",\"labelSelector\":\"{service_name=\\\"x\\\"}\"},"
		"\"right\":{" ASK ",\"labelSelector\":\"{service_name=\\\"y\\\"}\"}}",
		"{\"flamegraph\":{\"names\":[\"total\",\"main\",\"a\",\"b\",\"c\"],\"levels\":["
		"{\"values\":[\"0\",\"50\",\"0\",\"0\",\"7\",\"0\",\"0\"]},"
		"{\"values\":[\"0\",\"50\",\"0\",\"0\",\"7\",\"0\",\"1\"]},"
		"{\"values\":[\"0\",\"43\",\"43\",\"0\",\"0\",\"0\",\"2\",\"0\",\"7\",\"7\","
		"\"0\",\"0\",\"0\",\"3\",\"0\",\"0\",\"0\",\"0\",\"7\",\"7\",\"4\"]}],"
		"\"total\":\"57\",\"maxSelf\":\"43\",\"leftTicks\":\"50\",\"rightTicks\":"
		"\"7\"}}");
	assert_refused(*state, "Diff", "{\"left\":{" ASK "}}", "right is missing");
	assert_refused(*state, "Diff", "{\"left\":{" ASK ",\"maxNodes\":-1},\"right\":{" ASK "}}",
		       "max flamegraph nodes limit");
}

/* ---- profiles for compilers -------------------------------------------------------------------
 */

/* Two lines of c that calls leaf, which was inlined into it; one location each. */
static void fill_with_lines(struct fixture *fixture)
{
	struct batch *batch = fixture->batch;
	const struct label service = { STR("service_name"), STR("x") };

	batch_clear(batch);
	batch_set_time(batch, (struct batch_time){ BASE_MS, BASE_MS + 1000 });

	int64_t labels = batch_add_labels(batch, &service, 1);
	int64_t series = batch_add_series(batch, (uint32_t)labels, str_from(CPU), 1);

	for (uint32_t i = 0; i < 2; i++) {
		const struct named_line lines[] = {
			{ .function = STR("leaf"), .file = STR("l.c"), .line = 7 + i },
			{ .function = STR("c"), .file = STR("c.c"), .line = 20 },
		};
		const struct named_line root = { .function = STR("main"), .line = 3 };
		uint32_t locations[] = { (uint32_t)batch_add_named_location(batch, lines, 2),
					 (uint32_t)batch_add_named_location(batch, &root, 1) };
		struct batch_entry entry = {
			.series = (uint32_t)series,
			.sample_labels = (uint32_t)batch_add_labels(batch, NULL, 0),
			.stack = (uint32_t)batch_add_stack(batch, locations, 2, 0),
			.count = 1,
			.value = 1 + i,
		};

		assert_int_equal(batch_add_entry(batch, &entry), 0);
	}
	assert_int_equal(store_append(fixture->small.server.store, batch), 0);
}

static void inlined_calls_are_one_location(void **state)
{
	autoclean(exchange) struct exchange whole;
	autoclean(exchange) struct exchange kept;

	fill_with_lines(*state);
	call(*state, "SelectMergeProfile", JSON, STR("{" ASK "}"), &whole);
	assert_non_null(strstr(exchange_text(&whole),
			       "\"sample\":[{\"locationId\":[\"1\",\"2\"],\"value\":[\"1\"]},"
			       "{\"locationId\":[\"3\",\"2\"],\"value\":[\"2\"]}]"));
	assert_non_null(strstr(exchange_text(&whole),
			       "{\"id\":\"1\",\"line\":[{\"functionId\":\"3\",\"line\":\"7\"},"
			       "{\"functionId\":\"2\",\"line\":\"20\"}]}"));
	/* Without the leaf's lines and all callers, both are the same. */
	call(*state, "SelectMergeProfile", JSON,
	     STR("{" ASK ",\"stack_trace_selector\":{\"goPgo\":{\"keepLocations\":1,"
		 "\"aggregateCallees\":true}}}"),
	     &kept);
	assert_non_null(strstr(exchange_text(&kept),
			       "\"sample\":[{\"locationId\":[\"1\"],\"value\":[\"3\"]}]"));
	assert_non_null(strstr(exchange_text(&kept),
			       "{\"id\":\"1\",\"line\":[{\"functionId\":\"3\"},"
			       "{\"functionId\":\"2\",\"line\":\"20\"}]}"));
}

/* A function that its binary calls otherwise, one without any name, and one that symbols may still
 * name: all are told as they came. */
static void fill_with_places(struct fixture *fixture)
{
	struct batch *batch = fixture->batch;
	const struct label service = { STR("service_name"), STR("x") };
	const struct named_line lines[] = {
		{ .function = STR("run"), .file = STR("r.c"), .line = 7 },
		{ .function = STR("") },
	};
	const struct named_function functions[] = {
		{ .system_name = STR("_Zrun"), .start_line = 5 },
		{ .system_name = STR("") },
	};
	const struct named_binary named = { .path = STR("/bin/a"),
					    .build_id = STR("feed"),
					    .flags = BINARY_FLAGS_TOLD | BINARY_HAS_FUNCTIONS };
	const struct named_binary told = { .path = STR("/bin/b"),
					   .flags = BINARY_FLAGS_TOLD,
					   .address = UINT64_C(0x7f0000001234),
					   .start = UINT64_C(0x7f0000000000),
					   .limit = UINT64_C(0x7f0000400000),
					   .offset = 0x2000 };
	struct identity identity = { .kind = IDENTITY_GNU_BUILD_ID, .size = 2, .bytes = { 1, 2 } };

	batch_clear(batch);
	batch_set_time(batch, (struct batch_time){ BASE_MS, BASE_MS + 1000 });

	int64_t labels = batch_add_labels(batch, &service, 1);
	int64_t series = batch_add_series(batch, (uint32_t)labels, str_from(CPU), 1);
	int64_t build = batch_add_build(batch, BUILD_FILE, &identity, STR("/lib/c.so"));
	uint32_t locations[] = {
		(uint32_t)batch_add_location(batch, (uint32_t)build, 0x1234),
		(uint32_t)batch_add_named_place(batch, lines, functions, 2, &named),
		(uint32_t)batch_add_named_place(batch, lines, NULL, 1, &told),
	};
	struct batch_entry entry = {
		.series = (uint32_t)series,
		.sample_labels = (uint32_t)batch_add_labels(batch, NULL, 0),
		.stack = (uint32_t)batch_add_stack(batch, locations, 3, 0),
		.count = 1,
		.value = 1,
	};

	assert_int_equal(batch_add_entry(batch, &entry), 0);
	assert_int_equal(store_append(fixture->small.server.store, batch), 0);
}

static void places_come_back_as_they_were_told(void **state)
{
	static const char *const expected[] = {
		"\"sample\":[{\"locationId\":[\"1\",\"2\",\"3\"],\"value\":[\"1\"]}]",
		"\"mapping\":[{\"id\":\"1\",\"filename\":\"5\",\"buildId\":\"6\"},"
		"{\"id\":\"2\",\"filename\":\"2\",\"buildId\":\"3\",\"hasFunctions\":true},"
		"{\"id\":\"3\",\"memoryStart\":\"139637976727552\",\"memoryLimit\":"
		"\"139637980921856\","
		"\"fileOffset\":\"8192\",\"filename\":\"1\"}]",
		"\"location\":[{\"id\":\"1\",\"mappingId\":\"1\",\"address\":\"4660\"},"
		"{\"id\":\"2\",\"mappingId\":\"2\",\"line\":[{\"functionId\":\"3\",\"line\":\"7\"},"
		"{\"functionId\":\"2\"}]},"
		"{\"id\":\"3\",\"mappingId\":\"3\",\"address\":\"139637976732212\","
		"\"line\":[{\"functionId\":\"1\",\"line\":\"7\"}]}]",
		"{\"id\":\"3\",\"name\":\"8\",\"systemName\":\"4\",\"filename\":\"10\","
		"\"startLine\":\"5\"}",
		"\"/bin/b\",\"/bin/a\",\"feed\",\"_Zrun\",\"/lib/c.so\",\"0102\"",
	};
	autoclean(exchange) struct exchange whole;

	fill_with_places(*state);
	call(*state, "SelectMergeProfile", JSON, STR("{" ASK "}"), &whole);
	for (size_t i = 0; i < sizeof(expected) / sizeof(expected[0]); i++)
		if (!strstr(exchange_text(&whole), expected[i]))
			fail_msg("no %s in %s", expected[i], exchange_text(&whole));
}

/* ---- the oldest calls -------------------------------------------------------------------------
 */

#define RENDER                                                                                     \
	"/pyroscope/render?from=1700000000&until=1700000060&query=process_cpu%3Acpu%3A"            \
	"nanoseconds%3Acpu%3Ananoseconds"

static void renders_a_flame_graph_with_its_timeline(void **state)
{
	fill(*state);
	assert_get(
		*state, RENDER "%7Bservice_name%3D%22y%22%7D", 200,
		"{\"version\":1,\"flamebearer\":{\"names\":[\"total\",\"main\",\"c\"],\"levels\":["
		"[0,7,0,0],[0,7,0,1],[0,7,7,2]],\"numTicks\":7,\"maxSelf\":7},\"metadata\":{"
		"\"format\":\"single\",\"spyName\":\"\",\"sampleRate\":1000000000,\"units\":"
		"\"samples\",\"name\":\"cpu\"},\"timeline\":{\"startTime\":1699999995,"
		"\"samples\":[0,0,7,0],\"durationDelta\":15,\"watermarks\":null},"
		"\"groups\":null,\"heatmap\":null}");
	assert_get(*state, RENDER "&groupBy=service_name", 200,
		   "\"groups\":{\"x\":{\"startTime\":1699999995,\"samples\":[0,10,40,0]");
	assert_get(*state, RENDER "%7B%7D&max-nodes=1", 200,
		   "\"levels\":[[0,57,0,0],[0,57,0,1],[0,57,57,2]]");
	assert_get(*state, RENDER "&format=dot", 200, "N1 [label=\"main\\n0 of 0.00s (100.00%)\"");
}

static void renders_two_on_top_of_each_other(void **state)
{
	fill(*state);
	assert_get(
		*state,
		"/pyroscope/render-diff?leftQuery="
		"process_cpu:cpu:nanoseconds:cpu:nanoseconds"
		"%7Bservice_name%3D%22y%22%7D&leftFrom=1700000000&leftUntil=1700000060&"
		"rightQuery=process_cpu:cpu:nanoseconds:cpu:nanoseconds&rightFrom=1&rightUntil=2",
		200,
		"\"levels\":[[0,7,0,0,0,0,0],[0,7,0,0,0,0,1],[0,7,7,0,0,0,2]],\"numTicks\":7,"
		"\"maxSelf\":7},\"metadata\":{\"format\":\"double\",");
	assert_get(*state, "/pyroscope/label-values?label=service_name", 200, "[\"x\",\"y\"]");
	assert_get(*state, "/pyroscope/label-values?label=__name__", 200, "[\"" CPU "\"]");
}

static void refuses_what_can_not_be_rendered(void **state)
{
	assert_get(*state, "/pyroscope/render?from=1&until=2", 400, "\\\"query\\\" is required");
	assert_get(*state, "/pyroscope/render?query=%7B", 400, "must begin with a profile type");
	assert_get(*state, "/pyroscope/render?query=cpu%7B%7D", 400, "invalid_argument");
	assert_get(*state, RENDER "%7Ba", 400, "parse label selector");
	assert_get(*state, "/pyroscope/label-values", 400, "\\\"label\\\" is required");
	assert_get(*state,
		   "/pyroscope/render-diff?leftQuery=process_cpu:cpu:nanoseconds:cpu:nanoseconds&"
		   "rightQuery=memory:alloc_space:bytes:space:bytes",
		   400, "profile types must match");
}

/* ---- what there is ----------------------------------------------------------------------------
 */

static void tells_whether_anything_is_there(void **state)
{
	assert_answer(*state, "GetProfileStats", "{}", "{}");
	fill(*state);
	assert_answer(*state, "GetProfileStats", "{}",
		      "{\"dataIngested\":true,\"oldestProfileTime\":\"1700000005000\","
		      "\"newestProfileTime\":\"1700000025000\"}");
	assert_answer(*state, "AnalyzeQuery", "{\"start\":1,\"end\":2,\"query\":\"{}\"}", "{}");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, open_all, close_all)
		TEST(an_exemplar_leads_to_its_profile),
		TEST(without_being_asked_there_are_no_exemplars),
		TEST(spans_have_profiles_of_their_own),
		TEST(heat_maps_count_profiles),
		TEST(heat_maps_cover_their_end),
		TEST(heat_maps_count_spans),
		TEST(what_is_alike_stands_in_the_last_bucket),
		TEST(refuses_heat_maps_of_nothing),
		TEST(compares_two_profiles),
		TEST(inlined_calls_are_one_location),
		TEST(places_come_back_as_they_were_told),
		TEST(renders_a_flame_graph_with_its_timeline),
		TEST(renders_two_on_top_of_each_other),
		TEST(refuses_what_can_not_be_rendered),
		TEST(tells_whether_anything_is_there),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
