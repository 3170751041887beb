/* SPDX-License-Identifier: Apache-2.0 */
#include <assert.h>
#include <stddef.h>
#include <stdint.h>

#include "collector/sideband.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	struct sideband_record record;
	uint64_t malformed = 0;

	if (!sideband_parse(bytes, size, &record, &malformed))
		return 0;
	assert(malformed == 0);
	assert(record.kind >= SIDEBAND_MAPPED && record.kind <= SIDEBAND_EXITED);
	assert(record.kind != SIDEBAND_MAPPED || record.start < record.end);
	assert(record.identity.size <= IDENTITY_SIZE_MAX);
	assert(record.text.size == 0 ||
	       (record.text.text >= (const char *)bytes &&
		record.text.text + record.text.size <= (const char *)bytes + size));
	return 0;
}
