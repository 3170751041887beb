/* SPDX-License-Identifier: Apache-2.0 */
#include "web/profile_type.h"

#include <errno.h>

int profile_type_parse(struct str text, struct profile_type *ret, unsigned *ret_count)
{
	struct profile_type type = { .id = text };
	unsigned count = 0;
	size_t start = 0;

	for (size_t i = 0; i <= text.size; i++) {
		if (i < text.size && text.text[i] != ':')
			continue;
		if (count < PROFILE_TYPE_PART_COUNT) {
			type.parts[count] = (struct str){ text.text + start, i - start };
			type.id.size = i;
		}
		count++;
		start = i + 1;
	}
	if (ret_count)
		*ret_count = count;
	if (count != PROFILE_TYPE_PART_COUNT && count != PROFILE_TYPE_PART_COUNT + 1)
		return -EINVAL;
	*ret = type;
	return 0;
}
