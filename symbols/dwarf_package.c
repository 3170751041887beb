/* SPDX-License-Identifier: Apache-2.0 */
#include "symbols/dwarf_package.h"

#include <errno.h>
#include <gelf.h>
#include <string.h>
#include <sys/mman.h>

#include "base/cleanup.h"
#include "symbols/dwarf_reader.h"

enum {
	COLUMN_COUNT_MAX = 16,
	/* What the cut has: those of the index that matter, names, and names of sections. */
	PART_COUNT_MAX = 8,
	VERSION_GNU = 2,
	VERSION_DWARF_5 = 5,
	COLUMN_RANGES = 8, /* in version 5; in GNU's it is another */
};

/* Columns of an index, by their numbers there; those of locations and macros are not read. */
static const char *const columns[COLUMN_COUNT_MAX] = {
	[1] = ".debug_info.dwo",
	[3] = ".debug_abbrev.dwo",
	[4] = ".debug_line.dwo",
	[6] = ".debug_str_offsets.dwo",
	[COLUMN_RANGES] = ".debug_rnglists.dwo",
};

struct part {
	const char *name;
	const uint8_t *bytes;
	size_t size;
};

struct cut {
	struct part parts[PART_COUNT_MAX];
	size_t count;
	size_t size;
};

/* ---- the package ---- */

/* Unpacked where it is packed. */
static bool find_section(Elf *elf, const char *wanted, struct part *ret)
{
	Elf_Scn *section = NULL;
	size_t names;

	if (elf_getshdrstrndx(elf, &names))
		return false;
	while ((section = elf_nextscn(elf, section))) {
		GElf_Shdr header;
		const char *name = gelf_getshdr(section, &header)
					   ? elf_strptr(elf, names, header.sh_name)
					   : NULL;

		if (!name || strcmp(name, wanted) != 0)
			continue;
		if (header.sh_flags & SHF_COMPRESSED && elf_compress(section, 0, 0) < 0)
			return false;

		const Elf_Data *data = elf_getdata(section, NULL);

		if (!data || !data->d_buf)
			return false;
		*ret = (struct part){ wanted, data->d_buf, data->d_size };
		return true;
	}
	return false;
}

static int add_part(struct cut *cut, const struct part *part)
{
	if (cut->count == PART_COUNT_MAX ||
	    part->size > (size_t)DWARF_PACKAGE_CUT_SIZE_MAX - cut->size)
		return -EFBIG;
	cut->parts[cut->count++] = *part;
	cut->size += part->size;
	return 0;
}

struct table {
	uint32_t version;
	uint32_t column_count;
	uint32_t row_count;
	uint32_t slot_count;
	const uint8_t *ids;	/* u64 for each slot */
	const uint8_t *rows;	/* u32 for each slot, from 1 */
	const uint8_t *heads;	/* u32 for each column */
	const uint8_t *offsets; /* u32 for each column of each row */
	const uint8_t *sizes;	/* the same */
};

static bool read_table(const struct part *index, struct table *table)
{
	struct dwarf_reader reader = dwarf_reader(index->bytes, index->size);

	table->version = dwarf_uint32(&reader);
	table->column_count = dwarf_uint32(&reader);
	table->row_count = dwarf_uint32(&reader);
	table->slot_count = dwarf_uint32(&reader);
	if (reader.failed || table->column_count > COLUMN_COUNT_MAX ||
	    (table->version != VERSION_GNU && table->version != VERSION_DWARF_5))
		return false;

	uint64_t cells = (uint64_t)table->row_count * table->column_count;

	table->ids = dwarf_take(&reader, (uint64_t)table->slot_count * sizeof(uint64_t));
	table->rows = dwarf_take(&reader, (uint64_t)table->slot_count * sizeof(uint32_t));
	table->heads = dwarf_take(&reader, (uint64_t)table->column_count * sizeof(uint32_t));
	table->offsets = dwarf_take(&reader, cells * sizeof(uint32_t));
	table->sizes = dwarf_take(&reader, cells * sizeof(uint32_t));
	return !reader.failed;
}

static uint32_t number_at(const uint8_t *numbers, size_t place)
{
	uint32_t number;

	memcpy(&number, numbers + place * sizeof(number), sizeof(number));
	return number;
}

