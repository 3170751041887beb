/* SPDX-License-Identifier: Apache-2.0 */
#include "collector/queues.h"

#include <assert.h>
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"

/* A queue that has something, and when its first sample was taken. */
struct waiting {
	uint64_t boot_ns;
	uint32_t cpu;
};

struct queues {
	uint8_t *memory;
	size_t stride;
	uint32_t count;
	queues_handler *handler;
	void *context;
	uint64_t malformed;
	int handed_over;
	uint64_t *heads; /* by CPU: up to where they are read this time */
	/* When that was looked at. A CPU takes one sample after the other, so that all of its
	 * samples before one that was taken by then are in. */
	uint64_t looked_ns;
	/* A heap, the oldest first: to look through a thousand CPUs for each sample would cost more
	 * than the sample. */
	struct waiting *waiting;
	uint32_t waiting_count;
};

int queues_new(void *memory, size_t stride, uint32_t count, queues_handler *handler, void *context,
	       struct queues **ret)
{
	assert(memory && handler && count > 0 && ret);
	assert(stride >= EVENT_QUEUE_RECORDS_AT + EVENT_QUEUE_SPARE_AT && stride % 8 == 0);

	autoclean(queues) struct queues *queues = calloc(1, sizeof(*queues));

	if (!queues)
		return -ENOMEM;
	*queues = (struct queues){ .memory = memory,
				   .stride = stride,
				   .count = count,
				   .handler = handler,
				   .context = context };
	queues->heads = calloc(count, sizeof(queues->heads[0]));
	queues->waiting = calloc(count, sizeof(queues->waiting[0]));
	if (!queues->heads || !queues->waiting)
		return -ENOMEM;
	*ret = TAKE(queues);
	return 0;
}

struct queues *queues_free(struct queues *queues)
{
	if (!queues)
		return NULL;
	free(queues->heads);
	free(queues->waiting);
	free(queues);
	return NULL;
}

/* ---- records ------------------------------------------------------------------------------------
 */

static bool is_whole(const struct event *event, size_t size)
{
	if (size < EVENT_HEADER_SIZE || event->kernel_frame_count > EVENT_KERNEL_FRAME_COUNT_MAX ||
	    event->user_frame_count > EVENT_USER_FRAME_COUNT_MAX)
		return false;

	size_t wanted = event_size(event);

	if (event->raw_stack_size > 0)
		wanted += sizeof(struct event_raw) + event->raw_stack_size;
	return size >= wanted && event->raw_stack_size <= EVENT_RAW_STACK_SIZE_MAX;
}

static struct event_queue *queue_of(const struct queues *queues, uint32_t cpu)
{
	return (struct event_queue *)(void *)(queues->memory + cpu * queues->stride);
}

static const struct event *next_record(const struct event_queue *queue)
{
	return (const struct event *)(const void *)((const uint8_t *)queue +
						    EVENT_QUEUE_RECORDS_AT +
						    queue->tail % EVENT_QUEUE_SIZE);
}

static void set_tail(struct event_queue *queue, uint64_t tail)
{
	__atomic_store_n(&queue->tail, tail, __ATOMIC_RELEASE);
}

/* Whether a record waits in that queue. Malformed, it and all behind it are gone: where the next
 * one begins is not known. None in a queue carries its stack. */
static bool has_next(struct queues *queues, uint32_t cpu)
{
	struct event_queue *queue = queue_of(queues, cpu);
	uint64_t left = queues->heads[cpu] - queue->tail;

	if (left == 0)
		return false;
	if (left <= EVENT_QUEUE_SIZE && is_whole(next_record(queue), left) &&
	    next_record(queue)->raw_stack_size == 0)
		return true;
	queues->malformed++;
	set_tail(queue, queues->heads[cpu]);
	return false;
}

static void hand_over(struct queues *queues, const struct event *event)
{
	queues->handler(queues->context, event);
	queues->handed_over++;
}

/* ---- the oldest first ---------------------------------------------------------------------------
 */

static void swap(struct waiting *a, struct waiting *b)
{
	struct waiting before = *a;

	*a = *b;
	*b = before;
}

static void add_waiting(struct queues *queues, uint32_t cpu)
{
	struct waiting *waiting = queues->waiting;
	uint32_t at = queues->waiting_count++;

	waiting[at] = (struct waiting){ next_record(queue_of(queues, cpu))->boot_ns, cpu };
	for (; at > 0 && waiting[at].boot_ns < waiting[(at - 1) / 2].boot_ns; at = (at - 1) / 2)
		swap(&waiting[at], &waiting[(at - 1) / 2]);
}

/* The first is another one, or has got younger. */
static void sink_first(struct queues *queues)
{
	struct waiting *waiting = queues->waiting;
	uint32_t at = 0;

	while (true) {
		uint32_t oldest = at;

		for (uint32_t child = 2 * at + 1; child <= 2 * at + 2; child++)
			if (child < queues->waiting_count &&
			    waiting[child].boot_ns < waiting[oldest].boot_ns)
				oldest = child;
		if (oldest == at)
			return;
		swap(&waiting[at], &waiting[oldest]);
		at = oldest;
	}
}

/* Samples of all queues up to then. */
static void hand_over_until(struct queues *queues, uint64_t end_ns)
{
	struct waiting *first = &queues->waiting[0];

	while (queues->waiting_count > 0 && first->boot_ns <= end_ns) {
		struct event_queue *queue = queue_of(queues, first->cpu);
		const struct event *event = next_record(queue);
		uint64_t size = event_size(event);

		hand_over(queues, event);
		set_tail(queue, queue->tail + size);
		if (has_next(queues, first->cpu))
			first->boot_ns = next_record(queue)->boot_ns;
		else
			*first = queues->waiting[--queues->waiting_count];
		sink_first(queues);
	}
}

/* What is in the queues by now is read this time. */
static void look(struct queues *queues)
{
	queues->looked_ns = clock_boot_ns();
	for (uint32_t cpu = 0; cpu < queues->count; cpu++) {
		struct event_queue *queue = queue_of(queues, cpu);
		bool waits = queues->heads[cpu] != queue->tail;

		queues->heads[cpu] = __atomic_load_n(&queue->head, __ATOMIC_ACQUIRE);
		if (!waits && has_next(queues, cpu))
			add_waiting(queues, cpu);
	}
}

void queues_begin(struct queues *queues)
{
	queues->handed_over = 0;
	look(queues);
}

void queues_add(struct queues *queues, const void *bytes, size_t size)
{
	const struct event *event = bytes;

	if (!is_whole(event, size)) {
		queues->malformed++;
		return;
	}
	/* It came while we read: others that came before it may lie in the queues. */
	if (event->boot_ns > queues->looked_ns)
		look(queues);
	hand_over_until(queues, event->boot_ns);
	hand_over(queues, event);
}

int queues_finish(struct queues *queues)
{
	hand_over_until(queues, UINT64_MAX);
	assert(queues->waiting_count == 0);
	return queues->handed_over;
}

void queues_counters(const struct queues *queues, uint64_t ret[static COUNTER_COUNT])
{
	memset(ret, 0, COUNTER_COUNT * sizeof(ret[0]));
	for (uint32_t cpu = 0; cpu < queues->count; cpu++) {
		const __u64 *counters = queue_of(queues, cpu)->counters;

		for (uint32_t i = 0; i < COUNTER_COUNT; i++)
			ret[i] += __atomic_load_n(&counters[i], __ATOMIC_RELAXED);
	}
	ret[COUNTER_UNREADABLE] += queues->malformed;
}
