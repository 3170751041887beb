/* SPDX-License-Identifier: Apache-2.0 */
#include "store/records.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/limits.h"
#include "store/database.h"

/* kind: enum record_kind; time: in ms, its meaning is the kind's */
static const char schema[] = "CREATE TABLE IF NOT EXISTS record ("
			     " kind INTEGER NOT NULL,"
			     " name BLOB NOT NULL,"
			     " time INTEGER NOT NULL,"
			     " bytes BLOB NOT NULL,"
			     " PRIMARY KEY (kind, name)"
			     ") WITHOUT ROWID";

struct records {
	pthread_mutex_t lock; /* of the one connection */
	sqlite3 *database;
};

/*
 * Nobody else's to read, nor are the files that SQLite makes beside it. Closed before SQLite opens
 * it: closing it later would end the locks that SQLite has on it.
 */
static int make_private(const char *path)
{
	autoclose int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);

	return fd < 0 ? -errno : 0;
}

static int open_file(const char *path, sqlite3 **ret)
{
	autoclean(database) sqlite3 *database = NULL;
	int64_t count = 0;
	int err = make_private(path);

	if (!err)
		err = database_open(path, DATABASE_WRITE, &database);

	if (!err)
		err = database_execute(database, schema);
	/* Reads it, so that damage is found now. */
	if (!err)
		err = database_number(
			database, "SELECT count(*) FROM record WHERE length(bytes) > 0", &count);
	if (err)
		return err;
	*ret = TAKE(database);
	return 0;
}

static int set_aside(const char *path)
{
	char aside[STORE_PATH_SIZE_MAX];
	char beside[STORE_PATH_SIZE_MAX];
	static const char *const endings[] = { "-wal", "-shm" };

	if ((size_t)snprintf(aside, sizeof(aside), "%s.damaged-%" PRId64, path,
			     clock_unix_ms() / CLOCK_MS_PER_S) >= sizeof(aside))
		return -ENAMETOOLONG;
	if (rename(path, aside) < 0)
		return -errno;
	for (size_t i = 0; i < sizeof(endings) / sizeof(endings[0]); i++)
		if ((size_t)snprintf(beside, sizeof(beside), "%s%s", path, endings[i]) <
		    sizeof(beside))
			(void)unlink(beside);
	return 0;
}

int records_open(const char *path, bool *ret_damaged, struct records **ret)
{
	struct records *records = calloc(1, sizeof(*records));
	int err = records ? open_file(path, &records->database) : -ENOMEM;
	bool is_damaged = error_is_damage(err);

	if (is_damaged) {
		err = set_aside(path);
		if (!err)
			err = open_file(path, &records->database);
	}
	if (!err)
		err = -pthread_mutex_init(&records->lock, NULL);
	if (err) {
		if (records)
			database_close(records->database);
		free(records);
		return err;
	}
	if (ret_damaged)
		*ret_damaged = is_damaged;
	*ret = records;
	return 0;
}

int records_copy(const char *path, const char *target)
{
	autoclean(database) sqlite3 *database = NULL;
	autoclean(statement) sqlite3_stmt *statement = NULL;

	assert(access(target, F_OK) != 0);
	if (access(path, F_OK))
		return -errno;

	int err = database_open(path, DATABASE_READ, &database);

	/* The copy is what is written. */
	if (!err)
		err = database_execute(database, "PRAGMA query_only = 0");
	if (!err)
		err = database_prepare(database, "VACUUM INTO ?1", &statement);
	if (!err)
		err = database_errno(sqlite3_bind_text(statement, 1, target, -1, SQLITE_STATIC));
	if (!err)
		err = database_run(statement);
	if (err)
		return err;

	autoclose int fd = open(target, O_RDONLY | O_CLOEXEC);

	return fd < 0 || fchmod(fd, 0600) || fsync(fd) ? -errno : 0;
}

struct records *records_close(struct records *records)
{
	if (!records)
		return NULL;
	database_close(records->database);
	pthread_mutex_destroy(&records->lock);
	free(records);
	return NULL;
}

/* What is written seldom goes to its place at once; a log that stays for another time harms none.
 */
static void tidy(struct records *records)
{
	(void)database_execute(records->database, "PRAGMA wal_checkpoint(TRUNCATE)");
}

int records_put(struct records *records, enum record_kind kind, const struct record *record)
{
	autoclean(statement) sqlite3_stmt *statement = NULL;

	assert(record->name.size <= RECORD_NAME_SIZE_MAX);
	pthread_mutex_lock(&records->lock);

	int err = database_prepare(records->database,
				   "INSERT OR REPLACE INTO record VALUES (?, ?, ?, ?)", &statement);

	if (!err) {
		sqlite3_bind_int64(statement, 1, kind);
		database_bind_bytes(statement, 2, record->name.text, record->name.size);
		sqlite3_bind_int64(statement, 3, record->time_ms);
		database_bind_bytes(statement, 4, record->bytes.text, record->bytes.size);
		err = database_run(statement);
	}
	if (!err)
		tidy(records);
	pthread_mutex_unlock(&records->lock);
	return err;
}

