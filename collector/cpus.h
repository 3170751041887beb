/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdint.h>

#include "base/str.h"

enum { CPU_COUNT_MAX = 4096 }; /* the kernel's largest NR_CPUS is 8192; hosts of today have 1024 */

/* "0-3,5": the kernel's way of writing a list of CPUs. -EINVAL, -E2BIG. */
int cpus_parse(struct str text, uint32_t cpus[static CPU_COUNT_MAX], uint32_t *ret_count);

/* Those that are online now. */
int cpus_online(uint32_t cpus[static CPU_COUNT_MAX], uint32_t *ret_count);
