/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdint.h>

#include "base/identity.h"

/* Which other file would help who reads one: what a cell asks outside for. */
enum {
	/* Of a name, or a path. */
	SYMBOL_WISH_NAME_SIZE = 448,
};

enum symbol_wish_kind {
	/* The debug file of this build id (symbols/debug_folder.h). */
	SYMBOL_WISH_DEBUG_FILE = 1,
	/* Nothing but whether there is a symbol file of this identity already: -EEXIST. */
	SYMBOL_WISH_KNOWN = 2,
	/* What the debug file shares with others by dwz: of this build id, and this name. */
	SYMBOL_WISH_SHARED_FILE = 3,
	/* What the file that is read names as its debug file, in the place of this number:
	 * debug_folder_open_linked(). */
	SYMBOL_WISH_LINKED_FILE = 4,
	/* The other half of a unit of split DWARF, by the path that the file has for it, in the
	 * place of this number: debug_folder_open_split(). */
	SYMBOL_WISH_SPLIT_FILE = 5,
};

struct symbol_wish {
	uint32_t kind; /* enum symbol_wish_kind */
	uint32_t place;
	struct identity identity;
	char name[SYMBOL_WISH_NAME_SIZE]; /* ends with a NUL */
};
