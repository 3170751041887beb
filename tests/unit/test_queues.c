/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Records are written here as the program in the kernel writes them (bpf/event_queue.h), and what
 * is in them follows from their time.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "collector/queues.h"

enum {
	CPU_MAX = 300,
	HANDED_MAX = 1 << 16,
	STRIDE = EVENT_QUEUE_RECORDS_AT + EVENT_QUEUE_SPARE_AT + sizeof(struct event),
};

struct handed {
	uint64_t boot_ns;
	uint32_t cpu;
};

struct scene {
	uint8_t *memory;
	uint32_t cpu_count;
	struct queues *queues;
	struct handed *handed;
	uint32_t handed_count;
	/* While a record is handed over, its CPU writes on until it finds no room. */
	bool writes_meanwhile;
	uint32_t written_meanwhile;
};

static void look(void *context, const struct event *event);

static struct scene *scene_new(uint32_t cpu_count)
{
	struct scene *scene = calloc(1, sizeof(*scene));

	assert_non_null(scene);
	scene->cpu_count = cpu_count;
	scene->memory = calloc(cpu_count, STRIDE);
	scene->handed = calloc(HANDED_MAX, sizeof(scene->handed[0]));
	assert_non_null(scene->memory);
	assert_non_null(scene->handed);
	assert_int_equal(queues_new(scene->memory, STRIDE, cpu_count, look, scene, &scene->queues),
			 0);
	return scene;
}

static struct scene *scene_free(struct scene *scene)
{
	if (!scene)
		return NULL;
	queues_free(scene->queues);
	free(scene->memory);
	free(scene->handed);
	free(scene);
	return NULL;
}

DEFINE_CLEANUP(struct scene *, scene, scene_free)

static struct event_queue *queue_of(struct scene *scene, uint32_t cpu)
{
	return (struct event_queue *)(void *)(scene->memory + (size_t)cpu * STRIDE);
}

static uint64_t waiting_size(struct scene *scene, uint32_t cpu)
{
	return queue_of(scene, cpu)->head - queue_of(scene, cpu)->tail;
}

/* ---- records, by their time ---------------------------------------------------------------------
 */

static uint64_t word_of(uint64_t boot_ns, uint32_t index)
{
	return (boot_ns * 1000 + index) * 0x9e3779b97f4a7c15ULL;
}

/* How many frames, up to the most there can be. */
static uint16_t user_frame_count(uint64_t boot_ns)
{
	return boot_ns % 7 == 0 ? EVENT_USER_FRAME_COUNT_MAX
				: (uint16_t)(word_of(boot_ns, 0) >> 32) % 60;
}

static uint16_t kernel_frame_count(uint64_t boot_ns)
{
	return boot_ns % 7 == 0 ? EVENT_KERNEL_FRAME_COUNT_MAX : 0;
}

static void make(struct event *event, uint32_t cpu, uint64_t boot_ns)
{
	memset(event, 0, EVENT_HEADER_SIZE);
	event->kind = EVENT_KIND_CPU;
	event->cpu = cpu;
	event->boot_ns = boot_ns;
	event->user_frame_count = user_frame_count(boot_ns);
	event->kernel_frame_count = kernel_frame_count(boot_ns);
	for (uint32_t i = 0; i < event->kernel_frame_count + event->user_frame_count; i++)
		event->frames[i] = word_of(boot_ns, i);
}

static void assert_made(const struct event *event)
{
	assert_int_equal(event->kernel_frame_count, kernel_frame_count(event->boot_ns));
	assert_int_equal(event->user_frame_count, user_frame_count(event->boot_ns));
	for (uint32_t i = 0; i < event->kernel_frame_count + event->user_frame_count; i++)
		assert_int_equal(event->frames[i], word_of(event->boot_ns, i));
}

/* The record at the queue's head, not published yet; NULL where it might have no room. */
static struct event *begin_record(struct scene *scene, uint32_t cpu, uint64_t boot_ns)
{
	struct event_queue *queue = queue_of(scene, cpu);
	uint64_t at = event_queue_place(queue);
	struct event *event = (void *)((uint8_t *)queue + EVENT_QUEUE_RECORDS_AT + at);

