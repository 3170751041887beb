/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Of a source file, with its NUL; what is longer stays as it is. */
enum { LINE_PATH_SIZE_MAX = 4096 };

/*
 * Takes "." and, where a folder stands before it, ".." out of a path, in place: "./a/../b//c"
 * becomes "b/c". Without asking the disk, where the source need not be.
 */
void line_path_clean(char *path);
