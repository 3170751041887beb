/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "base/identity.h"
#include "base/str.h"

/*
 * Separate debug files by build id, as packages with debug symbols install them and gdb looks for
 * them: FOLDER/.build-id/ab/cdef….debug. Several folders, by colons, the first that has one counts.
 */
#define DEBUG_FOLDERS_DEFAULT "/usr/lib/debug"

/*
 * Opens the one of this build id, when there is one: -ENOENT, also for identities of other kinds.
 * Only regular files, which may be symbolic links; never waits for what is none.
 */
int debug_folder_open(const char *folders, const struct identity *identity, int *ret_fd);

/*
 * The debug file that another file names, which is open: beside it, in .debug beside it, or below
 * one of the folders where it would lie by its own path. place counts these from 0; -ENOENT where
 * there is none, -ERANGE beyond the last. Whether it is the right one is for the caller to see.
 */
int debug_folder_open_linked(const char *folders, int fd, struct str name, uint32_t place,
			     int *ret_fd);

/*
 * The same for what debug files share (dwz): by build id, else by its base name as packages install
 * it, FOLDER/.dwz/NAME or FOLDER/.dwz/SOMETHING/NAME. Whether it is the right one is for the caller
 * to see.
 */
int debug_folder_open_shared(const char *folders, const struct identity *identity, struct str name,
			     int *ret_fd);

/*
 * A .dwo file, by the whole path at which a compiler put it: there, beside the file that names it,
 * which is open (-1: it is not), or below one of the folders; and, first, the package of all of
 * them, beside that file as well (PROGRAM.dwp). place counts these from 0; -ENOENT where there is
 * none, -ERANGE when there are no more places.
 */
int debug_folder_open_split(const char *folders, int fd, struct str name, uint32_t place,
			    int *ret_fd);
