/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include <string.h>

#include "base/clock.h"
#include "base/limits.h"
#include "base/settings.h"
#include "collector/aggregator.h"
#include "collector/exclusions.h"
#include "collector/processes.h"
#include "collector/sideband.h"

/* Beyond any pid_max. */
enum { PID = 0x40000001, START_NS = 5 };

#define MS ((uint64_t)CLOCK_NS_PER_MS)

struct fixture {
	struct processes *processes;
	struct aggregator *aggregator;
	struct event event;
};

static struct fixture fixture;

static void note(uint32_t kind, uint64_t start, uint64_t end, uint64_t offset, const char *text)
{
	struct sideband_record record = { .kind = kind,
					  .pid = PID,
					  .tid = PID,
					  .boot_ns = START_NS,
					  .start = start,
					  .end = end,
					  .offset = offset,
					  .text = str_from(text) };

	if (kind == SIDEBAND_MAPPED && text[0] == '/')
		record.identity = (struct identity){ .kind = IDENTITY_GNU_BUILD_ID,
						     .size = 1,
						     .bytes = { (uint8_t)text[1] } };
	processes_note(fixture.processes, &record);
}

static int set_up(void **state)
{
	(void)state;
	fixture = (struct fixture){ 0 };
	if (processes_new(NULL, &fixture.processes) ||
	    aggregator_new(fixture.processes, &fixture.aggregator))
		return -1;
	note(SIDEBAND_EXEC, 0, 0, 0, "program");
	note(SIDEBAND_MAPPED, 0x10000, 0x20000, 0x3000, "/program");
	note(SIDEBAND_MAPPED, 0x30000, 0x40000, 0, "//anon");
	note(SIDEBAND_MAPPED, 0x50000, 0x51000, 0, "[vdso]");
	fixture.event = (struct event){
		.kind = EVENT_KIND_CPU,
		.pid = PID,
		.tid = PID,
		.start_boot_ns = START_NS,
		.exec_generation = 1,
		.boot_ns = 100 * MS,
		.weight = 1000,
		.user_frame_count = 1,
		.frames = { 0x10010 },
		.comm = "thread",
	};
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	aggregator_free(fixture.aggregator);
	processes_free(fixture.processes);
	return 0;
}

static void add(void)
{
	aggregator_add(fixture.aggregator, &fixture.event);
}

static struct window *finish(void)
{
	return aggregator_window(fixture.aggregator, 50 * MS, 1050 * MS);
}

static void counts_equal_samples_once(void **state)
{
	(void)state;
	add();
	fixture.event.boot_ns = 300 * MS;
	add();
	fixture.event.boot_ns = 200 * MS;
	add();
	fixture.event.frames[0] = 0x10020;
	add();

	struct window *window = finish();

	assert_int_equal(window->sample_count, 4);
	assert_int_equal(window->entry_count, 2);
	assert_int_equal(window->stack_count, 2);
	assert_int_equal(window->process_count, 1);
	assert_int_equal(window->thread_count, 1);
	assert_int_equal(window->entries[0].count, 3);
	assert_int_equal(window->entries[0].weight, 3000);

	const uint16_t *times = &window->times_ms[window->entries[0].first_time];

	assert_int_equal(times[0], 50);
	assert_int_equal(times[1], 150);
	assert_int_equal(times[2], 250);
}

static void turns_addresses_into_places(void **state)
{
	(void)state;
	fixture.event.user_frame_count = 3;
	fixture.event.frames[0] = 0x50010;
	fixture.event.frames[1] = 0x30010;
	fixture.event.frames[2] = 0x10010;
	add();

	struct window *window = finish();
	const struct window_frame *frames = &window->frames[window->stacks[0].first_frame];

	assert_int_equal(window->stacks[0].frame_count, 3);
	assert_int_equal(frames[0].kind, FRAME_NAMED);
	assert_true(str_equal(window->names[frames[0].reference].function, STR("[vdso]")));
	assert_int_equal(frames[0].position, FRAME_LEAF);
	assert_int_equal(frames[1].kind, FRAME_ANONYMOUS);
	assert_int_equal(frames[1].address, 0x30010);
	assert_int_equal(frames[1].position, FRAME_RETURN);
	assert_int_equal(frames[2].kind, FRAME_FILE);
	assert_int_equal(frames[2].address, 0x3010);
	assert_true(str_equal(window->files[frames[2].reference].path, STR("/program")));
}

static void puts_the_kernel_above_the_user(void **state)
{
	(void)state;
	fixture.event.kernel_frame_count = 2;
	fixture.event.frames[0] = 0xffffffff81000000;
	fixture.event.frames[1] = 0xffffffff82000000;
	fixture.event.frames[2] = 0x10010;
	add();

	struct window *window = finish();

	assert_int_equal(window->stacks[0].frame_count, 3);
	assert_int_equal(window->frames[0].kind, FRAME_KERNEL);
	assert_int_equal(window->frames[0].position, FRAME_LEAF);
	assert_int_equal(window->frames[1].position, FRAME_RETURN);
	assert_int_equal(window->frames[2].kind, FRAME_FILE);
	assert_int_equal(window->frames[2].position, FRAME_INTERRUPTED);
}

