/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Our tables against an independent reading of the same call frame information: libdw's. Every
 * function of this machine's libraries is gone through; at the start of every row that libdw knows
 * and at random addresses in it, a step by our rule and libdw's expressions, evaluated on the same
 * invented registers and memory, must come to the same caller. HEARTH_ORACLE=all goes through every
 * ELF file below /usr/lib and /usr/bin, for some minutes.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include <dwarf.h>
#include <elfutils/libdw.h>
#include <errno.h>
#include <fcntl.h>
#include <fts.h>
#include <libelf.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/unwind_table.h"
#include "symbols/elf_file.h"
#include "symbols/unwind_maker.h"

enum { STACK_COUNT_MAX = 16, REGISTER_COUNT = 17, FP = 6, SP = 7, RA = 16 };

static const char *const some_files[] = {
	"/lib/x86_64-linux-gnu/libc.so.6",
	"/lib/x86_64-linux-gnu/libm.so.6",
	"/lib64/ld-linux-x86-64.so.2",
	"/usr/lib/x86_64-linux-gnu/libstdc++.so.6",
	"/lib/x86_64-linux-gnu/libgcc_s.so.1",
	"/usr/lib/x86_64-linux-gnu/libcrypto.so.3",
	"/usr/lib/x86_64-linux-gnu/libssl.so.3",
	"/usr/lib/x86_64-linux-gnu/libsqlite3.so.0",
	"/usr/lib/x86_64-linux-gnu/libgcrypt.so.20",
	"/usr/lib/x86_64-linux-gnu/libgnutls.so.30",
	"/usr/lib/x86_64-linux-gnu/libperl.so.5.36",
	"/usr/lib/x86_64-linux-gnu/libglib-2.0.so.0",
	"/usr/lib/x86_64-linux-gnu/libpcre2-8.so.0",
	"/usr/lib/x86_64-linux-gnu/libzstd.so.1",
	"/usr/lib/x86_64-linux-gnu/libz.so.1",
	"/usr/lib/x86_64-linux-gnu/libcurl.so.4",
	"/usr/lib/x86_64-linux-gnu/libjansson.so.4",
	"/usr/lib/x86_64-linux-gnu/libbpf.so.1",
	"/usr/lib/x86_64-linux-gnu/libelf.so.1",
	"/usr/lib/x86_64-linux-gnu/libdw.so.1",
	"/usr/lib/x86_64-linux-gnu/libgmp.so.10",
	"/usr/lib/x86_64-linux-gnu/libitm.so.1",
	"/usr/lib/x86_64-linux-gnu/libtsan.so.2",
	"/usr/lib/x86_64-linux-gnu/libLLVM-14.so.1",
	"/usr/lib/musl/lib/libc.so",
	"/usr/bin/bash",
	"/usr/bin/perl",
	"/usr/bin/python3",
	"/usr/bin/git",
	"/usr/bin/gdb",
	"/usr/bin/sqlite3",
	"/usr/bin/node",
	"/usr/bin/x86_64-linux-gnu-ld.bfd",
	"/usr/lib/gcc/x86_64-linux-gnu/12/cc1",
	"/usr/sbin/ldconfig",
};
enum { SOME_COUNT = sizeof(some_files) / sizeof(some_files[0]) };

/* ---- an invented machine ---- */

struct machine {
	uint64_t registers[REGISTER_COUNT]; /* by DWARF number; the last is the pc */
};

static uint64_t seed;

static uint64_t next_random(void)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return seed;
}

/* Every word of memory is an address above all stack pointers, and no two are alike. */
static uint64_t word_at(uint64_t address)
{
	return UINT64_C(0x10000000000) + (address * UINT64_C(0x9E3779B97F4A7C15) >> 24);
}

static int read_word(void *context, __u64 address, __u64 *ret)
{
	(void)context;
	*ret = word_at(address);
	return 0;
}

static struct machine some_machine(uint64_t pc)
{
	struct machine machine;

	for (unsigned i = 0; i < REGISTER_COUNT; i++)
		machine.registers[i] = UINT64_C(0x700000000) + (next_random() & 0xffffff8);
	machine.registers[SP] = UINT64_C(0x600000000) + (next_random() & 0xffffff8);
	machine.registers[RA] = pc;
	return machine;
}

/* ---- what libdw says ---- */

enum value_kind { VALUE_UNDEFINED, VALUE_KNOWN, VALUE_NOT_UNDERSTOOD };

struct value {
	enum value_kind kind;
	uint64_t value;
};

struct stack {
	uint64_t words[STACK_COUNT_MAX];
	unsigned count;
	bool failed;
};

