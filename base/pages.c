/* SPDX-License-Identifier: Apache-2.0 */
#include "base/pages.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

enum { HUGE_PAGE_SIZE = 2 << 20 };

void *pages_alloc(size_t size)
{
	void *memory;

	if (size < PAGES_SIZE_MIN)
		return malloc(size ? size : 1);
	memory = aligned_alloc(HUGE_PAGE_SIZE,
			       (size + HUGE_PAGE_SIZE - 1) & -(size_t)HUGE_PAGE_SIZE);
	/* Where it is refused pages are small, and all else is the same. */
	if (memory)
		(void)madvise(memory, size, MADV_HUGEPAGE);
	return memory;
}

void *pages_alloc_zeroed(size_t count, size_t size)
{
	size_t total;
	void *memory;

	if (__builtin_mul_overflow(count, size, &total))
		return NULL;
	if (total < PAGES_SIZE_MIN)
		return calloc(count ? count : 1, size);
	memory = pages_alloc(total);
	return memory ? memset(memory, 0, total) : NULL;
}
