/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "base/settings.h"

/*
 * hearth serve: opens the store and the symbols, listens for the collector and for HTTP, until
 * SIGTERM; SIGHUP reads the settings again. Returns the exit code of the process: 0, 69 when
 * something it needs is taken or missing, 78 when a setting makes no sense. What went wrong was
 * said in one line.
 */
int serve_main(const struct settings *settings);
