/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#pragma once

/*
 * Where the records of a CPU wait for the collector: written in place, without a call of the kernel
 * or a line that other CPUs write. head and tail count bytes since the start; a record begins at
 * its place modulo EVENT_QUEUE_SIZE and lies in one piece, the last one beyond the end if need be.
 * What finds no room, or carries its stack, takes the ring buffer that all CPUs share.
 *
 * The side that writes, for the program in the kernel and for tests; collector/queues.h reads.
 */
#include "bpf/events.h"

struct event_queue {
	__u64 counters[COUNTER_COUNT];
	__u64 head; /* the program's: up to here records are whole */
	__u64 reserved[5];
	__u64 tail; /* the collector's, in a line of its own: up to here it has them */
	__u64 reserved_of_tail[7];
};

enum {
	/* By CPU: a tenth of a second of 997 stacks of 60 frames. */
	EVENT_QUEUE_SIZE = 64 << 10,
	/* From a CPU's struct event_queue, with what the walk works with between them. */
	EVENT_QUEUE_RECORDS_AT = EVENT_PAGE_SIZE,
	/* From the first record: behind the longest that can begin before the queue's end. There is
	 * the room for one that is not for the queue. */
	EVENT_QUEUE_SPARE_AT = EVENT_QUEUE_SIZE + sizeof(struct event),
};

EVENT_ASSERT(sizeof(struct event_queue) == 3 * 64, "tail does not share a line");
EVENT_ASSERT(sizeof(struct event) % 8 == 0 && EVENT_HEADER_SIZE % 8 == 0,
	     "each record begins on a word");

/* Where the next record is made, in bytes from the first one; EVENT_QUEUE_SPARE_AT where the queue
 * might not hold it, whatever its length. */
static inline __attribute__((__always_inline__, __unused__)) __u64
event_queue_place(const struct event_queue *queue)
{
	__u64 head = queue->head;
	__u64 waiting = head - *(const volatile __u64 *)&queue->tail;

	return waiting > EVENT_QUEUE_SIZE - sizeof(struct event) ? (__u64)EVENT_QUEUE_SPARE_AT
								 : head % EVENT_QUEUE_SIZE;
}

/* The record at the queue's head is whole. */
static inline __attribute__((__always_inline__, __unused__)) void
event_queue_publish(struct event_queue *queue, __u64 size)
{
#if defined(__TARGET_ARCH_x86) || defined(__x86_64__)
	/* The CPU keeps stores in order. An atomic addition would wait for all of them: the record
	 * lies in cold lines. */
	__asm__ volatile("" : : : "memory");
	*(volatile __u64 *)&queue->head = queue->head + size;
#else
	/* One that asks for the old value is a barrier. */
	volatile __u64 before = __sync_fetch_and_add(&queue->head, size);

	(void)before;
#endif
}
