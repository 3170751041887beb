/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

/*
 * Compacting: a closed span file, some hours after it was full, is written anew: one tree for each
 * service instead of one for each ten minutes, light nodes folded, times in slices of ten seconds.
 * Which process and thread each sample came from goes; what stays of it, for ever, is who used how
 * much in each minute, without threads.
 */
enum {
	COMPACT_FOLD_DEFAULT = 4,
	COMPACT_SLICE_MS = 10000,
	COMPACT_MINUTE_MS = 60000,
};

struct compact_options {
	const char *from;    /* a closed span file; it is only read */
	const char *to;	     /* is made anew, synced, and of no use after an error */
	int64_t finished_ms; /* when that was sealed, ms since the epoch */
	uint32_t fold;	     /* nodes of fewer samples than this (store/braid.h); 1: none */
	atomic_bool *cancel;
};

/* -ECANCELED; -EOPNOTSUPP: it holds segments that could not be settled, and stays as it is. */
int compact_span(const struct compact_options *options);
