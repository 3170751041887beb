/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include <elf.h>
#include <errno.h>
#include <string.h>

#include "base/unwind_table.h"
#include "symbols/eh_frame.h"

enum { TEXT = 0x401000, SECTION = 0x500000 };

static const struct elf_segment segment = { .offset = 0x1000, .vaddr = TEXT, .size = 0x10000 };

/* ---- sections by hand ---- */

struct maker {
	struct buf bytes;
	bool is_debug_frame;
};

static size_t begin_record(struct maker *maker)
{
	size_t at = maker->bytes.size;

	buf_add_u32(&maker->bytes, 0);
	return at;
}

static void end_record(struct maker *maker, size_t at)
{
	while ((maker->bytes.size - at) % 4)
		buf_add_u8(&maker->bytes, 0);
	assert_int_equal(maker->bytes.error, 0);

	uint32_t size = (uint32_t)(maker->bytes.size - at - 4);

	memcpy(maker->bytes.bytes + at, &size, sizeof(size));
}

static void add_text(struct maker *maker, const char *text, size_t size)
{
	buf_add(&maker->bytes, text, size);
}

/* Behind the id: version, augmentation and all that follows. Returns where it is. */
static size_t add_cie(struct maker *maker, const char *body, size_t size)
{
	size_t at = begin_record(maker);

	buf_add_u32(&maker->bytes, maker->is_debug_frame ? UINT32_MAX : 0);
	add_text(maker, body, size);
	end_record(maker, at);
	return at;
}

/* Alignments of 1 and −8, return address 16, pointers of 4 bytes without a base; then what every
 * compiler says: CFA = sp + 8, return address at CFA − 8. */
#define USUAL		     "\1zR\0\1\x78\x10\1\3\x0c\7\x08\x90\1"
#define ADD_CIE(maker, body) add_cie(maker, body, sizeof(body) - 1)

static void add_fde(struct maker *maker, size_t cie, uint32_t start, uint32_t length,
		    const char *program, size_t size)
{
	size_t at = begin_record(maker);

	buf_add_u32(&maker->bytes,
		    maker->is_debug_frame ? (uint32_t)cie : (uint32_t)(maker->bytes.size - cie));
	buf_add_u32(&maker->bytes, start);
	buf_add_u32(&maker->bytes, length);
	buf_add_u8(&maker->bytes, 0); /* no augmentation data */
	add_text(maker, program, size);
	end_record(maker, at);
}
#define ADD_FDE(maker, cie, start, length, program)                                                \
	add_fde(maker, cie, start, length, program, sizeof(program) - 1)

static void read_rows(const struct maker *maker, struct unwind_rows *rows)
{
	const struct eh_frame_section section = {
		.bytes = maker->bytes.bytes,
		.size = maker->bytes.size,
		.vaddr = SECTION,
		.machine = EM_X86_64,
		.is_debug_frame = maker->is_debug_frame,
	};

	unwind_rows_init(rows, &segment, 1);
	assert_int_equal(eh_frame_read(&section, rows), 0);
}

static uint64_t word_of(const struct unwind_rows *rows, size_t row)
{
	assert_true(row < rows->row_count);
	return rows->words[rows->rows[row].rule];
}

/* The one rule of a function with this program. */
static uint64_t rule_of(const char *program, size_t size)
{
	autoclean(unwind_rows) struct unwind_rows rows;
	struct maker maker = { .bytes = BUF(4096) };
	size_t cie = ADD_CIE(&maker, USUAL);

	add_fde(&maker, cie, TEXT, 0x100, program, size);
	read_rows(&maker, &rows);
	buf_done(&maker.bytes);
	assert_int_equal(rows.function_count, 1);
	assert_int_equal(rows.row_count, 1);
	return word_of(&rows, 0);
}
#define RULE_OF(program) rule_of(program, sizeof(program) - 1)

static uint64_t by_sp(int32_t offset)
{
	return unwind_rule(UNWIND_CFA_SP, 0, 0, 0, 0, offset);
}

static uint64_t unsupported(enum unwind_unsupported why)
{
	return unwind_rule(UNWIND_CFA_UNSUPPORTED, 0, 0, 0, 0, (int32_t)why);
}

/* ---- the tests ---- */

