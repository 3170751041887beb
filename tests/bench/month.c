/* SPDX-License-Identifier: Apache-2.0 */
#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/heap.h"
#include "base/parse.h"
#include "base/str.h"
#include "store/batch.h"
#include "store/selector.h"
#include "store/store.h"
#include "tests/support/generator.h"

/*
 * A data folder of a long time (generate --store) against the store's bars: what is in it is
 * settled, written anew and rolled up as it would have been while the time passed, and then asked
 * for. Of times the median of several is printed, and the first. Before that a child of ours writes
 * the last minute of a busy host into it, and is killed.
 */

static const char usage[] = "usage: month FOLDER [FOLD [DETAIL_HOURS]]\n"
			    "\n"
			    "FOLD: nodes of fewer samples are folded (4); 1: none are. "
			    "DETAIL_HOURS (6): spans are written\n"
			    "anew when they have been full for so long; 0: at once.\n";

enum {
	QUESTION_COUNT = 11,
	NODE_COUNT = 16384,
	QUIET_COUNT = 3,
	MAINTAIN_PAUSE_US = 2000,
	CLOCK_PAUSE_US = 500000,
	TOGETHER_COUNT = 8,
	TOGETHER_ROUNDS = 3,
	CROWD_ROUNDS = 12,
	HOST_QUESTION_COUNT = 3, /* of flame_questions, the first */
	KILL_SECONDS = 60,
	COMMIT_SECONDS = 5,
	BATCH_SIZE_MAX = 64 << 20,
};

#define TYPE	"process_cpu:cpu:nanoseconds:cpu:nanoseconds"
#define HOUR_MS INT64_C(3600000)
#define DAY_MS	(24 * HOUR_MS)

struct month {
	struct store *store;
	int64_t end_ms;
};

static int fail(int err, const char *what)
{
	fprintf(stderr, "month: %s: %s\n", what, strerror(-err));
	return 1;
}

static void print_figure(const char *name, double value, const char *unit)
{
	printf("%-52s %10.2f %s\n", name, value, unit);
}

static void print_against(const char *name, double value, const char *unit, const char *bar)
{
	printf("%-52s %10.2f %s   (bar: %s)\n", name, value, unit, bar);
}

static double cpu_seconds(void)
{
	struct rusage used;

	getrusage(RUSAGE_SELF, &used);
	return (double)(used.ru_utime.tv_sec + used.ru_stime.tv_sec) +
	       (double)(used.ru_utime.tv_usec + used.ru_stime.tv_usec) / 1e6;
}

/* ---- to rest --------------------------------------------------------------------------------- */

/* A store whose newest data are long ago trusts the clock after ten minutes. */
static int trust_clock(struct month *month)
{
	struct store_status status = { 0 };
	bool has_told = false;

	do {
		int err = store_maintain(month->store, clock_unix_ms());

		if (err)
			return err;
		store_status(month->store, &status);
		if (status.clock_jumped && !has_told)
			fprintf(stderr, "month: waits ten minutes, as any store of the past\n");
		has_told = true;
		if (status.clock_jumped)
			usleep(CLOCK_PAUSE_US);
	} while (status.clock_jumped);
	return 0;
}

/* Until nothing is left to be done in the background. */
static int rest(struct month *month)
{
	struct store_status status = { 0 };
	double before = cpu_seconds();
	int quiet = 0;
	int trusted = trust_clock(month);

	if (trusted)
		return trusted;
	while (quiet < QUIET_COUNT) {
		int err = store_maintain(month->store, clock_unix_ms());

		if (err)
			return err;
		store_status(month->store, &status);
		quiet = status.is_compacting ? 0 : quiet + 1;
		usleep(MAINTAIN_PAUSE_US);
	}
	print_against("to rest: settling, sealing, rolling up",
		      (cpu_seconds() - before) * 1e6 / (double)status.samples, "us a sample, CPU",
		      "<= 1");
	return 0;
}

