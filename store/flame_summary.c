/* SPDX-License-Identifier: Apache-2.0 */
#include "store/flame_private.h"

#include <errno.h>

/*
 * Whoever looks at the whole host looks again a moment later, and settled segments don't change:
 * what of them passed the cut is kept, of each, and of all of a span or of an hour in one.
 */
enum {
	/* Summaries of a span that wait to be summed up: 300 KiB each, or four times that. */
	PARTS_TOGETHER_MAX = 8,
};

bool flame_may_summarize(const struct flame_question *question, const struct reading *reading)
{
	return question->summary_type && reading->is_lasting && reading->row &&
	       reading->row->is_whole;
}

static struct cache_key with_times(const struct flame_question *question,
				   const struct reader *reader, struct cache_key key)
{
	if (reader->is_part) {
		key.from_ms = question->asked->from_unix_ms;
		key.to_ms = question->asked->to_unix_ms;
		key.left = reader->left;
	}
	return key;
}

struct cache_key flame_summary_key(const struct flame_question *question,
				   const struct reader *reader, const struct reading *reading)
{
	return with_times(question, reader,
			  (struct cache_key){ .span = reader->span->id,
					      .segment = reading->number,
					      .type = question->summary_type,
					      .keep = (uint32_t)flame_keep_count(question) });
}

int flame_summarize(struct flame_question *question, struct cache_key key, struct cached **ret)
{
	int err;

	*ret = NULL;
	err = flame_cut_tree(question, ret);
	if (err)
		return err;
	(*ret)->sample_count = question->read_count;
	/* All of a sealed span is kept in one, beside which its parts would find no room. */
	if (!question->is_sealed)
		cache_add(question->store->cache, key, *ret);
	return 0;
}

int flame_merge_summary(struct flame_question *question, struct reader *reader,
			const struct cached *summary)
{
	struct forest forest = forest_of_summary(summary);
	int err = 0;

	question->tree = &summary->tree;
	if (array_reserve(&question->mapped, forest.count) < 0)
		err = -ENOMEM;
	if (!err)
		err = flame_merge_forest(question, reader->catalog, &forest, 1);
	question->tree = NULL;
	return err;
}

/* ---- a segment in parts ---------------------------------------------------------------------- */

int flame_start_parts(void *context, struct reader *reader, const struct reading *reading)
{
	struct flame_question *question = context;
	struct cached *known = NULL;
	int err;

	/* A segment that was damaged has no end. */
	question->gathered = cached_release(question->gathered);
	question->gathered_count = 0;
	question->read_count = 0;
	flame_start_span(question, reader);
	if (flame_may_summarize(question, reading))
		known = cache_find(question->store->cache,
				   flame_summary_key(question, reader, reading));
	if (!known)
		return 0;
	question->read_count = known->sample_count;
	err = flame_add_part(question, reading->number, known);
	if (err)
		return err;
	flame_count_read(question);
	return 1;
}

int flame_gather_part(struct flame_question *question)
{
	question->gathered_count++;
	return flame_cut_tree(question, &question->gathered);
}

int flame_end_parts(void *context, struct reader *reader, const struct reading *reading)
{
	struct flame_question *question = context;
	autoclean(cached) struct cached *summary = NULL;
	int err = 0;

	/* Each part was cut as if it were all. */
	if (question->gathered && question->gathered_count > 1)
		err = forest_cut_summary(TAKE(question->gathered), flame_keep_count(question),
					 &question->gathered);
	summary = TAKE(question->gathered);
	if (err || !summary)
		return err;
	summary->sample_count = question->read_count;
	flame_count_read(question);
	if (flame_may_summarize(question, reading)) {
		/* All of a sealed span is kept in one, beside which its parts would find no room.
		 */
		if (!question->is_sealed)
			cache_add(question->store->cache,
				  flame_summary_key(question, reader, reading), summary);
		return flame_add_part(question, reading->number, TAKE(summary));
	}

	bool was_taken = reader_lock(reader);

	err = flame_merge_summary(question, reader, summary);
	reader_unlock(reader, was_taken);
	return err;
}

/* ---- a span ---------------------------------------------------------------------------------- */

