/* SPDX-License-Identifier: Apache-2.0 */
#include "symbols/elf_file.h"

#include <assert.h>
#include <elf.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "symbols/elf_note.h"
#include "symbols/elf_plt.h"

static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "structs are read as they lie");

enum {
	/* Program headers and sections of a linked file; the formats allow 2^32 of each. */
	HEADER_COUNT_MAX = 256,
	SECTION_COUNT_MAX = 4096,
	NOTES_SIZE_MAX = 64 << 10,
	/* Of the dynamic section; the libraries that are needed stand first. */
	DYNAMIC_COUNT_MAX = 128,
	/* Sections kept in memory: symbols, strings, names of sections, stubs and relocations. */
	CHUNK_COUNT_MAX = 32,
	/* Real files have .plt, .plt.sec and .plt.got, and .rela.dyn and .rela.plt. */
	STUB_SECTION_COUNT_MAX = 4,
	RELOCATION_SECTION_COUNT_MAX = 4,
};

struct elf_file {
	int fd;
	bool is_debug; /* code and data are elsewhere */
	uint64_t size;
	struct identity build_id;
	struct identity go_build_id;
	bool has_go_build_id;
	Elf64_Ehdr header;
	size_t segment_count;
	struct elf_segment segments[ELF_SEGMENT_COUNT_MAX];
	size_t load_count;
	struct elf_segment loads[ELF_LOAD_COUNT_MAX]; /* executable or not */
	uint64_t eh_frame_header;		      /* vaddr of PT_GNU_EH_FRAME; 0: none */
	bool has_interpreter;
	bool has_needed;
	Elf64_Shdr *sections;
	size_t section_count;
	/* What was read, by offset and size: names point into it. */
	struct {
		uint64_t offset;
		uint64_t size;
		uint8_t *bytes;
	} chunks[CHUNK_COUNT_MAX];
	size_t chunk_count;
};

static int read_at(const struct elf_file *file, uint64_t offset, void *room, size_t size)
{
	size_t done = 0;

	if (offset > file->size || size > file->size - offset)
		return -EBADMSG;
	while (done < size) {
		ssize_t got = pread(file->fd, (uint8_t *)room + done, size - done,
				    (off_t)(offset + done));

		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return -errno;
		/* Cut short since we asked for its size. */
		if (got == 0)
			return -EBADMSG;
		done += (size_t)got;
	}
	return 0;
}

/* The section as it lies in the file, kept until close; of no size when it has no bytes there. */
static int read_section(struct elf_file *file, const Elf64_Shdr *header, size_t size_max,
			struct str *ret)
{
	*ret = (struct str){ NULL, 0 };
	if (header->sh_type == SHT_NOBITS || header->sh_size == 0)
		return 0;
	if (header->sh_flags & SHF_COMPRESSED)
		return -EBADMSG;
	if (header->sh_size > size_max)
		return -EFBIG;
	for (size_t i = 0; i < file->chunk_count; i++)
		if (file->chunks[i].offset == header->sh_offset &&
		    file->chunks[i].size == header->sh_size) {
			*ret = (struct str){ (char *)file->chunks[i].bytes, header->sh_size };
			return 0;
		}
	if (file->chunk_count == CHUNK_COUNT_MAX)
		return -EFBIG;
	if (header->sh_offset > file->size || header->sh_size > file->size - header->sh_offset)
		return -EBADMSG;

	autofree uint8_t *bytes = malloc(header->sh_size);

	if (!bytes)
		return -ENOMEM;

	int err = read_at(file, header->sh_offset, bytes, header->sh_size);
	if (err)
		return err;

	*ret = (struct str){ (char *)bytes, header->sh_size };
	file->chunks[file->chunk_count].offset = header->sh_offset;
	file->chunks[file->chunk_count].size = header->sh_size;
	file->chunks[file->chunk_count].bytes = TAKE(bytes);
	file->chunk_count++;
	return 0;
}

/* Notes that can't be read are none. */
static int read_notes(struct elf_file *file, uint64_t offset, uint64_t size, uint64_t alignment)
{
	struct str go;

	if (size == 0 || size > NOTES_SIZE_MAX)
		return 0;

	autofree uint8_t *notes = malloc(size);

	if (!notes)
		return -ENOMEM;
	if (read_at(file, offset, notes, size))
		return 0;
	if (file->build_id.kind == IDENTITY_NONE)
		elf_note_build_id(notes, size, alignment == 8 ? 8 : 4, &file->build_id);
	/* Its type is 4: cmd/internal/buildid of the Go distribution. */
	if (elf_note_find(notes, size, 4, STR("Go"), 4, &go)) {
		file->has_go_build_id = true;
		(void)identity_of_go(go, &file->go_build_id); /* or none that tells */
	}
	return 0;
}

