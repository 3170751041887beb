/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A store that lives: a child appends, commits, seals and opens again at random, late data among
 * the rest, and is killed at any moment. What it was told is stored is there afterwards, all of
 * each batch or nothing, once, and every question gives what a naive sum of the batches gives.
 * Spans are written anew and rolled up meanwhile, so that ranges are of whole ten seconds. The
 * program's clocks are replaced when it is linked (--wrap): they go with the batches.
 */
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/folder.h"
#include "store/batch.h"
#include "store/selector.h"
#include "store/store.h"
#include "tests/support/tier.h"

enum {
	SECONDS = 15,
	SECONDS_LONG = 600,
	SERVICES = 4,
	ENTRIES_MAX = 30,
	DEPTH_MAX = 6,
	NAMES = 5,
	BATCHES_MAX = 4000, /* then a new store */
	ROUND_BATCHES_MAX = 300,
	PATH_SIZE = 64,
	QUESTIONS = 4,
	MEMORY = 16 << 20,
	SOURCE = 11,
};

#define START_MS   (INT64_C(1767225600) * 1000) /* 2026-01-01 */
#define MINUTES(n) ((n)*INT64_C(60000))
#define CPU	   "process_cpu:cpu:nanoseconds:cpu:nanoseconds"

static uint64_t mixed(uint64_t a, uint64_t b)
{
	uint64_t value = (a ^ (b + UINT64_C(0x9e3779b97f4a7c15))) * UINT64_C(0xbf58476d1ce4e5b9);

	value = (value ^ (value >> 27)) * UINT64_C(0x94d049bb133111eb);
	return value ^ (value >> 31);
}

static uint32_t draw(uint64_t *state, uint32_t limit)
{
	*state = mixed(*state, 1);
	return (uint32_t)(*state >> 33) % limit;
}

/* ---- time ----------------------------------------------------------------------------------- */

static _Atomic int64_t now_ms;

int64_t __wrap_clock_unix_ns(void);
uint64_t __wrap_clock_monotonic_ns(void);

int64_t __wrap_clock_unix_ns(void)
{
	return now_ms * CLOCK_NS_PER_MS;
}

uint64_t __wrap_clock_monotonic_ns(void)
{
	return (uint64_t)(now_ms - START_MS + MINUTES(60)) * CLOCK_NS_PER_MS;
}

static void set_clock(uint64_t number)
{
	now_ms = START_MS + (int64_t)number * MINUTES(1) / 2;
}

static uint64_t real_ns(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return (uint64_t)time.tv_sec * (uint64_t)CLOCK_NS_PER_S + (uint64_t)time.tv_nsec;
}

/* ---- batches, which are what the seed and their number make of them ---------------------------
 */

struct entry {
	uint32_t service;
	uint64_t count, value;
	uint32_t depth;
	uint8_t frames[DEPTH_MAX]; /* root first */
};

struct made {
	int64_t time_ms;
	uint32_t count;
	struct entry entries[ENTRIES_MAX];
};

/* Time goes on by up to a minute; one in twelve is hours late. */
static void make(uint64_t seed, uint64_t number, struct made *made)
{
	uint64_t state = mixed(seed, number);
	int64_t time_ms = START_MS + (int64_t)number * MINUTES(1) / 2 + draw(&state, 30000);

	if (draw(&state, 12) == 0)
		time_ms -= MINUTES(10) + draw(&state, 10) * MINUTES(60);
	*made = (struct made){ .time_ms = time_ms, .count = 1 + draw(&state, ENTRIES_MAX) };
	for (uint32_t i = 0; i < made->count; i++) {
		struct entry *entry = &made->entries[i];

		entry->service = draw(&state, SERVICES);
		entry->count = 1 + draw(&state, 5);
		/* Of some the value is not count times period. */
		entry->value = draw(&state, 3) ? entry->count * 10 : 1 + draw(&state, 100000);
		entry->depth = draw(&state, DEPTH_MAX + 1);
		for (uint32_t k = 0; k < entry->depth; k++)
			entry->frames[k] = (uint8_t)draw(&state, NAMES);
	}
}

