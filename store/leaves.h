/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "store/catalog.h"
#include "store/store.h"
#include "store/tree.h"

/*
 * Leaves lowered to their functions: where in a function a sample was taken makes a stack of its
 * own of nearly every sample, and nobody can see it where no lines are known. So a leaf becomes the
 * start of its function when its segment is settled, unless that would take something away: a leaf
 * whose module has lines, or may have some that were not read yet, or waits for its names, stays
 * where it is, and so does one whose function is not known.
 */
struct leaf_source {
	struct symbols *symbols; /* or NULL */
	store_leaf_start *start; /* in place of symbols, or NULL */
	void *context;
};

/*
 * Gives the leaves that can be lowered their new locations, which are added when they are not
 * there; each location of the tree is there once before and after. Nodes of one parent may have the
 * same location then, one of them with children at most. -ENOMEM, -ENOSPC.
 */
int leaves_lower(const struct leaf_source *source, const struct catalog *catalog,
		 struct tree *tree);
