/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "symbols/dwarf_reader.h"
#include "symbols/unwind_rows.h"

/*
 * Runs the programs of CIEs and FDEs: what DWARF calls the call frame instructions. Of the columns
 * of its table three are kept: the canonical frame address, the frame pointer and the return
 * address, and a fourth, the stack pointer, for the rare code that restores it from elsewhere.
 * x86-64; another machine has other numbers of registers in cfa_program.c.
 */
enum cfa_kind {
	CFA_UNDEFINED = 0,
	CFA_REGISTER, /* number + offset */
	CFA_EXPRESSION,
};

enum column_kind {
	COLUMN_UNSPECIFIED = 0, /* nothing was said: what the calling convention says */
	COLUMN_UNDEFINED,
	COLUMN_SAME,
	COLUMN_SAVED,		/* at CFA + offset */
	COLUMN_VALUE,		/* CFA + offset */
	COLUMN_REGISTER,	/* in another register, offset is its number */
	COLUMN_EXPRESSION,	/* at the address that it gives */
	COLUMN_VALUE_EXPRESSION /* it gives the value */
};

enum column { COLUMN_FP, COLUMN_RA, COLUMN_SP, COLUMN_COUNT };

struct cfa_bytes {
	const uint8_t *bytes;
	size_t size;
};

struct cfa_state {
	uint64_t cfa_register;
	int64_t cfa_offset;
	struct cfa_bytes cfa_expression;
	uint8_t cfa_kind;	     /* enum cfa_kind */
	uint8_t kinds[COLUMN_COUNT]; /* enum column_kind */
	int64_t offsets[COLUMN_COUNT];
	struct cfa_bytes expressions[COLUMN_COUNT];
};

/* What a CIE says of its programs. */
struct cfa_program_context {
	uint64_t code_alignment;
	int64_t data_alignment;
	uint64_t return_register;
	bool is_signal_frame;
};

struct cfa_program {
	const struct cfa_program_context *context;
	const struct cfa_state *initial; /* what DW_CFA_restore goes back to */
	struct unwind_rows *rows;
	uint64_t location;
	uint8_t pointer_encoding;
	uint64_t (*read_location)(void *reader, struct dwarf_reader *bytes, uint8_t encoding);
	void *reader;
};

void cfa_state_init(struct cfa_state *state);

/* A CIE's program: whether it is one. */
bool cfa_program_run_initial(const struct cfa_program_context *context, struct dwarf_reader *bytes,
			     struct cfa_state *state);

/*
 * An FDE's, whose function was begun in the rows. -EBADMSG when it contradicts itself, else as of
 * unwind_rows_add().
 */
int cfa_program_run(struct cfa_program *program, struct dwarf_reader *bytes,
		    struct cfa_state *state);

/* The rule that a state comes to: cfa_rule.c. */
uint64_t cfa_rule(const struct cfa_state *state);
