/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/str.h"

/*
 * Memory for one message, up to a limit, given back all at once. Pieces are zeroed and aligned for
 * anything; single ones are not given back. The first failure is kept in .error (-ENOMEM, or -E2BIG
 * beyond the limit), so that a writer who can't go on asks once, at the end.
 */
struct arena_block;

struct arena {
	struct arena_block *blocks;
	size_t size;  /* taken from the system */
	size_t limit; /* of it */
	int error;
};

#define ARENA(limit_bytes) ((struct arena){ .limit = (limit_bytes) })

void arena_done(struct arena *arena);

/* NULL after an error. count × size may overflow: that is an error, too. */
void *arena_take(struct arena *arena, size_t count, size_t size);

/* A copy ended by a NUL. What is no UTF-8, and each NUL, becomes U+FFFD: no client takes them. */
char *arena_text(struct arena *arena, struct str text);

static inline void arena_cleanup(struct arena *arena)
{
	arena_done(arena);
}
