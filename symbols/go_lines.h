/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdint.h>

#include "base/cleanup.h"
#include "symbols/elf_file.h"
#include "symbols/line_table.h"

/*
 * Files, lines and inlined calls of a Go program, out of its own table (symbols/go_table.h), which
 * is there also when it is stripped. Trees of inlined calls lie elsewhere, behind what Go calls
 * funcdata; where that is differs from version to version, and is found by what makes sense of all
 * functions looked at. Without trees, files and lines stand alone. src/runtime/symtab.go and
 * symtabinl.go of the Go distribution are the source. One thread.
 */
struct go_lines;

enum {
	/* Of one function, in bytes of code; one that is longer is no compiler's work. */
	GO_LINES_FUNCTION_SIZE_MAX = 16 << 20,
	/* Steps through tables for the inlined calls of one function. */
	GO_LINES_STEP_COUNT_MAX = 4 << 20,
};

/* Borrows the file until it is closed. -ENOENT when it is no Go program, -ENOMEM. */
int go_lines_open(struct elf_file *elf, struct go_lines **ret);
struct go_lines *go_lines_close(struct go_lines *go);

/*
 * Adds what is known of the function that holds this address, once, and covers it. -ENOENT when
 * none does; else as of line_table_add(). What contradicts itself is left out.
 */
int go_lines_add(struct go_lines *go, uint64_t vaddr, struct line_table *lines);

DEFINE_CLEANUP(struct go_lines *, go_lines, go_lines_close)
