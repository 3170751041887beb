/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/table.h"
#include "store/array.h"
#include "store/naming.h"
#include "store/pool.h"
#include "symbols/symbols.h"

/* What the parts of a naming share: naming*.c. */

enum {
	NAMING_BASE_NAME_SIZE_MAX = 256,
	NAMING_BARE_TEXT_SIZE_MAX = NAMING_BASE_NAME_SIZE_MAX + 20, /* +0x and 16 digits */
};

struct naming_build {
	struct symbol_module *module; /* NULL when there are no names for it */
	struct identity identity;
	uint32_t module_name;
	uint32_t path;
	uint32_t detail;      /* of what has names there; 0: not made yet */
	uint32_t bare_binary; /* its binary + 1, of what has none; 0: not made yet */
	uint8_t kind;	      /* enum build_kind */
	bool has_names;
	bool was_asked; /* for its module, by this question */
	bool is_known;	/* whether it is bare, asked when it was asked for first */
	bool is_bare;	/* there were no symbols */
};

struct location_key {
	uint32_t build; /* of the naming; of locations that bring names, the span */
	uint32_t is_named;
	uint64_t address;
};

struct location {
	struct location_key key;
	struct frame_names found;
};

/*
 * Modules that a question holds at once: what it has read of their symbol files is in memory, and
 * on a host with hundreds of binaries a question may be about all of them.
 */
enum {
	HELD_MODULE_COUNT_MAX = 32,
	/* By a question that asks for them one after the other. */
	HELD_MODULE_COUNT_FEW = 4,
};

struct naming {
	struct symbols *symbols;
	uint32_t held[HELD_MODULE_COUNT_MAX]; /* builds whose module is, + 1; the oldest is next */
	uint32_t held_next;
	bool holds_few;
	size_t room;
	uint32_t span;
	bool is_raw;
	bool is_provisional; /* some of it will be known better in a moment */
	uint64_t generation; /* of symbols, which all names are of */
	uint64_t since_ns;   /* steady: when it knew nothing */
	struct pool texts;
	struct pool builds;
	ARRAY(struct naming_build) build_items; /* one for each in builds */
	struct table locations;
	ARRAY(struct location) location_items; /* one for each in locations */
	ARRAY(struct frame_name) frames;
	struct pool details;	     /* struct naming_detail */
	struct pool binaries;	     /* struct naming_binary */
	ARRAY(uint32_t) span_builds; /* catalog's build to ours, + 1; 0: not seen yet */
};

/* A build of the catalog as one of the naming, or a negative errno. */
int64_t naming_find_build(struct naming *naming, const struct catalog *catalog, uint32_t build);

/* Its module is held from the first name of the question that is new on, until others want room. */
struct naming_build naming_ask_build(struct naming *naming, uint32_t number);

/* What people read; or what the compiler wrote, if that is wanted. */
struct str naming_readable(struct naming *naming, struct str name,
			   char text[static DEMANGLE_TEXT_SIZE_MAX]);

/* Where its symbols have it, or SYMBOL_NONE. */
uint32_t naming_function(const struct naming_build *build, uint64_t address);

/* Symbols that tell of no line: all of a function is one place, and one frame. */
bool naming_has_functions_only(const struct naming_build *build);

/* Where the address's function begins; functions may overlap: or the address itself. */
uint64_t naming_function_start(const struct naming_build *build, uint32_t function,
			       uint64_t address);

/* A place without a name. Addresses of one function stand together. */
struct naming_place naming_bare_place(const struct naming *naming, const struct naming_build *build,
				      uint64_t address);

/* "prog+0x1a2b" */
struct str naming_bare_text(const struct naming *naming, const struct naming_place *bare,
			    char text[static NAMING_BARE_TEXT_SIZE_MAX]);
