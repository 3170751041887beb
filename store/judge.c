/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>

#include <string.h>

#include "store/reader.h"
#include "store/selector.h"

/* What a question makes of series: whether they match, and whether they were deleted. */

static int64_t judge_new(struct reader *reader, struct pair pair, struct verdict *ret)
{
	const struct catalog *catalog = reader->catalog;
	const struct store_question *asked = reader->question->asked;

	if (pair.series >= catalog_count(catalog, CATALOG_SERIES) || pair.series == 0 ||
	    pair.labels >= catalog_count(catalog, CATALOG_LABELS))
		return -EBADMSG;

	struct catalog_sample sample = { catalog, pair.series, pair.labels };
	struct catalog_series series = catalog_series(catalog, pair.series);
	int64_t group = 0;

	ret->period = series.period;
	if (asked->profile_count > 0)
		ret->series_hash = catalog_series_hash(catalog, pair.series);
	ret->matches =
		(asked->type.size == 0 ||
		 str_equal(asked->type, catalog_text(catalog, series.type))) &&
		(!asked->selector || selector_matches(asked->selector, catalog_lookup, &sample));
	if (ret->matches && reader_hides(reader)) {
		uint64_t hidden = hiding_of_series(&reader->hiding, catalog, pair.series);
		int64_t first_ms = reader->span->first_ms, last_ms = reader->span->last_ms;

		if (asked->from_unix_ms > first_ms)
			first_ms = asked->from_unix_ms;
		if (asked->to_unix_ms < last_ms)
			last_ms = asked->to_unix_ms;
		ret->matches = !hiding_all_of(&reader->hiding, hidden, first_ms, last_ms);
		ret->hidden = hidden;
		ret->is_ungrouped = hidden != 0;
	}
	if (ret->matches && !ret->is_ungrouped && reader->question->group)
		group = reader->question->group(reader->question->context, &sample);
	ret->group = (uint32_t)group;
	return group < 0 ? group : 0;
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
	if (number == reader->verdicts.count) {
		struct verdict verdict = { .number = (uint32_t)number };
		bool was_taken = reader_lock(reader);
		int64_t err = judge_new(reader, pair, &verdict);

		reader_unlock(reader, was_taken);
		if (err)
			return (int)err;
		if (array_reserve(&reader->verdicts, 1) < 0)
			return -ENOMEM;
		reader->verdicts.items[reader->verdicts.count++] = verdict;
	}
	*ret = reader->verdicts.items[number];
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
	reader->verdicts.items[verdict->number] = *verdict;
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
		*verdict = reader->verdicts.items[verdict->number];
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
