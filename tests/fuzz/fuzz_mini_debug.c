/* SPDX-License-Identifier: Apache-2.0 */
/* The section .gnu_debugdata: what unpacks is read as an ELF file of symbols. */
#include <assert.h>
#include <stdint.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "symbols/elf_file.h"
#include "symbols/mini_debug.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	autoclose int fd = -1;
	autoclean(elf_file) struct elf_file *elf = NULL;
	autoclean(symbol_table) struct symbol_table table;

	symbol_table_init(&table);
	if (mini_debug_unpack(bytes, size, &fd))
		return 0;
	assert(fd >= 0);
	if (elf_file_open(fd, &elf) == 0 && elf_file_add_symbols(elf, &table) == 0)
		(void)symbol_table_build(&table);
	return 0;
}
