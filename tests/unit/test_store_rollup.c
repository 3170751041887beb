/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Roll-ups against exact answers of the same store, which are tested against a model: sums to the
 * unit, and every function within the bounds of store/roll.h. With crashes, damage, and samples
 * that are gone. The program's clocks are replaced when it is linked (--wrap).
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <dirent.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "store/chronicle.h"
#include "store/compact.h"
#include "store/database.h"
#include "store/extract.h"
#include "store/pool.h"
#include "store/roll.h"
#include "store/selector.h"
#include "store/span.h"
#include "tests/support/store_scene.h"

#define START_MS  INT64_C(1764000000000) /* 24 November 2025, 16:00 */
#define MINUTE_MS INT64_C(60000)
#define HOUR_MS	  INT64_C(3600000)
#define CPU	  "process_cpu:cpu:nanoseconds:cpu:nanoseconds"

enum { PATH_COUNT_MAX = 1 << 20, PATH_SIZE = 1 << 14, PIECE_COUNT_MAX = 64, MANY_PIECES = 256 };

/* Of the thread that lives; the others look at them. */
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

static int set_up(void **state)
{
	struct store_scene *scene = calloc(1, sizeof(*scene));
	const char *wanted = getenv("HEARTH_SEED");
	struct timespec now;

	assert_non_null(scene);
	unix_ms = START_MS;
	steady_ms = 5000000;
	store_scene_init(scene, access("/dev/shm", W_OK) ? "/tmp" : "/dev/shm");
	clock_gettime(CLOCK_REALTIME, &now);
	scene->seed = (uint64_t)now.tv_nsec;
	if (wanted)
		scene->seed = strtoull(wanted, NULL, 10);
	print_message("# HEARTH_SEED=%llu\n", (unsigned long long)scene->seed);
	scene->options.span_ms = HOUR_MS;
	scene->options.detail_ms = MINUTE_MS;
	assert_int_equal(store_scene_open(scene), 0);
	*state = scene;
	return 0;
}

static int tear_down(void **state)
{
	struct store_scene *scene = *state;

	store_scene_done(scene);
	free(scene);
	return 0;
}

static struct store_status status_of(struct store_scene *scene)
{
	struct store_status status;

	store_status(scene->store, &status);
	return status;
}

/* Until nothing is left to be done in the background. */
static void settle(struct store_scene *scene)
{
	int quiet = 0;

	for (int i = 0; i < 100000 && quiet < 3; i++) {
		assert_int_equal(store_maintain(scene->store, unix_ms), 0);
		quiet = status_of(scene).is_compacting ? 0 : quiet + 1;
		if (!quiet)
			usleep(200);
	}
	assert_int_equal(quiet, 3);
}

/* Time passes, a minute at a time, and what is to be done in the background keeps step. */
static void live(struct store_scene *scene, int64_t duration_ms, uint32_t samples)
{
	for (int64_t end_ms = unix_ms + duration_ms; unix_ms < end_ms;) {
		assert_int_equal(store_scene_append(scene, unix_ms, samples), 0);
		assert_int_equal(store_scene_commit(scene), 0);
		unix_ms += MINUTE_MS;
		steady_ms += MINUTE_MS;
		settle(scene);
	}
}

static void seal(struct store_scene *scene)
{
	uint64_t wanted = store_request_seal(scene->store);

	for (int i = 0; i < 1000 && status_of(scene).seals < wanted; i++) {
		assert_int_equal(store_maintain(scene->store, unix_ms), 0);
		usleep(5000);
	}
	assert_int_equal(status_of(scene).seals, wanted);
}

/* ---- two answers ----------------------------------------------------------------------------- */

struct asked {
	int64_t from_ms, to_ms;
	const char *service; /* or NULL */
	bool is_exact;
};

static struct flame ask_nodes_of(struct store_scene *scene, const struct asked *asked,
				 uint32_t node_count_max, struct store_asker *asker)
{
	char text[64], error[SELECTOR_ERROR_SIZE];
	struct selector *selector = NULL;
	struct store_question question = { .type = STR(CPU),
					   .from_unix_ms = asked->from_ms,
					   .to_unix_ms = asked->to_ms,
					   .is_exact = asked->is_exact,
					   .asker = asker };
	struct flame_options options = { .node_count_max = node_count_max,
					 .rows_by = STR("service_name") };
	struct flame flame = { 0 };

	if (asked->service) {
		snprintf(text, sizeof(text), "{service_name=\"%s\"}", asked->service);
		assert_int_equal(selector_parse(str_from(text), &selector, error), 0);
	}
	question.selector = selector;
	assert_int_equal(store_flame(scene->store, &question, &options, &flame), 0);
	selector_free(selector);
	return flame;
}

static struct flame ask_nodes(struct store_scene *scene, const struct asked *asked,
			      uint32_t node_count_max)
{
	return ask_nodes_of(scene, asked, node_count_max, NULL);
}

/* So many that nothing is cut. */
static struct flame ask(struct store_scene *scene, const struct asked *asked)
{
	return ask_nodes(scene, asked, 1 << 20);
}

/* Names from the root, so that nodes of two answers can be compared. */
static size_t path_of(const struct flame *flame, uint32_t node, char *path)
{
	size_t size = node ? path_of(flame, flame->nodes[node].parent, path) : 0;
	struct str name = flame->names[flame->nodes[node].name];

	assert_true(size + name.size + 2 < PATH_SIZE);
	memcpy(path + size, name.text, name.size);
	path[size + name.size] = flame->nodes[node].kind == FLAME_FOLDED ? '\1' : '\0';
	return size + name.size + 1;
}

static bool is_kept(uint8_t kind)
{
	return kind != FLAME_FOLDED && kind != FLAME_MORE;
}

/* Each node of the roll-up is in the exact answer, and lacks at most so much of what it has there.
 */
static void assert_bounded(const struct flame *exact, const struct flame *rolled, uint64_t missing)
{
	static char path[PATH_SIZE];
	struct pool paths;
	autofree uint64_t *totals = calloc(exact->node_count + 1, sizeof(totals[0]));
	autofree uint64_t *found = calloc(exact->node_count + 1, sizeof(found[0]));

	assert_non_null(totals);
	assert_non_null(found);
	pool_init(&paths, PATH_COUNT_MAX, NULL);
	for (uint32_t i = 0; i < exact->node_count; i++) {
		int64_t number = pool_add(&paths, path, path_of(exact, i, path));

		assert_int_equal(number, i);
		totals[i] = exact->nodes[i].total;
	}
	for (uint32_t i = 0; i < rolled->node_count; i++) {
		uint32_t number;

		if (!is_kept(rolled->nodes[i].kind))
			continue;
		number = pool_find(&paths, path, path_of(rolled, i, path));
		assert_int_not_equal(number, TABLE_NONE);
		found[number] = rolled->nodes[i].total;
	}
	for (uint32_t i = 0; i < exact->node_count; i++) {
		if (!is_kept(exact->nodes[i].kind))
			continue;
		assert_true(found[i] <= totals[i]);
		if (totals[i] - found[i] > missing) {
			path_of(exact, i, path);
			fail_msg("a node of %llu has %llu, of which at most %llu may be missing",
				 (unsigned long long)totals[i], (unsigned long long)found[i],
				 (unsigned long long)missing);
		}
	}
	pool_done(&paths);
}

