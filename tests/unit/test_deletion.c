/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What was deleted is in no answer, whatever had become of it: sums are compared with a list of all
 * that was appended, before and after it is removed from the files, and after restarts. The
 * program's clocks are replaced when it is linked (--wrap).
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "store/selector.h"
#include "tests/support/store_scene.h"

#define START_MS  INT64_C(1764000000000) /* 24 November 2025, 16:00 */
#define MINUTE_MS INT64_C(60000)
#define HOUR_MS	  INT64_C(3600000)
#define CPU	  "process_cpu:cpu:nanoseconds:cpu:nanoseconds"
#define WALL	  "wall:wall:nanoseconds:wall:nanoseconds"

enum { SAMPLE_COUNT_MAX = 1 << 15, PERIOD = 10 };

static _Atomic int64_t unix_ms;
static _Atomic int64_t steady_ms;

int64_t __wrap_clock_unix_ns(void);
uint64_t __wrap_clock_monotonic_ns(void);

int64_t __wrap_clock_unix_ns(void)
{
	return unix_ms * CLOCK_NS_PER_MS;
}

uint64_t __wrap_clock_monotonic_ns(void)
{
	return (uint64_t)(steady_ms * CLOCK_NS_PER_MS);
}

static const char *const services[] = { "web", "db", "web-api" };
static const char *const regions[] = { "eu", "us" };
static const char *const types[] = { CPU, WALL };

struct sample {
	int64_t time_ms;
	int service, region, type;
	bool is_deleted;
};

struct scene {
	struct store_scene store;
	struct sample samples[SAMPLE_COUNT_MAX];
	uint32_t count;
	bool is_of_sums; /* samples are gone: stacks are known by service and type alone */
};

static int set_up(void **state)
{
	struct scene *scene = calloc(1, sizeof(*scene));

	assert_non_null(scene);
	unix_ms = START_MS;
	steady_ms = 5000000;
	store_scene_init(&scene->store, access("/dev/shm", W_OK) ? "/tmp" : "/dev/shm");
	scene->store.options.span_ms = HOUR_MS;
	scene->store.options.detail_ms = 100 * HOUR_MS;
	assert_int_equal(store_scene_open(&scene->store), 0);
	*state = scene;
	return 0;
}

static int tear_down(void **state)
{
	struct scene *scene = *state;

	store_scene_done(&scene->store);
	free(scene);
	return 0;
}

static struct store_status status_of(struct scene *scene)
{
	struct store_status status;

	store_status(scene->store.store, &status);
	return status;
}

static void maintain(struct scene *scene)
{
	assert_int_equal(store_maintain(scene->store.store, unix_ms), 0);
}

static void settle(struct scene *scene)
{
	int quiet = 0;

	for (int i = 0; i < 100000 && quiet < 3; i++) {
		maintain(scene);
		quiet = status_of(scene).is_compacting ? 0 : quiet + 1;
		if (!quiet)
			usleep(200);
	}
	assert_int_equal(quiet, 3);
}

static void reopen(struct scene *scene)
{
	scene->store.store = store_close(scene->store.store);
	assert_int_equal(store_scene_open(&scene->store), 0);
}

/* One of each series. */
static void append(struct scene *scene, int64_t time_ms)
{
	struct batch *batch = NULL;

	assert_int_equal(batch_new(1 << 20, &batch), 0);
	batch_set_time(batch, (struct batch_time){ time_ms, time_ms + 1000 });
	for (int i = 0; i < 12; i++) {
		struct sample sample = { time_ms, i % 3, i / 3 % 2, i / 6, false };
		const struct label labels[] = {
			{ STR("region"), str_from(regions[sample.region]) },
			{ STR("service_name"), str_from(services[sample.service]) },
		};
		const struct label own[] = { { STR("pid"), STR("17") } };
		char function[64];
		struct named_line line = { 0 };
		int64_t set = batch_add_labels(batch, labels, 2);
		int64_t series = batch_add_series(batch, (uint32_t)set,
						  str_from(types[sample.type]), PERIOD);
		int64_t own_set = batch_add_labels(batch, own, 1);
		uint32_t location;

		snprintf(function, sizeof(function), "%s_%s", services[sample.service],
			 regions[sample.region]);
		line.function = str_from(function);
		location = (uint32_t)batch_add_named_location(batch, &line, 1);

		int64_t stack = batch_add_stack(batch, &location, 1, 0);

		assert_true(series >= 0 && own_set >= 0 && stack >= 0);
		assert_int_equal(
			batch_add_entry(batch,
					&(struct batch_entry){ .series = (uint32_t)series,
							       .sample_labels = (uint32_t)own_set,
							       .stack = (uint32_t)stack,
							       .count = 1,
							       .value = PERIOD }),
			0);
		assert_true(scene->count < SAMPLE_COUNT_MAX);
		scene->samples[scene->count++] = sample;
	}
	assert_int_equal(store_append(scene->store.store, batch), 0);
	assert_int_equal(store_commit(scene->store.store), 0);
	batch_free(batch);
}

