/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stddef.h>

/*
 * Memory for what is large and read here and there. Each access to another page costs as much again
 * for finding the page, under a hypervisor more, and each new page a visit to the kernel: from
 * PAGES_SIZE_MIN on huge ones are asked for, where the kernel has them. Its contents are not
 * defined; free() gives it back. NULL when there is none.
 */
enum { PAGES_SIZE_MIN = 4 << 20 };

void *pages_alloc(size_t size);

/* The same, zeroed. */
void *pages_alloc_zeroed(size_t count, size_t size);
