/* SPDX-License-Identifier: Apache-2.0 */
/* What a state of call frame instructions comes to as a rule of one word. */
#include "symbols/cfa_program.h"

#include <string.h>

enum { REGISTER_FP = 6, REGISTER_SP = 7, REGISTER_COUNT = 16 };

enum {
	OP_DEREF = 0x06,
	OP_PLUS_UCONST = 0x23,
	OP_BREG0 = 0x70,
	OP_BREG31 = 0x8f,
	OP_LIT0 = 0x30,
};

/* An address that begins with a register: + offset, perhaps the word there, perhaps + addend. */
struct address {
	uint64_t number;
	int64_t offset;
	bool is_dereferenced;
	uint64_t addend;
};

static bool read_address(struct cfa_bytes expression, struct address *ret)
{
	struct dwarf_reader bytes = dwarf_reader(expression.bytes, expression.size);
	uint8_t operation = dwarf_uint8(&bytes);
	struct address address = { .number = (uint64_t)operation - OP_BREG0 };

	if (operation < OP_BREG0 || operation > OP_BREG31)
		return false;
	address.offset = dwarf_sleb(&bytes);
	if (dwarf_left(&bytes) > 0) {
		if (dwarf_uint8(&bytes) != OP_DEREF)
			return false;
		address.is_dereferenced = true;
	}
	if (dwarf_left(&bytes) > 0) {
		if (dwarf_uint8(&bytes) != OP_PLUS_UCONST)
			return false;
		address.addend = dwarf_uleb(&bytes);
	}
	if (bytes.failed || dwarf_left(&bytes) > 0)
		return false;
	*ret = address;
	return true;
}

/*
 * The CFA within the stubs of a PLT, as linkers write it: sp + 8 + ((pc & 15) >= N) * 8, N being 10
 * or 11: where the stub has pushed its number.
 */
static bool read_plt(struct cfa_bytes expression, int32_t *ret_from)
{
	/* breg7 8; breg16 0; lit15; and; lit N; ge; lit3; shl; plus */
	static const uint8_t head[] = { 0x77, 8, 0x80, 0, 0x3f, 0x1a };
	static const uint8_t tail[] = { 0x2a, 0x33, 0x24, 0x22 };

	if (expression.size != sizeof(head) + 1 + sizeof(tail) ||
	    memcmp(expression.bytes, head, sizeof(head)) != 0 ||
	    memcmp(expression.bytes + sizeof(head) + 1, tail, sizeof(tail)) != 0)
		return false;

	int from = expression.bytes[sizeof(head)] - OP_LIT0;

	if (from < 0 || from > 15)
		return false;
	*ret_from = from;
	return true;
}

static uint64_t unsupported(enum unwind_unsupported why)
{
	return unwind_rule(UNWIND_CFA_UNSUPPORTED, 0, 0, 0, 0, (int32_t)why);
}

static bool fits_32(int64_t value)
{
	return value >= INT32_MIN && value <= INT32_MAX;
}

static bool fits_16(int64_t value)
{
	return value >= INT16_MIN && value <= INT16_MAX;
}

/* The word with the CFA alone. */
static uint64_t rule_of_address(const struct address *address)
{
	enum unwind_cfa kind = address->number == REGISTER_SP	? UNWIND_CFA_SP
			       : address->number == REGISTER_FP ? UNWIND_CFA_FP
								: UNWIND_CFA_REGISTER;
	uint32_t number = kind == UNWIND_CFA_REGISTER ? (uint32_t)address->number : 0;

	if (address->number >= REGISTER_COUNT)
		return unsupported(UNWIND_UNSUPPORTED_CFA_REGISTER);
	if (!address->is_dereferenced)
		return fits_32(address->offset)
			       ? unwind_rule(kind, number, 0, 0, 0, (int32_t)address->offset)
			       : unsupported(UNWIND_UNSUPPORTED_OFFSET);
	if (address->offset < INT32_MIN / 256 || address->offset > INT32_MAX / 256 ||
	    address->addend > UINT8_MAX)
		return unsupported(UNWIND_UNSUPPORTED_OFFSET);
	return unwind_rule(UNWIND_CFA_DEREFERENCED, (uint32_t)address->number, 0, 0, 0,
			   (int32_t)(address->offset * 256 + (int64_t)address->addend));
}

