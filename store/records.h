/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/str.h"

/*
 * Small things that people keep beside the profiles, in an SQLite file of its own: settings of
 * their page, rules, profiles to look at. Each is some bytes under a name; what they mean is the
 * business of who stores them. What a call changed is on disk when it returns. Any thread.
 */
struct records;

enum record_kind {
	RECORD_SETTING = 1,
	RECORD_RULE = 2,
	RECORD_AD_HOC = 3,
	RECORD_DELETION = 4, /* store/deletions.c, in a file of its own */
};

enum { RECORD_NAME_SIZE_MAX = 1024 };

/*
 * Made when it is not there. A damaged file is set aside as PATH.damaged-TIME and a new one begun:
 * *ret_damaged, which may be NULL, says so.
 */
int records_open(const char *path, bool *ret_damaged, struct records **ret);
struct records *records_close(struct records *records);

/* A copy of the file at a path that is not there yet, while others may write to it; on disk when it
 * returns. -ENOENT when there is no such file. */
int records_copy(const char *path, const char *target);

struct record {
	struct str name;
	int64_t time_ms; /* whatever the kind means by it */
	struct str bytes;
};

/* In place of one of the same name. -ENOSPC, -EIO. */
int records_put(struct records *records, enum record_kind kind, const struct record *record);

/* Appends the bytes to the buf. -ENOENT. */
int records_get(struct records *records, enum record_kind kind, struct str name,
		int64_t *ret_time_ms, struct buf *bytes);

/* -ENOENT when there is none. */
int records_delete(struct records *records, enum record_kind kind, struct str name);

/* By name. Anything but 0 ends it and is returned; the texts are good during the call. */
typedef int records_visit(void *context, const struct record *record);
int records_each(struct records *records, enum record_kind kind, records_visit *visit,
		 void *context);

/* How many there are and how many bytes they have. */
struct records_figures {
	uint64_t count;
	uint64_t bytes;
};
int records_figures(struct records *records, enum record_kind kind, struct records_figures *ret);

/* Drops the oldest by time until no more than so many, and so many bytes, are left. */
int records_limit(struct records *records, enum record_kind kind, uint64_t count_max,
		  uint64_t bytes_max);

DEFINE_CLEANUP(struct records *, records, records_close)
