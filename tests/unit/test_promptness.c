/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "collector/promptness.h"

/* What a process has come to that asked. */
struct outcome {
	int nice;
	int session_nice; /* 0 where the kernel does not share CPUs between sessions */
	bool leads_session;
};

static int nice_of_session(void)
{
	FILE *file = fopen("/proc/self/autogroup", "re");
	int nice = 0;

	if (!file)
		return 0;
	if (fscanf(file, "%*s nice %d", &nice) != 1)
		nice = 0;
	(void)fclose(file);
	return nice;
}

static struct outcome ask(int policy, bool leads_group)
{
	struct outcome outcome = { .nice = 0 };
	int ends[2], status;

	assert_int_equal(pipe(ends), 0);

	pid_t child = fork();

	assert_true(child >= 0);
	if (child == 0) {
		struct sched_param none = { .sched_priority = 0 };

		if (sched_setscheduler(0, policy, &none) || (leads_group && setpgid(0, 0)))
			_exit(1);
		promptness_ask();
		outcome.nice = getpriority(PRIO_PROCESS, 0);
		outcome.session_nice = nice_of_session();
		outcome.leads_session = getsid(0) == getpid();
		_exit(write(ends[1], &outcome, sizeof(outcome)) != sizeof(outcome));
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
	assert_int_equal(read(ends[0], &outcome, sizeof(outcome)), sizeof(outcome));
	close(ends[0]);
	close(ends[1]);
	return outcome;
}

/* Whether this test may raise a priority, and what its session's is. */
static bool may_raise(void)
{
	return ask(SCHED_OTHER, true).nice < 0;
}

static void has_a_session_of_its_own(void **state)
{
	struct outcome outcome = ask(SCHED_OTHER, false);

	(void)state;
	assert_true(outcome.leads_session);
	assert_int_equal(outcome.nice, may_raise() ? -10 : getpriority(PRIO_PROCESS, 0));
	if (may_raise() && access("/proc/self/autogroup", W_OK) == 0)
		assert_int_equal(outcome.session_nice, -10);
}

static void leaves_a_shells_session_alone(void **state)
{
	struct outcome outcome = ask(SCHED_OTHER, true);

	(void)state;
	assert_false(outcome.leads_session);
	assert_int_equal(outcome.session_nice, nice_of_session());
}

static void leaves_another_policy_alone(void **state)
{
	struct outcome outcome = ask(SCHED_BATCH, false);

	(void)state;
	assert_false(outcome.leads_session);
	assert_int_equal(outcome.nice, getpriority(PRIO_PROCESS, 0));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(has_a_session_of_its_own),
		cmocka_unit_test(leaves_a_shells_session_alone),
		cmocka_unit_test(leaves_another_policy_alone),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
