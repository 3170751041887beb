/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What questions keep for the next one: memory within its bound and its time, and names only for as
 * long as they are the names.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "store/naming.h"
#include "store/scratch.h"
#include "store/store.h"
#include "symbols/elf_file.h"
#include "symbols/symbols.h"
#include "tests/support/elf_maker.h"
#include "tests/support/store_scene.h"

#define CPU	"process_cpu:cpu:nanoseconds:cpu:nanoseconds"
#define BASE_MS INT64_C(1700000000000)
#define SECOND	((uint64_t)CLOCK_NS_PER_S)

enum { TIMEOUT_MS = 20000, ELF_SIZE_MAX = 1 << 20, NODE_COUNT = 1000 };

/* ---- memory ---- */

/* As a question leaves it that read so many nodes. */
static void fill(struct scratch *scratch, size_t node_count)
{
	assert_int_equal(array_reserve(&scratch->self, node_count), 0);
	assert_int_equal(array_reserve(&scratch->total, node_count), 0);
	assert_int_equal(array_reserve(&scratch->mapped, node_count), 0);
	assert_int_equal(array_reserve(&scratch->named, node_count), 0);
	if (!scratch->naming)
		assert_int_equal(naming_new(NULL, &scratch->naming), 0);
	assert_int_equal(merge_start(&scratch->merge, scratch->naming, true), 0);
}

/* The one that the next question takes stays. */
static void makes_way_but_for_one(void **state)
{
	struct scratches scratches;
	struct scratch first = { 0 };
	struct scratch second = { 0 };

	(void)state;
	scratches_init(&scratches);
	fill(&first, NODE_COUNT);
	fill(&second, NODE_COUNT);

	const uint64_t *self = second.self.items;

	scratches_give(&scratches, &first, SECOND);

	size_t size = scratches_memory(&scratches);

	scratches_give(&scratches, &second, SECOND);
	assert_true(scratches_memory(&scratches) > size);
	scratches_limit(&scratches, size / 2);
	assert_true(scratches_memory(&scratches) <= size);
	scratches_take(&scratches, &second);
	assert_ptr_equal(second.self.items, self);
	/* What is given now fits. */
	scratches_give(&scratches, &second, SECOND);
	assert_in_range(scratches_memory(&scratches), 1, size / 2);
	/* It was lifted, and not beyond what is ever kept. */
	scratches_limit(&scratches, SIZE_MAX);
	fill(&first, SCRATCH_SIZE_MAX / 8);
	scratches_give(&scratches, &first, SECOND);
	assert_in_range(scratches_memory(&scratches), size / 2 + 1, SCRATCH_SIZE_MAX);
	scratches_done(&scratches);
}

static void hands_on_what_was_given(void **state)
{
	struct scratches scratches;
	struct scratch scratch;
	struct scratch again;

	(void)state;
	scratches_init(&scratches);
	scratches_take(&scratches, &scratch);
	assert_null(scratch.self.items);
	assert_null(scratch.naming);
	assert_int_equal(scratches_memory(&scratches), 0);
	fill(&scratch, NODE_COUNT);

	const uint64_t *self = scratch.self.items;
	const struct naming *naming = scratch.naming;

	scratches_give(&scratches, &scratch, SECOND);
	assert_null(scratch.self.items);
	assert_null(scratch.naming);
	assert_true(scratches_memory(&scratches) >= NODE_COUNT * (8 + 8 + 4 + 8));

	scratches_take(&scratches, &again);
	assert_ptr_equal(again.self.items, self);
	assert_ptr_equal(again.naming, naming);
	assert_true(again.total.capacity >= NODE_COUNT);
	assert_int_equal(scratches_memory(&scratches), 0);

	/* A second that runs beside it begins with nothing. */
	scratches_take(&scratches, &scratch);
	assert_null(scratch.self.items);
	scratches_give(&scratches, &scratch, SECOND);
	scratches_give(&scratches, &again, SECOND);
	scratches_done(&scratches);
}

