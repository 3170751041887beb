/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Samples of a process of which the collector has not told yet are walked in the kernel where its
 * files are known, and carry their stacks where they are not. The collector's part stands still
 * meanwhile, so that it tells of none.
 */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/folder.h"
#include "base/verdict.h"
#include "collector/sampler.h"
#include "tests/support/hearth.h"
#include "tests/support/profiler.h"

enum { PROCESS_COUNT = 20, DEPTH = 30, FREQUENCY_HZ = 997, ATTEMPT_COUNT_MAX = 20 };

static char folder[64], copies[80], program[96];

/* In front of main(): so many mappings that the kernel's tree of them gets high. */
static const char many_pieces[] =
	"#include <sys/mman.h>\n"
	"__attribute__((constructor)) static void cut(void)\n"
	"{ char *m = mmap(0, 4096 * 10000, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);\n"
	"for (long i = 0; i < 10000; i += 2) mprotect(m + 4096 * i, 4096, PROT_NONE); }\n";

/* Of those that run now: samples at the end of the program's stack. */
static struct {
	pid_t first, last;
	unsigned deep, came_early, complete;
} seen;

static void look(void *context, const struct event *event)
{
	(void)context;
	if ((pid_t)event->pid < seen.first || (pid_t)event->pid > seen.last ||
	    event->user_frame_count < DEPTH ||
	    (strncmp(event->comm, "stacks", sizeof(event->comm)) != 0 &&
	     strncmp(event->comm, "parent", sizeof(event->comm)) != 0))
		return;
	seen.deep++;
	seen.came_early += (event->flags & EVENT_CAME_EARLY) != 0;
	seen.complete += event->verdict == VERDICT_COMPLETE;
}

/* Of those that run from now on. */
static void see_none(pid_t first, pid_t last)
{
	seen.deep = seen.came_early = seen.complete = 0;
	seen.first = first;
	seen.last = last;
}

/* A command of the shell, with $P for the program. */
static void run_command(const char *command)
{
	assert_int_equal(setenv("P", program, 1), 0);
	assert_int_equal(system(command), 0);
}

static pid_t run_once(const char *seconds)
{
	char depth[8];
	int status;
	pid_t pid;

	snprintf(depth, sizeof(depth), "%d", DEPTH);
	pid = fork();
	if (pid == 0) {
		if (freopen("/dev/null", "w", stdout))
			execl(program, program, "deep", seconds, depth, (char *)NULL);
		_exit(127);
	}
	assert_true(pid > 0);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	return pid;
}

/* They burn for 20 ms each and end at once; before each one the shell does this. */
static void run_many(struct profiler *profiler, const char *before)
{
	see_none(0, INT32_MAX);
	for (unsigned i = 0; i < PROCESS_COUNT; i++) {
		if (before)
			run_command(before);
		seen.last = run_once("0.02");
		if (i == 0)
			seen.first = seen.last;
	}
	assert_true(seen.first < seen.last);
	profiler_run(profiler, 500);
	profiler_finish(profiler);
	print_message("# %u samples at the end of the stack, %u complete, %u came early\n",
		      seen.deep, seen.complete, seen.came_early);
	assert_true(seen.deep > PROCESS_COUNT * 5);
}

static void make_folder(void)
{
	struct utsname kernel;
	int major = 0, minor = 0;

	need_bpf();
	assert_int_equal(uname(&kernel), 0);
	assert_int_equal(sscanf(kernel.release, "%d.%d", &major, &minor), 2);
	if (major < 6 || (major == 6 && minor < 11)) {
		print_message("skipped: kernel %s\n", kernel.release);
		skip();
	}
	snprintf(folder, sizeof(folder), "/tmp/hearth-first-XXXXXX");
	assert_non_null(mkdtemp(folder));
	snprintf(program, sizeof(program), "%s/stacks", folder);
	snprintf(copies, sizeof(copies), "%s/copies", folder);
}

