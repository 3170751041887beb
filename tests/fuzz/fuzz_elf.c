/* SPDX-License-Identifier: Apache-2.0 */
/* An executable: its segments, notes and symbols, up to the table that is built of them. */
#include <assert.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/mman.h>
#include <unistd.h>

#include "symbols/debug_link.h"
#include "symbols/elf_file.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

static void check_table(const struct symbol_table *table)
{
	assert(table->count > 0);
	for (uint32_t i = 0; i < table->count; i++) {
		assert(table->sizes[i] > 0);
		assert(i == 0 || table->starts[i] > table->starts[i - 1]);
		assert(table->parents[i] == SYMBOL_PARENT_NONE || table->parents[i] < i);
		assert(table->name_offsets[i] < table->name_offsets[i + 1]);
	}
	assert(table->name_offsets[table->count] == table->names.size);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	struct debug_link link;
	autoclean(elf_file) struct elf_file *elf = NULL;
	autoclean(symbol_table) struct symbol_table table;
	autoclose int fd = memfd_create("elf", MFD_CLOEXEC);
	size_t count = 0;

	symbol_table_init(&table);
	assert(fd >= 0 && write(fd, bytes, size) == (ssize_t)size);
	if (elf_file_open(fd, &elf))
		return 0;
	elf_file_segments(elf, &count);
	assert(count > 0 && count <= ELF_SEGMENT_COUNT_MAX);
	assert(elf_file_build_id(elf).size <= 20);
	elf_file_has_lines(elf);
	if (debug_link_read(elf, &link) == 0)
		assert(link.name[0] && strlen(link.name) < sizeof(link.name) &&
		       !strchr(link.name, '/'));
	if (elf_file_add_symbols(elf, &table) == 0 && symbol_table_build(&table) == 0)
		check_table(&table);
	return 0;
}
