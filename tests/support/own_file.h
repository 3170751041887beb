/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdint.h>

#include "symbols/elf_file.h"
#include "symbols/symbols.h"

/* The test program itself, as a file whose functions have names. */

/* Where a function of this program lies in its file; the test fails where that is not known. */
uint64_t own_file_offset(const struct elf_file *elf, void *function);

/* The test fails unless symbols name what lies there in the file, by this identity. */
void own_file_has_name(struct symbols *symbols, const struct identity *identity, uint64_t offset,
		       const char *name);
