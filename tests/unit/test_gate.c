/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <time.h>

#include <cmocka.h>

#include "base/clock.h"
#include "store/gate.h"
#include "tests/support/tier.h"

enum { SIZE = 100, THREADS = 8, COUNT_MAX = 5, ROUNDS = 400 };

static void init(struct gate *gate, uint32_t count_max)
{
	gate_init(gate, &(struct gate_limits){
				.size = SIZE, .size_beside = SIZE, .count_max = count_max });
}

static void more_than_there_is_waits_for_all_of_it(void **state)
{
	struct gate gate;
	uint64_t all = 0;
	uint64_t more = 0;
	uint64_t taken = 0;
	uint64_t peak = 0;

	(void)state;
	init(&gate, THREADS);
	assert_int_equal(gate_enter(&gate, 7 * SIZE, 0, &all), 0);
	assert_int_equal(all, 7 * SIZE);
	/* Nothing is left, and who gave up is no longer in anybody's way. */
	assert_int_equal(gate_enter(&gate, 1, clock_monotonic_ns() + 1000000, &more), -ETIMEDOUT);
	gate_leave(&gate, all);
	assert_int_equal(gate_enter(&gate, 1, clock_monotonic_ns() + 1000000, &more), 0);
	gate_figures(&gate, &taken, &peak);
	assert_int_equal(taken, 1);
	/* It is told as it was. */
	assert_int_equal(peak, 7 * SIZE);
	assert_int_equal(gate_enter(&gate, UINT64_MAX, clock_monotonic_ns() + 1000000, &all),
			 -ETIMEDOUT);
	gate_leave(&gate, more);
	gate_done(&gate);
}

static void no_more_are_inside_than_may_be(void **state)
{
	struct gate gate;
	uint64_t taken[3] = { 0 };

	(void)state;
	init(&gate, 2);
	assert_int_equal(gate_enter(&gate, 1, 0, &taken[0]), 0);
	assert_int_equal(gate_enter(&gate, 0, 0, &taken[1]), 0);
	assert_int_equal(gate_enter(&gate, 1, clock_monotonic_ns() + 1000000, &taken[2]),
			 -ETIMEDOUT);
	gate_leave(&gate, taken[1]);
	assert_int_equal(gate_enter(&gate, 1, clock_monotonic_ns() + 1000000, &taken[2]), 0);
	gate_leave(&gate, taken[0]);
	gate_leave(&gate, taken[2]);
	gate_done(&gate);
}

/* What can't wait leaves room for one, whatever that wants. */
static void those_inside_make_room_for_what_works_beside_them(void **state)
{
	struct gate gate;
	uint64_t taken[2] = { 0 };
	uint64_t sum = 0;
	uint64_t peak = 0;

	(void)state;
	init(&gate, THREADS);
	gate_occupy(&gate, SIZE / 2);
	assert_int_equal(gate_enter(&gate, SIZE / 4, 0, &taken[0]), 0);
	assert_int_equal(gate_enter(&gate, SIZE / 2, clock_monotonic_ns() + 1000000, &taken[1]),
			 -ETIMEDOUT);
	assert_int_equal(gate_enter(&gate, SIZE / 4, clock_monotonic_ns() + 1000000, &taken[1]), 0);
	gate_figures(&gate, &sum, &peak);
	assert_int_equal(sum, SIZE / 2);
	gate_leave(&gate, taken[1]);
	gate_leave(&gate, taken[0]);
	gate_occupy(&gate, SIZE);
	assert_int_equal(gate_enter(&gate, SIZE, 0, &taken[0]), 0);
	assert_int_equal(gate_enter(&gate, 0, clock_monotonic_ns() + 1000000, &taken[1]),
			 -ETIMEDOUT);
	gate_leave(&gate, taken[0]);
	gate_vacate(&gate, SIZE);
	gate_vacate(&gate, SIZE / 2);
	assert_int_equal(gate_enter(&gate, SIZE / 2, 0, &taken[0]), 0);
	assert_int_equal(gate_enter(&gate, SIZE / 2, clock_monotonic_ns() + 1000000, &taken[1]), 0);
	gate_leave(&gate, taken[0]);
	gate_leave(&gate, taken[1]);
	gate_done(&gate);
}

static int try_to_enter(struct gate *gate, uint64_t bytes, uint64_t *taken)
{
	return gate_enter(gate, bytes, clock_monotonic_ns() + 1000000, taken);
}

