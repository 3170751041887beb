/* SPDX-License-Identifier: Apache-2.0 */
/* Locations that bring their names: what is coded is read again, and what nobody coded is refused.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include <errno.h>
#include <string.h>

#include "store/named_place.h"
#include "store/naming.h"
#include "store/store.h"

static int set_up(void **state)
{
	static struct catalog catalog;

	assert_int_equal(catalog_init(&catalog), 0);
	*state = &catalog;
	return 0;
}

static int tear_down(void **state)
{
	catalog_done(*state);
	return 0;
}

static uint32_t add_text(struct catalog *catalog, struct str text)
{
	int64_t number = catalog_add(catalog, CATALOG_TEXT, text.text, text.size);

	assert_true(number >= 0);
	return (uint32_t)number;
}

/* As it is stored: the coded lines with texts of the catalog. */
static uint64_t store_place(struct catalog *catalog, const struct named_line *lines,
			    const struct named_function *functions, size_t count,
			    const struct named_binary *binary, size_t expected)
{
	static struct named_line coded[NAMED_PLACE_LINE_COUNT_MAX];
	static struct catalog_line numbers[NAMED_PLACE_LINE_COUNT_MAX];
	size_t size = named_place_code(lines, functions, count, binary, coded);

	assert_int_equal(size, expected);
	for (size_t i = 0; i < size; i++)
		numbers[i] =
			(struct catalog_line){ add_text(catalog, coded[i].function),
					       add_text(catalog, coded[i].file), coded[i].line };

	int64_t number = catalog_add(catalog, CATALOG_NAME, numbers, size * sizeof(numbers[0]));

	assert_true(number > 0);
	return (uint64_t)number;
}

static void assert_text(const struct catalog *catalog, uint32_t number, const char *expected)
{
	assert_true(str_equal(catalog_text(catalog, number), str_from(expected)));
}

static const struct named_line lines[] = {
	{ .function = STR("inner"), .file = STR("a.c"), .line = 7 },
	{ .function = STR("outer"), .file = STR("a.c"), .line = 20 },
};

static void names_alone_take_no_more_than_themselves(void **state)
{
	const struct named_function known[] = { { .system_name = STR("inner") },
						{ .system_name = STR("outer") } };
	struct catalog *catalog = *state;
	struct named_place place;
	uint64_t number = store_place(catalog, lines, NULL, 2, NULL, 2);

	assert_true(store_place(catalog, lines, known, 2, NULL, 2) == number);
	assert_int_equal(named_place_read(catalog, number, &place), 0);
	assert_int_equal(place.count, 2);
	assert_false(place.has_binary);
	assert_null(place.functions);
	assert_false(place.has_no_system_names);
	assert_text(catalog, place.lines[0].function, "inner");
	assert_text(catalog, place.lines[1].function, "outer");
	assert_int_equal(place.lines[1].line, 20);
}

static void all_that_is_told_comes_back(void **state)
{
	const struct named_function functions[] = {
		{ .system_name = STR("_Zinner"), .start_line = 3 },
		{ .system_name = STR("outer"), .start_line = 19 },
	};
	const struct named_binary binary = {
		.path = STR("/bin/prog"),
		.build_id = STR("0123"),
		.flags = BINARY_FLAGS_TOLD | BINARY_HAS_LINES,
		.address = UINT64_MAX - 1,
		.start = UINT64_C(0x7f0000001000),
		.limit = UINT64_C(0x7fff00000000),
		.offset = 0x2000,
	};
	struct catalog *catalog = *state;
	struct named_place place;
	uint64_t number = store_place(catalog, lines, functions, 2, &binary, 2 + 2 + 1 + 8 + 1);

	assert_int_equal(named_place_read(catalog, number, &place), 0);
	assert_int_equal(place.count, 2);
	assert_text(catalog, place.lines[1].function, "outer");
	assert_text(catalog, place.functions[0].function, "_Zinner");
	assert_int_equal(place.functions[0].line, 3);
	assert_int_equal(place.functions[1].line, 19);
	assert_true(place.has_binary);
	assert_text(catalog, place.path, "/bin/prog");
	assert_text(catalog, place.build_id, "0123");
	assert_int_equal(place.flags, BINARY_FLAGS_TOLD | BINARY_HAS_LINES);
	assert_true(place.address == UINT64_MAX - 1 && place.start == UINT64_C(0x7f0000001000) &&
		    place.limit == UINT64_C(0x7fff00000000) && place.offset == 0x2000);
}

