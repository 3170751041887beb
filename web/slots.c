/* SPDX-License-Identifier: Apache-2.0 */
#include "web/slots.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <time.h>

#include "base/clock.h"

struct slots {
	pthread_mutex_t lock;
	pthread_cond_t freed;
	unsigned running; /* guarded by lock, as is waiting */
	unsigned waiting;
	unsigned running_max;
	unsigned waiting_max;
};

int slots_new(unsigned running_max, unsigned waiting_max, struct slots **ret)
{
	struct slots *slots = calloc(1, sizeof(*slots));
	pthread_condattr_t attributes;

	assert(running_max > 0);
	if (!slots)
		return -ENOMEM;
	slots->running_max = running_max;
	slots->waiting_max = waiting_max;
	/* None of these can fail on Linux with these arguments. */
	(void)pthread_mutex_init(&slots->lock, NULL);
	(void)pthread_condattr_init(&attributes);
	(void)pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
	(void)pthread_cond_init(&slots->freed, &attributes);
	(void)pthread_condattr_destroy(&attributes);
	*ret = slots;
	return 0;
}

struct slots *slots_free(struct slots *slots)
{
	if (!slots)
		return NULL;
	assert(slots->running == 0 && slots->waiting == 0);
	(void)pthread_cond_destroy(&slots->freed);
	(void)pthread_mutex_destroy(&slots->lock);
	free(slots);
	return NULL;
}

static int wait_for_turn(struct slots *slots, uint64_t deadline_monotonic_ns)
{
	struct timespec end = {
		.tv_sec = (time_t)(deadline_monotonic_ns / CLOCK_NS_PER_S),
		.tv_nsec = (long)(deadline_monotonic_ns % CLOCK_NS_PER_S),
	};
	int err = 0;

	assert(slots->running == slots->running_max);
	if (slots->waiting == slots->waiting_max)
		return -EBUSY;
	slots->waiting++;
	while (!err && slots->running == slots->running_max)
		err = -pthread_cond_timedwait(&slots->freed, &slots->lock, &end);
	assert(slots->waiting > 0);
	slots->waiting--;
	return slots->running < slots->running_max ? 0 : err;
}

int slots_enter(struct slots *slots, uint64_t deadline_monotonic_ns)
{
	int err = 0;

	(void)pthread_mutex_lock(&slots->lock);
	if (slots->running == slots->running_max)
		err = wait_for_turn(slots, deadline_monotonic_ns);
	if (!err)
		slots->running++;
	assert(slots->running <= slots->running_max);
	(void)pthread_mutex_unlock(&slots->lock);
	return err;
}

void slots_leave(struct slots *slots)
{
	(void)pthread_mutex_lock(&slots->lock);
	assert(slots->running > 0);
	slots->running--;
	(void)pthread_cond_signal(&slots->freed);
	(void)pthread_mutex_unlock(&slots->lock);
}

void slots_figures(struct slots *slots, unsigned *ret_running, unsigned *ret_waiting)
{
	(void)pthread_mutex_lock(&slots->lock);
	*ret_running = slots->running;
	*ret_waiting = slots->waiting;
	(void)pthread_mutex_unlock(&slots->lock);
}
