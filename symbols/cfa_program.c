/* SPDX-License-Identifier: Apache-2.0 */
#include "symbols/cfa_program.h"

#include <assert.h>
#include <errno.h>

#include "symbols/eh_frame.h"

/* Registers of x86-64 by their DWARF numbers; the return address has the CIE's. */
enum { REGISTER_FP = 6, REGISTER_SP = 7 };

/* The upper two bits of an operation, if not zero, are it, and the lower six are an operand. */
enum {
	CFA_ADVANCE = 0x40,
	CFA_OFFSET = 0x80,
	CFA_RESTORE = 0xc0,
	CFA_HIGH_MASK = 0xc0,
	CFA_LOW_MASK = 0x3f,

	CFA_NOP = 0x00,
	CFA_SET_LOCATION = 0x01,
	CFA_ADVANCE_1 = 0x02,
	CFA_ADVANCE_2 = 0x03,
	CFA_ADVANCE_4 = 0x04,
	CFA_OFFSET_EXTENDED = 0x05,
	CFA_RESTORE_EXTENDED = 0x06,
	CFA_OP_UNDEFINED = 0x07,
	CFA_SAME_VALUE = 0x08,
	CFA_OP_REGISTER = 0x09,
	CFA_REMEMBER_STATE = 0x0a,
	CFA_RESTORE_STATE = 0x0b,
	CFA_DEF = 0x0c,
	CFA_DEF_REGISTER = 0x0d,
	CFA_DEF_OFFSET = 0x0e,
	CFA_DEF_EXPRESSION = 0x0f,
	CFA_OP_EXPRESSION = 0x10,
	CFA_OFFSET_EXTENDED_SIGNED = 0x11,
	CFA_DEF_SIGNED = 0x12,
	CFA_DEF_OFFSET_SIGNED = 0x13,
	CFA_VALUE_OFFSET = 0x14,
	CFA_VALUE_OFFSET_SIGNED = 0x15,
	CFA_VALUE_EXPRESSION = 0x16,
	CFA_ADVANCE_8 = 0x1d,
	/* arm64: the return address is signed from here on, or no longer. */
	CFA_NEGATE_RA_STATE_WITH_PC = 0x2c,
	CFA_NEGATE_RA_STATE = 0x2d,
	CFA_ARGUMENTS_SIZE = 0x2e, /* bytes of pushed arguments: for exceptions only */
	CFA_NEGATIVE_OFFSET_EXTENDED = 0x2f,
};

struct run {
	struct cfa_program *program; /* or NULL: a CIE's */
	const struct cfa_program_context *context;
	struct dwarf_reader *bytes;
	struct cfa_state *state;
	struct cfa_state remembered[EH_FRAME_REMEMBERED_COUNT_MAX];
	unsigned remembered_count;
	/* Since the last row, whose rule it was. Mostly it is the offset alone, of a push or pop.
	 */
	bool has_changed, has_changed_only_offset;
	uint64_t word;
};

void cfa_state_init(struct cfa_state *state)
{
	*state = (struct cfa_state){ .cfa_kind = CFA_UNDEFINED };
}

/* Whether the rule is that of the last row with another offset of the CFA. */
static bool differs_in_offset(const struct run *run)
{
	uint32_t cfa = unwind_rule_cfa(run->word);

	return run->has_changed_only_offset && (cfa == UNWIND_CFA_SP || cfa == UNWIND_CFA_FP) &&
	       run->state->kinds[COLUMN_FP] != COLUMN_EXPRESSION &&
	       (uint64_t)run->state->cfa_offset <= INT32_MAX;
}

static int put_row(struct run *run)
{
	if (!run->has_changed)
		return 0;
	if (differs_in_offset(run))
		run->word = (uint32_t)run->word | (uint64_t)run->state->cfa_offset << 32;
	else
		run->word = cfa_rule(run->state);
	run->has_changed = false;
	run->has_changed_only_offset = false;
	return unwind_rows_add(run->program->rows, run->program->location, run->word);
}

static void note_change(struct run *run)
{
	run->has_changed = true;
	run->has_changed_only_offset = false;
}

/* The rule so far is in force up to the new location. */
static int advance(struct run *run, uint64_t units)
{
	uint64_t distance;

	if (!run->program)
		return -EBADMSG;

	int err = put_row(run);

	if (err)
		return err;
	if (__builtin_mul_overflow(units, run->context->code_alignment, &distance) ||
	    __builtin_add_overflow(run->program->location, distance, &run->program->location))
		return -EBADMSG;
	return 0;
}

