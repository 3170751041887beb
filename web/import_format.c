/* SPDX-License-Identifier: Apache-2.0 */
#include "web/import_format.h"

#include <stddef.h>

enum { SNIFF_SIZE = 512 };

enum import_format import_format_guess(struct str bytes)
{
	if (str_starts_with(bytes, STR("SQLite format 3")))
		return IMPORT_FORMAT_SPAN;
	for (size_t i = 0; i < bytes.size && i < SNIFF_SIZE; i++) {
		unsigned char c = (unsigned char)bytes.text[i];

		if (c < ' ' && c != '\n' && c != '\r' && c != '\t' && c != '\033')
			return IMPORT_FORMAT_PPROF;
	}
	/* A profile begins with its first sample type, which is what a line break would be. */
	return bytes.size && bytes.text[0] == '\n' && bytes.size > 1 && bytes.text[1] < ' ' &&
			       bytes.text[1] != '\n' && bytes.text[1] != '\r'
		       ? IMPORT_FORMAT_PPROF
		       : IMPORT_FORMAT_FOLDED;
}
