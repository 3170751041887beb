/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/limits.h"
#include "base/link.h"
#include "base/parse.h"
#include "store/batch.h"
#include "store/store.h"
#include "tests/support/elf_maker.h"
#include "tests/support/generator.h"
#include "web/recording.h"

static const char usage[] =
	"usage: generate [--store] [--rhythm] [--functions] [--whole] [--seldom] [--sparse]\n"
	"                [--files] [--pace N]\n"
	"                TARGET [SECONDS [SAMPLES [SERVICES [SEED [PROCESSES]]]]]\n"
	"\n"
	"An invented busy host of SERVICES (400) with PROCESSES (7 a service "
	"and a half) living at once,\n"
	"which takes SAMPLES (6336) a second, for SECONDS (60), ending now; "
	"equal SEEDs (1) make equal\n"
	"hosts. TARGET is written: a recording for 'hearth serve --replay "
	"TARGET', or with --store a data\n"
	"folder with all of it stored, at full speed. With --rhythm the load "
	"follows the time of day, and\n"
	"SAMPLES is its mean. With --functions leaves are lowered to their "
	"functions' starts before they\n"
	"are stored. With --whole it ends at the last full six hours, "
	"where a span file ends. With --seldom\n"
	"ten minutes are committed at once, not five seconds: a quiet month is "
	"there in an hour. With\n"
	"--sparse a store gets one second of each minute only, and processes live sixty "
	"times as long.\n"
	"With --pace a recording, which may be a pipe, is written N times as fast as the host "
	"lives, not\n"
	"faster. With --files it has its programs and libraries, with names for all functions.\n";

enum {
	COMMIT_SECONDS = 5, /* as the server's --window */
	SELDOM_SECONDS = 600,
	SPARSE = 60,
	MAINTAIN_SECONDS = 60,
	BATCH_SIZE_MAX = 64 << 20,
	FILE_SIZE_MAX = 32 << 20,
};

#define SPAN_NS (INT64_C(21600) * CLOCK_NS_PER_S) /* as the store's */

enum { SECONDS, SAMPLES, SERVICES, SEED, PROCESSES, NUMBER_COUNT };

struct task {
	bool to_store;
	bool has_rhythm;
	bool has_functions;
	bool is_whole;
	bool is_seldom;
	bool is_sparse;
	bool has_files;
	uint64_t pace; /* data seconds a second; 0: as fast as it can */
	const char *target;
	uint64_t numbers[NUMBER_COUNT];
	struct generator *generator;
};

static int fail(int err, const char *what)
{
	fprintf(stderr, "generate: %s: %s\n", what, strerror(-err));
	return 1;
}

/* ---- a recording ----------------------------------------------------------------------------- */

static int add_hello(struct recording *recording, uint64_t collector)
{
	struct link_hello hello = { .collector = collector, .kernel_release = STR("generated") };
	autoclean(buf) struct buf payload = BUF(1024);

	link_encode_hello(&hello, &payload);
	return payload.error
		       ? payload.error
		       : recording_add(recording, &(struct link_message){ .type = LINK_HELLO,
									  .payload = payload.bytes,
									  .size = payload.size,
									  .fds = { -1, -1 } });
}

/* Until so many of its seconds may have passed since it was begun. */
static void keep_pace(const struct task *task, uint64_t begun_ns, uint64_t seconds)
{
	if (!task->pace)
		return;

	uint64_t due_ns = begun_ns + seconds * (uint64_t)CLOCK_NS_PER_S / task->pace;
	struct timespec due = { .tv_sec = (time_t)(due_ns / CLOCK_NS_PER_S),
				.tv_nsec = (long)(due_ns % CLOCK_NS_PER_S) };

	while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &due, NULL) == EINTR)
		;
}

static int add_message(struct recording *recording, uint32_t type, const struct buf *payload,
		       const struct buf *contents)
{
	autoclose int fd = elf_maker_memfd(contents->bytes, contents->size);

	return payload->error
		       ? payload->error
		       : recording_add(recording, &(struct link_message){ .type = type,
									  .payload = payload->bytes,
									  .size = payload->size,
									  .fds = { fd, -1 },
									  .fd_count = 1 });
}

