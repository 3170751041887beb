/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdatomic.h>
#include <stdint.h>

/*
 * Joining: a closed span file is written anew as soon as nothing else is to be done, with a tree
 * for many segments of a service instead of one for each. Nothing is lost by it: times, processes
 * and threads stay as they were, and so does every node. Blocks only name their nodes by the
 * numbers of the tree that they share. What compacting (store/compact.h) makes of it some hours
 * later is the same as of what it was made of.
 *
 * A tree says from which segment on it holds, up to the service's next one; the first is of segment
 * 0. Most services have one: the trees that become one have no more nodes together than a question
 * reads at once, unless the first of them has more.
 */
struct join_options {
	const char *from;	 /* a closed span file; it is only read */
	const char *to;		 /* is made anew, synced, and of no use after an error */
	int64_t finished_ms;	 /* when that was sealed, ms since the epoch */
	uint32_t node_count_max; /* of the trees that become one */
	atomic_bool *cancel;
};

/* -ECANCELED; -EOPNOTSUPP: it holds segments that could not be settled, and stays as it is. */
int join_span(const struct join_options *options);
