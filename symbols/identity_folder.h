/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "base/identity.h"

/*
 * A folder of files that were made of something with an identity: DIR/xx/KIND-HEX.suffix, xx being
 * the first byte of the identity. An alias is a symbolic link to what it stands for. Beyond its
 * size the files that were not opened for longest are removed; each opening sets the access time by
 * hand, since mounts don't.
 *
 * Any thread may read and remove; one at a time may write.
 */
struct identity_folder;

enum {
	/* Of links: one for each state of a file without a known build id, forgotten oldest first.
	 */
	IDENTITY_FOLDER_ALIAS_COUNT_MAX = 16 << 10,
	/* Of everything; 256 MiB of files of 2 KB. */
	IDENTITY_FOLDER_ENTRY_COUNT_MAX = 128 << 10,
};

struct identity_folder_stats {
	uint64_t file_count;
	uint64_t file_bytes;
	uint64_t alias_count;
	uint64_t evicted; /* since it was opened */
};

/* Makes it when it is not there, counts what is in it and removes what was not written whole.
 * suffix, with its dot, stays the caller's. */
int identity_folder_open(const char *path, const char *suffix, uint64_t size_max,
			 struct identity_folder **ret);
struct identity_folder *identity_folder_close(struct identity_folder *folder);

bool identity_folder_has(const struct identity_folder *folder, const struct identity *identity);

/* Opens it to be read. -ENOENT when there is none. */
int identity_folder_read(const struct identity_folder *folder, const struct identity *identity,
			 int *ret_fd);

/* Removes a file that is no good, and the alias it was found by. */
void identity_folder_remove(struct identity_folder *folder, const struct identity *identity);

/* From the next write on. By whom writes, or before anybody does. */
void identity_folder_limit(struct identity_folder *folder, uint64_t size_max);

/* Writes path + ".new" and renames it to path; on failure nothing is left. */
typedef int identity_folder_writer(const char *path, const void *contents, uint64_t *ret_size);

/* In place of an older one. */
int identity_folder_write(struct identity_folder *folder, const struct identity *identity,
			  identity_folder_writer *write_file, const void *contents);

int identity_folder_alias(struct identity_folder *folder, const struct identity *identity,
			  const struct identity *target);

struct identity_folder_stats identity_folder_stats(const struct identity_folder *folder);

/* Whether a file that was found under the first identity may be of the second: by an alias. */
static inline bool identity_may_stand_for(const struct identity *identity,
					  const struct identity *found)
{
	return identity_equal(identity, found) ||
	       (identity->kind == IDENTITY_INODE && found->kind == IDENTITY_GNU_BUILD_ID) ||
	       ((identity->kind == IDENTITY_GO_BUILD_ID || identity->kind == IDENTITY_HTLHASH) &&
		(found->kind == IDENTITY_GNU_BUILD_ID || found->kind == IDENTITY_INODE));
}

DEFINE_CLEANUP(struct identity_folder *, identity_folder, identity_folder_close)