/* The row of an id, from 1; 0 when there is none. Its hash tells no more than looking at all. */
static uint32_t find_row(const struct table *table, uint64_t id)
{
	for (uint32_t i = 0; i < table->slot_count; i++) {
		uint64_t each;
		uint32_t row = number_at(table->rows, i);

		memcpy(&each, table->ids + i * sizeof(each), sizeof(each));
		if (each == id && row > 0 && row <= table->row_count)
			return row;
	}
	return 0;
}

static int choose_parts(Elf *elf, const struct table *table, uint32_t row, struct cut *cut)
{
	struct part names;
	int err = 0;

	for (uint32_t i = 0; i < table->column_count && !err; i++) {
		size_t cell = (size_t)(row - 1) * table->column_count + i;
		uint32_t head = number_at(table->heads, i);
		uint32_t offset = number_at(table->offsets, cell);
		uint32_t size = number_at(table->sizes, cell);
		struct part part;

		if (head >= COLUMN_COUNT_MAX || !columns[head] ||
		    (head == COLUMN_RANGES && table->version == VERSION_GNU))
			continue;
		if (!find_section(elf, columns[head], &part) || offset > part.size ||
		    size > part.size - offset)
			return -ENOENT;
		part.bytes += offset;
		part.size = size;
		err = add_part(cut, &part);
	}
	if (!err && find_section(elf, ".debug_str.dwo", &names))
		err = add_part(cut, &names);
	return err;
}

/* ---- the cut ---- */

static bool add_section(Elf *elf, const struct part *part, uint32_t name, uint32_t type)
{
	Elf_Scn *section = elf_newscn(elf);
	Elf_Data *data = section ? elf_newdata(section) : NULL;
	GElf_Shdr header;

	if (!data || !gelf_getshdr(section, &header))
		return false;
	data->d_buf = (void *)part->bytes;
	data->d_size = part->size;
	data->d_align = 1;
	header.sh_name = name;
	header.sh_type = type;
	header.sh_addralign = 1;
	return gelf_update_shdr(section, &header);
}

/* As a compiler writes a .dwo file: an object of nothing but sections. */
static bool write_cut(Elf *elf, const struct cut *cut)
{
	static const struct part own_name = { .name = ".shstrtab" };
	GElf_Ehdr header;
	char names[PART_COUNT_MAX * 32] = "";
	uint32_t size = 1;

	if (!gelf_newehdr(elf, ELFCLASS64) || !gelf_getehdr(elf, &header))
		return false;
	header.e_type = ET_REL;
	header.e_machine = EM_X86_64;
	header.e_version = EV_CURRENT;
	header.e_ident[EI_DATA] = ELFDATA2LSB;
	header.e_shstrndx = (GElf_Half)(cut->count + 1);
	if (!gelf_update_ehdr(elf, &header))
		return false;
	for (size_t i = 0; i < cut->count; i++) {
		const struct part *part = &cut->parts[i];

		memcpy(names + size, part->name, strlen(part->name) + 1);
		if (!add_section(elf, part, size, SHT_PROGBITS))
			return false;
		size += (uint32_t)strlen(part->name) + 1;
	}
	memcpy(names + size, own_name.name, strlen(own_name.name) + 1);

	struct part table = { .bytes = (const uint8_t *)names,
			      .size = size + strlen(own_name.name) + 1 };

	return add_section(elf, &table, size, SHT_STRTAB) && elf_update(elf, ELF_C_WRITE) > 0;
}

static int make_file(const struct cut *cut, int *ret_fd)
{
	autoclose int fd = memfd_create("dwo", MFD_CLOEXEC);
	Elf *elf = fd < 0 ? NULL : elf_begin(fd, ELF_C_WRITE, NULL);
	bool is_made = elf && write_cut(elf, cut);

	elf_end(elf);
	if (!is_made)
		return -ENOMEM;
	*ret_fd = TAKE_FD(fd);
	return 0;
}

int dwarf_package_cut(int fd, uint64_t id, int *ret_fd)
{
	struct cut cut = { .count = 0 };
	struct part index;
	struct table table;
	int err = -ENODATA;

	(void)elf_version(EV_CURRENT);

	Elf *elf = elf_begin(fd, ELF_C_READ, NULL);

	if (elf && elf_kind(elf) == ELF_K_ELF && find_section(elf, ".debug_cu_index", &index)) {
		uint32_t row = read_table(&index, &table) ? find_row(&table, id) : 0;

		err = row > 0 ? choose_parts(elf, &table, row, &cut) : -ENOENT;
		if (!err)
			err = make_file(&cut, ret_fd);
	}
	elf_end(elf);
	return err;
}