static void put(const struct made *made, uint64_t number, struct batch *batch)
{
	batch_clear(batch);
	batch_set_time(batch, (struct batch_time){ made->time_ms, made->time_ms + 1000 });
	batch_set_source(batch, SOURCE, number);
	for (uint32_t i = 0; i < made->count; i++) {
		const struct entry *entry = &made->entries[i];
		char service[2] = { (char)('p' + entry->service), 0 };
		struct label label = { STR("service_name"), str_from(service) };
		uint32_t locations[DEPTH_MAX];
		int64_t none = batch_add_labels(batch, NULL, 0);
		int64_t labels = batch_add_labels(batch, &label, 1);
		int64_t series = batch_add_series(batch, (uint32_t)labels, STR(CPU), 10);

		for (uint32_t k = 0; k < entry->depth; k++) {
			char name[2] = { (char)('a' + entry->frames[k]), 0 };
			struct named_line line = { .function = str_from(name) };
			int64_t location = batch_add_named_location(batch, &line, 1);

			assert_true(location >= 0);
			locations[entry->depth - 1 - k] = (uint32_t)location;
		}

		int64_t stack = batch_add_stack(batch, locations, entry->depth, 0);

		assert_true(none >= 0 && labels >= 0 && series >= 0 && stack >= 0);
		assert_int_equal(
			batch_add_entry(batch,
					&(struct batch_entry){ .series = (uint32_t)series,
							       .sample_labels = (uint32_t)none,
							       .stack = (uint32_t)stack,
							       .count = entry->count,
							       .value = entry->value }),
			0);
	}
}

/* ---- the child --------------------------------------------------------------------------------
 */

static int open_store(const char *folder, uint64_t seed, struct store **ret)
{
	struct store_options options = { .folder = folder,
					 .span_ms = MINUTES(90),
					 .detail_ms =
						 seed % 4 ? MINUTES(30) : STORE_DETAIL_FOR_EVER,
					 .nodes_together = seed % 3 ? 0 : 1,
					 .fold = 1 };

	return store_open(&options, ret);
}

/* Ends by exit codes, since assertions are the parent's. */
static void live(const char *folder, uint64_t seed, uint64_t luck, uint64_t last, int acknowledged)
{
	struct store *store = NULL;
	struct batch *batch = NULL;
	struct made made;
	uint64_t number;

	set_clock(last);
	if (open_store(folder, seed, &store) || batch_new(MEMORY, &batch))
		_exit(2);
	number = store_committed_sequence(store, SOURCE) + 1;
	for (uint32_t i = 0; i < ROUND_BATCHES_MAX; i++, number++) {
		set_clock(number);
		make(seed, number, &made);
		put(&made, number, batch);
		if (store_append(store, batch))
			_exit(3);
		/* What is there is not taken again. */
		if (draw(&luck, 10) == 0 && store_append(store, batch) != -EALREADY)
			_exit(4);
		if (draw(&luck, 3))
			continue;
		if (store_commit(store))
			_exit(5);
		if (write(acknowledged, &number, sizeof(number)) != sizeof(number))
			_exit(6);
		if (draw(&luck, 40) == 0)
			(void)store_request_seal(store);
		for (uint32_t k = draw(&luck, 8); k < 3; k++)
			if (store_maintain(store, now_ms))
				_exit(7);
		if (draw(&luck, 60) == 0) {
			store_close(store);
			if (open_store(folder, seed, &store))
				_exit(8);
		}
	}
	store_close(store);
	_exit(0);
}

/* ---- the naive sum ----------------------------------------------------------------------------
 */

struct path {
	char text[PATH_SIZE];
	uint64_t value;
};

struct paths {
	struct path *items;
	size_t count, capacity;
};

static void add_path(struct paths *paths, const char *text, uint64_t value)
{
	if (paths->count == paths->capacity) {
		paths->capacity = paths->capacity ? 2 * paths->capacity : 1024;
		paths->items = reallocarray(paths->items, paths->capacity, sizeof(struct path));
		assert_non_null(paths->items);
	}
	snprintf(paths->items[paths->count].text, PATH_SIZE, "%s", text);
	paths->items[paths->count++].value = value;
}

static int compare_paths(const void *a, const void *b)
{
	return strcmp(((const struct path *)a)->text, ((const struct path *)b)->text);
}

/* Sorted, equal ones added up. */
static void settle(struct paths *paths)
{
	size_t count = 0;

	if (paths->count)
		qsort(paths->items, paths->count, sizeof(struct path), compare_paths);
	for (size_t i = 0; i < paths->count; i++)
		if (count && !strcmp(paths->items[count - 1].text, paths->items[i].text))
			paths->items[count - 1].value += paths->items[i].value;
		else
			paths->items[count++] = paths->items[i];
	paths->count = count;
}

struct asked {
	int64_t from_ms, to_ms;
	int service; /* -1: all */
};

