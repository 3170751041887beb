/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#pragma once

/*
 * Unwind tables: what to do at an address to come to the caller. The server makes them
 * (symbols/unwind_table.h), they cross the link (base/unwind_table.h), the collector puts them into
 * maps, and the walk uses them. Everything here compiles for the kernel and for the host, so that
 * the walk is tested as ordinary C.
 *
 * Addresses are offsets in the file, as in the frames of a window: start of the mapping's pages in
 * the file + (pc − start of the mapping). No bias of any mapping enters a table. Return addresses
 * are looked up one byte before; the leaf's address, and one that a signal interrupted, as it is.
 *
 *   page word ──▶ block: [index, 4 lines] rows, 1 … 1,020 lines of 16
 *   one for each         one byte for each       row: low 16 bits from which on
 *   64 KiB of file       256 bytes of text       the rule with this number holds
 *
 * A line is 64 bytes, as in the CPU's caches, and the unit of allocation. The first row of a block
 * has low 0: it says what is in force where the page begins. What is left of the last line is
 * filled with { 0xffff, the rule in force }, so that the search within a line has no bounds.
 */
#ifdef __bpf__
#include "bpf/kernel_types.h"
#define UNWIND_ASSERT _Static_assert
#else
#include <assert.h>
#include <linux/types.h>
#include <stdbool.h>
#include <stddef.h>
#define UNWIND_ASSERT static_assert
#endif

#define UNWIND_INLINE static inline __attribute__((__always_inline__, __unused__))

enum {
	UNWIND_LINE_SIZE = 64,
	UNWIND_LINE_ROW_COUNT = 16,
	UNWIND_PAGE_SHIFT = 16,
	UNWIND_BUCKET_SHIFT = 8,
	UNWIND_INDEX_SIZE = 256, /* bytes; 4 lines */
	UNWIND_INDEX_LINE_COUNT = 4,
	/* Rows of a page: 16,320. Densest page seen: 4,219 (qemu-system-x86_64). A page with more
	 * has no rows. */
	UNWIND_PAGE_LINE_COUNT_MAX = 1020,
	/* 0 means "no rule" in every table, and rows with it are holes between functions. */
	UNWIND_RULE_NONE = 0,
	/* Distinct rules of one file, and of all files in the kernel: rows have 16 bits. Seen: 303
	 * in libc, 4,391 in 1,992 files together. */
	UNWIND_RULE_COUNT_MAX = 65536,
};

struct unwind_row {
	__u16 low;  /* of the offset in the file */
	__u16 rule; /* number of its word: the table's own on the link, the host's in the kernel */
};

UNWIND_ASSERT(sizeof(struct unwind_row) * UNWIND_LINE_ROW_COUNT == UNWIND_LINE_SIZE, "16 a line");

/*
 * A page word. 0: nothing is known about the page. Else:
 *   bits 0–1  shift: what the index counts are groups of (1 << shift) lines, and the lines of rows
 *             are a multiple of that (filled lines are added). The least that gets 255 for the
 * last. bit 2     there is an index; without it there is one line of rows bit 3     1 bits 4–31 the
 * block's first line
 */
enum {
	UNWIND_PAGE_SHIFT_MASK = 3,
	UNWIND_PAGE_HAS_INDEX = 4,
	UNWIND_PAGE_PRESENT = 8,
	UNWIND_PAGE_LINE_SHIFT = 4,
};

/* All ones when value is negative. The compiler must not see that it is a comparison: it would
 * make a branch of it, and the verifier walks every combination of branches. */
UNWIND_INLINE __u32 unwind_if_negative(__s64 value)
{
	__asm__ volatile("" : "+r"(value));
	value >>= 63;
	__asm__ volatile("" : "+r"(value));
	return (__u32)value;
}

/* lines: what holds the block, in lines; line_mask: its number of lines (a power of two) minus one,
 * for the verifier, or all ones where the table was checked. */
