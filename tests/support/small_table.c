/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/small_table.h"

#include <string.h>

#include "base/unwind_table.h"

struct identity small_identity(uint8_t number)
{
	return (struct identity){ .kind = IDENTITY_GNU_BUILD_ID,
				  .size = 2,
				  .bytes = { 0xee, number } };
}

size_t small_table(const struct identity *identity, uint32_t page_first, uint32_t page_count,
		   const struct small_row *rows, size_t row_count, void *ret)
{
	struct unwind_table_header *header = ret;
	struct unwind_row *lines = (void *)(header + 1);
	uint64_t *rules = (void *)(lines + (size_t)page_count * UNWIND_LINE_ROW_COUNT);
	uint32_t *pages = (void *)(rules + row_count + 1);
	size_t next = 0;

	memset(ret, 0, SMALL_TABLE_SIZE_MAX);
	memcpy(header->magic, UNWIND_TABLE_MAGIC, sizeof(header->magic));
	header->version = UNWIND_TABLE_VERSION;
	header->machine = 62; /* EM_X86_64 */
	header->sources = UNWIND_FROM_EH_FRAME;
	header->identity = *identity;
	header->page_first = page_first;
	header->page_count = page_count;
	header->line_count = page_count;
	header->rule_count = (uint32_t)row_count + 1;
	header->row_count = (uint32_t)row_count;
	for (size_t i = 0; i < row_count; i++)
		rules[i + 1] = rows[i].rule;
	for (uint32_t page = 0; page < page_count; page++) {
		struct unwind_row *line = lines + (size_t)page * UNWIND_LINE_ROW_COUNT;
		uint16_t rule = next > 0 ? (uint16_t)next : UNWIND_RULE_NONE;
		unsigned row = 1;

		line[0] = (struct unwind_row){ 0, rule };
		for (; next < row_count && rows[next].page == page_first + page; next++) {
			rule = (uint16_t)(next + 1);
			if (rows[next].low == 0)
				line[0].rule = rule;
			else
				line[row++] = (struct unwind_row){ rows[next].low, rule };
		}
		for (; row < UNWIND_LINE_ROW_COUNT; row++)
			line[row] = (struct unwind_row){ 0xffff, rule };
		pages[page] = page << UNWIND_PAGE_LINE_SHIFT | UNWIND_PAGE_PRESENT;
	}
	return (size_t)((uint8_t *)(pages + page_count) - (uint8_t *)ret);
}
