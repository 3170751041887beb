/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include <sys/auxv.h>
#include <time.h>

#include "collector/vdso.h"

static bool has(const struct vdso *vdso, const char *name)
{
	for (size_t i = 0; i < vdso->count; i++)
		if (str_equal(vdso->functions[i].name, str_from(name)))
			return true;
	return false;
}

static void knows_what_every_kernel_has(void **state)
{
	struct vdso vdso;

	(void)state;
	vdso_read(&vdso);
	if (!getauxval(AT_SYSINFO_EHDR)) {
		assert_int_equal(vdso.count, 0);
		skip();
	}
	/* Each once, by the name that is the vDSO's alone. */
	assert_true(has(&vdso, "__vdso_clock_gettime"));
	assert_true(has(&vdso, "__vdso_gettimeofday"));
	assert_false(has(&vdso, "clock_gettime"));
	for (size_t i = 0; i < vdso.count; i++) {
		const struct vdso_function *function = &vdso.functions[i];

		assert_true(function->size > 0);
		assert_int_equal(vdso_find(&vdso, function->start), i);
		assert_int_equal(vdso_find(&vdso, function->start + function->size - 1), i);
	}
	assert_int_equal(vdso_find(&vdso, VDSO_SIZE_MAX), SIZE_MAX);
	/* Its header is no function. */
	assert_int_equal(vdso_find(&vdso, 0), SIZE_MAX);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(knows_what_every_kernel_has),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
