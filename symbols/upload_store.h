/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "base/identity.h"
#include "base/str.h"

/*
 * Files with symbols that somebody handed in, by build id: a folder of debug files laid out as
 * symbols/debug_folder.h looks for them, so that what is uploaded is found like what is installed.
 * Never evicted: who uploaded a file may not have it again. What is not whole is never seen there.
 * Any thread.
 */
struct upload_store;

enum {
	/* One file; debug information of a browser takes as much. */
	UPLOAD_SIZE_MAX = 1 << 30,
	/* At once; each takes a thread of the server's and its file's room. */
	UPLOAD_RUNNING_MAX = 4,
	UPLOAD_COUNT_MAX = 64 << 10,
};

struct upload_info {
	struct identity identity;
	uint64_t size;	/* as it came */
	uint64_t bytes; /* on disk */
	int64_t unix_ms;
};

/* Made when it is not there; what was not written whole is removed. */
int upload_store_open(const char *path, uint64_t bytes_max, struct upload_store **ret);
struct upload_store *upload_store_close(struct upload_store *store);

/* "4fca…", 2 to 40 hexadecimal digits in pairs, as a build id; false for others. */
bool upload_identity_from(struct str text, struct identity *ret);

/* -ENOENT when it is not there. */
int upload_store_find(struct upload_store *store, const struct identity *identity,
		      struct upload_info *ret);
/* Opens the file to be read. */
int upload_store_read(struct upload_store *store, const struct identity *identity, int *ret_fd);
int upload_store_remove(struct upload_store *store, const struct identity *identity);

/* Calls back for each, in no order, with the store locked. */
void upload_store_list(struct upload_store *store,
		       void (*tell)(void *context, const struct upload_info *info), void *context);

struct upload_stats {
	uint64_t count, bytes, bytes_max;
	struct upload_info largest;
};
void upload_store_stats(struct upload_store *store, struct upload_stats *ret);

/* One that comes in. */
struct upload;

/* -EBUSY when UPLOAD_RUNNING_MAX are coming in, -EEXIST when it is there already. */
int upload_begin(struct upload_store *store, const struct identity *identity, struct upload **ret);

/* Pages of zeros take no room. -EFBIG beyond UPLOAD_SIZE_MAX, -ENOSPC when the store is full or the
 * disk. */
int upload_write(struct upload *upload, const void *bytes, size_t size);

/*
 * Looks at it and puts it in its place. Why it is of no use leaves through ret_reason, a literal:
 * -EBADMSG for no ELF file or one that is not whole, -ESTALE for one of another build id, which
 * leaves through ret_found (size 0: it has none), -ENODATA for one without any symbols or lines.
 * Frees the upload, whatever comes of it.
 */
int upload_finish(struct upload *upload, struct identity *ret_found, const char **ret_reason);

/* Leaves nothing behind. */
struct upload *upload_cancel(struct upload *upload);

DEFINE_CLEANUP(struct upload_store *, upload_store, upload_store_close)
DEFINE_CLEANUP(struct upload *, upload, upload_cancel)
