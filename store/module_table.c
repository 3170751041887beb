/* SPDX-License-Identifier: Apache-2.0 */
#include "store/module_table.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "store/forest_walk.h"
#include "store/reader.h"

enum { MODULE_COUNT_MAX = 1 << 20 };

void module_table_init(struct module_table *modules, struct naming *naming)
{
	*modules = (struct module_table){ .naming = naming };
	table_init(&modules->table, MODULE_COUNT_MAX);
}

void module_table_done(struct module_table *modules)
{
	array_done(&modules->sums);
	table_done(&modules->table);
}

static bool equals(const void *context, uint32_t number, const void *key)
{
	const struct module_sum *sum = &((const struct module_table *)context)->sums.items[number];
	const struct module_sum *wanted = key;

	return sum->kind == wanted->kind && sum->path == wanted->path &&
	       identity_equal(&sum->identity, &wanted->identity);
}

/* The sum of a build, made when it is new; or a negative errno. */
static int64_t find_sum(struct module_table *modules, const struct module_sum *wanted)
{
	uint64_t hash = table_hash_bytes(wanted->identity.bytes, wanted->identity.size,
					 (uint64_t)wanted->path << 8 | wanted->kind);
	uint32_t number = table_find(&modules->table, hash, wanted, equals, modules);

	if (number != TABLE_NONE)
		return number;
	number = modules->sums.count;
	if (array_reserve(&modules->sums, 1) < 0)
		return -ENOMEM;

	int err = table_add(&modules->table, hash);

	if (err)
		return err == -ENOSPC ? -E2BIG : err;
	modules->sums.items[modules->sums.count++] = *wanted;
	return number;
}

static int64_t find_build(struct module_table *modules, const struct catalog *catalog,
			  uint32_t build)
{
	struct module_sum wanted = { .kind = 0 };

	if (build == TREE_BUILD_NAMED)
		return find_sum(modules, &wanted);
	if (build >= catalog_count(catalog, CATALOG_BUILD))
		return -EBADMSG;

	struct catalog_build known = catalog_build(catalog, build);
	int64_t path = naming_text(modules->naming, catalog_text(catalog, known.path));

	if (path < 0)
		return path;
	/* Code that was named later is its program's as much as what was named at once. */
	if (known.identity.kind != IDENTITY_PROCESS_CODE)
		wanted.identity = known.identity;
	wanted.kind = known.kind;
	wanted.path = (uint32_t)path;
	return find_sum(modules, &wanted);
}

/* What a location is: the build's sum, and whether it has a name. */
struct place {
	uint32_t sum;
	bool is_named;
	bool is_wanted;
};

static int find_place(struct module_table *modules, const struct catalog *catalog,
		      const struct tree *tree, uint32_t location, struct place *ret)
{
	uint32_t build = tree->builds.items[location];
	int64_t sum = find_build(modules, catalog, build);
	int err = sum < 0 ? (int)sum
			  : naming_has_name(modules->naming, catalog, build,
					    tree->addresses.items[location], &ret->is_named);

	if (err)
		return err;
	ret->sum = (uint32_t)sum;
	return 0;
}

/* What was folded is no module's any more. */
static bool has_module(const struct forest *forest, uint32_t node)
{
	return forest->self[node] > 0 && forest->nodes[node].parent != TREE_NO_PARENT &&
	       forest->nodes[node].location >= TREE_RESERVED_COUNT;
}

