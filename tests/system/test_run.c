/* SPDX-License-Identifier: Apache-2.0 */
/* The program as a person meets it: what it says, what it refuses, how it ends. */
#include <arpa/inet.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "base/folder.h"
#include "tests/support/hearth.h"

enum { NOBODY = 65534 };

static int run(struct child *child, uid_t uid, const char *const *options)
{
	char program[256];
	const char *arguments[16] = { build_path("hearth", program, sizeof(program)) };
	size_t count = 1;

	for (; *options; options++)
		arguments[count++] = *options;
	child_start(child, arguments, uid);
	return child_wait(child, 20);
}

#define RUN(child, ...) run(child, 0, (const char *const[]){ __VA_ARGS__, NULL })

static void says(const struct child *child, const char *text)
{
	if (!strstr(child->said, text))
		fail_msg("it said \"%s\", and nothing of \"%s\"", child->said, text);
}

static void explains_itself(void **state)
{
	struct child child;

	(void)state;
	assert_int_equal(RUN(&child, "--help"), 0);
	says(&child, "hearth COMMAND");
	says(&child, "http://127.0.0.1:4040/");
	assert_int_equal(RUN(&child, "--version"), 0);
	assert_memory_equal(child.said, "hearth ", 7);
	assert_int_equal(RUN(&child, "run", "--help"), 0);
	says(&child, "--frequency HZ");
	says(&child, "--retention-age TIME");
	assert_int_equal(RUN(&child, "serve", "--help"), 0);
	says(&child, "--replay FILE");
}

static void names_what_is_wrong_with_its_arguments(void **state)
{
	struct child child;

	(void)state;
	assert_int_equal(RUN(&child, "--verion"), EX_USAGE);
	says(&child, "unknown command '--verion'");
	assert_int_equal(RUN(&child, "run", "--frequncy", "99"), EX_USAGE);
	says(&child, "is '--frequency' meant?");
	assert_int_equal(RUN(&child, "serve", "--window", "1h"), EX_USAGE);
	says(&child, "--window: '1h' is not a time from 1s to 5s");
}

static void refuses_to_listen_for_strangers(void **state)
{
	char folder[] = "/tmp/hearth-test-XXXXXX";
	struct child child;

	(void)state;
	assert_non_null(mkdtemp(folder));
	assert_int_equal(RUN(&child, "serve", "--data", folder, "--http", "0.0.0.0:0"), EX_CONFIG);
	says(&child, "0.0.0.0");
	says(&child, "ssh -L");
	assert_int_equal(RUN(&child, "serve", "--data", folder, "--http", "127.0.0.1"), EX_CONFIG);
	folder_remove(folder);
}

