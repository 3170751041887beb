/* SPDX-License-Identifier: Apache-2.0 */
#include "symbols/dwarf_lines.h"

#include <assert.h>
#include <dwarf.h>
#include <elfutils/libdw.h>
#include <elfutils/libdwelf.h>
#include <errno.h>
#include <gelf.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "symbols/dwarf_split.h"
#include "symbols/inline_spans.h"
#include "symbols/line_path.h"

enum {
	FIRST_COUNT = 256,
	/* From one description of a function to the one that it is of. */
	ORIGIN_COUNT_MAX = 16,
	/* Ranges that begin before an address and may reach to it. */
	OVERLAP_COUNT_MAX = 16,
	/* Names of files by their place in memory. */
	FILE_MEMORY_COUNT = 64,
};

struct unit {
	Dwarf_Off offset; /* of its first entry */
	uint32_t range_count;
	bool done;
};

struct unit_range {
	uint64_t start;
	uint64_t end;
	uint32_t unit;
};

struct dwarf_lines {
	Dwarf *dwarf;
	Dwarf *shared;
	int shared_fd;
	const struct elf_segment *segments;
	size_t segment_count;
	struct unit *units;
	size_t unit_count;
	size_t unit_capacity;
	struct unit_range *ranges; /* in order of their starts */
	size_t range_count;
	size_t range_capacity;
	dwarf_open_split *open_split;
	void *context; /* for open_split */
	bool lacks_split;
};

/* One unit while it is read. */
struct reading {
	struct dwarf_lines *lines;
	struct line_table *table;
	uint32_t unit;		   /* or UINT32_MAX: its ranges are not known */
	struct dwarf_split *split; /* its other half; or NULL */
	Dwarf_Files *files;
	Dwarf_Half version;
	const char *folder; /* in which the compiler ran; or NULL */
	struct inline_spans spans;
	size_t next_piece;
	int error;
	struct {
		const char *name;
		uint32_t text;
	} memory[FILE_MEMORY_COUNT];
};

/* Room for one more; the array, perhaps moved, or NULL. */
static void *grow(void *items, size_t count, size_t *capacity, size_t item_size)
{
	size_t wanted = *capacity ? *capacity * 2 : FIRST_COUNT;

	if (count < *capacity)
		return items;

	void *grown = reallocarray(items, wanted, item_size);

	if (grown)
		*capacity = wanted;
	return grown;
}

/* ---- which unit is where ---- */

/* The part of a range that is code of the program; what a linker left out begins at 0 or 1. */
static bool clip(const struct dwarf_lines *lines, uint64_t *start, uint64_t *end)
{
	if (*start <= 1 || *start >= *end)
		return false;
	for (size_t i = 0; i < lines->segment_count; i++) {
		const struct elf_segment *segment = &lines->segments[i];

		if (*start < segment->vaddr || *start - segment->vaddr >= segment->size)
			continue;
		if (*end - segment->vaddr > segment->size)
			*end = segment->vaddr + segment->size;
		return true;
	}
	return false;
}

static int add_unit(struct dwarf_lines *lines, Dwarf_Die *die)
{
	void *units = grow(lines->units, lines->unit_count, &lines->unit_capacity,
			   sizeof(lines->units[0]));
	Dwarf_Addr base;
	Dwarf_Addr start;
	Dwarf_Addr end;
	ptrdiff_t next = 0;

	if (!units)
		return -ENOMEM;
	lines->units = units;

	struct unit *unit = &lines->units[lines->unit_count];

	*unit = (struct unit){ .offset = dwarf_dieoffset(die) };
	while ((next = dwarf_ranges(die, next, &base, &start, &end)) > 0) {
		void *ranges = grow(lines->ranges, lines->range_count, &lines->range_capacity,
				    sizeof(lines->ranges[0]));

		if (!ranges)
			return -ENOMEM;
		lines->ranges = ranges;
		if (!clip(lines, &start, &end))
			continue;
		if (lines->range_count == DWARF_RANGE_COUNT_MAX)
			return -EFBIG;
		lines->ranges[lines->range_count++] =
			(struct unit_range){ start, end, (uint32_t)lines->unit_count };
		unit->range_count++;
	}
	lines->unit_count++;
	return 0;
}

static int compare_ranges(const void *left, const void *right)
{
	const struct unit_range *a = left;
	const struct unit_range *b = right;

	if (a->start != b->start)
		return a->start < b->start ? -1 : 1;
	return (a->end > b->end) - (a->end < b->end);
}