static void a_program_becomes_rows(void **state)
{
	autoclean(unwind_rows) struct unwind_rows rows;
	struct maker maker = { .bytes = BUF(4096) };
	size_t cie = ADD_CIE(&maker, USUAL);

	(void)state;
	/* push rbp; mov; … a remembered epilogue in the middle; leave; ret */
	ADD_FDE(&maker, cie, TEXT, 0x100,
		"\x41\x0e\x10\x86\2"	 /* +1: CFA = sp + 16, rbp at CFA − 16 */
		"\x43\x0d\6"		 /* +3: CFA = rbp + 16 */
		"\2\x20\x0a\x0c\7\x08"	 /* +32: remember; CFA = sp + 8 */
		"\x41\x0b"		 /* +1: as remembered */
		"\3\x40\0\x2e\x10\xc6"	 /* +64: arguments pushed; rbp is restored */
		"\4\x10\0\0\0\x0c\7\x08" /* +16 */
	);
	read_rows(&maker, &rows);
	buf_done(&maker.bytes);

	static const uint32_t offsets[] = { 0, 1, 4, 0x24, 0x25, 0x65, 0x75 };
	const uint64_t words[] = {
		by_sp(8),
		unwind_rule(UNWIND_CFA_SP, 0, UNWIND_FP_SAVED, 0, -16, 16),
		unwind_rule(UNWIND_CFA_FP, 0, UNWIND_FP_SAVED, 0, -16, 16),
		unwind_rule(UNWIND_CFA_SP, 0, UNWIND_FP_SAVED, 0, -16, 8),
		unwind_rule(UNWIND_CFA_FP, 0, UNWIND_FP_SAVED, 0, -16, 16),
		unwind_rule(UNWIND_CFA_FP, 0, UNWIND_FP_SAME, 0, 0, 16),
		by_sp(8),
	};

	assert_int_equal(rows.row_count, 7);
	for (unsigned i = 0; i < 7; i++) {
		assert_int_equal(rows.rows[i].offset, 0x1000 + offsets[i]);
		assert_int_equal(word_of(&rows, i), words[i]);
	}
	assert_int_equal(rows.refused_count, 0);
}

static void each_way_to_say_it_comes_to_a_rule(void **state)
{
	(void)state;
	assert_int_equal(RULE_OF("\x0c\7\xe0\x80\x0b"), by_sp(180320)); /* beyond 16 bits */
	assert_int_equal(RULE_OF("\x12\7\x7e"), by_sp(16));		/* signed, by −8 */
	assert_int_equal(RULE_OF("\x13\x7d"), by_sp(24));
	assert_int_equal(RULE_OF("\5\6\3"),
			 unwind_rule(UNWIND_CFA_SP, 0, UNWIND_FP_SAVED, 0, -24, 8));
	assert_int_equal(RULE_OF("\x11\6\4"),
			 unwind_rule(UNWIND_CFA_SP, 0, UNWIND_FP_SAVED, 0, -32, 8));
	assert_int_equal(RULE_OF("\x2f\6\4"),
			 unwind_rule(UNWIND_CFA_SP, 0, UNWIND_FP_SAVED, 0, 32, 8));
	assert_int_equal(RULE_OF("\x86\2\6\6"), by_sp(8)); /* restored by its number */
	assert_int_equal(RULE_OF("\x86\2\x08\6"), by_sp(8));
	assert_int_equal(RULE_OF("\7\6"), unwind_rule(UNWIND_CFA_SP, 0, UNWIND_FP_LOST, 0, 0, 8));
	assert_int_equal(RULE_OF("\x14\6\2"),
			 unwind_rule(UNWIND_CFA_SP, 0, UNWIND_FP_LOST, 0, 0, 8));
	assert_int_equal(RULE_OF("\x0c\x0a\x10"),
			 unwind_rule(UNWIND_CFA_REGISTER, 10, 0, 0, 0, 16));
	assert_int_equal(RULE_OF("\7\x10"), unwind_rule(UNWIND_CFA_STOP, 0, 0, 0, 0, 0));
	assert_int_equal(RULE_OF("\x09\x10\5"),
			 unwind_rule(UNWIND_CFA_SP, 5, 0, UNWIND_RA_REGISTER, 0, 8));
	/* Registers that nobody asks for. */
	assert_int_equal(RULE_OF("\x83\3\x8c\4\x08\x0d\x16\x0e\2\x77\0"), by_sp(8));
}

