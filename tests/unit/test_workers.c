/* SPDX-License-Identifier: Apache-2.0 */
/* Threads that come with the jobs and end when they rested, by what the process has of them. */
#include <dirent.h>
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/limits.h"
#include "web/workers.h"

enum {
	SOME = 8,
	WAITING_COUNT = 20,
	GIVER_COUNT = 4,
	ROUND_COUNT = 300,
	SINGLE_COUNT = 300, /* jobs one after another */
#ifdef __SANITIZE_THREAD__
	GIVEN_COUNT = 1000,
#else
	GIVEN_COUNT = 5000,
#endif
};

#define LONG_NS	    (UINT64_C(3600) * CLOCK_NS_PER_S)
#define SHORT_NS    (UINT64_C(30) * CLOCK_NS_PER_MS)
#define TINY_NS	    UINT64_C(20000)
#define PATIENCE_NS (UINT64_C(30) * CLOCK_NS_PER_S)

struct scene {
	struct workers *workers;
	unsigned threads_before;
	atomic_uint started, ended;
	atomic_uint passes; /* how many may leave the barrier */
	atomic_uint out_of_order;
};

struct task {
	struct job job;
	struct scene *scene;
	unsigned number; /* in the order of those that do not wait */
	atomic_uint runs;
	pid_t thread; /* that ran it */
};

static void nap(uint64_t ns)
{
	const struct timespec time = { .tv_nsec = (long)ns };

	(void)nanosleep(&time, NULL);
}

static unsigned count_threads(void)
{
	DIR *folder = opendir("/proc/self/task");
	unsigned count = 0;

	assert_non_null(folder);
	for (const struct dirent *entry; (entry = readdir(folder));)
		count += entry->d_name[0] != '.';
	closedir(folder);
	return count;
}

/* One that was joined is seen for a moment longer. */
static unsigned await_threads(unsigned expected)
{
	uint64_t end_ns = clock_monotonic_ns() + PATIENCE_NS;
	unsigned count = count_threads();

	while (count != expected && clock_monotonic_ns() < end_ns) {
		nap(CLOCK_NS_PER_MS);
		count = count_threads();
	}
	return count;
}

static unsigned await(atomic_uint *number, unsigned expected)
{
	uint64_t end_ns = clock_monotonic_ns() + PATIENCE_NS;

	while (atomic_load(number) < expected && clock_monotonic_ns() < end_ns)
		nap(CLOCK_NS_PER_MS / 10);
	return atomic_load(number);
}

static struct task *task_of(struct job *job)
{
	return (struct task *)((char *)job - offsetof(struct task, job));
}

static void run_at_once(struct job *job)
{
	struct task *task = task_of(job);

	task->thread = gettid();
	atomic_fetch_add(&task->runs, 1);
	atomic_fetch_add(&task->scene->ended, 1);
}

static void run_in_order(struct job *job)
{
	struct task *task = task_of(job);

	if (atomic_load(&task->scene->ended) != task->number)
		atomic_fetch_add(&task->scene->out_of_order, 1);
	run_at_once(job);
}

/* Stands at the barrier. */
static void run_long(struct job *job)
{
	struct task *task = task_of(job);
	struct scene *scene = task->scene;
	unsigned passes;

	atomic_fetch_add(&task->runs, 1);
	atomic_fetch_add(&scene->started, 1);
	do {
		nap(CLOCK_NS_PER_MS);
		passes = atomic_load(&scene->passes);
	} while (passes == 0 ||
		 !atomic_compare_exchange_strong(&scene->passes, &passes, passes - 1));
	atomic_fetch_add(&scene->ended, 1);
}

static void give(struct scene *scene, struct task *tasks, unsigned count,
		 void (*run)(struct job *job))
{
	for (unsigned i = 0; i < count; i++) {
		tasks[i].job.run = run;
		tasks[i].scene = scene;
		workers_give(scene->workers, &tasks[i].job);
	}
}

/* So many threads, which then rest. */
static void have_threads(struct scene *scene, unsigned count)
{
	struct task tasks[WORKER_COUNT_MAX] = { 0 };

	scene->started = 0;
	scene->ended = 0;
	give(scene, tasks, count, run_long);
	assert_int_equal(await(&scene->started, count), count);
	assert_int_equal(await_threads(scene->threads_before + count),
			 scene->threads_before + count);
	atomic_store(&scene->passes, count);
	assert_int_equal(await(&scene->ended, count), count);
}

static void *do_nothing(void *context)
{
	return context;
}

/* ThreadSanitizer has a thread of its own from the first one on. */
static int start_first_thread(void **state)
{
	pthread_t thread;

	(void)state;
	if (pthread_create(&thread, NULL, do_nothing, NULL))
		return -EAGAIN;
	return -pthread_join(thread, NULL);
}

static int set_up(void **state)
{
	static struct scene scene;

	scene = (struct scene){ .threads_before = count_threads() };
	*state = &scene;
	return 0;
}

