/* SPDX-License-Identifier: Apache-2.0 */
#include "symbols/symbol_writer.h"

#include <errno.h>

#include "symbols/debug_folder.h"
#include "symbols/elf_file.h"
#include "symbols/go_pclntab.h"
#include "symbols/mini_debug.h"
#include "symbols/symbol_table.h"

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
	return err ? 0 : SYMBOL_FILE_FROM_PCLNTAB;
}

/* Who named the file may have been wrong: its own build id decides. */
static int add_debug_file(const char *debug_folders, const struct identity *identity,
			  struct extra *extra, struct symbol_table *table)
{
	if (debug_folder_open(debug_folders, identity, &extra->fd))
		return 0;

	autoclean(elf_file) struct elf_file *elf = NULL;
	int err = elf_file_open_debug(extra->fd, &elf);

	if (err)
		return err == -ENOMEM ? err : 0;

	struct identity found = elf_file_build_id(elf);

	if (!identity_equal(&found, identity))
		return 0;
	return add_extra(extra, SYMBOL_FILE_FROM_DEBUG_FILE, table);
}

static int write_elf_names(struct symbol_folder *folder, struct elf_file *elf,
			   const char *debug_folders, const struct identity *identity)
{
	autoclean(symbol_table) struct symbol_table table;
	autoclean(extra) struct extra mini = { .fd = -1 };
	autoclean(extra) struct extra debug = { .fd = -1 };
	struct symbol_file_contents contents = {
		.identity = *identity,
		.sources = SYMBOL_FILE_FROM_ELF,
		.table = &table,
	};

	symbol_table_init(&table);
	contents.segments = elf_file_segments(elf, &contents.segment_count);

	int err = elf_file_add_symbols(elf, &table);
	if (err)
		return err;

	int go = add_go(elf, &table);

	if (go < 0)
		return go;

	int more = add_mini_debug(elf, &mini, &table);
	int most = add_debug_file(debug_folders, identity, &debug, &table);

	if (more < 0 || most < 0)
		return -ENOMEM;
	contents.sources |= (uint32_t)go | (uint32_t)more | (uint32_t)most;
	err = symbol_table_build(&table);
	return err ? err : symbol_folder_write(folder, &contents);
}

int symbol_writer_elf(struct symbol_folder *folder, int fd, const char *debug_folders,
		      const struct identity *wished, struct identity *ret_identity)
{
	autoclean(elf_file) struct elf_file *elf = NULL;
	struct identity identity = { 0 };
	int err = elf_file_open(fd, &elf);

	if (!err)
		err = elf_file_identify(elf, wished, &identity);
	if (!err && !symbol_folder_has(folder, &identity))
		err = write_elf_names(folder, elf, debug_folders, &identity);
	if (!err && !identity_equal(&identity, wished))
		err = symbol_folder_alias(folder, wished, &identity);
	if (!err)
		*ret_identity = identity;
	return err;
}

int symbol_writer_debug(struct symbol_folder *folder, const char *debug_folders,
			const struct identity *identity)
{
	autoclean(symbol_file) struct symbol_file *file = NULL;
	autoclean(symbol_table) struct symbol_table table;
	autoclean(extra) struct extra debug = { .fd = -1 };
	struct symbol_file_contents contents = { .table = &table };

	symbol_table_init(&table);

	int err = symbol_folder_read(folder, identity, &file);
	if (err)
		return err;
	contents.identity = symbol_file_header(file)->identity;
	contents.sources = symbol_file_header(file)->sources;
	if (contents.sources & SYMBOL_FILE_FROM_DEBUG_FILE)
		return -EALREADY;
	contents.segments = symbol_file_segments(file, &contents.segment_count);

	contents.lines = symbol_file_lines(file);

	int more = add_debug_file(debug_folders, &contents.identity, &debug, &table);

	if (more <= 0)
		return more < 0 ? more : -EBADMSG;
	contents.sources |= (uint32_t)more;
	err = symbol_file_add_symbols(file, &table);
	if (!err)
		err = symbol_table_build(&table);
	return err ? err : symbol_folder_write(folder, &contents);
}

int symbol_writer_kernel_part(struct symbol_folder *folder, const struct kernel_symbols *kernel,
			      size_t number)
{
	const struct kernel_part *part = kernel_symbols_part(kernel, number);
	struct elf_segment segment = { .offset = 0, .vaddr = 0, .size = part->size };
	autoclean(symbol_table) struct symbol_table table;
	struct symbol_file_contents contents = {
		.identity = part->identity,
		.sources = SYMBOL_FILE_FROM_KALLSYMS,
		.segments = &segment,
		.segment_count = 1,
		.table = &table,
	};

	symbol_table_init(&table);

	int err = kernel_symbols_add_to(kernel, number, &table);
	if (!err)
		err = symbol_table_build(&table);
	return err ? err : symbol_folder_write(folder, &contents);
}
