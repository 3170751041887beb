/* SPDX-License-Identifier: Apache-2.0 */
/* hearth status and /readyz: what a server says of itself, well and not. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/support/hearth.h"

enum { OUTPUT_SIZE = 32768, NOBODYS_PORT = 1 };

static char output[OUTPUT_SIZE];

static int status(unsigned port, const char *options)
{
	char program[256];

	return shell_output(output, sizeof(output), "%s status --http 127.0.0.1:%u %s 2>&1",
			    build_path("hearth", program, sizeof(program)), port, options);
}

static void says(const char *text)
{
	if (!strstr(output, text))
		fail_msg("no '%s' in:\n%s", text, output);
}

static void assert_readiness(unsigned port, int expected, const char *answer)
{
	char *body = NULL;

	assert_int_equal(http_ask(port, "/readyz", NULL, &body), expected);
	assert_string_equal(body, answer);
	free(body);
}

static void without_a_server_it_says_how_to_start_one(void **state)
{
	(void)state;
	assert_int_equal(status(NOBODYS_PORT, ""), EX_UNAVAILABLE);
	says("no server answers at 127.0.0.1:1; start one with 'sudo hearth run'");
	assert_int_equal(status(NOBODYS_PORT, "--frequncy 5"), EX_USAGE);
}

static void a_server_alone_keeps_and_waits(void **state)
{
	struct hearth hearth;

	(void)state;
	hearth_start(&hearth, "serve", (const char *const[]){ NULL });
	assert_int_equal(status(hearth.port, ""), 2);
	says("collector  absent since ");
	says("samples    0, 0 lost\n");
	says("store      ok, 0 samples in ");
	says("'hearth doctor' tells what is missing");
	assert_readiness(hearth.port, 503,
			 "{\"ready\":false,\"reasons\":[\"no collector is connected\"]}");

	assert_int_equal(status(hearth.port, "--json"), 0);

	json_t *answer = json_loads(output, 0, NULL);

	assert_non_null(answer);
	assert_string_equal(
		json_string_value(json_object_get(json_object_get(answer, "collector"), "state")),
		"absent");
	json_decref(answer);
	assert_int_equal(hearth_stop(&hearth), 0);
}

static void a_host_that_is_sampled_is_well(void **state)
{
	struct hearth hearth;
	double end = now_seconds() + 30;
	long long samples = 0;

	(void)state;
	need_bpf();
	hearth_start(&hearth, "run", (const char *const[]){ "--frequency", "199", NULL });
	while (samples == 0 && now_seconds() < end) {
		json_t *answer = hearth_get(&hearth, "/api/v1/status");

		samples = json_integer_value(
			json_object_get(json_object_get(answer, "collector"), "samples"));
		json_decref(answer);
		sleep_seconds(0.1);
	}
	assert_true(samples > 0);
	assert_int_equal(status(hearth.port, ""), 0);
	says("collector  sampling since ");
	says(", 199 times a second on ");
	says(", 0 lost\n");
	says("all is well\n");
	assert_readiness(hearth.port, 200, "{\"ready\":true,\"reasons\":[]}");
	assert_int_equal(hearth_stop(&hearth), 0);
}

/* Alert rules and dashboard name metrics; one that nobody tells would be an alert that never comes.
 */
static void what_alerts_and_dashboard_ask_for_is_told(void **state)
{
	static const char *const files[] = { "packaging/monitoring/hearth-alerts.yml",
					     "packaging/monitoring/hearth-dashboard.json" };
	struct hearth hearth;
	char *metrics = NULL;
	size_t count = 0;

	(void)state;
	hearth_start(&hearth, "serve", (const char *const[]){ NULL });
	/* Histograms are told of routes that were asked. */
	assert_int_equal(http_ask(hearth.port, "/healthz", NULL, NULL), 200);
	assert_int_equal(http_ask(hearth.port, "/metrics", NULL, &metrics), 200);
	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
		assert_int_equal(
			shell_output(output, sizeof(output),
				     "grep -ohE '(hearth|process)_[a-z_0-9]+[a-z]' %s | sort -u",
				     files[i]),
			0);
		for (char *rest = output, *name; (name = strsep(&rest, "\n")) && *name; count++) {
			char line[128];

			snprintf(line, sizeof(line), "\n%s", name);

			const char *at = strstr(metrics, line);

			if (!at || !strchr("{ ", at[strlen(line)]))
				fail_msg("%s asks for '%s', which is not in /metrics", files[i],
					 name);
		}
	}
	assert_true(count > 20);
	free(metrics);
	assert_int_equal(hearth_stop(&hearth), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(without_a_server_it_says_how_to_start_one),
		cmocka_unit_test(a_server_alone_keeps_and_waits),
		cmocka_unit_test(a_host_that_is_sampled_is_well),
		cmocka_unit_test(what_alerts_and_dashboard_ask_for_is_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
