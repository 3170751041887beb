/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Recordings that JDKs and async-profiler make here, of a program with known shares
 * (tests/clients/java), read by us and by the JDK's own `jfr print`: the same stacks, with the same
 * counts and weights. HEARTH_REQUIRE_CLIENTS=1: nothing may be missing.
 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "base/folder.h"
#include "store/batch_private.h"
#include "tests/support/hearth.h"
#include "web/jfr_names.h"
#include "web/jfr_reader.h"

enum {
	OUTPUT_SIZE = 1 << 16,
	NAME_SIZE = 1 << 16,
	MEMORY = 256 << 20,
	SECONDS = 6,
	PERIOD_NS = 1, /* so that time counts samples */
};

static char output[OUTPUT_SIZE];
static char folder[64];

/* ---- sums -------------------------------------------------------------------------------------
 */

/* "type stack", and what it adds up to. */
struct sum {
	char *key;
	double value;
};

struct sums {
	struct sum *items;
	size_t count, capacity;
};

static void add_sum(struct sums *sums, const char *key, double value)
{
	if (sums->count == sums->capacity) {
		sums->capacity = sums->capacity ? 2 * sums->capacity : 1024;
		sums->items = realloc(sums->items, sums->capacity * sizeof(sums->items[0]));
		assert_non_null(sums->items);
	}
	sums->items[sums->count] = (struct sum){ strdup(key), value };
	assert_non_null(sums->items[sums->count++].key);
}

static int by_key(const void *a, const void *b)
{
	return strcmp(((const struct sum *)a)->key, ((const struct sum *)b)->key);
}

/* Sorted, each key once. */
static void merge(struct sums *sums)
{
	size_t kept = 0;

	qsort(sums->items, sums->count, sizeof(sums->items[0]), by_key);
	for (size_t i = 0; i < sums->count; i++) {
		if (kept > 0 && !strcmp(sums->items[kept - 1].key, sums->items[i].key)) {
			sums->items[kept - 1].value += sums->items[i].value;
			free(sums->items[i].key);
		} else {
			sums->items[kept++] = sums->items[i];
		}
	}
	sums->count = kept;
}

static void sums_done(struct sums *sums)
{
	for (size_t i = 0; i < sums->count; i++)
		free(sums->items[i].key);
	free(sums->items);
}

/* ---- what we read -----------------------------------------------------------------------------
 */

/* A frame as both sides have it: interpreted "!", inlined into the next "~". */
static void print_frame(struct buf *key, struct str function, long long line, const char *kind)
{
	buf_printf(key, " %.*s:%lld%s", STR_PRINT(function), line > 0 ? line : 0, kind);
}

static void print_stack(const struct batch *batch, uint32_t number, struct buf *key)
{
	struct str stack = pool_get(&batch->stacks, number);

	for (size_t i = 1; i < stack.size / sizeof(uint32_t); i++) {
		struct batch_line lines[NAMED_LINE_COUNT_MAX];
		struct str coded;
		uint32_t place;
		size_t count;
		bool is_interpreted = false;

		memcpy(&place, stack.text + i * sizeof(uint32_t), sizeof(place));
		coded = pool_get(&batch->names,
				 (uint32_t)batch->locations.items.items[place].address);
		assert_true(coded.size <= sizeof(lines));
		memcpy(lines, coded.text, coded.size);
		count = coded.size / sizeof(lines[0]);
		/* Who runs it, behind the functions. */
		if (pool_get(&batch->texts, lines[count - 1].function).size == 0)
			is_interpreted = lines[--count].line >> 8 & BINARY_INTERPRETED;
		for (size_t k = 0; k < count; k++)
			print_frame(key, pool_get(&batch->texts, lines[k].function), lines[k].line,
				    k + 1 < count    ? "~"
				    : is_interpreted ? "!"
						     : "");
	}
}

