/* SPDX-License-Identifier: Apache-2.0 */
#include "web/time_range.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>

#include "base/clock.h"
#include "base/parse.h"

/* Of a wrong text; the JSON writer makes it harmless. */
enum { QUOTED_SIZE_MAX = 32 };

static int refuse(struct str text, char reterr[static TIME_RANGE_ERROR_SIZE])
{
	int size = text.size > QUOTED_SIZE_MAX ? QUOTED_SIZE_MAX : (int)text.size;

	snprintf(reterr, TIME_RANGE_ERROR_SIZE,
		 "'%.*s' is not a time: give ms since the epoch, 'now', or 'now-15m' "
		 "(units ms, s, m, h, d, w)",
		 size, text.text ? text.text : "");
	return -EINVAL;
}

int time_range_parse_time(struct str text, int64_t now_ms, int64_t *ret_ms,
			  char reterr[static TIME_RANGE_ERROR_SIZE])
{
	struct str before = STR("now-");
	int64_t absolute_ms;
	uint64_t back_ns;

	assert(now_ms >= 0 && now_ms <= TIME_RANGE_MS_MAX);
	if (str_equal(text, STR("now"))) {
		*ret_ms = now_ms;
		return 0;
	}
	if (str_starts_with(text, before)) {
		struct str duration = { text.text + before.size, text.size - before.size };

		if (parse_duration_ns(duration, &back_ns))
			return refuse(text, reterr);

		int64_t back_ms = (int64_t)(back_ns / CLOCK_NS_PER_MS);

		*ret_ms = back_ms < now_ms ? now_ms - back_ms : 0;
		return 0;
	}
	if (parse_i64(text, &absolute_ms) || absolute_ms < 0 || absolute_ms > TIME_RANGE_MS_MAX)
		return refuse(text, reterr);
	*ret_ms = absolute_ms;
	return 0;
}

int time_range_parse(struct str from, struct str to, int64_t now_ms, struct time_range *ret,
		     const char **ret_parameter, char reterr[static TIME_RANGE_ERROR_SIZE])
{
	struct time_range range;

	*ret_parameter = "from";
	if (time_range_parse_time(from.text ? from : STR("now-15m"), now_ms, &range.from_ms,
				  reterr))
		return -EINVAL;
	*ret_parameter = "to";
	if (time_range_parse_time(to.text ? to : STR("now"), now_ms, &range.to_ms, reterr))
		return -EINVAL;
	if (range.from_ms > range.to_ms) {
		*ret_parameter = "from";
		snprintf(reterr, TIME_RANGE_ERROR_SIZE, "it is later than 'to'");
		return -EINVAL;
	}
	*ret = range;
	return 0;
}
