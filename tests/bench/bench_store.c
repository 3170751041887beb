/* SPDX-License-Identifier: Apache-2.0 */
#include <assert.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "store/pool.h"
#include "store/selector.h"
#include "store/store.h"

/*
 * An hour of two busy CPUs at 99 Hz, from a seed: what it costs to store and to ask for.
 *
 * A fixed pool of stacks would make any store look good: real ones go on bringing new stacks, like
 * n^0.6 to n^0.9. So each service has an endless call graph made of hashes, of which a stack is a
 * random walk. Of a whole machine that compiled, served and ran scripts 6,916 of 10,000 samples and
 * 47,810 of 100,000 had a stack of their own, at 2.5 nodes a sample; here it is 6,700, 49,000
 * and 2.1.
 */
enum {
	SERVICE_COUNT = 40,
	DEPTH_MAX = 64,
	FUNCTION_COUNT = 3000,
	WINDOW_COUNT = 3600,
	SAMPLES_PER_WINDOW = 198,
	QUESTION_COUNT = 11,
	COMMIT_WINDOWS = 1,
	MEMORY_MAX = 64 << 20,
};

#define PERIOD_NS UINT64_C(10101010)
#define START_MS  INT64_C(1700006400000)
#define TYPE	  "process_cpu:cpu:nanoseconds:cpu:nanoseconds"