static int get(struct records *records, enum record_kind kind, struct str name,
	       int64_t *ret_time_ms, struct buf *bytes)
{
	autoclean(statement) sqlite3_stmt *statement = NULL;
	int err = database_prepare(records->database,
				   "SELECT time, bytes FROM record WHERE kind = ? AND name = ?",
				   &statement);

	if (err)
		return err;
	sqlite3_bind_int64(statement, 1, kind);
	database_bind_bytes(statement, 2, name.text, name.size);
	err = database_step(statement);
	if (err <= 0)
		return err ? err : -ENOENT;
	if (ret_time_ms)
		*ret_time_ms = sqlite3_column_int64(statement, 0);
	buf_add_str(bytes, database_column(statement, 1));
	return bytes->error;
}

int records_get(struct records *records, enum record_kind kind, struct str name,
		int64_t *ret_time_ms, struct buf *bytes)
{
	pthread_mutex_lock(&records->lock);

	int err = get(records, kind, name, ret_time_ms, bytes);

	pthread_mutex_unlock(&records->lock);
	return err;
}

int records_delete(struct records *records, enum record_kind kind, struct str name)
{
	autoclean(statement) sqlite3_stmt *statement = NULL;

	pthread_mutex_lock(&records->lock);

	int err = database_prepare(records->database,
				   "DELETE FROM record WHERE kind = ? AND name = ?", &statement);

	if (!err) {
		sqlite3_bind_int64(statement, 1, kind);
		database_bind_bytes(statement, 2, name.text, name.size);
		err = database_run(statement);
	}
	if (!err && sqlite3_changes(records->database) == 0)
		err = -ENOENT;
	if (!err)
		tidy(records);
	pthread_mutex_unlock(&records->lock);
	return err;
}

static int each(struct records *records, enum record_kind kind, records_visit *visit, void *context)
{
	autoclean(statement) sqlite3_stmt *statement = NULL;
	int err = database_prepare(records->database,
				   "SELECT name, time, bytes FROM record WHERE kind = ? "
				   "ORDER BY name",
				   &statement);

	if (err)
		return err;
	sqlite3_bind_int64(statement, 1, kind);
	while ((err = database_step(statement)) > 0) {
		struct record record = { .name = database_column(statement, 0),
					 .time_ms = sqlite3_column_int64(statement, 1),
					 .bytes = database_column(statement, 2) };

		err = visit(context, &record);
		if (err)
			return err;
	}
	return err;
}

int records_each(struct records *records, enum record_kind kind, records_visit *visit,
		 void *context)
{
	pthread_mutex_lock(&records->lock);

	int err = each(records, kind, visit, context);

	pthread_mutex_unlock(&records->lock);
	return err;
}

static int read_figures(struct records *records, enum record_kind kind, struct records_figures *ret)
{
	autoclean(statement) sqlite3_stmt *statement = NULL;
	int err = database_prepare(records->database,
				   "SELECT count(*), total(length(bytes)) FROM record "
				   "WHERE kind = ?",
				   &statement);

	if (err)
		return err;
	sqlite3_bind_int64(statement, 1, kind);
	err = database_step(statement);
	if (err <= 0)
		return err ? err : -EUCLEAN;
	*ret = (struct records_figures){
		.count = (uint64_t)sqlite3_column_int64(statement, 0),
		.bytes = (uint64_t)sqlite3_column_double(statement, 1),
	};
	return 0;
}

int records_figures(struct records *records, enum record_kind kind, struct records_figures *ret)
{
	pthread_mutex_lock(&records->lock);

	int err = read_figures(records, kind, ret);

	pthread_mutex_unlock(&records->lock);
	return err;
}

static int drop_oldest(struct records *records, enum record_kind kind)
{
	autoclean(statement) sqlite3_stmt *statement = NULL;
	int err = database_prepare(records->database,
				   "DELETE FROM record WHERE kind = ?1 AND name = ("
				   "SELECT name FROM record WHERE kind = ?1 ORDER BY time, name "
				   "LIMIT 1)",
				   &statement);

	if (err)
		return err;
	sqlite3_bind_int64(statement, 1, kind);
	return database_run(statement);
}

int records_limit(struct records *records, enum record_kind kind, uint64_t count_max,
		  uint64_t bytes_max)
{
	struct records_figures figures;
	bool has_dropped = false;

	pthread_mutex_lock(&records->lock);

	int err = read_figures(records, kind, &figures);

	while (!err && (figures.count > count_max || figures.bytes > bytes_max)) {
		assert(figures.count > 0);
		err = drop_oldest(records, kind);
		has_dropped = true;
		if (!err)
			err = read_figures(records, kind, &figures);
	}
	if (has_dropped)
		tidy(records);
	pthread_mutex_unlock(&records->lock);
	return err;
}