static void push(struct stack *stack, uint64_t word)
{
	if (stack->count < STACK_COUNT_MAX)
		stack->words[stack->count++] = word;
	else
		stack->failed = true;
}

static uint64_t pop(struct stack *stack)
{
	if (stack->count > 0)
		return stack->words[--stack->count];
	stack->failed = true;
	return 0;
}

static void do_binary(struct stack *stack, uint8_t atom)
{
	uint64_t b = pop(stack);
	uint64_t a = pop(stack);

	switch (atom) {
	case DW_OP_plus:
		push(stack, a + b);
		break;
	case DW_OP_minus:
		push(stack, a - b);
		break;
	case DW_OP_mul:
		push(stack, a * b);
		break;
	case DW_OP_and:
		push(stack, a & b);
		break;
	case DW_OP_shl:
		push(stack, a << b);
		break;
	case DW_OP_ge:
		push(stack, (int64_t)a >= (int64_t)b);
		break;
	default:
		stack->failed = true;
	}
}

/* The location's address, or with is_value the value itself. */
static bool evaluate(const struct machine *machine, uint64_t cfa, const Dwarf_Op *ops, size_t count,
		     uint64_t *ret, bool *ret_is_value)
{
	struct stack stack = { .count = 0 };
	bool is_value = false;

	for (size_t i = 0; i < count && !stack.failed; i++) {
		const Dwarf_Op *op = &ops[i];

		if (op->atom >= DW_OP_breg0 && op->atom <= DW_OP_breg16) {
			push(&stack, machine->registers[op->atom - DW_OP_breg0] + op->number);
		} else if (op->atom >= DW_OP_lit0 && op->atom <= DW_OP_lit31) {
			push(&stack, (uint64_t)op->atom - DW_OP_lit0);
		} else if (op->atom == DW_OP_bregx && op->number < REGISTER_COUNT) {
			push(&stack, machine->registers[op->number] + op->number2);
		} else if (op->atom == DW_OP_regx && op->number < REGISTER_COUNT) {
			push(&stack, machine->registers[op->number]);
			is_value = true;
		} else if (op->atom >= DW_OP_reg0 && op->atom <= DW_OP_reg16) {
			push(&stack, machine->registers[op->atom - DW_OP_reg0]);
			is_value = true;
		} else if (op->atom == DW_OP_call_frame_cfa) {
			push(&stack, cfa);
		} else if (op->atom == DW_OP_plus_uconst) {
			push(&stack, pop(&stack) + op->number);
		} else if (op->atom == DW_OP_deref) {
			push(&stack, word_at(pop(&stack)));
		} else if (op->atom == DW_OP_stack_value) {
			is_value = true;
		} else {
			do_binary(&stack, op->atom);
		}
	}
	*ret = pop(&stack);
	*ret_is_value = is_value;
	return !stack.failed;
}

static struct value register_of(Dwarf_Frame *frame, const struct machine *machine, uint64_t cfa,
				int number)
{
	Dwarf_Op room[3];
	Dwarf_Op *ops;
	size_t count;
	uint64_t found;
	bool is_value;

	if (dwarf_frame_register(frame, number, room, &ops, &count))
		return (struct value){ .kind = VALUE_NOT_UNDERSTOOD };
	if (count == 0)
		return ops ? (struct value){ .kind = VALUE_UNDEFINED }
			   : (struct value){ VALUE_KNOWN, machine->registers[number] };
	if (!evaluate(machine, cfa, ops, count, &found, &is_value))
		return (struct value){ .kind = VALUE_NOT_UNDERSTOOD };
	return (struct value){ VALUE_KNOWN, is_value ? found : word_at(found) };
}

/* ---- the comparison ---- */

struct counts {
	uint64_t files, functions, rows, addresses, differences;
	uint64_t unsupported; /* rows that we say we can't follow */
	uint64_t fp_lost;     /* rows whose frame pointer we say we can't tell */
};

static int step_by(uint64_t rule, const struct machine *machine, struct unwind_frame *ret)
{
	static const uint8_t places[16] = { 10, 12, 11, 5, 13, 14, 4, 15, 9, 8, 7, 6, 3, 2, 1, 0 };
	__u64 leaf[16];

	for (unsigned i = 0; i < 16; i++)
		leaf[places[i]] = machine->registers[i];
	*ret = (struct unwind_frame){ .pc = machine->registers[RA],
				      .sp = machine->registers[SP],
				      .fp = machine->registers[FP] };
	return unwind_step(ret, rule, leaf, read_word, NULL);
}