UNWIND_INLINE __u16 unwind_low_of(const void *lines, __u32 line_mask, __u32 line)
{
	return *(const __u16 *)((const char *)lines + (__u64)(line & line_mask) * UNWIND_LINE_SIZE);
}

/* A row of a line. Compilers know that it is one and leave the mask out, if they may; the verifier
 * of Linux 6.1 knows nothing after an OR of 32 bits. */
UNWIND_INLINE __u32 unwind_bound_row(__u32 row)
{
	__asm__("" : "+r"(row));
	return row & (UNWIND_LINE_ROW_COUNT - 1);
}

/*
 * The number of the rule in force at this offset. page: its page word, not 0, with the block's
 * first line counted from lines[].
 */
UNWIND_INLINE __u16 unwind_find(const void *lines, __u32 line_mask, __u32 page, __u64 offset)
{
	__u32 low = offset & 0xffff;
	__u32 first = page >> UNWIND_PAGE_LINE_SHIFT;
	__u32 line = first;

	if (page & UNWIND_PAGE_HAS_INDEX) {
		__u32 shift = page & UNWIND_PAGE_SHIFT_MASK;
		__u32 bucket = low >> UNWIND_BUCKET_SHIFT;
		__u32 index_line = first + bucket / UNWIND_LINE_SIZE;
		__u32 last =
			*((const __u8 *)lines + (__u64)(index_line & line_mask) * UNWIND_LINE_SIZE +
			  bucket % UNWIND_LINE_SIZE);

		/* The last line that an offset of this bucket can be in. Mostly it is the line, at
		 * times the one before. */
		first += UNWIND_INDEX_LINE_COUNT;
		line = first + (last << shift) + ((1U << shift) - 1);
		if (unwind_low_of(lines, line_mask, line) > low && line > first) {
			line--;
			if (unwind_low_of(lines, line_mask, line) > low) {
				/* More than 16 rows in 256 bytes. back: lines known to be too far.
				 */
				__u32 back = 0;

#pragma GCC unroll 5
				for (int k = 4; k >= 0; k--) {
					__u32 further = back + (1U << k);
					__u32 there = ~unwind_if_negative((__s64)line -
									  (__s64)first - further);
					__u32 at = line - (further & there);
					__u32 too_far = unwind_if_negative(
						(__s64)low -
						(__s64)unwind_low_of(lines, line_mask, at));

					back += (1U << k) & there & too_far;
				}
				line -= back + 1;
			}
		}
	}

	const struct unwind_row *rows =
		(const struct unwind_row *)((const char *)lines +
					    (__u64)(line & line_mask) * UNWIND_LINE_SIZE);
	__u32 row = 0;

#pragma GCC unroll 4
	for (int k = 3; k >= 0; k--) {
		__u32 next = unwind_bound_row(row + (1U << k));

		row += (1U << k) & ~unwind_if_negative((__s64)low - (__s64)rows[next].low);
	}
	return rows[unwind_bound_row(row)].rule;
}

/*
 * The same without index and lines, for a walk that checks the other: the last row of the whole
 * block that is not above.
 */
UNWIND_INLINE __u16 unwind_find_plainly(const void *lines, __u32 line_mask, __u32 page,
					__u64 offset)
{
	__u32 low = offset & 0xffff;
	__u32 first = page >> UNWIND_PAGE_LINE_SHIFT;
	__u32 line_count = 1;

	if (page & UNWIND_PAGE_HAS_INDEX) {
		/* The index ends with the last line's group. */
		__u32 index_line = first + UNWIND_INDEX_LINE_COUNT - 1;
		__u32 last =
			*((const __u8 *)lines + (__u64)(index_line & line_mask) * UNWIND_LINE_SIZE +
			  UNWIND_LINE_SIZE - 1);

		line_count = (last + 1) << (page & UNWIND_PAGE_SHIFT_MASK);
		first += UNWIND_INDEX_LINE_COUNT;
	}

	__u32 row_count = line_count * UNWIND_LINE_ROW_COUNT, row = 0;

#define UNWIND_ROW_AT(row)                                                                         \
	((const struct unwind_row *)((const char *)lines +                                         \
				     (__u64)((first + (row) / UNWIND_LINE_ROW_COUNT) &             \
					     line_mask) *                                          \
					     UNWIND_LINE_SIZE) +                                   \
	 (row) % UNWIND_LINE_ROW_COUNT)
#pragma GCC unroll 14
	for (int k = 13; k >= 0; k--) {
		__u32 next = row + (1U << k);
		__u32 there = unwind_if_negative((__s64)next - (__s64)row_count);
		__u32 at = next & there;

		row += (1U << k) & there &
		       ~unwind_if_negative((__s64)low - (__s64)UNWIND_ROW_AT(at)->low);
	}

	__u16 rule = UNWIND_ROW_AT(row)->rule;
#undef UNWIND_ROW_AT
	return rule;
}

