/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stddef.h>
#include <stdint.h>

/*
 * Ranges of addresses that stand in scopes (symbols/line_rows.h), each within another, in any
 * order; laid out they say of each address which is the innermost. Held by the caller:
 * inline_spans_init(), _add()…, _lay_out(), _at()…, _done().
 */
struct inline_spans {
	struct inline_span *items;
	size_t count;
	size_t capacity;
	/* After inline_spans_lay_out(): apart from each other, ascending. */
	struct inline_span *pieces;
	size_t piece_count;
	size_t piece_capacity;
};

void inline_spans_init(struct inline_spans *spans);
void inline_spans_done(struct inline_spans *spans);

/* depth: larger than that of those around it. -ENOMEM. */
int inline_spans_add(struct inline_spans *spans, uint64_t start, uint64_t end, uint32_t scope,
		     unsigned depth);

/* Once. What reaches out of the one around it is cut there. -ENOMEM. */
int inline_spans_lay_out(struct inline_spans *spans);

/*
 * The scope at an address, LINE_SCOPE_NONE if it stands in none, and how far it holds, at most to
 * *until. *hint is 0 at first; addresses may ascend only.
 */
uint32_t inline_spans_at(const struct inline_spans *spans, size_t *hint, uint64_t vaddr,
			 uint64_t *until);
