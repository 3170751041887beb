/* SPDX-License-Identifier: Apache-2.0 */
#include "symbols/go_pclntab.h"

#include <errno.h>
#include <string.h>

#include "base/str.h"
#include "symbols/dwarf_reader.h"

/* ---- functions ---- */

struct function {
	uint64_t vaddr;
	uint64_t size;
	struct str name; /* without ".abi0" */
	uint64_t depths; /* offset of its table */
};

static bool read_function(const struct go_pclntab *table, const struct go_layout *layout,
			  uint64_t number, struct function *ret)
{
	struct go_function function;

	if (!go_function_read(table, layout, number, &function))
		return false;
	*ret = (struct function){
		.vaddr = function.vaddr,
		.size = function.size,
		.name = function.name,
		.depths =
			layout->values + go_number_at(table, function.data + GO_FUNCTION_DEPTHS, 4),
	};
	if (str_ends_with(ret->name, STR(".abi0")))
		ret->name.size -= strlen(".abi0");
	return true;
}

/* ---- rules ---- */

enum special {
	SPECIAL_NONE,
	SPECIAL_STOP,
	SPECIAL_SIGNAL,
	/* Calls on another stack, with the frame pointer on its own. */
	SPECIAL_OTHER_STACK,
};

static enum special special_of(const struct function *function)
{
	static const struct {
		struct str name;
		enum special special;
	} specials[] = {
		{ STR("runtime.goexit"), SPECIAL_STOP },
		{ STR("runtime.mstart"), SPECIAL_STOP },
		{ STR("runtime.rt0_go"), SPECIAL_STOP },
		/* It leaves its goroutine for the scheduler's stack and does not come back. */
		{ STR("runtime.mcall"), SPECIAL_STOP },
		{ STR("runtime.morestack"), SPECIAL_STOP },
		{ STR("runtime.sigreturn"), SPECIAL_SIGNAL },
		{ STR("runtime.sigreturn__sigaction"), SPECIAL_SIGNAL },
		{ STR("runtime.systemstack"), SPECIAL_OTHER_STACK },
		{ STR("runtime.asmcgocall"), SPECIAL_OTHER_STACK },
		{ STR("runtime.nanotime1"), SPECIAL_OTHER_STACK },
		{ STR("runtime.walltime"), SPECIAL_OTHER_STACK },
		{ STR("time.now"), SPECIAL_OTHER_STACK },
	};

	for (size_t i = 0; i < sizeof(specials) / sizeof(specials[0]); i++)
		if (str_equal(function->name, specials[i].name))
			return specials[i].special;
	return SPECIAL_NONE;
}

static uint64_t rule_at(enum special special, int64_t depth)
{
	/* The compiler saves the frame pointer right below the return address. */
	if (special == SPECIAL_OTHER_STACK && depth > 0)
		return unwind_rule(UNWIND_CFA_FP_OTHER_STACK, 0, UNWIND_FP_SAVED, UNWIND_RA_SAVED,
				   -16, 16);
	if (depth < 0 || depth > INT32_MAX - 8)
		return unwind_rule(UNWIND_CFA_UNSUPPORTED, 0, 0, 0, 0, UNWIND_UNSUPPORTED_OFFSET);
	return unwind_rule(UNWIND_CFA_SP, 0, depth >= 8 ? UNWIND_FP_SAVED : UNWIND_FP_SAME,
			   UNWIND_RA_SAVED, depth >= 8 ? -16 : 0, (int32_t)depth + 8);
}

/* Pairs of a change of the depth and the bytes for which it holds, from −1 on. */
static int add_depths(const struct go_pclntab *table, const struct function *function,
		      enum special special, struct unwind_rows *rows)
{
	uint64_t left = function->depths < table->size ? table->size - function->depths : 0;
	struct dwarf_reader bytes = dwarf_reader(table->bytes + (table->size - left), left);
	uint64_t distance = 0;
	int64_t depth = -1;

