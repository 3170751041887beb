/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "store/chronicle.h"
#include "store/live.h"
#include "store/span.h"

/*
 * Rolling up: what a settled segment, or a compact span, sums to goes into a chronicle as one more
 * piece, in one transaction.
 *
 * Light nodes are folded (TREE_FOLDED): a node stays when it has ROLL_SAMPLES and a 20,000th of its
 * service's samples of a type in the piece (a 50,000th of the host's in the host's tree), or of
 * their values where these are given. A quiet service, and a quiet host, keep every node. So totals
 * of roots are exact, and a node's total is too low by less than these shares, never too high; what
 * is missing stands in its ancestors' folded children.
 */
enum {
	ROLL_SAMPLES = 4,
	ROLL_SERVICE_SHARE = 20000,
	ROLL_HOST_SHARE = 50000,
	/* Samples of a type in a piece: so few have few nodes, and each may be looked for. */
	ROLL_SERVICE_QUIET = 1000,
	ROLL_HOST_QUIET = 20000,
	ROLL_SLICE_MS = 600000, /* of the activity */
};

struct roll_options {
	struct span *from;	       /* with a reference; compact when all of it is meant */
	const struct segment_row *row; /* a settled segment; NULL: all of the span */
	const char *to;		       /* the chronicle's file, which nobody else writes */
	const atomic_bool *cancel;
};

/*
 * *ret: the piece, committed; names of samples' own labels in it are added to labels. -E2BIG: the
 * chronicle is full. -ECANCELED, -ENOSPC and others: as if nothing had been done.
 * *ret_is_chronicle: which of the files an error is about.
 */
int roll_up(const struct roll_options *options, struct piece *ret, struct pool *labels,
	    bool *ret_is_chronicle);
