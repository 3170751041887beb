/* SPDX-License-Identifier: Apache-2.0 */
/* Names of code that processes make while they run: our own, node's and Java's. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "base/folder.h"
#include "tests/support/hearth.h"

/* Asks until so much CPU time is there. */
static json_t *wait_for_flame(const char *range, pid_t pid, double seconds)
{
	double end = now_seconds() + 20;

	while (true) {
		json_t *flame =
			hearth_get(&shared_hearth,
				   "/api/v1/flame?%s&nodes=50000&query=%%7Bpid%%3D%%22%d%%22%%7D",
				   range, (int)pid);
		double total = json_number_value(json_object_get(flame, "total")) * 1e-9;

		if (total >= seconds)
			return flame;
		if (now_seconds() > end)
			fail_msg("only %g s of CPU time were recorded for %d; hearth said: %s",
				 total, (int)pid, shared_hearth.child.said);
		json_decref(flame);
		sleep_seconds(0.3);
	}
}

static double share(json_t *flame, const char *function)
{
	return flame_total(flame, function) / json_number_value(json_object_get(flame, "total"));
}

/* One address meant two things. */
static void try_own(const char *kind, double least)
{
	char path[256], command[512], range[128];
	char folder[] = "/tmp/hearth-jit-XXXXXX";
	long times[3];
	int pid = 0;

	need_bpf();
	assert_non_null(mkdtemp(folder));
	snprintf(command, sizeof(command),
		 "program=$(realpath %s); cd %s; sh -c 'echo $$; exec \"$0\" 5 %s' \"$program\"",
		 build_path("tests/live/targets/jit", path, sizeof(path)), folder, kind);

	FILE *output = popen(command, "r");

	assert_non_null(output);
	assert_int_equal(fscanf(output, "%d %ld %ld %ld", &pid, &times[0], &times[1], &times[2]),
			 4);
	assert_int_equal(pclose(output), 0);
	json_decref(wait_for_flame("from=now-5m", pid, 9.5));
	snprintf(range, sizeof(range), "/tmp/perf-%d.map", pid);
	(void)unlink(range);
	folder_remove(folder);

	for (int i = 0; i < 2; i++) {
		/* Apart from the change by more than a window. */
		snprintf(range, sizeof(range), "from=%ld&to=%ld", times[i] + 1500,
			 times[i + 1] - 1500);

		json_t *flame = wait_for_flame(range, pid, 0.5);
		double right = share(flame, i ? "second_work" : "first_work");
		double wrong = share(flame, i ? "first_work" : "second_work");

		print_message("# %s, code %d: %.1f %% named right, %.1f %% wrong\n", kind, i + 1,
			      100 * right, 100 * wrong);
		assert_true(right >= least);
		assert_true(wrong == 0);
		assert_true(flame_has_below(flame, i ? "second_work" : "first_work", 4, "main"));
		json_decref(flame);
	}
}

static void code_of_a_jitdump_has_its_name_of_the_time(void **state)
{
	(void)state;
	try_own("dump", 0.97);
}

static void code_of_a_perf_map_has_its_name_of_the_time(void **state)
{
	(void)state;
	try_own("map", 0.97);
}

static void write_text(const char *folder, const char *name, const char *text)
{
	char path[128];

	snprintf(path, sizeof(path), "%s/%s", folder, name);

	FILE *file = fopen(path, "w");

	assert_non_null(file);
	fputs(text, file);
	assert_int_equal(fclose(file), 0);
}

/* Runs a script there, which first writes its pid. */
static pid_t run_script(const char *folder, const char *script)
{
	char command[256];
	int pid = 0;

	write_text(folder, "run.sh", script);
	snprintf(command, sizeof(command), "cd %s && sh run.sh", folder);

	FILE *output = popen(command, "r");

	assert_non_null(output);
	assert_int_equal(fscanf(output, "%d", &pid), 1);
	while (fgetc(output) != EOF)
		;
	assert_int_equal(pclose(output), 0);
	return pid;
}

static const char node_script[] =
	"function leafwork(n) { let s = 0; for (let i = 0; i < n; i++) s += Math.sqrt(i) * i % 7; "
	"return s }\n"
	"function middlework(n) { return leafwork(n) + leafwork(n + 1) }\n"
	"let t = 0; while (process.cpuUsage().user < 4e6) t += middlework(20000);\n";

/*
 * In the function itself or one that it was put into, its caller and the script, which take over
 * one after the other: by the names of node 20 and of those before.
 */
