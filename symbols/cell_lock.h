/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "symbols/cell.h"

/*
 * Gives up, for good and for all that is forked from here, what a reader of files needs not: see
 * symbols/cell.h. The descriptors that stay are the caller's business.
 */

/* Of the process that forks cells: capabilities, new privileges, being traced. */
int cell_lock_warden(void);

/* Of a cell: everything else. */
int cell_lock(const struct cell_limits *limits);
