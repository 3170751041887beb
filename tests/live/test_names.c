/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Functions of several languages, sampled while they run: what their compilers put in place of
 * calls are frames of their own, by the names of the source. And a BPF program.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <linux/bpf.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/folder.h"
#include "tests/support/hearth.h"

static json_t *flame_of(pid_t pid, const char *from)
{
	return hearth_get(&shared_hearth,
			  "/api/v1/flame?from=now-%s&nodes=50000&query=%%7Bpid%%3D%%22%d%%22%%7D",
			  from, (int)pid);
}

static double share(json_t *flame, const char *function)
{
	double total = json_number_value(json_object_get(flame, "total"));

	return total > 0 ? flame_total(flame, function) / total : 0;
}

/* Its greatest share until that is enough or time is over. Lines are read when somebody looks. */
static double wait_for_share(pid_t pid, const char *from, const char *function, double enough)
{
	double end = now_seconds() + 30;
	double found = 0;

	while (found < enough && now_seconds() < end) {
		json_t *flame = flame_of(pid, from);

		found = share(flame, function);
		json_decref(flame);
		sleep_seconds(0.5);
	}
	return found;
}

/* ---- programs ---- */

struct program {
	const char *compiler;
	const char *build; /* in a folder of its own: makes "prog" */
	/* That call each other, the innermost last; the last ones are inlined. */
	const char *functions[3];
};

static const struct program programs[] = {
	{ "g++",
	  "cat > prog.cc <<'END'\n"
	  "#include <unistd.h>\n"
	  "static volatile unsigned long sink;\n"
	  "template <class T> struct Mixer { T value; T mix(T x) { return (x << 7 ^ x) + value; } "
	  "};\n"
	  "template <class T> static inline T spin(T x) {\n"
	  "  Mixer<T> m{3}; for (int i = 0; i < 100000; i++) x = m.mix(x); return x; }\n"
	  "__attribute__((noinline)) void work() { sink = spin<unsigned long>(sink); }\n"
	  "int main() { for (alarm(100);;) work(); }\n"
	  "END\n"
	  "g++ -O2 -g -Wl,--build-id prog.cc -o prog\n",
	  { "work()", "spin<long unsigned int>", "Mixer<unsigned long>::mix(unsigned long)" } },
	{ "rustc",
	  "cat > prog.rs <<'END'\n"
	  "use std::hint::black_box;\n"
	  "trait Step { fn step(self) -> Self; }\n"
	  "impl Step for u64 { #[inline(always)] fn step(self) -> u64 { (self << 7 ^ self)"
	  ".wrapping_add(3) } }\n"
	  "#[inline(always)] fn spin<T: Step>(mut x: T) -> T { for _ in 0..100000 { x = x.step(); "
	  "} "
	  "x }\n"
	  "#[inline(never)] fn work(x: u64) -> u64 { spin(black_box(x)) }\n"
	  "fn main() { let mut x = 1; loop { x = work(black_box(x)); } }\n"
	  "END\n"
	  "rustc -O -g prog.rs -o prog 2>/dev/null\n",
	  { "prog::work", "prog::spin", "<u64 as prog::Step>::step" } },
	{ "go",
	  "cat > prog.go <<'END'\n"
	  "package main\n"
	  "var sink uint64\n"
	  "func step(x uint64) uint64 { return (x<<7 ^ x) + 3 }\n"
	  "func twice(x uint64) uint64 { return step(step(x)) }\n"
	  "//go:noinline\n"
	  "func work(x uint64) uint64 { for i := 0; i < 100000; i++ { x = twice(x) }; return x }\n"
	  "func main() { for { sink = work(sink) } }\n"
	  "END\n"
	  "export GOCACHE=$PWD/cache GOFLAGS=-mod=mod GO111MODULE=off\n"
	  "go build -ldflags '-s -w' -o prog prog.go && rm -rf cache\n",
	  { "main.work", "main.twice", "main.step" } },
};

static pid_t run_program(const char *folder)
{
	char path[128];
	pid_t pid;

	snprintf(path, sizeof(path), "%s/prog", folder);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		execl(path, path, (char *)NULL);
		_exit(EXIT_FAILURE);
	}
	return pid;
}

static void end_program(pid_t pid)
{
	assert_int_equal(kill(pid, SIGKILL), 0);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
}

