/* SPDX-License-Identifier: Apache-2.0 */
#include "symbols/unwind_rows.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum {
	FIRST_COUNT = 4096,
	PAGE_ROW_COUNT_MAX = UNWIND_PAGE_LINE_COUNT_MAX * UNWIND_LINE_ROW_COUNT,
	PAGE_SIZE_OF_FILE = 1 << UNWIND_PAGE_SHIFT,
	INDEXED_COUNT_MAX = 255, /* the highest number that an index holds */
};

static bool word_is(const void *context, uint32_t number, const void *key)
{
	const struct unwind_rows *rows = context;

	return rows->words[number] == *(const uint64_t *)key;
}

static uint64_t hash_of(uint64_t word)
{
	word *= UINT64_C(0x9E3779B97F4A7C15);
	return word ^ word >> 32;
}

void unwind_rows_init(struct unwind_rows *rows, const struct elf_segment *segments,
		      size_t segment_count)
{
	*rows = (struct unwind_rows){ .segments = segments, .segment_count = segment_count };
	table_init(&rows->by_word, UNWIND_RULE_COUNT_MAX);
}

void unwind_rows_done(struct unwind_rows *rows)
{
	free(rows->functions);
	free(rows->rows);
	free(rows->words);
	table_done(&rows->by_word);
	unwind_rows_init(rows, NULL, 0);
}

/* Makes room for one more. */
static int reserve(void *array, size_t count, size_t *capacity, size_t size, size_t count_max)
{
	void **items = array;

	if (count < *capacity)
		return 0;
	if (count >= count_max)
		return -EFBIG;

	size_t more = *capacity ? *capacity * 2 : FIRST_COUNT;
	void *grown = reallocarray(*items, more, size);

	if (!grown)
		return -ENOMEM;
	*items = grown;
	*capacity = more;
	return 0;
}

static int number_of(struct unwind_rows *rows, uint64_t word, uint16_t *ret)
{
	if (rows->by_word.count > 0 && word == rows->last_word) {
		*ret = rows->last_rule;
		return 0;
	}

	uint32_t number = table_find(&rows->by_word, hash_of(word), &word, word_is, rows);

	if (number == TABLE_NONE) {
		int err = reserve(&rows->words, rows->by_word.count, &rows->word_capacity,
				  sizeof(rows->words[0]), UNWIND_RULE_COUNT_MAX);
		if (err)
			return err;
		number = rows->by_word.count;
		rows->words[number] = word;
		err = table_add(&rows->by_word, hash_of(word));
		if (err)
			return err == -ENOSPC ? -EFBIG : err;
	}
	rows->last_word = word;
	rows->last_rule = (uint16_t)number;
	*ret = (uint16_t)number;
	return 0;
}

int unwind_rows_begin(struct unwind_rows *rows, uint64_t vaddr, uint64_t size)
{
	uint16_t none;
	int err = 0;

	rows->is_begun = false;
	if (rows->by_word.count == 0)
		err = number_of(rows, 0, &none);
	if (!err)
		err = reserve(&rows->functions, rows->function_count, &rows->function_capacity,
			      sizeof(rows->functions[0]), UNWIND_FUNCTION_COUNT_MAX);
	if (err)
		return err;
	for (size_t i = 0; i < rows->segment_count; i++) {
		const struct elf_segment *segment = &rows->segments[i];
		uint64_t offset = segment->offset + (vaddr - segment->vaddr);

		if (vaddr < segment->vaddr || vaddr - segment->vaddr >= segment->size ||
		    size == 0 || size > segment->size - (vaddr - segment->vaddr) ||
		    offset + size > INT32_MAX)
			continue;
		rows->functions[rows->function_count++] = (struct unwind_extent){
			.start = (uint32_t)offset,
			.end = (uint32_t)(offset + size),
			.first_row = (uint32_t)rows->row_count,
		};
		rows->vaddr = vaddr;
		rows->is_begun = true;
		return 0;
	}
	return -ENOENT;
}

