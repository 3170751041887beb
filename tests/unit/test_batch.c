/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "store/batch_private.h"

enum { MEMORY = 8 << 20 };

static const struct str type = { "process_cpu:cpu:nanoseconds:cpu:nanoseconds", 43 };

static int set_up(void **state)
{
	struct batch *batch = NULL;
	int err = batch_new(MEMORY, &batch);

	*state = batch;
	return err;
}

static int tear_down(void **state)
{
	batch_free(*state);
	return 0;
}

static struct str label_name(const struct batch *batch, int64_t set, size_t place)
{
	const uint32_t *pairs = (const void *)pool_get(&batch->label_sets, (uint32_t)set).text;

	return pool_get(&batch->texts, pairs[2 * place]);
}

static void label_sets_are_sorted_and_found_again(void **state)
{
	struct batch *batch = *state;
	const struct label forward[] = { { STR("a"), STR("1") }, { STR("b"), STR("2") } };
	const struct label backward[] = { { STR("b"), STR("2") },
					  { STR("none"), { "", 0 } },
					  { STR("a"), STR("1") } };
	const struct label twice[] = { { STR("a"), STR("1") }, { STR("a"), STR("2") } };
	const struct label unnamed[] = { { { "", 0 }, STR("1") } };
	int64_t set = batch_add_labels(batch, forward, 2);

	assert_int_equal(set, 0);
	assert_int_equal(batch_add_labels(batch, backward, 3), set);
	assert_int_equal(batch_add_labels(batch, NULL, 0), 1);
	assert_true(str_equal(label_name(batch, set, 0), STR("a")));
	assert_true(str_equal(label_name(batch, set, 1), STR("b")));
	assert_int_equal(batch_add_labels(batch, twice, 2), -EINVAL);
	assert_int_equal(batch_add_labels(batch, unnamed, 1), -EINVAL);
	assert_int_equal(pool_count(&batch->label_sets), 2);
}

static void times_and_samples_are_those_of_all_entries(void **state)
{
	struct batch *batch = *state;
	const uint16_t times[] = { 0, 250, 65000 };
	struct batch_entry entry = { .count = 3, .value = 3, .times_ms = times };

	assert_int_equal(batch_add_labels(batch, NULL, 0), 0);
	assert_int_equal(batch_add_series(batch, 0, type, 1), 0);
	assert_int_equal(batch_add_stack(batch, NULL, 0, 0), 0);
	assert_int_equal(batch_add_entry(batch, &entry), 0);
	batch_shift_times(batch, 1000);
	assert_int_equal(batch_add_entry(batch, &entry), 0);
	assert_int_equal(batch->times.items[0], 1000);
	assert_int_equal(batch->times.items[1], 1250);
	assert_int_equal(batch->times.items[2], UINT16_MAX);
	assert_int_equal(batch->times.items[3], 0);
	assert_int_equal(batch_totals(batch).samples, 6);
	batch_clear(batch);
	assert_int_equal(batch_totals(batch).samples, 0);
	assert_int_equal(batch_totals(batch).entries, 0);
}

static void refuses_what_refers_to_nothing(void **state)
{
	struct batch *batch = *state;
	struct identity identity = { .kind = IDENTITY_GNU_BUILD_ID, .size = 20 };
	struct batch_place places[] = { { 0, 1 }, { 7, 2 } };
	uint32_t numbers[2] = { 9, 9 };
	struct batch_entry entry = { .count = 1, .value = 1 };

	assert_int_equal(batch_add_series(batch, 0, type, 1), -EINVAL);
	assert_int_equal(batch_add_location(batch, 0, 1), -EINVAL);
	assert_int_equal(batch_add_build(batch, (enum build_kind)0, &identity, STR("x")), -EINVAL);
	assert_int_equal(batch_add_build(batch, BUILD_FILE, &identity, STR("x")), 0);
	assert_int_equal(batch_add_locations(batch, places, 2, numbers), -EINVAL);
	assert_int_equal(batch_add_stack(batch, &(uint32_t){ 0 }, 1, 0), -EINVAL);
	assert_int_equal(batch_add_named_location(batch, NULL, 0), -EINVAL);
	assert_int_equal(batch_add_location(batch, 0, 1), 0);
	assert_int_equal(batch_add_stack(batch, &(uint32_t){ 0 }, 1, 2), -EINVAL);
	assert_int_equal(batch_add_stack(batch, &(uint32_t){ 0 }, 1, STACK_TRUNCATED), 0);
	assert_int_equal(batch_add_entry(batch, &entry), -EINVAL);
	assert_int_equal(batch_add_labels(batch, NULL, 0), 0);
	assert_int_equal(batch_add_series(batch, 0, (struct str){ "", 0 }, 1), -EINVAL);
	assert_int_equal(batch_add_series(batch, 0, type, 1), 0);
	assert_int_equal(batch_add_entry(batch, &entry), 0);
	entry.stack = 1;
	assert_int_equal(batch_add_entry(batch, &entry), -EINVAL);
	assert_int_equal(batch->items.count, 1);
}

