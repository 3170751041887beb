/* SPDX-License-Identifier: Apache-2.0 */
#include "symbols/line_table.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { FIRST_COUNT = 1024 };

struct line_range {
	uint64_t start;
	uint32_t size;
	uint32_t scope;
	uint32_t file;
	uint32_t line;
};
static_assert(sizeof(struct line_range) == 24, "LINE_RANGE_COUNT_MAX counts with it");

struct line_reach {
	uint64_t start;
	uint64_t end;
};

void line_table_init(struct line_table *table)
{
	*table = (struct line_table){
		.text_offsets = BUF((LINE_TEXT_COUNT_MAX + 1) * sizeof(uint32_t)),
		.texts = BUF(LINE_TEXTS_SIZE_MAX),
		.blocks = BUF(SIZE_MAX),
		.bytes = BUF(UINT32_MAX),
		.covers = BUF(SIZE_MAX),
	};
	table_init(&table->by_scope, LINE_SCOPE_COUNT_MAX);
	table_init(&table->by_text, LINE_TEXT_COUNT_MAX);
}

void line_table_done(struct line_table *table)
{
	free(table->ranges);
	free(table->scopes);
	free(table->depths);
	free(table->reaches);
	table_done(&table->by_scope);
	table_done(&table->by_text);
	buf_done(&table->text_offsets);
	buf_done(&table->texts);
	buf_done(&table->blocks);
	buf_done(&table->bytes);
	buf_done(&table->covers);
	line_table_init(table);
}

/* Room for one more; the array, perhaps moved, or NULL. */
static void *grow(void *items, size_t count, size_t *capacity, size_t item_size)
{
	size_t wanted = *capacity ? *capacity * 2 : FIRST_COUNT;

	if (count < *capacity)
		return items;

	void *grown = reallocarray(items, wanted, item_size);

	if (grown)
		*capacity = wanted;
	return grown;
}

/* ---- texts and scopes ---- */

static struct str text_of(const struct line_table *table, uint32_t number)
{
	uint32_t bounds[2];

	memcpy(bounds, table->text_offsets.bytes + number * sizeof(uint32_t), sizeof(bounds));
	return (struct str){ (const char *)table->texts.bytes + bounds[0], bounds[1] - bounds[0] };
}

static bool text_is(const void *context, uint32_t number, const void *key)
{
	return str_equal(text_of(context, number), *(const struct str *)key);
}

static int append_text(struct line_table *table, struct str text, uint64_t hash)
{
	/* The first offset is a zero of its own. */
	if (table->text_offsets.size == 0)
		buf_add_u32(&table->text_offsets, 0);
	buf_add_str(&table->texts, text);
	buf_add_u32(&table->text_offsets, (uint32_t)table->texts.size);
	if (table->texts.error || table->text_offsets.error)
		return table->texts.error ? table->texts.error : table->text_offsets.error;

	int err = table_add(&table->by_text, hash);

	return err == -ENOSPC ? -EFBIG : err;
}

int64_t line_table_text(struct line_table *table, struct str text)
{
	if (table->by_text.count == 0) {
		int err = append_text(table, (struct str){ 0 }, table_hash_bytes("", 0, 0));

		if (err)
			return err;
	}
	if (text.size > LINE_TEXT_SIZE_MAX)
		text.size = LINE_TEXT_SIZE_MAX;

	uint64_t hash = table_hash_bytes(text.size ? text.text : "", text.size, 0);
	uint32_t number = table_find(&table->by_text, hash, &text, text_is, table);

	if (number != TABLE_NONE)
		return number;
	number = table->by_text.count;

	int err = append_text(table, text, hash);

	return err ? err : (int64_t)number;
}

static bool scope_is(const void *context, uint32_t number, const void *key)
{
	const struct line_table *table = context;

	return memcmp(&table->scopes[number], key, sizeof(struct line_scope)) == 0;
}

