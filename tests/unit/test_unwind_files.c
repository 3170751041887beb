/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "bpf/walk_layout.h"
#include "collector/unwind_files.h"
#include "tests/support/small_table.h"

#define SECOND ((uint64_t)CLOCK_NS_PER_S)

struct fixture {
	void *memory;
	struct lines *lines;
	struct walk_file *shown;
	struct walk_known_bucket *known;
	uint64_t *rules;
	struct unwind_files *files;
	uint64_t now_ns;
};

static struct fixture fixture;
static _Alignas(8) uint8_t table[SMALL_TABLE_SIZE_MAX];

static void *add_chunk(void *context, uint32_t number)
{
	(void)context;
	assert_int_equal(number, 0);
	return fixture.memory = calloc(1, WALK_CHUNK_SIZE);
}

static int set_up(void **state)
{
	(void)state;
	fixture = (struct fixture){ 0 };
	fixture.shown = calloc(WALK_FILE_COUNT_MAX, sizeof(fixture.shown[0]));
	fixture.known = calloc(WALK_KNOWN_BUCKET_COUNT, sizeof(fixture.known[0]));
	fixture.rules = calloc(UNWIND_RULE_COUNT_MAX, sizeof(fixture.rules[0]));
	return lines_new(add_chunk, NULL, WALK_CHUNK_SIZE, &fixture.lines) ||
	       unwind_files_new(fixture.lines, fixture.shown, fixture.rules, fixture.known,
				&fixture.files);
}

static int tear_down(void **state)
{
	(void)state;
	unwind_files_free(fixture.files);
	lines_free(fixture.lines);
	free(fixture.memory);
	free(fixture.shown);
	free(fixture.known);
	free(fixture.rules);
	return 0;
}

static uint64_t rule_of_sp(int offset)
{
	return unwind_rule(UNWIND_CFA_SP, 0, UNWIND_FP_SAME, UNWIND_RA_SAVED, 0, offset);
}

/* As the walk does it. */
static uint64_t find_rule(uint32_t number, uint64_t offset)
{
	const struct walk_file *file = &fixture.shown[number];
	uint64_t page = (offset >> UNWIND_PAGE_SHIFT) - file->page_first;

	assert_int_equal(file->state, WALK_FILE_PRESENT);
	if (page >= file->page_count)
		return 0;

	const uint32_t *words = lines_at(fixture.lines, file->words);

	if (!words[page])
		return 0;
	return fixture.rules[unwind_find(
		lines_chunk(fixture.lines, words[page] >> UNWIND_PAGE_LINE_SHIFT),
		WALK_CHUNK_LINE_COUNT - 1, words[page], offset)];
}

static void put(uint32_t number, uint8_t identity, uint32_t page_count)
{
	struct identity id = small_identity(identity);
	const struct small_row rows[] = {
		{ 3, 0x100, rule_of_sp(8) },
		{ 3, 0x104, rule_of_sp(16 + 8 * identity) },
		{ 3, 0x200, 0 },
		{ 4, 0x0, rule_of_sp(24) },
	};
	size_t size = small_table(&id, 3, page_count, rows, 4, table);

	assert_int_equal(unwind_files_put(fixture.files, number, table, size), 0);
}

static void shows_a_table_under_the_hosts_rule_numbers(void **state)
{
	struct identity first = small_identity(1), second = small_identity(2);
	struct unwind_files_stats stats;

	(void)state;

	uint32_t a = unwind_files_take(fixture.files, &first);
	uint32_t b = unwind_files_take(fixture.files, &second);

	assert_int_not_equal(a, WALK_FILE_NONE);
	assert_int_not_equal(a, b);
	assert_int_equal(unwind_files_take(fixture.files, &first), a);
	assert_int_equal(fixture.shown[a].state, WALK_FILE_EXPECTED);
	put(a, 1, 2);
	put(b, 2, 2);
	assert_int_equal(find_rule(a, 0x300ff), 0);
	assert_int_equal(find_rule(a, 0x30100), rule_of_sp(8));
	assert_int_equal(find_rule(a, 0x30103), rule_of_sp(8));
	assert_int_equal(find_rule(a, 0x30150), rule_of_sp(24));
	assert_int_equal(find_rule(a, 0x30200), 0);
	assert_int_equal(find_rule(a, 0x4ffff), rule_of_sp(24));
	assert_int_equal(find_rule(a, 0x50000), 0);
	assert_int_equal(find_rule(a, 0x10000), 0);
	assert_int_equal(find_rule(b, 0x30150), rule_of_sp(32));
	/* Equal rules of two files have one number: none, 8, 24, 32. */
	unwind_files_stats(fixture.files, &stats);
	assert_int_equal(stats.rules, 4);
	assert_int_equal(stats.tables, 2);
}