/* ---- rules --------------------------------------------------------------------------------------
 *
 * A rule is one word, so that it is read with one load:
 *   bits 0–3   enum unwind_cfa: how the canonical frame address is come by, which is the caller's
 *              stack pointer after the return
 *   bits 4–7   a register, by its DWARF number, where the CFA or the return address is in one
 *   bits 8–11  enum unwind_fp: where the caller's frame pointer is
 *   bits 12–15 enum unwind_ra: where the return address is
 *   bits 16–31 signed offset of the frame pointer
 *   bits 32–63 signed offset of the CFA
 * Word 0 is "no rule".
 */
enum unwind_cfa {
	UNWIND_CFA_NONE = 0,
	UNWIND_CFA_SP = 1,   /* sp + offset */
	UNWIND_CFA_FP = 2,   /* fp + offset */
	UNWIND_CFA_PLT = 3,  /* sp + 8, and 8 more where the low 4 bits of pc reach offset */
	UNWIND_CFA_STOP = 4, /* the outermost frame: there is no caller */
	/* Where the kernel's signal frame lies at sp: the interrupted registers are in it. */
	UNWIND_CFA_SIGNAL = 5,
	/* The register + offset: only where all registers are known, in the leaf. */
	UNWIND_CFA_REGISTER = 6,
	/* The word at register + (offset >> 8), plus the low 8 bits of offset. Any register in the
	 * leaf, sp and fp everywhere. */
	UNWIND_CFA_DEREFERENCED = 7,
	/* fp + offset, and the caller may be on another stack, so it need not lie above. */
	UNWIND_CFA_FP_OTHER_STACK = 8,
	/* There is a rule, which we can't follow; offset: enum unwind_unsupported. */
	UNWIND_CFA_UNSUPPORTED = 9,
	UNWIND_CFA_COUNT,
};

enum unwind_fp {
	UNWIND_FP_SAME = 0,
	UNWIND_FP_SAVED = 1,	   /* the word at CFA + offset */
	UNWIND_FP_SAVED_AT_FP = 2, /* the word at fp + offset */
	UNWIND_FP_LOST = 3,
	UNWIND_FP_COUNT,
};

enum unwind_ra {
	UNWIND_RA_SAVED = 0, /* the word at CFA − 8 (x86-64) */
	/* In the register (arm64: that is how a leaf has it): only in the leaf. */
	UNWIND_RA_REGISTER = 1,
	UNWIND_RA_COUNT,
};

enum unwind_unsupported {
	UNWIND_UNSUPPORTED_CFA_EXPRESSION = 1,
	UNWIND_UNSUPPORTED_CFA_REGISTER = 2,
	UNWIND_UNSUPPORTED_RETURN_ADDRESS = 3,
	UNWIND_UNSUPPORTED_OFFSET = 4, /* beyond what a word holds */
	UNWIND_UNSUPPORTED_COUNT,
};

UNWIND_INLINE __u64 unwind_rule(__u32 cfa, __u32 number, __u32 fp, __u32 ra, __s16 fp_offset,
				__s32 cfa_offset)
{
	return (__u64)(cfa & 15) | (__u64)(number & 15) << 4 | (__u64)(fp & 15) << 8 |
	       (__u64)(ra & 15) << 12 | (__u64)(__u16)fp_offset << 16 |
	       (__u64)(__u32)cfa_offset << 32;
}

