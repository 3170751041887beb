/* SPDX-License-Identifier: Apache-2.0 */
#include "store/scratch.h"

#include <assert.h>
#include <stdlib.h>

#include "base/clock.h"

void scratches_init(struct scratches *scratches)
{
	*scratches = (struct scratches){ .size_max = SCRATCH_SIZE_MAX };
	(void)pthread_mutex_init(&scratches->lock, NULL); /* can't fail on Linux */
}

static void scratch_done(struct scratch *scratch)
{
	array_done(&scratch->self);
	array_done(&scratch->total);
	array_done(&scratch->mapped);
	array_done(&scratch->named);
	merge_done(&scratch->merge);
	scratch->naming = naming_free(scratch->naming);
}

static size_t size_of(const struct scratch *scratch)
{
	return scratch->self.capacity * sizeof(scratch->self.items[0]) +
	       scratch->total.capacity * sizeof(scratch->total.items[0]) +
	       scratch->mapped.capacity * sizeof(scratch->mapped.items[0]) +
	       scratch->named.capacity * sizeof(scratch->named.items[0]) +
	       merge_memory(&scratch->merge) +
	       (scratch->naming ? naming_memory(scratch->naming) : 0);
}

/* With the lock held. */
static void let_go(struct scratches *scratches)
{
	while (scratches->count > 0)
		scratch_done(&scratches->kept[--scratches->count]);
	scratches->size = 0;
	scratches->since_ns = 0;
}

/* With the lock held: the one that was not needed for longest. */
static void let_go_first(struct scratches *scratches)
{
	scratches->size -= size_of(&scratches->kept[0]);
	scratch_done(&scratches->kept[0]);
	scratches->count--;
	for (uint32_t i = 0; i < scratches->count; i++) {
		scratches->kept[i] = scratches->kept[i + 1];
		scratches->kept_ns[i] = scratches->kept_ns[i + 1];
	}
}

void scratches_done(struct scratches *scratches)
{
	let_go(scratches);
	(void)pthread_mutex_destroy(&scratches->lock);
}

void scratches_take(struct scratches *scratches, struct scratch *ret)
{
	*ret = (struct scratch){ 0 };
	pthread_mutex_lock(&scratches->lock);
	if (scratches->count > 0) {
		*ret = scratches->kept[--scratches->count];
		assert(size_of(ret) <= scratches->size);
		scratches->size -= size_of(ret);
	}
	pthread_mutex_unlock(&scratches->lock);
}

/* An array that no longer fits goes. */
#define TRIM(array, room)                                                                          \
	({                                                                                         \
		size_t size_ = (array)->capacity * sizeof((array)->items[0]);                      \
		if (size_ > (room))                                                                \
			array_done(array);                                                         \
		else                                                                               \
			(room) -= size_;                                                           \
	})

/* What is left of it fits into the room. */
static void trim(struct scratch *scratch, size_t room)
{
	if (scratch->naming && naming_memory(scratch->naming) > room)
		scratch->naming = naming_free(scratch->naming);
	room -= scratch->naming ? naming_memory(scratch->naming) : 0;
	if (merge_memory(&scratch->merge) > room)
		merge_done(&scratch->merge);
	room -= merge_memory(&scratch->merge);
	TRIM(&scratch->named, room);
	TRIM(&scratch->mapped, room);
	TRIM(&scratch->self, room);
	TRIM(&scratch->total, room);
}

void scratches_give(struct scratches *scratches, struct scratch *scratch, uint64_t now_ns)
{
	if (scratch->naming && !naming_rest(scratch->naming))
		scratch->naming = naming_free(scratch->naming);
	pthread_mutex_lock(&scratches->lock);
	if (scratches->count < SCRATCH_COUNT_MAX && scratches->size < scratches->size_max) {
		trim(scratch, scratches->size_max - scratches->size);
		scratches->size += size_of(scratch);
		assert(scratches->size <= scratches->size_max);
		scratches->kept_ns[scratches->count] = now_ns;
		scratches->kept[scratches->count++] = *scratch;
		*scratch = (struct scratch){ 0 };
	}
	scratches->used_ns = now_ns;
	if (!scratches->since_ns)
		scratches->since_ns = now_ns;
	pthread_mutex_unlock(&scratches->lock);
	scratch_done(scratch);
}

void scratches_tidy(struct scratches *scratches, uint64_t now_ns)
{
	const uint64_t idle_ns = (uint64_t)SCRATCH_IDLE_SECONDS * (uint64_t)CLOCK_NS_PER_S;
	const uint64_t age_ns = (uint64_t)SCRATCH_AGE_SECONDS * (uint64_t)CLOCK_NS_PER_S;
	const uint64_t spare_ns = (uint64_t)SCRATCH_SPARE_SECONDS * (uint64_t)CLOCK_NS_PER_S;

	pthread_mutex_lock(&scratches->lock);
	if (now_ns - scratches->used_ns > idle_ns || now_ns - scratches->since_ns > age_ns)
		let_go(scratches);
	while (scratches->count > 1 && now_ns > scratches->kept_ns[0] + spare_ns)
		let_go_first(scratches);
	pthread_mutex_unlock(&scratches->lock);
}

void scratches_limit(struct scratches *scratches, size_t size_max)
{
	pthread_mutex_lock(&scratches->lock);
	scratches->size_max = size_max < SCRATCH_SIZE_MAX ? size_max : SCRATCH_SIZE_MAX;
	while (scratches->count > 1 && scratches->size > scratches->size_max)
		let_go_first(scratches);
	pthread_mutex_unlock(&scratches->lock);
}

size_t scratches_memory(struct scratches *scratches)
{
	pthread_mutex_lock(&scratches->lock);
	size_t size = scratches->size;
	pthread_mutex_unlock(&scratches->lock);
	return size;
}