static int find_units(struct dwarf_lines *lines)
{
	Dwarf_CU *unit = NULL;
	Dwarf_Die die;
	uint8_t type;
	int err = 0;

	/* Not asked for the other halves, libdw does not look for them, which it can't here. */
	while (!err && dwarf_get_units(lines->dwarf, unit, &unit, NULL, &type, &die, NULL) == 0) {
		int tag = dwarf_tag(&die);

		if (tag != DW_TAG_compile_unit && tag != DW_TAG_skeleton_unit)
			continue;
		err = lines->unit_count == DWARF_UNIT_COUNT_MAX ? -EFBIG : add_unit(lines, &die);
	}
	if (lines->range_count > 0)
		qsort(lines->ranges, lines->range_count, sizeof(lines->ranges[0]), compare_ranges);
	return err;
}

/* The range that holds an address, of this unit or, if UINT32_MAX, of any; or NULL. */
static const struct unit_range *find_range(const struct dwarf_lines *lines, uint64_t vaddr,
					   uint32_t unit)
{
	size_t begin = 0;
	size_t end = lines->range_count;

	while (begin < end) {
		size_t middle = begin + (end - begin) / 2;

		if (lines->ranges[middle].start <= vaddr)
			begin = middle + 1;
		else
			end = middle;
	}
	for (size_t i = 0; i < OVERLAP_COUNT_MAX && begin > 0; i++) {
		const struct unit_range *range = &lines->ranges[--begin];

		if (vaddr < range->end && (unit == UINT32_MAX || range->unit == unit))
			return range;
	}
	return NULL;
}

/* ---- opening ---- */

/* libdw has no other way to say so, and takes it for granted that this never returns. */
__attribute__((noreturn)) static void out_of_memory(void)
{
	_exit(EXIT_FAILURE);
}

static void open_shared(struct dwarf_lines *lines, const struct dwarf_source *source)
{
	struct identity identity = { .kind = IDENTITY_GNU_BUILD_ID };
	const char *name = NULL;
	const void *id = NULL;
	const void *found = NULL;
	ssize_t size = dwelf_dwarf_gnu_debugaltlink(lines->dwarf, &name, &id);

	if (size <= 0 || size > IDENTITY_SIZE_MAX || !source->open_shared)
		return;
	identity.size = (uint8_t)size;
	memcpy(identity.bytes, id, (size_t)size);
	if (source->open_shared(source->context, &identity, str_base_name(str_from(name)),
				&lines->shared_fd))
		return;
	lines->shared = dwarf_begin(lines->shared_fd, DWARF_C_READ);
	if (!lines->shared)
		return;
	if (dwelf_elf_gnu_build_id(dwarf_getelf(lines->shared), &found) == size &&
	    memcmp(found, id, (size_t)size) == 0)
		dwarf_setalt(lines->dwarf, lines->shared);
}

/* A section of DWARF that is packed, and stays so. */
static bool is_packed(Elf *elf, Elf_Scn *section)
{
	GElf_Shdr header;
	size_t names;
	const char *name;

	if (!gelf_getshdr(section, &header) || !(header.sh_flags & SHF_COMPRESSED) ||
	    elf_getshdrstrndx(elf, &names))
		return false;
	name = elf_strptr(elf, names, header.sh_name);
	return name && strncmp(name, ".debug_", 7) == 0 && elf_compress(section, 0, 0) < 0;
}

/* libdw could not read it: because of how it is packed, or because it makes no sense. */
static int why_not(int fd)
{
	Elf *elf = elf_begin(fd, ELF_C_READ, NULL);
	Elf_Scn *section = NULL;
	int err = -EBADMSG;

	while (elf && (section = elf_nextscn(elf, section)))
		if (is_packed(elf, section))
			err = -ENOTSUP;
	elf_end(elf);
	return err;
}

int dwarf_lines_open(const struct dwarf_source *source, struct dwarf_lines **ret)
{
	autoclean(dwarf_lines) struct dwarf_lines *lines = calloc(1, sizeof(*lines));

	if (!lines)
		return -ENOMEM;
	lines->shared_fd = -1;
	lines->segments = source->segments;
	lines->segment_count = source->segment_count;
	lines->open_split = source->open_split;
	lines->context = source->context;
	lines->dwarf = dwarf_begin(source->fd, DWARF_C_READ);
	if (!lines->dwarf)
		return dwarf_errno() ? why_not(source->fd) : -ENODATA;
	(void)dwarf_new_oom_handler(lines->dwarf, out_of_memory);
	open_shared(lines, source);

	int err = find_units(lines);
	if (err)
		return err;
	/* What it can't unpack it takes for missing. */
	if (lines->unit_count == 0 && why_not(source->fd) == -ENOTSUP)
		return -ENOTSUP;
	*ret = TAKE(lines);
	return 0;
}

