/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The walk itself, on stacks made by hand, through everything that it goes through in the product:
 * records of mappings, spaces, files, tables.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/limits.h"
#include "base/window.h"
#include "bpf/walk_layout.h"
#include "collector/late.h"
#include "collector/processes.h"
#include "collector/sideband.h"
#include "collector/spaces.h"
#include "collector/unwind_files.h"
#include "tests/support/small_table.h"

#define MS ((uint64_t)CLOCK_NS_PER_MS)

/* Beyond any pid_max. */
enum { PID = 0x40000001, STACK = 0x7000000, WORDS = 2040, PROGRAM = 0x10000, JIT = 0x90000 };

/* What the program's functions do, by address. The offset in its file is 0x3000 more. */
enum {
	PUSHES_NOTHING = PROGRAM + 0x100,
	HAS_24 = PROGRAM + 0x200,
	SAVES_FP = PROGRAM + 0x300,
	SIGNAL_RETURN = PROGRAM + 0x400,
	UNSUPPORTED = PROGRAM + 0x500,
	START = PROGRAM + 0x600,
	NO_RULE = PROGRAM + 0x700,
};

struct fixture {
	void *memory;
	struct lines *lines;
	struct walk_file *shown;
	struct walk_known_bucket *known;
	uint64_t *rules;
	struct walk_bucket *buckets;
	struct unwind_files *files;
	struct spaces *spaces;
	struct processes *processes;
	struct late *late;
	uint32_t asked[8];
	unsigned ask_count;
	struct event walked;
	unsigned walked_count;
};

static struct fixture f;
static _Alignas(8) uint8_t sample[EVENT_HEADER_SIZE + sizeof(struct event_raw) + WORDS * 8];
static _Alignas(8) uint8_t table[SMALL_TABLE_SIZE_MAX];

static void *add_chunk(void *context, uint32_t number)
{
	(void)context;
	assert_int_equal(number, 0);
	return f.memory = calloc(1, WALK_CHUNK_SIZE);
}

static void on_done(void *context, const struct process *process, const struct event *event)
{
	(void)context;
	(void)process;
	memcpy(&f.walked, event, event_size(event));
	f.walked_count++;
}

static void on_ask(void *context, uint32_t file)
{
	(void)context;
	if (!unwind_files_wants(f.files, file))
		return;
	assert_true(f.ask_count < 8);
	f.asked[f.ask_count++] = file;
	unwind_files_asked(f.files, file, 0);
}

static void note(uint32_t kind, uint64_t start, uint64_t end, uint64_t offset, const char *text)
{
	struct sideband_record record = { .kind = kind,
					  .pid = PID,
					  .tid = PID,
					  .boot_ns = 5,
					  .start = start,
					  .end = end,
					  .offset = offset,
					  .text = str_from(text) };

	if (kind == SIDEBAND_MAPPED && text[0] == '/' && text[1] != '/')
		record.identity = small_identity((uint8_t)text[1]);
	processes_note(f.processes, &record);
}

static int set_up(void **state)
{
	struct identity vdso = small_identity(0);

	(void)state;
	f = (struct fixture){ 0 };
	f.shown = calloc(WALK_FILE_COUNT_MAX, sizeof(f.shown[0]));
	f.known = calloc(WALK_KNOWN_BUCKET_COUNT, sizeof(f.known[0]));
	f.rules = calloc(UNWIND_RULE_COUNT_MAX, sizeof(f.rules[0]));
	f.buckets = calloc(WALK_BUCKET_COUNT, sizeof(f.buckets[0]));
	if (lines_new(add_chunk, NULL, WALK_CHUNK_SIZE, &f.lines) ||
	    unwind_files_new(f.lines, f.shown, f.rules, f.known, &f.files) ||
	    spaces_new(f.lines, f.files, f.buckets, &vdso, &f.spaces) ||
	    processes_new(f.spaces, &f.processes))
		return -1;
	note(SIDEBAND_EXEC, 0, 0, 0, "program");
	note(SIDEBAND_MAPPED, PROGRAM, PROGRAM + 0x10000, 0x3000, "/program");
	note(SIDEBAND_MAPPED, JIT, JIT + 0x10000, 0, "//anon");
	return late_new(&(struct late_options){ .processes = f.processes,
						.files = f.files,
						.memory = { f.lines, f.shown, f.rules },
						.size_max = 64 << 10,
						.done = on_done,
						.ask = on_ask },
			&f.late);
}