static void try_program(const struct program *program)
{
	char folder[] = "/tmp/hearth-names-XXXXXX";
	char output[4096];

	if (shell_output(output, sizeof(output), "command -v %s", program->compiler) != 0) {
		print_message("# there is no %s here\n", program->compiler);
		return;
	}
	assert_non_null(mkdtemp(folder));
	if (shell_output(output, sizeof(output), "set -eu; cd %s\n%s", folder, program->build) != 0)
		fail_msg("%s", output);

	pid_t pid = run_program(folder);

	/* Of what is inlined a part is taken for the loop around it, as debug information has it.
	 */
	static const double least[] = { 0.9, 0.6, 0.3 };

	for (unsigned i = 0; i < 3; i++) {
		double found = wait_for_share(pid, "5m", program->functions[i], least[i]);

		print_message("# %s: %.1f %% in %s\n", program->compiler, 100 * found,
			      program->functions[i]);
		assert_true(found >= (least[i]));
	}

	json_t *flame = flame_of(pid, "5m");

	assert_true(flame_has_below(flame, program->functions[1], -1, program->functions[0]));
	assert_true(flame_has_below(flame, program->functions[2], -1, program->functions[1]));
	json_decref(flame);
	end_program(pid);
	folder_remove(folder);
}

static void inlined_calls_are_frames(void **state)
{
	(void)state;
	need_bpf();
	for (size_t i = 0; i < sizeof(programs) / sizeof(programs[0]); i++)
		try_program(&programs[i]);
}

/* ---- a BPF program ---- */

enum { STEP_COUNT = 4000 };

static long bpf(int command, union bpf_attr *attr)
{
	return syscall(SYS_bpf, command, attr, sizeof(*attr));
}

/* Adds numbers, a long time for one. Never returns. */
static void run_bpf(void)
{
	static struct bpf_insn code[STEP_COUNT + 2];
	static const char license[] = "GPL";
	uint8_t packet[64] = { 0 };
	union bpf_attr load = { .prog_type = BPF_PROG_TYPE_SOCKET_FILTER,
				.insns = (uint64_t)(uintptr_t)code,
				.insn_cnt = STEP_COUNT + 2,
				.license = (uint64_t)(uintptr_t)license,
				.prog_name = "hearth_adds" };

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	code[0] = (struct bpf_insn){ .code = BPF_ALU64 | BPF_MOV | BPF_K, .imm = 1 };
	for (int i = 1; i <= STEP_COUNT; i++)
		code[i] = (struct bpf_insn){ .code = BPF_ALU64 | BPF_MUL | BPF_K, .imm = 3 + i };
	code[STEP_COUNT + 1] = (struct bpf_insn){ .code = BPF_JMP | BPF_EXIT };

	long fd = bpf(BPF_PROG_LOAD, &load);

	while (fd >= 0) {
		union bpf_attr test = { .test = { .prog_fd = (uint32_t)fd,
						  .data_in = (uint64_t)(uintptr_t)packet,
						  .data_size_in = sizeof(packet),
						  .repeat = 20000 } };

		if (bpf(BPF_PROG_TEST_RUN, &test))
			break;
	}
	_exit(EXIT_FAILURE);
}

/* "bpf_prog_<its tag>_hearth_adds", as the kernel has it. */
static bool find_bpf_name(char *name, size_t size)
{
	return shell_output(name, size,
			    "awk '$3 ~ /^bpf_prog_.*_hearth_adds$/ { printf \"%%s\", $3; exit }' "
			    "/proc/kallsyms") == 0 &&
	       name[0];
}

static void a_bpf_program_has_its_name(void **state)
{
	char name[128] = "";
	pid_t pid;

	(void)state;
	need_bpf();
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0)
		run_bpf();
	for (int i = 0; i < 50 && !find_bpf_name(name, sizeof(name)); i++)
		sleep_seconds(0.1);
	assert_int_equal(waitpid(pid, NULL, WNOHANG), 0);
	if (!name[0]) {
		end_program(pid);
		print_message("# BPF programs are not compiled here\n");
		skip();
	}

	/* The kernel's list is taken again every ten seconds. */
	double found = wait_for_share(pid, "5s", name, 0.5);

	print_message("# %.1f %% in %s\n", 100 * found, name);
	assert_true(found >= 0.5);
	end_program(pid);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(inlined_calls_are_frames),
		cmocka_unit_test(a_bpf_program_has_its_name),
	};

	return cmocka_run_group_tests(tests, shared_hearth_start, shared_hearth_stop);
}