static void keeps_no_more_than_its_bound(void **state)
{
	struct scratches scratches;
	struct scratch scratch[SCRATCH_COUNT_MAX + 2];

	(void)state;
	scratches_init(&scratches);
	for (unsigned i = 0; i < SCRATCH_COUNT_MAX + 2; i++) {
		scratches_take(&scratches, &scratch[i]);
		/* Three arrays of all fit, or none of a large host's. */
		fill(&scratch[i], i % 2 ? SCRATCH_SIZE_MAX / 4 : SCRATCH_SIZE_MAX / 64);
	}
	for (unsigned i = 0; i < SCRATCH_COUNT_MAX + 2; i++) {
		scratches_give(&scratches, &scratch[i], SECOND);
		assert_null(scratch[i].self.items);
		assert_true(scratches_memory(&scratches) <= SCRATCH_SIZE_MAX);
	}

	struct scratch large;
	struct scratch small;
	struct scratch none;

	scratches_take(&scratches, &large);
	scratches_take(&scratches, &small);
	scratches_take(&scratches, &none);
	assert_null(large.self.items);
	assert_null(large.named.items);
	assert_non_null(large.naming);
	assert_true(small.self.capacity >= SCRATCH_SIZE_MAX / 64);
	assert_null(none.naming);
	assert_int_equal(scratches_memory(&scratches), 0);
	scratches_give(&scratches, &small, SECOND);
	scratches_give(&scratches, &large, SECOND);
	scratches_done(&scratches);
}

static void lets_go_when_nobody_asks(void **state)
{
	struct scratches scratches;
	struct scratch scratch = { 0 };
	uint64_t given_ns = 1000 * SECOND;

	(void)state;
	scratches_init(&scratches);
	fill(&scratch, NODE_COUNT);
	scratches_give(&scratches, &scratch, given_ns);
	scratches_tidy(&scratches, given_ns + SCRATCH_IDLE_SECONDS * SECOND);
	assert_true(scratches_memory(&scratches) > 0);
	scratches_tidy(&scratches, given_ns + SCRATCH_IDLE_SECONDS * SECOND + 1);
	assert_int_equal(scratches_memory(&scratches), 0);
	scratches_take(&scratches, &scratch);
	assert_null(scratch.self.items);
	scratches_done(&scratches);
}

static void begins_anew_now_and_then(void **state)
{
	struct scratches scratches;
	struct scratch scratch = { 0 };
	uint64_t first_ns = 1000 * SECOND;
	uint64_t now_ns = first_ns;

	(void)state;
	scratches_init(&scratches);
	/* A large question once, and small ones all the time. */
	fill(&scratch, NODE_COUNT);
	scratches_give(&scratches, &scratch, now_ns);
	while (now_ns - first_ns < SCRATCH_AGE_SECONDS * SECOND) {
		now_ns += SECOND;
		scratches_take(&scratches, &scratch);
		assert_true(scratch.self.capacity >= NODE_COUNT);
		scratches_give(&scratches, &scratch, now_ns);
		scratches_tidy(&scratches, now_ns);
	}
	scratches_tidy(&scratches, now_ns + 1);
	assert_int_equal(scratches_memory(&scratches), 0);

	/* From then on it is kept again. */
	fill(&scratch, NODE_COUNT);
	scratches_give(&scratches, &scratch, now_ns + 2);
	scratches_tidy(&scratches, now_ns + 2 + SCRATCH_IDLE_SECONDS * SECOND);
	assert_true(scratches_memory(&scratches) > 0);
	scratches_done(&scratches);
}

/* Two that asked at once, and then one that asks again and again. */
static void what_a_rush_needed_goes(void **state)
{
	struct scratches scratches;
	struct scratch first = { 0 }, second = { 0 };
	uint64_t now_ns = 1000 * SECOND;
	size_t one;

	(void)state;
	scratches_init(&scratches);
	fill(&first, NODE_COUNT);
	fill(&second, NODE_COUNT);
	scratches_give(&scratches, &first, now_ns);
	one = scratches_memory(&scratches);
	assert_true(one > 0);
	scratches_give(&scratches, &second, now_ns);
	assert_int_equal(scratches_memory(&scratches), 2 * one);
	for (int i = 0; i < SCRATCH_SPARE_SECONDS; i++) {
		now_ns += SECOND;
		scratches_take(&scratches, &second);
		assert_true(second.self.capacity >= NODE_COUNT);
		scratches_give(&scratches, &second, now_ns);
		scratches_tidy(&scratches, now_ns);
		assert_int_equal(scratches_memory(&scratches), 2 * one);
	}
	scratches_tidy(&scratches, now_ns + 1);
	assert_int_equal(scratches_memory(&scratches), one);
	scratches_tidy(&scratches, now_ns + SCRATCH_SPARE_SECONDS * SECOND + 1);
	assert_int_equal(scratches_memory(&scratches), one);
	scratches_done(&scratches);
}

