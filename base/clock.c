/* SPDX-License-Identifier: Apache-2.0 */
#include "base/clock.h"

#include <assert.h>
#include <time.h>

static int64_t read_clock(clockid_t id)
{
	struct timespec now;
	int failed = clock_gettime(id, &now);

	assert(!failed);
	return (int64_t)now.tv_sec * CLOCK_NS_PER_S + now.tv_nsec;
}

uint64_t clock_boot_ns(void)
{
	return (uint64_t)read_clock(CLOCK_BOOTTIME);
}

uint64_t clock_monotonic_ns(void)
{
	return (uint64_t)read_clock(CLOCK_MONOTONIC);
}

int64_t clock_unix_ns(void)
{
	return read_clock(CLOCK_REALTIME);
}
