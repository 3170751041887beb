/* SPDX-License-Identifier: Apache-2.0 */
#include "symbols/unwind_code.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"

enum {
	/* An entry is some ten instructions; musl's has 22 bytes, that of ld.so 80. */
	ENTRY_SIZE = 64,
	SEARCH_SIZE_MAX = 64 << 20,
	/* Of code looked at with one read. */
	PIECE_SIZE = 1 << 20,
	FOUND_COUNT_MAX = 16,
	/* What musl's functions of a start take: 35, 52 and 49 bytes; linkers align them to 16. */
	START_SIZE = 48,
	LIBC_START_SIZE = 64,
};

/* mov $15, %rax; syscall: rt_sigreturn, as every C library and Go have it, since the kernel's ABI
 * and debuggers ask for these very bytes. */
static const uint8_t signal_return[] = { 0x48, 0xc7, 0xc0, 0x0f, 0, 0, 0, 0x0f, 0x05 };

/* A function with one rule where there is no other. size is cut at the next function's start. */
static int add_function(struct unwind_rows *rows, uint64_t vaddr, uint64_t size, uint64_t word)
{
	int err = unwind_rows_begin(rows, vaddr, size);

	/* Not in the code: nothing to be said. */
	if (err == -ENOENT)
		return 0;
	return err ? err : unwind_rows_add(rows, vaddr, word);
}

static int add_entry(struct elf_file *elf, struct unwind_rows *rows, uint16_t *sources)
{
	uint64_t entry = elf_file_entry(elf);
	uint8_t code;
	uint64_t size = ENTRY_SIZE;

	if (entry == 0 || unwind_rows_hold(rows, entry))
		return 0;
	/* Near the end of the code it is shorter. */
	while (size > 1 && elf_file_read(elf, entry + size - 1, &code, 1))
		size /= 2;

	size_t before = rows->function_count;
	int err = add_function(rows, entry, size, unwind_rule(UNWIND_CFA_STOP, 0, 0, 0, 0, 0));

	if (rows->function_count > before)
		*sources |= UNWIND_FROM_CODE;
	return err;
}

/* ---- musl's start ---- */

/* The target of the first call or jump in a piece of code; false when there is none. */
static bool find_branch(const struct elf_file *elf, uint64_t vaddr, size_t size,
			const char *operations, uint64_t *ret)
{
	uint8_t code[LIBC_START_SIZE];

	assert(size <= sizeof(code));
	if (elf_file_read(elf, vaddr, code, size))
		return false;
	for (size_t i = 0; i + 5 <= size; i++) {
		int32_t distance;

		if (!strchr(operations, code[i]) || code[i] == 0)
			continue;
		memcpy(&distance, code + i + 1, sizeof(distance));
		*ret = vaddr + i + 5 + (uint64_t)(int64_t)distance;
		return true;
	}
	return false;
}

/* Where a function loads the address of another of the same file: lea x(%rip), %rax … %rdi. */
static bool find_loaded_function(const struct elf_file *elf, uint64_t vaddr, uint64_t *ret)
{
	uint8_t code[LIBC_START_SIZE];
	size_t segment_count;
	const struct elf_segment *segments = elf_file_segments(elf, &segment_count);

	if (elf_file_read(elf, vaddr, code, sizeof(code)))
		return false;
	for (size_t i = 0; i + 7 <= sizeof(code); i++) {
		int32_t distance;

		if (code[i] != 0x48 || code[i + 1] != 0x8d || (code[i + 2] & 0xc7) != 0x05)
			continue;
		memcpy(&distance, code + i + 3, sizeof(distance));
		*ret = vaddr + i + 7 + (uint64_t)(int64_t)distance;
		for (size_t n = 0; n < segment_count; n++)
			if (*ret >= segments[n].vaddr &&
			    *ret - segments[n].vaddr < segments[n].size)
				return true;
	}
	return false;
}