static void assert_equal_sums(const struct flame *exact, const struct flame *rolled)
{
	uint64_t self = 0;

	assert_int_equal(rolled->nodes[0].total, exact->nodes[0].total);
	assert_int_equal(rolled->sample_count, exact->sample_count);
	for (uint32_t i = 0; i < rolled->node_count; i++)
		self += rolled->nodes[i].self;
	assert_int_equal(self, exact->nodes[0].total);
}

/* pieces: how many there may be in the answer. */
static void assert_rolled(struct store_scene *scene, struct asked asked, uint64_t pieces,
			  bool is_rolled)
{
	struct flame rolled = ask(scene, &asked);
	struct flame exact;

	asked.is_exact = true;
	exact = ask(scene, &asked);
	assert_int_equal(exact.rolled_count, 0);
	assert_equal_sums(&exact, &rolled);
	assert_bounded(&exact, &rolled,
		       pieces * (ROLL_SAMPLES - 1) + exact.sample_count / ROLL_SERVICE_SHARE);
	assert_true(!is_rolled || rolled.rolled_count > 0);
	assert_true(rolled.rolled_count <= rolled.sample_count);
	flame_done(&exact);
	flame_done(&rolled);
}

static void assert_same(const struct flame *a, const struct flame *b)
{
	assert_int_equal(b->node_count, a->node_count);
	assert_int_equal(b->sample_count, a->sample_count);
	assert_int_equal(b->hidden_count, a->hidden_count);
	for (uint32_t i = 0; i < a->node_count; i++) {
		assert_int_equal(b->nodes[i].self, a->nodes[i].self);
		assert_int_equal(b->nodes[i].total, a->nodes[i].total);
		assert_int_equal(b->nodes[i].parent, a->nodes[i].parent);
		assert_int_equal(b->nodes[i].hidden, a->nodes[i].hidden);
		assert_true(str_equal(b->names[b->nodes[i].name], a->names[a->nodes[i].name]));
	}
}

/* ---- tests ----------------------------------------------------------------------------------- */

static void sums_are_those_of_the_samples(void **state)
{
	struct store_scene *scene = *state;

	live(scene, 5 * HOUR_MS + 17 * MINUTE_MS, 60);
	settle(scene);
	assert_true(status_of(scene).pieces >= 30);
	/* One of segments, one of spans. */
	assert_int_equal(status_of(scene).classes[STORE_ROLLED].span_count, 2);
	assert_true(status_of(scene).classes[STORE_ROLLED].bytes > 0);
	assert_rolled(scene, (struct asked){ START_MS, unix_ms, NULL, false }, PIECE_COUNT_MAX,
		      true);
	for (unsigned i = 0; i < 20; i++) {
		uint64_t a = (scene->seed >> (i * 3)) % 300;
		uint64_t b = 1 + (scene->seed >> (i * 2 + 5)) % 300;

		assert_rolled(scene,
			      (struct asked){ START_MS + (int64_t)a * MINUTE_MS,
					      START_MS + (int64_t)(a + b) * MINUTE_MS, NULL,
					      false },
			      PIECE_COUNT_MAX, false);
	}
	/* A crash forgets nothing that was committed, and a second look finds nothing to do. */
	uint64_t pieces = status_of(scene).pieces;

	scene->store = store_close(scene->store);
	assert_int_equal(store_scene_open(scene), 0);
	settle(scene);
	print_message("# %llu pieces, then %llu\n", (unsigned long long)pieces,
		      (unsigned long long)status_of(scene).pieces);
	assert_true(status_of(scene).pieces <= pieces + 1);
	assert_rolled(scene, (struct asked){ START_MS, unix_ms, NULL, false }, PIECE_COUNT_MAX,
		      true);
}

/* A quiet host keeps every frame; a loud one folds what is light, and says so in its ancestors. */
static void what_is_light_is_folded_where_there_is_much(void **state)
{
	struct store_scene *scene = *state;
	struct asked asked = { START_MS, 0, NULL, false };
	struct flame exact, rolled;

	live(scene, 31 * MINUTE_MS, 60);
	settle(scene);
	asked.to_ms = unix_ms;
	rolled = ask(scene, &asked);
	asked.is_exact = true;
	exact = ask(scene, &asked);
	assert_true(rolled.rolled_count > 0);
	assert_same(&exact, &rolled);
	flame_done(&exact);
	flame_done(&rolled);

	asked.from_ms = unix_ms;
	live(scene, 31 * MINUTE_MS, ROLL_HOST_QUIET / 8);
	settle(scene);
	asked.to_ms = unix_ms;
	exact = ask(scene, &asked);
	asked.is_exact = false;
	rolled = ask(scene, &asked);
	assert_true(rolled.rolled_count > 0);
	assert_true(rolled.node_count < exact.node_count);
	flame_done(&exact);
	flame_done(&rolled);
	assert_rolled(scene, asked, 4, true);
}

/* Where frames were folded every list is an answer, and no file is taken for damaged. */
static void lists_can_do_with_what_was_folded(void **state)
{
	struct store_scene *scene = *state;
	struct asked asked = { START_MS, 0, NULL, true };
	struct functions_options options = { .limit = 1000 };
	struct functions functions = { 0 };
	struct modules modules = { 0 };
	uint64_t self = 0, folded = 0;
	struct flame flame;

	scene->store = store_close(scene->store);
	scene->options.fold = COMPACT_FOLD_DEFAULT;
	assert_int_equal(store_scene_open(scene), 0);
	live(scene, 31 * MINUTE_MS, ROLL_HOST_QUIET / 8);
	asked.to_ms = unix_ms;
	seal(scene);
	unix_ms += 7 * HOUR_MS;
	steady_ms += 7 * HOUR_MS;
	settle(scene);
	assert_true(status_of(scene).compact_spans > 0);

	struct store_question question = { .type = STR(CPU),
					   .from_unix_ms = asked.from_ms,
					   .to_unix_ms = asked.to_ms };

	flame = ask(scene, &asked);
	for (uint32_t i = 0; i < flame.node_count; i++)
		folded += flame.nodes[i].kind == FLAME_FOLDED ? flame.nodes[i].self : 0;
	assert_true(folded > 0);
	assert_int_equal(store_modules(scene->store, &question, 1000, &modules), 0);
	for (uint32_t i = 0; i < modules.count; i++)
		self += modules.rows[i].self;
	assert_int_equal(modules.total, flame.nodes[0].total);
	assert_int_equal(self + folded, modules.total);
	assert_int_equal(store_functions(scene->store, &question, &options, &functions), 0);
	assert_int_equal(functions.total, flame.nodes[0].total);
	assert_false(status_of(scene).has_damage);
	assert_int_equal(status_of(scene).damaged_count, 0);
	modules_done(&modules);
	functions_done(&functions);
	flame_done(&flame);
}

