/* SPDX-License-Identifier: Apache-2.0 */
/* What people keep beside profiles, and what Grafana asks before it asks for profiles. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "store/records.h"
#include "tests/support/answers.h"
#include "tests/support/pprof_maker.h"
#include "web/base64.h"
#include "web/json.h"

#define SETTINGS "/settings.v1.SettingsService/"
#define RULES	 "/settings.v1.RecordingRulesService/"
#define ADHOC	 "/adhocprofiles.v1.AdHocProfileService/"

static void ask(struct fixture *fixture, const char *path, const char *body,
		struct exchange *exchange)
{
	exchange_init(exchange, "POST", path);
	exchange_header(exchange, "Content-Type", "application/json");
	exchange_body(exchange, str_from(body));
	routes_answer(fixture->routes, &exchange->request, &exchange->reply);
}

static void assert_answer(struct fixture *fixture, const char *path, const char *body, int status,
			  const char *expected)
{
	autoclean(exchange) struct exchange exchange;

	ask(fixture, path, body, &exchange);
	assert_string_equal(exchange_text(&exchange), expected);
	assert_int_equal(exchange.reply.status, status);
}

static void assert_holds(struct fixture *fixture, const char *path, const char *body, int status,
			 const char *expected)
{
	autoclean(exchange) struct exchange exchange;

	ask(fixture, path, body, &exchange);
	if (!strstr(exchange_text(&exchange), expected))
		fail_msg("%s %s: %s", path, body, exchange_text(&exchange));
	assert_int_equal(exchange.reply.status, status);
}

/* A member of an answer, for the next question. */
static void take_member(struct fixture *fixture, const char *path, const char *body,
			const char *name, char *text, size_t size)
{
	autoclean(exchange) struct exchange exchange;
	char wanted[64];
	const char *place;

	ask(fixture, path, body, &exchange);
	snprintf(wanted, sizeof(wanted), "\"%s\":\"", name);
	place = strstr(exchange_text(&exchange), wanted);
	if (!place)
		fail_msg("%s: %s", path, exchange_text(&exchange));
	snprintf(text, size, "%.*s", (int)strcspn(place + strlen(wanted), "\""),
		 place + strlen(wanted));
}

/* ---- settings ---------------------------------------------------------------------------------
 */

static void settings_come_back_by_name(void **state)
{
	assert_answer(*state, SETTINGS "Get", "{}", 200, "{}");
	assert_answer(*state, SETTINGS "Set",
		      "{\"setting\":{\"name\":\"b\",\"value\":\"x\",\"modifiedAt\":\"7\"}}", 200,
		      "{\"setting\":{\"name\":\"b\",\"value\":\"x\",\"modifiedAt\":\"7\"}}");
	assert_holds(*state, SETTINGS "Set", "{\"setting\":{\"name\":\"a\",\"value\":\"{}\"}}", 200,
		     "\"modifiedAt\":\"1");
	assert_answer(*state, SETTINGS "Delete", "{\"name\":\"a\"}", 200, "{}");
	assert_answer(*state, SETTINGS "Delete", "{\"name\":\"a\"}", 200, "{}");
	small_server_restart(&((struct fixture *)*state)->small);
	assert_answer(*state, SETTINGS "Get", "{}", 200,
		      "{\"settings\":[{\"name\":\"b\",\"value\":\"x\",\"modifiedAt\":\"7\"}]}");
}

static void the_later_setting_wins(void **state)
{
	static const char set[] =
		"{\"setting\":{\"name\":\"n\",\"value\":\"%s\",\"modifiedAt\":%d}}";
	static const struct {
		const char *value;
		int time_ms, status;
	} cases[] = { { "first", 10, 200 }, { "older", 9, 409 }, { "same", 10, 200 } };

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char body[128];

		snprintf(body, sizeof(body), set, cases[i].value, cases[i].time_ms);
		assert_holds(*state, SETTINGS "Set", body, cases[i].status,
			     cases[i].status == 409 ? "already_exists" : cases[i].value);
	}
	assert_holds(*state, SETTINGS "Get", "{}", 200, "\"value\":\"same\"");
	assert_holds(*state, SETTINGS "Set", "{}", 400, "no setting values");
	assert_holds(*state, SETTINGS "Set", "{\"setting\":{\"value\":\"x\"}}", 400,
		     "no setting name");
	assert_holds(*state, SETTINGS "Delete", "{}", 400, "no setting name");
}

