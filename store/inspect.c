/* SPDX-License-Identifier: Apache-2.0 */
#include "store/inspect.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "base/limits.h"
#include "store/store_private.h"

static int is_span_file(const struct dirent *entry)
{
	return str_ends_with(str_from(entry->d_name), STR(".db"));
}

static void explain(struct store_file *file, int err)
{
	if (file->what[0])
		return;
	if (err == -EPROTONOSUPPORT)
		snprintf(file->what, sizeof(file->what), "of a later version of hearth");
	else if (error_is_damage(err))
		snprintf(file->what, sizeof(file->what), "%s", store_damage_text(err));
	else
		snprintf(file->what, sizeof(file->what), "%s", strerror(-err));
}

static int read_all(const struct span *span, char what[static SCRUB_TEXT_SIZE])
{
	autoclean(database) sqlite3 *database = NULL;
	int err = database_open(span->path, span->is_sealed ? DATABASE_IMMUTABLE : DATABASE_READ,
				&database);

	return err ? err : scrub_file(database, NULL, what);
}

static void inspect(const char *data, enum inspect_depth depth, struct store_file *file)
{
	autoclean(span) struct span *span = NULL;
	struct sources sources = { 0 };
	int err = span_open(data, file->name, &sources, &span);

	array_done(&sources.sources);
	/* Made, and never written to. */
	if (err == -ENODATA)
		return;
	if (!err) {
		file->is_late = span_class(span) == STORE_LATE;
		file->first_ms = span->end_ms ? span->first_ms : 0;
		file->end_ms = span->end_ms;
		file->samples = span->samples;
		if (depth == INSPECT_ALL)
			err = read_all(span, file->what);
	}
	file->err = err;
	if (err)
		explain(file, err);
}

static int visit_file(const char *data, const char *name, bool is_running, enum inspect_depth depth,
		      store_file_visit *visit, void *context)
{
	struct store_file file = { .name = name };
	char path[STORE_PATH_SIZE_MAX + 256];
	int err;

	snprintf(path, sizeof(path), "%s/%s", data, name);
	err = span_file_is_sealed(path, &file.is_sealed);
	/* Retention was faster. */
	if (err == -ENOENT)
		return 0;
	file.bytes = span_file_bytes(path);
	if (err) {
		file.err = err;
		explain(&file, err);
	} else if (file.is_sealed || !is_running) {
		inspect(data, depth, &file);
	}
	return visit(context, &file);
}

int store_inspect(const char *folder, bool is_running, enum inspect_depth depth,
		  store_file_visit *visit, void *context)
{
	char data[STORE_PATH_SIZE_MAX];
	struct dirent **entries = NULL;
	int err = 0;
	int count;

	if ((size_t)snprintf(data, sizeof(data), "%s/data", folder) >= sizeof(data) - 128)
		return -ENAMETOOLONG;
	count = scandir(data, &entries, is_span_file, alphasort);
	if (count < 0)
		return -errno;
	for (int i = 0; i < count; i++) {
		if (!err)
			err = visit_file(data, entries[i]->d_name, is_running, depth, visit,
					 context);
		free(entries[i]);
	}
	free(entries);
	return err;
}

int store_file_is_sealed(const char *path, bool *ret)
{
	return span_file_is_sealed(path, ret);
}

int store_keep_out(const char *folder, int *ret_fd)
{
	char path[STORE_PATH_SIZE_MAX];

	if ((size_t)snprintf(path, sizeof(path), "%s/data", folder) >= sizeof(path))
		return -ENAMETOOLONG;
	if (access(path, X_OK))
		return -errno;
	snprintf(path, sizeof(path), "%s/lock", folder);

	autoclose int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);

	if (fd < 0)
		return -errno;
	if (flock(fd, LOCK_EX | LOCK_NB) < 0)
		return errno == EWOULDBLOCK ? -EBUSY : -errno;
	*ret_fd = TAKE_FD(fd);
	return 0;
}
