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
#include "tests/support/hearth.h"

static struct hearth hearth;

/* No library of the host's is there: static, and without any name. */
static const char build[] =
	"set -eu; cd %s\n"
	"cat > prog.c <<'END'\n"
	"#include <unistd.h>\n"
	"static volatile unsigned sink;\n"
	"__attribute__((noinline)) static void hidden_work(void)\n"
	"{ for (unsigned i = 0; i < 1000000; i++) sink += i; }\n"
	"int main(void) { for (alarm(100);;) hidden_work(); }\n"
	"END\n"
	"cc -O1 -g -static-pie -fno-omit-frame-pointer -Wl,--build-id prog.c -o prog\n"
	"objcopy --only-keep-debug prog prog.debug && strip prog && mkdir root\n"
	"readelf -n prog | awk '/Build ID/ { print $3 }' > id\n";

/* Says its pid, which stays the same. */
static const char run[] = "cd %s && exec unshare -m sh -c 'mount -t tmpfs tmpfs root && cp prog "
			  "root && echo $$ && exec chroot root /prog'";

static const char install[] =
	"cd %s && id=$(cat id) && cd /proc/%d/root && "
	"d=usr/lib/debug/.build-id/$(echo $id | cut -c1-2) && mkdir -p $d && "
	"cp %s/prog.debug $d/new && mv $d/new $d/$(echo $id | cut -c3-).debug";

static int start(void **state)
{
	static const char *const options[] = { "--frequency", "499", "--window", "1s", NULL };

	(void)state;
	hearth_start(&hearth, "run", options);
	return 0;
}

static int stop(void **state)
{
	(void)state;
	return hearth_stop(&hearth) == 0 ? 0 : -1;
}

/* Asks what the process did until that function has a value, or time is over. */
static double wait_for(pid_t pid, const char *function, double seconds)
{
	double end = now_seconds() + seconds;

	while (true) {
		json_t *flame = hearth_get(
			&hearth, "/api/v1/flame?from=now-5m&query=%%7Bpid%%3D%%22%d%%22%%7D",
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

static void names_appear_with_a_debug_file_in_a_container(void **state)
{
	char folder[] = "/tmp/hearth-container-XXXXXX";
	char output[4096];
	FILE *pipe = NULL;

	(void)state;
	need_bpf();
	assert_non_null(mkdtemp(folder));
	if (shell_output(output, sizeof(output), build, folder) != 0)
		fail_msg("%s", output);

	pid_t pid = start_container(folder, &pipe);

	assert_true(wait_for(pid, "prog", 20) > 0);
	assert_true(wait_for(pid, "hidden_work", 3) == 0);
	if (shell_output(output, sizeof(output), install, folder, (int)pid, folder) != 0)
		fail_msg("%s", output);

	double installed = now_seconds();

	assert_true(wait_for(pid, "hidden_work", 35) > 0);
	print_message("# names %.1f s after the debug file was there\n", now_seconds() - installed);
	assert_int_equal(kill(pid, SIGTERM), 0);
	(void)pclose(pipe);
	remove_folder(folder);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(names_appear_with_a_debug_file_in_a_container),
	};

	return cmocka_run_group_tests(tests, start, stop);
}
