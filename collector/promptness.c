/* SPDX-License-Identifier: Apache-2.0 */
#include "collector/promptness.h"

#include <fcntl.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/cleanup.h"

enum {
	NICE = -10,
	TURN_NS = 100 * 1000, /* the shortest that the kernel has */
};

/* struct sched_attr of include/uapi/linux/sched/types.h, its first version; which header has it
 * depends on the C library. */
struct scheduling {
	uint32_t size;
	uint32_t policy;
	uint64_t flags;
	int32_t nice;
	uint32_t priority;
	uint64_t runtime_ns; /* of the usual policy: the length of a turn */
	uint64_t deadline_ns;
	uint64_t period_ns;
};

/*
 * Where the kernel shares CPUs between sessions first (CONFIG_SCHED_AUTOGROUP), a thread's priority
 * counts among those of its session alone, and what the server does is held against the collector.
 * So it gets a session of its own, unless it leads one, as a service does, and that the priority.
 * A job of a shell leads its group and stays in the shell's session.
 */
static void ask_for_session(void)
{
	char text[16];
	int size = snprintf(text, sizeof(text), "%d", NICE);

	if (getsid(0) != getpid() && setsid() < 0)
		return;

	autoclose int file = open("/proc/self/autogroup", O_WRONLY | O_CLOEXEC);

	if (file >= 0 && write(file, text, (size_t)size) < 0)
		return; /* not permitted */
}

void promptness_ask(void)
{
	struct scheduling scheduling = { .size = sizeof(scheduling),
					 .policy = SCHED_OTHER,
					 .runtime_ns = TURN_NS };

	if (sched_getscheduler(0) != SCHED_OTHER)
		return;
	ask_for_session();
	(void)setpriority(PRIO_PROCESS, 0, NICE);
	/* As it is now: a service's manager may have set it where we may not. */
	scheduling.nice = getpriority(PRIO_PROCESS, 0);
	(void)syscall(SYS_sched_setattr, 0, &scheduling, 0);
}
