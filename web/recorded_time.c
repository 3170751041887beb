/* SPDX-License-Identifier: Apache-2.0 */
#include "web/recorded_time.h"

#include <assert.h>
#include <stdbool.h>

#include "base/window.h"
#include "web/json_writer.h"

int recorded_time_init(struct recorded_time *recorded, struct store *store, int64_t from_ms,
		       int64_t to_ms)
{
	struct store_status status;
	struct store_gaps gaps;

	assert(from_ms <= to_ms);

	int err = store_gaps(store, from_ms, to_ms, &gaps);

	if (err)
		return err;
	store_status(store, &status);
	*recorded = (struct recorded_time){
		.from_ms = from_ms,
		.to_ms = to_ms,
		.oldest_ms = status.oldest_ms,
		.newest_ms = status.newest_ms,
		.gaps = gaps,
	};
	return 0;
}

void recorded_time_done(struct recorded_time *recorded)
{
	if (recorded->gaps.gaps)
		store_gaps_done(&recorded->gaps);
	*recorded = (struct recorded_time){ 0 };
}

void recorded_time_clip(const struct recorded_time *recorded, struct store_question *question)
{
	bool is_newer = recorded->newest_ms > recorded->to_ms;
	int64_t last_ms = (is_newer ? recorded->to_ms : recorded->newest_ms) - 1;

	if (question->to_unix_ms > last_ms && last_ms >= question->from_unix_ms)
		question->to_unix_ms = last_ms;
}

void recorded_time_learn(struct recorded_time *recorded, const struct store_grid *grid,
			 const struct store_rows *rows)
{
	recorded->grid = *grid;
	recorded->rows = rows;
}

enum {
	/* The collector's windows, one behind the other (collector/collect.c), as they should be.
	 */
	WINDOW_MS = 1000,
	/* Longer ones are nobody's but senders' of profiles, or merged. */
	WINDOW_MS_MAX = 10000,
};

/*
 * When the first window starts at or after a time, which begins a point: they follow each other, so
 * that is also where the one before ends. False when it is not known.
 */
static bool find_window(const struct recorded_time *recorded, int64_t ms, int64_t *ret)
{
	const struct store_grid *grid = &recorded->grid;
	int64_t since_ms;

	if (!recorded->rows || grid->point_count == 0)
		return false;
	/* Points hold the time up to them, from 1 ms behind the one before. */
	since_ms = ms - (grid->first_ms + 1 - grid->step_ms);
	if (since_ms < 0)
		return false;
	if (since_ms % grid->step_ms == 0)
		for (int64_t i = since_ms / grid->step_ms; i < (int64_t)grid->point_count; i++)
			if (recorded->rows->starts[i] != INT64_MAX) {
				*ret = recorded->rows->starts[i];
				return true;
			}
	*ret = recorded->rows->end_ms;
	return *ret >= ms && *ret - ms < WINDOW_MS_MAX;
}

/* A time without gaps. */
struct stretch {
	int64_t start_ms;
	int64_t end_ms;
	bool starts_in_range; /* with a window, then; else it is the end that we can count from */
};

/* How long the windows of a stretch are that start at or after a time. */
static int64_t windows_ms_from(const struct recorded_time *recorded, const struct stretch *stretch,
			       int64_t ms)
{
	int64_t all_ms = stretch->end_ms - stretch->start_ms;
	int64_t window_ms = 0;

	assert(all_ms > 0);
	if (ms <= stretch->start_ms)
		return all_ms;
	if (ms >= stretch->end_ms)
		return 0;
	if (find_window(recorded, ms, &window_ms))
		return window_ms < stretch->end_ms ? stretch->end_ms - window_ms : 0;
	if (!stretch->starts_in_range)
		return (stretch->end_ms - ms) / WINDOW_MS * WINDOW_MS;

	int64_t before_ms = (ms - stretch->start_ms + WINDOW_MS - 1) / WINDOW_MS * WINDOW_MS;

	return all_ms > before_ms ? all_ms - before_ms : 0;
}

int64_t recorded_time_ms(const struct recorded_time *recorded, int64_t from_ms, int64_t to_ms)
{
	int64_t start_ms = recorded->oldest_ms;
	int64_t sum_ms = 0;

	assert(from_ms <= to_ms);
	for (size_t i = 0; i <= recorded->gaps.count; i++) {
		bool is_last = i == recorded->gaps.count;
		/* As if nothing were recorded from the end on. */
		struct store_gap end = { recorded->newest_ms, recorded->newest_ms, GAP_NONE };
		const struct store_gap *gap = is_last ? &end : &recorded->gaps.gaps[i];
		struct stretch stretch = {
			.start_ms = start_ms,
			.end_ms = gap->from_unix_ms,
			.starts_in_range = start_ms >= recorded->from_ms,
		};

		if (stretch.end_ms > stretch.start_ms) {
			int64_t part_ms = windows_ms_from(recorded, &stretch, from_ms) -
					  windows_ms_from(recorded, &stretch, to_ms);

			/* One of the two may be known, and the other one guessed. */
			sum_ms += part_ms > 0 ? part_ms : 0;
		}
		if (gap->to_unix_ms > start_ms)
			start_ms = gap->to_unix_ms;
	}
	assert(sum_ms >= 0);
	return sum_ms;
}

static const char *reason_text(uint8_t reason)
{
	static const char *const texts[GAP_REASON_COUNT] = {
		[GAP_NONE] = "not_running",    [GAP_NOT_RUNNING] = "not_running",
		[GAP_SUSPENDED] = "suspended", [GAP_STOPPED] = "stopped",
		[GAP_HOST_OFF] = "host_off",   [GAP_GIVEN_UP] = "given_up",
	};

	return reason < GAP_REASON_COUNT ? texts[reason] : texts[GAP_NONE];
}

void recorded_time_write_gaps(const struct recorded_time *recorded, struct json_writer *json)
{
	json_key(json, "gaps");
	json_begin_array(json);
	for (size_t i = 0; i < recorded->gaps.count; i++) {
		const struct store_gap *gap = &recorded->gaps.gaps[i];

		json_begin_object(json);
		json_key(json, "from_ms");
		json_i64(json, gap->from_unix_ms);
		json_key(json, "to_ms");
		json_i64(json, gap->to_unix_ms);
		json_key(json, "reason");
		json_text(json, str_from(reason_text(gap->reason)));
		json_end_object(json);
	}
	json_end_array(json);
}
