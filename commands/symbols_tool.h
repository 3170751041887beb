/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#define SYMBOLS_TOOL_HELP "which names there are and are missing; upload, remove"

/*
 * hearth symbols [upload FILE… | remove BUILDID…] [OPTIONS]: asks the server that runs on this
 * host, over its port. Returns the exit code of the process: 0; 1 when a file was refused or
 * something is not there; 64 for wrong arguments; 66 when a file can't be read or is of no use; 69
 * when the server does not answer; 78 for wrong settings.
 */
int symbols_tool_main(int argument_count, const char *const *arguments);
