/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/str.h"
#include "base/table.h"
#include "symbols/line_rows.h"

/*
 * Collects where code stands in the source, range by range in any order, and lays it out as
 * symbols/line_rows.h says. One thread. Held by the caller: line_table_init(), _text(), _scope(),
 * _add()…, _build(), _done().
 *
 * Ranges that overlap are a mistake of who made them: the one that starts later has the bytes, and
 * behind it nothing is known. Of those that start together the longest is kept.
 */
enum {
	/* 24 bytes each while building. libLLVM has 6 million; only what is hot is read. */
	LINE_RANGE_COUNT_MAX = 4 << 20,
	LINE_SCOPE_COUNT_MAX = 1 << 20,
	LINE_TEXT_COUNT_MAX = 1 << 20,
	LINE_TEXT_SIZE_MAX = 32 << 10, /* longer ones are cut */
	LINE_TEXTS_SIZE_MAX = 64 << 20,
	LINE_COVER_COUNT_MAX = 1 << 20,
};

struct line_table {
	struct line_range *ranges;
	size_t range_count;
	size_t range_capacity;
	struct line_scope *scopes;
	uint8_t *depths; /* of the scopes */
	size_t scope_capacity;
	struct table by_scope;
	struct table by_text;
	struct buf text_offsets; /* u32 */
	struct buf texts;
	struct line_reach *reaches; /* what is covered */
	size_t reach_count;
	size_t reach_capacity;

	/* After line_table_build(): */
	uint64_t base;
	struct buf blocks; /* struct line_block */
	struct buf bytes;
	struct buf covers; /* struct line_cover */
};

void line_table_init(struct line_table *table);
void line_table_done(struct line_table *table);

/* The number of a file's or function's name; LINE_TEXT_NONE for "". -EFBIG, -ENOMEM. */
int64_t line_table_text(struct line_table *table, struct str text);

/*
 * The number of an inlined call: function, a text, was called in the file, a text, and line, within
 * the scope parent, or in a function of the symbol table: LINE_SCOPE_NONE. A call deeper than
 * LINE_DEPTH_MAX is taken for its parent. -EFBIG, -ENOMEM.
 */
int64_t line_table_scope(struct line_table *table, const struct line_scope *scope);

/*
 * Bytes from vaddr on come from this file, a text, and line, in a scope or LINE_SCOPE_NONE. -EFBIG
 * beyond a limit above, -ENOMEM. Empty ranges are no error.
 */
int line_table_add(struct line_table *table, uint64_t vaddr, uint32_t size,
		   const struct line_row *place);

/* Nobody needs to ask for these again. */
int line_table_cover(struct line_table *table, uint64_t vaddr, uint64_t size);

/* All that is in a symbol file's. */
int line_table_add_rows(struct line_table *table, const struct line_rows *rows);

/* Once. -EFBIG when all lies further than 4 GiB apart, -ENOMEM. */
int line_table_build(struct line_table *table);

/* What was built, as a symbol file has it; until line_table_done(). */
struct line_rows line_table_rows(const struct line_table *table);

static inline void line_table_cleanup(struct line_table *table)
{
	line_table_done(table);
}
