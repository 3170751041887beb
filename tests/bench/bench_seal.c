/* SPDX-License-Identifier: Apache-2.0 */
#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/heap.h"
#include "base/parse.h"
#include "store/store_private.h"
#include "tests/support/generator.h"

/*
 * The life of a sample in the store, of a full 64-core host: CPU time of taking it in, of settling
 * its segment, of joining its span, rolling it up and writing it anew, and bytes of each stage. A
 * machine that does other work as well changes little of it.
 */

static const char usage[] =
	"usage: bench_seal [SECONDS [FOLD [SAMPLES]]]\n"
	"\n"
	"SECONDS (360) of SAMPLES (6336) each. FOLD: nodes of fewer samples are "
	"folded (4); 1: none are.\n";

enum { COMMIT_SECONDS = 5, BATCH_SIZE_MAX = 64 << 20, MAINTAIN_PAUSE_US = 2000, QUIET_COUNT = 3 };

struct seal {
	struct store_options options;
	struct store *store;
	struct generator *generator;
	struct batch *batch;
	uint64_t storing_ns;
	uint64_t settling_ns;
	uint64_t samples;
	int64_t newest_ms;
};

static uint64_t cpu_ns(clockid_t clock)
{
	struct timespec time;

	clock_gettime(clock, &time);
	return (uint64_t)time.tv_sec * CLOCK_NS_PER_S + (uint64_t)time.tv_nsec;
}

static uint32_t segment_number(const struct store *store)
{
	return store->open ? store->open->live->segment.number : 0;
}

/* What a call took that ended a segment is settling's: appending is a thousandth of it. */
static int store_second(struct seal *seal, bool commits)
{
	uint64_t start_ns = cpu_ns(CLOCK_THREAD_CPUTIME_ID);
	uint32_t before = segment_number(seal->store);
	int err = store_append(seal->store, seal->batch);
	bool has_settled = before && segment_number(seal->store) != before;
	uint64_t appended_ns = cpu_ns(CLOCK_THREAD_CPUTIME_ID);

	if (!err && commits)
		err = store_commit(seal->store);
	*(has_settled ? &seal->settling_ns : &seal->storing_ns) += appended_ns - start_ns;
	seal->storing_ns += cpu_ns(CLOCK_THREAD_CPUTIME_ID) - appended_ns;
	return err;
}

static int fill(struct seal *seal, uint64_t seconds)
{
	int err = store_open(&seal->options, &seal->store);

	for (uint64_t i = 0; !err && i < seconds; i++) {
		const struct window *window = generator_next(seal->generator);

		seal->samples += window->sample_count;
		seal->newest_ms =
			((int64_t)window->end_boot_ns + window->boot_to_unix_ns) / CLOCK_NS_PER_MS;
		batch_clear(seal->batch);
		err = generator_fill(seal->generator, true, seal->batch);
		if (!err)
			err = store_second(seal, (i + 1) % COMMIT_SECONDS == 0);
	}
	if (!err)
		err = store_commit(seal->store);
	if (err)
		return err;

	/* The last segment, too. */
	uint64_t start_ns = cpu_ns(CLOCK_THREAD_CPUTIME_ID);

	err = store_close_spans(seal->store);
	seal->settling_ns += cpu_ns(CLOCK_THREAD_CPUTIME_ID) - start_ns;
	return err;
}

static int rest(struct seal *seal, uint64_t *ret_ns)
{
	uint64_t start_ns = cpu_ns(CLOCK_PROCESS_CPUTIME_ID);
	struct store_status status;
	int quiet = 0;

	while (quiet < QUIET_COUNT) {
		int err = store_maintain(seal->store, seal->newest_ms + CLOCK_MS_PER_S);

		if (err)
			return err;
		store_status(seal->store, &status);
		quiet = status.is_compacting ? 0 : quiet + 1;
		usleep(MAINTAIN_PAUSE_US);
	}
	*ret_ns = cpu_ns(CLOCK_PROCESS_CPUTIME_ID) - start_ns;
	return 0;
}

static double bytes_each(const struct seal *seal, enum store_class kind)
{
	struct store_status status;

	store_status(seal->store, &status);
	return (double)status.classes[kind].bytes / (double)seal->samples;
}

