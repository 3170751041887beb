/* SPDX-License-Identifier: Apache-2.0 */
/* Settings as a person meets them: where they are said, what is wrong with them, SIGHUP. */
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <sysexits.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "base/folder.h"
#include "tests/support/hearth.h"

struct fixture {
	char folder[64];
	char path[128];
};

static int set_up(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	assert_non_null(f);
	snprintf(f->folder, sizeof(f->folder), "/tmp/hearth-test-XXXXXX");
	assert_non_null(mkdtemp(f->folder));
	/* The server, which reads it again, may be another user. */
	assert_int_equal(chmod(f->folder, 0755), 0);
	snprintf(f->path, sizeof(f->path), "%s/hearth.conf", f->folder);
	*state = f;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *f = *state;

	folder_remove(f->folder);
	free(f);
	return 0;
}

static void write_config(const struct fixture *f, const char *text)
{
	FILE *file = fopen(f->path, "we");

	assert_non_null(file);
	assert_int_equal(fwrite(text, 1, strlen(text), file), strlen(text));
	assert_int_equal(fclose(file), 0);
}

static int run(struct child *child, const char *const *options)
{
	char program[256];
	const char *arguments[16] = { build_path("hearth", program, sizeof(program)) };
	size_t count = 1;

	for (; *options; options++)
		arguments[count++] = *options;
	child_start(child, arguments, 0);
	return child_wait(child, 20);
}

#define RUN(child, ...) run(child, (const char *const[]){ __VA_ARGS__, NULL })

static void says(const struct child *child, const char *text)
{
	if (!strstr(child->said, text))
		fail_msg("it said \"%s\", and nothing of \"%s\"", child->said, text);
}

static void shows_what_is_in_force_and_why(void **state)
{
	const struct fixture *f = *state;
	struct child child;
	char line[256];

	write_config(f, "frequency = 10\nspan = 2h\n");
	setenv("HEARTH_SPAN", "3h", 1);
	assert_int_equal(RUN(&child, "check-config", "--show", f->path, "--window", "2s"), 0);
	unsetenv("HEARTH_SPAN");
	snprintf(line, sizeof(line), "frequency = 10                                  # %s:1\n",
		 f->path);
	says(&child, line);
	says(&child, "span = 3h                                       # HEARTH_SPAN\n");
	says(&child, "window = 2s                                     # --window\n");
	says(&child, "retention-size = auto                           # default\n");
	assert_int_equal(RUN(&child, "check-config", f->path), 0);
	snprintf(line, sizeof(line), "%s: nothing is wrong\n", f->path);
	assert_string_equal(child.said, line);
	assert_int_equal(RUN(&child, "check-config", "--defaults"), 0);
	says(&child, "\n#retention-age = 14d\n");
	assert_int_equal(RUN(&child, "check-config", "--help"), 0);
	says(&child, "--defaults");
	assert_int_equal(RUN(&child, "check-config", "--shwo"), EX_USAGE);
}

static void says_what_grafana_needs(void **state)
{
	struct child child;

	(void)state;
	assert_int_equal(RUN(&child, "grafana-datasource", "--http", "/run/x.sock, 0.0.0.0:4041"),
			 0);
	says(&child, "    type: grafana-pyroscope-datasource\n");
	says(&child, "    url: 'http://127.0.0.1:4041'\n");
	assert_null(strstr(child.said, "basicAuth"));
	assert_int_equal(RUN(&child, "grafana-datasource", "--url=https://box:1/it's", "--name",
			     "Box", "--token-variable", "TOKEN"),
			 0);
	says(&child, "  - name: 'Box'\n");
	says(&child, "    url: 'https://box:1/it''s'\n");
	says(&child, "      basicAuthPassword: $TOKEN\n");
	assert_int_equal(RUN(&child, "grafana-datasource", "--token-variable", "a b"), EX_USAGE);
	assert_int_equal(RUN(&child, "grafana-datasource", "--ulr", "x"), EX_USAGE);
	assert_int_equal(RUN(&child, "grafana-datasource", "--help"), 0);
	says(&child, "--token-variable NAME");
}

