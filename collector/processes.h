/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "base/window.h"
#include "collector/mappings.h"

struct sideband_record;
struct spaces;

/*
 * What we know of each process, and since when it is true. A process is one program image: an exec
 * makes another of the same pid. Used by the collector's one thread.
 *
 * Known from two sides: records of the kernel beside the samples tell of forks, execs, mappings and
 * exits as they happen, also of processes that are gone before anybody looks; /proc is read once,
 * when a process is sampled for the first time.
 */
struct processes;

/* Texts that a process shares with its forks. */
struct process_texts {
	unsigned users;
	bool is_kernel_thread;
	char *name;
	char *comm;
	char *executable;
	char *script;
	char *cgroup;
};

struct process {
	struct process_key key;
	bool has_key;		    /* else only pid: not sampled yet */
	bool is_followed;	    /* of whom processes_follow() speaks */
	bool was_read;		    /* /proc was */
	uint64_t begin_boot_ns;	    /* of this image; 0: before we came */
	uint64_t end_boot_ns;	    /* replaced by an exec; 0 while it is the pid's current image */
	uint64_t exit_boot_ns;	    /* 0 while it lives */
	uint64_t next_scan_boot_ns; /* not before: the back-off of re-scans */
	uint64_t scan_delay_ns;
	uint64_t named_boot_ns; /* of the sample whose key this is; 0: of none */
	uint64_t last_sampled_boot_ns;
	uint32_t parent_pid;
	uint32_t namespace_pid;	     /* 0: not known */
	struct mappings *mappings;   /* NULL: nothing known yet */
	struct process_texts *texts; /* NULL: nothing known yet */
	uint32_t window_index;	     /* place in the window being made; the aggregator's */
	uint64_t window_number;
	struct process *older; /* same bucket, entered before */

	bool is_changed;	       /* since it was published: it is in the list */
	bool can_publish;	       /* a long list may be made anew */
	uint64_t next_publish_boot_ns; /* not before: long lists of mappings take their time */
	struct process *next_changed;
};

/* spaces: where the walk in the kernel finds mappings; must outlive this. NULL: nowhere. */
int processes_new(struct spaces *spaces, struct processes **ret);
struct processes *processes_free(struct processes *processes);

/*
 * Marks this process from now on, every image of it, and all that it and they start. Called before
 * anything of it is known.
 */
void processes_follow(struct processes *processes, uint32_t pid);

/* Takes note of a record. Records come in the order of time. */
void processes_note(struct processes *processes, const struct sideband_record *record);

/*
 * The process of a sample taken at this time; reads /proc when it is new to us. NULL when there are
 * too many already (counted by the caller), or no memory.
 */
struct process *processes_resolve(struct processes *processes, const struct process_key *key,
				  uint64_t boot_ns);

/*
 * Reads the mappings again, because an address was in none of them; at most so often that a process
 * whose addresses are never known costs nothing. True when they were read.
 */
bool processes_rescan(struct processes *processes, struct process *process, uint64_t now_boot_ns);

/*
 * Tells the walk in the kernel what has changed since the last call. Call after records were noted
 * and processes resolved.
 */
void processes_publish(struct processes *processes, uint64_t now_boot_ns);

/* What the walk knows of the process's mappings, up to date; NULL when nothing is known. */
struct space *processes_space(struct processes *processes, struct process *process);

/* Forgets what ended or was replaced more than a few seconds ago. Call once a window, after it. */
void processes_sweep(struct processes *processes, uint64_t now_boot_ns);

/*
 * Opens the file of this identity through a living process that maps it, for reading: regular files
 * that begin as ELF files do, never a device or a pipe; where no such process lives, by the path it
 * had. -ENOENT when that fails too.
 */
int processes_open_file(struct processes *processes, const struct identity *identity, int *ret_fd);

/* The same of the copy of it that this process maps, whoever maps others. */
int processes_open_mapped(const struct process *process, const struct mapping *mapping,
			  int *ret_fd);

/*
 * Shows each living process that maps the file of this identity, with the file, until visit returns
 * 0, which is returned; else what it returned last, -ENOENT when there is no such process.
 */
typedef int processes_visit(void *context, const struct process *process, const struct file *file);
int processes_visit_mappers(struct processes *processes, const struct identity *identity,
			    processes_visit *visit, void *context);

/* The living process of this key; NULL when it has ended, or is not known. */
const struct process *processes_find(struct processes *processes, const struct process_key *key);

size_t processes_count(const struct processes *processes);

DEFINE_CLEANUP(struct processes *, processes, processes_free)
