/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>

#include "store/store.h"

#include <assert.h>
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/limits.h"
#include "store/batch_private.h"
#include "store/reader.h"
#include "store/span_end.h"
#include "store/store_private.h"

enum {
	SEAL_PAUSE_MS = 60000, /* of seals that are asked for */
	ROLLED_COUNT_MAX = 1 << 20,
};

/* ---- opening --------------------------------------------------------------------------------- */

static int make_folder(const char *path)
{
	return mkdir(path, 0700) < 0 && errno != EEXIST ? -errno : 0;
}

static int lock_folder(const char *folder, int *ret_fd)
{
	char path[STORE_PATH_SIZE_MAX];

	if ((size_t)snprintf(path, sizeof(path), "%s/lock", folder) >= sizeof(path))
		return -ENAMETOOLONG;

	autoclose int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);

	if (fd < 0)
		return -errno;
	if (flock(fd, LOCK_EX | LOCK_NB) < 0)
		return errno == EWOULDBLOCK ? -EBUSY : -errno;
	*ret_fd = TAKE_FD(fd);
	return 0;
}

static struct spans *list_of(struct store *store, const struct span *span)
{
	return span->is_chronicle ? &store->chronicles : &store->spans;
}

int store_list_span(struct store *store, struct span *span, struct span *replaced)
{
	struct spans *list = list_of(store, span);

	if (array_reserve(&list->spans, 1) < 0)
		return -ENOMEM;
	span->id = ++store->next_id;
	span->is_listed = true;
	span->leaves = &store->leaves;
	span->gate = &store->gate;
	for (uint32_t i = 0; replaced && i < list->spans.count; i++)
		if (list->spans.items[i] == replaced) {
			list->spans.items[i] = span;
			replaced->is_listed = false;
			return 0;
		}
	list->spans.items[list->spans.count++] = span;
	return 0;
}

static int open_one(struct store *store, const char *name)
{
	struct span *span = NULL;
	int err = span_open(store->folder, name, &store->sources, &span);

	if (error_is_damage(err)) {
		store_count_damage(store, name, store_damage_text(err));
		/* When it can't be renamed either it is left alone; it is not in the list. */
		(void)span_set_aside_file(store->folder, name);
		return 0;
	}
	if (err == -ENODATA) {
		char path[STORE_PATH_SIZE_MAX];

		snprintf(path, sizeof(path), "%s/%s", store->folder, name);
		return unlink(path) < 0 ? -errno : 0;
	}
	/* A later version's file: whoever goes back to that version finds it again. */
	if (err == -EPROTONOSUPPORT)
		return 0;
	if (!err)
		err = store_list_span(store, span, NULL);
	if (err)
		span_free(span);
	return err;
}

static int is_span_file(const struct dirent *entry)
{
	return str_ends_with(str_from(entry->d_name), STR(".db"));
}

static int open_all(struct store *store)
{
	struct dirent **entries = NULL;
	int count = scandir(store->folder, &entries, is_span_file, alphasort);
	int err = count < 0 ? -errno : 0;

	for (int i = 0; i < count; i++) {
		if (!err)
			err = open_one(store, entries[i]->d_name);
		free(entries[i]);
	}
	free(entries);
	return err;
}

/*
 * Of the spans that were not sealed the newest goes on, and one for late data; the others, which
 * wait for a reader to finish when the program ended, are sealed now.
 */
