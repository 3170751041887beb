/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"
#include "base/limits.h"

/*
 * Bytes of which nobody knows how many come: in memory while they are few, else in a file without a
 * name, which goes with the spool or the process. One thread at a time.
 */
struct spool {
	const char *folder; /* where the file is made */
	size_t limit;	    /* of all bytes */
	struct buf memory;
	int fd; /* -1: all is in memory */
	size_t size;
	void *mapped;
};

#define SPOOL(folder_path, limit_bytes)                                                            \
	((struct spool){ .folder = (folder_path),                                                  \
			 .limit = (limit_bytes),                                                   \
			 .memory = BUF(PUSH_MEMORY_MAX),                                           \
			 .fd = -1 })

/* -E2BIG beyond the limit, -ENOMEM, or what writing a file fails with: -ENOSPC, -EIO, … */
int spool_add(struct spool *spool, const void *bytes, size_t size);

/* As request_sink: context is the spool. */
int spool_sink(void *context, const void *bytes, size_t size);

/* All that was added, in place; nothing is added afterwards. */
int spool_read(struct spool *spool, struct str *ret);

/*
 * Bytes of it that are not needed for now: where they lie in the file, their pages are not held,
 * and come back when they are read again. Others are nobody's concern.
 */
void spool_let_go(const struct spool *spool, struct str bytes);

void spool_done(struct spool *spool);

static inline void spool_cleanup(struct spool *spool)
{
	spool_done(spool);
}
