/* SPDX-License-Identifier: Apache-2.0 */
/* A chronicle's tree that grows piece by piece, against the paths of all of them. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/buf.h"
#include "store/growth.h"
#include "store/pool.h"
#include "tests/support/call_graph.h"

extern const char store_chronicle_span[];

enum {
	SERVICE = 3, /* scopes */
	OTHER = 4,
	BUILD_COUNT = 5,
	DEPTH_MAX = 12,
	STACKS_A_PIECE = 300,
	PIECE_COUNT = 8,
};

struct fixture {
	sqlite3 *database;
	struct codec *codec;
};

static int set_up(void **state)
{
	static struct fixture fixture;
	int err = database_open(":memory:", DATABASE_WRITE, &fixture.database);

	*state = &fixture;
	if (!err)
		err = database_execute(fixture.database, store_chronicle_span);
	return err ? err : codec_new(&fixture.codec);
}

static int tear_down(void **state)
{
	struct fixture *fixture = *state;

	fixture->codec = codec_free(fixture->codec);
	fixture->database = database_close(fixture->database);
	return 0;
}

/* Of few functions, of which another piece has some as well; some stacks are cut or folded. */
static int64_t add_location(struct segment *piece, uint64_t *seed, bool is_first, bool is_last)
{
	uint64_t build = random_next(seed) % BUILD_COUNT;
	uint64_t address = random_next(seed) % 9 * piece->number;

	if (is_first && random_next(seed) % 8 == 0)
		return TREE_CALLERS_MISSING;
	if (is_last && random_next(seed) % 8 == 0)
		return TREE_FOLDED;
	return segment_add_location(piece, (uint32_t)build, address);
}

static void fill(struct segment *piece, uint32_t number, uint64_t seed)
{
	assert_int_equal(segment_init(piece, number, 0), 0);
	for (uint32_t i = 0; i < STACKS_A_PIECE; i++) {
		int64_t node = segment_add_node(piece, TREE_NO_PARENT, random_next(&seed) % 3);
		uint32_t depth = 1 + random_next(&seed) % DEPTH_MAX;

		for (uint32_t j = 0; j < depth; j++) {
			int64_t location = add_location(piece, &seed, j == 0, j + 1 == depth);

			assert_true(node >= 0 && location >= 0);
			node = segment_add_node(piece, (uint32_t)node, (uint32_t)location);
		}
		assert_true(node >= 0);
	}
}

/* From the node up to its root. */
static void path_of(const struct tree *tree, uint32_t node, struct buf *ret)
{
	buf_clear(ret);
	for (; tree->nodes.items[node].parent != TREE_NO_PARENT;
	     node = tree->nodes.items[node].parent) {
		uint32_t location = tree->nodes.items[node].location;

		assert_true(tree->nodes.items[node].parent < node);
		assert_true(location < tree->builds.count);
		buf_printf(ret, "%u %llx;", tree->builds.items[location],
			   (unsigned long long)tree->addresses.items[location]);
	}
	buf_printf(ret, "service %u", tree->nodes.items[node].location);
	assert_int_equal(ret->error, 0);
}

static void same_path(const struct tree *a, uint32_t in_a, const struct tree *b, uint32_t in_b)
{
	autoclean(buf) struct buf path_a = BUF(4096), path_b = BUF(4096);

	path_of(a, in_a, &path_a);
	path_of(b, in_b, &path_b);
	assert_int_equal(path_a.size, path_b.size);
	assert_memory_equal(path_a.bytes, path_b.bytes, path_a.size);
}

/* Adds the paths of all nodes: how many of them were new. */
static uint32_t add_paths(struct pool *paths, const struct tree *tree)
{
	autoclean(buf) struct buf path = BUF(4096);
	uint32_t before = pool_count(paths);

	for (uint32_t i = 0; i < tree->nodes.count; i++) {
		path_of(tree, i, &path);
		assert_true(pool_add(paths, path.bytes, path.size) >= 0);
	}
	return pool_count(paths) - before;
}

static int go_on(void *context)
{
	(void)context;
	return 0;
}

static void read_tree(struct fixture *fixture, int64_t scope, struct tree *ret)
{
	assert_int_equal(tree_init(ret), 0);
	assert_int_equal(growth_read_tree(fixture->database, fixture->codec, scope, BUILD_COUNT,
					  ret, go_on, NULL),
			 0);
}

static int64_t row_count(struct fixture *fixture)
{
	int64_t count = -1;

	assert_int_equal(database_number(fixture->database, "SELECT count(*) FROM growth", &count),
			 0);
	return count;
}

