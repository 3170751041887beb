/* SPDX-License-Identifier: Apache-2.0 */
#include "store/leaves.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#include "base/cleanup.h"
#include "base/table.h"
#include "symbols/symbols.h"

enum { LEAF = UINT32_MAX };

struct lowering {
	const struct leaf_source *source;
	const struct catalog *catalog;
	struct tree *tree;
	bool *has_children; /* by node */
	uint32_t *lowered;  /* by location: LEAF of a leaf's, then the new one, + 1 */
	uint32_t *leaves;   /* locations of leaves, those of a build together */
	uint32_t *starts;   /* by build: where its own end in leaves, once they are there */
	struct table table; /* of the locations */

	/* Of the build whose leaves are lowered. Only one is held at a time: to hold all modules of
	 * a host is to have all their files in memory. */
	struct symbol_module *module; /* or NULL */
	bool waits;		      /* its names, and maybe lines, are still to come */
};

static void lowering_cleanup(struct lowering *lowering)
{
	free(lowering->has_children);
	free(lowering->lowered);
	free(lowering->leaves);
	free(lowering->starts);
	table_done(&lowering->table);
}

/* ---- what symbols know ----------------------------------------------------------------------- */

static void hold_module(struct lowering *lowering, const struct catalog_build *build)
{
	struct symbols *symbols = lowering->source->symbols;
	struct symbols_description known;

	lowering->waits = false;
	lowering->module = symbols_acquire(symbols, &build->identity);
	if (lowering->module)
		return;
	symbols_describe(symbols, &build->identity, &known);
	lowering->waits = known.state != SYMBOLS_FAILED;
}

static bool find_start(const struct lowering *lowering, const struct catalog_build *build,
		       uint64_t address, uint64_t *ret)
{
	struct symbols *symbols = lowering->source->symbols;
	struct symbol_module *module = lowering->module;
	uint32_t function = SYMBOL_NONE;

	if (lowering->waits || (module && symbols_may_have_lines(module, address)))
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
static int64_t lower(struct lowering *lowering, const struct catalog_build *build,
		     uint32_t location)
{
	const struct leaf_source *source = lowering->source;
	struct place place = { lowering->tree->builds.items[location],
			       lowering->tree->addresses.items[location] };
	uint64_t start = place.address;
	bool is_known = source->start ? source->start(source->context, &build->identity,
						      place.address, &start)
				      : find_start(lowering, build, place.address, &start);

	if (!is_known || start >= place.address)
		return location;
	place.address = start;
	return find_location(lowering, place);
}

static bool has_functions(enum build_kind kind)
{
	return kind == BUILD_FILE || kind == BUILD_KERNEL || kind == BUILD_KERNEL_MODULE;
}

static int lower_build(struct lowering *lowering, uint32_t number, const uint32_t *locations,
		       uint32_t count)
{
	struct catalog_build build = { 0 };
	bool is_lowered = false;
	int64_t location = 0;

	/* What brings its names has no functions to begin at. */
	if (number != TREE_BUILD_NAMED && count > 0) {
		build = catalog_build(lowering->catalog, number);
		is_lowered = has_functions(build.kind);
	}
	if (is_lowered && !lowering->source->start)
		hold_module(lowering, &build);
	for (uint32_t i = 0; location >= 0 && i < count; i++) {
		location = is_lowered ? lower(lowering, &build, locations[i]) : locations[i];
		if (location >= 0)
			lowering->lowered[locations[i]] = (uint32_t)location + 1;
	}
	symbols_leave(lowering->source->symbols, lowering->module);
	lowering->module = NULL;
	return location < 0 ? (int)location : 0;
}

/* ---- leaves ---------------------------------------------------------------------------------- */

static int prepare(struct lowering *lowering)
{
	size_t build_count = catalog_count(lowering->catalog, CATALOG_BUILD);
	size_t location_count = lowering->tree->builds.count;

	lowering->has_children =
		calloc((size_t)lowering->tree->nodes.count + 1, sizeof(lowering->has_children[0]));
	lowering->lowered = calloc(location_count + 1, sizeof(lowering->lowered[0]));
	lowering->leaves = calloc(location_count + 1, sizeof(lowering->leaves[0]));
	lowering->starts = calloc(build_count + 1, sizeof(lowering->starts[0]));
	table_init(&lowering->table, TREE_LOCATION_COUNT_MAX);
	return lowering->has_children && lowering->lowered && lowering->leaves && lowering->starts
		       ? 0
		       : -ENOMEM;
}

static bool can_be_lowered(const struct tree_node *node)
{
	return node->parent != TREE_NO_PARENT && node->location >= TREE_RESERVED_COUNT;
}

/* Marks the locations of leaves, and puts them together by their builds. */
static void find_leaves(struct lowering *lowering)
{
	const struct tree *tree = lowering->tree;
	uint32_t build_count = catalog_count(lowering->catalog, CATALOG_BUILD);
	uint32_t location_count = tree->builds.count;
	uint32_t *starts = lowering->starts;
	bool *has_children = lowering->has_children;

	for (uint32_t i = 0; i < tree->nodes.count; i++)
		if (tree->nodes.items[i].parent != TREE_NO_PARENT)
			has_children[tree->nodes.items[i].parent] = true;
	for (uint32_t i = 0; i < tree->nodes.count; i++) {
		const struct tree_node *node = &tree->nodes.items[i];

		if (has_children[i] || !can_be_lowered(node))
			continue;
		assert(node->location < location_count);
		lowering->lowered[node->location] = LEAF;
	}
	for (uint32_t i = TREE_RESERVED_COUNT; i < location_count; i++) {
		assert(tree->builds.items[i] < build_count);
		starts[tree->builds.items[i] + 1] += lowering->lowered[i] == LEAF;
	}
	for (uint32_t i = 0; i < build_count; i++)
		starts[i + 1] += starts[i];
	for (uint32_t i = TREE_RESERVED_COUNT; i < location_count; i++)
		if (lowering->lowered[i] == LEAF)
			lowering->leaves[starts[tree->builds.items[i]]++] = i;
	/* starts[i] is where build i + 1 begins now. */
}

int leaves_lower(const struct leaf_source *source, const struct catalog *catalog, struct tree *tree)
{
	autoclean(lowering) struct lowering lowering = { .source = source,
							 .catalog = catalog,
							 .tree = tree };
	int err;

	if (!source || (!source->symbols && !source->start))
		return 0;
	err = prepare(&lowering);
	if (!err)
		find_leaves(&lowering);
	for (uint32_t i = 0, first = 0; !err && i < catalog_count(catalog, CATALOG_BUILD);
	     first = lowering.starts[i++])
		err = lower_build(&lowering, i, lowering.leaves + first,
				  lowering.starts[i] - first);
	for (uint32_t i = 0; !err && i < tree->nodes.count; i++) {
		struct tree_node *node = &tree->nodes.items[i];

		if (!lowering.has_children[i] && can_be_lowered(node))
			node->location = lowering.lowered[node->location] - 1;
	}
	return err;
}