static void refuses_what_is_no_table_of_this_file(void **state)
{
	struct identity mine = small_identity(1), other = small_identity(2);
	const struct small_row row = { 0, 0, rule_of_sp(8) };

	(void)state;

	uint32_t number = unwind_files_take(fixture.files, &mine);
	size_t size = small_table(&other, 0, 1, &row, 1, table);

	assert_int_equal(unwind_files_put(fixture.files, number, table, size), -EBADMSG);
	assert_int_equal(fixture.shown[number].state, WALK_FILE_WITHOUT_TABLE);
	size = small_table(&mine, 0, 1, &row, 1, table);
	assert_int_equal(unwind_files_put(fixture.files, number, table, size - 1), -EBADMSG);
	assert_int_equal(unwind_files_put(fixture.files, 0, table, size), -EBADMSG);
	assert_int_equal(unwind_files_put(fixture.files, 999, table, size), -EBADMSG);
	assert_int_equal(unwind_files_put(fixture.files, number, table, size), 0);
	assert_int_equal(unwind_files_put(fixture.files, number, table, size), -EALREADY);
	assert_int_equal(find_rule(number, 5), rule_of_sp(8));
}

static void asks_once_and_again_after_a_while(void **state)
{
	struct identity id = small_identity(1);

	(void)state;
	unwind_files_tick(fixture.files, SECOND);

	uint32_t number = unwind_files_take(fixture.files, &id);

	assert_true(unwind_files_wants(fixture.files, number));
	unwind_files_asked(fixture.files, number, 0);
	assert_false(unwind_files_wants(fixture.files, number));
	unwind_files_forget_questions(fixture.files);
	assert_true(unwind_files_wants(fixture.files, number));
	unwind_files_asked(fixture.files, number, 0);
	unwind_files_refuse(fixture.files, number, &id, -EAGAIN);
	assert_int_equal(fixture.shown[number].state, WALK_FILE_WITHOUT_TABLE);
	assert_false(unwind_files_wants(fixture.files, number));
	unwind_files_tick(fixture.files, 60 * SECOND);
	assert_true(unwind_files_wants(fixture.files, number));
	/* Nobody answers. */
	unwind_files_asked(fixture.files, number, 0);
	unwind_files_tick(fixture.files, 200 * SECOND);
	assert_int_equal(fixture.shown[number].state, WALK_FILE_WITHOUT_TABLE);
	/* For good. */
	unwind_files_refuse(fixture.files, number, &id, -ENODATA);
	unwind_files_tick(fixture.files, 10000 * SECOND);
	assert_false(unwind_files_wants(fixture.files, number));
}

/* 4 MiB hold no more than 100 of these; those used last stay. */
static void evicts_what_was_used_longest_ago(void **state)
{
	enum { FILE_COUNT = 20, PAGES = 600 };
	uint32_t numbers[FILE_COUNT];
	uint64_t now = SECOND;
	struct unwind_files_stats stats;
	struct lines_stats memory;
	unsigned present = 0;

	(void)state;
	for (uint8_t round = 0; round < 200; round++) {
		struct identity id = small_identity(round);
		uint32_t number = unwind_files_take(fixture.files, &id);
		const struct small_row row = { 0, 0, rule_of_sp(8 + 8 * round) };
		size_t size = small_table(&id, 0, PAGES, &row, 1, table);

		unwind_files_tick(fixture.files, now += 4 * SECOND);
		lines_settle(fixture.lines, now);
		assert_int_equal(unwind_files_put(fixture.files, number, table, size), 0);
		assert_int_equal(find_rule(number, (PAGES - 1) * 65536), rule_of_sp(8 + 8 * round));
		/* One is always in use. */
		if (round > 0) {
			struct identity first = small_identity(0);

			unwind_files_touch(fixture.files, &first);
		}
		numbers[round % FILE_COUNT] = number;
		unwind_files_release(fixture.files, number);
	}
	unwind_files_stats(fixture.files, &stats);
	lines_stats(fixture.lines, &memory);
	assert_true(stats.evicted > 50);
	assert_int_equal(stats.put, 200);
	assert_int_equal(stats.tables + stats.evicted, 200);
	assert_true(memory.used <= WALK_CHUNK_SIZE);
	assert_int_equal(memory.reserved, WALK_CHUNK_SIZE);
	for (unsigned i = 0; i < FILE_COUNT; i++)
		present += fixture.shown[numbers[i]].state == WALK_FILE_PRESENT;
	assert_int_equal(present, FILE_COUNT);
	assert_int_equal(fixture.shown[1].state, WALK_FILE_PRESENT);
	assert_int_equal(fixture.shown[2].state, WALK_FILE_EXPECTED);
}

