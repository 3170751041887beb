/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "base/identity.h"
#include "base/str.h"
#include "symbols/debug_link.h"
#include "symbols/demangle.h"

/*
 * Addresses to names. Names are a view: the store keeps (identity, address), and who reads asks
 * here, so that symbols which arrive late name old profiles too.
 *
 * A module is what an identity has names for: an executable, a library, a kernel. Its names lie in
 * a symbol file, made once from the file itself by a worker thread of this object and mapped
 * afterwards; symbol files stay in the folder over restarts. Any thread may call any function.
 */
struct symbols;

enum {
	/* A file that was wished for and not brought is wished for again after so long: it may have
	 * been out of reach for a moment only. */
	SYMBOLS_RETRY_S = 60,
	/* Files that wait to be read; each holds a descriptor. A host shows 300 at its first
	 * window, and what finds no room comes with a later one. */
	SYMBOLS_WAITING_COUNT_MAX = 384,
	/* Where there are few descriptors, so many times as many must be there as files may wait.
	 */
	SYMBOLS_WAITING_SHARE = 8,
	/* How often debug files are looked for that were installed meanwhile: a look at one folder
	 * entry for each module. */
	SYMBOLS_DEBUG_SEARCH_S = 10,
	/* The same in the roots of containers, through the collector, which looks at mappings of
	 * all processes for it; and where a look again is hardly worth it: no container has the
	 * file, or the debug file was of no use. */
	SYMBOLS_DEBUG_WISH_S = 20,
	SYMBOLS_DEBUG_REST_S = 600,
};

/*
 * The folder is made when it is not there. debug_folders: where debug files lie, as of
 * debug_folder_open(). One that appears later names what was sampled before. Starts the worker, and
 * forks: before there are other threads.
 */
int symbols_open(const char *folder, const char *debug_folders, struct symbols **ret);

/* Descriptors that such an object and its unwind tables may hold: of files that wait, and of those
 * that are kept. */
size_t symbols_descriptor_count_max(void);
struct symbols *symbols_close(struct symbols *symbols);

/* Room for symbol files on disk, 256 MiB if nobody says so; holds from the next file on. */
void symbols_limit_files(struct symbols *symbols, uint64_t bytes);

/*
 * Where a function begins that no symbol names is known by the unwind tables. Set once, before
 * other threads ask; they must outlive this.
 */
struct unwind_tables;
void symbols_use_unwind_tables(struct symbols *symbols, struct unwind_tables *tables);

/* Offsets in the file; false when it is not known. */
bool symbols_function_start(struct symbols *symbols, const struct identity *identity,
			    uint64_t offset, uint64_t *ret_start);

/*
 * Whether the file of this identity would help: true once for each identity that has no symbol
 * file, is not being read and has not failed, and again after SYMBOLS_RETRY_S when it was not
 * brought. What tells the link to send a wish.
 */
bool symbols_wants(struct symbols *symbols, const struct identity *identity);

/*
 * Brings the file. Takes the descriptor, which must be seekable and stay so; read by the worker.
 * A weak identity (IDENTITY_INODE) becomes an alias of the build id that is found inside. A file
 * whose own build id contradicts the identity is refused and the refusal remembered. -EAGAIN when
 * too many files wait already; the descriptor is then closed and the identity may be wished again.
 * -EINVAL for a kind of identity that no file has.
 */
int symbols_bring_file(struct symbols *symbols, const struct identity *identity, int fd);

/*
 * Whether a debug file of this file would help that only the collector can reach: true at most
 * every SYMBOLS_DEBUG_WISH_S, for a module without one, or whose debug file shares by dwz what was
 * not found.
 */
struct symbols_debug_wish {
	struct identity identity; /* of the module */
	/* The same for its debug file, else the build id of the file of dwz. */
	struct identity wanted;
	char name[DEBUG_LINK_NAME_SIZE]; /* what it is called, or "" */
};
bool symbols_wants_debug(struct symbols *symbols, const struct identity *identity,
			 struct symbols_debug_wish *ret);

/*
 * Brings what was wanted, or why there is none: -EXDEV when no container has the file. Takes the
 * descriptor. The worker looks whether it is the right one.
 */
void symbols_bring_debug(struct symbols *symbols, const struct identity *wanted, int error, int fd);

/*
 * Adds names of code that a process made (symbols/late_code.h), and takes them. -EAGAIN when too
 * much waits already: they are still the caller's.
 */
struct late_names;
int symbols_bring_names(struct symbols *symbols, struct late_names *names);

/*
 * Brings this boot's kernel: an open /proc/kallsyms (addresses are zero when its opener had no
 * CAP_SYSLOG: -EPERM) and, or -1, an open /sys/kernel/notes, which holds the build id. Takes both.
 * Reads them at once, in about 80 ms, of which 60 are the kernel's own, since kernel frames can't
 * be told apart before. A kernel without a build id gets IDENTITY_KERNEL_RELEASE.
 */
int symbols_bring_kernel(struct symbols *symbols, int kallsyms_fd, int notes_fd);

/*
 * Where an address of the running kernel lies, in a form that survives a reboot: the identity of
 * the kernel and the offset from _text, or a module's identity and the offset from its lowest
 * symbol, with the module's name ("" for the kernel's own; the text lives as long as symbols).
 * -ENOENT when no kernel was brought, or the address is in none of its ranges.
 */