UNWIND_INLINE __u32 unwind_rule_cfa(__u64 rule)
{
	return rule & 15;
}
UNWIND_INLINE __u32 unwind_rule_register(__u64 rule)
{
	return rule >> 4 & 15;
}
UNWIND_INLINE __u32 unwind_rule_fp(__u64 rule)
{
	return rule >> 8 & 15;
}
UNWIND_INLINE __u32 unwind_rule_ra(__u64 rule)
{
	return rule >> 12 & 15;
}
UNWIND_INLINE __s64 unwind_rule_fp_offset(__u64 rule)
{
	return (__s16)(rule >> 16);
}
UNWIND_INLINE __s64 unwind_rule_cfa_offset(__u64 rule)
{
	return (__s32)(rule >> 32);
}

/* Whether every field of the word is one that the step below knows. */
UNWIND_INLINE bool unwind_rule_is_valid(__u64 rule)
{
	return unwind_rule_cfa(rule) < UNWIND_CFA_COUNT && unwind_rule_fp(rule) < UNWIND_FP_COUNT &&
	       unwind_rule_ra(rule) < UNWIND_RA_COUNT &&
	       (rule == 0) == (unwind_rule_cfa(rule) == UNWIND_CFA_NONE);
}

/* Whether it is one of those that nearly all frames have: the CFA from sp or fp, the return address
 * and perhaps the frame pointer on the stack; or the end. Not "no rule". */
UNWIND_INLINE bool unwind_rule_is_simple(__u64 rule)
{
	enum {
		KINDS = 1 << UNWIND_CFA_SP | 1 << UNWIND_CFA_FP | 1 << UNWIND_CFA_STOP,
		/* The kind of the return address, and all kinds of frame pointer above 1. */
		OTHERS = 0xfe00,
	};

	return (KINDS >> unwind_rule_cfa(rule) & 1) && !(rule & OTHERS);
}

/* What PLT rules depend on is in the address alone: the same rule, resolved. */
UNWIND_INLINE __u64 unwind_rule_resolve(__u64 rule, __u64 pc)
{
	if (unwind_rule_cfa(rule) == UNWIND_CFA_PLT)
		return unwind_rule(UNWIND_CFA_SP, 0, UNWIND_FP_SAME, UNWIND_RA_SAVED, 0,
				   (__s64)(pc & 15) >= unwind_rule_cfa_offset(rule) ? 16 : 8);
	return rule;
}

/* ---- a step -------------------------------------------------------------------------------------
 */

struct unwind_frame {
	__u64 pc;
	__u64 sp;
	__u64 fp;
	__u32 is_return; /* pc is a return address: looked up one before */
	__u32 reserved;
};

enum unwind_outcome {
	UNWIND_NEXT = 0, /* the frame is now the caller's */
	UNWIND_END = 1,	 /* there is no caller */
	UNWIND_NO_RULE = 2,
	UNWIND_UNSUPPORTED = 3,
	UNWIND_READ_FAULT = 4,
	UNWIND_NOT_PROGRESSING = 5, /* the caller's frame would not lie above this one */
};

/* A frame pointer that can't be told: no address, and fails every validation. */
#define UNWIND_FP_UNKNOWN 1UL

/* Offsets in what the kernel pushes for a handler, from sp when the handler has returned. */
enum {
	UNWIND_SIGNAL_FP = 120,
	UNWIND_SIGNAL_SP = 160,
	UNWIND_SIGNAL_PC = 168,
};

/* Which of the first 16 words of a pt_regs (x86-64: r15 r14 r13 r12 bp bx r11 r10 r9 r8 ax cx dx si
 * di orig_ax) holds the register with this DWARF number, but for sp, which is not among them. */
