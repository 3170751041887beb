/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>

#include "store/database.h"

#include <assert.h>
#include <stdio.h>

#include "base/limits.h"

int database_errno(int code)
{
	switch (code & 0xff) {
	case SQLITE_OK:
	case SQLITE_ROW:
	case SQLITE_DONE:
		return 0;
	case SQLITE_FULL:
		return -ENOSPC;
	case SQLITE_CORRUPT:
	case SQLITE_NOTADB:
	case SQLITE_ERROR: /* a table that is not there: our SQL is tested */
	case SQLITE_SCHEMA:
	case SQLITE_FORMAT:
	case SQLITE_CONSTRAINT:
	case SQLITE_MISMATCH:
		return -EUCLEAN;
	case SQLITE_NOMEM:
	case SQLITE_TOOBIG:
		return -ENOMEM;
	case SQLITE_BUSY:
	case SQLITE_LOCKED:
	case SQLITE_PROTOCOL:
		return -EBUSY;
	case SQLITE_INTERRUPT:
		return -ETIMEDOUT;
	case SQLITE_READONLY:
	case SQLITE_PERM:
		return -EROFS;
	case SQLITE_CANTOPEN:
		return -ENOENT;
	case SQLITE_MISUSE:
		assert(!"SQLite was misused");
		return -EINVAL;
	default:
		return -EIO;
	}
}

/* Settings of every connection, and those that a mode adds. Figures: store/README.md. */
static const char common_settings[] = "PRAGMA wal_autocheckpoint = 0;"
				      "PRAGMA cell_size_check = ON;"
				      "PRAGMA trusted_schema = OFF;"
				      "PRAGMA temp_store = MEMORY;"
				      "PRAGMA mmap_size = 0;"
				      "PRAGMA foreign_keys = OFF;";

static const char *const mode_settings[] = {
	/* The page size comes before the log: it can't be changed afterwards. */
	[DATABASE_WRITE] = "PRAGMA page_size = 4096;"
			   "PRAGMA auto_vacuum = NONE;"
			   "PRAGMA journal_mode = WAL;"
			   "PRAGMA synchronous = FULL;"
			   "PRAGMA secure_delete = OFF;"
			   "PRAGMA journal_size_limit = 33554432;"
			   "PRAGMA cache_size = -2048;",
	[DATABASE_READ] = "PRAGMA query_only = ON; PRAGMA cache_size = -512;",
	[DATABASE_IMMUTABLE] = "PRAGMA query_only = ON; PRAGMA cache_size = -512;",
};

enum { BUSY_TIMEOUT_MS = 5000 };

static int set_up(sqlite3 *database, enum database_mode mode)
{
	int code = sqlite3_extended_result_codes(database, 1);

	if (!code)
		code = sqlite3_busy_timeout(database, BUSY_TIMEOUT_MS);
	if (!code)
		code = sqlite3_db_config(database, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
	if (!code && mode != DATABASE_WRITE)
		code = sqlite3_db_config(database, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
	if (code)
		return database_errno(code);

	int err = database_execute(database, common_settings);

	return err ? err : database_execute(database, mode_settings[mode]);
}

/* Bytes that mean something in a URI, and what we can't be sure of, go as %XX. */
static int make_uri(const char *path, const char *parameters, char *uri, size_t size)
{
	size_t used = (size_t)snprintf(uri, size, "file:");

	for (const char *c = path; *c; c++) {
		if (used + 4 >= size)
			return -ENAMETOOLONG;
		if (*c == '%' || *c == '?' || *c == '#')
			used += (size_t)snprintf(uri + used, size - used, "%%%02x", *c);
		else
			uri[used++] = *c;
	}
	if ((size_t)snprintf(uri + used, size - used, "%s", parameters) >= size - used)
		return -ENAMETOOLONG;
	return 0;
}

int database_open(const char *path, enum database_mode mode, sqlite3 **ret)
{
	autoclean(database) sqlite3 *database = NULL;
	char uri[3 * STORE_PATH_SIZE_MAX];
	int flags = SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_URI | SQLITE_OPEN_EXRESCODE;
	int err =
		make_uri(path, mode == DATABASE_IMMUTABLE ? "?immutable=1" : "", uri, sizeof(uri));

	if (err)
		return err;
	flags |= mode == DATABASE_WRITE ? SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE
					: SQLITE_OPEN_READONLY;
	err = database_errno(sqlite3_open_v2(uri, &database, flags, NULL));
	if (!err)
		err = set_up(database, mode);
	if (err)
		return err;
	*ret = TAKE(database);
	return 0;
}

sqlite3 *database_close(sqlite3 *database)
{
	int code = sqlite3_close(database);

	/* Busy means a statement that somebody forgot to end. */
	assert(code == SQLITE_OK);
	(void)code;
	return NULL;
}

int database_execute(sqlite3 *database, const char *sql)
{
	return database_errno(sqlite3_exec(database, sql, NULL, NULL, NULL));
}

int database_prepare(sqlite3 *database, const char *sql, sqlite3_stmt **ret)
{
	return database_errno(sqlite3_prepare_v2(database, sql, -1, ret, NULL));
}

int database_prepare_once(sqlite3 *database, const char *sql, sqlite3_stmt **statement)
{
	if (!*statement)
		return database_prepare(database, sql, statement);
	/* What it says is what its last step said already. */
	(void)sqlite3_reset(*statement);
	return 0;
}

int database_step(sqlite3_stmt *statement)
{
	int code = sqlite3_step(statement);

	return code == SQLITE_ROW ? 1 : database_errno(code);
}

int database_run(sqlite3_stmt *statement)
{
	int err = database_step(statement);

	assert(err != 1);
	sqlite3_reset(statement); /* repeats the error of the step */
	sqlite3_clear_bindings(statement);
	return err;
}

int database_number(sqlite3 *database, const char *sql, int64_t *ret)
{
	autoclean(statement) sqlite3_stmt *statement = NULL;
	int err = database_prepare(database, sql, &statement);

	if (err)
		return err;
	err = database_step(statement);
	if (err < 0)
		return err;
	if (err == 0)
		return -ENODATA;
	*ret = sqlite3_column_int64(statement, 0);
	return 0;
}

void database_bind_bytes(sqlite3_stmt *statement, int place, const void *bytes, size_t size)
{
	/* A NULL pointer would bind NULL. */
	sqlite3_bind_blob64(statement, place, size ? bytes : "", size, SQLITE_STATIC);
}

struct str database_column(sqlite3_stmt *statement, int column)
{
	const void *bytes = sqlite3_column_blob(statement, column);

	return (struct str){ bytes ? bytes : "", (size_t)sqlite3_column_bytes(statement, column) };
}
