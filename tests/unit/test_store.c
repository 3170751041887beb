/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <glob.h>
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
#include "base/folder.h"
#include "store/database.h"
#include "store/pool.h"
#include "store/selector.h"
#include "store/span.h"
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

static uint64_t steady_skew_ns;

uint64_t __real_clock_monotonic_ns(void);
uint64_t __wrap_clock_monotonic_ns(void);

uint64_t __wrap_clock_monotonic_ns(void)
{
	return __real_clock_monotonic_ns() + steady_skew_ns;
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

/* Everything that is committed, as it would be found after kill -9: files and their logs. */
static void crash(struct fixture *fixture)
{
	char folder[] = "/tmp/hearth-store-XXXXXX";
	char command[256];

	assert_int_equal(store_commit(fixture->store), 0);
	assert_non_null(mkdtemp(folder));
	snprintf(command, sizeof(command), "cp -a %s/. %s", fixture->folder, folder);
	assert_int_equal(system(command), 0);
	fixture->store = store_close(fixture->store);
	folder_remove(fixture->folder);
	memcpy(fixture->folder, folder, sizeof(folder));
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

static int tear_down(void **state)
{
	struct fixture *fixture = *state;

	store_close(fixture->store);
	batch_free(fixture->batch);
	folder_remove(fixture->folder);
	free(fixture);
	return 0;
}

/* ---- the model ------------------------------------------------------------------------------- */

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

/* ---- flame graphs against the model ---------------------------------------------------------- */

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
					   .to_unix_ms = asked->to_ms,
					   .is_exact = true };
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

/* processes: whether they are asked for as well, which compact spans do not know of stacks. */
static void assert_some_flames(struct fixture *fixture, const struct model *model, int64_t from_ms,
			       int64_t to_ms, bool processes)
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
			.pid = pick(fixture, pids, processes ? 4 : 3),
			.rows_by = pick(fixture, rows, processes ? 3 : 2),
			.truncated = below(fixture, 2),
		};

		assert_flame(fixture, model, &asked);
	}
}

