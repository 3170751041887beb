/* SPDX-License-Identifier: Apache-2.0 */
/* A query string: its parameters, and the times and types that they hold. */
#include <assert.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "web/profile_type.h"
#include "web/request.h"
#include "web/time_range.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	static const struct str names[] = {
		{ "from", 4 }, { "to", 2 }, { "query", 5 }, { "type", 4 }, { "", 0 },
	};
	struct request request = { .query = { (const char *)bytes, size } };
	autoclean(buf) struct buf texts = BUF(1 << 20);
	struct str values[5] = { 0 };
	struct time_range range = { .from_ms = -1 };
	struct profile_type type;
	const char *parameter = NULL;
	char error[TIME_RANGE_ERROR_SIZE];

	if (!request_query_is_sound(&request))
		return 0;
	for (size_t i = 0; i < 5; i++)
		(void)request_parameter(&request, names[i], &texts, &values[i]);
	assert(texts.size <= size);
	if (time_range_parse(values[0], values[1], 1700000000000, &range, &parameter, error) == 0)
		assert(range.from_ms >= 0 && range.from_ms <= range.to_ms &&
		       range.to_ms <= TIME_RANGE_MS_MAX);
	else
		assert(parameter && range.from_ms == -1);
	if (profile_type_parse(values[3], &type, NULL) == 0)
		assert(type.id.size <= values[3].size);
	return 0;
}
