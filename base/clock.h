/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdint.h>

/*
 * The only place that asks what time it is. Names say which clock: boot_ns counts from the boot of
 * the host and goes on while it is suspended, monotonic_ns stops then, unix_ns is the wall clock
 * and may jump.
 */
enum {
	CLOCK_NS_PER_MS = 1000000,
	CLOCK_MS_PER_S = 1000,
};

#define CLOCK_NS_PER_S INT64_C(1000000000)

uint64_t clock_boot_ns(void);
uint64_t clock_monotonic_ns(void);
int64_t clock_unix_ns(void);

static inline int64_t clock_unix_ms(void)
{
	return clock_unix_ns() / CLOCK_NS_PER_MS;
}