static int add_kernel(struct recording *recording)
{
	autoclean(buf) struct buf payload = BUF(1);
	autoclean(buf) struct buf list = BUF(FILE_SIZE_MAX);

	generator_list_kernel(&list);
	return add_message(recording, LINK_KERNEL, &payload, &list);
}

/* Those that the window speaks of first, as its collector would send them. */
static int add_files(const struct task *task, struct recording *recording)
{
	autoclean(buf) struct buf payload = BUF(1024);
	autoclean(buf) struct buf elf = BUF(FILE_SIZE_MAX);
	struct link_file file = { .error = 0 };
	int err = 0;

	while (!err && generator_next_file(task->generator, &file.identity, &elf)) {
		buf_clear(&payload);
		link_encode_file(&file, &payload);
		err = add_message(recording, LINK_FILE, &payload, &elf);
		buf_clear(&elf);
	}
	return err;
}

static int write_recording(const struct task *task)
{
	autoclean(recording) struct recording *recording = NULL;
	autoclean(buf) struct buf payload = BUF(WINDOW_SIZE_MAX);
	int err = recording_create(task->target, &recording);

	if (!err)
		err = add_hello(recording, task->numbers[SEED] | 1);
	if (!err && task->has_files)
		err = add_kernel(recording);

	uint64_t begun_ns = clock_monotonic_ns();

	for (uint64_t second = 0; second < task->numbers[SECONDS] && !err; second++) {
		const struct window *window = generator_next(task->generator);

		keep_pace(task, begun_ns, second);
		if (task->has_files)
			err = add_files(task, recording);
		buf_clear(&payload);
		window_encode(window, &payload);
		err = err ? err : payload.error;
		if (!err)
			err = recording_add(recording,
					    &(struct link_message){ .type = LINK_WINDOW,
								    .sequence = window->sequence,
								    .payload = payload.bytes,
								    .size = payload.size,
								    .fds = { -1, -1 } });
	}
	return err;
}

/* ---- a store --------------------------------------------------------------------------------- */

struct times {
	uint64_t generating_ns;
	uint64_t filling_ns; /* batches, as the server does */
	uint64_t storing_ns;
	uint64_t samples;
};

static uint64_t step_of(const struct task *task)
{
	return task->is_sparse ? SPARSE : 1;
}

static int store_second(const struct task *task, uint64_t second, struct store *store,
			struct batch *batch, struct times *times)
{
	uint64_t start_ns = clock_monotonic_ns();
	const struct window *window = generator_next(task->generator);
	uint64_t step = step_of(task);
	/* The generator's seconds follow each other. */
	int64_t later_ms = (int64_t)(second - second / step) * CLOCK_MS_PER_S;
	int64_t end_ms = ((int64_t)window->end_boot_ns + window->boot_to_unix_ns) / CLOCK_NS_PER_MS;
	int err;

	end_ms += later_ms;
	times->samples += window->sample_count;
	uint64_t made_ns = clock_monotonic_ns();

	batch_clear(batch);
	err = generator_fill(task->generator, task->has_functions, batch);

	if (later_ms)
		batch_set_time(batch, (struct batch_time){ end_ms - CLOCK_MS_PER_S, end_ms });

	uint64_t filled_ns = clock_monotonic_ns();

	times->generating_ns += made_ns - start_ns;
	times->filling_ns += filled_ns - made_ns;
	if (!err)
		err = store_append(store, batch);
	if (!err && (second + step) % (task->is_seldom ? SELDOM_SECONDS : COMMIT_SECONDS) == 0)
		err = store_commit(store);
	/* The time of the data, so that a month is sealed as if it had passed. */
	if (!err && (second + step) % MAINTAIN_SECONDS == 0)
		err = store_maintain(store, end_ms);
	times->storing_ns += clock_monotonic_ns() - filled_ns;
	return err;
}