static int add_segment(struct elf_file *file, const Elf64_Phdr *header)
{
	uint64_t size = file->is_debug ? header->p_memsz : header->p_filesz;

	if (!(header->p_flags & PF_X) || size == 0)
		return 0;
	if (header->p_vaddr > UINT64_MAX - size)
		return -EBADMSG;
	if (!file->is_debug && (size > file->size || header->p_offset > file->size))
		return -EBADMSG;
	if (file->segment_count == ELF_SEGMENT_COUNT_MAX)
		return -EFBIG;

	file->segments[file->segment_count++] = (struct elf_segment){
		.offset = header->p_offset,
		.vaddr = header->p_vaddr,
		.size = size,
	};
	return 0;
}

/* What contradicts the file, or is one too many, is not there for those who read by address. */
static void add_load(struct elf_file *file, const Elf64_Phdr *header)
{
	if (header->p_offset > file->size || header->p_filesz > file->size - header->p_offset ||
	    header->p_vaddr > UINT64_MAX - header->p_filesz ||
	    file->load_count == ELF_LOAD_COUNT_MAX)
		return;
	file->loads[file->load_count++] = (struct elf_segment){
		.offset = header->p_offset,
		.vaddr = header->p_vaddr,
		.size = header->p_filesz,
	};
}

/* Entries that can't be read are none. */
static void read_dynamic(struct elf_file *file, const Elf64_Phdr *header)
{
	Elf64_Dyn entries[DYNAMIC_COUNT_MAX];
	size_t count = header->p_filesz / sizeof(entries[0]);

	if (count > DYNAMIC_COUNT_MAX)
		count = DYNAMIC_COUNT_MAX;
	if (read_at(file, header->p_offset, entries, count * sizeof(entries[0])))
		return;
	for (size_t i = 0; i < count && entries[i].d_tag != DT_NULL; i++)
		if (entries[i].d_tag == DT_NEEDED)
			file->has_needed = true;
}

static int read_program_headers(struct elf_file *file)
{
	Elf64_Phdr headers[HEADER_COUNT_MAX];
	size_t count = file->header.e_phnum;

	if (count > HEADER_COUNT_MAX)
		return -EFBIG;
	if (count > 0 && file->header.e_phentsize != sizeof(headers[0]))
		return -EBADMSG;

	int err = read_at(file, file->header.e_phoff, headers, count * sizeof(headers[0]));

	for (size_t i = 0; !err && i < count; i++) {
		if (headers[i].p_type == PT_LOAD) {
			add_load(file, &headers[i]);
			err = add_segment(file, &headers[i]);
		} else if (headers[i].p_type == PT_GNU_EH_FRAME)
			file->eh_frame_header = headers[i].p_vaddr;
		else if (headers[i].p_type == PT_INTERP)
			file->has_interpreter = true;
		else if (headers[i].p_type == PT_DYNAMIC)
			read_dynamic(file, &headers[i]);
		else if (headers[i].p_type == PT_NOTE)
			err = read_notes(file, headers[i].p_offset, headers[i].p_filesz,
					 headers[i].p_align);
	}
	if (err)
		return err;
	return file->segment_count ? 0 : -EBADMSG;
}

static int read_section_headers(struct elf_file *file)
{
	size_t count = file->header.e_shnum;

	/* None, or so many that the number stands elsewhere. */
	if (count == 0)
		return file->header.e_shoff == 0 ? 0 : -EFBIG;
	if (count > SECTION_COUNT_MAX)
		return -EFBIG;
	if (file->header.e_shentsize != sizeof(file->sections[0]))
		return -EBADMSG;
	file->sections = calloc(count, sizeof(file->sections[0]));
	if (!file->sections)
		return -ENOMEM;

	int err = read_at(file, file->header.e_shoff, file->sections,
			  count * sizeof(file->sections[0]));
	if (err)
		return err;
	file->section_count = count;

	for (size_t i = 0; !err && i < count; i++)
		if (file->sections[i].sh_type == SHT_NOTE)
			err = read_notes(file, file->sections[i].sh_offset,
					 file->sections[i].sh_size, file->sections[i].sh_addralign);
	return err;
}