static void print_sizes(struct month *month)
{
	struct store_status status;

	store_status(month->store, &status);
	month->end_ms = status.newest_ms;
	print_figure("samples", (double)status.samples / 1e6, "million");
	print_figure("days", (double)(status.newest_ms - status.oldest_ms) / (double)DAY_MS, "");
	print_against("all on disk", (double)status.bytes / (double)status.samples, "B a sample",
		      "<= 1.0, 1.7 without folding");
	print_figure("of that in roll-ups",
		     (double)status.classes[STORE_ROLLED].bytes / (double)status.samples,
		     "B a sample");
	print_figure("written anew", (double)status.compact_samples * 100 / (double)status.samples,
		     "% of the samples");
	if (status.compact_samples)
		print_against("of these lost frames by folding",
			      (double)status.folded_samples * 100 / (double)status.compact_samples,
			      "%", "<= 15");
}

/* ---- questions ------------------------------------------------------------------------------- */

static int compare_times(const void *a, const void *b)
{
	double x = *(const double *)a;
	double y = *(const double *)b;

	return (x > y) - (x < y);
}

static void print_times(const char *name, double *times, unsigned bar_ms)
{
	double first = times[0];

	qsort(times, QUESTION_COUNT, sizeof(times[0]), compare_times);
	printf("%-52s %10.2f ms, the first %.2f", name, times[QUESTION_COUNT / 2], first);
	if (bar_ms)
		printf("   (bar: <= %u)", bar_ms);
	putchar('\n');
}

static int ask_flame(struct month *month, const char *name, unsigned bar_ms, int64_t ago_ms,
		     const char *text, bool is_exact)
{
	char error[SELECTOR_ERROR_SIZE];
	double times[QUESTION_COUNT];
	struct selector *selector = NULL;
	int err = text ? selector_parse(str_from(text), &selector, error) : 0;
	struct store_question question = { .type = STR(TYPE),
					   .selector = selector,
					   .from_unix_ms = month->end_ms - ago_ms,
					   .to_unix_ms = month->end_ms,
					   .is_exact = is_exact };
	struct flame_options options = { .node_count_max = NODE_COUNT };
	double rolled = 0;

	for (int i = 0; !err && i < QUESTION_COUNT; i++) {
		struct flame flame = { 0 };
		uint64_t start_ns = clock_monotonic_ns();

		err = store_flame(month->store, &question, &options, &flame);
		times[i] = (double)(clock_monotonic_ns() - start_ns) / 1e6;
		if (!err && flame.sample_count)
			rolled = (double)flame.rolled_count * 100 / (double)flame.sample_count;
		flame_done(&flame);
	}
	selector_free(selector);
	if (err)
		return err;
	print_times(name, times, bar_ms);
	if (rolled > 0)
		printf("%-52s %10.1f %%\n", "  out of roll-ups", rolled);
	return 0;
}

static int ask_series(struct month *month, int64_t ago_ms, int64_t step_ms)
{
	double times[QUESTION_COUNT];
	struct store_question question = { .type = STR(TYPE),
					   .from_unix_ms = month->end_ms - ago_ms,
					   .to_unix_ms = month->end_ms };
	struct store_grid grid = { question.from_unix_ms + step_ms, step_ms,
				   (size_t)(ago_ms / step_ms) };
	struct str group = STR("service_name");
	int err = 0;

	for (int i = 0; !err && i < QUESTION_COUNT; i++) {
		struct store_rows rows = { 0 };
		uint64_t start_ns = clock_monotonic_ns();

		err = store_series(month->store, &question, &group, 1, &grid, &rows);
		times[i] = (double)(clock_monotonic_ns() - start_ns) / 1e6;
		if (!err)
			store_rows_done(&rows);
	}
	if (!err)
		print_times("time series of 30 d, by the hour and service", times, 50);
	return err;
}

