/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#define EXPORT_TOOL_HELP "profiles of a time into a file, for other programs and hosts"
#define IMPORT_TOOL_HELP "profiles of other hosts and programs into the store"

/*
 * hearth export [OPTIONS], hearth import FILE [OPTIONS]: on a store that a server uses, which is
 * then asked over its port, and on a stopped one. Return the exit code of the process: 0; 64 for
 * wrong arguments; 65 for a file that is none of ours or damaged; 66 when there is no store or no
 * such file; 69 when the server does not answer or refuses; 73, 74 when a file can't be written; 78
 * for wrong settings.
 */
int export_tool_main(int argument_count, const char *const *arguments);
int import_tool_main(int argument_count, const char *const *arguments);
