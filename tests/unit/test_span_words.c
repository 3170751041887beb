/* SPDX-License-Identifier: Apache-2.0 */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "store/store_private.h"
#include "tests/support/store_scene.h"

/* The catalog of a sealed span, by many at once, where the cache has no room for it. */

enum { READER_COUNT = 4, ROUND_COUNT = 50 };

struct fixture {
	struct store_scene scene;
	struct cache *cache;
	struct span *span;
};

static int set_up(void **state)
{
	struct fixture *fixture = calloc(1, sizeof(*fixture));
	struct store_scene *scene = &fixture->scene;
	int64_t now_ms = clock_unix_ms();

	assert_non_null(fixture);
	store_scene_init(scene, "/tmp");
	assert_int_equal(store_scene_open(scene), 0);
	for (int i = 0; i < 10; i++)
		assert_int_equal(store_scene_append(scene, now_ms - 20000 + i * 1000, 50), 0);
	assert_int_equal(store_scene_commit(scene), 0);

	uint64_t wanted = store_request_seal(scene->store);
	struct store_status status = { 0 };

	for (int i = 0; i < 1000 && status.seals < wanted; i++) {
		assert_int_equal(store_maintain(scene->store, now_ms), 0);
		store_status(scene->store, &status);
	}
	assert_int_equal(status.seals, wanted);
	assert_int_equal(scene->store->spans.spans.count, 1);
	fixture->span = scene->store->spans.spans.items[0];
	assert_null(fixture->span->live);
	assert_int_equal(cache_new(2, &fixture->cache), 0);
	*state = fixture;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *fixture = *state;

	cache_free(fixture->cache);
	store_scene_done(&fixture->scene);
	free(fixture);
	return 0;
}

static struct cached *take(struct fixture *fixture)
{
	sqlite3 *database = NULL;
	struct cached *cached = NULL;

	assert_int_equal(connections_acquire(&fixture->span->connections, &database), 0);
	assert_int_equal(span_words_take(fixture->span, fixture->cache, database, &cached), 0);
	connections_release(&fixture->span->connections, database);
	return cached;
}

static void one_is_read_for_all_who_have_it(void **state)
{
	struct fixture *fixture = *state;
	struct cached *first = take(fixture);
	struct cached *second = take(fixture);

	assert_ptr_equal(first, second);
	assert_true(catalog_count(&first->catalog, CATALOG_SERIES) > 1);
	assert_int_equal(cache_size(fixture->cache), 0);
	assert_int_equal(fixture->span->words.users, 2);
	span_words_give(fixture->span, first);
	assert_ptr_equal(take(fixture), second);
	span_words_give(fixture->span, second);
	span_words_give(fixture->span, second);
	assert_int_equal(fixture->span->words.users, 0);
	assert_null(fixture->span->words.cached);
	assert_null(span_words_give(fixture->span, NULL));
}

static void *read_again_and_again(void *context)
{
	struct fixture *fixture = context;

	for (int i = 0; i < ROUND_COUNT; i++) {
		struct cached *cached = take(fixture);
		struct str text = catalog_text(&cached->catalog, 1);

		assert_true(text.size > 0);
		span_words_give(fixture->span, cached);
	}
	return NULL;
}

/* Under the thread sanitizer as well. */
static void many_read_it_at_once(void **state)
{
	struct fixture *fixture = *state;
	pthread_t threads[READER_COUNT];

	for (int i = 0; i < READER_COUNT; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, read_again_and_again, fixture),
				 0);
	for (int i = 0; i < READER_COUNT; i++)
		assert_int_equal(pthread_join(threads[i], NULL), 0);
	assert_null(fixture->span->words.cached);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(one_is_read_for_all_who_have_it, set_up, tear_down),
		cmocka_unit_test_setup_teardown(many_read_it_at_once, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
