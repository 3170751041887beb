/* SPDX-License-Identifier: Apache-2.0 */
/* hearth record: what it writes of a command, of what that starts, and of nobody else. */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "base/folder.h"
#include "tests/support/hearth.h"

enum { OUTPUT_SIZE = 1 << 20 };

static char output[OUTPUT_SIZE];
static char folder[] = "/tmp/hearth-test-record-XXXXXX";

/* hearth record with these words behind it, behind a prefix, within the folder. */
static int record(const char *prefix, const char *words)
{
	char program[256], here[4096];

	assert_non_null(getcwd(here, sizeof(here)));
	return shell_output(output, sizeof(output),
			    "here='%s'; cd %s && TMPDIR=%s %s \"$here/%s\" "
			    "record %s 2>&1",
			    here, folder, folder, prefix,
			    build_path("hearth", program, sizeof(program)), words);
}

static void says(const char *text)
{
	if (!strstr(output, text))
		fail_msg("no '%s' in:\n%s", text, output);
}

static int set_up(void **state)
{
	(void)state;
	/* The server may be another user, who must come through. */
	return !mkdtemp(folder) || shell_output(output, sizeof(output), "chmod 711 %s", folder);
}

static int tear_down(void **state)
{
	(void)state;
	folder_remove(folder);
	return 0;
}

/* Nothing but what the test asked for is left there. */
static void assert_left(const char *expected)
{
	assert_int_equal(shell_output(output, sizeof(output), "ls %s; rm -rf %s/*", folder, folder),
			 0);
	assert_string_equal(output, expected);
}

static double folded_sum(const char *text, const char *function)
{
	double sum = 0;

	for (const char *line = text; *line; line = strchr(line, '\n') + 1) {
		const char *end = strchr(line, '\n'), *value, *found;

		assert_non_null(end);
		value = memrchr(line, ' ', (size_t)(end - line));
		assert_non_null(value);
		found = function ? memmem(line, (size_t)(value - line), function, strlen(function))
				 : line;
		if (found)
			sum += strtod(value, NULL);
	}
	return sum;
}

static void a_command_and_what_it_starts_is_written_and_nobody_else(void **state)
{
	struct child other;
	char burn[256], words[1024], *text;
	double all;

	(void)state;
	need_bpf();
	/* Burns beside it, under the same name. */
	child_start(
		&other,
		(const char *const[]){ build_path("tests/live/targets/burn", burn, sizeof(burn)),
				       "120", NULL },
		0);
	snprintf(words, sizeof(words),
		 "--format folded --output out --frequency 499 -- "
		 "sh -c '(\"$0/%s\" 1; true) & \"$0/%s\" 1; wait; exit 7' \"$here\"",
		 burn, burn);
	assert_int_equal(record("", words), 7);
	says(" samples in 'out'");
	assert_int_equal(shell_output(output, sizeof(output), "cat %s/out", folder), 0);
	text = strdup(output);
	assert_non_null(text);
	assert_left("out\n");

	/* Two seconds of CPU, and the other burner would double them. */
	all = folded_sum(text, NULL) * 1e-9;
	if (all < 1.7 || all > 2.9)
		fail_msg("%.2f s of CPU instead of 2:\n%.4000s", all, text);
	double seventy = folded_sum(text, ";work;spend_seventy") * 1e-9,
	       thirty = folded_sum(text, ";work;spend_thirty") * 1e-9;

	if (seventy < 1.1 || thirty < 0.4 || thirty > 0.8)
		fail_msg("%.2f s and %.2f s instead of 1.4 and 0.6:\n%.4000s", seventy, thirty,
			 text);
	free(text);
	assert_int_equal(kill(other.pid, SIGKILL), 0);
	child_wait(&other, 10);
}

static void pprof_can_be_imported_again(void **state)
{
	char words[512], burn[256], program[256];

	(void)state;
	need_bpf();
	snprintf(words, sizeof(words), "-- \"$here/%s\" 1",
		 build_path("tests/live/targets/burn", burn, sizeof(burn)));
	assert_int_equal(record("", words), 0);
	says("samples in 'profile.pb.gz'");
	build_path("hearth", program, sizeof(program));
	assert_int_equal(shell_output(output, sizeof(output),
				      "%s import --data %s/data --http 127.0.0.1:1 "
				      "%s/profile.pb.gz && "
				      "%s export --data %s/data --http 127.0.0.1:1 --from now-1h "
				      "--format folded 2>&1",
				      program, folder, folder, program, folder),
			 0);
	says(";work;spend_seventy ");
	says(";work;spend_thirty ");
	assert_left("data\nprofile.pb.gz\n");
}

static void the_commands_own_end_is_told(void **state)
{
	(void)state;
	need_bpf();
	assert_int_equal(record("", "--output out -- sh -c 'kill -9 $$'"), 128 + SIGKILL);
	assert_int_equal(record("", "--output out -- /no/such/program"), 127);
	says("cannot run '/no/such/program': No such file or directory");
	assert_int_equal(record("", "--output out -- /dev/null"), 126);
	says("cannot run '/dev/null': Permission denied");
	assert_left("out\n");
	assert_int_equal(record("", "--output no/such/folder/out -- true"), EX_CANTCREAT);
	says("cannot write 'no/such/folder/out': No such file or directory");
	assert_left("");
}

static void without_rights_the_command_is_not_run(void **state)
{
	(void)state;
	if (geteuid() != 0) {
		print_message("# SKIP without the rights of root nothing can be taken away\n");
		skip();
	}
	assert_int_equal(
		record("setpriv --inh-caps -all --bounding-set -bpf,-sys_admin", "-- touch came"),
		EX_UNAVAILABLE);
	says("cannot profile this host: ");
	assert_left("");
}

static void what_is_missing_is_said(void **state)
{
	static const struct {
		const char *words, *says;
	} cases[] = {
		{ "", "say what to run behind '--'" },
		{ "--", "say what to run behind '--'" },
		{ "make", "say what to run behind '--'" },
		{ "--format svg -- true", "--format takes pprof or folded, not 'svg'" },
		{ "--output -- true", "--output wants a value" },
		{ "--frequncy 9 -- true", "is '--frequency' meant?" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		assert_int_equal(record("", cases[i].words), EX_USAGE);
		says(cases[i].says);
	}
	assert_int_equal(record("", "--help"), 0);
	says("usage: hearth record [--format pprof|folded]");
	assert_left("");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_command_and_what_it_starts_is_written_and_nobody_else),
		cmocka_unit_test(pprof_can_be_imported_again),
		cmocka_unit_test(the_commands_own_end_is_told),
		cmocka_unit_test(without_rights_the_command_is_not_run),
		cmocka_unit_test(what_is_missing_is_said),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