static void live(struct scene *scene, int64_t minutes)
{
	for (int64_t i = 0; i < minutes; i++) {
		append(scene, unix_ms);
		unix_ms += MINUTE_MS;
		steady_ms += MINUTE_MS;
		settle(scene);
	}
}

/* ---- what there should be -------------------------------------------------------------------- */

struct wanted {
	const char *selector;
	int service, region, type; /* or -1 */
};

static const struct wanted all_wanted[] = {
	{ "", -1, -1, -1 },
	{ "{service_name=\"web\"}", 0, -1, -1 },
	{ "{service_name=\"db\"}", 1, -1, -1 },
	{ "{service_name=\"web\", region=\"eu\"}", 0, 0, -1 },
	{ "{region=\"us\"}", -1, 1, -1 },
	{ "{__profile_type__=\"" WALL "\"}", -1, -1, 1 },
	{ "{service_name=\"web\",__profile_type__=\"" CPU "\"}", 0, -1, 0 },
};

static bool is_wanted(const struct sample *sample, const struct wanted *wanted)
{
	return (wanted->service < 0 || sample->service == wanted->service) &&
	       (wanted->region < 0 || sample->region == wanted->region) &&
	       (wanted->type < 0 || sample->type == wanted->type);
}

static void check_one(struct scene *scene, const struct wanted *wanted, int type, int64_t from_ms,
		      int64_t to_ms)
{
	char error[SELECTOR_ERROR_SIZE];
	struct selector *selector = NULL;
	struct store_question question = { .from_unix_ms = from_ms, .to_unix_ms = to_ms };
	static const struct str names[] = { { "service_name", 12 }, { "region", 6 } };
	struct store_grid grid = { to_ms, to_ms - from_ms + 1, 1 };
	uint64_t left = 0, by_service[3] = { 0 };
	struct flame flame = { 0 };
	struct functions functions = { 0 };
	struct store_rows rows = { 0 };
	struct store_texts texts = { 0 };
	size_t service_count = 0;

	if (type >= 0)
		question.type = str_from(types[type]);
	assert_int_equal(selector_parse(str_from(wanted->selector), &selector, error), 0);
	question.selector = wanted->selector[0] ? selector : NULL;
	for (uint32_t i = 0; i < scene->count; i++) {
		const struct sample *sample = &scene->samples[i];

		if (sample->is_deleted || !is_wanted(sample, wanted) ||
		    (type >= 0 && sample->type != type) || sample->time_ms < from_ms ||
		    sample->time_ms > to_ms)
			continue;
		left++;
		by_service[sample->service]++;
	}
	for (int i = 0; i < 3; i++)
		service_count += by_service[i] > 0;

	/* Stacks: cut or not, with rows or without, by every way of reading. */
	for (int i = 0; i < (scene->is_of_sums ? 2 : 3); i++) {
		struct flame_options options = { .node_count_max = i ? 1 << 14 : 1000,
						 .rows_by = i == 2 ? STR("region") : STR("") };

		assert_int_equal(store_flame(scene->store.store, &question, &options, &flame), 0);
		assert_int_equal(flame.nodes[0].total, left * PERIOD);
		assert_int_equal(flame.sample_count, left);
		flame_done(&flame);
	}
	assert_int_equal(store_functions(scene->store.store, &question,
					 &(struct functions_options){ .limit = 100 }, &functions),
			 0);
	assert_int_equal(functions.total, left * PERIOD);
	functions_done(&functions);

	assert_int_equal(store_series(scene->store.store, &question, names, 1, &grid, &rows), 0);
	assert_int_equal(rows.count, service_count);
	for (size_t i = 0; i < rows.count; i++)
		for (int k = 0; k < 3; k++)
			if (str_equal(rows.rows[i].values[0], str_from(services[k])))
				assert_int_equal(rows.rows[i].total, by_service[k] * PERIOD);
	store_rows_done(&rows);

	assert_int_equal(store_label_values(scene->store.store, &question, names[0], &texts), 0);
	assert_int_equal(texts.count, service_count);
	store_texts_done(&texts);
	assert_int_equal(store_profile_types(scene->store.store, &question, &texts), 0);
	assert_true(left > 0 || texts.count == 0);
	store_texts_done(&texts);
	selector_free(selector);
}

