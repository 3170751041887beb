/* SPDX-License-Identifier: Apache-2.0 */
#include "store/gate.h"

#include <assert.h>
#include <errno.h>
#include <stdbool.h>
#include <time.h>

#include "base/clock.h"

void gate_init(struct gate *gate, const struct gate_limits *limits)
{
	pthread_condattr_t attributes;

	assert(limits->size > 0 && limits->count_max > 0);
	assert(limits->size_least <= limits->size && limits->size <= limits->size_beside);
	*gate = (struct gate){ .limits = *limits };
	/* None of these can fail on Linux with these arguments. */
	(void)pthread_mutex_init(&gate->lock, NULL);
	(void)pthread_condattr_init(&attributes);
	(void)pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
	(void)pthread_cond_init(&gate->changed, &attributes);
	(void)pthread_condattr_destroy(&attributes);
}

void gate_done(struct gate *gate)
{
	assert(gate->count == 0 && gate->taken == 0 && gate->occupied == 0);
	assert(gate->serving == gate->next_ticket);
	(void)pthread_cond_destroy(&gate->changed);
	(void)pthread_mutex_destroy(&gate->lock);
}

static int wait_for_change(struct gate *gate, uint64_t deadline_monotonic_ns)
{
	struct timespec end = {
		.tv_sec = (time_t)(deadline_monotonic_ns / CLOCK_NS_PER_S),
		.tv_nsec = (long)(deadline_monotonic_ns % CLOCK_NS_PER_S),
	};

	return deadline_monotonic_ns ? -pthread_cond_timedwait(&gate->changed, &gate->lock, &end)
				     : -pthread_cond_wait(&gate->changed, &gate->lock);
}

static bool has_room(const struct gate *gate, uint64_t bytes)
{
	const struct gate_limits *limits = &gate->limits;
	uint64_t size = limits->size_least;

	if (gate->count == 0)
		return true;
	if (gate->occupied < limits->size_beside - size)
		size = limits->size_beside - gate->occupied;
	if (size > limits->size)
		size = limits->size;
	return gate->count < limits->count_max && gate->taken < size && bytes <= size - gate->taken;
}

static void tell(const struct gate *gate)
{
	if (gate->limits.changed)
		gate->limits.changed(gate->limits.context, gate->taken, gate->occupied);
}

/* Whoever came before has gone in, or gone away: those who gave up pass their turn on. */
int gate_enter(struct gate *gate, uint64_t bytes, uint64_t deadline_monotonic_ns, uint64_t *ret)
{
	int err = 0;

	(void)pthread_mutex_lock(&gate->lock);

	uint64_t ticket = gate->next_ticket++;

	while (gate->serving != ticket)
		(void)wait_for_change(gate, 0);
	while (!err && !has_room(gate, bytes))
		err = wait_for_change(gate, deadline_monotonic_ns);
	if (has_room(gate, bytes)) {
		err = 0;
		gate->count++;
		gate->taken += bytes;
		if (gate->taken > gate->peak)
			gate->peak = gate->taken;
		tell(gate);
		*ret = bytes;
	}
	gate->serving++;
	(void)pthread_cond_broadcast(&gate->changed);
	(void)pthread_mutex_unlock(&gate->lock);
	return err;
}

void gate_leave(struct gate *gate, uint64_t taken)
{
	(void)pthread_mutex_lock(&gate->lock);
	assert(gate->count > 0 && taken <= gate->taken);
	gate->count--;
	gate->taken -= taken;
	tell(gate);
	(void)pthread_cond_broadcast(&gate->changed);
	(void)pthread_mutex_unlock(&gate->lock);
}

void gate_occupy(struct gate *gate, uint64_t bytes)
{
	(void)pthread_mutex_lock(&gate->lock);
	gate->occupied += bytes;
	tell(gate);
	(void)pthread_mutex_unlock(&gate->lock);
}

void gate_vacate(struct gate *gate, uint64_t bytes)
{
	(void)pthread_mutex_lock(&gate->lock);
	assert(bytes <= gate->occupied);
	gate->occupied -= bytes;
	tell(gate);
	(void)pthread_cond_broadcast(&gate->changed);
	(void)pthread_mutex_unlock(&gate->lock);
}

uint64_t gate_occupied(struct gate *gate)
{
	(void)pthread_mutex_lock(&gate->lock);

	uint64_t occupied = gate->occupied;

	(void)pthread_mutex_unlock(&gate->lock);
	return occupied;
}

void gate_figures(struct gate *gate, uint64_t *ret_taken, uint64_t *ret_peak)
{
	(void)pthread_mutex_lock(&gate->lock);
	*ret_taken = gate->taken;
	*ret_peak = gate->peak;
	(void)pthread_mutex_unlock(&gate->lock);
}
