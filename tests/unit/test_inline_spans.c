/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "symbols/inline_spans.h"
#include "symbols/line_rows.h"
#include "tests/support/tier.h"

enum { SPAN = 2000, BASE = 0x1000 };

struct spot {
	uint32_t scope;
	unsigned depth;
};

/* A call in [start, end), and maybe calls in it; what lies deeper comes first as often as not. */
static void nest(struct inline_spans *spans, struct spot *truth, unsigned *seed, uint32_t start,
		 uint32_t end, unsigned depth, uint32_t *next)
{
	while (start < end && depth < 12) {
		uint32_t from = start + (uint32_t)rand_r(seed) % (end - start);
		uint32_t size = 1 + (uint32_t)rand_r(seed) % (end - from);
		uint32_t scope = (*next)++;
		bool is_first = rand_r(seed) % 2;

		if (is_first)
			assert_int_equal(inline_spans_add(spans, BASE + from, BASE + from + size,
							  scope, depth),
					 0);
		for (uint32_t i = from; i < from + size; i++)
			if (truth[i].scope == LINE_SCOPE_NONE || truth[i].depth <= depth)
				truth[i] = (struct spot){ scope, depth };
		if (rand_r(seed) % 3)
			nest(spans, truth, seed, from, from + size, depth + 1, next);
		if (!is_first)
			assert_int_equal(inline_spans_add(spans, BASE + from, BASE + from + size,
							  scope, depth),
					 0);
		start = from + size;
	}
}

static void knows_the_innermost_everywhere(void **state)
{
	unsigned seed = (unsigned)tier_seed();

	(void)state;
	for (int round = 0; round < 200; round++) {
		static struct spot truth[SPAN];
		struct inline_spans spans;
		uint32_t next = 0;
		size_t hint = 0;

		for (size_t i = 0; i < SPAN; i++)
			truth[i] = (struct spot){ .scope = LINE_SCOPE_NONE };
		inline_spans_init(&spans);
		nest(&spans, truth, &seed, 0, SPAN, 0, &next);
		assert_int_equal(inline_spans_lay_out(&spans), 0);
		for (uint32_t i = 0; i < SPAN;) {
			uint64_t until = BASE + SPAN;
			uint32_t scope = inline_spans_at(&spans, &hint, BASE + i, &until);

			assert_true(until > BASE + i);
			for (; BASE + i < until; i++)
				assert_int_equal(truth[i].scope, scope);
		}
		inline_spans_done(&spans);
	}
}

static void cuts_what_reaches_out(void **state)
{
	struct inline_spans spans;
	size_t hint = 0;
	uint64_t until = 1000;

	(void)state;
	inline_spans_init(&spans);
	assert_int_equal(inline_spans_add(&spans, 10, 20, 1, 0), 0);
	assert_int_equal(inline_spans_add(&spans, 15, 30, 2, 1), 0);
	assert_int_equal(inline_spans_lay_out(&spans), 0);
	assert_int_equal(inline_spans_at(&spans, &hint, 5, &until), LINE_SCOPE_NONE);
	assert_int_equal(until, 10);
	until = 1000;
	assert_int_equal(inline_spans_at(&spans, &hint, 14, &until), 1);
	assert_int_equal(until, 15);
	until = 1000;
	assert_int_equal(inline_spans_at(&spans, &hint, 15, &until), 2);
	assert_int_equal(until, 20);
	until = 1000;
	assert_int_equal(inline_spans_at(&spans, &hint, 20, &until), LINE_SCOPE_NONE);
	assert_int_equal(until, 1000);
	inline_spans_done(&spans);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(knows_the_innermost_everywhere),
		cmocka_unit_test(cuts_what_reaches_out),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
