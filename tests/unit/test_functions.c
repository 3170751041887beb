/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Stacks looked at from their ends: lists of functions, bottom-up graphs and sandwiches, against a
 * naive model that keeps every stack and answers by adding up.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/folder.h"
#include "store/selector.h"
#include "store/store.h"
#include "symbols/symbols.h"
#include "tests/support/elf_maker.h"
#include "tests/support/hearth.h"

#define CPU	 "process_cpu:cpu:nanoseconds:cpu:nanoseconds"
#define START_MS INT64_C(1700006400000)

enum {
	FUNCTION_COUNT = 10,
	LOCATION_COUNT = 12,
	STACK_COUNT = 600,
	FRAME_COUNT_MAX_HERE = 16,
	PATH_COUNT_MAX = 40000,
	PATH_SIZE_MAX = 160,
	SERVICE_COUNT = 2,
};

/* Two of one name in different modules; and what symbols know of two files of one name. */
static const struct {
	const char *name;
	const char *module;
	enum flame_kind kind;
} functions[FUNCTION_COUNT] = {
	{ "Main", "", FLAME_NAMED },
	{ "parse", "", FLAME_NAMED },
	{ "malloc", "", FLAME_NAMED },
	{ "a", "", FLAME_NAMED },
	{ "other", "", FLAME_NAMED },
	{ "[anonymous]+0x10", "one", FLAME_UNNAMED },
	{ "[anonymous]+0x10", "two", FLAME_UNNAMED },
	{ "work(int)", "libx.so", FLAME_NATIVE },
	{ "parse", "libx.so", FLAME_NATIVE },
	{ "libx.so+0x1800", "libx.so", FLAME_UNNAMED },
};

/* The functions of each location, outermost first: the last two are one inlined into another. */
static const struct {
	uint8_t count;
	uint8_t functions[2];
} locations[LOCATION_COUNT] = { { 1, { 0 } }, { 1, { 1 } }, { 1, { 2 } },    { 1, { 3 } },
				{ 1, { 5 } }, { 1, { 6 } }, { 2, { 3, 4 } }, { 2, { 2, 2 } },
				{ 1, { 7 } }, { 1, { 7 } }, { 1, { 8 } },    { 1, { 9 } } };

/* The last of them, in files with symbols, at a place within the function. */
enum { FIRST_IN_FILE = 8, FILE_COUNT = 2, TEXT_SIZE = 4096, ELF_SIZE_MAX = 64 << 10 };
static const struct {
	uint8_t file;
	uint64_t address; /* from the start of its text */
} in_files[LOCATION_COUNT - FIRST_IN_FILE] = {
	{ 0, 0x48 }, { 1, 0x104 }, { 1, 0x20 }, { 0, 0x800 }
};
static const struct elf_maker_symbol file_symbols[FILE_COUNT][2] = {
	{ { "parse", 0, 0x40, STT_FUNC, STB_GLOBAL },
	  { "_Z4worki", 0x40, 0x40, STT_FUNC, STB_GLOBAL } },
	{ { "parse", 0, 0x40, STT_FUNC, STB_GLOBAL },
	  { "_Z4worki", 0x100, 0x20, STT_FUNC, STB_GLOBAL } },
};

struct stack {
	uint32_t service;
	uint64_t value;
	uint32_t depth;
	uint8_t frames[FRAME_COUNT_MAX_HERE]; /* functions, root first */
};

struct fixture {
	char folder[64];
	struct symbols *symbols;
	struct store *store;
	struct batch *batch;
	uint64_t seed;
	struct stack *stacks;
	uint32_t stack_count;
};