static void read_by_us(const char *path, struct sums *sums)
{
	const struct pprof_origin origin = { .time_unix_ms = 1 };
	const struct jfr_form form = { .period_ns = PERIOD_NS, .has_lines = true };
	autoclean(buf) struct buf bytes = BUF(MEMORY);
	autoclean(batch) struct batch *batch = NULL;
	struct pprof_summary summary = { 0 };
	char reason[PPROF_ERROR_SIZE];
	FILE *file = fopen(path, "r");
	long size;

	assert_non_null(file);
	assert_int_equal(fseek(file, 0, SEEK_END), 0);
	size = ftell(file);
	rewind(file);
	assert_int_equal(fread(buf_grow(&bytes, (size_t)size), 1, (size_t)size, file), size);
	(void)fclose(file);
	assert_int_equal(batch_new(MEMORY, &batch), 0);
	if (jfr_read((struct str){ (const char *)bytes.bytes, bytes.size }, &origin, &form, batch,
		     &summary, reason))
		fail_msg("%s: %s", path, reason);
	for (uint32_t i = 0; i < batch->items.count; i++) {
		const struct batch_item *item = &batch->items.items[i];
		autoclean(buf) struct buf key = BUF(MEMORY);
		struct batch_series series;

		memcpy(&series, pool_get(&batch->series, item->series).text, sizeof(series));
		buf_add_str(&key, pool_get(&batch->texts, series.type));
		print_stack(batch, item->stack, &key);
		buf_add_u8(&key, 0);
		add_sum(sums, (const char *)key.bytes, (double)item->value);
	}
	merge(sums);
}

/* ---- what the JDK reads -----------------------------------------------------------------------
 */

static const char *text_of(json_t *value, const char *name)
{
	const char *text = json_string_value(json_object_get(value, name));

	return text ? text : "";
}

/* Of "PT1H2M3.004S", in nanoseconds. */
static double duration_of(const char *text)
{
	double seconds = 0;
	char *end;

	for (text = strchr(text, 'T') ? strchr(text, 'T') + 1 : ""; *text; text = end + 1) {
		double number = strtod(text, &end);

		if (end == text || !*end)
			break;
		seconds += number * (*end == 'H' ? 3600 : *end == 'M' ? 60 : 1);
	}
	return seconds * 1e9;
}

static bool is_compiled(json_t *frame)
{
	static const char *const types[] = { "JIT compiled", "C1 compiled", "Inlined", "Native" };

	for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++)
		if (!strcmp(text_of(frame, "type"), types[i]))
			return true;
	return false;
}

static void add_frames(json_t *trace, struct buf *key)
{
	json_t *frames = json_object_get(trace, "frames");

	for (size_t i = 0; i < json_array_size(frames); i++) {
		json_t *frame = json_array_get(frames, i);
		json_t *method = json_object_get(frame, "method");
		bool is_inlined = !strcmp(text_of(frame, "type"), "Inlined");
		bool has_caller = i + 1 < json_array_size(frames) &&
				  is_compiled(json_array_get(frames, i + 1));
		autoclean(buf) struct buf name = BUF(NAME_SIZE);

		jfr_names_add(&name, str_from(text_of(json_object_get(method, "type"), "name")),
			      str_from(text_of(method, "name")));
		print_frame(key, (struct str){ (const char *)name.bytes, name.size },
			    json_integer_value(json_object_get(frame, "lineNumber")),
			    is_inlined && has_caller			     ? "~"
			    : !strcmp(text_of(frame, "type"), "Interpreted") ? "!"
									     : "");
	}
}

static void add_value(struct sums *sums, const char *type, json_t *values, double value)
{
	autoclean(buf) struct buf key = BUF(MEMORY);

	buf_printf(&key, "%s", type);
	add_frames(json_object_get(values, "stackTrace"), &key);
	buf_add_u8(&key, 0);
	assert_int_equal(key.error, 0);
	/* Nothing is kept that weighs nothing. */
	if (value > 0)
		add_sum(sums, (const char *)key.bytes, value);
}

