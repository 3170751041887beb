/* SPDX-License-Identifier: Apache-2.0 */
/* The short cuts of the walk: what it remembers is what it would find. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "bpf/walk_layout.h"
#include "collector/late.h"
#include "collector/lines.h"
#include "collector/unwind_files.h"
#include "tests/support/small_table.h"
#include "tests/support/tier.h"

struct walk_state;
struct walk_memo_line;

struct walk {
	struct walk_state *state;
	struct event *event;
	uint64_t rule_count; /* looked up */
};

static struct fixture {
	struct lines *lines;
	struct unwind_files *files;
	struct walk_file *shown;
	struct walk_known_bucket *known;
	uint64_t *rules;
	void *chunk;
	struct walk_memo_line *memo;
	bool has_one_line; /* in which all meet */
	/* What can be read of the process. */
	uint64_t stack[64];
	uint64_t stack_size;
} f;

#define STACK_AT 0x7ffc00000000

static const void *walk_chunk(struct walk *walk, uint32_t line)
{
	(void)walk;
	return lines_chunk(f.lines, line);
}

static const struct walk_file *walk_file(struct walk *walk, uint32_t number)
{
	(void)walk;
	return number < WALK_FILE_COUNT_MAX ? &f.shown[number] : NULL;
}

static uint64_t walk_rule(struct walk *walk, uint32_t number)
{
	walk->rule_count++;
	return f.rules[number];
}

static int walk_read(struct walk *walk, uint64_t address, __u64 *ret)
{
	uint64_t at = address - STACK_AT;

	(void)walk;
	if (f.stack_size < sizeof(*ret) || at > f.stack_size - sizeof(*ret))
		return -1;
	memcpy(ret, (const uint8_t *)f.stack + at, sizeof(*ret));
	return 0;
}

static int walk_read_plainly(struct walk *walk, uint64_t address, __u64 *ret)
{
	return walk_read(walk, address, ret);
}

static bool walk_ask(struct walk *walk, uint64_t address)
{
	(void)walk;
	(void)address;
	return false;
}

static struct walk_memo_line *walk_memo(struct walk *walk, uint32_t index);

#include "bpf/walk.h"

static struct walk_memo_line *walk_memo(struct walk *walk, uint32_t index)
{
	(void)walk;
	assert_true(index < WALK_MEMO_LINE_COUNT);
	return &f.memo[f.has_one_line ? 0 : index];
}

static _Alignas(8) uint8_t table[SMALL_TABLE_SIZE_MAX];

static void *add_chunk(void *context, uint32_t number)
{
	(void)context;
	(void)number;
	return f.chunk;
}

static int set_up(void **state)
{
	(void)state;
	f.chunk = calloc(1, WALK_CHUNK_SIZE);
	f.shown = calloc(WALK_FILE_COUNT_MAX, sizeof(f.shown[0]));
	f.known = calloc(WALK_KNOWN_BUCKET_COUNT, sizeof(f.known[0]));
	f.rules = calloc(UNWIND_RULE_COUNT_MAX, sizeof(f.rules[0]));
	f.memo = calloc(WALK_MEMO_LINE_COUNT, sizeof(f.memo[0]));
	if (!f.chunk || !f.shown || !f.rules || !f.memo)
		return -1;
	return lines_new(add_chunk, NULL, WALK_CHUNK_SIZE, &f.lines) ||
	       unwind_files_new(f.lines, f.shown, f.rules, f.known, &f.files);
}

static int tear_down(void **state)
{
	(void)state;
	unwind_files_free(f.files);
	lines_free(f.lines);
	free(f.memo);
	free(f.rules);
	free(f.shown);
	free(f.known);
	free(f.chunk);
	f = (struct fixture){ 0 };
	return 0;
}

static uint64_t rule_of_sp(int32_t offset)
{
	return unwind_rule(UNWIND_CFA_SP, 0, UNWIND_FP_SAME, UNWIND_RA_SAVED, 0, offset);
}

/* A file with a rule for each of 16 pieces of one page: 8 times (number of the file + its place).
 */
