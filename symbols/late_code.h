/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/identity.h"
#include "symbols/jit_map.h"

/*
 * Samples of code that a process made and has not named yet: V8 holds back its jitdump until 2 MB
 * of it are full, or until it ends. Such a sample is stored under a place of its own, that of an
 * address for as long as nothing says that it means another thing: the address, and above it a
 * number. When the dump tells what was there, the number gets its name, in a symbol file of this
 * process's code; who asks after that finds it. One thread at a time.
 */
struct late_code;

enum {
	LATE_CODE_ADDRESS_BITS = 48,
	LATE_CODE_NUMBER_MAX = 0xffff, /* from 1; then a new identity begins */
	/* Of one process, waiting for names. */
	LATE_CODE_AWAITED_COUNT_MAX = 16 << 10,
	/* The longer one number stands for an address, the more likely the address meant two things
	 * meanwhile, and then it gets no name at all; but each is a place of its own in what is
	 * stored. So the first stands for a short time, and each of the same address for twice as
	 * long as the one before. */
	LATE_CODE_FIRST_MS = 250,
	LATE_CODE_LAST_MS = 600 * 1000,
};

static inline uint64_t late_code_address(uint64_t place)
{
	return place & ((UINT64_C(1) << LATE_CODE_ADDRESS_BITS) - 1);
}

static inline uint32_t late_code_number(uint64_t place)
{
	return (uint32_t)(place >> LATE_CODE_ADDRESS_BITS);
}

/* owner: what tells this process from all others, sizeof(owner) bytes. */
enum { LATE_CODE_OWNER_SIZE = 24 };
int late_code_new(const uint8_t owner[static LATE_CODE_OWNER_SIZE], struct late_code **ret);
struct late_code *late_code_free(struct late_code *late);

/* Where a sample of that time is to be stored; -ENOSPC when too many wait. */
int late_code_await(struct late_code *late, uint64_t address, uint64_t at_ns,
		    struct identity *ret_identity, uint64_t *ret_place);

size_t late_code_count(const struct late_code *late);

/* Names of one identity: what to add to its symbol file. */
struct late_names {
	struct identity identity;
	struct buf numbers;	 /* u32 each */
	struct buf text_offsets; /* u32 each, and one more */
	struct buf texts;
	size_t count;
};
void late_names_init(struct late_names *names);
void late_names_done(struct late_names *names);

/*
 * Moves to names, which is empty, those that the map knows now, of one identity; the others wait
 * on. What turned out to have meant several things waits no longer. Call it until it gives none.
 */
int late_code_settle(struct late_code *late, struct jit_map *map, struct late_names *names);

DEFINE_CLEANUP(struct late_code *, late_code, late_code_free)