/* Every command says the same, and starts nothing. */
static void says_what_is_wrong(void **state)
{
	const struct fixture *f = *state;
	struct child child;
	char line[256];

	write_config(f, "frequency = 10\nfrequncy = 11\nhttp = 127.0.0.1:0\n");
	snprintf(line, sizeof(line),
		 "hearth: %s:2: there is no setting 'frequncy'; is 'frequency' meant?\n", f->path);
	assert_int_equal(RUN(&child, "check-config", f->path), EX_CONFIG);
	assert_string_equal(child.said, line);
	assert_int_equal(RUN(&child, "serve", "--data", f->folder, "--config", f->path), EX_CONFIG);
	assert_string_equal(child.said, line);
	assert_int_equal(RUN(&child, "run", "--data", f->folder, "--config", f->path), EX_CONFIG);
	assert_string_equal(child.said, line);
	write_config(f, "http = 0.0.0.0:4040\n");
	assert_int_equal(RUN(&child, "check-config", f->path, "--data", f->folder), EX_CONFIG);
	says(&child, "is not loopback, where anybody could ask, and nobody has a token");
}

static void serve_reads_again(void **state)
{
	const struct fixture *f = *state;
	const char *options[] = { "--config", f->path, NULL };
	struct hearth hearth;
	char line[256];

	write_config(f, "retention-age = 1d\n");
	hearth_start(&hearth, "serve", options);

	write_config(f, "retention-age = 2d\nspan = 1h\nverbose = yes\n");
	kill(hearth.child.pid, SIGHUP);
	assert_true(child_says(&hearth.child, "the settings were read again, 2 changed\n", 10));
	snprintf(line, sizeof(line), "retention-age: 1d -> 2d (%s:1)\n", f->path);
	says(&hearth.child, line);
	snprintf(line, sizeof(line), "span: 6h -> 1h (%s:2), takes a restart\n", f->path);
	says(&hearth.child, line);

	write_config(f, "retention-age = 3d\nspan = 1 h\n");
	kill(hearth.child.pid, SIGHUP);
	assert_true(child_says(&hearth.child, "the settings stay as they were\n", 10));
	snprintf(line, sizeof(line), "%s:2: span: '1 h' is not a time", f->path);
	says(&hearth.child, line);

	write_config(f, "retention-age = 2d\nverbose = yes\nspan = 6h\n");
	kill(hearth.child.pid, SIGHUP);
	assert_true(child_says(&hearth.child, "the settings were read again, 0 changed\n", 10));
	assert_int_equal(http_ask(hearth.port, "/ready", NULL, NULL), 200);
	assert_int_equal(hearth_stop(&hearth), 0);
}

static long frequency_of(const struct hearth *hearth)
{
	json_t *status = hearth_get(hearth, "/api/v1/status");
	json_t *collector = json_object_get(status, "collector");
	long frequency = (long)json_integer_value(json_object_get(collector, "frequency_hz"));

	json_decref(status);
	return frequency;
}

static bool comes_to(const struct hearth *hearth, long frequency)
{
	double end = now_seconds() + 20;

	while (frequency_of(hearth) != frequency) {
		if (now_seconds() > end)
			return false;
		sleep_seconds(0.1);
	}
	return true;
}

/* The collector is started again to sample at another rate, and the server goes on. */
static void run_samples_at_another_rate(void **state)
{
	const struct fixture *f = *state;
	const char *options[] = { "--config", f->path, NULL };
	struct hearth hearth;
	char line[256];

	need_bpf();
	write_config(f, "frequency = 50\n");
	hearth_start(&hearth, "run", options);
	assert_true(comes_to(&hearth, 50));

	pid_t server = hearth_program(&hearth, "hearth-serve");
	pid_t collector = hearth_program(&hearth, "hearth-collect");

	assert_true(server > 0 && collector > 0);
	write_config(f, "frequency = 97\n");
	kill(hearth.child.pid, SIGHUP);
	snprintf(line, sizeof(line), "frequency: 50 -> 97 (%s:1)\n", f->path);
	assert_true(child_says(&hearth.child, line, 10));
	assert_true(child_says(&hearth.child, "CPUs 97 times a second\n", 10));
	assert_true(comes_to(&hearth, 97));
	assert_int_equal(hearth_program(&hearth, "hearth-serve"), server);
	assert_true(hearth_program(&hearth, "hearth-collect") != collector);

	/* Told once, not by each of the three. */
	const char *first = strstr(hearth.child.said, "the settings were read again, 1 changed\n");

	assert_non_null(first);
	assert_null(strstr(first + 1, "the settings were read again"));
	assert_int_equal(hearth_stop(&hearth), 0);
}