/*
 * The server was restarted, so that a table was asked for twice: it is refused, and then it comes.
 * What the refusal put off is no reason to ask again, and again, for what is there.
 */
static void takes_the_last_answer(void **state)
{
	struct identity id = small_identity(1);
	const struct small_row row = { 0, 0, rule_of_sp(8) };

	(void)state;
	unwind_files_tick(fixture.files, SECOND);

	uint32_t number = unwind_files_take(fixture.files, &id);
	size_t size = small_table(&id, 0, 1, &row, 1, table);

	unwind_files_asked(fixture.files, number, 0);
	unwind_files_forget_questions(fixture.files);
	unwind_files_asked(fixture.files, number, 0);
	unwind_files_refuse(fixture.files, number, &id, -EAGAIN);
	assert_int_equal(fixture.shown[number].state, WALK_FILE_WITHOUT_TABLE);
	assert_int_equal(unwind_files_put(fixture.files, number, table, size), 0);
	for (uint64_t now = 1; now < 100; now++) {
		unwind_files_tick(fixture.files, now * SECOND);
		assert_int_equal(fixture.shown[number].state, WALK_FILE_PRESENT);
		assert_false(unwind_files_wants(fixture.files, number));
	}
	assert_int_equal(unwind_files_put(fixture.files, number, table, size), -EALREADY);
	assert_int_equal(fixture.shown[number].state, WALK_FILE_PRESENT);
}

static void asks_no_more_than_once_a_second(void **state)
{
	struct identity id = small_identity(1);

	(void)state;
	unwind_files_tick(fixture.files, 10 * SECOND);

	uint32_t number = unwind_files_take(fixture.files, &id);

	unwind_files_asked(fixture.files, number, 0);
	unwind_files_forget_questions(fixture.files);
	assert_true(unwind_files_wants(fixture.files, number));
	unwind_files_asked(fixture.files, number, 0);
	put(number, 1, 2);
	/* As the walk sees a table that was evicted after a minute, used just now. */
	fixture.shown[number].state = WALK_FILE_EXPECTED;
	assert_false(unwind_files_wants(fixture.files, number));
	unwind_files_tick(fixture.files, 11 * SECOND - 1);
	assert_false(unwind_files_wants(fixture.files, number));
	unwind_files_tick(fixture.files, 11 * SECOND);
	assert_true(unwind_files_wants(fixture.files, number));
}

static int try_to_put(uint32_t number, const struct identity *id, uint32_t page_count)
{
	const struct small_row row = { 0, 0, rule_of_sp(8) };
	size_t size = small_table(id, 0, page_count, &row, 1, table);

	return unwind_files_put(fixture.files, number, table, size);
}

/*
 * Four tables of which the memory holds two or three, all in use all the time: whoever lost asks
 * again after one second, two, four …, so that an hour costs some forty tables and not thousands.
 */