/*
 * The first answer makes summaries of the segments, the second their sum, the third finds it; and
 * so again when the range, or what is in it, has changed.
 */
static void an_answer_is_the_same_again(void **state)
{
	struct store_scene *scene = *state;

	for (int hour = 0; hour < 2; hour++) {
		live(scene, 47 * MINUTE_MS, 60);
		for (int64_t after = 0; after <= 20; after += 10) {
			struct asked asked = { .from_ms = START_MS + after * MINUTE_MS,
					       .to_ms = unix_ms,
					       .is_exact = true };
			struct flame all = ask(scene, &asked);
			struct flame first, again;

			first = ask_nodes(scene, &asked, 1000);
			assert_true(first.node_count > 100);
			assert_equal_sums(&all, &first);
			for (int i = 0; i < 2; i++) {
				again = ask_nodes(scene, &asked, 1000);
				assert_same(&first, &again);
				flame_done(&again);
			}
			flame_done(&all);
			flame_done(&first);
		}
	}
}

/*
 * Until a sealed span is written anew its sum is kept from the first question on, and no list of it
 * is unpacked again, wherever else the range ends.
 */
static void a_sealed_span_is_summed_up_once(void **state)
{
	struct store_scene *scene = *state;
	struct store_asker askers[3] = { 0 };

	while (unix_ms < START_MS + HOUR_MS + 10 * MINUTE_MS) {
		assert_int_equal(store_scene_append(scene, unix_ms, 60), 0);
		assert_int_equal(store_scene_commit(scene), 0);
		unix_ms += MINUTE_MS;
		steady_ms += MINUTE_MS;
	}
	seal(scene);
	assert_int_equal(status_of(scene).compact_spans, 0);
	for (int i = 0; i < 3; i++) {
		struct asked asked = { .from_ms = START_MS - i * MINUTE_MS,
				       .to_ms = unix_ms + i * MINUTE_MS,
				       .is_exact = true };
		struct flame all = ask(scene, &asked);
		struct flame some = ask_nodes_of(scene, &asked, 1000, &askers[i]);

		assert_true(some.node_count > 100);
		assert_int_equal(some.sample_count, scene->appended);
		assert_equal_sums(&all, &some);
		assert_int_equal(askers[i].spans, 2);
		flame_done(&all);
		flame_done(&some);
	}
	print_message("# %llu pieces, then %llu, %llu\n", (unsigned long long)askers[0].pieces,
		      (unsigned long long)askers[1].pieces, (unsigned long long)askers[2].pieces);
	assert_int_equal(status_of(scene).compact_spans, 0);
	assert_in_range(askers[0].pieces, 12, 1000);
	assert_int_equal(askers[1].pieces, 0);
	assert_int_equal(askers[2].pieces, 0);
}

/* A service, over more than a day, comes out of its own lists. */
static void services_have_lists_of_their_own(void **state)
{
	struct store_scene *scene = *state;

	live(scene, 26 * HOUR_MS, 20);
	settle(scene);
	assert_rolled(scene, (struct asked){ START_MS, unix_ms, "beta", false }, PIECE_COUNT_MAX,
		      true);
	assert_rolled(scene, (struct asked){ START_MS, unix_ms, "nobody", false }, 0, false);
	assert_rolled(scene, (struct asked){ START_MS, unix_ms, NULL, false }, MANY_PIECES, true);
}

/* Of an import a month old nothing goes for its age before it has lain here as long as others may:
 * its files are none of late data, since it comes in order. */
static void what_was_long_ago_when_it_came_is_kept(void **state)
{
	struct store_scene *scene = *state;
	struct store_limits limits = {
		.age_ms = { [STORE_RAW] = 20 * MINUTE_MS, [STORE_LATE] = 20 * MINUTE_MS }
	};
	struct store_status status;
	struct timespec now;

	unix_ms += 30 * 24 * HOUR_MS;
	store_set_limits(scene->store, &limits);
	for (int64_t time_ms = START_MS; time_ms < START_MS + 3 * HOUR_MS; time_ms += MINUTE_MS) {
		assert_int_equal(store_scene_append(scene, time_ms, 10), 0);
		assert_int_equal(store_scene_commit(scene), 0);
		settle(scene);
	}
	steady_ms += 20 * MINUTE_MS;
	unix_ms += 20 * MINUTE_MS;
	settle(scene);
	status = status_of(scene);
	assert_int_equal(status.span_count, 3);
	assert_int_equal(status.open_count, 0);
	assert_int_equal(status.classes[STORE_LATE].span_count, 3);
	assert_int_equal(status.dropped_spans[STORE_DROPPED_AGE], 0);
	assert_int_equal(store_scene_count(scene, START_MS, unix_ms), scene->appended);
	scene->store = store_close(scene->store);
	assert_int_equal(store_scene_open(scene), 0);
	store_set_limits(scene->store, &limits);
	assert_int_equal(status_of(scene).classes[STORE_LATE].span_count, 3);

	/* When a file was finished is told by the file system, whose clock is the real one. */
	clock_gettime(CLOCK_REALTIME, &now);
	unix_ms = (int64_t)now.tv_sec * 1000 + HOUR_MS;
	settle(scene);
	steady_ms += 20 * MINUTE_MS;
	unix_ms += 20 * MINUTE_MS;
	settle(scene);
	assert_int_equal(status_of(scene).dropped_spans[STORE_DROPPED_AGE], 3);
}