static void check_range(struct scene *scene, int64_t from_ms, int64_t to_ms)
{
	for (size_t i = 0; i < sizeof(all_wanted) / sizeof(all_wanted[0]); i++)
		for (int type = -1; type < 2; type++)
			if (!scene->is_of_sums || all_wanted[i].region < 0)
				check_one(scene, &all_wanted[i], type, from_ms, to_ms);
}

/* Twice, since the second time answers come from what was kept. */
static void check(struct scene *scene)
{
	for (int i = 0; i < 2; i++)
		check_range(scene, START_MS - HOUR_MS, unix_ms + HOUR_MS);
	if (unix_ms > START_MS + 15 * MINUTE_MS)
		check_range(scene, START_MS + 7 * MINUTE_MS, unix_ms - 7 * MINUTE_MS);
}

static void delete (struct scene *scene, const struct wanted *wanted, int64_t from_ms,
		    int64_t to_ms)
{
	struct store_deletion deletion = { .selector = str_from(wanted->selector),
					   .from_unix_ms = from_ms,
					   .to_unix_ms = to_ms,
					   .by = STR("the test") };
	uint64_t number = 0;
	uint64_t before = status_of(scene).deletions;

	assert_int_equal(store_delete(scene->store.store, &deletion, &number), 0);
	assert_int_equal(number, before + 1);
	for (uint32_t i = 0; i < scene->count; i++)
		if (is_wanted(&scene->samples[i], wanted) && scene->samples[i].time_ms >= from_ms &&
		    scene->samples[i].time_ms <= to_ms)
			scene->samples[i].is_deleted = true;
	check(scene);
}

/* The same without a look at every range: sums over long times are of ten minutes. */
static void delete_hidden(struct scene *scene, const struct wanted *wanted)
{
	struct store_deletion deletion = { .selector = str_from(wanted->selector),
					   .to_unix_ms = INT64_MAX / 4 };
	uint64_t number = 0;

	assert_int_equal(store_delete(scene->store.store, &deletion, &number), 0);
	for (uint32_t i = 0; i < scene->count; i++)
		if (is_wanted(&scene->samples[i], wanted))
			scene->samples[i].is_deleted = true;
}

static void remove_all(struct scene *scene)
{
	for (int i = 0; i < 2000 && status_of(scene).deletions_pending; i++) {
		maintain(scene);
		usleep(2000);
	}
	assert_int_equal(status_of(scene).deletions_pending, 0);
	settle(scene);
}

/* A text in any file of the store. */
static bool is_on_disk(struct scene *scene, const char *text)
{
	char command[512];

	snprintf(command, sizeof(command), "grep -qa '%s' '%s'/data/*.db", text,
		 scene->store.options.folder);
	return system(command) == 0;
}

/* ---- tests ----------------------------------------------------------------------------------- */

static const struct wanted web = { "{service_name=\"web\"}", 0, -1, -1 };
static const struct wanted web_eu = { "{service_name=\"web\", region=\"eu\"}", 0, 0, -1 };
static const struct wanted wall = { "{__profile_type__=\"" WALL "\"}", -1, -1, 1 };

