/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>

#include "store/anew.h"

#include <fcntl.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "store/database.h"
#include "store/span.h"
#include "store/store_private.h"

int anew_create(const char *path, const char *schema, int page_size, sqlite3 **ret)
{
	autoclean(buf) struct buf sql = BUF(1 << 20);
	int err = unlink(path) < 0 && errno != ENOENT ? -errno : 0;

	if (!err)
		err = database_errno(sqlite3_open_v2(
			path, ret, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX,
			NULL));
	if (err)
		return err;
	/* What is dropped again is overwritten. */
	buf_printf(&sql,
		   "PRAGMA page_size = %d; PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; "
		   "PRAGMA secure_delete = ON; BEGIN; "
		   "PRAGMA application_id = %d; PRAGMA user_version = %d; %s%s",
		   page_size, SPAN_APPLICATION_ID, SPAN_VERSION, store_words_span, schema);
	buf_add_u8(&sql, 0);
	return sql.error ? sql.error : database_execute(*ret, (const char *)sql.bytes);
}

int anew_copy_rows(sqlite3 *from, sqlite3 *to, const char *select, const char *insert)
{
	autoclean(statement) sqlite3_stmt *row = NULL;
	autoclean(statement) sqlite3_stmt *added = NULL;
	int err = database_prepare(from, select, &row);

	if (!err)
		err = database_prepare(to, insert, &added);
	while (!err && (err = database_step(row)) > 0) {
		for (int i = 0; i < sqlite3_column_count(row); i++)
			sqlite3_bind_value(added, i + 1, sqlite3_column_value(row, i));
		err = database_run(added);
	}
	return err;
}

int anew_copy_sides(sqlite3 *from, sqlite3 *to)
{
	int err = anew_copy_rows(from, to, "SELECT source, sequence FROM source",
				 "INSERT INTO source VALUES (?, ?)");

	return err ? err
		   : anew_copy_rows(from, to, "SELECT id, from_ms, to_ms, reason FROM gap",
				    "INSERT INTO gap VALUES (?, ?, ?, ?)");
}

void anew_close(struct anew_files *files)
{
	statement_cleanup(&files->select_tree);
	statement_cleanup(&files->insert_tree);
	statement_cleanup(&files->select_blocks);
	statement_cleanup(&files->insert_block);
	database_close(files->from);
	database_close(files->to);
	*files = (struct anew_files){ 0 };
}

int anew_sync(const char *path)
{
	autoclose int fd = open(path, O_RDONLY | O_CLOEXEC);

	return fd < 0 || fsync(fd) < 0 ? -errno : 0;
}