/* What the roll-ups say stays when the samples have gone, to the sample. */
static void they_stay_when_the_samples_go(void **state)
{
	struct store_scene *scene = *state;
	struct store_limits limits = {
		.age_ms = { [STORE_RAW] = 20 * MINUTE_MS, [STORE_LATE] = 20 * MINUTE_MS }
	};
	struct asked asked = { START_MS, 0, NULL, false };

	live(scene, 4 * HOUR_MS, 60);
	settle(scene);
	asked.to_ms = unix_ms;

	struct flame before = ask(scene, &asked);
	int64_t sum = store_scene_count(scene, START_MS, unix_ms);

	assert_int_equal(sum, scene->appended);
	store_set_limits(scene->store, &limits);
	live(scene, HOUR_MS + 30 * MINUTE_MS, 60);
	settle(scene);
	assert_true(status_of(scene).dropped_spans[STORE_DROPPED_AGE] >= 4);

	struct flame after = ask(scene, &asked);

	assert_equal_sums(&before, &after);
	assert_int_equal(after.rolled_count, after.sample_count);
	assert_int_equal(store_scene_count(scene, START_MS, asked.to_ms), sum);
	assert_int_equal(store_scene_count(scene, START_MS, unix_ms), scene->appended);
	assert_int_equal(store_scene_flame_count(scene, START_MS, unix_ms), scene->appended);
	/* One service, for which there are whole hours, and the host's lists of what is left. */
	uint64_t services = 0;

	for (int i = 0; i < 4; i++) {
		static const char *const names[] = { "alpha", "beta", "gamma", "delta" };

		asked.service = names[i];

		struct flame one = ask(scene, &asked);

		services += one.sample_count;
		assert_int_equal(one.rolled_count, one.sample_count);
		flame_done(&one);
	}
	assert_int_equal(services, after.sample_count);
	flame_done(&before);
	flame_done(&after);
}

/* ---- services together ----------------------------------------------------------------------- */

struct pieces_asked {
	int64_t from_ms, to_ms;
	const char *selector; /* or NULL */
	const char *rows_by;
	bool is_bottom_up;
};

static struct flame ask_exact(struct store_scene *scene, const struct pieces_asked *asked)
{
	char error[SELECTOR_ERROR_SIZE];
	struct selector *selector = NULL;
	struct store_question question = { .type = STR(CPU),
					   .from_unix_ms = asked->from_ms,
					   .to_unix_ms = asked->to_ms,
					   .is_exact = true };
	struct flame_options options = { .node_count_max = 1 << 20,
					 .rows_by = str_from(asked->rows_by),
					 .is_bottom_up = asked->is_bottom_up };
	struct flame flame = { 0 };

	if (asked->selector)
		assert_int_equal(selector_parse(str_from(asked->selector), &selector, error), 0);
	question.selector = selector;
	/* A second time from what is kept. */
	for (int i = 0; i < 2; i++) {
		flame_done(&flame);
		assert_int_equal(store_flame(scene->store, &question, &options, &flame), 0);
	}
	selector_free(selector);
	return flame;
}

/* Whether many services of a compact span are read together or one after the other. */
static void services_are_read_in_groups(void **state)
{
	struct store_scene *scene = *state;
	const struct pieces_asked asked[] = {
		{ START_MS, START_MS + 4 * HOUR_MS, NULL, "service_name", false },
		{ START_MS, START_MS + 4 * HOUR_MS, NULL, "", true },
		{ START_MS + 7 * MINUTE_MS, START_MS + 133 * MINUTE_MS, NULL, "", false },
		{ START_MS, START_MS + 4 * HOUR_MS, "{service_name=~\"a.*|g.*\"}", "", false },
		{ START_MS, START_MS + 4 * HOUR_MS, "{service_name!=\"alpha\"}", "service_name",
		  false },
		{ START_MS + MINUTE_MS, START_MS + 3 * HOUR_MS, "{service_name=\"delta\"}", "",
		  false },
		{ START_MS, START_MS + 4 * HOUR_MS, "{service_name=\"nobody\"}", "", false },
		{ START_MS, START_MS + 4 * HOUR_MS, NULL, "pid", false },
	};
	enum { COUNT = sizeof(asked) / sizeof(asked[0]) };
	static const uint32_t together[] = { 1, 3000 };
	struct flame all[COUNT];

	live(scene, 4 * HOUR_MS, 60);
	assert_true(status_of(scene).compact_spans >= 2);
	for (unsigned i = 0; i < COUNT; i++)
		all[i] = ask_exact(scene, &asked[i]);
	for (unsigned k = 0; k < 2; k++) {
		scene->store = store_close(scene->store);
		scene->options.nodes_together = together[k];
		assert_int_equal(store_scene_open(scene), 0);
		for (unsigned i = 0; i < COUNT; i++) {
			struct flame one = ask_exact(scene, &asked[i]);

			assert_same(&all[i], &one);
			flame_done(&one);
		}
	}
	assert_int_equal(status_of(scene).damaged_count, 0);
	for (unsigned i = 0; i < COUNT; i++)
		flame_done(&all[i]);
}

/* ---- who had how much when ------------------------------------------------------------------- */

struct timeline_asked {
	int64_t from_ms, to_ms;
	struct store_grid grid;
	const char *by;
};

static struct store_rows ask_timeline(struct store_scene *scene, const struct timeline_asked *asked,
				      bool is_exact, uint64_t *ret_rolled)
{
	struct store_asker asker = { 0 };
	struct store_question question = { .type = STR(CPU),
					   .from_unix_ms = asked->from_ms,
					   .to_unix_ms = asked->to_ms,
					   .asker = &asker,
					   .is_exact = is_exact };
	struct str by = str_from(asked->by);
	struct store_rows rows = { 0 };

	assert_int_equal(store_series(scene->store, &question, &by, 1, &asked->grid, &rows), 0);
	*ret_rolled = asker.rolled;
	return rows;
}

/* How much of it came out of roll-ups: it is the same without them, point for point. */
static uint64_t assert_equal_timelines(struct store_scene *scene,
				       const struct timeline_asked *asked)
{
	uint64_t rolled_samples = 0, exact_samples = 0;
	struct store_rows rolled = ask_timeline(scene, asked, false, &rolled_samples);
	struct store_rows exact = ask_timeline(scene, asked, true, &exact_samples);

	assert_int_equal(exact_samples, 0);
	assert_int_equal(rolled.count, exact.count);
	for (size_t i = 0; i < exact.count; i++) {
		const struct store_row *x = &exact.rows[i];
		const struct store_row *y = &rolled.rows[i];

		assert_true(str_equal(x->values[0], y->values[0]));
		assert_int_equal(x->total, y->total);
		assert_int_equal(x->kernel_total, y->kernel_total);
		assert_int_equal(x->first_seen_ms, y->first_seen_ms);
		for (size_t k = 0; k < asked->grid.point_count; k++) {
			assert_int_equal(store_row_point(&exact, x, k),
					 store_row_point(&rolled, y, k));
			assert_int_equal(store_row_has(&exact, x, k), store_row_has(&rolled, y, k));
		}
	}
	store_rows_done(&rolled);
	store_rows_done(&exact);
	return rolled_samples;
}

static struct timeline_asked a_timeline(uint64_t seed, int64_t step_ms, bool from_edges)
{
	int64_t first_ms = START_MS + (int64_t)(seed % 18) * 10 * MINUTE_MS;
	size_t count = 1 + (size_t)(seed >> 8) % 20;

	/* Points of Pyroscope reach up to a time and hold it; those of the page begin with one. */
	return (struct timeline_asked){
		.from_ms = first_ms - step_ms + from_edges,
		.to_ms = first_ms + (int64_t)(count - 1) * step_ms - !from_edges,
		.grid = { first_ms - !from_edges, step_ms, count },
		.by = "service_name",
	};
}

