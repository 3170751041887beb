/* SPDX-License-Identifier: Apache-2.0 */
#include "symbols/dwarf_split.h"

#include <dwarf.h>
#include <errno.h>
#include <gelf.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "symbols/dwarf_package.h"
#include "symbols/dwarf_reader.h"

enum {
	ADDRESS_SIZE = 8,
	/* DWARF 5 puts a header before the addresses, and a skeleton may leave out where it ends.
	 */
	ADDR_HEADER_SIZE = 8,
	/* Of one list: a function in so many pieces there is none. */
	RANGE_COUNT_MAX = 1 << 16,
	/* Of a file: one of a compiler's run holds one, and its types. */
	UNIT_COUNT_MAX = 1 << 16,
	PLACE_COUNT_MAX = 16,
};

struct section {
	const uint8_t *bytes; /* or NULL */
	size_t size;
};

struct dwarf_split {
	int fd;
	Dwarf *dwarf;
	Dwarf_Die unit;
	Dwarf_Half version;
	uint8_t offset_size;
	uint64_t low_pc; /* what its lists count from */
	struct section info;
	struct section addresses; /* from its first on */
	struct section ranges;	  /* all lists, of version 4 from where its begin */
};

/* ---- sections ---- */

/* libdw has unpacked it where it was packed. name: without ".debug_". */
static struct section find_section(Dwarf *dwarf, const char *wanted)
{
	Elf *elf = dwarf_getelf(dwarf);
	Elf_Scn *section = NULL;
	size_t names;

	if (elf_getshdrstrndx(elf, &names))
		return (struct section){ NULL, 0 };
	while ((section = elf_nextscn(elf, section))) {
		GElf_Shdr header;
		const char *name = gelf_getshdr(section, &header)
					   ? elf_strptr(elf, names, header.sh_name)
					   : NULL;

		if (!name || strncmp(name, ".debug_", 7) != 0 || strcmp(name + 7, wanted) != 0)
			continue;

		const Elf_Data *data = elf_getdata(section, NULL);

		if (data && data->d_buf)
			return (struct section){ data->d_buf, data->d_size };
	}
	return (struct section){ NULL, 0 };
}

static struct section from(struct section section, uint64_t offset)
{
	if (!section.bytes || offset > section.size)
		return (struct section){ NULL, 0 };
	return (struct section){ section.bytes + offset, section.size - offset };
}

static struct dwarf_reader read_from(struct section section, uint64_t offset)
{
	struct section rest = from(section, offset);

	return dwarf_reader(rest.bytes, rest.size);
}

static uint64_t read_offset(struct dwarf_reader *reader, uint8_t size)
{
	return size == 8 ? dwarf_uint64(reader) : dwarf_uint32(reader);
}

/* ---- finding the half ---- */

static bool find_attribute(Dwarf_Die *die, unsigned name, unsigned gnu_name, Dwarf_Attribute *ret)
{
	return dwarf_attr(die, name, ret) || dwarf_attr(die, gnu_name, ret);
}

static uint64_t base_of(Dwarf_Die *die, unsigned name, unsigned gnu_name, uint64_t otherwise)
{
	Dwarf_Attribute attribute;
	Dwarf_Word value;

	if (!find_attribute(die, name, gnu_name, &attribute) || dwarf_formudata(&attribute, &value))
		return otherwise;
	return value;
}

static bool get_id(Dwarf_Die *unit, uint8_t *ret_type, uint64_t *ret_id)
{
	return dwarf_cu_info(unit->cu, NULL, ret_type, NULL, NULL, ret_id, NULL, NULL) == 0;
}

bool dwarf_split_is_skeleton(Dwarf_Die *unit)
{
	return dwarf_tag(unit) == DW_TAG_skeleton_unit || dwarf_hasattr(unit, DW_AT_GNU_dwo_name);
}

