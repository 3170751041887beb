/* SPDX-License-Identifier: Apache-2.0 */
/* Code whose names come after the samples that ran in it. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include <errno.h>
#include <string.h>

#include "base/clock.h"
#include "symbols/late_code.h"

#define MS ((uint64_t)CLOCK_NS_PER_MS)
#define S  ((uint64_t)CLOCK_NS_PER_S)

static const uint8_t owner[LATE_CODE_OWNER_SIZE] = "of this process";

struct scene {
	struct late_code *late;
	struct jit_map *map;
};

static int set_up(void **state)
{
	static struct scene scene;

	*state = &scene;
	return late_code_new(owner, &scene.late) || jit_map_new(&scene.map) ? -1 : 0;
}

static int tear_down(void **state)
{
	struct scene *scene = *state;

	late_code_free(scene->late);
	jit_map_free(scene->map);
	return 0;
}

/* Its number. */
static uint32_t await(struct scene *scene, uint64_t address, uint64_t at_ns)
{
	struct identity identity;
	uint64_t place;

	assert_int_equal(late_code_await(scene->late, address, at_ns, &identity, &place), 0);
	assert_int_equal(identity.kind, IDENTITY_PROCESS_CODE);
	assert_memory_equal(identity.bytes, owner, sizeof(owner));
	assert_int_equal(late_code_address(place), address);
	assert_in_range(late_code_number(place), 1, LATE_CODE_NUMBER_MAX);
	return late_code_number(place);
}

static void tell(struct scene *scene, uint64_t start, uint64_t since_ns, const char *name)
{
	assert_int_equal(jit_map_add(scene->map, start, 0x100, since_ns, str_from(name)), 0);
}

/* What a number is called now; "" when it is not. */
static void assert_named(const struct late_names *names, uint32_t number, const char *wanted)
{
	struct str found = STR("");

	for (size_t i = 0; i < names->count; i++) {
		uint32_t each, bounds[2];

		memcpy(&each, names->numbers.bytes + i * sizeof(each), sizeof(each));
		memcpy(bounds, names->text_offsets.bytes + i * sizeof(each), sizeof(bounds));
		if (each == number)
			found = (struct str){ (const char *)names->texts.bytes + bounds[0],
					      bounds[1] - bounds[0] };
	}
	assert_true(str_equal(found, str_from(wanted)));
}

static void names_what_ran_before_it_was_told(void **state)
{
	struct scene *scene = *state;
	struct late_names names;
	uint32_t first = await(scene, 0x7f0000001010, S);
	uint32_t other = await(scene, 0x7f0000002000, S);
	uint32_t early = await(scene, 0x7f0000001020, S / 2);

	assert_int_equal(await(scene, 0x7f0000001010, S + 200 * MS), first);
	assert_int_equal(late_code_count(scene->late), 3);
	late_names_init(&names);
	assert_int_equal(late_code_settle(scene->late, scene->map, &names), 0);
	assert_int_equal(names.count, 0);
	tell(scene, 0x7f0000001000, S - MS, "work");
	assert_int_equal(late_code_settle(scene->late, scene->map, &names), 0);
	assert_int_equal(names.count, 1);
	assert_named(&names, first, "work");
	/* One ran before there was such code; of the other nothing was told. */
	assert_named(&names, early, "");
	assert_named(&names, other, "");
	assert_int_equal(late_code_count(scene->late), 2);
	late_names_done(&names);
}

static void tells_what_was_there_before_from_what_came_then(void **state)
{
	struct scene *scene = *state;
	struct late_names names;
	uint32_t numbers[8];

	for (unsigned i = 0; i < 8; i++)
		numbers[i] = await(scene, 0x1010, S + i * 300 * MS);
	/* The first for 250 ms, then 500, 1000: 300 to 600, 900 to 1800, 2100. */
	assert_int_not_equal(numbers[0], numbers[1]);
	assert_int_equal(numbers[1], numbers[2]);
	assert_int_not_equal(numbers[2], numbers[3]);
	assert_int_equal(numbers[3], numbers[6]);
	assert_int_not_equal(numbers[6], numbers[7]);
	tell(scene, 0x1000, S, "before");
	tell(scene, 0x1000, S + 1000 * MS, "behind");
	late_names_init(&names);
	assert_int_equal(late_code_settle(scene->late, scene->map, &names), 0);
	assert_int_equal(names.count, 3);
	assert_named(&names, numbers[0], "before");
	assert_named(&names, numbers[1], "before");
	/* It meant both: better no name than a wrong one. */
	assert_named(&names, numbers[3], "");
	assert_named(&names, numbers[7], "behind");
	assert_int_equal(late_code_count(scene->late), 0);
	late_names_done(&names);
}

static void one_that_came_back_is_not_taken_for_one_that_stayed(void **state)
{
	struct scene *scene = *state;
	struct late_names names;
	uint32_t number = await(scene, 0x1010, S);

	assert_int_equal(await(scene, 0x1010, S + 200 * MS), number);
	tell(scene, 0x1000, S - MS, "one");
	tell(scene, 0x1000, S + 50 * MS, "other");
	tell(scene, 0x1000, S + 100 * MS, "one");
	late_names_init(&names);
	assert_int_equal(late_code_settle(scene->late, scene->map, &names), 0);
	assert_int_equal(names.count, 0);
	assert_int_equal(late_code_count(scene->late), 0);
	late_names_done(&names);
}

static void has_room_for_so_many(void **state)
{
	struct scene *scene = *state;
	struct identity identity;
	uint64_t place;

	for (uint64_t i = 0; i < LATE_CODE_AWAITED_COUNT_MAX; i++)
		(void)await(scene, 0x1000 + i * 0x100, S);
	assert_int_equal(late_code_await(scene->late, 0x10, S, &identity, &place), -ENOSPC);
	/* Who waits already goes on waiting. */
	assert_int_equal(await(scene, 0x1000, S), 1);
	/* No room for a number above it. */
	assert_int_equal(late_code_await(scene->late, UINT64_C(1) << 48, S, &identity, &place),
			 -ENOSPC);
}

/* Numbers that were used up begin anew under another identity. */
static void goes_on_when_numbers_are_used_up(void **state)
{
	enum { ROUND = 16000 };
	struct scene *scene = *state;
	struct identity first, last;
	uint64_t place;
	unsigned named = 0;

	assert_int_equal(late_code_await(scene->late, 0x50, S, &first, &place), 0);
	tell(scene, 0x10000, 0, "all");
	assert_int_equal(jit_map_add(scene->map, 0x100000, 0x10000000, 0, STR("all")), 0);
	for (uint64_t i = 0; i < 5 * (uint64_t)ROUND; i++) {
		(void)await(scene, 0x100000 + i, S);
		if (i % ROUND != ROUND - 1)
			continue;
		for (size_t count = 1; count > 0;) {
			struct late_names names;

			late_names_init(&names);
			assert_int_equal(late_code_settle(scene->late, scene->map, &names), 0);
			count = names.count;
			named += (unsigned)count;
			late_names_done(&names);
		}
	}
	assert_int_equal(named, 5 * ROUND);
	assert_int_equal(late_code_await(scene->late, 0x60, S, &last, &place), 0);
	assert_int_not_equal(memcmp(&first, &last, sizeof(first)), 0);
	assert_int_equal(late_code_count(scene->late), 2);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(names_what_ran_before_it_was_told),
		TEST(tells_what_was_there_before_from_what_came_then),
		TEST(one_that_came_back_is_not_taken_for_one_that_stayed),
		TEST(has_room_for_so_many),
		TEST(goes_on_when_numbers_are_used_up),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
