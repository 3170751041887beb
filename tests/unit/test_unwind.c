/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include <stdint.h>
#include <string.h>

#include "bpf/unwind.h"

/* The walked process: words from STACK on. */
enum { STACK = 0x7000, WORD_COUNT = 64 };

struct memory {
	uint64_t words[WORD_COUNT];
	unsigned read_count;
};

static int read_word(void *context, __u64 address, __u64 *ret)
{
	struct memory *memory = context;

	memory->read_count++;
	if (address < STACK || address > STACK + (WORD_COUNT - 1) * 8 || address % 8)
		return -1;
	*ret = memory->words[(address - STACK) / 8];
	return 0;
}

/* Each word is its own number, from 1000 on. */
static struct memory some_memory(void)
{
	struct memory memory = { .read_count = 0 };

	for (unsigned i = 0; i < WORD_COUNT; i++)
		memory.words[i] = 1000 + i;
	return memory;
}

static const struct unwind_frame some_frame = {
	.pc = 0x401234,
	.sp = STACK + 16,
	.fp = STACK + 80,
	.is_return = 1,
};

static int step(struct unwind_frame *frame, uint64_t rule, const __u64 *leaf)
{
	struct memory memory = some_memory();

	return unwind_step(frame, rule, leaf, read_word, &memory);
}

static void assert_caller(uint64_t rule, const __u64 *leaf, uint64_t pc, uint64_t sp, uint64_t fp)
{
	struct unwind_frame frame = some_frame;

	assert_true(unwind_rule_is_valid(rule));
	assert_int_equal(step(&frame, rule, leaf), UNWIND_NEXT);
	assert_int_equal(frame.pc, pc);
	assert_int_equal(frame.sp, sp);
	assert_int_equal(frame.fp, fp);
}

static void assert_ends(uint64_t rule, int outcome)
{
	struct unwind_frame frame = some_frame;

	assert_int_equal(step(&frame, rule, NULL), outcome);
	assert_memory_equal(&frame, &some_frame, sizeof(frame));
}

static void the_frame_lies_above_the_stack_pointer_or_the_frame_pointer(void **state)
{
	(void)state;
	/* sp + 24 is word 5; the return address stands below it, in word 4. */
	assert_caller(unwind_rule(UNWIND_CFA_SP, 0, UNWIND_FP_SAME, UNWIND_RA_SAVED, 0, 24), NULL,
		      1004, STACK + 40, some_frame.fp);
	assert_caller(unwind_rule(UNWIND_CFA_FP, 0, UNWIND_FP_SAVED, UNWIND_RA_SAVED, -16, 16),
		      NULL, 1011, STACK + 96, 1010);
	assert_caller(unwind_rule(UNWIND_CFA_SP, 0, UNWIND_FP_SAVED_AT_FP, UNWIND_RA_SAVED, 8, 24),
		      NULL, 1004, STACK + 40, 1011);
	assert_caller(unwind_rule(UNWIND_CFA_SP, 0, UNWIND_FP_LOST, UNWIND_RA_SAVED, 0, 24), NULL,
		      1004, STACK + 40, UNWIND_FP_UNKNOWN);
}

static void a_plt_rule_asks_the_address(void **state)
{
	struct unwind_frame frame = some_frame;
	uint64_t rule = unwind_rule(UNWIND_CFA_PLT, 0, 0, 0, 0, 11);

	(void)state;
	frame.pc = 0x40123a;
	assert_int_equal(unwind_rule_cfa_offset(unwind_rule_resolve(rule, frame.pc)), 8);
	assert_int_equal(step(&frame, rule, NULL), UNWIND_NEXT);
	assert_int_equal(frame.pc, 1002);
	frame = some_frame;
	frame.pc = 0x40123b;
	assert_int_equal(unwind_rule_cfa_offset(unwind_rule_resolve(rule, frame.pc)), 16);
	assert_int_equal(step(&frame, rule, NULL), UNWIND_NEXT);
	assert_int_equal(frame.pc, 1003);
	assert_int_equal(frame.sp, some_frame.sp + 16);
}

static void other_registers_are_known_in_the_leaf_only(void **state)
{
	/* r15 r14 r13 r12 bp bx r11 r10 r9 r8 ax cx dx si di orig_ax; by DWARF number: */
	static const uint8_t places[16] = { 10, 12, 11, 5, 13, 14, 4, 0, 9, 8, 7, 6, 3, 2, 1, 0 };
	uint64_t found = unwind_rule(UNWIND_CFA_SP, 5, UNWIND_FP_SAME, UNWIND_RA_REGISTER, 0, 24);

	(void)state;
	for (unsigned number = 0; number < 16; number++) {
		__u64 leaf[16] = { 0 };
		uint64_t rule = unwind_rule(UNWIND_CFA_REGISTER, number, 0, 0, 0, 8);

		if (number == 6 || number == 7)
			continue;
		leaf[places[number]] = STACK + 200;
		assert_int_equal(unwind_pt_regs_index(number), places[number]);
		assert_caller(rule, leaf, 1025, STACK + 208, some_frame.fp);
		assert_ends(rule, UNWIND_UNSUPPORTED);
	}

	__u64 leaf[16] = { [14] = 0x5555 };

	assert_caller(found, leaf, 0x5555, STACK + 40, some_frame.fp);
	/* As where vfork() has taken it off the stack. */
	assert_caller(unwind_rule(UNWIND_CFA_SP, 5, UNWIND_FP_SAME, UNWIND_RA_REGISTER, 0, 0), leaf,
		      0x5555, STACK + 16, some_frame.fp);
	assert_ends(found, UNWIND_UNSUPPORTED);
}