static int resume(struct store *store)
{
	/* A number is not given twice, even when the list of deletions was lost. */
	for (uint32_t i = 0; i < store->spans.spans.count; i++)
		if (store->spans.spans.items[i]->clean_until > store->last_deletion)
			store->last_deletion = store->spans.spans.items[i]->clean_until;
	for (uint32_t i = 0; i < store->spans.spans.count; i++) {
		struct span *span = store->spans.spans.items[i];
		struct span **place = span->is_late ? &store->late : &store->open;

		if (span->is_sealed)
			continue;
		/* What was deleted may be in it: it takes nothing more. */
		if (span->clean_until < store->last_deletion) {
			int err = store_close_span(store, &span);

			if (err)
				return err;
			i -= i < store->spans.spans.count && store->spans.spans.items[i] != span;
			continue;
		}
		if (*place && (*place)->from_ms <= span->from_ms) {
			int err = store_close_span(store, place);

			if (err)
				return err;
		}
		if (!*place) {
			*place = span;
			continue;
		}

		int err = store_close_span(store, &span);

		if (err)
			return err;
	}
	return 0;
}

void store_init(struct store *store)
{
	pthread_condattr_t attributes;

	/* None of these can fail on Linux with these arguments. */
	(void)pthread_mutex_init(&store->lock, NULL);
	(void)pthread_condattr_init(&attributes);
	(void)pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
	(void)pthread_cond_init(&store->doubted, &attributes);
	(void)pthread_condattr_destroy(&attributes);
	store_begin_memory(store);
	store->lock_fd = -1;
	store->nodes_together = READER_NODE_COUNT_TOGETHER;
	series_limits_init(&store->series_limits, STORE_SERIES_PER_TYPE_MAX,
			   STORE_SERIES_PER_SERVICE_MAX);
}

int store_open(const struct store_options *options, struct store **ret)
{
	autoclean(store) struct store *store = calloc(1, sizeof(*store));

	assert(options->folder && options->span_ms >= 0);
	if (!store)
		return -ENOMEM;
	store_init(store);
	store->symbols = options->symbols;
	store->span_ms = options->span_ms ? options->span_ms : STORE_SPAN_MS_DEFAULT;
	store->limits = options->limits;
	store->fold = options->fold ? options->fold : COMPACT_FOLD_DEFAULT;
	if (options->nodes_together)
		store->nodes_together = options->nodes_together;
	store->leaves = (struct leaf_source){ options->symbols, options->leaf_start,
					      options->leaf_context };
	store->detail_ms = options->detail_ms ? options->detail_ms : STORE_DETAIL_MS_DEFAULT;
	if (strlen(options->folder) > STORE_PATH_SIZE_MAX - 128)
		return -ENAMETOOLONG;
	if (asprintf(&store->folder, "%s/data", options->folder) < 0) {
		store->folder = NULL;
		return -ENOMEM;
	}

	int err = make_folder(options->folder);

	if (!err)
		err = lock_folder(options->folder, &store->lock_fd);
	if (!err)
		err = make_folder(store->folder);
	if (!err)
		err = space_init(&store->space, options->folder);
	if (!err && asprintf(&store->deletions_path, "%s/deletions.db", options->folder) < 0) {
		store->deletions_path = NULL;
		err = -ENOMEM;
	}
	pool_init(&store->rolled, ROLLED_COUNT_MAX, NULL);
	if (!err)
		err = cache_new(STORE_CACHE_SIZE_MAX, &store->cache);
	if (!err)
		err = store_open_deletions(store);
	if (!err)
		err = store_tidy_files(store);
	if (!err)
		err = open_all(store);
	if (!err)
		err = resume(store);
	if (!err)
		err = store_resume_chronicles(store);
	if (err)
		return err;
	store_watch_clock(store);
	*ret = TAKE(store);
	return 0;
}

