/* SPDX-License-Identifier: Apache-2.0 */
/* What the store keeps decoded: the latest used, up to a size, and not for ever. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "store/cache.h"

enum { SIZE_MAX_HELD = 1600 };

static void add(struct cache *cache, uint32_t span, size_t size)
{
	struct cached *cached = cached_new();

	assert_non_null(cached);
	cached->size = size;
	cache_add(cache, (struct cache_key){ .span = span }, cached);
	cached_release(cached);
}

/* The program's clock, so much later. */
static uint64_t later_ns;

uint64_t __real_clock_monotonic_ns(void);
uint64_t __wrap_clock_monotonic_ns(void);

uint64_t __wrap_clock_monotonic_ns(void)
{
	return __real_clock_monotonic_ns() + later_ns;
}

static bool has(struct cache *cache, uint32_t span)
{
	struct cached *cached = cache_find(cache, (struct cache_key){ .span = span });
	bool is_there = cached != NULL;

	cached_release(cached);
	return is_there;
}

static void the_latest_used_stay(void **state)
{
	struct cache *cache;

	(void)state;
	assert_int_equal(cache_new(SIZE_MAX_HELD, &cache), 0);
	add(cache, 1, 400);
	add(cache, 2, 400);
	assert_true(has(cache, 1));
	add(cache, 3, 400);
	assert_true(has(cache, 1));
	assert_false(has(cache, 2));
	assert_true(has(cache, 3));
	assert_int_equal(cache_size(cache), 800);
	/* Too large for all of it: not kept, and nothing goes for it. */
	add(cache, 4, SIZE_MAX_HELD + 1);
	assert_false(has(cache, 4));
	assert_int_equal(cache_size(cache), 800);
	cache_free(cache);
}

/* What roll-ups left of a span an hour ago is not what they leave of it now. */
static void add_sum(struct cache *cache, uint32_t span)
{
	struct cached *cached = cached_new();

	assert_non_null(cached);
	cached->size = SIZE_MAX_HELD / 4;
	cache_add(cache,
		  (struct cache_key){ .span = span, .segment = 1, .last_segment = 36, .type = 7 },
		  cached);
	cached_release(cached);
}

static bool has_sum(struct cache *cache, uint32_t span)
{
	struct cached *cached = cache_find(
		cache,
		(struct cache_key){ .span = span, .segment = 1, .last_segment = 36, .type = 7 });

	cached_release(cached);
	return cached != NULL;
}

/* Who asks again and again, and then for something else, does not need the first any more. */
/* What was not used longest goes, of each share; then there is room again. */
static void a_limit_lets_go_and_is_lifted(void **state)
{
	struct cache *cache;

	(void)state;
	assert_int_equal(cache_new(SIZE_MAX_HELD, &cache), 0);
	add(cache, 1, 300);
	add(cache, 2, 300);
	add_sum(cache, 3);
	assert_true(has(cache, 1));
	cache_limit(cache, SIZE_MAX_HELD / 2);
	assert_true(has(cache, 1));
	assert_false(has(cache, 2));
	assert_true(has_sum(cache, 3));
	add(cache, 4, 500);
	assert_false(has(cache, 4));
	assert_true(has(cache, 1));
	/* It was made for no more. */
	cache_limit(cache, 100 * SIZE_MAX_HELD);
	add(cache, 4, 500);
	add(cache, 5, 300);
	assert_true(has(cache, 4));
	assert_true(has(cache, 5));
	assert_false(has(cache, 1));
	cache_limit(cache, 0);
	assert_int_equal(cache_size(cache), 0);
	cache_free(cache);
}

