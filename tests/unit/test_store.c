/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/buf.h"
#include "store/pool.h"
#include "store/selector.h"
#include "store/store.h"

/*
 * The store against a naive model: the model keeps every sample with its names and labels as text,
 * and answers by adding up.
 */

#define CPU	  "process_cpu:cpu:nanoseconds:cpu:nanoseconds"
#define ALLOC	  "memory:alloc_space:bytes:space:bytes"
#define START_MS  INT64_C(1700006400000) /* a multiple of 6 h */
#define PERIOD_NS UINT64_C(10101010)

enum {
	MEMORY_MAX = 64 << 20,
	SERVICE_COUNT = 5,
	SAMPLE_COUNT_MAX = 200000,
	DEPTH_MAX = 12,
	HOUR_MS = 3600 * 1000,
};

struct fixture {
	char folder[64];
	struct store *store;
	struct batch *batch;
	uint64_t seed;
	int64_t span_ms;
};

static uint64_t next_random(struct fixture *fixture)
{
	uint64_t x = fixture->seed += UINT64_C(0x9e3779b97f4a7c15);

	x = (x ^ x >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	x = (x ^ x >> 27) * UINT64_C(0x94d049bb133111eb);
	return x ^ x >> 31;
}

static uint32_t below(struct fixture *fixture, uint32_t limit)
{
	return (uint32_t)(next_random(fixture) % limit);
}

static void open_store_with(struct fixture *fixture, struct store_options options)
{
	options.folder = fixture->folder;
	if (!options.span_ms)
		options.span_ms = fixture->span_ms;
	assert_int_equal(store_open(&options, &fixture->store), 0);
}

static void open_store(struct fixture *fixture)
{
	open_store_with(fixture, (struct store_options){ 0 });
}

static void reopen(struct fixture *fixture)
{
	fixture->store = store_close(fixture->store);
	open_store(fixture);
}

static int set_up(void **state)
{
	struct fixture *fixture = calloc(1, sizeof(*fixture));

	assert_non_null(fixture);
	snprintf(fixture->folder, sizeof(fixture->folder), "/tmp/hearth-store-XXXXXX");
	assert_non_null(mkdtemp(fixture->folder));
	assert_int_equal(batch_new(MEMORY_MAX, &fixture->batch), 0);
	fixture->seed = 1;
	fixture->span_ms = 6 * HOUR_MS;
	open_store(fixture);
	*state = fixture;
	return 0;
}

static int remove_one(const char *path, const struct stat *status, int type, struct FTW *place)
{
	(void)status;
	(void)type;
	(void)place;
	return remove(path);
}

static int tear_down(void **state)
{
	struct fixture *fixture = *state;

	store_close(fixture->store);
	batch_free(fixture->batch);
	assert_int_equal(nftw(fixture->folder, remove_one, 8, FTW_DEPTH | FTW_PHYS), 0);
	free(fixture);
	return 0;
}

/* ---- the model
 * ----------------------------------------------------------------------------------- */

struct sample {
	int64_t time_ms;
	uint64_t count;
	uint64_t value;
	char service[16];
	char pid[16];
	bool is_kernel;
	bool is_alloc;
	bool is_truncated;
	uint32_t depth;
	char frames[DEPTH_MAX][24]; /* root first */
};

struct model {
	struct sample *samples;
	uint32_t count;
};

static struct model model_new(void)
{
	struct model model = { .samples = calloc(SAMPLE_COUNT_MAX, sizeof(struct sample)) };

	assert_non_null(model.samples);
	return model;
}

struct numbers {
	uint32_t binary, kernel, series[SERVICE_COUNT], allocs[SERVICE_COUNT],
		pids[SERVICE_COUNT * 3];
};

static uint32_t number(int64_t result)
{
	assert_true(result >= 0);
	return (uint32_t)result;
}

static void add_words(struct fixture *fixture, struct numbers *numbers)
{
	struct batch *batch = fixture->batch;
	struct identity identity = { .kind = IDENTITY_GNU_BUILD_ID, .size = 2, .bytes = { 1, 2 } };
	struct identity kernel = { .kind = IDENTITY_GNU_BUILD_ID, .size = 2, .bytes = { 9 } };

	numbers->binary =
		number(batch_add_build(batch, BUILD_FILE, &identity, STR("/usr/bin/prog")));
	numbers->kernel = number(batch_add_build(batch, BUILD_KERNEL, &kernel, STR("[kernel]")));
	for (uint32_t i = 0; i < SERVICE_COUNT; i++) {
		char text[16];
		int size = snprintf(text, sizeof(text), "service%u", i);
		struct label labels[] = { { STR("service_name"), { text, (size_t)size } },
					  { STR("host"), STR("here") } };
		uint32_t set = number(batch_add_labels(batch, labels, 2));

		numbers->series[i] = number(batch_add_series(batch, set, STR(CPU), PERIOD_NS));
		numbers->allocs[i] = number(batch_add_series(batch, set, STR(ALLOC), 1));
	}
	for (uint32_t i = 0; i < SERVICE_COUNT * 3; i++) {
		char text[16];
		int size = snprintf(text, sizeof(text), "%u", 100 + i);
		struct label label = { STR("pid"), { text, (size_t)size } };

		numbers->pids[i] = number(batch_add_labels(fixture->batch, &label, 1));
	}
}

/* A frame of a stack, in the batch and, by its name, in the sample. Some bring two names at once.
 */
static uint32_t add_frame(struct fixture *fixture, const struct numbers *numbers,
			  struct sample *sample, bool is_leaf)
{
	struct batch *batch = fixture->batch;
	uint32_t which = below(fixture, 9);
	char *name = sample->frames[sample->depth++];

	if (is_leaf && sample->is_kernel) {
		snprintf(name, 24, "kernel+0x%x", 0x1000 + which);
		return number(batch_add_location(batch, numbers->kernel, 0x1000 + which));
	}
	if (which < 4) {
		snprintf(name, 24, "prog+0x%x", 0x10 + which);
		return number(batch_add_location(batch, numbers->binary, 0x10 + which));
	}

	int size = snprintf(name, 24, "function%u", which);
	struct named_line lines[] = { { { name, (size_t)size }, STR("file.py"), which },
				      { { name, (size_t)size }, STR("file.py"), which } };

	if (which > 6 && sample->depth < DEPTH_MAX - 1) {
		char *inlined = sample->frames[sample->depth++];

		size = snprintf(inlined, 24, "inlined%u", which);
		lines[0].function = (struct str){ inlined, (size_t)size };
		return number(batch_add_named_location(batch, lines, 2));
	}
	return number(batch_add_named_location(batch, lines, 1));
}

static void add_sample(struct fixture *fixture, struct model *model, const struct numbers *numbers,
		       int64_t time_ms)
{
	struct sample *sample = &model->samples[model->count++];
	uint32_t service = below(fixture, SERVICE_COUNT);
	uint32_t pid = service * 3 + below(fixture, 3);
	uint32_t locations[DEPTH_MAX];
	uint32_t count = below(fixture, 7);
	uint16_t times[4] = { 0, 20, 500, 999 };

	assert_true(model->count < SAMPLE_COUNT_MAX);
	*sample = (struct sample){ .time_ms = time_ms };
	sample->is_alloc = below(fixture, 4) == 0;
	sample->is_truncated = below(fixture, 5) == 0;
	sample->is_kernel = count > 0 && below(fixture, 3) == 0;
	sample->count = 1 + below(fixture, 4);
	sample->value = sample->is_alloc ? below(fixture, 100000) : sample->count * PERIOD_NS;
	snprintf(sample->service, sizeof(sample->service), "service%u", service);
	snprintf(sample->pid, sizeof(sample->pid), "%u", 100 + pid);
	for (uint32_t i = 0; i < count; i++)
		locations[count - 1 - i] = add_frame(fixture, numbers, sample, i == count - 1);

	struct batch_entry entry = {
		.series = sample->is_alloc ? numbers->allocs[service] : numbers->series[service],
		.sample_labels = numbers->pids[pid],
		.stack = number(batch_add_stack(fixture->batch, locations, count,
						sample->is_truncated ? STACK_TRUNCATED : 0)),
		.count = sample->count,
		.value = sample->value,
		.times_ms = below(fixture, 2) ? times : NULL,
	};

	assert_int_equal(batch_add_entry(fixture->batch, &entry), 0);
}

/* Makes a batch and enters the same into the model. */
static void fill(struct fixture *fixture, struct model *model, int64_t time_ms, uint32_t count)
{
	struct numbers numbers;

	batch_clear(fixture->batch);
	batch_set_time(fixture->batch, (struct batch_time){ time_ms, time_ms + 1000 });
	add_words(fixture, &numbers);
	for (uint32_t i = 0; i < count; i++)
		add_sample(fixture, model, &numbers, time_ms);
}

/* ---- flame graphs against the model
 * -------------------------------------------------------------- */

struct asked {
	int64_t from_ms, to_ms;
	const char *type;
	const char *service; /* or NULL */
	const char *pid;     /* or NULL */
	const char *rows_by;
	bool truncated;
};

struct paths {
	struct pool pool;
	uint64_t *self;
	uint64_t *total;
};

static void paths_init(struct paths *paths)
{
	pool_init(&paths->pool, 1 << 20, NULL);
	paths->self = calloc(1 << 20, sizeof(uint64_t));
	paths->total = calloc(1 << 20, sizeof(uint64_t));
	assert_true(paths->self && paths->total);
}

static void paths_done(struct paths *paths)
{
	pool_done(&paths->pool);
	free(paths->self);
	free(paths->total);
}

static void add_path(struct paths *paths, const char *path, uint64_t value, bool is_leaf)
{
	uint32_t place = number(pool_add(&paths->pool, path, strlen(path)));

	paths->total[place] += value;
	paths->self[place] += is_leaf ? value : 0;
}

static bool is_asked(const struct sample *sample, const struct asked *asked)
{
	return sample->time_ms >= asked->from_ms && sample->time_ms <= asked->to_ms &&
	       strcmp(asked->type, sample->is_alloc ? ALLOC : CPU) == 0 &&
	       (!asked->service || strcmp(asked->service, sample->service) == 0) &&
	       (!asked->pid || strcmp(asked->pid, sample->pid) == 0);
}

static void model_flame(const struct model *model, const struct asked *asked, struct paths *paths,
			uint64_t *ret_samples)
{
	*ret_samples = 0;
	for (uint32_t i = 0; i < model->count; i++) {
		const struct sample *sample = &model->samples[i];
		char path[512] = "total";
		const char *frames[DEPTH_MAX + 3];
		uint32_t count = 0;

		if (!is_asked(sample, asked))
			continue;
		*ret_samples += sample->count;
		if (strcmp(asked->rows_by, "service_name") == 0)
			frames[count++] = sample->service;
		else if (asked->rows_by[0])
			frames[count++] = sample->pid;
		if (asked->truncated && sample->is_truncated)
			frames[count++] = "callers missing";
		for (uint32_t k = 0; k < sample->depth; k++)
			frames[count++] = sample->frames[k];
		for (uint32_t k = 0; k <= count; k++) {
			if (sample->value)
				add_path(paths, path, sample->value, k == count);
			if (k < count)
				snprintf(path + strlen(path), sizeof(path) - strlen(path), ";%s",
					 frames[k]);
		}
	}
}

static struct selector *make_selector(const struct asked *asked)
{
	char text[128];
	char error[SELECTOR_ERROR_SIZE];
	struct selector *selector = NULL;

	snprintf(text, sizeof(text), "{%s%s%s%s%s%s}", asked->service ? "service_name=\"" : "",
		 asked->service ? asked->service : "", asked->service ? "\"," : "",
		 asked->pid ? "pid=\"" : "", asked->pid ? asked->pid : "", asked->pid ? "\"" : "");
	assert_int_equal(selector_parse(str_from(text), &selector, error), 0);
	return selector;
}

static void flame_path(const struct flame *flame, uint32_t node, char *path, size_t size)
{
	uint32_t chain[64];
	uint32_t depth = 0;

	for (; node != 0; node = flame->nodes[node].parent) {
		assert_true(flame->nodes[node].parent < node && depth < 64);
		chain[depth++] = node;
	}
	snprintf(path, size, "total");
	while (depth > 0) {
		struct str name = flame->names[flame->nodes[chain[--depth]].name];

		snprintf(path + strlen(path), size - strlen(path), ";%.*s", STR_PRINT(name));
	}
}

/* Preorder, siblings by name with "more" last, totals that add up. */
static void assert_sane_flame(const struct flame *flame)
{
	autofree uint64_t *sums = calloc(flame->node_count, sizeof(sums[0]));
	autofree uint32_t *last = calloc(flame->node_count, sizeof(last[0]));
	uint64_t max_self = 0;

	assert_true(flame->node_count > 0 && sums && last);
	assert_int_equal(flame->nodes[0].kind, FLAME_ROOT);
	assert_int_equal(flame->names[0].size, 0);
	for (uint32_t i = 0; i < flame->node_count; i++) {
		const struct flame_node *node = &flame->nodes[i];
		uint32_t parent = node->parent;

		assert_true(node->name < flame->name_count && node->module < flame->name_count);
		max_self = node->self > max_self ? node->self : max_self;
		sums[i] += node->self;
		if (i == 0)
			continue;
		assert_true(parent < i);
		/* The parent is the node before, or an ancestor of it. */
		for (uint32_t k = i - 1; k != parent; k = flame->nodes[k].parent)
			assert_true(k > parent);
		sums[parent] += node->total;
		if (last[parent]) {
			const struct flame_node *before = &flame->nodes[last[parent]];

			assert_int_not_equal(before->kind, FLAME_MORE);
			assert_true(node->kind == FLAME_MORE ||
				    str_compare(flame->names[before->name],
						flame->names[node->name]) < 0);
		}
		last[parent] = i;
	}
	for (uint32_t i = 0; i < flame->node_count; i++)
		assert_int_equal(sums[i], flame->nodes[i].total);
	assert_int_equal(max_self, flame->max_self);
}

static struct flame ask_flame(struct fixture *fixture, const struct asked *asked,
			      struct flame_options options)
{
	struct selector *selector = make_selector(asked);
	struct store_question question = { .type = str_from(asked->type),
					   .selector = selector,
					   .from_unix_ms = asked->from_ms,
					   .to_unix_ms = asked->to_ms };
	struct flame flame = { 0 };

	options.rows_by = str_from(asked->rows_by);
	options.truncated_nodes = asked->truncated;
	assert_int_equal(store_flame(fixture->store, &question, &options, &flame), 0);
	selector_free(selector);
	assert_sane_flame(&flame);
	return flame;
}

static void assert_flame(struct fixture *fixture, const struct model *model,
			 const struct asked *asked)
{
	struct flame flame =
		ask_flame(fixture, asked, (struct flame_options){ .node_count_max = 1000000 });
	struct paths paths;
	uint64_t samples = 0;

	paths_init(&paths);
	model_flame(model, asked, &paths, &samples);
	assert_int_equal(flame.sample_count, samples);
	assert_int_equal(flame.hidden_count, 0);
	for (uint32_t i = 0; i < flame.node_count; i++) {
		char path[512];

		flame_path(&flame, i, path, sizeof(path));
		if (i == 0 && samples == 0)
			continue;

		uint32_t place = pool_find(&paths.pool, path, strlen(path));

		if (place == TABLE_NONE || paths.total[place] != flame.nodes[i].total ||
		    paths.self[place] != flame.nodes[i].self)
			fail_msg("seed %" PRIu64 ": '%s' is %" PRIu64 "/%" PRIu64 " here",
				 fixture->seed, path, flame.nodes[i].self, flame.nodes[i].total);
	}
	if (samples)
		assert_int_equal(flame.node_count, pool_count(&paths.pool));
	paths_done(&paths);
	flame_done(&flame);
}

static const char *pick(struct fixture *fixture, const char *const *choices, uint32_t count)
{
	return choices[below(fixture, count)];
}

static void assert_flames(struct fixture *fixture, const struct model *model, int64_t from_ms,
			  int64_t to_ms)
{
	static const char *const services[] = { NULL, NULL, "service1", "service4", "nobody" };
	static const char *const pids[] = { NULL, NULL, NULL, "103" };
	static const char *const rows[] = { "", "service_name", "pid" };
	static const char *const types[] = { CPU, ALLOC };

	for (uint32_t i = 0; i < 24; i++) {
		int64_t span = to_ms - from_ms;
		bool whole = below(fixture, 2);
		struct asked asked = {
			.from_ms = whole ? from_ms : from_ms + below(fixture, (uint32_t)span),
			.to_ms = whole ? to_ms : to_ms - below(fixture, (uint32_t)span / 2),
			.type = pick(fixture, types, 2),
			.service = pick(fixture, services, 5),
			.pid = pick(fixture, pids, 4),
			.rows_by = pick(fixture, rows, 3),
			.truncated = below(fixture, 2),
		};

		assert_flame(fixture, model, &asked);
	}
}

static void flames_equal_the_sum_of_the_samples(void **state)
{
	struct fixture *fixture = *state;
	struct model model = model_new();
	int64_t time_ms = START_MS;

	/* Ten-minute segments, a restart in the middle of one, and spans of an hour. */
	store_close(fixture->store);
	fixture->span_ms = HOUR_MS;
	open_store(fixture);
	for (uint32_t i = 0; i < 150; i++) {
		fill(fixture, &model, time_ms, 1 + below(fixture, 40));
		assert_int_equal(store_append(fixture->store, fixture->batch), 0);
		if (below(fixture, 4))
			assert_int_equal(store_commit(fixture->store), 0);
		if (i == 20 || i == 77)
			reopen(fixture);
		if (i % 50 == 30)
			assert_flames(fixture, &model, START_MS, time_ms);
		if (i % 16 == 0)
			assert_int_equal(store_maintain(fixture->store, time_ms), 0);
		time_ms += 1000 + below(fixture, 60000);
	}
	assert_flames(fixture, &model, START_MS, time_ms);
	reopen(fixture);
	assert_flames(fixture, &model, START_MS, time_ms);
	free(model.samples);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(flames_equal_the_sum_of_the_samples, set_up,
						tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
