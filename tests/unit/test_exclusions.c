/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/settings.h"
#include "collector/exclusions.h"

static int make(const char *users, const char *processes, const char *cgroups,
		struct exclusions **ret, char reason[static EXCLUSIONS_ERROR_SIZE])
{
	struct settings settings;

	settings_defaults(&settings);
	snprintf(settings.exclude_users, SETTING_TEXT_SIZE, "%s", users);
	snprintf(settings.exclude_processes, SETTING_TEXT_SIZE, "%s", processes);
	snprintf(settings.exclude_cgroups, SETTING_TEXT_SIZE, "%s", cgroups);
	return exclusions_new(&settings, ret, reason);
}

static void nobody_is_excluded_unless_it_is_said(void **state)
{
	struct exclusions *exclusions = (void *)1;
	char reason[EXCLUSIONS_ERROR_SIZE];

	(void)state;
	assert_int_equal(make("", "", "", &exclusions, reason), 0);
	assert_null(exclusions);
	assert_false(exclusions_have_user(NULL, 0));
	assert_false(exclusions_have_process(NULL, "burn", "burn", "/"));

	/* Nothing but commas is somebody, who matches nobody. */
	assert_int_equal(make(" , ", ",", "", &exclusions, reason), 0);
	assert_false(exclusions_have_user(exclusions, 0));
	assert_false(exclusions_have_process(exclusions, "", "", ""));
	exclusions_free(exclusions);
}

static void users_are_names_and_numbers(void **state)
{
	autoclean(exclusions) struct exclusions *exclusions = NULL;
	char reason[EXCLUSIONS_ERROR_SIZE];

	(void)state;
	assert_int_equal(make("1000, root ,4294967294", "", "", &exclusions, reason), 0);
	assert_true(exclusions_have_user(exclusions, 0));
	assert_true(exclusions_have_user(exclusions, 1000));
	assert_true(exclusions_have_user(exclusions, 4294967294));
	assert_false(exclusions_have_user(exclusions, 1001));
	/* Who is excluded as a user is not by what runs. */
	assert_false(exclusions_have_process(exclusions, "root", "root", "/root"));
}

static void programs_are_patterns(void **state)
{
	autoclean(exclusions) struct exclusions *exclusions = NULL;
	char reason[EXCLUSIONS_ERROR_SIZE];

	(void)state;
	assert_int_equal(make("", "gpg-agent, ssh*,?1", "", &exclusions, reason), 0);
	assert_true(exclusions_have_process(exclusions, "gpg-agent", NULL, NULL));
	assert_true(exclusions_have_process(exclusions, "sshd", "sshd: root", "/"));
	assert_true(exclusions_have_process(exclusions, "python3.11", "ssh-tunnel", "/"));
	assert_true(exclusions_have_process(exclusions, NULL, "a1", NULL));
	assert_false(exclusions_have_process(exclusions, "gpg-agent2", "openssh", "/ssh"));
	assert_false(exclusions_have_process(exclusions, NULL, NULL, NULL));
}

static void cgroups_are_folders_and_patterns_of_one(void **state)
{
	static const struct {
		const char *cgroup;
		bool is_excluded;
	} cases[] = {
		{ "/system.slice/ssh.service", true },
		{ "/system.slice/ssh.service/child", true },
		{ "/system.slice/ssh.services", false },
		{ "/system.slice", false },
		{ "/user.slice/docker-4f.scope/app", true },
		{ "/user.slice/docker-4f.scopes", false },
		{ "/private", true },
		{ "/privates/x", false },
		{ "/", false },
		{ "", false },
	};
	autoclean(exclusions) struct exclusions *exclusions = NULL;
	char reason[EXCLUSIONS_ERROR_SIZE];

	(void)state;
	assert_int_equal(make("", "", "/system.slice/ssh.service/,docker-*.scope,/private",
			      &exclusions, reason),
			 0);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		if (exclusions_have_process(exclusions, "x", "x", cases[i].cgroup) !=
		    cases[i].is_excluded)
			fail_msg("'%s'", cases[i].cgroup);
	exclusions = exclusions_free(exclusions);
	/* The whole host. */
	assert_int_equal(make("", "", "/", &exclusions, reason), 0);
	assert_true(exclusions_have_process(exclusions, "x", "x", "/anything"));
}

static void what_makes_no_sense_is_named(void **state)
{
	struct exclusions *exclusions = NULL;
	char reason[EXCLUSIONS_ERROR_SIZE], many[SETTING_TEXT_SIZE] = "";

	(void)state;
	assert_int_equal(make("root,no-such-user-here", "", "", &exclusions, reason), -EINVAL);
	assert_string_equal(reason, "exclude-users: this host knows no user 'no-such-user-here'");
	assert_null(exclusions);
	for (int i = 0; i <= EXCLUSIONS_COUNT_MAX; i++)
		memcpy(many + 2 * (size_t)i, "a,", 3);
	assert_int_equal(make("", many, "", &exclusions, reason), -E2BIG);
	assert_non_null(strstr(reason, "take 64 names each"));
	assert_null(exclusions);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nobody_is_excluded_unless_it_is_said),
		cmocka_unit_test(users_are_names_and_numbers),
		cmocka_unit_test(programs_are_patterns),
		cmocka_unit_test(cgroups_are_folders_and_patterns_of_one),
		cmocka_unit_test(what_makes_no_sense_is_named),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
