/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/clock.h"

struct span;
struct store;

/*
 * When a span that is written to is over, beside the first data of the next one: its time has
 * passed and nothing comes for it any more, it is large enough, or the clock was put back.
 */

/* What comes is for this span as long as no more time has passed since the last: data of the past,
 * from a collector that waited for its server or from an import, come by the hour a second. */
#define SPAN_QUIET_NS (UINT64_C(60) * CLOCK_NS_PER_S)

/* Remembers in the span when data came for it, from one call to the next. The writer's. */
bool span_is_over(struct store *store, struct span *span, int64_t now_unix_ms);
