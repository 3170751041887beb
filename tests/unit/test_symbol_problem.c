/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include <errno.h>
#include <string.h>

#include "symbols/symbol_file.h"
#include "symbols/symbol_problem.h"
#include "symbols/symbols.h"

static void assert_says(struct symbols_description about, const char *expected)
{
	char text[SYMBOL_PROBLEM_SIZE];

	symbol_problem(&about, text);
	assert_string_equal(text, expected);
}

static void says_why_a_file_is_of_no_use(void **state)
{
	static const struct {
		int error;
		const char *text;
	} cases[] = {
		{ -ENODATA, "stripped of all names" },
		{ -ECANCELED, "its reader crashed over it" },
		{ -ETIME, "reading it took too long" },
		{ -EFBIG, "reading it wants more memory than it may have" },
		{ -ENOEXEC, "no ELF file" },
		{ -ENOTSUP, "of 32 bits, another byte order or another type" },
		{ -EBADMSG, "damaged" },
		{ -ESTALE, "another file than the one that ran" },
		{ -EPROTO, "what its reader made of it is no good" },
		{ -ENOSPC, "No space left on device" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		assert_says((struct symbols_description){ .state = SYMBOLS_FAILED,
							  .error = cases[i].error },
			    cases[i].text);
	assert_says((struct symbols_description){ .state = SYMBOLS_PRESENT }, "");
	assert_says((struct symbols_description){ .state = SYMBOLS_ABSENT }, "");
}

static void says_what_is_missing_where_there_are_names(void **state)
{
	(void)state;
	assert_says((struct symbols_description){ .state = SYMBOLS_PRESENT,
						  .sources = SYMBOL_FILE_FROM_ELF |
							     SYMBOL_FILE_LACKS_BY_CRASH },
		    "only its own symbols were read, over the rest the reader crashed");
	assert_says(
		(struct symbols_description){ .state = SYMBOLS_PRESENT, .lines_error = -ENOTSUP },
		"its lines: packed by zstd, which the installed elfutils can't unpack");
}

/* All at once, and the longest of each: nothing is cut. */
static void has_room_for_all(void **state)
{
	struct symbols_description all = {
		.state = SYMBOLS_PRESENT,
		.sources = SYMBOL_FILE_LACKS_BY_TIME | SYMBOL_FILE_LACKS_SPLIT,
		.debug_error = -EFBIG,
		.lines_error = -ENOTSUP,
	};
	char text[SYMBOL_PROBLEM_SIZE];

	(void)state;
	symbol_problem(&all, text);
	assert_non_null(strstr(text, "took too long; its debug file: reading it wants"));
	assert_non_null(strstr(text, "; inlined calls are in .dwo files, which were not found"));
	assert_true(strlen(text) + 1 < SYMBOL_PROBLEM_SIZE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(says_why_a_file_is_of_no_use),
		cmocka_unit_test(says_what_is_missing_where_there_are_names),
		cmocka_unit_test(has_room_for_all),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
