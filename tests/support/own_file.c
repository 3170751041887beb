/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/own_file.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

uint64_t own_file_offset(const struct elf_file *elf, void *function)
{
	extern const char __ehdr_start[];
	uint64_t vaddr = (uint64_t)((const char *)function - __ehdr_start);
	size_t count = 0;
	const struct elf_segment *loads = elf_file_loads(elf, &count);

	for (size_t i = 0; i < count; i++)
		if (vaddr >= loads[i].vaddr && vaddr < loads[i].vaddr + loads[i].size)
			return vaddr - loads[i].vaddr + loads[i].offset;
	fail_msg("it is nowhere");
	return 0;
}

void own_file_has_name(struct symbols *symbols, const struct identity *identity, uint64_t offset,
		       const char *name)
{
	struct symbol_module *module = symbols_acquire(symbols, identity);
	uint32_t function;

	assert_non_null(module);
	function = symbol_module_find(module, offset);
	assert_int_not_equal(function, SYMBOL_NONE);
	assert_true(str_equal(symbol_module_name(module, function), str_from(name)));
	symbols_release(symbols, module);
}
