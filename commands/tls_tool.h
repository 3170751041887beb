/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#define TLS_TOOL_HELP "a certificate of its own, for a quick start: self-signed"

/*
 * hearth tls self-signed [--name NAME,…] [--days N] [OPTIONS]: makes a key and a certificate in the
 * data folder, and says how to use them. Returns the exit code of the process: 0; 64 for wrong
 * arguments; 73 when they can't be written or are there; 78 for wrong settings.
 */
int tls_tool_main(int argument_count, const char *const *arguments);
