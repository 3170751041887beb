/* SPDX-License-Identifier: Apache-2.0 */
/* Folded text of strangers: every stack has its value, and what is refused names its line. */
#include <assert.h>
#include <errno.h>
#include <stdint.h>
#include <string.h>

#include "store/batch_private.h"
#include "web/folded.h"
#include "web/profile_type.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

enum { MEMORY_MAX = 8 << 20 };

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	struct pprof_origin origin = { .time_unix_ms = 1 };
	struct pprof_summary summary = { 0 };
	char reason[PPROF_ERROR_SIZE] = "";
	autoclean(batch) struct batch *batch = NULL;

	if (batch_new(MEMORY_MAX, &batch))
		return 0;

	int err = folded_read((struct str){ (const char *)bytes, size }, &origin, PROFILE_TYPE_CPU,
			      &(struct folded_form){ 0 }, batch, &summary, reason);

	assert(err == 0 || err == -EBADMSG || err == -E2BIG || err == -ENOMEM);
	if (err) {
		assert(err == -ENOMEM || !strncmp(reason, "line ", 5));
		return 0;
	}
	assert(summary.samples > 0 && summary.samples == batch->items.count);
	for (uint32_t i = 0; i < batch->items.count; i++)
		assert(batch->items.items[i].value > 0);
	return 0;
}
