/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"

/*
 * How many questions run at once, and how many may wait for their turn: what more there is, is told
 * to come again, so that a crowd neither eats the memory nor takes every thread from the rest.
 */
struct slots;

int slots_new(unsigned running_max, unsigned waiting_max, struct slots **ret);

/* Nobody is inside any more. */
struct slots *slots_free(struct slots *slots);

/* -EBUSY when too many wait already, -ETIMEDOUT when the turn did not come in time. */
int slots_enter(struct slots *slots, uint64_t deadline_monotonic_ns);
void slots_leave(struct slots *slots);

/* How many are inside now, and wait. */
void slots_figures(struct slots *slots, unsigned *ret_running, unsigned *ret_waiting);

DEFINE_CLEANUP(struct slots *, slots, slots_free)