	while (distance < function->size) {
		uint64_t change = dwarf_uleb(&bytes);
		uint64_t length;

		if (change == 0 && distance > 0)
			return 0;
		length = dwarf_uleb(&bytes);
		if (bytes.failed || length == 0 || change > UINT32_MAX)
			return -EBADMSG;
		depth += change & 1 ? -(int64_t)(change >> 1) - 1 : (int64_t)(change >> 1);

		int err =
			unwind_rows_add(rows, function->vaddr + distance, rule_at(special, depth));

		if (err)
			return err;
		if (length > function->size - distance)
			return 0;
		distance += length;
	}
	return 0;
}

static int add_function(const struct go_pclntab *table, const struct function *function,
			struct unwind_rows *rows)
{
	enum special special = special_of(function);
	int err;

	if (table->entry && function->vaddr == table->entry)
		special = SPECIAL_STOP;
	/* A byte early: the kernel's return there is looked up like any other, one before. */
	if (special == SPECIAL_SIGNAL) {
		err = unwind_rows_begin(rows, function->vaddr - 1, function->size + 1);
		return err ? err
			   : unwind_rows_add(rows, function->vaddr - 1,
					     unwind_rule(UNWIND_CFA_SIGNAL, 0, 0, 0, 0, 0));
	}
	err = unwind_rows_begin(rows, function->vaddr, function->size);
	if (err)
		return err;
	if (special == SPECIAL_STOP)
		return unwind_rows_add(rows, function->vaddr,
				       unwind_rule(UNWIND_CFA_STOP, 0, 0, 0, 0, 0));
	err = add_depths(table, function, special, rows);
	if (err == -EBADMSG) {
		unwind_rows_drop(rows);
		err = 0;
	}
	return err;
}

int go_pclntab_add(const struct go_pclntab *table, struct unwind_rows *rows)
{
	struct go_layout layout;

	if (!go_layout_read(table, &layout))
		return -EBADMSG;
	for (uint64_t i = 0; i < layout.function_count; i++) {
		struct function function;
		int err = -ENOENT;

		if (read_function(table, &layout, i, &function))
			err = add_function(table, &function, rows);
		if (err == -ENOENT)
			rows->refused_count++;
		else if (err)
			return err;
	}
	return 0;
}

/* ---- names ---- */

static bool holds(const struct elf_segment *segments, size_t segment_count, uint64_t vaddr)
{
	for (size_t i = 0; i < segment_count; i++)
		if (vaddr >= segments[i].vaddr && vaddr - segments[i].vaddr < segments[i].size)
			return true;
	return false;
}

int go_pclntab_add_symbols(const struct go_pclntab *table, const struct elf_segment *segments,
			   size_t segment_count, struct symbol_table *symbols)
{
	struct go_layout layout;
	int err = 0;

	if (!go_layout_read(table, &layout))
		return -EBADMSG;
	for (uint64_t i = 0; i < layout.function_count && !err; i++) {
		struct go_function function;

		if (!go_function_read(table, &layout, i, &function) ||
		    function.size > UINT64_MAX - function.vaddr ||
		    !holds(segments, segment_count, function.vaddr))
			continue;
		err = symbol_table_add(symbols,
				       &(struct symbol){
					       .start = function.vaddr,
					       .size = function.size,
					       .end_max = function.vaddr + function.size,
					       .name = function.name.text,
					       .name_size_max = (uint32_t)function.name.size,
					       .preferred = true,
				       });
	}
	return err;
}

/* ---- finding it ---- */

/* mov $15, %rax; syscall: what runtime.sigreturn is, in every version. */
static const uint8_t signal_return[] = { 0x48, 0xc7, 0xc0, 0x0f, 0, 0, 0, 0x0f, 0x05 };

static bool find_function(const struct go_pclntab *table, const struct go_layout *layout,
			  struct function *ret)
{
	for (uint64_t i = 0; i < layout->function_count; i++)
		if (read_function(table, layout, i, ret) && special_of(ret) == SPECIAL_SIGNAL)
			return true;
	return false;
}

