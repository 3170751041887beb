/* SPDX-License-Identifier: Apache-2.0 */
/* When those who bring batches are committed for, by a clock that stands still but in a commit. */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/queue.h"
#include "web/guests.h"

enum { GUEST_COUNT = 12, IDLE_MS = 1000 };

static _Atomic uint64_t now_ns;

uint64_t __wrap_clock_monotonic_ns(void);

uint64_t __wrap_clock_monotonic_ns(void)
{
	return now_ns;
}

struct scene {
	struct guests guests;
	struct queue *queue;
	uint64_t commit_ms;	  /* that each takes */
	unsigned commits;	  /* this thread's */
	unsigned comes_meanwhile; /* guests whose coming the commit waits for */
	pthread_t threads[GUEST_COUNT];
	unsigned thread_count;
};

static unsigned arrived(struct scene *scene)
{
	unsigned count = 0;

	pthread_mutex_lock(&scene->guests.lock);
	for (const struct guest *guest = scene->guests.arrived.first; guest; count++)
		guest = *(struct guest *const *)guest; /* the next is its first field */
	pthread_mutex_unlock(&scene->guests.lock);
	return count;
}

static void wait_for(struct scene *scene, unsigned count)
{
	while (arrived(scene) < count)
		sched_yield();
}

static int commit(void *context)
{
	struct scene *scene = context;

	scene->commits++;
	now_ns += scene->commit_ms * CLOCK_NS_PER_MS;
	wait_for(scene, scene->comes_meanwhile);
	return 0;
}

static void *bring(void *context)
{
	struct scene *scene = context;

	return (void *)(intptr_t)guests_bring(&scene->guests, scene->queue, NULL,
					      GUEST_MAY_COMMIT_LATER);
}

static void come(struct scene *scene, unsigned count)
{
	for (unsigned i = 0; i < count; i++)
		assert_int_equal(
			pthread_create(&scene->threads[scene->thread_count++], NULL, bring, scene),
			0);
}

/* Those that have come are let in. */
static void let_in(struct scene *scene, unsigned count)
{
	void *item = NULL;

	wait_for(scene, count);
	assert_int_equal(queue_pop(scene->queue, -1, &item), 0);
	assert_ptr_equal(item, &scene->guests);
	guests_let_in(&scene->guests);
}

static void assert_all_are_answered(struct scene *scene)
{
	for (unsigned i = 0; i < scene->thread_count; i++) {
		void *err = NULL;

		pthread_join(scene->threads[i], &err);
		assert_null(err);
	}
	scene->thread_count = 0;
}

static int set_up(void **state)
{
	static struct scene scene;

	scene = (struct scene){ 0 };
	now_ns = UINT64_C(100) * CLOCK_NS_PER_S;
	assert_int_equal(queue_new(1, &scene.queue), 0);
	guests_init(&scene.guests, NULL, commit, &scene);
	*state = &scene;
	return 0;
}

static int tear_down(void **state)
{
	struct scene *scene = *state;

	queue_close(scene->queue);
	guests_close(&scene->guests);
	guests_done(&scene->guests);
	queue_free(scene->queue);
	return 0;
}

static void who_comes_alone_is_committed_for_at_once(void **state)
{
	struct scene *scene = *state;

	assert_int_equal(guests_wait_ms(&scene->guests, IDLE_MS), IDLE_MS);
	come(scene, 1);
	let_in(scene, 1);
	assert_int_equal(guests_wait_ms(&scene->guests, IDLE_MS), 0);
	guests_commit_due(&scene->guests);
	assert_all_are_answered(scene);
	assert_int_equal(scene->commits, 1);
	/* And then nothing wakes the writer. */
	assert_int_equal(guests_wait_ms(&scene->guests, IDLE_MS), IDLE_MS);
}

static void who_comes_during_a_commit_shares_the_next(void **state)
{
	struct scene *scene = *state;

	come(scene, 1);
	let_in(scene, 1);
	come(scene, GUEST_COUNT - 1);
	scene->comes_meanwhile = GUEST_COUNT - 1;
	guests_commit_due(&scene->guests);
	scene->comes_meanwhile = 0;
	let_in(scene, GUEST_COUNT - 1);
	now_ns += (uint64_t)guests_wait_ms(&scene->guests, IDLE_MS) * CLOCK_NS_PER_MS;
	guests_commit_due(&scene->guests);
	assert_all_are_answered(scene);
	assert_int_equal(scene->commits, 2);
}

/* Commits one after a commit that took so long, and returns how many ms that one waited. */
static int wait_after(struct scene *scene, uint64_t commit_ms)
{
	int waits_ms;

	scene->commit_ms = commit_ms;
	come(scene, 1);
	let_in(scene, 1);
	guests_commit_due(&scene->guests);
	assert_all_are_answered(scene);
	come(scene, 1);
	let_in(scene, 1);
	guests_commit_due(&scene->guests); /* which is too early */
	waits_ms = guests_wait_ms(&scene->guests, IDLE_MS);
	now_ns += (uint64_t)waits_ms * CLOCK_NS_PER_MS;
	guests_commit_due(&scene->guests);
	assert_all_are_answered(scene);
	now_ns += CLOCK_NS_PER_S;
	return waits_ms;
}

static void the_next_waits_three_times_as_long_as_the_last_took(void **state)
{
	struct scene *scene = *state;

	/* And the ms that a wait is rounded up by. */
	assert_int_equal(wait_after(scene, 1), 10 + 1);
	assert_int_equal(scene->commits, 2);
	assert_int_equal(wait_after(scene, 4), 12 + 1);
	assert_int_equal(wait_after(scene, 16), 48 + 1);
	assert_int_equal(wait_after(scene, 17), 50 + 1);
	assert_int_equal(wait_after(scene, 5000), 50 + 1);
	assert_int_equal(scene->commits, 10);
}

#define SCENE_TEST(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		SCENE_TEST(who_comes_alone_is_committed_for_at_once),
		SCENE_TEST(who_comes_during_a_commit_shares_the_next),
		SCENE_TEST(the_next_waits_three_times_as_long_as_the_last_took),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
