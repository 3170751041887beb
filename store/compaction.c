/* SPDX-License-Identifier: Apache-2.0 */
#include <assert.h>
#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/limits.h"
#include "store/join.h"
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

enum {
	NICE = 10,
	/* Beside questions: words of two files, mostly, and what of their trees is read together.
	 * Measured, of a host with 16,000 processes an hour. A small host's files have less. */
	MEMORY_MAX = 24 << 20,
	MEMORY_PER_SAMPLE = 64,
};

static uint64_t memory_of(const struct span *span)
{
	return span->samples < MEMORY_MAX / MEMORY_PER_SAMPLE ? span->samples * MEMORY_PER_SAMPLE
							      : MEMORY_MAX;
}

static int remove_file(const struct store *store, const char *name)
{
	char path[STORE_PATH_SIZE_MAX];

	if ((size_t)snprintf(path, sizeof(path), "%s/%s", store->folder, name) >= sizeof(path))
		return -ENAMETOOLONG;
	return unlink(path) < 0 && errno != ENOENT ? -errno : 0;
}

static bool is_name(const char *name)
{
	assert(name);

	size_t size = strlen(name);

	return str_ends_with(str_from(name), STR(".db")) && size < SPAN_NAME_SIZE - 30 &&
	       size >= 4 && span_name_number(name) > 0;
}

/* By the letter behind the number: joined comes before compact. */
static int stage_of(const char *rest)
{
	return *rest == 'c' ? 2 : *rest == 'j';
}

/* Whether one file took another's place, by their names: it was written anew, or lacks more. */
static bool is_later(const char *name, const char *other)
{
	size_t stem = (size_t)(strchr(name, '-') - name) + 1;

	stem += strspn(name + stem, "0123456789");
	if (strncmp(name, other, stem) != 0 || (other[stem] >= '0' && other[stem] <= '9'))
		return false;

	int stage = stage_of(name + stem);
	int other_stage = stage_of(other + stem);
	uint64_t removed = 0, other_removed = 0;

	(void)sscanf(name + stem + (stage > 0), "d%" SCNu64, &removed);
	(void)sscanf(other + stem + (other_stage > 0), "d%" SCNu64, &other_removed);
	return stage == other_stage ? other_removed > removed : other_stage > stage;
}

/* Whether the other file took this one's place. */
static bool is_replaced(const struct store *store, const char *name, const char *other)
{
	char path[STORE_PATH_SIZE_MAX];
	uint64_t identity = 0;

	if (!is_name(name) || !is_name(other) || !is_later(name, other))
		return false;
	if ((size_t)snprintf(path, sizeof(path), "%s/%s", store->folder, other) >= sizeof(path))
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
	return str_ends_with(str_from(name), STR(SPAN_UNFINISHED_SUFFIX)) ? remove_file(store, name)
									  : 0;
}

int store_tidy_files(struct store *store)
{
	struct dirent **entries = NULL;
	int count = scandir(store->folder, &entries, NULL, alphasort);
	int err = count < 0 ? -errno : 0;

	store->next_file = 1;
	for (int i = 0; !err && i < count; i++)
		err = tidy_file(store, entries[i]->d_name);
	/* Those of one number stand beside each other, and are few. */
	for (int i = 0; !err && i < count; i++) {
		uint32_t number = span_name_number(entries[i]->d_name);
		bool is_old = false;

		for (int k = 0; number && !is_old && k < count; k++)
			is_old = span_name_number(entries[k]->d_name) == number &&
				 is_replaced(store, entries[i]->d_name, entries[k]->d_name);
		if (is_old)
			err = remove_file(store, entries[i]->d_name);
	}
	for (int i = 0; i < count; i++)
		free(entries[i]);
	free(entries);
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

	const struct join_options join = { .from = compaction->span->path,
					   .to = compaction->path,
					   .finished_ms = compaction->span->finished_ms,
					   .node_count_max = compaction->node_count_max,
					   .cancel = &compaction->cancel };

	const struct roll_options roll = { .from = compaction->span,
					   .row = compaction->row.number ? &compaction->row : NULL,
					   .to = compaction->chronicle ? compaction->chronicle->path
								       : NULL,
					   .cancel = &compaction->cancel };

	const struct remove_options removal = { .from = compaction->span,
						.to = compaction->path,
						.rules = compaction->removes,
						.clean_until = compaction->removed_until,
						.identities = compaction->identities.items,
						.identity_count = compaction->identities.count,
						.cancel = &compaction->cancel };

	(void)pthread_setname_np(pthread_self(), "compactor");
	/* Of this thread only, on Linux. */
	(void)setpriority(PRIO_PROCESS, 0, NICE);
	gate_occupy(compaction->gate, compaction->memory);
	compaction->result = compaction->removes ? remove_deleted(&removal, &compaction->removal)
			     : compaction->chronicle
				     ? roll_up(&roll, &compaction->piece, &compaction->labels,
					       &compaction->is_about_chronicle)
			     : compaction->is_joining ? join_span(&join)
						      : compact_span(&options);
	gate_vacate(compaction->gate, compaction->memory);
	atomic_store(&compaction->is_done, true);
	return NULL;
}

