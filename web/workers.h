/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "base/cleanup.h"

/*
 * Threads that run what they are given, one at a time each. There is always one more while all have
 * something to do, up to WORKER_COUNT_MAX; what more there is waits in its order.
 */
struct workers;

struct job {
	void (*run)(struct job *job);
	struct job *next;
};

int workers_new(struct workers **ret);

/* Runs what is there, then ends. Nothing more may be given. Accepts NULL. */
struct workers *workers_free(struct workers *workers);

/* The job must live until it has run. Any thread. */
void workers_give(struct workers *workers, struct job *job);

DEFINE_CLEANUP(struct workers *, workers, workers_free)
