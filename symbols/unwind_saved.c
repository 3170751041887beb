/* SPDX-License-Identifier: Apache-2.0 */
#include "symbols/unwind_saved.h"

#include <errno.h>
#include <string.h>

enum {
	/* Of a function that is looked through: the linker's entries have 200 to 300 bytes. */
	CODE_SIZE_MAX = 4096,
	/* Of a file. The dynamic linker of glibc has five. */
	CALL_COUNT_MAX = 64,
	CALL_SIZE = 5, /* call, 32 bits from its end on */
	CALL = 0xe8,
	PUSH = 0x50,	  /* and the register's number, in the order of instructions */
	PUSH_HIGH = 0x41, /* before it: r8 to r15 */
	SP = 7,		  /* in the order of DWARF, as rbx, which is 3 in both */
	BX = 3,
	/* The register saved by the call stands this far below the caller's stack pointer. */
	ENTRY_CFA_OFFSET = 8,
};

/* Functions must leave it as it was. The frame pointer is another matter: walks know it always. */
static bool is_preserved(uint32_t number)
{
	return number == BX || (number >= 12 && number <= 15);
}

/* Whether a frame lies where such a register says. */
static bool is_by_preserved(uint64_t word)
{
	return unwind_rule_cfa(word) == UNWIND_CFA_REGISTER &&
	       unwind_rule_ra(word) == UNWIND_RA_SAVED &&
	       is_preserved(unwind_rule_register(word)) && unwind_rule_cfa_offset(word) >= 0 &&
	       unwind_rule_cfa_offset(word) <= UINT8_MAX;
}

static uint64_t word_of(const struct unwind_rows *rows, const struct unwind_extent *function,
			uint32_t row)
{
	return rows->words[rows->rows[function->first_row + row].rule];
}

static bool read_code(const struct elf_file *elf, const struct unwind_rows *rows, uint32_t offset,
		      void *code, size_t size)
{
	uint64_t vaddr;

	return unwind_rows_vaddr(rows, offset, size, &vaddr) &&
	       elf_file_read(elf, vaddr, code, size) == 0;
}

static const struct unwind_extent *find_function(const struct unwind_rows *rows, int64_t start)
{
	for (size_t i = 0; i < rows->function_count; i++)
		if (rows->functions[i].start == start)
			return &rows->functions[i];
	return NULL;
}

/* Whether the instruction that ends here pushes the register. */
static bool ends_with_push(const struct elf_file *elf, const struct unwind_rows *rows,
			   uint32_t start, uint32_t end, uint32_t number)
{
	uint8_t code[2] = { 0 };

	if (end - start < sizeof(code))
		return number == BX && end - start == 1 && read_code(elf, rows, start, code, 1) &&
		       code[0] == PUSH + BX;
	if (!read_code(elf, rows, end - (uint32_t)sizeof(code), code, sizeof(code)) ||
	    code[1] != PUSH + number % 8)
		return false;
	return (code[0] == PUSH_HIGH) == (number >= 8);
}

/*
 * How far below its caller's stack pointer a function keeps this register; 0 when it can't be
 * told. Its first rows tell its pushes, one by one.
 */
static int64_t find_saved(const struct elf_file *elf, const struct unwind_rows *rows,
			  const struct unwind_extent *function, uint32_t number)
{
	int64_t depth = ENTRY_CFA_OFFSET;

	for (uint32_t i = 0; i < function->row_count; i++) {
		uint64_t word = word_of(rows, function, i);
		int64_t expected = i == 0 ? depth : depth + (int64_t)sizeof(uint64_t);

		if (unwind_rule_cfa(word) != UNWIND_CFA_SP ||
		    unwind_rule_cfa_offset(word) != expected)
			return 0;
		depth = expected;
		if (i > 0 && ends_with_push(elf, rows, function->start,
					    rows->rows[function->first_row + i].offset, number))
			return depth;
	}
	return 0;
}

struct search {
	const struct elf_file *elf;
	struct unwind_rows *rows;
	uint8_t code[CODE_SIZE_MAX];
	unsigned call_count;
};

/* A call that ends before the next row, whose frame is by the rule in force. */
static int look_at(struct search *search, size_t number, uint32_t call, uint64_t word)
{
	struct unwind_rows *rows = search->rows;
	const uint8_t *code = search->code + (call - rows->functions[number].start);
	int32_t distance;

	if (code[0] != CALL)
		return 0;
	memcpy(&distance, code + 1, sizeof(distance));

	const struct unwind_extent *called =
		find_function(rows, (int64_t)call + CALL_SIZE + distance);
	int64_t saved =
		called ? find_saved(search->elf, rows, called, unwind_rule_register(word)) : 0;

	if (saved == 0)
		return 0;
	search->call_count++;
	word = unwind_rule(UNWIND_CFA_DEREFERENCED, SP, unwind_rule_fp(word), UNWIND_RA_SAVED,
			   (int16_t)unwind_rule_fp_offset(word),
			   (int32_t)(-saved * 256 + unwind_rule_cfa_offset(word)));
	return unwind_rows_insert(rows, number, call + CALL_SIZE - 1, 1, word);
}

/* All calls of a function whose frame is by a preserved register when they are made. */
static int look_through(struct search *search, size_t number)
{
	/* As it is now: rows that are inserted are no matter. */
	const struct unwind_extent function = search->rows->functions[number];
	uint32_t size = function.end - function.start;
	int err = 0;

	if (size > CODE_SIZE_MAX ||
	    !read_code(search->elf, search->rows, function.start, search->code, size))
		return 0;
	for (uint32_t i = 0; i < function.row_count; i++) {
		uint64_t word = word_of(search->rows, &function, i);
		uint32_t from = search->rows->rows[function.first_row + i].offset;
		uint32_t end = i + 1 < function.row_count
				       ? search->rows->rows[function.first_row + i + 1].offset
				       : function.end;

		if (!is_by_preserved(word))
			continue;
		for (; !err && from + CALL_SIZE <= end && search->call_count < CALL_COUNT_MAX;
		     from++)
			err = look_at(search, number, from, word);
	}
	return err;
}

int unwind_saved_add(const struct elf_file *elf, struct unwind_rows *rows)
{
	struct search search = { .elf = elf, .rows = rows };
	bool is_any = false;
	int err = 0;

	for (size_t i = 0; i < rows->by_word.count && !is_any; i++)
		is_any = is_by_preserved(rows->words[i]);
	for (size_t i = 0; is_any && !err && i < rows->function_count; i++) {
		const struct unwind_extent *function = &rows->functions[i];
		bool is_one = false;

		for (uint32_t n = 0; n < function->row_count && !is_one; n++)
			is_one = is_by_preserved(word_of(rows, function, n));
		if (is_one)
			err = look_through(&search, i);
	}
	return err;
}