/* Closing the terminal that it was started in ends it, as Ctrl-C does. */
static void ends_with_its_terminal(void **state)
{
	char folder[] = "/tmp/hearth-test-XXXXXX";
	char program[256], said[4096] = "";
	int master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
	size_t size = 0;
	int status = 0;

	(void)state;
	assert_non_null(mkdtemp(folder));
	assert_true(master >= 0);
	assert_int_equal(grantpt(master), 0);
	assert_int_equal(unlockpt(master), 0);
	build_path("hearth", program, sizeof(program));

	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid == 0) {
		int terminal = open(ptsname(master), O_RDWR | O_NOCTTY);

		prctl(PR_SET_PDEATHSIG, SIGKILL);
		setsid();
		ioctl(terminal, TIOCSCTTY, 0);
		dup2(terminal, STDIN_FILENO);
		dup2(terminal, STDOUT_FILENO);
		dup2(terminal, STDERR_FILENO);
		execl(program, program, "serve", "--data", folder, "--http", "127.0.0.1:0", NULL);
		_exit(127);
	}

	double end = now_seconds() + 20;

	while (!strstr(said, "ready at") && now_seconds() < end && size + 1 < sizeof(said)) {
		ssize_t got = read(master, said + size, sizeof(said) - 1 - size);

		assert_true(got > 0);
		size += (size_t)got;
		said[size] = '\0';
	}
	assert_non_null(strstr(said, "ready at"));
	/* While it is there SIGHUP is for the settings. */
	kill(pid, SIGHUP);
	while (!strstr(said, "read again") && now_seconds() < end && size + 1 < sizeof(said)) {
		ssize_t got = read(master, said + size, sizeof(said) - 1 - size);

		assert_true(got > 0);
		size += (size_t)got;
		said[size] = '\0';
	}
	assert_int_equal(waitpid(pid, &status, WNOHANG), 0);
	close(master);
	end = now_seconds() + 10;
	while (waitpid(pid, &status, WNOHANG) == 0 && now_seconds() < end)
		sleep_seconds(0.02);
	if (now_seconds() >= end) {
		kill(pid, SIGKILL);
		fail_msg("it outlived its terminal");
	}
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
	folder_remove(folder);
}

/* The parent-death signal of who started it is in force to the end: no test leaves one behind. */
static void dies_with_who_started_it(void **state)
{
	char folder[] = "/tmp/hearth-test-XXXXXX";
	int pipe_fds[2];
	pid_t run_pid = 0;

	(void)state;
	assert_non_null(mkdtemp(folder));
	assert_int_equal(pipe2(pipe_fds, O_CLOEXEC), 0);

	pid_t middle = fork();

	assert_true(middle >= 0);
	if (middle == 0) {
		char program[256];
		const char *arguments[] = { build_path("hearth", program, sizeof(program)),
					    "run",
					    "--data",
					    folder,
					    "--http",
					    "127.0.0.1:0",
					    NULL };
		struct child child;

		child_start(&child, arguments, 0);
		(void)child_says(&child, "ready at", 20);
		if (write(pipe_fds[1], &child.pid, sizeof(child.pid)) < 0)
			_exit(1);
		_exit(0);
	}
	close(pipe_fds[1]);
	assert_int_equal(read(pipe_fds[0], &run_pid, sizeof(run_pid)), sizeof(run_pid));
	close(pipe_fds[0]);
	assert_int_equal(waitpid(middle, NULL, 0), middle);

	double end = now_seconds() + 10;

	/* Nobody here waits for it; whoever took it in does. */
	while (now_seconds() < end) {
		char path[64], line[512] = "";
		FILE *file;

		snprintf(path, sizeof(path), "/proc/%d/stat", (int)run_pid);
		file = fopen(path, "re");
		if (!file)
			break;
		if (!fgets(line, sizeof(line), file))
			line[0] = '\0';
		(void)fclose(file);
		if (strstr(line, ") Z ") || !strstr(line, "(hearth)"))
			break;
		sleep_seconds(0.02);
	}
	if (now_seconds() >= end) {
		kill(run_pid, SIGTERM);
		fail_msg("hearth run outlived who started it");
	}
	sleep_seconds(0.5); /* its programs leave the folder */
	folder_remove(folder);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(shows_what_is_in_force_and_why),
		cmocka_unit_test(says_what_grafana_needs),
		cmocka_unit_test(says_what_is_wrong),
		cmocka_unit_test(serve_reads_again),
		cmocka_unit_test(run_samples_at_another_rate),
		cmocka_unit_test(ends_with_its_terminal),
		cmocka_unit_test(dies_with_who_started_it),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