static int ask_label_values(struct store *store, const struct store_question *question,
			    struct store_texts *ret)
{
	return store_label_values(store, question, STR("service_name"), ret);
}

typedef int list_ask(struct store *store, const struct store_question *question,
		     struct store_texts *ret);

static int ask_list(struct month *month, const char *name, list_ask *ask)
{
	double times[QUESTION_COUNT];
	struct store_question question = { .from_unix_ms = month->end_ms - 30 * DAY_MS,
					   .to_unix_ms = month->end_ms };
	int err = 0;

	for (int i = 0; !err && i < QUESTION_COUNT; i++) {
		struct store_texts texts = { 0 };
		uint64_t start_ns = clock_monotonic_ns();

		err = ask(month->store, &question, &texts);
		times[i] = (double)(clock_monotonic_ns() - start_ns) / 1e6;
		if (!err)
			store_texts_done(&texts);
	}
	if (!err)
		print_times(name, times, 10);
	return err;
}

/* Every series with its labels, as Grafana asks for them. */
static int ask_series_list(struct month *month)
{
	double times[QUESTION_COUNT];
	struct store_question question = { .from_unix_ms = month->end_ms - 30 * DAY_MS,
					   .to_unix_ms = month->end_ms };
	struct store_texts names = { 0 };
	int err = store_series_label_names(month->store, &question, &names);

	for (int i = 0; !err && i < QUESTION_COUNT; i++) {
		struct store_label_sets sets = { 0 };
		uint64_t start_ns = clock_monotonic_ns();

		err = store_label_sets(month->store, &question, names.texts, names.count, &sets);
		times[i] = (double)(clock_monotonic_ns() - start_ns) / 1e6;
		if (!err)
			store_label_sets_done(&sets);
	}
	store_texts_done(&names);
	if (!err)
		print_times("series, 30 d", times, 10);
	return err;
}

static const struct {
	const char *name;
	unsigned bar_ms; /* 0: none */
	int64_t ago_ms;
	const char *selector;
	bool is_exact;
} flame_questions[] = {
	{ "flame graph of the host, 1 h", 15, HOUR_MS, NULL, false },
	{ "flame graph of the host, 24 h", 30, DAY_MS, NULL, false },
	{ "flame graph of the host, 30 d", 60, 30 * DAY_MS, NULL, false },
	{ "flame graph of the host, 24 h, exact", 0, DAY_MS, NULL, true },
	{ "flame graph of a service, 1 h", 25, HOUR_MS, "{service_name=\"service0\"}", false },
	{ "flame graph of a service, 24 h", 0, DAY_MS, "{service_name=\"service0\"}", false },
	{ "flame graph of a service, 30 d", 0, 30 * DAY_MS, "{service_name=\"service0\"}", false },
};

static int ask_all(struct month *month)
{
	int err = 0;

	for (size_t i = 0; !err && i < sizeof(flame_questions) / sizeof(flame_questions[0]); i++)
		err = ask_flame(month, flame_questions[i].name, flame_questions[i].bar_ms,
				flame_questions[i].ago_ms, flame_questions[i].selector,
				flame_questions[i].is_exact);
	if (!err)
		err = ask_series(month, 30 * DAY_MS, HOUR_MS);
	if (!err)
		err = ask_list(month, "values of a label, 30 d", ask_label_values);
	if (!err)
		err = ask_list(month, "names of labels of series, 30 d", store_series_label_names);
	if (!err)
		err = ask_series_list(month);
	if (!err)
		err = ask_list(month, "profile types, 30 d", store_profile_types);
	return err;
}

/* ---- under load ------------------------------------------------------------------------------ */

/* One of several who ask the same again and again. */
struct crowd_member {
	pthread_t thread;
	struct month *month;
	const struct store_question *question;
	double *times; /* ms, CROWD_ROUNDS of them */
	int err;
};

