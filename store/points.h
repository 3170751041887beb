/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <assert.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "store/array.h"

/*
 * Values of rows at the points of a grid. Of a busy host's processes most lived for a second, so
 * that what has no value takes no room, but for four bytes for each eight points of a row.
 */
enum {
	POINTS_BLOCK = 8,
	/* Of all rows, in blocks of which one has a value: 9 bytes each. Half a million processes
	 * that lived for a second. */
	POINTS_COUNT_MAX = 4 << 20,
	/* Blocks of all rows, with values or not: 16 MiB, 30 points of a million processes. */
	POINTS_PLACE_COUNT_MAX = 4 << 20,
};

struct points_block {
	uint64_t values[POINTS_BLOCK];
};

struct points {
	size_t point_count;
	size_t blocks_a_row;
	uint32_t row_count;
	ARRAY(uint32_t) places; /* by row and block: its number + 1; 0: there is none */
	ARRAY(struct points_block) blocks;
	ARRAY(uint8_t) present; /* by block, as bits */
};

void points_init(struct points *points, size_t point_count);
void points_done(struct points *points);

/* Lets all rows go. */
void points_clear(struct points *points);

/* The next row, without values: 0, -E2BIG, -ENOMEM. */
int points_add_row(struct points *points);

/* To what is there, up to UINT64_MAX; a value of 0 is one. 0, -E2BIG, -ENOMEM. */
int points_add(struct points *points, uint32_t row, size_t point, uint64_t value);

static inline uint32_t points_place(const struct points *points, uint32_t row, size_t point)
{
	assert(row < points->row_count && point < points->point_count);
	return points->places.items[row * points->blocks_a_row + point / POINTS_BLOCK];
}

static inline bool points_has(const struct points *points, uint32_t row, size_t point)
{
	uint32_t place = points_place(points, row, point);

	return place > 0 && (points->present.items[place - 1] >> point % POINTS_BLOCK & 1);
}

/* 0 where it has none. */
static inline uint64_t points_get(const struct points *points, uint32_t row, size_t point)
{
	uint32_t place = points_place(points, row, point);

	return place > 0 ? points->blocks.items[place - 1].values[point % POINTS_BLOCK] : 0;
}