static uint32_t add_file(uint8_t identity)
{
	struct identity id = small_identity(identity);
	struct small_row rows[15];
	uint32_t number = unwind_files_take(f.files, &id);

	for (unsigned i = 0; i < 15; i++)
		rows[i] = (struct small_row){ 0, (uint16_t)((i + 1) * 0x100),
					      rule_of_sp(8 * (identity + (int)i)) };
	/* And a hole. */
	rows[7].rule = 0;

	size_t size = small_table(&id, 0, 1, rows, 15, table);

	assert_int_equal(unwind_files_put(f.files, number, table, size), 0);
	return number;
}

/* A space of one mapping, at the same address as all others. */
static uint32_t add_space(uint32_t file, uint32_t generation)
{
	uint32_t line, line_count = (walk_space_size(1) + UNWIND_LINE_SIZE - 1) / UNWIND_LINE_SIZE;

	assert_int_equal(lines_take(f.lines, line_count, &line), 0);

	struct walk_space *head = lines_at(f.lines, line);
	uint64_t *starts = (void *)(head + 1);
	struct walk_mapping *mapping = (void *)((uint8_t *)head + walk_space_mappings_at(1));

	*head = (struct walk_space){ .count = 1, .generation = generation };
	starts[0] = 0x400000;
	*mapping = (struct walk_mapping){ .start = 0x400000, .end = 0x410000, .file = file };
	return line;
}

static uint64_t find(uint32_t space, uint64_t address, enum walk_way way, struct walk_state *s)
{
	struct walk walk = { .state = s };

	walk_begin(s);
	if (space) {
		const struct walk_space *head = lines_at(f.lines, space);

		walk_enter(&walk, walk_space_word(space, head->generation));
	} else {
		walk_enter(&walk, 0);
	}
	return way == WALK_PLAINLY ? walk_find_rule(&walk, address, WALK_PLAINLY)
				   : walk_find_rule(&walk, address, WALK_AS_USUAL);
}

static void remembers_what_it_would_find(void **state)
{
	enum { SPACE_COUNT = 40 };
	uint32_t spaces[SPACE_COUNT];
	struct walk_state s;
	unsigned found = 0, remembered = 0;

	(void)state;
	srandom((unsigned)tier_seed());
	/* Generations that are alike in their low bits, and one file in several spaces. */
	for (unsigned i = 0; i < SPACE_COUNT; i++)
		spaces[i] = add_space(i < 20 ? add_file((uint8_t)(i + 1)) : i - 19,
				      (i << 28) + i / 16 + 1);
	for (unsigned i = 0; i < 300000; i++) {
		uint32_t space = spaces[random() % SPACE_COUNT];
		uint64_t address = 0x400000 + (uint64_t)random() % 0x200 * 0x8;
		uint64_t plain = find(space, address, WALK_PLAINLY, &s);
		uint64_t usual = find(space, address, WALK_AS_USUAL, &s);

		assert_int_equal(usual, plain);
		assert_int_equal(s.place, WALK_IN_TABLE);
		found += plain != 0;
		/* The mapping was not even looked for. */
		remembered += usual != 0 && s.end == 0;
	}
	assert_true(found > 200000);
	assert_true(remembered > 1000);
}

static void remembers_when_the_table_is_gone(void **state)
{
	uint32_t file = add_file(1), space = add_space(file, 7);
	struct walk_state s;

	(void)state;
	assert_int_equal(find(space, 0x400180, WALK_AS_USUAL, &s), rule_of_sp(8));
	f.shown[file].state = WALK_FILE_WITHOUT_TABLE;
	assert_int_equal(find(space, 0x400180, WALK_AS_USUAL, &s), rule_of_sp(8));
	assert_int_equal(s.lacks_table, 0);
	/* A walk that goes plainly can't, and says why; nothing is compared then. */
	assert_int_equal(find(space, 0x400180, WALK_PLAINLY, &s), 0);
	assert_int_equal(s.lacks_table, 1);
	assert_int_equal(s.place, WALK_IN_FILE);
}

static void forgets_that_there_was_nothing(void **state)
{
	uint32_t file = add_file(1), space = add_space(file, 7);
	struct walk_state s;

	(void)state;
	f.shown[file].state = WALK_FILE_EXPECTED;
	assert_int_equal(find(space, 0x400180, WALK_AS_USUAL, &s), 0);
	f.shown[file].state = WALK_FILE_PRESENT;
	assert_int_equal(find(space, 0x400180, WALK_AS_USUAL, &s), rule_of_sp(8));
	/* A hole in the table, and no space at all. */
	assert_int_equal(find(space, 0x400880, WALK_AS_USUAL, &s), 0);
	assert_int_equal(find(0, 0x400180, WALK_AS_USUAL, &s), 0);
	assert_int_equal(s.place, WALK_PLACE_UNKNOWN);
}

