/* SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/identity.h"
#include "base/table.h"
#include "store/batch.h"
#include "store/batch_private.h"
#include "symbols/elf_file.h"
#include "symbols/symbol_table.h"
#include "tests/support/busy_host.h"
#include "tests/support/elf_maker.h"
#include "tests/support/generator.h"

/*
 * Whether the invented host is as hard on a store as real programs are. A generator with few stacks
 * makes every store look ten times better than it is.
 */

enum { MARK_COUNT = 3, PERCENTILE_COUNT = 4, PROGRAM_COUNT = 3, NODE_COUNT_MAX = 1 << 22 };

/* What was seen in recordings of a Go server (frame pointers), Node 20 (frame pointers), cc1plus
 * and CPython 3.11 (both by DWARF) at 997 Hz and more. */
static const struct recorded {
	enum program_kind kind;
	const char *name;
	uint32_t marks[MARK_COUNT];	   /* after so many samples … */
	uint32_t exact[MARK_COUNT];	   /* … distinct stacks, with the leaf's address */
	uint32_t functions[MARK_COUNT];	   /* and with the leaf's function */
	double nodes_per_stack;		   /* of the latter, at the end */
	uint32_t depths[PERCENTILE_COUNT]; /* 10th, 50th, 90th, 99th percentile */
	double kernel_share;
} recordings[] = {
	{ PROGRAM_GO,
	  "Go",
	  { 1000, 10000, 100000 },
	  { 787, 5934, 34584 },
	  { 645, 3789, 16178 },
	  2.9,
	  { 4, 11, 21, 39 },
	  .20 },
	{ PROGRAM_NODE,
	  "Node",
	  { 1000, 10000, 100000 },
	  { 928, 7907, 55337 },
	  { 786, 5518, 31229 },
	  3.5,
	  { 8, 21, 51, 68 },
	  .10 },
	{ PROGRAM_COMPILER,
	  "cc1plus",
	  { 1000, 10000, 30000 },
	  { 935, 8354, 23209 },
	  { 884, 7573, 20112 },
	  12,
	  { 6, 17, 66, 127 },
	  .07 },
	{ PROGRAM_CPYTHON,
	  "CPython",
	  { 1000, 10000, 12500 },
	  { 946, 7261, 8692 },
	  { 648, 3468, 4021 },
	  3.8,
	  { 8, 14, 23, 57 },
	  .03 },
};

/* Hashes that were seen. */
struct seen {
	struct table table;
	uint64_t *hashes;
};

static bool hash_equal(const void *context, uint32_t number, const void *key)
{
	return ((const uint64_t *)context)[number] == *(const uint64_t *)key;
}

static void seen_init(struct seen *seen)
{
	table_init(&seen->table, NODE_COUNT_MAX);
	seen->hashes = calloc(NODE_COUNT_MAX, sizeof(seen->hashes[0]));
	assert_non_null(seen->hashes);
}

static void seen_done(struct seen *seen)
{
	table_done(&seen->table);
	free(seen->hashes);
}

static bool seen_add(struct seen *seen, uint64_t hash)
{
	if (table_find(&seen->table, hash, &hash, hash_equal, seen->hashes) != TABLE_NONE)
		return false;
	seen->hashes[seen->table.count] = hash;
	assert_int_equal(table_add(&seen->table, hash), 0);
	return true;
}

struct growth {
	double exact[MARK_COUNT], functions[MARK_COUNT];
	double nodes_per_stack;
	double depths[PERCENTILE_COUNT];
	double kernel_share;
};

static void add_nodes(const struct walk *walk, struct seen *nodes)
{
	uint64_t path = 1;

	for (uint32_t i = 0; i < walk->depth; i++) {
		const struct walk_frame *frame = &walk->frames[i];
		uint32_t address = i + 1 < walk->depth ? frame->address : frame->start;

		path = hash_mix(path * 31 + ((uint64_t)frame->module << 40 | address));
		seen_add(nodes, path);
	}
}