struct store *store_close(struct store *store)
{
	if (!store)
		return NULL;
	store_stop_compacting(store);
	/* What can't be written now was not acknowledged either. */
	if (store->running)
		(void)store_commit(store);
	if (store->open && store->open != store->running)
		(void)span_finish_segment(store->open);
	if (store->late && store->late != store->running)
		(void)span_finish_segment(store->late);
	for (uint32_t i = 0; i < store->spans.spans.count; i++) {
		assert(store->spans.spans.items[i]->references == 1);
		span_free(store->spans.spans.items[i]);
	}
	for (uint32_t i = 0; i < store->chronicles.spans.count; i++) {
		assert(store->chronicles.spans.items[i]->references == 1);
		span_free(store->chronicles.spans.items[i]);
	}
	array_done(&store->spans.spans);
	array_done(&store->chronicles.spans);
	pool_done(&store->rolled);
	array_done(&store->sources.sources);
	store_close_deletions(store);
	space_done(&store->space);
	series_limits_done(&store->series_limits);
	if (store->lock_fd >= 0)
		close(store->lock_fd);
	pthread_cond_destroy(&store->doubted);
	pthread_mutex_destroy(&store->lock);
	store_end_memory(store);
	free(store->folder);
	free(store);
	return NULL;
}

/* ---- references ------------------------------------------------------------------------------ */

void store_span_hold(struct span *span)
{
	assert(span->references > 0);
	span->references++;
}

void store_span_release(struct store *store, struct span *span)
{
	pthread_mutex_lock(&store->lock);
	assert(span->references > 0);

	bool is_last = --span->references == 0;

	pthread_mutex_unlock(&store->lock);
	if (is_last)
		span_free(span);
}

static void unlist(struct store *store, struct span *span)
{
	struct spans *list = list_of(store, span);

	pthread_mutex_lock(&store->lock);
	for (uint32_t i = 0; i < list->spans.count; i++)
		if (list->spans.items[i] == span) {
			memmove(&list->spans.items[i], &list->spans.items[i + 1],
				(list->spans.count - i - 1) * sizeof(span));
			list->spans.count--;
			break;
		}
	span->is_listed = false;
	pthread_mutex_unlock(&store->lock);
}

void store_drop_span(struct store *store, struct span *span)
{
	unlist(store, span);
	store_span_release(store, span);
}

int store_set_aside(struct store *store, struct span *span)
{
	int err = 0;

	assert(span);
	if (store->running == span) {
		/* What runs was not acknowledged; its senders have it and may send it again. */
		store->running = NULL;
		pthread_mutex_lock(&store->lock);
		for (uint32_t i = 0; i < store->sources.sources.count; i++)
			store->sources.sources.items[i].appended =
				store->sources.sources.items[i].committed;
		pthread_mutex_unlock(&store->lock);
	}
	if (store->open == span)
		store->open = NULL;
	if (store->late == span)
		store->late = NULL;
	store_end_chronicle(store, span);
	if (span->is_damaged && span->is_sound) {
		/* The next start, of a program that may know better, finds it again. */
		store_count_failing(store, span->name);
	} else {
		store_count_damage(store, span->name,
				   span->damage[0] ? span->damage : store_damage_text(-EUCLEAN));
		err = span_set_aside(span);
	}
	store_drop_span(store, span);
	return err;
}

/* ---- which span ------------------------------------------------------------------------------ */

/* Its memory goes when the last question that looks at it is done. */
static int drop_live(struct store *store, struct span *span)
{
	struct live *live = span->live;
	uint32_t count = live->segments.rows.count;

	if (array_reserve(&span->segments.rows, count) < 0)
		return -ENOMEM;
	if (count)
		memcpy(span->segments.rows.items, live->segments.rows.items,
		       count * sizeof(live->segments.rows.items[0]));
	span->segments.rows.count = count;

	pthread_mutex_lock(&store->lock);
	span->live = NULL;

	bool is_last = --live->references == 0;

	pthread_mutex_unlock(&store->lock);
	if (is_last)
		live_free(live);
	return 0;
}

/* ---- the disk -------------------------------------------------------------------------------- */

static void publish_space(struct store *store)
{
	const struct space *space = &store->space;

	pthread_mutex_lock(&store->lock);
	store->status.state = space->state;
	store->status.state_since_ms = space->since_unix_ms;
	store->status.state_error = space->error;
	store->status.disk_free = space->free_bytes;
	store->status.disk_bytes = space->size_bytes;
	pthread_mutex_unlock(&store->lock);
}