static int fill_store(const struct task *task)
{
	autoclean(store) struct store *store = NULL;
	autoclean(batch) struct batch *batch = NULL;
	struct store_options options = { .folder = task->target };
	struct store_status status = { 0 };
	struct times times = { 0 };
	uint64_t said_ns = clock_monotonic_ns();
	int err = store_open(&options, &store);

	if (!err)
		err = batch_new(BATCH_SIZE_MAX, &batch);
	for (uint64_t second = 0; second < task->numbers[SECONDS] && !err;
	     second += step_of(task)) {
		err = store_second(task, second, store, batch, &times);
		if (clock_monotonic_ns() - said_ns > 5 * (uint64_t)CLOCK_NS_PER_S) {
			said_ns = clock_monotonic_ns();
			fprintf(stderr, "generate: %.1f of %.1f hours\n", (double)second / 3600,
				(double)task->numbers[SECONDS] / 3600);
		}
	}
	if (!err)
		err = store_commit(store);
	if (err)
		return err;
	store_status(store, &status);
	printf("%llu samples, %.2f B each; %.0f ns each to generate, %.0f ns to make batches of, "
	       "%.0f ns to store\n",
	       (unsigned long long)times.samples, (double)status.bytes / (double)times.samples,
	       (double)times.generating_ns / (double)times.samples,
	       (double)times.filling_ns / (double)times.samples,
	       (double)times.storing_ns / (double)times.samples);
	return 0;
}

/* Whether all that was asked for is of what is written. */
static bool fits(const struct task *task)
{
	return task->to_store ? !task->pace && !task->has_files
			      : !task->has_functions && !task->is_seldom && !task->is_sparse;
}

static int parse_arguments(struct task *task, int argument_count, char **arguments)
{
	int place = -1; /* of the next number; -1: the target comes first */

	for (int i = 1; i < argument_count; i++) {
		if (!strcmp(arguments[i], "--store"))
			task->to_store = true;
		else if (!strcmp(arguments[i], "--rhythm"))
			task->has_rhythm = true;
		else if (!strcmp(arguments[i], "--functions"))
			task->has_functions = true;
		else if (!strcmp(arguments[i], "--whole"))
			task->is_whole = true;
		else if (!strcmp(arguments[i], "--seldom"))
			task->is_seldom = true;
		else if (!strcmp(arguments[i], "--sparse"))
			task->is_sparse = true;
		else if (!strcmp(arguments[i], "--files"))
			task->has_files = true;
		else if (!strcmp(arguments[i], "--pace") && i + 1 < argument_count) {
			if (parse_u64(str_from(arguments[++i]), &task->pace))
				return -EINVAL;
		} else if (place < 0)
			task->target = arguments[i], place = 0;
		else if (place == NUMBER_COUNT ||
			 parse_u64(str_from(arguments[i]), &task->numbers[place++]))
			return -EINVAL;
	}
	if (!task->numbers[PROCESSES])
		task->numbers[PROCESSES] = task->numbers[SERVICES] * 15 / 2;
	return task->target && fits(task) && task->numbers[SAMPLES] && task->numbers[SERVICES] &&
			       task->numbers[PROCESSES] >= task->numbers[SERVICES]
		       ? 0
		       : -EINVAL;
}

int main(int argument_count, char **arguments)
{
	struct task task = { .numbers = { 60, 6336, 400, 1, 0 } };

	if (parse_arguments(&task, argument_count, arguments)) {
		fputs(usage, stderr);
		return 64;
	}

	int64_t end_ns = clock_unix_ns();

	if (task.is_whole)
		end_ns -= end_ns % SPAN_NS;

	struct generator_options options = {
		.seed = task.numbers[SEED],
		.service_count = (uint32_t)task.numbers[SERVICES],
		.process_count = (uint32_t)task.numbers[PROCESSES],
		.samples_per_window = (uint32_t)task.numbers[SAMPLES],
		.has_rhythm = task.has_rhythm,
		.cpu_count = (uint32_t)(task.numbers[SAMPLES] + 98) / 99,
		.frequency_hz = 99,
		.start_unix_ns = end_ns - (int64_t)task.numbers[SECONDS] * CLOCK_NS_PER_S,
	};
	int err = generator_new(&options, &task.generator);

	if (!err)
		err = task.to_store ? fill_store(&task) : write_recording(&task);
	generator_free(task.generator);
	return err ? fail(err, task.target) : 0;
}
