/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/cleanup.h"

/*
 * Turns symbols as they come, in any order, with aliases and overlaps, into functions in order of
 * their addresses. One thread. Held by the caller: symbol_table_init(), _add()…, _build(), _done().
 *
 * Of several symbols at one address the larger wins, then a preferred one, then what is exported,
 * then the one with fewer underscores in front (read, not __read; _Z and _R begin mangled names and
 * don't count), then what new programs may be linked to (free, not cfree), then a function before a
 * plain label, global before weak, .symtab before .dynsym, and last the order of bytes.
 *
 * A symbol without a size, as assembly has them, is a label when it lies inside another and is
 * dropped; else it reaches to the next symbol, to the end of its section, or to
 * SYMBOL_UNSIZED_SIZE_MAX. Where two overlap, the one that starts later has the bytes. One that
 * lies inside another is its child: behind it the parent goes on.
 */
enum {
	/* 40 bytes each while building. */
	SYMBOL_COUNT_MAX = 2 << 20,
	/* A name is cut there; templates make mangled names of some KB. */
	SYMBOL_NAME_SIZE_MAX = 32 << 10,
	/* Of one module's names. */
	SYMBOL_NAMES_SIZE_MAX = 192 << 20,
	/* Hand-written assembly is rarely longer, and what follows may be anything. */
	SYMBOL_UNSIZED_SIZE_MAX = 16 << 10,
	/* Functions inside functions, such as second entries of one in assembly. */
	SYMBOL_DEPTH_MAX = 8,
};

enum symbol_binding {
	SYMBOL_GLOBAL,
	SYMBOL_WEAK,
	SYMBOL_LOCAL,
};

struct symbol {
	uint64_t start;
	uint64_t size;		/* 0: not known */
	uint64_t end_max;	/* of its section or segment, beyond start */
	const char *name;	/* not copied before symbol_table_build() */
	uint32_t name_size_max; /* ends there or at a NUL */
	uint8_t binding;	/* enum symbol_binding */
	bool old;		/* of a version that no new program is linked to */
	bool label;		/* not declared to be a function */
	bool dynamic;		/* from .dynsym */
	bool stub;		/* of the PLT: "@plt" is put behind the name */
	bool preferred;		/* its name counts before others of its size */
};

#define SYMBOL_PARENT_NONE UINT32_MAX

struct symbol_table {
	struct symbol_candidate *candidates;
	size_t candidate_count;
	size_t candidate_capacity;

	/* After symbol_table_build(): */
	uint32_t count;
	uint64_t base;	  /* the lowest start */
	uint32_t *starts; /* from base, strictly ascending */
	uint32_t *sizes;
	uint32_t *parents;	/* a lower number, or SYMBOL_PARENT_NONE */
	uint32_t *name_offsets; /* count + 1 of them */
	struct buf names;
	uint32_t nested;  /* with a parent */
	uint32_t dropped; /* labels, and what lies too deep */
};

void symbol_table_init(struct symbol_table *table);
void symbol_table_done(struct symbol_table *table);

/*
 * Leaves out what can't be a function: no name, ".L…" and "$x" labels, nothing up to end_max.
 * -EFBIG beyond SYMBOL_COUNT_MAX, -ENOMEM.
 */
int symbol_table_add(struct symbol_table *table, const struct symbol *symbol);

/*
 * Once. -ENODATA when nothing was added, -EFBIG when the names are too many or the functions lie
 * further than 4 GiB apart, -ENOMEM.
 */
int symbol_table_build(struct symbol_table *table);

static inline void symbol_table_cleanup(struct symbol_table *table)
{
	symbol_table_done(table);
}