static int time_flame(struct month *month, const struct store_question *question, double *ret_ms)
{
	struct flame_options options = { .node_count_max = NODE_COUNT };
	struct flame flame = { 0 };
	uint64_t start_ns = clock_monotonic_ns();
	int err = store_flame(month->store, question, &options, &flame);

	*ret_ms = (double)(clock_monotonic_ns() - start_ns) / 1e6;
	flame_done(&flame);
	return err;
}

static void *ask_in_crowd(void *context)
{
	struct crowd_member *member = context;

	for (int i = 0; !member->err && i < CROWD_ROUNDS; i++)
		member->err = time_flame(member->month, member->question, &member->times[i]);
	return NULL;
}

/* So many people ask it at once: the median of their times, and of a hundred the longest. */
static int ask_crowd(struct month *month, const char *name, const struct store_question *question,
		     int count, unsigned bar_ms)
{
	double times[TOGETHER_COUNT * CROWD_ROUNDS] = { 0 };
	struct crowd_member members[TOGETHER_COUNT] = { 0 };
	size_t total = (size_t)count * CROWD_ROUNDS;
	int begun = 0;
	int err = 0;

	assert(count <= TOGETHER_COUNT);
	for (; !err && begun < count; begun++) {
		members[begun] =
			(struct crowd_member){ .month = month,
					       .question = question,
					       .times = &times[(size_t)begun * CROWD_ROUNDS] };
		err = -pthread_create(&members[begun].thread, NULL, ask_in_crowd, &members[begun]);
		if (err)
			break;
	}
	for (int i = 0; i < begun; i++) {
		pthread_join(members[i].thread, NULL);
		err = err ? err : members[i].err;
	}
	if (err)
		return err;
	qsort(times, total, sizeof(times[0]), compare_times);
	printf("  %-50s %10.2f ms, of a hundred the longest %.2f   (bar: <= 3 x %u)\n", name,
	       times[total / 2], times[total * 99 / 100], bar_ms);
	return 0;
}

/* A busy host that is stored as fast as it can be. */
struct flood {
	pthread_t thread;
	struct month *month;
	_Atomic bool is_over;
	uint64_t samples;
	int err;
};

static void *pour(void *context)
{
	struct flood *flood = context;
	struct generator_options of_host = { .seed = (uint64_t)clock_unix_ns(),
					     .service_count = 400,
					     .process_count = 3000,
					     .samples_per_window = 6336,
					     .cpu_count = 64,
					     .frequency_hz = 99,
					     .start_unix_ns = clock_unix_ns() };
	struct generator *generator = NULL;
	struct batch *batch = NULL;

	flood->err = generator_new(&of_host, &generator);
	if (!flood->err)
		flood->err = batch_new(BATCH_SIZE_MAX, &batch);
	for (int i = 1; !flood->err && !flood->is_over; i++) {
		(void)generator_next(generator);
		batch_clear(batch);
		flood->err = generator_fill(generator, true, batch);
		if (!flood->err)
			flood->err = store_append(flood->month->store, batch);
		if (!flood->err && i % COMMIT_SECONDS == 0)
			flood->err = store_commit(flood->month->store);
		flood->samples += of_host.samples_per_window;
	}
	batch_free(batch);
	generator_free(generator);
	return NULL;
}

/* Each of the host's, with one who asks and with eight. */
static int ask_crowds(struct month *month, const char *meanwhile)
{
	char name[128];
	int err = 0;

	for (size_t i = 0; !err && i < HOST_QUESTION_COUNT; i++) {
		struct store_question question = { .type = STR(TYPE),
						   .from_unix_ms = month->end_ms -
								   flame_questions[i].ago_ms,
						   .to_unix_ms = month->end_ms };

		for (int count = 1; !err && count <= TOGETHER_COUNT; count *= TOGETHER_COUNT) {
			snprintf(name, sizeof(name), "%lld h, %d at once%s",
				 (long long)(flame_questions[i].ago_ms / HOUR_MS), count,
				 meanwhile);
			err = ask_crowd(month, name, &question, count, flame_questions[i].bar_ms);
		}
	}
	return err;
}