bool dwarf_lines_lack_split(const struct dwarf_lines *lines)
{
	return lines->lacks_split;
}

/* Packs a section of zeros in memory; who can pack can unpack. */
bool dwarf_lines_unpack_zstd(void)
{
	enum { SIZE = 4096, ZSTD = 2 /* ELFCOMPRESS_ZSTD of newer headers */ };
	static char zeros[SIZE];
	GElf_Ehdr header = { .e_type = ET_REL,
			     .e_machine = EM_X86_64,
			     .e_version = EV_CURRENT,
			     .e_ident = { [EI_DATA] = ELFDATA2LSB } };
	autoclose int fd = memfd_create("probe", MFD_CLOEXEC);

	(void)elf_version(EV_CURRENT);

	Elf *elf = fd < 0 ? NULL : elf_begin(fd, ELF_C_WRITE, NULL);
	bool is_made = elf && gelf_newehdr(elf, ELFCLASS64) && gelf_update_ehdr(elf, &header);
	Elf_Scn *section = is_made ? elf_newscn(elf) : NULL;
	Elf_Data *data = section ? elf_newdata(section) : NULL;
	bool is_unpacked = false;

	if (data) {
		GElf_Shdr named = { .sh_type = SHT_PROGBITS, .sh_addralign = 1, .sh_size = SIZE };

		data->d_buf = zeros;
		data->d_size = SIZE;
		data->d_align = 1;
		is_unpacked = gelf_update_shdr(section, &named) &&
			      elf_update(elf, ELF_C_NULL) > 0 &&
			      elf_compress(section, ZSTD, ELF_CHF_FORCE) > 0;
	}
	elf_end(elf);
	return is_unpacked;
}

struct dwarf_lines *dwarf_lines_close(struct dwarf_lines *lines)
{
	if (!lines)
		return NULL;

	if (lines->dwarf)
		dwarf_end(lines->dwarf);
	if (lines->shared)
		dwarf_end(lines->shared);
	if (lines->shared_fd >= 0)
		close(lines->shared_fd);
	free(lines->units);
	free(lines->ranges);
	free(lines);
	return NULL;
}

/* ---- inlined calls ---- */

static uint32_t text_of(struct reading *reading, const char *name)
{
	int64_t text = line_table_text(reading->table, str_from(name));

	if (text < 0) {
		reading->error = (int)text;
		return LINE_TEXT_NONE;
	}
	return (uint32_t)text;
}

static bool starts_with_folder(const char *path, const char *folder)
{
	size_t size = strlen(folder);

	return strncmp(path, folder, size) == 0 && path[size] == '/';
}

/*
 * libdw puts the compiler's folder before some relative names and not before others. Steps out of
 * folders are taken, so that one file has one name.
 */
static uint32_t path_text(struct reading *reading, const char *name)
{
	char path[LINE_PATH_SIZE_MAX];
	const char *folder = reading->folder;
	bool is_whole = name[0] == '/' || !folder || starts_with_folder(name, folder);
	int size = snprintf(path, sizeof(path), "%s%s%s", is_whole ? "" : folder,
			    is_whole ? "" : "/", name);

	if (size < 0 || (size_t)size >= sizeof(path))
		return text_of(reading, name);
	line_path_clean(path);
	return text_of(reading, path);
}

/* Files come as pointers into one list, the same again and again. */
static uint32_t file_text(struct reading *reading, const char *name)
{
	size_t place = ((uintptr_t)name >> 4) % FILE_MEMORY_COUNT;

	if (!name)
		return LINE_TEXT_NONE;
	if (reading->memory[place].name != name) {
		reading->memory[place].name = name;
		reading->memory[place].text = path_text(reading, name);
	}
	return reading->memory[place].text;
}

/* For the linker if it has such a name, else as in the source. */
static const char *function_name(Dwarf_Die *die)
{
	static const unsigned kinds[] = { DW_AT_linkage_name, DW_AT_MIPS_linkage_name, DW_AT_name };
	Dwarf_Attribute attribute;

	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
		if (dwarf_attr_integrate(die, kinds[i], &attribute))
			return dwarf_formstring(&attribute);
	return NULL;
}

