/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "store/reader.h"
#include "store/selector.h"

/* What a deletion would hide. */

enum { SERIES_COUNT_MAX = 1 << 20 };

struct extent_question {
	const struct store_question *asked;
	struct store_deletion_extent *extent;
	struct pool series; /* their hashes */
};

/* Whether samples have a label of their own that the selector speaks of. */
static void look_at_labels(struct extent_question *question, const struct catalog_sample *sample)
{
	struct str set = pool_get(&sample->catalog->pools[CATALOG_LABELS], sample->labels);
	const uint32_t *texts = (const void *)set.text;
	struct store_deletion_extent *extent = question->extent;

	for (size_t i = 0; i + 1 < set.size / sizeof(texts[0]); i += 2) {
		struct str name = catalog_text(sample->catalog, texts[i]);

		if (extent->is_of_samples || !question->asked->selector ||
		    !selector_uses(question->asked->selector, name))
			continue;
		extent->is_of_samples = true;
		snprintf(extent->label, sizeof(extent->label), "%.*s", STR_PRINT(name));
	}
}

static int64_t take(void *context, const struct catalog_sample *sample)
{
	struct extent_question *question = context;
	uint64_t hash = catalog_series_hash(sample->catalog, sample->series);
	int64_t number = pool_add(&question->series, &hash, sizeof(hash));

	look_at_labels(question, sample);
	return number;
}

static int take_segment(void *context, struct reader *reader, const struct reading *reading)
{
	(void)context;
	(void)reader;
	(void)reading;
	return 0;
}

static int take_run(void *context, struct reader *reader, const struct slice *slice,
		    const struct run *run, const struct verdict *verdict,
		    struct entry_reader *entries)
{
	struct extent_question *question = context;

	(void)reader;
	(void)slice;
	(void)verdict;
	(void)entries;
	question->extent->samples = saturated_sum(question->extent->samples, run->samples);
	return 0;
}

static int take_entry(void *context, struct reader *reader, const struct slice *slice,
		      const struct running_entry *entry, const struct verdict *verdict)
{
	struct extent_question *question = context;

	(void)reader;
	(void)slice;
	(void)verdict;
	question->extent->samples = saturated_sum(question->extent->samples, entry->count);
	return 0;
}

int store_deletion_extent(struct store *store, const struct store_question *asked,
			  struct store_deletion_extent *ret)
{
	struct extent_question question = { .asked = asked, .extent = ret };
	struct reader_question reader_question = {
		.context = &question,
		.asked = asked,
		.wants_all_labels = true,
		.group = take,
		.segment = take_segment,
		.run = take_run,
		.entry = take_entry,
		.chronicle_wish = { .use = CHRONICLE_WHEN_GONE, .activity = true },
	};
	int err;

	*ret = (struct store_deletion_extent){ 0 };
	pool_init(&question.series, SERIES_COUNT_MAX, NULL);
	err = reader_ask(store, &reader_question);
	ret->series = pool_count(&question.series);
	pool_done(&question.series);
	return err == -EFBIG ? -E2BIG : err;
}