static bool caller_is(const struct unwind_frame *frame, struct value sp, struct value ra,
		      struct value fp, uint64_t rule, struct counts *counts)
{
	if (frame->sp != sp.value || ra.kind != VALUE_KNOWN || frame->pc != ra.value)
		return false;
	if (unwind_rule_fp(rule) == UNWIND_FP_LOST) {
		counts->fp_lost++;
		return frame->fp == UNWIND_FP_UNKNOWN;
	}
	return fp.kind == VALUE_KNOWN && frame->fp == fp.value;
}

/* Whether a step at this address is what libdw says. */
static bool is_same(Dwarf_Frame *frame, uint64_t rule, uint64_t pc, struct counts *counts)
{
	struct machine machine = some_machine(pc);
	struct unwind_frame caller;
	int outcome = step_by(rule, &machine, &caller);
	Dwarf_Op *ops;
	size_t count;
	uint64_t cfa = 0;
	bool is_value;
	bool has_cfa = dwarf_frame_cfa(frame, &ops, &count) == 0 &&
		       evaluate(&machine, 0, ops, count, &cfa, &is_value);
	struct value ra = register_of(frame, &machine, cfa, RA);
	struct value fp = register_of(frame, &machine, cfa, FP);
	struct value sp = register_of(frame, &machine, cfa, SP);

	/* The same as in the callee: the convention is that it is the CFA. */
	if (sp.value == machine.registers[SP])
		sp.value = cfa;

	counts->addresses++;
	if (ra.kind == VALUE_UNDEFINED)
		return outcome == UNWIND_END;
	if (outcome == UNWIND_UNSUPPORTED) {
		counts->unsupported++;
		return true;
	}
	return outcome == UNWIND_NEXT && has_cfa && caller_is(&caller, sp, ra, fp, rule, counts);
}

static uint64_t to_vaddr(struct elf_file *elf, uint64_t offset)
{
	size_t count;
	const struct elf_segment *segments = elf_file_segments(elf, &count);

	for (size_t i = 0; i < count; i++)
		if (offset >= segments[i].offset && offset - segments[i].offset < segments[i].size)
			return offset - segments[i].offset + segments[i].vaddr;
	fail();
	return 0;
}

struct comparison {
	const char *path;
	struct elf_file *elf;
	Dwarf_CFI *cfi;
	struct unwind_table table;
	struct counts *counts;
};

static void compare_at(const struct comparison *c, Dwarf_Frame *frame, uint64_t vaddr,
		       uint64_t offset)
{
	uint64_t rule = unwind_table_find(&c->table, offset);

	if (is_same(frame, rule, vaddr, c->counts))
		return;
	if (c->counts->differences++ < 20)
		print_message("%s: at %#lx our rule is %#lx\n", c->path, (unsigned long)vaddr,
			      (unsigned long)rule);
}

/* Code by hand begins so that saves all registers: push %rax, %rbx, %rcx, %rdx. */
static bool pushes_all(const struct elf_file *elf, uint64_t vaddr)
{
	static const uint8_t pushes[] = { 0x50, 0x53, 0x51, 0x52 };
	uint8_t code[sizeof(pushes)];

	return elf_file_read(elf, vaddr, code, sizeof(code)) == 0 &&
	       memcmp(code, pushes, sizeof(code)) == 0;
}

/* What we know from the code itself, or from Go's table in a program that has both. */
static bool is_from_elsewhere(const struct comparison *c, const struct unwind_function *function)
{
	uint32_t cfa = unwind_rule_cfa(unwind_table_find(&c->table, function->start));

	return c->table.header->sources & UNWIND_FROM_PCLNTAB ||
	       (c->table.header->sources & UNWIND_FROM_CODE &&
		(cfa == UNWIND_CFA_STOP || cfa == UNWIND_CFA_SIGNAL ||
		 pushes_all(c->elf, to_vaddr(c->elf, function->start))));
}

/* Whether the row there is only for callers: that of a call's last byte, see unwind_saved.h. */
static bool is_for_callers(const struct comparison *c, uint64_t offset)
{
	return unwind_rule_cfa(unwind_table_find(&c->table, offset)) == UNWIND_CFA_DEREFERENCED &&
	       unwind_rule_cfa(unwind_table_find(&c->table, offset - 1)) == UNWIND_CFA_REGISTER;
}

