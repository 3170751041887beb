/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/str.h"
#include "web/pprof_reader.h"
#include "web/push_labels.h"

/*
 * What was mended of profiles that were pushed: counted by kind, and told in the log, so that who
 * looks after a program learns what it should send otherwise. First the kinds of pprof_reader.h,
 * then those of push_labels.h.
 */
enum { PUSH_REPAIR_COUNT = PPROF_REPAIR_COUNT + PUSH_LABEL_REPAIR_COUNT };

/* For /metrics. */
const char *push_repair_name(unsigned repair);

/* Which lines were written; zeros at first. Any thread. */
enum { PUSH_TOLD_COUNT = 64 };

struct push_told {
	_Atomic uint64_t marks[PUSH_TOLD_COUNT];
	_Atomic uint64_t lines; /* minute and how many there were in it */
};

/*
 * Whether a line is due: the same of one service once an hour, and so many a minute at most.
 * now_s: steady. What is remembered is little, so that it may be told twice.
 */
enum { PUSH_LINES_A_MINUTE_MAX = 10 };
bool push_repairs_due(struct push_told *told, struct str service, const uint64_t *repairs,
		      unsigned first, unsigned count, uint64_t now_s);

/* Appends "2 labels given twice, 1 sample type with a dash". */
struct buf;
void push_repairs_write(const uint64_t *repairs, unsigned first, unsigned count, struct buf *text);