/* Nobody writes it or has anything to remove from it, and it was not tried in vain. */
static bool may_be_anew(const struct store *store, const struct span *span)
{
	return span->is_sealed && !span->is_compact && !span->stays && !span->is_damaged &&
	       (!store_may_hide(store, span) || span->cant_remove);
}

/* The oldest that is old enough. */
static struct span *find_span(struct store *store, int64_t now_unix_ms)
{
	struct span *oldest = NULL;

	pthread_mutex_lock(&store->lock);
	for (uint32_t i = 0; i < store->spans.spans.count; i++) {
		struct span *span = store->spans.spans.items[i];

		if (may_be_anew(store, span) && span->end_ms < now_unix_ms - store->detail_ms &&
		    (!oldest || span->end_ms < oldest->end_ms))
			oldest = span;
	}
	if (oldest)
		store_span_hold(oldest);
	pthread_mutex_unlock(&store->lock);
	return oldest;
}

/* One with several trees for a service. */
static struct span *find_to_join(struct store *store)
{
	struct span *found = NULL;

	pthread_mutex_lock(&store->lock);
	for (uint32_t i = 0; !found && i < store->spans.spans.count; i++) {
		struct span *span = store->spans.spans.items[i];

		if (may_be_anew(store, span) && !span->shares_trees && !span->cant_join &&
		    span->segments.rows.count > 1)
			found = span;
	}
	if (found)
		store_span_hold(found);
	pthread_mutex_unlock(&store->lock);
	return found;
}

static void set_running(struct store *store, bool is_running)
{
	store->compaction.is_running = is_running;
	pthread_mutex_lock(&store->lock);
	store->status.is_compacting = is_running;
	pthread_mutex_unlock(&store->lock);
}