/* None is left, whatever the test did. */
static int tear_down(void **state)
{
	struct scene *scene = *state;

	scene->workers = workers_free(scene->workers);
	return await_threads(scene->threads_before) == scene->threads_before ? 0 : -EBUSY;
}

static void runs_as_many_at_once_as_it_may(void **state)
{
	struct scene *scene = *state;
	struct task longs[WORKER_COUNT_MAX] = { 0 }, shorts[WAITING_COUNT] = { 0 };

	assert_int_equal(workers_new(LONG_NS, &scene->workers), 0);
	assert_int_equal(await_threads(scene->threads_before + 1), scene->threads_before + 1);
	for (unsigned i = 1; i <= WORKER_COUNT_MAX; i++) {
		give(scene, &longs[i - 1], 1, run_long);
		assert_int_equal(await(&scene->started, i), i);
		assert_int_equal(count_threads(), scene->threads_before + i);
	}
	for (unsigned i = 0; i < WAITING_COUNT; i++)
		shorts[i].number = i + 1; /* behind the one that is let go */
	give(scene, shorts, WAITING_COUNT, run_in_order);
	nap(UINT64_C(20) * CLOCK_NS_PER_MS);
	assert_int_equal(atomic_load(&scene->ended), 0);
	assert_int_equal(count_threads(), scene->threads_before + WORKER_COUNT_MAX);

	/* One thread is free for all that wait. */
	atomic_store(&scene->passes, 1);
	assert_int_equal(await(&scene->ended, 1 + WAITING_COUNT), 1 + WAITING_COUNT);
	assert_int_equal(atomic_load(&scene->out_of_order), 0);
	atomic_store(&scene->passes, WORKER_COUNT_MAX - 1);
	assert_int_equal(await(&scene->ended, WORKER_COUNT_MAX + WAITING_COUNT),
			 WORKER_COUNT_MAX + WAITING_COUNT);
	for (unsigned i = 0; i < WORKER_COUNT_MAX; i++)
		assert_int_equal(atomic_load(&longs[i].runs), 1);
	for (unsigned i = 0; i < WAITING_COUNT; i++)
		assert_int_equal(atomic_load(&shorts[i].runs), 1);
}

static void keeps_threads_while_they_rest(void **state)
{
	struct scene *scene = *state;

	assert_int_equal(workers_new(LONG_NS, &scene->workers), 0);
	have_threads(scene, SOME);
	nap(2 * SHORT_NS);
	assert_int_equal(count_threads(), scene->threads_before + SOME);
}

static void ends_all_but_one_that_rested(void **state)
{
	struct scene *scene = *state;

	assert_int_equal(workers_new(SHORT_NS, &scene->workers), 0);
	for (unsigned round = 0; round < 3; round++) {
		uint64_t begin_ns = clock_monotonic_ns();

		have_threads(scene, WORKER_COUNT_MAX);
		assert_int_equal(await_threads(scene->threads_before + 1),
				 scene->threads_before + 1);
		assert_true(clock_monotonic_ns() - begin_ns >= SHORT_NS);
		nap(2 * SHORT_NS);
		assert_int_equal(count_threads(), scene->threads_before + 1);
	}
}

static int compare_threads(const void *a, const void *b)
{
	const struct task *one = a, *other = b;

	return (one->thread > other->thread) - (one->thread < other->thread);
}

/* It may be slow to lie down: then the one before has its turn. In turn each would have 1 / SOME.
 */
static void calls_the_one_that_rested_last(void **state)
{
	static struct task tasks[SINGLE_COUNT];
	struct scene *scene = *state;
	unsigned most = 0, second = 0, runs = 0;

	assert_int_equal(workers_new(LONG_NS, &scene->workers), 0);
	have_threads(scene, SOME);
	atomic_store(&scene->ended, 0);
	for (unsigned i = 0; i < SINGLE_COUNT; i++) {
		nap(CLOCK_NS_PER_MS);
		give(scene, &tasks[i], 1, run_at_once);
		assert_int_equal(await(&scene->ended, i + 1), i + 1);
	}
	assert_int_equal(count_threads(), scene->threads_before + SOME);
	qsort(tasks, SINGLE_COUNT, sizeof(tasks[0]), compare_threads);
	for (unsigned i = 0; i < SINGLE_COUNT; i++) {
		runs++;
		if (i + 1 < SINGLE_COUNT && tasks[i + 1].thread == tasks[i].thread)
			continue;
		if (runs > most) {
			second = most;
			most = runs;
		} else if (runs > second) {
			second = runs;
		}
		runs = 0;
	}
	assert_true(most + second > SINGLE_COUNT / 2);
}

