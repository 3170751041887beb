/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Leaves become their functions when a segment is settled: names and values are as before, with
 * fewer nodes, and what the source says no to stays.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "store/leaves.h"
#include "tests/support/store_scene.h"

enum { FUNCTION_SIZE = 256, LIBRARY = 1, OTHER = 2 };

/* Of one of two files. */
static bool find_start(void *context, const struct identity *identity, uint64_t address,
		       uint64_t *ret)
{
	uint64_t *asked = context;

	(*asked)++;
	if (identity->bytes[0] != LIBRARY)
		return false;
	*ret = address / FUNCTION_SIZE * FUNCTION_SIZE;
	return true;
}

static uint32_t add_build(struct catalog *catalog, uint8_t kind, uint8_t first)
{
	struct catalog_build build = { .kind = kind };
	int64_t number;

	build.identity.kind = IDENTITY_GNU_BUILD_ID;
	build.identity.size = 20;
	build.identity.bytes[0] = first;
	number = catalog_add(catalog, CATALOG_BUILD, &build, sizeof(build));
	assert_true(number > 0);
	return (uint32_t)number;
}

static uint32_t add(struct tree *tree, uint32_t parent, uint32_t build, uint64_t address)
{
	int64_t location = 0, node;

	for (uint32_t i = TREE_RESERVED_COUNT; !location && i < tree->builds.count; i++)
		if (tree->builds.items[i] == build && tree->addresses.items[i] == address)
			location = i;
	if (!location)
		location = tree_add_location(tree, build, address);
	assert_true(location >= TREE_RESERVED_COUNT);
	node = tree_add_node(tree, parent, (uint32_t)location);
	assert_true(node >= 0);
	return (uint32_t)node;
}

static void assert_at(const struct tree *tree, uint32_t node, uint32_t build, uint64_t address)
{
	uint32_t location = tree->nodes.items[node].location;

	assert_int_equal(tree->builds.items[location], build);
	assert_int_equal(tree->addresses.items[location], address);
}

static void leaves_become_functions(void **state)
{
	uint64_t asked = 0;
	struct leaf_source source = { .start = find_start, .context = &asked };
	struct leaf_source none = { 0 };
	struct catalog catalog = { 0 };
	struct tree tree = { 0 };
	uint32_t library, other, anonymous, root, caller, leaves[8], locations;

	(void)state;
	assert_int_equal(catalog_init(&catalog), 0);
	assert_int_equal(tree_init(&tree), 0);
	library = add_build(&catalog, BUILD_FILE, LIBRARY);
	other = add_build(&catalog, BUILD_FILE, OTHER);
	anonymous = add_build(&catalog, BUILD_ANONYMOUS, LIBRARY);
	root = (uint32_t)tree_add_node(&tree, TREE_NO_PARENT, 0);
	caller = add(&tree, root, library, 1000);
	leaves[0] = add(&tree, caller, library, 2 * FUNCTION_SIZE + 8);
	leaves[1] = add(&tree, caller, library, 2 * FUNCTION_SIZE + 16);
	leaves[2] = add(&tree, caller, library, 2 * FUNCTION_SIZE);
	leaves[3] = add(&tree, caller, library, 9 * FUNCTION_SIZE + 1);
	leaves[4] = add(&tree, caller, other, 2 * FUNCTION_SIZE + 8);
	leaves[5] = add(&tree, caller, anonymous, 2 * FUNCTION_SIZE + 8);
	leaves[6] = (uint32_t)tree_add_node(&tree, root, TREE_CALLERS_MISSING);
	leaves[7] = add(&tree, root, library, 9 * FUNCTION_SIZE + 1);
	locations = tree.builds.count;

	assert_int_equal(leaves_lower(NULL, &catalog, &tree), 0);
	assert_int_equal(leaves_lower(&none, &catalog, &tree), 0);
	assert_int_equal(asked, 0);
	assert_int_equal(tree.builds.count, locations);
	assert_int_equal(leaves_lower(&source, &catalog, &tree), 0);
	/* One start was there already; a place is asked for once. */
	assert_int_equal(tree.builds.count, locations + 1);
	assert_int_equal(asked, 5);
	assert_at(&tree, caller, library, 1000);
	for (int i = 0; i < 3; i++)
		assert_at(&tree, leaves[i], library, 2 * FUNCTION_SIZE);
	assert_int_equal(tree.nodes.items[leaves[0]].location,
			 tree.nodes.items[leaves[2]].location);
	assert_at(&tree, leaves[3], library, 9 * FUNCTION_SIZE);
	assert_at(&tree, leaves[4], other, 2 * FUNCTION_SIZE + 8);
	assert_at(&tree, leaves[5], anonymous, 2 * FUNCTION_SIZE + 8);
	assert_int_equal(tree.nodes.items[leaves[6]].location, TREE_CALLERS_MISSING);
	assert_int_equal(tree.nodes.items[leaves[7]].location,
			 tree.nodes.items[leaves[3]].location);
	/* A second time nothing changes. */
	assert_int_equal(leaves_lower(&source, &catalog, &tree), 0);
	assert_int_equal(tree.builds.count, locations + 1);
	tree_done(&tree);
	catalog_done(&catalog);
}

