/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/str.h"

/*
 * How Go's table of program counters, pclntab, is laid out: what its functions, names, files and
 * tables of values are read by. The runtime needs it, so that stripping does not take it. Every
 * byte may be hostile: what lies outside of the table reads as zero.
 *
 * Layouts of Go 1.2 (to 1.15), 1.16, 1.18 and 1.20 (and all since), told by the first word;
 * src/runtime/symtab.go and src/debug/gosym of the Go distribution are the source. 64 bits, little
 * endian, instructions of any length.
 */
enum go_version { GO_1_2, GO_1_16, GO_1_18, GO_1_20, GO_VERSION_COUNT };

struct go_pclntab {
	const uint8_t *bytes; /* from its header on; more may follow */
	size_t size;
	uint64_t vaddr; /* of its header */
	uint64_t text;	/* where offsets of functions count from */
	uint64_t entry; /* of the program; 0: not known */
};

/* Offsets from the header on. */
struct go_layout {
	enum go_version version;
	uint64_t function_count;
	uint64_t text; /* as the header says; 0: it does not (up to 1.16; 1.26 and later) */
	uint64_t names, units, files, values;
	uint64_t functions;	/* where the list of functions lies */
	uint64_t function_data; /* what the list's offsets count from */
	bool has_addresses;	/* entries are addresses of 8 bytes, not offsets of 4 */
};

/* False when the header is none or contradicts itself. */
bool go_layout_read(const struct go_pclntab *table, struct go_layout *ret);

struct go_function {
	uint64_t vaddr;
	uint64_t size;
	uint64_t data;	 /* offset of its record, behind the entry */
	struct str name; /* whole, as the linker wrote it */
};

/* The function of this number below layout->function_count; false when it contradicts itself. */
bool go_function_read(const struct go_pclntab *table, const struct go_layout *layout,
		      uint64_t number, struct go_function *ret);

/* Its words, by their distance from go_function.data. */
enum go_function_word {
	GO_FUNCTION_NAME = 0,
	GO_FUNCTION_DEPTHS = 12,
	GO_FUNCTION_FILES = 16,
	GO_FUNCTION_LINES = 20,
	GO_FUNCTION_VALUE_TABLE_COUNT = 24,
	GO_FUNCTION_UNIT = 28, /* from 1.16 on */
};

/* An integer of the table; zero when it lies outside. */
uint64_t go_number_at(const struct go_pclntab *table, uint64_t offset, size_t size);

/* A text of the table that ends with a NUL; one of no bytes when it lies outside. */
struct str go_text_at(const struct go_pclntab *table, uint64_t offset);