static uint64_t number_of(Dwarf_Die *die, unsigned kind)
{
	Dwarf_Attribute attribute;
	Dwarf_Word value;

	if (!dwarf_attr(die, kind, &attribute) || dwarf_formudata(&attribute, &value))
		return 0;
	return value;
}

/* The scope of a call that was inlined. */
static uint32_t call_scope(struct reading *reading, Dwarf_Die *die, uint32_t parent)
{
	uint64_t file = number_of(die, DW_AT_call_file);
	/* Before DWARF 5 files count from 1. */
	bool has_file = dwarf_hasattr(die, DW_AT_call_file) && (file > 0 || reading->version >= 5);
	const char *path =
		has_file && reading->files ? dwarf_filesrc(reading->files, file, NULL, NULL) : NULL;
	struct line_scope scope = {
		.parent = parent,
		.function = text_of(reading, function_name(die)),
		.call_file = file_text(reading, path),
		.call_line = (uint32_t)number_of(die, DW_AT_call_line),
	};

	if (reading->error)
		return parent;

	int64_t number = line_table_scope(reading->table, &scope);

	if (number < 0)
		reading->error = (int)number;
	return number < 0 ? parent : (uint32_t)number;
}

/* Of the call that is at hand. */
struct spans_of {
	struct reading *reading;
	uint32_t scope;
	unsigned depth;
};

static int add_span(void *context, uint64_t start, uint64_t end)
{
	const struct spans_of *of = context;
	struct reading *reading = of->reading;

	if (!clip(reading->lines, &start, &end))
		return 0;
	if (reading->spans.count == DWARF_SPAN_COUNT_MAX)
		return -EFBIG;
	return inline_spans_add(&reading->spans, start, end, of->scope, of->depth);
}

static void add_spans(struct reading *reading, Dwarf_Die *die, uint32_t scope, unsigned depth)
{
	struct spans_of of = { reading, scope, depth };
	Dwarf_Addr base;
	Dwarf_Addr start;
	Dwarf_Addr end;
	ptrdiff_t next = 0;

	if (reading->split && !reading->error)
		reading->error = dwarf_split_ranges(reading->split, die, add_span, &of);
	else
		while (!reading->error && (next = dwarf_ranges(die, next, &base, &start, &end)) > 0)
			reading->error = add_span(&of, start, end);
}

static bool has_code(Dwarf_Die *die)
{
	return dwarf_hasattr(die, DW_AT_low_pc) || dwarf_hasattr(die, DW_AT_ranges);
}

/* The children of an entry, which stand in this scope. */
static void walk(struct reading *reading, Dwarf_Die *parent, uint32_t scope, unsigned depth)
{
	Dwarf_Die die;

	if (depth == DWARF_DEPTH_MAX || dwarf_child(parent, &die))
		return;
	do {
		switch (dwarf_tag(&die)) {
		case DW_TAG_subprogram:
			if (has_code(&die))
				walk(reading, &die, LINE_SCOPE_NONE, depth + 1);
			break;
		case DW_TAG_inlined_subroutine:
			if (has_code(&die)) {
				uint32_t inner = call_scope(reading, &die, scope);

				add_spans(reading, &die, inner, depth);
				walk(reading, &die, inner, depth + 1);
			}
			break;
		case DW_TAG_lexical_block:
		case DW_TAG_try_block:
		case DW_TAG_catch_block:
		case DW_TAG_with_stmt:
			walk(reading, &die, scope, depth + 1);
			break;
		/* What definitions lie in. */
		case DW_TAG_namespace:
		case DW_TAG_module:
		case DW_TAG_structure_type:
		case DW_TAG_class_type:
		case DW_TAG_union_type:
		case DW_TAG_enumeration_type:
			if (scope == LINE_SCOPE_NONE)
				walk(reading, &die, scope, depth + 1);
			break;
		default:
			break;
		}
	} while (!reading->error && dwarf_siblingof(&die, &die) == 0);
}

/* ---- lines ---- */

/* A row's bytes, cut where scopes change. */
static int add_row(struct reading *reading, uint64_t start, uint64_t end, struct line_row *row)
{
	int err = 0;

	while (!err && start < end) {
		uint64_t until = end;

		row->scope = inline_spans_at(&reading->spans, &reading->next_piece, start, &until);
		assert(until > start && until <= end);
		if (until - start > UINT32_MAX)
			return -EFBIG;
		err = line_table_add(reading->table, start, (uint32_t)(until - start), row);
		start = until;
	}
	return err;
}