/* One by one or all at once, new or known: the same numbers, in the order of first appearance. */
static void locations_have_one_number_each(void **state)
{
	enum { COUNT = 3000, DEPTH = 100 };
	struct batch *batch = *state;
	struct identity identity = { .kind = IDENTITY_GNU_BUILD_ID, .size = 20 };

	assert_int_equal(batch_add_build(batch, BUILD_FILE, &identity, STR("/a")), 0);
	assert_int_equal(batch_add_build(batch, BUILD_FILE, &identity, STR("/b")), 1);
	for (uint32_t first = 0; first < COUNT; first += DEPTH / 2) {
		struct batch_place places[DEPTH];
		uint32_t numbers[DEPTH];

		/* Half of them are the last ones of the call before. */
		for (uint32_t i = 0; i < DEPTH; i++)
			places[i] = (struct batch_place){ (first + i) % 2,
							  (first + i) / 2 * UINT64_C(0x100000001) };
		assert_int_equal(batch_add_locations(batch, places, DEPTH, numbers), 0);
		for (uint32_t i = 0; i < DEPTH; i++) {
			assert_int_equal(numbers[i], first + i);
			assert_int_equal(
				batch_add_location(batch, places[i].build, places[i].address),
				first + i);
		}
	}
	assert_int_equal(batch->locations.items.count, COUNT + DEPTH / 2);
	assert_int_equal(batch->locations.items.items[1234].address, 617 * UINT64_C(0x100000001));
	/* A location that brings its name is another thing than an address of the same number. */
	assert_int_equal(batch_add_named_location(
				 batch, &(struct named_line){ STR("f"), STR("f.py"), 3 }, 1),
			 COUNT + DEPTH / 2);
}

static void counts_its_memory_and_gives_it_back(void **state)
{
	struct batch *batch = *state;
	struct identity identity = { .kind = IDENTITY_GNU_BUILD_ID, .size = 20 };
	uint64_t counts[2] = { 0 };

	for (int round = 0; round < 2; round++) {
		int64_t err = batch_add_build(batch, BUILD_FILE, &identity, STR("/a"));

		for (uint64_t i = 0; err >= 0; i++) {
			err = batch_add_location(batch, 0, i);
			counts[round] = i;
		}
		assert_int_equal(err, -E2BIG);
		assert_true(batch->room < 64);
		/* What is there is found without room. */
		assert_int_equal(batch_add_location(batch, 0, 5), 5);
		batch_clear(batch);
		assert_int_equal(batch->room, MEMORY);
	}
	assert_true(counts[0] > MEMORY / 64);
	assert_int_equal(counts[0], counts[1]);
}

static void entries_keep_their_times(void **state)
{
	struct batch *batch = *state;
	const uint16_t times[] = { 1, 20, 999 };
	struct batch_entry entry = { .count = 3, .value = 30, .times_ms = times };

	assert_int_equal(batch_add_labels(batch, NULL, 0), 0);
	assert_int_equal(batch_add_series(batch, 0, type, 10), 0);
	assert_int_equal(batch_add_stack(batch, NULL, 0, 0), 0);
	assert_int_equal(batch_add_entry(batch, &entry), 0);
	entry.times_ms = NULL;
	assert_int_equal(batch_add_entry(batch, &entry), 0);
	entry.times_ms = times;
	entry.count = UINT64_MAX;
	assert_int_equal(batch_add_entry(batch, &entry), -E2BIG);
	assert_int_equal(batch->items.count, 2);
	assert_int_equal(batch->items.items[0].first_time, 0);
	assert_int_equal(batch->items.items[1].first_time, BATCH_NO_TIMES);
	assert_int_equal(batch->times.count, 3);
	assert_int_equal(batch->times.items[2], 999);
}

