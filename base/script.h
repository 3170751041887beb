/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>

#include "base/str.h"

/*
 * The base name of the script, module or archive that an interpreter runs, out of its command line
 * (/proc/PID/cmdline: words, each ended by a NUL); "" when name is no interpreter's, or it runs
 * something given on the command line itself. Nothing else of a command line is ever looked at or
 * kept: they hold secrets. The answer is a slice of command_line.
 */
struct str script_of(struct str name, struct str command_line);

/* Whether it is: for others nobody need look at a command line. */
bool script_is_interpreter(struct str name);