	if (at == EVENT_QUEUE_SPARE_AT)
		return NULL;
	make(event, cpu, boot_ns);
	return event;
}

static bool write_record(struct scene *scene, uint32_t cpu, uint64_t boot_ns)
{
	const struct event *event = begin_record(scene, cpu, boot_ns);

	if (event)
		event_queue_publish(queue_of(scene, cpu), event_size(event));
	return event != NULL;
}

static void look(void *context, const struct event *event)
{
	struct scene *scene = context;

	assert_true(scene->handed_count < HANDED_MAX);
	scene->handed[scene->handed_count++] = (struct handed){ event->boot_ns, event->cpu };
	if (scene->writes_meanwhile)
		while (write_record(scene, event->cpu, 1000000 + queue_of(scene, event->cpu)->head))
			scene->written_meanwhile++;
	assert_made(event);
}

static int drain(struct scene *scene)
{
	queues_begin(scene->queues);
	return queues_finish(scene->queues);
}

static void add_from_ring(struct scene *scene, uint32_t cpu, uint64_t boot_ns)
{
	struct event event;

	make(&event, cpu, boot_ns);
	queues_add(scene->queues, &event, event_size(&event));
}

static uint64_t unreadable(const struct scene *scene)
{
	uint64_t counters[COUNTER_COUNT];

	queues_counters(scene->queues, counters);
	return counters[COUNTER_UNREADABLE];
}

/* ---- order --------------------------------------------------------------------------------------
 */

static void queues_and_ring_are_merged_by_time(void **state)
{
	autoclean(scene) struct scene *scene = scene_new(3);
	static const struct handed expected[] = { { 10, 0 }, { 11, 2 }, { 12, 0 }, { 13, 1 },
						  { 15, 2 }, { 16, 1 }, { 17, 1 }, { 18, 0 },
						  { 19, 2 }, { 30, 0 } };

	(void)state;
	write_record(scene, 0, 10);
	write_record(scene, 0, 12);
	write_record(scene, 0, 18);
	write_record(scene, 1, 13);
	write_record(scene, 1, 16);
	write_record(scene, 2, 11);
	write_record(scene, 2, 19);
	queues_begin(scene->queues);
	assert_int_equal(scene->handed_count, 0);
	add_from_ring(scene, 2, 15);
	assert_int_equal(scene->handed_count, 5);
	add_from_ring(scene, 1, 17);
	/* Behind all that waits. */
	add_from_ring(scene, 0, 30);
	assert_int_equal(scene->handed_count, 10);
	assert_int_equal(queues_finish(scene->queues), 10);
	for (uint32_t i = 0; i < 10; i++) {
		assert_int_equal(scene->handed[i].boot_ns, expected[i].boot_ns);
		assert_int_equal(scene->handed[i].cpu, expected[i].cpu);
	}
	assert_int_equal(drain(scene), 0);
	assert_int_equal(unreadable(scene), 0);
}

static void ring_alone_is_handed_over(void **state)
{
	autoclean(scene) struct scene *scene = scene_new(2);

	(void)state;
	queues_begin(scene->queues);
	add_from_ring(scene, 1, 5);
	/* Of another CPU whose walk took longer. */
	add_from_ring(scene, 0, 4);
	assert_int_equal(queues_finish(scene->queues), 2);
	assert_int_equal(scene->handed[0].boot_ns, 5);
	assert_int_equal(scene->handed[1].boot_ns, 4);
}

/* A ring's record that is taken while we drain is later than what its CPU put into its queue
 * before, which nobody has looked for yet. */