static void asks_less_often_for_what_finds_no_room(void **state)
{
	enum { PAGES = 20000 }; /* 80 kB of words and 1.3 MB of rows */
	struct identity ids[4];
	uint32_t numbers[4];
	unsigned asked = 0;
	struct unwind_files_stats stats;

	(void)state;
	unwind_files_tick(fixture.files, SECOND);
	for (uint8_t i = 0; i < 4; i++) {
		ids[i] = small_identity((uint8_t)(i + 1));
		numbers[i] = unwind_files_take(fixture.files, &ids[i]);
	}
	for (uint64_t now = 1; now < 3600; now++) {
		unwind_files_tick(fixture.files, now * SECOND);
		lines_settle(fixture.lines, now * SECOND);
		for (uint8_t i = 0; i < 4; i++) {
			unwind_files_touch(fixture.files, &ids[i]);
			if (!unwind_files_wants(fixture.files, numbers[i]))
				continue;
			unwind_files_asked(fixture.files, numbers[i], 0);
			asked++;
			(void)try_to_put(numbers[i], &ids[i], PAGES);
		}
	}
	unwind_files_stats(fixture.files, &stats);
	assert_int_equal(stats.asked, asked);
	assert_in_range(stats.no_room, 1, 60);
	assert_in_range(asked, 5, 80);
	assert_in_range(stats.tables, 1, 3);
}

/* The process that mapped it was gone before it could be opened; the next one is not. */
static void asks_soon_again_for_what_nobody_maps(void **state)
{
	struct identity id = small_identity(1);
	uint32_t number = unwind_files_take(fixture.files, &id);

	(void)state;
	unwind_files_tick(fixture.files, SECOND);
	unwind_files_put_off(fixture.files, number);
	assert_int_equal(fixture.shown[number].state, WALK_FILE_WITHOUT_TABLE);
	unwind_files_tick(fixture.files, 2 * SECOND);
	assert_true(unwind_files_wants(fixture.files, number));
	unwind_files_put_off(fixture.files, number);
	unwind_files_tick(fixture.files, 3 * SECOND);
	assert_false(unwind_files_wants(fixture.files, number));
	unwind_files_tick(fixture.files, 4 * SECOND);
	assert_true(unwind_files_wants(fixture.files, number));
	put(number, 1, 2);
	/* What is there stays. */
	unwind_files_put_off(fixture.files, number);
	assert_int_equal(fixture.shown[number].state, WALK_FILE_PRESENT);
}

/*
 * A host that runs three times more than there is room for, all of it all the time: what it asks
 * for in the long run is no more than each file once in three minutes, whatever comes and goes.
 */
static void asks_little_when_there_is_never_room(void **state)
{
	enum { PAGES = 2500, FILE_COUNT = 64, TIME = 3600 }; /* 170 kB each, of 4 MiB */
	struct identity ids[FILE_COUNT];
	uint32_t numbers[FILE_COUNT];
	unsigned late_asked = 0;
	struct unwind_files_stats stats;

	(void)state;
	unwind_files_tick(fixture.files, SECOND);
	for (uint8_t i = 0; i < FILE_COUNT; i++) {
		ids[i] = small_identity((uint8_t)(i + 1));
		numbers[i] = unwind_files_take(fixture.files, &ids[i]);
	}
	for (uint64_t now = 1; now < TIME; now++) {
		unwind_files_tick(fixture.files, now * SECOND);
		lines_settle(fixture.lines, now * SECOND);
		for (uint8_t i = 0; i < FILE_COUNT; i++) {
			/* Some are hotter than others. */
			if (i < 8 || now % i == 0)
				unwind_files_touch(fixture.files, &ids[i]);
			if (!unwind_files_wants(fixture.files, numbers[i]))
				continue;
			unwind_files_asked(fixture.files, numbers[i], 0);
			late_asked += now >= TIME / 2;
			(void)try_to_put(numbers[i], &ids[i], PAGES);
		}
	}
	unwind_files_stats(fixture.files, &stats);
	print_message("# %u files asked for %u times in half an hour, %llu tables held\n",
		      FILE_COUNT, late_asked, (unsigned long long)stats.tables);
	assert_true(stats.tables > 10);
	assert_in_range(late_asked, 1, FILE_COUNT * TIME / 2 / 180);
}

/* It would take the place of all others, again and again. */
static void refuses_a_table_of_more_than_half_the_memory(void **state)
{
	struct identity small = small_identity(1), large = small_identity(2);
	struct unwind_files_stats stats;

	(void)state;
	unwind_files_tick(fixture.files, SECOND);

	uint32_t a = unwind_files_take(fixture.files, &small);
	uint32_t b = unwind_files_take(fixture.files, &large);

	assert_int_equal(try_to_put(a, &small, 2), 0);
	unwind_files_asked(fixture.files, b, 0);
	assert_int_equal(try_to_put(b, &large, 32000), -ENOSPC);
	assert_int_equal(fixture.shown[a].state, WALK_FILE_PRESENT);
	assert_int_equal(fixture.shown[b].state, WALK_FILE_WITHOUT_TABLE);
	unwind_files_tick(fixture.files, 500 * SECOND);
	assert_false(unwind_files_wants(fixture.files, b));
	unwind_files_tick(fixture.files, 600 * SECOND);
	assert_true(unwind_files_wants(fixture.files, b));
	unwind_files_stats(fixture.files, &stats);
	assert_int_equal(stats.no_room, 1);
	assert_int_equal(stats.evicted, 0);
}

