/* SPDX-License-Identifier: Apache-2.0 */
#include "symbols/symbol_writer.h"

#include <errno.h>

#include "symbols/elf_file.h"
#include "symbols/symbol_table.h"

static int write_elf_names(struct symbol_folder *folder, struct elf_file *elf,
			   const struct identity *identity)
{
	autoclean(symbol_table) struct symbol_table table;
	struct symbol_file_contents contents = {
		.identity = *identity,
		.source = SYMBOL_FILE_FROM_ELF,
		.table = &table,
	};

	symbol_table_init(&table);
	contents.segments = elf_file_segments(elf, &contents.segment_count);

	int err = elf_file_add_symbols(elf, &table);
	if (!err)
		err = symbol_table_build(&table);
	return err ? err : symbol_folder_write(folder, &contents);
}

int symbol_writer_elf(struct symbol_folder *folder, int fd, const struct identity *wished,
		      struct identity *ret_identity)
{
	autoclean(elf_file) struct elf_file *elf = NULL;
	struct identity identity = { 0 };
	int err = elf_file_open(fd, &elf);

	if (!err)
		err = elf_file_identify(elf, wished, &identity);
	if (!err && !symbol_folder_has(folder, &identity))
		err = write_elf_names(folder, elf, &identity);
	if (!err && !identity_equal(&identity, wished))
		err = symbol_folder_alias(folder, wished, &identity);
	if (!err)
		*ret_identity = identity;
	return err;
}

int symbol_writer_kernel_part(struct symbol_folder *folder, const struct kernel_symbols *kernel,
			      size_t number)
{
	const struct kernel_part *part = kernel_symbols_part(kernel, number);
	struct elf_segment segment = { .offset = 0, .vaddr = 0, .size = part->size };
	autoclean(symbol_table) struct symbol_table table;
	struct symbol_file_contents contents = {
		.identity = part->identity,
		.source = SYMBOL_FILE_FROM_KALLSYMS,
		.segments = &segment,
		.segment_count = 1,
		.table = &table,
	};

	symbol_table_init(&table);

	int err = kernel_symbols_add_to(kernel, number, &table);
	if (!err)
		err = symbol_table_build(&table);
	return err ? err : symbol_folder_write(folder, &contents);
}
