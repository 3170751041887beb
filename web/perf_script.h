/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>

#include "store/batch.h"
#include "web/pprof_reader.h"

/*
 * What `perf script` prints of a recording of perf's: a line for each sample, and under it a line
 * for each frame, leaf first, indented.
 *
 *   firefox 1234/1235 [003] 5123.456789:   10101010 cpu-clock:pppH:
 *           55d0c0ffee10 main+0x20 (/usr/bin/firefox)
 *
 * Clock events are CPU time, each of others a type of its own, perf:cycles:count:cycles:count, in
 * what perf counts of it. Programs, threads and their names become labels of samples.
 */

/* Whether it has the first lines of one. */
bool perf_script_begins(struct str text);

/*
 * Into one batch, at the origin's time, for as long as the samples' times say. -EBADMSG with the
 * line, -E2BIG beyond IMPORT_VALUE_COUNT_MAX samples or the batch's room, -ENOMEM.
 */
int perf_script_read(struct str text, const struct pprof_origin *origin, struct batch *batch,
		     struct pprof_summary *ret, char reterr[static PPROF_ERROR_SIZE]);
