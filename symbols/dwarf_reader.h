/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/*
 * Reads the integers of DWARF out of foreign bytes. What would pass the end sets .failed and gives
 * zero, as all later reads do, so that a reader asks once per record. In the header, since tables
 * are made of millions of them.
 */
struct dwarf_reader {
	const uint8_t *next;
	const uint8_t *end;
	bool failed;
};

static inline struct dwarf_reader dwarf_reader(const void *bytes, size_t size)
{
	const uint8_t *first = bytes;

	return (struct dwarf_reader){ .next = first, .end = first ? first + size : first };
}

static inline size_t dwarf_left(const struct dwarf_reader *reader)
{
	return (size_t)(reader->end - reader->next);
}

/* The next size bytes in place, or NULL. */
static inline const uint8_t *dwarf_take(struct dwarf_reader *reader, uint64_t size)
{
	const uint8_t *bytes = reader->next;

	if (size > dwarf_left(reader)) {
		reader->failed = true;
		reader->next = reader->end;
		return NULL;
	}
	reader->next += size;
	return bytes;
}

#define DWARF_READ(type)                                                                           \
	static inline type##_t dwarf_##type(struct dwarf_reader *reader)                           \
	{                                                                                          \
		type##_t value = 0;                                                                \
		const uint8_t *bytes = dwarf_take(reader, sizeof(value));                          \
                                                                                                   \
		if (bytes)                                                                         \
			memcpy(&value, bytes, sizeof(value));                                      \
		return value;                                                                      \
	}
DWARF_READ(uint8)
DWARF_READ(uint16)
DWARF_READ(uint32)
DWARF_READ(uint64)
#undef DWARF_READ

/* LEB128; bits beyond 64 are dropped, as every reader does. */
static inline uint64_t dwarf_uleb(struct dwarf_reader *reader)
{
	uint64_t value = 0;

	for (unsigned shift = 0; reader->next < reader->end; shift += 7) {
		uint8_t byte = *reader->next++;

		if (shift < 64)
			value |= (uint64_t)(byte & 0x7f) << shift;
		if (!(byte & 0x80))
			return value;
	}
	reader->failed = true;
	return 0;
}

static inline int64_t dwarf_sleb(struct dwarf_reader *reader)
{
	uint64_t value = 0;

	for (unsigned shift = 0; reader->next < reader->end; shift += 7) {
		uint8_t byte = *reader->next++;

		if (shift < 64)
			value |= (uint64_t)(byte & 0x7f) << shift;
		if (byte & 0x80)
			continue;
		if (shift + 7 < 64 && byte & 0x40)
			value |= UINT64_MAX << (shift + 7);
		return (int64_t)value;
	}
	reader->failed = true;
	return 0;
}

/* A text that ends with a NUL, or NULL. */
static inline const char *dwarf_text(struct dwarf_reader *reader)
{
	const uint8_t *text = reader->next;
	const uint8_t *end = dwarf_left(reader) ? memchr(text, 0, dwarf_left(reader)) : NULL;

	if (!end) {
		reader->failed = true;
		reader->next = reader->end;
		return NULL;
	}
	reader->next = end + 1;
	return (const char *)text;
}
