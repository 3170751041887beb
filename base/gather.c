/* SPDX-License-Identifier: Apache-2.0 */
#include "base/gather.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "base/pages.h"

enum {
	ALIGNMENT = 16,
};

int gather_begin(struct gather *gather)
{
	size_t capacity = gather->size;
	void *pages;

	assert(!gather->pages);
	if (capacity == 0)
		return 0;
	/* Not malloc(), which puts into a hole what fits, however large it is. */
	pages = mmap(NULL, capacity, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (pages == MAP_FAILED)
		return -ENOMEM;
	/* As pages_alloc(); where they are refused pages are small, and all else is the same. */
	if (capacity >= PAGES_SIZE_MIN)
		(void)madvise(pages, capacity, MADV_HUGEPAGE);
	*gather = (struct gather){ .pages = pages, .capacity = capacity };
	return 0;
}

void *gather_move(struct gather *gather, void *items, size_t size)
{
	size_t start = gather->size;

	if (!items)
		return NULL;
	gather->size += (size + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
	if (!gather->pages)
		return items;
	assert(gather->size <= gather->capacity);
	memcpy(gather->pages + start, items, size);
	free(items);
	return gather->pages + start;
}

void gather_free(void *pages, size_t capacity)
{
	int code = pages ? munmap(pages, capacity) : 0;

	assert(code == 0);
}
