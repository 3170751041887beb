/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdint.h>

#include "base/cleanup.h"
#include "base/window.h"
#include "bpf/events.h"

struct exclusions;
struct processes;

/*
 * Counts equal stacks within one window. Used by the collector's one thread; nothing here locks.
 *
 * All memory is taken in aggregator_new(), by the capacities of base/limits.h, and touched as it is
 * needed. When a table is full, new stacks are counted as lost, and the known ones go on being
 * counted.
 */
struct aggregator;

int aggregator_new(struct processes *processes, struct aggregator **ret);
struct aggregator *aggregator_free(struct aggregator *aggregator);

/* Whose samples are left out from now on; NULL: nobody's. Must outlive its use. */
void aggregator_exclude(struct aggregator *aggregator, const struct exclusions *exclusions);

/* Leaves out all but those processes of which processes_follow() speaks. */
void aggregator_follow(struct aggregator *aggregator);

/* How many samples were left out since the start. */
uint64_t aggregator_excluded(const struct aggregator *aggregator);

/* Counts one sample into the running window. */
void aggregator_add(struct aggregator *aggregator, const struct event *event);

/*
 * Looks up the processes that turned up since the last call, while those that live only briefly may
 * still be there. Call after each draining of the ring.
 */
void aggregator_meet_processes(struct aggregator *aggregator);

/*
 * Turns what was counted into a window: addresses into files and offsets. The caller fills in what
 * the window says of itself (collector, sequence, times, frequency, CPUs, gap) and adds the losses
 * of others. Valid until aggregator_clear(); belongs to the aggregator.
 */
struct window *aggregator_window(struct aggregator *aggregator, uint64_t start_boot_ns,
				 uint64_t end_boot_ns);

/* Empties it for the next window and keeps its memory. */
void aggregator_clear(struct aggregator *aggregator);

DEFINE_CLEANUP(struct aggregator *, aggregator, aggregator_free)