/* ---- names ---- */

static void forgets_names_after_a_while(void **state)
{
	autoclean(naming) struct naming *naming = NULL;
	(void)state;
	assert_int_equal(naming_new(NULL, &naming), 0);

	uint64_t now_ns = clock_monotonic_ns();

	assert_int_equal(naming_text(naming, STR("work")), 1);
	assert_true(naming_rest(naming));
	assert_int_equal(naming_resume(naming, now_ns), 0);
	assert_int_equal(naming_count(naming), 2);
	assert_true(str_equal(naming_get(naming, 1), STR("work")));
	now_ns += (NAMING_SECONDS_MAX + 1) * SECOND;
	assert_int_equal(naming_resume(naming, now_ns), 0);
	assert_int_equal(naming_count(naming), 1);
	assert_int_equal(naming_text(naming, STR("other")), 1);
	/* And counts from there. */
	assert_int_equal(naming_resume(naming, now_ns + SECOND), 0);
	assert_int_equal(naming_count(naming), 2);
}

static void does_not_hand_on_raw_names(void **state)
{
	struct naming *naming = NULL;

	(void)state;
	assert_int_equal(naming_new(NULL, &naming), 0);
	naming_keep_raw(naming);
	assert_false(naming_rest(naming));
	naming_free(naming);
}

struct scene {
	struct store_scene store;
	struct symbols *symbols;
	struct identity identity;
	struct buf elf;
};

static void set_up_elf(struct scene *scene)
{
	static const struct elf_maker_symbol symbols[] = {
		{ "burn", 0x100, 0x80, STT_FUNC, STB_GLOBAL },
		{ "_ZN3abc4workEi", 0x200, 0x80, STT_FUNC, STB_GLOBAL },
	};
	autoclean(elf_file) struct elf_file *opened = NULL;

	scene->elf = BUF(ELF_SIZE_MAX);
	elf_maker_make(&scene->elf, symbols, 2);

	autoclose int fd = elf_maker_memfd(scene->elf.bytes, scene->elf.size);

	assert_int_equal(elf_file_open(fd, &opened), 0);
	scene->identity = elf_file_build_id(opened);
	assert_int_equal(scene->identity.kind, IDENTITY_GNU_BUILD_ID);
}

static int set_up(void **state)
{
	struct scene *scene = calloc(1, sizeof(*scene));
	char folder[160];

	store_scene_init(&scene->store, "/tmp");
	snprintf(folder, sizeof(folder), "%s/symbols", scene->store.folder);
	if (symbols_open(folder, "", &scene->symbols))
		return -1;
	scene->store.options.symbols = scene->symbols;
	set_up_elf(scene);
	*state = scene;
	return store_scene_open(&scene->store);
}

static int tear_down(void **state)
{
	struct scene *scene = *state;

	scene->store.store = store_close(scene->store.store);
	symbols_close(scene->symbols);
	store_scene_done(&scene->store);
	buf_done(&scene->elf);
	free(scene);
	return 0;
}

