/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "base/identity.h"
#include "base/str.h"
#include "symbols/symbol_table.h"

/*
 * One reading of /proc/kallsyms: the running kernel and its parts, each a range of addresses with
 * an identity. Parts are the kernel itself, from _text to _etext and its code for the start;
 * modules; and BPF programs, each one of its own, since which of them there are changes all the
 * time.
 *
 * Identities. The kernel: its build id, out of the notes, else IDENTITY_KERNEL_RELEASE. A module:
 * the build id in /sys/module/NAME/notes when that can be read. Else, and for BPF programs, whose
 * names hold a hash of their code: IDENTITY_KERNEL_RELEASE of a zero byte, then the XXH3 of the
 * kernel's identity and that of the name; a release never begins with a zero byte.
 *
 * Immutable once read, so any thread may ask; kernel_symbols_add_to() and _forget_names() belong to
 * one.
 */
struct kernel_symbols;

enum {
	/* Distribution kernels have 200,000 with their modules; CONFIG_KALLSYMS_ALL doubles that.
	 */
	KERNEL_SYMBOL_COUNT_MAX = 1 << 20,
	KERNEL_PART_COUNT_MAX = 8192,
	/* KSYM_NAME_LEN is 512 since Linux 6.1. */
	KERNEL_NAME_SIZE_MAX = 512,
	KERNEL_NAMES_SIZE_MAX = 64 << 20,
	/* How far the last symbol of a part reaches when nothing follows. */
	KERNEL_LAST_SIZE_MAX = 16 << 10,
};

struct kernel_symbols_sources {
	int kallsyms_fd;	    /* borrowed */
	int notes_fd;		    /* borrowed; -1: none */
	const char *release;	    /* uname -r */
	const char *modules_folder; /* "/sys/module"; NULL: none */
};

/*
 * -EPERM when all addresses are zero, -EBADMSG when there is no kernel in it, -EFBIG beyond the
 * limits above.
 */
int kernel_symbols_read(const struct kernel_symbols_sources *sources, struct kernel_symbols **ret);
struct kernel_symbols *kernel_symbols_free(struct kernel_symbols *kernel);

/* The kernel itself is part 0. */
struct kernel_part {
	struct identity identity;
	struct str name; /* of the module, "bpf" for BPF programs, "" for the kernel */
	uint64_t start;	 /* offsets count from here: _text, or the lowest symbol */
	uint64_t size;	 /* up to the end of the last symbol */
};

size_t kernel_symbols_part_count(const struct kernel_symbols *kernel);
const struct kernel_part *kernel_symbols_part(const struct kernel_symbols *kernel, size_t number);

/* The number of the part that holds the address; SIZE_MAX when none does. */
size_t kernel_symbols_find(const struct kernel_symbols *kernel, uint64_t address);

/* Adds the symbols of a part, by offsets from its start. The table keeps pointers to the names. */
int kernel_symbols_add_to(const struct kernel_symbols *kernel, size_t part,
			  struct symbol_table *table);

/* Gives back all but the parts: kernel_symbols_add_to() adds nothing any more. */
void kernel_symbols_forget_names(struct kernel_symbols *kernel);

DEFINE_CLEANUP(struct kernel_symbols *, kernel_symbols, kernel_symbols_free)
