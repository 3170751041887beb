/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/identity.h"
#include "bpf/unwind.h"

/*
 * An unwind table as it crosses the link and as it lies on disk: a header, then in this order
 *
 *   lines      line_count × 64 bytes: the blocks of bpf/unwind.h, in the order of their pages
 *   rules      rule_count × u64: words; rows hold their numbers; word 0 stands first
 *   pages      page_count × u32: page words of the file's pages from page_first on, whose lines
 *              are counted from lines[0]
 *   functions  function_count × struct unwind_function, ascending; on disk only
 *
 * without holes and without anything behind. Integers are little endian.
 *
 * How a table comes to be: the collector asks for the file that a process maps (LINK_TABLE_WISH:
 * its identity, a number of the collector's in .sequence, and the opened file), and the server
 * answers with LINK_TABLE under the same number: the table, or LINK_NO_TABLE: the identity and an
 * errno (ENODATA: the file has no unwind information; EAGAIN: too many were asked for at once). The
 * server may answer in another order, and what it was asked over a connection that is gone it does
 * not answer: ask again after a reconnect.
 */
enum {
	/* Another where tables say more than before, too: those on disk are then made anew. */
	UNWIND_TABLE_VERSION = 3,
	/* Questions without an answer that a collector may have on the way. */
	UNWIND_TABLE_ASKED_COUNT_MAX = 32,
	/* 2 GiB of file: ELF_FILE_SIZE_MAX. */
	UNWIND_TABLE_PAGE_COUNT_MAX = 32768,
	/* 28 MiB, which with the rest fits a message; libclang-cpp, the largest seen, has 5. */
	UNWIND_TABLE_LINE_COUNT_MAX = 7 << 16,
	UNWIND_TABLE_FUNCTION_COUNT_MAX = 4 << 20,
};

#define UNWIND_TABLE_MAGIC "hearthUT"

/* Of a table on disk; over the link it fits a message (WINDOW_SIZE_MAX), since functions stay. */
#define UNWIND_TABLE_SIZE_MAX ((size_t)64 << 20)

/* What rows were made of: bits. */
enum unwind_table_source {
	UNWIND_FROM_EH_FRAME = 1,
	UNWIND_FROM_DEBUG_FRAME = 2,
	UNWIND_FROM_PCLNTAB = 4,
	UNWIND_FROM_CODE = 8, /* recognised machine code: entries of programs, signal returns */
};

struct unwind_table_header {
	char magic[8];
	uint64_t checksum; /* XXH3 of all behind this field; 0 on the link */
	uint32_t version;
	uint16_t machine;	  /* EM_X86_64 */
	uint16_t sources;	  /* enum unwind_table_source */
	struct identity identity; /* as it was asked for */
	uint8_t padding[6];
	uint32_t page_first; /* of the file, in 64 KiB */
	uint32_t page_count;
	uint32_t line_count;
	uint32_t rule_count;
	uint32_t function_count;
	uint32_t row_count;	    /* those that say something: without what fills lines */
	uint32_t unsupported_count; /* rows with a rule that can't be followed */
	uint32_t overlap_count;	    /* functions that overlap others, cut */
	uint32_t refused_count;	    /* entries of the source that contradict themselves */
	uint8_t reserved[20];
};

static_assert(sizeof(struct unwind_table_header) == 128, "lines lie on 64 bytes");

/* Offsets in the file. */
struct unwind_function {
	uint32_t start;
	uint32_t size;
};

/* A view of a table's bytes. */
struct unwind_table {
	const struct unwind_table_header *header;
	const uint8_t *lines;
	const uint64_t *rules;
	const uint32_t *pages;
	const struct unwind_function *functions;
};

/*
 * Looks at everything before anything is used: sizes, every page word, index, row and rule; blocks
 * follow one another in the order of the pages, without holes, and none shares a line; rows ascend;
 * each index says what its rows say. The bytes must lie on 8 and stay. -EBADMSG when a maker of
 * ours would not have made it, -EPROTONOSUPPORT for another version. Not the checksum.
 */
int unwind_table_check(const void *bytes, size_t size, struct unwind_table *ret);

/* The size that the header's counts give. */
size_t unwind_table_size(const struct unwind_table_header *header);

/* The number of the lines of a page's block, its index included; 0 when the page has none. */
uint32_t unwind_table_block_line_count(const struct unwind_table *table, uint32_t page);

/* The word of the rule in force at an offset of the file; 0: none. Of a checked table. */
uint64_t unwind_table_find(const struct unwind_table *table, uint64_t offset);

/* The checksum as it should be. */
uint64_t unwind_table_checksum(const void *bytes, size_t size);
