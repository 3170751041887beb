/* SPDX-License-Identifier: Apache-2.0 */
/* A symbol file, with its checksums put right, since nothing else would be reached. */
#include <assert.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/table.h"
#include "symbols/symbol_file.h"
#include "symbols/symbols.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

static void seal(uint8_t *bytes, size_t size)
{
	struct symbol_file_header *header = (void *)bytes;
	size_t offset = offsetof(struct symbol_file_header, version);

	if (size < sizeof(*header))
		return;
	for (size_t i = 0; i < SYMBOL_FILE_SECTION_COUNT_MAX; i++) {
		struct symbol_file_section *section = &header->sections[i];

		if (section->offset <= size && section->size <= size - section->offset)
			section->checksum =
				table_hash_bytes(bytes + section->offset, section->size, 0);
	}
	header->checksum = table_hash_bytes(bytes + offset, sizeof(*header) - offset, 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	autoclean(symbol_file) struct symbol_file *file = NULL;
	autofree uint8_t *sealed = malloc(size + 1);
	autoclose int fd = memfd_create("symbols", MFD_CLOEXEC);

	assert(sealed && fd >= 0);
	if (size > 0)
		memcpy(sealed, bytes, size);
	seal(sealed, size);
	assert(write(fd, sealed, size) == (ssize_t)size);
	if (symbol_file_open(fd, &file))
		return 0;

	uint32_t count = symbol_file_header(file)->function_count;
	const struct line_rows *lines = symbol_file_lines(file);

	for (size_t i = 0; i < lines->block_count; i++) {
		struct line_row rows[LINE_BLOCK_ROW_COUNT];
		size_t row_count = line_rows_block(lines, i, rows);

		for (size_t n = 0; n < row_count; n++) {
			struct line_row found;

			if (!line_rows_find(lines, rows[n].start, &found))
				continue;
			assert(found.start == rows[n].start && found.line == rows[n].line);
			assert(line_rows_text(lines, found.file).size <= size);
			line_rows_cover(lines, found.start);
			for (uint32_t scope = found.scope; scope != LINE_SCOPE_NONE;
			     scope = lines->scopes[scope].parent)
				line_rows_text(lines, lines->scopes[scope].function);
		}
	}

	for (uint32_t i = 0; i < count; i++) {
		struct str name = symbol_file_name(file, i);

		assert(name.size <= size);
		uint32_t found = symbol_file_find(file, symbol_file_start(file, i));

		assert(found == SYMBOL_NONE || found < count);
	}
	return 0;
}
