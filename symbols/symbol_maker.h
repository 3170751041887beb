/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stddef.h>

#include "base/cleanup.h"
#include "base/identity.h"
#include "symbols/cell.h"
#include "symbols/kernel_symbols.h"
#include "symbols/symbol_folder.h"

/*
 * Makes symbol files of what names come from. Foreign files are read in cells (symbols/cell.h, by
 * symbols/symbol_writer.h); what comes out is looked at like any stranger's before it goes into the
 * folder. For the one thread that writes into the folder.
 */
struct symbol_maker;

enum {
	/* Addresses whose lines are asked for at once: of a module in one question, a function
	   each. */
	SYMBOL_MAKER_OFFSET_COUNT_MAX = 4096,
};

struct symbol_maker_stats {
	uint64_t died;	     /* cells that crashed */
	uint64_t overran;    /* their time */
	uint64_t peak;	     /* bytes of the largest */
	uint64_t cpu_ns;     /* of all */
	uint64_t unfiltered; /* cells that could make any call: see symbols/cell.h */
};

/* Forks: before there are threads. Borrows both. debug_folders: as of debug_folder_open(). */
int symbol_maker_new(struct symbol_folder *folder, const char *debug_folders,
		     struct symbol_maker **ret);
struct symbol_maker *symbol_maker_free(struct symbol_maker *maker);

/* A debug file of what is read from now on, which is not in the folders; -1: none. Borrowed. */
void symbol_maker_lend_debug(struct symbol_maker *maker, int fd);

/* Where else to look for what debug files share by dwz: -ENOENT, or a descriptor of the caller's.
 */
typedef int symbol_maker_find(void *context, const struct identity *identity, int *ret_fd);
void symbol_maker_find_in(struct symbol_maker *maker, symbol_maker_find *find, void *context);

/*
 * The functions of an executable or library, as symbol_writer_elf() says; nothing when the folder
 * has them. An IDENTITY_INODE becomes an alias of a build id, and so does what Go's linker calls
 * the file, by which other profilers may name it: ret_go, IDENTITY_NONE when it does not. When
 * MiniDebugInfo or a debug file brings the cell down, the file's own symbols are what is kept.
 *
 * Beyond those errors: -ECANCELED when a cell died over it, -ETIME when one overran, -EPROTO when
 * what it wrote is no good, -EAGAIN when no cell could be had. Borrows the descriptor.
 */
int symbol_maker_elf(struct symbol_maker *maker, int fd, const struct identity *wished,
		     struct identity *ret_identity, struct identity *ret_go);

/* Adds the names of a debug file, as symbol_writer_debug() says. -EALREADY when it has them. */
int symbol_maker_debug(struct symbol_maker *maker, const struct identity *identity);

/*
 * Adds lines and inlined calls of the units that hold these offsets in the file, out of the file
 * itself or a debug file of its, which is found by its build id or, unless elf_fd is -1, by name.
 * -ENOENT when there is no such file, or no symbol file.
 */
int symbol_maker_lines(struct symbol_maker *maker, const struct identity *identity, int elf_fd,
		       const uint64_t *offsets, size_t offset_count);

/* Writes it anew without lines, which are read again when somebody asks. */
int symbol_maker_forget_lines(struct symbol_maker *maker, const struct identity *identity);

/* A part of the kernel, by offsets from its start. Not in a cell: these names are the kernel's. */
int symbol_maker_kernel_part(struct symbol_maker *maker, const struct kernel_symbols *kernel,
			     size_t number);

/* Adds names of code that a process made. Not in a cell: they are texts, as jit_reader.h made them.
 */
struct late_names;
int symbol_maker_names(struct symbol_maker *maker, const struct late_names *names);

struct symbol_maker_stats symbol_maker_stats(const struct symbol_maker *maker);

DEFINE_CLEANUP(struct symbol_maker *, symbol_maker, symbol_maker_free)