static int ask_under_load(struct month *month)
{
	struct flood flood = { .month = month };
	uint64_t start_ns;
	int err;

	puts("flame graph of the host");
	err = ask_crowds(month, "");
	if (err)
		return err;
	start_ns = clock_monotonic_ns();
	err = -pthread_create(&flood.thread, NULL, pour, &flood);
	if (err)
		return err;
	err = ask_crowds(month, ", full speed in");
	flood.is_over = true;
	pthread_join(flood.thread, NULL);
	print_figure("  stored meanwhile",
		     (double)flood.samples / 1e6 /
			     ((double)(clock_monotonic_ns() - start_ns) / 1e9),
		     "million samples a second");
	return err ? err : flood.err;
}

/* ---- eight at once --------------------------------------------------------------------------- */

struct together {
	pthread_t thread;
	struct month *month;
	int number;
	int err;
	double times[TOGETHER_ROUNDS]; /* ms */
	double alone;
};

/* The worst of all that were asked at once, against the same alone. */
static double worst_ratio(const struct together *together)
{
	double worst = 0;

	for (int i = 0; i < TOGETHER_COUNT; i++)
		for (int k = 0; k < TOGETHER_ROUNDS; k++)
			if (together[i].times[k] > worst * together[i].alone)
				worst = together[i].times[k] / together[i].alone;
	return worst;
}

/* What looks at every stack, of the host and of all there is: nothing takes more. */
static int ask_heavy_one(struct month *month, int number)
{
	struct store_question question = { .type = STR(TYPE),
					   .from_unix_ms = month->end_ms - DAY_MS,
					   .to_unix_ms = month->end_ms,
					   .is_exact = number % 2 == 0 };
	struct flame_options options = { .node_count_max = NODE_COUNT,
					 .is_bottom_up = number % 4 == 1 };
	struct functions_options functions_options = { .limit = 100 };
	struct flame flame = { 0 };
	struct functions functions = { 0 };
	int err;

	if (number % 4 == 3) {
		err = store_functions(month->store, &question, &functions_options, &functions);
		functions_done(&functions);
	} else {
		err = store_flame(month->store, &question, &options, &flame);
		flame_done(&flame);
	}
	return err;
}

static void *ask_heavily(void *context)
{
	struct together *one = context;

	for (int i = 0; !one->err && i < TOGETHER_ROUNDS; i++) {
		uint64_t start_ns = clock_monotonic_ns();

		one->err = ask_heavy_one(one->month, one->number);
		one->times[i] = (double)(clock_monotonic_ns() - start_ns) / 1e6;
	}
	return NULL;
}

/* The most that was resident since the last time, MiB; begins anew. */
static double take_peak(void)
{
	char line[256];
	unsigned long long kb = 0;
	FILE *status = fopen("/proc/self/status", "re");
	FILE *clear = fopen("/proc/self/clear_refs", "we");

	while (status && fgets(line, sizeof(line), status))
		if (sscanf(line, "VmHWM: %llu", &kb) == 1)
			break;
	if (status)
		fclose(status);
	if (clear) {
		fputs("5", clear);
		fclose(clear);
	}
	return (double)kb / 1024;
}