/* Where the compiler put it. */
static int path_of(Dwarf_Die *skeleton, char path[static PATH_MAX])
{
	Dwarf_Attribute attribute;
	const char *name = find_attribute(skeleton, DW_AT_dwo_name, DW_AT_GNU_dwo_name, &attribute)
				   ? dwarf_formstring(&attribute)
				   : NULL;
	const char *folder = dwarf_attr(skeleton, DW_AT_comp_dir, &attribute)
				     ? dwarf_formstring(&attribute)
				     : NULL;

	if (!name || !*name || (name[0] != '/' && !folder))
		return -ENOENT;

	int size = name[0] == '/' ? snprintf(path, PATH_MAX, "%s", name)
				  : snprintf(path, PATH_MAX, "%s/%s", folder, name);

	return size < PATH_MAX ? size : -ENOENT;
}

/* The unit of this id. */
static bool find_unit(struct dwarf_split *split, uint64_t wanted)
{
	Dwarf_CU *unit = NULL;

	for (unsigned i = 0; i < UNIT_COUNT_MAX; i++) {
		uint8_t type;
		uint64_t id;

		if (dwarf_get_units(split->dwarf, unit, &unit, &split->version, NULL, &split->unit,
				    NULL))
			return false;
		if (get_id(&split->unit, &type, &id) && type == DW_UT_split_compile && id == wanted)
			return true;
	}
	return false;
}

/* libdw takes it for granted that this never returns. */
__attribute__((noreturn)) static void out_of_memory(void)
{
	_exit(EXIT_FAILURE);
}

/* A package is replaced by what it holds of this id. */
static int take_out(int *fd, uint64_t id)
{
	int cut = -1;
	int err = dwarf_package_cut(*fd, id, &cut);

	if (err == -ENODATA)
		return 0;
	if (err)
		return err == -ENOMEM ? err : -ENOENT;
	close(*fd);
	*fd = cut;
	return 0;
}

static int open_at(struct str path, uint32_t place, uint64_t id, dwarf_open_split *open,
		   void *context, struct dwarf_split **ret)
{
	autoclean(dwarf_split) struct dwarf_split *split = calloc(1, sizeof(*split));

	if (!split)
		return -ENOMEM;
	split->fd = -1;

	int err = open(context, path, place, &split->fd);

	if (!err)
		err = take_out(&split->fd, id);
	if (err)
		return err;
	split->dwarf = dwarf_begin(split->fd, DWARF_C_READ);
	if (!split->dwarf)
		return -ENOENT;
	(void)dwarf_new_oom_handler(split->dwarf, out_of_memory);
	if (!find_unit(split, id))
		return -ENOENT;
	*ret = TAKE(split);
	return 0;
}

/* What the lists and numbers of the half refer to. */
static int join(struct dwarf_split *split, Dwarf *dwarf, Dwarf_Die *skeleton)
{
	bool is_new = split->version >= 5;
	uint8_t address_size;
	Dwarf_Addr low_pc;

	if (!dwarf_cu_die(split->unit.cu, &(Dwarf_Die){ 0 }, NULL, NULL, &address_size,
			  &split->offset_size, NULL, NULL) ||
	    address_size != ADDRESS_SIZE)
		return -ENOENT;
	split->low_pc = dwarf_lowpc(skeleton, &low_pc) == 0 ? low_pc : 0;
	split->info = find_section(split->dwarf, "info.dwo");
	split->addresses = from(find_section(dwarf, "addr"),
				base_of(skeleton, DW_AT_addr_base, DW_AT_GNU_addr_base,
					is_new ? ADDR_HEADER_SIZE : 0));
	split->ranges =
		is_new ? find_section(split->dwarf, "rnglists.dwo")
		       : from(find_section(dwarf, "ranges"),
			      base_of(skeleton, DW_AT_GNU_ranges_base, DW_AT_GNU_ranges_base, 0));
	return split->info.bytes ? 0 : -ENOENT;
}

int dwarf_split_find(Dwarf *dwarf, Dwarf_Die *skeleton, dwarf_open_split *open, void *context,
		     struct dwarf_split **ret)
{
	char path[PATH_MAX];
	uint8_t type;
	uint64_t id;
	int size = path_of(skeleton, path);
	int err = size < 0 || !get_id(skeleton, &type, &id) ? -ERANGE : -ENOENT;

