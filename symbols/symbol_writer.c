/* SPDX-License-Identifier: Apache-2.0 */
#include "symbols/symbol_writer.h"

#include <errno.h>
#include <malloc.h>
#include <stdio.h>
#include <string.h>

#include "symbols/debug_link.h"
#include "symbols/dwarf_lines.h"
#include "symbols/elf_file.h"
#include "symbols/go_lines.h"
#include "symbols/go_pclntab.h"
#include "symbols/mini_debug.h"
#include "symbols/symbol_table.h"
#include "symbols/symbols.h"

/* A file of symbols beside the one that runs. The table's names point into it. */
struct extra {
	int fd;
	struct elf_file *elf;
};

static void extra_cleanup(struct extra *extra)
{
	elf_file_close(extra->elf);
	fd_cleanup(&extra->fd);
}

/*
 * What it adds is welcome; what it lacks, or that it can't be read, is no reason to do without the
 * names of the file itself. Returns the source it stands for, 0, or -ENOMEM.
 */
static int add_extra(struct extra *extra, enum symbol_file_source source,
		     struct symbol_table *table)
{
	int err = elf_file_open_debug(extra->fd, &extra->elf);

	if (!err)
		err = elf_file_add_symbols(extra->elf, table);
	if (err == -ENOMEM)
		return err;
	if (!err && source == SYMBOL_FILE_FROM_DEBUG_FILE && elf_file_has_lines(extra->elf))
		return (int)source | SYMBOL_FILE_LINES_IN_DEBUG_FILE;
	return err ? 0 : (int)source;
}

static int add_mini_debug(struct elf_file *elf, struct extra *extra, struct symbol_table *table)
{
	struct elf_bytes packed;
	int err = elf_file_section(elf, STR(".gnu_debugdata"), ELF_SECTION_SIZE_MAX, &packed);

	if (!err)
		err = mini_debug_unpack(packed.bytes, packed.size, &extra->fd);
	if (err)
		return err == -ENOMEM ? err : 0;
	return add_extra(extra, SYMBOL_FILE_FROM_MINI_DEBUG, table);
}

/* A Go program's own table, which stripping leaves. The source it stands for, 0, or an error. */
static int add_go(struct elf_file *elf, struct symbol_table *table)
{
	struct go_pclntab pclntab;
	size_t segment_count;
	const struct elf_segment *segments = elf_file_segments(elf, &segment_count);

	if (go_pclntab_find(elf, &pclntab))
		return 0;

	int err = go_pclntab_add_symbols(&pclntab, segments, segment_count, table);

	if (err && err != -EBADMSG)
		return err;
	return err ? 0 : SYMBOL_FILE_FROM_PCLNTAB | SYMBOL_FILE_LINES_IN_ELF;
}

/*
 * Who named the file may have been wrong: its own build id decides or, where that says nothing, the
 * checksum of the one that is meant. link may be NULL.
 */
static int check_debug_file(int fd, const struct identity *identity, const struct debug_link *link)
{
	autoclean(elf_file) struct elf_file *elf = NULL;
	int err = elf_file_open_debug(fd, &elf);

	if (err)
		return err;

	struct identity found = elf_file_build_id(elf);

	if (identity_equal(&found, identity))
		return 0;
	return link && debug_link_fits(link, fd) ? 0 : -ESTALE;
}

static int add_debug_file(const struct symbol_writer *writer, const struct identity *identity,
			  const struct debug_link *link, struct extra *extra,
			  struct symbol_table *table)
{
	struct symbol_wish wish = { .kind = SYMBOL_WISH_DEBUG_FILE, .identity = *identity };

	if (writer->open(writer->context, &wish, &extra->fd))
		return 0;

	int err = check_debug_file(extra->fd, identity, link);

	if (err)
		return err == -ENOMEM ? err : 0;
	return add_extra(extra, SYMBOL_FILE_FROM_DEBUG_FILE, table);
}

/* The debug file that this one names: -ENOENT. link may be NULL. */
static int open_linked(const struct symbol_writer *writer, const struct debug_link *link,
		       const struct identity *identity, int *ret_fd)
{
	struct symbol_wish wish = { .kind = SYMBOL_WISH_LINKED_FILE, .identity = *identity };
	int err = link ? 0 : -ENOENT;

	static_assert(sizeof(wish.name) >= sizeof(link->name), "copied");
	if (!err)
		memcpy(wish.name, link->name, sizeof(link->name));
	for (; !err && wish.place < SYMBOL_WRITER_PLACE_COUNT_MAX; wish.place++) {
		autoclose int fd = -1;

		err = writer->open(writer->context, &wish, &fd);
		if (!err && debug_link_fits(link, fd)) {
			*ret_fd = TAKE_FD(fd);
			return 0;
		}
		if (err == -ENOENT)
			err = 0;
	}
	return -ENOENT;
}

