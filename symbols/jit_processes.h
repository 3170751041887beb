/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "base/window.h"
#include "symbols/jit_map.h"
#include "symbols/jit_reader.h"

/*
 * Names of code that processes made for themselves, out of the files in which they say so
 * (symbols/jit_reader.h). Such code ends with its process, so that who stores samples asks for
 * names at once, and stores them.
 *
 * The files are read by a thread of this object: one that lies on a file system which does not
 * answer holds up nobody else. Any thread may call any function.
 */
struct jit_processes;

enum {
	/* Processes that are followed, each with its descriptor. */
	JIT_PROCESS_COUNT_MAX = 256,
	/* Ranges of all of them, 48 bytes each with names apart: beyond it the process that was not
	 * asked about for longest is forgotten. */
	JIT_RANGE_COUNT_MAX = 1 << 20,
	/* A process without a file is asked for one again after so long: a JVM writes it on
	 * request. */
	JIT_RETRY_S = 5,
	/* What ran no code of its own for so long has ended, most likely, and is forgotten. */
	JIT_IDLE_S = 300,
	/* But for one whose samples wait for names: it may write them when it ends. */
	JIT_AWAIT_S = 3600,
	/* How often it is looked whether it did. */
	JIT_LOOK_S = 5,
};

int jit_processes_new(struct jit_processes **ret);
struct jit_processes *jit_processes_free(struct jit_processes *jit);

/*
 * Where names go that come after the samples that they are of. Set once, before other threads ask;
 * it must outlive this. Without it there are none.
 */
struct symbols;
void jit_processes_use_symbols(struct jit_processes *jit, struct symbols *symbols);

/*
 * Whether the file of this process would help: true for one that is new, whose file was replaced,
 * or that had none JIT_RETRY_S ago. What tells the link to send a wish.
 */
bool jit_processes_want(struct jit_processes *jit, const struct process_key *key);

/* Brings it, and takes the descriptor; -1: there is none. */
void jit_processes_bring(struct jit_processes *jit, const struct process_key *key,
			 enum jit_file_kind kind, int fd);

/*
 * Has the files of these processes read up to their ends, and waits for those that were wished for
 * and for the reading, at most timeout_ms. What is late will do for the next time.
 */
void jit_processes_refresh(struct jit_processes *jit, const struct process_key *keys, size_t count,
			   int timeout_ms);

/* The connection is gone: nobody waits for what was wished for. */
void jit_processes_forget_wishes(struct jit_processes *jit);

/*
 * What the process had at this address at this time since boot, copied to text. False when that is
 * not known.
 */
bool jit_processes_find(struct jit_processes *jit, const struct process_key *key, uint64_t address,
			uint64_t at_ns, char text[static JIT_NAME_SIZE_MAX], size_t *ret_size);

/*
 * What it had there is not known yet, but may be told later: where the sample is to be stored, to
 * get its name then. collector: as of struct window. False for a process that writes no jitdump.
 */
bool jit_processes_await(struct jit_processes *jit, const struct process_key *key,
			 uint64_t collector, uint64_t address, uint64_t at_ns,
			 struct identity *ret_identity, uint64_t *ret_place);

/* Whether a jitdump of this process is followed. */
bool jit_processes_has_jitdump(struct jit_processes *jit, const struct process_key *key);

/* As jit_map_changes(). */
bool jit_processes_change(struct jit_processes *jit, const struct process_key *key,
			  uint64_t from_ns, uint64_t to_ns);

struct jit_processes_stats {
	uint64_t processes; /* with a file */
	uint64_t ranges;
	uint64_t refused; /* files that were none, or beyond a limit; counted once each */
	uint64_t evicted;
	uint64_t awaited; /* addresses that wait for a name */
	uint64_t late;	  /* that got one */
};
void jit_processes_stats(struct jit_processes *jit, struct jit_processes_stats *ret);

DEFINE_CLEANUP(struct jit_processes *, jit_processes, jit_processes_free)