/* ---- rules ------------------------------------------------------------------------------------
 */

#define RULE                                                                                       \
	"\"metricName\":\"profiles_recorded_x\",\"matchers\":[\"{__profile_type__=\\\"" CPU        \
	"\\\"}\",\"{service_name=~\\\"x|y\\\"}\"],\"groupBy\":[\"service_name\"],"                 \
	"\"externalLabels\":[{\"name\":\"where\",\"value\":\"a \\\"b\\\"\"}]"

static void rules_are_kept_and_counted(void **state)
{
	char id[128];
	char body[1024];

	assert_answer(*state, RULES "ListRecordingRules", "{}", 200, "{}");
	take_member(*state, RULES "UpsertRecordingRule", "{" RULE "}", "id", id, sizeof(id));
	assert_int_equal(strlen(id), 10);
	snprintf(body, sizeof(body), "{\"id\":\"%s\"}", id);
	assert_holds(*state, RULES "GetRecordingRule", body, 200,
		     "\"profileType\":\"" CPU "\",\"matchers\":[");
	snprintf(body, sizeof(body), "{\"id\":\"%s\",\"generation\":1," RULE "}", id);
	assert_holds(*state, RULES "UpsertRecordingRule", body, 200, "\"generation\":\"2\"");
	assert_holds(*state, RULES "UpsertRecordingRule", body, 409, "aborted");
	snprintf(body, sizeof(body), "{\"id\":\"%s\"}", id);
	assert_answer(*state, RULES "DeleteRecordingRule", body, 200, "{}");
	assert_holds(*state, RULES "DeleteRecordingRule", body, 404, "not_found");
	assert_holds(*state, RULES "GetRecordingRule", body, 404, "not_found");
	for (int i = 0; i < 25; i++)
		assert_holds(*state, RULES "UpsertRecordingRule", "{" RULE "}", 200, "\"rule\"");
	assert_holds(*state, RULES "UpsertRecordingRule", "{" RULE "}", 429, "resource_exhausted");
}