static void assert_equal_texts(struct store_texts *rolled, struct store_texts *exact)
{
	assert_int_equal(rolled->count, exact->count);
	for (size_t i = 0; i < exact->count; i++)
		assert_true(str_equal(rolled->texts[i], exact->texts[i]));
	store_texts_done(rolled);
	store_texts_done(exact);
}

static void assert_equal_labels(struct store_scene *scene, int64_t from_ms, int64_t to_ms)
{
	static const char *const names[] = { "service_name", "pid", "none" };
	struct store_question question = { .from_unix_ms = from_ms, .to_unix_ms = to_ms };
	struct store_question samples = question;
	struct store_texts rolled = { 0 }, exact = { 0 };

	samples.is_exact = true;
	for (unsigned i = 0; i < 3; i++) {
		assert_int_equal(
			store_label_values(scene->store, &question, str_from(names[i]), &rolled),
			0);
		assert_int_equal(
			store_label_values(scene->store, &samples, str_from(names[i]), &exact), 0);
		assert_int_equal(exact.count, i == 2 ? 0 : 4);
		assert_equal_texts(&rolled, &exact);
	}
	assert_int_equal(store_label_names(scene->store, &question, &rolled), 0);
	assert_int_equal(store_label_names(scene->store, &samples, &exact), 0);
	assert_equal_texts(&rolled, &exact);
	assert_int_equal(store_series_label_names(scene->store, &question, &rolled), 0);
	assert_int_equal(store_series_label_names(scene->store, &samples, &exact), 0);
	assert_equal_texts(&rolled, &exact);
	assert_int_equal(store_profile_types(scene->store, &question, &rolled), 0);
	assert_int_equal(store_profile_types(scene->store, &samples, &exact), 0);
	assert_int_equal(exact.count, 1);
	assert_equal_texts(&rolled, &exact);
}

static void timelines_are_those_of_the_samples(void **state)
{
	struct store_scene *scene = *state;
	struct timeline_asked asked;

	live(scene, 5 * HOUR_MS + 17 * MINUTE_MS, 60);
	for (unsigned i = 0; i < 200; i++) {
		int64_t step_ms = (int64_t)(1 + (scene->seed >> (i % 40)) % 12) * 10 * MINUTE_MS;

		asked = a_timeline(scene->seed + i * 7919, step_ms, i % 2);
		(void)assert_equal_timelines(scene, &asked);
	}
	asked = (struct timeline_asked){ .from_ms = START_MS,
					 .to_ms = unix_ms,
					 .grid = { unix_ms, unix_ms - START_MS, 1 },
					 .by = "service_name" };
	assert_true(assert_equal_timelines(scene, &asked) > 4 * 60 * 60);
	asked.grid = (struct store_grid){ START_MS + HOUR_MS - 1, HOUR_MS, 6 };
	assert_true(assert_equal_timelines(scene, &asked) > 4 * 60 * 60);
	/* Points that ten minutes fall between, and labels of samples, are looked for in these. */
	asked.grid = (struct store_grid){ START_MS + MINUTE_MS, 20 * MINUTE_MS, 16 };
	assert_int_equal(assert_equal_timelines(scene, &asked), 0);
	asked.grid = (struct store_grid){ START_MS + HOUR_MS - 1, HOUR_MS, 6 };
	asked.by = "pid";
	assert_int_equal(assert_equal_timelines(scene, &asked), 0);
	assert_equal_labels(scene, START_MS, unix_ms);
	assert_equal_labels(scene, START_MS + 47 * MINUTE_MS, START_MS + 3 * HOUR_MS);
	/* What labels of samples are called is remembered by the file. */
	scene->store = store_close(scene->store);
	assert_int_equal(store_scene_open(scene), 0);
	assert_int_equal(assert_equal_timelines(scene, &asked), 0);
	assert_equal_labels(scene, START_MS, unix_ms);
}

/* How many files a list of services takes. */
static uint64_t count_spans(struct store_scene *scene, int64_t from_ms, int64_t to_ms)
{
	struct store_asker asker = { 0 };
	struct store_question question = { .from_unix_ms = from_ms,
					   .to_unix_ms = to_ms,
					   .asker = &asker };
	struct store_texts services = { 0 };

	assert_int_equal(
		store_label_values(scene->store, &question, STR("service_name"), &services), 0);
	assert_int_equal(services.count, 4);
	store_texts_done(&services);
	return asker.spans;
}

/* Until a span is compact its segments' pieces stand for it, and it is not even opened; the one
 * that is written to is looked into always. */
static void what_is_rolled_up_by_segments_is_not_opened(void **state)
{
	struct store_scene *scene = *state;
	int64_t end_ms = START_MS + HOUR_MS;

	scene->store = store_close(scene->store);
	scene->options.detail_ms = 6 * HOUR_MS;
	assert_int_equal(store_scene_open(scene), 0);
	live(scene, HOUR_MS + 25 * MINUTE_MS, 60);
	assert_int_equal(status_of(scene).compact_spans, 0);
	assert_int_equal(count_spans(scene, START_MS, unix_ms), 2);
	assert_int_equal(count_spans(scene, START_MS + 20 * MINUTE_MS, end_ms - 1), 2);
	/* What is left of a segment, or of two, on its edges. */
	assert_int_equal(count_spans(scene, START_MS + 25 * MINUTE_MS, end_ms - 1), 3);
	assert_int_equal(count_spans(scene, START_MS + 25 * MINUTE_MS, end_ms - 5 * MINUTE_MS), 3);
	assert_equal_labels(scene, START_MS, unix_ms);
	assert_equal_labels(scene, START_MS + 25 * MINUTE_MS, end_ms - 1);
	assert_rolled(scene, (struct asked){ START_MS, unix_ms, NULL, false }, 8, false);
}

/* The chronicles' files, one after the other; "" when there are no more. */
static void find_chronicle(const struct store_scene *scene, const char *end, char *path)
{
	char folder[4096];
	DIR *entries;

	snprintf(folder, sizeof(folder), "%s/data", scene->folder);
	entries = opendir(folder);
	assert_non_null(entries);
	path[0] = '\0';
	for (struct dirent *entry; (entry = readdir(entries));)
		if (str_ends_with(str_from(entry->d_name), str_from(end)))
			snprintf(path, 8192, "%s/%s", folder, entry->d_name);
	closedir(entries);
}

struct level_count {
	uint64_t files;	  /* with pieces of this level alone, … */
	uint64_t grown;	  /* of which so many have a tree that is large enough, … */
	uint64_t overdue; /* and so many had one before their last piece */
	uint64_t mixed;	  /* of this level and others */
	uint64_t pieces;  /* of the level, in all files */
};

