/* SPDX-License-Identifier: Apache-2.0 */
/* What was mended is said: in words, once an hour for each service and kind, and not too often. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include <stdio.h>

#include "base/buf.h"
#include "web/push_repairs.h"

enum { NOW_S = 7200 };

static void every_kind_has_words(void **state)
{
	uint64_t repairs[PUSH_REPAIR_COUNT];
	autoclean(buf) struct buf text = BUF(4096);
	autoclean(buf) struct buf few = BUF(4096);

	(void)state;
	for (unsigned i = 0; i < PUSH_REPAIR_COUNT; i++) {
		repairs[i] = i + 1;
		assert_non_null(push_repair_name(i));
	}
	push_repairs_write(repairs, 0, PUSH_REPAIR_COUNT, &text);
	assert_true(
		str_equal((struct str){ (const char *)text.bytes, text.size },
			  STR("1 text that is no UTF-8 or too long, 2 sample types with dashes, "
			      "3 samples with too many labels, 4 profiles without a time, or one "
			      "of 1970, 5 stacks that are too deep, and were cut, 6 labels that "
			      "are no UTF-8, 7 labels given twice, 8 series without "
			      "service_name")));
	push_repairs_write((const uint64_t[]){ 0, 1, 0 }, PPROF_REPAIR_COUNT,
			   PUSH_LABEL_REPAIR_COUNT, &few);
	assert_true(str_equal((struct str){ (const char *)few.bytes, few.size },
			      STR("1 label given twice")));
}

static bool is_due(struct push_told *told, struct str service, unsigned kind, uint64_t now_s)
{
	uint64_t repairs[PPROF_REPAIR_COUNT] = { 0 };

	repairs[kind] = 3;
	return push_repairs_due(told, service, repairs, 0, PPROF_REPAIR_COUNT, now_s);
}

static void the_same_is_said_once_an_hour(void **state)
{
	static struct push_told told;
	const uint64_t nothing[PPROF_REPAIR_COUNT] = { 0 };

	(void)state;
	assert_false(push_repairs_due(&told, STR("shop"), nothing, 0, PPROF_REPAIR_COUNT, NOW_S));
	assert_true(is_due(&told, STR("shop"), PPROF_REPAIRED_TEXT, NOW_S));
	assert_false(is_due(&told, STR("shop"), PPROF_REPAIRED_TEXT, NOW_S + 3599));
	assert_true(is_due(&told, STR("shop"), PPROF_REPAIRED_TYPE, NOW_S));
	assert_true(is_due(&told, STR("till"), PPROF_REPAIRED_TEXT, NOW_S));
	assert_true(is_due(&told, STR("shop"), PPROF_REPAIRED_TEXT, NOW_S + 3600));
}

static void strangers_do_not_fill_the_log(void **state)
{
	static struct push_told told;
	unsigned said = 0;
	char name[16];

	(void)state;
	for (uint64_t minute = 0; minute < 3; minute++)
		for (int i = 0; i < 1000; i++) {
			int size = snprintf(name, sizeof(name), "service-%d", i);

			said += is_due(&told, (struct str){ name, (size_t)size },
				       PPROF_REPAIRED_TIME, NOW_S + minute * 60 + 59);
		}
	assert_int_equal(said, 3 * PUSH_LINES_A_MINUTE_MAX);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_kind_has_words),
		cmocka_unit_test(the_same_is_said_once_an_hour),
		cmocka_unit_test(strangers_do_not_fill_the_log),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