int64_t line_table_scope(struct line_table *table, const struct line_scope *scope)
{
	uint32_t count = table->by_scope.count;
	uint64_t hash = table_hash_bytes(scope, sizeof(*scope), 0);
	uint32_t number = table_find(&table->by_scope, hash, scope, scope_is, table);

	assert(scope->parent == LINE_SCOPE_NONE || scope->parent < count);
	assert(scope->function < table->by_text.count && scope->call_file < table->by_text.count);
	if (number != TABLE_NONE)
		return number;

	uint8_t depth = scope->parent == LINE_SCOPE_NONE ? 1 : table->depths[scope->parent] + 1;

	if (depth > LINE_DEPTH_MAX)
		return scope->parent;
	if (count == table->scope_capacity) {
		size_t capacity = table->scope_capacity;
		uint8_t *depths = grow(table->depths, count, &capacity, sizeof(depths[0]));

		if (!depths)
			return -ENOMEM;
		table->depths = depths;

		void *scopes = grow(table->scopes, count, &table->scope_capacity,
				    sizeof(table->scopes[0]));

		if (!scopes)
			return -ENOMEM;
		table->scopes = scopes;
	}
	table->scopes[count] = *scope;
	table->depths[count] = depth;

	int err = table_add(&table->by_scope, hash);

	if (err)
		return err == -ENOSPC ? -EFBIG : err;
	return count;
}

/* ---- ranges ---- */

int line_table_add(struct line_table *table, uint64_t vaddr, uint32_t size,
		   const struct line_row *place)
{
	assert(place->scope == LINE_SCOPE_NONE || place->scope < table->by_scope.count);
	assert(place->file == LINE_TEXT_NONE || place->file < table->by_text.count);

	if (size == 0)
		return 0;
	if (table->range_count == LINE_RANGE_COUNT_MAX || vaddr > UINT64_MAX - size)
		return -EFBIG;

	void *ranges = grow(table->ranges, table->range_count, &table->range_capacity,
			    sizeof(table->ranges[0]));
	if (!ranges)
		return -ENOMEM;
	table->ranges = ranges;
	table->ranges[table->range_count++] = (struct line_range){
		.start = vaddr,
		.size = size,
		.scope = place->scope,
		.file = place->file,
		.line = place->line,
	};
	return 0;
}

int line_table_cover(struct line_table *table, uint64_t vaddr, uint64_t size)
{
	if (size == 0)
		return 0;
	if (table->reach_count == LINE_COVER_COUNT_MAX || vaddr > UINT64_MAX - size)
		return -EFBIG;

	void *reaches = grow(table->reaches, table->reach_count, &table->reach_capacity,
			     sizeof(table->reaches[0]));
	if (!reaches)
		return -ENOMEM;
	table->reaches = reaches;
	table->reaches[table->reach_count++] = (struct line_reach){ vaddr, vaddr + size };
	return 0;
}

/* ---- what a symbol file has already ---- */

/* Numbers of theirs to numbers of ours. */
struct line_numbers {
	uint32_t *texts;
	uint32_t *scopes;
};

static void numbers_cleanup(struct line_numbers *numbers)
{
	free(numbers->texts);
	free(numbers->scopes);
}

static int add_texts_and_scopes(struct line_table *table, const struct line_rows *rows,
				struct line_numbers *numbers)
{
	numbers->texts = calloc(rows->text_count + 1, sizeof(uint32_t));
	numbers->scopes = calloc(rows->scope_count + 1, sizeof(uint32_t));
	if (!numbers->texts || !numbers->scopes)
		return -ENOMEM;
	for (uint32_t i = 0; i < rows->text_count; i++) {
		int64_t text = line_table_text(table, line_rows_text(rows, i));

		if (text < 0)
			return (int)text;
		numbers->texts[i] = (uint32_t)text;
	}
	for (size_t i = 0; i < rows->scope_count; i++) {
		const struct line_scope *scope = &rows->scopes[i];
		int64_t number = line_table_scope(
			table, &(struct line_scope){
				       .parent = scope->parent == LINE_SCOPE_NONE
							 ? LINE_SCOPE_NONE
							 : numbers->scopes[scope->parent],
				       .function = numbers->texts[scope->function],
				       .call_file = numbers->texts[scope->call_file],
				       .call_line = scope->call_line,
			       });

		if (number < 0)
			return (int)number;
		numbers->scopes[i] = (uint32_t)number;
	}
	return 0;
}

