/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <sys/types.h>

/*
 * Makes the folder with this mode, and those above it that are not there with 0755. *ret_made says
 * whether the last one is new; one that was there keeps its mode. Negative errno.
 */
int folder_make(const char *path, mode_t mode, bool *ret_made);

/* Removes it with all that is in it, as far as that can be done; follows no links. */
void folder_remove(const char *path);
