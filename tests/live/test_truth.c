/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whether what hearth says is so: real programs whose behaviour is known, sampled 997 times a
 * second by a real `hearth run`, asked over HTTP.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/parse.h"
#include "tests/support/hearth.h"

static struct hearth hearth;

static int start(void **state)
{
	static const char *const options[] = { "--frequency", "997", "--window", "1s", NULL };

	(void)state;
	hearth_start(&hearth, "run", options);
	return 0;
}

static int stop(void **state)
{
	(void)state;
	return hearth_stop(&hearth) == 0 ? 0 : -1;
}

static struct child start_target(const char *name, const char *first, const char *second)
{
	char path[256], target[64];
	struct child child;

	snprintf(target, sizeof(target), "tests/live/targets/%s", name);

	const char *arguments[] = { build_path(target, path, sizeof(path)), first, second, NULL };

	child_start(&child, arguments, 0);
	return child;
}

/* Asks until the sum of samples of this pid covers seconds of CPU time, since the newest are on
 * their way. */
static json_t *wait_for_flame(const char *selector, double seconds, double patience)
{
	double end = now_seconds() + patience;

	while (true) {
		json_t *flame = hearth_get(
			&hearth, "/api/v1/flame?from=now-5m&nodes=50000&query=%s", selector);
		double total = json_number_value(json_object_get(flame, "total")) * 1e-9;

		if (total >= seconds)
			return flame;
		if (now_seconds() > end)
			fail_msg("only %g s of CPU time were recorded for %s; hearth said: %s",
				 total, selector, hearth.child.said);
		json_decref(flame);
		sleep_seconds(0.3);
	}
}

static const char *pid_selector(pid_t pid, char *text, size_t size)
{
	snprintf(text, size, "%%7Bpid%%3D%%22%d%%22%%7D", (int)pid);
	return text;
}

/* The first question of all: who is it, and what does it do? */
static void finds_a_burner_and_its_two_functions(void **state)
{
	char selector[64];
	struct child burn = start_target("burn", "10", NULL);
	pid_t pid = burn.pid;
	struct child kernel = start_target("kernel_heavy", "6", NULL);
	pid_t kernel_pid = kernel.pid;

	(void)state;
	need_bpf();
	assert_int_equal(child_wait(&burn, 60), 0);
	assert_int_equal(child_wait(&kernel, 60), 0);

	json_t *flame = wait_for_flame(pid_selector(pid, selector, sizeof(selector)), 9.3, 10);
	double total = json_number_value(json_object_get(flame, "total"));
	double seventy = flame_total(flame, "spend_seventy");
	double thirty = flame_total(flame, "spend_thirty");

	print_message("# burn: %.2f s, spend_seventy %.1f %%, spend_thirty %.1f %%\n", total * 1e-9,
		      100 * seventy / total, 100 * thirty / total);
	assert_true(seventy / total > 0.67 && seventy / total < 0.73);
	assert_true(thirty / total > 0.27 && thirty / total < 0.33);
	assert_true(flame_has_below(flame, "spend_seventy", 3, "work"));
	assert_true(flame_has_below(flame, "work", 3, "main"));
	json_decref(flame);

	/* Meanwhile another spent its time in the kernel. */
	flame = wait_for_flame(pid_selector(kernel_pid, selector, sizeof(selector)), 1, 10);
	/* libc's read() sets up no frame: the walk by frame pointers skips its caller, not main().
	 */
	assert_true(flame_has_below(flame, "ksys_read", 2, "main"));
	assert_true(flame_has_below(flame, "vfs_read", 2, "ksys_read"));
	total = json_number_value(json_object_get(flame, "total"));
	assert_true(flame_total(flame, "ksys_read") > 0.8 * total);
	json_decref(flame);
}