static void what_comes_before_one_of_the_ring_goes_before_it(void **state)
{
	autoclean(scene) struct scene *scene = scene_new(3);
	uint64_t later = clock_boot_ns() + 3600 * (uint64_t)CLOCK_NS_PER_S;
	static const uint64_t expected[] = { 1, 5, 10, 20, 25, 30, 40 };

	(void)state;
	write_record(scene, 0, 7); /* long ago */
	queues_begin(scene->queues);
	write_record(scene, 1, later + 1);
	write_record(scene, 0, later + 10);
	write_record(scene, 1, later + 25);
	write_record(scene, 2, later + 5);
	add_from_ring(scene, 0, later + 20);
	assert_int_equal(scene->handed_count, 5);
	write_record(scene, 0, later + 30);
	add_from_ring(scene, 0, later + 40);
	assert_int_equal(queues_finish(scene->queues), 8);
	assert_int_equal(scene->handed[0].boot_ns, 7);
	for (uint32_t i = 0; i < 7; i++)
		assert_int_equal(scene->handed[i + 1].boot_ns, later + expected[i]);

	/* One from before: what came since waits. */
	queues_begin(scene->queues);
	write_record(scene, 1, later + 50);
	add_from_ring(scene, 0, 8);
	assert_int_equal(queues_finish(scene->queues), 1);
	assert_int_equal(drain(scene), 1);
	assert_int_equal(unreadable(scene), 0);
}

/* Some of them idle, in several rounds, each record by a chance of its own. */
static void many_cpus_come_out_in_order(void **state)
{
	autoclean(scene) struct scene *scene = scene_new(CPU_MAX);
	uint64_t random = 1, boot_ns = 0, written = 0;

	(void)state;
	for (unsigned round = 0; round < 5; round++) {
		uint64_t written_before = written;
		int handed_over;

		for (unsigned i = 0; i < 3000; i++) {
			random = random * 6364136223846793005ULL + 1442695040888963407ULL;
			boot_ns += 1 + (random >> 62);
			written += write_record(scene, (uint32_t)(random >> 33) % (CPU_MAX / 3) * 3,
						boot_ns);
		}
		handed_over = drain(scene);
		assert_int_equal(handed_over, written - written_before);
		assert_int_equal(scene->handed_count, written);
		for (uint32_t i = 1; i < scene->handed_count; i++)
			assert_true(scene->handed[i - 1].boot_ns < scene->handed[i].boot_ns);
		for (uint32_t cpu = 0; cpu < CPU_MAX; cpu++)
			assert_int_equal(waiting_size(scene, cpu), 0);
	}
	assert_true(written > 14000);
}

/* ---- places -------------------------------------------------------------------------------------
 */

static void records_go_round_whole(void **state)
{
	autoclean(scene) struct scene *scene = scene_new(2);
	uint64_t boot_ns = 1;
	unsigned beyond_the_end = 0;

	(void)state;
	while (queue_of(scene, 0)->head < UINT64_C(20) * EVENT_QUEUE_SIZE) {
		unsigned count = 0;

		for (; count < 1 + boot_ns % 50; count++, boot_ns++) {
			uint64_t at = event_queue_place(queue_of(scene, 0));
			uint64_t before = queue_of(scene, 0)->head;

			if (!write_record(scene, 0, boot_ns))
				break;
			beyond_the_end +=
				at + (queue_of(scene, 0)->head - before) > EVENT_QUEUE_SIZE;
		}
		assert_int_equal(drain(scene), count);
	}
	assert_true(beyond_the_end > 5);
	assert_int_equal(scene->handed_count, boot_ns - 1);
	for (uint32_t i = 0; i < scene->handed_count; i++)
		assert_int_equal(scene->handed[i].boot_ns, i + 1);
	assert_int_equal(unreadable(scene), 0);
}

static void what_is_not_published_is_not_there(void **state)
{
	autoclean(scene) struct scene *scene = scene_new(1);
	const struct event *event;

	(void)state;
	write_record(scene, 0, 1);
	event = begin_record(scene, 0, 2);
	assert_non_null(event);
	assert_int_equal(drain(scene), 1);
	assert_int_equal(drain(scene), 0);
	event_queue_publish(queue_of(scene, 0), event_size(event));
	assert_int_equal(drain(scene), 1);
	assert_int_equal(scene->handed[1].boot_ns, 2);
	assert_int_equal(unreadable(scene), 0);
}