static void sums_of_what_is_left_are_told_apart(void **state)
{
	struct cache_key sum = { .span = 1,
				 .segment = 1,
				 .last_segment = 36,
				 .type = 7,
				 .from_ms = 5,
				 .to_ms = 9,
				 .left = 11 };
	struct cached *cached = cached_new();
	struct cache *cache;

	(void)state;
	assert_non_null(cached);
	assert_int_equal(cache_new(SIZE_MAX_HELD, &cache), 0);
	cached->size = 1;
	cache_add(cache, sum, cached);
	assert_null(cache_find(cache, sum));
	cache_add(cache, sum, cached);
	assert_ptr_equal(cache_find(cache, sum), cached);
	cached_release(cached);
	sum.left = 12;
	assert_null(cache_find(cache, sum));
	sum.left = 0;
	assert_null(cache_find(cache, sum));
	cached_release(cached);
	cache_free(cache);
}

/* Many small sums would else go for one large catalog. */
static void sums_have_a_share_of_their_own(void **state)
{
	struct cache_key sum = { .span = 1, .segment = 1, .last_segment = 36, .type = 7 };
	struct cached *cached = cached_new();
	struct cache *cache;

	(void)state;
	assert_non_null(cached);
	assert_int_equal(cache_new(SIZE_MAX_HELD, &cache), 0);
	cached->size = SIZE_MAX_HELD / 2;
	cache_add(cache, sum, cached);
	for (uint32_t span = 1; span < 10; span++)
		add(cache, span, SIZE_MAX_HELD / 2);
	assert_false(has(cache, 8));
	assert_true(has(cache, 9));
	assert_ptr_equal(cache_find(cache, sum), cached);
	cached_release(cached);
	assert_int_equal(cache_size(cache), SIZE_MAX_HELD);
	/* Among themselves the oldest goes, but not for one that is needed a moment later. */
	sum.span = 2;
	cache_add(cache, sum, cached);
	assert_null(cache_find(cache, sum));
	later_ns = 60 * CLOCK_NS_PER_S;
	cache_add(cache, sum, cached);
	assert_ptr_equal(cache_find(cache, sum), cached);
	cached_release(cached);
	sum.span = 1;
	assert_null(cache_find(cache, sum));
	assert_true(has(cache, 9));
	later_ns = 0;
	cached_release(cached);
	cache_free(cache);
}

static void sums_make_way_when_what_is_asked_for_is_another(void **state)
{
	const uint64_t tenth_ns = CLOCK_NS_PER_S / 10;
	struct cache *cache;

	(void)state;
	assert_int_equal(cache_new(SIZE_MAX_HELD, &cache), 0);
	add_sum(cache, 1);
	add_sum(cache, 2);
	for (int i = 0; i < 3; i++) {
		later_ns += tenth_ns;
		assert_true(has_sum(cache, 2));
	}
	/* Both may be needed next. */
	later_ns += tenth_ns;
	add_sum(cache, 3);
	assert_false(has_sum(cache, 3));
	later_ns += 20 * tenth_ns;
	add_sum(cache, 3);
	assert_true(has_sum(cache, 3));
	assert_false(has_sum(cache, 2));
	assert_true(has_sum(cache, 1));
	later_ns = 0;
	cache_free(cache);
}

static void what_a_later_generation_replaces_goes(void **state)
{
	struct cache_key keys[] = { { .span = 1, .segment = 4 },
				    { .span = 1, .segment = 4, .service = 2 },
				    { .span = 1, .segment = 5 },
				    { .span = 2, .segment = 4 },
				    { .span = 1, .segment = 4, .last_segment = 9, .type = 7 } };
	struct cache *cache;

	(void)state;
	assert_int_equal(cache_new(SIZE_MAX_HELD, &cache), 0);
	for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
		struct cached *cached = cached_new();

		assert_non_null(cached);
		cached->size = 100;
		cache_add(cache, keys[i], cached);
		cached_release(cached);
	}
	cache_forget_before(cache, 1, 5);
	assert_int_equal(cache_size(cache), 300);
	for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
		struct cached *cached = cache_find(cache, keys[i]);

		assert_int_equal(cached != NULL, i >= 2);
		cached_release(cached);
	}
	cache_free(cache);
}