static uint64_t sum_up(uint64_t seed, uint64_t last, const struct asked *asked, struct paths *paths)
{
	struct made made;
	uint64_t samples = 0;

	for (uint64_t number = 1; number <= last; number++) {
		make(seed, number, &made);
		if (made.time_ms < asked->from_ms || made.time_ms > asked->to_ms)
			continue;
		for (uint32_t i = 0; i < made.count; i++) {
			const struct entry *entry = &made.entries[i];
			char text[PATH_SIZE] = "";

			if (asked->service >= 0 && entry->service != (uint32_t)asked->service)
				continue;
			for (uint32_t k = 0; k < entry->depth; k++) {
				text[2 * k] = (char)('a' + entry->frames[k]);
				text[2 * k + 1] = ';';
			}
			add_path(paths, text, entry->value);
			samples += entry->count;
		}
	}
	settle(paths);
	return samples;
}

static void read_flame(const struct flame *flame, struct paths *paths)
{
	for (uint32_t i = 0; i < flame->node_count; i++) {
		char text[PATH_SIZE] = "";
		uint32_t depth = 0;

		if (flame->nodes[i].self == 0)
			continue;
		for (uint32_t node = i; node > 0; node = flame->nodes[node].parent)
			depth++;
		for (uint32_t node = i; node > 0; node = flame->nodes[node].parent) {
			struct str name = flame->names[flame->nodes[node].name];

			assert_int_equal(name.size, 1);
			depth--;
			text[2 * depth] = name.text[0];
			text[2 * depth + 1] = ';';
		}
		add_path(paths, text, flame->nodes[i].self);
	}
	settle(paths);
}

/* Whatever way they are read. frameless: of total, what is of stacks without any frame. */
static void assert_lists(struct store *store, const struct store_question *question, uint64_t total,
			 uint64_t frameless)
{
	const struct functions_options options = { .limit = 1000 };
	struct functions functions = { 0 };
	struct modules modules = { 0 };
	uint64_t self[2] = { 0 };
	uint64_t folded = 0;

	assert_int_equal(store_functions(store, question, &options, &functions), 0);
	assert_int_equal(store_modules(store, question, 1000, &modules), 0);
	for (uint32_t i = 0; i < functions.count; i++) {
		self[0] += functions.rows[i].self;
		if (str_equal(functions.rows[i].name, STR("folded")))
			folded += functions.rows[i].self;
	}
	for (uint32_t i = 0; i < modules.count; i++)
		self[1] += modules.rows[i].self;
	assert_int_equal(functions.total, total);
	assert_int_equal(self[0], total - frameless);
	assert_int_equal(modules.total, total);
	assert_int_equal(self[1], total - frameless - folded);
	assert_true(!question->is_exact || folded == 0);
	functions_done(&functions);
	modules_done(&modules);
}

static void assert_answers(struct store *store, uint64_t seed, uint64_t last,
			   const struct asked *asked)
{
	const struct flame_options options = { 0 };
	struct store_question question = { .type = STR(CPU),
					   .from_unix_ms = asked->from_ms,
					   .to_unix_ms = asked->to_ms,
					   .is_exact = true };
	struct store_grid grid = { .first_ms = asked->to_ms,
				   .step_ms = asked->to_ms - asked->from_ms + 1,
				   .point_count = 1 };
	struct selector *selector = NULL;
	struct paths expected = { 0 };
	struct paths found = { 0 };
	struct store_rows rows;
	struct flame flame;
	char error[SELECTOR_ERROR_SIZE];
	char text[32];
	uint64_t samples = sum_up(seed, last, asked, &expected);
	uint64_t total = 0, frameless = 0;

	snprintf(text, sizeof(text), "{service_name=\"%c\"}", 'p' + asked->service);
	if (asked->service >= 0)
		assert_int_equal(selector_parse(str_from(text), &selector, error), 0);
	question.selector = selector;
	assert_int_equal(store_flame(store, &question, &options, &flame), 0);
	read_flame(&flame, &found);
	assert_int_equal(flame.sample_count, samples);
	flame_done(&flame);
	assert_int_equal(found.count, expected.count);
	for (size_t i = 0; i < found.count; i++) {
		assert_string_equal(found.items[i].text, expected.items[i].text);
		assert_int_equal(found.items[i].value, expected.items[i].value);
		total += found.items[i].value;
		frameless += found.items[i].text[0] ? 0 : found.items[i].value;
	}
	/* Out of samples, and out of roll-ups: these are as exact. */
	for (int is_rolled = 0; is_rolled < 2; is_rolled++) {
		question.is_exact = !is_rolled;
		assert_int_equal(store_series(store, &question, NULL, 0, &grid, &rows), 0);
		assert_int_equal(rows.count, total > 0);
		if (total > 0)
			assert_int_equal(rows.rows[0].total, total);
		store_rows_done(&rows);
		assert_lists(store, &question, total, frameless);
	}
	selector_free(selector);
	free(expected.items);
	free(found.items);
}

