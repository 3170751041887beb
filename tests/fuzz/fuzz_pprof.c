/* SPDX-License-Identifier: Apache-2.0 */
/* Profiles of strangers: what is taken is in bounds, and what is not says why. */
#include <assert.h>
#include <errno.h>
#include <stdint.h>

#include "store/batch_private.h"
#include "web/pprof_reader.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

enum { MEMORY_MAX = 8 << 20 };

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	const struct label labels[] = { { STR("service_name"), STR("fuzz") } };
	struct pprof_origin origin = { .labels = labels, .label_count = 1, .time_unix_ms = 1 };
	struct pprof_summary summary = { 0 };
	char reason[PPROF_ERROR_SIZE] = "";
	autoclean(batch) struct batch *batch = NULL;

	if (batch_new(MEMORY_MAX, &batch))
		return 0;

	int err = pprof_read((struct str){ (const char *)bytes, size }, &origin, batch, &summary,
			     reason);

	assert(err == 0 || err == -EBADMSG || err == -E2BIG || err == -ENOMEM);
	if (err) {
		assert(err == -ENOMEM || reason[0]);
		return 0;
	}
	assert(summary.sample_types > 0 && batch->time.end_unix_ms > batch->time.start_unix_ms);
	assert(summary.samples == 0 || batch->items.count > 0);
	for (uint32_t i = 0; i < batch->items.count; i++)
		assert(batch->items.items[i].value > 0 && batch->items.items[i].count > 0);
	return 0;
}
