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

#include "base/cleanup.h"
#include "store/batch.h"
#include "store/store.h"
#include "tests/support/exchange.h"
#include "tests/support/small_server.h"
#include "web/json.h"
#include "web/profile_type.h"
#include "web/routes.h"

#define BASE_MS INT64_C(1700000000000)

#define CPU "process_cpu:cpu:nanoseconds:cpu:nanoseconds"

struct fixture {
	struct small_server small;
	struct routes *routes;
	struct batch *batch;
};

/* One stack, root first, of one process. */
struct sample {
	const char *service;
	const char *pid;
	const char *frames; /* "main;a" */
	uint64_t value;
};

static uint32_t add_stack(struct batch *batch, const char *frames)
{
	uint32_t locations[16];
	size_t count = 0;
	const char *end = frames + strlen(frames);

	/* Leaf first. */
	while (end > frames) {
		const char *start = end;

		while (start > frames && start[-1] != ';')
			start--;

		struct named_line line = { .function = { start, (size_t)(end - start) } };
		int64_t location = batch_add_named_location(batch, &line, 1);

		assert_true(location >= 0);
		locations[count++] = (uint32_t)location;
		end = start > frames ? start - 1 : start;
	}

	int64_t stack = batch_add_stack(batch, locations, count, 0);

	assert_true(stack >= 0);
	return (uint32_t)stack;
}

static void add_sample(struct batch *batch, const struct sample *sample)
{
	struct label series_labels[] = {
		{ STR("service_name"), str_from(sample->service) },
		{ STR("process_name"), str_from(sample->service) },
	};
	char process[32];

	snprintf(process, sizeof(process), "%s.100.1", sample->pid);

	struct label sample_labels[] = {
		{ STR("pid"), str_from(sample->pid) },
		{ STR("process"), str_from(process) },
	};
	int64_t labels = batch_add_labels(batch, series_labels, 2);
	int64_t own = batch_add_labels(batch, sample_labels, 2);

	assert_true(labels >= 0 && own >= 0);

	int64_t series = batch_add_series(batch, (uint32_t)labels, PROFILE_TYPE_CPU, 1);

	assert_true(series >= 0);

	struct batch_entry entry = {
		.series = (uint32_t)series,
		.sample_labels = (uint32_t)own,
		.stack = add_stack(batch, sample->frames),
		.count = 1,
		.value = sample->value,
	};

	assert_int_equal(batch_add_entry(batch, &entry), 0);
}

/* A window of a second with these samples. */
static void append(struct fixture *fixture, int64_t start_ms, const struct sample *samples,
		   size_t count)
{
	batch_clear(fixture->batch);
	batch_set_time(fixture->batch, (struct batch_time){ start_ms, start_ms + 1000 });
	for (size_t i = 0; i < count; i++)
		add_sample(fixture->batch, &samples[i]);
	assert_int_equal(store_append(fixture->small.server.store, fixture->batch), 0);
	assert_int_equal(store_commit(fixture->small.server.store), 0);
}

static int open_all(void **state)
{
	struct fixture *fixture = calloc(1, sizeof(*fixture));

	assert_non_null(fixture);
	small_server_open(&fixture->small);
	fixture->small.server.counters.cpu_count = 2;
	assert_int_equal(routes_new(&fixture->small.server, &fixture->routes), 0);
	assert_int_equal(batch_new(16 << 20, &fixture->batch), 0);
	*state = fixture;
	return 0;
}

static int close_all(void **state)
{
	struct fixture *fixture = *state;

	routes_free(fixture->routes);
	batch_free(fixture->batch);
	small_server_close(&fixture->small);
	free(fixture);
	return 0;
}

static void fill_with_vectors(struct fixture *fixture)
{
	static const struct sample samples[] = {
		{ "x", "1", "main;a", 3 },
		{ "x", "1", "main;b;c", 5 },
		{ "x", "2", "main;b", 2 },
		{ "x", "2", "init", 1 },
	};

	append(fixture, BASE_MS, samples, 4);
}

/* ---- asking -----------------------------------------------------------------------------------
 */

static void call(struct fixture *fixture, const char *method, const char *body,
		 struct exchange *exchange)
{
	char path[128];