/* One sample: something that no symbol names called work() called burn(). */
static void append(struct scene *scene)
{
	struct batch *batch = scene->store.batch;
	struct label label = { STR("service_name"), STR("s") };
	uint32_t stack[3];

	batch_clear(batch);
	batch_set_time(batch, (struct batch_time){ BASE_MS, BASE_MS + 1000 });
	assert_int_equal(batch_add_labels(batch, NULL, 0), 0);
	assert_int_equal(batch_add_labels(batch, &label, 1), 1);
	assert_int_equal(batch_add_series(batch, 1, STR(CPU), 1), 0);
	assert_int_equal(batch_add_build(batch, BUILD_FILE, &scene->identity, STR("/opt/prog")), 0);
	stack[0] = (uint32_t)batch_add_location(batch, 0, ELF_MAKER_TEXT_OFFSET + 0x110);
	stack[1] = (uint32_t)batch_add_location(batch, 0, ELF_MAKER_TEXT_OFFSET + 0x210);
	stack[2] = (uint32_t)batch_add_location(batch, 0, ELF_MAKER_TEXT_OFFSET + 0x900);
	assert_int_equal(batch_add_stack(batch, stack, 3, 0), 0);
	assert_int_equal(
		batch_add_entry(batch,
				&(struct batch_entry){ .series = 0, .count = 1, .value = 1 }),
		0);
	assert_int_equal(store_append(scene->store.store, batch), 0);
}

/* "total;a;b;c", innermost last. */
static void ask(struct scene *scene, bool raw, char text[static 256])
{
	struct store_question question = { .type = STR(CPU),
					   .from_unix_ms = BASE_MS,
					   .to_unix_ms = BASE_MS + 1000,
					   .raw_names = raw };
	struct flame_options options = { .node_count_max = 64 };
	struct flame flame = { 0 };
	size_t size = 0;

	assert_int_equal(store_flame(scene->store.store, &question, &options, &flame), 0);
	for (uint32_t i = 0; i < flame.node_count; i++) {
		struct str name = flame.names[flame.nodes[i].name];

		assert_int_equal(flame.nodes[i].total, 1);
		size += (size_t)snprintf(text + size, 256 - size, "%s%.*s", i ? ";" : "",
					 (int)name.size, name.text);
		assert_true(size < 256);
	}
	flame_done(&flame);
}

static void assert_names(struct scene *scene, bool raw, const char *wanted)
{
	char text[256];

	/* The second question goes on with the names of the first. */
	for (unsigned i = 0; i < 2; i++) {
		ask(scene, raw, text);
		assert_string_equal(text, wanted);
	}
}

static void names_that_come_later_are_shown(void **state)
{
	struct scene *scene = *state;
	struct store_status status = { 0 };

	append(scene);
	assert_names(scene, false, "total;prog+0x1900;prog+0x1210;prog+0x1110");
	assert_int_equal(symbols_bring_file(scene->symbols, &scene->identity,
					    elf_maker_memfd(scene->elf.bytes, scene->elf.size)),
			 0);
	assert_int_equal(symbols_settle(scene->symbols, TIMEOUT_MS), 0);
	assert_names(scene, false, "total;prog+0x1900;abc::work(int);burn");
	store_status(scene->store.store, &status);
	assert_true(status.kept_memory > 0 && status.kept_memory <= SCRATCH_SIZE_MAX);
}

static void names_of_compilers_and_of_people_stay_apart(void **state)
{
	struct scene *scene = *state;

	append(scene);
	assert_int_equal(symbols_bring_file(scene->symbols, &scene->identity,
					    elf_maker_memfd(scene->elf.bytes, scene->elf.size)),
			 0);
	assert_int_equal(symbols_settle(scene->symbols, TIMEOUT_MS), 0);
	for (unsigned i = 0; i < 2; i++) {
		assert_names(scene, false, "total;prog+0x1900;abc::work(int);burn");
		assert_names(scene, true, "total;prog+0x1900;_ZN3abc4workEi;burn");
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(makes_way_but_for_one),
		cmocka_unit_test(hands_on_what_was_given),
		cmocka_unit_test(keeps_no_more_than_its_bound),
		cmocka_unit_test(lets_go_when_nobody_asks),
		cmocka_unit_test(begins_anew_now_and_then),
		cmocka_unit_test(what_a_rush_needed_goes),
		cmocka_unit_test(forgets_names_after_a_while),
		cmocka_unit_test(does_not_hand_on_raw_names),
		cmocka_unit_test_setup_teardown(names_that_come_later_are_shown, set_up, tear_down),
		cmocka_unit_test_setup_teardown(names_of_compilers_and_of_people_stay_apart, set_up,
						tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
