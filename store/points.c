/* SPDX-License-Identifier: Apache-2.0 */
#include "store/points.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/saturate.h"

void points_init(struct points *points, size_t point_count)
{
	assert(point_count > 0);
	*points = (struct points){
		.point_count = point_count,
		.blocks_a_row = (point_count + POINTS_BLOCK - 1) / POINTS_BLOCK,
	};
}

void points_done(struct points *points)
{
	array_done(&points->places);
	array_done(&points->blocks);
	array_done(&points->present);
	*points = (struct points){ 0 };
}

void points_clear(struct points *points)
{
	points->row_count = points->places.count = 0;
	points->blocks.count = points->present.count = 0;
}

int points_add_row(struct points *points)
{
	size_t count = points->blocks_a_row;

	if (points->places.count + count > POINTS_PLACE_COUNT_MAX)
		return -E2BIG;
	if (array_reserve(&points->places, count) < 0)
		return -ENOMEM;
	memset(points->places.items + points->places.count, 0,
	       count * sizeof(points->places.items[0]));
	points->places.count += (uint32_t)count;
	points->row_count++;
	return 0;
}

static int add_block(struct points *points, uint32_t *place)
{
	if (points->blocks.count >= POINTS_COUNT_MAX / POINTS_BLOCK)
		return -E2BIG;
	if (array_reserve(&points->blocks, 1) < 0 || array_reserve(&points->present, 1) < 0)
		return -ENOMEM;
	points->blocks.items[points->blocks.count++] = (struct points_block){ 0 };
	points->present.items[points->present.count++] = 0;
	*place = points->blocks.count;
	return 0;
}

int points_add(struct points *points, uint32_t row, size_t point, uint64_t value)
{
	assert(row < points->row_count && point < points->point_count);

	uint32_t *place = &points->places.items[row * points->blocks_a_row + point / POINTS_BLOCK];
	size_t within = point % POINTS_BLOCK;

	if (*place == 0) {
		int err = add_block(points, place);

		if (err)
			return err;
	}

	uint64_t *sum = &points->blocks.items[*place - 1].values[within];

	*sum = saturated_sum(*sum, value);
	points->present.items[*place - 1] |= (uint8_t)(1 << within);
	return 0;
}