/* What events with a weight become. */
static const struct {
	const char *event, *count, *sum, *weight;
	bool is_duration;
} weighed[] = {
	{ "jdk.ObjectAllocationInNewTLAB", "memory:alloc_in_new_tlab_objects:count:space:bytes",
	  "memory:alloc_in_new_tlab_bytes:bytes:space:bytes", "tlabSize", false },
	{ "jdk.ObjectAllocationOutsideTLAB", "memory:alloc_outside_tlab_objects:count:space:bytes",
	  "memory:alloc_outside_tlab_bytes:bytes:space:bytes", "allocationSize", false },
	{ "jdk.ObjectAllocationSample", "memory:alloc_sample_objects:count:space:bytes",
	  "memory:alloc_sample_bytes:bytes:space:bytes", "weight", false },
	{ "jdk.JavaMonitorEnter", "mutex:contentions:count:mutex:count",
	  "mutex:delay:nanoseconds:mutex:count", "duration", true },
	{ "jdk.ThreadPark", "block:contentions:count:block:count",
	  "block:delay:nanoseconds:block:count", "duration", true },
	{ "jdk.CPUTimeSample", "process_cpu:cpu_time_samples:count:cpu_time:nanoseconds",
	  "process_cpu:cpu_time:nanoseconds:cpu_time:nanoseconds", "samplingPeriod", true },
	{ "profiler.Malloc", "memory:malloc_objects:count::", "memory:malloc_bytes:bytes::", "size",
	  false },
	{ "profiler.LiveObject", "memory:live:count:objects:count", NULL, NULL, false },
	{ "jdk.NativeMethodSample", "native:samples:count:native:count", NULL, NULL, false },
};

#define CPU  "process_cpu:cpu:nanoseconds:cpu:nanoseconds"
#define WALL "wall:wall:nanoseconds:wall:nanoseconds"

static void add_event(struct sums *sums, const char *type, json_t *values, bool is_wall)
{
	const char *state = text_of(values, "state");

	if (!strcmp(type, "jdk.ExecutionSample")) {
		if (strcmp(state, "STATE_SLEEPING") != 0)
			add_value(sums, CPU, values, 1);
		if (is_wall)
			add_value(sums, WALL, values, 1);
	} else if (!strcmp(type, "profiler.WallClockSample")) {
		double count = json_number_value(json_object_get(values, "samples"));

		if (is_wall && !strcmp(state, "STATE_RUNNABLE"))
			add_value(sums, CPU, values, count);
		add_value(sums, WALL, values, count);
	}
	for (size_t i = 0; i < sizeof(weighed) / sizeof(weighed[0]); i++) {
		if (strcmp(type, weighed[i].event) != 0)
			continue;
		add_value(sums, weighed[i].count, values, 1);
		if (weighed[i].is_duration)
			add_value(sums, weighed[i].sum, values,
				  duration_of(text_of(values, weighed[i].weight)));
		else if (weighed[i].sum)
			add_value(sums, weighed[i].sum, values,
				  json_number_value(json_object_get(values, weighed[i].weight)));
	}
}

static bool is_recorded_by_wall_clock(json_t *events)
{
	for (size_t i = 0; i < json_array_size(events); i++) {
		json_t *values = json_object_get(json_array_get(events, i), "values");

		if (!strcmp(text_of(json_array_get(events, i), "type"), "jdk.ActiveSetting") &&
		    !strcmp(text_of(values, "name"), "event") &&
		    !strcmp(text_of(values, "value"), "wall"))
			return true;
	}
	return false;
}

