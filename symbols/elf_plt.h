/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdint.h>

#include "base/str.h"
#include "symbols/symbol_table.h"

/*
 * Stubs of the procedure linkage table on x86-64. Linkers order .plt, .plt.sec and .plt.got each in
 * their own way, so a stub is known by the slot of the global offset table that it jumps through
 * and by the relocation that fills this slot.
 */
struct elf_plt {
	struct str code; /* a section of stubs */
	uint64_t code_vaddr;
	struct str relocations; /* Elf64_Rela */
	struct str symbols;	/* Elf64_Sym */
	struct str strings;
};

enum {
	/* Slots that are filled with a function's address, of one section of relocations. */
	ELF_PLT_SLOT_COUNT_MAX = 64 << 10,
};

/*
 * Adds "name@plt" for each stub that these relocations explain. The names stay in plt->strings.
 * -ENOMEM, or what symbol_table_add() says.
 */
int elf_plt_add(const struct elf_plt *plt, struct symbol_table *table);