static void expressions_that_compilers_make_are_known(void **state)
{
	(void)state;
	/* The stubs of the PLT, of either kind of stub. */
	assert_int_equal(RULE_OF("\x0f\x0b\x77\x08\x80\0\x3f\x1a\x3b\x2a\x33\x24\x22"),
			 unwind_rule(UNWIND_CFA_PLT, 0, 0, 0, 0, 11));
	assert_int_equal(RULE_OF("\x0f\x0b\x77\x08\x80\0\x3f\x1a\x3a\x2a\x33\x24\x22"),
			 unwind_rule(UNWIND_CFA_PLT, 0, 0, 0, 0, 10));
	/* *(sp + 40) + 8; *(rbp − 8); rbp at rbp + 0 */
	assert_int_equal(RULE_OF("\x0f\5\x77\x28\6\x23\x08"),
			 unwind_rule(UNWIND_CFA_DEREFERENCED, 7, 0, 0, 0, 40 * 256 + 8));
	assert_int_equal(
		RULE_OF("\x0f\3\x76\x78\6\x10\6\2\x76\0"),
		unwind_rule(UNWIND_CFA_DEREFERENCED, 6, UNWIND_FP_SAVED_AT_FP, 0, 0, -8 * 256));
	assert_int_equal(RULE_OF("\x0f\2\x77\x20"), by_sp(32));
	assert_int_equal(RULE_OF("\x0e\x20\x10\6\2\x77\x08"),
			 unwind_rule(UNWIND_CFA_SP, 0, UNWIND_FP_SAVED, 0, -24, 32));
	/* The kernel's signal frame. */
	assert_int_equal(RULE_OF("\x0f\4\x77\xa0\1\6\x10\7\3\x77\xa0\1\x10\6\3\x77\xf8\0"
				 "\x10\x10\3\x77\xa8\1"),
			 unwind_rule(UNWIND_CFA_SIGNAL, 0, 0, 0, 0, 0));
}

static void what_cannot_be_followed_is_said_to_be_so(void **state)
{
	(void)state;
	/* sp + 8 + r9 * 8 */
	assert_int_equal(RULE_OF("\x0f\7\x77\x08\x79\0\x38\x1e\x22"),
			 unsupported(UNWIND_UNSUPPORTED_CFA_EXPRESSION));
	assert_int_equal(RULE_OF("\x0c\x20\x08"), unsupported(UNWIND_UNSUPPORTED_CFA_REGISTER));
	assert_int_equal(RULE_OF("\x90\2"), unsupported(UNWIND_UNSUPPORTED_RETURN_ADDRESS));
	assert_int_equal(RULE_OF("\x08\x10"), unsupported(UNWIND_UNSUPPORTED_RETURN_ADDRESS));
	assert_int_equal(RULE_OF("\x0e\x80\x80\x80\x80\x08"),
			 unsupported(UNWIND_UNSUPPORTED_OFFSET));
	/* As longjmp() does before it jumps: sp is in r8. */
	assert_int_equal(RULE_OF("\x09\7\x08"), unsupported(UNWIND_UNSUPPORTED_CFA_EXPRESSION));
}

static void a_record_that_contradicts_itself_is_left_out(void **state)
{
	autoclean(unwind_rows) struct unwind_rows rows;
	struct maker maker = { .bytes = BUF(4096) };
	size_t cie = ADD_CIE(&maker, USUAL);
	/* An unknown letter; an unknown version; a program that has to do with a location. */
	size_t unknown_letter = ADD_CIE(&maker, "\1zQ\0\1\x78\x10\1\3");
	size_t unknown_version = ADD_CIE(&maker, "\2zR\0\1\x78\x10\1\3");
	size_t moves = ADD_CIE(&maker, USUAL "\x41\x0e\x10");

	(void)state;
	ADD_FDE(&maker, unknown_letter, TEXT + 0x000, 0x10, "\x41");
	ADD_FDE(&maker, unknown_version, TEXT + 0x100, 0x10, "\x41");
	ADD_FDE(&maker, moves, TEXT + 0x200, 0x10, "\x41");
	ADD_FDE(&maker, cie, TEXT + 0x300, 0x10, "\x0b");	      /* nothing was remembered */
	ADD_FDE(&maker, cie, TEXT + 0x400, 0x10, "\x1c");	      /* no operation */
	ADD_FDE(&maker, cie, TEXT + 0x500, 0x10, "\x41\x0f\x7f");     /* past the end */
	ADD_FDE(&maker, cie, TEXT + 0x600, 0x10, "\x0f\1\x77\x0e\1"); /* half of an expression */
	ADD_FDE(&maker, cie + 4, TEXT + 0x700, 0x10, "\x41");	      /* no CIE there */
	ADD_FDE(&maker, cie, TEXT + 0x800, 0x10,
		"\x0a\x0a\x0a\x0a\x0a\x0a\x0a\x0a\x0a\x0a\x0a\x0a\x0a\x0a\x0a\x0a\x0a");
	/* Two that are removed by linkers, and a good one behind a terminator. */
	ADD_FDE(&maker, cie, 0, 0x10, "\x41");
	ADD_FDE(&maker, cie, TEXT + 0x900, 0, "\x41");
	buf_add_u32(&maker.bytes, 0);
	ADD_FDE(&maker, cie, TEXT + 0xa00, 0x10, "\x41\x0e\x10");
	read_rows(&maker, &rows);
	buf_done(&maker.bytes);
	assert_int_equal(rows.refused_count, 9);
	assert_int_equal(rows.function_count, 1);
	assert_int_equal(rows.functions[0].start, 0x1000 + 0xa00);
	assert_int_equal(rows.row_count, 2);
}