/* As the walk does it. */
static uint32_t find_known(uint64_t hash)
{
	return walk_known_find(&fixture.known[walk_known_place(hash)], hash);
}

/* In one bucket with others of the same. */
static uint64_t known_hash(uint64_t number)
{
	return UINT64_C(0x80000005) << 32 | number << 14;
}

static void ask_and_put(uint32_t number, uint8_t identity, uint64_t hash)
{
	unwind_files_asked(fixture.files, number, hash);
	put(number, identity, 2);
}

static void shows_files_by_what_the_kernel_knows_of_them(void **state)
{
	struct identity first = small_identity(1), second = small_identity(2);
	uint64_t hash = walk_file_hash(12, 3456, walk_file_time(7, 8), walk_file_time(9, 10));

	(void)state;
	/* Each of the four tells files apart, and bits of the kernel's own don't. */
	assert_int_not_equal(hash,
			     walk_file_hash(13, 3456, walk_file_time(7, 8), walk_file_time(9, 10)));
	assert_int_not_equal(hash,
			     walk_file_hash(12, 3457, walk_file_time(7, 8), walk_file_time(9, 10)));
	assert_int_not_equal(hash,
			     walk_file_hash(12, 3456, walk_file_time(7, 9), walk_file_time(9, 10)));
	assert_int_not_equal(
		hash, walk_file_hash(12, 3456, walk_file_time(7, 8), walk_file_time(10, 10)));
	assert_int_equal(hash, walk_file_hash(12, 3456, walk_file_time(7, 8),
					      walk_file_time(9, 10 | 1U << 31)));

	uint32_t a = unwind_files_take(fixture.files, &first);
	uint32_t b = unwind_files_take(fixture.files, &second);

	unwind_files_asked(fixture.files, a, hash);
	assert_int_equal(find_known(hash), WALK_FILE_UNKNOWN);
	put(a, 1, 2);
	assert_int_equal(find_known(hash), a);
	assert_true(unwind_files_knows(fixture.files, &first));
	assert_false(unwind_files_knows(fixture.files, &second));
	/* Who is there first stays. */
	ask_and_put(b, 2, hash);
	assert_int_equal(find_known(hash), a);
	assert_false(unwind_files_knows(fixture.files, &second));
}

/* How often a copy with each of these hashes was asked about, one hash a second. */
static unsigned ask_about_copies(uint32_t number, uint8_t identity, unsigned first, unsigned count)
{
	struct identity id = small_identity(identity);
	unsigned asked = 0;

	for (unsigned i = 0; i < count; i++) {
		fixture.now_ns += SECOND;
		unwind_files_tick(fixture.files, fixture.now_ns);
		if (unwind_files_wants_copy(fixture.files, &id) == WALK_FILE_NONE ||
		    !unwind_files_saw_copy(fixture.files, number, known_hash(first + i)))
			continue;
		unwind_files_asked(fixture.files, number, known_hash(first + i));
		assert_int_equal(try_to_put(number, &id, 2), -EALREADY);
		asked++;
	}
	return asked;
}

