/* SPDX-License-Identifier: Apache-2.0 */
#include "symbols/elf_plt.h"

#include <assert.h>
#include <elf.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"

enum {
	STUB_ALIGNMENT = 8, /* .plt.got without endbr64; all others have 16 */
	JUMP_SIZE = 6,	    /* ff 25 and 32 bits of displacement */
};

struct slot {
	uint64_t vaddr;
	uint32_t name; /* offset in the strings */
};

static int compare_slots(const void *left, const void *right)
{
	const struct slot *a = left;
	const struct slot *b = right;

	return (a->vaddr > b->vaddr) - (a->vaddr < b->vaddr);
}

/* The slots that relocations fill with addresses of functions, in order. */
static int read_slots(const struct elf_plt *plt, struct slot *slots, size_t *ret_count)
{
	size_t symbol_count = plt->symbols.size / sizeof(Elf64_Sym);
	size_t count = 0;

	for (size_t i = 0; i < plt->relocations.size / sizeof(Elf64_Rela); i++) {
		Elf64_Rela relocation;
		Elf64_Sym symbol;

		memcpy(&relocation, plt->relocations.text + i * sizeof(relocation),
		       sizeof(relocation));

		uint64_t type = ELF64_R_TYPE(relocation.r_info);
		uint64_t number = ELF64_R_SYM(relocation.r_info);

		if ((type != R_X86_64_JUMP_SLOT && type != R_X86_64_GLOB_DAT) || number == 0 ||
		    number >= symbol_count)
			continue;
		memcpy(&symbol, plt->symbols.text + number * sizeof(symbol), sizeof(symbol));
		if (symbol.st_name >= plt->strings.size)
			continue;
		if (count == ELF_PLT_SLOT_COUNT_MAX)
			return -EFBIG;
		slots[count++] =
			(struct slot){ .vaddr = relocation.r_offset, .name = symbol.st_name };
	}
	qsort(slots, count, sizeof(slots[0]), compare_slots);
	*ret_count = count;
	return 0;
}

/* The slot through which the code at this offset jumps: [endbr64] [bnd] jmp *displacement(%rip). */
static bool find_jump(const struct elf_plt *plt, size_t offset, uint64_t *ret_slot_vaddr)
{
	static const uint8_t endbr64[] = { 0xf3, 0x0f, 0x1e, 0xfa };
	const uint8_t *code = (const uint8_t *)plt->code.text;
	size_t i = offset;
	int32_t displacement;

	if (plt->code.size - i >= sizeof(endbr64) &&
	    memcmp(code + i, endbr64, sizeof(endbr64)) == 0)
		i += sizeof(endbr64);
	if (i < plt->code.size && code[i] == 0xf2)
		i++;
	if (plt->code.size - i < JUMP_SIZE || code[i] != 0xff || code[i + 1] != 0x25)
		return false;
	memcpy(&displacement, code + i + 2, sizeof(displacement));
	*ret_slot_vaddr = plt->code_vaddr + i + JUMP_SIZE + (uint64_t)(int64_t)displacement;
	return true;
}

int elf_plt_add(const struct elf_plt *plt, struct symbol_table *table)
{
	autofree struct slot *slots = calloc(ELF_PLT_SLOT_COUNT_MAX, sizeof(*slots));
	size_t slot_count = 0;

	if (!slots)
		return -ENOMEM;
	if (plt->code_vaddr > UINT64_MAX - plt->code.size)
		return -EBADMSG;

	int err = read_slots(plt, slots, &slot_count);

	for (size_t i = 0; !err && i < plt->code.size; i += STUB_ALIGNMENT) {
		struct slot key = { .vaddr = 0 };
		uint64_t next;

		if (!find_jump(plt, i, &key.vaddr))
			continue;

		const struct slot *slot =
			bsearch(&key, slots, slot_count, sizeof(slots[0]), compare_slots);
		if (!slot)
			continue;

		bool is_short = i % 16 != 0 || (i + STUB_ALIGNMENT < plt->code.size &&
						find_jump(plt, i + STUB_ALIGNMENT, &next));
		struct symbol symbol = {
			.start = plt->code_vaddr + i,
			.size = is_short ? STUB_ALIGNMENT : 2 * STUB_ALIGNMENT,
			.end_max = plt->code_vaddr + plt->code.size,
			.name = plt->strings.text + slot->name,
			.name_size_max = (uint32_t)(plt->strings.size - slot->name),
			.binding = SYMBOL_LOCAL,
			.stub = true,
		};

		err = symbol_table_add(table, &symbol);
	}
	return err;
}