static int tear_down(void **state)
{
	(void)state;
	late_free(f.late);
	processes_free(f.processes);
	spaces_free(f.spaces);
	unwind_files_free(f.files);
	lines_free(f.lines);
	free(f.memory);
	free(f.shown);
	free(f.known);
	free(f.rules);
	free(f.buckets);
	return 0;
}

static void put_table(void)
{
	struct identity id = small_identity('p');
	const struct small_row rows[] = {
		{ 0, 0x3100, unwind_rule(UNWIND_CFA_SP, 0, UNWIND_FP_SAME, 0, 0, 8) },
		{ 0, 0x3200, unwind_rule(UNWIND_CFA_SP, 0, UNWIND_FP_SAME, 0, 0, 24) },
		{ 0, 0x3300, unwind_rule(UNWIND_CFA_FP, 0, UNWIND_FP_SAVED, 0, -16, 16) },
		{ 0, 0x3400, unwind_rule(UNWIND_CFA_SIGNAL, 0, 0, 0, 0, 0) },
		{ 0, 0x3500, unwind_rule(UNWIND_CFA_UNSUPPORTED, 0, 0, 0, 0, 1) },
		{ 0, 0x3600, unwind_rule(UNWIND_CFA_STOP, 0, 0, 0, 0, 0) },
		{ 0, 0x3700, 0 },
	};
	struct identity wanted = small_identity('p');
	uint32_t number = unwind_files_take(f.files, &wanted);
	size_t size = small_table(&id, 0, 1, rows, sizeof(rows) / sizeof(rows[0]), table);

	assert_int_equal(unwind_files_put(f.files, number, table, size), 0);
	unwind_files_release(f.files, number);
}

/* The stack: word i lies at STACK + 8 i. */
static uint64_t *begin(uint64_t pc, uint64_t fp)
{
	struct event *event = (void *)sample;
	struct event_raw *raw = (void *)(sample + EVENT_HEADER_SIZE);

	memset(sample, 0, sizeof(sample));
	*raw = (struct event_raw){ .pc = pc, .sp = STACK, .fp = fp };
	event->pid = event->tid = PID;
	event->exec_generation = 3;
	event->start_boot_ns = 4;
	event->boot_ns = 6;
	event->verdict = VERDICT_NO_RULE;
	event->raw_stack_size = WORDS * 8;
	return (uint64_t *)(void *)(raw + 1);
}

static void walk(void)
{
	f.walked_count = 0;
	late_add(f.late, (const struct event *)(const void *)sample, 10 * MS);
	processes_publish(f.processes, 10 * MS);
	late_tick(f.late, 10 * MS);
}

static void assert_frames(const uint64_t *frames, unsigned count, unsigned verdict)
{
	assert_int_equal(f.walked_count, 1);
	assert_int_equal(f.walked.user_frame_count, count);
	for (unsigned i = 0; i < count; i++)
		assert_int_equal(f.walked.frames[i], frames[i]);
	assert_int_equal(f.walked.verdict, verdict);
	assert_int_equal(f.walked.raw_stack_size, 0);
}

static void goes_from_the_leaf_to_the_start(void **state)
{
	uint64_t *stack = begin(PUSHES_NOTHING + 4, STACK + 8 * 8);

	(void)state;
	put_table();
	/* Every process has it when its mappings are read. */
	note(SIDEBAND_MAPPED, 0xffffffffff600000, 0xffffffffff601000, 0, "[vsyscall]");
	stack[0] = HAS_24 + 9;	 /* CFA: word 1 */
	stack[3] = SAVES_FP + 5; /* CFA: word 4; then by fp = word 8 */
	stack[8] = 77;		 /* the caller's fp */
	stack[9] = START + 1;	 /* looked up one before: START itself */
	walk();
	assert_frames((uint64_t[]){ PUSHES_NOTHING + 4, HAS_24 + 9, SAVES_FP + 5, START + 1 }, 4,
		      VERDICT_COMPLETE);
	assert_int_equal(f.walked.flags & EVENT_FRAME_POINTERS, 0);
	assert_int_equal(f.ask_count, 0);
}