static void gaps_that_are_too_many_become_one(void **state)
{
	struct batch *batch = *state;

	batch_add_gap(batch, 10, 10, 1);
	assert_int_equal(batch->gaps.count, 0);
	for (int64_t i = 0; i < 2000; i++)
		batch_add_gap(batch, 10 * i, 10 * i + 5, 1);
	assert_int_equal(batch->gaps.count, 1024);
	assert_int_equal(batch->gaps.items[1023].from_unix_ms, 10230);
	assert_int_equal(batch->gaps.items[1023].to_unix_ms, 19995);
}

/* Many at once get the numbers that they get one by one, also where one is among them twice. */
static void adds_many_as_one_by_one(void **state)
{
	enum { COUNT = 1000, DIFFERENT = 300 };
	static char texts[COUNT][16];
	struct str items[COUNT];
	uint32_t numbers[COUNT];
	struct pool together;
	struct pool apart;

	(void)state;
	pool_init(&together, DIFFERENT, NULL);
	pool_init(&apart, DIFFERENT, NULL);
	for (unsigned i = 0; i < COUNT; i++) {
		int size = snprintf(texts[i], sizeof(texts[i]), "%u", i * 7919 % DIFFERENT);

		items[i] = (struct str){ texts[i], i ? (size_t)size : 0 };
	}
	/* 0 stands for the empty text, too: one is left out, one comes in. */
	assert_int_equal(pool_add_all(&together, items, DIFFERENT, numbers), 0);
	assert_int_equal(pool_add_all(&together, items, DIFFERENT, numbers), 0);
	for (unsigned i = 0; i < DIFFERENT; i++) {
		assert_int_equal(numbers[i], pool_add(&apart, items[i].text, items[i].size));
		assert_true(str_equal(pool_get(&together, numbers[i]), items[i]));
	}
	assert_int_equal(pool_count(&together), DIFFERENT);
	/* "0" is new, and there is no room for it. */
	assert_int_equal(pool_add_all(&together, items, COUNT, numbers), -E2BIG);
	assert_int_equal(pool_count(&together), DIFFERENT);
	assert_int_equal(numbers[DIFFERENT - 1], DIFFERENT - 1);
	pool_done(&together);
	pool_done(&apart);
}

static void label_sets_may_be_given_as_texts(void **state)
{
	autoclean(batch) struct batch *batch = NULL;
	const struct label labels[] = { { STR("tid"), STR("7") }, { STR("pid"), STR("1") } };
	struct batch_label numbers[3];

	(void)state;
	assert_int_equal(batch_new(1 << 20, &batch), 0);

	int64_t set = batch_add_labels(batch, labels, 2);

	assert_true(set >= 0);
	/* In any order it is the same set. */
	for (size_t i = 0; i < 2; i++) {
		numbers[1 - i].name = (uint32_t)batch_add_text(batch, labels[i].name);
		numbers[1 - i].value = (uint32_t)batch_add_text(batch, labels[i].value);
	}
	assert_int_equal(batch_add_label_set(batch, numbers, 2), set);
	assert_int_equal(batch_add_label_set(batch, NULL, 0), batch_add_labels(batch, NULL, 0));
	/* Another value is another set, a name that is there already none. */
	numbers[2] = (struct batch_label){ numbers[0].name, numbers[1].value };
	assert_int_equal(batch_add_label_set(batch, numbers, 3), -EINVAL);
	assert_true(batch_add_label_set(batch, numbers + 2, 1) > set);
	/* Nor one of texts that nobody added, or that are empty. */
	numbers[2].value = 1000;
	assert_int_equal(batch_add_label_set(batch, numbers + 2, 1), -EINVAL);
	numbers[2].value = (uint32_t)batch_add_text(batch, STR(""));
	assert_int_equal(batch_add_label_set(batch, numbers + 2, 1), -EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(label_sets_may_be_given_as_texts),
		cmocka_unit_test_setup_teardown(label_sets_are_sorted_and_found_again, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(times_and_samples_are_those_of_all_entries, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(refuses_what_refers_to_nothing, set_up, tear_down),
		cmocka_unit_test(adds_many_as_one_by_one),
		cmocka_unit_test_setup_teardown(locations_have_one_number_each, set_up, tear_down),
		cmocka_unit_test_setup_teardown(counts_its_memory_and_gives_it_back, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(entries_keep_their_times, set_up, tear_down),
		cmocka_unit_test_setup_teardown(gaps_that_are_too_many_become_one, set_up,
						tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
