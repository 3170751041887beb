/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct deletion_rules;
struct span;

/*
 * Writes a closed span file anew without what was deleted. Blocks, trees and runs of other services
 * are copied as they are. Of a service of which something stays, its tree does; words that only the
 * deleted series had become others, and every number stays what it was.
 *
 * Of a chronicle lists and runs go by the rules by which readers leave them out; pieces that these
 * do not tell exactly go as a whole where their samples are there, and are rolled up again.
 */
struct remove_options {
	const struct span *from; /* closed; it is only read */
	const char *to;		 /* made anew, synced, and of no use after an error */
	const struct deletion_rules *rules;
	uint64_t clean_until; /* of them the last */
	/* Of a chronicle: spans that are there, whose pieces can be made anew. */
	const uint64_t *identities;
	uint32_t identity_count;
	atomic_bool *cancel;
};

struct removal {
	bool is_clean; /* there was nothing to remove, and nothing was written */
	bool is_empty; /* nothing is left, and nothing was written */
	uint64_t samples;
};

/* -ECANCELED; -EOPNOTSUPP: it holds segments that could not be settled, and stays as it is. */
int remove_deleted(const struct remove_options *options, struct removal *ret);
