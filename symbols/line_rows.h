/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/str.h"

/*
 * Where code stands in the source, as it lies in a symbol file (symbols/symbol_file.h): which file
 * and line, and into which calls a compiler put the called function in place. Made by
 * symbols/line_table.h.
 *
 * Rows say from which address on what is so; they lie in blocks of up to LINE_BLOCK_ROW_COUNT,
 * found by a search of their starts. A block is (all varints of base/buf.h): scope + 1, file, line
 * of its first row; then for each further one bytes since the row before × 4 + flags, the scope's
 * zigzag difference if flag 1, the file's if flag 2, and the line's. An address before the first
 * row, or in one of LINE_TEXT_NONE and line 0, is known to nobody.
 *
 * A scope is a call that was inlined: what was called, from where, and the scope of the caller, or
 * LINE_SCOPE_NONE for the function of the symbol table. Equal ones are one, wherever they are.
 */
enum {
	LINE_BLOCK_ROW_COUNT = 32,
	/* Calls within calls. Templates and Rust's iterators have 20. */
	LINE_DEPTH_MAX = 64,
	LINE_TEXT_NONE = 0, /* "" */
};

#define LINE_SCOPE_NONE UINT32_MAX

struct line_block {
	uint32_t start; /* of its first row, from base */
	uint32_t offset;
};

struct line_scope {
	uint32_t parent;    /* a lower number, or LINE_SCOPE_NONE */
	uint32_t function;  /* text: what was called, mangled if its compiler said so */
	uint32_t call_file; /* text */
	uint32_t call_line;
};

/* Addresses whose lines were asked for, whether there are any or not. */
struct line_cover {
	uint32_t start;
	uint32_t size;
};

struct line_rows {
	uint64_t base;
	const struct line_block *blocks;
	size_t block_count;
	const uint8_t *bytes;
	size_t size;
	const struct line_scope *scopes;
	size_t scope_count;
	const uint32_t *text_offsets; /* one more than there are texts; NULL: no rows at all */
	size_t text_count;
	const char *texts;
	const struct line_cover *covers; /* ascending, apart from each other */
	size_t cover_count;
};

struct line_row {
	uint64_t start;
	uint32_t scope;
	uint32_t file; /* text */
	uint32_t line;
};

/* Whether nothing in it leads astray; the others rely on that. Reads all of it. */
bool line_rows_are_sound(const struct line_rows *rows, size_t texts_size);

/* The row that holds for this address; false when nothing is known of it. */
bool line_rows_find(const struct line_rows *rows, uint64_t vaddr, struct line_row *ret);

bool line_rows_cover(const struct line_rows *rows, uint64_t vaddr);

struct str line_rows_text(const struct line_rows *rows, uint32_t text);

/* One block after the other: at most LINE_BLOCK_ROW_COUNT rows; how many they are. */
size_t line_rows_block(const struct line_rows *rows, size_t block,
		       struct line_row ret[static LINE_BLOCK_ROW_COUNT]);
