/* SPDX-License-Identifier: Apache-2.0 */
/* Speedscope's JSON of strangers: what is read is a batch with values. */
#include <assert.h>
#include <errno.h>
#include <stdint.h>
#include <string.h>

#include "store/batch_private.h"
#include "web/speedscope.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

enum { MEMORY_MAX = 4 << 20 };

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	const struct speedscope_form form = { .period = 10000000 };
	struct pprof_origin origin = { .time_unix_ms = 1 };
	struct pprof_summary summary = { 0 };
	char reason[PPROF_ERROR_SIZE] = "";
	autoclean(batch) struct batch *batch = NULL;

	if (batch_new(MEMORY_MAX, &batch))
		return 0;

	int err = speedscope_read((struct str){ (const char *)bytes, size }, &origin, &form, batch,
				  &summary, reason);

	assert(err == 0 || err == -EBADMSG || err == -E2BIG || err == -ENOMEM);
	assert(err == 0 || err == -ENOMEM || reason[0]);
	assert(err || summary.samples == batch->items.count);
	for (uint32_t i = 0; i < batch->items.count; i++)
		assert(batch->items.items[i].value > 0);
	return 0;
}
