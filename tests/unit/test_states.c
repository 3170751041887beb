/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include <string.h>

#include "symbols/states.h"

static struct identity numbered(uint32_t number)
{
	struct identity identity = { .kind = IDENTITY_GNU_BUILD_ID, .size = 8 };

	memcpy(identity.bytes, &number, sizeof(number));
	return identity;
}

static void remembers_each_identity(void **state)
{
	struct states states;
	struct identity one = numbered(1);
	struct identity two = numbered(2);

	(void)state;
	states_init(&states);
	assert_int_equal(states_find(&states, &one), TABLE_NONE);
	assert_int_equal(states_get(&states, &one)->state, STATE_UNKNOWN);
	states_set(&states, &two, STATE_WISHED);
	assert_int_equal(states_get(&states, &two)->state, STATE_WISHED);
	assert_int_not_equal(states_get(&states, &two)->wished_at_ns, 0);
	assert_int_equal(states_find(&states, &one), 0);
	assert_int_equal(states_find(&states, &two), 1);
	states_done(&states);
}

static void doubts_what_is_present_but_not_open(void **state)
{
	struct states states;
	struct identity one = numbered(1);
	struct identity two = numbered(2);
	struct identity three = numbered(3);
	int module;

	(void)state;
	states_init(&states);
	states_set(&states, &one, STATE_PRESENT);
	states_set(&states, &two, STATE_FAILED);
	states_set(&states, &three, STATE_PRESENT);
	states_get(&states, &three)->module = (void *)&module;
	states_doubt(&states);
	assert_int_equal(states_get(&states, &one)->state, STATE_UNKNOWN);
	assert_int_equal(states_get(&states, &two)->state, STATE_FAILED);
	assert_int_equal(states_get(&states, &three)->state, STATE_PRESENT);
	states_done(&states);
}

static void forgets_what_is_not_at_work_when_full(void **state)
{
	struct states states;
	struct identity waiting = numbered(17);
	struct identity open = numbered(STATES_COUNT_MAX - 1);
	struct identity more = numbered(STATES_COUNT_MAX);
	int module;

	(void)state;
	states_init(&states);
	for (uint32_t i = 0; i < STATES_COUNT_MAX; i++) {
		struct identity identity = numbered(i);

		assert_non_null(states_get(&states, &identity));
	}
	states_set(&states, &waiting, STATE_WAITING);
	states_set(&states, &open, STATE_PRESENT);
	states_get(&states, &open)->module = (void *)&module;
	states_get(&states, &open)->alias_of = 3;
	assert_int_equal(states.by_identity.count, STATES_COUNT_MAX);

	assert_int_equal(states_get(&states, &more)->state, STATE_UNKNOWN);
	assert_int_equal(states.by_identity.count, 3);
	assert_int_equal(states_get(&states, &waiting)->state, STATE_WAITING);
	assert_ptr_equal(states_get(&states, &open)->module, &module);
	assert_int_equal(states_get(&states, &open)->alias_of, TABLE_NONE);
	states_done(&states);
}

static void has_no_room_when_all_are_at_work(void **state)
{
	struct states states;
	struct identity more = numbered(STATES_COUNT_MAX);

	(void)state;
	states_init(&states);
	for (uint32_t i = 0; i < STATES_COUNT_MAX; i++) {
		struct identity identity = numbered(i);

		states_set(&states, &identity, STATE_WAITING);
	}
	assert_null(states_get(&states, &more));
	states_done(&states);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(remembers_each_identity),
		cmocka_unit_test(doubts_what_is_present_but_not_open),
		cmocka_unit_test(forgets_what_is_not_at_work_when_full),
		cmocka_unit_test(has_no_room_when_all_are_at_work),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