static int compare_depths(const void *a, const void *b)
{
	return *(const int *)a - *(const int *)b;
}

/* Adds what one program does to the sums. */
static void measure(const struct recorded *recorded, uint32_t number, struct growth *growth)
{
	static const int percentiles[PERCENTILE_COUNT] = { 10, 50, 90, 99 };
	struct program program = { .kind = recorded->kind, .number = number };
	uint32_t sample_count = recorded->marks[MARK_COUNT - 1];
	uint32_t topic_count = call_graph_topic_count(&program);
	int *depths = calloc(sample_count, sizeof(depths[0]));
	uint64_t random = number;
	double topic_sum = 0;
	uint32_t kernel_count = 0;
	struct seen exact, functions, nodes;

	assert_non_null(depths);
	seen_init(&exact);
	seen_init(&functions);
	seen_init(&nodes);
	for (uint32_t i = 0; i < topic_count; i++)
		topic_sum += 1.0 / (i + 1);
	for (uint32_t i = 0, mark = 0; i < sample_count; i++) {
		double at = random_unit(&random) * topic_sum;
		uint32_t topic = 0;
		struct walk walk;

		while (topic + 1 < topic_count && (at -= 1.0 / (topic + 1)) > 0)
			topic++;
		call_graph_walk(&program, topic, random_next(&random), &walk);
		depths[i] = (int)walk.depth;
		kernel_count += walk.kernel_depth > 0;
		seen_add(&exact, walk.hash);
		if (seen_add(&functions, walk.function_hash))
			add_nodes(&walk, &nodes);
		if (i + 1 == recorded->marks[mark]) {
			growth->exact[mark] += exact.table.count;
			growth->functions[mark++] += functions.table.count;
		}
	}
	qsort(depths, sample_count, sizeof(depths[0]), compare_depths);
	for (int i = 0; i < PERCENTILE_COUNT; i++)
		growth->depths[i] += depths[(uint64_t)sample_count * percentiles[i] / 100];
	growth->nodes_per_stack += (double)nodes.table.count / functions.table.count;
	growth->kernel_share += (double)kernel_count / sample_count;
	seen_done(&exact);
	seen_done(&functions);
	seen_done(&nodes);
	free(depths);
}

static void assert_near(const char *program, const char *what, double got, double recorded)
{
	print_message("# %-8s %-28s %9.2f, recorded %9.2f (%+.0f %%)\n", program, what, got,
		      recorded, 100 * (got / recorded - 1));
	if (got < recorded * .6 || got > recorded * 1.4)
		fail_msg("%s: %s is %.2f, more than 40 %% from %.2f", program, what, got, recorded);
}

static void check_growth(const struct recorded *recorded)
{
	struct growth growth = { 0 };
	static const char *const percentile_names[PERCENTILE_COUNT] = { "depth, 10th percentile",
									"depth, median",
									"depth, 90th percentile",
									"depth, 99th percentile" };

	for (uint32_t i = 1; i <= PROGRAM_COUNT; i++)
		measure(recorded, i, &growth);
	for (int i = 0; i < MARK_COUNT; i++) {
		char what[64];

		snprintf(what, sizeof(what), "stacks of %u", recorded->marks[i]);
		assert_near(recorded->name, what, growth.exact[i] / PROGRAM_COUNT,
			    recorded->exact[i]);
		snprintf(what, sizeof(what), "  by leaf function");
		assert_near(recorded->name, what, growth.functions[i] / PROGRAM_COUNT,
			    recorded->functions[i]);
	}
	assert_near(recorded->name, "nodes a stack", growth.nodes_per_stack / PROGRAM_COUNT,
		    recorded->nodes_per_stack);
	for (int i = 0; i < PERCENTILE_COUNT; i++)
		assert_near(recorded->name, percentile_names[i], growth.depths[i] / PROGRAM_COUNT,
			    recorded->depths[i]);
	assert_near(recorded->name, "share that ends in the kernel",
		    growth.kernel_share / PROGRAM_COUNT, recorded->kernel_share);
}

