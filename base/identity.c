/* SPDX-License-Identifier: Apache-2.0 */
#include "base/identity.h"

#include <assert.h>
#include <stdio.h>

enum { GO_PART_SIZE = 20, GO_PART_BYTES = 15 };

/* Of base64 as URLs have it; 64 for what is none. */
static uint32_t sextet(char c)
{
	if (c >= 'A' && c <= 'Z')
		return (uint32_t)(c - 'A');
	if (c >= 'a' && c <= 'z')
		return (uint32_t)(c - 'a') + 26;
	if (c >= '0' && c <= '9')
		return (uint32_t)(c - '0') + 52;
	return c == '-' ? 62 : c == '_' ? 63 : 64;
}

static bool read_go_part(const char *text, uint8_t *bytes)
{
	for (size_t i = 0; i < GO_PART_SIZE / 4; i++) {
		uint32_t bits = 0;

		for (size_t k = 0; k < 4; k++) {
			uint32_t six = sextet(text[4 * i + k]);

			if (six == 64)
				return false;
			bits = bits << 6 | six;
		}
		bytes[3 * i] = (uint8_t)(bits >> 16);
		bytes[3 * i + 1] = (uint8_t)(bits >> 8);
		bytes[3 * i + 2] = (uint8_t)bits;
	}
	return true;
}

bool identity_of_go(struct str text, struct identity *ret)
{
	struct identity identity = { .kind = IDENTITY_GO_BUILD_ID, .size = 2 * GO_PART_BYTES };
	const char *last;

	if (text.size < 2 * GO_PART_SIZE + 1)
		return false;
	last = text.text + text.size - GO_PART_SIZE;
	if (text.text[GO_PART_SIZE] != '/' || last[-1] != '/' ||
	    !read_go_part(text.text, identity.bytes) ||
	    !read_go_part(last, identity.bytes + GO_PART_BYTES))
		return false;
	*ret = identity;
	return true;
}

const char *identity_text(const struct identity *identity, char text[static IDENTITY_TEXT_SIZE])
{
	static const char *const prefixes[] = { "none",	 "gnu",	   "go",  "htl",
						"inode", "kernel", "code" };
	unsigned kind = identity->kind;

	assert(identity->size <= IDENTITY_SIZE_MAX);

	const char *prefix =
		kind < sizeof(prefixes) / sizeof(prefixes[0]) ? prefixes[kind] : "other";
	int size = snprintf(text, IDENTITY_TEXT_SIZE, "%s:", prefix);

	for (unsigned i = 0; i < identity->size; i++)
		size += snprintf(text + size, (size_t)(IDENTITY_TEXT_SIZE - size), "%02x",
				 identity->bytes[i]);
	return text;
}
