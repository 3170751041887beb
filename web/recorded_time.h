/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdint.h>

#include "store/store.h"

/*
 * For which part of a time something was recorded: "cores" is CPU time by recorded time, so that a
 * gap lowers nobody's share.
 */
struct recorded_time {
	int64_t from_ms; /* of the range that was asked for; to_ms is no part of it */
	int64_t to_ms;
	int64_t oldest_ms; /* of what the store holds */
	int64_t newest_ms;
	struct store_gaps gaps; /* within the range */
	/* of recorded_time_learn(): when windows start; NULL before */
	const struct store_rows *rows;
	struct store_grid grid;
};

/* A negative errno of the store. */
int recorded_time_init(struct recorded_time *recorded, struct store *store, int64_t from_ms,
		       int64_t to_ms);
void recorded_time_done(struct recorded_time *recorded);

/*
 * Leaves out what came since, and the window that starts where the range ends: values must not be
 * of more time than what they are divided by.
 */
void recorded_time_clip(const struct recorded_time *recorded, struct store_question *question);

/*
 * From now on windows start where the store found them to, at the points' edges: a collector that
 * is short of time makes longer ones than a second. The rows must outlive it, or its last use.
 */
void recorded_time_learn(struct recorded_time *recorded, const struct store_grid *grid,
			 const struct store_rows *rows);

/*
 * How many ms were recorded by the windows that start in [from_ms, to_ms): the store counts a
 * window where it starts, so that is what its values are divided by.
 */
int64_t recorded_time_ms(const struct recorded_time *recorded, int64_t from_ms, int64_t to_ms);

/* "gaps":[{"from_ms":…,"to_ms":…,"reason":"host_off"}], the key too. */
struct json_writer;
void recorded_time_write_gaps(const struct recorded_time *recorded, struct json_writer *json);

static inline void recorded_time_cleanup(struct recorded_time *recorded)
{
	recorded_time_done(recorded);
}