static void read_by_jdk(const char *jfr, const char *path, struct sums *sums)
{
	char printed[NAME_SIZE];
	json_t *root, *events;
	bool is_wall;

	snprintf(printed, sizeof(printed), "%s.json", path);
	if (shell_output(output, sizeof(output),
			 "'%s' print --json --stack-depth 4096 --events "
			 "'jdk.ActiveSetting,jdk.ExecutionSample,jdk.CPUTimeSample,"
			 "jdk.NativeMethodSample,"
			 "jdk.ObjectAllocation*,jdk.JavaMonitorEnter,jdk.ThreadPark,profiler.*' "
			 "'%s' 2>&1 >'%s'",
			 jfr, path, printed))
		fail_msg("%s: %s", path, output);
	root = json_load_file(printed, 0, NULL);
	assert_non_null(root);
	events = json_object_get(json_object_get(root, "recording"), "events");
	assert_true(json_array_size(events) > 0);
	is_wall = is_recorded_by_wall_clock(events);
	for (size_t i = 0; i < json_array_size(events); i++) {
		json_t *event = json_array_get(events, i);
		json_t *values = json_object_get(event, "values");
		json_t *frames = json_object_get(json_object_get(values, "stackTrace"), "frames");

		/* What has no stack is nobody's. */
		if (json_array_size(frames) > 0)
			add_event(sums, text_of(event, "type"), values, is_wall);
	}
	json_decref(root);
	(void)unlink(printed);
	merge(sums);
}

/* ---- both -------------------------------------------------------------------------------------
 */

/* Durations are rounded here once for each event, there as they are printed. */
static bool are_alike(const struct sum *a, const struct sum *b)
{
	double difference = a->value > b->value ? a->value - b->value : b->value - a->value;

	return !strcmp(a->key, b->key) &&
	       difference <= (strstr(a->key, ":delay:") || strstr(a->key, ":cpu_time:")
				      ? 1000 + 1e-6 * b->value
				      : 0);
}

static void assert_alike(const char *jfr, const char *path)
{
	struct sums ours = { 0 };
	struct sums theirs = { 0 };

	read_by_us(path, &ours);
	read_by_jdk(jfr, path, &theirs);
	for (size_t i = 0; i < ours.count && i < theirs.count; i++)
		if (!are_alike(&ours.items[i], &theirs.items[i]))
			fail_msg("%s: ours\n%s %.0f, the JDK's\n%s %.0f", path, ours.items[i].key,
				 ours.items[i].value, theirs.items[i].key, theirs.items[i].value);
	assert_int_equal(ours.count, theirs.count);
	print_message("%s: %zu stacks of all types, all alike\n", path, ours.count);
	sums_done(&ours);
	sums_done(&theirs);
}

/*
 * Of all CPU samples within the two, so many were in the longer: 70 ± 5 %, and twice what chance
 * adds to it when they are few, as on a busy machine.
 */
static void assert_shares(const char *path)
{
	struct sums sums = { 0 };
	double longer = 0;
	double shorter = 0;
	double count;

	read_by_us(path, &sums);
	for (size_t i = 0; i < sums.count; i++) {
		if (!str_starts_with(str_from(sums.items[i].key), STR(CPU)))
			continue;
		if (strstr(sums.items[i].key, " Shares.burnLong:"))
			longer += sums.items[i].value;
		else if (strstr(sums.items[i].key, " Shares.burnShort:"))
			shorter += sums.items[i].value;
	}
	count = longer + shorter;
	if (count < 50 || fabs(longer / count - 0.7) > 0.05 + 2 * sqrt(0.7 * 0.3 / count))
		fail_msg("%s: %.0f and %.0f samples", path, longer, shorter);
	print_message("%s: %.1f %% of %.0f samples\n", path, 100 * longer / count, count);
	sums_done(&sums);
}

static void need_java(void)
{
	char classes[256];

	(void)build_path("tests/clients/java", classes, sizeof(classes));
	if (shell_output(output, sizeof(output),
			 "mkdir -p '%s' && javac -d '%s' tests/clients/java/Shares.java 2>&1",
			 classes, classes))
		skip_without("there is no JDK on this machine (openjdk-17-jdk-headless)", output);
}

