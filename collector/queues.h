/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "bpf/event_queue.h"

/*
 * The queues of all CPUs, read as one: their records and those of the ring buffer that they share
 * are handed over by the time that the samples were taken. Within a queue, and within the ring but
 * for the length of a walk, that is the order in which they lie.
 *
 * The memory is the program's: written while it is read. A record's place is given back when its
 * handler has returned. Used by one thread.
 */
struct queues;

/* The event is valid during the call only; its frame counts and the size of its raw stack are
 * checked against its size. */
typedef void queues_handler(void *context, const struct event *event);

/* count CPUs; a struct event_queue at every stride bytes of the memory, and EVENT_QUEUE_RECORDS_AT
 * behind it its records. */
int queues_new(void *memory, size_t stride, uint32_t count, queues_handler *handler, void *context,
	       struct queues **ret);
struct queues *queues_free(struct queues *queues);

/*
 * To drain: begin, add the records of the ring one by one, finish. What comes into the queues after
 * the beginning waits for the next time, unless one of the ring is later. Finishing tells how many
 * were handed over since.
 */
void queues_begin(struct queues *queues);
void queues_add(struct queues *queues, const void *bytes, size_t size);
int queues_finish(struct queues *queues);

/* Sums over the CPUs since the start, by enum event_counter; what was malformed here is counted as
 * COUNTER_UNREADABLE. */
void queues_counters(const struct queues *queues, uint64_t ret[static COUNTER_COUNT]);

DEFINE_CLEANUP(struct queues *, queues, queues_free)
