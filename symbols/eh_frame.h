/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "symbols/unwind_rows.h"

/*
 * Call frame information, of .eh_frame and .debug_frame, to rows. Every byte may be hostile: all
 * reads are checked, nothing recurses, and the time is linear in the bytes: a CIE counts only where
 * the records, one after the other, have one, and its program is run once.
 *
 * Followed: versions 1, 3 and 4; augmentations "", "z…" with P, L, R, S and B; all DW_CFA
 * operations; of expressions those that compilers and linkers make (eh_frame.c). What can't be said
 * in a rule becomes UNWIND_CFA_UNSUPPORTED with its kind, and is counted in the table. A record
 * that contradicts itself is left out and counted; the rest of the section is read all the same.
 */
enum {
	/* C++ has some thousand in a program, one for each group of augmentations and object. */
	EH_FRAME_CIE_COUNT_MAX = 1 << 20,
	/* DW_CFA_remember_state inside one another. Compilers make 1. */
	EH_FRAME_REMEMBERED_COUNT_MAX = 16,
};

struct eh_frame_section {
	const uint8_t *bytes;
	size_t size;
	uint64_t vaddr;	     /* of the first byte; what pc-relative pointers count from */
	uint64_t data_vaddr; /* what data-relative pointers count from; 0: not known */
	uint16_t machine;    /* EM_X86_64 */
	bool is_debug_frame;
};

/*
 * Adds the functions of a section. -ENOTSUP for a machine that we don't know, -EFBIG and -ENOMEM as
 * of unwind_rows_begin(). What was added before an error stays.
 */
int eh_frame_read(const struct eh_frame_section *section, struct unwind_rows *rows);
