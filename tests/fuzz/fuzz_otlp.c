/* SPDX-License-Identifier: Apache-2.0 */
/* OpenTelemetry's profiles of strangers, as each revision has them: everything that is told of is
 * there, and what is not taken says why. The first byte is the revision, 0 for one to be found, and
 * what its sender spoke before. */
#include <assert.h>
#include <errno.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "web/otlp_dump.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

enum { TEXT_SIZE_MAX = 1 << 20 };

static void check_range(struct otlp_range range, const void *items)
{
	assert(range.count == 0 || items);
}

/* Looks at all that a consumer may look at. */
static int take(void *context, const struct otlp_profile *profile)
{
	const struct otlp_tables *tables = profile->tables;

	assert(profile->sample_count > 0 && profile->type.type.size > 0);
	for (size_t i = 0; i < profile->sample_count; i++) {
		const struct otlp_sample *sample = &profile->samples[i];

		check_range(sample->stack, profile->stack_indices);
		check_range(sample->values, profile->values);
		check_range(sample->timestamps, profile->timestamps);
		assert(sample->values.count + sample->timestamps.count > 0);
		assert(sample->link == 0 || sample->link < tables->links.count);
		for (uint32_t k = 0; k < sample->values.count; k++)
			assert(profile->values[sample->values.first + k] >= 0);
		for (uint32_t k = 0; k < sample->stack.count; k++) {
			uint32_t place = profile->stack_indices[sample->stack.first + k];

			assert(place == OTLP_NO_LOCATION || place < tables->locations.count);
		}
		for (uint32_t k = 0; k < sample->attributes.count; k++)
			assert(profile->indices[sample->attributes.first + k] <
			       tables->attributes.count);
	}
	otlp_dump_profile(profile, context);
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	autoclean(buf) struct buf text = BUF(TEXT_SIZE_MAX);
	struct otlp_report report;
	char reason[OTLP_ERROR_SIZE];

	if (size == 0)
		return 0;

	struct otlp_reading reading = {
		.bytes = { (const char *)bytes + 1, size - 1 },
		.known = (enum otlp_revision)(bytes[0] % OTLP_REVISION_COUNT),
		.believed =
			(enum otlp_revision)(bytes[0] / OTLP_REVISION_COUNT % OTLP_REVISION_COUNT),
		.take = take,
		.context = &text,
	};
	int err = otlp_read(&reading, &report, reason);

	assert(err == 0 || err == -EBADMSG || err == -E2BIG || err == -ENOMEM);
	assert(err == 0 || err == -ENOMEM || reason[0]);
	assert(report.samples_skipped <= report.samples);
	otlp_dump_report(&report, &text);
	return 0;
}
