/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * SQLite's files with something between it and the disk: calls that fail, and a disk that keeps
 * only what was synced. It becomes SQLite's default when it is installed, and does nothing until
 * asked. For one thread.
 */
void fault_vfs_install(void);

/* ---- calls that fail ------------------------------------------------------------------------ */

enum fault_kind {
	FAULT_IO,   /* the disk can't be read or written */
	FAULT_FULL, /* it is full: what writes fails, what reads does not */
};

/*
 * The call number n from now fails (1 is the next), and all that follow when it is for ever. Calls
 * are those of SQLite and those that a test passes through fault_vfs_call(). 0: none fails.
 */
void fault_vfs_fail(uint64_t n, enum fault_kind kind, bool for_ever);

/* Whether this call is to fail: for what does not go through SQLite. */
bool fault_vfs_call(bool writes);

/* Calls since fault_vfs_fail(), and whether one failed. */
uint64_t fault_vfs_calls(void);
bool fault_vfs_has_failed(void);

/* ---- a disk that forgets -------------------------------------------------------------------- */

/*
 * From now on files below this folder are watched; NULL ends it. before_sync is called when
 * something is about to be made safe: that is where a power cut is worth trying.
 */
void fault_vfs_watch(const char *folder, void (*before_sync)(void *context), void *context);

/* An fsync() that does not go through SQLite. */
void fault_vfs_synced(const char *path);

/* A file that was renamed or removed outside of SQLite. to: NULL when it was removed. */
void fault_vfs_moved(const char *path, const char *to);

/*
 * Writes what the disk could hold after a power cut at this moment into another folder: all that
 * was synced, and of each write since then all, nothing or a part, as the seed decides.
 */
int fault_vfs_power_cut(const char *to, uint64_t seed);