/* A row lasts until the next, of which the last is always an end. */
static int add_row(struct line_table *table, const struct line_numbers *numbers,
		   const struct line_row *row, uint64_t end)
{
	struct line_row ours = {
		.scope = row->scope == LINE_SCOPE_NONE ? LINE_SCOPE_NONE
						       : numbers->scopes[row->scope],
		.file = numbers->texts[row->file],
		.line = row->line,
	};

	assert(end > row->start && end - row->start <= UINT32_MAX);
	if (ours.scope == LINE_SCOPE_NONE && ours.file == LINE_TEXT_NONE && ours.line == 0)
		return 0;
	return line_table_add(table, row->start, (uint32_t)(end - row->start), &ours);
}

int line_table_add_rows(struct line_table *table, const struct line_rows *rows)
{
	struct line_row block[LINE_BLOCK_ROW_COUNT];
	struct line_row before = { .scope = LINE_SCOPE_NONE };
	autoclean(numbers) struct line_numbers numbers = { 0 };
	int err = add_texts_and_scopes(table, rows, &numbers);

	for (size_t i = 0; !err && i < rows->block_count; i++) {
		size_t count = line_rows_block(rows, i, block);

		for (size_t n = 0; !err && n < count; n++) {
			if (i + n > 0)
				err = add_row(table, &numbers, &before, block[n].start);
			before = block[n];
		}
	}
	for (size_t i = 0; !err && i < rows->cover_count; i++)
		err = line_table_cover(table, rows->base + rows->covers[i].start,
				       rows->covers[i].size);
	return err;
}

/* ---- building ---- */

static int compare_ranges(const void *left, const void *right)
{
	const struct line_range *a = left;
	const struct line_range *b = right;

	if (a->start != b->start)
		return a->start < b->start ? -1 : 1;
	if (a->size != b->size)
		return a->size > b->size ? -1 : 1;
	if (a->scope != b->scope)
		return a->scope < b->scope ? -1 : 1;
	if (a->file != b->file)
		return a->file < b->file ? -1 : 1;
	return (a->line > b->line) - (a->line < b->line);
}

static int compare_reaches(const void *left, const void *right)
{
	const struct line_reach *a = left;
	const struct line_reach *b = right;

	return (a->start > b->start) - (a->start < b->start);
}

/* The row before, and how many are in the block that is written. */
struct line_writing {
	struct line_row before;
	size_t row_count;
};

static void write_row(struct line_table *table, struct line_writing *writing,
		      const struct line_row *row)
{
	const struct line_row *before = &writing->before;
	bool has_scope = row->scope != before->scope;
	bool has_file = row->file != before->file;

	if (writing->row_count > 0 && !has_scope && !has_file && row->line == before->line)
		return;
	if (writing->row_count % LINE_BLOCK_ROW_COUNT == 0) {
		struct line_block block = { .start = (uint32_t)(row->start - table->base),
					    .offset = (uint32_t)table->bytes.size };

		buf_add(&table->blocks, &block, sizeof(block));
		buf_add_varint(&table->bytes, (uint32_t)(row->scope + 1));
		buf_add_varint(&table->bytes, row->file);
		buf_add_varint(&table->bytes, row->line);
	} else {
		assert(row->start > before->start);
		buf_add_varint(&table->bytes, (row->start - before->start) << 2 |
						      (uint64_t)has_file << 1 | has_scope);
		if (has_scope)
			buf_add_zigzag(&table->bytes, (int32_t)(row->scope - before->scope));
		if (has_file)
			buf_add_zigzag(&table->bytes, (int32_t)(row->file - before->file));
		buf_add_zigzag(&table->bytes, (int32_t)(row->line - before->line));
	}
	writing->before = *row;
	writing->row_count++;
}