static void an_address_after_the_last_call_of_a_function_is_of_that_function(void **state)
{
	uint64_t *stack = begin(PUSHES_NOTHING, 0);

	(void)state;
	put_table();
	/* The call was HAS_24's last instruction; at the address itself SAVES_FP begins. */
	stack[0] = SAVES_FP;
	stack[3] = START + 1;
	walk();
	assert_frames((uint64_t[]){ PUSHES_NOTHING, SAVES_FP, START + 1 }, 3, VERDICT_COMPLETE);
}

static void goes_through_a_signal_to_what_it_broke_in(void **state)
{
	uint64_t *stack = begin(PUSHES_NOTHING, 0);

	(void)state;
	put_table();
	stack[0] = SIGNAL_RETURN + 1; /* sp is word 1 when it runs */
	stack[1 + UNWIND_SIGNAL_FP / 8] = 0;
	/* On another stack, below. */
	stack[1 + UNWIND_SIGNAL_SP / 8] = STACK + 100 * 8;
	stack[1 + UNWIND_SIGNAL_PC / 8] =
		HAS_24; /* not a return address: HAS_24, not what is before */
	stack[102] = START + 1;
	walk();
	assert_frames((uint64_t[]){ PUSHES_NOTHING, SIGNAL_RETURN + 1,
				    HAS_24 | EVENT_FRAME_INTERRUPTED, START + 1 },
		      4, VERDICT_COMPLETE);
}

static void goes_over_pages_that_were_not_brought_and_never_into_them(void **state)
{
	uint64_t *stack = begin(SAVES_FP + 5, STACK + 4096);
	struct event_raw *raw = (void *)(sample + EVENT_HEADER_SIZE);

	(void)state;
	put_table();
	/* The second page of three. */
	raw->holes = 1;
	stack[512 + 512] = 77;
	stack[512 + 512 + 1] = START + 1;
	raw->fp = STACK + 8 * (512 + 512);
	walk();
	assert_frames((uint64_t[]){ SAVES_FP + 5, START + 1 }, 2, VERDICT_COMPLETE);

	/* What is in a hole is none of the stack, nor is a word that reaches into it. */
	for (unsigned at = 0; at < 2; at++) {
		raw->fp = STACK + 4096 + at * (4096 - 8);
		stack[raw->fp / 8 % 2048] = 77;
		stack[raw->fp / 8 % 2048 + 1] = START + 1;
		walk();
		assert_frames((uint64_t[]){ SAVES_FP + 5 }, 1, VERDICT_READ_FAULT);
	}
}

static void takes_a_frame_pointer_where_there_is_no_rule(void **state)
{
	uint64_t *stack = begin(JIT + 0x20, STACK + 4 * 8);

	(void)state;
	put_table();
	stack[4] = STACK + 10 * 8;
	stack[5] = NO_RULE + 1;
	stack[10] = 0;
	stack[11] = START + 1;
	walk();
	assert_frames((uint64_t[]){ JIT + 0x20, NO_RULE + 1, START + 1 }, 3, VERDICT_COMPLETE);
	assert_int_equal(f.walked.flags & EVENT_FRAME_POINTERS, EVENT_FRAME_POINTERS);
}

