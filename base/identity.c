/* SPDX-License-Identifier: Apache-2.0 */
#include "base/identity.h"

#include <assert.h>
#include <stdio.h>

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