/* Reads, and when that is well writes: what it added. */
static int grow(struct fixture *fixture, int64_t scope, const struct segment *piece,
		uint32_t *ret_new)
{
	autoclean(growth) struct growth growth = { 0 };
	int err =
		growth_read(&growth, fixture->database, fixture->codec, scope, BUILD_COUNT, piece);

	if (err)
		return err;
	for (uint32_t i = 0; i < piece->tree.nodes.count; i++) {
		assert_true(growth.numbers[i] < growth.tree.nodes.count);
		same_path(&piece->tree, i, &growth.tree, growth.numbers[i]);
	}
	*ret_new = growth.tree.nodes.count - growth.nodes_before;
	return growth_write(&growth, fixture->database, fixture->codec, scope, piece->number);
}

static void a_tree_has_every_path_of_its_pieces_once(void **state)
{
	struct fixture *fixture = *state;
	struct pool paths;

	pool_init(&paths, 1 << 20, NULL);
	for (uint32_t i = 1; i <= PIECE_COUNT; i++) {
		struct segment piece;
		struct tree before, after;
		uint32_t wanted, added;

		fill(&piece, i, i * 1000);
		read_tree(fixture, SERVICE, &before);
		wanted = add_paths(&paths, &piece.tree);
		assert_true(wanted > 0);
		assert_true(i == 1 || wanted < piece.tree.nodes.count);
		assert_int_equal(grow(fixture, SERVICE, &piece, &added), 0);
		assert_int_equal(added, wanted);

		/* Numbers stay, and no path is there twice. */
		read_tree(fixture, SERVICE, &after);
		assert_int_equal(after.nodes.count, before.nodes.count + added);
		assert_int_equal(after.nodes.count, pool_count(&paths));
		for (uint32_t j = 0; j < before.nodes.count; j++)
			same_path(&before, j, &after, j);
		assert_int_equal(add_paths(&paths, &after), 0);
		tree_done(&before);
		tree_done(&after);
		segment_done(&piece);
	}
	pool_done(&paths);
}

static void what_is_there_takes_no_row(void **state)
{
	struct fixture *fixture = *state;
	struct segment piece;
	uint32_t added;

	fill(&piece, 1, 1);
	assert_int_equal(grow(fixture, SERVICE, &piece, &added), 0);
	assert_int_equal(added, piece.tree.nodes.count);
	assert_int_equal(row_count(fixture), 1);
	assert_int_equal(grow(fixture, SERVICE, &piece, &added), 0);
	assert_int_equal(added, 0);
	assert_int_equal(row_count(fixture), 1);

	/* Another scope knows nothing of it. */
	assert_int_equal(grow(fixture, OTHER, &piece, &added), 0);
	assert_int_equal(added, piece.tree.nodes.count);
	assert_int_equal(row_count(fixture), 2);
	segment_done(&piece);
}

static void a_node_that_is_there_twice_is_damage(void **state)
{
	struct fixture *fixture = *state;
	struct growth twice = { 0 };
	struct segment piece;
	uint32_t added;

	assert_int_equal(tree_init(&twice.tree), 0);
	twice.locations_before = TREE_RESERVED_COUNT;
	assert_int_equal(tree_add_node(&twice.tree, TREE_NO_PARENT, 2), 0);
	assert_int_equal(tree_add_node(&twice.tree, TREE_NO_PARENT, 2), 1);
	assert_int_equal(growth_write(&twice, fixture->database, fixture->codec, SERVICE, 1), 0);
	growth_done(&twice);

	fill(&piece, 2, 2);
	assert_int_equal(grow(fixture, SERVICE, &piece, &added), -EBADMSG);
	segment_done(&piece);
}

/* A build that the chronicle has no name for. */
static void a_build_beyond_the_last_is_damage(void **state)
{
	struct fixture *fixture = *state;
	struct growth beyond = { 0 };
	struct segment piece;
	uint32_t added;

	assert_int_equal(tree_init(&beyond.tree), 0);
	beyond.locations_before = TREE_RESERVED_COUNT;
	assert_int_equal(tree_add_location(&beyond.tree, BUILD_COUNT, 1), TREE_RESERVED_COUNT);
	assert_int_equal(tree_add_node(&beyond.tree, TREE_NO_PARENT, 2), 0);
	assert_int_equal(growth_write(&beyond, fixture->database, fixture->codec, SERVICE, 1), 0);
	growth_done(&beyond);

	fill(&piece, 2, 2);
	assert_int_equal(grow(fixture, SERVICE, &piece, &added), -EBADMSG);
	segment_done(&piece);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_tree_has_every_path_of_its_pieces_once, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(what_is_there_takes_no_row, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_node_that_is_there_twice_is_damage, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(a_build_beyond_the_last_is_damage, set_up,
						tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