static void ends_where_a_frame_pointer_makes_no_sense(void **state)
{
	uint64_t *stack;

	(void)state;
	put_table();
	begin(JIT + 0x20, STACK + 4);
	walk();
	assert_frames((uint64_t[]){ JIT + 0x20 }, 1, VERDICT_JIT_UNKNOWN);
	begin(NO_RULE, STACK - 8);
	walk();
	assert_frames((uint64_t[]){ NO_RULE }, 1, VERDICT_NO_RULE);
	begin(NO_RULE, STACK + (2 << 20));
	walk();
	assert_frames((uint64_t[]){ NO_RULE }, 1, VERDICT_NO_RULE);
	/* It looks like one, but leads nowhere. */
	stack = begin(NO_RULE, STACK + 4 * 8);
	stack[5] = 0x123456;
	walk();
	late_tick(f.late, 400 * MS);
	assert_frames((uint64_t[]){ NO_RULE }, 1, VERDICT_NO_RULE);
	/* A hole in the tables is no end, whatever the frame pointer is. */
	stack = begin(PUSHES_NOTHING, 0);
	stack[0] = NO_RULE + 1;
	walk();
	assert_frames((uint64_t[]){ PUSHES_NOTHING, NO_RULE + 1 }, 2, VERDICT_NO_RULE);
}

static void says_why_it_ended(void **state)
{
	uint64_t *stack;

	(void)state;
	put_table();
	begin(UNSUPPORTED, 0);
	walk();
	assert_frames((uint64_t[]){ UNSUPPORTED }, 1, VERDICT_UNSUPPORTED_RULE);
	begin(SAVES_FP, STACK + (1 << 28));
	walk();
	assert_frames((uint64_t[]){ SAVES_FP }, 1, VERDICT_READ_FAULT);
	/* What was brought of the stack ends there. */
	begin(SAVES_FP, STACK + WORDS * 8);
	walk();
	assert_frames((uint64_t[]){ SAVES_FP }, 1, VERDICT_CAME_EARLY);
	begin(SAVES_FP, STACK - 64);
	walk();
	assert_frames((uint64_t[]){ SAVES_FP }, 1, VERDICT_NOT_PROGRESSING);
	stack = begin(PUSHES_NOTHING, 0);
	stack[0] = HAS_24 + 1;
	stack[3] = 0x123456;
	walk();
	/* A return address that lies nowhere: a record of it may come yet. */
	assert_int_equal(f.walked_count, 0);
	late_tick(f.late, 400 * MS);
	assert_frames((uint64_t[]){ PUSHES_NOTHING, HAS_24 + 1 }, 2, VERDICT_NO_MAPPING);
	/* After that, it won't. */
	walk();
	assert_int_equal(f.walked_count, 1);
}

static void says_that_a_stack_is_too_deep(void **state)
{
	uint64_t *stack = begin(PUSHES_NOTHING, 0);

	(void)state;
	put_table();
	for (unsigned i = 0; i < WORDS; i++)
		stack[i] = PUSHES_NOTHING + 1;
	walk();
	assert_int_equal(f.walked.user_frame_count, FRAME_COUNT_MAX);
	assert_int_equal(f.walked.verdict, VERDICT_TRUNCATED);
	/* One less than the limit is whole. */
	stack[FRAME_COUNT_MAX - 2] = START + 1;
	walk();
	assert_int_equal(f.walked.user_frame_count, FRAME_COUNT_MAX);
	assert_int_equal(f.walked.verdict, VERDICT_COMPLETE);
}

static void waits_for_the_table_and_asks_for_it(void **state)
{
	uint64_t *stack = begin(PUSHES_NOTHING, 0);
	struct late_stats stats;

	(void)state;
	stack[0] = START + 1;
	walk();
	late_tick(f.late, 20 * MS);
	assert_int_equal(f.walked_count, 0);
	assert_int_equal(f.ask_count, 1);
	put_table();
	late_tick(f.late, 30 * MS);
	assert_frames((uint64_t[]){ PUSHES_NOTHING, START + 1 }, 2, VERDICT_COMPLETE);
	late_stats(f.late, &stats);
	assert_int_equal(stats.waiting, 0);
	assert_int_equal(stats.walked, 1);
	assert_int_equal(stats.expired, 0);
}