static int add_lines(struct reading *reading, Dwarf_Lines *rows, size_t count)
{
	bool knows_ranges = reading->unit != UINT32_MAX;
	int err = 0;

	for (size_t i = 0; !err && i + 1 < count; i++) {
		Dwarf_Line *line = dwarf_onesrcline(rows, i);
		Dwarf_Line *next = dwarf_onesrcline(rows, i + 1);
		Dwarf_Addr start;
		Dwarf_Addr end;
		bool is_end;
		int number = 0;

		if (dwarf_lineaddr(line, &start) || dwarf_lineaddr(next, &end) ||
		    dwarf_lineendsequence(line, &is_end) || is_end || end <= start)
			continue;

		const struct unit_range *range =
			knows_ranges ? find_range(reading->lines, start, reading->unit) : NULL;

		if (knows_ranges ? !range : !clip(reading->lines, &start, &end))
			continue;
		if (range && end > range->end)
			end = range->end;
		(void)dwarf_lineno(line, &number);

		struct line_row row = {
			.file = file_text(reading, dwarf_linesrc(line, NULL, NULL)),
			.line = number > 0 ? (uint32_t)number : 0,
		};

		err = reading->error ? reading->error : add_row(reading, start, end, &row);
		if (!err && !knows_ranges)
			err = line_table_cover(reading->table, start, end - start);
	}
	return err;
}

static int cover_unit(struct dwarf_lines *lines, uint32_t unit, struct line_table *table)
{
	int err = 0;

	for (size_t i = 0; !err && i < lines->range_count; i++)
		if (lines->ranges[i].unit == unit)
			err = line_table_cover(table, lines->ranges[i].start,
					       lines->ranges[i].end - lines->ranges[i].start);
	return err;
}

/* In which entry of a unit its inlined calls stand. */
static int find_calls(struct reading *reading, Dwarf_Die *unit, Dwarf_Die *ret)
{
	struct dwarf_lines *lines = reading->lines;
	int err = -ENOENT;

	*ret = *unit;
	if (!dwarf_split_is_skeleton(unit))
		return 0;
	if (lines->open_split)
		err = dwarf_split_find(lines->dwarf, unit, lines->open_split, lines->context,
				       &reading->split);
	if (!err)
		*ret = dwarf_split_unit(reading->split);
	lines->lacks_split = lines->lacks_split || err == -ENOENT;
	return err == -ENOMEM ? err : 0;
}

static int read_unit(struct reading *reading, Dwarf_Die *die)
{
	Dwarf_Die calls;
	Dwarf_Lines *rows = NULL;
	size_t count = 0;
	size_t file_count;

	if (dwarf_getsrclines(die, &rows, &count))
		return -EBADMSG;
	(void)dwarf_getsrcfiles(die, &reading->files, &file_count);

	(void)dwarf_cu_info(die->cu, &reading->version, NULL, NULL, NULL, NULL, NULL, NULL);

	Dwarf_Attribute folder;

	if (dwarf_attr(die, DW_AT_comp_dir, &folder))
		reading->folder = dwarf_formstring(&folder);
	reading->error = find_calls(reading, die, &calls);
	if (!reading->error)
		walk(reading, &calls, LINE_SCOPE_NONE, 0);
	if (!reading->error)
		reading->error = inline_spans_lay_out(&reading->spans);
	return reading->error ? reading->error : add_lines(reading, rows, count);
}

int dwarf_lines_add(struct dwarf_lines *lines, uint64_t vaddr, struct line_table *table)
{
	const struct unit_range *range = find_range(lines, vaddr, UINT32_MAX);
	struct reading reading = { .lines = lines, .table = table, .unit = UINT32_MAX };
	Dwarf_Die die;

	if (range) {
		struct unit *unit = &lines->units[range->unit];

		if (unit->done)
			return 0;
		unit->done = true;
		reading.unit = range->unit;
		if (!dwarf_offdie(lines->dwarf, unit->offset, &die))
			return -EBADMSG;
	} else if (!dwarf_addrdie(lines->dwarf, vaddr, &die)) {
		/* Not even by .debug_aranges. */
		return -ENOENT;
	}

	inline_spans_init(&reading.spans);

	int err = read_unit(&reading, &die);

	inline_spans_done(&reading.spans);
	dwarf_split_close(reading.split);
	if (range && (!err || err == -EBADMSG)) {
		int covered = cover_unit(lines, reading.unit, table);

		err = covered ? covered : err;
	}
	return err;
}