static void brings_new_stacks_as_go_does(void **state)
{
	(void)state;
	check_growth(&recordings[0]);
}

static void brings_new_stacks_as_node_does(void **state)
{
	(void)state;
	check_growth(&recordings[1]);
}

static void brings_new_stacks_as_a_compiler_does(void **state)
{
	(void)state;
	check_growth(&recordings[2]);
}

static void brings_new_stacks_as_python_does(void **state)
{
	(void)state;
	check_growth(&recordings[3]);
}

/* ---- the host -------------------------------------------------------------------------------- */

static struct busy_host *make_host(bool is_steady)
{
	struct busy_host_options options = { .seed = 3,
					     .service_count = 400,
					     .process_count = 3000,
					     .samples_per_s = 3360,
					     .is_steady = is_steady };
	struct busy_host *host = NULL;

	assert_int_equal(busy_host_new(&options, &host), 0);
	return host;
}

static void shares_the_cpus_by_zipf(void **state)
{
	(void)state;
	enum { SECONDS = 600 };
	struct busy_host *host = make_host(true);
	uint32_t by_service[400] = { 0 };
	uint32_t rest = 0;

	for (int i = 0; i < SECONDS; i++) {
		uint32_t count = 0;
		const struct busy_sample *samples = busy_host_next(host, &count);

		assert_int_equal(count, 3360);
		for (uint32_t k = 0; k < count; k++) {
			by_service[samples[k].service]++;
			assert_true(samples[k].time_ms < 1000);
			if (k > 0 && samples[k].service == samples[k - 1].service)
				assert_true(samples[k].time_ms >= samples[k - 1].time_ms);
		}
	}
	for (int i = 100; i < 400; i++)
		rest += by_service[i];
	/* 1 / (1.5^1.05 × the sum of them) is 11 % for the first, 2.5 % for the fifth. */
	assert_in_range(by_service[0], 3360 * SECONDS * 7 / 100, 3360 * SECONDS * 16 / 100);
	assert_in_range(by_service[4], 3360 * SECONDS * 2 / 100, 3360 * SECONDS * 5 / 100);
	/* The last three quarters of the services have a quarter of the samples. */
	assert_in_range(rest, 3360 * SECONDS * 18 / 100, 3360 * SECONDS * 32 / 100);
	busy_host_free(host);
}

static void has_processes_that_come_and_go(void **state)
{
	(void)state;
	struct busy_host *host = make_host(false);
	uint32_t first = busy_host_process_count(host);
	uint32_t count = 0;

	assert_in_range(first, 2500, 3500);
	for (int i = 0; i < 3600; i++)
		busy_host_next(host, &count);
	print_message("# %u processes at first, %u after an hour\n", first,
		      busy_host_process_count(host));
	assert_in_range(busy_host_process_count(host), 12000, 40000);
	busy_host_free(host);
}

static void follows_the_day(void **state)
{
	(void)state;
	struct busy_host_options options = {
		.seed = 5, .service_count = 12, .process_count = 40, .samples_per_s = 40
	};
	struct busy_host *host = NULL;
	uint64_t by_hour[24] = { 0 };
	uint64_t least = UINT64_MAX, most = 0, sum = 0;
	uint32_t deploys = 0;

	assert_int_equal(busy_host_new(&options, &host), 0);
	for (int i = 0; i < 3 * 86400; i++) {
		uint32_t count = 0;

		busy_host_next(host, &count);
		by_hour[i / 3600 % 24] += count;
		sum += count;
	}
	for (int i = 0; i < 24; i++) {
		least = by_hour[i] < least ? by_hour[i] : least;
		most = by_hour[i] > most ? by_hour[i] : most;
	}
	assert_in_range(sum, 3 * 86400 * 40 * 9 / 10, 3 * 86400 * 40 * 11 / 10);
	assert_in_range(most * 100 / least, 200, 330); /* 1.45 / 0.55 is 2.6 */
	for (uint32_t i = 0; i < 12; i++)
		deploys += busy_host_service(host, i)->program.version;
	assert_in_range(deploys, 4, 28); /* one a service is expected */
	busy_host_free(host);
}