/* A host's library and the same one in a container: either is found, and is the same table. */
static void copies_of_a_file_are_known(void **state)
{
	struct identity identity = small_identity(1), other = small_identity(2);
	uint32_t number = unwind_files_take(fixture.files, &identity);

	(void)state;
	fixture.now_ns = SECOND;
	unwind_files_tick(fixture.files, fixture.now_ns);
	/* None is looked for while there is no table that it could find. */
	assert_int_equal(unwind_files_wants_copy(fixture.files, &identity), WALK_FILE_NONE);
	assert_int_equal(unwind_files_wants_copy(fixture.files, &other), WALK_FILE_NONE);
	ask_and_put(number, 1, known_hash(1));
	assert_int_equal(unwind_files_wants_copy(fixture.files, &identity), number);
	/* The one that is known, and one that can't be told. */
	assert_false(unwind_files_saw_copy(fixture.files, number, known_hash(1)));
	assert_int_equal(unwind_files_wants_copy(fixture.files, &identity), WALK_FILE_NONE);
	assert_false(unwind_files_saw_copy(fixture.files, number, 0));
	assert_int_equal(ask_about_copies(number, 1, 2, 1), 1);
	assert_int_equal(find_known(known_hash(1)), number);
	assert_int_equal(find_known(known_hash(2)), number);
	assert_int_equal(fixture.shown[number].state, WALK_FILE_PRESENT);
	/* Asked less and less often: after 2 s, 4, 8, 16 and 32. */
	fixture.now_ns += 60 * SECOND;
	assert_int_equal(ask_about_copies(number, 1, 3, 90), 6);
	/* Of nine the first gave way. */
	assert_int_equal(find_known(known_hash(1)), number);
	assert_int_equal(find_known(known_hash(3)), number);
	fixture.now_ns += 60 * SECOND;
	assert_int_equal(ask_about_copies(number, 1, 500, 1), 1);
	assert_int_equal(find_known(known_hash(1)), WALK_FILE_UNKNOWN);
	assert_int_equal(find_known(known_hash(2)), number);
	assert_int_equal(find_known(known_hash(500)), number);
}

/* What was refused, or is of another file, is none; the table that is there stays. */
static void what_is_no_copy_is_not_known(void **state)
{
	struct identity identity = small_identity(1), other = small_identity(2);
	uint32_t number = unwind_files_take(fixture.files, &identity);

	(void)state;
	unwind_files_tick(fixture.files, SECOND);
	ask_and_put(number, 1, known_hash(1));
	assert_true(unwind_files_saw_copy(fixture.files, number, known_hash(2)));
	unwind_files_asked(fixture.files, number, known_hash(2));
	unwind_files_refuse(fixture.files, number, &identity, -ESTALE);
	assert_int_equal(try_to_put(number, &identity, 2), -EALREADY);
	assert_int_equal(find_known(known_hash(2)), WALK_FILE_UNKNOWN);
	unwind_files_asked(fixture.files, number, known_hash(3));
	assert_int_equal(try_to_put(number, &other, 2), -EBADMSG);
	assert_int_equal(find_known(known_hash(3)), WALK_FILE_UNKNOWN);
	/* Nobody answers: nothing waited. */
	unwind_files_asked(fixture.files, number, known_hash(4));
	unwind_files_tick(fixture.files, 1000 * SECOND);
	assert_int_equal(fixture.shown[number].state, WALK_FILE_PRESENT);
	assert_int_equal(find_known(known_hash(1)), number);
}

/* Of a file that can't be told nothing is known but its table. */
static void a_file_without_a_hash_is_not_known(void **state)
{
	struct identity identity = small_identity(1);
	uint32_t number = unwind_files_take(fixture.files, &identity);

	(void)state;
	ask_and_put(number, 1, 0);
	assert_int_equal(fixture.shown[number].state, WALK_FILE_PRESENT);
	assert_false(unwind_files_knows(fixture.files, &identity));
	for (uint32_t i = 0; i < WALK_KNOWN_BUCKET_COUNT; i++)
		for (uint32_t k = 0; k < WALK_KNOWN_BUCKET_SIZE; k++)
			assert_int_equal(fixture.known[i].files[k], 0);
}

/*
 * A file may have been replaced under its path: only who reads it can say that it is the one asked
 * for, and no walk may find another's table by it.
 */
static void what_was_refused_is_not_known(void **state)
{
	struct identity identity = small_identity(1);
	uint32_t number = unwind_files_take(fixture.files, &identity);

	(void)state;
	unwind_files_tick(fixture.files, SECOND);
	unwind_files_asked(fixture.files, number, known_hash(1));
	unwind_files_refuse(fixture.files, number, &identity, -ESTALE);
	put(number, 1, 2);
	assert_int_equal(find_known(known_hash(1)), WALK_FILE_UNKNOWN);
	assert_false(unwind_files_knows(fixture.files, &identity));
}

