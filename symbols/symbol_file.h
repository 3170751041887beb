/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "base/identity.h"
#include "base/str.h"
#include "symbols/debug_link.h"
#include "symbols/elf_file.h"
#include "symbols/line_rows.h"
#include "symbols/symbol_table.h"
#include "symbols/symbol_wish.h"

/*
 * The names of one module on disk: a header, then sections, each with its checksum, each aligned to
 * 8 bytes, little endian. Unknown sections are left alone. Once written it is never changed, only
 * replaced or removed.
 *
 * Lines and inlined calls (symbols/line_rows.h) are there for the parts that were asked for; which
 * these are, the file says as well.
 *
 * Everything is checked when it is opened, checksums included; after that reading needs no checks.
 * Any thread may read an open one.
 */
enum {
	SYMBOL_FILE_VERSION = 3,
	SYMBOL_FILE_SECTION_COUNT_MAX = 16,
	SYMBOL_FILE_SIZE_MAX = 256 << 20,
};

/* Where names come from; several together. */
enum symbol_file_source {
	SYMBOL_FILE_FROM_ELF = 1,
	SYMBOL_FILE_FROM_KALLSYMS = 2,
	SYMBOL_FILE_FROM_MINI_DEBUG = 4, /* symbols/mini_debug.h */
	SYMBOL_FILE_FROM_DEBUG_FILE = 8, /* symbols/debug_folder.h */
	/* Lines and inlined calls can be had, where they are not in here yet. */
	SYMBOL_FILE_LINES_IN_ELF = 16,	      /* from the file itself */
	SYMBOL_FILE_LINES_IN_DEBUG_FILE = 32, /* from its debug file */
	SYMBOL_FILE_BY_DEBUG_LINK = 256,      /* which the file names: symbols/debug_link.h */
	SYMBOL_FILE_FROM_PCLNTAB = 64,	      /* symbols/go_pclntab.h */
	/* What is missing: inlined calls lie in .dwo files, of which some were not there. */
	SYMBOL_FILE_LACKS_SPLIT = 512,
	SYMBOL_FILE_FROM_PROCESS = 16384, /* it said so later: symbols/late_code.h */
	/* What is missing: names of inlined calls lie in a file shared by dwz that was not there.
	 */
	SYMBOL_FILE_LACKS_SHARED = 8192,
	/* All but the file's own symbols, over which its reader crashed, was too late, or wanted
	 * more memory than it may have. */
	SYMBOL_FILE_LACKS_BY_CRASH = 1024,
	SYMBOL_FILE_LACKS_BY_TIME = 2048,
	SYMBOL_FILE_LACKS_BY_SIZE = 4096,
	SYMBOL_FILE_LACKS_ALL_BUT_OWN =
		SYMBOL_FILE_LACKS_BY_CRASH | SYMBOL_FILE_LACKS_BY_TIME | SYMBOL_FILE_LACKS_BY_SIZE,
};

enum symbol_file_section_kind {
	SYMBOL_FILE_SEGMENTS = 1, /* struct elf_segment, at most ELF_SEGMENT_COUNT_MAX */
	SYMBOL_FILE_STARTS = 2,	  /* u32 for each function, from header.base, strictly ascending */
	SYMBOL_FILE_SIZES = 3,	  /* u32 for each */
	SYMBOL_FILE_PARENTS = 4,  /* u32 for each; absent when no function lies inside another */
	SYMBOL_FILE_NAME_OFFSETS = 5, /* u32 for each and one more: where names begin and end */
	SYMBOL_FILE_NAMES = 6,	      /* without NULs */
	/* Of symbols/line_rows.h; all of them or, but for the last, none. */
	SYMBOL_FILE_LINE_BLOCKS = 7,
	SYMBOL_FILE_LINE_BYTES = 8,
	SYMBOL_FILE_LINE_SCOPES = 9,
	SYMBOL_FILE_LINE_TEXT_OFFSETS = 10, /* u32 for each text and one more */
	SYMBOL_FILE_LINE_TEXTS = 11,
	SYMBOL_FILE_LINE_COVERS = 12,
	/* What the file calls its debug file: u32 its CRC, then its name. Absent where it has
	   none. */
	SYMBOL_FILE_DEBUG_LINK = 13,
	/* struct symbol_wish: what lines were read without. Absent where nothing was missing. */
	SYMBOL_FILE_MISSING = 14,
};

