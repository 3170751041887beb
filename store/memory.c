/* SPDX-License-Identifier: Apache-2.0 */
#include <unistd.h>

#include "base/clock.h"
#include "base/limits.h"
#include "store/store_private.h"

/*
 * What the store has in memory at once: questions, what works beside them, the files that are
 * written to, and what is kept for the next question, which makes way for all others.
 */

/* So many as there are CPUs: more only wait for each other, each with memory of its own. */
static uint32_t question_count_max(void)
{
	long count = sysconf(_SC_NPROCESSORS_ONLN);

	return count > SCRATCH_COUNT_MAX ? (uint32_t)count : SCRATCH_COUNT_MAX;
}

static uint64_t within(uint64_t size, uint64_t least, uint64_t most)
{
	return size < least ? least : size > most ? most : size;
}

static uint64_t room_beside(uint64_t bytes)
{
	return STORE_MEMORY_MAX - within(bytes, 0, STORE_MEMORY_MAX);
}

/*
 * What is kept makes way for what is needed. What questions worked in only for what grows: who goes
 * leaves it to who comes, and both are in. An estimate of more than all of them may take together
 * is far from what one takes.
 */
static void fit_kept(void *context, uint64_t taken, uint64_t occupied)
{
	struct store *store = context;
	uint64_t for_cache =
		room_beside(within(taken, 0, QUESTION_MEMORY_MAX) + occupied + STORE_KEPT_SIZE_MIN);
	uint64_t for_scratches = room_beside(occupied + STORE_CACHE_SIZE_MAX);

	if (store->cache)
		cache_limit(store->cache,
			    within(for_cache, STORE_KEPT_SIZE_MIN, STORE_CACHE_SIZE_MAX));
	scratches_limit(&store->scratches,
			within(for_scratches, STORE_KEPT_SIZE_MIN, SCRATCH_SIZE_MAX));
}

/* Files that are written to take what they take. */
static void tell_gate(struct store *store, uint64_t bytes)
{
	if (bytes > store->growing_memory)
		gate_occupy(&store->gate, bytes - store->growing_memory);
	else
		gate_vacate(&store->gate, store->growing_memory - bytes);
	store->growing_memory = bytes;
}

void store_note_growth(struct store *store)
{
	uint64_t bytes = 0;

	if (store->open && store->open->live)
		bytes += live_memory(store->open->live);
	if (store->late && store->late->live)
		bytes += live_memory(store->late->live);
	tell_gate(store, bytes);
}

void store_begin_memory(struct store *store)
{
	scratches_init(&store->scratches);
	gate_init(&store->gate,
		  &(struct gate_limits){ .size = QUESTION_MEMORY_MAX,
					 .size_beside = STORE_MEMORY_MAX - 2 * STORE_KEPT_SIZE_MIN,
					 .size_least = QUESTION_MEMORY_LEAST,
					 .count_max = question_count_max(),
					 .changed = fit_kept,
					 .context = store });
}

void store_end_memory(struct store *store)
{
	tell_gate(store, 0);
	store->cache = cache_free(store->cache);
	scratches_done(&store->scratches);
	gate_done(&store->gate);
}

void store_make_way(struct store *store)
{
	cache_tidy(store->cache, clock_monotonic_ns(), CACHE_FRESH_NS);
}