static void what_nobody_asks_for_goes(void **state)
{
	struct cached *held;
	struct cache *cache;
	uint64_t then_ns;

	(void)state;
	assert_int_equal(cache_new(SIZE_MAX_HELD, &cache), 0);
	add(cache, 1, 300);
	then_ns = clock_monotonic_ns();
	cache_tidy(cache, then_ns, CACHE_UNUSED_NS);
	assert_int_equal(cache_size(cache), 300);
	held = cache_find(cache, (struct cache_key){ .span = 1 });
	assert_non_null(held);
	/* It was used a moment later than these. */
	cache_tidy(cache, then_ns + CACHE_FRESH_NS, CACHE_FRESH_NS);
	assert_int_equal(cache_size(cache), 300);
	cache_tidy(cache, then_ns + CACHE_UNUSED_NS, CACHE_UNUSED_NS);
	assert_int_equal(cache_size(cache), 300);
	cache_tidy(cache, clock_monotonic_ns() + CACHE_FRESH_NS + 1, CACHE_UNUSED_NS);
	assert_int_equal(cache_size(cache), 300);
	cache_tidy(cache, clock_monotonic_ns() + CACHE_FRESH_NS + 1, CACHE_FRESH_NS);
	assert_int_equal(cache_size(cache), 0);
	assert_false(has(cache, 1));
	/* Who has it keeps it. */
	assert_int_equal(held->size, 300);
	cached_release(held);
	cache_free(cache);
}

/* Times that are other ones each time are not kept until somebody asks for them again. */
static void times_are_kept_when_they_are_asked_for_again(void **state)
{
	enum { OTHERS = 300 };
	struct cache_key key = { .span = 2, .segment = 1, .last_segment = 9, .type = 4 };
	struct cached *cached = cached_new();
	struct cache *cache;

	(void)state;
	assert_non_null(cached);
	assert_int_equal(cache_new(SIZE_MAX_HELD, &cache), 0);
	cached->size = 10;
	for (int64_t i = 1; i <= OTHERS; i++) {
		key.from_ms = i;
		key.to_ms = 1000 + i;
		cache_add(cache, key, cached);
	}
	assert_int_equal(cache_size(cache), 0);
	/* The last ones are known; the first ones were too long ago. */
	cache_add(cache, key, cached);
	assert_int_equal(cache_size(cache), 10);
	assert_ptr_equal(cache_find(cache, key), cached);
	cached_release(cached);
	key.from_ms = 1;
	key.to_ms = 1001;
	cache_add(cache, key, cached);
	assert_int_equal(cache_size(cache), 10);
	cache_add(cache, key, cached);
	assert_int_equal(cache_size(cache), 20);
	/* Without times at once. */
	cache_add(cache, (struct cache_key){ .span = 1 }, cached);
	assert_int_equal(cache_size(cache), 30);
	cached_release(cached);
	cache_free(cache);
}

static bool lies_within(const struct cached *cached, const void *items)
{
	const uint8_t *pages = cached->pages;
	const uint8_t *at = items;

	return pages && at >= pages && at < pages + cached->pages_size;
}

/* Words and a tree with weights, as a summary and a catalog have them. */
static struct cached *make_all(uint32_t node_count)
{
	struct cached *cached = cached_new();
	char text[32];

	assert_non_null(cached);
	assert_int_equal(tree_init(&cached->tree), 0);
	assert_int_equal(catalog_init(&cached->catalog), 0);
	cached->self = calloc(node_count + 1, sizeof(cached->self[0]));
	cached->total = calloc(node_count + 1, sizeof(cached->total[0]));
	cached->hidden = calloc(node_count + 1, sizeof(cached->hidden[0]));
	assert_true(cached->self && cached->total && cached->hidden);
	assert_int_equal(array_reserve(&cached->parts, 8), 0);
	cached->parts.items[cached->parts.count++] =
		(struct tree_part){ .service = 1, .count = node_count };
	for (uint32_t i = 0; i < node_count; i++) {
		int64_t location = tree_add_location(&cached->tree, 1, UINT64_C(4096) + i);
		int size = snprintf(text, sizeof(text), "text %u", i);

		assert_true(location >= 0);
		assert_int_equal(tree_add_node(&cached->tree, i ? i - 1 : TREE_NO_PARENT,
					       (uint32_t)location),
				 i);
		assert_true(catalog_add(&cached->catalog, CATALOG_TEXT, text, (size_t)size) > 0);
		cached->self[i] = i;
		cached->total[i] = UINT64_C(3) * i;
		cached->hidden[i] = i % 7;
	}
	cached->size = 800;
	return cached;
}

