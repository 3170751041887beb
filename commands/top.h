/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#define TOP_HELP "what burns CPU now: processes and functions, in a terminal"

/*
 * hearth top [--once] [--services] [--range 30s] [OPTIONS]: asks the server at --http every two
 * seconds, until q or Ctrl-C; --once, or an output that is no terminal: writes one answer and ends.
 * Returns the exit code of the process: 0; 64, 78 for wrong arguments and settings; 69 when no
 * server answers.
 */
int top_main(int argument_count, const char *const *arguments);
