/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#define TOKEN_TOOL_HELP "who may ask from elsewhere: new, list, revoke"

/*
 * hearth token new NAME [--role ROLE] [--ends TIME] | list | revoke NAME [OPTIONS]. A new token is
 * printed once and kept as a hash; a server that runs knows of a change within a second. Returns
 * the exit code of the process: 0; 64 for wrong arguments; 65 for a file of tokens that is no good;
 * 73 when it can't be written; 78 for wrong settings.
 */
int token_tool_main(int argument_count, const char *const *arguments);
