/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#define DOCTOR_HELP "tell whether this host can be profiled, and what to do where not"

/*
 * hearth doctor [--json] [OPTIONS]: looks at the kernel, the rights of who asks, the data folder,
 * the port, and the server that runs, if one does; options are those of `hearth run`. A line for
 * each, with what to do below it. Changes nothing. Returns the exit code of the process: 0 when all
 * is well, 1 with warnings, 2 when something keeps Hearth from its work; 64, 78 for wrong arguments
 * and settings.
 */
int doctor_main(int argument_count, const char *const *arguments);