int unwind_rows_add(struct unwind_rows *rows, uint64_t vaddr, uint64_t word)
{
	assert(rows->is_begun);

	struct unwind_extent *function = &rows->functions[rows->function_count - 1];
	uint64_t distance = vaddr - rows->vaddr;

	if (vaddr < rows->vaddr)
		return -EBADMSG;
	if (distance >= function->end - function->start)
		return 0;

	uint32_t offset = function->start + (uint32_t)distance;
	uint16_t rule;
	int err = number_of(rows, word, &rule);

	if (err)
		return err;
	if (function->row_count > 0) {
		struct unwind_flat_row *last = &rows->rows[rows->row_count - 1];

		if (offset < last->offset)
			return -EBADMSG;
		if (rule == last->rule)
			return 0;
		if (offset == last->offset) {
			last->rule = rule;
			return 0;
		}
	}
	err = reserve(&rows->rows, rows->row_count, &rows->row_capacity, sizeof(rows->rows[0]),
		      UNWIND_ROW_COUNT_MAX);
	if (err)
		return err;
	rows->rows[rows->row_count++] = (struct unwind_flat_row){ .offset = offset, .rule = rule };
	function->row_count++;
	return 0;
}

static int append(struct unwind_rows *rows, uint32_t offset, uint16_t rule)
{
	int err = reserve(&rows->rows, rows->row_count, &rows->row_capacity, sizeof(rows->rows[0]),
			  UNWIND_ROW_COUNT_MAX);

	if (!err)
		rows->rows[rows->row_count++] =
			(struct unwind_flat_row){ .offset = offset, .rule = rule };
	return err;
}

int unwind_rows_insert(struct unwind_rows *rows, size_t number, uint32_t offset, uint32_t size,
		       uint64_t word)
{
	struct unwind_extent function = rows->functions[number];
	uint32_t end = offset + size, first = (uint32_t)rows->row_count, n = 0;
	uint16_t rule, held = UNWIND_RULE_NONE;
	int err = number_of(rows, word, &rule);

	assert(offset >= function.start && size > 0 && end <= function.end);
	rows->is_begun = false;
	for (; !err && n < function.row_count && rows->rows[function.first_row + n].offset < offset;
	     n++) {
		held = rows->rows[function.first_row + n].rule;
		err = append(rows, rows->rows[function.first_row + n].offset, held);
	}
	if (!err)
		err = append(rows, offset, rule);
	for (; n < function.row_count && rows->rows[function.first_row + n].offset <= end; n++)
		held = rows->rows[function.first_row + n].rule;
	if (!err && end < function.end)
		err = append(rows, end, held);
	for (; !err && n < function.row_count; n++)
		err = append(rows, rows->rows[function.first_row + n].offset,
			     rows->rows[function.first_row + n].rule);
	if (err) {
		rows->row_count = first;
		return err;
	}
	rows->functions[number].first_row = first;
	rows->functions[number].row_count = (uint32_t)rows->row_count - first;
	return 0;
}

void unwind_rows_drop(struct unwind_rows *rows)
{
	assert(rows->is_begun);
	rows->row_count = rows->functions[--rows->function_count].first_row;
	rows->is_begun = false;
	rows->refused_count++;
}

bool unwind_rows_vaddr(const struct unwind_rows *rows, uint32_t offset, size_t size, uint64_t *ret)
{
	for (size_t i = 0; i < rows->segment_count; i++) {
		const struct elf_segment *segment = &rows->segments[i];

		if (offset < segment->offset || offset - segment->offset >= segment->size)
			continue;
		*ret = segment->vaddr + (offset - segment->offset);
		return size <= segment->size - (offset - segment->offset);
	}
	return false;
}

bool unwind_rows_hold(const struct unwind_rows *rows, uint64_t vaddr)
{
	for (size_t s = 0; s < rows->segment_count; s++) {
		const struct elf_segment *segment = &rows->segments[s];
		uint64_t offset = segment->offset + (vaddr - segment->vaddr);

		if (vaddr < segment->vaddr || vaddr - segment->vaddr >= segment->size)
			continue;
		for (size_t i = 0; i < rows->function_count; i++)
			if (offset >= rows->functions[i].start && offset < rows->functions[i].end)
				return true;
	}
	return false;
}

/* ---- rows to blocks ---- */

struct maker {
	struct buf *buf;
	uint32_t line_count;
	uint32_t row_count;
	uint32_t page; /* of the file, whose rows are gathered */
	uint16_t rule; /* in force */
	uint32_t count;
	bool overflows;
	uint32_t dropped_count; /* pages */
	uint32_t page_first;
	uint32_t *pages; /* words, from page_first on */
	struct unwind_row rows[PAGE_ROW_COUNT_MAX + 4 * UNWIND_LINE_ROW_COUNT];
};

