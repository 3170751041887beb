/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/identity.h"
#include "bpf/unwind.h"

/*
 * An unwind table made by hand: pages of one line each, without an index. Row i of a page says that
 * from its low on the rule holds.
 */
struct small_row {
	uint32_t page;
	uint16_t low;
	uint64_t rule;
};

enum { SMALL_TABLE_SIZE_MAX = 4 << 20 };

/* An identity that no file has. */
struct identity small_identity(uint8_t number);

/*
 * Fills page_count pages from page_first on with rows, which are in order. Returns the size of the
 * table.
 */
size_t small_table(const struct identity *identity, uint32_t page_first, uint32_t page_count,
		   const struct small_row *rows, size_t row_count, void *ret);
