/* SPDX-License-Identifier: Apache-2.0 */
#include "web/recorded_time.h"

#include <assert.h>

#include "base/window.h"
#include "web/json_writer.h"

int recorded_time_init(struct recorded_time *recorded, struct store *store, int64_t from_ms,
		       int64_t to_ms)
{
	struct store_status status;
	struct store_gaps gaps;
	int err = store_gaps(store, from_ms, to_ms, &gaps);

	if (err)
		return err;
	store_status(store, &status);
	*recorded = (struct recorded_time){
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

/* The part of [from, to) that lies in [first, last). */
static int64_t overlap_ms(int64_t from, int64_t to, int64_t first, int64_t last)
{
	int64_t start = from > first ? from : first;
	int64_t end = to < last ? to : last;

	return end > start ? end - start : 0;
}

int64_t recorded_time_ms(const struct recorded_time *recorded, int64_t from_ms, int64_t to_ms)
{
	int64_t ms = overlap_ms(from_ms, to_ms, recorded->oldest_ms, recorded->newest_ms);

	for (size_t i = 0; i < recorded->gaps.count; i++) {
		const struct store_gap *gap = &recorded->gaps.gaps[i];

		ms -= overlap_ms(from_ms, to_ms, gap->from_unix_ms, gap->to_unix_ms);
	}
	return ms > 0 ? ms : 0;
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