static void a_frame_may_be_found_by_a_word_of_the_stack(void **state)
{
	struct memory memory = some_memory();
	struct unwind_frame frame = some_frame;
	uint64_t rule = unwind_rule(UNWIND_CFA_DEREFERENCED, 7, 0, 0, 0, 32 * 256 + 8);

	(void)state;
	memory.words[6] = STACK + 300 - 4;
	assert_int_equal(unwind_step(&frame, rule, NULL, read_word, &memory), UNWIND_NEXT);
	assert_int_equal(frame.sp, STACK + 304);
	assert_int_equal(frame.pc, 1037);

	frame = some_frame;
	rule = unwind_rule(UNWIND_CFA_DEREFERENCED, 6, 0, 0, 0, -(8 * 256) + 16);
	memory.words[9] = STACK + 296;
	assert_int_equal(unwind_step(&frame, rule, NULL, read_word, &memory), UNWIND_NEXT);
	assert_int_equal(frame.sp, STACK + 312);
}

static void a_signal_frame_gives_back_what_was_interrupted(void **state)
{
	struct unwind_frame frame = some_frame;

	(void)state;
	assert_int_equal(step(&frame, unwind_rule(UNWIND_CFA_SIGNAL, 0, 0, 0, 0, 0), NULL),
			 UNWIND_NEXT);
	/* Words of the kernel's frame, of which the first is at sp: 15, 20 and 21. */
	assert_int_equal(frame.fp, 1000 + 2 + 15);
	assert_int_equal(frame.sp, 1000 + 2 + 20);
	assert_int_equal(frame.pc, 1000 + 2 + 21);
	assert_int_equal(frame.is_return, 0);
}

static void a_walk_ends_and_says_why(void **state)
{
	struct memory memory = some_memory();
	struct unwind_frame frame = some_frame;

	(void)state;
	assert_ends(0, UNWIND_NO_RULE);
	assert_ends(unwind_rule(UNWIND_CFA_STOP, 0, 0, 0, 0, 0), UNWIND_END);
	assert_ends(unwind_rule(UNWIND_CFA_UNSUPPORTED, 0, 0, 0, 0, 1), UNWIND_UNSUPPORTED);
	assert_ends(unwind_rule(UNWIND_CFA_SP, 0, 0, 0, 0, 0), UNWIND_NOT_PROGRESSING);
	assert_ends(unwind_rule(UNWIND_CFA_FP, 0, 0, 0, 0, -72), UNWIND_NOT_PROGRESSING);
	assert_ends(unwind_rule(UNWIND_CFA_SP, 0, 0, 0, 0, 1 << 20), UNWIND_READ_FAULT);
	assert_ends(unwind_rule(UNWIND_CFA_SP, 0, UNWIND_FP_SAVED, 0, -32768, 24),
		    UNWIND_READ_FAULT);
	/* Threads start with a return address of zero. */
	memory.words[4] = 0;
	assert_int_equal(unwind_step(&frame, unwind_rule(UNWIND_CFA_SP, 0, 0, 0, 0, 24), NULL,
				     read_word, &memory),
			 UNWIND_END);
	/* Another stack may lie anywhere. */
	assert_caller(unwind_rule(UNWIND_CFA_FP_OTHER_STACK, 0, 0, 0, 0, -72), NULL, 1000,
		      STACK + 8, some_frame.fp);
}

static void a_word_keeps_what_is_put_into_it(void **state)
{
	(void)state;
	for (uint32_t i = 0; i < 1000; i++) {
		int32_t cfa_offset = (int32_t)(i * 2654435761U);
		int16_t fp_offset = (int16_t)(i * 40503U);
		uint32_t cfa = 1 + i % (UNWIND_CFA_COUNT - 1);
		uint64_t rule = unwind_rule(cfa, i % 16, i % UNWIND_FP_COUNT, i % UNWIND_RA_COUNT,
					    fp_offset, cfa_offset);

		assert_true(unwind_rule_is_valid(rule));
		assert_int_equal(unwind_rule_cfa(rule), cfa);
		assert_int_equal(unwind_rule_register(rule), i % 16);
		assert_int_equal(unwind_rule_fp(rule), i % UNWIND_FP_COUNT);
		assert_int_equal(unwind_rule_ra(rule), i % UNWIND_RA_COUNT);
		assert_int_equal(unwind_rule_fp_offset(rule), fp_offset);
		assert_int_equal(unwind_rule_cfa_offset(rule), cfa_offset);
	}
	assert_false(unwind_rule_is_valid(UNWIND_CFA_COUNT));
	assert_false(unwind_rule_is_valid(UNWIND_CFA_SP | UNWIND_FP_COUNT << 8));
	assert_false(unwind_rule_is_valid(UNWIND_CFA_SP | UNWIND_RA_COUNT << 12));
	assert_false(unwind_rule_is_valid(UINT64_C(8) << 32));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_frame_lies_above_the_stack_pointer_or_the_frame_pointer),
		cmocka_unit_test(a_plt_rule_asks_the_address),
		cmocka_unit_test(other_registers_are_known_in_the_leaf_only),
		cmocka_unit_test(a_frame_may_be_found_by_a_word_of_the_stack),
		cmocka_unit_test(a_signal_frame_gives_back_what_was_interrupted),
		cmocka_unit_test(a_walk_ends_and_says_why),
		cmocka_unit_test(a_word_keeps_what_is_put_into_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