	snprintf(path, sizeof(path), "/querier.v1.QuerierService/%s", method);
	exchange_init(exchange, "POST", path);
	exchange->request.path.text = path;
	exchange_header(exchange, "Content-Type", "application/json");
	exchange_body(exchange, str_from(body));
	routes_answer(fixture->routes, &exchange->request, &exchange->reply);
}

static void assert_answer(struct fixture *fixture, const char *method, const char *body,
			  const char *expected)
{
	autoclean(exchange) struct exchange exchange;

	call(fixture, method, body, &exchange);
	assert_string_equal(exchange_text(&exchange), expected);
	assert_int_equal(exchange.reply.status, 200);
}

static void assert_error(struct fixture *fixture, const char *method, const char *body, int status,
			 const char *expected)
{
	autoclean(exchange) struct exchange exchange;

	call(fixture, method, body, &exchange);
	if (!strstr(exchange_text(&exchange), expected))
		fail_msg("%s: %s", body, exchange_text(&exchange));
	assert_int_equal(exchange.reply.status, status);
}

/* The page's answer, parsed; the caller's to free. */
static struct json_value *get(struct fixture *fixture, const char *target)
{
	autoclean(exchange) struct exchange exchange;
	char error[JSON_ERROR_SIZE] = "";
	struct json_value *value = NULL;

	exchange_init(&exchange, "GET", target);
	routes_answer(fixture->routes, &exchange.request, &exchange.reply);
	if (exchange.reply.status != 200)
		fail_msg("%s: %s", target, exchange_text(&exchange));
	assert_int_equal(json_value_parse(str_from(exchange_text(&exchange)), &value, error), 0);
	return value;
}

static double number(const struct json_value *value, const char *name)
{
	double result = 0;

	assert_true(json_value_number(json_value_member(value, name), &result));
	return result;
}

static void assert_text(const struct json_value *value, const char *name, const char *expected)
{
	struct str text = { 0 };

	assert_true(json_value_text(json_value_member(value, name), &text));
	assert_true(str_equal(text, str_from(expected)));
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
		{ "{" ASK ",\"format\":\"PROFILE_FORMAT_PPROF\"}", 501, "unimplemented" },
		{ "{" ASK ",\"format\":2}", 501, "unimplemented" },
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

	call(*state, "SelectMergeStacktraces",
	     "{" ASK ",\"format\":99,\"labelSelector\":\"\",\"newField\":[{}]}", &exchange);
	assert_int_equal(exchange.reply.status, 200);
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
		struct sample sample = { "x", "1", "main", windows[i].value };

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
		{ "x", "1", "main", 5 },
		{ "y", "2", "main", 7 },
		{ "x", "3", "main", 1 },
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
	int64_t series = batch_add_series(fixture->batch, (uint32_t)labels, PROFILE_TYPE_CPU, 1);
	int64_t none = batch_add_labels(fixture->batch, NULL, 0);
	struct batch_entry entry = { .series = (uint32_t)series,
				     .sample_labels = (uint32_t)none,
				     .stack = add_stack(fixture->batch, "main"),
				     .count = 1,
				     .value = 1 };

	assert_int_equal(batch_add_entry(fixture->batch, &entry), 0);
	assert_int_equal(store_append(fixture->small.server.store, fixture->batch), 0);

	call(fixture, "LabelNames", "{}", &exchange);
	assert_null(strstr(exchange_text(&exchange), "k8s.pod"));
	assert_non_null(strstr(exchange_text(&exchange), "__profile_type__"));

	exchange_init(&modern, "POST", "/querier.v1.QuerierService/LabelNames");
	exchange_header(&modern, "Content-Type", "application/json");
	exchange_header(&modern, "Accept", "*/*; allow-utf8-labelnames=true");
	exchange_body(&modern, STR("{}"));
	routes_answer(fixture->routes, &modern.request, &modern.reply);
	assert_non_null(strstr(exchange_text(&modern), "k8s.pod"));
}

/* ---- the page ---------------------------------------------------------------------------------
 */

#define RANGE "from=1700000000000&to=1700000010000"

/* Four windows of a second: 0.5 cores of x on pid 1, 0.25 of y on pid 2. */
static void fill_with_seconds(struct fixture *fixture)
{
	static const struct sample samples[] = {
		{ "x", "1", "main;a", 500000000 },
		{ "y", "2", "main;b", 250000000 },
	};

	for (int64_t i = 0; i < 4; i++)
		append(fixture, BASE_MS + i * 1000, samples, 2);
}

