/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>

/*
 * Whether the file is one of a file system that a program serves: all that such a file says of
 * itself is what that program likes, and reading it may take as long. True as well where nothing
 * tells.
 */
bool fuse_serves(int fd);
