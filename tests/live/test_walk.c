/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whether stacks are walked to their end: programs that know their stack, compiled in many ways,
 * and programs that people run, sampled 499 times a second by the collector's own parts.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/folder.h"
#include "base/parse.h"
#include "base/window.h"
#include "collector/sampler.h"
#include "collector/sideband.h"
#include "tests/support/hearth.h"
#include "tests/support/profiler.h"

enum { FREQUENCY_HZ = 499, CHECK_PERIOD = 5, TARGET_MAX = 40, ARGUMENT_MAX = 8 };

/* A program that runs, and what was seen of it. */
struct target {
	const char *name;
	const char *arguments[ARGUMENT_MAX]; /* after the program */
	/* How often the address that it writes stands in a stack; 0: it writes none. */
	unsigned repeated;
	uint8_t verdict;      /* of most samples */
	bool is_optional;     /* the tools to make it may not be there */
	const char *compiler; /* instead of ${CC:-gcc}: left out where there is none */
	const char *program;

	char path[256];
	pid_t pid;
	int said; /* read end */
	uint64_t announced;
	bool is_missing;
	uint64_t samples, verdicts[VERDICT_COUNT], as_expected;
	uint64_t last_pc[VERDICT_COUNT]; /* of the outermost frame, to find out why */
	/* Those that came before their mappings and tables, which is a matter of how busy the host
	 * is: walked later, if there was room to keep their stack. Counted apart. */
	uint64_t early_samples, early_complete;
};

static struct profiler profiler;
static char reason[COLLECT_ERROR_SIZE];
static char folder[64];
static struct target *running;
static unsigned running_count;

static bool is_of(const struct target *target, const struct event *event)
{
	char comm[EVENT_COMM_SIZE] = "";

	if (event->pid == (uint32_t)target->pid)
		return true;
	/* Its children bear its name. */
	memcpy(comm, target->name, strnlen(target->name, EVENT_COMM_SIZE - 1));
	return target->program == NULL && strcmp(comm, event->comm) == 0;
}

static void on_event(void *context, const struct event *event)
{
	(void)context;
	for (unsigned i = 0; i < running_count; i++) {
		struct target *target = &running[i];
		unsigned repeated = 0;

		if (target->pid <= 0 || !is_of(target, event))
			continue;

		if (event->flags & EVENT_CAME_EARLY) {
			target->early_samples++;
			target->early_complete += event->verdict == VERDICT_COMPLETE;
			return;
		}

		const __u64 *frames = event->frames + event->kernel_frame_count;

		for (unsigned f = 0; f < event->user_frame_count; f++)
			repeated += frames[f] == target->announced;
		target->samples++;
		target->verdicts[event->verdict]++;
		if (event->user_frame_count > 0)
			target->last_pc[event->verdict] = frames[event->user_frame_count - 1];
		/* Where a stack is cut, what is left depends on where it is cut into. */
		target->as_expected +=
			event->verdict == target->verdict &&
			(target->verdict == VERDICT_TRUNCATED ? repeated >= target->repeated
							      : repeated == target->repeated);
		return;
	}
}

static void make_path(struct target *target)
{
	snprintf(target->path, sizeof(target->path), "%s/%s", folder, target->name);
}

