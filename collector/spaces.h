/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdint.h>

#include "base/cleanup.h"
#include "base/identity.h"
#include "bpf/walk_layout.h"
#include "collector/lines.h"
#include "collector/unwind_files.h"

struct mappings;

/*
 * What the walk knows of processes: the executable mappings of each program image (a space), and
 * which process has which. Used by the collector's one thread.
 */
struct spaces;

/* A space in the walk's memory; processes that share mappings share it. */
struct space {
	struct spaces *spaces;
	uint32_t line;
	uint32_t line_count;
	uint32_t mapping_count;
};

/*
 * buckets: WALK_BUCKET_COUNT of them, zeroed, which the walk reads. vdso: the identity under which
 * the kernel's own code in every process is known. All but that must outlive this.
 */
int spaces_new(struct lines *lines, struct unwind_files *files, struct walk_bucket *buckets,
	       const struct identity *vdso, struct spaces **ret);
struct spaces *spaces_free(struct spaces *spaces);

/* -ENOSPC when there is no room, which is counted. */
int space_make(struct spaces *spaces, const struct mappings *mappings, struct space **ret);

/* No process may have it any more. */
struct space *space_free(struct space *space);

/* An address in no mapping of this space is one that we will not hear of. */
void space_expects_no_more(struct space *space);

/*
 * From now on the process has this space. image: walk_image() of the program that it runs, or
 * WALK_ANY_IMAGE while that is not known.
 */
void spaces_enter(struct spaces *spaces, uint32_t pid, uint32_t image, const struct space *space);

/* Nothing is known of the process any more, unless it has another space by now. */
void spaces_leave(struct spaces *spaces, uint32_t pid, const struct space *space);

struct spaces_stats {
	uint64_t processes; /* now */
	uint64_t spaces;
	uint64_t spaces_size;	     /* bytes */
	uint64_t process_table_full; /* processes whose bucket was full, since the start */
	uint64_t no_room;
};
void spaces_stats(const struct spaces *spaces, struct spaces_stats *ret);

DEFINE_CLEANUP(struct spaces *, spaces, spaces_free)
