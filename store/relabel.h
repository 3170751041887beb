/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "store/batch.h"

/*
 * Changes a batch before it is stored: its samples get other labels, go, or give way to fewer that
 * weigh as much.
 */
enum { RELABEL_COUNT_MAX = 64 /* labels of a series, and of a sample: what a batch takes */ };

/* Samples of one series with the same labels; what the caller makes of them. */
struct relabelling {
	struct str type; /* stays */
	struct label series[RELABEL_COUNT_MAX];
	size_t series_count;
	struct label sample[RELABEL_COUNT_MAX];
	size_t sample_count;
	uint64_t samples; /* how many there are */
	bool is_changed;  /* labels are others now; else they stay as they lie */
	bool is_dropped;
	uint64_t one_of; /* 1: all stay; n: one of n stays, and weighs as much as these */
};

/* Texts are the batch's, until it returns; what it puts in their place must live on as long as the
 * call of batch_relabel(). */
typedef void relabel(void *context, struct relabelling *samples);

/*
 * Asks it once for each. Where one of n samples stays, the sum of the values of a series stays
 * exactly what it was, and the share of a stack is off by less than one of those samples, since
 * they are taken at equal distances of what the series is worth; phase says where the first lies
 * between two, and should not be the same in each batch. -ENOMEM, -E2BIG, and then the batch is of
 * no use.
 */
int batch_relabel(struct batch *batch, relabel *ask, void *context, uint32_t phase);
