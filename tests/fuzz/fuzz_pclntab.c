/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Go's table of program counters: what comes of it must be a table that the collector takes, and
 * names that lie in it.
 */
#include <assert.h>
#include <elf.h>
#include <stddef.h>
#include <stdint.h>

#include "base/unwind_table.h"
#include "symbols/go_pclntab.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

enum { TEXT_VADDR = 0x401000, TABLE_SIZE_MAX = 64 << 20 };

static void read_names(const struct go_pclntab *pclntab, const struct elf_segment *everywhere)
{
	autoclean(symbol_table) struct symbol_table symbols;

	symbol_table_init(&symbols);
	if (go_pclntab_add_symbols(pclntab, everywhere, 1, &symbols) ||
	    symbol_table_build(&symbols))
		return;
	for (uint32_t i = 1; i < symbols.count; i++)
		assert(symbols.starts[i] > symbols.starts[i - 1]);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	const struct elf_segment everywhere = { .offset = 0, .vaddr = 0, .size = INT32_MAX };
	const struct unwind_table_header about = { .machine = EM_X86_64 };
	const struct go_pclntab pclntab = {
		.bytes = bytes,
		.size = size,
		.text = TEXT_VADDR,
		.entry = TEXT_VADDR,
	};
	autoclean(unwind_rows) struct unwind_rows rows;
	autoclean(buf) struct buf buf = BUF(TABLE_SIZE_MAX);
	struct unwind_table table;

	read_names(&pclntab, &everywhere);
	unwind_rows_init(&rows, &everywhere, 1);
	if (go_pclntab_add(&pclntab, &rows) || unwind_rows_build(&rows, &about, &buf))
		return 0;
	assert(unwind_table_check(buf.bytes, buf.size, &table) == 0);
	for (uint32_t i = 0; i < table.header->function_count; i++)
		(void)unwind_table_find(&table, table.functions[i].start);
	return 0;
}