static void fill_index(uint8_t *index, const struct unwind_row *rows, uint32_t line_count,
		       uint32_t shift)
{
	uint32_t line = 0;

	for (uint32_t bucket = 0; bucket < UNWIND_INDEX_SIZE; bucket++) {
		uint32_t end = bucket << UNWIND_BUCKET_SHIFT | 0xff;

		while (line + 1 < line_count &&
		       rows[(size_t)(line + 1) * UNWIND_LINE_ROW_COUNT].low <= end)
			line++;
		index[bucket] = (uint8_t)(line >> shift);
	}
}

/* Writes the block of the page whose rows were gathered. */
static void finish_page(struct maker *maker)
{
	if (maker->count == 0)
		return;
	if (maker->overflows) {
		maker->dropped_count++;
		maker->overflows = false;
		maker->count = 0;
		return;
	}
	/* A page without a rule needs no block. */
	if (maker->count == 1 && maker->rows[0].rule == UNWIND_RULE_NONE) {
		maker->count = 0;
		return;
	}

	uint32_t line_count = (maker->count + UNWIND_LINE_ROW_COUNT - 1) / UNWIND_LINE_ROW_COUNT;
	uint32_t word = maker->line_count << UNWIND_PAGE_LINE_SHIFT | UNWIND_PAGE_PRESENT;
	uint32_t shift = 0;

	while ((line_count - 1) >> shift > INDEXED_COUNT_MAX)
		shift++;
	line_count = (line_count + (1U << shift) - 1) >> shift << shift;
	for (uint32_t i = maker->count; i < line_count * UNWIND_LINE_ROW_COUNT; i++)
		maker->rows[i] = (struct unwind_row){ .low = 0xffff,
						      .rule = maker->rows[maker->count - 1].rule };
	if (line_count > 1) {
		uint8_t index[UNWIND_INDEX_SIZE];

		fill_index(index, maker->rows, line_count, shift);
		buf_add(maker->buf, index, sizeof(index));
		word |= UNWIND_PAGE_HAS_INDEX | shift;
		maker->line_count += UNWIND_INDEX_LINE_COUNT;
	}
	buf_add(maker->buf, maker->rows, (size_t)line_count * UNWIND_LINE_SIZE);
	maker->line_count += line_count;
	maker->row_count += maker->count;
	maker->pages[maker->page - maker->page_first] = word;
	maker->count = 0;
}

/* Up to the page of an offset, each gets the rule in force where it begins. */
static void go_to_page(struct maker *maker, uint32_t page)
{
	while (maker->page < page) {
		finish_page(maker);
		/* Pages without a rule are passed at once. */
		maker->page = maker->rule == UNWIND_RULE_NONE ? page : maker->page + 1;
		maker->rows[0] = (struct unwind_row){ .low = 0, .rule = maker->rule };
		maker->count = 1;
	}
}

static void put(struct maker *maker, uint32_t offset, uint16_t rule)
{
	if (rule == maker->rule)
		return;
	go_to_page(maker, offset >> UNWIND_PAGE_SHIFT);

	uint16_t low = (uint16_t)(offset & (PAGE_SIZE_OF_FILE - 1));

	maker->rule = rule;
	if (maker->rows[maker->count - 1].low == low)
		maker->rows[maker->count - 1].rule = rule;
	else if (maker->count < PAGE_ROW_COUNT_MAX)
		maker->rows[maker->count++] = (struct unwind_row){ .low = low, .rule = rule };
	else
		maker->overflows = true;
}

static int compare_extents(const void *left, const void *right)
{
	const struct unwind_extent *a = left;
	const struct unwind_extent *b = right;

	if (a->start != b->start)
		return a->start < b->start ? -1 : 1;
	if (a->end != b->end)
		return a->end > b->end ? -1 : 1;
	return (a->first_row > b->first_row) - (a->first_row < b->first_row);
}

