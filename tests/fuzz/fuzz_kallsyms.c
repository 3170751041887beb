/* SPDX-License-Identifier: Apache-2.0 */
/* /proc/kallsyms, and notes behind the first NUL. */
#include <assert.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "symbols/kernel_symbols.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

static int open_part(const uint8_t *bytes, size_t size)
{
	int fd = memfd_create("kallsyms", MFD_CLOEXEC);

	assert(fd >= 0 && write(fd, bytes, size) == (ssize_t)size);
	return fd;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	autoclean(kernel_symbols) struct kernel_symbols *kernel = NULL;
	const uint8_t *nul = size > 0 ? memchr(bytes, 0, size) : NULL;
	size_t text_size = nul ? (size_t)(nul - bytes) : size;
	size_t notes_offset = nul ? text_size + 1 : size;
	autoclose int text_fd = open_part(bytes, text_size);
	autoclose int notes_fd = open_part(bytes + notes_offset, size - notes_offset);
	struct kernel_symbols_sources sources = { .kallsyms_fd = text_fd,
						  .notes_fd = notes_fd,
						  .release = "6.1" };

	if (size > 0 && kernel_symbols_read(&sources, &kernel) == 0) {
		for (size_t i = 0; i < kernel_symbols_part_count(kernel); i++) {
			const struct kernel_part *part = kernel_symbols_part(kernel, i);
			autoclean(symbol_table) struct symbol_table table;
			size_t found = kernel_symbols_find(kernel, part->start);

			assert(found == SIZE_MAX || found < kernel_symbols_part_count(kernel));
			assert(part->identity.size > 0);
			symbol_table_init(&table);
			if (kernel_symbols_add_to(kernel, i, &table) == 0 &&
			    symbol_table_build(&table) == 0)
				assert(table.starts[table.count - 1] < part->size);
		}
	}
	return 0;
}
