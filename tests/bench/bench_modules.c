/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A server right after its start, and 300 modules that it knows nothing of: this program plays the
 * collector, sends what ran in real files of this machine, and passes them as they are wished for.
 * How soon a question is answered, how soon completely, and what the server takes then; and the
 * same after a restart, when the symbol files are there.
 */
#include <errno.h>
#include <fcntl.h>
#include <fts.h>
#include <pthread.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/link.h"
#include "base/window.h"
#include "collector/shipper.h"
#include "symbols/elf_file.h"
#include "tests/support/hearth.h"

enum {
	MODULE_COUNT = 300,
	ADDRESS_COUNT = 20, /* of a module */
	ENTRY_COUNT = MODULE_COUNT * ADDRESS_COUNT,
	COLLECTOR = 4711,
	FILE_SIZE_MIN = 16 << 10,
	PATIENCE_S = 60,
};

#define WINDOW_NS ((uint64_t)CLOCK_NS_PER_S)

struct module {
	struct identity identity;
	struct elf_segment code;
	char *path;
};

struct bench {
	struct module modules[MODULE_COUNT];
	unsigned count;
	struct hearth hearth;
	struct shipper *shipper;
	pthread_t collector;
	_Atomic bool stops;
	_Atomic unsigned passed;
	uint64_t start_boot_ns;
	uint64_t sequence;
};

static void print_figure(const char *what, double value, double bar, const char *unit)
{
	printf("%-66s %10.2f %s (bar %g)%s\n", what, value, unit, bar, value > bar ? "  OVER" : "");
}

/* ---- the modules ---- */

static bool add_module(struct bench *bench, const char *path)
{
	autoclean(elf_file) struct elf_file *elf = NULL;
	autoclose int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct module *module = &bench->modules[bench->count];

	if (fd < 0 || elf_file_open(fd, &elf) || elf_file_code(elf, &module->code, 1) != 1)
		return false;
	module->identity = elf_file_build_id(elf);
	if (module->identity.kind != IDENTITY_GNU_BUILD_ID || module->code.size < ADDRESS_COUNT)
		return false;
	for (unsigned i = 0; i < bench->count; i++)
		if (identity_equal(&bench->modules[i].identity, &module->identity))
			return false;
	module->path = strdup(path);
	return module->path != NULL;
}

static int find_modules(struct bench *bench)
{
	char lib[] = "/usr/lib";
	char bin[] = "/usr/bin";
	char *const folders[] = { lib, bin, NULL };
	FTS *tree = fts_open(folders, FTS_PHYSICAL | FTS_NOCHDIR, NULL);
	FTSENT *entry;

	while (tree && bench->count < MODULE_COUNT && (entry = fts_read(tree)))
		if (entry->fts_info == FTS_F && entry->fts_statp->st_size >= FILE_SIZE_MIN)
			bench->count += add_module(bench, entry->fts_accpath);
	if (tree)
		fts_close(tree);
	return bench->count == MODULE_COUNT ? 0 : -ENOENT;
}

/* ---- the collector ---- */

static int open_file(void *context, const struct identity *identity, int *ret_fd)
{
	struct bench *bench = context;

	for (unsigned i = 0; i < bench->count; i++) {
		if (!identity_equal(&bench->modules[i].identity, identity))
			continue;
		*ret_fd = open(bench->modules[i].path, O_RDONLY | O_CLOEXEC);
		bench->passed++;
		return *ret_fd < 0 ? -errno : 0;
	}
	return -ENOENT;
}

/* A second in which each module was seen at each of its addresses once. */
static int push_window(struct bench *bench)
{
	static struct window_file files[MODULE_COUNT];
	static struct window_frame frames[ENTRY_COUNT];
	static struct window_stack stacks[ENTRY_COUNT];
	static struct window_entry entries[ENTRY_COUNT];
	static uint16_t times_ms[ENTRY_COUNT];
	struct window_process process = { .key = { .pid = 7, .start_boot_ns = 1000 },
					  .name = STR("busy") };
	struct window_thread thread = { .tid = 7, .name = STR("busy") };
	unsigned seed = 1;

	for (uint32_t i = 0; i < MODULE_COUNT; i++)
		files[i] = (struct window_file){ .identity = bench->modules[i].identity,
						 .path = str_from(bench->modules[i].path) };
	for (uint32_t i = 0; i < ENTRY_COUNT; i++) {
		const struct elf_segment *code = &bench->modules[i / ADDRESS_COUNT].code;

		frames[i] = (struct window_frame){
			.kind = FRAME_FILE,
			.reference = i / ADDRESS_COUNT,
			.address = code->offset + (uint64_t)rand_r(&seed) % code->size,
		};
		stacks[i] = (struct window_stack){ .first_frame = i, .frame_count = 1 };
		entries[i] = (struct window_entry){ .event = EVENT_CPU,
						    .stack = i,
						    .count = 1,
						    .weight = 10000000,
						    .first_time = i };
	}

	struct window window = {
		.collector = COLLECTOR,
		.sequence = ++bench->sequence,
		.start_boot_ns = bench->start_boot_ns + bench->sequence * WINDOW_NS,
		.end_boot_ns = bench->start_boot_ns + (bench->sequence + 1) * WINDOW_NS,
		.boot_to_unix_ns = clock_unix_ns() - (int64_t)clock_boot_ns(),
		.frequency_hz = 100,
		.cpu_count = 64,
		.sample_count = ENTRY_COUNT,
		.processes = &process,
		.process_count = 1,
		.threads = &thread,
		.thread_count = 1,
		.files = files,
		.file_count = MODULE_COUNT,
		.frames = frames,
		.frame_count = ENTRY_COUNT,
		.stacks = stacks,
		.stack_count = ENTRY_COUNT,
		.entries = entries,
		.entry_count = ENTRY_COUNT,
		.times_ms = times_ms,
		.time_count = ENTRY_COUNT,
	};

	return shipper_push(bench->shipper, &window);
}

