/* SPDX-License-Identifier: Apache-2.0 */
#include "symbols/unwind_maker.h"

#include <elf.h>
#include <errno.h>

#include "symbols/eh_frame.h"
#include "symbols/go_pclntab.h"
#include "symbols/unwind_code.h"
#include "symbols/unwind_pushed.h"
#include "symbols/unwind_rows.h"
#include "symbols/unwind_saved.h"

static int add_eh_frame(struct elf_file *elf, struct unwind_rows *rows, uint16_t *sources)
{
	struct elf_bytes bytes;
	int err = elf_file_section(elf, STR(".eh_frame"), ELF_FRAMES_SIZE_MAX, &bytes);

	if (err == -ENOENT)
		err = elf_file_eh_frame(elf, &bytes);
	/* Without it, or with one that can't be read, the other sources may do. */
	if (err)
		return err == -ENOMEM ? err : 0;

	struct eh_frame_section section = {
		.bytes = bytes.bytes,
		.size = bytes.size,
		.vaddr = bytes.vaddr,
		.machine = elf_file_machine(elf),
	};
	size_t before = rows->function_count;

	err = eh_frame_read(&section, rows);
	if (rows->function_count > before)
		*sources |= UNWIND_FROM_EH_FRAME;
	return err;
}

/* Of a Go program: what .eh_frame of a C library in it does not say. */
static int add_go(struct elf_file *elf, struct unwind_rows *rows, uint16_t *sources)
{
	struct go_pclntab table;
	size_t before = rows->function_count;

	if (go_pclntab_find(elf, &table))
		return 0;

	int err = go_pclntab_add(&table, rows);

	if (rows->function_count > before)
		*sources |= UNWIND_FROM_PCLNTAB;
	return err == -EBADMSG ? 0 : err;
}

/* Where .eh_frame describes the same function it says the same, and the first is kept. */
static int add_debug_frame(struct elf_file *elf, struct unwind_rows *rows, uint16_t *sources)
{
	struct elf_bytes bytes;
	int err = elf_file_section(elf, STR(".debug_frame"), ELF_FRAMES_SIZE_MAX, &bytes);

	if (err)
		return err == -ENOMEM ? err : 0;

	struct eh_frame_section section = {
		.bytes = bytes.bytes,
		.size = bytes.size,
		.machine = elf_file_machine(elf),
		.is_debug_frame = true,
	};
	size_t before = rows->function_count;

	err = eh_frame_read(&section, rows);
	if (rows->function_count > before)
		*sources |= UNWIND_FROM_DEBUG_FRAME;
	return err;
}

int unwind_maker_make(struct elf_file *elf, struct elf_file *debug, const struct identity *identity,
		      struct buf *buf)
{
	struct unwind_table_header about = {
		.identity = *identity,
		.machine = elf_file_machine(elf),
	};
	autoclean(unwind_rows) struct unwind_rows rows;
	size_t segment_count;
	const struct elf_segment *segments = elf_file_segments(elf, &segment_count);

	unwind_rows_init(&rows, segments, segment_count);
	if (about.machine != EM_X86_64)
		return -ENOTSUP;

	int err = add_eh_frame(elf, &rows, &about.sources);

	if (!err)
		err = add_go(elf, &rows, &about.sources);
	/* Go's own says the same as its table, but for changes of stacks. */
	if (!err && !(about.sources & UNWIND_FROM_PCLNTAB))
		err = add_debug_frame(elf, &rows, &about.sources);
	if (!err && debug && !(about.sources & UNWIND_FROM_PCLNTAB))
		err = add_debug_frame(debug, &rows, &about.sources);
	if (!err)
		err = unwind_code_add(elf, &rows, &about.sources);
	if (!err)
		err = unwind_saved_add(elf, &rows);
	if (!err)
		err = unwind_pushed_add(elf, &rows, &about.sources);
	return err ? err : unwind_rows_build(&rows, &about, buf);
}