static double share_of_node(json_t *flame)
{
	static const char *const names[] = {
		"JS:*leafwork",
		"JS:*middlework",
		"JS:*",
		"LazyCompile:*leafwork",
		"LazyCompile:*middlework",
		"LazyCompile:*",
		"Function:*",
	};

	return flame_total_of_any(flame, names, sizeof(names) / sizeof(names[0])) /
	       json_number_value(json_object_get(flame, "total"));
}

static void node_is_named_by_its_perf_map(void **state)
{
	static const char script[] = "node --perf-basic-prof --interpreted-frames-native-stack "
				     "work.js & echo $!; wait $!; code=$?\n"
				     "rm -f /tmp/perf-$!.map; exit $code\n";
	char folder[] = "/tmp/hearth-jit-XXXXXX";

	(void)state;
	need_bpf();
	if (system("command -v node >/dev/null") != 0)
		skip();
	assert_non_null(mkdtemp(folder));
	write_text(folder, "work.js", node_script);

	pid_t pid = run_script(folder, script);
	json_t *flame = wait_for_flame("from=now-5m", pid, 3.5);
	double named = share_of_node(flame);

	print_message("# node: %.1f %% in leafwork\n", 100 * named);
	assert_true(named > 0.7);
	assert_true(flame_has_below(flame, "JS:*leafwork", 4, "JS:~Module.load") ||
		    flame_has_below(flame, "LazyCompile:*leafwork", 4, "LazyCompile:~Module.load"));
	json_decref(flame);
	folder_remove(folder);
}

/* It writes its dump when 2 MB are full, and when it ends: until then nothing has a name. */
static void node_is_named_by_its_jitdump_afterwards(void **state)
{
	static const char script[] = "node --perf-prof --interpreted-frames-native-stack "
				     "work.js & echo $!; wait $!\n";
	char folder[] = "/tmp/hearth-jit-XXXXXX";
	double end = now_seconds() + 30;
	double named = 0;

	(void)state;
	need_bpf();
	if (system("command -v node >/dev/null") != 0)
		skip();
	assert_non_null(mkdtemp(folder));
	write_text(folder, "work.js", node_script);

	pid_t pid = run_script(folder, script);

	while (named <= 0.7 && now_seconds() < end) {
		json_t *flame = wait_for_flame("from=now-5m", pid, 3.5);

		named = share_of_node(flame);
		json_decref(flame);
		sleep_seconds(1);
	}
	print_message("# node, by its jitdump: %.1f %% in leafwork\n", 100 * named);
	assert_true(named > 0.7);
	folder_remove(folder);
}

static const char java_program[] = "public class Work {\n"
				   "  static long leafWork(int n) { long s = 0; for (int i = 0; i "
				   "< n; i++) s += s * 31 + i % 7;"
				   " return s; }\n"
				   "  public static void main(String[] a) throws Exception {\n"
				   "    long end = System.nanoTime() + 10_000_000_000L, t = 0;\n"
				   "    while (System.nanoTime() < end) t += leafWork(100000);\n"
				   "    System.err.println(t);\n"
				   "  }\n"
				   "}\n";

/* Its own command writes the map, when it is asked to. */
static void java_is_named_once_it_wrote_its_map(void **state)
{
	static const char script[] =
		"javac Work.java || exit 1\n"
		"java -XX:+PreserveFramePointer Work 2>/dev/null & echo $!\n"
		"sleep 2; jcmd $! Compiler.perfmap >/dev/null; wait $!; code=$?\n"
		"rm -f /tmp/perf-$!.map; exit $code\n";
	char folder[] = "/tmp/hearth-jit-XXXXXX";

	(void)state;
	need_bpf();
	if (system("command -v javac >/dev/null && command -v jcmd >/dev/null") != 0) {
		print_message("# no JDK here\n");
		skip();
	}
	assert_non_null(mkdtemp(folder));
	write_text(folder, "Work.java", java_program);

	pid_t pid = run_script(folder, script);
	json_t *flame = wait_for_flame("from=now-5s", pid, 0.5);
	double named = share(flame, "long Work.leafWork(int)") + share(flame, "Work.leafWork") +
		       share(flame, "void Work.main(java.lang.String[])");

	print_message("# java: %.1f %% in Work\n", 100 * named);
	assert_true(named > 0.7);
	json_decref(flame);
	folder_remove(folder);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(code_of_a_jitdump_has_its_name_of_the_time),
		cmocka_unit_test(code_of_a_perf_map_has_its_name_of_the_time),
		cmocka_unit_test(node_is_named_by_its_perf_map),
		cmocka_unit_test(node_is_named_by_its_jitdump_afterwards),
		cmocka_unit_test(java_is_named_once_it_wrote_its_map),
	};

	return cmocka_run_group_tests(tests, shared_hearth_start, shared_hearth_stop);
}
