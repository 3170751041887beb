/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/elf_maker.h"

#include <assert.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { TABLE_SIZE_MAX = 4 << 20 };

static const char section_names[] = "\0.text\0.symtab\0.strtab\0.shstrtab\0.note.gnu.build-id";

struct note {
	Elf64_Nhdr header;
	char name[4];
	uint8_t id[ELF_MAKER_BUILD_ID_SIZE];
};

static const uint8_t own_build_id[ELF_MAKER_BUILD_ID_SIZE] = { 0xab, 0xcd, 0xef, 1, 2, 3 };

static void pad_to(struct buf *file, size_t size)
{
	assert(file->size <= size);

	size_t more = size - file->size;
	void *room = buf_grow(file, more);

	assert(room);
	memset(room, 0, more);
}

static void add_symbols(struct buf *symtab, struct buf *strtab,
			const struct elf_maker_symbol *symbols, size_t count)
{
	buf_add(symtab, &(Elf64_Sym){ .st_name = 0 }, sizeof(Elf64_Sym));
	buf_add_u8(strtab, 0);
	for (size_t i = 0; i < count; i++) {
		Elf64_Sym symbol = {
			.st_name = (uint32_t)strtab->size,
			.st_info = ELF64_ST_INFO(symbols[i].binding, symbols[i].type),
			.st_shndx = ELF_MAKER_TEXT_SECTION,
			.st_value = ELF_MAKER_TEXT_VADDR + symbols[i].start,
			.st_size = symbols[i].size,
		};

		buf_add(symtab, &symbol, sizeof(symbol));
		buf_add(strtab, symbols[i].name, strlen(symbols[i].name) + 1);
	}
}

void elf_maker_make_large(struct buf *file, const uint8_t *build_id, size_t text_size,
			  const struct elf_maker_symbol *symbols, size_t count)
{
	struct buf symtab = BUF(TABLE_SIZE_MAX);
	struct buf strtab = BUF(TABLE_SIZE_MAX);
	struct note note = { { 4, ELF_MAKER_BUILD_ID_SIZE, NT_GNU_BUILD_ID }, "GNU", { 0 } };

	memcpy(note.id, build_id, sizeof(note.id));
	add_symbols(&symtab, &strtab, symbols, count);
	assert(file->size == 0 && !symtab.error && !strtab.error);

	size_t symtab_offset = ELF_MAKER_TEXT_OFFSET + text_size;
	size_t strtab_offset = symtab_offset + symtab.size;
	size_t names_offset = strtab_offset + strtab.size;
	size_t note_offset = (names_offset + sizeof(section_names) + 7) / 8 * 8;
	size_t sections_offset = (note_offset + sizeof(note) + 7) / 8 * 8;
	Elf64_Ehdr header = {
		.e_ident = { 0x7f, 'E', 'L', 'F', ELFCLASS64, ELFDATA2LSB, EV_CURRENT },
		.e_type = ET_DYN,
		.e_machine = EM_X86_64,
		.e_version = EV_CURRENT,
		.e_phoff = sizeof(header),
		.e_shoff = sections_offset,
		.e_ehsize = sizeof(header),
		.e_phentsize = sizeof(Elf64_Phdr),
		.e_phnum = 1,
		.e_shentsize = sizeof(Elf64_Shdr),
		.e_shnum = ELF_MAKER_SECTION_COUNT,
		.e_shstrndx = 4,
	};
	Elf64_Phdr segment = {
		.p_type = PT_LOAD,
		.p_flags = PF_R | PF_X,
		.p_offset = ELF_MAKER_TEXT_OFFSET,
		.p_vaddr = ELF_MAKER_TEXT_VADDR,
		.p_filesz = text_size,
		.p_memsz = text_size,
	};
	Elf64_Shdr sections[ELF_MAKER_SECTION_COUNT] = {
		{ .sh_name = 0 },
		{ .sh_name = 1,
		  .sh_type = SHT_PROGBITS,
		  .sh_flags = SHF_ALLOC | SHF_EXECINSTR,
		  .sh_addr = ELF_MAKER_TEXT_VADDR,
		  .sh_offset = ELF_MAKER_TEXT_OFFSET,
		  .sh_size = text_size },
		{ .sh_name = 7,
		  .sh_type = SHT_SYMTAB,
		  .sh_offset = symtab_offset,
		  .sh_size = symtab.size,
		  .sh_link = ELF_MAKER_STRTAB_SECTION,
		  .sh_entsize = sizeof(Elf64_Sym) },
		{ .sh_name = 15,
		  .sh_type = SHT_STRTAB,
		  .sh_offset = strtab_offset,
		  .sh_size = strtab.size },
		{ .sh_name = 23,
		  .sh_type = SHT_STRTAB,
		  .sh_offset = names_offset,
		  .sh_size = sizeof(section_names) },
		{ .sh_name = 33,
		  .sh_type = SHT_NOTE,
		  .sh_offset = note_offset,
		  .sh_size = sizeof(note),
		  .sh_addralign = 4 },
	};

	buf_add(file, &header, sizeof(header));
	buf_add(file, &segment, sizeof(segment));
	pad_to(file, ELF_MAKER_TEXT_OFFSET);
	pad_to(file, symtab_offset);
	buf_add(file, symtab.bytes, symtab.size);
	buf_add(file, strtab.bytes, strtab.size);
	buf_add(file, section_names, sizeof(section_names));
	pad_to(file, note_offset);
	buf_add(file, &note, sizeof(note));
	pad_to(file, sections_offset);
	buf_add(file, sections, sizeof(sections));
	buf_done(&symtab);
	buf_done(&strtab);
	assert(!file->error);
}

void elf_maker_make(struct buf *file, const struct elf_maker_symbol *symbols, size_t count)
{
	elf_maker_make_large(file, own_build_id, ELF_MAKER_TEXT_SIZE, symbols, count);
}

struct identity elf_maker_identity(uint32_t number)
{
	struct identity identity = { .kind = IDENTITY_GNU_BUILD_ID,
				     .size = ELF_MAKER_BUILD_ID_SIZE };

	memcpy(identity.bytes, &number, sizeof(number));
	identity.bytes[ELF_MAKER_BUILD_ID_SIZE - 1] = 1;
	return identity;
}

int elf_maker_memfd(const void *bytes, size_t size)
{
	int fd = memfd_create("elf", MFD_CLOEXEC);

	assert(fd >= 0);
	assert(write(fd, bytes, size) == (ssize_t)size);
	return fd;
}
