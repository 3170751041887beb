/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <assert.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/str.h"

static inline bool utf8_is_continuation(uint8_t byte)
{
	return (byte & 0xc0) == 0x80;
}

/* How many bytes the character at the front takes, by RFC 3629's table; 0 for what is none. */
static inline size_t utf8_size(const uint8_t *bytes, size_t left)
{
	assert(left > 0);

	uint8_t first = bytes[0];
	uint8_t low = 0x80;
	uint8_t high = 0xbf;
	size_t size;

	if (first < 0x80)
		return 1;
	if (first >= 0xc2 && first <= 0xdf)
		size = 2;
	else if (first >= 0xe0 && first <= 0xef)
		size = 3;
	else if (first >= 0xf0 && first <= 0xf4)
		size = 4;
	else
		return 0;

	/* No longer forms than needed, no surrogates, nothing above U+10FFFF. */
	if (first == 0xe0)
		low = 0xa0;
	else if (first == 0xed)
		high = 0x9f;
	else if (first == 0xf0)
		low = 0x90;
	else if (first == 0xf4)
		high = 0x8f;
	if (left < size || bytes[1] < low || bytes[1] > high)
		return 0;
	for (size_t i = 2; i < size; i++)
		if (!utf8_is_continuation(bytes[i]))
			return 0;
	return size;
}

/* Whether all of it is UTF-8. Most texts are ASCII, of which eight bytes are looked at together. */
static inline bool utf8_is_valid(struct str text)
{
	size_t i = 0;

	while (i < text.size) {
		uint64_t eight;

		if (text.size - i >= sizeof(eight)) {
			memcpy(&eight, text.text + i, sizeof(eight));
			if ((eight & 0x8080808080808080) == 0) {
				i += sizeof(eight);
				continue;
			}
		}

		size_t size = utf8_size((const uint8_t *)text.text + i, text.size - i);

		if (size == 0)
			return false;
		i += size;
	}
	return true;
}
