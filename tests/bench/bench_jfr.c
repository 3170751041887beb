/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How fast Java flight recordings are read, unpacked, by one core, and what memory a server takes
 * to receive one of 200 MB, over what it has when it is idle.
 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "store/batch.h"
#include "tests/support/hearth.h"
#include "tests/support/jfr_maker.h"
#include "web/jfr_reader.h"

enum {
	MEMORY = 256 << 20,
	RECORDING_SIZE = 200 * 1000 * 1000,
	METHODS = 20000,
	STACKS = 20000, /* a large service's */
	BATCH_MEMORY = 8 << 20,
	ROUNDS = 3,
};

/*
 * Forty frames: callers that all stacks have, and leaves of their own. Each method is called from
 * one line at one depth: 20,000 lines of code, as large services have in their profiles.
 */
static uint32_t frame_of(uint32_t stack, uint32_t depth, uint32_t *ret_count)
{
	uint32_t above = 39 - depth; /* from the root */
	uint32_t key = above < 10 ? above : (stack >> (above < 25 ? 6 : 0)) * 40 + above;

	*ret_count = 40;
	key *= 2654435761U;
	return (key ^ key >> 15) % (METHODS / 40) * 40 + above;
}

static uint32_t random_number(uint64_t *state)
{
	*state = *state * UINT64_C(6364136223846793005) + 1442695040888963407;
	return (uint32_t)(*state >> 33);
}

/* The nth most frequent stack has an nth of the first one's samples, as words and stacks have it.
 */
static uint32_t choose_stack(uint64_t *state)
{
	double even = random_number(state) / (double)(1U << 31);

	return (uint32_t)exp(even * log(STACKS));
}

/* As a JVM that runs async-profiler: most events are samples, some are allocations and waits. */
static void make(struct buf *buf)
{
	uint64_t state = 1;
	struct jfr_maker maker;

	jfr_make_chunk(&maker, buf, INT64_C(1700000000000000000), 1000000000);
	jfr_make_metadata(&maker);
	jfr_make_pools(&maker, METHODS, STACKS, frame_of);
	while (buf->size < RECORDING_SIZE) {
		uint32_t stack = choose_stack(&state);
		uint32_t thread = 1 + stack % 2;

		if (random_number(&state) % 4 > 0) {
			jfr_make_execution(&maker, thread, stack, 1);
			continue;
		}
		jfr_make_event(&maker, MADE_NEW_TLAB);
		jfr_make_number(&maker, 123456789);
		jfr_make_number(&maker, thread);
		jfr_make_number(&maker, stack);
		jfr_make_number(&maker, 1);
		jfr_make_number(&maker, 48);
		jfr_make_number(&maker, 1 << 20);
		jfr_make_event_end(&maker);
	}
	jfr_make_end(&maker);
	assert_int_equal(buf->error, 0);
}

static double cpu_seconds(void)
{
	struct timespec now;

	(void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
	return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

struct taken {
	uint64_t entries, batches;
};

static int take(void *context, struct batch *batch)
{
	struct taken *taken = context;

	taken->entries += batch_totals(batch).entries;
	taken->batches++;
	return 0;
}

static void recordings_are_read_fast(void **state)
{
	struct buf *buf = *state;
	double best = 1e9;

	for (int i = 0; i < ROUNDS; i++) {
		autoclean(batch) struct batch *batch = NULL;
		struct taken taken = { 0 };
		const struct pprof_origin origin = {
			.time_unix_ms = 1, .splits_series = true, .take = take, .context = &taken
		};
		const struct jfr_form form = { .period_ns = 10000000,
					       .end_unix_ms = 2,
					       .has_lines = true };
		struct pprof_summary summary = { 0 };
		char reason[PPROF_ERROR_SIZE];
		double start = cpu_seconds();

		assert_int_equal(batch_new(BATCH_MEMORY, &batch), 0);
		if (jfr_read((struct str){ (const char *)buf->bytes, buf->size }, &origin, &form,
			     batch, &summary, reason))
			fail_msg("%s", reason);
		take(&taken, batch);

		double seconds = cpu_seconds() - start;

		if (seconds < best)
			best = seconds;
		print_message("read: %.0f MB with %llu samples in %.2f s of CPU, %llu batches with "
			      "%llu entries: %.0f MB/s\n",
			      (double)buf->size / 1e6, (unsigned long long)summary.samples, seconds,
			      (unsigned long long)taken.batches, (unsigned long long)taken.entries,
			      (double)buf->size / 1e6 / seconds);
	}
	print_message("JFR, unpacked, one core: %.0f MB/s (at least 100)\n",
		      (double)buf->size / 1e6 / best);
	assert_true((double)buf->size / 1e6 / best >= 100);
}

/* Of the server's, in MB. */
static double memory_of(const struct hearth *hearth, const char *name)
{
	char path[64], line[256];
	double kilobytes = -1;
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%ld/status", (long)hearth->child.pid);
	file = fopen(path, "r");
	assert_non_null(file);
	while (fgets(line, sizeof(line), file))
		if (!strncmp(line, name, strlen(name)))
			kilobytes = strtod(line + strlen(name) + 1, NULL);
	(void)fclose(file);
	assert_true(kilobytes > 0);
	return kilobytes / 1024;
}

static void receiving_one_takes_little_memory(void **state)
{
	const struct buf *buf = *state;
	const char *options[] = { NULL };
	char path[] = "/tmp/hearth-jfr-XXXXXX";
	char output[4096];
	static struct hearth hearth;
	autoclose int fd = mkstemp(path);
	double idle, peak;

	assert_true(fd >= 0);
	assert_int_equal(write(fd, buf->bytes, buf->size), buf->size);
	hearth_start(&hearth, "serve", options);
	sleep_seconds(2);
	idle = memory_of(&hearth, "VmRSS:");
	if (shell_output(output, sizeof(output),
			 "curl -sS -f --data-binary @'%s' 'http://127.0.0.1:%u/ingest?name=large&"
			 "format=jfr&from=now-60&until=now&sampleRate=100' 2>&1",
			 path, hearth.port))
		fail_msg("%s", output);
	peak = memory_of(&hearth, "VmHWM:");
	(void)unlink(path);
	print_message("received: %.0f MB; idle %.1f MiB, at most %.1f MiB: %.1f MiB over idle (at "
		      "most 64)\n",
		      (double)buf->size / 1e6, idle, peak, peak - idle);
	assert_int_equal(hearth_stop(&hearth), 0);
	assert_true(peak - idle <= 64);
}

static int start(void **state)
{
	static struct buf buf = BUF(MEMORY);

	make(&buf);
	*state = &buf;
	return 0;
}

static int stop(void **state)
{
	buf_done(*state);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(recordings_are_read_fast),
		cmocka_unit_test(receiving_one_takes_little_memory),
	};

	return cmocka_run_group_tests(tests, start, stop);
}
