/* SPDX-License-Identifier: Apache-2.0 */
/* hearth doctor: what it says of a host that can be profiled, and of one where something is
 * missing. */
#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "tests/support/hearth.h"

enum { OUTPUT_SIZE = 16384, NOBODYS_PORT = 1 };

static char output[OUTPUT_SIZE];

/* hearth doctor behind a prefix, asking at a port; what it writes is kept. */
static int doctor(const char *prefix, unsigned port, const char *options)
{
	char program[256];

	return shell_output(
		output, sizeof(output),
		"%s %s doctor --data /tmp/hearth-doctor-none --http 127.0.0.1:%u %s 2>&1", prefix,
		build_path("hearth", program, sizeof(program)), port, options);
}

static void says(const char *text)
{
	if (!strstr(output, text))
		fail_msg("no '%s' in:\n%s", text, output);
}

/* The finding of a name in the answer as JSON, borrowed. */
static json_t *finding(json_t *answer, const char *name)
{
	size_t i;
	json_t *value;

	json_array_foreach(answer, i,
			   value) if (!strcmp(json_string_value(json_object_get(value, "name")),
					      name)) return value;
	return NULL;
}

static const char *member(json_t *answer, const char *name, const char *key)
{
	const char *text = json_string_value(json_object_get(finding(answer, name), key));

	assert_non_null(text);
	return text;
}

static void a_host_without_a_server_is_told_to_start_one(void **state)
{
	(void)state;
	need_bpf();
	assert_int_equal(doctor("", NOBODYS_PORT, ""), 1);
	says("ok    sampling      the sampling program loads and attaches");
	says("ok    rights        all six capabilities");
	says("'/tmp/hearth-doctor-none' (not made yet)");
	says("warn  server        nobody listens at 127.0.0.1:1");
	says("→ start it: sudo hearth run");
	assert_null(strstr(output, "FAIL"));
}

static void each_right_that_is_missing_is_named(void **state)
{
	static const struct {
		const char *taken, *name;
		bool keeps_from_sampling;
	} rights[] = {
		{ "bpf", "CAP_BPF", true },
		{ "perfmon", "CAP_PERFMON", true },
		{ "sys_ptrace", "CAP_SYS_PTRACE", false },
		{ "dac_read_search", "CAP_DAC_READ_SEARCH", false },
		{ "syslog", "CAP_SYSLOG", false },
		{ "checkpoint_restore", "CAP_CHECKPOINT_RESTORE", false },
	};
	char prefix[128];

	(void)state;
	need_bpf();
	if (geteuid() != 0) {
		print_message("# SKIP without the rights of root nothing can be taken away\n");
		skip();
	}
	for (size_t i = 0; i < sizeof(rights) / sizeof(rights[0]); i++) {
		snprintf(prefix, sizeof(prefix), "setpriv --inh-caps -all --bounding-set -%s",
			 rights[i].taken);
		assert_int_equal(doctor(prefix, NOBODYS_PORT, ""),
				 rights[i].keeps_from_sampling ? 2 : 1);
		says(rights[i].name);
		for (size_t other = 0; other < sizeof(rights) / sizeof(rights[0]); other++) {
			char loss[64];

			snprintf(loss, sizeof(loss), "%s (", rights[other].name);
			assert_int_equal(strstr(output, loss) != NULL, other == i);
		}
	}
}

static void a_stranger_is_told_what_is_missing(void **state)
{
	(void)state;
	if (geteuid() != 0) {
		print_message("# SKIP without the rights of root there is no other user to be\n");
		skip();
	}
	assert_int_equal(doctor("setpriv --reuid 65534 --clear-groups --bounding-set -all "
				"--inh-caps -all",
				NOBODYS_PORT, ""),
			 2);
	says("FAIL  sampling");
	says("→ ask again as root: sudo hearth doctor");
	says("CAP_BPF (no sampling), CAP_PERFMON (no sampling), CAP_SYS_PTRACE");
}

