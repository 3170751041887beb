/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdint.h>

#include "base/table.h"
#include "store/array.h"
#include "store/forest.h"
#include "store/naming.h"
#include "store/store.h"

/*
 * Modules, with what ran in each and how much of that has names. Summed up segment by segment, as
 * functions are (store/function_table.h). One thread at a time.
 */
struct module_sum {
	struct identity identity;
	uint8_t kind;  /* enum build_kind; 0: what came with its names */
	uint32_t path; /* text of the naming */
	uint64_t self;
	uint64_t named;
};

struct module_table {
	struct naming *naming;
	ARRAY(struct module_sum) sums;
	struct table table;
	uint64_t total;
};

void module_table_init(struct module_table *modules, struct naming *naming);
void module_table_done(struct module_table *modules);

/* Adds a segment's stacks, whose totals are added up. */
int module_table_add(struct module_table *modules, const struct catalog *catalog,
		     const struct tree *tree, const struct forest *forest);

/* The heaviest. */
int module_table_lay_out(const struct module_table *modules, uint32_t limit, struct modules *ret);
