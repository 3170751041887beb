/* SPDX-License-Identifier: Apache-2.0 */
/* A table as a server sends it: what passes the check can be searched and walked by. */
#include <assert.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/unwind_table.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

static int read_word(void *context, __u64 address, __u64 *ret)
{
	(void)context;
	*ret = address + 64;
	return address % 64 == 0;
}

static void search(const struct unwind_table *table, uint32_t page)
{
	uint64_t start = (uint64_t)(table->header->page_first + page) << UNWIND_PAGE_SHIFT;

	assert(unwind_table_block_line_count(table, page) <=
	       UNWIND_INDEX_LINE_COUNT + UNWIND_PAGE_LINE_COUNT_MAX);
	for (uint32_t low = 0; low <= 0xffff; low += 251) {
		uint64_t rule = unwind_table_find(table, start + low);
		struct unwind_frame frame = { .pc = 4096, .sp = 8192, .fp = 8192 };
		__u64 leaf[16] = { 4096 };
		int outcome = unwind_step(&frame, rule, leaf, read_word, NULL);

		assert(outcome >= UNWIND_NEXT && outcome <= UNWIND_NOT_PROGRESSING);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	/* On 8, as messages and mapped files lie. */
	autofree uint8_t *aligned = malloc(size ? size : 1);
	struct unwind_table table;

	assert(aligned);
	if (size)
		memcpy(aligned, bytes, size);
	/* A corpus outlives versions whose layout is the same. */
	if (size >= sizeof(struct unwind_table_header))
		((struct unwind_table_header *)aligned)->version = UNWIND_TABLE_VERSION;
	if (unwind_table_check(aligned, size, &table))
		return 0;
	for (uint32_t i = 0; i < table.header->page_count && i < 64; i++)
		search(&table, i);
	return 0;
}