void store_note_write(struct store *store, int err)
{
	/* SQLite can't open a log that there is no room for. */
	if (space_note(&store->space, err == -ENOENT ? -EIO : err, clock_unix_ms()) || !err)
		publish_space(store);
}

int store_seal(struct store *store, struct span *span)
{
	int err = span_seal(span);

	if (error_is_damage(err))
		return store_set_aside(store, span);
	if (err == -EBUSY)
		return 0;
	store_note_write(store, err);
	if (err)
		return err;

	uint64_t bytes = span_file_bytes(span->path);
	int64_t finished_ms = span_file_time(span->path);

	pthread_mutex_lock(&store->lock);
	span->is_sealed = true;
	span->bytes = bytes;
	span->finished_ms = finished_ms;
	pthread_mutex_unlock(&store->lock);
	return 0;
}

int store_close_span(struct store *store, struct span **place)
{
	struct span *span = *place;
	int err = store->running == span ? store_commit(store) : 0;

	if (err)
		return err;
	/* Damage took it out of its place already. */
	if (*place != span)
		return 0;
	store_make_way(store);
	err = span_finish_segment(span);
	while (!err) {
		err = span_settle_left(span);
		if (err == 0)
			break;
		err = err < 0 ? err : 0;
	}
	if (error_is_damage(err)) {
		*place = NULL;
		return store_set_aside(store, span);
	}
	store_note_write(store, err);
	if (!err)
		err = drop_live(store, span);
	if (err)
		return err;
	*place = NULL;
	/* What can't be sealed now is full nevertheless; store_maintain() tries again. */
	(void)store_seal(store, span);
	return 0;
}

/* Late data comes in bursts: its file ends with the one that it was late for. */
int store_close_spans(struct store *store)
{
	int err = store->open ? store_close_span(store, &store->open) : 0;

	if (!err && store->late)
		err = store_close_span(store, &store->late);
	return err;
}

static int64_t align_down(int64_t time_ms, int64_t step_ms)
{
	int64_t rest = time_ms % step_ms;

	return time_ms - (rest < 0 ? rest + step_ms : rest);
}

static int make_span(struct store *store, int64_t time_ms, bool is_late, struct span **ret)
{
	int64_t from_ms = align_down(time_ms, store->span_ms);
	struct span_range range = {
		.from_ms = from_ms,
		.until_ms = from_ms + store->span_ms,
		.is_late = is_late,
		.is_past = !is_late && time_ms < clock_unix_ms() - STORE_PAST_MS,
		.clean_until = store_last_deletion(store),
	};
	struct span *span = NULL;
	int err = 0;

	/* A span that ended early, being full, is followed by one that begins where it ended. */
	if (!is_late)
		for (uint32_t i = 0; i < store->spans.spans.count; i++) {
			const struct span *before = store->spans.spans.items[i];

			if (!before->is_late && before->last_ms >= range.from_ms &&
			    before->last_ms < time_ms)
				range.from_ms = before->last_ms + 1;
		}
	err = span_create(store->folder, range, &store->next_file, &span);
	store_note_write(store, err);
	if (err)
		return err;
	pthread_mutex_lock(&store->lock);
	err = store_list_span(store, span, NULL);
	pthread_mutex_unlock(&store->lock);
	if (err) {
		unlink(span->path);
		span_free(span);
		return err;
	}
	*ret = span;
	return 0;
}

/* The span for a time, made when there is none. */
static int find_span(struct store *store, int64_t time_ms, struct span **ret)
{
	bool is_late = time_ms > clock_unix_ms() + STORE_FUTURE_MS ||
		       time_ms < STORE_TIME_PLAUSIBLE_MS ||
		       (store->open && time_ms < store->open->from_ms);
	struct span **place = is_late ? &store->late : &store->open;
	int err = 0;

	if (!is_late && store->open && time_ms >= store->open->until_ms)
		err = store_close_spans(store);
	if (!err && !*place)
		err = make_span(store, time_ms, is_late, place);
	if (err)
		return err;
	*ret = *place;
	return 0;
}

