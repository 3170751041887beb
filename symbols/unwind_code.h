/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdint.h>

#include "symbols/elf_file.h"
#include "symbols/unwind_rows.h"

/*
 * Rules where no table says anything and the machine code does: the first instructions of a
 * program, from which nothing returns, and the code that handlers of signals return to. C libraries
 * other than glibc come without tables for both.
 */
int unwind_code_add(struct elf_file *elf, struct unwind_rows *rows, uint16_t *sources);
