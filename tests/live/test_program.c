/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the verifier had to look at: it grows with the program, the time to load with it, and at a
 * million instructions it refuses. Compilers and kernels differ a little; what is more than a tenth
 * above the number in bpf/verified.txt is a change of ours, to be looked at and then written there.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "collector/cpus.h"
#include "collector/sampler.h"
#include "tests/support/hearth.h"

static void ignore_event(void *context, const struct event *event)
{
	(void)context;
	(void)event;
}

/* The number beside the program's name. */
static unsigned long written(const char *program)
{
	char line[128], name[64];
	unsigned long number = 0;
	FILE *file = fopen("bpf/verified.txt", "re");

	assert_non_null(file);
	while (number == 0 && fgets(line, sizeof(line), file))
		if (sscanf(line, "%63s %lu", name, &number) != 2 || strcmp(name, program) != 0)
			number = 0;
	(void)fclose(file);
	return number;
}

static void is_verified_in_no_more_steps_than_before(void **state)
{
	autoclean(sampler) struct sampler *sampler = NULL;
	char reason[SAMPLER_ERROR_SIZE] = "";
	struct sampler_program programs[SAMPLER_PROGRAM_COUNT_MAX];
	unsigned count;

	(void)state;
	need_bpf();
	assert_int_equal(sampler_load(&(struct sampler_options){ .handler = ignore_event },
				      &sampler, reason),
			 0);
	count = sampler_programs(sampler, programs);
	assert_true(count > 0);
	for (unsigned i = 0; i < count; i++) {
		unsigned long before = written(programs[i].name);

		print_message("# %s: %u instructions verified, %lu in bpf/verified.txt; %u bytes "
			      "of BPF, %u of the machine's\n",
			      programs[i].name, programs[i].verified, before, programs[i].bpf_size,
			      programs[i].machine_size);
		if (before == 0)
			fail_msg("bpf/verified.txt has no number for %s", programs[i].name);
		assert_true(programs[i].verified > 100);
		assert_true(programs[i].verified <= before + before / 10);
	}
}

/* Nothing is sampled there, and nobody would hear of it. */
static void refuses_a_cpu_that_was_not_there(void **state)
{
	autoclean(sampler) struct sampler *sampler = NULL;
	char reason[SAMPLER_ERROR_SIZE] = "";
	uint32_t cpu = 0;

	(void)state;
	need_bpf();
	assert_int_equal(sampler_load(&(struct sampler_options){ .handler = ignore_event },
				      &sampler, reason),
			 0);
	assert_int_equal(cpus_highest_online(&cpu), 0);
	cpu++;
	assert_int_equal(sampler_attach(sampler, 99, &cpu, 1, reason), -ENODEV);
	assert_non_null(strstr(reason, "cannot open a clock event on CPU"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(is_verified_in_no_more_steps_than_before),
		cmocka_unit_test(refuses_a_cpu_that_was_not_there),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
