/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What names add to the flame graph of a day of a whole host: the same store is asked with and
 * without symbols. The host is generated, and so are the names: each module has a function every
 * 256 bytes, with a name for C++ to take apart.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/folder.h"
#include "store/store.h"
#include "symbols/symbol_folder.h"
#include "symbols/symbols.h"
#include "tests/support/generator.h"
#include "tests/support/hearth.h"

enum {
	DAY_S = 24 * 3600,
	SAMPLES_PER_S = 66, /* of a host that is not busy: names weigh more */
	SERVICE_COUNT = 40,
	LOOK_S = 300, /* of the host, for all of its modules */
	MODULE_COUNT_MAX = 1024,
	FUNCTION_SIZE = 256,
	FUNCTION_COUNT_MAX = 200000, /* of a module */
	QUESTION_COUNT = 7,
	NODE_COUNT = 4096,
};

struct module {
	struct identity identity;
	uint64_t end; /* of its addresses */
};

struct bench {
	char root[64];
	struct module modules[MODULE_COUNT_MAX];
	unsigned count;
	uint64_t functions;
};

static struct module *find_module(struct bench *bench, const struct identity *identity)
{
	for (unsigned i = 0; i < bench->count; i++)
		if (identity_equal(&bench->modules[i].identity, identity))
			return &bench->modules[i];
	if (bench->count == MODULE_COUNT_MAX)
		return NULL;
	bench->modules[bench->count].identity = *identity;
	return &bench->modules[bench->count++];
}

static int find_modules(struct bench *bench)
{
	struct generator_options options = { .seed = 1,
					     .service_count = SERVICE_COUNT,
					     .process_count = SERVICE_COUNT * 15 / 2,
					     .samples_per_window = SAMPLES_PER_S,
					     .cpu_count = 2,
					     .frequency_hz = 99 };
	struct generator *generator = NULL;
	int err = generator_new(&options, &generator);

	for (int s = 0; !err && s < LOOK_S; s++) {
		const struct window *window = generator_next(generator);

		for (uint32_t i = 0; i < window->frame_count; i++) {
			const struct window_frame *frame = &window->frames[i];

			if (frame->kind != FRAME_FILE)
				continue;

			struct module *module =
				find_module(bench, &window->files[frame->reference].identity);

			if (module && frame->address >= module->end)
				module->end = frame->address + 1;
		}
	}
	generator_free(generator);
	return err;
}

static int write_names(struct bench *bench, struct symbol_folder *folder,
		       const struct module *module)
{
	/* Twice what was seen: more is seen in a day. */
	uint64_t count = module->end / FUNCTION_SIZE * 2 + 1;
	static char names[FUNCTION_COUNT_MAX][40];
	struct elf_segment segment = { .size = count * FUNCTION_SIZE };
	struct symbol_table table;
	struct symbol_file_contents contents = { .identity = module->identity,
						 .sources = SYMBOL_FILE_FROM_ELF,
						 .segments = &segment,
						 .segment_count = 1,
						 .table = &table };
	int err = 0;

	if (count > FUNCTION_COUNT_MAX)
		count = FUNCTION_COUNT_MAX;
	symbol_table_init(&table);
	for (uint64_t i = 0; !err && i < count; i++) {
		struct symbol symbol = { .start = i * FUNCTION_SIZE,
					 .size = FUNCTION_SIZE,
					 .end_max = (i + 1) * FUNCTION_SIZE,
					 .name = names[i] };

		symbol.name_size_max = (uint32_t)snprintf(names[i], sizeof(names[i]),
							  "_ZN7service4workI9m%02x%06xEEvPKT_",
							  module->identity.bytes[0], (unsigned)i);
		err = symbol_table_add(&table, &symbol);
	}
	if (!err)
		err = symbol_table_build(&table);
	if (!err)
		err = symbol_folder_write(folder, &contents);
	bench->functions += table.count;
	symbol_table_done(&table);
	return err;
}

