/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/clock.h"
#include "collector/kernel_watch.h"

#define AFTER_S(seconds) ((uint64_t)(seconds) * (uint64_t)CLOCK_NS_PER_S)

static char path[] = "/tmp/hearth-modules-XXXXXX";

static void write_modules(const char *text)
{
	FILE *file = fopen(path, "w");

	assert_non_null(file);
	fputs(text, file);
	assert_int_equal(fclose(file), 0);
}

#define EXT4 "ext4 1000 3 - Live 0xffffffffc0100000\n"

static void tells_when_a_module_comes_goes_or_lies_elsewhere(void **state)
{
	static const struct {
		const char *text;
		bool is_changed;
	} lists[] = {
		{ EXT4, false }, /* so it was when we came */
		{ EXT4, false },
		{ "ext4 1000 7 jbd2,x Live 0xffffffffc0100000\n", false }, /* used by others */
		{ EXT4 "dm_mod 500 0 - Live 0xffffffffc0200000\n", true },
		{ EXT4 "dm_mod 500 0 - Live 0xffffffffc0300000\n", true },
		{ EXT4 "dm_mod 600 0 - Live 0xffffffffc0300000\n", true },
		{ EXT4, true },
		{ "", true },
		{ "", false },
	};
	struct kernel_watch watch = { .has_looked = false };

	(void)state;
	for (size_t i = 0; i < sizeof(lists) / sizeof(lists[0]); i++) {
		write_modules(lists[i].text);
		assert_int_equal(kernel_watch_tick(&watch, path, AFTER_S(100 * i)),
				 lists[i].is_changed);
	}
}

static void tells_it_not_too_often_and_never_not_at_all(void **state)
{
	struct kernel_watch watch = { .has_looked = false };
	unsigned told = 0;

	(void)state;
	write_modules(EXT4);
	assert_false(kernel_watch_tick(&watch, path, 0));
	for (unsigned i = 1; i <= 60; i++) {
		kernel_watch_note(&watch);
		told += kernel_watch_tick(&watch, path, AFTER_S(i));
	}
	assert_int_equal(told, 60 / KERNEL_WATCH_SEND_S);
	/* The last of them is told of once it may be, though nothing more happens. */
	assert_false(kernel_watch_tick(&watch, path, AFTER_S(60)));
	assert_true(kernel_watch_tick(&watch, path, AFTER_S(60 + KERNEL_WATCH_SEND_S)));
	assert_false(kernel_watch_tick(&watch, path, AFTER_S(200)));
}

static void a_kernel_without_modules_is_none_that_changes(void **state)
{
	struct kernel_watch watch = { .has_looked = false };

	(void)state;
	for (unsigned i = 0; i < 50; i++)
		assert_false(kernel_watch_tick(&watch, "/nowhere/modules", AFTER_S(i)));
	kernel_watch_note(&watch);
	assert_true(kernel_watch_tick(&watch, "/nowhere/modules", AFTER_S(50)));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(tells_when_a_module_comes_goes_or_lies_elsewhere),
		cmocka_unit_test(tells_it_not_too_often_and_never_not_at_all),
		cmocka_unit_test(a_kernel_without_modules_is_none_that_changes),
	};
	int fd = mkstemp(path);

	if (fd < 0)
		return 1;
	close(fd);

	int code = cmocka_run_group_tests(tests, NULL, NULL);

	(void)unlink(path);
	return code;
}