static void deploys_move_only_what_is_the_services_own(void **state)
{
	(void)state;
	struct program program = { .kind = PROGRAM_GO, .number = 7 };
	struct program deployed = { .kind = PROGRAM_GO, .number = 7, .version = 1 };
	struct walk before, after;
	uint32_t own = 0, shared = 0;

	for (uint64_t seed = 0; seed < 200; seed++) {
		call_graph_walk(&program, 0, seed, &before);
		call_graph_walk(&deployed, 0, seed, &after);
		assert_int_equal(before.depth, after.depth);
		for (uint32_t i = 0; i < before.depth; i++) {
			assert_int_equal(before.frames[i].module, after.frames[i].module);
			assert_int_equal(before.frames[i].function, after.frames[i].function);
			if (before.frames[i].module == MODULE_OWN) {
				assert_true(before.frames[i].address != after.frames[i].address);
				own++;
			} else {
				assert_int_equal(before.frames[i].address, after.frames[i].address);
				shared++;
			}
		}
	}
	assert_true(own > 200 && shared > 200);
}

/* ---- windows and batches --------------------------------------------------------------------- */

static struct generator *make_generator(uint64_t seed)
{
	struct generator_options options = { .seed = seed,
					     .service_count = 40,
					     .process_count = 300,
					     .samples_per_window = 1000,
					     .cpu_count = 16,
					     .frequency_hz = 99,
					     .start_unix_ns = INT64_C(1700000000000000000) };
	struct generator *generator = NULL;

	assert_int_equal(generator_new(&options, &generator), 0);
	return generator;
}

static void equal_seeds_give_equal_windows(void **state)
{
	(void)state;
	struct generator *generators[3] = { make_generator(4), make_generator(4),
					    make_generator(5) };
	struct buf bufs[3] = { BUF(1 << 24), BUF(1 << 24), BUF(1 << 24) };

	for (int second = 0; second < 3; second++)
		for (int i = 0; i < 3; i++) {
			buf_clear(&bufs[i]);
			window_encode(generator_next(generators[i]), &bufs[i]);
			assert_int_equal(bufs[i].error, 0);
		}
	assert_int_equal(bufs[0].size, bufs[1].size);
	assert_memory_equal(bufs[0].bytes, bufs[1].bytes, bufs[0].size);
	assert_true(bufs[0].size != bufs[2].size ||
		    memcmp(bufs[0].bytes, bufs[2].bytes, bufs[0].size) != 0);
	for (int i = 0; i < 3; i++) {
		generator_free(generators[i]);
		buf_done(&bufs[i]);
	}
}

static void windows_are_such_as_a_collector_sends(void **state)
{
	(void)state;
	struct generator *generator = make_generator(6);

	for (uint64_t second = 1; second <= 5; second++) {
		const struct window *window = generator_next(generator);
		autoclean(buf) struct buf buf = BUF(1 << 24);
		autoclean(window) struct window *decoded = NULL;
		uint64_t samples = 0;

		window_encode(window, &buf);
		assert_int_equal(window_decode(buf.bytes, buf.size, &decoded), 0);
		for (uint32_t i = 0; i < decoded->entry_count; i++)
			samples += decoded->entries[i].count;
		assert_int_equal(samples, 1000);
		assert_int_equal(decoded->sequence, second);
	}
	generator_free(generator);
}