static int set_location(struct run *run)
{
	if (!run->program)
		return -EBADMSG;

	int err = put_row(run);
	uint64_t location = run->program->read_location(run->program->reader, run->bytes,
							run->program->pointer_encoding);

	if (err)
		return err;
	if (location < run->program->location)
		return -EBADMSG;
	run->program->location = location;
	return 0;
}

static int column_of(const struct run *run, uint64_t number)
{
	if (number == run->context->return_register)
		return COLUMN_RA;
	return number == REGISTER_FP ? COLUMN_FP : number == REGISTER_SP ? COLUMN_SP : -1;
}

static void set_column(struct run *run, uint64_t number, enum column_kind kind, int64_t offset)
{
	int column = column_of(run, number);

	/* Most are registers of no interest to us: rbx, r12 … r15. */
	if (column < 0)
		return;
	run->state->kinds[column] = (uint8_t)kind;
	run->state->offsets[column] = offset;
	note_change(run);
}

static void restore_column(struct run *run, uint64_t number)
{
	int column = column_of(run, number);

	if (column < 0 || !run->program)
		return;
	run->state->kinds[column] = run->program->initial->kinds[column];
	run->state->offsets[column] = run->program->initial->offsets[column];
	run->state->expressions[column] = run->program->initial->expressions[column];
	note_change(run);
}

static struct cfa_bytes read_block(struct run *run)
{
	uint64_t size = dwarf_uleb(run->bytes);

	return (struct cfa_bytes){ .bytes = dwarf_take(run->bytes, size), .size = size };
}

static void set_expression(struct run *run, enum column_kind kind)
{
	uint64_t number = dwarf_uleb(run->bytes);
	struct cfa_bytes expression = read_block(run);
	int column = column_of(run, number);

	set_column(run, number, kind, 0);
	if (column >= 0)
		run->state->expressions[column] = expression;
}

/* Factors are small in practice; what overflows is nonsense and stays so. */
static int64_t scaled(const struct run *run, uint64_t factor)
{
	return (int64_t)(factor * (uint64_t)run->context->data_alignment);
}

static void define_cfa(struct run *run, uint64_t number, int64_t offset)
{
	struct cfa_state *state = run->state;

	if (state->cfa_kind != CFA_REGISTER || state->cfa_register != number)
		note_change(run);
	else if (!run->has_changed)
		run->has_changed = run->has_changed_only_offset = true;
	state->cfa_kind = CFA_REGISTER;
	state->cfa_register = number;
	state->cfa_offset = offset;
}

static int remember(struct run *run)
{
	if (run->remembered_count == EH_FRAME_REMEMBERED_COUNT_MAX)
		return -EBADMSG;
	run->remembered[run->remembered_count++] = *run->state;
	return 0;
}

static int restore(struct run *run)
{
	if (run->remembered_count == 0)
		return -EBADMSG;
	*run->state = run->remembered[--run->remembered_count];
	note_change(run);
	return 0;
}

/* The operations that say where the CFA is. */
static int run_cfa_operation(struct run *run, uint8_t operation)
{
	struct cfa_state *state = run->state;
	uint64_t number;

	switch (operation) {
	case CFA_DEF:
		number = dwarf_uleb(run->bytes);
		define_cfa(run, number, (int64_t)dwarf_uleb(run->bytes));
		return 0;
	case CFA_DEF_SIGNED:
		number = dwarf_uleb(run->bytes);
		define_cfa(run, number, scaled(run, (uint64_t)dwarf_sleb(run->bytes)));
		return 0;
	case CFA_DEF_EXPRESSION:
		state->cfa_expression = read_block(run);
		state->cfa_kind = CFA_EXPRESSION;
		note_change(run);
		return 0;
	default:
		break;
	}
	/* The rest change one half of a CFA that is a register and an offset. */
	if (state->cfa_kind != CFA_REGISTER)
		return -EBADMSG;
	if (operation == CFA_DEF_REGISTER)
		define_cfa(run, dwarf_uleb(run->bytes), state->cfa_offset);
	else if (operation == CFA_DEF_OFFSET)
		define_cfa(run, state->cfa_register, (int64_t)dwarf_uleb(run->bytes));
	else
		define_cfa(run, state->cfa_register, scaled(run, (uint64_t)dwarf_sleb(run->bytes)));
	return 0;
}

