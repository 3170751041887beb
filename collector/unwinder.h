/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "base/identity.h"
#include "base/window.h"
#include "bpf/events.h"
#include "collector/late.h"
#include "collector/lines.h"
#include "collector/spaces.h"
#include "collector/unwind_files.h"

struct processes;
struct sampler;
struct sideband_record;

/*
 * All that the walk by unwind tables needs on this side: its memory in the kernel, what is known of
 * processes and files, the questions for tables, and the samples that wait for them. Used by the
 * collector's one thread.
 */
struct unwinder;

struct unwinder_options {
	struct sampler *sampler;
	size_t size_max; /* of tables and mappings in the kernel, bytes */
	/*
	 * Asks the server for the table of a file: its number, identity and the file, opened, which
	 * stays the caller's. -EAGAIN: later.
	 */
	int (*ask)(void *context, uint32_t number, const struct identity *identity, int fd);
	/* Takes a sample that was walked late; valid during the call. */
	void (*done)(void *context, const struct event *event);
	void *context;
};

int unwinder_new(const struct unwinder_options *options, struct unwinder **ret);
struct unwinder *unwinder_free(struct unwinder *unwinder);

/* For processes_new(). */
struct spaces *unwinder_spaces(struct unwinder *unwinder);

/* Whose processes these are; they must outlive the unwinder's last call but unwinder_free(). */
int unwinder_follow(struct unwinder *unwinder, struct processes *processes);

/* A sample that carries its stack. */
void unwinder_add(struct unwinder *unwinder, const struct event *event, uint64_t now_boot_ns);

/* After records were noted and samples taken: publishes what is new, walks what can be walked. */
void unwinder_update(struct unwinder *unwinder, uint64_t now_boot_ns);

/* Whether a walk finds what was mapped without being told, on a kernel that it can ask. */
bool unwinder_finds(const struct unwinder *unwinder, const struct sideband_record *record);

/* Several times a second. */
void unwinder_tick(struct unwinder *unwinder, uint64_t now_boot_ns);

/* The window is finished: its files were in use. */
void unwinder_note_window(struct unwinder *unwinder, const struct window *window);

/* Walks all that waits, before the last window is made. */
void unwinder_finish(struct unwinder *unwinder, uint64_t now_boot_ns);

/* What the server says; a connection that is new knows of no questions. */
void unwinder_connected(struct unwinder *unwinder);
void unwinder_take_table(struct unwinder *unwinder, uint64_t number, const void *bytes,
			 size_t size);
void unwinder_take_refusal(struct unwinder *unwinder, uint64_t number,
			   const struct identity *identity, int err);

struct unwinder_stats {
	struct lines_stats memory;
	struct unwind_files_stats files;
	struct spaces_stats spaces;
	struct late_stats late;
};
void unwinder_stats(const struct unwinder *unwinder, struct unwinder_stats *ret);

DEFINE_CLEANUP(struct unwinder *, unwinder, unwinder_free)