static void sees_a_process_that_lives_for_300_ms(void **state)
{
	char selector[64];
	struct child brief = start_target("brief", NULL, NULL);
	pid_t pid = brief.pid;

	(void)state;
	need_bpf();
	assert_int_equal(child_wait(&brief, 10), 0);

	json_t *flame = wait_for_flame(pid_selector(pid, selector, sizeof(selector)), 0.15, 10);

	assert_true(flame_total(flame, "live_briefly") >
		    0.8 * json_number_value(json_object_get(flame, "total")));
	json_decref(flame);

	json_t *processes = hearth_get(&hearth, "/api/v1/processes?from=now-1m&limit=500");

	assert_non_null(find_process(processes, pid, "brief"));
	json_decref(processes);
}

static void follows_fork_exec_threads_and_dlopen(void **state)
{
	char selector[64], next[256];
	struct child changes = start_target(
		"changes", build_path("tests/live/targets/burn", next, sizeof(next)), "1");
	pid_t pid = changes.pid;

	(void)state;
	need_bpf();
	assert_int_equal(child_wait(&changes, 60), 0);

	json_t *flame = wait_for_flame(pid_selector(pid, selector, sizeof(selector)), 4.85, 15);

	/* One pid, two programs: each with its own functions. */
	assert_true(flame_total(flame, "before_exec") > 0.8e9);
	assert_true(flame_total(flame, "in_thread") > 1.6e9);
	assert_true(flame_total(flame, "spend_seventy") > 0.5e9);
	/* A library opened while running: its function is found by name, or at least by its file.
	 */
	assert_true(flame_total(flame, "through_library") > 0.8e9 ||
		    flame_total(flame, "adler32") + flame_total(flame, "adler32_z") > 0.8e9);
	json_decref(flame);

	json_t *processes = hearth_get(&hearth, "/api/v1/processes?from=now-2m&limit=500");
	json_t *before = find_process(processes, pid, "changes");
	json_t *after = find_process(processes, pid, "burn");

	assert_non_null(before);
	assert_non_null(after);
	assert_string_not_equal(json_string_value(json_object_get(before, "process")),
				json_string_value(json_object_get(after, "process")));
	json_decref(processes);

	/* The child has its own pid and the same program. */
	flame = hearth_get(&hearth, "/api/v1/flame?from=now-2m&query=%s",
			   "%7Bprocess_name%3D%22changes%22%7D");
	assert_true(flame_total(flame, "forked_child") > 0.8e9);
	json_decref(flame);

	flame = hearth_get(&hearth, "/api/v1/flame?from=now-2m&query=%s",
			   "%7Bthread_name%3D%22second-worker%22%7D");
	assert_true(flame_total(flame, "in_thread") > 0.8e9);
	assert_true(flame_total(flame, "in_thread") < 1.2e9);
	assert_true(flame_total(flame, "before_exec") == 0);
	json_decref(flame);
}

struct cpu_times {
	double host; /* CPU seconds of the whole host that were not idle, waiting or stolen */
	double process;
};

static double ticks_to_seconds(uint64_t ticks)
{
	return (double)ticks / (double)sysconf(_SC_CLK_TCK);
}

static struct cpu_times read_times(pid_t pid)
{
	struct cpu_times times = { 0 };
	char line[1024] = "";
	struct str rest, word;
	FILE *file = fopen("/proc/stat", "re");

	assert_non_null(file);
	assert_non_null(fgets(line, sizeof(line), file));
	(void)fclose(file);
	rest = str_from(line);
	/* cpu, "", user nice system idle iowait irq softirq steal (proc(5)) */
	for (int i = -2; i < 7 && parse_next(&rest, ' ', &word); i++) {
		uint64_t ticks;

		if (i >= 0 && i != 3 && i != 4 && parse_u64(word, &ticks) == 0)
			times.host += ticks_to_seconds(ticks);
	}

	times.process = cpu_seconds_of(pid);
	return times;
}

