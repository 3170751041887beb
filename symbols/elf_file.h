/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "base/identity.h"
#include "symbols/symbol_table.h"

/*
 * An executable or library, read from a descriptor, of which every byte may be hostile and may
 * change while it is read. The only module that knows the ELF format, but for notes and stubs. It
 * reads by pread() and by bounds of our own, not through libelf, which makes room for as many
 * sections as a file claims (0.188: 1.6 GB for 8 million in a file without content). Nothing is
 * mapped, so that a file which shrinks is an error and no SIGBUS. One thread at a time.
 *
 * 64 bits, little endian, ET_EXEC or ET_DYN. Not read: dynamic symbols of a file whose section
 * headers were removed.
 */
struct elf_file;

enum {
	/* 2 GiB: what the code models of compilers can address. */
	ELF_FILE_SIZE_MAX = INT32_MAX,
	/* Executable PT_LOADs: one in what linkers make, some in hand-made layouts. */
	ELF_SEGMENT_COUNT_MAX = 16,
	/* Of one symbol table, data symbols included: 96 MiB. */
	ELF_SYMBOL_COUNT_MAX = 4 << 20,
	/* Of one string table. */
	ELF_STRINGS_SIZE_MAX = 256 << 20,
	/* PT_LOADs of any kind. */
	ELF_LOAD_COUNT_MAX = 64,
	/* Of unwind information: .eh_frame is a tenth of the code. */
	ELF_FRAMES_SIZE_MAX = 256 << 20,
	/* Of stubs, relocations and names of sections. */
	ELF_SECTION_SIZE_MAX = 16 << 20,
};

/* Bytes of the file that are mapped executable, and where. */
struct elf_segment {
	uint64_t offset;
	uint64_t vaddr;
	uint64_t size;
};

/*
 * Borrows the descriptor until close. -ENOEXEC when it is no ELF file, -ENOTSUP for 32 bits, big
 * endian or another type, -EFBIG beyond a limit above, -EBADMSG when it contradicts itself.
 */
int elf_file_open(int fd, struct elf_file **ret);

/*
 * The same for a file of debug information, whose code is elsewhere: its segments are as large as
 * in memory and of no use for reading, and its PLT has no bytes to make names of.
 */
int elf_file_open_debug(int fd, struct elf_file **ret);
struct elf_file *elf_file_close(struct elf_file *file);

/* At least one, in the file's order. */
const struct elf_segment *elf_file_segments(const struct elf_file *file, size_t *ret_count);

uint16_t elf_file_machine(const struct elf_file *file);
/* Where the program starts; 0: nowhere. */
uint64_t elf_file_entry(const struct elf_file *file);

/* Names an interpreter (the dynamic linker), as programs do; needs other libraries. */
bool elf_file_has_interpreter(const struct elf_file *file);
bool elf_file_has_needed(const struct elf_file *file);

/* Bytes of the file as they lie in memory. */
struct elf_bytes {
	const uint8_t *bytes; /* until close */
	size_t size;
	uint64_t vaddr;
};

/*
 * The section of this name: -ENOENT when there is none, or none with bytes; -ENOTSUP when it is
 * compressed; -EFBIG beyond size_max.
 */
int elf_file_section(struct elf_file *file, struct str name, size_t size_max,
		     struct elf_bytes *ret);

/*
 * Where PT_GNU_EH_FRAME says that the call frame information begins, up to the end of what is
 * loaded: for files without section headers. -ENOENT when nothing says so.
 */
int elf_file_eh_frame(struct elf_file *file, struct elf_bytes *ret);

/* What is loaded, executable or not, in the file's order; and all that is from an address on. */
const struct elf_segment *elf_file_loads(const struct elf_file *file, size_t *ret_count);
int elf_file_from(struct elf_file *file, uint64_t vaddr, size_t size_max, struct elf_bytes *ret);

/* Reads what is loaded at an address, if all of it comes from the file: -ENOENT if not. */
int elf_file_read(const struct elf_file *file, uint64_t vaddr, void *room, size_t size);

/* The GNU build id; IDENTITY_NONE when there is none. */
struct identity elf_file_build_id(const struct elf_file *file);

/* Whether Go's linker made it; and its build id, IDENTITY_NONE when it has none that tells. */
bool elf_file_has_go_build_id(const struct elf_file *file);
struct identity elf_file_go_build_id(const struct elf_file *file);

/* Whether it has DWARF's lines, packed or not. */
bool elf_file_has_lines(struct elf_file *file);

/* The address of an exported function, or of any in a file that was not stripped: -ENOENT. */
int elf_file_find_symbol(struct elf_file *file, struct str name, uint64_t *ret_vaddr);

/*
 * The identity under which what is made of this file is kept: its build id when it has one.
 * -ESTALE when it is not the file that is meant.
 */
int elf_file_identify(const struct elf_file *file, const struct identity *meant,
		      struct identity *ret);

/*
 * Where code lies in the file, by its sections, but for stubs of the PLT, which names are made of:
 * what nobody needs who reads symbols. At most max of them.
 */
size_t elf_file_code(struct elf_file *file, struct elf_segment *ret, size_t max);

/*
 * Adds the functions of .symtab and .dynsym and, on x86-64, the stubs of the PLT as "name@plt". The
 * table's names point into the file: use it before elf_file_close().
 */
int elf_file_add_symbols(struct elf_file *file, struct symbol_table *table);

DEFINE_CLEANUP(struct elf_file *, elf_file, elf_file_close)
