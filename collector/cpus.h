/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/str.h"

enum { CPU_COUNT_MAX = 4096 }; /* the kernel's largest NR_CPUS is 8192; hosts of today have 1024 */

/* "0-3,5": the kernel's way of writing a list of CPUs. -EINVAL, -E2BIG. */
int cpus_parse(struct str text, uint32_t cpus[static CPU_COUNT_MAX], uint32_t *ret_count);

/* Whether every one of the others is among the CPUs. */
bool cpus_include(const uint32_t *cpus, uint32_t count, const uint32_t *others,
		  uint32_t other_count);

/* Those that are online now. */
int cpus_online(uint32_t cpus[static CPU_COUNT_MAX], uint32_t *ret_count);

/* The highest number of those; there may be gaps below. */
int cpus_highest_online(uint32_t *ret);