static void assert_all(const struct cached *cached, uint32_t node_count)
{
	char text[32];

	assert_int_equal(cached->tree.nodes.count, node_count);
	assert_int_equal(cached->parts.count, 1);
	assert_int_equal(cached->parts.items[0].count, node_count);
	assert_int_equal(catalog_count(&cached->catalog, CATALOG_TEXT), node_count + 1);
	for (uint32_t i = 0; i < node_count; i++) {
		struct tree_node node = cached->tree.nodes.items[i];
		int size = snprintf(text, sizeof(text), "text %u", i);

		assert_int_equal(node.parent, i ? i - 1 : TREE_NO_PARENT);
		assert_int_equal(cached->tree.builds.items[node.location], 1);
		assert_int_equal(cached->tree.addresses.items[node.location], 4096 + i);
		assert_int_equal(cached->self[i], i);
		assert_int_equal(cached->total[i], 3 * i);
		assert_int_equal(cached->hidden[i], i % 7);
		assert_int_equal(
			pool_find(&cached->catalog.pools[CATALOG_TEXT], text, (size_t)size), i + 1);
		assert_true(str_equal(catalog_text(&cached->catalog, i + 1),
				      (struct str){ text, (size_t)size }));
	}
}

/* What stays for minutes holds no holes open between what questions take. */
static void what_is_kept_has_pages_of_its_own(void **state)
{
	enum { NODE_COUNT = 3000 };
	struct cached *cached;
	struct cache *cache;
	size_t before;

	(void)state;
	assert_int_equal(cache_new(SIZE_MAX_HELD, &cache), 0);
	before = mallinfo2().uordblks;
	cached = make_all(NODE_COUNT);
	assert_null(cached->pages);
	cache_add(cache, (struct cache_key){ .span = 1 }, cached);
	assert_true(lies_within(cached, cached->tree.nodes.items));
	assert_true(lies_within(cached, cached->tree.builds.items));
	assert_true(lies_within(cached, cached->tree.addresses.items));
	assert_true(lies_within(cached, cached->parts.items));
	assert_true(lies_within(cached, cached->self));
	assert_true(lies_within(cached, cached->total));
	assert_true(lies_within(cached, cached->hidden));
	for (int kind = 0; kind < CATALOG_KIND_COUNT; kind++)
		assert_true(lies_within(cached, cached->catalog.pools[kind].bytes) ||
			    cached->catalog.pools[kind].size == 0);
	assert_all(cached, NODE_COUNT);
	/* All in all it has a hundred times as much; the sanitizers' heap tells nothing. */
	assert_true(mallinfo2().uordblks < before + (32 << 10));
	cached_release(cached);
	/* It outlives the cache with those who have it. */
	cached = cache_find(cache, (struct cache_key){ .span = 1 });
	cache_free(cache);
	assert_all(cached, NODE_COUNT);
	cached_release(cached);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_latest_used_stay),
		cmocka_unit_test(a_limit_lets_go_and_is_lifted),
		cmocka_unit_test(sums_have_a_share_of_their_own),
		cmocka_unit_test(sums_of_what_is_left_are_told_apart),
		cmocka_unit_test(sums_make_way_when_what_is_asked_for_is_another),
		cmocka_unit_test(what_a_later_generation_replaces_goes),
		cmocka_unit_test(what_nobody_asks_for_goes),
		cmocka_unit_test(times_are_kept_when_they_are_asked_for_again),
		cmocka_unit_test(what_is_kept_has_pages_of_its_own),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
