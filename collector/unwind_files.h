/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "base/identity.h"
#include "bpf/walk_layout.h"
#include "collector/lines.h"

/*
 * The files that processes map, by number, and their unwind tables in the memory of the walk. A
 * table is asked for when a walk came upon its file, so that what nobody runs costs nothing. When
 * the memory is full, the table that was used longest ago goes. Used by the collector's one thread.
 */
struct unwind_files;

/*
 * files, rules, known: WALK_FILE_COUNT_MAX, UNWIND_RULE_COUNT_MAX and WALK_KNOWN_BUCKET_COUNT
 * entries, zeroed, which the walk reads. They and lines stay the caller's and must outlive this.
 */
int unwind_files_new(struct lines *lines, struct walk_file *files, uint64_t *rules,
		     struct walk_known_bucket *known, struct unwind_files **ret);
struct unwind_files *unwind_files_free(struct unwind_files *files);

/*
 * The number of the file with this identity, counted as used until it is released.
 * WALK_FILE_NONE when there are too many (counted): a file without a table.
 */
uint32_t unwind_files_take(struct unwind_files *files, const struct identity *identity);
void unwind_files_release(struct unwind_files *files, uint32_t number);

const struct identity *unwind_files_identity(const struct unwind_files *files, uint32_t number);

/* Whether it is time to ask for the table of this file. */
bool unwind_files_wants(const struct unwind_files *files, uint32_t number);

/*
 * It was asked for. What is not answered within some seconds counts as refused for a while.
 *
 * The kernel shows what was asked about by this hash (walk_file_hash()); 0: that can't be told.
 * When the table has come, and it is certain that this is the file, a walk finds it by the hash
 * before it was told that a process maps it. Until the number is another file's, or
 * UNWIND_FILES_COPY_COUNT_MAX others are known.
 */
void unwind_files_asked(struct unwind_files *files, uint32_t number, uint64_t hash);

/*
 * A file has copies: the host's C library and that of a container are one by their build id, and
 * two for the kernel. Each is to be asked about, so that walks find the table by its hash as well.
 */
enum { UNWIND_FILES_COPY_COUNT_MAX = 8 };

/*
 * The number of the file with this identity, if its table is there and it is time to look whether a
 * copy is known: no more than once a second, and less and less often the more were asked about.
 * Else WALK_FILE_NONE.
 */
uint32_t unwind_files_wants_copy(const struct unwind_files *files, const struct identity *identity);

/* Looked at one, with this hash; 0: that can't be told. True when it is to be asked about. */
bool unwind_files_saw_copy(struct unwind_files *files, uint32_t number, uint64_t hash);

/* Whether a walk finds the table of the file with this identity by the hash of some copy. */
bool unwind_files_knows(const struct unwind_files *files, const struct identity *identity);

/* Whoever was asked is gone: ask again. */
void unwind_files_forget_questions(struct unwind_files *files);

/*
 * The table of this file, as it came: checked, its rules numbered anew, put where the walk finds
 * it. -EBADMSG when it is not one, or another file's; -ENOSPC when it is larger than half of the
 * memory or what is hot leaves no room; it is then asked for less and less often. -EALREADY when it
 * is there.
 */
int unwind_files_put(struct unwind_files *files, uint32_t number, const void *bytes, size_t size);

/* There is none: -ENODATA for good, any other errno for a while. */
void unwind_files_refuse(struct unwind_files *files, uint32_t number,
			 const struct identity *identity, int err);

/* Nobody maps it just now, so that it can't be opened: a file of short processes is mapped again in
 * a moment. Asked for again after a second, then two, four … */
void unwind_files_put_off(struct unwind_files *files, uint32_t number);

/* How often it changed whether a file's table is there, expected or neither. */
uint64_t unwind_files_changes(const struct unwind_files *files);

/* Samples were in this file. */
void unwind_files_touch(struct unwind_files *files, const struct identity *identity);

/* Tells the time, and brings up what was put off. */
void unwind_files_tick(struct unwind_files *files, uint64_t now_ns);

/* As lines_take(); when the memory is full, tables are evicted, and there is room a little later.
 */
int unwind_files_take_lines(struct unwind_files *files, uint32_t count, uint32_t *ret_line);

struct unwind_files_stats {
	uint64_t files;	    /* known now */
	uint64_t tables;    /* in memory now */
	uint64_t rows_size; /* bytes of them, indexes and page words included */
	uint64_t rules;
	uint64_t asked, put, refused, malformed; /* since the start */
	uint64_t evicted;
	uint64_t no_room;	  /* tables that found no room */
	uint64_t file_table_full; /* files beyond WALK_FILE_COUNT_MAX */
	uint64_t rule_table_full; /* rules beyond UNWIND_RULE_COUNT_MAX */
};
void unwind_files_stats(const struct unwind_files *files, struct unwind_files_stats *ret);

DEFINE_CLEANUP(struct unwind_files *, unwind_files, unwind_files_free)