/* ---- appending ------------------------------------------------------------------------------- */

static bool segment_is_full(const struct span *span, int64_t time_ms)
{
	const struct segment *segment = &span->live->segment;

	/* One that could not be settled takes nothing more, whatever it has. */
	if (segment->number > 0 && segment->is_over)
		return true;
	if (segment->number == 0 || segment->end_ms == 0)
		return false;
	if (segment->tree.nodes.count >= TREE_NODE_COUNT_SOFT ||
	    segment->entry_count >= SEGMENT_ENTRY_COUNT_SOFT ||
	    segment->cell_count >= SEGMENT_CELL_COUNT_SOFT)
		return true;
	if (span->is_late)
		return span->live->window_count - segment->first_window >= SEGMENT_WINDOW_COUNT_MAX;
	return time_ms >= segment->first_ms + SEGMENT_DURATION_MS ||
	       time_ms <= segment->last_ms - SEGMENT_DURATION_MS;
}

static uint32_t next_segment_number(const struct live *live)
{
	uint32_t count = live->segments.rows.count;

	return count ? live->segments.rows.items[count - 1].number + 1 : 1;
}

/* Ends the segment when it is full, or when the caller says so, and begins one when there is none.
 */
static int ready_segment(struct store *store, struct span *span, int64_t time_ms, bool is_full)
{
	struct live *live = span->live;
	int err = 0;

	if (is_full || segment_is_full(span, time_ms)) {
		if (store->running == span)
			err = store_commit(store);
		if (!err) {
			store_make_way(store);
			err = span_finish_segment(span);
			store_note_write(store, err);
		}
		if (err)
			return err;
	}
	if (live->segment.number > 0)
		return 0;
	pthread_rwlock_wrlock(&live->lock);
	err = segment_init(&live->segment, next_segment_number(live), live->window_count + 1);
	if (err)
		segment_done(&live->segment);
	else
		segment_expect_size(&live->segment, live->expected);
	pthread_rwlock_unlock(&live->lock);
	return err;
}

static int append_to(struct store *store, struct span *span, const struct batch *batch)
{
	int64_t time_ms = batch->time.start_unix_ms;
	int err = ready_segment(store, span, time_ms, false);

	if (!err)
		err = live_append(span->live, batch);
	if (err == -ENOSPC) {
		err = ready_segment(store, span, time_ms, true);
		if (!err)
			err = live_append(span->live, batch);
		/* Alone it is too large as well. */
		if (err == -ENOSPC)
			err = -E2BIG;
	}
	return err;
}

/* Spans end early when their dictionaries are full. */
static int append_anywhere(struct store *store, const struct batch *batch, struct span **ret)
{
	int64_t time_ms = batch->time.start_unix_ms;
	struct span *span = NULL;
	int err = find_span(store, time_ms, &span);

	/* One running window at a time: what a source sent is on disk in the order it was sent. */
	if (!err && store->running && store->running != span)
		err = store_commit(store);
	if (!err)
		err = append_to(store, span, batch);
	if (err == -E2BIG && span) {
		err = store_close_span(store, span->is_late ? &store->late : &store->open);
		if (!err)
			err = find_span(store, time_ms, &span);
		if (!err)
			err = append_to(store, span, batch);
	}
	if (error_is_damage(err)) {
		(void)store_set_aside(store, span);
		return -EIO;
	}
	if (err)
		return err;
	*ret = span;
	return 0;
}

static void note_appended(struct store *store, struct span *span, const struct batch *batch,
			  struct source *source)
{
	uint64_t samples = batch->samples;