static void a_port_that_is_taken_is_named_with_who_has_it(void **state)
{
	struct sockaddr_in address = { .sin_family = AF_INET,
				       .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t size = sizeof(address);
	int listener = socket(AF_INET, SOCK_STREAM, 0);
	char owner[64];

	(void)state;
	assert_int_equal(bind(listener, (struct sockaddr *)&address, size), 0);
	assert_int_equal(listen(listener, 1), 0);
	assert_int_equal(getsockname(listener, (struct sockaddr *)&address, &size), 0);
	assert_int_equal(doctor("", ntohs(address.sin_port), ""), 2);
	snprintf(owner, sizeof(owner), "belongs to pid %d (test_doctor)", (int)getpid());
	says(owner);
	says("choose another one: --http 127.0.0.1:PORT");
	close(listener);
}

static void a_server_without_a_collector_is_asked_too(void **state)
{
	const char *const options[] = { NULL };
	struct hearth hearth;
	json_t *answer;

	(void)state;
	hearth_start(&hearth, "serve", options);
	assert_int_equal(doctor("", hearth.port, "--json"), 2);
	answer = json_loads(output, 0, NULL);
	assert_int_equal(json_array_size(answer), 14);
	assert_string_equal(member(answer, "server", "level"), "ok");
	assert_string_equal(member(answer, "collector", "level"), "fail");
	assert_string_equal(member(answer, "collector", "text"), "absent");
	assert_non_null(strstr(member(answer, "collector", "advice"), "sudo hearth collect"));
	assert_string_equal(member(answer, "store", "level"), "ok");
	json_decref(answer);
	assert_int_equal(hearth_stop(&hearth), 0);
}

static void a_host_that_is_profiled_is_well(void **state)
{
	const char *const options[] = { NULL };
	struct hearth hearth;
	json_t *answer = NULL;
	double end = now_seconds() + 20;
	bool samples = false;

	(void)state;
	need_bpf();
	hearth_start(&hearth, "run", options);
	while (!samples && now_seconds() < end) {
		json_decref(answer);
		(void)doctor("", hearth.port, "--json");
		answer = json_loads(output, 0, NULL);
		assert_non_null(answer);
		samples = strstr(member(answer, "collector", "text"), "99 times a second") != NULL;
	}
	assert_true(samples);
	assert_string_equal(member(answer, "collector", "level"), "ok");
	assert_string_equal(member(answer, "server", "level"), "ok");
	assert_string_equal(member(answer, "store", "level"), "ok");
	json_decref(answer);
	assert_int_equal(hearth_stop(&hearth), 0);
}

static void wrong_words_are_refused(void **state)
{
	(void)state;
	assert_int_equal(doctor("", NOBODYS_PORT, "--jsn"), 64);
	says("--jsn");
}

/* The manual of what goes wrong has a line for every check there is. */
static void what_it_looks_at_is_explained(void **state)
{
	struct hearth hearth;
	size_t i, size = 0;
	json_t *answer, *value;
	autofree char *manual = calloc(1, 1 << 20);
	FILE *file = fopen("docs/TROUBLESHOOTING.md", "re");

	(void)state;
	assert_non_null(manual);
	assert_non_null(file);
	size = fread(manual, 1, (1 << 20) - 1, file);
	fclose(file);
	assert_true(size > 0);
	hearth_start(&hearth, "serve", (const char *const[]){ NULL });
	assert_true(doctor("", hearth.port, "--json") <= 2);
	answer = json_loads(output, 0, NULL);
	assert_true(json_array_size(answer) > 10);
	json_array_foreach(answer, i, value)
	{
		char row[64];

		snprintf(row, sizeof(row), "\n| %s |",
			 json_string_value(json_object_get(value, "name")));
		if (!strstr(manual, row))
			fail_msg("docs/TROUBLESHOOTING.md has no row '%s'", row + 1);
	}
	json_decref(answer);
	assert_int_equal(hearth_stop(&hearth), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_host_without_a_server_is_told_to_start_one),
		cmocka_unit_test(each_right_that_is_missing_is_named),
		cmocka_unit_test(a_stranger_is_told_what_is_missing),
		cmocka_unit_test(a_port_that_is_taken_is_named_with_who_has_it),
		cmocka_unit_test(a_server_without_a_collector_is_asked_too),
		cmocka_unit_test(a_host_that_is_profiled_is_well),
		cmocka_unit_test(wrong_words_are_refused),
		cmocka_unit_test(what_it_looks_at_is_explained),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
