/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdint.h>

#include "base/str.h"

/*
 * Times as Pyroscope's oldest calls take them, in which every text means some time. Digits alone:
 * YYYYMMDD when eight make a date, else ms (13), µs (16), ns (19) or seconds since the epoch. Else
 * "now" with what is added or taken off: now-1h, now-1h30m, now+5m; units s m min h d w M mon y,
 * where a month has 30 days and a year 365. '_', ',' and spaces don't count, words that are not
 * known mean now, and nothing at all is now. Never before the epoch, nor beyond the year 9999.
 */
int64_t attime_parse(struct str text, int64_t now_ms);
