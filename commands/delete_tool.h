/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#define DELETE_TOOL_HELP "take a service's profiles, or a label set's, out of the store for ever"

/*
 * hearth delete [SELECTOR] [--type TYPE] [--from TIME] [--to TIME] [--yes] [OPTIONS]: asks the
 * server that runs on this host, over its unix socket. Without a selector what was deleted is
 * listed. Returns the exit code of the process: 0; 1 when the server refuses or the person does;
 * 64 for wrong arguments; 69 when the server does not answer; 78 for wrong settings.
 */
int delete_tool_main(int argument_count, const char *const *arguments);
