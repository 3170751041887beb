/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "symbols/line_path.h"

static void takes_steps_out_of_paths(void **state)
{
	static const struct {
		const char *path;
		const char *clean;
	} paths[] = {
		{ "/a/b.c", "/a/b.c" },
		{ "b.c", "b.c" },
		{ "./b.c", "b.c" },
		{ "/a/./b//c", "/a/b/c" },
		{ "./a/../b//c", "b/c" },
		{ "/a/b/../../c", "/c" },
		{ "/../c", "/c" },
		{ "/a/../../c", "/c" },
		{ "../c", "../c" },
		{ "../../a/../c", "../../c" },
		{ "a/../../c", "../c" },
		{ "./nss/../nss/x.c", "nss/x.c" },
		{ "/a/..b/...", "/a/..b/..." },
		{ "/", "/" },
		{ "a/..", "" },
		{ "", "" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
		char path[64];

		snprintf(path, sizeof(path), "%s", paths[i].path);
		line_path_clean(path);
		assert_string_equal(path, paths[i].clean);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(takes_steps_out_of_paths),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