static void what_was_put_off_is_not_known(void **state)
{
	struct identity identity = small_identity(1);
	uint32_t number = unwind_files_take(fixture.files, &identity);

	(void)state;
	unwind_files_asked(fixture.files, number, known_hash(1));
	unwind_files_put_off(fixture.files, number);
	put(number, 1, 2);
	assert_int_equal(find_known(known_hash(1)), WALK_FILE_UNKNOWN);
}

/* The table of another file, or one that nobody asked this server for. */
static void what_was_answered_to_another_question_is_not_known(void **state)
{
	struct identity identity = small_identity(1), other = small_identity(2);
	uint32_t number = unwind_files_take(fixture.files, &identity);

	(void)state;
	unwind_files_asked(fixture.files, number, known_hash(1));
	assert_int_equal(try_to_put(number, &other, 2), -EBADMSG);
	assert_int_equal(find_known(known_hash(1)), WALK_FILE_UNKNOWN);

	unwind_files_asked(fixture.files, number, known_hash(2));
	unwind_files_forget_questions(fixture.files);
	put(number, 1, 2);
	assert_int_equal(find_known(known_hash(2)), WALK_FILE_UNKNOWN);
}

/* Twice, before the first answer came, and of another file the second time. */
static void what_was_asked_of_two_files_is_not_known(void **state)
{
	struct identity identity = small_identity(1);
	uint32_t number = unwind_files_take(fixture.files, &identity);

	(void)state;
	unwind_files_asked(fixture.files, number, known_hash(1));
	unwind_files_tick(fixture.files, 100 * SECOND);
	unwind_files_asked(fixture.files, number, known_hash(2));
	put(number, 1, 2);
	assert_int_equal(find_known(known_hash(1)), WALK_FILE_UNKNOWN);
	assert_int_equal(find_known(known_hash(2)), WALK_FILE_UNKNOWN);
}

/* As many files of one bucket as it holds, the first one used the longest ago. */
static void fill_bucket(uint32_t numbers[static WALK_KNOWN_BUCKET_SIZE])
{
	for (uint32_t i = 0; i < WALK_KNOWN_BUCKET_SIZE; i++) {
		struct identity identity = small_identity((uint8_t)(i + 1));

		unwind_files_tick(fixture.files, (i + 1) * SECOND);
		numbers[i] = unwind_files_take(fixture.files, &identity);
		ask_and_put(numbers[i], (uint8_t)(i + 1), known_hash(i + 1));
	}
}

/* All but one are still found, which no longer counts as known. */
static void assert_only_gone(const uint32_t numbers[static WALK_KNOWN_BUCKET_SIZE], uint32_t gone)
{
	for (uint32_t i = 0; i < WALK_KNOWN_BUCKET_SIZE; i++) {
		struct identity identity = small_identity((uint8_t)(i + 1));

		assert_int_equal(find_known(known_hash(i + 1)),
				 i == gone ? WALK_FILE_UNKNOWN : numbers[i]);
		assert_int_equal(unwind_files_knows(fixture.files, &identity), i != gone);
	}
}

/* What finds no place in its bucket is not known while all the others are of use. */
static void a_full_bucket_takes_no_more(void **state)
{
	enum { ONE_MORE = WALK_KNOWN_BUCKET_SIZE + 1 };
	struct identity identity = small_identity(ONE_MORE);
	uint32_t numbers[WALK_KNOWN_BUCKET_SIZE], more;

	(void)state;
	fill_bucket(numbers);
	more = unwind_files_take(fixture.files, &identity);
	ask_and_put(more, ONE_MORE, known_hash(ONE_MORE));
	assert_int_equal(find_known(known_hash(ONE_MORE)), WALK_FILE_UNKNOWN);
	assert_false(unwind_files_knows(fixture.files, &identity));
	assert_only_gone(numbers, WALK_KNOWN_BUCKET_SIZE);
}

/* Of those that nobody maps the coldest makes room for one that somebody runs. */
static void a_full_bucket_lets_go_of_what_is_of_no_use(void **state)
{
	enum { ONE_MORE = WALK_KNOWN_BUCKET_SIZE + 1 };
	struct identity identity = small_identity(ONE_MORE);
	uint32_t numbers[WALK_KNOWN_BUCKET_SIZE], more;

	(void)state;
	fill_bucket(numbers);
	unwind_files_release(fixture.files, numbers[5]);
	unwind_files_release(fixture.files, numbers[2]);
	unwind_files_release(fixture.files, numbers[3]);
	more = unwind_files_take(fixture.files, &identity);
	ask_and_put(more, ONE_MORE, known_hash(ONE_MORE));
	assert_int_equal(find_known(known_hash(ONE_MORE)), more);
	assert_true(unwind_files_knows(fixture.files, &identity));
	assert_only_gone(numbers, 2);
}