/* Of which parts a span's trees are read where segments share them is nobody's business. */
static struct cache_key sum_key(const struct flame_question *question, const struct reader *reader,
				uint32_t first, uint32_t last)
{
	bool is_shared = reader->span->shares_trees;

	return with_times(question, reader,
			  (struct cache_key){ .span = reader->span->id,
					      .segment = is_shared ? READER_WHOLE_SPAN : first,
					      .last_segment = is_shared ? READER_WHOLE_SPAN : last,
					      .type = question->summary_type,
					      .keep = (uint32_t)flame_keep_count(question) });
}

int flame_find_span(void *context, struct reader *reader, const struct segment_row *rows,
		    uint32_t count, bool is_sealed)
{
	struct flame_question *question = context;

	flame_start_span(question, reader);
	if (!question->summary_type || (count < 2 && !reader->span->shares_trees))
		return 0;
	question->run_count = count;
	question->is_sealed = is_sealed;

	struct cached *sum =
		cache_find(question->store->cache,
			   sum_key(question, reader, rows[0].number, rows[count - 1].number));

	if (!sum)
		return 0;
	question->read_count = sum->sample_count;

	int err = flame_add_part(question, rows[0].number, sum);

	if (err)
		return err;
	flame_count_read(question);
	return 1;
}

static int join(struct flame_question *question, struct cached **ret)
{
	return forest_join_summaries(question->parts.items, question->parts.count,
				     flame_keep_count(question), ret);
}

static void release_parts(struct flame_question *question)
{
	for (uint32_t i = 0; i < question->parts.count; i++)
		cached_release(question->parts.items[i]);
	question->parts.count = 0;
}

void flame_drop_parts(struct flame_question *question)
{
	release_parts(question);
	question->part_count = question->run_count = 0;
	question->is_sealed = false;
}

int flame_add_part(struct flame_question *question, uint32_t segment, struct cached *summary)
{
	struct cached *sum = NULL;
	int err = 0;

	if (array_reserve(&question->parts, 1) < 0) {
		cached_release(summary);
		return -ENOMEM;
	}
	if (question->part_count++ == 0)
		question->first_part = segment;
	question->last_part = segment;
	question->parts.items[question->parts.count++] = summary;
	if (!question->is_sealed || question->parts.count < PARTS_TOGETHER_MAX)
		return 0;
	err = join(question, &sum);
	if (err)
		return err == -ENOSPC ? 0 : err;
	release_parts(question);
	question->parts.items[question->parts.count++] = sum;
	return 0;
}

/* Whether their sum is right for whoever asks for the first and the last of them. */
static bool are_all(const struct flame_question *question, const struct reader *reader)
{
	if (reader->span->shares_trees)
		return question->run_count > 0 && question->part_count > 0 && !reader->has_failed;
	return question->part_count >= 2 && question->part_count == question->run_count;
}

/* The parts in one, which is kept for who asks next. 1: there is none. */
static int join_parts(struct flame_question *question, struct reader *reader, struct cached **ret)
{
	struct cache *cache = question->store->cache;
	struct cache_key key = sum_key(question, reader, question->first_part, question->last_part);
	uint64_t sample_count = 0;

	if (!are_all(question, reader))
		return 1;
	for (uint32_t i = 0; i < question->parts.count; i++)
		sample_count = saturated_sum(sample_count, question->parts.items[i]->sample_count);
	*ret = cache_find(cache, key);
	if (*ret && (*ret)->sample_count == sample_count)
		return 0;
	/* One of them was skipped then, or is now. */
	if (*ret) {
		*ret = cached_release(*ret);
		return 1;
	}

	int err = join(question, ret);

	if (!err)
		cache_add(cache, key, *ret);
	return err == -ENOSPC ? 1 : err;
}

int flame_end_span(void *context, struct reader *reader)
{
	struct flame_question *question = context;
	autoclean(cached) struct cached *joined = NULL;
	int err = join_parts(question, reader, &joined);
	bool was_taken = reader_lock(reader);

	if (!err)
		err = flame_merge_summary(question, reader, joined);
	else if (err > 0)
		err = 0;
	for (uint32_t i = 0; !err && !joined && i < question->parts.count; i++)
		err = flame_merge_summary(question, reader, question->parts.items[i]);
	reader_unlock(reader, was_taken);
	flame_drop_parts(question);
	return err;
}