static uint32_t below(struct fixture *fixture, uint32_t limit)
{
	uint64_t x = fixture->seed += UINT64_C(0x9e3779b97f4a7c15);

	x = (x ^ x >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	x = (x ^ x >> 27) * UINT64_C(0x94d049bb133111eb);
	return (uint32_t)((x ^ x >> 31) % limit);
}

static uint32_t number(int64_t result)
{
	assert_true(result >= 0);
	return (uint32_t)result;
}

static void bring_symbols(struct fixture *fixture)
{
	char folder[80];

	snprintf(folder, sizeof(folder), "%s/symbols", fixture->folder);
	assert_int_equal(mkdir(folder, 0700), 0);
	assert_int_equal(symbols_open(folder, "", &fixture->symbols), 0);
	for (uint8_t i = 0; i < FILE_COUNT; i++) {
		struct identity identity = elf_maker_identity(i);
		struct buf elf = BUF(ELF_SIZE_MAX);

		elf_maker_make_large(&elf, identity.bytes, TEXT_SIZE, file_symbols[i], 2);
		assert_int_equal(symbols_bring_file(fixture->symbols, &identity,
						    elf_maker_memfd(elf.bytes, elf.size)),
				 0);
		buf_done(&elf);
	}
	assert_int_equal(symbols_settle(fixture->symbols, 30000), 0);
}

static uint32_t add_in_file(struct batch *batch, uint32_t location)
{
	uint8_t file = in_files[location - FIRST_IN_FILE].file;
	struct identity identity = elf_maker_identity(file);
	uint32_t build =
		number(batch_add_build(batch, BUILD_FILE, &identity,
				       file ? STR("/opt/new/libx.so") : STR("/usr/lib/libx.so")));

	return number(batch_add_location(
		batch, build, ELF_MAKER_TEXT_OFFSET + in_files[location - FIRST_IN_FILE].address));
}

static void add_locations(struct batch *batch, uint32_t numbers[static LOCATION_COUNT])
{
	for (uint32_t i = FIRST_IN_FILE; i < LOCATION_COUNT; i++)
		numbers[i] = add_in_file(batch, i);
	for (uint32_t i = 0; i < FIRST_IN_FILE; i++) {
		struct named_line lines[2];
		struct identity identity = { .kind = IDENTITY_INODE, .size = 1 };
		uint32_t count = locations[i].count;
		const char *module = functions[locations[i].functions[0]].module;

		identity.bytes[0] = (uint8_t)i;
		if (module[0]) {
			uint32_t build = number(batch_add_build(batch, BUILD_ANONYMOUS, &identity,
								str_from(module)));

			numbers[i] = number(batch_add_location(batch, build, 0x10));
			continue;
		}
		/* Innermost first. */
		for (uint32_t k = 0; k < count; k++)
			lines[k] = (struct named_line){
				.function = str_from(
					functions[locations[i].functions[count - 1 - k]].name)
			};
		numbers[i] = number(batch_add_named_location(batch, lines, count));
	}
}

static void add_stack(struct fixture *fixture, const uint32_t *numbers, const uint32_t *series)
{
	struct stack *stack = &fixture->stacks[fixture->stack_count++];
	uint32_t chosen[5];
	uint32_t count = below(fixture, 6);

	*stack = (struct stack){ .service = below(fixture, SERVICE_COUNT),
				 .value = 1 + below(fixture, 1000) };
	for (uint32_t i = 0; i < count; i++) {
		uint32_t location = below(fixture, LOCATION_COUNT);

		chosen[count - 1 - i] = numbers[location];
		for (uint32_t k = 0; k < locations[location].count; k++)
			stack->frames[stack->depth++] = locations[location].functions[k];
	}

	struct batch_entry entry = {
		.series = series[stack->service],
		.sample_labels = number(batch_add_labels(fixture->batch, NULL, 0)),
		.stack = number(batch_add_stack(fixture->batch, chosen, count, 0)),
		.count = 1,
		.value = stack->value,
	};

	assert_int_equal(batch_add_entry(fixture->batch, &entry), 0);
}

/* Windows over half an hour: several segments, the last one open. */
static void fill(struct fixture *fixture)
{
	enum { WINDOW_COUNT = 6, WINDOW_MS = 300000 };

	for (int64_t window = 0; window < WINDOW_COUNT; window++) {
		uint32_t numbers[LOCATION_COUNT];
		uint32_t series[SERVICE_COUNT];
		int64_t time_ms = START_MS + window * WINDOW_MS;

		batch_clear(fixture->batch);
		batch_set_time(fixture->batch, (struct batch_time){ time_ms, time_ms + 1000 });
		add_locations(fixture->batch, numbers);
		for (uint32_t i = 0; i < SERVICE_COUNT; i++) {
			char name[16];
			struct label label = { STR("service_name"), { name, 2 } };

			snprintf(name, sizeof(name), "s%u", i);
			series[i] = number(batch_add_series(
				fixture->batch, number(batch_add_labels(fixture->batch, &label, 1)),
				STR(CPU), 1));
		}
		for (uint32_t i = 0; i < STACK_COUNT / WINDOW_COUNT; i++)
			add_stack(fixture, numbers, series);
		assert_int_equal(store_append(fixture->store, fixture->batch), 0);
		assert_int_equal(store_commit(fixture->store), 0);
	}
}

static int set_up(void **state)
{
	struct fixture *fixture = calloc(1, sizeof(*fixture));
	struct store_options options = { .folder = fixture->folder };

	assert_non_null(fixture);
	snprintf(fixture->folder, sizeof(fixture->folder), "/tmp/hearth-functions-XXXXXX");
	assert_non_null(mkdtemp(fixture->folder));
	bring_symbols(fixture);
	options.symbols = fixture->symbols;
	assert_int_equal(store_open(&options, &fixture->store), 0);
	assert_int_equal(batch_new(16 << 20, &fixture->batch), 0);
	fixture->stacks = calloc(STACK_COUNT, sizeof(fixture->stacks[0]));
	assert_non_null(fixture->stacks);
	fixture->seed = 7;
	fill(fixture);
	*state = fixture;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *fixture = *state;

	store_close(fixture->store);
	symbols_close(fixture->symbols);
	batch_free(fixture->batch);
	free(fixture->stacks);
	folder_remove(fixture->folder);
	free(fixture);
	return 0;
}

static struct store_question everything(void)
{
	return (struct store_question){ .type = STR(CPU),
					.from_unix_ms = START_MS,
					.to_unix_ms = START_MS + 3600000 };
}

/* ---- lists of functions ---------------------------------------------------------------------- */

static bool is_function(struct str name, struct str module, uint32_t function)
{
	return str_equal(name, str_from(functions[function].name)) &&
	       str_equal(module, str_from(functions[function].module));
}

struct weight {
	uint64_t self;
	uint64_t total;
};

static struct weight weigh(const struct fixture *fixture, uint32_t function)
{
	struct weight weight = { 0 };

	for (uint32_t i = 0; i < fixture->stack_count; i++) {
		const struct stack *stack = &fixture->stacks[i];
		bool holds = false;

		for (uint32_t k = 0; k < stack->depth; k++)
			holds |= stack->frames[k] == function;
		weight.total += holds ? stack->value : 0;
		if (stack->depth > 0 && stack->frames[stack->depth - 1] == function)
			weight.self += stack->value;
	}
	return weight;
}

static void functions_weigh_what_their_stacks_weigh(void **state)
{
	struct fixture *fixture = *state;
	struct store_question question = everything();
	struct functions_options options = { .limit = 100 };
	struct functions answer;
	uint64_t total = 0;

	for (uint32_t i = 0; i < fixture->stack_count; i++)
		total += fixture->stacks[i].value;
	for (int by_total = 0; by_total < 2; by_total++) {
		options.by_total = by_total;
		assert_int_equal(store_functions(fixture->store, &question, &options, &answer), 0);
		assert_int_equal(answer.count, FUNCTION_COUNT);
		assert_int_equal(answer.matched_count, FUNCTION_COUNT);
		assert_int_equal(answer.total, total);
		for (uint32_t i = 0; i < answer.count; i++) {
			const struct function_row *row = &answer.rows[i];
			uint32_t function = 0;

			while (function < FUNCTION_COUNT &&
			       !is_function(row->name, row->module, function))
				function++;
			assert_true(function < FUNCTION_COUNT);

			struct weight weight = weigh(fixture, function);

			assert_int_equal(row->self, weight.self);
			assert_int_equal(row->total, weight.total);
			assert_int_equal(row->kind, functions[function].kind);
			if (i > 0 && by_total)
				assert_true(row->total <= row[-1].total);
			if (i > 0 && !by_total)
				assert_true(row->self <= row[-1].self);
		}
		functions_done(&answer);
	}
}

static void fewer_are_the_first_of_all(void **state)
{
	struct fixture *fixture = *state;
	struct store_question question = everything();

	for (uint32_t limit = 1; limit < FUNCTION_COUNT; limit++) {
		struct functions_options options = { .limit = 100, .by_total = limit % 2 };
		struct functions all;
		struct functions some;

		assert_int_equal(store_functions(fixture->store, &question, &options, &all), 0);
		options.limit = limit;
		assert_int_equal(store_functions(fixture->store, &question, &options, &some), 0);
		assert_int_equal(some.count, limit);
		assert_int_equal(some.matched_count, all.matched_count);
		for (uint32_t i = 0; i < limit; i++) {
			assert_true(str_equal(some.rows[i].name, all.rows[i].name));
			assert_true(str_equal(some.rows[i].module, all.rows[i].module));
			assert_int_equal(some.rows[i].self, all.rows[i].self);
			assert_int_equal(some.rows[i].total, all.rows[i].total);
		}
		functions_done(&some);
		functions_done(&all);
	}
}

static void assert_finds_one(struct fixture *fixture, const char *search, uint32_t function)
{
	struct store_question question = everything();
	struct functions_options options = { .search = str_from(search), .limit = 1 };
	struct functions answer;

	assert_int_equal(store_functions(fixture->store, &question, &options, &answer), 0);
	assert_int_equal(answer.matched_count, 1);
	assert_true(is_function(answer.rows[0].name, answer.rows[0].module, function));
	assert_int_equal(answer.matched_total, weigh(fixture, function).total);
	functions_done(&answer);
}

static void a_search_counts_each_stack_once(void **state)
{
	struct fixture *fixture = *state;
	struct store_question question = everything();
	/* Main, malloc; and in the other case. */
	struct functions_options options = { .search = STR("mA"), .limit = 1 };
	struct functions answer;
	uint64_t matched = 0;

	for (uint32_t i = 0; i < fixture->stack_count; i++) {
		const struct stack *stack = &fixture->stacks[i];
		bool holds = false;

		for (uint32_t k = 0; k < stack->depth; k++)
			holds |= stack->frames[k] == 0 || stack->frames[k] == 2;
		matched += holds ? stack->value : 0;
	}
	assert_int_equal(store_functions(fixture->store, &question, &options, &answer), 0);
	assert_int_equal(answer.count, 1);
	assert_int_equal(answer.matched_count, 2);
	assert_int_equal(answer.matched_total, matched);
	assert_int_equal(answer.matched_self, weigh(fixture, 0).self + weigh(fixture, 2).self);
	functions_done(&answer);

	/* A module is found, too; and names as they are shown, not as symbols have them. */
	assert_finds_one(fixture, "TWO", 6);
	assert_finds_one(fixture, "work(INT", 7);

	options.search = STR("nothing of that name");
	assert_int_equal(store_functions(fixture->store, &question, &options, &answer), 0);
	assert_int_equal(answer.count, 0);
	assert_int_equal(answer.matched_total, 0);
	functions_done(&answer);
}

/* ---- graphs ---------------------------------------------------------------------------------- */

struct path {
	char text[PATH_SIZE_MAX];
	uint64_t self;
	uint64_t total;
};

struct paths {
	struct path *items;
	uint32_t count;
};

static int compare_paths(const void *a, const void *b)
{
	return strcmp(((const struct path *)a)->text, ((const struct path *)b)->text);
}

static void paths_init(struct paths *paths)
{
	paths->items = calloc(PATH_COUNT_MAX, sizeof(paths->items[0]));
	paths->count = 0;
	assert_non_null(paths->items);
}

static void paths_add(struct paths *paths, const char *text, uint64_t total, uint64_t self)
{
	struct path *path = &paths->items[paths->count++];

	assert_true(paths->count <= PATH_COUNT_MAX && strlen(text) < PATH_SIZE_MAX);
	memcpy(path->text, text, strlen(text)); /* zeroed */
	path->total = total;
	path->self = self;
}

/* Sorted, equal ones added up. */
static void paths_fold(struct paths *paths)
{
	uint32_t count = 0;

	qsort(paths->items, paths->count, sizeof(paths->items[0]), compare_paths);
	for (uint32_t i = 0; i < paths->count; i++) {
		if (count > 0 && strcmp(paths->items[count - 1].text, paths->items[i].text) == 0) {
			paths->items[count - 1].total += paths->items[i].total;
			paths->items[count - 1].self += paths->items[i].self;
		} else {
			paths->items[count++] = paths->items[i];
		}
	}
	paths->count = count;
}

static void add_function(char text[static PATH_SIZE_MAX], uint32_t function)
{
	size_t size = strlen(text);

	snprintf(text + size, PATH_SIZE_MAX - size, "/%s@%s", functions[function].name,
		 functions[function].module);
}

/* The paths of a graph: what is "more" is left out; each node weighs what is below and in it. */
static struct paths flame_paths(const struct flame *flame)
{
	struct paths paths;
	char(*texts)[PATH_SIZE_MAX] = calloc(flame->node_count, sizeof(texts[0]));
	uint64_t *below_it = calloc(flame->node_count, sizeof(below_it[0]));

	assert_non_null(texts);
	assert_non_null(below_it);
	paths_init(&paths);
	for (uint32_t i = 0; i < flame->node_count; i++) {
		const struct flame_node *node = &flame->nodes[i];
		struct str name = flame->names[node->name];
		struct str module = flame->names[node->module];

		below_it[node->parent] += i > 0 ? node->total : 0;
		if (node->kind == FLAME_MORE)
			continue;
		if (i > 0) {
			char text[PATH_SIZE_MAX];

			snprintf(text, sizeof(text), "/%.*s@%.*s", STR_PRINT(name),
				 STR_PRINT(module));
			assert_true(strlen(texts[node->parent]) + strlen(text) < PATH_SIZE_MAX);
			stpcpy(stpcpy(texts[i], texts[node->parent]), text);
		}
		paths_add(&paths, texts[i], node->total, node->self);
	}
	for (uint32_t i = 0; i < flame->node_count; i++)
		assert_int_equal(flame->nodes[i].kind == FLAME_MORE ? 0 : below_it[i],
				 flame->nodes[i].kind == FLAME_MORE
					 ? 0
					 : flame->nodes[i].total - flame->nodes[i].self);
	free(texts);
	free(below_it);
	paths_fold(&paths);
	return paths;
}

/* The graph is the model's, and takes both apart. */
static void assert_graph(const struct flame *flame, struct paths *model)
{
	struct paths paths = flame_paths(flame);

	paths_fold(model);
	assert_int_equal(paths.count, model->count);
	for (uint32_t i = 0; i < paths.count; i++) {
		assert_string_equal(paths.items[i].text, model->items[i].text);
		assert_int_equal(paths.items[i].total, model->items[i].total);
		assert_int_equal(paths.items[i].self, model->items[i].self);
	}
	free(paths.items);
	free(model->items);
}

/* A stack upside down, from a frame upwards. */
static void add_upwards(struct paths *paths, const char *start, const struct stack *stack,
			uint32_t count)
{
	char text[PATH_SIZE_MAX];

	snprintf(text, sizeof(text), "%s", start);
	paths_add(paths, text, stack->value, count == 0 ? stack->value : 0);
	for (uint32_t i = count; i-- > 0;) {
		add_function(text, stack->frames[i]);
		paths_add(paths, text, stack->value, i == 0 ? stack->value : 0);
	}
}

static void bottom_up_graphs_turn_stacks_around(void **state)
{
	struct fixture *fixture = *state;
	struct store_question question = everything();
	struct flame_options options = { .by_module = true, .is_bottom_up = true };
	struct flame flame;
	struct paths model;

	paths_init(&model);
	for (uint32_t i = 0; i < fixture->stack_count; i++)
		add_upwards(&model, "", &fixture->stacks[i], fixture->stacks[i].depth);
	assert_int_equal(store_flame(fixture->store, &question, &options, &flame), 0);
	assert_int_equal(flame.sample_count, STACK_COUNT);
	assert_graph(&flame, &model);
	flame_done(&flame);

	/* Rows stay on top. */
	options.rows_by = STR("service_name");
	paths_init(&model);
	for (uint32_t i = 0; i < fixture->stack_count; i++) {
		const struct stack *stack = &fixture->stacks[i];
		char row[8];

		snprintf(row, sizeof(row), "/s%u@", stack->service);
		paths_add(&model, "", stack->value, 0);
		add_upwards(&model, row, stack, stack->depth);
	}
	assert_int_equal(store_flame(fixture->store, &question, &options, &flame), 0);
	assert_graph(&flame, &model);
	flame_done(&flame);
}

static int compare_totals(const void *a, const void *b)
{
	uint64_t x = ((const struct path *)a)->total;
	uint64_t y = ((const struct path *)b)->total;

	return (x < y) - (x > y);
}

static void bottom_up_graphs_keep_the_heaviest(void **state)
{
	enum { KEEP = 40 };
	struct fixture *fixture = *state;
	struct store_question question = everything();
	struct flame_options options = { .by_module = true, .is_bottom_up = true };
	struct flame whole;
	struct flame cut;

	assert_int_equal(store_flame(fixture->store, &question, &options, &whole), 0);
	options.node_count_max = KEEP;
	assert_int_equal(store_flame(fixture->store, &question, &options, &cut), 0);

	struct paths all = flame_paths(&whole);
	struct paths kept = flame_paths(&cut);
	struct paths sorted = { calloc(all.count, sizeof(all.items[0])), all.count };

	assert_true(all.count > 10 * KEEP && cut.hidden_count > 0);
	memcpy(sorted.items, all.items, all.count * sizeof(all.items[0]));
	qsort(sorted.items, all.count, sizeof(all.items[0]), compare_totals);

	/* The root stands first, and does not count. */
	uint64_t threshold = sorted.items[KEEP].total;
	uint32_t k = 0;

	for (uint32_t i = 0; i < all.count; i++) {
		if (all.items[i].total < threshold)
			continue;
		assert_true(k < kept.count);
		assert_string_equal(kept.items[k].text, all.items[i].text);
		assert_int_equal(kept.items[k].total, all.items[i].total);
		assert_int_equal(kept.items[k].self, all.items[i].self);
		k++;
	}
	assert_int_equal(k, kept.count);
	free(all.items);
	free(kept.items);
	free(sorted.items);
	flame_done(&whole);
	flame_done(&cut);
}

/* ---- sandwiches ------------------------------------------------------------------------------ */

static uint32_t outermost(const struct stack *stack, uint32_t function)
{
	uint32_t frame = 0;

	while (frame < stack->depth && stack->frames[frame] != function)
		frame++;
	return frame;
}

static void sandwiches_show_both_sides(void **state)
{
	struct fixture *fixture = *state;
	struct store_question question = everything();

	for (uint32_t function = 0; function < FUNCTION_COUNT; function++) {
		struct sandwich_options options = {
			.function = str_from(functions[function].name),
			.module = str_from(functions[function].module),
		};
		struct weight weight = weigh(fixture, function);
		struct sandwich sandwich;
		struct paths callers;
		struct paths callees;

		paths_init(&callers);
		paths_init(&callees);
		for (uint32_t i = 0; i < fixture->stack_count; i++) {
			const struct stack *stack = &fixture->stacks[i];
			uint32_t frame = outermost(stack, function);
			char text[PATH_SIZE_MAX] = "";

			if (frame == stack->depth)
				continue;
			add_upwards(&callers, "", stack, frame);
			for (; frame < stack->depth; frame++) {
				paths_add(&callees, text, stack->value,
					  frame + 1 == stack->depth ? stack->value : 0);
				if (frame + 1 < stack->depth)
					add_function(text, stack->frames[frame + 1]);
			}
		}
		assert_int_equal(store_sandwich(fixture->store, &question, &options, &sandwich), 0);
		assert_int_equal(sandwich.self, weight.self);
		assert_int_equal(sandwich.callers.nodes[0].total, weight.total);
		assert_int_equal(sandwich.callees.nodes[0].total, weight.total);
		assert_true(is_function(sandwich.callers.names[sandwich.callers.nodes[0].name],
					sandwich.callers.names[sandwich.callers.nodes[0].module],
					function));
		assert_int_equal(sandwich.callees.nodes[0].kind, functions[function].kind);
		assert_graph(&sandwich.callers, &callers);
		assert_graph(&sandwich.callees, &callees);
		sandwich_done(&sandwich);
	}
}

static void a_sandwich_may_be_of_any_module_or_of_nothing(void **state)
{
	struct fixture *fixture = *state;
	struct store_question question = everything();
	struct sandwich_options options = { .function = STR("[anonymous]+0x10"),
					    .node_count_max = 10 };
	struct sandwich sandwich;
	uint64_t expected = 0;
	uint64_t view = 0;

	for (uint32_t i = 0; i < fixture->stack_count; i++) {
		const struct stack *stack = &fixture->stacks[i];
		bool holds =
			outermost(stack, 5) < stack->depth || outermost(stack, 6) < stack->depth;

		expected += holds ? stack->value : 0;
		view += stack->value;
	}
	assert_int_equal(store_sandwich(fixture->store, &question, &options, &sandwich), 0);
	assert_int_equal(sandwich.callers.nodes[0].total, expected);
	assert_int_equal(sandwich.callees.nodes[0].total, expected);
	assert_int_equal(sandwich.view_total, view);
	assert_true(sandwich.callers.hidden_count > 0);
	sandwich_done(&sandwich);

	options.function = STR("nobody");
	assert_int_equal(store_sandwich(fixture->store, &question, &options, &sandwich), 0);
	assert_int_equal(sandwich.callers.node_count, 1);
	assert_int_equal(sandwich.callees.node_count, 1);
	assert_int_equal(sandwich.callees.nodes[0].total, 0);
	assert_int_equal(sandwich.view_total, view);
	sandwich_done(&sandwich);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		TEST(functions_weigh_what_their_stacks_weigh),
		TEST(fewer_are_the_first_of_all),
		TEST(a_search_counts_each_stack_once),
		TEST(bottom_up_graphs_turn_stacks_around),
		TEST(bottom_up_graphs_keep_the_heaviest),
		TEST(sandwiches_show_both_sides),
		TEST(a_sandwich_may_be_of_any_module_or_of_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