static void functions_without_names_are_functions(void **state)
{
	const struct named_line nameless[] = { { .function = STR("leaf") }, { .line = 4 } };
	const struct named_function functions[2] = { 0 };
	const struct named_binary nothing = { 0 };
	struct catalog *catalog = *state;
	struct named_place place;

	/* The outermost is none that names a binary. */
	assert_int_equal(
		named_place_read(catalog, store_place(catalog, nameless, NULL, 2, NULL, 3), &place),
		0);
	assert_int_equal(place.count, 2);
	assert_int_equal(place.lines[1].line, 4);
	assert_false(place.has_binary);
	assert_int_equal(named_place_read(catalog,
					  store_place(catalog, &nameless[1], NULL, 1, NULL, 1),
					  &place),
			 0);
	assert_int_equal(place.count, 1);

	/* None of them has a name that the linker knows, and the binary none of any kind. */
	assert_int_equal(named_place_read(catalog,
					  store_place(catalog, lines, functions, 2, &nothing, 3),
					  &place),
			 0);
	assert_int_equal(place.count, 2);
	assert_true(place.has_no_system_names && place.has_binary);
	assert_int_equal(place.path, 0);
}

static void code_may_be_interpreted(void **state)
{
	const struct named_binary java = { .path = STR("[java]"), .flags = BINARY_INTERPRETED };
	struct catalog *catalog = *state;
	autoclean(naming) struct naming *naming = NULL;
	struct frame_names found;
	uint64_t number = store_place(catalog, lines, NULL, 1, &java, 2);

	assert_int_equal(naming_new(NULL, &naming), 0);
	assert_int_equal(naming_find(naming, catalog, 0, number, &found), 0);
	assert_int_equal(found.count, 1);

	struct frame_name frame = naming_frame(naming, found.first);

	assert_true(frame.interpreted && !frame.inlined);
	assert_int_equal(frame.kind, FLAME_NAMED);
	assert_true(str_equal(naming_get(naming, frame.module), STR("[java]")));
	/* Which is the place's own: what is compiled lies in the same binary. */
	assert_int_equal(naming_binary(naming, naming_detail(naming, frame.detail).binary).flags,
			 0);
}

/* As files had it before there was more to say. */
static void a_path_alone_is_a_binary(void **state)
{
	struct catalog *catalog = *state;
	struct named_place place;
	const struct catalog_line old[] = { { add_text(catalog, STR("f")), 0, 1 },
					    { 0, add_text(catalog, STR("/bin/x")), 0 } };
	int64_t number = catalog_add(catalog, CATALOG_NAME, old, sizeof(old));

	assert_int_equal(named_place_read(catalog, (uint64_t)number, &place), 0);
	assert_int_equal(place.count, 1);
	assert_true(place.has_binary);
	assert_text(catalog, place.path, "/bin/x");
	assert_int_equal(place.flags, 0);
}

static void what_nobody_coded_is_refused(void **state)
{
	struct catalog *catalog = *state;
	struct named_place place = { .count = 99 };
	uint32_t name = add_text(catalog, STR("f"));

	assert_int_equal(named_place_read(catalog, 0, &place), -EBADMSG);
	assert_int_equal(named_place_read(catalog, 1, &place), -EBADMSG);
	/* Whatever the last line says is between: fewer lines than that are none. */
	for (uint32_t says = 1; says < 32; says++)
		for (size_t count = 2; count < 16; count++) {
			struct catalog_line made[16] = { { 0 } };

			for (size_t i = 0; i + 1 < count; i++)
				made[i].function = name;
			made[count - 1].line = says;

			int64_t number =
				catalog_add(catalog, CATALOG_NAME, made, count * sizeof(made[0]));
			int err = named_place_read(catalog, (uint64_t)number, &place);

			assert_true(err == -EBADMSG ||
				    (err == 0 && place.count > 0 && place.count < count));
		}
}

int main(void)
{
#define TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		TEST(names_alone_take_no_more_than_themselves),
		TEST(all_that_is_told_comes_back),
		TEST(functions_without_names_are_functions),
		TEST(code_may_be_interpreted),
		TEST(a_path_alone_is_a_binary),
		TEST(what_nobody_coded_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
