/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "base/str.h"

/*
 * Whether a process of this host still runs, as far as /proc tells. process: the label of that
 * name, PID.START.EXEC, whose start, in ms since boot, tells it from another that has its pid now.
 */
enum living {
	LIVING_UNKNOWN = 0, /* no such label, or /proc does not show processes of others */
	LIVING_RUNS = 1,
	LIVING_EXITED = 2,
};

enum living living_ask(struct str process);