static void what_comes_meanwhile_waits_for_the_next_time(void **state)
{
	autoclean(scene) struct scene *scene = scene_new(2);

	(void)state;
	write_record(scene, 0, 1);
	queues_begin(scene->queues);
	write_record(scene, 0, 2);
	write_record(scene, 1, 3);
	assert_int_equal(queues_finish(scene->queues), 1);
	assert_int_equal(drain(scene), 2);
	assert_int_equal(scene->handed[1].boot_ns, 2);
	assert_int_equal(scene->handed[2].boot_ns, 3);
}

/* ---- full ---------------------------------------------------------------------------------------
 */

static uint64_t fill(struct scene *scene, uint32_t cpu, uint64_t boot_ns)
{
	while (write_record(scene, cpu, boot_ns))
		boot_ns++;
	return boot_ns;
}

static void a_full_queue_sends_to_the_ring(void **state)
{
	autoclean(scene) struct scene *scene = scene_new(2);
	uint64_t end = fill(scene, 0, 1);

	(void)state;
	/* The longest record would have no room. */
	assert_true(waiting_size(scene, 0) > EVENT_QUEUE_SIZE - sizeof(struct event));
	assert_true(waiting_size(scene, 0) <= EVENT_QUEUE_SIZE);
	assert_int_equal(event_queue_place(queue_of(scene, 0)), EVENT_QUEUE_SPARE_AT);
	/* The other CPU's is not. */
	assert_int_equal(event_queue_place(queue_of(scene, 1)), 0);
	assert_true(write_record(scene, 1, end + 1));

	queues_begin(scene->queues);
	/* Its own next one went by the ring. */
	add_from_ring(scene, 0, end);
	assert_int_equal(waiting_size(scene, 0), 0);
	assert_int_equal(queues_finish(scene->queues), end + 1);
	for (uint32_t i = 0; i < scene->handed_count; i++) {
		assert_int_equal(scene->handed[i].boot_ns, i + 1);
		assert_int_equal(scene->handed[i].cpu, i == end);
	}
	assert_int_not_equal(event_queue_place(queue_of(scene, 0)), EVENT_QUEUE_SPARE_AT);
}

static void room_is_given_back_one_by_one(void **state)
{
	autoclean(scene) struct scene *scene = scene_new(1);
	uint64_t end = fill(scene, 0, 1), before = waiting_size(scene, 0), size = 0;

	(void)state;
	queues_begin(scene->queues);
	add_from_ring(scene, 0, 14);
	assert_int_equal(scene->handed_count, 15);
	for (uint64_t boot_ns = 1; boot_ns <= 14; boot_ns++) {
		struct event event;

		make(&event, 0, boot_ns);
		size += event_size(&event);
	}
	assert_int_equal(waiting_size(scene, 0), before - size);
	assert_true(write_record(scene, 0, end));
	assert_int_equal(queues_finish(scene->queues), end);
	assert_int_equal(drain(scene), 1);
	assert_int_equal(scene->handed[end].boot_ns, end);
}

/* Its handler looks at it when its CPU has written all that it may. */
static void a_record_stays_until_its_handler_returns(void **state)
{
	autoclean(scene) struct scene *scene = scene_new(2);
	uint64_t end = fill(scene, 1, 1);

	(void)state;
	scene->writes_meanwhile = true;
	assert_int_equal(drain(scene), end - 1);
	scene->writes_meanwhile = false;
	assert_true(scene->written_meanwhile > 20);
	assert_int_equal(drain(scene), scene->written_meanwhile);
	assert_int_equal(unreadable(scene), 0);
}

/* ---- what is wrong ------------------------------------------------------------------------------
 */

