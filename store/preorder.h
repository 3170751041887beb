/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdint.h>

#include "store/array.h"
#include "store/tree.h"

/*
 * The order in which the nodes of a segment that is settled are written: service by service, each
 * in preorder, children by (build, address) of their location. Nodes with the same parent and the
 * same location, as leaves that were lowered may be, become one.
 */
struct preorder_service {
	uint32_t text;
	uint32_t root;	/* number in arrival order */
	uint32_t first; /* nodes [first, end) in preorder */
	uint32_t end;
};

struct preorder {
	uint32_t node_count; /* in arrival order */
	uint32_t *locations; /* by node in preorder, … */
	uint16_t *ups;	     /* … and by how many levels its parent lies above the one before */
	uint32_t *places;    /* by node in arrival order: in preorder */
	ARRAY(struct preorder_service) services;
};

/*
 * The tree's locations are numbered anew, in their order: by build and address, behind the reserved
 * ones. text_count: roots have texts for locations. -EBADMSG: not a segment's tree; -ENOMEM.
 */
int preorder_find(struct tree *tree, uint32_t text_count, struct preorder *ret);

/* When nodes are not spoken of by their numbers in arrival order any more. */
void preorder_forget_places(struct preorder *preorder);

/* Also after an error. */
void preorder_done(struct preorder *preorder);
