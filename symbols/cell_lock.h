/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "symbols/cell.h"

/*
 * Gives up, for good and for all that is forked from here, what a reader of files needs not: see
 * symbols/cell.h. The descriptors that stay are the caller's business.
 */

/* Of the process that forks cells: capabilities, new privileges, being traced. */
int cell_lock_warden(void);

/*
 * Of a cell: everything else. Where the kernel, or the container we are in, lets nobody filter
 * calls, what else there is must do: then *ret_is_filtered is false, and the cell has a network and
 * a file system of its own with nothing in them, if such can be had.
 */
int cell_lock(const struct cell_limits *limits, bool *ret_is_filtered);

/* Whether calls can be filtered here: 0, or why not. Forks. */
int cell_lock_probe(void);
