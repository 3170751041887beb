/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stddef.h>

#include "base/identity.h"
#include "symbols/symbol_file.h"

enum symbol_wish_kind {
	/* The debug file of this build id (symbols/debug_folder.h). */
	SYMBOL_WISH_DEBUG_FILE = 1,
	/* Nothing but whether there is a symbol file of this identity already: -EEXIST. */
	SYMBOL_WISH_KNOWN = 2,
};

struct symbol_wish {
	uint32_t kind; /* enum symbol_wish_kind */
	struct identity identity;
	uint8_t padding[2];
};

/*
 * Reads what names come from and writes a symbol file into a descriptor. All of it is foreign, so
 * this runs in a cell (symbols/cell.h): symbols/symbol_maker.h is the outside.
 */
struct symbol_writer {
	int output; /* empty, open for writing and reading */
	/* Leave out all but the file's own symbols: what else there is brought a cell down. */
	bool is_plain;
	/* Opens a file that would help: -ENOENT when there is none. */
	int (*open)(void *context, const struct symbol_wish *wish, int *ret_fd);
	void *context;
};

/*
 * The functions of an executable or library, under its own build id or, when it has none, under the
 * identity it was wished for by, which leaves through ret_identity. Names that were stripped off
 * come from the file's MiniDebugInfo and from its debug file (symbols/debug_folder.h).
 *
 * -EEXIST when there is a symbol file of this identity already; nothing is written then. -ESTALE
 * when the file is not the one meant, -ENODATA when it has no functions, else as of
 * elf_file_open(), symbol_table_build() and symbol_file_write_to(). Borrows the descriptor.
 */
int symbol_writer_elf(const struct symbol_writer *writer, int fd, const struct identity *wished,
		      struct identity *ret_identity);

/*
 * Adds the names of a debug file to a symbol file that was made without it. -EBADMSG when there is
 * no debug file of use, else as above.
 */
int symbol_writer_debug(const struct symbol_writer *writer, int symbol_fd,
			struct identity *ret_identity);