/* The two halves of an entry race, as they do between CPUs: a check tells whether they belong
 * together. */
static void let_them_race(const void *memory, size_t size)
{
#ifdef __SANITIZE_THREAD__
	/* ThreadSanitizer's own, of which there is no header. */
	extern void AnnotateBenignRaceSized(const char *file, int line, const volatile void *memory,
					    size_t size, const char *why);

	AnnotateBenignRaceSized(__FILE__, __LINE__, memory, size, "a check tells");
#else
	(void)memory;
	(void)size;
#endif
}

/* Two CPUs note other things in the same line, again and again. */
static void *note_and_remember(void *argument)
{
	uint32_t generation = *(const uint32_t *)argument;
	struct walk_state s = { .generation = generation };
	struct walk walk = { .state = &s };

	for (unsigned i = 0; i < 400000; i++) {
		uint64_t hash = walk_memo_hash(0x400000 + i % 4, generation);
		uint64_t rule, right = rule_of_sp((int32_t)(generation * 8 + i % 4));

		walk_note(&walk, hash, right);
		/* Lost when the other was faster; never the other's. */
		rule = walk_remember(&walk, hash);
		if (rule && rule != right)
			return argument;
	}
	return NULL;
}

static void halves_that_do_not_belong_together_are_nothing(void **state)
{
	uint32_t generations[] = { 1, 2, 3, 4 };
	pthread_t threads[4];

	(void)state;
	f.has_one_line = true;
	let_them_race(f.memo, WALK_MEMO_LINE_COUNT * sizeof(f.memo[0]));
	for (unsigned i = 0; i < 4; i++)
		assert_int_equal(
			pthread_create(&threads[i], NULL, note_and_remember, &generations[i]), 0);
	for (unsigned i = 0; i < 4; i++) {
		void *trouble;

		pthread_join(threads[i], &trouble);
		assert_null(trouble);
	}

	/* By hand: the rule of one, the check of the other. */
	struct walk walk = { .state = NULL };
	uint64_t here = walk_memo_hash(0x400123, 5), there = walk_memo_hash(0x400123, 6);
	struct walk_memo_line *line = walk_memo(&walk, walk_memo_index(here));
	uint64_t check;

	*line = (struct walk_memo_line){ 0 };
	assert_int_equal(walk_remember(&walk, here), 0);
	walk_note(&walk, here, 11);
	check = line->entries[0].check;
	assert_int_equal(walk_remember(&walk, here), 11);
	assert_int_equal(walk_remember(&walk, there), 0);
	*line = (struct walk_memo_line){ 0 };
	walk_note(&walk, here, 12);
	assert_int_equal(walk_remember(&walk, here), 12);
	line->entries[0].check = check;
	assert_int_equal(walk_remember(&walk, here), 0);
}

static void a_line_remembers_the_four_that_came_last(void **state)
{
	enum { COUNT = 20 };
	struct walk walk = { .state = NULL };

	(void)state;
	f.has_one_line = true;
	for (unsigned i = 0; i < COUNT; i++) {
		walk_note(&walk, walk_memo_hash(0x400000 + i, 1), 100 + i);
		for (unsigned k = 0; k < COUNT; k++)
			assert_int_equal(walk_remember(&walk, walk_memo_hash(0x400000 + k, 1)),
					 k <= i && i - k < WALK_MEMO_LINE_SIZE ? 100 + k : 0);
	}
}

/* Addresses of one space, side by side or far apart, and one address in many spaces. */
static int compare_hashes(const void *left, const void *right)
{
	uint64_t a = *(const uint64_t *)left, b = *(const uint64_t *)right;

	return (a > b) - (a < b);
}

