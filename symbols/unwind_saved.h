/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "symbols/elf_file.h"
#include "symbols/unwind_rows.h"

/*
 * Frames whose address lies in rbx or r12 to r15. A walk knows these registers in the innermost
 * frame only; but who was called from there has saved them, at a place that is known when the call
 * names a function of the same file. Such calls get a row of their own, by which the walk reads the
 * register there. It holds for the call's last byte alone, where a caller's frame is looked up and
 * no instruction begins, so that the innermost frame goes by the rule that it had.
 *
 * The dynamic linker's entries of lazy binding are such: all that it does for the first call of a
 * function is below them.
 *
 * Between its entry and the saving, a few instructions, the called function has not saved it yet;
 * a walk that comes then reads what lay there before.
 */
int unwind_saved_add(const struct elf_file *elf, struct unwind_rows *rows);
