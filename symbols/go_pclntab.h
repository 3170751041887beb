/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "symbols/elf_file.h"
#include "symbols/go_table.h"
#include "symbols/unwind_rows.h"

/*
 * Go's table of program counters (symbols/go_table.h) to rows and names. For each function it says
 * how deep the stack is at each instruction, from which the caller follows without frame pointers:
 * also where a function has none, as most leaves written in assembly do.
 *
 * Where the runtime changes stacks the depth
 * says nothing, and rules are given by the function's name: src/runtime/asm_amd64.s and
 * sys_linux_amd64.s of the Go distribution are the source. x86-64.
 */
enum {
	GO_PCLNTAB_SIZE_MAX = 512 << 20,
};

/*
 * Adds the functions. -EBADMSG when the header is none or contradicts itself, else as of
 * unwind_rows_begin(). A function that contradicts itself is left out and counted.
 */
int go_pclntab_add(const struct go_pclntab *table, struct unwind_rows *rows);

/*
 * Adds the functions' names, in place of those that .symtab has at the same address: they are what
 * the program itself and Go's own tools print ("main.sum[...]"). Where the file's code is must be
 * told: names elsewhere are left out. As of symbol_table_add(), whose table points into the
 * pclntab; -EBADMSG as above.
 */
int go_pclntab_add_symbols(const struct go_pclntab *table, const struct elf_segment *segments,
			   size_t segment_count, struct symbol_table *symbols);

/*
 * Finds the table of a file and where its code begins, whichever linker made it. -ENOENT when it is
 * no Go program, or one whose table is not where Go puts it.
 */
int go_pclntab_find(struct elf_file *elf, struct go_pclntab *ret);