UNWIND_INLINE __u32 unwind_pt_regs_index(__u32 number)
{
	return 0x0123678904ED5BCAULL >> (number & 15) * 4 & 15;
}

/* Reads a word of the walked process's memory: 0, or another value when it can't be read. */
typedef int unwind_read(void *context, __u64 address, __u64 *ret);

/*
 * Goes to the caller by a rule (resolved or not). leaf: the first 16 words of the pt_regs of the
 * innermost frame, or NULL for other frames. On any outcome but UNWIND_NEXT the frame is as it was.
 */
UNWIND_INLINE int unwind_step(struct unwind_frame *frame, __u64 rule, const __u64 *leaf,
			      unwind_read *read, void *context)
{
	__u32 kind = unwind_rule_cfa(rule);
	__u32 number = unwind_rule_register(rule);
	__s64 offset = unwind_rule_cfa_offset(rule);
	__u64 cfa, pc, fp = frame->fp;

	if (kind == UNWIND_CFA_SP) {
		cfa = frame->sp + offset;
	} else if (kind == UNWIND_CFA_FP || kind == UNWIND_CFA_FP_OTHER_STACK) {
		cfa = frame->fp + offset;
	} else if (kind == UNWIND_CFA_PLT) {
		cfa = frame->sp + ((__s64)(frame->pc & 15) >= offset ? 16 : 8);
	} else if (kind == UNWIND_CFA_STOP) {
		return UNWIND_END;
	} else if (kind == UNWIND_CFA_SIGNAL) {
		__u64 sp;

		if (read(context, frame->sp + UNWIND_SIGNAL_FP, &fp) ||
		    read(context, frame->sp + UNWIND_SIGNAL_SP, &sp) ||
		    read(context, frame->sp + UNWIND_SIGNAL_PC, &pc))
			return UNWIND_READ_FAULT;
		frame->pc = pc;
		frame->sp = sp;
		frame->fp = fp;
		frame->is_return = 0;
		return UNWIND_NEXT;
	} else if (kind == UNWIND_CFA_REGISTER || kind == UNWIND_CFA_DEREFERENCED) {
		__u64 base;

		if (number == 7)
			base = frame->sp;
		else if (number == 6)
			base = frame->fp;
		else if (leaf)
			base = leaf[unwind_pt_regs_index(number)];
		else
			return UNWIND_UNSUPPORTED;
		cfa = base + offset;
		if (kind == UNWIND_CFA_DEREFERENCED) {
			if (read(context, base + (offset >> 8), &cfa))
				return UNWIND_READ_FAULT;
			cfa += offset & 0xff;
		}
	} else {
		return kind == UNWIND_CFA_NONE ? UNWIND_NO_RULE : UNWIND_UNSUPPORTED;
	}

	/* A leaf that has taken its return address off the stack has nothing left there. */
	if (cfa < frame->sp + (unwind_rule_ra(rule) == UNWIND_RA_SAVED) &&
	    kind != UNWIND_CFA_FP_OTHER_STACK)
		return UNWIND_NOT_PROGRESSING;

	__u32 fp_kind = unwind_rule_fp(rule);

	if (fp_kind == UNWIND_FP_LOST) {
		fp = UNWIND_FP_UNKNOWN;
	} else if (fp_kind != UNWIND_FP_SAME) {
		__u64 from = fp_kind == UNWIND_FP_SAVED ? cfa : frame->fp;

		if (read(context, from + unwind_rule_fp_offset(rule), &fp))
			return UNWIND_READ_FAULT;
	}
	if (unwind_rule_ra(rule) == UNWIND_RA_SAVED) {
		if (read(context, cfa - 8, &pc))
			return UNWIND_READ_FAULT;
	} else if (leaf) {
		pc = leaf[unwind_pt_regs_index(number)];
	} else {
		return UNWIND_UNSUPPORTED;
	}
	if (pc == 0)
		return UNWIND_END;
	frame->pc = pc;
	frame->sp = cfa;
	frame->fp = fp;
	frame->is_return = 1;
	return UNWIND_NEXT;
}