static void names_who_has_its_port(void **state)
{
	struct sockaddr_in address = { .sin_family = AF_INET,
				       .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t size = sizeof(address);
	char folder[] = "/tmp/hearth-test-XXXXXX";
	char http[64], owner[128];
	struct child child;
	autoclose int taken = socket(AF_INET, SOCK_STREAM, 0);

	(void)state;
	assert_non_null(mkdtemp(folder));
	assert_int_equal(bind(taken, (struct sockaddr *)&address, size), 0);
	assert_int_equal(listen(taken, 1), 0);
	assert_int_equal(getsockname(taken, (struct sockaddr *)&address, &size), 0);
	snprintf(http, sizeof(http), "127.0.0.1:%u", ntohs(address.sin_port));
	assert_int_equal(RUN(&child, "serve", "--data", folder, "--http", http), EX_UNAVAILABLE);
	snprintf(owner, sizeof(owner), "port %u is taken by pid %d (test_run)",
		 ntohs(address.sin_port), (int)getpid());
	says(&child, owner);
	folder_remove(folder);
}

/* Beside a Pyroscope that has the port, the other addresses are served, and it is said. */
static void goes_on_without_one_of_several_addresses(void **state)
{
	struct sockaddr_in address = { .sin_family = AF_INET,
				       .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t size = sizeof(address);
	char http[128], program[256], output[16384], missing[64];
	struct hearth hearth;
	autoclose int taken = socket(AF_INET, SOCK_STREAM, 0);

	(void)state;
	assert_int_equal(bind(taken, (struct sockaddr *)&address, size), 0);
	assert_int_equal(listen(taken, 1), 0);
	assert_int_equal(getsockname(taken, (struct sockaddr *)&address, &size), 0);
	for (int is_first = 0; is_first < 2; is_first++) {
		snprintf(http, sizeof(http), "%s127.0.0.1:%u%s", is_first ? "" : "127.0.0.1:0,",
			 ntohs(address.sin_port), is_first ? ",127.0.0.1:0" : "");
		snprintf(missing, sizeof(missing), "port %u is taken by pid %d (test_run)",
			 ntohs(address.sin_port), (int)getpid());
		hearth_start(&hearth, "serve", (const char *const[]){ "--http", http, NULL });
		assert_true(child_says(&hearth.child, "going on without one address: ", 10));
		says(&hearth.child, missing);
		if (hearth.port == ntohs(address.sin_port))
			fail_msg("it says that it is ready where it is not");

		json_t *status = hearth_get(&hearth, "/api/v1/status");

		assert_memory_equal(json_string_value(json_object_get(status, "address_missing")),
				    missing, strlen(missing));
		json_decref(status);
		assert_true(shell_output(output, sizeof(output),
					 "%s doctor --data /tmp/hearth-none --http 127.0.0.1:%u "
					 "2>&1",
					 build_path("hearth", program, sizeof(program)),
					 hearth.port) >= 1);
		assert_non_null(strstr(output, missing));
		assert_int_equal(hearth_stop(&hearth), 0);
	}
}

static void serves_and_stops_cleanly(void **state)
{
	struct hearth hearth;
	struct child second;
	struct stat status;
	autofree char *body = NULL;

	(void)state;
	hearth_start(&hearth, "serve", NULL);
	assert_int_equal(child_stop(&hearth.child, 10), 0);
	/* The folder is made, with those above it. */
	folder_remove(hearth.folder);
	hearth_start_again(&hearth, "serve", NULL);
	assert_int_equal(http_ask(hearth.port, "/ready", NULL, &body), 200);
	assert_memory_equal(body, "ready", 5);
	assert_non_null(strstr(hearth.child.said, "hearth: "));
	assert_int_equal(stat(hearth.folder, &status), 0);
	assert_int_equal(RUN(&second, "serve", "--data", hearth.folder, "--http", "127.0.0.1:0"),
			 EX_UNAVAILABLE);
	says(&second, "another hearth");
	assert_int_equal(child_stop(&hearth.child, 10), 0);
	assert_int_equal(hearth_stop(&hearth), 0);
}

/* Whoever has not the rights sees the page all the same, and why it is empty. */
static void serves_without_the_rights_for_bpf(void **state)
{
	char folder[] = "/tmp/hearth-test-XXXXXX";
	char program[256];
	struct child child;

	(void)state;
	if (geteuid() != 0) {
		print_message("# SKIP only root can become nobody\n");
		skip();
	}
	assert_non_null(mkdtemp(folder));
	assert_int_equal(chown(folder, NOBODY, NOBODY), 0);
	build_path("hearth", program, sizeof(program));
	if (access(program, X_OK))
		fail_msg("no %s", program);

	/* The build may lie where nobody can't go. */
	char copy[64], command[512];

	snprintf(copy, sizeof(copy), "%s.program", folder);
	snprintf(command, sizeof(command), "cp '%s' '%s' && chmod 755 '%s'", program, copy, copy);
	assert_int_equal(system(command), 0);

	const char *arguments[] = { copy, "run", "--data", folder, "--http", "127.0.0.1:0", NULL };

	child_start(&child, arguments, NOBODY);
	assert_true(child_says(&child, "ready at http://127.0.0.1:", 20));
	says(&child, "this host is not profiled: ");
	says(&child, "serving all the same");
	assert_int_equal(child_stop(&child, 10), 0);
	unlink(copy);
	folder_remove(folder);
}

/* What runs before the program is in the kernel is not seen. */
static void wait_for_samples(const struct hearth *hearth)
{
	double end = now_seconds() + 20;
	bool is_sampling = false;

	while (!is_sampling && now_seconds() < end) {
		json_t *status = hearth_get(hearth, "/api/v1/status");
		const char *collector = json_string_value(
			json_object_get(json_object_get(status, "collector"), "state"));

		is_sampling = collector && !strcmp(collector, "sampling");
		json_decref(status);
		sleep_seconds(0.1);
	}
	assert_true(is_sampling);
}

static void profiles_this_host_from_start_to_stop(void **state)
{
	struct hearth hearth;

	(void)state;
	need_bpf();
	hearth_start(&hearth, "run", NULL);
	wait_for_samples(&hearth);
	assert_true(hearth_program(&hearth, "hearth-collect") > 0);
	assert_true(hearth_program(&hearth, "hearth-serve") > 0);
	assert_int_equal(hearth_stop(&hearth), 0);
}

static double sum_of(const struct hearth *hearth, const char *query)
{
	json_t *flame = hearth_get(hearth, "/api/v1/flame?from=now-10m&query=%s", query);
	double total = json_number_value(json_object_get(flame, "total"));

	json_decref(flame);
	return total;
}

/* What a recording replays is what was recorded: nothing of it needs rights. */
static void replays_what_it_recorded(void **state)
{
	char folder[] = "/tmp/hearth-test-XXXXXX";
	char recording[64], target[256], query[64];
	struct hearth hearth;
	struct child burn;

	(void)state;
	need_bpf();
	assert_non_null(mkdtemp(folder));
	/* The server, which writes it, may be another user. */
	assert_int_equal(chmod(folder, 0777), 0);
	snprintf(recording, sizeof(recording), "%s/recording", folder);

	const char *record[] = { "--record", recording, "--frequency", "997", NULL };
	const char *arguments[] = { build_path("tests/live/targets/burn", target, sizeof(target)),
				    "2", NULL };

	hearth_start(&hearth, "run", record);
	wait_for_samples(&hearth);
	child_start(&burn, arguments, 0);
	snprintf(query, sizeof(query), "%%7Bpid%%3D%%22%d%%22%%7D", (int)burn.pid);
	assert_int_equal(child_wait(&burn, 20), 0);

	double end = now_seconds() + 15;

	while (sum_of(&hearth, query) < 1.9e9 && now_seconds() < end)
		sleep_seconds(0.2);
	sleep_seconds(1.5);

	double recorded = sum_of(&hearth, query);

	assert_true(recorded > 1.9e9 && recorded < 2.2e9);
	assert_int_equal(hearth_stop(&hearth), 0);

	const char *replay[] = { "--replay", recording, NULL };

	hearth_start(&hearth, "serve", replay);
	assert_true(child_says(&hearth.child, "the recording is read", 30));
	end = now_seconds() + 10;
	while (sum_of(&hearth, query) < recorded && now_seconds() < end)
		sleep_seconds(0.1);

	json_t *flame = hearth_get(&hearth, "/api/v1/flame?from=now-10m&query=%s", query);

	assert_true(json_number_value(json_object_get(flame, "total")) == recorded);
	assert_true(flame_total(flame, "spend_seventy") > 0.6 * recorded);
	json_decref(flame);
	assert_int_equal(hearth_stop(&hearth), 0);
	folder_remove(folder);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(explains_itself),
		cmocka_unit_test(names_what_is_wrong_with_its_arguments),
		cmocka_unit_test(refuses_to_listen_for_strangers),
		cmocka_unit_test(names_who_has_its_port),
		cmocka_unit_test(goes_on_without_one_of_several_addresses),
		cmocka_unit_test(serves_and_stops_cleanly),
		cmocka_unit_test(serves_without_the_rights_for_bpf),
		cmocka_unit_test(profiles_this_host_from_start_to_stop),
		cmocka_unit_test(replays_what_it_recorded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
