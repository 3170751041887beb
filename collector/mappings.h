/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/identity.h"
#include "base/str.h"

struct space;

/*
 * Which file holds an address: the executable mappings of one program image, sorted, and the files
 * that they are of. Used by the collector's one thread.
 */

/* A file that somebody maps. Counted by its users: mappings. */
struct file {
	struct identity identity;
	unsigned users;
	uint32_t window_index;	/* place in the window being made; the aggregator's */
	uint64_t window_number; /* the window that window_index is of */
	uint64_t device, inode; /* 0 when only a build id is known */
	char path[];		/* as its mapper sees it */
};

struct file *file_new(const struct identity *identity, struct str path, uint64_t device,
		      uint64_t inode);
struct file *file_ref(struct file *file);
struct file *file_unref(struct file *file);

enum mapping_kind {
	MAPPING_FILE = 1,
	MAPPING_ANONYMOUS = 2, /* JIT code, mostly */
	MAPPING_VDSO = 3,
};

struct mapping {
	uint64_t start;
	uint64_t end;
	uint64_t offset;   /* in the file */
	struct file *file; /* of MAPPING_FILE */
	uint8_t kind;
};

/* Shared by a process and its forks until one of them changes. */
struct mappings {
	unsigned users;
	uint32_t count;
	uint32_t capacity;
	bool is_complete;     /* seen from the start of the image, or read from /proc */
	bool is_changed;      /* since the space was made */
	struct space *space;  /* the same for the walk in the kernel; NULL: not made yet */
	struct mapping *list; /* by start, not overlapping */
};

struct mappings *mappings_new(void);
struct mappings *mappings_ref(struct mappings *mappings);
struct mappings *mappings_unref(struct mappings *mappings);

/*
 * Enters a mapping and takes out what it overlaps. When *mappings is shared, the caller gets a copy
 * of its own first. Takes a reference to the file. -ENOSPC at MAPPING_COUNT_MAX, -ENOMEM.
 */
int mappings_add(struct mappings **mappings, const struct mapping *mapping);

/* The mapping that holds the address, or NULL. */
const struct mapping *mappings_find(const struct mappings *mappings, uint64_t address);

/* The kind that the kernel's name for a mapping means: "[vdso]", "//anon", "/usr/lib/x.so". */
uint8_t mapping_kind_of(struct str path);

/* One line of /proc/PID/maps. */
struct maps_line {
	uint64_t start, end, offset, inode, device;
	bool is_executable;
	struct str path; /* in the line's text */
};

/* False for a line that is not one. */
bool maps_parse_line(struct str line, struct maps_line *ret);

/*
 * Reads the executable mappings of a living process. Build ids come from the kernel where it gives
 * them (PROCMAP_QUERY, 6.11), else files are told by device and inode. -ESRCH when it has ended.
 */
int mappings_scan(uint32_t pid, struct mappings **ret);