static void compare_function(const struct comparison *c, const struct unwind_function *function)
{
	uint64_t vaddr = to_vaddr(c->elf, function->start);
	uint64_t end = vaddr + function->size;
	uint64_t bias = vaddr - function->start;

	c->counts->functions++;
	for (uint64_t next = vaddr; next < end;) {
		Dwarf_Frame *frame = NULL;
		Dwarf_Addr row_start, row_end;
		bool is_signal;

		if (dwarf_cfi_addrframe(c->cfi, next, &frame)) {
			if (is_from_elsewhere(c, function))
				return;
			c->counts->differences++;
			print_message("%s: libdw has no frame at %#lx: %s\n", c->path,
				      (unsigned long)next, dwarf_errmsg(-1));
			return;
		}
		dwarf_frame_info(frame, &row_start, &row_end, &is_signal);
		if (row_end > end || row_end <= next)
			row_end = end;
		c->counts->rows++;
		compare_at(c, frame, next, next - bias);
		if (row_end - next > 1) {
			uint64_t any = next + 1 + next_random() % (row_end - next - 1);

			if (is_for_callers(c, any - bias))
				any--;
			compare_at(c, frame, any, any - bias);
		}
		free(frame);
		next = row_end;
	}
}

static void compare_all(struct elf_file *elf, Dwarf_CFI *cfi, const char *path,
			struct counts *counts)
{
	autoclean(buf) struct buf buf = BUF(64 << 20);
	struct identity identity = elf_file_build_id(elf);
	struct comparison comparison = { .path = path, .elf = elf, .cfi = cfi, .counts = counts };

	int err = unwind_maker_make(elf, NULL, &identity, &buf);

	/* Data only, as ICU's. */
	if (err == -ENODATA)
		return;
	assert_int_equal(err, 0);
	assert_int_equal(unwind_table_check(buf.bytes, buf.size, &comparison.table), 0);
	if (!(comparison.table.header->sources & UNWIND_FROM_EH_FRAME))
		return;
	counts->files++;
	for (uint32_t i = 0; i < comparison.table.header->function_count; i++)
		compare_function(&comparison, &comparison.table.functions[i]);
}

static void compare_file(const char *path, struct counts *counts)
{
	autoclean(elf_file) struct elf_file *elf = NULL;
	autoclose int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0 || elf_file_open(fd, &elf) || elf_file_machine(elf) != EM_X86_64)
		return;

	Elf *foreign = elf_begin(fd, ELF_C_READ_MMAP, NULL);
	Dwarf_CFI *cfi = foreign ? dwarf_getcfi_elf(foreign) : NULL;
	struct counts before = *counts;

	if (cfi)
		compare_all(elf, cfi, path, counts);
	if (counts->files > before.files)
		print_message("%lu functions, %lu rows, %lu unsupported, %lu without frame "
			      "pointer: %s\n",
			      (unsigned long)(counts->functions - before.functions),
			      (unsigned long)(counts->rows - before.rows),
			      (unsigned long)(counts->unsupported - before.unsupported),
			      (unsigned long)(counts->fp_lost - before.fp_lost), path);
	dwarf_cfi_end(cfi);
	elf_end(foreign);
}

static void compare_trees(struct counts *counts)
{
	static char lib[] = "/usr/lib", bin[] = "/usr/bin", sbin[] = "/usr/sbin";
	static char *const roots[] = { lib, bin, sbin, NULL };
	FTS *tree = fts_open(roots, FTS_PHYSICAL | FTS_NOCHDIR, NULL);
	FTSENT *entry;

	assert_non_null(tree);
	while ((entry = fts_read(tree)))
		if (entry->fts_info == FTS_F && entry->fts_statp->st_size > 4096)
			compare_file(entry->fts_accpath, counts);
	fts_close(tree);
}

static void every_rule_is_what_libdw_says(void **state)
{
	const char *which = getenv("HEARTH_ORACLE");
	struct counts counts = { .files = 0 };

	(void)state;
	assert_int_not_equal(elf_version(EV_CURRENT), EV_NONE);
	if (which && strcmp(which, "all") == 0)
		compare_trees(&counts);
	else
		for (unsigned i = 0; i < SOME_COUNT; i++)
			compare_file(some_files[i], &counts);
	print_message("%lu files, %lu functions, %lu rows, %lu addresses: %lu differences, %lu "
		      "unsupported, %lu without frame pointer\n",
		      (unsigned long)counts.files, (unsigned long)counts.functions,
		      (unsigned long)counts.rows, (unsigned long)counts.addresses,
		      (unsigned long)counts.differences, (unsigned long)counts.unsupported,
		      (unsigned long)counts.fp_lost);
	assert_true(counts.files >= 10 && counts.rows > 100000);
	assert_int_equal(counts.differences, 0);
	/* One row in a thousand at most is honestly not followed. */
	assert_true(counts.unsupported * 1000 < counts.addresses);
}

int main(void)
{
	const char *wanted = getenv("HEARTH_SEED");
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_rule_is_what_libdw_says),
	};

	seed = wanted ? strtoull(wanted, NULL, 0) : (uint64_t)getpid() * 2654435761U + 1;
	print_message("HEARTH_SEED=%lu\n", (unsigned long)seed);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
