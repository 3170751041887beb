/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdint.h>

#include "base/str.h"

/* Times as people and programs ask for them: ms since the epoch, now, now-15m. */
enum {
	TIME_RANGE_ERROR_SIZE = 160,
};

/* The last ms of the year 9999; no profile is younger. */
#define TIME_RANGE_MS_MAX INT64_C(253402300799999)

struct time_range {
	int64_t from_ms;
	int64_t to_ms; /* both inclusive */
};

/* -EINVAL with a sentence in reterr. Before the epoch is the epoch. */
int time_range_parse_time(struct str text, int64_t now_ms, int64_t *ret_ms,
			  char reterr[static TIME_RANGE_ERROR_SIZE]);

/* Absent texts (a NULL text) mean now-15m and now. *ret_parameter names the wrong one. */
int time_range_parse(struct str from, struct str to, int64_t now_ms, struct time_range *ret,
		     const char **ret_parameter, char reterr[static TIME_RANGE_ERROR_SIZE]);