static void pointers_count_from_what_they_say(void **state)
{
	autoclean(unwind_rows) struct unwind_rows rows;
	struct maker maker = { .bytes = BUF(4096) };
	/* From the pointer's own place, as all compilers do, with a personality and a table of
	 * exceptions in front. */
	size_t relative = ADD_CIE(&maker, "\1zPLR\0\1\x78\x10\7\x9b\0\0\0\0\x1b\x1b\x0c\7\x08"
					  "\x90\1");
	size_t indirect = ADD_CIE(&maker, "\1zR\0\1\x78\x10\1\x9b\x0c\7\x08\x90\1");
	/* Without augmentation: 8 bytes, no size of augmentation data. */
	size_t plain = ADD_CIE(&maker, "\1\0\1\x78\x10\x0c\7\x08\x90\1");
	uint32_t here = (uint32_t)(maker.bytes.size + 8 + SECTION);
	size_t at;

	(void)state;
	ADD_FDE(&maker, relative, TEXT + 0x100 - here, 0x20, "\x41\x0e\x10");
	ADD_FDE(&maker, indirect, TEXT + 0x200, 0x20, "\x41\x0e\x10");
	at = begin_record(&maker);
	buf_add_u32(&maker.bytes, (uint32_t)(maker.bytes.size - plain));
	buf_add_u64(&maker.bytes, TEXT + 0x300);
	buf_add_u64(&maker.bytes, 0x40);
	add_text(&maker, "\1\x08\x13\x40\0\0\0\0\0\x0e\x10", 11); /* a location of 8 bytes */
	end_record(&maker, at);
	read_rows(&maker, &rows);
	buf_done(&maker.bytes);
	assert_int_equal(rows.refused_count, 1);
	assert_int_equal(rows.function_count, 2);
	assert_int_equal(rows.functions[0].start, 0x1000 + 0x100);
	assert_int_equal(rows.functions[0].end, 0x1000 + 0x120);
	assert_int_equal(rows.functions[1].start, 0x1000 + 0x300);
	assert_int_equal(rows.rows[3].offset, 0x1000 + 0x308);
	assert_int_equal(word_of(&rows, 3), by_sp(16));
}

static void debug_frame_is_read_too(void **state)
{
	autoclean(unwind_rows) struct unwind_rows rows;
	struct maker maker = { .bytes = BUF(4096), .is_debug_frame = true };
	/* Version 4: sizes of an address and a segment; the return address as LEB128. */
	size_t cie = 0;
	size_t at = begin_record(&maker);

	(void)state;
	/* The function comes before its CIE, which is allowed here. */
	buf_add_u32(&maker.bytes, 40);
	buf_add_u64(&maker.bytes, TEXT + 0x80);
	buf_add_u64(&maker.bytes, 0x30);
	add_text(&maker, "\x44\x0e\x20", 3);
	end_record(&maker, at);
	while (maker.bytes.size < 40)
		buf_add_u32(&maker.bytes, 0);
	cie = ADD_CIE(&maker, "\4\0\x08\0\1\x78\x10\x0c\7\x08\x90\1");
	assert_int_equal(cie, 40);
	read_rows(&maker, &rows);
	buf_done(&maker.bytes);
	assert_int_equal(rows.refused_count, 0);
	assert_int_equal(rows.function_count, 1);
	assert_int_equal(rows.rows[1].offset, 0x1000 + 0x84);
	assert_int_equal(word_of(&rows, 1), by_sp(32));
}

static void another_machine_is_not_guessed_at(void **state)
{
	autoclean(unwind_rows) struct unwind_rows rows;
	const struct eh_frame_section section = { .machine = EM_AARCH64 };

	(void)state;
	unwind_rows_init(&rows, &segment, 1);
	assert_int_equal(eh_frame_read(&section, &rows), -ENOTSUP);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_program_becomes_rows),
		cmocka_unit_test(each_way_to_say_it_comes_to_a_rule),
		cmocka_unit_test(expressions_that_compilers_make_are_known),
		cmocka_unit_test(what_cannot_be_followed_is_said_to_be_so),
		cmocka_unit_test(a_record_that_contradicts_itself_is_left_out),
		cmocka_unit_test(pointers_count_from_what_they_say),
		cmocka_unit_test(debug_frame_is_read_too),
		cmocka_unit_test(another_machine_is_not_guessed_at),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
