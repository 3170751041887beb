/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The collector's parts put together in this process, from ticks of the real kernel to a window.
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
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/parse.h"
#include "collector/aggregator.h"
#include "collector/collect.h"
#include "collector/cpus.h"
#include "collector/processes.h"
#include "collector/sampler.h"
#include "collector/sideband.h"
#include "collector/unwinder.h"

enum { FREQUENCY_HZ = 997, TICK_MS = 100 };

struct parts {
	struct sampler *sampler;
	struct sideband *sideband;
	struct processes *processes;
	struct aggregator *aggregator;
	struct unwinder *unwinder;
	uint64_t start_boot_ns;
};

static void on_walked(void *context, const struct event *event)
{
	aggregator_add(((struct parts *)context)->aggregator, event);
}

static void on_event(void *context, const struct event *event)
{
	struct parts *parts = context;

	if (event->raw_stack_size > 0)
		unwinder_add(parts->unwinder, event, clock_boot_ns());
	else
		on_walked(parts, event);
}

/* Nobody is there to make tables: frame pointers it is. */
static int on_ask(void *context, uint32_t number, const struct identity *identity, int fd)
{
	(void)context;
	(void)number;
	(void)identity;
	return fd < 0 ? -EBADF : -ENODATA;
}

static void on_record(void *context, const struct sideband_record *record)
{
	processes_note(((struct parts *)context)->processes, record);
}

static int set_up(void **state)
{
	struct parts *parts = calloc(1, sizeof(*parts));
	char reason[COLLECT_ERROR_SIZE] = "";
	uint32_t cpus[CPU_COUNT_MAX], cpu_count;

	*state = parts;
	if (collect_probe(reason))
		return 0; /* each test skips, with the reason, or fails */
	if (sampler_load(&(struct sampler_options){ .handler = on_event, .context = parts },
			 &parts->sampler, reason) ||
	    unwinder_new(&(struct unwinder_options){ .sampler = parts->sampler,
						     .size_max = 4 << 20,
						     .ask = on_ask,
						     .done = on_walked,
						     .context = parts },
			 &parts->unwinder) ||
	    processes_new(unwinder_spaces(parts->unwinder), &parts->processes) ||
	    unwinder_follow(parts->unwinder, parts->processes) ||
	    aggregator_new(parts->processes, &parts->aggregator) || cpus_online(cpus, &cpu_count) ||
	    sideband_open(cpus, cpu_count, on_record, parts, &parts->sideband) ||
	    sampler_attach(parts->sampler, FREQUENCY_HZ, cpus, cpu_count, reason)) {
		print_error("%s\n", reason);
		return -1;
	}
	parts->start_boot_ns = clock_boot_ns();
	unwinder_connected(parts->unwinder);
	return 0;
}

static int tear_down(void **state)
{
	struct parts *parts = *state;

	sideband_close(parts->sideband);
	aggregator_free(parts->aggregator);
	processes_free(parts->processes);
	unwinder_free(parts->unwinder);
	sampler_free(parts->sampler);
	free(parts);
	return 0;
}

static void need_bpf(const struct parts *parts)
{
	const char *required = getenv("HEARTH_REQUIRE_BPF");
	char reason[COLLECT_ERROR_SIZE] = "";

	if (parts->sampler)
		return;
	(void)collect_probe(reason);
	if (required && strcmp(required, "1") == 0)
		fail_msg("BPF is required here, but: %s", reason);
	print_message("skipped: %s\n", reason);
	skip();
}

static void drain(struct parts *parts)
{
	assert_true(sampler_drain(parts->sampler) >= 0);
	sideband_drain(parts->sideband);
	aggregator_meet_processes(parts->aggregator);
	unwinder_tick(parts->unwinder, clock_boot_ns());
	unwinder_update(parts->unwinder, clock_boot_ns());
}