/*
 * musl comes without tables. Its start jumps to __libc_start_main(), which jumps to a function
 * whose address it hides from the compiler, and that one calls main(): there a stack ends. In a
 * program that is linked dynamically the two lie in the library, where the first has its name; in a
 * static one they are found from the entry on, by its call and the jump behind it.
 */
static int add_musl_start(struct elf_file *elf, struct unwind_rows *rows, uint16_t *sources)
{
	uint64_t entry = elf_file_entry(elf);
	uint64_t start = 0, libc_start = 0, stage = 0;
	uint64_t stop = unwind_rule(UNWIND_CFA_STOP, 0, 0, 0, 0, 0);
	int err;

	if (elf_file_find_symbol(elf, STR("__libc_start_main"), &libc_start) &&
	    (!find_branch(elf, entry, ENTRY_SIZE, "\xe8", &start) ||
	     !find_branch(elf, start, START_SIZE, "\xe9", &libc_start)))
		return 0;
	if (unwind_rows_hold(rows, libc_start) || !find_loaded_function(elf, libc_start, &stage) ||
	    unwind_rows_hold(rows, stage))
		return 0;
	*sources |= UNWIND_FROM_CODE;
	err = add_function(rows, libc_start, LIBC_START_SIZE, stop);
	return err ? err : add_function(rows, stage, LIBC_START_SIZE, stop);
}

/* ---- returns from signals ---- */

/* One byte early, since it is looked up like a return address: one before. */
static int add_signal_return(struct unwind_rows *rows, uint64_t vaddr, uint16_t *sources)
{
	size_t before = rows->function_count;
	int err = 0;

	if (!unwind_rows_hold(rows, vaddr))
		err = add_function(rows, vaddr - 1, sizeof(signal_return) + 1,
				   unwind_rule(UNWIND_CFA_SIGNAL, 0, 0, 0, 0, 0));
	if (rows->function_count > before)
		*sources |= UNWIND_FROM_CODE;
	return err;
}

static int search_segment(const struct elf_file *elf, const struct elf_segment *segment,
			  uint8_t *piece, struct unwind_rows *rows, uint16_t *sources)
{
	size_t overlap = sizeof(signal_return) - 1;
	unsigned found_count = 0;

	for (uint64_t done = 0; done + overlap < segment->size; done += PIECE_SIZE - overlap) {
		uint64_t left = segment->size - done;
		size_t size = left < PIECE_SIZE ? (size_t)left : (size_t)PIECE_SIZE;
		const uint8_t *next = piece;

		if (elf_file_read(elf, segment->vaddr + done, piece, size))
			return 0;
		while ((next = memmem(next, (size_t)(piece + size - next), signal_return,
				      sizeof(signal_return)))) {
			uint64_t vaddr = segment->vaddr + done + (uint64_t)(next - piece);
			int err = add_signal_return(rows, vaddr, sources);

			if (err || ++found_count == FOUND_COUNT_MAX)
				return err;
			next++;
		}
	}
	return 0;
}

int unwind_code_add(struct elf_file *elf, struct unwind_rows *rows, uint16_t *sources)
{
	size_t segment_count;
	const struct elf_segment *segments = elf_file_segments(elf, &segment_count);
	autofree uint8_t *piece = malloc(PIECE_SIZE);
	int err = 0;

	if (!piece)
		return -ENOMEM;
	if (elf_file_has_interpreter(elf) || !elf_file_has_needed(elf))
		err = add_entry(elf, rows, sources);
	/* A C library needs no other, and what is linked with one statically does not either. */
	if (elf_file_has_needed(elf))
		return err;
	if (!err)
		err = add_musl_start(elf, rows, sources);
	for (size_t i = 0; !err && i < segment_count; i++)
		if (segments[i].size <= SEARCH_SIZE_MAX)
			err = search_segment(elf, &segments[i], piece, rows, sources);
	return err;
}