static int64_t number_of(sqlite3 *database, const char *sql, int64_t level, int64_t nodes)
{
	autoclean(statement) sqlite3_stmt *row = NULL;

	assert_int_equal(database_prepare(database, sql, &row), 0);
	sqlite3_bind_int64(row, 1, level);
	sqlite3_bind_int64(row, 2, nodes);
	assert_int_equal(database_step(row), 1);
	return sqlite3_column_int64(row, 0);
}

/* Of a store that is closed. */
static struct level_count count_level(const struct store_scene *scene, int64_t level, int64_t nodes)
{
	struct level_count count = { 0 };
	char folder[4096], path[8192];
	DIR *entries;

	snprintf(folder, sizeof(folder), "%s/data", scene->folder);
	entries = opendir(folder);
	assert_non_null(entries);
	for (struct dirent *entry; (entry = readdir(entries));) {
		sqlite3 *database = NULL;
		int64_t own, others;

		if (!str_ends_with(str_from(entry->d_name), STR("r.db")))
			continue;
		snprintf(path, sizeof(path), "%s/%s", folder, entry->d_name);
		assert_int_equal(database_open(path, DATABASE_READ, &database), 0);
		own = number_of(database, "SELECT count(*) FROM piece WHERE level = ?1", level, 0);
		others = number_of(database, "SELECT count(*) FROM piece WHERE level <> ?1", level,
				   0);
		count.pieces += (uint64_t)own;
		count.mixed += own && others;
		count.files += own && !others;
		count.grown +=
			own && !others &&
			number_of(database, "SELECT max(nodes) >= ?2 FROM piece", level, nodes);
		count.overdue += number_of(database,
					   "SELECT count(*) > 1 FROM piece "
					   "WHERE level = ?1 AND nodes >= ?2",
					   level, nodes) > 0;
		database_close(database);
	}
	closedir(entries);
	return count;
}

/* Whoever asks for the pieces of an hour reads the tree of all that is in their files. */
static void chronicles_of_segments_end_with_many_nodes(void **state)
{
	struct store_scene *scene = *state;
	const int64_t nodes = 4096;
	struct level_count segments, spans;

	scene->store = store_close(scene->store);
	scene->options.nodes_together = (uint32_t)nodes;
	assert_int_equal(store_scene_open(scene), 0);
	live(scene, 2 * HOUR_MS, 60);
	scene->store = store_close(scene->store);
	assert_int_equal(store_scene_open(scene), 0);
	live(scene, 2 * HOUR_MS, 60);
	assert_rolled(scene, (struct asked){ START_MS, unix_ms, NULL, false }, PIECE_COUNT_MAX,
		      true);
	scene->store = store_close(scene->store);
	segments = count_level(scene, CHRONICLE_SEGMENT, nodes);
	spans = count_level(scene, CHRONICLE_SPAN, nodes);
	print_message("# %llu files of %llu segments, %llu of %llu spans\n",
		      (unsigned long long)segments.files, (unsigned long long)segments.pieces,
		      (unsigned long long)spans.files, (unsigned long long)spans.pieces);
	assert_int_equal(segments.mixed, 0);
	assert_int_equal(spans.files, 1);
	assert_int_equal(spans.pieces, 3);
	assert_true(segments.pieces >= 22);
	/* All but the last, and not one piece later than they must. */
	assert_in_range(segments.files, 3, segments.pieces / 2);
	assert_true(segments.grown + 1 >= segments.files);
	assert_int_equal(segments.overdue, 0);
	assert_int_equal(store_scene_open(scene), 0);
}

/* Of a tree that is too large to be read as a whole what the pieces have is read: no answer is
 * another, and of rows without any the nodes are not unpacked. */
static void a_part_of_a_large_tree_is_enough(void **state)
{
	struct store_scene *scene = *state;
	const uint32_t together[] = { 0, 500 };
	struct flame flames[2][5];
	struct store_asker askers[2][5] = { 0 };
	struct functions functions[2] = { 0 };

	/* As a whole up to 16,384 nodes. */
	live(scene, 5 * HOUR_MS + 17 * MINUTE_MS, 20);
	settle(scene);
	for (unsigned i = 0; i < 2; i++) {
		struct store_question question = { .type = STR(CPU),
						   .from_unix_ms = START_MS - 25 * HOUR_MS,
						   .to_unix_ms = unix_ms };
		struct functions_options options = { .limit = 100 };

		scene->store = store_close(scene->store);
		scene->options.nodes_together = together[i];
		assert_int_equal(store_scene_open(scene), 0);
		for (unsigned k = 0; k < 5; k++) {
			struct asked asked = { START_MS + k * 20 * MINUTE_MS,
					       k < 4 ? START_MS + (k + 1) * HOUR_MS - 1 : unix_ms,
					       NULL, false };

			flames[i][k] =
				ask_nodes_of(scene, &asked, k % 2 ? 1 << 20 : 1000, &askers[i][k]);
		}
		assert_int_equal(store_functions(scene->store, &question, &options, &functions[i]),
				 0);
	}
	for (unsigned k = 0; k < 5; k++) {
		assert_true(flames[0][k].node_count > 100);
		assert_int_equal(flames[0][k].sample_count, flames[1][k].sample_count);
		assert_int_equal(flames[0][k].rolled_count, flames[1][k].rolled_count);
		assert_same(&flames[0][k], &flames[1][k]);
		flame_done(&flames[0][k]);
		flame_done(&flames[1][k]);
	}
	/* The first hour of five: later rows have nothing that it needs. */
	print_message("# %llu pieces, then %llu\n", (unsigned long long)askers[0][0].pieces,
		      (unsigned long long)askers[1][0].pieces);
	assert_true(askers[1][0].pieces < askers[0][0].pieces);
	assert_true(functions[0].count > 10);
	assert_int_equal(functions[0].count, functions[1].count);
	for (uint32_t i = 0; i < functions[0].count; i++) {
		assert_true(str_equal(functions[0].rows[i].name, functions[1].rows[i].name));
		assert_int_equal(functions[0].rows[i].self, functions[1].rows[i].self);
		assert_int_equal(functions[0].rows[i].total, functions[1].rows[i].total);
	}
	functions_done(&functions[0]);
	functions_done(&functions[1]);
}

