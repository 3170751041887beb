/* SPDX-License-Identifier: Apache-2.0 */
/* Who is excluded by program, user or cgroup leaves no sample, and is counted; a change of the
 * settings holds at once. */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "tests/support/hearth.h"

enum { NOBODY = 65534 };

static void burner_start(struct child *burner, uid_t uid)
{
	char target[256];

	child_start(burner,
		    (const char *const[]){
			    build_path("tests/live/targets/burn", target, sizeof(target)), "120",
			    NULL },
		    uid);
}

/* Whether there are samples of this process since a time. */
static bool is_seen(const struct hearth *hearth, pid_t pid, int64_t since_ms)
{
	json_t *answer = hearth_get(hearth, "/api/v1/processes?from=%lld", (long long)since_ms);
	bool seen = find_process(answer, pid, "burn") != NULL;

	json_decref(answer);
	return seen;
}

static bool comes_to_be_seen(const struct hearth *hearth, pid_t pid, int64_t since_ms)
{
	double end = now_seconds() + 30;

	while (!is_seen(hearth, pid, since_ms)) {
		if (now_seconds() > end)
			return false;
		sleep_seconds(0.1);
	}
	return true;
}

/* Since when there are none of this process; the window that ran when it was said has some. */
static int64_t vanishes(const struct hearth *hearth, pid_t pid)
{
	double end = now_seconds() + 60;
	int64_t since_ms;

	do {
		assert_true(now_seconds() < end);
		since_ms = clock_unix_ms();
		/* A window of a second, on its way and stored. */
		sleep_seconds(2.5);
	} while (is_seen(hearth, pid, since_ms));
	return since_ms;
}

static double excluded(const struct hearth *hearth)
{
	char *body = NULL;

	assert_int_equal(http_ask(hearth->port, "/metrics", NULL, &body), 200);

	const char *line = strstr(body, "\nhearth_samples_excluded_total ");
	double count;

	assert_non_null(line);
	count = strtod(line + strlen("\nhearth_samples_excluded_total "), NULL);
	free(body);
	return count;
}

static void write_settings(const char *path, const char *text)
{
	FILE *file = fopen(path, "we");

	assert_non_null(file);
	assert_true(fputs(text, file) >= 0);
	assert_int_equal(fclose(file), 0);
}

static void a_user_and_a_program_are_left_out_as_long_as_it_is_said(void **state)
{
	char path[] = "/tmp/hearth-exclude-XXXXXX";
	struct child ours, nobodys;
	struct hearth hearth;
	int64_t start_ms = clock_unix_ms(), change_ms;
	int fd = mkstemp(path);

	(void)state;
	need_bpf();
	assert_true(fd >= 0);
	close(fd);
	assert_int_equal(chmod(path, 0644), 0);
	write_settings(path, "exclude-users = 65534\n");
	burner_start(&ours, 0);
	burner_start(&nobodys, NOBODY);
	hearth_start(&hearth, "run", (const char *const[]){ "--config", path, NULL });
	assert_true(comes_to_be_seen(&hearth, ours.pid, start_ms));
	assert_false(is_seen(&hearth, nobodys.pid, start_ms));
	assert_true(excluded(&hearth) > 0);

	/* The other way round: a program by its name, and no user any more. */
	write_settings(path, "exclude-processes = bur?\n");
	assert_int_equal(kill(hearth.child.pid, SIGHUP), 0);
	assert_true(child_says(&hearth.child, "exclude-processes:", 20));
	change_ms = vanishes(&hearth, ours.pid);
	assert_false(is_seen(&hearth, nobodys.pid, change_ms));

	/* And nobody: what was left out comes, and only from now on. */
	write_settings(path, "\n");
	assert_int_equal(kill(hearth.child.pid, SIGHUP), 0);
	assert_true(comes_to_be_seen(&hearth, nobodys.pid, change_ms));

	kill(ours.pid, SIGKILL);
	kill(nobodys.pid, SIGKILL);
	child_wait(&ours, 10);
	child_wait(&nobodys, 10);
	assert_int_equal(hearth_stop(&hearth), 0);
	unlink(path);
}

static void a_cgroup_is_left_out(void **state)
{
	static const char *const roots[] = { "/sys/fs/cgroup/unified", "/sys/fs/cgroup" };
	char name[96], folder[160] = "", path[192], member[32], exclude[96];
	struct child inside, outside;
	struct hearth hearth;
	int64_t start_ms = clock_unix_ms();

	(void)state;
	need_bpf();
	/* As a container's, so that it is the one that counts where a process is in several. */
	snprintf(name, sizeof(name), "docker-%064x.scope", (unsigned)getpid());
	snprintf(exclude, sizeof(exclude), "docker-*%x.scope", (unsigned)getpid());
	for (size_t i = 0; i < 2 && !folder[0]; i++) {
		snprintf(path, sizeof(path), "%s/cgroup.procs", roots[i]);
		if (access(path, W_OK))
			continue;
		snprintf(folder, sizeof(folder), "%s/%s", roots[i], name);
	}
	if (!folder[0] || mkdir(folder, 0755)) {
		print_message("# SKIP no cgroup of the unified hierarchy can be made here\n");
		skip();
	}
	burner_start(&inside, 0);
	burner_start(&outside, 0);
	snprintf(path, sizeof(path), "%s/cgroup.procs", folder);
	snprintf(member, sizeof(member), "%d\n", (int)inside.pid);
	write_settings(path, member);
	hearth_start(&hearth, "run", (const char *const[]){ "--exclude-cgroups", exclude, NULL });
	assert_true(comes_to_be_seen(&hearth, outside.pid, start_ms));
	assert_false(is_seen(&hearth, inside.pid, start_ms));
	assert_true(excluded(&hearth) > 0);
	kill(inside.pid, SIGKILL);
	kill(outside.pid, SIGKILL);
	child_wait(&inside, 10);
	child_wait(&outside, 10);
	assert_int_equal(hearth_stop(&hearth), 0);
	rmdir(folder);
}

static void a_user_that_is_not_known_is_refused(void **state)
{
	char program[256], output[4096];

	(void)state;
	assert_int_equal(shell_output(output, sizeof(output),
				      "%s check-config --exclude-users no-such-user-here 2>&1",
				      build_path("hearth", program, sizeof(program))),
			 78);
	assert_non_null(strstr(output, "this host knows no user 'no-such-user-here'"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_user_and_a_program_are_left_out_as_long_as_it_is_said),
		cmocka_unit_test(a_cgroup_is_left_out),
		cmocka_unit_test(a_user_that_is_not_known_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