static void ends_a_stack_where_a_return_address_leads_nowhere(void **state)
{
	(void)state;
	fixture.event.user_frame_count = 3;
	fixture.event.frames[1] = 0x90000;
	fixture.event.frames[2] = 0x10020;
	add();

	struct window *window = finish();

	assert_int_equal(window->stacks[0].frame_count, 1);
	assert_int_equal(window->stacks[0].verdict, VERDICT_NO_MAPPING);
}

/* The call that never returns may be the last instruction that is mapped. */
static void looks_return_addresses_up_one_before(void **state)
{
	(void)state;
	fixture.event.user_frame_count = 2;
	fixture.event.frames[1] = 0x20000;
	add();

	struct window *window = finish();

	assert_int_equal(window->stacks[0].frame_count, 2);
	assert_int_equal(window->frames[1].kind, FRAME_FILE);
	assert_int_equal(window->frames[1].address, 0x13000);
}

static void keeps_a_leaf_that_lies_nowhere(void **state)
{
	(void)state;
	fixture.event.frames[0] = 0x90000;
	add();

	struct window *window = finish();

	assert_int_equal(window->stacks[0].frame_count, 1);
	assert_int_equal(window->frames[0].kind, FRAME_UNMAPPED);
	assert_int_equal(window->frames[0].address, 0x90000);
}

static void tells_processes_and_threads_apart(void **state)
{
	(void)state;
	add();
	fixture.event.tid = PID + 1;
	memcpy(fixture.event.comm, "worker", sizeof("worker"));
	add();
	fixture.event.exec_generation = 2;
	add();

	struct window *window = finish();

	assert_int_equal(window->process_count, 2);
	assert_int_equal(window->thread_count, 3);
	assert_int_equal(window->entry_count, 3);
	assert_true(str_equal(window->threads[1].name, STR("worker")));
	assert_true(str_equal(window->processes[0].name, STR("program")));
	/* Addresses of two programs have nothing to do with each other. */
	assert_int_equal(window->stack_count, 2);
}

static void names_an_unknown_process_by_its_sample(void **state)
{
	(void)state;
	fixture.event.pid = fixture.event.tid = PID + 9;
	memcpy(fixture.event.comm, "sixteen-bytes-ok", EVENT_COMM_SIZE);
	add();

	struct window *window = finish();

	assert_true(str_equal(window->processes[0].name, STR("sixteen-bytes-ok")));
}

static void puts_times_outside_on_the_edge(void **state)
{
	(void)state;
	fixture.event.boot_ns = 1;
	add();
	fixture.event.boot_ns = 5000 * MS;
	add();

	struct window *window = finish();

	assert_int_equal(window->times_ms[0], 0);
	assert_int_equal(window->times_ms[1], 1000);
}

static void counts_what_does_not_fit(void **state)
{
	enum { EXTRA = 5 };

	(void)state;
	for (uint64_t i = 0; i < WINDOW_STACK_COUNT_MAX + EXTRA; i++) {
		fixture.event.frames[0] = 0x10000 + i;
		add();
	}
	/* A known stack goes on being counted. */
	fixture.event.frames[0] = 0x10000;
	add();

	struct window *window = finish();

	assert_int_equal(window->stack_count, WINDOW_STACK_COUNT_MAX);
	assert_int_equal(window->losses[LOSS_STACK_TABLE_FULL], EXTRA);
	assert_int_equal(window->entries[0].count, 2);
	assert_int_equal(window->sample_count, WINDOW_STACK_COUNT_MAX + 1);
}

/* A re-scan in the middle of a window, or another mapping, frees what nobody else holds. */
static void keeps_files_that_processes_let_go_of(void **state)
{
	(void)state;
	fixture.event.frames[0] = 0x10010;
	fixture.event.user_frame_count = 1;
	aggregator_add(fixture.aggregator, &fixture.event);

	const struct window *window =
		aggregator_window(fixture.aggregator, START_NS, START_NS + 1000 * MS);

	assert_int_equal(window->file_count, 1);
	note(SIDEBAND_MAPPED, 0x10000, 0x20000, 0, "/another-name-altogether");
	note(SIDEBAND_MAPPED, 0x10000, 0x20000, 0, "/yet-another");
	assert_true(str_equal(window->files[0].path, STR("/program")));
}

static void begins_anew_after_clearing(void **state)
{
	(void)state;
	add();
	finish();
	aggregator_clear(fixture.aggregator);
	assert_int_equal(finish()->sample_count, 0);
	aggregator_clear(fixture.aggregator);
	add();

	struct window *window = finish();

	assert_int_equal(window->sample_count, 1);
	assert_int_equal(window->file_count, 1);
	assert_int_equal(window->frames[0].reference, 0);
	assert_int_equal(window->frame_count, 1);
}

