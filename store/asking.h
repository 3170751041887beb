/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdint.h>

#include "store/store_private.h"

/* What all questions have in common before and after they read. */

/* How it reads stacks. */
struct asking_way {
	bool keeps_all;		/* nothing is cut before it is merged */
	bool walks;		/* all of it is seen, and summed by function */
	bool counts;		/* none: it adds up who used how much, and when */
	bool groups;		/* … by labels, of which there may be as many as processes */
	bool in_parts;		/* large settled segments some services after the others */
	enum chronicle_use use; /* of roll-ups */
};

/*
 * How many nodes there are at the most that a question for stacks keeps, if it keeps all and reads
 * no roll-ups.
 */
uint64_t asking_nodes(struct store *store, const struct store_question *asked);

/*
 * What a question will take, at the most and by experience. One for stacks: two nodes a sample of
 * its largest segment, the tree of a chronicle, and what is kept of all. One that counts: words of
 * files, and what it makes of series and labels that occur together.
 */
uint64_t asking_estimate(struct store *store, const struct store_question *asked,
			 struct asking_way way);

/* Waits for that much; leaves through ret what asking_leave() gives back. -ETIMEDOUT. */
int asking_enter(struct store *store, const struct store_question *asked, struct asking_way way,
		 uint64_t *ret);
void asking_leave(struct store *store, uint64_t taken);

/* Whether to go on: -ETIMEDOUT beyond the deadline, -ECANCELED when whoever asked is gone. */
int asking_check(const struct store_question *asked);

/* What reading cost, added to the asker's figures. */
void asking_note(const struct store_question *asked, uint32_t spans, uint64_t pieces,
		 uint64_t bytes);
