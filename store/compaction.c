/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/limits.h"
#include "store/roll.h"
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

	const struct roll_options roll = { .from = compaction->span,
					   .row = compaction->row.number ? &compaction->row : NULL,
					   .to = compaction->chronicle ? compaction->chronicle->path
								       : NULL,
					   .cancel = &compaction->cancel };

	(void)pthread_setname_np(pthread_self(), "compactor");
	/* Of this thread only, on Linux. */
	(void)setpriority(PRIO_PROCESS, 0, NICE);
	compaction->result = compaction->chronicle
				     ? roll_up(&roll, &compaction->piece, &compaction->labels,
					       &compaction->is_about_chronicle)
				     : compact_span(&options);
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

static void set_running(struct store *store, bool is_running)
{
	store->compaction.is_running = is_running;
	pthread_mutex_lock(&store->lock);
	store->status.is_compacting = is_running;
	pthread_mutex_unlock(&store->lock);
}

/* Takes over the reference. */
static int start(struct store *store, struct span *span, struct span *chronicle)
{
	struct compaction *compaction = &store->compaction;
	int err = 0;

	compaction->path = NULL;
	if (!chronicle &&
	    asprintf(&compaction->path, "%s" SPAN_UNFINISHED_SUFFIX, span->path) < 0) {
		compaction->path = NULL;
		store_span_release(store, span);
		return -ENOMEM;
	}
	compaction->span = span;
	compaction->chronicle = chronicle;
	compaction->fold = store->fold;
	pool_init(&compaction->labels, CHRONICLE_LABEL_COUNT_MAX, NULL);
	atomic_store(&compaction->is_done, false);
	atomic_store(&compaction->cancel, false);
	err = -pthread_create(&compaction->thread, NULL, run, compaction);
	if (err) {
		free(compaction->path);
		compaction->path = NULL;
		pool_done(&compaction->labels);
		store_span_release(store, span);
		return err;
	}
	set_running(store, true);
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
		old->is_gone = !err;
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

static void finish_compact(struct store *store, struct compaction *done, int *err)
{
	struct span *span = done->span;

	/* Retention may have let it go meanwhile. */
	if (!*err && span->is_listed)
		*err = replace(store, span, done->path);
	(void)unlink(done->path);
	free(done->path);
	done->path = NULL;
	/* What can't be written anew answers as it is; what had no room is tried again. */
	if (*err && !error_is_damage(*err) && *err != -ENOSPC && *err != -ECANCELED) {
		pthread_mutex_lock(&store->lock);
		span->stays = true;
		pthread_mutex_unlock(&store->lock);
	}
}

static int finish(struct store *store)
{
	struct compaction *done = &store->compaction;
	struct span *span = done->span;
	int err = 0;

	pthread_join(done->thread, NULL);
	set_running(store, false);
	err = done->result;
	if (done->chronicle)
		err = store_rolled(store, done, err);
	else
		finish_compact(store, done, &err);
	pool_done(&done->labels);
	if (error_is_damage(err)) {
		pthread_mutex_lock(&store->lock);
		span->is_damaged = true;
		pthread_mutex_unlock(&store->lock);
	}
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

/* Takes over the reference. */
static int roll(struct store *store, struct span *span, int64_t now_unix_ms)
{
	int err = store_need_chronicle(store, now_unix_ms);

	if (err) {
		store_span_release(store, span);
		return err;
	}
	return start(store, span, store->chronicle);
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
	/* What is new first, since it is asked for. */
	if (store_find_to_roll(store, true, &span, &store->compaction.row)) {
		(void)roll(store, span, now_unix_ms);
		return;
	}
	span = find_span(store, now_unix_ms);
	if (span)
		(void)start(store, span, NULL);
	else if (store_find_to_roll(store, false, &span, &store->compaction.row))
		(void)roll(store, span, now_unix_ms);
}
