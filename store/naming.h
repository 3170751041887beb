/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "store/catalog.h"

struct symbols;

/*
 * Names of locations for one question, over all its spans: builds and texts are numbered anew, so
 * that what has one name has one number. One thread at a time.
 *
 * The next question may go on with it, since most of what it names was named before: it rests in
 * between, holds nothing of symbols then, and forgets what may be named otherwise by now.
 */
struct naming;

enum {
	NAMING_TEXT_EMPTY = 0,
	/* Names are asked for anew so often in any case: what could not be read for a moment must
	 * not stay without a name, and what is in use is to be seen in use. */
	NAMING_SECONDS_MAX = 60,
};

/* The kernel's own binary; a module that comes with names lies below it, "kernel/ext4". */
#define NAMING_KERNEL "kernel"
/* The "binary" of what a JVM runs, which is a runtime's and in no file. */
#define NAMING_JAVA "[java]"

struct frame_name {
	uint32_t name;	  /* texts of the naming */
	uint32_t module;  /* base name of the binary, or NAMING_TEXT_EMPTY */
	uint32_t file;	  /* of the source, or NAMING_TEXT_EMPTY */
	uint32_t line;	  /* there; 0: not known */
	uint32_t detail;  /* what else is known of its place: naming_detail(); 0: nothing */
	uint8_t kind;	  /* enum flame_kind */
	bool inlined;	  /* its compiler put it in place of the call to it */
	bool interpreted; /* it was not compiled */
};

/* symbols may be NULL: then what does not bring its name is shown as binary and address. */
int naming_new(struct symbols *symbols, struct naming **ret);
struct naming *naming_free(struct naming *naming);

/* Names as they are in symbol tables, mangled. Before any is asked for. */
void naming_keep_raw(struct naming *naming);

/* This question asks for places in the order of their binaries, and needs few of these at once.
 * Before any is asked for. */
void naming_hold_few(struct naming *naming);

/*
 * The question is over. False: nothing of it is of use to another, and it is to be freed. And the
 * next begins, now (steady): 0 or -ENOMEM.
 */
bool naming_rest(struct naming *naming);
int naming_resume(struct naming *naming, uint64_t now_ns);

/* What it takes. */
size_t naming_memory(const struct naming *naming);

/* A text's number, or a negative errno; and back. The text moves when another is added. */
int64_t naming_text(struct naming *naming, struct str text);
struct str naming_get(const struct naming *naming, uint32_t text);
uint32_t naming_count(const struct naming *naming);

/* Another span's catalog is looked at from now on. */
void naming_start_span(struct naming *naming);

/* The frames of a location, outermost first; at least one. -EBADMSG for numbers out of range. */
struct frame_names {
	uint32_t first; /* for naming_frame() */
	uint32_t count;
};
int naming_find(struct naming *naming, const struct catalog *catalog, uint32_t build,
		uint64_t address, struct frame_names *ret);

/*
 * As naming_find(), but of what has one frame and no line, nothing is kept: ret->count is 0 then,
 * and ret_place tells it. Functions without lines, and what has no name, are most places of a host,
 * and 300 bytes each with their texts and tables, of which a list shows a few hundred.
 */
struct naming_place {
	uint64_t address; /* where its function begins, if that is known */
	uint32_t build;	  /* of the naming */
	uint32_t module;  /* text */
	uint8_t kind;	  /* enum flame_kind; FLAME_UNNAMED: binary and address are all of it, */
	uint8_t of; /* and this is the binary's enum build_kind, as far as its text shows it */
};
int naming_find_or_place(struct naming *naming, const struct catalog *catalog, uint32_t build,
			 uint64_t address, struct frame_names *ret, struct naming_place *ret_place);

/*
 * Whether naming_find() knows more of it than binary and address. Nothing is kept of it: a list of
 * modules asks for half a million, and shows none of them.
 */
int naming_has_name(struct naming *naming, const struct catalog *catalog, uint32_t build,
		    uint64_t address, bool *ret);

enum { NAMING_PLACE_TEXT_SIZE_MAX = 4096 }; /* DEMANGLE_TEXT_SIZE_MAX */

/* What naming_find() calls it, written into text: "main", or "prog+0x1a2b". */
struct str naming_place_text(struct naming *naming, const struct naming_place *place,
			     char text[static NAMING_PLACE_TEXT_SIZE_MAX]);

struct frame_name naming_frame(const struct naming *naming, uint32_t index);

/* What a profile for others says besides names. Equal ones have one number; they follow from 0. */
struct naming_detail {
	uint32_t system_name; /* text, as the linker has it; NAMING_OWN_NAME */
	uint32_t start_line;
	uint32_t binary;  /* naming_binary(); 0: none */
	uint32_t is_bare; /* its name says no more than binary and address do */
	uint64_t address; /* in the binary, as that has it; 0: not told */
};

struct naming_binary {
	uint32_t path, build_id; /* texts */
	uint32_t flags;		 /* enum binary_flags */
	uint32_t zero;
	uint64_t start, limit, offset;
};

enum { NAMING_OWN_NAME = UINT32_MAX };

struct naming_detail naming_detail(const struct naming *naming, uint32_t detail);
uint32_t naming_detail_count(const struct naming *naming);
struct naming_binary naming_binary(const struct naming *naming, uint32_t binary);
uint32_t naming_binary_count(const struct naming *naming);

DEFINE_CLEANUP(struct naming *, naming, naming_free)