/* What an older program began, with pieces of both, goes on with those of spans. */
static void a_chronicle_of_both_goes_on_with_spans(void **state)
{
	struct store_scene *scene = *state;
	struct level_count segments;
	sqlite3 *database = NULL;
	char path[8192];

	live(scene, 45 * MINUTE_MS, 60);
	find_chronicle(scene, "r.db", path);
	scene->store = store_close(scene->store);
	/* Of a span that is gone. */
	assert_int_equal(database_open(path, DATABASE_WRITE, &database), 0);
	assert_int_equal(database_execute(database,
					  "INSERT INTO piece SELECT max(id) + 1, 1, 77, 0, 1000, "
					  "2000, 3000, 5, max(nodes), NULL, NULL FROM piece"),
			 0);
	database_close(database);
	segments = count_level(scene, CHRONICLE_SEGMENT, 0);
	assert_int_equal(segments.mixed, 1);
	assert_int_equal(segments.files, 0);
	assert_int_equal(segments.pieces, 4);
	assert_int_equal(store_scene_open(scene), 0);
	live(scene, HOUR_MS, 60);
	assert_rolled(scene, (struct asked){ START_MS, unix_ms, NULL, false }, PIECE_COUNT_MAX,
		      true);
	scene->store = store_close(scene->store);
	segments = count_level(scene, CHRONICLE_SEGMENT, 0);
	assert_int_equal(segments.mixed, 1);
	assert_int_equal(segments.files, 1);
	assert_true(segments.pieces >= 9);
	assert_int_equal(count_level(scene, CHRONICLE_SPAN, 0).files, 0);
	assert_int_equal(count_level(scene, CHRONICLE_SPAN, 0).pieces, 2);
	assert_int_equal(database_open(path, DATABASE_READ, &database), 0);
	assert_int_equal(number_of(database, "SELECT count(*) FROM piece WHERE level = ?1",
				   CHRONICLE_SEGMENT, 0),
			 4);
	database_close(database);
	assert_int_equal(store_scene_open(scene), 0);
}

/* Killed between a file and its first piece: which level it was for it does not say. */
static void one_without_pieces_does_not_end_another(void **state)
{
	struct store_scene *scene = *state;
	struct span_range range = { .is_chronicle = true };
	struct level_count segments;
	char folder[4096], path[8192];
	sqlite3 *database = NULL;
	struct span *made = NULL;
	uint32_t number = 1000;

	live(scene, 45 * MINUTE_MS, 60);
	find_chronicle(scene, "r.db", path);
	scene->store = store_close(scene->store);
	segments = count_level(scene, CHRONICLE_SEGMENT, 0);
	assert_int_equal(segments.files, 1);
	assert_int_equal(database_open(path, DATABASE_READ, &database), 0);
	assert_int_equal(database_number(database, "SELECT value FROM meta WHERE key = 'from'",
					 &range.from_ms),
			 0);
	assert_int_equal(database_number(database, "SELECT value FROM meta WHERE key = 'until'",
					 &range.until_ms),
			 0);
	database_close(database);
	snprintf(folder, sizeof(folder), "%s/data", scene->folder);
	assert_int_equal(span_create(folder, range, &number, &made), 0);
	span_free(made);

	assert_int_equal(store_scene_open(scene), 0);
	assert_int_equal(status_of(scene).classes[STORE_ROLLED].span_count, 2);
	live(scene, 3 * HOUR_MS, 60);
	assert_rolled(scene, (struct asked){ START_MS, unix_ms, NULL, false }, PIECE_COUNT_MAX,
		      true);
	scene->store = store_close(scene->store);
	assert_int_equal(count_level(scene, CHRONICLE_SEGMENT, 0).files, 1);
	assert_int_equal(count_level(scene, CHRONICLE_SEGMENT, 0).mixed, 0);
	assert_true(count_level(scene, CHRONICLE_SEGMENT, 0).pieces > segments.pieces);
	assert_int_equal(count_level(scene, CHRONICLE_SPAN, 0).files, 1);
	assert_int_equal(store_scene_open(scene), 0);
	assert_int_equal(status_of(scene).classes[STORE_ROLLED].span_count, 2);
}

static void damage(const char *path)
{
	struct stat status;
	int fd;

	assert_int_equal(chmod(path, 0600), 0);
	fd = open(path, O_RDWR);
	assert_true(fd >= 0);
	assert_int_equal(fstat(fd, &status), 0);
	/* All but the first page, so that it opens. */
	for (off_t at = 4096; at < status.st_size; at += 512)
		assert_int_equal(pwrite(fd, "damage", 6, at + 100), 6);
	close(fd);
}

/* For room samples go first: their sums are older, and worth more for what they take. */
static void roll_ups_outlive_samples_for_room(void **state)
{
	struct store_scene *scene = *state;
	struct store_limits limits = { .bytes = 0 };

	live(scene, 2 * HOUR_MS, 60);
	seal(scene);
	live(scene, 3 * HOUR_MS, 60);
	settle(scene);
	assert_int_equal(status_of(scene).classes[STORE_ROLLED].span_count, 4);

	uint64_t rolled_bytes = status_of(scene).classes[STORE_ROLLED].bytes;

	limits.bytes = status_of(scene).bytes - 1;
	assert_true(rolled_bytes < limits.bytes / 2);
	store_set_limits(scene->store, &limits);
	assert_int_equal(store_maintain(scene->store, unix_ms), 0);
	assert_true(status_of(scene).dropped_spans[STORE_DROPPED_SIZE] > 0);
	assert_int_equal(status_of(scene).classes[STORE_ROLLED].span_count, 4);
	assert_int_equal(store_scene_count(scene, START_MS, unix_ms), scene->appended);
	/* Those that ended are more than half of this. */
	limits.bytes = 4096;
	store_set_limits(scene->store, &limits);
	assert_int_equal(store_maintain(scene->store, unix_ms), 0);
	assert_int_equal(status_of(scene).classes[STORE_ROLLED].span_count, 2);
}

/* Sums are no samples: they can't be read as somebody else's. */
static void a_chronicle_is_not_imported(void **state)
{
	struct store_scene *scene = *state;
	char path[8192], error[STORE_FILE_ERROR_SIZE];
	struct store *imported = NULL;

	live(scene, HOUR_MS, 60);
	seal(scene);
	find_chronicle(scene, "r.db", path);
	assert_int_equal(store_open_file(path, &imported, error), -EBADMSG);
	assert_null(imported);
	assert_non_null(strstr(error, "roll-ups"));
}

/* Damage is set aside, and what it held is made again of the spans. */
static void damage_is_made_good(void **state)
{
	static const _Atomic bool never = false;
	struct store_scene *scene = *state;
	char path[8192];
	uint64_t pieces;

	live(scene, 3 * HOUR_MS, 60);
	settle(scene);
	pieces = status_of(scene).pieces;
	scene->store = store_close(scene->store);
	find_chronicle(scene, "r.db", path);
	assert_true(path[0] != '\0');
	damage(path);
	assert_int_equal(store_scene_open(scene), 0);
	assert_int_equal(store_scene_flame_count(scene, START_MS, unix_ms), scene->appended);
	/* Until it is proved the spans themselves answer. */
	settle(scene);
	assert_int_equal(status_of(scene).damaged_count, 0);
	assert_int_equal(store_scene_flame_count(scene, START_MS, unix_ms), scene->appended);
	assert_int_equal(store_scrub(scene->store, &never), 1);
	settle(scene);
	assert_int_equal(store_scene_flame_count(scene, START_MS, unix_ms), scene->appended);
	assert_int_equal(status_of(scene).damaged_count, 1);
	assert_true(status_of(scene).pieces >= pieces);
	assert_rolled(scene, (struct asked){ START_MS, unix_ms, NULL, false }, PIECE_COUNT_MAX,
		      true);
}