static int add_linked_file(const struct symbol_writer *writer, const struct debug_link *link,
			   const struct identity *identity, struct extra *extra,
			   struct symbol_table *table)
{
	if (open_linked(writer, link, identity, &extra->fd))
		return 0;

	int source = add_extra(extra, SYMBOL_FILE_FROM_DEBUG_FILE, table);

	return source > 0 ? source | SYMBOL_FILE_BY_DEBUG_LINK : source;
}

/* What stands beside the file's own symbols. The sources that it stands for, or an error. */
static int add_extras(const struct symbol_writer *writer, struct elf_file *elf,
		      const struct symbol_file_contents *contents, struct extra *mini,
		      struct extra *debug, struct symbol_table *table)
{
	if (writer->plain)
		return (int)writer->plain;

	int go = add_go(elf, table);

	if (go < 0)
		return go;

	int more = add_mini_debug(elf, mini, table);
	const struct identity *identity = &contents->identity;
	int most = more < 0 ? 0 : add_debug_file(writer, identity, contents->link, debug, table);

	if (most == 0 && debug->fd < 0)
		most = add_linked_file(writer, contents->link, identity, debug, table);
	return more < 0 || most < 0 ? -ENOMEM : go | more | most;
}

static int write_elf_names(const struct symbol_writer *writer, struct elf_file *elf,
			   const struct identity *identity)
{
	autoclean(symbol_table) struct symbol_table table;
	autoclean(extra) struct extra mini = { .fd = -1 };
	autoclean(extra) struct extra debug = { .fd = -1 };
	struct symbol_file_contents contents = {
		.identity = *identity,
		.sources = SYMBOL_FILE_FROM_ELF,
		.table = &table,
	};
	struct debug_link link;
	uint64_t size;

	symbol_table_init(&table);
	contents.segments = elf_file_segments(elf, &contents.segment_count);
	if (debug_link_read(elf, &link) == 0)
		contents.link = &link;
	if (elf_file_has_lines(elf))
		contents.sources |= SYMBOL_FILE_LINES_IN_ELF;

	int err = elf_file_add_symbols(elf, &table);
	if (err)
		return err;

	int more = add_extras(writer, elf, &contents, &mini, &debug, &table);

	if (more < 0)
		return more;
	contents.sources |= (uint32_t)more;
	err = symbol_table_build(&table);
	return err ? err : symbol_file_write_to(writer->output, &contents, &size);
}

int symbol_writer_elf(const struct symbol_writer *writer, int fd, const struct identity *wished,
		      struct identity *ret_identity, struct identity *ret_go)
{
	autoclean(elf_file) struct elf_file *elf = NULL;
	struct identity identity = { 0 };
	int err = elf_file_open(fd, &elf);

	if (!err)
		err = elf_file_identify(elf, wished, &identity);
	if (err)
		return err;

	struct symbol_wish wish = { .kind = SYMBOL_WISH_KNOWN, .identity = identity };

	*ret_identity = identity;
	*ret_go = elf_file_go_build_id(elf);
	if (writer->open(writer->context, &wish, &(int){ -1 }) == -EEXIST)
		return -EEXIST;
	return write_elf_names(writer, elf, &identity);
}

int symbol_writer_debug(const struct symbol_writer *writer, int symbol_fd,
			struct identity *ret_identity)
{
	autoclean(symbol_file) struct symbol_file *file = NULL;
	autoclean(symbol_table) struct symbol_table table;
	autoclean(extra) struct extra debug = { .fd = -1 };
	struct symbol_file_contents contents = { .table = &table };
	uint64_t size;

	symbol_table_init(&table);

	int err = symbol_file_open(symbol_fd, &file);
	if (err)
		return err;
	contents.identity = symbol_file_header(file)->identity;
	contents.sources = symbol_file_header(file)->sources;
	contents.segments = symbol_file_segments(file, &contents.segment_count);
	contents.lines = symbol_file_lines(file);
	contents.link = symbol_file_debug_link(file);
	contents.missing = symbol_file_missing(file);

