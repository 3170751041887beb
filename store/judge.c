/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>

#include <string.h>

#include "store/reader.h"
#include "store/selector.h"

/* What a question makes of series: whether they match, and whether they were deleted. */

/* What of it is not kept. */
static void describe(struct reader *reader, struct pair pair, struct verdict *ret)
{
	const struct catalog *catalog = reader->catalog;

	ret->period = catalog_series(catalog, pair.series).period;
	if (reader->question->asked->profile_count > 0)
		ret->series_hash = catalog_series_hash(catalog, pair.series);
	if (ret->matches && reader_hides(reader))
		ret->hidden = hiding_of_series(&reader->hiding, catalog, pair.series);
}

static bool matches(const struct reader *reader, const struct catalog_sample *sample)
{
	const struct store_question *asked = reader->question->asked;
	struct catalog_series series = catalog_series(sample->catalog, sample->series);

	return (asked->type.size == 0 ||
		str_equal(asked->type, catalog_text(sample->catalog, series.type))) &&
	       (!asked->selector || selector_matches(asked->selector, catalog_lookup, sample));
}

/* Whether all of it in the question's range was deleted. */
static bool is_hidden(const struct reader *reader, uint64_t hidden)
{
	const struct store_question *asked = reader->question->asked;
	int64_t first_ms = reader->span->first_ms, last_ms = reader->span->last_ms;

	if (asked->from_unix_ms > first_ms)
		first_ms = asked->from_unix_ms;
	if (asked->to_unix_ms < last_ms)
		last_ms = asked->to_unix_ms;
	return hiding_all_of(&reader->hiding, hidden, first_ms, last_ms);
}

static int judge_new(struct reader *reader, struct pair pair, struct verdict *ret)
{
	const struct catalog *catalog = reader->catalog;

	if (pair.series >= catalog_count(catalog, CATALOG_SERIES) || pair.series == 0 ||
	    pair.labels >= catalog_count(catalog, CATALOG_LABELS))
		return -EBADMSG;

	struct catalog_sample sample = { catalog, pair.series, pair.labels };
	int64_t group = 0;

	ret->matches = matches(reader, &sample);
	describe(reader, pair, ret);
	if (ret->matches && reader_hides(reader)) {
		ret->matches = !is_hidden(reader, ret->hidden);
		ret->is_ungrouped = ret->hidden != 0;
	}
	if (ret->matches && !ret->is_ungrouped && reader->question->group)
		group = reader->question->group(reader->question->context, &sample);
	ret->group = (uint32_t)group;
	return group < 0 ? (int)group : 0;
}

static struct kept_verdict kept_of(const struct verdict *verdict)
{
	return (struct kept_verdict){ .group = verdict->group,
				      .matches = verdict->matches,
				      .is_ungrouped = verdict->is_ungrouped };
}

static bool is_pair(const struct reader *reader, uint32_t number, struct pair pair)
{
	return number < reader->verdicts.count &&
	       memcmp(pool_get(&reader->pairs, number).text, &pair, sizeof(pair)) == 0;
}

/* Pieces and segments of a file have nearly the same pairs, in nearly the same order. */
static int64_t number_of(struct reader *reader, struct pair pair)
{
	uint32_t *last = &reader->last_pairs[(pair.series * 2 + pair.labels) % READER_PAIRS_KNOWN];
	int64_t number;

	if (is_pair(reader, reader->next_pair, pair))
		number = reader->next_pair;
	else if (is_pair(reader, *last, pair))
		number = *last;
	else
		number = pool_add(&reader->pairs, &pair, sizeof(pair));
	if (number >= 0) {
		*last = (uint32_t)number;
		reader->next_pair = (uint32_t)number + 1;
	}
	return number;
}

int reader_judge(struct reader *reader, struct pair pair, struct verdict *ret)
{
	int64_t number = number_of(reader, pair);

	if (number < 0)
		return (int)number;

	bool was_taken = reader_lock(reader);
	int err = 0;

	*ret = (struct verdict){ .number = (uint32_t)number };
	if (number < reader->verdicts.count) {
		const struct kept_verdict *kept = &reader->verdicts.items[number];

		ret->matches = kept->matches;
		ret->is_ungrouped = kept->is_ungrouped;
		ret->group = kept->group;
		describe(reader, pair, ret);
	} else {
		err = judge_new(reader, pair, ret);
	}
	reader_unlock(reader, was_taken);
	if (err || number < reader->verdicts.count)
		return err;
	if (array_reserve(&reader->verdicts, 1) < 0)
		return -ENOMEM;
	reader->verdicts.items[reader->verdicts.count++] = kept_of(ret);
	return 0;
}

static int group_late(struct reader *reader, struct verdict *verdict)
{
	const struct pair *pair = (const void *)pool_get(&reader->pairs, verdict->number).text;
	struct catalog_sample sample = { reader->catalog, pair->series, pair->labels };
	bool was_taken = reader_lock(reader);
	int64_t group = reader->question->group
				? reader->question->group(reader->question->context, &sample)
				: 0;

	reader_unlock(reader, was_taken);
	if (group < 0)
		return (int)group;
	verdict->group = (uint32_t)group;
	verdict->is_ungrouped = false;
	reader->verdicts.items[verdict->number] = kept_of(verdict);
	return 0;
}

int reader_sees_hidden(struct reader *reader, const struct slice *slice, struct verdict *verdict)
{
	uint64_t hidden = verdict->hidden;

	if (!verdict->matches)
		return 0;
	if (hidden &&
	    (reader->span->is_chronicle
		     ? hiding_some_of(&reader->hiding, hidden, slice->start_ms, slice->end_ms)
		     : hiding_at(&reader->hiding, hidden, slice->start_ms)))
		return 0;
	if (verdict->is_ungrouped) {
		/* Another copy of it may have been seen. */
		if (reader->verdicts.items[verdict->number].is_ungrouped) {
			int err = group_late(reader, verdict);

			if (err)
				return err;
		}
		verdict->group = reader->verdicts.items[verdict->number].group;
		verdict->is_ungrouped = false;
	}
	return 1;
}

bool reader_hides_list(const struct reader *reader, uint32_t service, uint32_t type)
{
	uint64_t rules = hiding_of_block(&reader->hiding, service, type);

	return rules && reader->piece &&
	       hiding_some_of(&reader->hiding, rules, reader->piece->first_ms,
			      reader->piece->last_ms);
}
