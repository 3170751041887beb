/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stddef.h>
#include <stdint.h>

/*
 * The arrays of one thing that stays as it is for long, moved out of the heap, together, into pages
 * of their own: between what comes and goes with every question they would hold holes open for as
 * long as they live. Two passes over the same arrays: the first, with one that is all zero,
 * measures; then come the pages, and the second moves.
 */
struct gather {
	uint8_t *pages; /* NULL: it only measures */
	size_t size;	/* what it takes, or so much of which is taken */
	size_t capacity;
};

/* Pages for what was measured, and begins anew. -ENOMEM; 0 as well when there is nothing to move,
 * and pages stays NULL. */
int gather_begin(struct gather *gather);

/* So many bytes at items, which is malloc's, or NULL: where they are from now on. They can't be
 * freed any more, nor grow. */
void *gather_move(struct gather *gather, void *items, size_t size);

/* Gives back the pages of a gather that is done, by its address and capacity. Accepts NULL. */
void gather_free(void *pages, size_t capacity);