static void wait_ms(unsigned ms)
{
	struct timespec left = { .tv_sec = ms / 1000, .tv_nsec = (long)(ms % 1000) * 1000000 };

	while (nanosleep(&left, &left))
		;
}

/* Drains as the collector does until the child has ended, then hands the window out. */
static struct window *follow(struct parts *parts, pid_t child)
{
	int status = 0;

	while (waitpid(child, &status, WNOHANG) == 0) {
		drain(parts);
		wait_ms(TICK_MS);
	}
	drain(parts);
	unwinder_finish(parts->unwinder, clock_boot_ns());
	assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
	return aggregator_window(parts->aggregator, parts->start_boot_ns, clock_boot_ns());
}

/* ---- what is profiled: children of this test ---- */

/* Each alone in its 128 bytes, so that addresses tell them apart. */
#define NOT_MOVED __attribute__((noinline, aligned(128)))

static volatile uint64_t work_done;

NOT_MOVED static void work(uint64_t rounds)
{
	/* Compilers leave a leaf's frame out, whatever they are told; its caller is then lost. */
	__asm__ volatile("" : : "r"(__builtin_frame_address(0)));
	for (uint64_t i = 0; i < rounds; i++)
		work_done = work_done * 31 + i;
}

/* The same loop twice, so that time goes as rounds do. The second call keeps the first from being
 * the last thing done, which would leave no frame. */
NOT_MOVED static void spend_seventy(void)
{
	work(70000);
	work_done++;
}

NOT_MOVED static void spend_thirty(void)
{
	work(30000);
	work_done++;
}

static uint64_t cpu_ns(clockid_t clock)
{
	struct timespec now;

	clock_gettime(clock, &now);
	return (uint64_t)now.tv_sec * (uint64_t)CLOCK_NS_PER_S + (uint64_t)now.tv_nsec;
}

static void burn(uint64_t ns)
{
	while (cpu_ns(CLOCK_PROCESS_CPUTIME_ID) < ns) {
		spend_seventy();
		spend_thirty();
	}
}

static void call_the_kernel(uint64_t ns)
{
	char block[65536];
	int zero = open("/dev/zero", O_RDONLY);

	while (cpu_ns(CLOCK_PROCESS_CPUTIME_ID) < ns)
		if (read(zero, block, sizeof(block)) < 0)
			_exit(1);
	close(zero);
}

/* ---- reading windows ---- */

static bool is_of(const struct window *window, const struct window_entry *entry, pid_t pid)
{
	uint32_t process = window->threads[entry->thread].process;

	return window->processes[process].key.pid == (uint32_t)pid;
}

static uint64_t count_of(const struct window *window, pid_t pid)
{
	uint64_t count = 0;

	for (uint32_t i = 0; i < window->entry_count; i++)
		if (is_of(window, &window->entries[i], pid))
			count += window->entries[i].count;
	return count;
}

static const struct window_process *process_named(const struct window *window, pid_t pid,
						  const char *name)
{
	for (uint32_t i = 0; i < window->process_count; i++)
		if (window->processes[i].key.pid == (uint32_t)pid &&
		    str_equal(window->processes[i].name, str_from(name)))
			return &window->processes[i];
	return NULL;
}

/* Where a function of this program lies in its file, by /proc/self/maps. */
static uint64_t file_offset(const void *function)
{
	FILE *maps = fopen("/proc/self/maps", "r");
	uint64_t address = (uint64_t)(uintptr_t)function, offset = 0;
	char text[8192];

	while (fgets(text, sizeof(text), maps)) {
		struct maps_line line;

		text[strcspn(text, "\n")] = '\0';
		if (maps_parse_line(str_from(text), &line) && address >= line.start &&
		    address < line.end)
			offset = address - line.start + line.offset;
	}
	(void)fclose(maps);
	assert_true(offset > 0);
	return offset;
}