static void fills_batches_with_the_same_samples(void **state)
{
	(void)state;
	struct generator *generator = make_generator(7);
	struct batch *batch = NULL;
	uint64_t locations[2] = { 0 };

	assert_int_equal(batch_new(64 << 20, &batch), 0);
	for (int lowered = 0; lowered < 2; lowered++) {
		const struct window *window = generator_next(generator);
		uint64_t samples = 0, value = 0, weight = 0;

		batch_clear(batch);
		assert_int_equal(generator_fill(generator, lowered, batch), 0);
		for (uint32_t i = 0; i < batch->items.count; i++) {
			samples += batch->items.items[i].count;
			value += batch->items.items[i].value;
		}
		for (uint32_t i = 0; i < window->entry_count; i++)
			weight += window->entries[i].weight;
		assert_int_equal(samples, 1000);
		assert_int_equal(value, weight);
		assert_int_equal(batch->source, window->collector);
		assert_int_equal(batch->sequence, window->sequence);
		locations[lowered] = batch->locations.items.count;
	}
	assert_true(locations[1] < locations[0]);
	batch_free(batch);
	generator_free(generator);
}

/* A file's functions, with the build id that it says it has. */
static void read_functions(const struct buf *elf, const struct identity *identity,
			   struct symbol_table *ret)
{
	autoclose int fd = elf_maker_memfd(elf->bytes, elf->size);
	autoclean(elf_file) struct elf_file *file = NULL;
	struct identity found;

	symbol_table_init(ret);
	assert_int_equal(elf_file_open(fd, &file), 0);
	found = elf_file_build_id(file);
	assert_int_equal(found.size, identity->size);
	assert_memory_equal(found.bytes, identity->bytes, identity->size);
	assert_int_equal(elf_file_add_symbols(file, ret), 0);
	assert_int_equal(symbol_table_build(ret), 0);
}

/* Whether it lies in one of them. */
static bool has_function_at(const struct symbol_table *table, uint64_t vaddr)
{
	for (uint32_t i = 0; i < table->count; i++)
		if (vaddr >= table->base + table->starts[i] &&
		    vaddr - table->base - table->starts[i] < table->sizes[i])
			return true;
	return false;
}

/* And each file comes once. */
static void its_files_name_every_frame(void **state)
{
	(void)state;
	enum { FRAME_STEP = 7 };
	struct generator *generator = make_generator(8);
	const struct window *window = generator_next(generator);
	struct symbol_table *tables = calloc(window->file_count, sizeof(tables[0]));
	struct identity identity;
	uint32_t count = 0;

	assert_non_null(tables);
	for (;; count++) {
		autoclean(buf) struct buf elf = BUF(32 << 20);

		if (!generator_next_file(generator, &identity, &elf))
			break;
		assert_true(count < window->file_count);
		assert_true(identity_equal(&identity, &window->files[count].identity));
		read_functions(&elf, &identity, &tables[count]);
	}
	assert_int_equal(count, window->file_count);
	for (uint32_t i = 0; i < window->frame_count; i += FRAME_STEP) {
		const struct window_frame *frame = &window->frames[i];
		/* Offsets in the file. */
		uint64_t vaddr = frame->address - ELF_MAKER_TEXT_OFFSET + ELF_MAKER_TEXT_VADDR;

		if (frame->kind == FRAME_FILE && !has_function_at(&tables[frame->reference], vaddr))
			fail_msg("frame %u, at %" PRIx64 " of file %u, has no name", i,
				 frame->address, frame->reference);
	}
	for (uint32_t i = 0; i < count; i++)
		symbol_table_done(&tables[i]);
	free(tables);
	generator_free(generator);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(brings_new_stacks_as_go_does),
		cmocka_unit_test(brings_new_stacks_as_node_does),
		cmocka_unit_test(brings_new_stacks_as_a_compiler_does),
		cmocka_unit_test(brings_new_stacks_as_python_does),
		cmocka_unit_test(shares_the_cpus_by_zipf),
		cmocka_unit_test(has_processes_that_come_and_go),
		cmocka_unit_test(follows_the_day),
		cmocka_unit_test(deploys_move_only_what_is_the_services_own),
		cmocka_unit_test(equal_seeds_give_equal_windows),
		cmocka_unit_test(windows_are_such_as_a_collector_sends),
		cmocka_unit_test(fills_batches_with_the_same_samples),
		cmocka_unit_test(its_files_name_every_frame),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