struct symbol_file_section {
	uint32_t kind; /* 0: unused */
	uint32_t reserved;
	uint64_t offset;
	uint64_t size;
	uint64_t checksum; /* XXH3, seed 0 */
};

struct symbol_file_header {
	char magic[8];
	uint64_t checksum; /* of the rest of the header */
	uint32_t version;
	uint32_t sources; /* enum symbol_file_source */
	uint32_t function_count;
	uint32_t dropped_count; /* symbols that were no functions or did not fit */
	uint64_t base;		/* vaddr of the first function */
	uint64_t line_base;	/* what lines count from */
	struct identity identity;
	uint8_t padding[6];
	struct symbol_file_section sections[SYMBOL_FILE_SECTION_COUNT_MAX];
};

#define SYMBOL_FILE_MAGIC "hearthSY"

struct symbol_file_contents {
	struct identity identity;
	uint32_t sources; /* enum symbol_file_source */
	const struct elf_segment *segments;
	size_t segment_count;
	const struct symbol_table *table;  /* built */
	const struct line_rows *lines;	   /* or NULL */
	const struct debug_link *link;	   /* or NULL */
	const struct symbol_wish *missing; /* or NULL */
};

/* Into an empty file. -EFBIG beyond SYMBOL_FILE_SIZE_MAX. */
int symbol_file_write_to(int fd, const struct symbol_file_contents *contents, uint64_t *ret_size);

/*
 * Writes path.new and renames it to path; its size leaves through ret_size. On failure nothing is
 * left. Not synchronised: what a power cut leaves is found by its checksums, and made anew.
 */
int symbol_file_write(const char *path, const struct symbol_file_contents *contents,
		      uint64_t *ret_size);

struct symbol_file;

/* The same with an open one, byte for byte. */
int symbol_file_copy(const struct symbol_file *file, const char *path, uint64_t *ret_size);

/* Does not keep the descriptor. -EBADMSG for a damaged file or one of another version. */
int symbol_file_open(int fd, struct symbol_file **ret);
struct symbol_file *symbol_file_close(struct symbol_file *file);

/* Takes its pages out of this process's memory. They stay in the page cache, and reading any of
 * them brings it back. */
void symbol_file_rest(const struct symbol_file *file);

const struct symbol_file_header *symbol_file_header(const struct symbol_file *file);

/* As it was written; until close. */
const struct elf_segment *symbol_file_segments(const struct symbol_file *file, size_t *ret_count);

/* Adds all functions, weaker than any of other sources. The table's names point into the file. */
int symbol_file_add_symbols(const struct symbol_file *file, struct symbol_table *table);

/* Its functions as if they had just been built; they lie in the file: read only, never _done(). */
void symbol_file_table(const struct symbol_file *file, struct symbol_table *ret);

/* What the file that the names are of calls its debug file, or NULL. */
const struct debug_link *symbol_file_debug_link(const struct symbol_file *file);

/*
 * A file that its lines were read without, which was not there: SYMBOL_WISH_SHARED_FILE or
 * SYMBOL_WISH_SPLIT_FILE; or NULL. Once it is there, the lines are worth another reading.
 */
const struct symbol_wish *symbol_file_missing(const struct symbol_file *file);

/* All lines it has; without any its counts are 0. */
const struct line_rows *symbol_file_lines(const struct symbol_file *file);

/* The address for which an offset in the file stands; false outside of its segments. */
bool symbol_file_vaddr(const struct symbol_file *file, uint64_t offset, uint64_t *ret);

/* See symbol_module_find() and its kin in symbols/symbols.h. */
uint32_t symbol_file_find(const struct symbol_file *file, uint64_t offset);
struct str symbol_file_name(const struct symbol_file *file, uint32_t function);
uint64_t symbol_file_start(const struct symbol_file *file, uint32_t function);

DEFINE_CLEANUP(struct symbol_file *, symbol_file, symbol_file_close)