static void agrees_with_the_kernels_own_accounting(void **state)
{
	enum { SECONDS = 10 };
	struct child burn = start_target("burn", "16", NULL);
	struct child kernel = start_target("kernel_heavy", "16", NULL);

	(void)state;
	need_bpf();
	sleep_seconds(1.5);

	int64_t from_ms = clock_unix_ms();
	double started = now_seconds();
	struct cpu_times before = read_times(burn.pid);

	sleep_seconds(SECONDS);

	struct cpu_times after = read_times(burn.pid);
	double elapsed = now_seconds() - started;

	/* The last window is on its way. */
	sleep_seconds(2.5);

	json_t *answer = hearth_get(&hearth, "/api/v1/processes?from=%lld&to=%lld&limit=500",
				    (long long)from_ms, (long long)from_ms + SECONDS * 1000 - 1);
	double cores = json_number_value(json_object_get(answer, "cores"));
	json_t *row = find_process(answer, burn.pid, "burn");
	double host = (after.host - before.host) / elapsed;
	double process = (after.process - before.process) / elapsed;

	assert_non_null(row);

	double process_cores = json_number_value(json_object_get(row, "cores"));

	print_message("# host: %.3f cores sampled, %.3f in /proc/stat; burn: %.3f and %.3f\n",
		      cores, host, process_cores, process);
	assert_true(cores > 0.97 * host && cores < 1.03 * host);
	assert_true(process_cores > 0.95 * process && process_cores < 1.05 * process);
	json_decref(answer);
	kill(burn.pid, SIGKILL);
	kill(kernel.pid, SIGKILL);
	(void)child_wait(&burn, 5);
	(void)child_wait(&kernel, 5);
}

static void names_what_grafana_asks_for(void **state)
{
	autofree char *body = NULL;
	char question[512];
	int64_t now_ms = clock_unix_ms();

	(void)state;
	need_bpf();
	snprintf(question, sizeof(question),
		 "{\"profile_typeID\":\"process_cpu:cpu:nanoseconds:cpu:nanoseconds\",\"label_"
		 "selector\":"
		 "\"{process_name=\\\"burn\\\"}\",\"start\":%lld,\"end\":%lld}",
		 (long long)now_ms - 300000, (long long)now_ms);
	assert_int_equal(http_ask(hearth.port, "/querier.v1.QuerierService/SelectMergeStacktraces",
				  question, &body),
			 200);
	assert_non_null(strstr(body, "\"spend_seventy\""));
	assert_non_null(strstr(body, "\"flamegraph\""));
}

static uint64_t metric(const char *metrics, const char *name)
{
	char start[96];
	const char *at;

	snprintf(start, sizeof(start), "\n%s ", name);
	at = strstr(metrics, start);
	if (!at)
		fail_msg("/metrics has no %s", name);
	return (uint64_t)strtod(at + strlen(start), NULL);
}

/* After the others: thousands of stacks were walked. */
static void says_how_its_walks_went(void **state)
{
	char *metrics = NULL;

	(void)state;
	need_bpf();
	assert_int_equal(http_ask(hearth.port, "/metrics", NULL, &metrics), 200);
	print_message("# walked twice: %lu; late: %lu, expired %lu; tables: %lu\n",
		      metric(metrics, "hearth_walks_checked_total"),
		      metric(metrics, "hearth_late_walks_total"),
		      metric(metrics, "hearth_late_walks_expired_total"),
		      metric(metrics, "hearth_unwind_tables_held"));
	assert_int_equal(metric(metrics, "hearth_walks_different_total"), 0);
	assert_true(metric(metrics, "hearth_late_walks_total") > 0);
	assert_true(metric(metrics, "hearth_unwind_tables_put_total") > 5);
	assert_true(metric(metrics, "hearth_unwind_tables_held") > 5);
	assert_int_equal(metric(metrics, "hearth_walk_memory_limit_bytes"), 32 << 20);
	assert_true(metric(metrics, "hearth_walk_memory_bytes") > 100000);
	free(metrics);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(finds_a_burner_and_its_two_functions),
		cmocka_unit_test(sees_a_process_that_lives_for_300_ms),
		cmocka_unit_test(follows_fork_exec_threads_and_dlopen),
		cmocka_unit_test(agrees_with_the_kernels_own_accounting),
		cmocka_unit_test(names_what_grafana_asks_for),
		cmocka_unit_test(says_how_its_walks_went),
	};

	return cmocka_run_group_tests(tests, start, stop);
}
