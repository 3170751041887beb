/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/limits.h"
#include "store/store_private.h"

/*
 * When closed spans are written anew, and how the new file takes the old one's place.
 *
 * The thread only reads a file that nobody writes, and makes one that nobody knows. All that others
 * see is the writer's: it gives the file its name, so that from then on it is what counts after a
 * crash, and puts it into the list in the old one's place. The old file goes with the last question
 * that reads it. Every step may be the last one before a crash: what is unfinished is removed at
 * the start, and so is the old one beside a new one.
 */

enum { NICE = 10 };

static int remove_file(const struct store *store, const char *name)
{
	char path[STORE_PATH_SIZE_MAX];

	if ((size_t)snprintf(path, sizeof(path), "%s/%s", store->folder, name) >= sizeof(path))
		return -ENAMETOOLONG;
	return unlink(path) < 0 && errno != ENOENT ? -errno : 0;
}

/* Whether a file's compact successor is there, and no other file by that name. */
static bool is_replaced(const struct store *store, const char *name)
{
	char compact[SPAN_NAME_SIZE];
	char path[STORE_PATH_SIZE_MAX];
	uint64_t identity = 0;

	if (!str_ends_with(str_from(name), STR(".db")) || strlen(name) >= SPAN_NAME_SIZE - 8 ||
	    strlen(name) < 4)
		return false;
	span_compact_name(name, compact);
	if ((size_t)snprintf(path, sizeof(path), "%s/%s", store->folder, compact) >= sizeof(path) ||
	    access(path, F_OK))
		return false;
	/* One that can't be read is no successor. */
	identity = span_file_identity(path);
	if ((size_t)snprintf(path, sizeof(path), "%s/%s", store->folder, name) >= sizeof(path))
		return false;
	return identity && identity == span_file_identity(path);
}

static int tidy_file(struct store *store, const char *name)
{
	uint32_t number = span_name_number(name);

	if (number >= store->next_file)
		store->next_file = number + 1;
	if (str_ends_with(str_from(name), STR(SPAN_UNFINISHED_SUFFIX)) || is_replaced(store, name))
		return remove_file(store, name);
	return 0;
}

int store_tidy_files(struct store *store)
{
	DIR *folder = opendir(store->folder);
	int err = 0;

	if (!folder)
		return -errno;
	store->next_file = 1;
	for (struct dirent *entry; !err && (entry = readdir(folder));)
		err = tidy_file(store, entry->d_name);
	closedir(folder);
	return err;
}

static void *run(void *context)
{
	struct compaction *compaction = context;
	const struct compact_options options = { .from = compaction->span->path,
						 .to = compaction->path,
						 .finished_ms = compaction->span->finished_ms,
						 .fold = compaction->fold,
						 .cancel = &compaction->cancel };

	(void)pthread_setname_np(pthread_self(), "compactor");
	/* Of this thread only, on Linux. */
	(void)setpriority(PRIO_PROCESS, 0, NICE);
	compaction->result = compact_span(&options);
	atomic_store(&compaction->is_done, true);
	return NULL;
}

/* The oldest that is old enough. */
static struct span *find_span(struct store *store, int64_t now_unix_ms)
{
	struct span *oldest = NULL;

	pthread_mutex_lock(&store->lock);
	for (uint32_t i = 0; i < store->spans.spans.count; i++) {
		struct span *span = store->spans.spans.items[i];

		if (span->is_sealed && !span->is_compact && !span->stays && !span->is_damaged &&
		    span->end_ms < now_unix_ms - store->detail_ms &&
		    (!oldest || span->end_ms < oldest->end_ms))
			oldest = span;
	}
	if (oldest)
		store_span_hold(oldest);
	pthread_mutex_unlock(&store->lock);
	return oldest;
}

/* Takes over the reference. */
static int start(struct store *store, struct span *span)
{
	struct compaction *compaction = &store->compaction;
	int err = 0;

	if (asprintf(&compaction->path, "%s" SPAN_UNFINISHED_SUFFIX, span->path) < 0) {
		compaction->path = NULL;
		store_span_release(store, span);
		return -ENOMEM;
	}
	compaction->span = span;
	compaction->fold = store->fold;
	atomic_store(&compaction->is_done, false);
	atomic_store(&compaction->cancel, false);
	err = -pthread_create(&compaction->thread, NULL, run, compaction);
	if (err) {
		free(compaction->path);
		compaction->path = NULL;
		store_span_release(store, span);
		return err;
	}
	compaction->is_running = true;
	return 0;
}

/* The new file gets its name and a place in the list; the old one has none any more. */
static int replace(struct store *store, struct span *old, const char *unfinished)
{
	char name[SPAN_NAME_SIZE];
	char path[STORE_PATH_SIZE_MAX];
	struct sources known = { 0 };
	struct span *span = NULL;
	int err = 0;

	span_compact_name(old->name, name);
	if ((size_t)snprintf(path, sizeof(path), "%s/%s", store->folder, name) >= sizeof(path))
		return -ENAMETOOLONG;
	/* Names are not given twice: this is somebody else's, and stays. */
	if (access(path, F_OK) == 0)
		return -EEXIST;
	if (rename(unfinished, path) < 0)
		return -errno;
	err = span_protect_file(path);
	if (!err)
		err = span_open(store->folder, name, &known, &span);
	array_done(&known.sources);
	if (!err) {
		pthread_mutex_lock(&store->lock);
		err = store_list_span(store, span, old);
		old->is_replaced = !err;
		pthread_mutex_unlock(&store->lock);
	}
	if (err) {
		span_free(span);
		(void)unlink(path);
		return err;
	}
	/* The list's own reference. */
	store_span_release(store, old);
	return 0;
}

static int finish(struct store *store)
{
	struct compaction *compaction = &store->compaction;
	struct span *span = compaction->span;
	int err = 0;

	pthread_join(compaction->thread, NULL);
	compaction->is_running = false;
	err = compaction->result;
	/* Retention may have let it go meanwhile. */
	if (!err && span->is_listed)
		err = replace(store, span, compaction->path);
	(void)unlink(compaction->path);
	free(compaction->path);
	compaction->path = NULL;
	pthread_mutex_lock(&store->lock);
	if (error_is_damage(err))
		span->is_damaged = true;
	/* What can't be written anew answers as it is; what had no room is tried again. */
	else if (err && err != -ENOSPC && err != -ECANCELED)
		span->stays = true;
	pthread_mutex_unlock(&store->lock);
	store_span_release(store, span);
	return err == -ENOSPC ? err : 0;
}

void store_stop_compacting(struct store *store)
{
	if (!store->compaction.is_running)
		return;
	atomic_store(&store->compaction.cancel, true);
	(void)finish(store);
}

void store_compact(struct store *store, int64_t now_unix_ms)
{
	struct span *span = NULL;

	if (store->compaction.is_running) {
		if (atomic_load(&store->compaction.is_done))
			store_note_write(store, finish(store));
		return;
	}
	/* Details are dropped for their age, which a clock that jumped does not know. */
	if (store->status.clock_jumped)
		return;
	span = find_span(store, now_unix_ms);
	if (span)
		(void)start(store, span);
}