static uint64_t mix(uint64_t x)
{
	x = (x ^ x >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	x = (x ^ x >> 27) * UINT64_C(0x94d049bb133111eb);
	return x ^ x >> 31;
}

struct random {
	uint64_t state;
};

static uint64_t next_random(struct random *random)
{
	return mix(random->state += UINT64_C(0x9e3779b97f4a7c15));
}

static double unit(struct random *random)
{
	return (double)(next_random(random) >> 11) / (double)(UINT64_C(1) << 53);
}

/* Most calls go to one callee, but there is no last one. */
static uint64_t pick_callee(struct random *random)
{
	return unit(random) < 0.9 ? 0 : (uint64_t)pow(1 - unit(random), -0.6);
}

struct walk {
	uint32_t service;
	uint32_t depth;
	uint64_t frames[DEPTH_MAX]; /* root first: build << 40 | address */
	bool is_kernel;
};

static void make_walk(struct random *random, double *shares, struct walk *walk)
{
	double at = unit(random) * shares[SERVICE_COUNT - 1];
	uint32_t service = 0;

	while (shares[service] < at)
		service++;

	uint64_t node = mix(service + 1);
	uint32_t depth = 4 + service % 13;

	while (depth < DEPTH_MAX && unit(random) > 0.2)
		depth++;
	walk->service = service;
	walk->depth = depth;
	walk->is_kernel = unit(random) < 0.15;
	for (uint32_t i = 0; i < depth; i++) {
		node = mix(node ^ pick_callee(random));

		uint64_t function = node % FUNCTION_COUNT;
		bool kernel = walk->is_kernel && i + 3 >= depth;
		uint64_t build = kernel ? 0 : 1 + service * 3 + function % 3;
		uint64_t offset = i + 1 < depth ? mix(node) % 8 * 24
						: (uint64_t)(unit(random) * unit(random) * 6) * 4;

		walk->frames[i] = build << 40 | (0x1000 + function * 256 + offset);
	}
}

struct bench {
	struct store *store;
	struct batch *batch;
	struct random random;
	double shares[SERVICE_COUNT];
	struct pool stacks; /* to count them */
	uint64_t distinct_at_10k;
	uint64_t distinct_at_100k;
	uint64_t samples;
};

static uint32_t number(int64_t result)
{
	assert(result >= 0);
	return (uint32_t)result;
}

struct words {
	uint32_t series[SERVICE_COUNT];
	uint32_t threads[SERVICE_COUNT][4];
	uint32_t builds[SERVICE_COUNT * 3 + 1];
};

static void add_words(struct batch *batch, int window, struct words *words)
{
	for (uint32_t i = 0; i < SERVICE_COUNT; i++) {
		char texts[4][32];
		struct label labels[] = { { STR("service_name"), { texts[0], 0 } },
					  { STR("process_name"), { texts[0], 0 } },
					  { STR("host"), STR("bench") } };

		labels[0].value.size = labels[1].value.size =
			(size_t)snprintf(texts[0], sizeof(texts[0]), "service-%u", i);
		words->series[i] = number(batch_add_series(
			batch, number(batch_add_labels(batch, labels, 3)), STR(TYPE), PERIOD_NS));
		/* A quarter of the services start a process a minute. */
		for (uint32_t k = 0; k < 4; k++) {
			int pid = (int)(1000 + i * 100 + (i % 4 == 0 ? window / 60 * 7 : 0));
			struct label own[] = { { STR("pid"), { texts[1], 0 } },
					       { STR("tid"), { texts[2], 0 } },
					       { STR("process"), { texts[3], 0 } } };

			own[0].value.size = (size_t)snprintf(texts[1], sizeof(texts[1]), "%d", pid);
			own[1].value.size =
				(size_t)snprintf(texts[2], sizeof(texts[2]), "%d", pid + (int)k);
			own[2].value.size =
				(size_t)snprintf(texts[3], sizeof(texts[3]), "%d.5530.1", pid);
			words->threads[i][k] = number(batch_add_labels(batch, own, 3));
		}
	}
	for (uint32_t i = 0; i <= SERVICE_COUNT * 3; i++) {
		struct identity identity = { .kind = IDENTITY_GNU_BUILD_ID, .size = 20 };
		char path[64];
		int size = snprintf(path, sizeof(path), "/usr/lib/service-%u/lib%u.so", i / 3, i);

		memcpy(identity.bytes, &i, sizeof(i));
		words->builds[i] =
			number(batch_add_build(batch, i ? BUILD_FILE : BUILD_KERNEL, &identity,
					       (struct str){ path, (size_t)size }));
	}
}

static void add_sample(struct bench *bench, const struct words *words, uint16_t time_ms)
{
	struct walk walk;
	uint32_t locations[DEPTH_MAX];

	make_walk(&bench->random, bench->shares, &walk);
	for (uint32_t i = 0; i < walk.depth; i++)
		locations[walk.depth - 1 - i] =
			number(batch_add_location(bench->batch, words->builds[walk.frames[i] >> 40],
						  walk.frames[i] & ((UINT64_C(1) << 40) - 1)));

	struct batch_entry entry = {
		.series = words->series[walk.service],
		.sample_labels = words->threads[walk.service][next_random(&bench->random) % 4],
		.stack = number(batch_add_stack(bench->batch, locations, walk.depth, 0)),
		.count = 1,
		.value = PERIOD_NS,
		.times_ms = &time_ms,
	};
	int err = batch_add_entry(bench->batch, &entry);

	assert(!err);
	(void)err;
	pool_add(&bench->stacks, walk.frames, walk.depth * sizeof(walk.frames[0]));
	if (++bench->samples == 10000)
		bench->distinct_at_10k = pool_count(&bench->stacks);
	if (bench->samples == 100000)
		bench->distinct_at_100k = pool_count(&bench->stacks);
}

static uint64_t cpu_ns(void)
{
	struct timespec time;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
	return (uint64_t)time.tv_sec * CLOCK_NS_PER_S + (uint64_t)time.tv_nsec;
}

static void write_hour(struct bench *bench)
{
	uint64_t wall_ns = 0;
	uint64_t busy_ns = 0;

	for (int i = 0; i < WINDOW_COUNT; i++) {
		struct words words;
		int64_t start_ms = START_MS + i * 1000;

		batch_clear(bench->batch);
		batch_set_time(bench->batch, (struct batch_time){ start_ms, start_ms + 1000 });
		batch_set_source(bench->batch, 1, (uint64_t)i + 1);
		add_words(bench->batch, i, &words);
		for (int k = 0; k < SAMPLES_PER_WINDOW; k++)
			add_sample(bench, &words, (uint16_t)(k * 5));

		wall_ns -= clock_monotonic_ns();
		busy_ns -= cpu_ns();

		int err = store_append(bench->store, bench->batch);

		if (!err && i % COMMIT_WINDOWS == 0)
			err = store_commit(bench->store);
		if (err) {
			fprintf(stderr, "window %d: %s\n", i, strerror(-err));
			exit(1);
		}
		busy_ns += cpu_ns();
		wall_ns += clock_monotonic_ns();
	}
	printf("%-40s %8.0f ns a sample  (CPU %.0f ns)\n", "append and commit, every second",
	       (double)wall_ns / (double)bench->samples, (double)busy_ns / (double)bench->samples);
	printf("%-40s %8" PRIu64 ", %" PRIu64 ", %u\n", "distinct stacks of 10 K, 100 K, all",
	       bench->distinct_at_10k, bench->distinct_at_100k, pool_count(&bench->stacks));
}

/* How long the questions took: by the clock, and of CPU time, which says more on a busy machine. */
struct times {
	uint64_t wall_ns[QUESTION_COUNT];
	uint64_t busy_ns[QUESTION_COUNT];
};

static void start(struct times *times, int question)
{
	times->wall_ns[question] = clock_monotonic_ns();
	times->busy_ns[question] = cpu_ns();
}

static void stop(struct times *times, int question)
{
	times->wall_ns[question] = clock_monotonic_ns() - times->wall_ns[question];
	times->busy_ns[question] = cpu_ns() - times->busy_ns[question];
}

static int compare_times(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a;
	uint64_t y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

static void print_times(const char *name, struct times *times)
{
	double first = (double)times->wall_ns[0] / 1e6;

	qsort(times->wall_ns, QUESTION_COUNT, sizeof(times->wall_ns[0]), compare_times);
	qsort(times->busy_ns, QUESTION_COUNT, sizeof(times->busy_ns[0]), compare_times);
	printf("%-40s %8.1f ms  (CPU %.1f ms; the first time %.1f ms)\n", name,
	       (double)times->wall_ns[QUESTION_COUNT / 2] / 1e6,
	       (double)times->busy_ns[QUESTION_COUNT / 2] / 1e6, first);
}

static void ask_flame(struct bench *bench, const char *name, const char *text, const char *rows,
		      int64_t from_ms)
{
	struct times times;
	char error[SELECTOR_ERROR_SIZE];
	struct selector *selector = NULL;
	int err = selector_parse(str_from(text), &selector, error);
	struct store_question question = { .type = STR(TYPE),
					   .selector = selector,
					   .from_unix_ms = from_ms,
					   .to_unix_ms = START_MS + WINDOW_COUNT * 1000 };
	struct flame_options options = { .node_count_max = 4096, .rows_by = str_from(rows) };

	for (int i = 0; i < QUESTION_COUNT; i++) {
		struct flame flame = { 0 };

		start(&times, i);
		err = err ? err : store_flame(bench->store, &question, &options, &flame);
		stop(&times, i);
		if (err) {
			fprintf(stderr, "%s: %s\n", name, strerror(-err));
			exit(1);
		}
		flame_done(&flame);
	}
	selector_free(selector);
	print_times(name, &times);
}

static void ask_series(struct bench *bench, const char *name, const char *by, size_t points)
{
	struct times times;
	struct store_question question = { .type = STR(TYPE),
					   .from_unix_ms = START_MS,
					   .to_unix_ms = START_MS + WINDOW_COUNT * 1000 };
	int64_t step_ms = WINDOW_COUNT * 1000 / (int64_t)points;
	struct store_grid grid = { START_MS + step_ms, step_ms, points };
	struct str group = str_from(by);

	for (int i = 0; i < QUESTION_COUNT; i++) {
		struct store_rows rows = { 0 };

		start(&times, i);
		if (store_series(bench->store, &question, &group, 1, &grid, &rows) < 0)
			exit(1);
		stop(&times, i);
		store_rows_done(&rows);
	}
	print_times(name, &times);
}

static void ask_labels(struct bench *bench)
{
	struct times times;
	struct store_question question = { .from_unix_ms = START_MS,
					   .to_unix_ms = START_MS + WINDOW_COUNT * 1000 };

	for (int i = 0; i < QUESTION_COUNT; i++) {
		struct store_texts texts = { 0 };

		start(&times, i);
		if (store_label_values(bench->store, &question, STR("pid"), &texts) < 0)
			exit(1);
		stop(&times, i);
		store_texts_done(&texts);
	}
	print_times("values of a label, an hour", &times);
}

/* Resident, of this process: without the generator's own list of stacks. */
static void print_memory(void)
{
	FILE *file = fopen("/proc/self/statm", "re");
	long size = 0;
	long resident = 0;

	if (file && fscanf(file, "%ld %ld", &size, &resident) == 2)
		printf("%-40s %8.1f MiB\n", "resident",
		       (double)resident * (double)sysconf(_SC_PAGESIZE) / (1 << 20));
	if (file)
		fclose(file);
}

int main(void)
{
	char folder[] = "/tmp/hearth-bench-XXXXXX";
	char command[64];
	struct bench bench = { .random = { 42 } };
	struct store_status status;

	if (!mkdtemp(folder))
		return 1;

	struct store_options options = { .folder = folder };

	if (store_open(&options, &bench.store) < 0 || batch_new(MEMORY_MAX, &bench.batch) < 0)
		return 1;
	pool_init(&bench.stacks, 1 << 24, NULL);
	for (int i = 0; i < SERVICE_COUNT; i++)
		bench.shares[i] = (i ? bench.shares[i - 1] : 0) + 1 / pow(i + 1, 1.05);
	write_hour(&bench);
	pool_done(&bench.stacks);
	store_status(bench.store, &status);
	printf("%-40s %8.2f B a sample\n", "on disk, nothing sealed",
	       (double)status.bytes / (double)status.samples);
	ask_flame(&bench, "flame graph, an hour, whole host", "{}", "service_name", START_MS);
	ask_flame(&bench, "flame graph, an hour, one service", "{service_name=\"service-0\"}", "",
		  START_MS);
	ask_flame(&bench, "flame graph, 55 minutes, whole host", "{}", "", START_MS + 301000);
	ask_flame(&bench, "flame graph, an hour, a row a process", "{}", "pid", START_MS);
	ask_flame(&bench, "flame graph, an hour, one process", "{pid=\"1100\"}", "", START_MS);
	ask_series(&bench, "processes of an hour, 30 points", "process", 30);
	ask_series(&bench, "services of an hour, 180 points", "service_name", 180);
	ask_labels(&bench);
	print_memory();
	store_close(bench.store);
	batch_free(bench.batch);
	snprintf(command, sizeof(command), "rm -r %s", folder);
	return system(command) != 0;
}