/* ---- lives ------------------------------------------------------------------------------------
 */

/* The last batch that the child was told is on disk. */
static uint64_t let_live_and_kill(const char *folder, uint64_t seed, uint64_t *luck,
				  uint64_t before)
{
	/* Some die young. */
	struct timespec moment = { .tv_nsec = draw(luck, draw(luck, 4) ? 900000000 : 50000000) };
	uint64_t last = 0;
	uint64_t told = 0;
	int ends[2];
	int status = 0;

	assert_int_equal(pipe(ends), 0);

	pid_t child = fork();

	assert_true(child >= 0);
	if (child == 0) {
		close(ends[0]);
		live(folder, seed, *luck, before, ends[1]);
	}
	close(ends[1]);
	(void)nanosleep(&moment, NULL);
	(void)kill(child, SIGKILL);
	while (read(ends[0], &told, sizeof(told)) == sizeof(told))
		last = told;
	close(ends[0]);
	assert_int_equal(waitpid(child, &status, 0), child);
	/* It did its work or was killed; other codes name what failed. */
	assert_true((WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL) ||
		    (WIFEXITED(status) && WEXITSTATUS(status) == 0));
	return last;
}

/* Until nothing is left to be done in the background, or nearly. */
static void rest(struct store *store)
{
	struct store_status status;
	int quiet = 0;

	for (int i = 0; i < 1000 && quiet < 3; i++) {
		assert_int_equal(store_maintain(store, now_ms), 0);
		store_status(store, &status);
		quiet = status.is_compacting ? 0 : quiet + 1;
		if (!quiet)
			usleep(500);
	}
}

struct seen {
	uint32_t compact;
	uint64_t pieces;
};

static void check(const char *folder, uint64_t seed, uint64_t told, uint64_t *luck,
		  uint64_t *ret_last, struct seen *seen)
{
	struct store *store = NULL;
	struct store_status status;
	uint64_t last;

	set_clock(told);
	assert_int_equal(open_store(folder, seed, &store), 0);
	store_status(store, &status);
	assert_int_equal(status.damaged_count, 0);
	last = store_committed_sequence(store, SOURCE);
	assert_true(last >= told);

	int64_t end_ms = START_MS + (int64_t)last * MINUTES(1);

	set_clock(last);

	assert_answers(store, seed, last, &(struct asked){ 0, end_ms, -1 });
	if (draw(luck, 2))
		rest(store);
	for (int i = 0; i < QUESTIONS; i++) {
		int64_t from_ms = START_MS - MINUTES(600) +
				  (int64_t)draw(luck, (uint32_t)(last / 2 + 700)) * MINUTES(1);

		assert_answers(
			store, seed, last,
			&(struct asked){ from_ms,
					 from_ms + ((int64_t)draw(luck, 1678) + 1) * 10000 - 1,
					 (int)draw(luck, SERVICES + 1) - 1 });
	}
	store_status(store, &status);
	/* No question took a file for damaged, either. */
	assert_false(status.has_damage);
	assert_int_equal(status.damaged_count, 0);
	if (status.compact_spans > seen->compact)
		seen->compact = status.compact_spans;
	if (status.pieces > seen->pieces)
		seen->pieces = status.pieces;
	store_close(store);
	*ret_last = last;
}

static void what_was_acknowledged_is_there_once(void **state)
{
	/* Of the seed. */
	now_ms = (int64_t)(real_ns() / 1000);

	uint64_t luck = tier_seed();
	uint64_t end_ns = real_ns() + tier_number("HEARTH_MODEL_SECONDS", SECONDS, SECONDS_LONG) *
					      (uint64_t)CLOCK_NS_PER_S;
	struct seen seen = { 0 };
	uint32_t lives = 0;
	uint64_t batches = 0;

	(void)state;
	do {
		char folder[] = "/tmp/hearth-model-XXXXXX";
		uint64_t seed = mixed(luck, 7);
		uint64_t last = 0;
		uint64_t told = 0;

		assert_non_null(mkdtemp(folder));
		do {
			uint64_t now = let_live_and_kill(folder, seed, &luck, last);

			told = now > told ? now : told;
			luck = mixed(luck, 3);
			check(folder, seed, told, &luck, &last, &seen);
			lives++;
		} while (last < BATCHES_MAX && real_ns() < end_ns);
		batches += last;
		folder_remove(folder);
	} while (real_ns() < end_ns);
	printf("# %u lives, %llu batches; at most %u spans written anew, %llu pieces\n", lives,
	       (unsigned long long)batches, seen.compact, (unsigned long long)seen.pieces);
	assert_true(lives > 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_was_acknowledged_is_there_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