static void does_not_wait_for_ever(void **state)
{
	uint64_t *stack = begin(NO_RULE, STACK + 4 * 8);
	struct late_stats stats;

	(void)state;
	stack[5] = HAS_24;
	walk();
	assert_int_equal(f.walked_count, 0);
	late_tick(f.late, 1000 * MS);
	assert_int_equal(f.walked_count, 0);
	late_tick(f.late, 5100 * MS);
	/* By frame pointers; and without a table a frame pointer of 0 is an end. */
	assert_frames((uint64_t[]){ NO_RULE, HAS_24 }, 2, VERDICT_COMPLETE);
	late_stats(f.late, &stats);
	assert_int_equal(stats.expired, 1);
	/* Nor when too many wait: 64 kB hold three. */
	for (unsigned i = 0; i < 10; i++)
		late_add(f.late, (const struct event *)(const void *)sample, 6000 * MS);
	late_stats(f.late, &stats);
	assert_int_equal(stats.crowded, 7);
	assert_int_equal(f.walked_count, 1 + 7);
	late_finish(f.late, 6000 * MS);
	assert_int_equal(f.walked_count, 1 + 10);
	late_stats(f.late, &stats);
	assert_int_equal(stats.waiting, 0);
}

/* As a walk finds it: the generation that it remembers rules by is that of the space. */
static const struct walk_space *space_shown(const struct walk_bucket *bucket)
{
	uint64_t word = bucket->processes[0].space;
	const struct walk_space *space = lines_at(f.lines, (uint32_t)word);

	assert_int_equal(space->generation, word >> 32);
	assert_int_not_equal(space->generation, 0);
	return space;
}

static void knows_processes_by_pid_start_and_image(void **state)
{
	const struct walk_bucket *bucket = &f.buckets[PID % WALK_BUCKET_COUNT];
	struct process_key key = { .pid = PID, .exec_generation = 3, .start_boot_ns = 4 };
	const struct walk_space *space;

	(void)state;
	processes_publish(f.processes, 10 * MS);
	assert_int_equal(bucket->processes[0].pid, PID);
	assert_int_equal(bucket->processes[0].image, WALK_ANY_IMAGE);
	assert_non_null(processes_resolve(f.processes, &key, 7));
	processes_publish(f.processes, 10 * MS);
	assert_int_equal(bucket->processes[0].image, walk_image(3, 4));
	/* Not one that is "not known", nor that of another start or after an exec. */
	assert_int_not_equal(walk_image(3, 4), WALK_ANY_IMAGE);
	assert_int_not_equal(walk_image(3, 4), walk_image(4, 4));
	assert_int_not_equal(walk_image(3, 4), walk_image(3, 5));
	space = space_shown(bucket);
	assert_int_equal(space->count, 2);
	/* A mapping more, and another space. */
	note(SIDEBAND_MAPPED, 0x200000, 0x300000, 0, "/library");
	processes_publish(f.processes, 20 * MS);
	assert_ptr_not_equal(space_shown(bucket), space);
	space = space_shown(bucket);
	assert_int_equal(space->count, 3);
	assert_int_equal(((const uint64_t *)(space + 1))[2], 0x200000);
	/* Another program; what is known of the one before does not fit it. */
	note(SIDEBAND_EXEC, 0, 0, 0, "other");
	processes_publish(f.processes, 30 * MS);
	assert_int_equal(bucket->processes[0].image, walk_image(4, 4));
	space = space_shown(bucket);
	assert_int_equal(space->count, 0);
	note(SIDEBAND_EXITED, 0, 0, 0, "");
	processes_sweep(f.processes, (uint64_t)CLOCK_NS_PER_S * 60);
	assert_int_equal(bucket->processes[0].pid, 0);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		TEST(goes_from_the_leaf_to_the_start),
		TEST(goes_over_pages_that_were_not_brought_and_never_into_them),
		TEST(an_address_after_the_last_call_of_a_function_is_of_that_function),
		TEST(goes_through_a_signal_to_what_it_broke_in),
		TEST(takes_a_frame_pointer_where_there_is_no_rule),
		TEST(ends_where_a_frame_pointer_makes_no_sense),
		TEST(says_why_it_ended),
		TEST(says_that_a_stack_is_too_deep),
		TEST(waits_for_the_table_and_asks_for_it),
		TEST(does_not_wait_for_ever),
		TEST(knows_processes_by_pid_start_and_image),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
