/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/identity.h"
#include "symbols/unwind_cache.h"

/*
 * Makes unwind tables for who asks: opened files go in, tables come out, made by a worker thread of
 * this object or found on disk. Not by the worker of struct symbols, which may be busy for seconds
 * while samples of a new process wait for their table.
 */
struct unwind_tables;

enum {
	/* Files that wait to be read; each holds a descriptor. */
	UNWIND_TABLES_WAITING_COUNT_MAX = 64,
	/* Lists of functions in memory, 8 bytes a function: libLLVM has 95,000. */
	UNWIND_TABLES_FUNCTIONS_COUNT_MAX = 32,
	/* Files that are known to have none: places by hash, a power of 2. A large host has some
	 * hundred that are asked for. */
	UNWIND_TABLES_MISSING_COUNT = 1024,
	/* Answers that nobody has taken; then the worker waits. */
	UNWIND_TABLES_ANSWER_COUNT_MAX = 8,
};

/* As base/unwind_table.h says. */
struct unwind_answer {
	uint64_t number; /* of the question */
	struct identity identity;
	int error;	  /* 0, or why there is no table */
	struct buf table; /* as it goes over the link */
};

/*
 * The folder of the tables on disk is made when it is not there. Starts the worker. debug_folders:
 * as of debug_folder_open(), for what was stripped off.
 */
int unwind_tables_open(const char *folder, const char *debug_folders, struct unwind_tables **ret);
struct unwind_tables *unwind_tables_close(struct unwind_tables *tables);

/*
 * Takes the descriptor, which must be seekable and stay so. -EAGAIN when too many wait; the
 * descriptor is then closed. Any thread.
 */
int unwind_tables_ask(struct unwind_tables *tables, uint64_t number,
		      const struct identity *identity, int fd);

/*
 * What the worker calls whenever there is an answer, with its lock held: it may only wake somebody.
 * NULL: nobody; when this has returned, nobody is being called.
 */
void unwind_tables_on_answer(struct unwind_tables *tables, void (*wake)(void *context),
			     void *context);

/* The next answer, whose table the caller frees; false when there is none. */
bool unwind_tables_take(struct unwind_tables *tables, struct unwind_answer *ret);

/* Who asked is gone: forgets what waits and what was answered. */
void unwind_tables_forget(struct unwind_tables *tables);

/*
 * Where the function begins that holds this offset of the file, by the table that was made of it at
 * any time: what groups addresses that no symbol names. False when there is no table, or no
 * function there. Any thread.
 */
bool unwind_tables_function_start(struct unwind_tables *tables, const struct identity *identity,
				  uint64_t offset, uint64_t *ret_start);

/* Changes whenever there are functions of another file. */
uint64_t unwind_tables_generation(struct unwind_tables *tables);

struct unwind_tables_stats {
	uint64_t made;
	uint64_t found;	      /* on disk */
	uint64_t without;     /* files that say nothing of their frames, or that we can't read */
	uint64_t rows;	      /* of those made */
	uint64_t unsupported; /* of these, rows that can't be followed */
	uint64_t making_ns;   /* for those made */
	uint64_t waiting;
	struct unwind_cache_stats cache;
};
void unwind_tables_stats(struct unwind_tables *tables, struct unwind_tables_stats *ret);

DEFINE_CLEANUP(struct unwind_tables *, unwind_tables, unwind_tables_close)

static inline void unwind_answer_cleanup(struct unwind_answer *answer)
{
	buf_done(&answer->table);
}
