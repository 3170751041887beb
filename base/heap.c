/* SPDX-License-Identifier: Apache-2.0 */
#include "base/heap.h"

#include <malloc.h>

enum {
	/*
	 * Left alone there are eight for each CPU, and each keeps the holes of the largest question
	 * that it ever served: after an hour of a server with four of them, 16 MB. Ours ask rarely
	 * enough, and with large pieces, not to wait for each other.
	 */
	ARENA_COUNT_MAX = 1,
	/*
	 * What is as large has pages of its own, which go with it. Left alone the C library raises
	 * this to what was freed last, and keeps such blocks for ever. Arrays double on their way
	 * up, and large blocks are put into holes as well: with 128 KiB the heap was two
	 * thirds larger after six minutes of questions, for the same CPU time.
	 */
	OWN_PAGES_SIZE_MIN = 32 << 10,
	/* As much may stay free at the end of the heap. */
	END_SIZE_MAX = 512 << 10,
};

void heap_tame(void)
{
	(void)mallopt(M_ARENA_MAX, ARENA_COUNT_MAX);
	(void)mallopt(M_MMAP_THRESHOLD, OWN_PAGES_SIZE_MIN);
	(void)mallopt(M_TRIM_THRESHOLD, END_SIZE_MAX);
}

void heap_give_back(void)
{
	(void)malloc_trim(0);
}
