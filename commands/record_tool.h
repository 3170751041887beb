/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#define RECORD_TOOL_HELP "profile one command, and what it starts, into a file; no server is needed"

/*
 * hearth record [--format pprof|folded] [--output FILE] [OPTIONS] -- COMMAND [ARGUMENT...]: runs a
 * collector and a server of its own in a folder that goes when it ends, then the command, and
 * writes what was sampled of it. Returns the exit code of the command, as a shell tells it; 64, 78
 * for wrong arguments and settings; 69 when this host can't be profiled or the server is of no
 * help; 73 when the file can't be written; 126, 127 when the command can't be started.
 */
int record_tool_main(int argument_count, const char *const *arguments);
