/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#define STATUS_HELP "how the server that runs is: samples, losses, store, disk"

/*
 * hearth status [--json] [OPTIONS]: asks the server at --http and tells on one screen. Returns the
 * exit code of the process: 0 when all is well; 1 when it works, but something is to be looked at;
 * 2 when nothing comes in or nothing can be kept; 64, 78 for wrong arguments and settings; 69 when
 * no server answers.
 */
int status_main(int argument_count, const char *const *arguments);