	int more = add_debug_file(writer, &contents.identity, contents.link, &debug, &table);

	if (more <= 0)
		return more < 0 ? more : -EBADMSG;
	contents.sources |= (uint32_t)more;
	err = symbol_file_add_symbols(file, &table);
	if (!err)
		err = symbol_table_build(&table);
	if (!err)
		err = symbol_file_write_to(writer->output, &contents, &size);
	if (!err)
		*ret_identity = contents.identity;
	return err;
}

/* ---- lines ---- */

/* Asks outside for what DWARF goes on in, and takes note of the first that was not there. */
struct asking {
	const struct symbol_writer *writer;
	struct symbol_wish missing; /* its kind is 0: none was */
	bool is_somewhere;	    /* the .dwo file that is being looked for, maybe another's */
};

static void note_missing(struct asking *asking, const struct symbol_wish *wish)
{
	if (!asking->missing.kind) {
		asking->missing = *wish;
		asking->missing.place = 0;
	}
}

static int open_shared(void *context, const struct identity *identity, struct str name, int *ret_fd)
{
	struct asking *asking = context;
	struct symbol_wish wish = { .kind = SYMBOL_WISH_SHARED_FILE, .identity = *identity };

	if (name.size == 0 || name.size >= DEBUG_LINK_NAME_SIZE || name.text[0] == '.')
		return -ENOENT;
	memcpy(wish.name, name.text, name.size);

	int err = asking->writer->open(asking->writer->context, &wish, ret_fd);

	if (err == -ENOENT)
		note_missing(asking, &wish);
	return err;
}

static int open_split(void *context, struct str path, uint32_t place, int *ret_fd)
{
	struct asking *asking = context;
	struct symbol_wish wish = { .kind = SYMBOL_WISH_SPLIT_FILE, .place = place };

	if (path.size == 0 || path.size >= sizeof(wish.name) || path.text[0] != '/')
		return -ERANGE;
	memcpy(wish.name, path.text, path.size);

	int err = asking->writer->open(asking->writer->context, &wish, ret_fd);

	asking->is_somewhere = err == 0 || (place > 0 && asking->is_somewhere);
	if (err == -ERANGE && !asking->is_somewhere)
		note_missing(asking, &wish);
	return err;
}

static bool memory_is_short(void)
{
	struct mallinfo2 info = mallinfo2();

	return info.uordblks + info.hblkhd > SYMBOL_WRITER_LINES_MEMORY_MAX;
}

/* In no unit: there is nothing to be had for the whole function. */
static int cover_function(const struct symbol_file *file, uint64_t offset, uint64_t vaddr,
			  struct line_table *lines)
{
	uint32_t function = symbol_file_find(file, offset);
	struct symbol_table table;

	if (function == SYMBOL_NONE)
		return line_table_cover(lines, vaddr, 1);
	symbol_file_table(file, &table);
	return line_table_cover(lines, table.base + table.starts[function], table.sizes[function]);
}

/* Go's own table says the same as its DWARF, and is there when that was stripped off. */
struct line_sources {
	struct elf_file *elf;
	struct go_lines *go;	   /* or NULL */
	struct dwarf_lines *dwarf; /* or NULL */
};

static void line_sources_cleanup(struct line_sources *sources)
{
	go_lines_close(sources->go);
	dwarf_lines_close(sources->dwarf);
	elf_file_close(sources->elf);
}

static int add_unit(const struct line_sources *sources, uint64_t vaddr, struct line_table *lines)
{
	int err = sources->go ? go_lines_add(sources->go, vaddr, lines) : -ENOENT;

	return err == -ENOENT && sources->dwarf ? dwarf_lines_add(sources->dwarf, vaddr, lines)
						: err;
}

static int add_units(const struct symbol_file *file, const struct symbol_writer_lines *what,
		     const struct line_sources *sources, struct line_table *lines, bool *ret_more)
{
	int err = 0;

	for (size_t i = 0; !err && i < what->offset_count; i++) {
		uint64_t vaddr;

		if (!symbol_file_vaddr(file, what->offsets[i], &vaddr) ||
		    line_rows_cover(symbol_file_lines(file), vaddr))
			continue;
		if (memory_is_short()) {
			*ret_more = true;
			break;
		}
		err = add_unit(sources, vaddr, lines);
		if (err == -ENOENT)
			err = cover_function(file, what->offsets[i], vaddr, lines);
		else if (err == -EBADMSG)
			err = 0;
	}
	return err;
}