/* With options for the JVM, of which %s is the recording's path. */
static void record(const char *java, const char *options, const char *path)
{
	char classes[256];

	(void)build_path("tests/clients/java", classes, sizeof(classes));
	if (shell_output(output, sizeof(output), "timeout 120 '%s' %s%s -cp '%s' Shares %d 2>&1",
			 java, options, path, classes, SECONDS))
		fail_msg("%s %s: %s", java, options, output);
}

static void every_jdk_agrees(void **state)
{
	char list[4096];
	char *saved = NULL;
	unsigned number = 0;

	(void)state;
	need_java();
	assert_int_equal(shell_output(list, sizeof(list),
				      "for j in /usr/lib/jvm/*/bin/java \"$(command -v java)\"; do "
				      "[ -x \"$(dirname \"$(readlink -f \"$j\")\")/jfr\" ] && "
				      "readlink -f \"$j\"; done | sort -u"),
			 0);
	for (char *java = strtok_r(list, "\n", &saved); java; java = strtok_r(NULL, "\n", &saved)) {
		char path[256], jfr[NAME_SIZE];

		snprintf(path, sizeof(path), "%s/jdk%u.jfr", folder, number++);
		snprintf(jfr, sizeof(jfr), "%.*sjfr", (int)strlen(java) - 4, java);
		record(java,
		       "-XX:StartFlightRecording=settings=profile,"
		       "jdk.ExecutionSample#period=1ms,"
		       "jdk.CPUTimeSample#enabled=true,filename=", /* 25; to 17 it is nothing */
		       path);
		assert_alike(jfr, path);
		assert_shares(path);
	}
	assert_true(number > 0);
}

static void async_profiler_agrees_in_its_modes(void **state)
{
	static const struct {
		const char *options;
		bool has_shares;
	} modes[] = {
		{ "event=itimer,interval=2ms", true },
		{ "event=ctimer,interval=2ms,alloc=64k,lock=1ms", true },
		{ "event=wall,interval=10ms", false },
		{ "event=itimer,interval=2ms,wall=20ms", true },
		{ "event=alloc,live", false },
		{ "nativemem=64k", false },
	};
	char fetched[256], options[512];

	(void)state;
	need_java();
	(void)build_path("tests/clients/maven", fetched, sizeof(fetched));
	if (shell_output(
		    output, sizeof(output),
		    "mkdir -p '%s' && fetched=$(realpath '%s') && timeout 200 mvn -q -B -f "
		    "tests/clients/java/pom.xml -Dfetched=\"$fetched\" dependency:copy 2>&1 && cd "
		    "'%s' && unzip -qo async-profiler.jar linux-x64/libasyncProfiler.so",
		    fetched, fetched, fetched))
		skip_without("async-profiler could not be fetched (maven, unzip)", output);
	for (size_t i = 0; i < sizeof(modes) / sizeof(modes[0]); i++) {
		char path[256];

		snprintf(path, sizeof(path), "%s/async%zu.jfr", folder, i);
		snprintf(options, sizeof(options),
			 "-agentpath:'%s'/linux-x64/libasyncProfiler.so=start,%s,file=", fetched,
			 modes[i].options);
		record("java", options, path);
		assert_alike("jfr", path);
		if (modes[i].has_shares)
			assert_shares(path);
	}
}

static int make_folder(void **state)
{
	(void)state;
	snprintf(folder, sizeof(folder), "/tmp/hearth-jfr-XXXXXX");
	return mkdtemp(folder) ? 0 : -1;
}

static int drop_folder(void **state)
{
	(void)state;
	folder_remove(folder);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_jdk_agrees),
		cmocka_unit_test(async_profiler_agrees_in_its_modes),
	};

	return cmocka_run_group_tests(tests, make_folder, drop_folder);
}