/* A window a second, as a collector has it, and whatever is wished for. */
static void *collect(void *context)
{
	struct bench *bench = context;
	uint64_t next_ns = clock_monotonic_ns();

	while (!bench->stops) {
		struct pollfd ready = { .fd = shipper_fd(bench->shipper), .events = POLLIN };
		uint64_t now_ns = clock_monotonic_ns();

		if (now_ns >= next_ns) {
			if (push_window(bench))
				break;
			next_ns += WINDOW_NS;
		}
		if (shipper_handle(bench->shipper, now_ns))
			break;
		(void)poll(&ready, 1, 20);
	}
	return NULL;
}

static int start_collector(struct bench *bench)
{
	char path[128];

	snprintf(path, sizeof(path), "%s/collector.sock", bench->hearth.folder);

	struct shipper_options options = { .socket_path = path,
					   .collector = COLLECTOR,
					   .backlog_size_max = 16 << 20,
					   .open_file = open_file,
					   .context = bench };
	int err = shipper_new(&options, &bench->shipper);

	bench->stops = false;
	bench->start_boot_ns = clock_boot_ns() - 10 * WINDOW_NS;
	return err ? err : -pthread_create(&bench->collector, NULL, collect, bench);
}

static void stop_collector(struct bench *bench)
{
	bench->stops = true;
	pthread_join(bench->collector, NULL);
	bench->shipper = shipper_free(bench->shipper);
}

/* ---- the server ---- */

static double metric(const char *metrics, const char *name)
{
	const char *found = strstr(metrics, name);
	double value = 0;

	return found && sscanf(found + strlen(name), " %lf", &value) == 1 ? value : 0;
}

/* How many modules have been read, to names or to why there are none. */
static unsigned count_read(struct bench *bench)
{
	autofree char *metrics = NULL;

	if (http_ask(bench->hearth.port, "/metrics", NULL, &metrics) != 200)
		return 0;
	return (unsigned)(metric(metrics, "\nhearth_symbols_modules") +
			  metric(metrics, "\nhearth_symbols_failed"));
}

/* A flame graph of all of it: how long it took, in ms; whether anything is in it. */
static double ask(struct bench *bench, bool *ret_has_samples)
{
	double start = now_seconds();
	json_t *flame = hearth_get(&bench->hearth, "/api/v1/flame?from=now-5m&nodes=20000");

	double ms = (now_seconds() - start) * 1000;

	*ret_has_samples = json_number_value(json_object_get(flame, "total")) > 0;
	json_decref(flame);
	return ms;
}

/* In MiB, of /proc/PID/status. */
static double memory_of(pid_t pid, const char *what)
{
	char path[64], line[256];
	unsigned long kib = 0;

	snprintf(path, sizeof(path), "/proc/%d/status", (int)pid);

	FILE *file = fopen(path, "re");

	while (file && fgets(line, sizeof(line), file))
		if (strncmp(line, what, strlen(what)) == 0)
			(void)sscanf(line + strlen(what), ": %lu", &kib);
	if (file)
		fclose(file);
	return (double)kib / 1024;
}

static void print_memory(const struct bench *bench)
{
	pid_t pid = bench->hearth.child.pid;

	print_figure("the server then, resident", memory_of(pid, "VmRSS"), 96, "MiB");
	printf("%-66s %10.2f MiB\n", "of it its own, not files", memory_of(pid, "RssAnon"));
}

/* From when the samples are there on. */
static int time_round(struct bench *bench, const char *when, double bar_s)
{
	bool has_samples = false;
	double first_ms = 0, slowest_ms = 0, start = 0, done = 0;
	double end = now_seconds() + PATIENCE_S;
	char what[96];
	int err = start_collector(bench);

	while (!err && now_seconds() < end && !done) {
		double ms = ask(bench, &has_samples);

		if (!has_samples)
			continue;
		if (!start) {
			start = now_seconds() - ms / 1000;
			first_ms = ms;
		}
		slowest_ms = ms > slowest_ms ? ms : slowest_ms;
		if (count_read(bench) >= MODULE_COUNT)
			done = now_seconds();
	}
	if (!done)
		printf("%s: %u of %d modules after %d s\n", when, count_read(bench), MODULE_COUNT,
		       PATIENCE_S);
	printf("%s, 300 modules, 6,000 addresses:\n", when);
	snprintf(what, sizeof(what), "  the first answer");
	printf("%-66s %10.2f ms\n", what, first_ms);
	printf("%-66s %10.2f ms\n", "  the slowest until all is there", slowest_ms);
	print_figure("  complete", done - start, bar_s, "s");
	printf("%-66s %10.2f ms\n", "  an answer then", ask(bench, &has_samples));
	print_memory(bench);
	stop_collector(bench);
	return err;
}

int main(void)
{
	static struct bench bench;
	static const char *const options[] = { NULL };

	if (find_modules(&bench)) {
		printf("this machine has no %d modules\n", MODULE_COUNT);
		return 0;
	}
	hearth_start(&bench.hearth, "serve", options);

	int err = time_round(&bench, "never seen before", 2);

	if (!err) {
		(void)child_stop(&bench.hearth.child, 20);
		hearth_start_again(&bench.hearth, "serve", options);
		err = time_round(&bench, "after a restart", 2);
	}
	for (unsigned i = 0; i < bench.count; i++)
		free(bench.modules[i].path);
	return hearth_stop(&bench.hearth) || err;
}
