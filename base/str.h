/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <string.h>
#include <strings.h>

/*
 * Text that somebody else owns: a slice with its size in bytes, not ended by a NUL and not checked
 * to be UTF-8. An absent text is { NULL, 0 }, which equals "".
 */
struct str {
	const char *text;
	size_t size;
};

#define STR(literal) ((struct str){ (literal), sizeof(literal) - 1 })

/* For printf("%.*s", STR_PRINT(s)). */
#define STR_PRINT(s) (int)(s).size, (s).text ? (s).text : ""

static inline struct str str_from(const char *text)
{
	return (struct str){ text, text ? strlen(text) : 0 };
}

static inline bool str_equal(struct str a, struct str b)
{
	return a.size == b.size && (a.size == 0 || memcmp(a.text, b.text, a.size) == 0);
}

static inline bool str_starts_with(struct str s, struct str prefix)
{
	return s.size >= prefix.size &&
	       (prefix.size == 0 || memcmp(s.text, prefix.text, prefix.size) == 0);
}

static inline bool str_ends_with(struct str s, struct str suffix)
{
	return s.size >= suffix.size && (suffix.size == 0 || memcmp(s.text + s.size - suffix.size,
								    suffix.text, suffix.size) == 0);
}

/* Whether the part stands somewhere in the text, letters of ASCII in either case. */
static inline bool str_holds_caseless(struct str text, struct str part)
{
	for (size_t start = 0; start + part.size <= text.size; start++)
		if (part.size == 0 || strncasecmp(text.text + start, part.text, part.size) == 0)
			return true;
	return false;
}

/* Bytewise order; a prefix comes before what it begins. */
static inline int str_compare(struct str a, struct str b)
{
	size_t size = a.size < b.size ? a.size : b.size;
	int order = size ? memcmp(a.text, b.text, size) : 0;

	return order ? order : (a.size > b.size) - (a.size < b.size);
}

/* What follows the last '/', or all of it. */
static inline struct str str_base_name(struct str path)
{
	for (size_t i = path.size; i > 0; i--)
		if (path.text[i - 1] == '/')
			return (struct str){ path.text + i, path.size - i };
	return path;
}
