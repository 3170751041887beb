/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>

#include "store/forest.h"
#include "store/naming.h"
#include "store/store.h"

/*
 * For what is summed up over the trees as they are stored, segment by segment, without merging them
 * into one (store/function_table.h, store/module_table.h).
 */
struct forest_walk {
	/* Once more when what was added is void. */
	void (*start)(void *context, struct naming *naming);
	/* Of a segment; totals are added up. */
	int (*add)(void *context, const struct catalog *catalog, const struct tree *tree,
		   const struct forest *forest);
	/* All is there; the naming goes afterwards. */
	int (*finish)(void *context);
	bool keeps_functions; /* has a sum for each function: there may be half a million */
	void *context;
};

int store_walk_forests(struct store *store, const struct store_question *asked,
		       const struct forest_walk *walk);