static void refuses_what_is_no_rule(void **state)
{
	static const struct {
		const char *body;
		const char *expected;
	} cases[] = {
		{ "{}", "metric_name" },
		{ "{\"metricName\":\"a b\"}", "metric_name" },
		{ "{\"metricName\":\"a\"}", "exactly one matcher" },
		{ "{\"metricName\":\"a\",\"matchers\":[\"{__profile_type__=\\\"cpu\\\"}\"]}",
		  "exactly one matcher" },
		{ "{\"metricName\":\"a\",\"matchers\":[\"{__profile_type__=\\\"" CPU
		  "\\\"}\",\"{__profile_type__=\\\"" CPU "\\\"}\"]}",
		  "exactly one matcher" },
		{ "{\"metricName\":\"a\",\"matchers\":[\"{\"]}", "matchers: byte" },
		{ "{\"metricName\":\"a\",\"groupBy\":[\"k8s.pod\"]}", "group_by" },
		{ "{\"metricName\":\"a\",\"externalLabels\":[{\"name\":\"1\"}]}",
		  "external_labels" },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		assert_holds(*state, RULES "UpsertRecordingRule", cases[i].body, 400,
			     cases[i].expected);
}

/* The last whole minute that is half a minute old. */
static int64_t rule_minute_end(void)
{
	int64_t end_ms = clock_unix_ms() - 30000;

	return end_ms - end_ms % 60000;
}

static void rules_make_metrics_of_a_minute(void **state)
{
	static const struct sample samples[] = { { "x", "1", "main;a", 3, NULL },
						 { "x", "2", "main;b", 5, NULL },
						 { "y", "3", "main;a", 7, NULL },
						 { "z", "4", "main;a", 9, NULL } };
	autoclean(exchange) struct exchange exchange;
	char expected[1024];
	int64_t end_ms = rule_minute_end();

	append(*state, end_ms - 61000, samples, 4);
	append(*state, end_ms - 60000, samples, 4);
	append(*state, end_ms - 1, samples, 1);
	append(*state, end_ms, samples, 4);
	assert_holds(*state, RULES "UpsertRecordingRule", "{\"id\":\"one\"," RULE "}", 200, "one");
	assert_holds(*state, RULES "UpsertRecordingRule",
		     "{\"id\":\"two\",\"stacktraceFilter\":{\"functionName\":{\"functionName\":"
		     "\"a\"}}," RULE "}",
		     200, "two");
	exchange_init(&exchange, "GET", "/metrics/rules");
	routes_answer(((struct fixture *)*state)->routes, &exchange.request, &exchange.reply);
	/* The minute has just turned over: what was put in lies in the one before. */
	if (rule_minute_end() != end_ms)
		skip();
	snprintf(expected, sizeof(expected),
		 "# HELP profiles_recorded_x Of profiles: the sum of a minute.\n"
		 "# TYPE profiles_recorded_x gauge\n"
		 "profiles_recorded_x{service_name=\"x\",where=\"a \\\"b\\\"\"} 11 %lld\n"
		 "profiles_recorded_x{service_name=\"y\",where=\"a \\\"b\\\"\"} 7 %lld\n"
		 "profiles_recorded_x{service_name=\"x\",where=\"a \\\"b\\\"\"} 6 %lld\n"
		 "profiles_recorded_x{service_name=\"y\",where=\"a \\\"b\\\"\"} 7 %lld\n",
		 (long long)end_ms, (long long)end_ms, (long long)end_ms, (long long)end_ms);
	assert_string_equal(exchange_text(&exchange), expected);
}

/* ---- ad hoc profiles --------------------------------------------------------------------------
 */

/* "main;a 3", "main;b 2" */
#define FOLDED "bWFpbjthIDMKbWFpbjtiIDIK"

#define FLAME                                                                                      \
	"{\\\"names\\\":[\\\"total\\\",\\\"main\\\",\\\"a\\\",\\\"b\\\"],\\\"levels\\\":[[0,5,0,"  \
	"0],"                                                                                      \
	"[0,5,0,1],[0,3,3,2,0,2,2,3]],\\\"numTicks\\\":5,\\\"maxSelf\\\":3}"

static void uploads_are_looked_at_again(void **state)
{
	char id[256];
	char body[1024];

	assert_answer(*state, ADHOC "List", "{}", 200, "{}");
	take_member(*state, ADHOC "Upload",
		    "{\"name\":\"my stacks/1.txt\",\"profile\":\"" FOLDED "\"}", "id", id,
		    sizeof(id));
	assert_string_equal(id + 26, "-my_stacks_1.txt");
	snprintf(body, sizeof(body), "{\"id\":\"%s\",\"profileType\":\"nope\"}", id);
	assert_holds(*state, ADHOC "Get", body, 200, FLAME);
	assert_holds(*state, ADHOC "Get", body, 200, "\"profileTypes\":[\"samples\"]");
	snprintf(body, sizeof(body), "{\"id\":\"%s\",\"maxNodes\":2}", id);
	assert_holds(*state, ADHOC "Get", body, 200, "[[0,5,0,0],[0,5,0,1],[0,3,3,2,0,2,2,3]]");
	snprintf(body, sizeof(body), "{\"leftId\":\"%s\",\"rightId\":\"%s\"}", id, id);
	assert_holds(*state, ADHOC "Diff", body, 200,
		     "[[0,5,0,0,5,0,0],[0,5,0,0,5,0,1],[0,3,3,0,3,3,2,0,2,2,0,2,2,3]]");
	assert_holds(*state, ADHOC "List", "{}", 200, "\"name\":\"my_stacks_1.txt\"");
	assert_holds(*state, ADHOC "Get", "{\"id\":\"nope\"}", 404, "not_found");
}

/* More than other questions take. */
static void large_uploads_are_taken(void **state)
{
	static char body[3 << 20];
	size_t size = (size_t)snprintf(body, sizeof(body), "{\"name\":\"large\",\"profile\":\"");

	/* "main;a 3\n" has nine bytes, which are twelve letters. */
	while (size < sizeof(body) - 16) {
		memcpy(body + size, "bWFpbjthIDMK", 12);
		size += 12;
	}
	memcpy(body + size, "\"}", 3);
	assert_holds(*state, ADHOC "Upload", body, 200, "\"name\":\"large\"");
	assert_holds(*state, SETTINGS "Set", body, 413, "no more than 1048576 bytes");
}

static void refuses_uploads_that_are_none(void **state)
{
	assert_holds(*state, ADHOC "Upload", "{\"profile\":\"!!!\"}", 400, "not base64");
	assert_holds(*state, ADHOC "Upload", "{\"profile\":\"AQJqdW5r\"}", 400,
		     "failed to parse profile");
	assert_holds(*state, ADHOC "Upload", "{\"profile\":\"\"}", 400, "failed to parse profile");
	assert_holds(*state, ADHOC "Upload", "{\"profile\":\"" FOLDED "\",\"maxNodes\":-1}", 400,
		     "max flamegraph nodes");
	assert_answer(*state, ADHOC "List", "{}", 200, "{}");
}

/* ---- small things -----------------------------------------------------------------------------
 */

static void tells_what_it_is(void **state)
{
	autoclean(exchange) struct exchange exchange;

	assert_answer(*state, "/version.v1.Version/Version", "{}", 200, "{\"QuerierAPI\":\"1\"}");
	assert_holds(*state, "/vcs.v1.VCSService/GithubApp", "{}", 501, "unimplemented");
	ask(*state, "/capabilities.v1.FeatureFlagsService/GetFeatureFlags", "{}", &exchange);
	assert_non_null(
		strstr(exchange_text(&exchange), "{\"name\":\"v2StorageLayer\",\"enabled\":true,"));
	assert_null(strstr(exchange_text(&exchange), "functionProjections"));
}

static void settings_are_told_as_yaml(void **state)
{
	autoclean(exchange) struct exchange exchange;

	exchange_init(&exchange, "GET", "/api/v1/status/config");
	routes_answer(((struct fixture *)*state)->routes, &exchange.request, &exchange.reply);
	assert_int_equal(exchange.reply.status, 200);
	assert_non_null(strstr(exchange_text(&exchange), "\nretention-age: '"));
}

/* ---- the file ---------------------------------------------------------------------------------
 */

static void the_oldest_go_first(void **state)
{
	struct records *records = ((struct fixture *)*state)->small.server.records;
	struct records_figures figures;
	autoclean(buf) struct buf bytes = BUF(100);
	int64_t time_ms = 0;

	for (int i = 0; i < 5; i++) {
		char name = (char)('a' + i);

		assert_int_equal(records_put(records, RECORD_AD_HOC,
					     &(struct record){ .name = { &name, 1 },
							       .time_ms = 100 - i,
							       .bytes = STR("0123456789") }),
				 0);
	}
	assert_int_equal(records_limit(records, RECORD_AD_HOC, 4, 1000), 0);
	assert_int_equal(records_get(records, RECORD_AD_HOC, STR("e"), NULL, &bytes), -ENOENT);
	assert_int_equal(records_limit(records, RECORD_AD_HOC, 4, 25), 0);
	assert_int_equal(records_figures(records, RECORD_AD_HOC, &figures), 0);
	assert_int_equal(figures.count, 2);
	assert_int_equal(figures.bytes, 20);
	assert_int_equal(records_get(records, RECORD_AD_HOC, STR("a"), &time_ms, &bytes), 0);
	assert_int_equal(time_ms, 100);
	assert_int_equal(records_get(records, RECORD_RULE, STR("a"), NULL, &bytes), -ENOENT);
}

static void a_damaged_file_is_set_aside(void **state)
{
	struct fixture *fixture = *state;
	autoclean(records) struct records *records = NULL;
	char path[128];
	bool is_damaged = false;
	FILE *file;

	snprintf(path, sizeof(path), "%s/other.db", fixture->small.folder);
	file = fopen(path, "w");
	assert_non_null(file);
	for (int i = 0; i < 4096; i++)
		(void)fputc('x', file);
	assert_int_equal(fclose(file), 0);
	assert_int_equal(records_open(path, &is_damaged, &records), 0);
	assert_true(is_damaged);
	assert_int_equal(records_put(records, RECORD_SETTING,
				     &(struct record){ .name = STR("n"), .bytes = STR("v") }),
			 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, open_all, close_all)
		TEST(settings_come_back_by_name),
		TEST(the_later_setting_wins),
		TEST(rules_are_kept_and_counted),
		TEST(refuses_what_is_no_rule),
		TEST(rules_make_metrics_of_a_minute),
		TEST(uploads_are_looked_at_again),
		TEST(large_uploads_are_taken),
		TEST(refuses_uploads_that_are_none),
		TEST(tells_what_it_is),
		TEST(settings_are_told_as_yaml),
		TEST(the_oldest_go_first),
		TEST(a_damaged_file_is_set_aside),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