static void tells_who_uses_the_cpu(void **state)
{
	fill_with_seconds(*state);

	autoclean(json_value) struct json_value *answer =
		get(*state, "/api/v1/processes?" RANGE "&limit=1&points=5");
	const struct json_value *rows = json_value_member(answer, "rows");
	const struct json_value *row = json_value_item(rows, 0);
	const struct json_value *spark = json_value_member(row, "spark");
	double value = -1;

	assert_true(number(answer, "cpus") == 2);
	assert_true(number(answer, "cores") == 0.75);
	assert_int_equal(json_value_count(rows), 1);
	assert_text(row, "process", "1.100.1");
	assert_text(row, "process_name", "x");
	assert_text(row, "service_name", "x");
	assert_true(number(row, "pid") == 1);
	/* Four of the ten seconds were recorded. */
	assert_true(number(row, "cores") == 0.5);
	assert_true(number(row, "share") == 0.25);
	assert_true(number(row, "last_seen_ms") == (double)(BASE_MS + 3000));
	assert_int_equal(json_value_count(spark), 5);
	assert_true(json_value_number(json_value_item(spark, 0), &value) && value == 0.5);
	/* Nothing was recorded there: not known is not idle. */
	assert_false(json_value_number(json_value_item(spark, 4), &value));
	assert_true(number(json_value_member(answer, "more"), "rows") == 1);
	assert_true(number(json_value_member(answer, "more"), "cores") == 0.25);
}

static void tells_when_the_cpu_was_used(void **state)
{
	fill_with_seconds(*state);

	autoclean(json_value) struct json_value *answer =
		get(*state, "/api/v1/timeline?" RANGE "&step_ms=3000&by=service_name&limit=1");
	const struct json_value *series = json_value_member(answer, "series");
	const struct json_value *row = json_value_item(series, 0);
	const struct json_value *cores = json_value_member(row, "cores");
	double value = -1;

	/* Pieces begin at multiples of 3 s: the first lies 2 s before the data. */
	assert_true(number(answer, "from_ms") == (double)(BASE_MS - BASE_MS % 3000));
	assert_true(number(answer, "step_ms") == 3000);
	assert_int_equal(json_value_count(series), 1);
	assert_text(json_value_member(row, "labels"), "service_name", "x");
	assert_int_equal(json_value_count(cores), (size_t)(BASE_MS % 3000 + 10000) / 3000 + 1);
	/* Where nothing was recorded is nothing, and half a piece is no lower for it. */
	for (size_t i = 0; i < json_value_count(cores); i++) {
		bool is_number = json_value_number(json_value_item(cores, i), &value);

		assert_int_equal(is_number, i < 2);
		if (is_number)
			assert_true(value == 0.5);
	}
	assert_true(number(json_value_member(answer, "more"), "rows") == 1);
	assert_int_equal(json_value_count(json_value_member(answer, "gaps")), 0);
}

static void draws_the_flame_graph_in_columns(void **state)
{
	static const char *const columns[] = { "parent", "name",  "module", "kind",
					       "self",	 "total", "hidden" };

	fill_with_seconds(*state);

	autoclean(json_value) struct json_value *answer =
		get(*state, "/api/v1/flame?" RANGE "&nodes=100");
	const struct json_value *nodes = json_value_member(answer, "nodes");
	const struct json_value *names = json_value_member(answer, "names");

	assert_true(number(answer, "total") == 3000000000.0);
	assert_true(number(answer, "samples") == 8);
	assert_true(number(answer, "recorded_ms") == 4000);
	assert_text(answer, "unit", "nanoseconds");
	/* The root, a row for each service, and below each main and a leaf. */
	for (size_t i = 0; i < sizeof(columns) / sizeof(columns[0]); i++)
		assert_int_equal(json_value_count(json_value_member(nodes, columns[i])), 7);

	int64_t name = 0;
	struct str text = { 0 };

	assert_true(
		json_value_integer(json_value_item(json_value_member(nodes, "name"), 1), &name));
	assert_true(json_value_text(json_value_item(names, (size_t)name), &text));
	assert_true(str_equal(text, STR("x")));

	/* A question that names its service needs no rows for it. */
	autoclean(json_value) struct json_value *one =
		get(*state, "/api/v1/flame?" RANGE "&query=%7Bservice_name%3D%22x%22%7D");

	assert_int_equal(
		json_value_count(json_value_member(json_value_member(one, "nodes"), "name")), 3);

	autoclean(json_value) struct json_value *flat =
		get(*state, "/api/v1/flame?" RANGE "&rows=");

	assert_int_equal(
		json_value_count(json_value_member(json_value_member(flat, "nodes"), "name")), 4);
}

