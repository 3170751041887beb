/* SPDX-License-Identifier: Apache-2.0 */
/*
 * HTTP/1.1 and HTTP/2, plain and over TLS, as others' programs speak them with a real hearth: curl,
 * nghttp, h2load, and all cases of h2spec.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "base/folder.h"
#include "tests/support/hearth.h"

enum { OUTPUT_SIZE = 1 << 17 };

struct scene {
	char folder[64]; /* of the certificate */
	struct hearth hearth;
	char output[OUTPUT_SIZE];
};

static int start(void **state)
{
	struct scene *scene = calloc(1, sizeof(*scene));
	char program[256], certificate[96], key[96];
	const char *options[] = { "--tls-certificate", certificate, "--tls-key", key, NULL };

	assert_non_null(scene);
	snprintf(scene->folder, sizeof(scene->folder), "/tmp/hearth-protocols-XXXXXX");
	assert_non_null(mkdtemp(scene->folder));
	assert_int_equal(chmod(scene->folder, 0755), 0);
	snprintf(certificate, sizeof(certificate), "%s/tls.crt", scene->folder);
	snprintf(key, sizeof(key), "%s/tls.key", scene->folder);
	if (shell_output(scene->output, sizeof(scene->output),
			 "%s tls self-signed --data %s 2>&1 && chmod 644 %s",
			 build_path("hearth", program, sizeof(program)), scene->folder, key))
		fail_msg("%s", scene->output);
	hearth_start(&scene->hearth, "serve", options);
	*state = scene;
	return 0;
}

static int stop(void **state)
{
	struct scene *scene = *state;

	if (!scene)
		return 1;

	int code = hearth_stop(&scene->hearth);

	folder_remove(scene->folder);
	free(scene);
	return code;
}

static void skip_because(const char *what)
{
	print_message("skipped: %s\n", what);
	skip();
}

/* Each way of curl's to ask, and which version it says that it spoke. */
static void curl_speaks_each_version(void **state)
{
	static const struct {
		const char *option, *scheme, *version;
	} ways[] = {
		{ "--http1.1", "http", "1.1" },
		{ "--http2-prior-knowledge", "http", "2" },
		{ "--http1.1", "https", "1.1" },
		{ "--http2", "https", "2" },
		{ "--http1.0", "http", "1.1" },
		/* Upgrade from HTTP/1.1 is gone from the standard (RFC 9113 3.1). */
		{ "--http2", "http", "1.1" },
	};
	struct scene *scene = *state;

	if (shell_output(scene->output, OUTPUT_SIZE, "curl --version 2>&1"))
		skip_because("there is no curl");
	for (size_t i = 0; i < sizeof(ways) / sizeof(ways[0]); i++) {
		char expected[64];

		if (shell_output(
			    scene->output, OUTPUT_SIZE,
			    "curl -sS %s --cacert %s/tls.crt --compressed -w '%%{http_version} "
			    "%%{http_code} %%{num_connects}\\n' %s://127.0.0.1:%u/healthz 2>&1",
			    ways[i].option, scene->folder, ways[i].scheme, scene->hearth.port))
			fail_msg("%s %s: %s", ways[i].option, ways[i].scheme, scene->output);
		snprintf(expected, sizeof(expected), "ok%s 200 1\n", ways[i].version);
		assert_string_equal(scene->output, expected);
		if (shell_output(
			    scene->output, OUTPUT_SIZE,
			    "curl -sS %s --cacert %s/tls.crt -w '%%{http_version} %%{http_code} "
			    "%%{num_connects}\\n' -o /dev/null -d '{\"name\":\"a\"}' -H "
			    "'Content-Type: application/json' "
			    "%s://127.0.0.1:%u/querier.v1.QuerierService/LabelValues 2>&1",
			    ways[i].option, scene->folder, ways[i].scheme, scene->hearth.port))
			fail_msg("%s %s: %s", ways[i].option, ways[i].scheme, scene->output);
		snprintf(expected, sizeof(expected), "%s 200 1\n", ways[i].version);
		assert_string_equal(scene->output, expected);
	}
}

static void nghttp_gets_what_it_asks_for(void **state)
{
	struct scene *scene = *state;

	if (shell_output(scene->output, OUTPUT_SIZE, "nghttp --version 2>&1"))
		skip_because("there is no nghttp (nghttp2-client)");
	for (int i = 0; i < 2; i++)
		if (shell_output(scene->output, OUTPUT_SIZE, "nghttp -nas %s://127.0.0.1:%u/ 2>&1",
				 i ? "https" : "http", scene->hearth.port) ||
		    !strstr(scene->output, " 200 ") || !strstr(scene->output, "/page.js"))
			fail_msg("%s", scene->output);
}

static void h2load_misses_nothing(void **state)
{
	struct scene *scene = *state;

	if (shell_output(scene->output, OUTPUT_SIZE, "h2load --version 2>&1"))
		skip_because("there is no h2load (nghttp2-client)");
	for (int i = 0; i < 3; i++)
		if (shell_output(scene->output, OUTPUT_SIZE,
				 "h2load -n 4000 -c 20 -m 10 %s %s://127.0.0.1:%u/healthz 2>&1",
				 i == 2 ? "--h1" : "", i == 1 ? "https" : "http",
				 scene->hearth.port) ||
		    !strstr(scene->output, "4000 succeeded, 0 failed, 0 errored") ||
		    !strstr(scene->output, "status codes: 4000 2xx"))
			fail_msg("%s", scene->output);
}

/* Of TAP: what failed, and why. */
static void print_failures(const char *said)
{
	bool is_failed = false;

	while (*said) {
		int size = (int)strcspn(said, "\n");

		is_failed = said[0] == '#' ? is_failed : !strncmp(said, "not ok", 6);
		if (is_failed)
			print_error("%.*s\n", size, said);
		said += size + (said[size] == '\n');
	}
}

static void h2spec_finds_only_what_is_known(void **state)
{
	struct scene *scene = *state;
	char program[256];

	if (shell_output(scene->output, OUTPUT_SIZE, "go version 2>&1"))
		skip_because("there is no Go on this machine (golang-go)");
	(void)build_path("tests/clients/h2spec", program, sizeof(program));
	if (shell_output(scene->output, OUTPUT_SIZE,
			 "top=$PWD; mkdir -p \"$(dirname '%s')\"; cd tests/clients/h2spec && "
			 "GOFLAGS=-mod=readonly GOTOOLCHAIN=local go build -o \"$top/%s\" . 2>&1",
			 program, program))
		skip_because("h2spec could not be built: its modules are missing, or Go is old");

	int code = shell_output(scene->output, OUTPUT_SIZE, "timeout 200 '%s' %u 2>&1", program,
				scene->hearth.port);

	print_failures(scene->output);
	if (code || !strstr(scene->output, "\n1..292\n"))
		fail_msg("exit code %d, or a case is missing", code);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(curl_speaks_each_version),
		cmocka_unit_test(nghttp_gets_what_it_asks_for),
		cmocka_unit_test(h2load_misses_nothing),
		cmocka_unit_test(h2spec_finds_only_what_is_known),
	};

	return cmocka_run_group_tests(tests, start, stop);
}
