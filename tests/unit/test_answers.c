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
#include "tests/support/answers.h"

#define JSON "application/json"

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

static void assert_answer(struct fixture *fixture, const char *method, const char *body,
			  const char *expected)
{
	autoclean(exchange) struct exchange exchange;

	call(fixture, method, JSON, str_from(body), &exchange);
	assert_string_equal(exchange_text(&exchange), expected);
	assert_int_equal(exchange.reply.status, 200);
}

static void assert_error(struct fixture *fixture, const char *method, const char *body, int status,
			 const char *expected)
{
	autoclean(exchange) struct exchange exchange;

	call(fixture, method, JSON, str_from(body), &exchange);
	if (!strstr(exchange_text(&exchange), expected))
		fail_msg("%s: %s", body, exchange_text(&exchange));
	assert_int_equal(exchange.reply.status, status);
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

	call(*state, "SelectMergeStacktraces", JSON,
	     STR("{" ASK ",\"format\":99,\"labelSelector\":\"\",\"newField\":[{}]}"), &exchange);
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
		TEST(puts_profiles_on_a_grid_from_the_start),
		TEST(groups_and_limits_series),
		TEST(refuses_steps_that_make_no_sense),
		TEST(lists_types_names_values_and_series),
		TEST(hides_names_that_old_clients_choke_on),
		TEST(answers_an_empty_store),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
