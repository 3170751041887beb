/* SPDX-License-Identifier: Apache-2.0 */
#include "base/unwind_table.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

#include "base/table.h"

static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "tables are read as they lie");

enum { CHECKSUM_FROM = offsetof(struct unwind_table_header, version) };

size_t unwind_table_size(const struct unwind_table_header *header)
{
	return sizeof(*header) + (size_t)header->line_count * UNWIND_LINE_SIZE +
	       (size_t)header->rule_count * sizeof(uint64_t) +
	       (size_t)header->page_count * sizeof(uint32_t) +
	       (size_t)header->function_count * sizeof(struct unwind_function);
}

static bool header_is_good(const struct unwind_table_header *header)
{
	return header->page_count <= UNWIND_TABLE_PAGE_COUNT_MAX &&
	       header->page_first <= UNWIND_TABLE_PAGE_COUNT_MAX - header->page_count &&
	       header->line_count <= UNWIND_TABLE_LINE_COUNT_MAX && header->rule_count > 0 &&
	       header->rule_count <= UNWIND_RULE_COUNT_MAX &&
	       header->function_count <= UNWIND_TABLE_FUNCTION_COUNT_MAX &&
	       header->identity.size <= IDENTITY_SIZE_MAX;
}

static const struct unwind_row *rows_of(const struct unwind_table *table, uint32_t line)
{
	return (const struct unwind_row *)(table->lines + (size_t)line * UNWIND_LINE_SIZE);
}

/* Of the page's block, where the next one begins or the lines end. */
static uint32_t end_of_block(const struct unwind_table *table, uint32_t page)
{
	for (uint32_t i = page + 1; i < table->header->page_count; i++)
		if (table->pages[i])
			return table->pages[i] >> UNWIND_PAGE_LINE_SHIFT;
	return table->header->line_count;
}

/* Rows of known rules in ascending order; what fills the end has the last rule. */
static bool rows_are_good(const struct unwind_row *rows, uint32_t count, uint32_t rule_count)
{
	if (rows[0].low != 0 || rows[0].rule >= rule_count)
		return false;
	for (uint32_t i = 1; i < count; i++) {
		bool fills = rows[i].low == 0xffff && rows[i].rule == rows[i - 1].rule;

		if (rows[i].rule >= rule_count || (rows[i].low <= rows[i - 1].low && !fills))
			return false;
	}
	return true;
}

/* Each byte says in which group of lines the last row is that begins before the bucket ends; what
 * fills is a row like any other. */
static bool index_is_good(const uint8_t *index, const struct unwind_row *rows, uint32_t line_count,
			  uint32_t shift)
{
	uint32_t line = 0;

	for (uint32_t bucket = 0; bucket < UNWIND_INDEX_SIZE; bucket++) {
		uint32_t end = bucket << UNWIND_BUCKET_SHIFT | 0xff;

		while (line + 1 < line_count &&
		       rows[(size_t)(line + 1) * UNWIND_LINE_ROW_COUNT].low <= end)
			line++;
		if (index[bucket] != line >> shift)
			return false;
	}
	return true;
}

static bool block_is_good(const struct unwind_table *table, uint32_t word, uint32_t line_count)
{
	uint32_t first = word >> UNWIND_PAGE_LINE_SHIFT;
	uint32_t shift = word & UNWIND_PAGE_SHIFT_MASK;
	uint32_t rule_count = table->header->rule_count;

	if (!(word & UNWIND_PAGE_PRESENT))
		return false;
	if (!(word & UNWIND_PAGE_HAS_INDEX))
		return line_count == 1 && shift == 0 &&
		       rows_are_good(rows_of(table, first), UNWIND_LINE_ROW_COUNT, rule_count);
	if (line_count <= UNWIND_INDEX_LINE_COUNT ||
	    line_count - UNWIND_INDEX_LINE_COUNT > UNWIND_PAGE_LINE_COUNT_MAX)
		return false;

	uint32_t row_line_count = line_count - UNWIND_INDEX_LINE_COUNT;
	const struct unwind_row *rows = rows_of(table, first + UNWIND_INDEX_LINE_COUNT);

	return shift <= 2 && row_line_count % (1U << shift) == 0 &&
	       rows_are_good(rows, row_line_count * UNWIND_LINE_ROW_COUNT, rule_count) &&
	       index_is_good(table->lines + (size_t)first * UNWIND_LINE_SIZE, rows, row_line_count,
			     shift);
}

static bool pages_are_good(const struct unwind_table *table)
{
	const struct unwind_table_header *header = table->header;
	uint32_t next = 0;

	for (uint32_t i = 0; i < header->page_count; i++) {
		uint32_t word = table->pages[i];

		if (word == 0)
			continue;
		if (word >> UNWIND_PAGE_LINE_SHIFT != next)
			return false;

		uint32_t end = end_of_block(table, i);

		if (end <= next || end > header->line_count ||
		    !block_is_good(table, word, end - next))
			return false;
		next = end;
	}
	return next == header->line_count;
}

static bool functions_are_good(const struct unwind_table *table)
{
	uint64_t end = 0;

	for (uint32_t i = 0; i < table->header->function_count; i++) {
		const struct unwind_function *function = &table->functions[i];

		if (function->size == 0 || function->start < end)
			return false;
		end = (uint64_t)function->start + function->size;
	}
	return true;
}

int unwind_table_check(const void *bytes, size_t size, struct unwind_table *ret)
{
	struct unwind_table table = { .header = bytes };
	const struct unwind_table_header *header = bytes;

	assert((uintptr_t)bytes % 8 == 0);
	if (size < sizeof(*header) || memcmp(header->magic, UNWIND_TABLE_MAGIC, 8) != 0)
		return -EBADMSG;
	if (header->version != UNWIND_TABLE_VERSION)
		return -EPROTONOSUPPORT;
	if (!header_is_good(header) || size != unwind_table_size(header))
		return -EBADMSG;

	table.lines = (const uint8_t *)(header + 1);
	table.rules =
		(const uint64_t *)(table.lines + (size_t)header->line_count * UNWIND_LINE_SIZE);
	table.pages = (const uint32_t *)(table.rules + header->rule_count);
	table.functions = (const struct unwind_function *)(table.pages + header->page_count);
	if (table.rules[0] != 0)
		return -EBADMSG;
	for (uint32_t i = 1; i < header->rule_count; i++)
		if (!unwind_rule_is_valid(table.rules[i]))
			return -EBADMSG;
	if (!pages_are_good(&table) || !functions_are_good(&table))
		return -EBADMSG;
	*ret = table;
	return 0;
}

uint32_t unwind_table_block_line_count(const struct unwind_table *table, uint32_t page)
{
	assert(page < table->header->page_count);
	return table->pages[page]
		       ? end_of_block(table, page) - (table->pages[page] >> UNWIND_PAGE_LINE_SHIFT)
		       : 0;
}

uint64_t unwind_table_find(const struct unwind_table *table, uint64_t offset)
{
	uint64_t page = (offset >> UNWIND_PAGE_SHIFT) - table->header->page_first;

	if (page >= table->header->page_count || table->pages[page] == 0)
		return 0;
	return table->rules[unwind_find(table->lines, UINT32_MAX, table->pages[page], offset)];
}

uint64_t unwind_table_checksum(const void *bytes, size_t size)
{
	assert(size >= sizeof(struct unwind_table_header));
	return table_hash_bytes((const uint8_t *)bytes + CHECKSUM_FROM, size - CHECKSUM_FROM, 0);
}