/* Of those that start together only the first is looked at. */
static size_t drop_twins(struct line_table *table)
{
	size_t kept = 0;

	for (size_t i = 0; i < table->range_count; i++)
		if (kept == 0 || table->ranges[i].start != table->ranges[kept - 1].start)
			table->ranges[kept++] = table->ranges[i];
	return kept;
}

static void write_rows(struct line_table *table)
{
	struct line_writing writing = { 0 };

	table->range_count = drop_twins(table);
	for (size_t i = 0; i < table->range_count; i++) {
		const struct line_range *range = &table->ranges[i];
		bool is_last = i + 1 == table->range_count;
		struct line_row row = { range->start, range->scope, range->file, range->line };
		struct line_row end = { range->start + range->size, LINE_SCOPE_NONE, LINE_TEXT_NONE,
					0 };

		write_row(table, &writing, &row);
		if (is_last || range[1].start > end.start)
			write_row(table, &writing, &end);
	}
}

static void write_covers(struct line_table *table)
{
	for (size_t i = 0; i < table->reach_count;) {
		uint64_t start = table->reaches[i].start;
		uint64_t end = table->reaches[i].end;

		for (i++; i < table->reach_count && table->reaches[i].start <= end; i++)
			if (table->reaches[i].end > end)
				end = table->reaches[i].end;

		struct line_cover cover = { (uint32_t)(start - table->base),
					    (uint32_t)(end - start) };

		buf_add(&table->covers, &cover, sizeof(cover));
	}
}

/* Whether offsets of 32 bits reach from the lowest to the highest; sets the base. */
static bool find_base(struct line_table *table)
{
	uint64_t low = UINT64_MAX;
	uint64_t high = 0;

	for (size_t i = 0; i < table->range_count; i++) {
		const struct line_range *range = &table->ranges[i];

		low = range->start < low ? range->start : low;
		high = range->start + range->size > high ? range->start + range->size : high;
	}
	for (size_t i = 0; i < table->reach_count; i++) {
		low = table->reaches[i].start < low ? table->reaches[i].start : low;
		high = table->reaches[i].end > high ? table->reaches[i].end : high;
	}
	table->base = low <= high ? low : 0;
	return low > high || (high - low <= UINT32_MAX && low <= UINT64_MAX - UINT32_MAX);
}

int line_table_build(struct line_table *table)
{
	assert(table->blocks.size == 0 && table->covers.size == 0);

	int64_t first = line_table_text(table, (struct str){ 0 });

	if (first < 0)
		return (int)first;
	if (!find_base(table))
		return -EFBIG;
	if (table->range_count > 0)
		qsort(table->ranges, table->range_count, sizeof(table->ranges[0]), compare_ranges);
	if (table->reach_count > 0)
		qsort(table->reaches, table->reach_count, sizeof(table->reaches[0]),
		      compare_reaches);
	write_rows(table);
	write_covers(table);
	free(TAKE(table->ranges));
	table->range_count = 0;
	table->range_capacity = 0;
	if (table->blocks.error || table->bytes.error)
		return table->blocks.error ? table->blocks.error : table->bytes.error;
	return table->covers.error;
}

struct line_rows line_table_rows(const struct line_table *table)
{
	return (struct line_rows){
		.base = table->base,
		.blocks = (const struct line_block *)(const void *)table->blocks.bytes,
		.block_count = table->blocks.size / sizeof(struct line_block),
		.bytes = table->bytes.bytes,
		.size = table->bytes.size,
		.scopes = table->scopes,
		.scope_count = table->by_scope.count,
		.text_offsets = (const uint32_t *)(const void *)table->text_offsets.bytes,
		.text_count = table->by_text.count,
		.texts = (const char *)table->texts.bytes,
		.covers = (const struct line_cover *)(const void *)table->covers.bytes,
		.cover_count = table->covers.size / sizeof(struct line_cover),
	};
}
