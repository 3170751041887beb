/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "base/buf.h"
#include "base/identity.h"
#include "symbols/elf_file.h"

/*
 * Makes the unwind table of an executable or library: .eh_frame, .debug_frame, and what machine
 * code itself tells. Reads foreign bytes only through elf_file and the readers of each source.
 */

/*
 * Appends the table (base/unwind_table.h) to an empty buf. debug: the file's debug file, which may
 * have the .debug_frame that was stripped off, or NULL. -ENODATA when the file says nothing
 * about its frames, -ENOTSUP for a machine that we have no rules for, -EFBIG beyond a limit,
 * -ENOMEM.
 */
int unwind_maker_make(struct elf_file *elf, struct elf_file *debug, const struct identity *identity,
		      struct buf *buf);