static struct exclusions *exclude(const char *processes, const char *users)
{
	struct exclusions *exclusions = NULL;
	struct settings settings;
	char reason[EXCLUSIONS_ERROR_SIZE];

	settings_defaults(&settings);
	snprintf(settings.exclude_processes, SETTING_TEXT_SIZE, "%s", processes);
	snprintf(settings.exclude_users, SETTING_TEXT_SIZE, "%s", users);
	assert_int_equal(exclusions_new(&settings, &exclusions, reason), 0);
	aggregator_exclude(fixture.aggregator, exclusions);
	return exclusions;
}

/* Of three processes the middle one goes, and the numbers of the others close up over it. */
static void leaves_out_who_is_excluded(void **state)
{
	autoclean(exclusions) struct exclusions *exclusions = exclude("secret*", "4711");

	(void)state;

	add();
	/* Of which nothing is known but what its thread is called. */
	fixture.event.pid = fixture.event.tid = PID + 1;
	memcpy(fixture.event.comm, "secret-work", 12);
	add();
	fixture.event.frames[0] = 0x10020;
	add();
	fixture.event.pid = fixture.event.tid = PID + 2;
	memcpy(fixture.event.comm, "other", 6);
	fixture.event.boot_ns = 200 * MS;
	add();
	add();
	fixture.event.uid = 4711;
	add();
	fixture.event.uid = 0;

	struct window *window = finish();

	assert_int_equal(window->sample_count, 3);
	assert_int_equal(aggregator_excluded(fixture.aggregator), 3);
	assert_int_equal(window->process_count, 2);
	assert_int_equal(window->thread_count, 2);
	assert_int_equal(window->stack_count, 2);
	assert_int_equal(window->entry_count, 2);
	assert_int_equal(window->time_count, 3);
	assert_int_equal(window->processes[0].key.pid, PID);
	assert_int_equal(window->processes[1].key.pid, PID + 2);
	assert_true(str_equal(window->processes[1].name, STR("other")));
	for (uint32_t i = 0; i < 2; i++) {
		assert_int_equal(window->threads[i].process, i);
		assert_int_equal(window->entries[i].thread, i);
		assert_int_equal(window->entries[i].stack, i);
		assert_int_equal(window->entries[i].count, 1 + i);
	}
	assert_int_equal(window->times_ms[0], 50);
	assert_int_equal(window->times_ms[1], 150);
	assert_int_equal(window->times_ms[2], 150);

	/* What is encoded is what a server takes. */
	autoclean(buf) struct buf bytes = BUF(WINDOW_SIZE_MAX);
	struct window *decoded = NULL;

	window->collector = window->sequence = window->cpu_count = window->frequency_hz = 1;
	window_encode(window, &bytes);
	assert_int_equal(window_decode(bytes.bytes, bytes.size, &decoded), 0);
	window_free(decoded);

	/* The next one begins anew, and without the exclusion all is there. */
	aggregator_clear(fixture.aggregator);
	aggregator_exclude(fixture.aggregator, NULL);
	fixture.event.pid = fixture.event.tid = PID + 1;
	add();
	assert_int_equal(finish()->sample_count, 1);
}

/* A window in which nobody is left leaves nothing behind that the next one could find. */
static void leaves_out_all_of_a_window(void **state)
{
	autoclean(exclusions) struct exclusions *exclusions = exclude("secret*", "");

	(void)state;
	fixture.event.pid = fixture.event.tid = PID + 1;
	memcpy(fixture.event.comm, "secret-work", 12);

	for (uint64_t i = 1; i <= 3; i++) {
		add();
		add();

		struct window *window = finish();

		assert_int_equal(window->sample_count, 0);
		assert_int_equal(window->time_count, 0);
		assert_int_equal(window->process_count, 0);
		assert_int_equal(window->thread_count, 0);
		assert_int_equal(aggregator_excluded(fixture.aggregator), 2 * i);
		aggregator_clear(fixture.aggregator);
	}
	aggregator_exclude(fixture.aggregator, NULL);
	add();

	struct window *window = finish();

	assert_int_equal(window->sample_count, 1);
	assert_int_equal(window->time_count, 1);
	assert_int_equal(window->entry_count, 1);
	assert_int_equal(window->threads[window->entries[0].thread].process, 0);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		TEST(counts_equal_samples_once),
		TEST(turns_addresses_into_places),
		TEST(puts_the_kernel_above_the_user),
		TEST(ends_a_stack_where_a_return_address_leads_nowhere),
		TEST(looks_return_addresses_up_one_before),
		TEST(keeps_a_leaf_that_lies_nowhere),
		TEST(tells_processes_and_threads_apart),
		TEST(names_an_unknown_process_by_its_sample),
		TEST(puts_times_outside_on_the_edge),
		TEST(counts_what_does_not_fit),
		TEST(keeps_files_that_processes_let_go_of),
		TEST(begins_anew_after_clearing),
		TEST(leaves_out_who_is_excluded),
		TEST(leaves_out_all_of_a_window),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
