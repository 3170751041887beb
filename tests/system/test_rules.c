/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Rules for what is received, as an administrator meets them: said in a file, applied to what comes
 * by OTLP and by a push alike, counted in /metrics, taken over at SIGHUP, refused with their line.
 */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sysexits.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/folder.h"
#include "tests/support/hearth.h"
#include "tests/support/otlp_maker.h"

#define CPU "process_cpu:cpu:nanoseconds:cpu:nanoseconds"

enum { OUTPUT_SIZE = 1 << 20, PERIOD_NS = 10000000 };

static char output[OUTPUT_SIZE];

struct scene {
	struct hearth hearth;
	char folder[64];
	char config[128];
	int64_t start_ms; /* of what comes by OTLP */
};

static void write_file(const char *path, const void *bytes, size_t size)
{
	FILE *file = fopen(path, "we");

	assert_non_null(file);
	assert_int_equal(fwrite(bytes, 1, size, file), size);
	assert_int_equal(fclose(file), 0);
}

static void write_rules(const struct scene *scene, const char *rules)
{
	write_file(scene->config, rules, strlen(rules));
}

/* So many samples of a service in two functions, nine of ten in the heavy one, as folded text. */
static void push(const struct scene *scene, const char *name, unsigned samples)
{
	assert_int_equal(
		shell_output(
			output, sizeof(output),
			"printf 'main;heavy %u\\nmain;light %u\\n' | curl -sf -g --data-binary "
			"@- 'http://127.0.0.1:%u/ingest?name=%s&sampleRate=100&format=folded'",
			samples * 9 / 10, samples / 10, scene->hearth.port, name),
		0);
}

/* Of all of the last hour that the selector matches. */
static double total_of(const struct scene *scene, const char *query, const char *function)
{
	json_t *flame = hearth_get(&scene->hearth,
				   "/api/v1/flame?from=now-1h&to=%lld&type=" CPU "&query=%s",
				   (long long)(clock_unix_ms() + 60000), query);
	double total = function ? flame_total(flame, function)
				: json_number_value(json_object_get(flame, "total"));

	json_decref(flame);
	return total;
}

static void is_counted(const struct scene *scene, const char *line)
{
	char *text = NULL;

	assert_int_equal(http_ask(scene->hearth.port, "/metrics", NULL, &text), 200);
	if (!strstr(text, line)) {
		const char *counts = strstr(text, "hearth_rule_samples_total{");

		fail_msg("no '%s' in %.2000s", line, counts ? counts : "what has no rules");
	}
	free(text);
}

static void open_scene(struct scene *scene, const char *rules)
{
	const char *options[] = { "--config",	 scene->config, "--otlp-grpc", "off",
				  "--otlp-http", "off",		NULL };

	snprintf(scene->folder, sizeof(scene->folder), "/tmp/hearth-rules-XXXXXX");
	assert_non_null(mkdtemp(scene->folder));
	assert_int_equal(chmod(scene->folder, 0755), 0);
	snprintf(scene->config, sizeof(scene->config), "%s/hearth.conf", scene->folder);
	scene->start_ms = clock_unix_ms() - 20000;
	write_rules(scene, rules);
	hearth_start(&scene->hearth, "serve", options);
}

static void close_scene(struct scene *scene)
{
	assert_int_equal(hearth_stop(&scene->hearth), 0);
	folder_remove(scene->folder);
}

static void need_curl(void)
{
	if (shell_output(output, sizeof(output), "curl --version") == 0)
		return;
	print_message("skipped: there is no curl\n");
	skip();
}

static void pushes_go_through_the_rules(void **state)
{
	static struct scene scene;

	(void)state;
	need_curl();
	open_scene(&scene, "rule = drop {service_name=\"noisy\"}\n"
			   "rule = rename k8s.pod.name pod\n"
			   "rule = set env \"prod\" {service_name=~\"shop.*\"}\n"
			   "rule = sample 1/10 {service_name=\"bulk\"}\n"
			   "rule = limit pod 2\n");
	push(&scene, "noisy", 50);
	push(&scene, "shop%7Bk8s_pod_name=a%7D", 100);
	push(&scene, "shop%7Bk8s_pod_name=b%7D", 100);
	push(&scene, "shop%7Bk8s_pod_name=c%7D", 100);
	push(&scene, "bulk", 1000);

	assert_true(total_of(&scene, "%7Bservice_name%3D%22noisy%22%7D", NULL) == 0);
	assert_true(total_of(&scene, "%7Benv%3D%22prod%22%7D", NULL) == 300.0 * PERIOD_NS);
	assert_true(total_of(&scene, "%7Bpod%3D%22b%22%7D", NULL) == 100.0 * PERIOD_NS);
	assert_true(total_of(&scene, "%7Bpod%3D%22c%22%7D", NULL) == 0);
	assert_true(total_of(&scene, "%7Bpod%3D%22other%22%7D", NULL) == 100.0 * PERIOD_NS);
	assert_true(total_of(&scene, "%7Bk8s_pod_name%3D~%22.%2B%22%7D", NULL) == 0);
	/* What is thinned out weighs what it weighed, and its functions have their shares. */
	assert_true(total_of(&scene, "%7Bservice_name%3D%22bulk%22%7D", NULL) ==
		    1000.0 * PERIOD_NS);
	assert_true(total_of(&scene, "%7Bservice_name%3D%22bulk%22%7D", "heavy") ==
		    900.0 * PERIOD_NS);

	is_counted(&scene, "{rule=\"drop {service_name=\\\"noisy\\\"}\"} 50\n");
	is_counted(&scene, "{rule=\"rename k8s.pod.name pod\"} 300\n");
	is_counted(&scene, "{rule=\"set env \\\"prod\\\" {service_name=~\\\"shop.*\\\"}\"} 300\n");
	is_counted(&scene, "{rule=\"sample 1/10 {service_name=\\\"bulk\\\"}\"} 1000\n");
	is_counted(&scene, "{rule=\"limit pod 2\"} 100\n");
	close_scene(&scene);
}

