/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <elfutils/libdw.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "symbols/dwarf_lines.h"

/*
 * The other half of a unit of split DWARF (-gsplit-dwarf, versions 4 and 5). What the linker has to
 * see stays in the program, as the unit's skeleton: its line table, its addresses, where its code
 * lies. The rest, inlined calls among it, is in a .dwo file that the skeleton names.
 *
 * Or it lies, with others, in a package beside the program: symbols/dwarf_package.h.
 *
 * libdw reads such a file, but only joins it to its skeleton when it has opened it by its path
 * itself, which it can't in a cell. So the file is asked for, opened as a file of its own, and what
 * needs both halves is done here: addresses by number and lists of ranges.
 */
struct dwarf_split;

/* Whether this unit of the program is such a skeleton. */
bool dwarf_split_is_skeleton(Dwarf_Die *unit);

/*
 * The half that this skeleton, a unit of dwarf, names. -ENOENT when there is none that bears its
 * id.
 */
int dwarf_split_find(Dwarf *dwarf, Dwarf_Die *skeleton, dwarf_open_split *open, void *context,
		     struct dwarf_split **ret);
struct dwarf_split *dwarf_split_close(struct dwarf_split *split);

/* Its first entry; entries live until it is closed. */
Dwarf_Die dwarf_split_unit(const struct dwarf_split *split);

/*
 * The code of one of its entries: calls add with each range, until that returns an error, which it
 * returns. What makes no sense ends the list.
 */
typedef int dwarf_split_add(void *context, uint64_t start, uint64_t end);
int dwarf_split_ranges(const struct dwarf_split *split, Dwarf_Die *die, dwarf_split_add *add,
		       void *context);

DEFINE_CLEANUP(struct dwarf_split *, dwarf_split, dwarf_split_close)