/* Samples of this process with a frame within 96 bytes behind the start of the function. */
static uint64_t count_in(const struct window *window, pid_t pid, uint64_t start)
{
	uint64_t count = 0;

	for (uint32_t i = 0; i < window->entry_count; i++) {
		const struct window_entry *entry = &window->entries[i];
		const struct window_stack *stack = &window->stacks[entry->stack];
		bool found = false;

		if (!is_of(window, entry, pid))
			continue;
		for (uint32_t f = 0; f < stack->frame_count; f++) {
			const struct window_frame *frame = &window->frames[stack->first_frame + f];

			found |= frame->kind == FRAME_FILE && frame->address >= start &&
				 frame->address < start + 96 &&
				 str_ends_with(window->files[frame->reference].path,
					       STR("test_collector"));
		}
		count += found ? entry->count : 0;
	}
	return count;
}

/* ---- tests ---- */

static void shares_time_among_functions_as_it_was_spent(void **state)
{
	struct parts *parts = *state;

	need_bpf(parts);

	pid_t child = fork();

	if (child == 0) {
		burn(UINT64_C(2) * (uint64_t)CLOCK_NS_PER_S);
		_exit(0);
	}

	struct window *window = follow(parts, child);
	double all = (double)count_of(window, child);
	double seventy =
		(double)count_in(window, child, file_offset((const void *)spend_seventy)) / all;
	double thirty =
		(double)count_in(window, child, file_offset((const void *)spend_thirty)) / all;

	/* Two seconds of CPU time at 997 Hz. */
	assert_true(all > 1994 * 0.95 && all < 1994 * 1.05);
	if (seventy < 0.65 || seventy > 0.75 || thirty < 0.25 || thirty > 0.35)
		fail_msg("shares %.3f and %.3f of %.0f samples", seventy, thirty, all);
	assert_non_null(process_named(window, child, "test_collector"));
}

static void sees_the_kernels_frames(void **state)
{
	struct parts *parts = *state;
	uint64_t in_kernel = 0;

	need_bpf(parts);

	pid_t child = fork();

	if (child == 0) {
		call_the_kernel((uint64_t)CLOCK_NS_PER_S / 2);
		_exit(0);
	}

	struct window *window = follow(parts, child);

	for (uint32_t i = 0; i < window->entry_count; i++) {
		const struct window_entry *entry = &window->entries[i];
		const struct window_stack *stack = &window->stacks[entry->stack];

		if (is_of(window, entry, child) && stack->frame_count > 1 &&
		    window->frames[stack->first_frame].kind == FRAME_KERNEL &&
		    window->frames[stack->first_frame + stack->frame_count - 1].kind == FRAME_FILE)
			in_kernel += entry->count;
	}
	if (in_kernel * 2 < count_of(window, child))
		fail_msg("%llu of %llu samples go from the kernel to a file",
			 (unsigned long long)in_kernel,
			 (unsigned long long)count_of(window, child));
}

/* A second program of the same pid: the shell, then what it becomes. */
static void takes_an_exec_for_another_process_and_knows_both(void **state)
{
	struct parts *parts = *state;

	need_bpf(parts);

	pid_t child = fork();

	if (child == 0) {
		burn((uint64_t)CLOCK_NS_PER_S / 5);
		execl("/bin/sh", "sh", "-c",
		      "i=0; while [ $i -lt 150000 ]; do i=$((i+1)); done; exit 0", (char *)NULL);
		_exit(127);
	}

	struct window *window = follow(parts, child);
	const struct window_process *before = process_named(window, child, "test_collector");
	const struct window_process *after = NULL;

	for (uint32_t i = 0; i < window->process_count; i++)
		if (window->processes[i].key.pid == (uint32_t)child &&
		    &window->processes[i] != before)
			after = &window->processes[i];
	assert_non_null(before);
	assert_non_null(after);
	assert_int_equal(after->key.exec_generation, before->key.exec_generation + 1);
	assert_int_equal(after->key.start_boot_ns, before->key.start_boot_ns);
	assert_false(str_equal(after->name, before->name));
	assert_true(after->executable.size > 0);
	assert_int_not_equal(after->executable_file, WINDOW_NONE);
}