/* ---- in a store ------------------------------------------------------------------------------ */

#define START_MS INT64_C(1764000000000)

/* So that nothing of the program's symbols is needed: what stands at an address is named by it. */
static bool scene_start(void *context, const struct identity *identity, uint64_t address,
			uint64_t *ret)
{
	(void)context;
	(void)identity;
	*ret = address / 480 * 480;
	return true;
}

static struct flame ask(struct store_scene *scene, int64_t from_ms, int64_t to_ms)
{
	struct store_question question = { .from_unix_ms = from_ms, .to_unix_ms = to_ms };
	struct flame_options options = { .node_count_max = 1 << 20,
					 .rows_by = STR("service_name") };
	struct flame flame = { 0 };

	assert_int_equal(store_flame(scene->store, &question, &options, &flame), 0);
	return flame;
}

static uint64_t value_of(const struct flame *flame, const char *name)
{
	for (uint32_t i = 0; i < flame->node_count; i++)
		if (str_equal(flame->names[flame->nodes[i].name], str_from(name)))
			return flame->nodes[i].total;
	return 0;
}

/* Ten minutes, before and after they are settled, whole and in part, and after a restart. */
static void nothing_is_lost_by_it(void **state)
{
	static const char *const services[] = { "alpha", "beta", "gamma", "delta" };
	struct store_scene scene;
	struct flame before, part_before, after, part_after;

	(void)state;
	store_scene_init(&scene, access("/dev/shm", W_OK) ? "/tmp" : "/dev/shm");
	scene.options.leaf_start = scene_start;
	assert_int_equal(store_scene_open(&scene), 0);
	for (int i = 0; i < 60; i++) {
		assert_int_equal(store_scene_append(&scene, START_MS + i * INT64_C(5000), 80), 0);
		assert_int_equal(store_scene_commit(&scene), 0);
	}
	before = ask(&scene, START_MS, START_MS + 600000);
	part_before = ask(&scene, START_MS + 60000, START_MS + 120000);
	scene.store = store_close(scene.store);
	assert_int_equal(store_scene_open(&scene), 0);
	assert_int_equal(store_maintain(scene.store, START_MS + 600000), 0);
	after = ask(&scene, START_MS, START_MS + 600000);
	part_after = ask(&scene, START_MS + 60000, START_MS + 120000);
	assert_int_equal(before.sample_count, 60 * 80);
	assert_int_equal(after.sample_count, 60 * 80);
	assert_int_equal(after.nodes[0].total, before.nodes[0].total);
	assert_int_equal(part_after.sample_count, part_before.sample_count);
	assert_int_equal(part_after.nodes[0].total, part_before.nodes[0].total);
	assert_true(after.node_count < before.node_count * 9 / 10);
	for (unsigned i = 0; i < 4; i++) {
		assert_true(value_of(&before, services[i]) > 0);
		assert_int_equal(value_of(&after, services[i]), value_of(&before, services[i]));
		assert_int_equal(value_of(&part_after, services[i]),
				 value_of(&part_before, services[i]));
	}
	assert_int_equal(store_scene_count(&scene, START_MS, START_MS + 600000), 60 * 80);
	flame_done(&before);
	flame_done(&part_before);
	flame_done(&after);
	flame_done(&part_after);
	store_scene_done(&scene);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(leaves_become_functions),
		cmocka_unit_test(nothing_is_lost_by_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
