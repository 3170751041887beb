/* SPDX-License-Identifier: Apache-2.0 */
#include "store/leaves.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#include "base/cleanup.h"
#include "base/table.h"
#include "symbols/symbols.h"

struct lowering {
	const struct leaf_source *source;
	const struct catalog *catalog;
	struct tree *tree;
	struct symbol_module **modules; /* by build; held until the end */
	bool *asked;			/* by build */
	bool *waits;	    /* by build: its names, and maybe lines, are still to come */
	uint32_t *lowered;  /* by location: the new one, + 1 */
	struct table table; /* of the locations */
};

static void lowering_cleanup(struct lowering *lowering)
{
	uint32_t count = catalog_count(lowering->catalog, CATALOG_BUILD);

	for (uint32_t i = 0; lowering->modules && i < count; i++)
		if (lowering->modules[i])
			symbols_release(lowering->source->symbols, lowering->modules[i]);
	free(lowering->modules);
	free(lowering->asked);
	free(lowering->waits);
	free(lowering->lowered);
	table_done(&lowering->table);
}

/* ---- what symbols know ----------------------------------------------------------------------- */

static void ask_module(struct lowering *lowering, uint32_t number,
		       const struct catalog_build *build)
{
	struct symbols *symbols = lowering->source->symbols;
	struct symbols_description known;

	if (lowering->asked[number])
		return;
	lowering->asked[number] = true;
	lowering->modules[number] = symbols_acquire(symbols, &build->identity);
	if (lowering->modules[number])
		return;
	symbols_describe(symbols, &build->identity, &known);
	lowering->waits[number] = known.state != SYMBOLS_FAILED;
}

static bool find_start(struct lowering *lowering, uint32_t number,
		       const struct catalog_build *build, uint64_t address, uint64_t *ret)
{
	struct symbols *symbols = lowering->source->symbols;
	struct symbol_module *module = NULL;
	uint32_t function = SYMBOL_NONE;

	ask_module(lowering, number, build);
	module = lowering->modules[number];
	if (lowering->waits[number] || (module && symbols_may_have_lines(module, address)))
		return false;
	if (module)
		function = symbol_module_find(module, address);
	if (function == SYMBOL_NONE)
		return build->kind == BUILD_FILE &&
		       symbols_function_start(symbols, &build->identity, address, ret) &&
		       (!module || symbol_module_find(module, *ret) == SYMBOL_NONE);
	*ret = symbol_module_start(module, function);
	return symbol_module_find(module, *ret) == function;
}

/* ---- locations ------------------------------------------------------------------------------- */

struct place {
	uint32_t build;
	uint64_t address;
};

static uint64_t place_hash(struct place place)
{
	uint64_t hash = (place.address ^ place.build * UINT64_C(0x9e3779b97f4a7c15)) *
			UINT64_C(0xbf58476d1ce4e5b9);

	return hash ^ hash >> 32;
}

static bool place_equals(const void *context, uint32_t number, const void *key)
{
	const struct tree *tree = context;
	const struct place *wanted = key;

	return tree->addresses.items[number] == wanted->address &&
	       tree->builds.items[number] == wanted->build;
}

/* When the first leaf is lowered: where no names are known there is none. */
static int fill_table(struct lowering *lowering)
{
	const struct tree *tree = lowering->tree;
	int err = 0;

	for (uint32_t i = lowering->table.count; !err && i < tree->builds.count; i++)
		err = table_add(&lowering->table,
				place_hash((struct place){ tree->builds.items[i],
							   tree->addresses.items[i] }));
	return err;
}

static int64_t find_location(struct lowering *lowering, struct place place)
{
	uint64_t hash = place_hash(place);
	uint32_t found;
	int64_t number;
	int err = fill_table(lowering);

	if (err)
		return err;
	found = table_find(&lowering->table, hash, &place, place_equals, lowering->tree);
	if (found != TABLE_NONE)
		return found;
	number = tree_add_location(lowering->tree, place.build, place.address);
	if (number < 0)
		return number;
	err = table_add(&lowering->table, hash);
	return err ? err : number;
}

/* The location itself where there is no better one. */
static int64_t lower(struct lowering *lowering, uint32_t location)
{
	const struct leaf_source *source = lowering->source;
	struct place place = { lowering->tree->builds.items[location],
			       lowering->tree->addresses.items[location] };
	struct catalog_build build;
	uint64_t start = place.address;
	bool is_known;

	if (place.build == TREE_BUILD_NAMED)
		return location;
	build = catalog_build(lowering->catalog, place.build);
	if (build.kind != BUILD_FILE && build.kind != BUILD_KERNEL &&
	    build.kind != BUILD_KERNEL_MODULE)
		return location;
	is_known = source->start
			   ? source->start(source->context, &build.identity, place.address, &start)
			   : find_start(lowering, place.build, &build, place.address, &start);
	if (!is_known || start >= place.address)
		return location;
	place.address = start;
	return find_location(lowering, place);
}

static int lower_node(struct lowering *lowering, struct tree_node *node, uint32_t location_count)
{
	int64_t location = 0;

	if (node->parent == TREE_NO_PARENT || node->location < TREE_RESERVED_COUNT)
		return 0;
	assert(node->location < location_count);
	if (!lowering->lowered[node->location]) {
		location = lower(lowering, node->location);
		if (location < 0)
			return (int)location;
		lowering->lowered[node->location] = (uint32_t)location + 1;
	}
	node->location = lowering->lowered[node->location] - 1;
	return 0;
}

static int prepare(struct lowering *lowering)
{
	size_t build_count = catalog_count(lowering->catalog, CATALOG_BUILD);
	size_t location_count = lowering->tree->builds.count;

	lowering->modules = calloc(build_count + 1, sizeof(lowering->modules[0]));
	lowering->asked = calloc(build_count + 1, sizeof(lowering->asked[0]));
	lowering->waits = calloc(build_count + 1, sizeof(lowering->waits[0]));
	lowering->lowered = calloc(location_count + 1, sizeof(lowering->lowered[0]));
	table_init(&lowering->table, TREE_LOCATION_COUNT_MAX);
	return lowering->modules && lowering->asked && lowering->waits && lowering->lowered
		       ? 0
		       : -ENOMEM;
}

int leaves_lower(const struct leaf_source *source, const struct catalog *catalog, struct tree *tree)
{
	autoclean(lowering) struct lowering lowering = { .source = source,
							 .catalog = catalog,
							 .tree = tree };
	uint32_t location_count = tree->builds.count;
	autofree bool *has_children = NULL;
	int err;

	if (!source || (!source->symbols && !source->start))
		return 0;
	has_children = calloc((size_t)tree->nodes.count + 1, sizeof(has_children[0]));
	err = has_children ? prepare(&lowering) : -ENOMEM;
	for (uint32_t i = 0; !err && i < tree->nodes.count; i++)
		if (tree->nodes.items[i].parent != TREE_NO_PARENT)
			has_children[tree->nodes.items[i].parent] = true;
	for (uint32_t i = 0; !err && i < tree->nodes.count; i++)
		if (!has_children[i])
			err = lower_node(&lowering, &tree->nodes.items[i], location_count);
	return err;
}
