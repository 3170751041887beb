/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Every allocation of the store and of SQLite fails, once and for ever: what was asked for fails,
 * the store lives, nothing acknowledged is lost, no sound file is called damaged.
 */
#include <errno.h>
#include <inttypes.h>
#include <setjmp.h>
#include <sqlite3.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "store/selector.h"
#include "tests/support/store_scene.h"
#include "tests/support/tier.h"

#define START_MS   INT64_C(1764000000000)
#define EVERYTHING INT64_C(0), INT64_C(4000000000000)

enum { SAMPLES = 20, SPAN_MS = 60000, ALLOCATION_COUNT_MAX = 200000, TRIES = 120 };

static struct {
	bool is_on;
	bool for_ever;
	uint64_t calls, fails_at;
	bool has_failed;
} fault;

static bool fails(void)
{
	if (!fault.is_on)
		return false;
	fault.calls++;
	if (fault.calls < fault.fails_at || (fault.calls > fault.fails_at && !fault.for_ever))
		return false;
	fault.has_failed = true;
	errno = ENOMEM;
	return true;
}

void *__real_malloc(size_t size);
void *__wrap_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__real_realloc(void *old, size_t size);
void *__wrap_realloc(void *old, size_t size);
void *__real_reallocarray(void *old, size_t count, size_t size);
void *__wrap_reallocarray(void *old, size_t count, size_t size);
char *__real_strdup(const char *text);
char *__wrap_strdup(const char *text);

void *__wrap_malloc(size_t size)
{
	return fails() ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t count, size_t size)
{
	return fails() ? NULL : __real_calloc(count, size);
}

void *__wrap_realloc(void *old, size_t size)
{
	return fails() ? NULL : __real_realloc(old, size);
}

void *__wrap_reallocarray(void *old, size_t count, size_t size)
{
	return fails() ? NULL : __real_reallocarray(old, count, size);
}

char *__wrap_strdup(const char *text)
{
	return fails() ? NULL : __real_strdup(text);
}

/* SQLite's own allocator, with ours before it. */
static sqlite3_mem_methods sqlite_memory;

static void *sqlite_malloc(int size)
{
	return fails() ? NULL : sqlite_memory.xMalloc(size);
}

static void *sqlite_realloc(void *old, int size)
{
	return fails() ? NULL : sqlite_memory.xRealloc(old, size);
}

static void install(void)
{
	sqlite3_mem_methods failing;

	assert_int_equal(sqlite3_config(SQLITE_CONFIG_GETMALLOC, &sqlite_memory), SQLITE_OK);
	failing = sqlite_memory;
	failing.xMalloc = sqlite_malloc;
	failing.xRealloc = sqlite_realloc;
	assert_int_equal(sqlite3_config(SQLITE_CONFIG_MALLOC, &failing), SQLITE_OK);
	/* Small blocks are taken from a stock otherwise, and never asked for. */
	assert_int_equal(sqlite3_config(SQLITE_CONFIG_LOOKASIDE, 0, 0), SQLITE_OK);
}

static void ask(struct store_scene *scene)
{
	char error[SELECTOR_ERROR_SIZE];
	struct selector *selector = NULL;
	struct store_question question = { .from_unix_ms = 0, .to_unix_ms = 4000000000000 };
	struct store_texts texts = { 0 };
	struct store_gaps gaps = { 0 };

	if (selector_parse(STR("{service_name=~\"al.*\",pid!=\"x\"}"), &selector, error) == 0) {
		question.selector = selector;
		if (store_label_values(scene->store, &question, STR("pid"), &texts) == 0)
			store_texts_done(&texts);
		selector_free(selector);
	}
	if (store_gaps(scene->store, 0, 4000000000000, &gaps) == 0)
		store_gaps_done(&gaps);
	(void)store_scene_count(scene, EVERYTHING);
	(void)store_scene_flame_count(scene, EVERYTHING);
}

static void live(struct store_scene *scene, int64_t from_ms)
{
	for (int i = 0; i < 4; i++) {
		int64_t at = from_ms + i * (SPAN_MS / 2);

		(void)store_scene_append(scene, at, SAMPLES);
		(void)store_scene_commit(scene);
		(void)store_maintain(scene->store, at);
		ask(scene);
	}
}

static void assert_sound(struct store_scene *scene, uint64_t n)
{
	struct store_status status;
	int64_t count = store_scene_count(scene, EVERYTHING);
	int64_t acknowledged = (int64_t)(scene->appended - scene->pending);

	store_status(scene->store, &status);
	if (status.damaged_count)
		fail_msg("allocation %" PRIu64 ": %s was called damaged", n, status.damaged);
	if (count < acknowledged || count > (int64_t)scene->appended)
		fail_msg("allocation %" PRIu64 ": %" PRId64 " samples are there, %" PRId64
			 " were acknowledged, %" PRIu64 " taken in",
			 n, count, acknowledged, scene->appended);
	assert_int_equal(store_scene_flame_count(scene, EVERYTHING), count);
}

/* Whether one failed, that is whether there were as many. */
static bool try_allocation(uint64_t n, bool for_ever)
{
	struct store_scene scene;

	store_scene_init(&scene, access("/dev/shm", W_OK) ? "/tmp" : "/dev/shm");
	scene.options.span_ms = SPAN_MS;
	memset(&fault, 0, sizeof(fault));
	fault.fails_at = n;
	fault.for_ever = for_ever;
	fault.is_on = true;
	if (store_scene_open(&scene) == 0)
		live(&scene, START_MS);
	fault.is_on = false;

	/* There is memory again. */
	if (!scene.store)
		assert_int_equal(store_scene_open(&scene), 0);
	live(&scene, START_MS + 4 * SPAN_MS);
	assert_int_equal(store_scene_commit(&scene), 0);
	assert_sound(&scene, n);
	scene.store = store_close(scene.store);
	assert_int_equal(store_scene_open(&scene), 0);
	assert_sound(&scene, n);
	store_scene_done(&scene);
	return fault.has_failed;
}

static uint64_t count_allocations(void)
{
	assert_false(try_allocation(ALLOCATION_COUNT_MAX, false));
	return fault.calls;
}

static void try_all(bool for_ever)
{
	uint64_t count = count_allocations();
	uint64_t tries = tier_number("HEARTH_TRIES", TRIES, count);
	uint64_t stride = count / tries ? count / tries : 1;
	uint64_t tried = 0;

	/* The first ones are those of opening, which come but once. */
	for (uint64_t n = 1 + tier_seed() % stride; n <= count; n += stride)
		tried += try_allocation(n, for_ever);
	print_message("# %" PRIu64 " of %" PRIu64 " allocations failed %s\n", tried, count,
		      for_ever ? "for ever" : "once");
	assert_true(tried >= count / stride * 9 / 10);
}

static void an_allocation_fails(void **state)
{
	(void)state;
	try_all(false);
}

static void memory_runs_out(void **state)
{
	(void)state;
	try_all(true);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_allocation_fails),
		cmocka_unit_test(memory_runs_out),
	};

	install();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