static int read_header(struct elf_file *file)
{
	const Elf64_Ehdr *header = &file->header;

	if (file->size < EI_NIDENT)
		return -ENOEXEC;

	int err = read_at(file, 0, &file->header, EI_NIDENT);
	if (err)
		return err;
	if (memcmp(header->e_ident, ELFMAG, SELFMAG) != 0)
		return -ENOEXEC;
	if (header->e_ident[EI_CLASS] != ELFCLASS64 || header->e_ident[EI_DATA] != ELFDATA2LSB)
		return -ENOTSUP;
	err = read_at(file, 0, &file->header, sizeof(file->header));
	if (err)
		return err;
	return header->e_type == ET_EXEC || header->e_type == ET_DYN ? 0 : -ENOTSUP;
}

static int open_elf(int fd, bool is_debug, struct elf_file **ret)
{
	assert(fd >= 0);

	struct stat status;

	if (fstat(fd, &status))
		return -errno;
	if (!S_ISREG(status.st_mode))
		return -ENOEXEC;
	if (status.st_size > ELF_FILE_SIZE_MAX)
		return -EFBIG;

	autoclean(elf_file) struct elf_file *file = calloc(1, sizeof(*file));

	if (!file)
		return -ENOMEM;
	file->fd = fd;
	file->is_debug = is_debug;
	file->size = (uint64_t)status.st_size;

	int err = read_header(file);
	if (!err)
		err = read_program_headers(file);
	if (!err)
		err = read_section_headers(file);
	if (err)
		return err;

	*ret = TAKE(file);
	return 0;
}

int elf_file_open(int fd, struct elf_file **ret)
{
	return open_elf(fd, false, ret);
}

int elf_file_open_debug(int fd, struct elf_file **ret)
{
	return open_elf(fd, true, ret);
}

struct elf_file *elf_file_close(struct elf_file *file)
{
	if (!file)
		return NULL;

	for (size_t i = 0; i < file->chunk_count; i++)
		free(file->chunks[i].bytes);
	free(file->sections);
	free(file);
	return NULL;
}

const struct elf_segment *elf_file_segments(const struct elf_file *file, size_t *ret_count)
{
	assert(file->segment_count > 0);
	*ret_count = file->segment_count;
	return file->segments;
}

uint16_t elf_file_machine(const struct elf_file *file)
{
	return file->header.e_machine;
}

uint64_t elf_file_entry(const struct elf_file *file)
{
	return file->header.e_entry;
}

bool elf_file_has_interpreter(const struct elf_file *file)
{
	return file->has_interpreter;
}

bool elf_file_has_needed(const struct elf_file *file)
{
	return file->has_needed;
}

int elf_file_section(struct elf_file *file, struct str name, size_t size_max, struct elf_bytes *ret)
{
	struct str names;
	struct str bytes;

	if (file->header.e_shstrndx >= file->section_count ||
	    read_section(file, &file->sections[file->header.e_shstrndx], ELF_SECTION_SIZE_MAX,
			 &names))
		return -ENOENT;
	for (size_t i = 1; i < file->section_count; i++) {
		const Elf64_Shdr *header = &file->sections[i];

		if (header->sh_name >= names.size || names.size - header->sh_name <= name.size ||
		    memcmp(names.text + header->sh_name, name.text, name.size) != 0 ||
		    names.text[header->sh_name + name.size] != '\0')
			continue;
		if (header->sh_flags & SHF_COMPRESSED)
			return -ENOTSUP;

		int err = read_section(file, header, size_max, &bytes);

		if (err)
			return err;
		if (bytes.size == 0)
			return -ENOENT;
		*ret = (struct elf_bytes){ .bytes = (const uint8_t *)bytes.text,
					   .size = bytes.size,
					   .vaddr = header->sh_addr };
		return 0;
	}
	return -ENOENT;
}

/* What is loaded at an address and from which place in the file on, to the end of the segment. */
static bool find_load(const struct elf_file *file, uint64_t vaddr, struct elf_segment *ret)
{
	for (size_t i = 0; i < file->load_count; i++) {
		uint64_t distance = vaddr - file->loads[i].vaddr;

		if (vaddr < file->loads[i].vaddr || distance >= file->loads[i].size)
			continue;
		*ret = (struct elf_segment){ .offset = file->loads[i].offset + distance,
					     .vaddr = vaddr,
					     .size = file->loads[i].size - distance };
		return true;
	}
	return false;
}

