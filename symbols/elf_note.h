/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/identity.h"
#include "base/str.h"

/*
 * Notes as they lie in SHT_NOTE sections, PT_NOTE segments and /sys/kernel/notes: three words
 * (name size, descriptor size, type), the name with its NUL, the descriptor, both padded to the
 * alignment, which is 4, or 8 in some PT_NOTE segments of x86. Little endian.
 */

/*
 * The descriptor of the first note with this name (without its NUL) and type. False when there is
 * none before the end or the first malformed note.
 */
bool elf_note_find(const void *notes, size_t size, size_t alignment, struct str name, uint32_t type,
		   struct str *ret_descriptor);

/* The GNU build id among the notes, as an identity. One of no bytes or more than 20 is none. */
bool elf_note_build_id(const void *notes, size_t size, size_t alignment, struct identity *ret);
