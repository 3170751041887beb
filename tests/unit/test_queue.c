/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/queue.h"

enum { ITEM_COUNT = 20000 };

static void hands_items_over_in_their_order(void **state)
{
	autoclean(queue) struct queue *queue = NULL;
	int items[4];
	void *item = NULL;

	(void)state;
	assert_int_equal(queue_new(3, &queue), 0);
	for (int i = 0; i < 3; i++)
		assert_int_equal(queue_push(queue, &items[i]), 0);
	assert_int_equal(queue_push(queue, &items[3]), -EAGAIN);
	assert_int_equal(queue_push_wait(queue, &items[3], 10), -ETIMEDOUT);
	assert_int_equal(queue_count(queue), 3);
	assert_int_equal(queue_pop(queue, 0, &item), 0);
	assert_ptr_equal(item, &items[0]);
	assert_int_equal(queue_push(queue, &items[3]), 0);
	for (int i = 1; i < 4; i++) {
		assert_int_equal(queue_pop(queue, -1, &item), 0);
		assert_ptr_equal(item, &items[i]);
	}
	assert_int_equal(queue_pop(queue, 10, &item), -ETIMEDOUT);
}

static void gives_what_is_left_after_it_was_closed(void **state)
{
	autoclean(queue) struct queue *queue = NULL;
	int item;
	void *popped = NULL;

	(void)state;
	assert_int_equal(queue_new(2, &queue), 0);
	assert_int_equal(queue_push(queue, &item), 0);
	queue_close(queue);
	queue_close(queue);
	assert_true(queue_is_closed(queue));
	assert_int_equal(queue_push(queue, &item), -EPIPE);
	assert_int_equal(queue_push_wait(queue, &item, 1000), -EPIPE);
	assert_int_equal(queue_pop(queue, -1, &popped), 0);
	assert_ptr_equal(popped, &item);
	assert_int_equal(queue_pop(queue, -1, &popped), -EPIPE);
}

static void *push_numbers(void *context)
{
	for (uintptr_t i = 1; i <= ITEM_COUNT; i++)
		if (queue_push_wait(context, (void *)i, -1))
			return (void *)i;
	return NULL;
}

static void loses_nothing_between_threads(void **state)
{
	autoclean(queue) struct queue *queue = NULL;
	pthread_t threads[2];
	uint64_t sum = 0;

	(void)state;
	assert_int_equal(queue_new(7, &queue), 0);
	for (int i = 0; i < 2; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, push_numbers, queue), 0);
	for (int i = 0; i < 2 * ITEM_COUNT; i++) {
		void *item;

		assert_int_equal(queue_pop(queue, -1, &item), 0);
		sum += (uintptr_t)item;
	}
	for (int i = 0; i < 2; i++) {
		void *failed = NULL;

		pthread_join(threads[i], &failed);
		assert_null(failed);
	}
	assert_true(sum == (uint64_t)ITEM_COUNT * (ITEM_COUNT + 1));
	assert_int_equal(queue_count(queue), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(hands_items_over_in_their_order),
		cmocka_unit_test(gives_what_is_left_after_it_was_closed),
		cmocka_unit_test(loses_nothing_between_threads),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