/* The operations that say where a register is. */
static int run_register_operation(struct run *run, uint8_t operation)
{
	struct dwarf_reader *bytes = run->bytes;
	uint64_t number;

	if (operation == CFA_OP_EXPRESSION || operation == CFA_VALUE_EXPRESSION) {
		set_expression(run, operation == CFA_OP_EXPRESSION ? COLUMN_EXPRESSION
								   : COLUMN_VALUE_EXPRESSION);
		return 0;
	}
	number = dwarf_uleb(bytes);
	switch (operation) {
	case CFA_OFFSET_EXTENDED:
		set_column(run, number, COLUMN_SAVED, scaled(run, dwarf_uleb(bytes)));
		return 0;
	case CFA_OFFSET_EXTENDED_SIGNED:
		set_column(run, number, COLUMN_SAVED, scaled(run, (uint64_t)dwarf_sleb(bytes)));
		return 0;
	case CFA_NEGATIVE_OFFSET_EXTENDED:
		set_column(run, number, COLUMN_SAVED, scaled(run, 0 - dwarf_uleb(bytes)));
		return 0;
	case CFA_VALUE_OFFSET:
		set_column(run, number, COLUMN_VALUE, scaled(run, dwarf_uleb(bytes)));
		return 0;
	case CFA_VALUE_OFFSET_SIGNED:
		set_column(run, number, COLUMN_VALUE, scaled(run, (uint64_t)dwarf_sleb(bytes)));
		return 0;
	case CFA_OP_REGISTER:
		set_column(run, number, COLUMN_REGISTER, (int64_t)dwarf_uleb(bytes));
		return 0;
	case CFA_RESTORE_EXTENDED:
		restore_column(run, number);
		return 0;
	case CFA_OP_UNDEFINED:
		set_column(run, number, COLUMN_UNDEFINED, 0);
		return 0;
	case CFA_SAME_VALUE:
		set_column(run, number, COLUMN_SAME, 0);
		return 0;
	default:
		return -EBADMSG;
	}
}

static int run_operation(struct run *run, uint8_t operation)
{
	switch (operation) {
	case CFA_NOP:
	case CFA_NEGATE_RA_STATE:
	case CFA_NEGATE_RA_STATE_WITH_PC:
		return 0;
	case CFA_ARGUMENTS_SIZE:
		(void)dwarf_uleb(run->bytes);
		return 0;
	case CFA_SET_LOCATION:
		return set_location(run);
	case CFA_ADVANCE_1:
		return advance(run, dwarf_uint8(run->bytes));
	case CFA_ADVANCE_2:
		return advance(run, dwarf_uint16(run->bytes));
	case CFA_ADVANCE_4:
		return advance(run, dwarf_uint32(run->bytes));
	case CFA_ADVANCE_8:
		return advance(run, dwarf_uint64(run->bytes));
	case CFA_REMEMBER_STATE:
		return remember(run);
	case CFA_RESTORE_STATE:
		return restore(run);
	case CFA_DEF:
	case CFA_DEF_SIGNED:
	case CFA_DEF_REGISTER:
	case CFA_DEF_OFFSET:
	case CFA_DEF_OFFSET_SIGNED:
	case CFA_DEF_EXPRESSION:
		return run_cfa_operation(run, operation);
	default:
		return run_register_operation(run, operation);
	}
}

static int run_all(struct run *run)
{
	int err = 0;

	while (!err && dwarf_left(run->bytes) > 0) {
		uint8_t operation = dwarf_uint8(run->bytes);
		uint8_t operand = operation & CFA_LOW_MASK;

		switch (operation & CFA_HIGH_MASK) {
		case CFA_ADVANCE:
			err = advance(run, operand);
			break;
		case CFA_OFFSET:
			set_column(run, operand, COLUMN_SAVED, scaled(run, dwarf_uleb(run->bytes)));
			break;
		case CFA_RESTORE:
			restore_column(run, operand);
			break;
		default:
			err = run_operation(run, operation);
			break;
		}
		if (run->bytes->failed)
			err = -EBADMSG;
	}
	return err;
}

bool cfa_program_run_initial(const struct cfa_program_context *context, struct dwarf_reader *bytes,
			     struct cfa_state *state)
{
	struct run run;

	run.program = NULL;
	run.context = context;
	run.bytes = bytes;
	run.state = state;
	run.remembered_count = 0;
	run.has_changed = run.has_changed_only_offset = false;
	run.word = 0;
	return run_all(&run) == 0;
}

int cfa_program_run(struct cfa_program *program, struct dwarf_reader *bytes,
		    struct cfa_state *state)
{
	/* Not initialised as a whole: what is remembered is large and mostly not used. */
	struct run run;

	run.program = program;
	run.context = program->context;
	run.bytes = bytes;
	run.state = state;
	run.remembered_count = 0;
	run.has_changed = true;
	run.has_changed_only_offset = false;
	run.word = 0;

	int err = run_all(&run);

	return err ? err : put_row(&run);
}
