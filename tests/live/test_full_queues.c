/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Nobody drains while the real kernel samples: the queues fill up, then the ring. What is handed
 * over in the end is in order, and what is not was counted.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <sys/prctl.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "collector/cpus.h"
#include "collector/sampler.h"
#include "tests/support/hearth.h"

/* Enough for the ring, too: 4 MiB or more, of records of some 200 bytes. */
enum { FREQUENCY_HZ = 9999, UNDRAINED_S_MAX = 30, DRAINED_MS = 300 };

struct seen {
	uint64_t last_of_cpu[CPU_COUNT_MAX];
	uint64_t last;
	uint64_t count;
	uint64_t disordered_of_cpu; /* behind a later one of its own CPU */
	uint64_t disordered;	    /* behind one that is later by more than a walk takes */
};

static void on_event(void *context, const struct event *event)
{
	enum { WALK_NS_MAX = 5 * CLOCK_NS_PER_MS };
	struct seen *seen = context;

	assert_true(event->cpu < CPU_COUNT_MAX);
	seen->count++;
	seen->disordered_of_cpu += event->boot_ns <= seen->last_of_cpu[event->cpu];
	seen->disordered += event->boot_ns + WALK_NS_MAX < seen->last;
	seen->last_of_cpu[event->cpu] = event->boot_ns;
	if (event->boot_ns > seen->last)
		seen->last = event->boot_ns;
}

static pid_t burn(void)
{
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid == 0) {
		(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
		for (volatile unsigned long i = 0;; i++)
			;
	}
	return pid;
}

static void run_until_samples_are_lost(struct sampler *sampler)
{
	double end = now_seconds() + UNDRAINED_S_MAX;
	uint64_t counters[COUNTER_COUNT];

	do {
		usleep(50 * 1000);
		sampler_counters(sampler, counters);
	} while (counters[COUNTER_RING_FULL] < 100 && now_seconds() < end);
	assert_true(counters[COUNTER_RING_FULL] >= 100);
}

static void are_handed_over_in_order_and_losses_are_counted(void **state)
{
	static struct seen seen;
	static uint32_t cpus[CPU_COUNT_MAX];
	autoclean(sampler) struct sampler *sampler = NULL;
	char reason[SAMPLER_ERROR_SIZE] = "";
	uint64_t before[COUNTER_COUNT], counters[COUNTER_COUNT];
	uint32_t cpu_count;

	(void)state;
	need_bpf();
	assert_int_equal(cpus_online(cpus, &cpu_count), 0);
	assert_int_equal(
		sampler_load(&(struct sampler_options){ .handler = on_event, .context = &seen },
			     &sampler, reason),
		0);
	assert_int_equal(sampler_attach(sampler, FREQUENCY_HZ, cpus, cpu_count, reason), 0);

	pid_t burning = burn();

	run_until_samples_are_lost(sampler);
	/* What comes while it is drained finds room in the queues again. */
	for (unsigned ms = 0; ms < DRAINED_MS; ms += 10) {
		assert_true(sampler_drain(sampler) >= 0);
		usleep(10 * 1000);
	}
	sampler_counters(sampler, before);
	assert_true(sampler_drain(sampler) >= 0);
	sampler_counters(sampler, counters);
	assert_int_equal(kill(burning, SIGKILL), 0);
	assert_int_equal(waitpid(burning, NULL, 0), burning);

	print_message("# %llu taken, %llu handed over, %llu found no room; %llu, %llu out of "
		      "order\n",
		      (unsigned long long)counters[COUNTER_TAKEN], (unsigned long long)seen.count,
		      (unsigned long long)counters[COUNTER_RING_FULL],
		      (unsigned long long)seen.disordered_of_cpu,
		      (unsigned long long)seen.disordered);
	assert_int_equal(seen.disordered_of_cpu, 0);
	assert_int_equal(seen.disordered, 0);
	assert_int_equal(counters[COUNTER_UNREADABLE], 0);

	/* While we counted and drained, others were taken: between the two looks. */
	uint64_t told = seen.count + counters[COUNTER_RING_FULL];

	assert_true(told >= before[COUNTER_TAKEN] - cpu_count);
	assert_true(told <= counters[COUNTER_TAKEN]);
	assert_true(counters[COUNTER_TAKEN] > 10000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(are_handed_over_in_order_and_losses_are_counted),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