static int ask_together(struct month *month)
{
	struct together together[TOGETHER_COUNT] = { 0 };
	struct store_status status;
	uint64_t start_ns;
	int err = 0;
	int count = 0;

	for (int i = 0; !err && i < TOGETHER_COUNT; i++) {
		together[i] = (struct together){ .month = month, .number = i };
		start_ns = clock_monotonic_ns();
		err = ask_heavy_one(month, i);
		together[i].alone = (double)(clock_monotonic_ns() - start_ns) / 1e6;
	}
	(void)take_peak();
	start_ns = clock_monotonic_ns();
	for (; !err && count < TOGETHER_COUNT; count++) {
		err = -pthread_create(&together[count].thread, NULL, ask_heavily, &together[count]);
		if (err)
			break;
	}
	for (int i = 0; i < count; i++) {
		pthread_join(together[i].thread, NULL);
		err = err ? err : together[i].err;
	}
	store_status(month->store, &status);
	print_figure("eight heavy questions at once, a round",
		     (double)(clock_monotonic_ns() - start_ns) / 1e6 / TOGETHER_ROUNDS, "ms");
	if (!err)
		print_against("the slowest of them against the same one alone",
			      worst_ratio(together), "times", "<= 3");
	print_figure("memory meanwhile", take_peak(), "MiB resident");
	print_figure("of that estimated for questions",
		     (double)status.question_memory_peak / (1 << 20), "MiB");
	return err;
}

/* ---- after a crash --------------------------------------------------------------------------- */

/* Writes a minute of a busy host into it, so that segments, logs and all are open, and is killed.
 */
static void be_killed(const struct store_options *options)
{
	struct generator_options of_host = { .seed = (uint64_t)clock_unix_ns(),
					     .service_count = 400,
					     .process_count = 3000,
					     .samples_per_window = 6336,
					     .cpu_count = 64,
					     .frequency_hz = 99,
					     .start_unix_ns = clock_unix_ns() -
							      KILL_SECONDS * CLOCK_NS_PER_S };
	struct generator *generator = NULL;
	struct batch *batch = NULL;
	struct store *store = NULL;
	int err = store_open(options, &store);

	if (!err)
		err = generator_new(&of_host, &generator);
	if (!err)
		err = batch_new(BATCH_SIZE_MAX, &batch);
	for (int i = 0; !err && i < KILL_SECONDS; i++) {
		(void)generator_next(generator);
		batch_clear(batch);
		err = generator_fill(generator, true, batch);
		if (!err)
			err = store_append(store, batch);
		if (!err && i % COMMIT_SECONDS == 0)
			err = store_commit(store);
	}
	if (!err)
		raise(SIGKILL);
	_exit(fail(err, "what was to be killed"));
}

static int open_killed(const struct store_options *options, struct store **ret)
{
	int status = 0;
	pid_t child = fork();
	uint64_t start_ns;
	int err;

	if (child < 0)
		return -errno;
	if (child == 0)
		be_killed(options);
	if (waitpid(child, &status, 0) < 0 || !WIFSIGNALED(status))
		return -ECHILD;
	start_ns = clock_monotonic_ns();
	err = store_open(options, ret);
	print_against("opening after kill -9", (double)(clock_monotonic_ns() - start_ns) / 1e6,
		      "ms", "<= 200");
	return err;
}

int main(int argument_count, char **arguments)
{
	struct store_options options = { 0 };
	struct month month = { 0 };
	uint64_t fold = 0;
	uint64_t detail_hours = 6;
	int err;

	/* As the server does. */
	heap_tame();
	if (argument_count < 2 || argument_count > 4 ||
	    (argument_count > 2 && parse_u64(str_from(arguments[2]), &fold)) ||
	    (argument_count > 3 && parse_u64(str_from(arguments[3]), &detail_hours))) {
		fputs(usage, stderr);
		return 64;
	}
	options.folder = arguments[1];
	options.fold = (uint32_t)fold;
	options.detail_ms = detail_hours ? (int64_t)detail_hours * HOUR_MS : 1;
	err = open_killed(&options, &month.store);
	if (err)
		return fail(err, arguments[1]);
	err = rest(&month);
	if (!err)
		print_sizes(&month);
	print_figure("memory until then", take_peak(), "MiB resident");
	if (!err)
		err = ask_all(&month);
	print_figure("memory of one question at a time", take_peak(), "MiB resident");
	if (!err)
		err = ask_together(&month);
	if (!err)
		err = ask_under_load(&month);
	store_close(month.store);
	return err ? fail(err, arguments[1]) : 0;
}
