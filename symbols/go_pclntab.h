/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "symbols/elf_file.h"
#include "symbols/unwind_rows.h"

/*
 * Go's table of program counters, pclntab, to rows. The runtime needs it, so that stripping does
 * not take it. For each function it says how deep the stack is at each instruction, from which the
 * caller follows without frame pointers: also where a function has none, as most leaves written in
 * assembly do.
 *
 * Layouts of Go 1.16, 1.18 and 1.20 (and all since). Where the runtime changes stacks the depth
 * says nothing, and rules are given by the function's name: src/runtime/asm_amd64.s and
 * sys_linux_amd64.s of the Go distribution are the source. x86-64.
 */
enum {
	GO_PCLNTAB_SIZE_MAX = 512 << 20,
};

struct go_pclntab {
	const uint8_t *bytes; /* from its header on; more may follow */
	size_t size;
	uint64_t text;	/* where offsets of functions count from */
	uint64_t entry; /* of the program; 0: not known */
};

/*
 * Adds the functions. -EBADMSG when the header is none or contradicts itself, else as of
 * unwind_rows_begin(). A function that contradicts itself is left out and counted.
 */
int go_pclntab_add(const struct go_pclntab *table, struct unwind_rows *rows);

/*
 * Finds the table of a file and where its code begins, whichever linker made it. -ENOENT when it is
 * no Go program, or one whose table is not where Go puts it.
 */
int go_pclntab_find(struct elf_file *elf, struct go_pclntab *ret);