	pthread_mutex_lock(&store->lock);
	if (span->end_ms == 0 || batch->time.start_unix_ms < span->first_ms)
		span->first_ms = batch->time.start_unix_ms;
	if (span->end_ms == 0 || batch->time.start_unix_ms > span->last_ms)
		span->last_ms = batch->time.start_unix_ms;
	if (batch->time.end_unix_ms > span->end_ms)
		span->end_ms = batch->time.end_unix_ms;
	span->samples += samples;
	/* The writer's own, who is here. */
	if (span->live->segment.samples > span->segment_samples)
		span->segment_samples = span->live->segment.samples;
	store->status.samples_appended += samples;
	store->status.series_overflowed = store->series_limits.overflowed;
	for (uint32_t i = 0; i < batch->gaps.count; i++) {
		const struct batch_gap *gap = &batch->gaps.items[i];

		/* So many in six hours: the last one stands for the rest. */
		if (span->gaps.gaps.count >= SPAN_GAP_COUNT_MAX) {
			span->gaps.gaps.items[SPAN_GAP_COUNT_MAX - 1].to_unix_ms = gap->to_unix_ms;
			break;
		}
		if (array_reserve(&span->gaps.gaps, 1) < 0)
			break;
		span->gaps.gaps.items[span->gaps.gaps.count++] =
			(struct store_gap){ gap->from_unix_ms, gap->to_unix_ms, gap->reason };
	}
	if (source)
		source->appended = batch->sequence;
	pthread_mutex_unlock(&store->lock);
}

int store_append(struct store *store, struct batch *batch)
{
	struct source *source = NULL;
	struct span *span = NULL;

	if (batch->time.start_unix_ms < 0 || batch->time.end_unix_ms < batch->time.start_unix_ms ||
	    batch->time.end_unix_ms > STORE_TIME_MAX)
		return -EINVAL;
	if (!space_may_write(&store->space))
		return -ENOSPC;
	if (batch->source) {
		pthread_mutex_lock(&store->lock);

		int err = sources_note(&store->sources, batch->source, 0);

		source = err ? NULL : sources_find(&store->sources, batch->source);
		/* One of which a file is to know is none that passes any more. */
		if (source)
			source->is_passing = batch->source_is_passing &&
					     (source->is_passing || source->appended == 0);

		bool is_known = source && batch->sequence <= source->appended;

		store->status.duplicates += is_known;
		pthread_mutex_unlock(&store->lock);
		if (err || is_known)
			return err ? err : -EALREADY;
	}

	/* Each file of six hours has its own, and begins with this batch. */
	if (store->open ? batch->time.start_unix_ms >= store->open->until_ms : !store->late)
		series_limits_clear(&store->series_limits);

	int err = series_limits_apply(&store->series_limits, batch);

	if (!err)
		err = append_anywhere(store, batch, &span);
	if (err == -EAGAIN || err == -EFBIG)
		return -ENOSPC;
	if (err == -EBUSY || err == -EROFS || err == -ENOENT || error_is_damage(err))
		return -EIO;
	if (err)
		return err;
	store->running = span;
	note_appended(store, span, batch, source);
	return 0;
}

int store_commit(struct store *store)
{
	struct span *span = store->running;

	if (!span)
		return 0;
	if (!space_may_write(&store->space))
		return -ENOSPC;

	int err = span_commit(span, &store->sources);

	store_note_write(store, err);
	if (error_is_damage(err)) {
		(void)store_set_aside(store, span);
		return -EIO;
	}
	if (err)
		return err == -ENOSPC || err == -ENOMEM ? err : -EIO;

	store->running = NULL;
	pthread_mutex_lock(&store->lock);
	for (uint32_t i = 0; i < store->sources.sources.count; i++)
		store->sources.sources.items[i].committed =
			store->sources.sources.items[i].appended;
	store->status.commits++;
	pthread_mutex_unlock(&store->lock);
	store_note_growth(store);
	return 0;
}

/* ---- the rest -------------------------------------------------------------------------------- */

