/* SPDX-License-Identifier: Apache-2.0 */
#include "symbols/inline_spans.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#include "symbols/line_rows.h"

enum { FIRST_COUNT = 256 };

struct inline_span {
	uint64_t start;
	uint64_t end;
	uint32_t scope;
	uint32_t depth;
};

void inline_spans_init(struct inline_spans *spans)
{
	*spans = (struct inline_spans){ 0 };
}

void inline_spans_done(struct inline_spans *spans)
{
	free(spans->items);
	free(spans->pieces);
	inline_spans_init(spans);
}

static int append(struct inline_span **items, size_t *count, size_t *capacity,
		  const struct inline_span *span)
{
	if (*count == *capacity) {
		size_t wanted = *capacity ? *capacity * 2 : FIRST_COUNT;
		void *grown = reallocarray(*items, wanted, sizeof(**items));

		if (!grown)
			return -ENOMEM;
		*items = grown;
		*capacity = wanted;
	}
	(*items)[(*count)++] = *span;
	return 0;
}

int inline_spans_add(struct inline_spans *spans, uint64_t start, uint64_t end, uint32_t scope,
		     unsigned depth)
{
	assert(start < end && !spans->pieces);
	return append(&spans->items, &spans->count, &spans->capacity,
		      &(struct inline_span){ start, end, scope, depth });
}

static int compare_spans(const void *left, const void *right)
{
	const struct inline_span *a = left;
	const struct inline_span *b = right;

	if (a->start != b->start)
		return a->start < b->start ? -1 : 1;
	if (a->depth != b->depth)
		return a->depth < b->depth ? -1 : 1;
	if (a->end != b->end)
		return a->end > b->end ? -1 : 1;
	return (a->scope > b->scope) - (a->scope < b->scope);
}

/* Those that hold the address looked at, each within the one before. */
struct nest {
	struct inline_span *items;
	size_t count;
	size_t capacity;
	uint64_t at; /* all before is laid out */
};

static int lay_until(struct inline_spans *spans, struct nest *nest, uint64_t end)
{
	int err = 0;

	while (!err && nest->count > 0 && nest->at < end) {
		const struct inline_span *top = &nest->items[nest->count - 1];
		struct inline_span piece = *top;

		piece.start = nest->at;
		if (piece.end > end)
			piece.end = end;
		if (piece.start < piece.end)
			err = append(&spans->pieces, &spans->piece_count, &spans->piece_capacity,
				     &piece);
		if (piece.end > nest->at)
			nest->at = piece.end;
		if (top->end <= end)
			nest->count--;
	}
	return err;
}

int inline_spans_lay_out(struct inline_spans *spans)
{
	struct nest nest = { 0 };
	int err = 0;

	if (spans->count > 0)
		qsort(spans->items, spans->count, sizeof(spans->items[0]), compare_spans);
	for (size_t i = 0; !err && i < spans->count; i++) {
		struct inline_span span = spans->items[i];

		err = lay_until(spans, &nest, span.start);
		while (nest.count > 0 && nest.items[nest.count - 1].end <= span.start)
			nest.count--;
		if (nest.count > 0 && span.end > nest.items[nest.count - 1].end)
			span.end = nest.items[nest.count - 1].end;
		nest.at = span.start;
		if (!err)
			err = append(&nest.items, &nest.count, &nest.capacity, &span);
	}
	if (!err)
		err = lay_until(spans, &nest, UINT64_MAX);
	free(nest.items);
	return err;
}

uint32_t inline_spans_at(const struct inline_spans *spans, size_t *hint, uint64_t vaddr,
			 uint64_t *until)
{
	assert(*until > vaddr);
	while (*hint < spans->piece_count && spans->pieces[*hint].end <= vaddr)
		(*hint)++;
	if (*hint == spans->piece_count)
		return LINE_SCOPE_NONE;

	const struct inline_span *piece = &spans->pieces[*hint];
	uint64_t change = piece->start > vaddr ? piece->start : piece->end;

	if (change < *until)
		*until = change;
	return piece->start > vaddr ? LINE_SCOPE_NONE : piece->scope;
}