	for (uint32_t place = 0; err == -ENOENT && place < PLACE_COUNT_MAX; place++)
		err = open_at((struct str){ path, (size_t)size }, place, id, open, context, ret);
	if (!err)
		err = join(*ret, dwarf, skeleton);
	else if (err != -ENOMEM)
		return -ENOENT;
	if (err)
		*ret = dwarf_split_close(*ret);
	return err;
}

struct dwarf_split *dwarf_split_close(struct dwarf_split *split)
{
	if (!split)
		return NULL;
	if (split->dwarf)
		dwarf_end(split->dwarf);
	if (split->fd >= 0)
		close(split->fd);
	free(split);
	return NULL;
}

Dwarf_Die dwarf_split_unit(const struct dwarf_split *split)
{
	return split->unit;
}

/* ---- addresses ---- */

/* Of the program's table. */
static uint64_t address_at(const struct dwarf_split *split, uint64_t number, bool *failed)
{
	struct dwarf_reader reader = { .failed = true };

	if (number < split->addresses.size / ADDRESS_SIZE)
		reader = read_from(split->addresses, number * ADDRESS_SIZE);

	uint64_t address = dwarf_uint64(&reader);

	*failed = *failed || reader.failed;
	return address;
}

/* The bytes of a value, of which libdw says no more than where they begin. */
static struct dwarf_reader read_value(const struct dwarf_split *split,
				      const Dwarf_Attribute *attribute)
{
	const uint8_t *end = split->info.bytes + split->info.size;
	bool is_inside = attribute->valp >= split->info.bytes && attribute->valp < end;

	return is_inside ? dwarf_reader(attribute->valp, (size_t)(end - attribute->valp))
			 : (struct dwarf_reader){ .failed = true };
}

/* False for what is no address, but a size, too. */
static bool get_address(const struct dwarf_split *split, Dwarf_Attribute *attribute, uint64_t *ret)
{
	struct dwarf_reader reader = read_value(split, attribute);
	bool failed = false;
	uint64_t number;

	switch (dwarf_whatform(attribute)) {
	case DW_FORM_addr:
		*ret = dwarf_uint64(&reader);
		return !reader.failed;
	case DW_FORM_addrx:
	case DW_FORM_GNU_addr_index:
		number = dwarf_uleb(&reader);
		break;
	case DW_FORM_addrx1:
		number = dwarf_uint8(&reader);
		break;
	case DW_FORM_addrx2:
		number = dwarf_uint16(&reader);
		break;
	case DW_FORM_addrx4:
		number = dwarf_uint32(&reader);
		break;
	default:
		return false;
	}
	*ret = address_at(split, number, &failed);
	return !reader.failed && !failed;
}

/* ---- ranges ---- */

/* .debug_ranges of version 4: pairs. */
static int read_pairs(const struct dwarf_split *split, uint64_t offset, dwarf_split_add *add,
		      void *context)
{
	struct dwarf_reader reader = read_from(split->ranges, offset);
	uint64_t base = split->low_pc;
	int err = 0;

	for (unsigned i = 0; !err && i < RANGE_COUNT_MAX; i++) {
		uint64_t start = dwarf_uint64(&reader);
		uint64_t end = dwarf_uint64(&reader);

		if (reader.failed || (start == 0 && end == 0))
			break;
		if (start == UINT64_MAX)
			base = end;
		else
			err = add(context, base + start, base + end);
	}
	return err;
}

struct range_list {
	struct dwarf_reader reader;
	uint64_t base;
	bool failed;
};