static void start(struct profiler *profiler)
{
	struct profiler_options options = { .frequency_hz = FREQUENCY_HZ, .handler = look };
	char reason[COLLECT_ERROR_SIZE] = "";

	if (!profiler_start(profiler, &options, reason))
		fail_msg("%s", reason);
}

/* Samples of what this runs ask for the tables of its files: until they have come, which takes
 * longer where others want the processors as well. */
static void ask_for_tables(struct profiler *profiler, const char *command)
{
	for (unsigned i = 0; i < ATTEMPT_COUNT_MAX; i++) {
		see_none(0, INT32_MAX);
		run_command(command);
		profiler_run(profiler, 1500);
		if (seen.deep > 0 && seen.came_early <= seen.deep / 20)
			return;
	}
}

static void set_up(struct profiler *profiler, const char *more_source)
{
	make_folder();
	assert_int_equal(setenv("MORE", more_source, 1), 0);
	run_command("printf '%s' \"$MORE\" | ${CC:-gcc} -std=gnu17 -O2 -fomit-frame-pointer "
		    "-fno-optimize-sibling-calls tests/live/targets/walk/stacks.c -x c - "
		    "-o \"$P\" -ldl -pthread");
	start(profiler);
	ask_for_tables(profiler, "\"$P\" deep 0.2 30 >/dev/null");
}

static void tear_down(struct profiler *profiler)
{
	profiler_stop(profiler);
	folder_remove(folder);
}

static void assert_walked_in_the_kernel(struct profiler *profiler)
{
	uint64_t counters[COUNTER_COUNT];

	run_many(profiler, NULL);
	assert_true(seen.complete >= seen.deep - seen.deep / 50);
	assert_true(seen.came_early <= seen.deep / 20);
	sampler_counters(profiler->sampler, counters);
	assert_true(counters[COUNTER_BY_KERNEL] >= seen.deep - seen.deep / 20);
}

static void known_files_are_found_without_the_collector(void **state)
{
	struct profiler profiler;

	(void)state;
	set_up(&profiler, "");
	assert_walked_in_the_kernel(&profiler);

	/* Each time another file by the same name, with the same contents. */
	run_many(&profiler, "cp \"$P\" \"$P.new\" && mv \"$P.new\" \"$P\"");
	assert_true(seen.came_early >= seen.deep - seen.deep / 20);
	tear_down(&profiler);
}

/* As on a host and in its containers: two files with one build id, and a C library of their own. */
static void copies_are_found_as_well(void **state)
{
	struct profiler profiler;

	(void)state;
	set_up(&profiler, "");
	run_command("C=\"${P%/*}/copies\"; mkdir \"$C\" && cp \"$P\" \"$C\" && "
		    "cp $(ldd \"$P\" | grep -o '/[^ ]*/libc\\.so[^ ]*') \"$C\"");
	assert_int_equal(setenv("LD_LIBRARY_PATH", copies, 1), 0);
	snprintf(program, sizeof(program), "%s/stacks", copies);
	ask_for_tables(&profiler, "\"$P\" deep 0.2 30 >/dev/null");
	assert_walked_in_the_kernel(&profiler);
	/* The first ones still are. */
	assert_int_equal(unsetenv("LD_LIBRARY_PATH"), 0);
	snprintf(program, sizeof(program), "%s/stacks", folder);
	assert_walked_in_the_kernel(&profiler);
	tear_down(&profiler);
}

static void they_are_found_among_ten_thousand_mappings(void **state)
{
	struct profiler profiler;

	(void)state;
	set_up(&profiler, many_pieces);
	assert_walked_in_the_kernel(&profiler);
	tear_down(&profiler);
}

/*
 * The same functions at the same addresses in two programs, with frames of another size in each.
 * Burns in the C library at the end of 30 of them; or runs another program in a child that first
 * tells its number and waits to be sent on its way.
 */
