/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stddef.h>

#include "base/identity.h"
#include "symbols/symbol_file.h"
#include "symbols/symbol_wish.h"

enum {
	/* Where a named debug file may lie. */
	SYMBOL_WRITER_PLACE_COUNT_MAX = 16,
	/* Heap, beyond which no further unit is read. The largest of Chromium or LLVM take 40 MiB.
	 */
	SYMBOL_WRITER_LINES_MEMORY_MAX = 80 << 20,
};

/*
 * Reads what names come from and writes a symbol file into a descriptor. All of it is foreign, so
 * this runs in a cell (symbols/cell.h): symbols/symbol_maker.h is the outside.
 */
struct symbol_writer {
	int output; /* empty, open for writing and reading */
	/* Of SYMBOL_FILE_LACKS_ALL_BUT_OWN: what brought a cell down, for which all but the file's
	 * own symbols is left out; or 0. */
	uint32_t plain;
	/* Opens a file that would help: -ENOENT when there is none. */
	int (*open)(void *context, const struct symbol_wish *wish, int *ret_fd);
	void *context;
};

/*
 * The functions of an executable or library, under its own build id or, when it has none, under the
 * identity it was wished for by, which leaves through ret_identity; through ret_go what Go's linker
 * calls it, or IDENTITY_NONE. Names that were stripped off come from the file's MiniDebugInfo and
 * from its debug file (symbols/debug_folder.h).
 *
 * -EEXIST when there is a symbol file of this identity already; nothing is written then. -ESTALE
 * when the file is not the one meant, -ENODATA when it has no functions, else as of
 * elf_file_open(), symbol_table_build() and symbol_file_write_to(). Borrows the descriptor.
 */
int symbol_writer_elf(const struct symbol_writer *writer, int fd, const struct identity *wished,
		      struct identity *ret_identity, struct identity *ret_go);

/*
 * Adds the names of a debug file to a symbol file that was made without it. -EBADMSG when there is
 * no debug file of use, else as above.
 */
int symbol_writer_debug(const struct symbol_writer *writer, int symbol_fd,
			struct identity *ret_identity);

/*
 * Adds lines and inlined calls to a symbol file: of the units of DWARF (symbols/dwarf_lines.h) that
 * hold these offsets in the file. It is in the file itself, elf_fd, or in a debug file, which is
 * asked for; -ENOENT when neither is there, -EBADMSG when it is of no use. ret_more: memory was
 * short, some offsets were left out.
 */
struct symbol_writer_lines {
	int symbol_fd;
	int elf_fd; /* -1: not at hand */
	const uint64_t *offsets;
	size_t offset_count;
};
int symbol_writer_lines(const struct symbol_writer *writer, const struct symbol_writer_lines *what,
			struct identity *ret_identity, bool *ret_more);