/* Nobody drains while it lives: /proc knows nothing of it when its samples are read. */
static void knows_a_program_that_was_gone_before_anybody_looked(void **state)
{
	struct parts *parts = *state;
	int status;

	need_bpf(parts);

	pid_t child = fork();

	if (child == 0) {
		execl("/bin/sh", "sh", "-c",
		      "i=0; while [ $i -lt 150000 ]; do i=$((i+1)); done; exit 0", (char *)NULL);
		_exit(127);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	drain(parts);

	struct window *window =
		aggregator_window(parts->aggregator, parts->start_boot_ns, clock_boot_ns());
	uint64_t in_files = 0;
	const struct window_process *shell = NULL;

	for (uint32_t i = 0; i < window->process_count; i++)
		if (window->processes[i].key.pid == (uint32_t)child &&
		    window->processes[i].executable.size > 0)
			shell = &window->processes[i];
	assert_non_null(shell);
	assert_true(shell->exit_boot_ns > 0);
	assert_true(shell->name.size > 0);
	for (uint32_t i = 0; i < window->entry_count; i++) {
		const struct window_stack *stack = &window->stacks[window->entries[i].stack];

		if (!is_of(window, &window->entries[i], child) || stack->frame_count == 0)
			continue;
		if (window->frames[stack->first_frame + stack->frame_count - 1].kind == FRAME_FILE)
			in_files += window->entries[i].count;
	}
	if (in_files * 10 < count_of(window, child) * 9)
		fail_msg("%llu of %llu samples lie in files", (unsigned long long)in_files,
			 (unsigned long long)count_of(window, child));
}

static void tells_names_of_threads(void **state)
{
	struct parts *parts = *state;
	bool found = false;

	need_bpf(parts);

	pid_t child = fork();

	if (child == 0) {
		prctl(PR_SET_NAME, "a-name-of-its-o");
		burn((uint64_t)CLOCK_NS_PER_S / 5);
		_exit(0);
	}

	struct window *window = follow(parts, child);

	for (uint32_t i = 0; i < window->thread_count; i++)
		found |= window->threads[i].tid == (uint32_t)child &&
			 str_equal(window->threads[i].name, STR("a-name-of-its-o"));
	assert_true(found);
}

static void accounts_for_every_sample(void **state)
{
	struct parts *parts = *state;
	uint64_t counters[COUNTER_COUNT], losses = 0;

	need_bpf(parts);

	pid_t child = fork();

	if (child == 0) {
		burn((uint64_t)CLOCK_NS_PER_S / 2);
		_exit(0);
	}
	(void)follow(parts, child);
	/* Ticks go on while we read: no more can be in the window than were taken afterwards, and
	 * all that were taken before the last draining are in it. */
	sampler_counters(parts->sampler, counters);

	uint64_t taken_before = counters[COUNTER_TAKEN];

	drain(parts);
	unwinder_finish(parts->unwinder, clock_boot_ns());

	struct window *window =
		aggregator_window(parts->aggregator, parts->start_boot_ns, clock_boot_ns());

	for (unsigned i = 0; i < LOSS_KIND_COUNT; i++)
		losses += i == LOSS_SIDEBAND ? 0 : window->losses[i];
	losses += counters[COUNTER_RING_FULL] + counters[COUNTER_UNREADABLE];
	sampler_counters(parts->sampler, counters);
	assert_true(window->sample_count + losses >= taken_before);
	assert_true(window->sample_count <= counters[COUNTER_TAKEN]);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		TEST(shares_time_among_functions_as_it_was_spent),
		TEST(sees_the_kernels_frames),
		TEST(takes_an_exec_for_another_process_and_knows_both),
		TEST(knows_a_program_that_was_gone_before_anybody_looked),
		TEST(tells_names_of_threads),
		TEST(accounts_for_every_sample),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