static void what_is_open_is_hidden_and_what_comes_is_seen(void **state)
{
	struct scene *scene = *state;

	append(scene, unix_ms);
	check(scene);
	delete (scene, &web, 0, INT64_MAX / 4);
	append(scene, unix_ms + 1000);
	check(scene);
	reopen(scene);
	check(scene);
	remove_all(scene);
	assert_int_equal(status_of(scene).deletions_pending, 0);
	assert_int_equal(status_of(scene).removed_samples, 4);
	check(scene);
	append(scene, unix_ms + 2000);
	check(scene);
	reopen(scene);
	check(scene);
	assert_int_equal(status_of(scene).deletions, 1);
}

static void a_service_goes_from_spans(void **state)
{
	struct scene *scene = *state;

	live(scene, 150);
	check(scene);
	delete (scene, &web, 0, INT64_MAX / 4);
	reopen(scene);
	check(scene);
	for (int i = 0; i < 5; i++) {
		maintain(scene);
		check(scene);
	}
	remove_all(scene);
	check(scene);
	assert_int_equal(status_of(scene).removed_samples, 600);
	live(scene, 30);
	check(scene);
	reopen(scene);
	check(scene);
}

static void a_label_set_goes_from_spans(void **state)
{
	struct scene *scene = *state;

	live(scene, 90);
	delete (scene, &web_eu, 0, INT64_MAX / 4);
	remove_all(scene);
	check(scene);
	delete (scene, &wall, 0, INT64_MAX / 4);
	reopen(scene);
	check(scene);
	remove_all(scene);
	check(scene);
	live(scene, 20);
	check(scene);
}

static void a_time_goes(void **state)
{
	struct scene *scene = *state;

	live(scene, 90);
	delete (scene, &web, START_MS + 15 * MINUTE_MS, START_MS + 33 * MINUTE_MS);
	remove_all(scene);
	check(scene);
	delete (scene, &web_eu, START_MS + 30 * MINUTE_MS, START_MS + 70 * MINUTE_MS);
	reopen(scene);
	check(scene);
	remove_all(scene);
	check(scene);
}

static void it_goes_from_compact_spans(void **state)
{
	struct scene *scene = *state;

	scene->store.options.detail_ms = MINUTE_MS;
	scene->store.options.fold = 1;
	reopen(scene);
	live(scene, 200);
	assert_true(status_of(scene).compact_spans > 0);
	check(scene);
	delete (scene, &web_eu, 0, INT64_MAX / 4);
	remove_all(scene);
	check(scene);
	delete (scene, &web, 0, INT64_MAX / 4);
	remove_all(scene);
	check(scene);
	reopen(scene);
	settle(scene);
	check(scene);
	assert_true(status_of(scene).compact_spans > 0);
	live(scene, 70);
	check(scene);
}

static void several_at_once_and_none_matters_to_the_next(void **state)
{
	struct scene *scene = *state;

	live(scene, 65);
	delete (scene, &web_eu, 0, INT64_MAX / 4);
	live(scene, 15);
	delete (scene, &wall, 0, START_MS + 20 * MINUTE_MS);
	delete (scene, &web, START_MS, START_MS + 70 * MINUTE_MS);
	remove_all(scene);
	check(scene);
	reopen(scene);
	check(scene);
}

static void all_of_a_file_goes_with_it(void **state)
{
	struct scene *scene = *state;
	const struct wanted any = { "{service_name=~\".+\"}", -1, -1, -1 };
	uint32_t spans;

	live(scene, 130);
	spans = status_of(scene).span_count;
	delete (scene, &any, 0, INT64_MAX / 4);
	remove_all(scene);
	check(scene);
	assert_true(status_of(scene).span_count < spans);
	assert_int_equal(status_of(scene).samples, 0);
	live(scene, 5);
	check(scene);
}