static void no_two_places_look_alike(void **state)
{
	enum { COUNT = 400000 };
	uint64_t *hashes = calloc(COUNT, sizeof(hashes[0]));

	(void)state;
	assert_non_null(hashes);
	for (uint32_t i = 0; i < COUNT / 4; i++) {
		uint64_t *four = &hashes[(size_t)4 * i];

		four[0] = walk_memo_hash(0x400000 + i, 1);
		four[1] = walk_memo_hash(0x400000 + ((uint64_t)i + 1) * 0x10000000, 1);
		four[2] = walk_memo_hash(0x400000, i + 2);
		four[3] = walk_memo_hash(0x400000, (i + 2) << 12 | 0x80000000);
	}
	qsort(hashes, COUNT, sizeof(hashes[0]), compare_hashes);
	for (unsigned i = 1; i < COUNT; i++)
		assert_true(hashes[i] != hashes[i - 1]);
	free(hashes);
}

/* ---- steps of common rules ---- */

/* Addresses of code, places in the stack, small numbers. */
static uint64_t some_word(void)
{
	switch (random() % 4) {
	case 0:
		return 0x400000 + (uint64_t)random() % 64;
	case 1:
		return STACK_AT + (uint64_t)random() % 72 * 8;
	default:
		return (uint64_t)random() % 3;
	}
}

static uint64_t some_rule(void)
{
	/* Mostly of the common kinds, at times of any. */
	uint32_t most = random() % 4 ? 2 : 16;

	return unwind_rule(random() % 3 ? 1 + (uint32_t)random() % most : UNWIND_CFA_STOP,
			   random() % 4 ? 0 : (uint32_t)random(), (uint32_t)random() % most,
			   random() % 4 ? UNWIND_RA_SAVED : (uint32_t)random() % 3,
			   (int16_t)(random() % 5 * 8 - 24), (int32_t)(random() % 6 * 8 - 8));
}

static void some_state(struct walk_state *s)
{
	walk_begin(s);
	s->generation = 7;
	s->kernel_frame_count = (uint32_t)random() % 4 * 40;
	s->frame_count = random() % 8 ? (uint32_t)random() % 3
				      : EVENT_USER_FRAME_COUNT_MAX - (uint32_t)random() % 2;
	s->frame = (struct unwind_frame){ .pc = 0x400000 + (uint64_t)random() % 64,
					  .sp = some_word(),
					  .fp = some_word(),
					  .is_return = (uint32_t)random() % 3 };
	for (unsigned i = 0; i < 16; i++)
		s->leaf[i] = some_word();
}

static void steps_simply_where_it_would_step_so(void **state)
{
	autofree struct event *simple = calloc(1, sizeof(*simple));
	autofree struct event *whole = calloc(1, sizeof(*whole));
	unsigned counts[3] = { 0 };

	(void)state;
	assert_non_null(simple);
	assert_non_null(whole);
	f.has_one_line = true;
	srandom((unsigned)tier_seed());
	for (unsigned i = 0; i < 1000000; i++) {
		struct walk_state before, s, t;
		struct walk walk = { .state = &s, .event = simple };
		struct walk other = { .state = &t, .event = whole };

		f.stack_size = random() % 4 ? sizeof(f.stack) : (uint64_t)random() % 512;
		for (unsigned word = 0; word < 64 && i % 16 == 0; word++)
			f.stack[word] = some_word();
		some_state(&before);
		if (random() % 8)
			walk_note(&walk,
				  walk_memo_hash(before.frame.pc - (before.frame.is_return > 0),
						 before.generation),
				  some_rule());
		s = t = before;

		enum walk_simple result = walk_step_simply(&walk);
		uint32_t index = before.kernel_frame_count + before.frame_count;

		counts[result]++;
		if (result == WALK_NOT_SIMPLE) {
			assert_memory_equal(&s, &before, sizeof(s));
			continue;
		}
		assert_int_equal(walk_step(&other, WALK_AS_USUAL), result == WALK_ENDED);
		/* The place is of the step alone. */
		s.place = t.place;
		assert_memory_equal(&s, &t, sizeof(s));
		assert_int_equal(simple->frames[index], whole->frames[index]);
	}
	assert_true(counts[WALK_TAKEN] > 10000);
	assert_true(counts[WALK_ENDED] > 10000);
	assert_true(counts[WALK_NOT_SIMPLE] > 10000);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		TEST(remembers_what_it_would_find),
		TEST(remembers_when_the_table_is_gone),
		TEST(forgets_that_there_was_nothing),
		TEST(halves_that_do_not_belong_together_are_nothing),
		TEST(a_line_remembers_the_four_that_came_last),
		TEST(no_two_places_look_alike),
		TEST(steps_simply_where_it_would_step_so),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
