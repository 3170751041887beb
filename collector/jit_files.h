/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdint.h>

#include "base/window.h"

struct processes;

/*
 * What processes write about the code that they make for themselves. The collector opens it and
 * hands it over; it looks no further than at what a name and a first line or word tell.
 */
enum {
	/* As enum jit_file_kind of symbols/jit_reader.h, which the collector does not use. */
	JIT_FILES_PERF_MAP = 1,
	JIT_FILES_JITDUMP = 2,
};

/*
 * Opens it for reading: the jitdump that the process has mapped, jit-PID.dump, else
 * /tmp/perf-PID.map in its own root, PID being the process's own. Only regular files that belong to
 * the process's user or to root, begin as such files do, and are on no file system of a user
 * (FUSE). -ENOENT when there is none.
 */
int jit_files_open(struct processes *processes, const struct process_key *key, uint8_t *ret_kind,
		   int *ret_fd);