/* Takes over the reference. */
static int start(struct store *store, struct span *span, struct span *chronicle, bool is_joining)
{
	struct compaction *compaction = &store->compaction;
	int err = 0;

	compaction->is_joining = is_joining;
	compaction->node_count_max = store->nodes_together;
	compaction->path = NULL;
	if (!chronicle &&
	    asprintf(&compaction->path, "%s" SPAN_UNFINISHED_SUFFIX, span->path) < 0) {
		compaction->path = NULL;
		store_span_release(store, span);
		return -ENOMEM;
	}
	compaction->span = span;
	compaction->gate = &store->gate;
	compaction->memory = memory_of(span);
	compaction->chronicle = chronicle;
	compaction->fold = store->fold;
	pool_init(&compaction->labels, CHRONICLE_LABEL_COUNT_MAX, NULL);
	atomic_store(&compaction->is_done, false);
	atomic_store(&compaction->cancel, false);
	store_make_way(store);
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
static int replace(struct store *store, struct span *old, const char *unfinished, const char *name)
{
	char path[STORE_PATH_SIZE_MAX];
	struct sources known = { 0 };
	struct span *span = NULL;
	int err = 0;

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

static void finish_anew(struct store *store, struct compaction *done, int *err)
{
	struct span *span = done->span;
	char name[SPAN_NAME_SIZE];

	if (done->is_joining)
		span_joined_name(span->name, name);
	else
		span_compact_name(span->name, name);
	/* Retention may have let it go meanwhile. */
	if (!*err && span->is_listed)
		*err = replace(store, span, done->path, name);
	(void)unlink(done->path);
	free(done->path);
	done->path = NULL;
	/* What can't be written anew answers as it is; what had no room is tried again. */
	if (*err && !error_is_damage(*err) && *err != -ENOSPC && *err != -ECANCELED) {
		pthread_mutex_lock(&store->lock);
		if (done->is_joining)
			span->cant_join = true;
		else
			span->stays = true;
		pthread_mutex_unlock(&store->lock);
	}
}

/* Nothing is left in it. */
static void drop_empty(struct store *store, struct span *span)
{
	pthread_mutex_lock(&store->lock);
	span->is_gone = true;
	pthread_mutex_unlock(&store->lock);
	store_drop_span(store, span);
}

/* Whether all spans are there whose pieces may have gone, since these can be made anew. */
static bool has_all(const struct store *store, const struct compaction *done)
{
	for (uint32_t i = 0; i < done->identities.count; i++) {
		bool is_there = false;

		for (uint32_t k = 0; !is_there && k < store->spans.spans.count; k++)
			is_there =
				store->spans.spans.items[k]->identity == done->identities.items[i];
		if (!is_there)
			return false;
	}
	return true;
}

static void finish_removal(struct store *store, struct compaction *done, int *err)
{
	struct span *span = done->span;
	char name[SPAN_NAME_SIZE];

	span_removed_name(span->name, done->removed_until, name);
	if (!*err && span->is_chronicle && !has_all(store, done))
		*err = -ECANCELED;
	if (!*err && done->removal.is_clean)
		store_note_clean(store, span, done->removed_until);
	else if (!*err && span->is_listed && done->removal.is_empty)
		drop_empty(store, span);
	else if (!*err && span->is_listed)
		*err = replace(store, span, done->path, name);
	if (!*err)
		store_note_removed(store, done->removal.samples);
	/* Pieces that went are rolled up again. */
	if (!*err && span->is_chronicle)
		*err = store_find_rolled(store);
	array_done(&done->identities);
	(void)unlink(done->path);
	free(done->path);
	done->path = NULL;
	done->removes = deletion_rules_release(done->removes);
	/* It stays hidden; what had no room is tried again. */
	if (*err && !error_is_damage(*err) && *err != -ENOSPC && *err != -ECANCELED &&
	    *err != -ENOMEM)
		span->cant_remove = true;
}

static int finish(struct store *store)
{
	struct compaction *done = &store->compaction;
	struct span *span = done->span;
	int err = 0;

	pthread_join(done->thread, NULL);
	set_running(store, false);
	err = done->result;
	if (done->removes)
		finish_removal(store, done, &err);
	else if (done->chronicle)
		err = store_rolled(store, done, err);
	else
		finish_anew(store, done, &err);
	pool_done(&done->labels);
	if (error_is_damage(err))
		store_doubt(store, span, err, SPAN_DOUBT_REWRITING);
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
	uint32_t level = store->compaction.row.number ? CHRONICLE_SEGMENT : CHRONICLE_SPAN;
	int err = store_need_chronicle(store, level, now_unix_ms);

	if (err) {
		store_span_release(store, span);
		return err;
	}
	return start(store, span, store->growing[level], false);
}

/* One of which something deleted may have to be removed. */
static struct span *find_to_remove(struct store *store)
{
	struct spans *lists[] = { &store->spans, &store->chronicles };
	struct span *found = NULL;

	pthread_mutex_lock(&store->lock);
	for (unsigned k = 0; !found && k < 2; k++)
		for (uint32_t i = 0; !found && i < lists[k]->spans.count; i++) {
			struct span *span = lists[k]->spans.items[i];

			if (span->is_sealed && !span->is_damaged && !span->cant_remove &&
			    store_may_hide(store, span))
				found = span;
		}
	if (found)
		store_span_hold(found);
	pthread_mutex_unlock(&store->lock);
	return found;
}

/* Takes over the reference. */
static void start_removal(struct store *store, struct span *span)
{
	struct compaction *compaction = &store->compaction;

	array_done(&compaction->identities);
	if (array_reserve(&compaction->identities, store->spans.spans.count) < 0) {
		store_span_release(store, span);
		return;
	}
	for (uint32_t i = 0; i < store->spans.spans.count; i++)
		compaction->identities.items[compaction->identities.count++] =
			store->spans.spans.items[i]->identity;
	compaction->removes = deletion_rules_hold(store->rules);
	compaction->removed_until = store->rules->rules[store->rules->count - 1].number;
	if (start(store, span, NULL, false))
		compaction->removes = deletion_rules_release(compaction->removes);
}

void store_compact(struct store *store, int64_t now_unix_ms)
{
	struct span *span = NULL;

	if (store->compaction.is_running) {
		if (!atomic_load(&store->compaction.is_done))
			return;
		store_note_write(store, finish(store));
		/* Who deleted something looks whether it is done. */
		if (store_has_finished_deletions(store)) {
			store_note_write(store, store_finish_deletions(store));
			return;
		}
	}
	span = find_to_remove(store);
	if (span) {
		start_removal(store, span);
		return;
	}
	if (store_has_finished_deletions(store)) {
		store_note_write(store, store_finish_deletions(store));
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
	if (span) {
		(void)start(store, span, NULL, false);
		return;
	}
	if (store_find_to_roll(store, false, &span, &store->compaction.row)) {
		(void)roll(store, span, now_unix_ms);
		return;
	}
	span = find_to_join(store);
	if (span)
		(void)start(store, span, NULL, true);
}
