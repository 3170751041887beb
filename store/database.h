/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <sqlite3.h>

#include "base/cleanup.h"
#include "base/str.h"

/*
 * SQLite as the store uses it: the settings of a connection, its errors as negative errno, and
 * statements that end with their scope. -EUCLEAN means that the file is damaged.
 */
int database_errno(int code);

static inline bool error_is_damage(int err)
{
	return err == -EUCLEAN || err == -EBADMSG;
}

enum database_mode {
	DATABASE_WRITE,	    /* the one writer of a file; makes it when it is not there */
	DATABASE_READ,	    /* beside the writer */
	DATABASE_IMMUTABLE, /* a sealed file: no locks, no log */
};

int database_open(const char *path, enum database_mode mode, sqlite3 **ret);
sqlite3 *database_close(sqlite3 *database);

int database_execute(sqlite3 *database, const char *sql);

/* The first column of the first row, as a number. -ENODATA when there is no row. */
int database_number(sqlite3 *database, const char *sql, int64_t *ret);

int database_prepare(sqlite3 *database, const char *sql, sqlite3_stmt **ret);

/* The same of one that the caller keeps, NULL at first: from the second time on it is made ready
 * again. To prepare one takes as long as to read a small service with it. */
int database_prepare_once(sqlite3 *database, const char *sql, sqlite3_stmt **statement);

/* 1 for a row, 0 at the end, or a negative errno. */
int database_step(sqlite3_stmt *statement);

/* Runs a statement that gives no rows, and makes it ready for the next time. */
int database_run(sqlite3_stmt *statement);

/* Bytes that outlive the statement's run. */
void database_bind_bytes(sqlite3_stmt *statement, int place, const void *bytes, size_t size);

/* A column's bytes, until the next step. */
struct str database_column(sqlite3_stmt *statement, int column);

static inline void statement_cleanup(sqlite3_stmt **statement)
{
	sqlite3_finalize(*statement);
}

DEFINE_CLEANUP(sqlite3 *, database, database_close)