/* The file may have been replaced since it was read. */
static int check_build_id(int fd, const struct identity *identity)
{
	autoclean(elf_file) struct elf_file *elf = NULL;
	int err = elf_file_open_debug(fd, &elf);

	return err ? err : elf_file_identify(elf, identity, &(struct identity){ 0 });
}

/* The file with DWARF; a descriptor of the caller's own, unless it is the file itself. */
static int find_dwarf(const struct symbol_writer *writer, int elf_fd,
		      const struct symbol_file *file, int *ret_own, int *ret_fd)
{
	const struct identity *identity = &symbol_file_header(file)->identity;
	const struct debug_link *link = symbol_file_debug_link(file);
	struct symbol_wish wish = { .kind = SYMBOL_WISH_DEBUG_FILE, .identity = *identity };
	autoclean(elf_file) struct elf_file *elf = NULL;
	int err = 0;

	if (elf_fd >= 0) {
		err = elf_file_open_debug(elf_fd, &elf);
		if (err)
			return err;
		*ret_fd = elf_fd;
		if (elf_file_has_lines(elf))
			return 0;
	}
	err = writer->open(writer->context, &wish, ret_own);
	if (!err)
		err = check_debug_file(*ret_own, identity, link);
	else if (elf)
		err = open_linked(writer, link, identity, ret_own);
	if (!err)
		*ret_fd = *ret_own;
	return err;
}

static int open_sources(const struct symbol_writer *writer, int elf_fd,
			const struct symbol_file *file, struct dwarf_source *source,
			struct line_sources *sources, int *ret_own)
{
	const struct identity *identity = &symbol_file_header(file)->identity;
	int err = elf_fd >= 0 ? check_build_id(elf_fd, identity) : 0;

	if (err)
		return err;
	err = find_dwarf(writer, elf_fd, file, ret_own, &source->fd);

	int fd = elf_fd >= 0 ? elf_fd : source->fd;
	int go_err = fd >= 0 ? elf_file_open_debug(fd, &sources->elf) : -ENOENT;

	if (!go_err)
		go_err = go_lines_open(sources->elf, &sources->go);
	if (go_err == -ENOMEM)
		return go_err;
	if (!err)
		err = dwarf_lines_open(source, &sources->dwarf);
	return sources->go && err != -ENOMEM ? 0 : err;
}

int symbol_writer_lines(const struct symbol_writer *writer, const struct symbol_writer_lines *what,
			struct identity *ret_identity, bool *ret_more)
{
	autoclean(symbol_file) struct symbol_file *file = NULL;
	autoclose int own_fd = -1;
	autoclean(line_sources) struct line_sources sources = { .elf = NULL };
	autoclean(line_table) struct line_table lines;
	struct asking asking = { .writer = writer };
	struct dwarf_source source = {
		.fd = -1,
		.open_shared = open_shared,
		.open_split = open_split,
		.context = &asking,
	};
	struct symbol_table table;
	bool more = false;
	uint64_t size;

	line_table_init(&lines);

	int err = symbol_file_open(what->symbol_fd, &file);

	if (!err) {
		source.segments = symbol_file_segments(file, &source.segment_count);
		err = open_sources(writer, what->elf_fd, file, &source, &sources, &own_fd);
	}
	if (!err)
		err = line_table_add_rows(&lines, symbol_file_lines(file));
	if (!err)
		err = add_units(file, what, &sources, &lines, &more);
	if (!err)
		err = line_table_build(&lines);
	if (err)
		return err;

	struct line_rows rows = line_table_rows(&lines);
	struct symbol_file_contents contents = {
		.identity = symbol_file_header(file)->identity,
		.sources = symbol_file_header(file)->sources,
		.table = &table,
		.lines = &rows,
		.link = symbol_file_debug_link(file),
		.missing = asking.missing.kind ? &asking.missing : symbol_file_missing(file),
	};

	if (asking.missing.kind == SYMBOL_WISH_SHARED_FILE)
		contents.sources |= SYMBOL_FILE_LACKS_SHARED;
	if (sources.dwarf && dwarf_lines_lack_split(sources.dwarf))
		contents.sources |= SYMBOL_FILE_LACKS_SPLIT;
	symbol_file_table(file, &table);
	contents.segments = symbol_file_segments(file, &contents.segment_count);
	err = symbol_file_write_to(writer->output, &contents, &size);
	if (err)
		return err;
	*ret_identity = contents.identity;
	*ret_more = more;
	return 0;
}
