/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Call frame information: the first byte says which section it is, the rest are its bytes. What
 * comes of it must be a table that the collector takes.
 */
#include <assert.h>
#include <elf.h>
#include <stddef.h>
#include <stdint.h>

#include "base/unwind_table.h"
#include "symbols/eh_frame.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

enum { SECTION_VADDR = 1 << 20, TABLE_SIZE_MAX = 32 << 20 };

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	const struct elf_segment everywhere = { .offset = 0, .vaddr = 0, .size = INT32_MAX };
	const struct unwind_table_header about = { .machine = EM_X86_64 };
	autoclean(unwind_rows) struct unwind_rows rows;
	autoclean(buf) struct buf buf = BUF(TABLE_SIZE_MAX);
	struct unwind_table table;

	unwind_rows_init(&rows, &everywhere, 1);
	if (size == 0)
		return 0;

	const struct eh_frame_section section = {
		.bytes = bytes + 1,
		.size = size - 1,
		.vaddr = SECTION_VADDR,
		.data_vaddr = bytes[0] & 2 ? SECTION_VADDR : 0,
		.machine = EM_X86_64,
		.is_debug_frame = bytes[0] & 1,
	};

	if (eh_frame_read(&section, &rows) || unwind_rows_build(&rows, &about, &buf))
		return 0;
	assert(unwind_table_check(buf.bytes, buf.size, &table) == 0);
	for (uint32_t i = 0; i < table.header->function_count; i++) {
		const struct unwind_function *function = &table.functions[i];

		(void)unwind_table_find(&table, function->start);
		(void)unwind_table_find(&table, function->start + function->size - 1);
	}
	return 0;
}
