/* SPDX-License-Identifier: Apache-2.0 */
#include "symbols/line_rows.h"

#include <assert.h>

#include "base/buf.h"

static_assert(sizeof(struct line_block) == 8, "on disk");
static_assert(sizeof(struct line_scope) == 16, "on disk");
static_assert(sizeof(struct line_cover) == 8, "on disk");

static struct bytes block_bytes(const struct line_rows *rows, size_t block)
{
	size_t begin = rows->blocks[block].offset;
	size_t end = block + 1 < rows->block_count ? rows->blocks[block + 1].offset : rows->size;

	return bytes_from(rows->bytes + begin, end - begin);
}

static void read_first(const struct line_rows *rows, size_t block, struct bytes *bytes,
		       struct line_row *row)
{
	row->start = rows->base + rows->blocks[block].start;
	row->scope = (uint32_t)bytes_varint(bytes) - 1; /* 0: LINE_SCOPE_NONE */
	row->file = (uint32_t)bytes_varint(bytes);
	row->line = (uint32_t)bytes_varint(bytes);
}

/* Turns one row into the next. */
static void read_next(struct bytes *bytes, struct line_row *row)
{
	uint64_t step = bytes_varint(bytes);

	row->start += step >> 2;
	if (step & 1)
		row->scope += (uint32_t)bytes_zigzag(bytes);
	if (step & 2)
		row->file += (uint32_t)bytes_zigzag(bytes);
	row->line += (uint32_t)bytes_zigzag(bytes);
}

static bool row_is_sound(const struct line_rows *rows, const struct line_row *row)
{
	return (row->scope == LINE_SCOPE_NONE || row->scope < rows->scope_count) &&
	       row->file < rows->text_count;
}

static bool block_is_sound(const struct line_rows *rows, size_t block)
{
	size_t begin = rows->blocks[block].offset;
	bool is_last = block + 1 == rows->block_count;
	size_t end = is_last ? rows->size : rows->blocks[block + 1].offset;
	uint64_t start_max =
		rows->base + (is_last ? UINT32_MAX : rows->blocks[block + 1].start - 1);

	if (begin >= end || end > rows->size ||
	    (!is_last && rows->blocks[block + 1].start <= rows->blocks[block].start))
		return false;

	struct bytes bytes = block_bytes(rows, block);
	struct line_row row;
	size_t count = 1;

	read_first(rows, block, &bytes, &row);
	for (; row_is_sound(rows, &row) && bytes.left > 0; count++) {
		uint64_t before = row.start;

		read_next(&bytes, &row);
		if (bytes.error || row.start <= before || row.start > start_max ||
		    count == LINE_BLOCK_ROW_COUNT)
			return false;
	}
	return !bytes.error && row_is_sound(rows, &row) && row.start <= start_max;
}

static bool texts_are_sound(const struct line_rows *rows, size_t texts_size)
{
	if (rows->text_count == 0 || rows->text_offsets[0] != 0 || rows->text_offsets[1] != 0 ||
	    rows->text_offsets[rows->text_count] != texts_size)
		return false;
	for (size_t i = 0; i < rows->text_count; i++)
		if (rows->text_offsets[i] > rows->text_offsets[i + 1])
			return false;
	return true;
}

bool line_rows_are_sound(const struct line_rows *rows, size_t texts_size)
{
	if (rows->base > UINT64_MAX - UINT32_MAX)
		return false;
	for (size_t i = 0; i < rows->cover_count; i++) {
		const struct line_cover *cover = &rows->covers[i];

		if (cover->size > UINT32_MAX - cover->start ||
		    (i > 0 && cover->start < cover[-1].start + cover[-1].size))
			return false;
	}
	if (!rows->text_offsets)
		return rows->block_count == 0 && rows->scope_count == 0;
	if (!texts_are_sound(rows, texts_size) ||
	    (rows->block_count > 0 && rows->blocks[0].offset != 0))
		return false;
	for (size_t i = 0; i < rows->scope_count; i++)
		if ((rows->scopes[i].parent != LINE_SCOPE_NONE && rows->scopes[i].parent >= i) ||
		    rows->scopes[i].function >= rows->text_count ||
		    rows->scopes[i].call_file >= rows->text_count)
			return false;
	for (size_t i = 0; i < rows->block_count; i++)
		if (!block_is_sound(rows, i))
			return false;
	return true;
}

/* The last block that starts at or before this address, or SIZE_MAX. */
static size_t find_block(const struct line_rows *rows, uint32_t address)
{
	size_t begin = 0;
	size_t end = rows->block_count;

	while (begin < end) {
		size_t middle = begin + (end - begin) / 2;

		if (rows->blocks[middle].start <= address)
			begin = middle + 1;
		else
			end = middle;
	}
	return begin - 1; /* none before: SIZE_MAX */
}

bool line_rows_find(const struct line_rows *rows, uint64_t vaddr, struct line_row *ret)
{
	if (vaddr < rows->base || vaddr - rows->base > UINT32_MAX)
		return false;

	size_t block = find_block(rows, (uint32_t)(vaddr - rows->base));

	if (block == SIZE_MAX)
		return false;

	struct bytes bytes = block_bytes(rows, block);
	struct line_row row;

	read_first(rows, block, &bytes, &row);

	struct line_row found = row;

	while (bytes.left > 0) {
		read_next(&bytes, &row);
		if (row.start > vaddr)
			break;
		found = row;
	}
	assert(!bytes.error && found.start <= vaddr);
	if (found.file == LINE_TEXT_NONE && found.line == 0 && found.scope == LINE_SCOPE_NONE)
		return false;
	*ret = found;
	return true;
}

bool line_rows_cover(const struct line_rows *rows, uint64_t vaddr)
{
	size_t begin = 0;
	size_t end = rows->cover_count;

	if (vaddr < rows->base || vaddr - rows->base > UINT32_MAX)
		return false;

	uint32_t address = (uint32_t)(vaddr - rows->base);

	while (begin < end) {
		size_t middle = begin + (end - begin) / 2;

		if (rows->covers[middle].start <= address)
			begin = middle + 1;
		else
			end = middle;
	}
	return begin > 0 && address - rows->covers[begin - 1].start < rows->covers[begin - 1].size;
}

struct str line_rows_text(const struct line_rows *rows, uint32_t text)
{
	assert(text < rows->text_count);

	uint32_t begin = rows->text_offsets[text];

	return (struct str){ rows->texts + begin, rows->text_offsets[text + 1] - begin };
}

size_t line_rows_block(const struct line_rows *rows, size_t block,
		       struct line_row ret[static LINE_BLOCK_ROW_COUNT])
{
	assert(block < rows->block_count);

	struct bytes bytes = block_bytes(rows, block);
	size_t count = 1;

	read_first(rows, block, &bytes, &ret[0]);
	for (; bytes.left > 0; count++) {
		assert(count < LINE_BLOCK_ROW_COUNT);
		ret[count] = ret[count - 1];
		read_next(&bytes, &ret[count]);
	}
	return count;
}