static const char at_the_same_addresses[] =
	"#define _GNU_SOURCE\n"
	"#include <signal.h>\n#include <string.h>\n#include <time.h>\n"
	"#include <sys/wait.h>\n#include <unistd.h>\n"
	"static char bytes[1 << 20];\n"
	"static void burn(void)\n"
	"{ clock_t end = clock() + CLOCKS_PER_SEC / 20;\n"
	"while (clock() < end) for (int i = 0; i < 20; i++) memset(bytes, i, sizeof(bytes)); }\n"
	"__attribute__((noinline)) static int deeper(int depth)\n"
	"{ char pad[PAD]; __asm__ volatile(\"\" : : \"r\"(pad) : \"memory\");\n"
	"if (depth == 0) burn();\n"
	"return depth == 0 ? 0 : deeper(depth - 1) + pad[1]; }\n"
	"int main(int count, char **arguments)\n"
	"{ if (count < 2) return deeper(30) == -1000000;\n"
	"pid_t pid = fork();\n"
	"if (pid == 0) { pid = getpid(); if (write(1, &pid, sizeof(pid)) > 0) raise(SIGSTOP);\n"
	"execl(arguments[1], arguments[1], (char *)0); _exit(1); }\n"
	"return waitpid(pid, 0, 0) != pid; }\n";

/* The number of the child that waits. */
static pid_t start_parent(pid_t *ret_parent)
{
	char path[sizeof(folder) + 8];
	int numbers[2];
	pid_t pid, child = 0;

	snprintf(path, sizeof(path), "%s/parent", folder);
	assert_int_equal(pipe(numbers), 0);
	pid = fork();
	if (pid == 0) {
		if (dup2(numbers[1], STDOUT_FILENO) >= 0)
			execl(path, path, program, (char *)NULL);
		_exit(127);
	}
	assert_true(pid > 0);
	close(numbers[1]);
	assert_int_equal(read(numbers[0], &child, sizeof(child)), sizeof(child));
	close(numbers[0]);
	*ret_parent = pid;
	return child;
}

/*
 * The collector knows the child for one that runs what its parent runs, and by the time of the
 * first samples it runs something else.
 */
static void nothing_is_taken_from_the_program_before(void **state)
{
	uint64_t before[COUNTER_COUNT], after[COUNTER_COUNT];
	struct profiler profiler;
	int status;
	pid_t parent;

	(void)state;
	make_folder();
	assert_int_equal(setenv("SOURCE", at_the_same_addresses, 1), 0);
	run_command(
		"for pad in 300:parent 600:stacks; do printf '%s' \"$SOURCE\" | ${CC:-gcc} "
		"-std=gnu17 -O2 -fomit-frame-pointer -fno-optimize-sibling-calls -no-pie -fno-pie "
		"-DPAD=${pad%:*} -x c - -o \"${P%/*}/${pad#*:}\"; done");
	start(&profiler);
	/* Asks for the tables of all: the parent's are those of whoever burns in it. */
	for (unsigned i = 0; i < 10; i++)
		run_command("\"$P\"; \"${P%/*}/parent\"");
	ask_for_tables(&profiler, "\"$P\"; \"${P%/*}/parent\"");

	pid_t child = start_parent(&parent);

	see_none(child, child);
	profiler_run(&profiler, 500);
	sampler_counters(profiler.sampler, before);
	assert_int_equal(kill(child, SIGCONT), 0);
	assert_int_equal(waitpid(parent, &status, 0), parent);
	assert_int_equal(status, 0);
	profiler_run(&profiler, 500);
	profiler_finish(&profiler);
	sampler_counters(profiler.sampler, after);
	print_message("# %u samples at the end of the stack, %u complete, %u came early\n",
		      seen.deep, seen.complete, seen.came_early);
	assert_true(seen.deep > 20);
	assert_true(seen.complete >= seen.deep - seen.deep / 10);
	assert_true(after[COUNTER_BY_KERNEL] - before[COUNTER_BY_KERNEL] >=
		    seen.deep - seen.deep / 10);
	tear_down(&profiler);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(known_files_are_found_without_the_collector),
		cmocka_unit_test(copies_are_found_as_well),
		cmocka_unit_test(they_are_found_among_ten_thousand_mappings),
		cmocka_unit_test(nothing_is_taken_from_the_program_before),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