static uint64_t cpu_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
	return (uint64_t)now.tv_sec * (uint64_t)CLOCK_NS_PER_S + (uint64_t)now.tv_nsec;
}

static int compare(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a;
	uint64_t y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

/* The first, and the median of the others, in ms of CPU time; how many nodes have names. */
static int ask(const struct bench *bench, struct symbols *symbols, double *ret_first,
	       double *ret_median)
{
	char folder[96];
	struct store *store = NULL;
	struct store_options options = { .folder = folder, .symbols = symbols };
	struct flame_options flame_options = { .node_count_max = NODE_COUNT };
	uint64_t times[QUESTION_COUNT];
	uint32_t named = 0, nodes = 0;

	snprintf(folder, sizeof(folder), "%s/data", bench->root);

	int err = store_open(&options, &store);

	for (int i = 0; !err && i < QUESTION_COUNT; i++) {
		struct store_question question = {
			.type = STR("process_cpu:cpu:nanoseconds:cpu:nanoseconds"),
			.from_unix_ms = clock_unix_ms() - INT64_C(2) * DAY_S * CLOCK_MS_PER_S,
			.to_unix_ms = clock_unix_ms() + CLOCK_MS_PER_S,
		};
		struct flame flame = { 0 };
		uint64_t start_ns = cpu_ns();

		err = store_flame(store, &question, &flame_options, &flame);
		times[i] = cpu_ns() - start_ns;
		nodes = flame.node_count;
		named = 0;
		for (uint32_t n = 0; n < flame.node_count; n++)
			named += flame.nodes[n].kind == FLAME_NATIVE;
		flame_done(&flame);
	}
	store_close(store);
	if (err)
		return err;
	*ret_first = (double)times[0] / 1e6;
	qsort(times + 1, QUESTION_COUNT - 1, sizeof(times[0]), compare);
	*ret_median = (double)times[QUESTION_COUNT / 2] / 1e6;
	printf("%-50s %8.1f ms, then %.1f ms; %u of %u nodes named\n",
	       symbols ? "flame graph of a day, with names, CPU" : "  without", *ret_first,
	       *ret_median, named, nodes);
	return 0;
}

static int measure(struct bench *bench)
{
	char path[96];
	struct symbol_folder *folder = NULL;
	struct symbols *symbols = NULL;
	double first[2], median[2];
	int err;

	snprintf(path, sizeof(path), "%s/symbols", bench->root);
	err = symbol_folder_open(path, UINT64_C(4) << 30, &folder);
	for (unsigned i = 0; !err && i < bench->count; i++)
		err = write_names(bench, folder, &bench->modules[i]);
	symbol_folder_close(folder);
	if (!err)
		err = symbols_open(path, "", &symbols);
	if (!err)
		err = ask(bench, NULL, &first[0], &median[0]);
	if (!err)
		err = ask(bench, symbols, &first[1], &median[1]);
	symbols_close(symbols);
	if (err)
		return err;
	printf("%-50s %8.1f %% (bar 20)%s; the first time %.1f %%\n", "names add",
	       100 * (median[1] / median[0] - 1), median[1] > 1.2 * median[0] ? "  OVER" : "",
	       100 * (first[1] / first[0] - 1));
	printf("%-50s %8llu in %u modules\n", "functions", (unsigned long long)bench->functions,
	       bench->count);
	return 0;
}

int main(void)
{
	static struct bench bench = { .root = "/tmp/hearth-bench-XXXXXX" };
	char command[512], program[256];

	if (!mkdtemp(bench.root))
		return 1;
	snprintf(command, sizeof(command), "%s --store %s/data %d %d %d",
		 build_path("tests/bench/generate", program, sizeof(program)), bench.root, DAY_S,
		 SAMPLES_PER_S, SERVICE_COUNT);

	int err = system(command);

	if (!err)
		err = find_modules(&bench);
	if (!err)
		err = measure(&bench);
	folder_remove(bench.root);
	if (err)
		fprintf(stderr, "%s\n", strerror(-err));
	return err != 0;
}
