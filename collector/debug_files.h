/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "base/identity.h"
#include "base/str.h"

struct processes;

enum {
	/* Roots that are looked into for one file: containers of one image all have the same. */
	DEBUG_FILES_ROOT_COUNT_MAX = 16,
};

/*
 * Opens the debug file of a file that a process maps whose root is not ours, a container's, since
 * the server can't reach into that: usr/lib/debug/.build-id/ab/cdef….debug, or, by the name that
 * the file has for it (or ""), beside the file, in .debug there, or below usr/lib/debug. Only
 * regular files that begin as ELF files do, reached on the root's own file system, which is no
 * user's (FUSE); links lead within the root. Whether it is the right one is for the reader to see.
 *
 * Where another identity is wanted than that of the file, what its debug file shares with others by
 * dwz: by build id or, by its name, in usr/lib/debug/.dwz or an architecture's folder there.
 *
 * -ENOENT when there is none, -EXDEV when all who map the file have our root.
 */
int debug_files_open(struct processes *processes, const struct identity *identity,
		     const struct identity *wanted, struct str name, int *ret_fd);
