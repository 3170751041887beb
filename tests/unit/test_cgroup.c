/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <unistd.h>

#include "base/cgroup.h"
#include "collector/cpus.h"

#define ID64 "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define ID32 "0123456789abcdef0123456789abcdef"

static void expect(struct str text, const char *expected)
{
	struct str path = cgroup_choose(text);

	if (!str_equal(path, str_from(expected)))
		fail_msg("\"%.*s\" instead of \"%s\"", STR_PRINT(path), expected);
}

static void takes_the_unified_hierarchy(void **state)
{
	(void)state;
	expect(STR("0::/system.slice/cron.service\n"), "/system.slice/cron.service");
	expect(STR("0::/"), "/");
}

static void takes_the_hierarchy_of_systemd_on_a_hybrid_host(void **state)
{
	(void)state;
	expect(STR("5:cpu,cpuacct:/a/longer/path/than/the/other\n"
		   "1:name=systemd:/system.slice/cron.service\n0::/\n"),
	       "/system.slice/cron.service");
}

static void takes_a_controller_when_nothing_else_has_a_path(void **state)
{
	(void)state;
	expect(STR("4:memory:/jobs/7\n1:name=systemd:/\n0::/\n"), "/jobs/7");
}

static void prefers_a_container(void **state)
{
	(void)state;
	expect(STR("1:name=systemd:/user.slice\n4:memory:/docker/" ID64 "\n"), "/docker/" ID64);
	expect(STR("4:memory:/ecs/" ID32 "\n1:name=systemd:/user.slice\n"), "/ecs/" ID32);
	expect(STR("4:memory:/x\n0::/system.slice/docker-" ID64 ".scope\n"),
	       "/system.slice/docker-" ID64 ".scope");
	/* 63 and 65 digits are something else. */
	expect(STR("4:memory:/x/0" ID64 "\n0::/user.slice\n"), "/user.slice");
}

static void allows_colons_in_a_path(void **state)
{
	(void)state;
	expect(STR("0::/kubepods/cri-containerd:abc\n"), "/kubepods/cri-containerd:abc");
}

static void refuses_what_is_not_a_line_of_it(void **state)
{
	(void)state;
	expect((struct str){ 0 }, "");
	expect(STR("\n\n"), "");
	expect(STR("0"), "");
	expect(STR("0:"), "");
	expect(STR("0::"), "");
	expect(STR("0::relative\n"), "");
	expect(STR("nonsense\n7:x\n"), "");
}

static void reads_lists_of_cpus(void **state)
{
	uint32_t cpus[CPU_COUNT_MAX], count = 0;

	(void)state;
	assert_int_equal(cpus_parse(STR("0-2,5\n"), cpus, &count), 0);
	assert_int_equal(count, 4);
	assert_int_equal(cpus[2], 2);
	assert_int_equal(cpus[3], 5);
	assert_int_equal(cpus_parse(STR("7"), cpus, &count), 0);
	assert_int_equal(count, 1);
	assert_true(cpus_parse(STR(""), cpus, &count) < 0);
	assert_true(cpus_parse(STR("3-1"), cpus, &count) < 0);
	assert_true(cpus_parse(STR("a"), cpus, &count) < 0);

	/* One that comes is new; one that went is none of our business. */
	const uint32_t two[] = { 0, 1 }, three[] = { 0, 1, 3 };

	assert_true(cpus_include(two, 2, two, 2));
	assert_true(cpus_include(three, 3, two, 2));
	assert_false(cpus_include(two, 2, three, 3));
	assert_true(cpus_include(two, 0, two, 0));
	assert_true(cpus_parse(STR("1-x"), cpus, &count) < 0);
	assert_true(cpus_parse(STR("0-99999999"), cpus, &count) < 0);
	assert_int_equal(count, 1);
}

static void knows_the_highest_cpu_online(void **state)
{
	uint32_t cpus[CPU_COUNT_MAX], count = 0, highest = 0;
	long online = sysconf(_SC_NPROCESSORS_ONLN);

	(void)state;
	assert_int_equal(cpus_highest_online(&highest), 0);
	assert_int_equal(cpus_online(cpus, &count), 0);
	assert_int_equal(count, online);
	for (uint32_t i = 0; i < count; i++)
		assert_true(cpus[i] <= highest);
	assert_true(cpus_include(cpus, count, &highest, 1));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(takes_the_unified_hierarchy),
		cmocka_unit_test(takes_the_hierarchy_of_systemd_on_a_hybrid_host),
		cmocka_unit_test(takes_a_controller_when_nothing_else_has_a_path),
		cmocka_unit_test(prefers_a_container),
		cmocka_unit_test(allows_colons_in_a_path),
		cmocka_unit_test(refuses_what_is_not_a_line_of_it),
		cmocka_unit_test(reads_lists_of_cpus),
		cmocka_unit_test(knows_the_highest_cpu_online),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
