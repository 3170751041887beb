/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#define STORE_TOOL_HELP "look after the stored profiles: status, verify, backup"

/*
 * hearth store status | verify | backup DIR [OPTIONS]: on a stopped store as well as on one that a
 * server uses, which is then asked over its port. Returns the exit code of the process: 0; 1 when
 * something is damaged; 64 for wrong arguments; 69 when the server does not answer; 73, 74 when
 * files can't be written or read; 78 for wrong settings.
 */
int store_tool_main(int argument_count, const char *const *arguments);
