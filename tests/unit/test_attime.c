/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "store/store.h"
#include "web/attime.h"
#include "web/profile_id.h"
#include "web/time_range.h"

#define NOW INT64_C(1700000000000)

static void texts_mean_some_time(void **state)
{
	static const struct {
		const char *text;
		int64_t expected;
	} cases[] = {
		{ "", NOW },
		{ "now", NOW },
		{ "whenever", NOW },
		{ "1700000001", INT64_C(1700000001000) },
		{ "1700000001002", INT64_C(1700000001002) },
		{ "1700000001002003", INT64_C(1700000001002) },
		{ "1700000001002003004", INT64_C(1700000001002) },
		{ "20231114", INT64_C(1699920000000) },
		{ "20231314", INT64_C(20231314000) }, /* no month has this number: seconds */
		{ "20230230", INT64_C(20230230000) },
		{ "0", 0 },
		{ "now-1h", NOW - 3600000 },
		{ "now-1h30m", NOW - 5400000 },
		{ "now - 1 h, 30_m", NOW - 5400000 },
		{ "now-1h+5min", NOW - 3300000 },
		{ "now+5m", NOW + 300000 },
		{ "-2d", NOW - 2 * INT64_C(86400000) },
		{ "now-1M", NOW - 30 * INT64_C(86400000) },
		{ "now-1mon", NOW - 30 * INT64_C(86400000) },
		{ "now-1w1y", NOW - (7 + 365) * INT64_C(86400000) },
		{ "now-5", NOW },
		{ "now-h", NOW },
		{ "now-99999999999y", NOW },
		{ "now-1000y", 0 },
		{ "now+7990y", TIME_RANGE_MS_MAX },
		{ "99999999999999999999999", NOW },
		{ "999999999999", TIME_RANGE_MS_MAX },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		if (attime_parse(str_from(cases[i].text), NOW) != cases[i].expected)
			fail_msg("'%s': %lld instead of %lld", cases[i].text,
				 (long long)attime_parse(str_from(cases[i].text), NOW),
				 (long long)cases[i].expected);
}

static void ids_of_profiles_come_back(void **state)
{
	const struct profile_key keys[] = {
		{ 0, 0 },
		{ NOW, UINT64_C(0x123456789abcdef0) },
		{ TIME_RANGE_MS_MAX, UINT64_MAX },
	};
	static const char *const texts[] = {
		"00000000-0000-8000-8000-000000000000",
		"018bcfe5-6800-8123-8004-56789abcdef0",
		"e677d21f-dbff-8fff-800f-ffffffffffff",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
		char text[PROFILE_ID_SIZE + 1];
		struct profile_key key;

		profile_id_write(keys[i], text);
		assert_string_equal(text, texts[i]);
		assert_true(profile_id_read(str_from(text), &key));
		assert_int_equal(key.time_ms, keys[i].time_ms);
		assert_true(key.series == keys[i].series);
	}
}

static void ids_of_others_are_of_no_profile(void **state)
{
	static const char *const foreign[] = { "7c9e6679-7425-40de-944b-e07fc1f90ae7",
					       "018BCFE5-6800-8123-9456-789ABCDEF012" };
	static const char *const wrong[] = { "",
					     "1",
					     "7c9e6679-7425-40de-944b-e07fc1f90ae",
					     "7c9e6679-7425-40de-944b-e07fc1f90ae77",
					     "7c9e6679x7425-40de-944b-e07fc1f90ae7",
					     "7c9e6679-7425-40de-944b-e07fc1f90aeg" };
	struct profile_key key;

	(void)state;
	for (size_t i = 0; i < sizeof(foreign) / sizeof(foreign[0]); i++) {
		assert_true(profile_id_read(str_from(foreign[i]), &key));
		assert_int_equal(key.time_ms, -1);
	}
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
		assert_false(profile_id_read(str_from(wrong[i]), &key));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(texts_mean_some_time),
		cmocka_unit_test(ids_of_profiles_come_back),
		cmocka_unit_test(ids_of_others_are_of_no_profile),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
