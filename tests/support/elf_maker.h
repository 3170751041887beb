/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <elf.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/identity.h"

/*
 * Little ELF files for tests: one executable segment whose addresses are not its offsets, a build
 * id and a .symtab. The layout is fixed, so that a test can damage a field on purpose.
 */
enum {
	ELF_MAKER_TEXT_OFFSET = 0x1000,
	ELF_MAKER_TEXT_SIZE = 0x1000,
	ELF_MAKER_TEXT_VADDR = 0x402000,
	ELF_MAKER_TEXT_SECTION = 1,
	ELF_MAKER_SYMTAB_SECTION = 2,
	ELF_MAKER_STRTAB_SECTION = 3,
	ELF_MAKER_SECTION_COUNT = 6,
};

struct elf_maker_symbol {
	const char *name;
	uint64_t start; /* from the start of .text */
	uint64_t size;
	uint8_t type;	 /* STT_… */
	uint8_t binding; /* STB_… */
};

/* Appends the file to an empty buf. */
void elf_maker_make(struct buf *file, const struct elf_maker_symbol *symbols, size_t count);

/* The same with this build id, of ELF_MAKER_BUILD_ID_SIZE bytes, and so much code, all zeros. */
enum { ELF_MAKER_BUILD_ID_SIZE = 20 };
void elf_maker_make_large(struct buf *file, const uint8_t *build_id, size_t text_size,
			  const struct elf_maker_symbol *symbols, size_t count);

/* A build id of that size, another for each number. */
struct identity elf_maker_identity(uint32_t number);

/* A descriptor of a file in memory with these bytes; the caller closes it. */
int elf_maker_memfd(const void *bytes, size_t size);