/* Of those at one address the longest, others cut where the next begins. */
void unwind_rows_settle(struct unwind_rows *rows)
{
	struct unwind_extent *functions = rows->functions;
	size_t kept = 0;
	bool is_sorted = true;

	for (size_t i = 1; i < rows->function_count && is_sorted; i++)
		is_sorted = compare_extents(&functions[i - 1], &functions[i]) < 0;
	if (!is_sorted)
		qsort(functions, rows->function_count, sizeof(functions[0]), compare_extents);

	for (size_t i = 0; i < rows->function_count; i++) {
		if (kept > 0 && functions[i].start == functions[kept - 1].start) {
			rows->overlap_count += functions[i].end != functions[kept - 1].end;
			continue;
		}
		if (kept > 0 && functions[i].start < functions[kept - 1].end) {
			rows->overlap_count++;
			functions[kept - 1].end = functions[i].start;
		}
		functions[kept++] = functions[i];
	}
	rows->function_count = kept;
	rows->is_begun = false;
}

static void put_functions(const struct unwind_rows *rows, struct maker *maker)
{
	for (size_t i = 0; i < rows->function_count; i++) {
		const struct unwind_extent *function = &rows->functions[i];
		const struct unwind_flat_row *row = &rows->rows[function->first_row];

		if (function->row_count == 0 || row[0].offset > function->start)
			put(maker, function->start, UNWIND_RULE_NONE);
		for (uint32_t n = 0; n < function->row_count && row[n].offset < function->end; n++)
			put(maker, row[n].offset, row[n].rule);
		if (i + 1 == rows->function_count ||
		    rows->functions[i + 1].start - function->end > UNWIND_GAP_SIZE_MAX)
			put(maker, function->end, UNWIND_RULE_NONE);
	}
	finish_page(maker);
}

static uint32_t count_unsupported(const struct unwind_rows *rows)
{
	uint32_t count = 0;

	for (size_t i = 0; i < rows->row_count; i++)
		count += unwind_rule_cfa(rows->words[rows->rows[i].rule]) == UNWIND_CFA_UNSUPPORTED;
	return count;
}

static void put_lists(const struct unwind_rows *rows, const struct maker *maker,
		      uint32_t page_count, struct buf *buf)
{
	buf_add(buf, rows->words, rows->by_word.count * sizeof(rows->words[0]));
	buf_add(buf, maker->pages, page_count * sizeof(maker->pages[0]));
	for (size_t i = 0; i < rows->function_count; i++) {
		const struct unwind_extent *function = &rows->functions[i];
		struct unwind_function entry = { .start = function->start,
						 .size = function->end - function->start };

		buf_add(buf, &entry, sizeof(entry));
	}
}

int unwind_rows_build(struct unwind_rows *rows, const struct unwind_table_header *about,
		      struct buf *buf)
{
	struct unwind_table_header header = *about;

	assert(buf->size == 0);
	unwind_rows_settle(rows);
	if (rows->function_count == 0)
		return -ENODATA;

	uint32_t page_first = rows->functions[0].start >> UNWIND_PAGE_SHIFT;
	uint32_t page_count =
		((rows->functions[rows->function_count - 1].end - 1) >> UNWIND_PAGE_SHIFT) + 1 -
		page_first;
	autofree struct maker *maker = calloc(1, sizeof(*maker));
	autofree uint32_t *pages = calloc(page_count, sizeof(*pages));

	if (!maker || !pages)
		return -ENOMEM;
	maker->buf = buf;
	maker->pages = pages;
	maker->page_first = maker->page = page_first;
	maker->rows[0] = (struct unwind_row){ .low = 0, .rule = UNWIND_RULE_NONE };
	maker->count = 1;

	buf_grow(buf, sizeof(header));
	put_functions(rows, maker);
	if (!buf->error && maker->line_count > UNWIND_TABLE_LINE_COUNT_MAX)
		return -EFBIG;
	put_lists(rows, maker, page_count, buf);
	if (buf->error)
		return buf->error;

	memcpy(header.magic, UNWIND_TABLE_MAGIC, sizeof(header.magic));
	header.version = UNWIND_TABLE_VERSION;
	header.page_first = page_first;
	header.page_count = page_count;
	header.line_count = maker->line_count;
	header.rule_count = rows->by_word.count;
	header.function_count = (uint32_t)rows->function_count;
	header.row_count = maker->row_count;
	header.unsupported_count = count_unsupported(rows);
	header.overlap_count = rows->overlap_count;
	header.refused_count = rows->refused_count + maker->dropped_count;
	memcpy(buf->bytes, &header, sizeof(header));
	header.checksum = unwind_table_checksum(buf->bytes, buf->size);
	memcpy(buf->bytes, &header, sizeof(header));
	return 0;
}
