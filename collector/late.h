/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "bpf/events.h"
#include "bpf/walk_layout.h"
#include "collector/lines.h"

struct process;
struct processes;
struct unwind_files;

/*
 * Samples that came before what their walk needs: the mappings of a new process, the unwind table
 * of a file. They carry their registers and some of their stack, and are walked here, by the code
 * that walks in the kernel, when the rest is there; after a while with what there is. Used by the
 * collector's one thread.
 */
struct late;

/* What the walk reads; bpf/walk_layout.h. */
struct walk_memory {
	const struct lines *lines;
	const struct walk_file *files;
	const uint64_t *rules;
};

struct late_options {
	struct processes *processes;
	struct unwind_files *files;
	struct walk_memory memory;
	size_t size_max; /* of what waits, in bytes */
	/* Takes a sample that was walked; valid during the call. process: whose it is; NULL when it
	 * is not known. */
	void (*done)(void *context, const struct process *process, const struct event *event);
	/* Asks for the table of a file, if it is to be had. */
	void (*ask)(void *context, uint32_t file);
	void *context;
};

int late_new(const struct late_options *options, struct late **ret);

/* What still waits is gone: call late_finish() before. */
struct late *late_free(struct late *late);

/* A sample with raw_stack_size > 0, its sizes checked. It is walked at the next late_tick(). */
void late_add(struct late *late, const struct event *event, uint64_t now_boot_ns);

/*
 * Walks those whose tables are there by now, or for which there will be none, and gives up waiting
 * for what takes too long. Call when records were noted, when tables came, and several times a
 * second.
 */
void late_tick(struct late *late, uint64_t now_boot_ns);

/* Walks all that waits with what there is. */
void late_finish(struct late *late, uint64_t now_boot_ns);

struct late_stats {
	uint64_t waiting; /* bytes, now */
	uint64_t walked;
	uint64_t expired; /* of these, without all that they waited for */
	uint64_t crowded; /* the same, because too many waited */
};
void late_stats(const struct late *late, struct late_stats *ret);

/*
 * One walk: of the stack that event carries, in the space at this line (0: not known). ret gets the
 * event with frames in place of the stack. Returns the file whose table is missing, or
 * WALK_FILE_NONE; *ret_wants_more tells whether a later walk may come further.
 */
uint32_t late_walk(const struct walk_memory *memory, uint32_t space, const struct event *event,
		   struct event *ret, bool *ret_wants_more);

DEFINE_CLEANUP(struct late *, late, late_free)