int elf_file_read(const struct elf_file *file, uint64_t vaddr, void *room, size_t size)
{
	struct elf_segment place;

	if (!find_load(file, vaddr, &place) || place.size < size)
		return -ENOENT;
	return read_at(file, place.offset, room, size);
}

int elf_file_from(struct elf_file *file, uint64_t vaddr, size_t size_max, struct elf_bytes *ret)
{
	struct elf_segment place;
	struct str bytes;

	if (!find_load(file, vaddr, &place))
		return -ENOENT;

	const Elf64_Shdr section = { .sh_type = SHT_PROGBITS,
				     .sh_offset = place.offset,
				     .sh_size = place.size };
	int err = read_section(file, &section, size_max, &bytes);

	if (err)
		return err;
	*ret = (struct elf_bytes){ .bytes = (const uint8_t *)bytes.text,
				   .size = bytes.size,
				   .vaddr = place.vaddr };
	return 0;
}

const struct elf_segment *elf_file_loads(const struct elf_file *file, size_t *ret_count)
{
	*ret_count = file->load_count;
	return file->loads;
}

int elf_file_eh_frame(struct elf_file *file, struct elf_bytes *ret)
{
	/* Version 1, the pointer's encoding: relative to where it stands, four signed bytes. Every
	 * linker writes it so. */
	static const uint8_t head[] = { 1, 0x1b };
	uint8_t bytes[8];
	int32_t distance;

	if (file->eh_frame_header == 0 ||
	    elf_file_read(file, file->eh_frame_header, bytes, sizeof(bytes)) ||
	    memcmp(bytes, head, sizeof(head)) != 0)
		return -ENOENT;
	memcpy(&distance, bytes + 4, sizeof(distance));
	return elf_file_from(file, file->eh_frame_header + 4 + (uint64_t)(int64_t)distance,
			     ELF_FRAMES_SIZE_MAX, ret);
}

struct identity elf_file_build_id(const struct elf_file *file)
{
	return file->build_id;
}

bool elf_file_has_go_build_id(const struct elf_file *file)
{
	return file->has_go_build_id;
}

struct identity elf_file_go_build_id(const struct elf_file *file)
{
	return file->go_build_id;
}

int elf_file_identify(const struct elf_file *file, const struct identity *meant,
		      struct identity *ret)
{
	if (meant->kind == IDENTITY_GNU_BUILD_ID && !identity_equal(&file->build_id, meant))
		return -ESTALE;
	if (meant->kind == IDENTITY_GO_BUILD_ID && !identity_equal(&file->go_build_id, meant))
		return -ESTALE;
	*ret = meant->kind == IDENTITY_INODE && file->build_id.kind != IDENTITY_NONE
		       ? file->build_id
		       : *meant;
	return 0;
}

/* The section with this number if it holds code, or NULL. */
static const Elf64_Shdr *code_section(const struct elf_file *file, size_t index)
{
	if (index == SHN_UNDEF || index >= SHN_LORESERVE || index >= file->section_count)
		return NULL;

	const Elf64_Shdr *section = &file->sections[index];

	return section->sh_flags & SHF_EXECINSTR &&
			       section->sh_addr <= UINT64_MAX - section->sh_size
		       ? section
		       : NULL;
}

/* Where the code around this address ends; 0 when there is none. */
static uint64_t end_of_code(const struct elf_file *file, uint64_t vaddr, const Elf64_Shdr *section)
{
	uint64_t end = 0;

	for (size_t i = 0; i < file->segment_count && !end; i++)
		if (vaddr >= file->segments[i].vaddr &&
		    vaddr - file->segments[i].vaddr < file->segments[i].size)
			end = file->segments[i].vaddr + file->segments[i].size;
	/* A section that does not hold the address says nothing. */
	if (section && vaddr >= section->sh_addr && vaddr - section->sh_addr < section->sh_size &&
	    section->sh_addr + section->sh_size < end)
		end = section->sh_addr + section->sh_size;
	return end;
}

/* "cfree@GLIBC_2.2.5": versions that new programs are linked to have two of them. */
static bool has_old_version(const char *name, size_t size_max)
{
	size_t size = strnlen(name, size_max);
	const char *at = memchr(name, '@', size);

	return at && at + 1 < name + size && at[1] != '@';
}

