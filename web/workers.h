/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdint.h>

#include "base/cleanup.h"
#include "base/clock.h"

/*
 * Threads that run what they are given, one at a time each. There is always one more while all have
 * something to do, up to WORKER_COUNT_MAX; what more there is waits in its order. Who rested last
 * is called first, so that those which are not needed are seen to rest, and end; one stays.
 */
struct workers;

struct job {
	void (*run)(struct job *job);
	struct job *next;
};

/* Pages that look again do so within it; a thread that starts costs a tenth of a millisecond. What
 * a thread's stack touched is given back as it ends. */
#define WORKER_RESTING_NS (UINT64_C(60) * CLOCK_NS_PER_S)

/* A thread that rested for so long ends, unless it is the only one. */
int workers_new(uint64_t resting_ns, struct workers **ret);

/* Runs what is there, then ends, with every thread that there ever was. Nothing more may be given.
 * Accepts NULL. */
struct workers *workers_free(struct workers *workers);

/* The job must live until it has run, and it does run, by whoever rests, works or ends meanwhile.
 * Any thread. */
void workers_give(struct workers *workers, struct job *job);

DEFINE_CLEANUP(struct workers *, workers, workers_free)
