/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "base/identity.h"
#include "base/str.h"
#include "symbols/elf_file.h"
#include "symbols/line_table.h"

/*
 * Lines and inlined calls out of DWARF 2 to 5, unit by unit, where a unit is what one run of a
 * compiler made. By libdw, which trusts what it reads further than we do, and so only in a cell
 * (symbols/cell.h). Sections may be packed (zlib; zstd where libdw can). What a file shares with
 * others by dwz is read from the file that is asked for, and so is the other half of a unit that
 * was split (symbols/dwarf_split.h); without it a unit has its lines, and no inlined calls.
 */
struct dwarf_lines;

enum {
	/* Of a file: a browser has 60,000. */
	DWARF_UNIT_COUNT_MAX = 1 << 20,
	DWARF_RANGE_COUNT_MAX = 8 << 20,
	/* Blocks within blocks of one function. */
	DWARF_DEPTH_MAX = 256,
	/* Inlined calls of one unit. */
	DWARF_SPAN_COUNT_MAX = 4 << 20,
};

/*
 * Opens the file of what this one shares with others: its build id, and the base name of where it
 * lay. -ENOENT when there is none.
 */
typedef int dwarf_open_shared(void *context, const struct identity *identity, struct str name,
			      int *ret_fd);

/*
 * Opens the other half of a unit by the path that its skeleton names, in the place of this number:
 * -ENOENT when there is none, -ERANGE when there are no more places.
 */
typedef int dwarf_open_split(void *context, struct str path, uint32_t place, int *ret_fd);

struct dwarf_source {
	int fd; /* borrowed until close */
	/* Of the program: what DWARF says of other places is about code that a linker left out. */
	const struct elf_segment *segments;
	size_t segment_count;
	dwarf_open_shared *open_shared; /* or NULL */
	dwarf_open_split *open_split;	/* or NULL */
	void *context;
};

/* -ENODATA when there is no DWARF, -EBADMSG when it can't be read, -ENOTSUP when it is packed in a
 * way that the installed libdw can't unpack, -ENOMEM. */
int dwarf_lines_open(const struct dwarf_source *source, struct dwarf_lines **ret);
struct dwarf_lines *dwarf_lines_close(struct dwarf_lines *lines);

/* Whether some unit that was added has its inlined calls in a .dwo file that was not to be had. */
bool dwarf_lines_lack_split(const struct dwarf_lines *lines);

/* A probe: whether the installed libdw unpacks sections that zstd packed. Reads nothing foreign. */
bool dwarf_lines_unpack_zstd(void);

/*
 * Adds all of the unit that holds this address, and covers it in the table. -ENOENT when none does;
 * -EBADMSG when it makes no sense: what was read until then is in the table.
 */
int dwarf_lines_add(struct dwarf_lines *lines, uint64_t vaddr, struct line_table *table);

DEFINE_CLEANUP(struct dwarf_lines *, dwarf_lines, dwarf_lines_close)
