/* SPDX-License-Identifier: Apache-2.0 */
/* The page's own API: questions to a real store, and the values of the answers. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>
#include <zlib.h>

#include "base/cleanup.h"
#include "store/store.h"
#include "tests/support/answers.h"
#include "web/message.h"
#include "web/pprof.h"

#define RANGE "from=1700000000000&to=1700000010000"

/* Four windows of a second: 0.5 cores of x on pid 1, 0.25 of y on pid 2. */
static void fill_with_seconds(struct fixture *fixture)
{
	static const struct sample samples[] = {
		{ "x", "1", "main;a", 500000000, NULL },
		{ "y", "2", "main;b", 250000000, NULL },
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

/* What is no CPU time stands in its own unit as well, step by step, the rest together. */
static void tells_whose_stacks_are_complete(void **state)
{
	static const struct sample more[] = {
		{ "y", "2", "?3;c", 50000000, NULL },
		{ "y", "2", "?9;b", 150000000, NULL },
		{ "y", "2", "?9;d", 50000000, NULL },
	};

	fill_with_seconds(*state);
	append(*state, BASE_MS + 4000, more, sizeof(more) / sizeof(more[0]));

	autoclean(json_value) struct json_value *answer =
		get(*state, "/api/v1/stacks?" RANGE "&by=service");
	const struct json_value *rows = json_value_member(answer, "rows");
	const struct json_value *x = json_value_item(rows, 0), *y = json_value_item(rows, 1);
	const struct json_value *cuts = json_value_member(y, "cuts");

	assert_int_equal(json_value_count(rows), 2);
	assert_text(x, "service_name", "x");
	assert_true(number(x, "total") == 2e9 && number(x, "complete") == 2e9);
	assert_int_equal(json_value_count(json_value_member(x, "cuts")), 0);
	assert_text(y, "service_name", "y");
	assert_true(number(y, "total") == 1.25e9 && number(y, "complete") == 1e9);
	assert_int_equal(json_value_count(cuts), 2);
	assert_text(json_value_item(cuts, 0), "name", "[truncated: program was new]");
	assert_true(number(json_value_item(cuts, 0), "value") == 2e8);
	assert_true(number(json_value_item(cuts, 1), "value") == 5e7);

	autoclean(json_value) struct json_value *heaviest =
		get(*state, "/api/v1/stacks?" RANGE "&limit=1");

	rows = json_value_member(heaviest, "rows");
	assert_int_equal(json_value_count(rows), 1);
	assert_text(json_value_item(rows, 0), "process", "1.100.1");
}

static void tells_what_else_there_was_when(void **state)
{
	static const char heap[] = "memory:inuse_space:bytes:space:bytes";
	static const int64_t sizes[] = { 3000000, 1000000, 500000 };
	static const char *const names[] = { "x", "y", "z" };
	struct fixture *fixture = *state;
	const struct named_line line = { .function = STR("main") };

	fill_with_seconds(fixture);
	batch_clear(fixture->batch);
	batch_set_time(fixture->batch, (struct batch_time){ BASE_MS + 1000, BASE_MS + 2000 });
	for (size_t i = 0; i < 3; i++) {
		const struct label service = { STR("service_name"), str_from(names[i]) };
		uint32_t location = (uint32_t)batch_add_named_location(fixture->batch, &line, 1);
		int64_t labels = batch_add_labels(fixture->batch, &service, 1);
		struct batch_entry entry = {
			.series = (uint32_t)batch_add_series(fixture->batch, (uint32_t)labels,
							     str_from(heap), 1),
			.sample_labels = (uint32_t)batch_add_labels(fixture->batch, NULL, 0),
			.stack = (uint32_t)batch_add_stack(fixture->batch, &location, 1, 0),
			.count = 1,
			.value = (uint64_t)sizes[i],
		};

		assert_int_equal(batch_add_entry(fixture->batch, &entry), 0);
	}
	assert_int_equal(store_append(fixture->small.server.store, fixture->batch), 0);

	autoclean(json_value) struct json_value *answer =
		get(fixture, "/api/v1/timeline?" RANGE "&step_ms=3000&by=service_name&limit=1&type="
			     "memory%3Ainuse_space%3Abytes%3Aspace%3Abytes");
	const struct json_value *row = json_value_item(json_value_member(answer, "series"), 0);
	const struct json_value *shown = json_value_member(row, "values");
	const struct json_value *more = json_value_member(answer, "more");
	const struct json_value *hidden = json_value_member(more, "values");
	size_t at = (size_t)(BASE_MS % 3000 + 1000) / 3000;
	double value = 0;

	assert_text(answer, "unit", "bytes");
	assert_text(json_value_member(row, "labels"), "service_name", "x");
	assert_true(number(more, "rows") == 2);
	assert_true(json_value_number(json_value_item(shown, at), &value) && value == 3000000);
	assert_true(json_value_number(json_value_item(hidden, at), &value) && value == 1500000);
	/* In another step that was recorded nothing came, and later none was. */
	assert_true(json_value_number(json_value_item(shown, 1 - at), &value) && value == 0);
	assert_false(json_value_number(json_value_item(shown, 3), &value));
}

/* Whatever the range begins and ends with: values are of the time that they are divided by. */
static void edges_of_a_range_count_no_window_more(void **state)
{
	fill_with_seconds(*state);
	for (int from = 0; from <= 1500; from += 250)
		for (int to = from + 1000; to <= 4000; to += 250) {
			char target[160];
			double value = 0;
			int windows = (to + 999) / 1000 - (from + 999) / 1000;

			snprintf(target, sizeof(target),
				 "/api/v1/processes?from=%lld&to=%lld&points=3",
				 (long long)BASE_MS + from, (long long)BASE_MS + to);

			autoclean(json_value) struct json_value *who = get(*state, target);
			const struct json_value *row =
				json_value_item(json_value_member(who, "rows"), 0);
			const struct json_value *spark = json_value_member(row, "spark");

			assert_true(number(who, "cores") == 0.75);
			assert_true(number(row, "cores") == 0.5);
			for (size_t i = 0; i < json_value_count(spark); i++)
				if (json_value_number(json_value_item(spark, i), &value))
					assert_true(value == 0.5);

			snprintf(target, sizeof(target), "/api/v1/flame?from=%lld&to=%lld",
				 (long long)BASE_MS + from, (long long)BASE_MS + to);

			autoclean(json_value) struct json_value *flame = get(*state, target);

			assert_true(number(flame, "recorded_ms") == windows * 1000);
			assert_true(number(flame, "total") == windows * 750000000.0);

			snprintf(target, sizeof(target),
				 "/api/v1/timeline?from=%lld&to=%lld&step_ms=500",
				 (long long)BASE_MS + from, (long long)BASE_MS + to);

			autoclean(json_value) struct json_value *timeline = get(*state, target);
			const struct json_value *cores = json_value_member(
				json_value_item(json_value_member(timeline, "series"), 0), "cores");

			for (size_t i = 0; i < json_value_count(cores); i++)
				if (json_value_number(json_value_item(cores, i), &value))
					assert_true(value == 0.75);
		}
}

static bool nobody_is_there(const struct request *request)
{
	(void)request;
	return true;
}

/* What an answer cost stands beside it; and nobody works for nobody. */
static void questions_are_measured_and_ended(void **state)
{
	struct fixture *fixture = *state;
	autoclean(exchange) struct exchange asked, gone;
	bool is_told = false;

	fill_with_seconds(fixture);
	exchange_init(&asked, "GET", "/api/v1/flame?" RANGE);
	routes_answer(fixture->routes, &asked.request, &asked.reply);
	assert_int_equal(asked.reply.status, 200);
	for (size_t i = 0; i < asked.reply.header_count; i++)
		is_told = is_told ||
			  (str_equal(asked.reply.headers[i].name, STR("X-Hearth-Query")) &&
			   str_starts_with(asked.reply.headers[i].value, STR("spans=1; pieces=")));
	assert_true(is_told);
	assert_int_equal(fixture->small.server.counters.questions, 1);
	assert_true(fixture->small.server.counters.question_spans > 0);

	exchange_init(&gone, "GET", "/api/v1/flame?" RANGE);
	gone.request.is_gone = nobody_is_there;
	routes_answer(fixture->routes, &gone.request, &gone.reply);
	assert_int_equal(gone.reply.status, 499);
	assert_int_equal(fixture->small.server.counters.questions_cancelled, 1);
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

	fixture->small.server.counters.walk_figures[WALK_MAPPINGS_TOLD] = 42;
	fixture->small.server.counters.walk_figures[WALK_TOLD_NS] = 1500000000;
	fixture->small.server.counters.walk_figures[WALK_TOLD_WITHIN + 3] = 40;
	exchange_init(&metrics, "GET", "/metrics");
	routes_answer(fixture->routes, &metrics.request, &metrics.reply);
	assert_non_null(strstr(exchange_text(&metrics), "\nhearth_store_samples 8\n"));
	assert_non_null(
		strstr(exchange_text(&metrics), "\nhearth_lost_total{kind=\"ring_full\"} 0\n"));
	assert_non_null(
		strstr(exchange_text(&metrics), "\nhearth_stacks_total{verdict=\"no_rule\"} 0\n"));
	assert_non_null(strstr(exchange_text(&metrics), "\nhearth_walks_different_total 0\n"));
	assert_non_null(strstr(exchange_text(&metrics),
			       "\nhearth_mapping_telling_seconds_bucket{le=\"0.002\"} 40\n"));
	assert_non_null(strstr(exchange_text(&metrics),
			       "\nhearth_mapping_telling_seconds_bucket{le=\"+Inf\"} 42\n"
			       "hearth_mapping_telling_seconds_sum 1.500000\n"
			       "hearth_mapping_telling_seconds_count 42\n"));
	assert_non_null(
		strstr(exchange_text(&metrics),
		       "\nhearth_requests_total{route=\"/api/v1/labels\",status=\"200\"} 2\n"));
	assert_non_null(strstr(exchange_text(&metrics),
			       "hearth_request_duration_seconds_bucket{route=\"/api/v1/labels\","
			       "le=\"+Inf\"} 2\n"));
	assert_non_null(strstr(exchange_text(&metrics),
			       "\nhearth_limit_hits_total{limit=\"questions\"} 0\n"));
	assert_null(strstr(exchange_text(&metrics), "limit=\"none\""));
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
		{ "/api/v1/flame?view=inside_out", "view" },
		{ "/api/v1/functions?limit=2001", "limit" },
		{ "/api/v1/functions?sort=name", "sort" },
		{ "/api/v1/sandwich", "function" },
		{ "/api/v1/sandwich?function=a&nodes=0", "nodes" },
		{ "/api/v1/types?from=x", "from" },
		{ "/api/v1/export", "format" },
		{ "/api/v1/export?format=svg", "format" },
		{ "/api/v1/export?format=pprof&nodes=0", "nodes" },
		{ "/api/v1/processes?by=pid", "by" },
		{ "/api/v1/changes?base_from=x", "base_from" },
		{ "/api/v1/changes?base_to=x", "base_to" },
		{ "/api/v1/changes?base_from=2&base_to=1", "base_from" },
		{ "/api/v1/changes?limit=101", "limit" },
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

static void finds_processes_and_services(void **state)
{
	static const struct sample samples[] = {
		{ "nginx", "12", "main;a", 500000000, NULL },
		{ "nginx", "123", "main;a", 100000000, NULL },
		{ "sshd", "7", "main;b", 250000000, NULL },
	};

	append(*state, BASE_MS, samples, 1);
	append(*state, BASE_MS + 1000, samples, 3);

	autoclean(json_value) struct json_value *by_pid =
		get(*state, "/api/v1/processes?" RANGE "&search=12");
	const struct json_value *rows = json_value_member(by_pid, "rows");

	/* A pid is all of its digits; the sums are of everything that there is. */
	assert_int_equal(json_value_count(rows), 1);
	assert_text(json_value_item(rows, 0), "process", "12.100.1");
	assert_true(number(json_value_item(rows, 0), "first_seen_ms") == (double)BASE_MS);
	assert_true(number(by_pid, "cores") == 0.675);
	assert_true(number(json_value_member(by_pid, "more"), "rows") == 0);

	autoclean(json_value) struct json_value *by_name =
		get(*state, "/api/v1/processes?" RANGE "&search=GIN&limit=1");

	assert_text(json_value_item(json_value_member(by_name, "rows"), 0), "process", "12.100.1");
	assert_true(number(json_value_member(by_name, "more"), "rows") == 1);
	assert_true(number(json_value_member(by_name, "more"), "cores") == 0.05);

	autoclean(json_value) struct json_value *services =
		get(*state, "/api/v1/processes?" RANGE "&by=service&points=10");
	const struct json_value *first = json_value_item(json_value_member(services, "rows"), 0);
	double spark = -1;

	assert_int_equal(json_value_count(json_value_member(services, "rows")), 2);
	assert_text(first, "service_name", "nginx");
	assert_true(number(first, "processes") == 2);
	assert_true(number(first, "cores") == 0.55);
	assert_true(number(first, "first_seen_ms") == (double)BASE_MS);
	assert_true(number(first, "last_seen_ms") == (double)(BASE_MS + 1000));
	assert_false(json_value_has(first, "process"));
	assert_false(json_value_has(first, "exited"));
	assert_true(
		json_value_number(json_value_item(json_value_member(first, "spark"), 0), &spark) &&
		spark == 0.55);
}

/* "PID.START.": this process's own, as the collector would say it. */
static void own_process(char text[static 64], int exec)
{
	char stat[1024];
	FILE *file = fopen("/proc/self/stat", "r");
	unsigned long long ticks = 0;

	assert_non_null(file);
	assert_true(fgets(stat, sizeof(stat), file) != NULL);
	fclose(file);

	/* Of this program's name we know that it holds no parenthesis. */
	char *next = strchr(stat, ')') + 2;

	for (int i = 0; i < 19; i++)
		next = strchr(next, ' ') + 1;
	assert_int_equal(sscanf(next, "%llu", &ticks), 1);
	/* Somewhere within the tick. */
	snprintf(text, 64, "%d.%llu.%d", getpid(),
		 ticks * 1000 / (unsigned)sysconf(_SC_CLK_TCK) + 7, exec);
}

static void assert_exited(const struct json_value *answer, const char *process, int expected)
{
	const struct json_value *rows = json_value_member(answer, "rows");

	for (size_t i = 0; i < json_value_count(rows); i++) {
		const struct json_value *row = json_value_item(rows, i);
		struct str text = { 0 };
		bool exited = false;

		assert_true(json_value_text(json_value_member(row, "process"), &text));
		if (!str_equal(text, str_from(process)))
			continue;
		assert_int_equal(json_value_has(row, "exited"), expected >= 0);
		if (expected >= 0) {
			assert_true(json_value_boolean(json_value_member(row, "exited"), &exited));
			assert_int_equal(exited, expected);
		}
		return;
	}
	fail_msg("no row of %s", process);
}

static void tells_who_is_gone(void **state)
{
	struct fixture *fixture = *state;
	char before[64];
	char now[64];

	own_process(before, 1);
	own_process(now, 2);

	struct sample samples[] = {
		{ "x", "1", "main", 1, before },   { "x", "1", "main", 1, now },
		{ "x", "1", "main", 1, "1.1.1" },  { "x", "1", "main", 1, "4194304.7.1" },
		{ "x", "1", "main", 1, "pushed" },
	};

	append(fixture, BASE_MS, samples, 1);
	append(fixture, BASE_MS + 1000, samples + 1, 4);

	autoclean(json_value) struct json_value *answer = get(fixture, "/api/v1/processes?" RANGE);

	assert_exited(answer, now, 0);
	/* It has become another program. */
	assert_exited(answer, before, 1);
	/* Its pid belongs to another now, or to nobody. */
	assert_exited(answer, "1.1.1", 1);
	assert_exited(answer, "4194304.7.1", 1);
	assert_exited(answer, "pushed", -1);

	/* What was recorded elsewhere is not looked for here. */
	fixture->small.server.counters.collector_state = COLLECTOR_REPLAY;

	autoclean(json_value) struct json_value *replay = get(fixture, "/api/v1/processes?" RANGE);

	assert_exited(replay, now, -1);
}

/* ---- functions --------------------------------------------------------------------------------
 */

static void assert_get(struct fixture *fixture, const char *target, const char *expected)
{
	autoclean(exchange) struct exchange exchange;

	exchange_init(&exchange, "GET", target);
	routes_answer(fixture->routes, &exchange.request, &exchange.reply);
	assert_string_equal(exchange_text(&exchange), expected);
	assert_int_equal(exchange.reply.status, 200);
}

/* a calls itself by way of b. */
static void fill_with_calls(struct fixture *fixture)
{
	static const struct sample samples[] = {
		{ "x", "1", "main;a;b;a", 3, NULL },
		{ "x", "1", "main;a", 4, NULL },
		{ "y", "2", "init;b", 5, NULL },
		{ "y", "2", "init;b;Ab", 1, NULL },
	};

	append(fixture, BASE_MS, samples, 4);
}

#define VIEW                                                                                       \
	"{\"from_ms\":1700000000000,\"to_ms\":1700000010000,\"recorded_ms\":1000,"                 \
	"\"unit\":\"nanoseconds\",\"cpus\":2,\"rolled_samples\":0,"

static void lists_functions(void **state)
{
	fill_with_calls(*state);
	assert_get(*state, "/api/v1/functions?" RANGE "&limit=2",
		   VIEW "\"total\":13,\"rows\":["
			"{\"name\":\"a\",\"module\":\"\",\"kind\":4,\"self\":7,\"total\":7},"
			"{\"name\":\"b\",\"module\":\"\",\"kind\":4,\"self\":5,\"total\":9}],"
			"\"more\":{\"rows\":3,\"self\":1}}");
	assert_get(*state, "/api/v1/functions?" RANGE "&search=A&sort=total",
		   VIEW "\"total\":13,\"rows\":["
			"{\"name\":\"a\",\"module\":\"\",\"kind\":4,\"self\":7,\"total\":7},"
			"{\"name\":\"main\",\"module\":\"\",\"kind\":4,\"self\":0,\"total\":7},"
			"{\"name\":\"Ab\",\"module\":\"\",\"kind\":4,\"self\":1,\"total\":1}],"
			"\"more\":{\"rows\":0,\"self\":0},"
			"\"matched\":{\"rows\":3,\"self\":8,\"total\":8}}");
	assert_get(*state, "/api/v1/functions?" RANGE "&query=%7Bservice_name%3D%22z%22%7D",
		   VIEW "\"total\":0,\"rows\":[],\"more\":{\"rows\":0,\"self\":0}}");
}

static void shows_callers_and_callees(void **state)
{
	fill_with_calls(*state);
	assert_get(*state, "/api/v1/sandwich?" RANGE "&function=a",
		   VIEW
		   "\"view_total\":13,\"function\":\"a\",\"module\":\"\",\"kind\":4,"
		   "\"self\":7,\"total\":7,\"names\":[\"\",\"a\",\"main\",\"\",\"a\",\"b\"],"
		   "\"callers\":{\"parent\":[0,0],\"name\":[1,2],\"module\":[0,0],\"kind\":[4,4],"
		   "\"self\":[0,7],\"total\":[7,7],\"hidden\":[0,0]},"
		   "\"callees\":{\"parent\":[0,0,1],\"name\":[4,5,4],\"module\":[3,3,3],"
		   "\"kind\":[4,4,4],\"self\":[4,0,3],\"total\":[7,3,3],\"hidden\":[0,0,0]}}");
	assert_get(*state, "/api/v1/sandwich?" RANGE "&function=nobody&module=x",
		   VIEW
		   "\"view_total\":13,\"function\":\"nobody\",\"module\":\"x\",\"kind\":0,"
		   "\"self\":0,\"total\":0,\"names\":[\"\",\"nobody\",\"x\",\"\",\"nobody\",\"x\"],"
		   "\"callers\":{\"parent\":[0],\"name\":[1],\"module\":[2],\"kind\":[0],"
		   "\"self\":[0],\"total\":[0],\"hidden\":[0]},"
		   "\"callees\":{\"parent\":[0],\"name\":[4],\"module\":[5],\"kind\":[0],"
		   "\"self\":[0],\"total\":[0],\"hidden\":[0]}}");
}

static void turns_the_flame_graph_around(void **state)
{
	fill_with_calls(*state);
	assert_get(*state, "/api/v1/flame?" RANGE "&view=bottom_up",
		   VIEW "\"total\":13,\"samples\":4,"
			"\"names\":[\"\",\"total\",\"Ab\",\"b\",\"init\",\"a\",\"main\"],"
			"\"nodes\":{\"parent\":[0,0,1,2,0,4,5,6,4,0,9],"
			"\"name\":[1,2,3,4,5,3,5,6,6,3,4],\"module\":[0,0,0,0,0,0,0,0,0,0,0],"
			"\"kind\":[0,4,4,4,4,4,4,4,4,4,4],\"self\":[0,0,0,1,0,0,0,3,4,0,5],"
			"\"total\":[13,1,1,1,7,3,3,3,4,5,5],\"hidden\":[0,0,0,0,0,0,0,0,0,0,0]},"
			"\"hidden\":0,\"gaps\":[]}");

	/* With rows each turns around its own. */
	autoclean(json_value) struct json_value *rows =
		get(*state, "/api/v1/flame?" RANGE "&view=bottom_up&rows=service_name");

	assert_int_equal(
		json_value_count(json_value_member(json_value_member(rows, "nodes"), "name")), 13);
	assert_true(number(rows, "total") == 13);
}

static void lists_profile_types(void **state)
{
	fill_with_calls(*state);
	assert_get(*state, "/api/v1/types?" RANGE,
		   "{\"types\":[{\"id\":\"" CPU "\",\"name\":\"process_cpu\","
		   "\"sample_type\":\"cpu\",\"sample_unit\":\"nanoseconds\","
		   "\"period_type\":\"cpu\",\"period_unit\":\"nanoseconds\"}]}");
	assert_get(*state, "/api/v1/types?from=1&to=2", "{\"types\":[]}");
}

/* ---- files ------------------------------------------------------------------------------------
 */

static const char *header(const struct exchange *exchange, const char *name)
{
	for (size_t i = 0; i < exchange->reply.header_count; i++)
		if (str_equal(exchange->reply.headers[i].name, str_from(name)))
			return exchange->reply.headers[i].value.text;
	return NULL;
}

static void exports_folded_stacks(void **state)
{
	static const struct sample samples[] = {
		{ "x", "1", "main;a", 3, NULL },
		{ "y", "2", "main;b\n:c", 5, NULL },
		{ "y", "2", "main", 2, NULL },
	};
	struct fixture *fixture = *state;
	autoclean(exchange) struct exchange exchange;

	append(fixture, BASE_MS, samples, 3);
	exchange_init(&exchange, "GET", "/api/v1/export?" RANGE "&format=folded");
	routes_answer(fixture->routes, &exchange.request, &exchange.reply);
	assert_string_equal(exchange_text(&exchange), "main 2\nmain;a 3\nmain;b :c 5\n");
	assert_int_equal(exchange.reply.status, 200);
	assert_string_equal(exchange.reply.content_type, "text/plain; charset=utf-8");
	assert_string_equal(header(&exchange, "Content-Disposition"),
			    "attachment; filename=\"hearth-box-20231114T221320Z-10s.folded.txt\"");
}

static void exports_pprof_files(void **state)
{
	struct fixture *fixture = *state;
	autoclean(exchange) struct exchange exchange;
	autoclean(arena) struct arena arena = ARENA(1 << 20);
	char error[MESSAGE_ERROR_SIZE] = "";
	const ProtobufCMessage *message = NULL;
	uint8_t bytes[4096];
	z_stream stream = { .next_out = bytes, .avail_out = sizeof(bytes) };

	fill_with_calls(fixture);
	fixture->small.server.counters.frequency_hz = 99;
	exchange_init(&exchange, "GET", "/api/v1/export?" RANGE "&format=pprof");
	/* A browser that accepts gzip must not unpack the file. */
	exchange_header(&exchange, "Accept-Encoding", "gzip");
	routes_answer(fixture->routes, &exchange.request, &exchange.reply);
	assert_int_equal(exchange.reply.status, 200);
	assert_null(exchange.reply.content_encoding);
	assert_string_equal(header(&exchange, "Content-Disposition"),
			    "attachment; filename=\"hearth-box-20231114T221320Z-10s.pb.gz\"");

	stream.next_in = exchange.reply.body.bytes;
	stream.avail_in = (uInt)exchange.reply.body.size;
	assert_int_equal(inflateInit2(&stream, 15 + 16), Z_OK);
	assert_int_equal(inflate(&stream, Z_FINISH), Z_STREAM_END);
	assert_int_equal(inflateEnd(&stream), Z_OK);
	assert_int_equal(message_unpack(&pprof__profile__descriptor,
					(struct str){ (const char *)bytes, stream.total_out },
					&arena, &message, error),
			 0);

	const Pprof__Profile *profile = (const void *)message;
	int64_t sum = 0;

	assert_int_equal(profile->n_sample, 4);
	for (size_t i = 0; i < profile->n_sample; i++)
		sum += profile->sample[i]->value[0];
	assert_int_equal(sum, 13);
	/* main, a, b, init, Ab: once each, though a and b stand at several places. */
	assert_int_equal(profile->n_function, 5);
	assert_int_equal(profile->n_location, 5);
	assert_int_equal(profile->time_nanos, BASE_MS * 1000000);
	assert_int_equal(profile->duration_nanos, INT64_C(10000000000));
	assert_int_equal(profile->period, 10101010);
}

/* ---- changes ----------------------------------------------------------------------------------
 */

#define CHANGES "/api/v1/changes?from=1700000010000&to=1700000019999&base_from=1700000000000"

/* Ten seconds of each. */
static void fill_with_changes(struct fixture *fixture)
{
	static const struct sample before[] = {
		{ "postgres", "1", "main;loop;query", 400000000, NULL },
		{ "postgres", "1", "main;loop;vacuum;scan", 10000000, NULL },
		{ "steady", "2", "main", 200000000, NULL },
		{ "leaving", "3", "main;work", 100000000, NULL },
	};
	static const struct sample now[] = {
		{ "postgres", "1", "main;loop;query", 405000000, NULL },
		{ "postgres", "1", "main;loop;vacuum;scan", 310000000, NULL },
		{ "postgres", "1", "main;loop;vacuum;clean", 300000000, NULL },
		{ "steady", "2", "main", 209000000, NULL },
		{ "new", "4", "main;work", 50000000, NULL },
	};

	for (int64_t i = 0; i < 10; i++) {
		append(fixture, BASE_MS + i * 1000, before, 4);
		append(fixture, BASE_MS + 10000 + i * 1000, now, 5);
	}
}

static void tells_what_changed_and_where(void **state)
{
	fill_with_changes(*state);
	/* vacuum explains it: below it there are two, above it most was there before. */
	assert_get(*state, CHANGES,
		   "{\"from_ms\":1700000010000,\"to_ms\":1700000019999,\"recorded_ms\":10000,"
		   "\"base_from_ms\":1700000000000,\"base_to_ms\":1700000009999,"
		   "\"base_recorded_ms\":10000,\"cpus\":2,\"cores\":1.274,\"base_cores\":0.71,"
		   "\"rows\":[{\"service_name\":\"postgres\",\"cores\":1.015,\"base_cores\":0.41,"
		   "\"frame\":{\"name\":\"vacuum\",\"module\":\"\",\"kind\":4,\"cores\":0.61,"
		   "\"base_cores\":0.01,\"path\":[\"main\",\"loop\",\"vacuum\"]}},"
		   "{\"service_name\":\"leaving\",\"cores\":0,\"base_cores\":0.1,\"frame\":null},"
		   "{\"service_name\":\"new\",\"cores\":0.05,\"base_cores\":0,\"frame\":null}],"
		   "\"more\":{\"rows\":0}}");

	autoclean(json_value) struct json_value *one = get(*state, CHANGES "&limit=1");

	assert_int_equal(json_value_count(json_value_member(one, "rows")), 1);
	assert_true(number(json_value_member(one, "more"), "rows") == 2);

	/* Nothing to compare with is no change. */
	autoclean(json_value) struct json_value *first =
		get(*state, "/api/v1/changes?from=1700000000000&to=1700000009999");

	assert_true(number(first, "base_from_ms") == 1699998200000.0);
	assert_true(number(first, "base_to_ms") == 1699999999999.0);
	assert_true(number(first, "base_recorded_ms") == 0);
	assert_true(number(first, "cores") == 0.71);
	assert_int_equal(json_value_count(json_value_member(first, "rows")), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, open_all, close_all)
		TEST(tells_who_uses_the_cpu),
		TEST(tells_when_the_cpu_was_used),
		TEST(tells_whose_stacks_are_complete),
		TEST(tells_what_else_there_was_when),
		TEST(edges_of_a_range_count_no_window_more),
		TEST(questions_are_measured_and_ended),
		TEST(draws_the_flame_graph_in_columns),
		TEST(lists_labels_and_says_how_it_is),
		TEST(names_the_wrong_parameter),
		TEST(lists_functions),
		TEST(shows_callers_and_callees),
		TEST(turns_the_flame_graph_around),
		TEST(lists_profile_types),
		TEST(finds_processes_and_services),
		TEST(tells_who_is_gone),
		TEST(tells_what_changed_and_where),
		TEST(exports_folded_stacks),
		TEST(exports_pprof_files),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
