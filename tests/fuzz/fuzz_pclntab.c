/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Go's table of program counters: what comes of it must be a table that the collector takes, and
 * names that lie in it; lines and inlined calls must be sound. For those the table lies in a file.
 */
#include <assert.h>
#include <elf.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/unwind_table.h"
#include "symbols/go_lines.h"
#include "symbols/go_pclntab.h"
#include "symbols/line_table.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

enum {
	TEXT_VADDR = 0x401000,
	TABLE_SIZE_MAX = 64 << 20,
	TABLE_OFFSET = 0x1000,
	FUZZ_SIZE_MAX = 1 << 20,
};

static void read_names(const struct go_pclntab *pclntab, const struct elf_segment *everywhere)
{
	autoclean(symbol_table) struct symbol_table symbols;

	symbol_table_init(&symbols);
	if (go_pclntab_add_symbols(pclntab, everywhere, 1, &symbols) ||
	    symbol_table_build(&symbols))
		return;
	for (uint32_t i = 1; i < symbols.count; i++)
		assert(symbols.starts[i] > symbols.starts[i - 1]);
}

/* A program that is a header, a Go build id, and the table. */
struct program {
	Elf64_Ehdr header;
	Elf64_Phdr load, note;
	struct {
		Elf64_Nhdr header;
		char name[4], id[4];
	} build_id;
	uint8_t padding[TABLE_OFFSET - sizeof(Elf64_Ehdr) - 2 * sizeof(Elf64_Phdr) -
			sizeof(Elf64_Nhdr) - 8];
};

static int make_program(const uint8_t *bytes, size_t size)
{
	const struct program program = {
		.header = { .e_ident = { 0x7f, 'E', 'L', 'F', ELFCLASS64, ELFDATA2LSB, EV_CURRENT },
			    .e_type = ET_EXEC,
			    .e_machine = EM_X86_64,
			    .e_version = EV_CURRENT,
			    .e_phoff = offsetof(struct program, load),
			    .e_ehsize = sizeof(Elf64_Ehdr),
			    .e_phentsize = sizeof(Elf64_Phdr),
			    .e_phnum = 2,
			    .e_shentsize = sizeof(Elf64_Shdr) },
		.load = { .p_type = PT_LOAD,
			  .p_flags = PF_R | PF_X,
			  .p_vaddr = TEXT_VADDR,
			  .p_filesz = TABLE_OFFSET + size,
			  .p_memsz = TABLE_OFFSET + size },
		.note = { .p_type = PT_NOTE,
			  .p_offset = offsetof(struct program, build_id),
			  .p_filesz = sizeof(program.build_id) },
		.build_id = { .header = { .n_namesz = 4, .n_descsz = 4, .n_type = 4 },
			      .name = "Go",
			      .id = "abc" },
	};
	int fd = memfd_create("fuzz", MFD_CLOEXEC);

	static_assert(sizeof(program) == TABLE_OFFSET, "the table follows it");
	if (fd < 0 || pwrite(fd, &program, sizeof(program), 0) != (ssize_t)sizeof(program) ||
	    pwrite(fd, bytes, size, TABLE_OFFSET) != (ssize_t)size)
		abort();
	return fd;
}

static void read_lines(const uint8_t *bytes, size_t size)
{
	autoclose int fd = make_program(bytes, size);
	autoclean(elf_file) struct elf_file *elf = NULL;
	autoclean(go_lines) struct go_lines *go = NULL;
	autoclean(line_table) struct line_table lines;

	line_table_init(&lines);
	if (elf_file_open(fd, &elf) || go_lines_open(elf, &go))
		return;
	for (uint64_t distance = 0; distance < 0x1000; distance += 0x40)
		(void)go_lines_add(go, TEXT_VADDR + distance, &lines);
	if (line_table_build(&lines))
		return;

	struct line_rows rows = line_table_rows(&lines);

	assert(line_rows_are_sound(&rows, lines.texts.size));
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	const struct elf_segment everywhere = { .offset = 0, .vaddr = 0, .size = INT32_MAX };
	const struct unwind_table_header about = { .machine = EM_X86_64 };
	const struct go_pclntab pclntab = {
		.bytes = bytes,
		.size = size,
		.text = TEXT_VADDR,
		.entry = TEXT_VADDR,
	};
	autoclean(unwind_rows) struct unwind_rows rows;
	autoclean(buf) struct buf buf = BUF(TABLE_SIZE_MAX);
	struct unwind_table table;

	read_names(&pclntab, &everywhere);
	if (size > 0 && size < FUZZ_SIZE_MAX)
		read_lines(bytes, size);
	unwind_rows_init(&rows, &everywhere, 1);
	if (go_pclntab_add(&pclntab, &rows) || unwind_rows_build(&rows, &about, &buf))
		return 0;
	assert(unwind_table_check(buf.bytes, buf.size, &table) == 0);
	for (uint32_t i = 0; i < table.header->function_count; i++)
		(void)unwind_table_find(&table, table.functions[i].start);
	return 0;
}