static void a_malformed_record_takes_what_is_behind_it(void **state)
{
	enum { TOO_MANY_USER, TOO_MANY_KERNEL, BEYOND_THE_HEAD, WITH_STACK, TOO_SHORT, KINDS };

	(void)state;
	for (unsigned kind = 0; kind < KINDS; kind++) {
		autoclean(scene) struct scene *scene = scene_new(2);
		struct event *event;

		write_record(scene, 0, 1);
		event = begin_record(scene, 0, 2);
		assert_non_null(event);
		event_queue_publish(queue_of(scene, 0), kind == TOO_SHORT ? 96 : event_size(event));
		if (kind == TOO_MANY_USER)
			event->user_frame_count = EVENT_USER_FRAME_COUNT_MAX + 1;
		if (kind == TOO_MANY_KERNEL)
			event->kernel_frame_count = EVENT_KERNEL_FRAME_COUNT_MAX + 1;
		if (kind == WITH_STACK)
			event->raw_stack_size = 8;
		if (kind == BEYOND_THE_HEAD || kind == TOO_SHORT)
			event->user_frame_count++;
		else
			write_record(scene, 0, 3);
		write_record(scene, 1, 4);
		assert_int_equal(drain(scene), 2);
		assert_int_equal(scene->handed[0].boot_ns, 1);
		assert_int_equal(scene->handed[1].boot_ns, 4);
		assert_int_equal(unreadable(scene), 1);
		assert_int_equal(waiting_size(scene, 0), 0);

		/* And then it goes on. */
		write_record(scene, 0, 5);
		assert_int_equal(drain(scene), 1);
		assert_int_equal(scene->handed[2].boot_ns, 5);
		assert_int_equal(unreadable(scene), 1);
	}
}

static void a_malformed_record_of_the_ring_is_left_out(void **state)
{
	autoclean(scene) struct scene *scene = scene_new(1);
	struct event event;

	(void)state;
	make(&event, 0, 1);
	queues_begin(scene->queues);
	queues_add(scene->queues, &event, event_size(&event) - 1);
	queues_add(scene->queues, &event, EVENT_HEADER_SIZE - 1);
	queues_add(scene->queues, &event, event_size(&event));
	event.raw_stack_size = EVENT_RAW_STACK_SIZE_MAX;
	queues_add(scene->queues, &event, event_size(&event) + sizeof(struct event_raw));
	assert_int_equal(queues_finish(scene->queues), 1);
	assert_int_equal(unreadable(scene), 3);
}

static void counters_are_sums_over_the_cpus(void **state)
{
	autoclean(scene) struct scene *scene = scene_new(3);
	uint64_t counters[COUNTER_COUNT];

	(void)state;
	for (uint32_t cpu = 0; cpu < 3; cpu++)
		for (uint32_t i = 0; i < COUNTER_COUNT; i++)
			queue_of(scene, cpu)->counters[i] = i * 100 + cpu;
	queues_counters(scene->queues, counters);
	for (uint32_t i = 0; i < COUNTER_COUNT; i++)
		assert_int_equal(counters[i], i * 300 + 3);
	/* Ours is counted with the program's. */
	queues_begin(scene->queues);
	queues_add(scene->queues, "", 1);
	assert_int_equal(queues_finish(scene->queues), 0);
	assert_int_equal(unreadable(scene), COUNTER_UNREADABLE * 300 + 4);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(queues_and_ring_are_merged_by_time),
		cmocka_unit_test(ring_alone_is_handed_over),
		cmocka_unit_test(what_comes_before_one_of_the_ring_goes_before_it),
		cmocka_unit_test(many_cpus_come_out_in_order),
		cmocka_unit_test(records_go_round_whole),
		cmocka_unit_test(what_is_not_published_is_not_there),
		cmocka_unit_test(what_comes_meanwhile_waits_for_the_next_time),
		cmocka_unit_test(a_full_queue_sends_to_the_ring),
		cmocka_unit_test(room_is_given_back_one_by_one),
		cmocka_unit_test(a_record_stays_until_its_handler_returns),
		cmocka_unit_test(a_malformed_record_takes_what_is_behind_it),
		cmocka_unit_test(a_malformed_record_of_the_ring_is_left_out),
		cmocka_unit_test(counters_are_sums_over_the_cpus),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