int module_table_add(struct module_table *modules, const struct catalog *catalog,
		     const struct tree *tree, const struct forest *forest)
{
	autofree struct place *places = calloc((size_t)tree->builds.count + 1, sizeof(places[0]));
	autofree uint32_t *wanted = malloc(((size_t)tree->builds.count + 1) * sizeof(wanted[0]));
	uint32_t wanted_count = 0;

	if (!places || !wanted)
		return -ENOMEM;
	for (uint32_t i = 0; i < forest->count; i++)
		if (has_module(forest, i))
			places[forest->nodes[i].location].is_wanted = true;
	for (uint32_t i = 0; i < tree->builds.count; i++)
		if (places[i].is_wanted)
			wanted[wanted_count++] = i;

	/* One binary after the other is in memory. */
	int err = tree_order_by_build(tree, catalog_count(catalog, CATALOG_BUILD), wanted,
				      wanted_count);

	for (uint32_t i = 0; !err && i < wanted_count; i++)
		err = find_place(modules, catalog, tree, wanted[i], &places[wanted[i]]);
	if (err)
		return err;
	for (uint32_t i = 0; i < forest->count; i++) {
		if (forest->nodes[i].parent == TREE_NO_PARENT)
			modules->total = saturated_sum(modules->total, forest->total[i]);
		if (!has_module(forest, i))
			continue;

		const struct place *place = &places[forest->nodes[i].location];
		struct module_sum *sum = &modules->sums.items[place->sum];

		sum->self = saturated_sum(sum->self, forest->self[i]);
		if (place->is_named)
			sum->named = saturated_sum(sum->named, forest->self[i]);
	}
	return 0;
}

/* ---- the answer ------------------------------------------------------------------------------ */

static int compare_sums(const void *a, const void *b, void *context)
{
	const struct module_table *modules = context;
	const struct module_sum *x = &modules->sums.items[*(const uint32_t *)a];
	const struct module_sum *y = &modules->sums.items[*(const uint32_t *)b];

	if (x->self != y->self)
		return x->self > y->self ? -1 : 1;
	return str_compare(naming_get(modules->naming, x->path),
			   naming_get(modules->naming, y->path));
}

int module_table_lay_out(const struct module_table *modules, uint32_t limit, struct modules *ret)
{
	autofree uint32_t *order = calloc((size_t)modules->sums.count + 1, sizeof(order[0]));
	struct modules answer = { .total = modules->total, .module_count = modules->sums.count };
	size_t size = 0;

	if (!order)
		return -ENOMEM;
	for (uint32_t i = 0; i < modules->sums.count; i++)
		order[i] = i;
	qsort_r(order, modules->sums.count, sizeof(order[0]), compare_sums, (void *)modules);
	answer.count = modules->sums.count < limit ? modules->sums.count : limit;
	for (uint32_t i = 0; i < answer.count; i++)
		size += naming_get(modules->naming, modules->sums.items[order[i]].path).size;
	answer.memory = malloc(answer.count * sizeof(answer.rows[0]) + size + 1);
	if (!answer.memory)
		return -ENOMEM;
	answer.rows = answer.memory;

	char *next = (char *)(answer.rows + answer.count);

	for (uint32_t i = 0; i < answer.count; i++) {
		const struct module_sum *sum = &modules->sums.items[order[i]];
		struct str path = naming_get(modules->naming, sum->path);

		answer.rows[i] = (struct module_row){ .identity = sum->identity,
						      .kind = sum->kind,
						      .path = { next, path.size },
						      .self = sum->self,
						      .named = sum->named };
		if (path.size)
			memcpy(next, path.text, path.size);
		next += path.size;
	}
	*ret = answer;
	return 0;
}

void modules_done(struct modules *modules)
{
	free(modules->memory);
	*modules = (struct modules){ 0 };
}

/* ---- the question ---------------------------------------------------------------------------- */

struct modules_question {
	uint32_t limit;
	struct module_table table;
	struct modules *ret;
};

static void start_question(void *context, struct naming *naming)
{
	struct modules_question *question = context;

	module_table_done(&question->table);
	module_table_init(&question->table, naming);
	naming_hold_few(naming);
}

static int add_forest(void *context, const struct catalog *catalog, const struct tree *tree,
		      const struct forest *forest)
{
	return module_table_add(&((struct modules_question *)context)->table, catalog, tree,
				forest);
}

static int finish_question(void *context)
{
	struct modules_question *question = context;

	return module_table_lay_out(&question->table, question->limit, question->ret);
}

int store_modules(struct store *store, const struct store_question *asked, uint32_t limit,
		  struct modules *ret)
{
	struct modules_question question = { .limit = limit, .ret = ret };
	int err = store_walk_forests(store, asked,
				     &(struct forest_walk){ .start = start_question,
							    .add = add_forest,
							    .finish = finish_question,
							    .context = &question });

	module_table_done(&question.table);
	return err;
}
