/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "base/settings.h"

/*
 * hearth collect: loads the programs, attaches, gives its rights up, and ships a window a second
 * until SIGTERM. Returns the exit code of the process: 0, 69 when it has not the rights or the
 * kernel not the means (said in one line), 75 when it wants to be started again (a CPU came
 * online).
 */
int collect_main(const struct settings *settings);

/*
 * Whether this process could load BPF programs here, tried by doing so: 0, or a negative errno with
 * a sentence in reterr that says what is missing and what to do.
 */
enum { COLLECT_ERROR_SIZE = 256 };
int collect_probe(char reterr[static COLLECT_ERROR_SIZE]);