/* One request with services that have numbers. */
static void post_otlp(const struct scene *scene, uint64_t seed)
{
	autoclean(buf) struct buf body = BUF(8 << 20);
	char path[128];

	otlp_make_large(200000, seed, (uint64_t)scene->start_ms * 1000000, &body);
	assert_int_equal(body.error, 0);
	snprintf(path, sizeof(path), "%s/request", scene->folder);
	write_file(path, body.bytes, body.size);
	assert_int_equal(shell_output(output, sizeof(output),
				      "curl -sf -H 'Content-Type: application/x-protobuf' "
				      "--data-binary @%s "
				      "http://127.0.0.1:%u/v1development/profiles | od -An -c",
				      path, scene->hearth.port),
			 0);
}

static void reload(struct scene *scene, const char *rules, const char *says)
{
	write_rules(scene, rules);
	kill(scene->hearth.child.pid, SIGHUP);
	if (!child_says(&scene->hearth.child, says, 10))
		fail_msg("it says '%s' of '%s'", scene->hearth.child.said, rules);
}

static void otlp_goes_through_the_same(void **state)
{
	static struct scene scene;
	double whole, named;

	(void)state;
	need_curl();
	open_scene(&scene, "");
	post_otlp(&scene, 1);
	whole = total_of(&scene, "%7B%7D", NULL);
	named = total_of(&scene, "%7Bservice_name%3D%22service-0%22%7D", NULL);
	assert_true(named > 0 && whole > named);

	/* The same again, with other samples: a tenth of them, and what they are worth. */
	reload(&scene, "rule = sample 1/10\nrule = set service_name \"all\"\n",
	       "the settings were read again, 1 changed\n");
	post_otlp(&scene, 1);
	assert_true(total_of(&scene, "%7B%7D", NULL) == whole);
	post_otlp(&scene, 2);
	assert_true(total_of(&scene, "%7Bservice_name%3D%22all%22%7D", NULL) > 0.8 * whole);
	assert_true(total_of(&scene, "%7Bservice_name%3D%22service-0%22%7D", NULL) == named);

	reload(&scene, "rule = drop {service_name=~\"service.*\"}\n", "read again, 1 changed\n");
	whole = total_of(&scene, "%7B%7D", NULL);
	post_otlp(&scene, 3);
	assert_true(total_of(&scene, "%7B%7D", NULL) == whole);

	/* What is wrong leaves them as they were. */
	reload(&scene, "rule = drop {service_name=}\n",
	       "hearth.conf:1: rule: in '{service_name=}': byte 14: expected a quoted value\n");
	post_otlp(&scene, 4);
	assert_true(total_of(&scene, "%7B%7D", NULL) == whole);
	close_scene(&scene);
}

static void wrong_rules_are_named_by_their_line(void **state)
{
	static struct scene scene;
	char expected[256];

	(void)state;
	open_scene(&scene, "rule = drop {a=\"b\"}   # as it is\n");
	write_rules(&scene, "rule = drop {a=\"b\"}\n\nrule = limit pod\n");
	snprintf(expected, sizeof(expected),
		 "hearth: %s:3: rule: limit lacks something; write it as in 'limit pod 200'\n",
		 scene.config);
	for (int i = 0; i < 2; i++) {
		static const char *const commands[] = { "check-config",
							"serve --http 127.0.0.1:0" };
		char program[256];

		assert_int_equal(shell_output(output, sizeof(output),
					      "%s %s --data %s/data --config %s 2>&1",
					      build_path("hearth", program, sizeof(program)),
					      commands[i], scene.folder, scene.config),
				 EX_CONFIG);
		assert_string_equal(output, expected);
	}
	close_scene(&scene);
}

static void check_config_tells_what_they_do(void **state)
{
	static struct scene scene;
	char program[256], expected[1024];

	(void)state;
	open_scene(&scene, "rule = rename k8s.pod.name pod\nrule = limit pod 2\n"
			   "rule = drop {pod=\"x\"}\n");
	assert_int_equal(shell_output(output, sizeof(output),
				      "%s check-config %s --label k8s_pod_name=x --data %s 2>&1",
				      build_path("hearth", program, sizeof(program)), scene.config,
				      scene.folder),
			 0);
	snprintf(expected, sizeof(expected),
		 "%s: nothing is wrong\n"
		 "%s:1: rule = rename k8s.pod.name pod\n"
		 "    the label k8s.pod.name is stored as pod\n"
		 "    it does so here\n"
		 "%s:2: rule = limit pod 2\n"
		 "    2 values of the label pod are told apart, and further ones stored as "
		 "\"other\" "
		 "until one of those did not come for an hour\n"
		 "    it does nothing here\n"
		 "%s:3: rule = drop {pod=\"x\"}\n"
		 "    samples of {pod=\"x\"} are not stored\n"
		 "    it does so here\n"
		 "such samples are not stored\n",
		 scene.config, scene.config, scene.config, scene.config);
	assert_string_equal(output, expected);
	assert_int_equal(shell_output(output, sizeof(output),
				      "%s check-config --label nothing 2>&1", program),
			 EX_USAGE);
	close_scene(&scene);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(pushes_go_through_the_rules),
		cmocka_unit_test(otlp_goes_through_the_same),
		cmocka_unit_test(wrong_rules_are_named_by_their_line),
		cmocka_unit_test(check_config_tells_what_they_do),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