static void start(struct target *target)
{
	const char *arguments[ARGUMENT_MAX + 2] = { target->path };
	int ends[2];

	for (unsigned i = 0; i < ARGUMENT_MAX && target->arguments[i]; i++)
		arguments[i + 1] = target->arguments[i];
	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
	target->pid = fork();
	assert_true(target->pid >= 0);
	if (target->pid == 0) {
		int nothing = open("/dev/null", O_RDWR);

		(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
		/* What was built with -pg leaves a file. */
		(void)setenv("GMON_OUT_PREFIX", target->path, 1);
		(void)dup2(nothing, STDIN_FILENO);
		(void)dup2(target->repeated ? ends[1] : nothing, STDOUT_FILENO);
		execvp(target->path, (char *const *)arguments);
		_exit(127);
	}
	close(ends[1]);
	target->said = ends[0];
	(void)fcntl(ends[0], F_SETFL, O_NONBLOCK);
}

static void listen_to(struct target *target)
{
	char text[64];
	ssize_t size = target->announced ? 0 : read(target->said, text, sizeof(text));
	struct str line = { text, size > 0 ? (size_t)size : 0 };
	struct str number;

	if (size > 0 && parse_next(&line, '\n', &number))
		assert_int_equal(parse_hex(number, &target->announced), 0);
}

/* Starts all of them, and samples until the last has ended. */
static void run(struct target *targets, unsigned count, double seconds)
{
	double end = now_seconds() + seconds;
	unsigned alive = 0;

	running = targets;
	running_count = count;
	for (unsigned i = 0; i < count; i++) {
		if (targets[i].is_missing)
			continue;
		start(&targets[i]);
		alive++;
	}
	while (alive > 0) {
		profiler_run(&profiler, 50);
		for (unsigned i = 0; i < count; i++) {
			int status;

			if (targets[i].pid <= 0 || targets[i].said < 0)
				continue;
			listen_to(&targets[i]);
			if (waitpid(targets[i].pid, &status, WNOHANG) != targets[i].pid)
				continue;
			close(targets[i].said);
			targets[i].said = -1;
			alive--;
			if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
				fail_msg("%s ended with status %d", targets[i].name, status);
		}
		if (now_seconds() > end)
			fail_msg("after %g s, %u programs still run", seconds, alive);
	}
	profiler_finish(&profiler);
	running_count = 0;
}

/* What walks as usual find by short cuts, others find without. */
static void expect_no_difference(void)
{
	uint64_t counters[COUNTER_COUNT];

	sampler_counters(profiler.sampler, counters);
	print_message("# walked twice: %llu, with another outcome: %llu\n",
		      (unsigned long long)counters[COUNTER_CHECKED],
		      (unsigned long long)counters[COUNTER_DIFFERENT]);
	assert_true(counters[COUNTER_CHECKED] > 100);
	assert_int_equal(counters[COUNTER_DIFFERENT], 0);
}

static const char *const verdict_names[VERDICT_COUNT] = {
	"complete",
	"truncated",
	"no mapping",
	"no rule",
	"unknown code of a JIT",
	"unsupported rule",
	"read fault",
	"not progressing",
	"no user stack",
	"came early",
};

static void print(const struct target *target, uint64_t good)
{
	char text[512];
	size_t size = 0;

	for (unsigned v = 1; v < VERDICT_COUNT; v++)
		if (target->verdicts[v] && v != target->verdict)
			size += (size_t)snprintf(
				text + size, sizeof(text) - size, ", %llu %s (at %llx)",
				(unsigned long long)target->verdicts[v], verdict_names[v],
				(unsigned long long)target->last_pc[v]);
	text[size] = '\0';
	print_message("# %-14s %5llu samples, %.2f %% %s%s; %llu early, %llu of them complete\n",
		      target->name, (unsigned long long)target->samples,
		      100.0 * (double)good / (double)target->samples,
		      verdict_names[target->verdict], text,
		      (unsigned long long)target->early_samples,
		      (unsigned long long)target->early_complete);
}

/* ---- programs that know their stack ---- */

#define FAST	   "-O2 -fomit-frame-pointer -fno-optimize-sibling-calls "
#define BURN	   "0.6"
#define GO	   "build -ldflags '-s -w' -o %s tests/live/targets/walk/deep.go"
#define RUST	   "-O -C strip=symbols -o %s tests/live/targets/walk/deep.rs"
#define RUST_ABORT "-C panic=abort " RUST

static struct target own[] = {
	{ "w-deep40", { "deep", BURN, "40" }, 39, .program = "" },
	{ "w-deep126", { "deep", BURN, "126" }, 125, .program = "" },
	{ "w-deep256", { "deep", BURN, "256" }, 255, .program = "" },
	/* Beyond the limit; the end is missing, and that is said. */
	{ "w-deep1000",
	  { "deep", BURN, "1000" },
	  500,
	  .program = "",
	  .verdict = VERDICT_TRUNCATED },
	{ "w-signal", { "signal", BURN, "10" }, 4 + 9, .program = "" },
	{ "w-other-stack", { "other-stack", BURN, "10" }, 4 + 9, .program = "" },
	{ "w-timer", { "timer", BURN }, 9, .program = "" },
	{ "w-alloca", { "alloca", BURN, "30" }, 2, .program = "" },
	{ "w-large", { "large", BURN, "20" }, 2, .program = "" },
	{ "w-register", { "register", BURN, "9" }, 8, .program = "" },
	{ "w-plt", { "plt", BURN }, .program = "-fno-builtin -Wl,-z,lazy" },
	{ "w-dlopen", { "dlopen", BURN }, .program = "" },
	{ "w-thread", { "thread", BURN }, 11, .program = "" },
	{ "w-clone", { "clone", BURN }, 7, .program = "" },
	{ "w-vfork", { "vfork", BURN }, 5, .program = "" },
	/* It is long about its mappings where others run, too. */
	{ "w-many", { "many-mappings", "1.8", "10000" }, 19, .program = "" },
	{ "w-short", { "short", "0", "60" }, .program = "" },
	{ "w-static", { "deep", BURN, "40" }, 39, .program = "-static" },
	{ "w-static-pie", { "deep", BURN, "40" }, 39, .program = "-static-pie" },
	{ "w-no-pie", { "deep", BURN, "40" }, 39, .program = "-no-pie" },
	{ "w-stripped", { "deep", BURN, "40" }, 39, .program = "-s" },
	{ "w-no-id", { "deep", BURN, "40" }, 39, .program = "-O3 -Wl,--build-id=none" },
	{ "w-deleted", { "deleted", BURN, "40" }, 39, .program = "" },
	{ "w-profiled", { "deep", BURN, "40" }, 39, .program = "-pg -fno-omit-frame-pointer" },
	{ "w-memory", { "memory", BURN, "40" }, 39, .program = "" },
	{ "w-musl", { "deep", BURN, "40", "1000000" }, 39, .program = "", .compiler = "musl-gcc" },
	{ "w-musl-static",
	  { "deep", BURN, "40", "1000000" },
	  39,
	  .program = "-static",
	  .compiler = "musl-gcc" },
	{ "w-go", { BURN, "40" }, .program = GO, .compiler = "go" },
	{ "w-rust", { BURN, "40" }, .program = RUST, .compiler = "rustc" },
	/* rustc 1.95 makes a main() without a table there, around the program's own, which has one.
	 */
	{ "w-rust-abort",
	  { BURN, "40" },
	  .program = RUST_ABORT,
	  .compiler = "rustc",
	  .verdict = VERDICT_NO_RULE },
	{ "w-with-frame",
	  { "with-frame", BURN },
	  4,
	  .program = "tests/live/targets/walk/no_cfi.S -DWITH_ASSEMBLY" },
	{ "w-no-frame",
	  { "without-frame", BURN },
	  4,
	  .program = "tests/live/targets/walk/no_cfi.S -DWITH_ASSEMBLY",
	  .verdict = VERDICT_NO_RULE },
};

enum { OWN_COUNT = sizeof(own) / sizeof(own[0]) };

/* Toolchains that put themselves elsewhere are looked for there. */
#define WITH_PATHS "PATH=$PATH:/usr/local/go/bin:$HOME/.cargo/bin HOME=${HOME:-/tmp}; "

static bool has_compiler(struct target *target)
{
	char command[256];

	if (!target->compiler)
		return true;
	snprintf(command, sizeof(command), WITH_PATHS "%s %s >/dev/null 2>&1", target->compiler,
		 strcmp(target->compiler, "go") == 0 ? "version" : "--version");
	target->is_missing = system(command) != 0;
	if (target->is_missing)
		print_message("# %s is left out: there is no %s\n", target->name, target->compiler);
	return !target->is_missing;
}

static void compile(struct target *target)
{
	char command[1024], arguments[512];
	const char *flags = target->program;

	make_path(target);
	if (!has_compiler(target))
		return;
	if (strstr(flags, "-o %s")) {
		/* Another language: the whole of its compiler's arguments. */
		snprintf(arguments, sizeof(arguments), "%s", flags);
		snprintf(command, sizeof(command), WITH_PATHS "%s %.*s%s%s 2>/dev/null",
			 target->compiler, (int)(strstr(flags, "%s") - flags), arguments,
			 target->path, strstr(flags, "%s") + 2);
	} else {
		snprintf(command, sizeof(command),
			 "%s -std=gnu17 " FAST
			 "%s tests/live/targets/walk/stacks.c -o %s -ldl -pthread 2>/dev/null",
			 target->compiler ? target->compiler : "${CC:-gcc}", flags, target->path);
	}
	for (const struct target *t = own; t < target; t++)
		if (!target->compiler && !t->compiler && strcmp(t->program, flags) == 0)
			snprintf(command, sizeof(command), "cp %s %s", t->path, target->path);
	if (system(command) != 0)
		fail_msg("cannot make %s: %s", target->name, command);
}

static void reaches_the_start_of_programs_that_know_their_stack(void **state)
{
	uint64_t good = 0, all = 0;
	unsigned bad = 0;
	(void)state;
	run(own, OWN_COUNT, 120);
	for (unsigned i = 0; i < OWN_COUNT; i++) {
		struct target *target = &own[i];

		if (target->is_missing)
			continue;

		/* Before and after the stack is made there are others. */
		uint64_t ended = target->verdicts[VERDICT_COMPLETE] +
				 target->verdicts[VERDICT_NO_USER_STACK] +
				 (target->verdict ? target->verdicts[target->verdict] : 0);

		print(target, ended);
		good += ended;
		all += target->samples;
		assert_true(target->samples > 50);
		if (target->repeated && target->as_expected < target->samples * 80 / 100) {
			print_message("# %s: %llu of %llu stacks are as they should be\n",
				      target->name, (unsigned long long)target->as_expected,
				      (unsigned long long)target->samples);
			bad++;
		}
	}
	print_message("# all of them: %.3f %% of %llu\n", 100.0 * (double)good / (double)all,
		      (unsigned long long)all);
	assert_int_equal(bad, 0);
	expect_no_difference();
	assert_true((double)good >= 0.999 * (double)all);
}

/* ---- programs that people run ---- */

static struct target real[] = {
	{ "python3",
	  { "-c", "import json\nd={str(i):[i]*5 for i in range(2000)}\nfor _ in range(160): "
		  "json.loads(json.dumps(d)); sorted(d, key=lambda k: k[::-1])" },
	  .program = "python3" },
	{ "perl",
	  { "-e", "my %h; for my $i (1..3000000) { $h{$i % 5000} .= \"x$i\" if \"a$i\" =~ "
		  "/a(\\d+)7/; }" },
	  .program = "perl" },
	{ "bash",
	  { "-c", "i=0; while [ $i -lt 250000 ]; do i=$((i+1)); x=${x:0:9}$i; done" },
	  .program = "bash" },
	{ "sqlite3",
	  { ":memory:", "with recursive c(x) as (select 1 union all select x+1 from c where "
			"x<2500000) select count(*), sum(length(hex(x*7919))) from c" },
	  .program = "sqlite3",
	  .is_optional = true },
	{ "node",
	  { "-e", "let a=[];for(let r=0;r<10;r++){a=[];for(let "
		  "i=0;i<200000;i++)a.push({k:i,v:'x'+i});a.sort((p,q)=>p.v<q.v?-1:1);JSON.parse("
		  "JSON.stringify(a))}" },
	  .program = "node",
	  .is_optional = true },
	{ "cc1", { "-quiet", "-O2", "-o", "/dev/null", "big.c" }, .program = "cc1" },
};

enum { REAL_COUNT = sizeof(real) / sizeof(real[0]) };

static void find_program(struct target *target)
{
	char command[512], line[256] = "";
	FILE *answer;

	if (strcmp(target->program, "cc1") == 0)
		snprintf(command, sizeof(command), "gcc -print-prog-name=cc1");
	else if (strcmp(target->program, "python3") == 0)
		snprintf(command, sizeof(command),
			 "python3 -c 'import sys; print(sys.executable)'");
	else
		snprintf(command, sizeof(command), "command -v %s", target->program);
	answer = popen(command, "re");
	assert_non_null(answer);
	if (!fgets(line, sizeof(line), answer))
		line[0] = '\0';
	(void)pclose(answer);
	line[strcspn(line, "\n")] = '\0';
	target->is_missing = line[0] == '\0';
	if (target->is_missing && !target->is_optional)
		fail_msg("there is no %s", target->program);
	snprintf(target->path, sizeof(target->path), "%s", line);
}

/* Something for a compiler to do. */
static void write_source(const char *path)
{
	FILE *file = fopen(path, "we");

	assert_non_null(file);
	for (int i = 0; i < 100; i++)
		(void)fprintf(
			file,
			"int f%d(int a, int b) { int s = 0; for (int i = a; i < b; i++) { s += i "
			"* %d ^ (s >> 3); if (s & 1) s -= f%d(b - 1, a); } return s; }\n",
			i, i, i ? i - 1 : 0);
	(void)fclose(file);
}

static void reaches_the_start_of_programs_that_people_run(void **state)
{
	static char source[128];
	unsigned bad = 0;

	(void)state;
	snprintf(source, sizeof(source), "%s/big.c", folder);
	write_source(source);
	real[REAL_COUNT - 1].arguments[4] = source;
	for (unsigned i = 0; i < REAL_COUNT; i++)
		find_program(&real[i]);
	run(real, REAL_COUNT, 120);
	for (unsigned i = 0; i < REAL_COUNT; i++) {
		struct target *target = &real[i];
		uint64_t complete = target->verdicts[VERDICT_COMPLETE] +
				    target->verdicts[VERDICT_NO_USER_STACK];

		if (target->is_missing)
			continue;
		print(target, complete);
		assert_true(target->samples > 30);
		bad += (double)complete < 0.995 * (double)target->samples;
	}
	assert_int_equal(bad, 0);
	expect_no_difference();
}

/* Skips the test without rights. */
static bool has_rights(void)
{
	const char *required = getenv("HEARTH_REQUIRE_BPF");

	if (collect_probe(reason) == 0)
		return true;
	print_message("skipped: no rights for BPF: %s\n", reason);
	if (!required || strcmp(required, "1") != 0)
		skip();
	return false;
}

static int start_profiler(void)
{
	struct profiler_options options = { .frequency_hz = FREQUENCY_HZ,
					    .handler = on_event,
					    .check_period = CHECK_PERIOD };

	if (!profiler_start(&profiler, &options, reason))
		return -1;
	/* A host that is new to us: the tables of what runs already are made first. */
	profiler_run(&profiler, 3000);
	return 0;
}

static int make_folder(void)
{
	snprintf(folder, sizeof(folder), "/tmp/hearth-walk-XXXXXX");
	return mkdtemp(folder) ? 0 : -1;
}

/* Compilers first: nobody takes samples from the ring while they run. */
static int set_up_own(void **state)
{
	(void)state;
	if (!has_rights() || make_folder())
		return -1;
	for (unsigned i = 0; i < OWN_COUNT; i++)
		compile(&own[i]);
	for (unsigned i = 0; i < OWN_COUNT; i++)
		own[i].program = NULL;
	return start_profiler();
}

static int set_up(void **state)
{
	(void)state;
	return !has_rights() || make_folder() ? -1 : start_profiler();
}

static int tear_down(void **state)
{
	struct unwinder_stats stats;
	uint64_t counters[COUNTER_COUNT] = { 0 };

	(void)state;
	if (profiler.unwinder) {
		unwinder_stats(profiler.unwinder, &stats);
		sampler_counters(profiler.sampler, counters);
		print_message(
			"# tables: %llu, %.1f MB, %llu rules; %llu processes; late %llu, expired "
			"%llu, crowded %llu; stacks carried %llu, left out %llu; records lost "
			"%llu; evicted %llu, no room %llu, refused %llu\n",
			(unsigned long long)stats.files.tables,
			(double)stats.files.rows_size * 1e-6, (unsigned long long)stats.files.rules,
			(unsigned long long)stats.spaces.processes,
			(unsigned long long)stats.late.walked,
			(unsigned long long)stats.late.expired,
			(unsigned long long)stats.late.crowded,
			(unsigned long long)counters[COUNTER_RAW],
			(unsigned long long)counters[COUNTER_RAW_LEFT_OUT],
			(unsigned long long)sideband_lost(profiler.sideband),
			(unsigned long long)stats.files.evicted,
			(unsigned long long)stats.files.no_room,
			(unsigned long long)stats.files.refused);
	}
	profiler_stop(&profiler);
	if (folder[0])
		folder_remove(folder);
	return 0;
}

int main(void)
{
#define TEST(name, set_up) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		TEST(reaches_the_start_of_programs_that_know_their_stack, set_up_own),
		TEST(reaches_the_start_of_programs_that_people_run, set_up),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