/* The code of a segment that holds the mark at the address that the table says. */
static bool find_text_in(struct elf_file *elf, const struct elf_segment *segment, uint64_t offset,
			 uint64_t *ret_text)
{
	struct elf_bytes code;

	if (elf_file_from(elf, segment->vaddr, GO_PCLNTAB_SIZE_MAX, &code))
		return false;

	const uint8_t *found = memmem(code.bytes, code.size, signal_return, sizeof(signal_return));

	if (!found || code.vaddr + (uint64_t)(found - code.bytes) < offset)
		return false;
	*ret_text = code.vaddr + (uint64_t)(found - code.bytes) - offset;
	return true;
}

static bool is_text(struct elf_file *elf, uint64_t text, uint64_t offset)
{
	uint8_t code[sizeof(signal_return)];

	return text != 0 && elf_file_read(elf, text + offset, code, sizeof(code)) == 0 &&
	       memcmp(code, signal_return, sizeof(code)) == 0;
}

/*
 * Functions are told by their distance from the start of Go's code. That is where .text begins, but
 * for programs with C in them; the header told it up to 1.25. One function's code is the same in
 * all versions, and nowhere else in a program: it shows whether a start is right, or which is.
 */
static int find_text(struct elf_file *elf, struct go_pclntab *table)
{
	struct go_layout layout;
	struct function mark;
	struct elf_bytes text;
	size_t segment_count;
	const struct elf_segment *segments = elf_file_segments(elf, &segment_count);

	if (!go_layout_read(table, &layout))
		return -ENOENT;
	if (layout.has_addresses)
		return 0;
	table->text = 0;
	if (!find_function(table, &layout, &mark))
		return -ENOENT;
	table->text = layout.text;
	if (is_text(elf, table->text, mark.vaddr))
		return 0;
	if (elf_file_section(elf, STR(".text"), GO_PCLNTAB_SIZE_MAX, &text) == 0) {
		table->text = text.vaddr;
		if (is_text(elf, table->text, mark.vaddr))
			return 0;
	}
	for (size_t i = 0; i < segment_count; i++)
		if (find_text_in(elf, &segments[i], mark.vaddr, &table->text))
			return 0;
	return -ENOENT;
}

static bool is_table(struct elf_file *elf, struct elf_bytes bytes, struct go_pclntab *ret)
{
	struct go_pclntab table = {
		.bytes = bytes.bytes,
		.size = bytes.size,
		.vaddr = bytes.vaddr,
		.entry = elf_file_entry(elf),
	};

	if (find_text(elf, &table))
		return false;
	*ret = table;
	return true;
}

/* A linker other than Go's puts it among other constants, without a name. */
static int search_table(struct elf_file *elf, struct go_pclntab *ret)
{
	/* The low byte of the magic differs between versions. */
	static const uint8_t head[] = { 0xff, 0xff, 0xff, 0, 0, 1, 8 };
	size_t load_count;
	const struct elf_segment *loads = elf_file_loads(elf, &load_count);

	for (size_t i = 0; i < load_count; i++) {
		struct elf_bytes bytes;
		const uint8_t *next;

		if (elf_file_from(elf, loads[i].vaddr, GO_PCLNTAB_SIZE_MAX, &bytes))
			continue;
		next = bytes.bytes;
		while ((next = memmem(next, (size_t)(bytes.bytes + bytes.size - next), head,
				      sizeof(head)))) {
			size_t offset = (size_t)(next - bytes.bytes) - 1;
			struct elf_bytes from = { bytes.bytes + offset, bytes.size - offset,
						  bytes.vaddr + offset };

			if (next > bytes.bytes && from.vaddr % 8 == 0 && is_table(elf, from, ret))
				return 0;
			next++;
		}
	}
	return -ENOENT;
}

int go_pclntab_find(struct elf_file *elf, struct go_pclntab *ret)
{
	static const struct str names[] = { STR(".gopclntab"), STR(".data.rel.ro.gopclntab") };

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		struct elf_bytes bytes;

		if (elf_file_section(elf, names[i], GO_PCLNTAB_SIZE_MAX, &bytes) == 0 &&
		    is_table(elf, bytes, ret))
			return 0;
	}
	return elf_file_has_go_build_id(elf) ? search_table(elf, ret) : -ENOENT;
}