static uint64_t rule_of_cfa(const struct cfa_state *state)
{
	struct address address = { .number = state->cfa_register, .offset = state->cfa_offset };
	int32_t from;

	if (state->cfa_kind == CFA_REGISTER)
		return rule_of_address(&address);
	if (state->cfa_kind == CFA_EXPRESSION && read_address(state->cfa_expression, &address))
		return rule_of_address(&address);
	if (state->cfa_kind == CFA_EXPRESSION && read_plt(state->cfa_expression, &from))
		return unwind_rule(UNWIND_CFA_PLT, 0, 0, 0, 0, from);
	return unsupported(UNWIND_UNSUPPORTED_CFA_EXPRESSION);
}

/* Whether a column's expression is "at register + offset". */
static bool is_saved_at(const struct cfa_state *state, enum column column, struct address *ret)
{
	return state->kinds[column] == COLUMN_EXPRESSION &&
	       read_address(state->expressions[column], ret) && !ret->is_dereferenced;
}

/*
 * The kernel's signal frame: the C library describes where each register lies in it by expressions
 * from sp.
 */
static bool is_signal_frame(const struct cfa_state *state)
{
	struct address cfa;
	struct address ra;

	return state->cfa_kind == CFA_EXPRESSION && read_address(state->cfa_expression, &cfa) &&
	       cfa.number == REGISTER_SP && cfa.offset == UNWIND_SIGNAL_SP && cfa.is_dereferenced &&
	       cfa.addend == 0 && is_saved_at(state, COLUMN_RA, &ra) && ra.number == REGISTER_SP &&
	       ra.offset == UNWIND_SIGNAL_PC;
}

static uint64_t with_fp(uint64_t rule, const struct cfa_state *state)
{
	enum unwind_fp kind = UNWIND_FP_LOST;
	int64_t offset = 0;
	struct address address;

	if (state->kinds[COLUMN_FP] == COLUMN_UNSPECIFIED ||
	    state->kinds[COLUMN_FP] == COLUMN_SAME) {
		kind = UNWIND_FP_SAME;
	} else if (state->kinds[COLUMN_FP] == COLUMN_SAVED) {
		kind = UNWIND_FP_SAVED;
		offset = state->offsets[COLUMN_FP];
	} else if (is_saved_at(state, COLUMN_FP, &address)) {
		if (address.number == REGISTER_FP) {
			kind = UNWIND_FP_SAVED_AT_FP;
			offset = address.offset;
		} else if (address.number == REGISTER_SP &&
			   unwind_rule_cfa(rule) == UNWIND_CFA_SP) {
			kind = UNWIND_FP_SAVED;
			offset = address.offset - unwind_rule_cfa_offset(rule);
		}
	}
	if (!fits_16(offset)) {
		kind = UNWIND_FP_LOST;
		offset = 0;
	}
	return rule | (uint64_t)kind << 8 | (uint64_t)(uint16_t)offset << 16;
}

static uint64_t with_ra(uint64_t rule, const struct cfa_state *state)
{
	uint32_t cfa = unwind_rule_cfa(rule);
	int64_t number = state->offsets[COLUMN_RA];

	if (state->kinds[COLUMN_RA] == COLUMN_SAVED && state->offsets[COLUMN_RA] == -8)
		return rule;
	/* The register's number has the place of the CFA's. */
	if (state->kinds[COLUMN_RA] == COLUMN_REGISTER && number >= 0 && number < REGISTER_COUNT &&
	    number != REGISTER_SP && (cfa == UNWIND_CFA_SP || cfa == UNWIND_CFA_FP))
		return rule | (uint64_t)UNWIND_RA_REGISTER << 12 | (uint64_t)number << 4;
	return unsupported(UNWIND_UNSUPPORTED_RETURN_ADDRESS);
}

uint64_t cfa_rule(const struct cfa_state *state)
{
	/* The outermost frame: nowhere to return to. */
	if (state->kinds[COLUMN_RA] == COLUMN_UNDEFINED)
		return unwind_rule(UNWIND_CFA_STOP, 0, 0, 0, 0, 0);
	if (is_signal_frame(state))
		return unwind_rule(UNWIND_CFA_SIGNAL, 0, 0, 0, 0, 0);

	uint64_t rule = rule_of_cfa(state);

	if (unwind_rule_cfa(rule) == UNWIND_CFA_UNSUPPORTED)
		return rule;
	/* The caller's stack pointer is the CFA; code that says another has switched stacks. */
	if (state->kinds[COLUMN_SP] != COLUMN_UNSPECIFIED &&
	    (state->kinds[COLUMN_SP] != COLUMN_VALUE || state->offsets[COLUMN_SP] != 0))
		return unsupported(UNWIND_UNSUPPORTED_CFA_EXPRESSION);
	rule = with_ra(rule, state);
	return unwind_rule_cfa(rule) == UNWIND_CFA_UNSUPPORTED ? rule : with_fp(rule, state);
}
