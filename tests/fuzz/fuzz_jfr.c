/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Java flight recordings of strangers, and the labels beside them: what is read are batches with
 * values, and whoever got a first batch gets the rest. The first byte says how it is read.
 */
#include <assert.h>
#include <errno.h>
#include <stdint.h>
#include <string.h>

#include "store/batch_private.h"
#include "web/jfr_reader.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

enum { MEMORY_MAX = 1 << 20, TAKES = 1, SPLITS = 2, HAS_LINES = 4, IS_TIMED = 8, HAS_LABELS = 16 };

struct taken {
	uint64_t entries;
	unsigned batches;
};

static void look_at(const struct batch *batch)
{
	for (uint32_t i = 0; i < batch->items.count; i++) {
		assert(batch->items.items[i].value > 0);
		assert(batch->items.items[i].value <= INT64_MAX);
	}
}

static int take(void *context, struct batch *batch)
{
	struct taken *taken = context;

	look_at(batch);
	taken->entries += batch->items.count;
	taken->batches++;
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	const struct label service = { STR("service_name"), STR("x") };
	struct pprof_summary summary = { 0 };
	char reason[PPROF_ERROR_SIZE] = "";
	autoclean(batch) struct batch *batch = NULL;
	struct taken taken = { 0 };
	struct str recording, labels = { 0 };
	uint8_t how = size ? bytes[0] : 0;

	if (size == 0 || batch_new(MEMORY_MAX, &batch))
		return 0;
	recording = (struct str){ (const char *)bytes + 1, size - 1 };
	/* The labels come behind, their size in front of all. */
	if (how & HAS_LABELS && recording.size > 1 && (uint8_t)recording.text[0] < recording.size) {
		labels.size = (uint8_t)recording.text[0];
		recording = (struct str){ recording.text + 1, recording.size - 1 - labels.size };
		labels.text = recording.text + recording.size;
	}

	const struct pprof_origin origin = { .labels = &service,
					     .label_count = 1,
					     .time_unix_ms = 1,
					     .splits_series = how & SPLITS,
					     .take = how & TAKES ? take : NULL,
					     .context = &taken };
	const struct jfr_form form = { .labels = labels,
				       .period_ns = how & IS_TIMED ? 1000 : 0,
				       .end_unix_ms = how & IS_TIMED ? 2000 : 0,
				       .has_lines = how & HAS_LINES };
	int err = jfr_read(recording, &origin, &form, batch, &summary, reason);

	assert(err == 0 || err == -EBADMSG || err == -E2BIG || err == -ENOMEM);
	assert(err == 0 || err == -ENOMEM || reason[0]);
	assert(err != -EBADMSG || taken.batches == 0);
	look_at(batch);
	return 0;
}