static int add_symbol(const struct elf_file *file, const Elf64_Sym *symbol, struct str strings,
		      bool dynamic, bool is_old, struct symbol_table *table)
{
	unsigned type = ELF64_ST_TYPE(symbol->st_info);
	unsigned binding = ELF64_ST_BIND(symbol->st_info);
	bool is_function = type == STT_FUNC || type == STT_GNU_IFUNC;
	const Elf64_Shdr *section = code_section(file, symbol->st_shndx);

	if (symbol->st_shndx == SHN_UNDEF || symbol->st_name >= strings.size)
		return 0;
	/* Labels of hand-written assembly count when they stand in code. */
	if (!is_function && (type != STT_NOTYPE || !section))
		return 0;

	struct symbol entry = {
		.start = symbol->st_value,
		.size = symbol->st_size,
		.end_max = end_of_code(file, symbol->st_value, section),
		.name = strings.text + symbol->st_name,
		.name_size_max = (uint32_t)(strings.size - symbol->st_name),
		.binding = binding == STB_LOCAL	 ? SYMBOL_LOCAL
			   : binding == STB_WEAK ? SYMBOL_WEAK
						 : SYMBOL_GLOBAL,
		.old = is_old,
		.label = !is_function,
		.dynamic = dynamic,
	};

	if (!dynamic)
		entry.old = has_old_version(entry.name, entry.name_size_max);
	return symbol_table_add(table, &entry);
}

/* The symbols of a table and their strings. */
static int read_symbols(struct elf_file *file, size_t index, struct str *ret_symbols,
			struct str *ret_strings)
{
	if (index >= file->section_count)
		return -EBADMSG;

	const Elf64_Shdr *header = &file->sections[index];

	if ((header->sh_type != SHT_SYMTAB && header->sh_type != SHT_DYNSYM) ||
	    header->sh_link >= file->section_count ||
	    file->sections[header->sh_link].sh_type != SHT_STRTAB)
		return -EBADMSG;

	int err = read_section(file, header, (size_t)ELF_SYMBOL_COUNT_MAX * sizeof(Elf64_Sym),
			       ret_symbols);
	if (err)
		return err;
	return read_section(file, &file->sections[header->sh_link], ELF_STRINGS_SIZE_MAX,
			    ret_strings);
}

static size_t find_section(const struct elf_file *file, uint32_t type)
{
	size_t index = 0;

	while (index < file->section_count && file->sections[index].sh_type != type)
		index++;
	return index;
}

/* Of each symbol of .dynsym two bytes, the highest bit for versions of old. What can't be read says
 * nothing. */
static int read_versions(struct elf_file *file, struct str *ret)
{
	size_t index = find_section(file, SHT_GNU_versym);

	*ret = (struct str){ NULL, 0 };
	if (index == file->section_count)
		return 0;

	int err = read_section(file, &file->sections[index],
			       (size_t)ELF_SYMBOL_COUNT_MAX * sizeof(Elf64_Half), ret);

	return err == -ENOMEM ? err : 0;
}

static bool is_of_old(struct str versions, size_t number)
{
	enum { HIDDEN = 0x8000 };
	Elf64_Half version;

	if (number >= versions.size / sizeof(version))
		return false;
	memcpy(&version, versions.text + number * sizeof(version), sizeof(version));
	return version & HIDDEN;
}

/* Of the first section of this type: a file has one of each. */
static int add_symbols_of(struct elf_file *file, uint32_t type, struct symbol_table *table)
{
	struct str symbols = { NULL, 0 };
	struct str strings = { NULL, 0 };
	struct str versions = { NULL, 0 };
	size_t index = find_section(file, type);
	int err = 0;

	/* In a file of debug information they have no bytes. */
	if (index < file->section_count)
		err = read_symbols(file, index, &symbols, &strings);
	if (!err && type == SHT_DYNSYM)
		err = read_versions(file, &versions);

	for (size_t i = 0; !err && i < symbols.size / sizeof(Elf64_Sym); i++) {
		Elf64_Sym symbol;

		memcpy(&symbol, symbols.text + i * sizeof(symbol), sizeof(symbol));
		err = add_symbol(file, &symbol, strings, type == SHT_DYNSYM, is_of_old(versions, i),
				 table);
	}
	return err;
}

bool elf_file_has_lines(struct elf_file *file)
{
	static const struct str names[] = { { ".debug_line", 11 }, { ".zdebug_line", 12 } };
	struct elf_bytes unused;

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		/* Only whether it is there: any size is too large. */
		int err = elf_file_section(file, names[i], 0, &unused);

		if (err == -EFBIG || err == -ENOTSUP)
			return true;
	}
	return false;
}