/* Roll-ups are what there is: nothing that was deleted is in them either. */
static void it_is_hidden_in_sums_of_samples_that_are_gone(void **state)
{
	struct scene *scene = *state;
	const struct store_limits limits = { .age_ms = { HOUR_MS, HOUR_MS, 0 } };
	uint64_t pieces;

	live(scene, 200);
	pieces = status_of(scene).pieces;
	store_set_limits(scene->store.store, &limits);
	settle(scene);
	assert_true(status_of(scene).dropped_spans[STORE_DROPPED_AGE] > 0);
	assert_true(pieces > 10);
	scene->is_of_sums = true;
	check_range(scene, START_MS - HOUR_MS, unix_ms + HOUR_MS);
	delete_hidden(scene, &web);
	for (int i = 0; i < 2; i++) {
		check_range(scene, START_MS - HOUR_MS, unix_ms + HOUR_MS);
		settle(scene);
		check_range(scene, START_MS - HOUR_MS, unix_ms + HOUR_MS);
		reopen(scene);
		store_set_limits(scene->store.store, &limits);
	}
	remove_all(scene);
	assert_int_equal(status_of(scene).deletions_pending, 0);
	check_range(scene, START_MS - HOUR_MS, unix_ms + HOUR_MS);
	live(scene, 3);
	check_range(scene, START_MS - HOUR_MS, unix_ms + HOUR_MS);
	reopen(scene);
	check_range(scene, START_MS - HOUR_MS, unix_ms + HOUR_MS);
}

/* The program ends at some moment of it, and another goes on. */
static void whoever_comes_after_a_crash_goes_on(void **state)
{
	struct scene *scene = *state;

	live(scene, 130);
	delete (scene, &web_eu, 0, INT64_MAX / 4);
	for (int i = 0; i < 40 && status_of(scene).deletions_pending; i++) {
		for (int k = 0; k < i % 4 + 1; k++) {
			maintain(scene);
			usleep((useconds_t)(i % 3) * 700);
		}
		reopen(scene);
		check(scene);
	}
	remove_all(scene);
	check(scene);
}

/* Both files are there after a crash between giving the new one its name and removing the old. */
static void of_two_files_the_later_counts(void **state)
{
	struct scene *scene = *state;
	char command[1024];

	append(scene, unix_ms);
	delete (scene, &web, 0, INT64_MAX / 4);
	for (int i = 0; i < 2; i++) {
		snprintf(command, sizeof(command), "cd '%s' && mkdir -p old && cp -p %s/*.db %s",
			 scene->store.options.folder, i ? "old" : "data", i ? "data/" : "old/");
		scene->store.store = store_close(scene->store.store);
		assert_int_equal(system(command), 0);
		assert_int_equal(store_scene_open(&scene->store), 0);
		check(scene);
		remove_all(scene);
		check(scene);
	}
}

static void a_selector_must_name_something(void **state)
{
	struct scene *scene = *state;
	static const char *const texts[] = { "",	   "{}",	  "{a=\"\"}",
					     "{a!=\"b\"}", "{a=~\".*\"}", "{a=" };
	uint64_t number = 0;

	append(scene, unix_ms);
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		struct store_deletion deletion = { .selector = str_from(texts[i]),
						   .to_unix_ms = INT64_MAX / 4 };

		assert_int_equal(store_delete(scene->store.store, &deletion, &number), -EINVAL);
	}
	assert_int_equal(status_of(scene).deletions, 0);
	check(scene);
}

static void words_go_from_the_files(void **state)
{
	struct scene *scene = *state;
	const struct wanted db = { "{service_name=\"web-api\"}", 2, -1, -1 };

	append(scene, unix_ms);
	delete (scene, &db, 0, INT64_MAX / 4);
	/* Nothing is rolled up of it meanwhile; what grew before is not much. */
	assert_true(is_on_disk(scene, "service_name"));
	remove_all(scene);
	check(scene);
	append(scene, unix_ms + 1);
	check(scene);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
		TEST(what_is_open_is_hidden_and_what_comes_is_seen),
		TEST(a_service_goes_from_spans),
		TEST(a_label_set_goes_from_spans),
		TEST(a_time_goes),
		TEST(it_goes_from_compact_spans),
		TEST(several_at_once_and_none_matters_to_the_next),
		TEST(all_of_a_file_goes_with_it),
		TEST(it_is_hidden_in_sums_of_samples_that_are_gone),
		TEST(whoever_comes_after_a_crash_goes_on),
		TEST(of_two_files_the_later_counts),
		TEST(a_selector_must_name_something),
		TEST(words_go_from_the_files),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
