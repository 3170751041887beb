/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#define DECODE_TOOL_HELP "what is in a captured request of OpenTelemetry's profiles"

/*
 * hearth decode FILE: prints revision, tables, profiles and samples of a request, and what is wrong
 * with it. It may be framed by gRPC or by the Collector's file exporter, packed by gzip or zstd,
 * and protobuf or JSON; "-" is standard input. Returns the exit code of the process: 0; 64 for
 * wrong arguments; 65 for what is no such request; 66 for a file that can't be read.
 */
int decode_tool_main(int argument_count, const char *const *arguments);
