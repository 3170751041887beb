/* SPDX-License-Identifier: Apache-2.0 */
/* A stripped program in a root of its own: its debug file appears there, after it was sampled. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/folder.h"
#include "tests/support/hearth.h"

/* No library of the host's is there: static, and without any name. */
static const char plain[] =
	"cc -O1 -g -static-pie -fno-omit-frame-pointer -Wl,--build-id prog.c -o prog\n";

/* Two that share what dwz moves to a file of its own: what was inlined is called there. */
static const char shared[] =
	"c='cc -O1 -g -gdwarf-4 -static-pie -fno-omit-frame-pointer -Wl,--build-id -DSHARED'\n"
	"$c prog.c -o prog && $c -DOTHER prog.c -o other\n"
	"dwz -m app.debug -M /usr/lib/debug/.dwz/x86_64-linux-gnu/app.debug prog other\n";

static const char build[] =
	"set -eu; cd %s\n"
	"cat > prog.c <<'END'\n"
	"#include <unistd.h>\n"
	"static volatile unsigned sink;\n"
	"#ifdef SHARED\n"
	"struct step { unsigned long long first, second, third; struct step *next; };\n"
	"static struct step step;\n"
	"static inline __attribute__((always_inline)) unsigned inlined_step(struct step *step,\n"
	"	unsigned i) { step->first += i; return (unsigned)step->first * 3; }\n"
	"#else\n"
	"#define inlined_step(step, i) (i)\n"
	"#endif\n"
	"__attribute__((noinline)) static void hidden_work(void)\n"
	"{ for (unsigned i = 0; i < 1000000; i++) sink += inlined_step(&step, i); }\n"
	"int main(void) { for (alarm(100);;) hidden_work(); }\n"
	"END\n"
	"%s"
	"objcopy --only-keep-debug prog prog.debug && strip prog && mkdir root\n"
	"readelf -n prog | awk '/Build ID/ { print $3 }' > id\n";

/* Says its pid, which stays the same. */
static const char run[] = "cd %s && exec unshare -m sh -c 'mount -t tmpfs tmpfs root && cp prog "
			  "root && echo $$ && exec chroot root /prog'";

static const char install[] =
	"cd %s && id=$(cat id) && cd /proc/%d/root && "
	"d=usr/lib/debug/.build-id/$(echo $id | cut -c1-2) && mkdir -p $d && "
	"cp %s/prog.debug $d/new && mv $d/new $d/$(echo $id | cut -c3-).debug";

static const char install_shared[] = "cd /proc/%d/root && d=usr/lib/debug/.dwz/x86_64-linux-gnu && "
				     "mkdir -p $d && cp %s/app.debug $d/new && "
				     "mv $d/new $d/app.debug";

/* Asks what the process did until that function has a value, or time is over. */
static double wait_for(pid_t pid, const char *function, double seconds)
{
	double end = now_seconds() + seconds;

	while (true) {
		json_t *flame = hearth_get(
			&shared_hearth, "/api/v1/flame?from=now-5m&query=%%7Bpid%%3D%%22%d%%22%%7D",
			(int)pid);
		double total = flame_total(flame, function);

		json_decref(flame);
		if (total > 0 || now_seconds() > end)
			return total;
		sleep_seconds(0.5);
	}
}

static pid_t start_container(const char *folder, FILE **ret_output)
{
	char command[512];
	int pid = 0;

	snprintf(command, sizeof(command), run, folder);
	*ret_output = popen(command, "r");
	assert_non_null(*ret_output);
	assert_int_equal(fscanf(*ret_output, "%d", &pid), 1);
	return pid;
}

/* Installs into it, and says how long it took until that function had its name. */
static void wait_for_name(pid_t pid, const char *function, double seconds, const char *what)
{
	double installed = now_seconds();

	assert_true(wait_for(pid, function, seconds) > 0);
	print_message("# %s %.1f s after %s was there\n", function, now_seconds() - installed,
		      what);
}

static void names_appear_with_a_debug_file_in_a_container(void **state)
{
	char folder[] = "/tmp/hearth-container-XXXXXX";
	char output[4096];
	FILE *pipe = NULL;

	(void)state;
	need_bpf();
	assert_non_null(mkdtemp(folder));
	if (shell_output(output, sizeof(output), build, folder, plain) != 0)
		fail_msg("%s", output);

	pid_t pid = start_container(folder, &pipe);

	assert_true(wait_for(pid, "prog", 20) > 0);
	assert_true(wait_for(pid, "hidden_work", 3) == 0);
	if (shell_output(output, sizeof(output), install, folder, (int)pid, folder) != 0)
		fail_msg("%s", output);

	wait_for_name(pid, "hidden_work", 35, "the debug file");
	assert_int_equal(kill(pid, SIGTERM), 0);
	(void)pclose(pipe);
	folder_remove(folder);
}

static void inlined_calls_appear_with_what_debug_files_share(void **state)
{
	char folder[] = "/tmp/hearth-container-XXXXXX";
	char output[4096];
	FILE *pipe = NULL;

	(void)state;
	need_bpf();
	if (system("command -v dwz >/dev/null") != 0)
		skip();
	assert_non_null(mkdtemp(folder));
	if (shell_output(output, sizeof(output), build, folder, shared) != 0)
		fail_msg("%s", output);

	pid_t pid = start_container(folder, &pipe);

	if (shell_output(output, sizeof(output), install, folder, (int)pid, folder) != 0)
		fail_msg("%s", output);
	wait_for_name(pid, "hidden_work", 60, "the debug file");
	assert_true(wait_for(pid, "[inlined]", 20) > 0);
	assert_true(wait_for(pid, "inlined_step", 1) == 0);
	if (shell_output(output, sizeof(output), install_shared, (int)pid, folder) != 0)
		fail_msg("%s", output);
	wait_for_name(pid, "inlined_step", 60, "the file of dwz");
	assert_int_equal(kill(pid, SIGTERM), 0);
	(void)pclose(pipe);
	folder_remove(folder);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(names_appear_with_a_debug_file_in_a_container),
		cmocka_unit_test(inlined_calls_appear_with_what_debug_files_share),
	};

	return cmocka_run_group_tests(tests, shared_hearth_start, shared_hearth_stop);
}