static void lists_labels_and_says_how_it_is(void **state)
{
	fill_with_seconds(*state);

	autoclean(json_value) struct json_value *names = get(*state, "/api/v1/labels?" RANGE);
	autoclean(json_value) struct json_value *values =
		get(*state, "/api/v1/labels?" RANGE "&name=service_name");
	autoclean(json_value) struct json_value *status = get(*state, "/api/v1/status");
	autoclean(exchange) struct exchange metrics;
	struct fixture *fixture = *state;

	assert_true(json_value_count(json_value_member(names, "names")) >= 4);
	assert_int_equal(json_value_count(json_value_member(values, "values")), 2);
	assert_true(number(json_value_member(status, "store"), "samples") == 8);
	assert_text(json_value_member(status, "host"), "name", "box");
	assert_text(json_value_member(status, "collector"), "state", "absent");
	assert_true(number(json_value_member(json_value_member(status, "collector"), "lost"),
			   "ring_full") == 0);

	exchange_init(&metrics, "GET", "/metrics");
	routes_answer(fixture->routes, &metrics.request, &metrics.reply);
	assert_non_null(strstr(exchange_text(&metrics), "\nhearth_store_samples 8\n"));
	assert_non_null(
		strstr(exchange_text(&metrics), "\nhearth_lost_total{kind=\"ring_full\"} 0\n"));
	assert_non_null(
		strstr(exchange_text(&metrics),
		       "\nhearth_requests_total{route=\"/api/v1/labels\",status=\"200\"} 2\n"));
	assert_non_null(strstr(exchange_text(&metrics),
			       "hearth_request_duration_seconds_bucket{route=\"/api/v1/labels\","
			       "le=\"+Inf\"} 2\n"));
	assert_non_null(strstr(exchange_text(&metrics), "\nprocess_open_fds "));
}

static void names_the_wrong_parameter(void **state)
{
	static const struct {
		const char *target;
		const char *parameter;
	} cases[] = {
		{ "/api/v1/flame?from=yesterday", "from" },
		{ "/api/v1/flame?to=%22", "to" },
		{ "/api/v1/flame?from=now&to=now-1h", "from" },
		{ "/api/v1/flame?nodes=0", "nodes" },
		{ "/api/v1/flame?nodes=100001", "nodes" },
		{ "/api/v1/flame?type=cpu", "type" },
		{ "/api/v1/flame?query=%7Bx", "query" },
		{ "/api/v1/processes?limit=501", "limit" },
		{ "/api/v1/processes?points=x", "points" },
		{ "/api/v1/timeline?points=2001", "points" },
		{ "/api/v1/timeline?from=now-1d&step_ms=1", "step_ms" },
		{ "/api/v1/timeline?by=a,b,c,d,e,f,g,h,i", "by" },
	};
	struct fixture *fixture = *state;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		autoclean(exchange) struct exchange exchange;
		autoclean(json_value) struct json_value *answer = NULL;
		char error[JSON_ERROR_SIZE] = "";

		exchange_init(&exchange, "GET", cases[i].target);
		routes_answer(fixture->routes, &exchange.request, &exchange.reply);
		assert_int_equal(exchange.reply.status, 400);
		assert_int_equal(
			json_value_parse(str_from(exchange_text(&exchange)), &answer, error), 0);
		assert_text(answer, "parameter", cases[i].parameter);
	}
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
		TEST(puts_profiles_on_a_grid_from_the_start),
		TEST(groups_and_limits_series),
		TEST(refuses_steps_that_make_no_sense),
		TEST(lists_types_names_values_and_series),
		TEST(hides_names_that_old_clients_choke_on),
		TEST(tells_who_uses_the_cpu),
		TEST(tells_when_the_cpu_was_used),
		TEST(draws_the_flame_graph_in_columns),
		TEST(lists_labels_and_says_how_it_is),
		TEST(names_the_wrong_parameter),
		TEST(answers_an_empty_store),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
