/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "symbols/elf_file.h"
#include "symbols/unwind_rows.h"

/*
 * Code written by hand that tells nothing of its frame, and of which its own bytes tell all: it
 * pushes all registers, takes some room more, works without a call, gives the room back, pops all
 * registers and returns. Such are the loops in which libzstd decompresses, from version 1.5.3 on,
 * wherever it is linked in: a program that reads much is there most of its time.
 *
 * Looked for in what lies between functions that are known. Between the pushes and the room, where
 * arguments are laid down, nothing is said.
 */
int unwind_pushed_add(const struct elf_file *elf, struct unwind_rows *rows, uint16_t *sources);
