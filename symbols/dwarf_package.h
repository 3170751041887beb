/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdint.h>

enum {
	/* Of what is cut out: names of all units go with each, since they are shared. */
	DWARF_PACKAGE_CUT_SIZE_MAX = 96 << 20,
};

/*
 * A .dwp file holds many .dwo files (-gsplit-dwarf), whose sections are put behind each other, and
 * an index of them, version 2 (GNU's, of DWARF 4) or 5. Makes a file in memory that is the one of
 * this id, for libdw, of which 0.188 knows no packages. -ENODATA when this is no package, -ENOENT
 * when it has none of this id or makes no sense, -EFBIG, -ENOMEM. Foreign: in a cell.
 */
int dwarf_package_cut(int fd, uint64_t id, int *ret_fd);