/* Spans that readers found damaged, and those that could not be sealed when they were full. */
static int tend_spans(struct store *store)
{
	int err = 0;

	for (uint32_t i = 0; !err && i < store->spans.spans.count;) {
		struct span *span = store->spans.spans.items[i];
		uint32_t count = store->spans.spans.count;

		if (store_is_proved_damaged(store, span))
			err = store_set_aside(store, span);
		else if (!span->is_sealed && !span->live)
			err = store_seal(store, span);
		/* What was set aside is not in its place any more. */
		if (store->spans.spans.count == count)
			i++;
	}
	return err;
}

uint64_t store_request_seal(struct store *store)
{
	pthread_mutex_lock(&store->lock);

	uint64_t number = store->seals_wanted = store->status.seals + 1;

	pthread_mutex_unlock(&store->lock);
	return number;
}

/* Whether there are spans that are full and not sealed yet. */
static bool has_unsealed(const struct store *store)
{
	for (uint32_t i = 0; i < store->spans.spans.count; i++)
		if (!store->spans.spans.items[i]->is_sealed && !store->spans.spans.items[i]->live)
			return true;
	for (uint32_t i = 0; i < store->chronicles.spans.count; i++)
		if (!store->chronicles.spans.items[i]->is_sealed)
			return true;
	return false;
}

static int seal_when_asked(struct store *store)
{
	int64_t steady_ms = (int64_t)(clock_monotonic_ns() / CLOCK_NS_PER_MS);
	int err = 0;

	pthread_mutex_lock(&store->lock);

	bool is_wanted = store->seals_wanted > store->status.seals;

	pthread_mutex_unlock(&store->lock);
	if (!is_wanted || steady_ms < store->next_seal_ms)
		return 0;
	if (!store->is_sealing)
		err = store_close_spans(store);
	if (!err)
		err = store_seal_chronicles(store, false);
	if (err)
		return err;
	/* Somebody reads one of them: tend_spans() tries again. */
	store->is_sealing = has_unsealed(store);
	if (store->is_sealing)
		return 0;
	store->next_seal_ms = steady_ms + SEAL_PAUSE_MS;
	pthread_mutex_lock(&store->lock);
	store->status.seals = store->seals_wanted;
	pthread_mutex_unlock(&store->lock);
	return 0;
}

/* What a crash left, a segment at a time: there may be a question waiting for the log to shrink. */
static int settle_left(struct store *store, struct span *span)
{
	int err = span && span->live ? span_settle_left(span) : 0;

	if (error_is_damage(err))
		return store_set_aside(store, span);
	return err < 0 ? err : 0;
}

int store_maintain(struct store *store, int64_t now_unix_ms)
{
	int err;

	uint64_t now_ns = clock_monotonic_ns();

	scratches_tidy(&store->scratches, now_ns);
	cache_tidy(store->cache, now_ns, CACHE_UNUSED_NS);
	store_tidy_connections(&store->spans, now_ns);
	store_tidy_connections(&store->chronicles, now_ns);
	if (store->open && store->open->live)
		live_rest(store->open->live);
	if (store->late && store->late->live)
		live_rest(store->late->live);
	store_note_growth(store);
	space_look(&store->space, now_unix_ms);
	publish_space(store);
	/* First, since it makes room and needs none. */
	store_retain(store, now_unix_ms);
	if (!space_may_write(&store->space))
		return 0;
	err = tend_spans(store);
	if (!err)
		err = settle_left(store, store->open);
	if (!err)
		err = settle_left(store, store->late);
	if (!err)
		err = seal_when_asked(store);
	if (!err && store->open && span_is_over(store, store->open, now_unix_ms))
		err = store_close_spans(store);
	if (!err && store->late && span_is_over(store, store->late, now_unix_ms))
		err = store_close_span(store, &store->late);
	if (!err)
		err = store_tend_chronicles(store, now_unix_ms);
	if (!err)
		store_retain(store, now_unix_ms);
	if (!err)
		store_compact(store, now_unix_ms);
	publish_space(store);
	return err;
}
