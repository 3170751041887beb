/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/limits.h"
#include "store/batch_private.h"
#include "store/selector.h"
#include "store/series_limit.h"
#include "tests/support/store_scene.h"

#define START_MS INT64_C(1764000000000)
#define TYPE	 "process_cpu:cpu:nanoseconds:cpu:nanoseconds"

/* A sample of this service whose series has a label of its own. */
static void add(struct batch *batch, const char *service, const char *type, unsigned number)
{
	char text[32];

	snprintf(text, sizeof(text), "request-%u", number);

	struct label labels[] = { { STR("service_name"), str_from(service) },
				  { STR("request"), str_from(text) } };
	struct named_line line = { .function = STR("main") };
	int64_t set = batch_add_labels(batch, labels, 2);
	int64_t series = batch_add_series(batch, (uint32_t)set, str_from(type), 1);
	int64_t empty = batch_add_labels(batch, NULL, 0);
	int64_t location = batch_add_named_location(batch, &line, 1);
	uint32_t where = (uint32_t)location;
	int64_t stack = batch_add_stack(batch, &where, 1, 0);

	assert_true(set >= 0 && series >= 0 && empty >= 0 && location >= 0 && stack >= 0);
	assert_int_equal(
		batch_add_entry(batch, &(struct batch_entry){ .series = (uint32_t)series,
							      .sample_labels = (uint32_t)empty,
							      .stack = (uint32_t)stack,
							      .count = 1,
							      .value = 1 }),
		0);
}

static const char *label_of(const struct batch *batch, uint32_t item, const char *name,
			    char text[static 64])
{
	struct batch_series series;
	struct str pairs;

	memcpy(&series, pool_get(&batch->series, batch->items.items[item].series).text,
	       sizeof(series));
	pairs = pool_get(&batch->label_sets, series.labels);
	text[0] = '\0';
	for (size_t i = 0; i < pairs.size / 8; i++) {
		const uint32_t *pair = (const uint32_t *)(const void *)pairs.text + 2 * i;

		if (str_equal(pool_get(&batch->texts, pair[0]), str_from(name))) {
			struct str value = pool_get(&batch->texts, pair[1]);

			snprintf(text, 64, "%.*s", STR_PRINT(value));
		}
	}
	return text;
}

static void beyond_a_services_limit_labels_go(void **state)
{
	struct series_limits limits;
	struct batch *batch = NULL;
	char text[64];

	(void)state;
	series_limits_init(&limits, 100, 3);
	assert_int_equal(batch_new(1 << 24, &batch), 0);
	for (unsigned i = 0; i < 5; i++)
		add(batch, "shop", TYPE, i);
	add(batch, "mail", TYPE, 0);
	/* Twice: a batch that was not taken comes again. */
	for (int round = 0; round < 2; round++) {
		assert_int_equal(series_limits_apply(&limits, batch), 0);
		assert_string_equal(label_of(batch, 2, "request", text), "request-2");
		for (uint32_t i = 3; i < 5; i++) {
			assert_string_equal(label_of(batch, i, "request", text), "");
			assert_string_equal(label_of(batch, i, "service_name", text), "shop");
			assert_string_equal(label_of(batch, i, "series_overflow", text), "true");
		}
		assert_string_equal(label_of(batch, 5, "request", text), "request-0");
		assert_int_equal(limits.overflowed, 2);
	}

	/* Those that had a place keep it; another type has its own. */
	batch_clear(batch);
	add(batch, "shop", TYPE, 1);
	add(batch, "shop", TYPE, 9);
	add(batch, "shop", "memory:inuse_space:bytes::", 9);
	assert_int_equal(series_limits_apply(&limits, batch), 0);
	assert_string_equal(label_of(batch, 0, "request", text), "request-1");
	assert_string_equal(label_of(batch, 1, "request", text), "");
	assert_string_equal(label_of(batch, 2, "request", text), "request-9");
	assert_int_equal(limits.overflowed, 3);

	/* A new span has room again. */
	series_limits_clear(&limits);
	batch_clear(batch);
	add(batch, "shop", TYPE, 9);
	assert_int_equal(series_limits_apply(&limits, batch), 0);
	assert_string_equal(label_of(batch, 0, "request", text), "request-9");
	batch_free(batch);
	series_limits_done(&limits);
}

static void beyond_a_types_limit_services_go_too(void **state)
{
	struct series_limits limits;
	struct batch *batch = NULL;
	char text[64], service[16];

	(void)state;
	series_limits_init(&limits, 4, 3);
	assert_int_equal(batch_new(1 << 24, &batch), 0);
	for (unsigned i = 0; i < 6; i++) {
		snprintf(service, sizeof(service), "service-%u", i);
		add(batch, service, TYPE, 0);
	}
	assert_int_equal(series_limits_apply(&limits, batch), 0);
	assert_string_equal(label_of(batch, 3, "service_name", text), "service-3");
	assert_string_equal(label_of(batch, 4, "service_name", text), "other");
	assert_string_equal(label_of(batch, 5, "service_name", text), "other");
	assert_int_equal(limits.overflowed, 2);
	batch_free(batch);
	series_limits_done(&limits);
}

static size_t value_count(struct store_scene *scene, struct str name)
{
	struct store_question question = { .from_unix_ms = 0, .to_unix_ms = START_MS * 2 };
	struct store_texts texts = { 0 };
	size_t count;

	assert_int_equal(store_label_values(scene->store, &question, name, &texts), 0);
	count = texts.count;
	store_texts_done(&texts);
	return count;
}

static void a_store_keeps_values_and_not_labels(void **state)
{
	enum { REQUESTS = 3000 };
	struct store_scene scene;
	struct store_status status;

	(void)state;
	store_scene_init(&scene, "/tmp");
	assert_int_equal(store_scene_open(&scene), 0);
	for (unsigned i = 0; i < REQUESTS; i++) {
		if (i % 500 == 0) {
			batch_clear(scene.batch);
			batch_set_time(scene.batch, (struct batch_time){ START_MS + i * 10,
									 START_MS + i * 10 + 1 });
		}
		add(scene.batch, "shop", TYPE, i);
		if (i % 500 == 499)
			assert_int_equal(store_append(scene.store, scene.batch), 0);
	}
	for (int round = 0; round < 2; round++) {
		assert_int_equal(store_scene_count(&scene, 0, START_MS * 2), REQUESTS);
		assert_int_equal(store_scene_flame_count(&scene, 0, START_MS * 2), REQUESTS);
		assert_int_equal(value_count(&scene, STR("request")), STORE_SERIES_PER_SERVICE_MAX);
		assert_int_equal(value_count(&scene, STR("series_overflow")), 1);
		assert_int_equal(value_count(&scene, STR("service_name")), 1);
		store_status(scene.store, &status);
		if (round == 0)
			assert_int_equal(status.series_overflowed,
					 REQUESTS - STORE_SERIES_PER_SERVICE_MAX);
		assert_int_equal(store_commit(scene.store), 0);
		scene.store = store_close(scene.store);
		assert_int_equal(store_scene_open(&scene), 0);
	}
	store_scene_done(&scene);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(beyond_a_services_limit_labels_go),
		cmocka_unit_test(beyond_a_types_limit_services_go_too),
		cmocka_unit_test(a_store_keeps_values_and_not_labels),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