static void print_figure(const char *name, double value, const char *unit, const char *bar)
{
	printf("%-66s %10.2f %s%s%s%s\n", name, value, unit, bar ? "   (bar: " : "", bar ? bar : "",
	       bar ? ")" : "");
}

static void print_time(const struct seal *seal, const char *name, uint64_t ns, const char *bar)
{
	print_figure(name, (double)ns / 1e3 / (double)seal->samples, "us a sample, CPU", bar);
}

static double peak_mib(void)
{
	struct rusage used;

	getrusage(RUSAGE_SELF, &used);
	return (double)used.ru_maxrss / 1024;
}

static int print_stages(struct seal *seal)
{
	uint64_t joining_ns = 0;
	uint64_t sealing_ns = 0;
	struct store_status status;
	int err;

	print_figure("a full 64-core host: samples", (double)seal->samples / 1e6, "million", NULL);
	print_figure("  stored by a second of a core",
		     (double)seal->samples * 1e3 / (double)seal->storing_ns, "million", ">= 1");
	print_time(seal, "  to settle them", seal->settling_ns, NULL);
	print_figure("  settled", bytes_each(seal, STORE_RAW), "B a sample", NULL);
	print_figure("  peak memory until then", peak_mib(), "MiB", NULL);
	err = rest(seal, &joining_ns);
	if (err)
		return err;
	print_time(seal, "  to roll segments up, and join them", joining_ns, NULL);
	print_figure("  joined", bytes_each(seal, STORE_RAW), "B a sample", "<= 5");
	print_figure("  peak memory until then", peak_mib(), "MiB", NULL);
	seal->store = store_close(seal->store);
	seal->options.detail_ms = 1;
	err = store_open(&seal->options, &seal->store);
	if (!err)
		err = rest(seal, &sealing_ns);
	if (err)
		return err;
	print_time(seal, "  to write them anew, and roll that up", sealing_ns, NULL);
	print_time(seal, "  all of it, but for storing",
		   seal->settling_ns + joining_ns + sealing_ns, "<= 1");
	print_figure("  written anew", bytes_each(seal, STORE_RAW), "B a sample", NULL);
	print_figure("  with roll-ups",
		     bytes_each(seal, STORE_RAW) + bytes_each(seal, STORE_ROLLED), "B a sample",
		     "<= 1.0 of six hours, 1.7 without folding");
	store_status(seal->store, &status);
	print_figure("  lost frames by folding",
		     (double)status.folded_samples * 100 / (double)seal->samples, "%", "<= 15");
	print_figure("  peak memory until then", peak_mib(), "MiB", NULL);
	return 0;
}

int main(int argument_count, char **arguments)
{
	char folder[] = "/tmp/hearth-bench-XXXXXX";
	char command[64];
	uint64_t numbers[] = { 360, 4, 6336 };
	struct seal seal = { 0 };
	int err = 0;

	/* As the server does. */
	heap_tame();
	for (int i = 1; i < argument_count; i++)
		if (i > 3 || parse_u64(str_from(arguments[i]), &numbers[i - 1])) {
			fputs(usage, stderr);
			return 64;
		}
	if (!mkdtemp(folder))
		return 1;

	struct generator_options host = { .seed = 1,
					  .service_count = 400,
					  .process_count = 3000,
					  .samples_per_window = (uint32_t)numbers[2],
					  .cpu_count = 64,
					  .frequency_hz = 99,
					  .start_unix_ns = clock_unix_ns() -
							   (int64_t)numbers[0] * CLOCK_NS_PER_S };

	seal.options = (struct store_options){ .folder = folder, .fold = (uint32_t)numbers[1] };
	err = generator_new(&host, &seal.generator);
	if (!err)
		err = batch_new(BATCH_SIZE_MAX, &seal.batch);
	if (!err)
		err = fill(&seal, numbers[0]);
	if (!err)
		err = print_stages(&seal);
	if (err)
		fprintf(stderr, "bench_seal: %s\n", strerror(-err));
	store_close(seal.store);
	batch_free(seal.batch);
	generator_free(seal.generator);
	snprintf(command, sizeof(command), "rm -r %s", folder);
	return system(command) != 0 || err != 0;
}