/* One entry: true when it is a range, and not what others count from. */
static bool read_entry(const struct dwarf_split *split, struct range_list *list, uint8_t kind,
		       uint64_t *ret_start, uint64_t *ret_end)
{
	struct dwarf_reader *reader = &list->reader;
	bool *failed = &list->failed;

	switch (kind) {
	case DW_RLE_base_addressx:
		list->base = address_at(split, dwarf_uleb(reader), failed);
		return false;
	case DW_RLE_base_address:
		list->base = dwarf_uint64(reader);
		return false;
	case DW_RLE_startx_endx:
		*ret_start = address_at(split, dwarf_uleb(reader), failed);
		*ret_end = address_at(split, dwarf_uleb(reader), failed);
		return true;
	case DW_RLE_startx_length:
		*ret_start = address_at(split, dwarf_uleb(reader), failed);
		*ret_end = *ret_start + dwarf_uleb(reader);
		return true;
	case DW_RLE_offset_pair:
		*ret_start = list->base + dwarf_uleb(reader);
		*ret_end = list->base + dwarf_uleb(reader);
		return true;
	case DW_RLE_start_end:
		*ret_start = dwarf_uint64(reader);
		*ret_end = dwarf_uint64(reader);
		return true;
	case DW_RLE_start_length:
		*ret_start = dwarf_uint64(reader);
		*ret_end = *ret_start + dwarf_uleb(reader);
		return true;
	default:
		list->failed = true;
		return false;
	}
}

/* .debug_rnglists of version 5. */
static int read_list(const struct dwarf_split *split, uint64_t offset, dwarf_split_add *add,
		     void *context)
{
	struct range_list list = { .reader = read_from(split->ranges, offset),
				   .base = split->low_pc };
	int err = 0;

	for (unsigned i = 0; !err && i < RANGE_COUNT_MAX; i++) {
		uint8_t kind = dwarf_uint8(&list.reader);
		uint64_t start;
		uint64_t end;

		if (list.reader.failed || kind == DW_RLE_end_of_list)
			break;

		bool is_range = read_entry(split, &list, kind, &start, &end);

		if (list.failed || list.reader.failed)
			break;
		if (is_range)
			err = add(context, start, end);
	}
	return err;
}

/* Where the list of this number begins, by the table behind the section's header. */
static bool find_list(const struct dwarf_split *split, uint64_t number, uint64_t *ret_offset)
{
	struct dwarf_reader reader = read_from(split->ranges, 0);
	uint8_t offset_size = 4;

	if (dwarf_uint32(&reader) == UINT32_MAX) {
		offset_size = 8;
		(void)dwarf_uint64(&reader);
	}
	(void)dwarf_take(&reader, 4); /* version, sizes of addresses and of segments */

	uint32_t count = dwarf_uint32(&reader);
	uint64_t table = split->ranges.size - dwarf_left(&reader);

	if (reader.failed || number >= count)
		return false;
	reader = read_from(split->ranges, table + number * offset_size);
	*ret_offset = table + read_offset(&reader, offset_size);
	return !reader.failed;
}

static int add_listed(const struct dwarf_split *split, const Dwarf_Attribute *attribute,
		      dwarf_split_add *add, void *context)
{
	struct dwarf_reader reader = read_value(split, attribute);
	bool is_number = attribute->form == DW_FORM_rnglistx;
	uint64_t offset =
		is_number ? dwarf_uleb(&reader) : read_offset(&reader, split->offset_size);

	if (reader.failed || !split->ranges.bytes ||
	    (is_number && !find_list(split, offset, &offset)))
		return 0;
	return split->version >= 5 ? read_list(split, offset, add, context)
				   : read_pairs(split, offset, add, context);
}

int dwarf_split_ranges(const struct dwarf_split *split, Dwarf_Die *die, dwarf_split_add *add,
		       void *context)
{
	Dwarf_Attribute attribute;
	uint64_t start;
	uint64_t end;
	Dwarf_Word size;

	if (dwarf_attr(die, DW_AT_ranges, &attribute))
		return add_listed(split, &attribute, add, context);
	if (!dwarf_attr(die, DW_AT_low_pc, &attribute) || !get_address(split, &attribute, &start) ||
	    !dwarf_attr(die, DW_AT_high_pc, &attribute))
		return 0;
	if (!get_address(split, &attribute, &end)) {
		if (dwarf_formudata(&attribute, &size))
			return 0;
		end = start + size;
	}
	return add(context, start, end);
}