/* Were they called in turn, none would ever rest for long enough. */
static void ends_what_is_not_needed_of_those_that_work(void **state)
{
	struct scene *scene = *state;
	uint64_t end_ns = clock_monotonic_ns() + PATIENCE_NS;
	unsigned count;

	assert_int_equal(workers_new(SHORT_NS, &scene->workers), 0);
	have_threads(scene, SOME);
	do {
		struct task task = { .number = 0 };
		unsigned ended = atomic_load(&scene->ended);

		give(scene, &task, 1, run_at_once);
		assert_int_equal(await(&scene->ended, ended + 1), ended + 1);
		nap(CLOCK_NS_PER_MS);
		count = count_threads();
	} while (count > scene->threads_before + 1 && clock_monotonic_ns() < end_ns);
	assert_int_equal(count, scene->threads_before + 1);
}

static void *give_many(void *context)
{
	struct task *tasks = context;

	for (unsigned i = 0; i < GIVEN_COUNT; i++) {
		workers_give(tasks[i].scene->workers, &tasks[i].job);
		if (i % 8 == 0)
			nap(UINT64_C(7919) * i % (4 * TINY_NS)); /* about as long as they rest */
	}
	return NULL;
}

static void runs_each_job_once_while_threads_end(void **state)
{
	struct scene *scene = *state;
	struct task *tasks = calloc((size_t)GIVER_COUNT * GIVEN_COUNT, sizeof(*tasks));
	pthread_t givers[GIVER_COUNT];

	assert_non_null(tasks);
	for (size_t i = 0; i < (size_t)GIVER_COUNT * GIVEN_COUNT; i++) {
		tasks[i].job.run = run_at_once;
		tasks[i].scene = scene;
	}
	assert_int_equal(workers_new(TINY_NS, &scene->workers), 0);
	for (size_t i = 0; i < GIVER_COUNT; i++)
		assert_int_equal(
			pthread_create(&givers[i], NULL, give_many, tasks + i * GIVEN_COUNT), 0);
	for (size_t i = 0; i < GIVER_COUNT; i++)
		assert_int_equal(pthread_join(givers[i], NULL), 0);
	/* None is left behind until the next one comes. */
	assert_int_equal(await(&scene->ended, GIVER_COUNT * GIVEN_COUNT),
			 GIVER_COUNT * GIVEN_COUNT);
	scene->workers = workers_free(scene->workers);
	for (size_t i = 0; i < (size_t)GIVER_COUNT * GIVEN_COUNT; i++)
		assert_int_equal(atomic_load(&tasks[i].runs), 1);
	free(tasks);
}

static void runs_what_waits_before_it_ends(void **state)
{
	struct scene *scene = *state;
	struct task longs[WORKER_COUNT_MAX] = { 0 }, shorts[WAITING_COUNT] = { 0 };

	assert_int_equal(workers_new(SHORT_NS, &scene->workers), 0);
	give(scene, longs, WORKER_COUNT_MAX, run_long);
	give(scene, shorts, WAITING_COUNT, run_at_once);
	atomic_store(&scene->passes, WORKER_COUNT_MAX);
	scene->workers = workers_free(scene->workers);
	assert_int_equal(atomic_load(&scene->ended), WORKER_COUNT_MAX + WAITING_COUNT);
	for (unsigned i = 0; i < WORKER_COUNT_MAX; i++)
		assert_int_equal(atomic_load(&longs[i].runs), 1);
	for (unsigned i = 0; i < WAITING_COUNT; i++)
		assert_int_equal(atomic_load(&shorts[i].runs), 1);
}

/* At all moments of their rest and their end. */
static void ends_with_those_that_are_just_ending(void **state)
{
	struct scene *scene = *state;

	for (unsigned round = 0; round < ROUND_COUNT; round++) {
		struct task tasks[SOME] = { 0 };

		assert_int_equal(workers_new(5 * TINY_NS, &scene->workers), 0);
		atomic_store(&scene->ended, 0);
		give(scene, tasks, SOME, run_at_once);
		nap(round * TINY_NS / 20);
		scene->workers = workers_free(scene->workers);
		assert_int_equal(atomic_load(&scene->ended), SOME);
	}
	assert_int_equal(await_threads(scene->threads_before), scene->threads_before);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(runs_as_many_at_once_as_it_may, set_up, tear_down),
		cmocka_unit_test_setup_teardown(keeps_threads_while_they_rest, set_up, tear_down),
		cmocka_unit_test_setup_teardown(ends_all_but_one_that_rested, set_up, tear_down),
		cmocka_unit_test_setup_teardown(calls_the_one_that_rested_last, set_up, tear_down),
		cmocka_unit_test_setup_teardown(ends_what_is_not_needed_of_those_that_work, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(runs_each_job_once_while_threads_end, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(runs_what_waits_before_it_ends, set_up, tear_down),
		cmocka_unit_test_setup_teardown(ends_with_those_that_are_just_ending, set_up,
						tear_down),
	};

	return cmocka_run_group_tests(tests, start_first_thread, NULL);
}