/* Whoever writes a file anew reads it in another way than a question does, which goes on. */
static void what_cant_be_written_anew_and_is_sound_goes_on_answering(void **state)
{
	static const _Atomic bool never = false;
	struct store_scene *scene = *state;
	sqlite3 *database = NULL;
	struct store_status status;
	char path[8192];

	scene->store = store_close(scene->store);
	scene->options.detail_ms = 100 * HOUR_MS;
	assert_int_equal(store_scene_open(scene), 0);
	live(scene, 31 * MINUTE_MS, 60);
	seal(scene);
	settle(scene);
	scene->store = store_close(scene->store);
	find_chronicle(scene, "j.db", path);
	assert_int_equal(sqlite3_open(path, &database), SQLITE_OK);
	assert_int_equal(sqlite3_exec(database,
				      "UPDATE block SET entry_count = entry_count + 100000", NULL,
				      NULL, NULL),
			 SQLITE_OK);
	assert_int_equal(sqlite3_close(database), SQLITE_OK);

	scene->options.detail_ms = MINUTE_MS;
	assert_int_equal(store_scene_open(scene), 0);
	unix_ms += HOUR_MS;
	steady_ms += HOUR_MS;
	settle(scene);
	status = status_of(scene);
	assert_true(status.has_damage);
	assert_int_equal(status.compact_spans + status.damaged_count, 0);

	assert_int_equal(store_scrub(scene->store, &never), 1);
	settle(scene);
	status = status_of(scene);
	assert_false(status.has_damage);
	assert_int_equal(status.compact_spans + status.damaged_count + status.failing_count, 0);
	/* Who had how much is not read from blocks. */
	assert_int_equal(store_scene_count(scene, START_MS, unix_ms), scene->appended);
}

/* A seal that somebody asks for ends the chronicles as well; the next ones go on. */
static void a_seal_ends_a_chronicle(void **state)
{
	struct store_scene *scene = *state;
	struct stat status;
	char path[8192];

	live(scene, 2 * HOUR_MS, 60);
	find_chronicle(scene, "r.db", path);
	assert_int_equal(stat(path, &status), 0);
	assert_int_equal(status.st_mode & 0777, 0640);

	seal(scene);
	assert_int_equal(stat(path, &status), 0);
	assert_int_equal(status.st_mode & 0777, 0440);
	live(scene, 2 * HOUR_MS, 60);
	settle(scene);
	assert_int_equal(status_of(scene).classes[STORE_ROLLED].span_count, 4);
	assert_rolled(scene, (struct asked){ START_MS, unix_ms, NULL, false }, PIECE_COUNT_MAX,
		      true);
}

/* ---- questions beside it --------------------------------------------------------------------- */

struct asker {
	pthread_t thread;
	struct store_scene *scene;
	struct asked asked;
	uint64_t wanted; /* what there is in its range, whatever becomes of it */
	atomic_bool stop;
	uint64_t answers, wrong;
};

static void *ask_on(void *context)
{
	struct asker *asker = context;

	while (!atomic_load(&asker->stop)) {
		struct flame flame = ask(asker->scene, &asker->asked);
		int64_t sum =
			store_scene_count(asker->scene, asker->asked.from_ms, asker->asked.to_ms);

		asker->answers++;
		asker->wrong += flame.sample_count != asker->wanted ||
				flame.nodes[0].total != asker->wanted ||
				sum != (int64_t)asker->wanted;
		flame_done(&flame);
	}
	return NULL;
}

/*
 * Two threads ask for hours that are over, while these are settled, sealed, written anew, rolled up
 * and dropped: each answer has all of their samples. Run under the thread sanitizer as well.
 */
static void questions_get_all_of_it_meanwhile(void **state)
{
	struct store_scene *scene = *state;
	struct asker askers[2] = { { .scene = scene }, { .scene = scene } };
	struct store_limits limits = { .age_ms = { [STORE_RAW] = 3 * HOUR_MS } };

	live(scene, HOUR_MS, 60);
	for (unsigned i = 0; i < 2; i++) {
		askers[i].asked = (struct asked){ START_MS, unix_ms - 1, NULL, i == 1 };
		askers[i].wanted = scene->appended;
		assert_int_equal(pthread_create(&askers[i].thread, NULL, ask_on, &askers[i]), 0);
	}
	live(scene, 2 * HOUR_MS, 60);
	(void)store_request_seal(scene->store);
	live(scene, HOUR_MS, 60);
	store_set_limits(scene->store, &limits);
	live(scene, 2 * HOUR_MS, 60);
	for (unsigned i = 0; i < 2; i++) {
		atomic_store(&askers[i].stop, true);
		pthread_join(askers[i].thread, NULL);
		print_message("# %llu answers\n", (unsigned long long)askers[i].answers);
		assert_true(askers[i].answers > 0);
		assert_int_equal(askers[i].wrong, 0);
	}
	assert_true(status_of(scene).dropped_spans[STORE_DROPPED_AGE] > 0);
}

#define SCENE_TEST(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		SCENE_TEST(sums_are_those_of_the_samples),
		SCENE_TEST(what_is_light_is_folded_where_there_is_much),
		SCENE_TEST(lists_can_do_with_what_was_folded),
		SCENE_TEST(an_answer_is_the_same_again),
		SCENE_TEST(a_sealed_span_is_summed_up_once),
		SCENE_TEST(services_have_lists_of_their_own),
		SCENE_TEST(services_are_read_in_groups),
		SCENE_TEST(timelines_are_those_of_the_samples),
		SCENE_TEST(what_is_rolled_up_by_segments_is_not_opened),
		SCENE_TEST(what_was_long_ago_when_it_came_is_kept),
		SCENE_TEST(they_stay_when_the_samples_go),
		SCENE_TEST(roll_ups_outlive_samples_for_room),
		SCENE_TEST(a_chronicle_is_not_imported),
		SCENE_TEST(chronicles_of_segments_end_with_many_nodes),
		SCENE_TEST(a_part_of_a_large_tree_is_enough),
		SCENE_TEST(a_chronicle_of_both_goes_on_with_spans),
		SCENE_TEST(one_without_pieces_does_not_end_another),
		SCENE_TEST(damage_is_made_good),
		SCENE_TEST(what_cant_be_written_anew_and_is_sound_goes_on_answering),
		SCENE_TEST(a_seal_ends_a_chronicle),
		SCENE_TEST(questions_get_all_of_it_meanwhile),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
