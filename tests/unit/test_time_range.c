/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "web/profile_type.h"
#include "web/time_range.h"

enum { NOW_MS = 1000000000 };

static void reads_times(void **state)
{
	static const struct {
		const char *text;
		int64_t ms; /* -1: refused */
	} cases[] = {
		{ "now", NOW_MS },
		{ "now-15m", NOW_MS - 900000 },
		{ "now-1h", NOW_MS - 3600000 },
		{ "now-90s", NOW_MS - 90000 },
		{ "now-500ms", NOW_MS - 500 },
		{ "now-1000w", 0 },
		{ "0", 0 },
		{ "1700000000000", 1700000000000 },
		{ "253402300799999", 253402300799999 },
		{ "253402300800000", -1 },
		{ "99999999999999999999", -1 },
		{ "-1", -1 },
		{ "", -1 },
		{ "yesterday", -1 },
		{ "now-", -1 },
		{ "now-15", -1 },
		{ "now-999999999999999w", -1 },
		{ "now+1h", -1 },
		{ "1e12", -1 },
		{ "Now", -1 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char error[TIME_RANGE_ERROR_SIZE] = "";
		int64_t ms = -1;
		int err = time_range_parse_time(str_from(cases[i].text), NOW_MS, &ms, error);

		assert_int_equal(err, cases[i].ms < 0 ? -EINVAL : 0);
		assert_int_equal(ms, cases[i].ms);
		assert_true((err != 0) == (error[0] != '\0'));
	}
}

static void defaults_to_the_last_quarter_of_an_hour(void **state)
{
	char error[TIME_RANGE_ERROR_SIZE] = "";
	const char *parameter = NULL;
	struct time_range range = { 0 };
	struct str absent = { 0 };

	(void)state;
	assert_int_equal(time_range_parse(absent, absent, NOW_MS, &range, &parameter, error), 0);
	assert_int_equal(range.from_ms, NOW_MS - 900000);
	assert_int_equal(range.to_ms, NOW_MS);
}

static void names_the_parameter_that_is_wrong(void **state)
{
	char error[TIME_RANGE_ERROR_SIZE] = "";
	const char *parameter = NULL;
	struct time_range range = { 0 };

	(void)state;
	assert_int_equal(time_range_parse(STR("5"), STR("x"), NOW_MS, &range, &parameter, error),
			 -EINVAL);
	assert_string_equal(parameter, "to");
	assert_int_equal(time_range_parse(STR("x"), STR("x"), NOW_MS, &range, &parameter, error),
			 -EINVAL);
	assert_string_equal(parameter, "from");
	assert_int_equal(time_range_parse(STR("6"), STR("5"), NOW_MS, &range, &parameter, error),
			 -EINVAL);
	assert_string_equal(parameter, "from");
	assert_non_null(strstr(error, "later"));
	assert_int_equal(time_range_parse(STR("5"), STR("5"), NOW_MS, &range, &parameter, error),
			 0);
}

static void reads_profile_types_of_five_or_six_parts(void **state)
{
	struct profile_type type;
	unsigned count = 0;

	(void)state;
	assert_int_equal(profile_type_parse(PROFILE_TYPE_CPU, &type, &count), 0);
	assert_int_equal(count, 5);
	assert_true(str_equal(type.id, PROFILE_TYPE_CPU));
	assert_true(str_equal(type.parts[PROFILE_TYPE_NAME], STR("process_cpu")));
	assert_true(str_equal(type.parts[PROFILE_TYPE_PERIOD_UNIT], STR("nanoseconds")));

	assert_int_equal(profile_type_parse(STR("a:b:c:d:e:delta"), &type, NULL), 0);
	assert_true(str_equal(type.id, STR("a:b:c:d:e")));
	assert_true(str_equal(type.parts[PROFILE_TYPE_PERIOD_UNIT], STR("e")));

	assert_int_equal(profile_type_parse(STR("off_cpu:off_cpu:nanoseconds::"), &type, NULL), 0);
	assert_int_equal(type.parts[PROFILE_TYPE_PERIOD_TYPE].size, 0);

	assert_int_equal(profile_type_parse(STR("cpu"), &type, &count), -EINVAL);
	assert_int_equal(count, 1);
	assert_int_equal(profile_type_parse(STR(""), &type, &count), -EINVAL);
	assert_int_equal(profile_type_parse(STR("a:b:c:d:e:f:g"), &type, &count), -EINVAL);
	assert_int_equal(count, 7);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(reads_times),
		cmocka_unit_test(defaults_to_the_last_quarter_of_an_hour),
		cmocka_unit_test(names_the_parameter_that_is_wrong),
		cmocka_unit_test(reads_profile_types_of_five_or_six_parts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