static void assert_flames(struct fixture *fixture, const struct model *model, int64_t from_ms,
			  int64_t to_ms)
{
	assert_some_flames(fixture, model, from_ms, to_ms, true);
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
		if (i == 45 || i == 110) {
			/* As the crash left it, and settled. */
			crash(fixture);
			assert_flames(fixture, &model, START_MS, time_ms);
			assert_int_equal(store_maintain(fixture->store, time_ms), 0);
			assert_flames(fixture, &model, START_MS, time_ms);
		}
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

/* Three hours of the past, as fast as they can be taken: three files, and the last one is over when
 * nothing has come for it for a minute. */
static void data_of_the_past_fill_their_spans(void **state)
{
	struct fixture *fixture = *state;
	int64_t first_ms = START_MS - START_MS % HOUR_MS;
	int64_t now_ms = first_ms + (int64_t)24 * HOUR_MS;
	struct model model = model_new();
	struct store_status status;

	store_close(fixture->store);
	fixture->span_ms = HOUR_MS;
	open_store(fixture);
	for (int64_t time_ms = first_ms; time_ms < first_ms + (int64_t)3 * HOUR_MS;
	     time_ms += 60000) {
		fill(fixture, &model, time_ms, 5);
		assert_int_equal(store_append(fixture->store, fixture->batch), 0);
		assert_int_equal(store_commit(fixture->store), 0);
		assert_int_equal(store_maintain(fixture->store, now_ms), 0);
	}
	store_status(fixture->store, &status);
	assert_int_equal(status.span_count, 3);
	assert_int_equal(status.open_count, 1);

	steady_skew_ns += UINT64_C(55) * CLOCK_NS_PER_S;
	assert_int_equal(store_maintain(fixture->store, now_ms), 0);
	store_status(fixture->store, &status);
	assert_int_equal(status.open_count, 1);
	steady_skew_ns += UINT64_C(10) * CLOCK_NS_PER_S;
	assert_int_equal(store_maintain(fixture->store, now_ms), 0);
	store_status(fixture->store, &status);
	assert_int_equal(status.open_count, 0);
	assert_flames(fixture, &model, first_ms, now_ms);
	free(model.samples);
}

/* The one span file of a folder. */
static void find_span_file(const char *folder, char *ret, size_t size)
{
	char pattern[128];
	glob_t found;

	snprintf(pattern, sizeof(pattern), "%s/data/*.db", folder);
	assert_int_equal(glob(pattern, 0, NULL, &found), 0);
	assert_int_equal(found.gl_pathc, 1);
	snprintf(ret, size, "%s", found.gl_pathv[0]);
	globfree(&found);
}

static int64_t number_of(sqlite3 *database, const char *sql)
{
	int64_t number = -1;

	assert_int_equal(database_number(database, sql, &number), 0);
	return number;
}

/* A table of the database has the same rows as the other that is attached. */
static void assert_same_rows(sqlite3 *database, const char *table, const char *columns)
{
	char sql[1024];

	snprintf(sql, sizeof(sql),
		 "SELECT (SELECT count(*) FROM %s) + (SELECT count(*) FROM other.%s) - 2 * "
		 "(SELECT count(*) FROM (SELECT %s FROM %s INTERSECT SELECT %s FROM other.%s))",
		 table, table, columns, table, columns, table);
	assert_int_equal(number_of(database, sql), 0);
}

/* The tree of a segment that ended is taken from memory; that of one that a crash left is read. */
static void a_segment_is_settled_alike_from_memory_and_from_its_file(void **state)
{
	struct fixture *fixture = *state;
	struct model model = model_new();
	char folder[] = "/tmp/hearth-store-XXXXXX";
	struct store_options options = { .folder = folder, .span_ms = fixture->span_ms };
	char memory[256], file[256], text[512];
	sqlite3 *database = NULL;

	for (uint32_t i = 0; i < 20; i++) {
		fill(fixture, &model, START_MS + i * INT64_C(1000), 30);
		assert_int_equal(store_append(fixture->store, fixture->batch), 0);
		if (i % 5 == 4)
			assert_int_equal(store_commit(fixture->store), 0);
	}
	assert_non_null(mkdtemp(folder));
	snprintf(text, sizeof(text), "cp -a %s/. %s", fixture->folder, folder);
	assert_int_equal(system(text), 0);
	/* One is closed, the other one found as it was before. */
	fixture->store = store_close(fixture->store);
	assert_int_equal(store_open(&options, &fixture->store), 0);
	assert_int_equal(store_maintain(fixture->store, START_MS + 20000), 0);
	fixture->store = store_close(fixture->store);

	find_span_file(fixture->folder, memory, sizeof(memory));
	find_span_file(folder, file, sizeof(file));
	assert_int_equal(database_open(memory, DATABASE_READ, &database), 0);
	snprintf(text, sizeof(text), "ATTACH '%s' AS other", file);
	assert_int_equal(database_execute(database, text), 0);
	assert_true(number_of(database, "SELECT count(*) FROM tree") > 2);
	assert_int_equal(number_of(database, "SELECT count(*) FROM other.window"), 0);
	assert_same_rows(database, "tree", "segment, service, node_count, nodes");
	assert_same_rows(database, "block",
			 "segment, service, type, period, samples, entry_count, entries, detail, "
			 "cells");
	assert_same_rows(database, "segment", "id, first_ms, end_ms, samples, pairs, runs");
	database_close(database);
	folder_remove(folder);
	free(model.samples);
}

/* ---- series, labels
 * ------------------------------------------------------------------------------ */

static int64_t point_of(const struct store_grid *grid, int64_t time_ms)
{
	for (size_t k = 0; k < grid->point_count; k++) {
		int64_t end_ms = grid->first_ms + (int64_t)k * grid->step_ms;

		if (time_ms <= end_ms && (time_ms > end_ms - grid->step_ms ||
					  (k == 0 && time_ms == end_ms - grid->step_ms)))
			return (int64_t)k;
	}
	return -1;
}

/* One row of the answer against all samples of the model that belong to it. */
static void assert_row(const struct model *model, const struct asked *asked,
		       const struct store_grid *grid, const struct store_rows *rows,
		       const struct store_row *row)
{
	uint64_t total = 0;
	uint64_t kernel_total = 0;
	int64_t first_ms = INT64_MAX;
	int64_t last_ms = INT64_MIN;
	autofree uint64_t *points = calloc(grid->point_count, sizeof(points[0]));
	autofree bool *present = calloc(grid->point_count, sizeof(present[0]));

	assert_true(points && present);
	for (uint32_t i = 0; i < model->count; i++) {
		const struct sample *sample = &model->samples[i];
		int64_t point = point_of(grid, sample->time_ms);

		if (!is_asked(sample, asked) || point < 0 ||
		    !str_equal(row->values[0], str_from(sample->service)) ||
		    !str_equal(row->values[1], str_from(sample->pid)))
			continue;
		total += sample->value;
		kernel_total += sample->is_kernel ? sample->value : 0;
		points[point] += sample->value;
		present[point] = true;
		first_ms = sample->time_ms < first_ms ? sample->time_ms : first_ms;
		last_ms = sample->time_ms > last_ms ? sample->time_ms : last_ms;
	}
	assert_int_equal(row->total, total);
	assert_int_equal(row->kernel_total, kernel_total);
	assert_int_equal(row->first_seen_ms, first_ms);
	assert_int_equal(row->last_seen_ms, last_ms);
	for (size_t i = 0; i < grid->point_count; i++) {
		assert_int_equal(store_row_point(rows, row, i), points[i]);
		assert_int_equal(store_row_has(rows, row, i), present[i]);
	}
}

static uint64_t model_total(const struct model *model, const struct asked *asked,
			    const struct store_grid *grid)
{
	uint64_t total = 0;

	for (uint32_t i = 0; i < model->count; i++)
		if (is_asked(&model->samples[i], asked) &&
		    point_of(grid, model->samples[i].time_ms) >= 0)
			total += model->samples[i].value;
	return total;
}

static void assert_series(struct fixture *fixture, const struct model *model,
			  const struct asked *asked, const struct store_grid *grid)
{
	const struct str by[] = { STR("service_name"), STR("pid") };
	struct selector *selector = make_selector(asked);
	struct store_question question = { .type = str_from(asked->type),
					   .selector = selector,
					   .from_unix_ms = asked->from_ms,
					   .to_unix_ms = asked->to_ms };
	struct store_rows rows = { 0 };
	uint64_t total = 0;

	assert_int_equal(store_series(fixture->store, &question, by, 2, grid, &rows), 0);
	for (size_t i = 0; i < rows.count; i++) {
		assert_row(model, asked, grid, &rows, &rows.rows[i]);
		total += rows.rows[i].total;
		assert_true(i == 0 || rows.rows[i].total <= rows.rows[i - 1].total);
	}
	assert_int_equal(total, model_total(model, asked, grid));
	store_rows_done(&rows);

	/* Without a label there is one row, or none without data. */
	assert_int_equal(store_series(fixture->store, &question, NULL, 0, grid, &rows), 0);
	assert_true(rows.count <= 1);
	assert_int_equal(rows.count ? rows.rows[0].total : 0, total);
	store_rows_done(&rows);
	selector_free(selector);
}

static void series_equal_the_sum_of_the_samples(void **state)
{
	struct fixture *fixture = *state;
	struct model model = model_new();
	int64_t time_ms = START_MS;

	for (uint32_t i = 0; i < 80; i++) {
		fill(fixture, &model, time_ms, 1 + below(fixture, 10));
		assert_int_equal(store_append(fixture->store, fixture->batch), 0);
		if (below(fixture, 3))
			assert_int_equal(store_commit(fixture->store), 0);
		if (i == 40)
			crash(fixture);
		/* Multiples of the step as well, for the edges of points. */
		time_ms += below(fixture, 2) ? 5000 : 1000 + below(fixture, 20000);
		if (i % 20 != 19)
			continue;
		for (uint32_t k = 0; k < 6; k++) {
			struct asked asked = { .from_ms = START_MS + below(fixture, 100) * 1000,
					       .to_ms = time_ms - below(fixture, 100) * 1000,
					       .type = k % 2 ? CPU : ALLOC,
					       .service = k % 3 ? NULL : "service2" };
			struct store_grid grid = { asked.from_ms + 5000 * (k % 3), 5000,
						   1 + k * 30 };

			assert_series(fixture, &model, &asked, &grid);
		}
	}
	free(model.samples);
}

static void a_window_falls_on_the_first_point_at_or_after_it(void **state)
{
	struct fixture *fixture = *state;
	struct model model = model_new();
	const int64_t offsets[] = { -1001, -1000, -999, 0, 1, 1000, 1001, 2000, 2001 };
	const uint64_t expected[] = { 3, 2, 2 };
	struct store_question question = { .from_unix_ms = 0, .to_unix_ms = INT64_MAX };
	struct store_grid grid = { START_MS + 10000, 1000, 3 };
	struct store_rows rows = { 0 };

	for (size_t i = 0; i < sizeof(offsets) / sizeof(offsets[0]); i++) {
		struct numbers numbers;
		struct batch_entry entry = { .count = 1, .value = 1 };

		batch_clear(fixture->batch);
		batch_set_time(fixture->batch, (struct batch_time){ START_MS + 10000 + offsets[i],
								    START_MS + 20000 });
		add_words(fixture, &numbers);
		entry.series = numbers.allocs[0];
		entry.sample_labels = numbers.pids[0];
		entry.stack = number(batch_add_stack(fixture->batch, NULL, 0, 0));
		assert_int_equal(batch_add_entry(fixture->batch, &entry), 0);
		assert_int_equal(store_append(fixture->store, fixture->batch), 0);
	}
	assert_int_equal(store_series(fixture->store, &question, NULL, 0, &grid, &rows), 0);
	assert_int_equal(rows.count, 1);
	for (size_t i = 0; i < 3; i++)
		assert_int_equal(store_row_point(&rows, &rows.rows[0], i), expected[i]);
	assert_int_equal(rows.rows[0].first_seen_ms, START_MS + 9000);
	assert_int_equal(rows.rows[0].last_seen_ms, START_MS + 12000);
	store_rows_done(&rows);
	free(model.samples);
}

static void assert_texts(const struct store_texts *texts, const char *const *expected, size_t count)
{
	assert_int_equal(texts->count, count);
	for (size_t i = 0; i < count; i++)
		if (!str_equal(texts->texts[i], str_from(expected[i])))
			fail_msg("'%.*s' instead of '%s'", STR_PRINT(texts->texts[i]), expected[i]);
}

static void names_and_values_of_labels(void **state)
{
	static const char *const types[] = { ALLOC, CPU };
	static const char *const names[] = { "__name__",
					     "__period_type__",
					     "__period_unit__",
					     "__profile_type__",
					     "__service_name__",
					     "__type__",
					     "__unit__",
					     "host",
					     "pid",
					     "service_name" };
	static const char *const services[] = { "service0", "service1", "service2", "service3",
						"service4" };
	static const char *const units[] = { "bytes", "nanoseconds" };
	static const char *const pids[] = { "103", "104", "105" };
	struct fixture *fixture = *state;
	struct model model = model_new();
	struct asked asked = { .service = "service1" };
	struct selector *selector = make_selector(&asked);
	struct store_question question = { .from_unix_ms = START_MS,
					   .to_unix_ms = START_MS + HOUR_MS };
	struct store_texts texts = { 0 };

	for (uint32_t i = 0; i < 40; i++) {
		fill(fixture, &model, START_MS + i * 60000, 40);
		assert_int_equal(store_append(fixture->store, fixture->batch), 0);
		assert_int_equal(i % 3 ? store_commit(fixture->store) : 0, 0);
		if (i == 25)
			reopen(fixture);
		if (i < 5)
			continue;
		assert_int_equal(store_profile_types(fixture->store, &question, &texts), 0);
		assert_texts(&texts, types, 2);
		store_texts_done(&texts);
		assert_int_equal(store_label_names(fixture->store, &question, &texts), 0);
		assert_texts(&texts, names, 10);
		store_texts_done(&texts);
		assert_int_equal(
			store_label_values(fixture->store, &question, STR("service_name"), &texts),
			0);
		assert_texts(&texts, services, 5);
		store_texts_done(&texts);
		assert_int_equal(
			store_label_values(fixture->store, &question, STR("__unit__"), &texts), 0);
		assert_texts(&texts, units, 2);
		store_texts_done(&texts);
		question.selector = selector;
		assert_int_equal(store_label_values(fixture->store, &question, STR("pid"), &texts),
				 0);
		assert_texts(&texts, pids, 3);
		store_texts_done(&texts);
		question.selector = NULL;
	}
	question.from_unix_ms = START_MS - HOUR_MS;
	question.to_unix_ms = START_MS - 1;
	assert_int_equal(store_label_names(fixture->store, &question, &texts), 0);
	assert_int_equal(texts.count, 0);
	store_texts_done(&texts);
	selector_free(selector);
	free(model.samples);
}

/* ---- cutting
 * ------------------------------------------------------------------------------------- */

static int compare_totals(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a;
	uint64_t y = *(const uint64_t *)b;

	return (x < y) - (x > y);
}

/* By the rule: children lighter than the n-th heaviest node become one that stands last. */
static void assert_cut(const struct flame *whole, const struct flame *cut, uint32_t node_count_max)
{
	autofree uint64_t *totals = calloc(whole->node_count, sizeof(totals[0]));
	uint64_t threshold = 0;
	uint32_t kept = 0;
	uint32_t shown = 0;

	assert_non_null(totals);
	for (uint32_t i = 1; i < whole->node_count; i++)
		totals[i - 1] = whole->nodes[i].total;
	qsort(totals, whole->node_count - 1, sizeof(totals[0]), compare_totals);
	if (node_count_max < whole->node_count - 1)
		threshold = totals[node_count_max - 1];
	for (uint32_t i = 1; i < whole->node_count; i++)
		kept += whole->nodes[i].total >= threshold;
	for (uint32_t i = 1; i < cut->node_count; i++)
		if (cut->nodes[i].kind != FLAME_MORE) {
			shown++;
			assert_true(cut->nodes[i].total >= threshold);
			assert_int_equal(cut->nodes[i].hidden, 0);
		} else {
			assert_int_equal(cut->nodes[i].self, cut->nodes[i].total);
			assert_true(cut->nodes[i].hidden > 0);
		}
	assert_int_equal(shown, kept);
	assert_int_equal(cut->hidden_count, whole->node_count - 1 - kept);
	assert_int_equal(cut->nodes[0].total, whole->nodes[0].total);
	assert_int_equal(cut->sample_count, whole->sample_count);
}

static void light_nodes_become_more(void **state)
{
	struct fixture *fixture = *state;
	struct model model = model_new();
	struct asked asked = {
		.from_ms = START_MS, .to_ms = START_MS + HOUR_MS, .type = CPU, .rows_by = ""
	};
	const uint32_t limits[] = { 1, 2, 10, 50, 333, 2000, 100000 };

	for (uint32_t i = 0; i < 10; i++) {
		fill(fixture, &model, START_MS + i * 1000, 500);
		assert_int_equal(store_append(fixture->store, fixture->batch), 0);
	}
	for (size_t i = 0; i < sizeof(limits) / sizeof(limits[0]); i++) {
		struct flame whole = ask_flame(fixture, &asked,
					       (struct flame_options){ .node_count_max = 1000000 });
		struct flame cut = ask_flame(fixture, &asked,
					     (struct flame_options){ .node_count_max = limits[i] });

		assert_cut(&whole, &cut, limits[i]);
		flame_done(&whole);
		flame_done(&cut);
		asked.rows_by = i % 2 ? "service_name" : "pid";
	}
	free(model.samples);
}

static void a_call_site_keeps_what_lies_below_it(void **state)
{
	struct fixture *fixture = *state;
	struct model model = model_new();
	struct asked asked = {
		.from_ms = START_MS, .to_ms = START_MS + HOUR_MS, .type = CPU, .rows_by = ""
	};
	struct str path[] = { STR("function4"), STR("function5") };
	struct flame flame = { 0 };
	uint64_t total = 0;
	uint64_t samples = 0;

	fill(fixture, &model, START_MS, 2000);
	assert_int_equal(store_append(fixture->store, fixture->batch), 0);
	for (uint32_t i = 0; i < model.count; i++) {
		const struct sample *sample = &model.samples[i];

		if (sample->is_alloc || sample->depth < 2 ||
		    strcmp(sample->frames[0], "function4") ||
		    strcmp(sample->frames[1], "function5"))
			continue;
		total += sample->value;
		samples += sample->count;
	}
	for (int i = 0; i < 2; i++) {
		flame = ask_flame(fixture, &asked,
				  (struct flame_options){ .node_count_max = 10000,
							  .call_site = path,
							  .call_site_count = 2 });
		assert_true(total > 0);
		assert_int_equal(flame.nodes[0].total, total);
		assert_int_equal(flame.sample_count, samples);
		assert_int_equal(flame.nodes[0].self, 0);
		if (i == 0)
			assert_int_equal(flame.nodes[2].total, total);
		flame_done(&flame);
		asked.rows_by = "service_name";
	}
	path[1] = STR("nowhere");
	flame = ask_flame(fixture, &asked,
			  (struct flame_options){ .node_count_max = 10000,
						  .call_site = path,
						  .call_site_count = 2 });
	assert_int_equal(flame.node_count, 1);
	assert_int_equal(flame.nodes[0].total, 0);
	flame_done(&flame);
	free(model.samples);
}

static void kinds_and_modules_are_told(void **state)
{
	static const struct {
		const char *name;
		const char *module;
		uint8_t kind;
	} expected[] = { { "total", "", FLAME_ROOT },
			 { "service1", "", FLAME_GROUP },
			 { "callers missing", "", FLAME_TRUNCATED },
			 { "kernel+0x1000", "[kernel]", FLAME_UNNAMED },
			 { "outer", "", FLAME_NAMED },
			 { "[anonymous]+0x0", "jit", FLAME_UNNAMED },
			 { "[unmapped]+0x7f0000001234", "", FLAME_UNNAMED } };
	struct fixture *fixture = *state;
	struct batch *batch = fixture->batch;
	struct identity identity = { .kind = IDENTITY_INODE, .size = 1 };
	struct named_line line = { STR("outer"), { 0 }, 1 };
	struct numbers numbers;
	uint32_t locations[4];

	add_words(fixture, &numbers);
	batch_set_time(batch, (struct batch_time){ START_MS, START_MS + 1000 });
	locations[3] = number(batch_add_location(batch, numbers.kernel, 0x1000));
	locations[2] = number(batch_add_named_location(batch, &line, 1));
	locations[1] = number(batch_add_location(
		batch, number(batch_add_build(batch, BUILD_ANONYMOUS, &identity, STR("/a/jit"))),
		0));
	locations[0] = number(batch_add_location(
		batch, number(batch_add_build(batch, BUILD_UNMAPPED, &identity, STR(""))),
		UINT64_C(0x7f0000001234)));

	struct batch_entry entry = {
		.series = numbers.series[1],
		.sample_labels = numbers.pids[0],
		.stack = number(batch_add_stack(batch, locations, 4, STACK_TRUNCATED)),
		.count = 1,
		.value = PERIOD_NS,
	};
	struct asked asked = { .from_ms = START_MS,
			       .to_ms = START_MS,
			       .type = CPU,
			       .rows_by = "service_name",
			       .truncated = true };

	assert_int_equal(batch_add_entry(batch, &entry), 0);
	assert_int_equal(store_append(fixture->store, batch), 0);

	struct flame flame =
		ask_flame(fixture, &asked, (struct flame_options){ .node_count_max = 100 });

	assert_int_equal(flame.node_count, 7);
	for (uint32_t i = 0; i < 7; i++) {
		assert_true(
			str_equal(flame.names[flame.nodes[i].name], str_from(expected[i].name)));
		assert_true(str_equal(flame.names[flame.nodes[i].module],
				      str_from(expected[i].module)));
		assert_int_equal(flame.nodes[i].kind, expected[i].kind);
	}
	flame_done(&flame);
}

/* ---- schemas -----------------------------------------------------------------------------------
 */

/* The one span file's; with a version, after it was set to that. */
static int64_t schema_of(const struct fixture *fixture, int version)
{
	char command[512];
	sqlite3 *database = NULL;
	int64_t found = 0;
	DIR *folder;

	snprintf(command, sizeof(command), "%s/data", fixture->folder);
	folder = opendir(command);
	assert_non_null(folder);
	for (struct dirent *entry; (entry = readdir(folder));) {
		struct str name = str_from(entry->d_name);

		if (!str_ends_with(name, STR(".db")) || str_ends_with(name, STR("r.db")))
			continue;
		assert_null(database);
		snprintf(command, sizeof(command), "%s/data/%s", fixture->folder, entry->d_name);
		assert_int_equal(database_open(command, DATABASE_WRITE, &database), 0);
		snprintf(command, sizeof(command), "PRAGMA user_version = %d", version);
		if (version)
			assert_int_equal(database_execute(database, command), 0);
		assert_int_equal(database_number(database, "PRAGMA user_version", &found), 0);
	}
	closedir(folder);
	assert_non_null(database);
	database_close(database);
	return found;
}

/*
 * Windows of the earlier schema are as ours, blocks are not: a file that its program left open is
 * of our schema from the first block on that we write into it, so that it refuses what it can't
 * read.
 */
static void a_file_of_an_earlier_schema_that_is_written_on_is_of_ours(void **state)
{
	struct fixture *fixture = *state;
	struct model model = model_new();
	int64_t time_ms = START_MS;

	for (uint32_t i = 0; i < 8; i++, time_ms += 60000) {
		fill(fixture, &model, time_ms, 30);
		assert_int_equal(store_append(fixture->store, fixture->batch), 0);
		assert_int_equal(store_commit(fixture->store), 0);
	}
	crash(fixture);
	fixture->store = store_close(fixture->store);
	assert_int_equal(schema_of(fixture, 4), 4);
	open_store(fixture);
	assert_flames(fixture, &model, START_MS, time_ms);
	/* A window is no block. */
	fill(fixture, &model, time_ms, 30);
	assert_int_equal(store_append(fixture->store, fixture->batch), 0);
	assert_int_equal(store_commit(fixture->store), 0);
	assert_int_equal(schema_of(fixture, 0), 4);
	assert_int_equal(store_maintain(fixture->store, time_ms), 0);
	assert_int_equal(schema_of(fixture, 0), SPAN_VERSION);
	assert_flames(fixture, &model, START_MS, time_ms);
	reopen(fixture);
	assert_flames(fixture, &model, START_MS, time_ms);
	free(model.samples);
}

/* ---- compacting ------------------------------------------------------------------------------ */

static int count_files(const struct fixture *fixture, const char *end)
{
	char path[128];
	int count = 0;
	DIR *folder;

	snprintf(path, sizeof(path), "%s/data", fixture->folder);
	folder = opendir(path);
	assert_non_null(folder);
	for (struct dirent *entry; (entry = readdir(folder));)
		count += str_ends_with(str_from(entry->d_name), str_from(end));
	closedir(folder);
	return count;
}

static int count_spans(const struct fixture *fixture)
{
	return count_files(fixture, ".db") - count_files(fixture, "r.db");
}

/* Until all files are compact. */
static void compact_all(struct fixture *fixture, int64_t now_ms)
{
	/* The clock is far from ours: it is believed when it has stayed so. */
	assert_int_equal(store_maintain(fixture->store, now_ms), 0);
	assert_int_equal(count_files(fixture, ".unfinished"), 0);
	steady_skew_ns += UINT64_C(1200000000000);
	for (int i = 0; i < 4000; i++) {
		assert_int_equal(store_maintain(fixture->store, now_ms), 0);
		if (count_files(fixture, "c.db") > 0 &&
		    count_spans(fixture) == count_files(fixture, "c.db"))
			return;
		usleep(5000);
	}
	fail_msg("%d of %d files are compact", count_files(fixture, "c.db"), count_spans(fixture));
}

/* Sets of labels are those that have a series, each once; and some more. */
static void assert_sets_of(struct fixture *fixture, const struct str names[static 3],
			   size_t row_count_min, size_t more_max, int64_t end_ms)
{
	struct store_question question = { .from_unix_ms = START_MS, .to_unix_ms = end_ms };
	struct store_grid grid = { end_ms, end_ms - START_MS + 1, 1 };
	struct store_rows rows;
	struct store_label_sets sets;

	assert_int_equal(store_series(fixture->store, &question, names, 3, &grid, &rows), 0);
	assert_int_equal(store_label_sets(fixture->store, &question, names, 3, &sets), 0);
	assert_true(rows.count >= row_count_min);
	assert_in_range(sets.count, rows.count, rows.count + more_max);
	for (size_t i = 0; i < rows.count; i++) {
		size_t found = 0;

		for (size_t k = 0; k < sets.count; k++) {
			bool is_same = true;

			for (size_t j = 0; j < 3; j++)
				is_same = is_same &&
					  str_equal(rows.rows[i].values[j], sets.values[k * 3 + j]);
			found += is_same;
		}
		assert_int_equal(found, 1);
	}
	store_rows_done(&rows);
	store_label_sets_done(&sets);
}

static void assert_label_sets(struct fixture *fixture, int64_t end_ms)
{
	const struct str names[] = { STR("service_name"), STR("__profile_type__"),
				     STR("process_name") };
	/* One of these is the samples' own, and each service has several of them; compact spans
	   know their series without it, too. */
	const struct str own[] = { STR("service_name"), STR("pid"), STR("__type__") };
	struct store_question question = { .from_unix_ms = START_MS, .to_unix_ms = end_ms };
	struct store_label_sets sets;

	assert_sets_of(fixture, names, 2 * SERVICE_COUNT, 0, end_ms);
	assert_sets_of(fixture, own, 3 * SERVICE_COUNT, 2 * SERVICE_COUNT, end_ms);

	/* Where nothing is, and of no labels at all. */
	question.to_unix_ms = START_MS - 1;
	question.from_unix_ms = START_MS - 2;
	assert_int_equal(store_label_sets(fixture->store, &question, names, 3, &sets), 0);
	assert_int_equal(sets.count, 0);
	store_label_sets_done(&sets);
	question.to_unix_ms = end_ms;
	assert_int_equal(store_label_sets(fixture->store, &question, names, 0, &sets), 0);
	assert_int_equal(sets.count, 0);
	store_label_sets_done(&sets);
}

static void assert_compact_answers(struct fixture *fixture, const struct model *model,
				   int64_t end_ms)
{
	struct asked asked = { .from_ms = START_MS, .to_ms = end_ms, .rows_by = "" };
	struct store_grid grid = { START_MS, 300000, 40 };

	assert_some_flames(fixture, model, START_MS, end_ms, false);
	for (uint32_t k = 0; k < 4; k++) {
		asked.type = k % 2 ? CPU : ALLOC;
		asked.service = k / 2 ? NULL : "service2";
		assert_series(fixture, model, &asked, &grid);
	}
	assert_label_sets(fixture, end_ms);
	/* By the minute a process is still known. */
	asked.pid = "103";
	asked.service = NULL;
	assert_series(fixture, model, &asked, &grid);
}

/* Windows a minute apart, so that neither ten seconds nor a minute makes a difference; some late.
 */
static void fill_hours(struct fixture *fixture, struct model *model, int64_t *time_ms)
{
	for (uint32_t i = 0; i < 150; i++) {
		bool is_late = i > 100 && i % 10 == 0;

		fill(fixture, model, is_late ? START_MS + i / 10 * 60000 : *time_ms,
		     1 + below(fixture, 40));
		assert_int_equal(store_append(fixture->store, fixture->batch), 0);
		assert_int_equal(store_commit(fixture->store), 0);
		*time_ms += 60000;
	}
}

/* Until nothing is left to be done, and the sealed files with more than a segment are joined. */
static void join_all(struct fixture *fixture, int64_t now_ms, int file_count)
{
	struct store_status status;
	int quiet = 0;

	assert_int_equal(store_maintain(fixture->store, now_ms), 0);
	steady_skew_ns += UINT64_C(1200000000000);
	for (int i = 0; i < 4000 && quiet < 3; i++) {
		assert_int_equal(store_maintain(fixture->store, now_ms), 0);
		store_status(fixture->store, &status);
		quiet = status.is_compacting ? 0 : quiet + 1;
		usleep(5000);
	}
	assert_int_equal(count_files(fixture, "j.db"), file_count);
	assert_int_equal(count_files(fixture, "c.db"), 0);
}

/* What a file that was written anew says of its trees is what they have. */
static void assert_nodes_are_noted(sqlite3 *database)
{
	int64_t all, largest, noted_all, noted_largest;

	assert_int_equal(database_number(database, "SELECT sum(node_count) FROM tree", &all), 0);
	assert_int_equal(database_number(database, "SELECT max(node_count) FROM tree", &largest),
			 0);
	assert_int_equal(
		database_number(database, "SELECT value FROM meta WHERE key = 'nodes'", &noted_all),
		0);
	assert_int_equal(database_number(database, "SELECT value FROM meta WHERE key = 'nodes_max'",
					 &noted_largest),
			 0);
	assert_true(largest > 0 && all >= largest);
	assert_int_equal(noted_all, all);
	assert_int_equal(noted_largest, largest);
}

/* Trees of the files of an end, and segments of them. */
static void count_trees(const struct fixture *fixture, const char *end, int64_t *ret_first,
			int64_t *ret_later, int64_t *ret_segments)
{
	char path[512];
	DIR *folder;

	*ret_first = *ret_later = *ret_segments = 0;
	snprintf(path, sizeof(path), "%s/data", fixture->folder);
	folder = opendir(path);
	assert_non_null(folder);
	for (struct dirent *entry; (entry = readdir(folder));) {
		sqlite3 *database = NULL;
		int64_t first, later, segments;

		if (!str_ends_with(str_from(entry->d_name), str_from(end)))
			continue;
		snprintf(path, sizeof(path), "%s/data/%s", fixture->folder, entry->d_name);
		assert_int_equal(database_open(path, DATABASE_IMMUTABLE, &database), 0);
		assert_int_equal(database_number(database,
						 "SELECT count(*) FROM tree WHERE segment = 0",
						 &first),
				 0);
		assert_int_equal(database_number(database,
						 "SELECT count(*) FROM tree WHERE segment > 0",
						 &later),
				 0);
		assert_int_equal(
			database_number(database, "SELECT count(*) FROM segment", &segments), 0);
		assert_nodes_are_noted(database);
		database_close(database);
		*ret_first += first;
		*ret_later += later;
		*ret_segments += segments;
	}
	closedir(folder);
}

static void assert_joined_answers(struct fixture *fixture, const struct model *model,
				  int64_t end_ms)
{
	struct store_grid grid = { START_MS, 60000, 180 };
	struct asked asked = { .from_ms = START_MS, .to_ms = end_ms, .type = CPU, .rows_by = "" };

	assert_flames(fixture, model, START_MS, end_ms);
	assert_series(fixture, model, &asked, &grid);
	asked.pid = "103";
	assert_series(fixture, model, &asked, &grid);
}

/* Of a part of an hour, which is asked for by its minutes: what it reads the first times only. */
static void assert_part_is_kept(struct fixture *fixture, const struct model *model, int64_t from_ms,
				uint32_t node_count_max)
{
	const int64_t to_ms = from_ms + 20 * (int64_t)60000;
	struct flame_options options = { .node_count_max = node_count_max };
	struct store_asker askers[4] = { 0 };
	struct flame flames[4];

	for (unsigned i = 0; i < 4; i++) {
		/* And of another part. */
		int64_t later_ms = i == 3 ? 60000 : 0;
		struct store_question question = { .type = str_from(CPU),
						   .from_unix_ms = from_ms + later_ms,
						   .to_unix_ms = to_ms + later_ms,
						   .is_exact = true,
						   .asker = &askers[i] };

		assert_int_equal(store_flame(fixture->store, &question, &options, &flames[i]), 0);
	}
	/* Who looks at it once does not look again. */
	assert_true(askers[0].bytes > 0 && askers[1].bytes > 0 && askers[2].bytes == 0);
	assert_true(askers[3].bytes > 0);
	assert_int_equal(flames[0].node_count, flames[2].node_count);
	assert_int_equal(flames[0].sample_count, flames[2].sample_count);
	assert_true(flames[0].sample_count > 0);
	for (uint32_t i = 0; i < flames[0].node_count; i++) {
		assert_int_equal(flames[0].nodes[i].self, flames[2].nodes[i].self);
		assert_int_equal(flames[0].nodes[i].total, flames[2].nodes[i].total);
	}
	for (unsigned i = 0; i < 4; i++)
		flame_done(&flames[i]);
	assert_flames(fixture, model, from_ms, to_ms);
	assert_flames(fixture, model, from_ms + 60000, to_ms + 60000);
}

/*
 * With so many nodes in the trees that become one: services have one tree in a file, or several,
 * each of some segments.
 */
static void join_and_ask(struct fixture *fixture, uint32_t nodes_together)
{
	struct model model = model_new();
	struct store_options options = { .span_ms = HOUR_MS,
					 .detail_ms = 100 * (int64_t)HOUR_MS,
					 .fold = 1,
					 .nodes_together = nodes_together };
	int64_t time_ms = START_MS;
	int64_t first = 0, later = 0, segments = 0;
	char command[256];

	store_close(fixture->store);
	open_store_with(fixture, options);
	fill_hours(fixture, &model, &time_ms);
	assert_joined_answers(fixture, &model, time_ms);
	/* Two are full, and the third one is when its time is over; what was late is one segment.
	 */
	join_all(fixture, time_ms + HOUR_MS, 3);
	count_trees(fixture, "j.db", &first, &later, &segments);
	assert_int_equal(segments, 15);
	assert_int_equal(first, 3 * SERVICE_COUNT);
	if (nodes_together)
		assert_in_range(later, 6, 12 * SERVICE_COUNT);
	else
		assert_int_equal(later, 0);
	assert_joined_answers(fixture, &model, time_ms);
	/* As much as the page shows, and as much as Grafana asks for. */
	assert_part_is_kept(fixture, &model, START_MS + 7 * (int64_t)60000, 100);
	assert_part_is_kept(fixture, &model, START_MS + 7 * (int64_t)60000, 16384);
	fixture->store = store_close(fixture->store);
	open_store_with(fixture, options);
	assert_joined_answers(fixture, &model, time_ms);

	/* As a crash leaves it: the old file beside the new one, and one that is not finished. */
	fixture->store = store_close(fixture->store);
	snprintf(command, sizeof(command),
		 "cd %s/data && f=$(ls | grep 'j.db$' | head -1) && cp $f ${f%%j.db}.db && "
		 "cp $f ${f%%j.db}.db.unfinished",
		 fixture->folder);
	assert_int_equal(system(command), 0);
	open_store_with(fixture, options);
	assert_int_equal(count_files(fixture, ".unfinished"), 0);
	assert_int_equal(count_spans(fixture), 5);
	assert_joined_answers(fixture, &model, time_ms);

	/* Compact in the end, made of what was joined. */
	fixture->store = store_close(fixture->store);
	options.detail_ms = 1;
	open_store_with(fixture, options);
	compact_all(fixture, time_ms + 4 * (int64_t)HOUR_MS);
	assert_int_equal(count_files(fixture, "j.db"), 0);
	assert_int_equal(count_files(fixture, "c.db"), 5);
	assert_compact_answers(fixture, &model, time_ms);
	count_trees(fixture, "c.db", &first, &later, &segments);
	assert_int_equal(later, 0);
	free(model.samples);
}

static void joined_spans_answer_the_same(void **state)
{
	join_and_ask(*state, 0);
}

static void joined_spans_with_several_trees_a_service_answer_the_same(void **state)
{
	join_and_ask(*state, 150);
}

/* What looks at all stacks of the settled segments: a flame graph from its leaves, one below a
 * call, functions. */
struct exact_answers {
	struct flame flames[2];
	struct functions functions;
};

static void ask_exactly(struct fixture *fixture, int64_t end_ms, struct exact_answers *ret)
{
	const struct str path[] = { STR("function4") };
	const struct flame_options options[] = {
		{ .node_count_max = 100000, .is_bottom_up = true, .rows_by = STR("service_name") },
		{ .node_count_max = 100000, .call_site = path, .call_site_count = 1 },
	};
	struct functions_options functions_options = { .limit = 1000 };
	struct store_question question = { .type = str_from(CPU),
					   .from_unix_ms = START_MS,
					   .to_unix_ms = end_ms,
					   .is_exact = true };

	for (unsigned i = 0; i < 2; i++)
		assert_int_equal(
			store_flame(fixture->store, &question, &options[i], &ret->flames[i]), 0);
	assert_int_equal(
		store_functions(fixture->store, &question, &functions_options, &ret->functions), 0);
}

static void assert_equal_answers(const struct exact_answers *a, const struct exact_answers *b)
{
	for (unsigned i = 0; i < 2; i++) {
		const struct flame *x = &a->flames[i], *y = &b->flames[i];

		assert_int_equal(x->sample_count, y->sample_count);
		assert_int_equal(x->node_count, y->node_count);
		assert_true(x->node_count > 20);
		for (uint32_t k = 0; k < x->node_count; k++) {
			char x_path[512], y_path[512];

			flame_path(x, k, x_path, sizeof(x_path));
			flame_path(y, k, y_path, sizeof(y_path));
			assert_string_equal(x_path, y_path);
			assert_int_equal(x->nodes[k].self, y->nodes[k].self);
			assert_int_equal(x->nodes[k].total, y->nodes[k].total);
		}
	}
	assert_int_equal(a->functions.total, b->functions.total);
	assert_int_equal(a->functions.count, b->functions.count);
	assert_true(a->functions.count > 5 && a->functions.total > 0);
	for (uint32_t i = 0; i < a->functions.count; i++) {
		const struct function_row *x = &a->functions.rows[i], *y = &b->functions.rows[i];

		assert_true(str_equal(x->name, y->name));
		assert_int_equal(x->self, y->self);
		assert_int_equal(x->total, y->total);
	}
}

/* A service at a time, some together, and all at once. */
static void settled_segments_answer_the_same_in_parts(void **state)
{
	static const uint32_t together[] = { 1, 100, 0 };
	struct fixture *fixture = *state;
	struct model model = model_new();
	struct store_options options = { .span_ms = 24 * (int64_t)HOUR_MS,
					 .detail_ms = 100 * (int64_t)HOUR_MS };
	struct exact_answers answers[3] = { 0 };
	int64_t time_ms = START_MS;

	for (unsigned i = 0; i < 3; i++) {
		options.nodes_together = together[i];
		store_close(fixture->store);
		open_store_with(fixture, options);
		if (i == 0)
			fill_hours(fixture, &model, &time_ms);
		ask_exactly(fixture, time_ms, &answers[i]);
		assert_label_sets(fixture, time_ms);
	}
	assert_equal_answers(&answers[0], &answers[2]);
	assert_equal_answers(&answers[1], &answers[2]);
	for (unsigned i = 0; i < 3; i++) {
		flame_done(&answers[i].flames[0]);
		flame_done(&answers[i].flames[1]);
		functions_done(&answers[i].functions);
	}
	free(model.samples);
}

static void compact_spans_answer_the_same(void **state)
{
	struct fixture *fixture = *state;
	struct model model = model_new();
	int64_t time_ms = START_MS;
	char command[256];

	store_close(fixture->store);
	open_store_with(fixture,
			(struct store_options){ .span_ms = HOUR_MS, .detail_ms = 1, .fold = 1 });
	fill_hours(fixture, &model, &time_ms);
	compact_all(fixture, time_ms + 4 * (int64_t)HOUR_MS);
	assert_true(count_files(fixture, "c.db") >= 3);
	assert_compact_answers(fixture, &model, time_ms);
	reopen(fixture);
	assert_compact_answers(fixture, &model, time_ms);

	/* As a crash leaves it: the old file beside the new one, and one that is not finished. */
	fixture->store = store_close(fixture->store);
	snprintf(command, sizeof(command),
		 "cd %s/data && f=$(ls | grep 'c.db$' | head -1) && cp $f ${f%%c.db}.db && "
		 "cp $f ${f%%c.db}.db.unfinished",
		 fixture->folder);
	assert_int_equal(system(command), 0);
	assert_int_equal(count_files(fixture, ".unfinished"), 1);
	open_store(fixture);
	assert_int_equal(count_files(fixture, ".unfinished"), 0);
	assert_int_equal(count_spans(fixture), count_files(fixture, "c.db"));
	assert_compact_answers(fixture, &model, time_ms);

	/* More comes, later. */
	time_ms += 4 * (int64_t)HOUR_MS;
	fill(fixture, &model, time_ms, 30);
	assert_int_equal(store_append(fixture->store, fixture->batch), 0);
	assert_compact_answers(fixture, &model, time_ms);
	free(model.samples);
}

/*
 * What comes for a time whose file was written anew goes to a file that others of this time can't
 * be taken for, before and after a start, and when it is written anew itself.
 */
static void what_comes_after_compacting_stays(void **state)
{
	struct fixture *fixture = *state;
	struct model model = model_new();
	struct store_options options = { .span_ms = HOUR_MS, .detail_ms = 1, .fold = 1 };
	int64_t end_ms = START_MS + HOUR_MS;

	store_close(fixture->store);
	open_store_with(fixture, options);
	for (int round = 0; round < 4; round++) {
		for (uint32_t i = 0; i < 5; i++) {
			fill(fixture, &model, START_MS + i * INT64_C(60000), 20);
			assert_int_equal(store_append(fixture->store, fixture->batch), 0);
			assert_int_equal(store_commit(fixture->store), 0);
		}
		assert_compact_answers(fixture, &model, end_ms);
		fixture->store = store_close(fixture->store);
		open_store_with(fixture, options);
		assert_compact_answers(fixture, &model, end_ms);
		compact_all(fixture, end_ms + (4 + round) * (int64_t)HOUR_MS);
		assert_int_equal(count_spans(fixture), round + 1);
		assert_compact_answers(fixture, &model, end_ms);
	}
	free(model.samples);
}

static void change_identity(struct fixture *fixture)
{
	char command[512];

	snprintf(command, sizeof(command), "chmod 600 %s/data/*c.db", fixture->folder);
	assert_int_equal(system(command), 0);
	snprintf(command, sizeof(command), "%s/data", fixture->folder);

	DIR *folder = opendir(command);

	assert_non_null(folder);
	for (struct dirent *entry; (entry = readdir(folder));) {
		sqlite3 *database = NULL;

		if (!str_ends_with(str_from(entry->d_name), STR("c.db")))
			continue;
		snprintf(command, sizeof(command), "%s/data/%s", fixture->folder, entry->d_name);
		assert_int_equal(database_open(command, DATABASE_WRITE, &database), 0);
		assert_int_equal(
			database_execute(database,
					 "UPDATE meta SET value = value + 2 WHERE key = 'identity';"
					 "PRAGMA journal_mode = DELETE"),
			0);
		database_close(database);
	}
	closedir(folder);
}

/* A file beside one that has the name of its successor, and is none, is no left-over. */
static void a_name_alone_removes_nothing(void **state)
{
	struct fixture *fixture = *state;
	struct model model = model_new();
	char command[256];

	store_close(fixture->store);
	open_store_with(fixture,
			(struct store_options){ .span_ms = HOUR_MS, .detail_ms = 1, .fold = 1 });
	fill(fixture, &model, START_MS, 20);
	assert_int_equal(store_append(fixture->store, fixture->batch), 0);
	compact_all(fixture, START_MS + 4 * (int64_t)HOUR_MS);
	fixture->store = store_close(fixture->store);
	snprintf(command, sizeof(command),
		 "cd %s/data && f=$(ls | grep 'c.db$' | head -1) && cp $f ${f%%c.db}.db",
		 fixture->folder);
	assert_int_equal(system(command), 0);
	change_identity(fixture);
	open_store(fixture);
	assert_int_equal(count_spans(fixture), 2);
	free(model.samples);
}

/* One stack of a service: named frames, root first, separated by blanks. */
static void add_stack(struct fixture *fixture, uint32_t series, const char *frames, uint64_t count)
{
	uint32_t locations[8];
	uint32_t depth = 0;
	struct batch_entry entry = { .series = series, .count = count, .value = count };

	for (const char *next = frames + strlen(frames); next > frames;) {
		const char *end = next;

		while (next > frames && next[-1] != ' ')
			next--;

		struct named_line line = { { next, (size_t)(end - next) }, STR("f"), 1 };

		locations[depth++] = number(batch_add_named_location(fixture->batch, &line, 1));
		next -= next > frames;
	}
	entry.sample_labels = number(batch_add_labels(fixture->batch, NULL, 0));
	entry.stack = number(batch_add_stack(fixture->batch, locations, depth, 0));
	assert_int_equal(batch_add_entry(fixture->batch, &entry), 0);
}

static uint64_t total_of(const struct flame *flame, const char *path, uint8_t kind)
{
	for (uint32_t i = 0; i < flame->node_count; i++) {
		char found[512];

		flame_path(flame, i, found, sizeof(found));
		if (strcmp(found, path) == 0) {
			assert_int_equal(flame->nodes[i].kind, kind);
			return flame->nodes[i].total;
		}
	}
	return 0;
}

/* Two segments; what is light in each and not together stays. */
static void append_light_stacks(struct fixture *fixture)
{
	for (int64_t i = 0; i < 2; i++) {
		int64_t start_ms = START_MS + i * 1200000;
		struct numbers numbers;

		batch_clear(fixture->batch);
		batch_set_time(fixture->batch, (struct batch_time){ start_ms, start_ms + 1000 });
		add_words(fixture, &numbers);
		add_stack(fixture, numbers.allocs[0], "main work", 20000);
		add_stack(fixture, numbers.allocs[0], "main half", 2);
		add_stack(fixture, numbers.allocs[1], "main", 4999);
		if (i) {
			add_stack(fixture, numbers.allocs[0], "main rare deep", 1);
			add_stack(fixture, numbers.allocs[0], "main rare other", 1);
			add_stack(fixture, numbers.allocs[0], "main seldom", 1);
			add_stack(fixture, numbers.allocs[0], "main work rare", 3);
			add_stack(fixture, numbers.allocs[1], "main rare deep", 2);
		}
		assert_int_equal(store_append(fixture->store, fixture->batch), 0);
		assert_int_equal(store_commit(fixture->store), 0);
	}
}

/*
 * service0 has 40,010 samples: nodes of fewer than four go. service1 has 10,000, of which one is a
 * ten-thousandth: all stay.
 */
static void light_nodes_are_folded(void **state)
{
	static const struct {
		const char *path;
		uint8_t kind;
		uint64_t before, after;
	} cases[] = {
		{ "total;service0;main", FLAME_NAMED, 40010, 40010 },
		{ "total;service0;main;work", FLAME_NAMED, 40003, 40003 },
		{ "total;service0;main;half", FLAME_NAMED, 4, 4 },
		{ "total;service0;main;rare", FLAME_NAMED, 2, 0 },
		{ "total;service0;main;folded", FLAME_FOLDED, 0, 3 },
		{ "total;service0;main;work;rare", FLAME_NAMED, 3, 0 },
		{ "total;service0;main;work;folded", FLAME_FOLDED, 0, 3 },
		{ "total;service1;main;rare;deep", FLAME_NAMED, 2, 2 },
	};
	struct fixture *fixture = *state;
	struct asked asked = { .from_ms = START_MS,
			       .to_ms = START_MS + HOUR_MS,
			       .type = ALLOC,
			       .rows_by = "service_name" };

	store_close(fixture->store);
	open_store_with(fixture, (struct store_options){ .span_ms = HOUR_MS, .detail_ms = 1 });
	append_light_stacks(fixture);
	for (int round = 0; round < 2; round++) {
		struct flame flame =
			ask_flame(fixture, &asked, (struct flame_options){ .node_count_max = 100 });

		assert_int_equal(flame.nodes[0].total, 50010);
		for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
			assert_int_equal(total_of(&flame, cases[i].path, cases[i].kind),
					 round ? cases[i].after : cases[i].before);
		flame_done(&flame);
		if (round == 0)
			compact_all(fixture, START_MS + 4 * (int64_t)HOUR_MS);
	}
}

/* ---- the end of a segment -------------------------------------------------------------------- */

/* As programs do that push the same stacks again and again. */
static void fill_the_same(struct fixture *fixture, int64_t time_ms, uint32_t stack_count)
{
	struct numbers numbers;

	batch_clear(fixture->batch);
	batch_set_time(fixture->batch, (struct batch_time){ time_ms, time_ms + 1000 });
	add_words(fixture, &numbers);
	for (uint32_t i = 0; i < stack_count; i++) {
		uint32_t location =
			number(batch_add_location(fixture->batch, numbers.binary, 64 * (i + 1)));
		uint32_t stack = number(batch_add_stack(fixture->batch, &location, 1, 0));

		for (uint32_t k = 0; k < SERVICE_COUNT * 3; k++) {
			struct batch_entry entry = { .series = numbers.series[k % SERVICE_COUNT],
						     .sample_labels = numbers.pids[k],
						     .stack = stack,
						     .count = 1,
						     .value = 1 };

			assert_int_equal(batch_add_entry(fixture->batch, &entry), 0);
		}
	}
}

static int64_t settled_segments(const struct fixture *fixture)
{
	char path[512];
	struct dirent *entry;
	int64_t count = -1;
	DIR *folder;

	snprintf(path, sizeof(path), "%s/data", fixture->folder);
	folder = opendir(path);
	assert_non_null(folder);
	while ((entry = readdir(folder))) {
		sqlite3 *database = NULL;

		if (!str_ends_with(str_from(entry->d_name), STR(".db")))
			continue;
		snprintf(path, sizeof(path), "%s/data/%s", fixture->folder, entry->d_name);
		assert_int_equal(database_open(path, DATABASE_READ, &database), 0);
		assert_int_equal(
			database_number(database,
					"SELECT count(*) FROM segment WHERE pairs IS NOT NULL",
					&count),
			0);
		database_close(database);
	}
	closedir(folder);
	return count;
}

/* What it takes to settle it goes by them, however few stacks they have. */
static void a_segment_ends_with_its_entries(void **state)
{
	enum { STACK_COUNT = 2000, ENTRY_COUNT = STACK_COUNT * SERVICE_COUNT * 3 };

	struct fixture *fixture = *state;
	uint64_t entries = 0;

	fill_the_same(fixture, START_MS, STACK_COUNT);
	while (entries < SEGMENT_ENTRY_COUNT_SOFT) {
		assert_int_equal(store_append(fixture->store, fixture->batch), 0);
		assert_int_equal(store_commit(fixture->store), 0);
		entries += ENTRY_COUNT;
	}
	assert_int_equal(settled_segments(fixture), 0);
	assert_int_equal(store_append(fixture->store, fixture->batch), 0);
	entries += ENTRY_COUNT;
	assert_int_equal(store_commit(fixture->store), 0);
	assert_int_equal(settled_segments(fixture), 1);

	struct store_question question = { .type = STR(CPU),
					   .from_unix_ms = START_MS,
					   .to_unix_ms = START_MS + 1000 };
	struct flame_options options = { .node_count_max = 4096 };
	struct flame flame = { 0 };

	assert_int_equal(store_flame(fixture->store, &question, &options, &flame), 0);
	assert_int_equal(flame.nodes[0].total, entries);
	flame_done(&flame);
}

/* By what is kept of all that is read: nothing, places of functions, or each node. */
/* Who counts says so as well; and what the file that is written to takes is known beside. */
static void what_counting_will_take_is_told(void **state)
{
	enum { BASE = 2 << 20, COUNTED = 4, GROUPED = 6 };
	const struct str group_by = STR("service_name");
	struct fixture *fixture = *state;
	struct model model = model_new();
	struct store_status status;
	struct store_asker asker = { 0 };
	struct store_question question = { .type = str_from(CPU),
					   .from_unix_ms = START_MS,
					   .to_unix_ms = START_MS + 60000,
					   .asker = &asker };
	struct store_grid grid = { .first_ms = START_MS, .step_ms = 60000, .point_count = 2 };
	struct store_rows rows = { 0 };

	store_status(fixture->store, &status);
	assert_int_equal(status.growing_memory, 0);
	fill(fixture, &model, START_MS, 40);
	assert_int_equal(store_append(fixture->store, fixture->batch), 0);
	assert_int_equal(store_commit(fixture->store), 0);
	store_status(fixture->store, &status);
	assert_in_range(status.growing_memory, 1000, 10 << 20);
	assert_int_equal(store_series(fixture->store, &question, NULL, 0, &grid, &rows), 0);
	assert_int_equal(rows.count, 1);
	store_rows_done(&rows);
	assert_int_equal(asker.memory, BASE + status.samples * COUNTED);
	assert_int_equal(store_series(fixture->store, &question, &group_by, 1, &grid, &rows), 0);
	store_rows_done(&rows);
	assert_int_equal(asker.memory, BASE + status.samples * GROUPED);
	store_status(fixture->store, &status);
	assert_int_equal(status.question_memory_peak, asker.memory);
	assert_int_equal(status.question_memory, 0);
	free(model.samples);
}

static void what_a_question_will_take_is_told(void **state)
{
	enum { BASE = 2 << 20, NODE = 2 * 32, WALKED = 96 / 2, KEPT = 2 * 112 };
	struct fixture *fixture = *state;
	struct model model = model_new();
	struct store_status status;
	struct store_asker askers[4] = { 0 };
	struct functions functions = { 0 };
	struct functions_options functions_options = { .limit = 10 };
	struct store_question question = { .type = str_from(CPU),
					   .from_unix_ms = START_MS,
					   .to_unix_ms = START_MS + 60000 };

	for (int i = 0; i < 5; i++) {
		fill(fixture, &model, START_MS + i * 1000, 40);
		assert_int_equal(store_append(fixture->store, fixture->batch), 0);
	}
	assert_int_equal(store_commit(fixture->store), 0);
	store_status(fixture->store, &status);
	assert_true(status.samples > 0 && status.question_memory_peak == 0);
	for (unsigned i = 0; i < 4; i++) {
		struct flame_options options = { .node_count_max = 100, .is_bottom_up = i >= 2 };
		struct flame flame = { 0 };

		question.asker = &askers[i];
		/* Of what is asked for a fifth of its time, a fifth is kept. */
		if (i == 3)
			question.to_unix_ms = START_MS + 999;
		if (i == 1)
			assert_int_equal(store_functions(fixture->store, &question,
							 &functions_options, &functions),
					 0);
		else
			assert_int_equal(store_flame(fixture->store, &question, &options, &flame),
					 0);
		flame_done(&flame);
	}
	functions_done(&functions);
	assert_int_equal(askers[0].memory, BASE + status.samples * NODE);
	assert_int_equal(askers[1].memory, BASE + status.samples * (NODE + WALKED));
	assert_int_equal(askers[2].memory, BASE + status.samples * (NODE + KEPT));
	assert_in_range(askers[3].memory, BASE + status.samples * (NODE + KEPT / 8),
			BASE + status.samples * (NODE + KEPT / 3));
	store_status(fixture->store, &status);
	assert_int_equal(status.question_memory_peak, askers[2].memory);
	assert_int_equal(status.question_memory, 0);

	/* Trees are read one after the other: the largest counts, not all of the running file. */
	const uint64_t first_samples = status.samples;
	struct store_asker asker = { 0 };
	struct flame_options options = { .node_count_max = 100 };
	struct flame flame = { 0 };

	fill(fixture, &model, START_MS + SEGMENT_DURATION_MS + 1000, 40);
	assert_int_equal(store_append(fixture->store, fixture->batch), 0);
	assert_int_equal(store_commit(fixture->store), 0);
	assert_int_equal(settled_segments(fixture), 1);
	question.to_unix_ms = START_MS + 2 * SEGMENT_DURATION_MS;
	question.asker = &asker;
	assert_int_equal(store_flame(fixture->store, &question, &options, &flame), 0);
	flame_done(&flame);
	store_status(fixture->store, &status);
	assert_true(status.samples > first_samples);
	assert_int_equal(asker.memory, BASE + first_samples * NODE);
	free(model.samples);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(flames_equal_the_sum_of_the_samples, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(
			a_segment_is_settled_alike_from_memory_and_from_its_file, set_up,
			tear_down),
		cmocka_unit_test_setup_teardown(data_of_the_past_fill_their_spans, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(series_equal_the_sum_of_the_samples, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(a_window_falls_on_the_first_point_at_or_after_it,
						set_up, tear_down),
		cmocka_unit_test_setup_teardown(names_and_values_of_labels, set_up, tear_down),
		cmocka_unit_test_setup_teardown(light_nodes_become_more, set_up, tear_down),
		cmocka_unit_test_setup_teardown(what_counting_will_take_is_told, set_up, tear_down),
		cmocka_unit_test_setup_teardown(what_a_question_will_take_is_told, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(a_call_site_keeps_what_lies_below_it, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(
			a_file_of_an_earlier_schema_that_is_written_on_is_of_ours, set_up,
			tear_down),
		cmocka_unit_test_setup_teardown(settled_segments_answer_the_same_in_parts, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(joined_spans_answer_the_same, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			joined_spans_with_several_trees_a_service_answer_the_same, set_up,
			tear_down),
		cmocka_unit_test_setup_teardown(compact_spans_answer_the_same, set_up, tear_down),
		cmocka_unit_test_setup_teardown(what_comes_after_compacting_stays, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(a_name_alone_removes_nothing, set_up, tear_down),
		cmocka_unit_test_setup_teardown(light_nodes_are_folded, set_up, tear_down),
		cmocka_unit_test_setup_teardown(kinds_and_modules_are_told, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_segment_ends_with_its_entries, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
