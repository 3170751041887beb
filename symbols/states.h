/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/identity.h"
#include "base/table.h"
#include "symbols/symbol_folder.h"

/*
 * What is known about identities: whether there is a symbol file, or whether one can be had. Held
 * by struct symbols and guarded by its lock.
 */
enum module_state {
	STATE_UNKNOWN, /* the folder was not asked yet */
	STATE_ABSENT,
	STATE_WISHED,
	STATE_WAITING, /* brought */
	STATE_PRESENT,
	STATE_FAILED, /* brought, and of no use */
};

/* Of a module whose lines lie elsewhere until they are asked for. */
enum lines_state {
	LINES_IDLE,
	LINES_ASKED,
	LINES_AWAITED, /* the file that has them is not at hand */
	LINES_FAILED,
};

/* Of a module's debug file, as far as only the collector reaches it. */
enum debug_state {
	DEBUG_UNKNOWN,
	DEBUG_WISHED,
	DEBUG_PRESENT, /* there is one, from there or elsewhere */
};

enum {
	/* A host maps a few thousand files. When it is full, all that is not at work is forgotten:
	 * what is present is found again in the folder, what failed is tried again. */
	STATES_COUNT_MAX = 64 << 10,
};

struct symbol_module;

struct state {
	struct identity identity;
	uint8_t state; /* enum module_state */
	uint8_t lines; /* enum lines_state */
	uint8_t debug; /* enum debug_state */
	/* Its lines were read without a file that was missing: symbol_file_missing(). */
	bool lacks_file;
	bool was_shared; /* what was wished for last: that file, and not a debug file */
	/* Why they were of no use, or 0: negative errnos. */
	int error;
	int lines_error;
	int debug_error;
	uint32_t alias_of; /* number of another state, or TABLE_NONE */
	uint64_t wished_at_ns;
	int64_t debug_mtime_ns;	      /* of the debug file that was tried; 0: none */
	uint64_t debug_due_ns;	      /* not wished for before */
	struct symbol_module *module; /* when it is open */
};

struct states {
	struct state *items;
	size_t capacity;
	struct table by_identity; /* its count is that of the items */
};

void states_init(struct states *states);
void states_done(struct states *states);

/* The number of an identity's state, or TABLE_NONE. Good until the next states_get(). */
uint32_t states_find(const struct states *states, const struct identity *identity);

/* The state, made when there is none. Good until the next call; NULL without memory. */
struct state *states_get(struct states *states, const struct identity *identity);

/* Without memory it stays unknown, and is found in the folder or wished for again. */
void states_set(struct states *states, const struct identity *identity, enum module_state value);

/* Why its file is of no use: a negative errno; 0: it is. */
void states_set_error(struct states *states, const struct identity *identity, int error);

/* Whether it has its debug file is to be looked at anew. */
void states_forget_debug(struct states *states, const struct identity *identity);

/* Files were evicted: which, only the folder knows. */
void states_doubt(struct states *states);

/* Asks the folder about an unknown one. */
void state_settle(struct state *state, const struct symbol_folder *folder);