static void note_change(void *context, uint64_t taken, uint64_t occupied)
{
	*(uint64_t *)context = taken + occupied;
}

/* As files that are written to: much of it all the time, and then even more. */
static void what_lies_beside_them_leaves_the_least(void **state)
{
	struct gate gate;
	uint64_t taken[2] = { 0 };
	uint64_t told = 0;

	(void)state;
	gate_init(&gate, &(struct gate_limits){ .size = SIZE,
						.size_beside = 3 * SIZE,
						.size_least = SIZE / 4,
						.count_max = THREADS,
						.changed = note_change,
						.context = &told });
	gate_occupy(&gate, 2 * SIZE);
	assert_int_equal(told, 2 * SIZE);
	assert_int_equal(gate_occupied(&gate), 2 * SIZE);
	/* There is still room for all that questions may ever take, and no more. */
	assert_int_equal(try_to_enter(&gate, 1, &taken[0]), 0);
	assert_int_equal(told, 2 * SIZE + 1);
	assert_int_equal(try_to_enter(&gate, SIZE, &taken[1]), -ETIMEDOUT);
	assert_int_equal(try_to_enter(&gate, SIZE - 1, &taken[1]), 0);
	gate_leave(&gate, taken[1]);
	gate_occupy(&gate, SIZE / 2);
	assert_int_equal(try_to_enter(&gate, SIZE / 2, &taken[1]), -ETIMEDOUT);
	assert_int_equal(try_to_enter(&gate, SIZE / 2 - 1, &taken[1]), 0);
	gate_leave(&gate, taken[1]);
	gate_occupy(&gate, 9 * SIZE);
	assert_int_equal(try_to_enter(&gate, SIZE / 4, &taken[1]), -ETIMEDOUT);
	assert_int_equal(try_to_enter(&gate, SIZE / 4 - 1, &taken[1]), 0);
	gate_leave(&gate, taken[1]);
	gate_leave(&gate, taken[0]);
	gate_vacate(&gate, gate_occupied(&gate));
	assert_int_equal(told, 0);
	gate_done(&gate);
}

struct crowd {
	struct gate gate;
	_Atomic uint64_t inside; /* what they take */
	_Atomic uint32_t count;	 /* how many there are */
	_Atomic uint64_t too_many;
	_Atomic uint64_t entered;
	_Atomic uint64_t seed;
};

static void *come_and_go(void *context)
{
	struct crowd *crowd = context;
	uint64_t seed = crowd->seed += 77;

	for (int i = 0; i < ROUNDS; i++) {
		uint64_t taken = 0;

		seed = seed * UINT64_C(6364136223846793005) + 1442695040888963407;
		/* Now and then all of it, which must get its turn among the many small ones. */
		if (gate_enter(&crowd->gate, i % 50 == 0 ? SIZE : 1 + (seed >> 33) % 40, 0, &taken))
			continue;
		if ((crowd->inside += taken) > SIZE)
			crowd->too_many++;
		if (++crowd->count > COUNT_MAX)
			crowd->too_many++;
		crowd->entered++;
		if (seed >> 63)
			(void)nanosleep(&(struct timespec){ .tv_nsec = 20000 }, NULL);
		crowd->inside -= taken;
		crowd->count--;
		gate_leave(&crowd->gate, taken);
	}
	return NULL;
}

static void those_inside_never_take_more_than_there_is(void **state)
{
	struct crowd crowd = { .seed = tier_seed() };
	pthread_t threads[THREADS];

	(void)state;
	init(&crowd.gate, COUNT_MAX);
	for (int i = 0; i < THREADS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, come_and_go, &crowd), 0);
	for (int i = 0; i < THREADS; i++)
		assert_int_equal(pthread_join(threads[i], NULL), 0);
	assert_int_equal(crowd.too_many, 0);
	assert_int_equal(crowd.entered, THREADS * ROUNDS);
	gate_done(&crowd.gate);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(more_than_there_is_waits_for_all_of_it),
		cmocka_unit_test(no_more_are_inside_than_may_be),
		cmocka_unit_test(those_inside_never_take_more_than_there_is),
		cmocka_unit_test(what_lies_beside_them_leaves_the_least),
		cmocka_unit_test(those_inside_make_room_for_what_works_beside_them),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
