/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/table.h"
#include "base/unwind_table.h"
#include "symbols/elf_file.h"

/*
 * Functions and their rows as they come, in any order and from several sources, to a table. One
 * thread. Held by the caller: unwind_rows_init(), then for each function _begin(), _add()… (or
 * _drop()), then _build() once, _done().
 *
 * Where functions overlap, the one that starts later has the bytes, and what is left of the other
 * behind it is lost, as it is for the C++ runtime's search; of two at one address the longer
 * counts, of two alike the first. Gaps of up to UNWIND_GAP_SIZE_MAX bytes between functions are
 * padding and keep what was in force; greater ones get "no rule".
 */
enum {
	UNWIND_FUNCTION_COUNT_MAX = UNWIND_TABLE_FUNCTION_COUNT_MAX,
	/* 8 bytes each while building; a table can't hold more. */
	UNWIND_ROW_COUNT_MAX = UNWIND_TABLE_LINE_COUNT_MAX * UNWIND_LINE_ROW_COUNT,
	UNWIND_GAP_SIZE_MAX = 15,
};

/* Of one function, by offset in the file. */
struct unwind_flat_row {
	uint32_t offset;
	uint16_t rule;
	uint16_t reserved;
};

struct unwind_extent {
	uint32_t start, end;
	uint32_t first_row;
	uint32_t row_count;
};

struct unwind_rows {
	const struct elf_segment *segments;
	size_t segment_count;
	struct unwind_extent *functions;
	size_t function_count, function_capacity;
	struct unwind_flat_row *rows;
	size_t row_count, row_capacity;
	uint64_t *words; /* of the rules by number; 0 stands first */
	size_t word_capacity;
	struct table by_word;
	uint64_t last_word;
	uint16_t last_rule;

	uint64_t vaddr; /* of the function begun */
	bool is_begun;
	uint32_t overlap_count;
	uint32_t refused_count; /* of those who add, too */
};

void unwind_rows_init(struct unwind_rows *rows, const struct elf_segment *segments,
		      size_t segment_count);
void unwind_rows_done(struct unwind_rows *rows);

/* -ENOENT when it does not lie in one of the segments, -EFBIG beyond a limit, -ENOMEM. */
int unwind_rows_begin(struct unwind_rows *rows, uint64_t vaddr, uint64_t size);

/*
 * From this address on the rule holds. Ascending; one at the address of the one before takes its
 * place, one beyond the function is left out. -EBADMSG for one that does not ascend.
 */
int unwind_rows_add(struct unwind_rows *rows, uint64_t vaddr, uint64_t word);

/*
 * In a function that is there already, by its number: from this offset of the file on the rule
 * holds for size bytes, and then again what held. Only for few: the function's rows are copied.
 */
int unwind_rows_insert(struct unwind_rows *rows, size_t function, uint32_t offset, uint32_t size,
		       uint64_t word);

/* Forgets the function begun: it contradicts itself. */
void unwind_rows_drop(struct unwind_rows *rows);

/* Puts the functions that were added into order and apart, as the head says. _build() does it, too;
 * earlier for who looks at what is between them. */
void unwind_rows_settle(struct unwind_rows *rows);

/* Where so many bytes of the file are loaded, from this offset on; false when not all in one
 * segment. */
bool unwind_rows_vaddr(const struct unwind_rows *rows, uint32_t offset, size_t size, uint64_t *ret);

/* Whether a function begins at or holds this address. Before _build(), in linear time. */
bool unwind_rows_hold(const struct unwind_rows *rows, uint64_t vaddr);

/*
 * Appends the table, as in base/unwind_table.h with functions and checksum, to an empty buf. What
 * the header says of the file is the caller's: machine, sources and identity are taken from there.
 * -ENODATA when there is no function, -EFBIG when it would be beyond a limit, -ENOMEM.
 */
int unwind_rows_build(struct unwind_rows *rows, const struct unwind_table_header *about,
		      struct buf *buf);

static inline void unwind_rows_cleanup(struct unwind_rows *rows)
{
	unwind_rows_done(rows);
}