/* Its table is not here, whoever maps it. */
static void what_was_evicted_makes_room(void **state)
{
	enum { ONE_MORE = WALK_KNOWN_BUCKET_SIZE + 1 };
	struct identity identity = small_identity(ONE_MORE);
	uint32_t numbers[WALK_KNOWN_BUCKET_SIZE], more;

	(void)state;
	fill_bucket(numbers);
	fixture.shown[numbers[4]].state = WALK_FILE_EXPECTED;
	more = unwind_files_take(fixture.files, &identity);
	ask_and_put(more, ONE_MORE, known_hash(ONE_MORE));
	assert_int_equal(find_known(known_hash(ONE_MORE)), more);
	assert_only_gone(numbers, 4);
}

/* One file by two identities: whose walks find the table has it. */
static void the_same_file_goes_to_who_is_of_use(void **state)
{
	struct identity first = small_identity(1), second = small_identity(2);
	uint32_t a = unwind_files_take(fixture.files, &first);
	uint32_t b = unwind_files_take(fixture.files, &second);

	(void)state;
	ask_and_put(a, 1, known_hash(1));
	ask_and_put(b, 2, known_hash(1));
	assert_int_equal(find_known(known_hash(1)), a);
	unwind_files_release(fixture.files, a);

	struct identity third = small_identity(3);
	uint32_t c = unwind_files_take(fixture.files, &third);

	ask_and_put(c, 3, known_hash(1));
	assert_int_equal(find_known(known_hash(1)), c);
	assert_false(unwind_files_knows(fixture.files, &first));
	assert_true(unwind_files_knows(fixture.files, &third));
}

/* Another file gets the number of one that nobody maps: what was known of that is forgotten. */
static void a_number_of_another_file_is_not_known(void **state)
{
	struct identity identity = small_identity(1);
	uint32_t number = unwind_files_take(fixture.files, &identity);

	(void)state;
	ask_and_put(number, 1, known_hash(1));
	unwind_files_release(fixture.files, number);
	for (uint32_t i = 1; i < WALK_FILE_UNKNOWN; i++) {
		memcpy(&identity.bytes[2], &i, sizeof(i));
		identity.size = 2 + sizeof(i);

		uint32_t other = unwind_files_take(fixture.files, &identity);

		assert_int_not_equal(other, WALK_FILE_NONE);
		assert_int_not_equal(other, WALK_FILE_UNKNOWN);
		assert_int_equal(find_known(known_hash(1)),
				 other == number ? WALK_FILE_UNKNOWN : number);
		if (other == number)
			return;
	}
	fail_msg("the number was never another file's");
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		TEST(shows_files_by_what_the_kernel_knows_of_them),
		TEST(a_file_without_a_hash_is_not_known),
		TEST(what_was_refused_is_not_known),
		TEST(what_was_put_off_is_not_known),
		TEST(what_was_answered_to_another_question_is_not_known),
		TEST(what_was_asked_of_two_files_is_not_known),
		TEST(copies_of_a_file_are_known),
		TEST(what_is_no_copy_is_not_known),
		TEST(a_full_bucket_takes_no_more),
		TEST(a_full_bucket_lets_go_of_what_is_of_no_use),
		TEST(the_same_file_goes_to_who_is_of_use),
		TEST(what_was_evicted_makes_room),
		TEST(a_number_of_another_file_is_not_known),
		TEST(shows_a_table_under_the_hosts_rule_numbers),
		TEST(refuses_what_is_no_table_of_this_file),
		TEST(asks_once_and_again_after_a_while),
		TEST(evicts_what_was_used_longest_ago),
		TEST(takes_the_last_answer),
		TEST(asks_no_more_than_once_a_second),
		TEST(asks_less_often_for_what_finds_no_room),
		TEST(asks_soon_again_for_what_nobody_maps),
		TEST(asks_little_when_there_is_never_room),
		TEST(refuses_a_table_of_more_than_half_the_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
