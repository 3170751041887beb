/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "store/store.h"

/*
 * What the disk lets the store do: enum store_state, from the free space of its file system and
 * from how writing went. The writer's own.
 *
 * A ballast file is kept in the folder while all is well. It goes when the disk is full, so that
 * there is room for what makes room.
 */
struct space {
	enum store_state state;
	int64_t since_unix_ms;	 /* of the state */
	int error;		 /* what a write failed with, which made it read-only; else 0 */
	uint64_t next_try_ns;	 /* monotonic: no write before it; 0: any time */
	uint64_t free_bytes;	 /* for us, as last seen */
	uint64_t size_bytes;	 /* of the file system */
	uint64_t shedding_below; /* free bytes, see space_look() */
	uint64_t read_only_below;
	const char *folder;
	char *ballast; /* path */
	bool has_ballast;
};

/* The folder's name outlives it. */
int space_init(struct space *space, const char *folder);
void space_done(struct space *space);

/* Asks the file system, and settles on a state. */
void space_look(struct space *space, int64_t now_unix_ms);

/* Whether a write may be tried now: always, unless it is read-only and was tried a moment ago. */
bool space_may_write(const struct space *space);

/* How a write to disk ended. True when err speaks of the disk, which is read-only from here on. */
bool space_note(struct space *space, int err, int64_t now_unix_ms);

/* Whether old files are to go although they are neither too old nor too many. */
static inline bool space_is_short(const struct space *space)
{
	return space->state != STORE_OK && space->free_bytes < space->shedding_below;
}
