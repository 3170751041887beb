/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stddef.h>

#include "base/identity.h"
#include "symbols/kernel_symbols.h"
#include "symbols/symbol_folder.h"

/* Makes symbol files of what names come from. For the one thread that writes into the folder. */

/*
 * The functions of an executable or library, under its own build id or, when it has none, under the
 * identity it was wished for by, which leaves through ret_identity. An IDENTITY_INODE becomes an
 * alias of a build id. Names that were stripped off come from the file's MiniDebugInfo and from its
 * debug file (symbols/debug_folder.h). Nothing is read when the folder has the names already.
 *
 * -ESTALE when the file is not the one meant, -ENODATA when it has no functions, else as of
 * elf_file_open(), symbol_table_build() and symbol_folder_write(). Borrows the descriptor.
 */
int symbol_writer_elf(struct symbol_folder *folder, int fd, const char *debug_folders,
		      const struct identity *wished, struct identity *ret_identity);

/*
 * Adds the names of a debug file to a symbol file that was made without it. -EALREADY when it has
 * them, -EBADMSG when there is no debug file of use, else as above.
 */
int symbol_writer_debug(struct symbol_folder *folder, const char *debug_folders,
			const struct identity *identity);

/* A part of the kernel, by offsets from its start. */
int symbol_writer_kernel_part(struct symbol_folder *folder, const struct kernel_symbols *kernel,
			      size_t number);
