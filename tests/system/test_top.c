/* SPDX-License-Identifier: Apache-2.0 */
/* hearth top: on a host with a known burner, written once and in a terminal. */
#include <poll.h>
#include <pty.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/folder.h"
#include "tests/support/hearth.h"

enum { OUTPUT_SIZE = 1 << 16 };

static char output[OUTPUT_SIZE];

struct top_scene {
	struct hearth hearth;
	struct child burner;
	struct child rude; /* its name would clear a terminal */
	char rude_folder[32], rude_program[64];
};

static int top(unsigned port, const char *options)
{
	char program[256];

	return shell_output(output, sizeof(output), "%s top --http 127.0.0.1:%u %s 2>&1",
			    build_path("hearth", program, sizeof(program)), port, options);
}

static bool says(const char *text)
{
	return strstr(output, text) != NULL;
}

static int set_up(void **state)
{
	struct top_scene *scene = calloc(1, sizeof(*scene));
	const char *const options[] = { "--frequency", "499", NULL };
	char program[256];

	assert_non_null(scene);
	build_path("tests/live/targets/burn", program, sizeof(program));
	/* No niceness: who is ahead of the collector makes its windows long. */
	child_start(&scene->burner, (const char *const[]){ program, "120", NULL }, 0);
	snprintf(scene->rude_folder, sizeof(scene->rude_folder), "/tmp/hearth-top-XXXXXX");
	assert_non_null(mkdtemp(scene->rude_folder));
	snprintf(scene->rude_program, sizeof(scene->rude_program), "%s/\033[2J\xc2\x9brude",
		 scene->rude_folder);
	assert_int_equal(
		shell_output(output, sizeof(output), "cp %s '%s'", program, scene->rude_program),
		0);
	child_start(&scene->rude, (const char *const[]){ scene->rude_program, "120", NULL }, 0);
	hearth_start(&scene->hearth, "run", options);
	*state = scene;
	return 0;
}

static int tear_down(void **state)
{
	struct top_scene *scene = *state;

	child_stop(&scene->rude, 10);
	folder_remove(scene->rude_folder);
	child_stop(&scene->burner, 10);
	assert_int_equal(hearth_stop(&scene->hearth), 0);
	free(scene);
	return 0;
}

/* The first number of the line on which this stands. */
static double number_before(const char *text)
{
	const char *place = strstr(output, text);

	if (!place)
		fail_msg("no '%s' in:\n%s", text, output);
	while (place > output && place[-1] != '\n')
		place--;
	return strtod(place, NULL);
}

static void shows_who_burns_and_where(void **state)
{
	struct top_scene *scene = *state;
	double end = now_seconds() + 60;
	char row[64];

	need_bpf();
	snprintf(row, sizeof(row), "%6d  burn ", (int)scene->burner.pid);
	do {
		sleep_seconds(0.5);
		assert_int_equal(top(scene->hearth.port, "--range 5s"), 0);
	} while (now_seconds() < end && !(says(row) && says("spend_seventy") && says("rude") &&
					  number_before(row) > 0.01));
	assert_true(number_before(row) > 0.01);
	assert_true(number_before(row) < 1.5); /* one, and a window that came late */
	assert_true(number_before("  spend_seventy") > 5);
	assert_true(says("of ") && says("cores busy"));

	/* What a name holds can't reach the terminal. */
	assert_true(says("?[2J?rude"));
	assert_null(strchr(output, '\033'));
	assert_false(says("\xc2\x9b"));

	assert_int_equal(top(scene->hearth.port, "--services"), 0);
	assert_true(says("procs  service"));
	assert_false(says(row));
}

static void a_terminal_is_drawn_on_and_given_back(void **state)
{
	struct top_scene *scene = *state;
	struct winsize size = { .ws_row = 20, .ws_col = 60 };
	char program[256], address[64];
	size_t filled = 0;
	bool has_quit = false;
	int terminal, status;

	build_path("hearth", program, sizeof(program));
	snprintf(address, sizeof(address), "127.0.0.1:%u", scene->hearth.port);

	pid_t pid = forkpty(&terminal, NULL, NULL, &size);

	if (pid == 0) {
		execl(program, program, "top", "--http", address, NULL);
		_exit(127);
	}
	for (double end = now_seconds() + 20; now_seconds() < end && filled < sizeof(output) - 1;) {
		struct pollfd poll_one = { .fd = terminal, .events = POLLIN };
		ssize_t got;

		if (poll(&poll_one, 1, 1000) <= 0)
			continue;
		got = read(terminal, output + filled, sizeof(output) - 1 - filled);
		if (got <= 0)
			break;
		filled += (size_t)got;
		output[filled] = '\0';
		if (!has_quit && says("q quits")) {
			has_quit = true;
			assert_int_equal(write(terminal, "q", 1), 1);
		}
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
	close(terminal);
	assert_true(says("\033[?1049h") && says("\033[?1049l") && says("\033[?25h"));

	/* Every line is as wide as the terminal, and no picture is higher. */
	const char *line = strstr(output, "\033[H"), *end;
	size_t lines = 1;

	assert_non_null(line);
	line += strlen("\033[H");
	for (; (end = strstr(line, "\r\n")) && end < strstr(line, "\033[J"); lines++) {
		assert_int_equal(end - line, size.ws_col);
		line = end + strlen("\r\n");
	}
	assert_in_range(lines, 5, size.ws_row);
}

static void wrong_words_and_no_server_are_told(void **state)
{
	(void)state;
	assert_int_equal(top(1, ""), 69);
	assert_true(says("sudo hearth run"));
	assert_int_equal(top(1, "--range 0s"), 64);
	assert_true(says("from 1s to 24h"));
	assert_int_equal(top(1, "--rang 5s"), 64);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(shows_who_burns_and_where, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_terminal_is_drawn_on_and_given_back, set_up,
						tear_down),
		cmocka_unit_test(wrong_words_and_no_server_are_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