int elf_file_find_symbol(struct elf_file *file, struct str name, uint64_t *ret_vaddr)
{
	for (size_t i = 0; i < file->section_count; i++) {
		uint32_t type = file->sections[i].sh_type;
		struct str symbols;
		struct str strings;

		if ((type != SHT_SYMTAB && type != SHT_DYNSYM) ||
		    read_symbols(file, i, &symbols, &strings))
			continue;
		for (size_t n = 0; n < symbols.size / sizeof(Elf64_Sym); n++) {
			Elf64_Sym symbol;

			memcpy(&symbol, symbols.text + n * sizeof(symbol), sizeof(symbol));
			if (ELF64_ST_TYPE(symbol.st_info) != STT_FUNC ||
			    symbol.st_shndx == SHN_UNDEF || symbol.st_name >= strings.size ||
			    strings.size - symbol.st_name <= name.size ||
			    memcmp(strings.text + symbol.st_name, name.text, name.size) != 0 ||
			    strings.text[symbol.st_name + name.size] != '\0')
				continue;
			*ret_vaddr = symbol.st_value;
			return 0;
		}
	}
	return -ENOENT;
}

static int add_stubs(struct elf_file *file, const Elf64_Shdr *stubs, struct symbol_table *table)
{
	struct elf_plt plt = { .code_vaddr = stubs->sh_addr };
	size_t relocation_section_count = 0;
	int err = read_section(file, stubs, ELF_SECTION_SIZE_MAX, &plt.code);

	for (size_t i = 1; !err && i < file->section_count &&
			   relocation_section_count < RELOCATION_SECTION_COUNT_MAX;
	     i++) {
		const Elf64_Shdr *header = &file->sections[i];

		if (header->sh_type != SHT_RELA)
			continue;
		relocation_section_count++;
		if (read_section(file, header, ELF_SECTION_SIZE_MAX, &plt.relocations) == 0 &&
		    read_symbols(file, header->sh_link, &plt.symbols, &plt.strings) == 0)
			err = elf_plt_add(&plt, table);
	}
	return err;
}

static bool is_stub_section(const Elf64_Shdr *header, struct str names)
{
	if (header->sh_type != SHT_PROGBITS || !(header->sh_flags & SHF_EXECINSTR) ||
	    header->sh_name >= names.size)
		return false;
	return str_starts_with(
		(struct str){ names.text + header->sh_name, names.size - header->sh_name },
		STR(".plt"));
}

/* Names of stubs are a courtesy: a file in which they are odd keeps its others. */
static int add_all_stubs(struct elf_file *file, struct symbol_table *table)
{
	struct str names = { NULL, 0 };
	size_t stub_section_count = 0;

	if (file->header.e_machine != EM_X86_64 || file->header.e_shstrndx >= file->section_count ||
	    read_section(file, &file->sections[file->header.e_shstrndx], ELF_SECTION_SIZE_MAX,
			 &names))
		return 0;

	for (size_t i = 1; i < file->section_count && stub_section_count < STUB_SECTION_COUNT_MAX;
	     i++) {
		if (!is_stub_section(&file->sections[i], names))
			continue;
		stub_section_count++;

		int err = add_stubs(file, &file->sections[i], table);
		if (err == -ENOMEM)
			return err;
	}
	return 0;
}

int elf_file_add_symbols(struct elf_file *file, struct symbol_table *table)
{
	int err = add_symbols_of(file, SHT_SYMTAB, table);

	if (!err)
		err = add_symbols_of(file, SHT_DYNSYM, table);
	if (!err && !file->is_debug)
		err = add_all_stubs(file, table);
	return err;
}

size_t elf_file_code(struct elf_file *file, struct elf_segment *ret, size_t max)
{
	struct str names = { NULL, 0 };
	size_t count = 0;

	if (file->header.e_shstrndx >= file->section_count ||
	    read_section(file, &file->sections[file->header.e_shstrndx], ELF_SECTION_SIZE_MAX,
			 &names))
		return 0;
	for (size_t i = 1; i < file->section_count && count < max; i++) {
		const Elf64_Shdr *header = &file->sections[i];

		if (header->sh_type == SHT_PROGBITS && header->sh_flags & SHF_EXECINSTR &&
		    !is_stub_section(header, names))
			ret[count++] = (struct elf_segment){ .offset = header->sh_offset,
							     .vaddr = header->sh_addr,
							     .size = header->sh_size };
	}
	return count;
}