struct kernel_location {
	struct identity identity;
	uint64_t offset;
	struct str module;
};
int symbols_kernel_location(struct symbols *symbols, uint64_t address, struct kernel_location *ret);

/* Looks for debug files now. */
void symbols_search_debug(struct symbols *symbols);

/* Waits until no file is waiting, being read, or looked for, at most timeout_ms: -ETIMEDOUT. For
 * tests and replay. */
int symbols_settle(struct symbols *symbols, int timeout_ms);

/* What is known of a module's names. */
enum symbols_state {
	SYMBOLS_ABSENT,	 /* its file was not brought (yet) */
	SYMBOLS_WAITING, /* brought, and not read yet */
	SYMBOLS_FAILED,	 /* of no use */
	SYMBOLS_PRESENT,
};
struct symbols_description {
	enum symbols_state state;
	uint32_t sources; /* enum symbol_file_source, when there are names */
	/* Why the file, its lines or its debug file are of no use: negative errnos, or 0.
	 * symbols/symbol_problem.h has words for them. */
	int error;
	int lines_error;
	int debug_error;
};
void symbols_describe(struct symbols *symbols, const struct identity *identity,
		      struct symbols_description *ret);

struct symbols_stats {
	uint64_t modules;    /* with a symbol file */
	uint64_t failed;     /* remembered as of no use */
	uint64_t waiting;    /* brought, not read yet */
	uint64_t died;	     /* processes that read a file and crashed over it */
	uint64_t overran;    /* or took too long */
	uint64_t unfiltered; /* that could make any call, since calls can't be filtered here */
	uint64_t peak_bytes; /* resident in the largest of them */
	uint64_t cpu_ns;     /* of all of them */
	uint64_t file_bytes; /* of all symbol files */
	uint64_t file_bytes_max;
};
void symbols_stats(struct symbols *symbols, struct symbols_stats *ret);

/*
 * Changes whenever an address may have got another name than before, or one at all: who keeps names
 * asks first and keeps them for as long as this stays the same.
 */
uint64_t symbols_generation(struct symbols *symbols);

/*
 * Names of one module. Acquire it once for a whole question; the texts live until release. NULL
 * when there is no symbol file (yet), which a question shows as binary and address.
 */
struct symbol_module;

struct symbol_module *symbols_acquire(struct symbols *symbols, const struct identity *identity);
struct symbol_module *symbols_release(struct symbols *symbols, struct symbol_module *module);

/* The same for who asks many in turn and won't come back soon: unless somebody else holds it, its
 * pages go at once. */
struct symbol_module *symbols_leave(struct symbols *symbols, struct symbol_module *module);

/* Now and then: gives back the pages of modules that nobody has acquired for some seconds, and
 * closes them after some minutes. */
void symbols_tidy(struct symbols *symbols, uint64_t now_monotonic_ns);

#define SYMBOL_NONE UINT32_MAX

/*
 * The function that holds this address (an offset in the file in bytes, a kernel's or kernel
 * module's offset as above), numbered within the module for as long as its symbol file stands;
 * SYMBOL_NONE when it is in no symbol's range: never the neighbour's name. Callers look return
 * addresses up one byte before.
 */
uint32_t symbol_module_find(const struct symbol_module *module, uint64_t address);

/* As in the symbol table, that is mangled; symbols_demangle() is for people. */
struct str symbol_module_name(const struct symbol_module *module, uint32_t function);

/* The address at which the function starts, in the same terms as symbol_module_find(). */
uint64_t symbol_module_start(const struct symbol_module *module, uint32_t function);

/*
 * Where in the source an address lies, in the same terms: the innermost function that a compiler
 * put there in place of a call. False when that is not known (yet).
 */
struct symbol_place {
	struct str file;
	uint32_t line;	/* 0: not known */
	uint32_t scope; /* for symbol_module_call(); SYMBOL_NONE: no call was inlined here */
};
bool symbol_module_place(const struct symbol_module *module, uint64_t address,
			 struct symbol_place *ret);

/*
 * Says that the line of an address would be shown. What DWARF knows of it is read after the module
 * was released; a later question finds it. False when nothing is known of it: nobody needs to ask
 * again.
 */
bool symbols_wish_lines(struct symbols *symbols, struct symbol_module *module, uint64_t address);

/* Whether lines are known of any address, or may be: if not, all of a function is one place. */
bool symbols_has_lines(const struct symbol_module *module);

/* Whether lines are known of an address, or may be when they are wished for. */
bool symbols_may_have_lines(const struct symbol_module *module, uint64_t address);

/* Calls within calls, as many as are written. */
enum { SYMBOL_CALL_DEPTH_MAX = 64 };

/* What was called in place, mangled if its compiler said so, and where that was. */
struct symbol_call {
	struct str function;
	struct symbol_place from; /* its scope leads on to the caller */
};
struct symbol_call symbol_module_call(const struct symbol_module *module, uint32_t scope);

/* demangle(), with a memory. */
struct str symbols_demangle(struct symbols *symbols, struct str name,
			    char text[static DEMANGLE_TEXT_SIZE_MAX]);

DEFINE_CLEANUP(struct symbols *, symbols, symbols_close)
