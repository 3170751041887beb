/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Files that a test has made by the tools of its users: compilers, strip, objcopy. Both return 0,
 * or -1 after a word about what went wrong.
 */

/* Writes ROOT/NAME. */
int script_write(const char *root, const char *name, const char *text);

/* Writes the script to ROOT/NAME and runs it by sh, with the root and more as its arguments. What
 * it says is shown when it fails. */
int script_run(const char *root, const char *name, const char *script, const char *more);
